/* A request as HAProxy describes it (docs/PROTOCOL.md, "Arguments"). */
#ifndef RELAY_AGENT_REQUEST_H
#define RELAY_AGENT_REQUEST_H

#include "common/ip.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Slices are borrowed from HAProxy's frame, or from the waiting room. */
struct decide_request {
	uint64_t gen;
	uint8_t id[16];
	bool malformed; /* an argument was missing, of a wrong type, or too long */
	bool hard;	/* the conversation has state upstream */
	bool websocket;
	bool has_src;
	bool seated; /* it has a place in the waiting room: it need not queue behind others */
	struct ip src;
	uint64_t key_lines;
	uint64_t auth_lines;
	uint64_t length;  /* content-length; 0 = none */
	int64_t since_ms; /* start of its wait, Unix time; 0 = it has not waited */
	struct slice key;
	struct slice auth;
	struct slice sticky;
	struct slice method;
	struct slice path;
	/*
	 * Of `again`: what HAProxy saw of the response that it took back, as a limits text (result.h)
	 * with the status. Empty: no response, or HAProxy 2.6, which cannot tell.
	 */
	struct slice failed;
};

#endif
