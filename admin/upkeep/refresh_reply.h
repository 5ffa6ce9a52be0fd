/*
 * Judges the reply of a token host (RFC 6749, 5.1 and 5.2, and the codes of providers). Each field is
 * judged by itself: nothing beside a refresh token can make it lost. Pure.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H
#define RELAY_ADMIN_UPKEEP_REFRESH_REPLY_H

#include "admin/upkeep/refresh_plan.h"
#include "common/buffer.h"
#include "common/errtext.h"

#define REFRESH_CODE_SIZE 64

/* A reply as it came. */
struct refresh_raw {
	unsigned status;
	struct slice body;
	const char *encoding; /* Content-Encoding; "" = none */
	int64_t arrived_ms;
	int64_t sent_ms; /* Unix time of the request; 0 = unknown */
};

/* A request that is older than this was not sent then: the clock was set. */
#define REFRESH_REPLY_AGE_MAX_MS ((int64_t)180 * 1000)

struct refresh_reply {
	struct buffer text; /* has the texts below */
	/* empty = none that can be used: the stored token stays */
	struct slice access_token, refresh_token, id_token;
	int64_t expires_ms;	      /* of the access token, Unix time; 0 = unknown */
	const char *reason;	      /* cause of the rejection, a fixed text; "" = not rejected */
	char code[REFRESH_CODE_SIZE]; /* the token host's error code, printable; "" = none */
	struct errtext fault;	      /* what is wrong, without secrets; "" = nothing */
	bool lasting;		      /* a refusal that would be the same tomorrow */
	bool unread;		      /* a success that nothing could be read from */
};

/*
 * `ret` is always filled. `expires_in` counts from the request, for access tokens that are not JWTs: a
 * token is not made before, and a reply may come late.
 * REFRESH_LOST, the token may be used up: a success without an access token or a refresh token that
 * can be used, also if the reply ends before its refresh token.
 * REFRESH_REJECTED: a `refresh_token` beside the error is in `refresh_token`.
 */
enum refresh_outcome refresh_reply_parse(const struct refresh_raw *raw, struct refresh_reply *ret);
void refresh_reply_fini(struct refresh_reply *r);

struct refresh_request {
	struct slice client_id, refresh_token;
	struct slice client_secret; /* empty = none */
	bool is_json;		    /* else application/x-www-form-urlencoded */
};

/* Writes the request body to `out`; buffer_fini() wipes it. */
void refresh_request_format(const struct refresh_request *r, struct buffer *out);

#endif
