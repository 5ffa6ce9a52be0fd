/* A question as HAProxy asked it: SEAM.md "Messages", `decide`. */
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
	bool malformed; /* an argument was missing, of a wrong type, or longer than its bound */
	bool hard;	/* the conversation has state upstream */
	bool websocket;
	bool has_src;
	bool seated; /* it has its place in the waiting room: it need not go behind the others */
	struct ip src;
	uint64_t key_lines;
	uint64_t auth_lines;
	uint64_t length;  /* content-length, 0 without one */
	int64_t since_ms; /* when its wait began, Unix time; 0 = it has not waited */
	struct slice key;
	struct slice auth;
	struct slice sticky;
	struct slice method;
	struct slice path;
};

#endif
