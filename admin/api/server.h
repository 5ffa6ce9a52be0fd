/*
 * The HTTP side of control: the admin API on its Unix socket, /metrics and /healthz on another
 * listener, both by libmicrohttpd on control's loop. Handlers run one after the other. Root, the
 * daemon's user, and every user that the mode of the socket file admits may use the admin socket.
 * The peer's uid is logged with every change.
 */
#ifndef RELAY_ADMIN_API_SERVER_H
#define RELAY_ADMIN_API_SERVER_H

#include "common/errtext.h"

#include <stddef.h>

#define SERVER_IDLE_S                                                                              \
	30 /* a connection is closed this long after its last request began or ended */

struct control;
struct server;

/*
 * The listeners are inherited and become the server's; -1 = none. Runs on `c->loop`.
 * 0 or a negative errno.
 */
int server_start(
	struct control *c, int admin_fd, int metrics_fd, struct server **ret, struct errtext *e);
/*
 * Accepts no more: what connects waits for the next control process. Returns the number of connections to the admin
 * socket, which end with their answers. NULL has none.
 */
size_t server_drain(struct server *s);
/* Ends all connections. NULL is fine. */
void server_stop(struct server *s);

#endif
