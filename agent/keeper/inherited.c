#include "agent/keeper/inherited.h"

#include "common/log.h"
#include "common/num.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t number_of(const char *variable, uint64_t max)
{
	const char *text = getenv(variable);
	uint64_t value;

	return text && num_parse_u64(slice_from_str(text), max, &value) == 0 ? value : 0;
}

static void set_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* "name:name": systemd names a socket like its unit. A long name is of no descriptor that we know. */
static void take_names(struct inherited *i)
{
	const char *at = getenv("LISTEN_FDNAMES");

	for (uint32_t n = 0; at && n < i->count; n++) {
		size_t len = strcspn(at, ":");
		if (len < sizeof(i->names[n]))
			memcpy(i->names[n], at, len);
		at = at[len] ? at + len + 1 : NULL;
	}
}

void inherited_init(struct inherited *i)
{
	bool for_us = number_of("LISTEN_PID", INT32_MAX) == (uint64_t)getpid();
	const char *names = getenv("LISTEN_FDNAMES");

	*i = (struct inherited){
		.count = for_us ? (uint32_t)number_of("LISTEN_FDS", INHERITED_MAX) : 0,
		.is_for_other = !for_us && names && strstr(names, INHERITED_BOARD)};
	for (uint32_t n = 0; n < i->count; n++) {
		i->fds[n] = INHERITED_FIRST_FD + (int)n;
		set_flags(i->fds[n]);
	}
	take_names(i);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static bool has_option(int fd, int option, int wanted)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

/* The kernel does not pad a path as address_parse() does. */
static bool same_unix(const struct sockaddr_un *got, socklen_t len, const struct address *a)
{
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t n = len > before ? len - before : 0;

	if (a->kind == ADDRESS_ABNS)
		return len == a->len && memcmp(got->sun_path, a->u.un.sun_path, n) == 0;
	return n > 0 && got->sun_path[0] == '/' &&
		strncmp(got->sun_path, a->u.un.sun_path, sizeof(got->sun_path)) == 0;
}

static bool same_address(int fd, const struct address *a)
{
	struct address got = {.len = sizeof(got.u)};

	if (getsockname(fd, &got.u.sa, &got.len) < 0 || got.u.sa.sa_family != a->u.sa.sa_family)
		return false;
	switch (a->u.sa.sa_family) {
	case AF_UNIX:
		return same_unix(&got.u.un, got.len, a);
	case AF_INET:
		return got.u.in.sin_port == a->u.in.sin_port &&
			got.u.in.sin_addr.s_addr == a->u.in.sin_addr.s_addr;
	case AF_INET6:
		return got.u.in6.sin6_port == a->u.in6.sin6_port &&
			memcmp(&got.u.in6.sin6_addr, &a->u.in6.sin6_addr, 16) == 0;
	}
	return false;
}

static bool fits(int fd, const struct address *a)
{
	bool datagram = address_is_datagram(a);

	return has_option(fd, SO_TYPE, datagram ? SOCK_DGRAM : SOCK_STREAM) &&
		(datagram || has_option(fd, SO_ACCEPTCONN, 1)) && same_address(fd, a);
}

static bool begins(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool inherited_from_keeper(const struct inherited *i)
{
	for (uint32_t n = 0; n < i->count; n++) {
		if (begins(i->names[n], INHERITED_BOARD))
			return true;
	}
	return false;
}

static int take_row(struct inherited *i, uint32_t n)
{
	int fd = i->fds[n];

	i->fds[n] = -1;
	return fd;
}

int inherited_take(struct inherited *i, const struct address *a, bool *ret_ours)
{
	for (uint32_t n = 0; n < i->count; n++) {
		if (i->fds[n] < 0 || !fits(i->fds[n], a))
			continue;
		*ret_ours = strcmp(i->names[n], INHERITED_LISTENER) == 0;
		return take_row(i, n);
	}
	return -1;
}

int inherited_take_named(struct inherited *i, const char *name, uint64_t *ret_number)
{
	for (uint32_t n = 0; n < i->count; n++) {
		if (i->fds[n] < 0 || !begins(i->names[n], name))
			continue;
		struct slice number = slice_from_str(i->names[n] + strlen(name));
		if (num_parse_u64(number, UINT64_MAX, ret_number) == 0)
			return take_row(i, n);
	}
	return -1;
}

void inherited_fini(struct inherited *i)
{
	for (uint32_t n = 0; n < i->count; n++) {
		if (i->fds[n] < 0)
			continue;
		if (has_option(i->fds[n], SO_ACCEPTCONN, 1) ||
			has_option(i->fds[n], SO_TYPE, SOCK_DGRAM))
			log_event(LOG_LEVEL_WARNING,
				"a socket from systemd has no address of the configuration, closing it",
				LOG_INT("fd", i->fds[n]));
		close(i->fds[n]);
	}
	i->count = 0;
}
