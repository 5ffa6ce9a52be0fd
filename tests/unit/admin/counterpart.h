/*
 * What stands at the other end of HAProxy's internal socket in tests: a server on the test's own loop
 * that takes whole requests and answers as it was told.
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
	ev_io io; /* fd -1: over */
	struct buffer text;
	bool whole;
};

struct counterpart {
	struct ev_loop *loop;
	char path[64];
	ev_io listener;
	struct counterpart_request requests[COUNTERPART_REQUESTS_MAX];
	size_t count;	    /* connections */
	size_t whole;	    /* requests that have come whole */
	const char *answer; /* NULL: silence; "": the connection ends */
	size_t filler;	    /* bytes after it */
	/* called for each whole request before it is answered; NULL = not */
	void (*seen)(void *context, const struct counterpart_request *r);
	void *context;
};

void counterpart_start(struct counterpart *c, struct ev_loop *loop);
void counterpart_stop(struct counterpart *c);
/* Answers all that wait in silence. */
void counterpart_answer_all(struct counterpart *c, const char *answer);
/* What came after the head. */
const char *counterpart_body(const struct counterpart_request *r);

/* Runs the loop until `done` says so; the test fails after 20 s. */
void counterpart_run(struct ev_loop *loop, bool (*done)(void *context), void *context);

#endif
