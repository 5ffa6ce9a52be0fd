/*
 * One HTTP exchange of the admin API: takes the body, matches and runs the request, builds the
 * answer.
 */
#ifndef RELAY_ADMIN_API_SERVER_EXCHANGE_H
#define RELAY_ADMIN_API_SERVER_EXCHANGE_H

#include "admin/api/request.h"

#include <microhttpd.h>

struct stream;

struct exchange {
	struct buffer body; /* may hold a credential: wiped at the end */
	bool too_large;
	bool looked;		   /* HAProxy was asked */
	struct deferred *deferred; /* the answer comes later; NULL = it is there */
};

struct exchange_answer {
	unsigned status;
	const char *type;
	struct buffer allow; /* methods, for 405; else empty */
	struct buffer body;
	struct stream *stream; /* in place of the body; NULL = none */
};

struct exchange *exchange_new(void);
void exchange_free(struct exchange *x);
/* Drops bytes beyond the limit; the answer is 413 then. */
void exchange_take(struct exchange *x, const char *data, size_t n);

/* Whether the answer tells what HAProxy says: haproxy_sync_look() comes first, once. */
bool exchange_wants_look(const struct exchange *x, const char *method, const char *path);
/* Whether it has to wait, since a change of many parts is under way (bulk.h). */
bool exchange_has_to_wait(const struct control *c, const char *method, const char *path);
/*
 * For a request that is complete. The caller owns the buffers of `ret`. When `x` is deferred
 * afterwards, `ret` is empty.
 */
void exchange_run_api(struct exchange *x, struct control *c, struct MHD_Connection *connection,
	const char *method, const char *path, struct exchange_answer *ret);
/* The answer of an exchange whose `deferred` is done. */
void exchange_run_deferred(struct exchange *x, struct exchange_answer *ret);
/* GET /metrics and /healthz. */
void exchange_run_metrics(
	struct control *c, const char *method, const char *path, struct exchange_answer *ret);

#endif
