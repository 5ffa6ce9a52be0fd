/*
 * The names that HAProxy's rendered files and the agent share (docs/PROTOCOL.md). The renderer writes
 * them, the agent looks them up; no other file repeats a name.
 */
#ifndef RELAY_COMMON_SEAM_H
#define RELAY_COMMON_SEAM_H

#define SEAM_ENGINE "relay"
#define SEAM_ENGINE_WAIT "relay-wait"
#define SEAM_VAR_PREFIX "relay" /* txn.relay.NAME */
#define SEAM_SECRET_ENV "SPOA_RELAY_SECRET"
#define SEAM_SECRET_MAX 128

/* variables of a HAProxy process, proc.NAME */
#define SEAM_PROC_GEN "rly_gen"	      /* number of its configuration */
#define SEAM_PROC_WORKER "rly_worker" /* when it started, Unix time in microseconds */

/* messages; each group has the name of its message */
#define SEAM_MSG_DECIDE "decide"
#define SEAM_MSG_DECIDE2 "decide2"
/* of SEAM_ENGINE: like decide, with what fits of the body, after the answer SEAM_ACTION_BODY */
#define SEAM_MSG_BODIED "bodied"
/* of SEAM_ENGINE_WAIT: like decide, with the argument `since`, but the agent may answer late */
#define SEAM_MSG_WAIT "wait"
#define SEAM_MSG_WAIT2 "wait2"
/* of SEAM_ENGINE: the request's next attempt, after one failed at a server */
#define SEAM_MSG_AGAIN "again"
#define SEAM_MSG_AGAIN2 "again2"
/* of SEAM_ENGINE: the head of a response, if `watch` is set or the response becomes account_switched */
#define SEAM_MSG_RESPOND "respond"
/* of SEAM_ENGINE: a probe of an account by control, on the internal frontend */
#define SEAM_MSG_PROBE "probe"
#define SEAM_PROBE_MS 10000 /* control gives up a probe without an answer after this time */
#define SEAM_WAIT_MS 30000  /* the agent answers within this time */
#define SEAM_WAIT_PROCESSING_MS 35000 /* HAProxy's `timeout processing` for it */
#define SEAM_WAIT_REPEATS 20	      /* HAProxy sends wait2 at most this often */

/* The largest head of a request: a larger one is refused with `headers_too_large`. */
#define SEAM_HEAD_MAX 32768

/* What the agent reads of a body. With a usual head it fits into a frame, and into HAProxy's buffer. */
#define SEAM_BODY_MAX 49152
/* HAProxy waits for a body for so long; 2.6 and 3.0 count all waits of a request together. */
#define SEAM_BODY_WAIT_S 120

/*
 * Arguments of all messages: id, name, longest value in bytes (0 = not a string). The renderer
 * cuts at longest + 1, so that the agent recognises a value that was too long.
 */
#define SEAM_DECIDE_ARGS(X)                                                                        \
	X(GEN, "gen", 0)		     /* int: number of the rendered configuration */       \
	X(SECRET, "secret", SEAM_SECRET_MAX) /* TCP listeners only */                              \
	X(WORKER, "worker", 0)		     /* int: SEAM_PROC_WORKER of the asking process */     \
	X(ID, "id", 64)			     /* unique-id, see record.h */                         \
	X(HEAD, "h", SEAM_HEAD_MAX)	     /* all header lines, see head.h */                    \
	X(METHOD, "method", 32)                                                                    \
	X(PATH, "path", 8192)	       /* with the query */                                        \
	X(SRC, "src", 0)	       /* ipv4 or ipv6 */                                          \
	X(BODY, "body", SEAM_BODY_MAX) /* its start, cut without a fault; bodied only */           \
	X(NAME, "name", 66)	       /* the variable of that name; wait messages only */         \
	X(SINCE, "since", 0)   /* int: what the variable of that name holds; wait messages only */ \
	X(STATUS, "status", 0) /* int: respond only */                                             \
	X(LIMITS, "lim", 1024) /* the variable of that name; respond only */                       \
	X(ACCOUNT, "account", 16) /* id, in decimal; probe only */                                 \
	X(FAILED, "failed",                                                                        \
		1024) /* limits text of the response that HAProxy took back; again only */

enum seam_arg {
#define X(id, name, max) SEAM_ARG_##id,
	SEAM_DECIDE_ARGS(X)
#undef X
		SEAM_ARG_COUNT
};

/*
 * Variables the agent sets, scope txn, under SEAM_VAR_PREFIX. Those of the credential are named by the
 * way to authenticate (provider.h).
 */
#define SEAM_VARS(X)                                                                                 \
	X(ACTION, "action")	  /* SEAM_ACTION_* */                                                \
	X(STATUS, "status")	  /* int: deny, answer */                                            \
	X(CODE, "code")		  /* deny */                                                         \
	X(TYPE, "type")		  /* deny */                                                         \
	X(MSG, "msg")		  /* deny: plain ASCII, safe in a JSON string */                     \
	X(RETRYABLE, "retryable") /* bool: deny */                                                   \
	X(RETRY, "retry")	  /* int: Retry-After seconds; unset when there is none */           \
	X(RESETS, "resets")	  /* int: epoch seconds; unset when there is none */                 \
	X(BODY, "body")		  /* answer: the JSON body */                                        \
	X(TRACK, "track")	  /* `tenant|key|account`, numeric ids, 0 = none; see record.h */    \
	X(BE, "be")		  /* backend name */                                                 \
	X(PATH, "path")		  /* the path for the upstream; unset when it stays as it is */      \
	X(SINCE, "since")	  /* int: Unix time in ms at which the wait began; action wait */    \
	X(NAME, "name") /* names of the conversation in the body, see bodyname.h; action wait */     \
	X(RATE, "rate") /* `limit;left;reset` of the tightest request limit; unset without one */    \
	X(ALT, "alt")	/* bool: another account could take over */                                  \
	X(WATCH, "watch")   /* bool: `respond` is wanted */                                          \
	X(RESEND, "resend") /* bool: HAProxy may take an empty answer back; without `alt` only */    \
	X(FRESH, "fresh")   /* bool: a new connection; answers to `again` only */                    \
	X(KEPT, "kept") /* bool: the conversation stays here: its client must not wait for long */   \
	X(TUNNEL, "tunnel") /* a WebSocket: `tenant|key|account|client`, see tunnels.h */            \
	X(SHAPE, "shape")   /* name of a provider_shape: of errors; answers to `again` only */       \
	X(KINDS, "kinds")   /* kinds of those headers, for HAProxy before 3.4 */                     \
	X(HOPS, "hops")	    /* names of headers for this hop only, for del-headers-bin */            \
	X(LABEL,                                                                                     \
		"label") /* the client's own id of the request, for its record; unset without one */ \
	X(MARK, "mark") /* of this attempt; comes back in its record, see record.h */                \
	X(LIM, "lim")	/* set by HAProxy: limit headers of the answer, see result.h */

enum seam_var {
#define X(id, name) SEAM_VAR_##id,
	SEAM_VARS(X)
#undef X
		SEAM_VAR_COUNT
};

const char *seam_arg_name(enum seam_arg a);
unsigned seam_arg_max(enum seam_arg a); /* 0 = not a string */
const char *seam_var_name(enum seam_var v);

#define SEAM_ACTION_ALLOW "allow"
#define SEAM_ACTION_DENY "deny"
#define SEAM_ACTION_ANSWER "answer"
#define SEAM_ACTION_WAIT "wait"
#define SEAM_ACTION_BODY "body"

/* A kind of headers: a character of the name and its place, counted from the end (common/kinds.h). */
#define SEAM_KIND_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789"
#define SEAM_KIND_PLACES 5
#define SEAM_KIND_LEN 3 /* with its separator */
#define SEAM_KINDS_SIZE 52

/* Responses that become account_switched if another account could serve. */
#define SEAM_SWITCH_STATUSES 401, 403, 429, 503, 529
#define SEAM_SWITCH_STATUSES_TEXT "401 403 429 503 529"
/* Responses with a shorter Retry-After if `kept` is set, and its limit in seconds. */
#define SEAM_KEPT_STATUSES_TEXT "503 529"
#define SEAM_KEPT_RETRY_S 10

/* Names of the frontends: for clients, for further attempts, for internal requests. */
#define SEAM_FRONTEND "relay-in"
#define SEAM_FRONTEND_AGAIN "relay-again"
#define SEAM_FRONTEND_INTERNAL "relay-internal"

/*
 * Each egress backend has the real server and two servers that lead to the frontend for further
 * attempts. The end record names the server that had the stream last.
 */
#define SEAM_BACKEND_ONCE ".once" /* ends the name of the backend for requests without `alt` */
#define SEAM_SERVER_OUT "out"
#define SEAM_SERVER_FRESH "fresh" /* the same, for a new connection; HAProxy 2.6 only */
#define SEAM_SERVER_AGAIN "again" /* again1, again2 */
/* Type of the field of the PROXY header with the argument `failed`, from HAProxy 3.0 on. */
#define SEAM_TLV_FAILED "0xE1"
/* The most that HAProxy takes of such a field is 1,024 bytes. */
#define SEAM_TLV_MAX 1000
/* Headers of the internal frontend: a probe's account id, or the backend of a request that brings its own credential. */
#define SEAM_HEADER_ACCOUNT "X-Relay-Account"
#define SEAM_HEADER_BACKEND "X-Relay-Backend"
/* Backends for control's own requests, by the ids of the store: token host of an upstream, echo endpoint. */
#define SEAM_BACKEND_TOKEN "t%" PRId64 "-e%" PRId64 /* upstream, egress */
#define SEAM_BACKEND_ECHO "c-e%" PRId64		    /* egress */

/* `h_` + eight hex digits of FNV-1a over the lower-case header name; `out` needs the size below. */
#define SEAM_HEADER_VAR_SIZE 11
const char *seam_header_var(const char *header, char *out);

/*
 * Bounds of one decision, so that 20 ACKs fit in one buffer of HAProxy: from 3.1 on larger ones stall
 * pipelined connections.
 */
#define SEAM_CREDENTIAL_MAX 4096 /* bearer or API key */
#define SEAM_HEADERS_MAX 8	 /* extra headers of one account and its upstream together */
#define SEAM_HEADER_NAME_MAX 64
#define SEAM_HEADER_VALUE_MAX 512
#define SEAM_HEADERS_TOTAL_MAX 1536 /* all extra header values of one account together */
#define SEAM_PREFIX_MAX 256	    /* path prefix of an upstream's URL */
#define SEAM_ACK_MAX 8000

#endif
