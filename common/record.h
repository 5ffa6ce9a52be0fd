/*
 * The end record of a request: one datagram with the log line of one of our frontends, in `format raw`.
 * Single spaces separate the fields, in the order of RECORD_FIELDS; the last field extends to the end of
 * the line. An absent value is `-`.
 */
#ifndef RELAY_COMMON_RECORD_H
#define RELAY_COMMON_RECORD_H

#include "common/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define RECORD_MAGIC "relay3"
/* Of files that earlier versions rendered: without `port` and `answer`, and without method and path too. */
#define RECORD_MAGIC_2 "relay2"
#define RECORD_MAGIC_1 "relay1"
#define RECORD_MAX 8192	     /* bytes of a datagram; HAProxy's `log ... len` */
#define RECORD_ANSWER_MAX 64 /* bytes of the upstream's id of a request */
#define RECORD_OWN "!"	     /* before the code of a refusal that the agent did not decide */

/* id, HAProxy log-format expression; record_log_format() writes secret and gen */
#define RECORD_FIELDS(X)                                                                           \
	X(MAGIC, RECORD_MAGIC)                                                                     \
	X(SECRET, NULL)                                                                            \
	X(GEN, NULL)                                                                               \
	X(ID, "%[unique-id]")                                                                      \
	X(TRACK, "%[var(txn.relay.track)]")                                                        \
	X(FRONTEND, "%f")                                                                          \
	X(BACKEND, "%b")                                                                           \
	X(SERVER, "%s")                                                                            \
	X(STATUS, "%ST")                                                                           \
	X(BYTES_IN, "%U")                                                                          \
	X(BYTES_OUT, "%B")                                                                         \
	X(T_REQUEST, "%TR")                                                                        \
	X(T_QUEUE, "%Tw")                                                                          \
	X(T_CONNECT, "%Tc")                                                                        \
	X(T_RESPONSE, "%Tr")                                                                       \
	X(T_ACTIVE, "%Ta")                                                                         \
	X(TERMINATION, "%ts")                                                                      \
	X(RETRIES, "%rc")                                                                          \
	X(CODE, "%[var(txn.rly.code)]")                                                            \
	X(LABEL, "%[var(txn.relay.label)]")                                                        \
	X(MARK, "%[var(txn.relay.mark)]")                                                          \
	X(METHOD, "%HM")                                                                           \
	X(PATH, "%HPO")                                                                            \
	X(PORT, "%[bc_src_port]")                                                                  \
	X(ANSWER, "%[var(txn.rly.answer)]")                                                        \
	X(LIMITS, "%[var(txn.relay.lim)]")

enum record_field {
#define X(id, expression) RECORD_FIELD_##id,
	RECORD_FIELDS(X)
#undef X
		RECORD_FIELD_COUNT,
};

/*
 * What the agent knew about an attempt, so that its record can be judged without other state: the
 * number of the attempt, the generations of the circuits of account and backend, and the credential.
 */
struct record_mark {
	uint32_t attempt; /* 1 = the client's own stream; 0 = a probe, or no mark */
	uint32_t account_generation;
	uint32_t backend_generation;
	uint32_t credential; /* generation of its credential */
	bool is_probe;
};

struct record {
	uint64_t gen;
	uint8_t id[16];	 /* of the request */
	uint32_t tenant; /* ids of `track`; 0 = not known */
	uint32_t key;
	uint32_t account;
	struct slice
		frontend; /* one of SEAM_FRONTEND*; points into the datagram, like all slices here */
	struct slice backend;
	struct slice server; /* empty if the request was never forwarded */
	unsigned status;     /* 0 if there was no response */
	uint64_t bytes_in;
	uint64_t bytes_out;
	int32_t relay_ms;    /* from the whole head to the start of the connection; -1 if unknown */
	int32_t ttfb_ms;     /* queue + connect + response; -1 if no response began */
	int32_t duration_ms; /* of the whole request; -1 if unknown */
	char termination[3]; /* HAProxy's two letters; "--" is a normal end */
	unsigned retries;
	struct slice code;  /* refusal code, empty for none */
	bool is_own;	    /* HAProxy refused by itself, or after an agent that allowed it */
	struct slice label; /* the client's request id or traceparent, empty for none */
	struct record_mark mark;
	struct slice
		method; /* empty: not HTTP, or a record of an earlier version; see record_copy_text() */
	struct slice path;   /* of the client's request, without host and query; empty as above */
	uint16_t port;	     /* the local one of the connection to the upstream; 0 = unknown */
	struct slice answer; /* the upstream's own id of the request; empty for none */
	struct slice limits;
};

/* Backends are named b<id>-<upstream>-<egress>; 0 = none of an egress. */
uint32_t record_backend_id(const struct record *r);
/* Its name ends with SEAM_BACKEND_ONCE. */
bool record_is_once(const struct record *r);

enum record_result {
	RECORD_OK,
	RECORD_BAD,    /* malformed */
	RECORD_FORGED, /* well-formed, but with another secret */
	RECORD_EARLY, /* HAProxy refused what was no request yet: only frontend and status are set */
	RECORD_OTHER, /* another line of HAProxy: a stopped proxy, a connection without a request */
};

/* An empty `secret` means no check (Unix sockets). Constant time in the secret. */
enum record_result record_parse(struct slice datagram, struct slice secret, struct record *ret);

/*
 * The secret of one generation, made from the secret of all: who reads an old file learns nothing about
 * the next. Hex digits. 0 or -ENOMEM.
 */
#define RECORD_SECRET_SIZE 41
int record_secret(struct slice stored, uint64_t gen, char out[RECORD_SECRET_SIZE]);
/* The generation that a record claims, before anything is checked. 0 or -EINVAL. */
int record_claimed_gen(struct slice datagram, uint64_t *ret);

/*
 * A method or a path as the client sent it: HAProxy writes `"`, `#` and all that is not printable ASCII as
 * #XX. What is not printable is %XX in the copy, and a text that does not fit ends with RECORD_CUT.
 */
#define RECORD_CUT "..."
void record_copy_text(struct slice field, char *out, size_t size);

/* The log-format string for HAProxy. 0 or -ENOSPC. */
int record_log_format(uint64_t gen, bool with_secret, char *out, size_t size);

/*
 * An id is 32 hex digits, or a UUID ("8-4-4-4-12"); of either case. It begins with the time in ms. The
 * digit after the time is a UUID's version, 1 to 8, or RECORD_ID_PLAIN: so an id prints as HAProxy wrote it.
 */
#define RECORD_ID_TEXT_SIZE 37
#define RECORD_ID_TIME_DIGITS 12
#define RECORD_ID_PLAIN "f"
/* 0 or -EINVAL. */
int record_parse_id(struct slice text, uint8_t ret_id[16]);
const char *record_format_id(const uint8_t id[16], char *out);

/* For tables by id: its last bytes, which are random in every form. */
static inline uint32_t record_id_hash(const uint8_t id[16])
{
	uint32_t n;

	memcpy(&n, id + 12, sizeof(n));
	return n;
}

/* `tenant|key|account` in decimal. */
#define RECORD_TRACK_SIZE 36
const char *record_format_track(uint32_t tenant, uint32_t key, uint32_t account, char *out);
int record_parse_track(
	struct slice text, uint32_t *ret_tenant, uint32_t *ret_key, uint32_t *ret_account);

/* `attempt.account.backend.credential` in decimal; the attempt of a probe is `p`. */
#define RECORD_MARK_SIZE 48
const char *record_format_mark(const struct record_mark *m, char *out);
int record_parse_mark(struct slice text, struct record_mark *ret);

#endif
