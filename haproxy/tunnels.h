/*
 * WebSockets in progress, as HAProxy shows them: the stick table `relay-tunnels` of every worker tells whose they
 * are, `show sess` which streams they are. Both name a stream by the address of the client's connection, which on
 * HTTP/2 several share, and from HAProxy 3.0 on by its number. Blocking; each question has a time limit.
 */
#ifndef RELAY_HAPROXY_TUNNELS_H
#define RELAY_HAPROXY_TUNNELS_H

#include "common/buffer.h"
#include "common/errtext.h"
#include "common/ip.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUNNELS_TABLE "relay-tunnels"
#define TUNNELS_MAX 131072 /* the table has room for fewer */
#define TUNNEL_SOURCE_SIZE 56

/* Of HAProxy: its sockets. Without a master socket (NULL or empty) only the worker behind the other one is asked. */
struct tunnels_target {
	const char *admin_socket;
	const char *master_socket;
	int timeout_ms; /* of each question */
};

/* A stream of HAProxy. */
struct tunnel_stream {
	uint64_t worker;  /* PID; 0 = the one behind the admin socket */
	uint64_t session; /* its name in this worker; 0 = not known */
	uint32_t number;  /* in this worker; 0 = not known: all WebSockets of this source */
	char source[TUNNEL_SOURCE_SIZE]; /* of the client's connection; NUL-terminated */
	uint32_t tag;			 /* the caller's */
	uint32_t ended;			 /* by tunnels_end() */
};

struct tunnel {
	uint32_t tenant, key, account; /* ids */
	bool has_client;	       /* else the relay does not know its address */
	struct ip client;
	struct tunnel_stream stream; /* session 0 */
};

/*
 * Appends each tunnel as a struct tunnel. With `half` also those of which one side has closed, as struct
 * tunnel_stream with the session. HAProxy 2.6 ends those itself, and shows none. 0 or a negative
 * code with the reason.
 */
int tunnels_read(const struct tunnels_target *t, struct buffer *tunnels, struct buffer *half,
	struct errtext *e);
/*
 * Ends streams, at most `max`; sorts the array and counts `ended` of its rows. 0 or a negative code with the
 * reason.
 */
int tunnels_end(const struct tunnels_target *t, struct tunnel_stream *streams, size_t count,
	uint32_t max, struct errtext *e);

/* --- pure --- */

/* Appends the rows of an answer to `show table`; a worker without the table has none. 0 or as above. */
int tunnels_parse_table(struct slice answer, uint64_t worker, struct buffer *out);
/* One line of `show sess`. False: it is no stream of a client. */
struct tunnel_session {
	uint64_t session;
	struct slice source; /* of the line */
	bool is_half_closed; /* HAProxy has closed one direction and has both sides */
};
bool tunnels_parse_session(struct slice line, struct tunnel_session *ret);
/* The number of the stream in an answer to `show sess NAME`; 0 = it is no WebSocket, or has ended. */
uint32_t tunnels_parse_number(struct slice answer);

#endif
