/* The answer of a token host (RFC 6749, 5.1 and 5.2, and what Codex's host makes of it), judged. Pure. */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H
#define RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H

#include "admin/upkeep/refresh_plan.h"
#include "common/slice.h"

#include <json-c/json.h>

#define REFRESH_REPLY_DEPTH 8

struct refresh_reply {
	json_object *document; /* owns the texts below */
	/* empty = not given: the old one stays */
	struct slice access_token, refresh_token, id_token;
	int64_t expires_ms; /* of the access token, Unix time; 0 = unknown */
	const char *reason; /* why it was rejected: one of our own words; "" = it was not */
};

/*
 * `ret` is filled in any case. `arrived_ms` is where `expires_in` counts from, for access tokens that
 * are no JWT. An answer that was cut off, is not JSON or holds no usable token is LOST: the token that
 * was sent may be used up all the same.
 */
enum refresh_outcome refresh_reply_parse(
	unsigned status, struct slice body, int64_t arrived_ms, struct refresh_reply *ret);
void refresh_reply_fini(struct refresh_reply *r);

/* The request's body into `out`, which buffer_fini() wipes. */
struct buffer;
void refresh_request_format(struct slice client_id, struct slice refresh_token, struct buffer *out);

#endif
