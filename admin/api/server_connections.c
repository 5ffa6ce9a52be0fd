#include "admin/api/server_connections.h"

#include <sys/socket.h>

void server_connections_init(struct server_connections *all)
{
	*all = (struct server_connections){.count = 0};
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		all->rows[i].fd = -1;
}

bool server_connections_add(
	struct server_connections *all, int fd, const struct origin *origin, int64_t now_ms)
{
	struct server_connection *c = server_connections_find(all, -1);

	if (!c)
		return false;
	*c = (struct server_connection){
		.fd = fd, .origin = *origin, .number = ++all->numbers, .since_ms = now_ms};
	all->count++;
	return true;
}

void server_connections_remove(struct server_connections *all, struct server_connection *c)
{
	c->fd = -1;
	all->count--;
}

struct server_connection *server_connections_find(struct server_connections *all, int fd)
{
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		if (all->rows[i].fd == fd)
			return &all->rows[i];
	return NULL;
}

static void end(struct server_connections *all, struct server_connection *c)
{
	shutdown(c->fd, SHUT_RDWR);
	c->ending = true;
	all->ended++;
}

static size_t count_of(const struct server_connections *all, const struct origin *origin)
{
	size_t n = 0;

	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		n += all->rows[i].fd >= 0 && origin_is(&all->rows[i].origin, origin);
	return n;
}

static struct server_connection *oldest_of(
	struct server_connections *all, const struct origin *origin)
{
	struct server_connection *oldest = NULL;

	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		struct server_connection *c = &all->rows[i];
		if (c->fd < 0 || c->waits || c->ending || !origin_is(&c->origin, origin))
			continue;
		if (!oldest || c->number < oldest->number)
			oldest = c;
	}
	return oldest;
}

/* One of the peer with the most connections that can be ended. */
static struct server_connection *oldest_of_most(struct server_connections *all)
{
	struct server_connection *found = NULL;
	size_t most = 0;

	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		const struct server_connection *c = &all->rows[i];
		if (c->fd < 0 || (found && origin_is(&found->origin, &c->origin)))
			continue;
		size_t n = count_of(all, &c->origin);
		struct server_connection *oldest = n > most ? oldest_of(all, &c->origin) : NULL;
		if (!oldest)
			continue;
		found = oldest;
		most = n;
	}
	return found;
}

enum server_room server_connections_make_room(
	struct server_connections *all, const struct origin *origin)
{
	struct server_connection *c;

	if (count_of(all, origin) >= SERVER_PEER_MAX)
		c = oldest_of(all, origin);
	else if (all->count >= SERVER_CONNECTIONS_MAX)
		c = oldest_of_most(all);
	else
		return SERVER_ROOM_FREE;
	if (!c)
		return SERVER_ROOM_NONE;
	end(all, c);
	return SERVER_ROOM_SOON;
}

size_t server_connections_end_idle(struct server_connections *all, int64_t before_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		struct server_connection *c = &all->rows[i];
		if (c->fd < 0 || c->waits || c->ending || c->since_ms > before_ms)
			continue;
		end(all, c);
		n++;
	}
	return n;
}
