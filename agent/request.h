/* A request as HAProxy describes it (docs/PROTOCOL.md, "Arguments"). */
#ifndef RELAY_AGENT_REQUEST_H
#define RELAY_AGENT_REQUEST_H

#include "agent/bodyname.h"
#include "common/head.h"
#include "common/ip.h"
#include "common/refusal.h"
#include "common/seam.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct snapshot;

/* Bytes of texts that are kept; a longer one makes the request a bad one. */
#define REQUEST_KEY_MAX 256
#define REQUEST_STICKY_MAX 256 /* a longer value counts by its digest */
#define REQUEST_METHOD_MAX 32
#define REQUEST_PATH_MAX 1024 /* without the query */
#define REQUEST_HOST_MAX 256
#define REQUEST_LABEL_MAX 64
#define REQUEST_DIGEST_LEN 64 /* SHA-256 in hexadecimal digits */

/* Slices are borrowed from HAProxy's frame, from `digest` of the question, or from the waiting room. */
struct decide_request {
	uint64_t gen;
	uint64_t worker; /* start of the asking process (gauge_worker); 0 = not known */
	uint8_t id[16];
	/* not REFUSAL_NONE: an argument or the head was missing, of a wrong form, or too long */
	enum refusal fault;
	bool hard;	       /* the conversation has state upstream */
	bool websocket;	       /* it asks for an upgrade to WebSocket ... */
	bool handshake;	       /* ... in the right form */
	bool names_resources;  /* its body names resources of an account */
	bool has_other_method; /* a header names another method than the one of the request */
	bool has_src;
	bool has_json; /* its body is JSON of a known length, and can be asked for */
	bool was_read; /* its body was asked for: `body` is what it says */
	bool seated;   /* it has a place in the waiting room: it need not queue behind others */
	struct ip src;
	uint32_t key_lines;   /* of the header that has the key */
	uint64_t length;      /* content-length; 0 = none */
	int64_t since_ms;     /* start of its wait, Unix time; 0 = it has not waited */
	struct bodyname body; /* read if no header names the conversation */
	struct slice key;     /* that the client presents; empty = none */
	struct slice sticky;
	struct slice method;
	struct slice path; /* without the query */
	/* headers for this hop only (head_hops); HAProxy removes them */
	size_t hops_n;
	char hops[HEAD_HOPS_MAX];
	char kinds[SEAM_KINDS_SIZE]; /* of them; "" = not to be told from the others */
	struct slice label;	     /* the client's own id of the request; empty = none */
	/*
	 * Of `again`: what HAProxy saw of the response that it took back, as a limits text (result.h)
	 * with the status. Empty: no response, or HAProxy 2.6, which cannot tell.
	 */
	struct slice failed;
};

/* Sets the fault of a request that has none yet. */
static inline void request_blame(struct decide_request *r, enum refusal fault)
{
	if (r->fault == REFUSAL_NONE)
		r->fault = fault;
}

/*
 * Takes from the head of the request (head.h) what decisions need. `s` names the conversation headers;
 * NULL = none. A conversation with a long name gets its digest, which is written into `digest`.
 */
void request_read_head(struct decide_request *r, struct slice head, const struct snapshot *s,
	char digest[REQUEST_DIGEST_LEN]);

#endif
