/*
 * auth.json of Codex: {"OPENAI_API_KEY": null | "sk-...", "tokens": {"id_token", "access_token",
 * "refresh_token", "account_id"}, "last_refresh"}. With tokens the access token is a JWT, whose `exp`
 * is the expiry.
 */
#ifndef RELAY_ADMIN_UPKEEP_AUTHJSON_H
#define RELAY_ADMIN_UPKEEP_AUTHJSON_H

#include "common/errtext.h"
#include "common/slice.h"

#include <json-c/json.h>
#include <stdint.h>

#define AUTHJSON_MAX ((size_t)256 << 10)
#define AUTHJSON_DEPTH 16
#define AUTHJSON_PAYLOAD_MAX ((size_t)16 << 10) /* of the JWT, decoded */

struct authjson {
	json_object *document;	   /* owns the texts below */
	struct slice access_token; /* or the API key; never empty */
	struct slice refresh_token;
	struct slice id_token;
	struct slice account_id;
	int64_t expires_ms;	 /* Unix time; 0 = never */
	int64_t last_refresh_ms; /* Unix time; 0 = not said, or not as a time */
};

/* 0, or -EINVAL naming what is wrong, never a value. */
int authjson_parse(struct slice text, struct authjson *ret, struct errtext *e);
void authjson_fini(struct authjson *a);

/* `exp` of a JWT, in milliseconds. The signature is the issuer's business. 0 or -EINVAL. */
int authjson_jwt_expiry(struct slice jwt, int64_t *ret_ms, struct errtext *e);

#endif
