/*
 * The connections of one listener, and who makes room. A peer's oldest one makes room for a new one of the
 * same peer; when the listener is full, the oldest one of the peer with the most makes room for anybody.
 * So nobody shuts others out by connections that ask nothing.
 *
 * A connection is ended by a shutdown of its socket. libmicrohttpd then closes it in its next run. One that
 * waits for a late answer is suspended there and cannot be ended.
 */
#ifndef RELAY_ADMIN_API_SERVER_CONNECTIONS_H
#define RELAY_ADMIN_API_SERVER_CONNECTIONS_H

#include "common/origin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_CONNECTIONS_MAX 256
#define SERVER_PEER_MAX 128 /* connections of one peer */

struct server_connection {
	int fd; /* -1 = free */
	struct origin origin;
	uint64_t number;  /* rises with each connection */
	int64_t since_ms; /* monotonic: connected, the request began, or its answer ended */
	bool waits;	  /* for a late answer */
	bool ending;
};

struct server_connections {
	struct server_connection rows[SERVER_CONNECTIONS_MAX];
	size_t count;
	uint64_t numbers;
	uint64_t ended; /* to make room, or after too long a time */
};

void server_connections_init(struct server_connections *all);
/* False: there is no room. */
bool server_connections_add(
	struct server_connections *all, int fd, const struct origin *origin, int64_t now_ms);
void server_connections_remove(struct server_connections *all, struct server_connection *c);
/* NULL: not here. */
struct server_connection *server_connections_find(struct server_connections *all, int fd);

enum server_room {
	SERVER_ROOM_FREE,
	SERVER_ROOM_SOON, /* one connection has been ended: run libmicrohttpd, and ask again */
	SERVER_ROOM_NONE, /* all of them wait for late answers */
};
enum server_room server_connections_make_room(
	struct server_connections *all, const struct origin *origin);
/* Ends those that have done nothing since `before_ms`. Returns their number. */
size_t server_connections_end_idle(struct server_connections *all, int64_t before_ms);

#endif
