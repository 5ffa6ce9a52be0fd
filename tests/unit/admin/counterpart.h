/*
 * A server on the test's event loop in place of HAProxy's internal socket. It reads complete
 * requests and sends the configured response.
 */
#ifndef RELAY_TESTS_UNIT_ADMIN_COUNTERPART_H
#define RELAY_TESTS_UNIT_ADMIN_COUNTERPART_H

#include "common/buffer.h"

#include <ev.h>
#include <stdbool.h>

#define COUNTERPART_REQUESTS_MAX 128

struct counterpart;

struct counterpart_request {
	struct counterpart *owner;
	ev_io io; /* fd -1: closed */
	struct buffer text;
	bool whole;
};

struct counterpart {
	struct ev_loop *loop;
	char path[64];
	ev_io listener;
	struct counterpart_request requests[COUNTERPART_REQUESTS_MAX];
	size_t count;	    /* connections */
	size_t whole;	    /* complete requests */
	const char *answer; /* NULL: no response; "": close the connection */
	size_t filler;	    /* bytes added after the response */
	/* called for each complete request before the response; NULL = none */
	void (*seen)(void *context, const struct counterpart_request *r);
	void *context;
};

void counterpart_start(struct counterpart *c, struct ev_loop *loop);
void counterpart_stop(struct counterpart *c);
/* Answers all pending requests. */
void counterpart_answer_all(struct counterpart *c, const char *answer);
/* The request body. */
const char *counterpart_body(const struct counterpart_request *r);

/* Runs the loop until `done` returns true; the test fails after 20 s. */
void counterpart_run(struct ev_loop *loop, bool (*done)(void *context), void *context);

#endif
