/*
 * Credential files: JSON, in the forms of the provider's row (common/provider.h). The form is recognised
 * by the fields of the file. Beside a refresh token the access token may be anything, or be missing.
 */
#ifndef RELAY_ADMIN_UPKEEP_CREDENTIAL_FILE_H
#define RELAY_ADMIN_UPKEEP_CREDENTIAL_FILE_H

#include "common/buffer.h"
#include "common/errtext.h"
#include "common/provider.h"
#include "common/slice.h"

#include <json-c/json.h>
#include <stdint.h>

#define CREDENTIAL_FILE_MAX ((size_t)256 << 10)

/* An empty text = the file has none. */
struct credential_file {
	const struct provider_file *form;
	json_object *document;	   /* owns the texts below */
	struct buffer claim;	   /* owns an account id that is in a token */
	struct slice access_token; /* or the API key; empty only beside a refresh token */
	struct slice refresh_token;
	struct slice id_token;
	struct slice account_id;
	struct slice token_url;
	struct slice client_id;
	struct slice client_secret;
	int64_t expires_ms;	 /* Unix time; 0 = never, or unknown */
	int64_t last_refresh_ms; /* Unix time; 0 = missing or unreadable */
};

/* `now_ms` is the Unix time. 0 or -EINVAL; the error text contains no secret. */
int credential_file_parse(const struct provider *provider, struct slice text, int64_t now_ms,
	struct credential_file *ret, struct errtext *e);
void credential_file_fini(struct credential_file *f);

/* A text without the byte order mark of UTF-8 before it. */
struct slice credential_file_skip_mark(struct slice text);

#endif
