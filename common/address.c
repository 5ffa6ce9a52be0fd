#include "common/address.h"

#include "common/ip.h"
#include "common/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024

static const struct {
	const char *prefix;
	enum address_kind kind;
} kinds[] = {
	{"abns:", ADDRESS_ABNS},
	{"unix:", ADDRESS_UNIX},
	{"tcp:", ADDRESS_TCP},
	{"udp:", ADDRESS_UDP},
};

static int parse_abns(struct slice name, struct address *a, struct errtext *e)
{
	if (name.n == 0 || name.n > sizeof(a->u.un.sun_path) - 1)
		return errtext_set(e, -EINVAL, "an abns name has 1 to %zu characters",
			sizeof(a->u.un.sun_path) - 1);
	a->u.un.sun_family = AF_UNIX;
	memcpy(a->u.un.sun_path + 1, name.p, name.n);
	a->len = sizeof(a->u.un);
	return 0;
}

static int parse_path(struct slice path, struct address *a, struct errtext *e)
{
	if (path.n == 0 || path.n > sizeof(a->u.un.sun_path) - 1 || path.p[0] != '/')
		return errtext_set(e, -EINVAL,
			"a socket path is absolute and has at most %zu characters",
			sizeof(a->u.un.sun_path) - 1);
	a->u.un.sun_family = AF_UNIX;
	memcpy(a->u.un.sun_path, path.p, path.n);
	a->len = sizeof(a->u.un);
	return 0;
}

static bool split_port(struct slice s, struct slice *ret_host, uint64_t *ret_port)
{
	const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;

	if (!colon)
		return false;
	size_t at = (size_t)(colon - s.p);
	*ret_host = slice_cut(s, at);
	return num_parse_u64(slice_skip(s, at + 1), 65535, ret_port) == 0;
}

static int parse_host_port(struct slice s, struct address *a, struct errtext *e)
{
	struct slice host;
	uint64_t port;
	struct ip ip;

	if (!split_port(s, &host, &port))
		return errtext_set(e, -EINVAL, "HOST:PORT is meant, with a port of 0 to 65535");
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct slice){host.p + 1, host.n - 2};
	if (ip_parse(host, &ip))
		return errtext_set(e, -EINVAL, "the host is a numeric address, not a name");
	if (ip_is_v4(&ip)) {
		a->u.in.sin_family = AF_INET;
		a->u.in.sin_port = htons((uint16_t)port);
		memcpy(&a->u.in.sin_addr, ip.b + 12, 4);
		a->len = sizeof(a->u.in);
	} else {
		a->u.in6.sin6_family = AF_INET6;
		a->u.in6.sin6_port = htons((uint16_t)port);
		memcpy(&a->u.in6.sin6_addr, ip.b, 16);
		a->len = sizeof(a->u.in6);
	}
	return 0;
}

static int parse_rest(struct slice rest, struct address *a, struct errtext *e)
{
	switch (a->kind) {
	case ADDRESS_ABNS:
		return parse_abns(rest, a, e);
	case ADDRESS_UNIX:
	case ADDRESS_UNIX_DGRAM:
		return parse_path(rest, a, e);
	case ADDRESS_TCP:
	case ADDRESS_UDP:
		return parse_host_port(rest, a, e);
	}
	return -EINVAL;
}

int address_parse(struct slice s, struct address *ret, struct errtext *e)
{
	struct address a = {0};

	if (s.n >= sizeof(a.text) || (s.n && memchr(s.p, '\0', s.n)))
		return errtext_set(
			e, -EINVAL, "an address has at most %zu characters", sizeof(a.text) - 1);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct slice prefix = slice_from_str(kinds[i].prefix);
		if (!slice_has_prefix(s, prefix))
			continue;
		a.kind = kinds[i].kind;
		if (s.n)
			memcpy(a.text, s.p, s.n);
		int error = parse_rest(slice_skip(s, prefix.n), &a, e);
		if (error)
			return errtext_prefix(e, error, "%s", a.text);
		*ret = a;
		return 0;
	}
	return errtext_set(e, -EINVAL,
		"'%.*s' is not abns:NAME, unix:PATH, tcp:HOST:PORT or udp:HOST:PORT", (int)s.n,
		s.p ? s.p : "");
}

bool address_is_local(const struct address *a)
{
	return a->kind == ADDRESS_ABNS || a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM;
}

bool address_is_datagram(const struct address *a)
{
	return a->kind == ADDRESS_UDP || a->kind == ADDRESS_UNIX_DGRAM;
}

static int new_socket(const struct address *a)
{
	int type = address_is_datagram(a) ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(a->u.sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Removes a socket that a crashed process left behind, and nothing else. */
static int remove_stale_path(const struct address *a, struct errtext *e)
{
	struct stat st;

	if (lstat(a->u.un.sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return errtext_set(e, -EEXIST, "%s: exists and is not a socket", a->text);
	int fd = new_socket(a);
	if (fd < 0)
		return fd;
	int result = connect(fd, &a->u.sa, a->len);
	int error = errno;
	close(fd);
	if (result == 0 || error != ECONNREFUSED)
		return errtext_set(e, -EADDRINUSE,
			"%s: another process serves this socket; stop it or configure another path",
			a->text);
	return unlink(a->u.un.sun_path) < 0 ? -errno : 0;
}

static int bind_and_listen(int fd, const struct address *a, unsigned mode)
{
	int on = 1;

	if (a->kind == ADDRESS_TCP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (a->u.sa.sa_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	/* bind() makes the path with this mode: chmod() by path could hit another file */
	mode_t old = umask(0777 & ~mode);
	int result = bind(fd, &a->u.sa, a->len);
	int error = errno;
	umask(old);
	if (result < 0)
		return -error;
	if (!address_is_datagram(a) && listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int address_listen(const struct address *a, unsigned mode, struct errtext *e)
{
	if (a->kind == ADDRESS_UNIX || a->kind == ADDRESS_UNIX_DGRAM) {
		int error = remove_stale_path(a, e);
		if (error)
			return error;
	}
	int fd = new_socket(a);
	if (fd < 0)
		return errtext_set(e, fd, "%s: %s", a->text, strerror(-fd));
	int error = bind_and_listen(fd, a, mode);
	if (!error)
		return fd;
	close(fd);
	if (error == -EADDRINUSE)
		return errtext_set(e, error,
			"%s: the address is in use; stop the other process or configure another one",
			a->text);
	return errtext_set(e, error, "%s: %s", a->text, strerror(-error));
}

/* The descriptor is of the path itself, with O_PATH. */
static int give(int fd, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return -EEXIST;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int address_give(const struct address *a, uid_t uid, gid_t gid, struct errtext *e)
{
	int fd = open(a->u.un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int error = fd < 0 ? -errno : give(fd, uid, gid);

	if (fd >= 0)
		close(fd);
	if (!error)
		return 0;
	return errtext_set(e, error, "%s: cannot change its owner: %s", a->text, strerror(-error));
}

const char *address_format_haproxy(const struct address *a, char *out)
{
	const char *rest = strchr(a->text, ':') + 1;
	const char *prefix = "";

	if (a->kind == ADDRESS_ABNS)
		prefix = "abns@";
	else if (a->kind == ADDRESS_UNIX)
		prefix = "unix@";
	snprintf(out, ADDRESS_HAPROXY_SIZE, "%s%s", prefix, rest);
	return out;
}
