/*
 * HTTP requests of control itself, on its own loop: token refreshes, probes, egress checks. They all
 * leave through HAProxy's internal frontend (a Unix socket), so nothing here knows of names, TLS or
 * proxies. Each goes once, on a connection of its own, over HTTP/1.1; nothing is followed or repeated.
 */
#ifndef RELAY_ADMIN_UPKEEP_OUTBOUND_H
#define RELAY_ADMIN_UPKEEP_OUTBOUND_H

#include "common/errtext.h"
#include "common/slice.h"

#include <stdbool.h>

#define OUTBOUND_CALLS_MAX 64
#define OUTBOUND_BODY_MAX ((size_t)64 << 10) /* of an answer; the rest is not kept */
#define OUTBOUND_HEADERS_MAX 16
#define OUTBOUND_CODE_SIZE 40

struct ev_loop;
struct outbound;
struct outbound_call;

struct outbound_answer {
	bool sent;	     /* something may have left: false is certain */
	bool whole;	     /* the answer came to its end, and all of it is in `body` */
	unsigned status;     /* 0 = no answer began */
	struct slice body;   /* valid during the callback */
	const char *code;    /* X-Relay-Error: HAProxy's or the agent's own answer; "" = none */
	const char *failure; /* what went wrong on the way, without secrets; "" = nothing */
};

/* Called once, never from within outbound_send(); the call is gone afterwards. */
typedef void outbound_fn(void *context, const struct outbound_answer *a);

struct outbound_request {
	const char *socket; /* of HAProxy's internal frontend */
	const char *method;
	const char *target; /* path and query */
	struct slice
		headers[OUTBOUND_HEADERS_MAX]; /* "Name: value"; the first empty one ends them */
	struct slice body;		       /* copied */
	long timeout_ms;		       /* for all of it */
	outbound_fn *done;
	void *context;
};

/* NULL: out of memory. */
struct outbound *outbound_new(struct ev_loop *loop);
/* Ends all calls without a callback. NULL is fine. */
void outbound_free(struct outbound *o);

/* 0; -EAGAIN: too many under way; -ENOMEM, -EINVAL. Nothing was sent then. */
int outbound_send(struct outbound *o, const struct outbound_request *r, struct outbound_call **ret,
	struct errtext *e);
/* Without a callback. What was sent stays sent. */
void outbound_cancel(struct outbound_call *call);

#endif
