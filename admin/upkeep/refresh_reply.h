/* Judges the reply of a token host (RFC 6749, 5.1 and 5.2, and the codes of providers). Pure. */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H
#define RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H

#include "admin/upkeep/refresh_plan.h"
#include "common/slice.h"

#include <json-c/json.h>

#define REFRESH_REPLY_DEPTH 8

struct refresh_reply {
	json_object *document; /* owns the texts below */
	/* empty = not given: the stored token stays */
	struct slice access_token, refresh_token, id_token;
	int64_t expires_ms; /* of the access token, Unix time; 0 = unknown */
	const char *reason; /* cause of the rejection, a fixed text; "" = not rejected */
};

/*
 * `ret` is always filled. `expires_in` counts from `arrived_ms`, for access tokens that are not
 * JWTs. A truncated reply, invalid JSON or no usable token gives REFRESH_LOST: the token may be
 * used up.
 */
enum refresh_outcome refresh_reply_parse(
	unsigned status, struct slice body, int64_t arrived_ms, struct refresh_reply *ret);
void refresh_reply_fini(struct refresh_reply *r);

/* Writes the request body to `out`; buffer_fini() wipes it. */
struct buffer;
void refresh_request_format(struct slice client_id, struct slice refresh_token, struct buffer *out);

#endif
