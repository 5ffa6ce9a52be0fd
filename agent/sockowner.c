#include "agent/sockowner.h"

#include "common/num.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int sockowner_address(const struct sockaddr *sa, struct sockowner_address *ret)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		ret->ip = ip_from_v4((const uint8_t *)&in.sin_addr);
		ret->port = ntohs(in.sin_port);
		return 0;
	}
	if (sa->sa_family != AF_INET6)
		return -EAFNOSUPPORT;
	memcpy(&in6, sa, sizeof(in6));
	ret->ip = ip_from_v6(in6.sin6_addr.s6_addr);
	ret->port = ntohs(in6.sin6_port);
	return 0;
}

static bool is_any(const struct ip *ip)
{
	static const uint8_t zero[16];
	size_t skip = ip_is_v4(ip) ? 12 : 0;

	return memcmp(ip->b + skip, zero, 16 - skip) == 0;
}

/* --- sock_diag --- */

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static void put_ip(const struct ip *ip, __be32 out[4])
{
	if (ip_is_v4(ip))
		memcpy(out, ip->b + 12, 4);
	else
		memcpy(out, ip->b, 16);
}

/* For UDP the kernel takes the socket's own address as the destination: of datagrams that it receives. */
static struct question question_of(const struct sockowner *o, const struct sockowner_address *a)
{
	struct question q = {
		.head = {.nlmsg_len = sizeof(q),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.body = {.sdiag_family = ip_is_v4(&a->ip) ? AF_INET : AF_INET6,
			.sdiag_protocol = IPPROTO_UDP,
			.idiag_states = UINT32_MAX,
			.id = {.idiag_sport = htons(o->receiver.port),
				.idiag_dport = htons(a->port),
				.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
	};

	put_ip(is_any(&o->receiver.ip) ? &a->ip : &o->receiver.ip, q.body.id.idiag_src);
	put_ip(&a->ip, q.body.id.idiag_dst);
	return q;
}

static int read_answer(const char *data, size_t n, struct sockowner_socket *ret)
{
	struct nlmsghdr head;
	struct nlmsgerr failure;
	struct inet_diag_msg found;

	if (n < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.nlmsg_type == NLMSG_ERROR) {
		if (n < NLMSG_HDRLEN + sizeof(failure))
			return -EBADMSG;
		memcpy(&failure, data + NLMSG_HDRLEN, sizeof(failure));
		return failure.error < 0 ? failure.error : -EBADMSG;
	}
	if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || n < NLMSG_HDRLEN + sizeof(found))
		return -EBADMSG;
	memcpy(&found, data + NLMSG_HDRLEN, sizeof(found));
	*ret = (struct sockowner_socket){.uid = found.idiag_uid, .inode = found.idiag_inode};
	return 0;
}

static int ask_kernel(
	const struct sockowner *o, const struct sockowner_address *a, struct sockowner_socket *ret)
{
	const struct question q = question_of(o, a);
	char data[1024];

	if (send(o->netlink_fd, &q, sizeof(q), 0) != (ssize_t)sizeof(q))
		return -EIO;
	/* the kernel answers within send() */
	ssize_t n = recv(o->netlink_fd, data, sizeof(data), MSG_DONTWAIT);
	return n < 0 ? -errno : read_answer(data, (size_t)n, ret);
}

/* --- /proc/net/udp --- */

struct line {
	struct ip ip;
	uint32_t port;
	struct sockowner_socket socket;
};

static bool parse_hex(struct slice digits, uint32_t *ret)
{
	uint32_t n = 0;

	if (digits.n == 0 || digits.n > 8)
		return false;
	for (size_t i = 0; i < digits.n; i++) {
		char c = digits.p[i];
		if (c >= '0' && c <= '9')
			n = n << 4 | (uint32_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			n = n << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	*ret = n;
	return true;
}

/* One or four 32-bit words, each printed as a number of this machine. */
static bool parse_ip(struct slice digits, struct ip *ret)
{
	uint32_t words[4] = {0};

	if (digits.n != 8 && digits.n != 32)
		return false;
	for (size_t i = 0; i < digits.n / 8; i++) {
		if (!parse_hex((struct slice){digits.p + i * 8, 8}, &words[i]))
			return false;
	}
	*ret = digits.n == 8 ? ip_from_v4((const uint8_t *)words)
			     : ip_from_v6((const uint8_t *)words);
	return true;
}

static struct slice next_word(struct slice *rest)
{
	struct slice word = {NULL, 0};

	while (slice_next(rest, ' ', &word) && word.n == 0)
		;
	return word;
}

/* sl local:port remote state queues timer retransmissions uid timeout inode ... */
static bool parse_line(struct slice text, struct line *ret)
{
	struct slice words[10];
	struct slice ip;
	uint64_t uid;

	for (size_t i = 0; i < 10; i++)
		words[i] = next_word(&text);
	if (!slice_next(&words[1], ':', &ip) || !parse_ip(ip, &ret->ip) ||
		!parse_hex(words[1], &ret->port) || num_parse_u64(words[7], UINT32_MAX, &uid) ||
		num_parse_u64(words[9], UINT64_MAX, &ret->socket.inode))
		return false;
	ret->socket.uid = (uid_t)uid;
	return true;
}

struct lines {
	int fd;
	size_t used;
	size_t taken; /* of these bytes */
	char data[4096];
};

/* False at the end of the list, or in a line that is too long for one. */
static bool next_line(struct lines *l, struct slice *ret)
{
	for (;;) {
		char *begin = l->data + l->taken;
		char *end = memchr(begin, '\n', l->used - l->taken);
		if (end) {
			*ret = (struct slice){begin, (size_t)(end - begin)};
			l->taken += ret->n + 1;
			return true;
		}
		l->used -= l->taken;
		l->taken = 0;
		memmove(l->data, begin, l->used);
		ssize_t n = read(l->fd, l->data + l->used, sizeof(l->data) - l->used);
		if (n <= 0)
			return false;
		l->used += (size_t)n;
	}
}

static int find_in(int list, const struct sockowner_address *a, struct sockowner_socket *ret)
{
	struct lines lines = {.fd = list};
	struct slice text;
	struct line line;

	if (lseek(list, 0, SEEK_SET) < 0)
		return -EIO;
	while (next_line(&lines, &text)) {
		if (!parse_line(text, &line) || line.port != a->port)
			continue;
		if (!is_any(&line.ip) && memcmp(&line.ip, &a->ip, sizeof(a->ip)) != 0)
			continue;
		*ret = line.socket;
		return 0;
	}
	return -ENOENT;
}

/* A socket of IPv6 may send to IPv4. */
static int read_lists(
	const struct sockowner *o, const struct sockowner_address *a, struct sockowner_socket *ret)
{
	int error = ip_is_v4(&a->ip) ? find_in(o->lists[0], a, ret) : -ENOENT;

	return error == -ENOENT ? find_in(o->lists[1], a, ret) : error;
}

/* --- both --- */

int sockowner_find(
	struct sockowner *o, const struct sockowner_address *sender, struct sockowner_socket *ret)
{
	return o->netlink_fd >= 0 ? ask_kernel(o, sender, ret) : read_lists(o, sender, ret);
}

static void open_source(struct sockowner *o, enum sockowner_source source)
{
	if (source == SOCKOWNER_NETLINK) {
		o->netlink_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		return;
	}
	o->lists[0] = open("/proc/net/udp", O_RDONLY | O_CLOEXEC);
	o->lists[1] = open("/proc/net/udp6", O_RDONLY | O_CLOEXEC);
}

int sockowner_open(struct sockowner *o, int fd, enum sockowner_source source)
{
	struct sockaddr_storage own = {0};
	struct sockowner_socket found = {0};
	socklen_t len = sizeof(own);
	struct stat st;

	*o = (struct sockowner){.netlink_fd = -1, .lists = {-1, -1}};
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0 || fstat(fd, &st) < 0 ||
		sockowner_address((const struct sockaddr *)&own, &o->receiver))
		return -ENOTSUP;
	open_source(o, source);
	if (sockowner_find(o, &o->receiver, &found) == 0 && found.inode == st.st_ino)
		return 0;
	sockowner_close(o);
	return -ENOTSUP;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void sockowner_close(struct sockowner *o)
{
	close_one(&o->netlink_fd);
	close_one(&o->lists[0]);
	close_one(&o->lists[1]);
}
