/*
 * Credential files, JSON; the provider's row has the names of the fields. auth.json of Codex:
 * {"OPENAI_API_KEY": null | "sk-...", "tokens": {"id_token", "access_token", "refresh_token",
 * "account_id"}, "last_refresh"}. The access token among the tokens is a JWT; its `exp` is the expiry.
 * Beside a refresh token it may be anything else, or be missing.
 */
#ifndef RELAY_ADMIN_UPKEEP_AUTHJSON_H
#define RELAY_ADMIN_UPKEEP_AUTHJSON_H

#include "common/errtext.h"
#include "common/provider.h"
#include "common/slice.h"

#include <json-c/json.h>
#include <stdint.h>

#define AUTHJSON_MAX ((size_t)256 << 10)
#define AUTHJSON_DEPTH 16
#define AUTHJSON_PAYLOAD_MAX ((size_t)16 << 10) /* of the JWT payload, decoded */

struct authjson {
	json_object *document;	   /* owns the texts below */
	struct slice access_token; /* or the API key; empty only beside a refresh token */
	struct slice refresh_token;
	struct slice id_token;
	struct slice account_id;
	int64_t expires_ms;	 /* Unix time; 0 = never, or unknown */
	int64_t last_refresh_ms; /* Unix time; 0 = missing or unreadable */
};

/* 0 or -EINVAL; the error text contains no secret. */
int authjson_parse(const struct provider_file *file, struct slice text, struct authjson *ret,
	struct errtext *e);
void authjson_fini(struct authjson *a);

/* `exp` of a JWT, in milliseconds. The signature is not verified. 0 or -EINVAL. */
int authjson_jwt_expiry(struct slice jwt, int64_t *ret_ms, struct errtext *e);

#endif
