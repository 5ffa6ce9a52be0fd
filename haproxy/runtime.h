/*
 * HAProxy's runtime and master sockets and its binary: check, reload, commands. Blocking; each call
 * has a time limit. For the control process and relayadm, never for the agent.
 */
#ifndef RELAY_HAPROXY_RUNTIME_H
#define RELAY_HAPROXY_RUNTIME_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>
#include <stdint.h>

#define RUNTIME_ANSWER_MAX ((size_t)16 << 20)

/* Sends one command and appends the whole answer. 0, -ETIMEDOUT, -ECONNREFUSED, -errno. */
int runtime_command(const char *socket_path, const char *command, int timeout_ms,
	struct buffer *answer, struct errtext *e);

/*
 * The number in the process-wide variable `name`, without `proc.`. `address` is where the command goes:
 * empty, or as `@1 ` at a master. 0; -ENOENT: the process has no such number; others as above.
 */
int runtime_variable(const char *socket_path, const char *address, const char *name, int timeout_ms,
	uint64_t *ret, struct errtext *e);

/* `BINARY -c -f CFG`. 0; -EINVAL with HAProxy's first alert; -ETIMEDOUT; -ENOENT. */
int runtime_check(const char *binary, const char *cfg_path, int timeout_ms, struct errtext *e);
/* What `BINARY -v` says, as "2.6.12-1+deb12u1". 0; -ENOENT; -EPROTO: it says none. */
int runtime_version(const char *binary, int timeout_ms, char *out, size_t size, struct errtext *e);

/*
 * Asks the master to reload and waits until the new worker serves or the reload has failed (2.7 and
 * later report the outcome; for 2.6 this call watches `show proc`). 0; -EPROTO with the reason if
 * HAProxy rejected the new configuration; -ETIMEDOUT.
 */
int runtime_reload(const char *master_socket, int timeout_ms, struct errtext *e);

struct runtime_status {
	char version[64];
	int64_t uptime_s;
	uint32_t workers; /* current and old */
	uint64_t connections;
	uint64_t requests;
	uint64_t dropped_logs;
};
int runtime_status(const char *admin_socket, const char *master_socket, int timeout_ms,
	struct runtime_status *ret, struct errtext *e);

/*
 * Calls `fn` with the name of each backend through which HAProxy cannot connect because its machine does not
 * have the source address, as its check of the server says. 0, or as runtime_command().
 */
typedef void runtime_unbound_fn(void *context, struct slice backend);
int runtime_unbound(const char *admin_socket, const char *master_socket, int timeout_ms,
	runtime_unbound_fn *fn, void *context, struct errtext *e);

#endif
