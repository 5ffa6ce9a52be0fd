/*
 * HTTP requests of control on its own loop: token refreshes, probes, egress checks. All of them go
 * through HAProxy's internal frontend (a Unix socket), so this code needs no DNS, TLS or proxies.
 * Each request is sent once, on a new connection, over HTTP/1.1. Redirects are not followed.
 */
#ifndef RELAY_ADMIN_UPKEEP_OUTBOUND_H
#define RELAY_ADMIN_UPKEEP_OUTBOUND_H

#include "common/errtext.h"
#include "common/slice.h"

#include <stdbool.h>

#define OUTBOUND_CALLS_MAX 64
#define OUTBOUND_BODY_MAX ((size_t)64 << 10) /* of a response; the rest is discarded */
#define OUTBOUND_ENCODING_SIZE 40
#define OUTBOUND_HEADERS_MAX 16
#define OUTBOUND_CODE_SIZE 40

struct ev_loop;
struct outbound;
struct outbound_call;

struct outbound_answer {
	bool sent;	      /* false: certainly no byte was sent */
	bool whole;	      /* the response is complete, and all of it is in `body` */
	unsigned status;      /* 0 = no response began */
	struct slice body;    /* valid during the callback */
	const char *code;     /* X-Relay-Error: the error is HAProxy's or the agent's; "" = none */
	const char *encoding; /* Content-Encoding, which nothing has undone; "" = none */
	const char *failure;  /* transport error without secrets; "" = none */
};

/* Called once, never within outbound_send(); the call is freed afterwards. */
typedef void outbound_fn(void *context, const struct outbound_answer *a);

struct outbound_request {
	const char *socket; /* of HAProxy's internal frontend */
	const char *method;
	const char *target; /* path and query */
	struct slice headers
		[OUTBOUND_HEADERS_MAX]; /* "Name: value"; the first empty one ends the list */
	struct slice body;		/* copied */
	size_t answer_max;		/* bytes of the body of a response; 0 = OUTBOUND_BODY_MAX */
	long timeout_ms;		/* for the whole request */
	outbound_fn *done;
	void *context;
};

/* NULL: out of memory. */
struct outbound *outbound_new(struct ev_loop *loop);
/* Ends all calls without a callback. NULL is fine. */
void outbound_free(struct outbound *o);

/* 0; -EAGAIN: too many in progress; -ENOMEM, -EINVAL. On error, nothing was sent. */
int outbound_send(struct outbound *o, const struct outbound_request *r, struct outbound_call **ret,
	struct errtext *e);
/* Without a callback. Bytes already sent stay sent. */
void outbound_cancel(struct outbound_call *call);

#endif
