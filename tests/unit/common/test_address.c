#include "common/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct address address_of(const char *text)
{
	struct address a;
	struct errtext e = {""};

	if (address_parse(slice_from_str(text), &a, &e))
		fail_msg("%s", e.text);
	return a;
}

static void an_abns_name_fills_its_place_with_nuls(void **state)
{
	struct address a = address_of("abns:relay");
	char expected[sizeof(a.u.un.sun_path)] = "\0relay";
	char longest[5 + sizeof(a.u.un.sun_path) + 1] = "abns:";

	(void)state;
	assert_int_equal(a.len, sizeof(struct sockaddr_un));
	assert_int_equal(a.u.un.sun_family, AF_UNIX);
	assert_memory_equal(a.u.un.sun_path, expected, sizeof(expected));
	memset(longest + 5, 'n', sizeof(a.u.un.sun_path) - 1);
	a = address_of(longest);
	assert_int_equal(a.u.un.sun_path[sizeof(a.u.un.sun_path) - 1], 'n');
	longest[5 + sizeof(a.u.un.sun_path) - 1] = 'n';
	assert_int_equal(address_parse(slice_from_str(longest), &a, NULL), -EINVAL);
}

static void a_path_leaves_room_for_its_nul(void **state)
{
	struct address a;
	char longest[5 + sizeof(a.u.un.sun_path) + 1] = "unix:";

	(void)state;
	memset(longest + 5, '/', sizeof(a.u.un.sun_path) - 1);
	a = address_of(longest);
	assert_int_equal(strlen(a.u.un.sun_path), sizeof(a.u.un.sun_path) - 1);
	longest[5 + sizeof(a.u.un.sun_path) - 1] = '/';
	assert_int_equal(address_parse(slice_from_str(longest), &a, NULL), -EINVAL);
}

static void hosts_are_numeric_of_both_families(void **state)
{
	struct address a = address_of("tcp:127.0.0.1:8080");
	const uint8_t one[16] = {[15] = 1};

	(void)state;
	assert_int_equal(a.kind, ADDRESS_TCP);
	assert_int_equal(a.u.in.sin_port, htons(8080));
	assert_int_equal(a.u.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	a = address_of("udp:[::1]:65535");
	assert_int_equal(a.kind, ADDRESS_UDP);
	assert_true(address_is_datagram(&a));
	assert_false(address_is_local(&a));
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	assert_int_equal(a.u.in6.sin6_port, htons(65535));
	assert_memory_equal(&a.u.in6.sin6_addr, one, 16);
	a = address_of("unix:/run/x");
	assert_true(address_is_local(&a));
	assert_false(address_is_datagram(&a));
}

static void mistakes_leave_the_result_and_say_why(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", "is not abns:NAME"},
		{"127.0.0.1:80", "is not abns:NAME"},
		{"TCP:127.0.0.1:80", "is not abns:NAME"},
		{" tcp:127.0.0.1:80", "is not abns:NAME"},
		{"abns:", "1 to 107 characters"},
		{"unix:", "absolute"},
		{"unix:relative", "absolute"},
		{"tcp:", "HOST:PORT"},
		{"tcp:127.0.0.1", "HOST:PORT"},
		{"tcp:127.0.0.1:", "HOST:PORT"},
		{"tcp:127.0.0.1:65536", "HOST:PORT"},
		{"tcp:127.0.0.1:-1", "HOST:PORT"},
		{"tcp:127.0.0.1: 1", "HOST:PORT"},
		{"tcp::80", "numeric address"},
		{"tcp:*:80", "numeric address"},
		{"tcp:localhost:80", "numeric address"},
		{"tcp:[::1:80", "numeric address"},
		{"udp:[]:80", "numeric address"},
	};
	struct address a;
	struct address untouched;
	struct errtext e;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	untouched = a;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(address_parse(slice_from_str(bad[i].text), &a, &e), -EINVAL);
		if (!strstr(e.text, bad[i].message))
			fail_msg("'%s' is not in '%s'", bad[i].message, e.text);
		assert_memory_equal(&a, &untouched, sizeof(a));
	}
	assert_int_equal(address_parse(SLICE_LITERAL("abns:a\0b"), &a, &e), -EINVAL);
	char text[ADDRESS_TEXT_SIZE + 1];
	memset(text, 'x', sizeof(text));
	assert_int_equal(address_parse((struct slice){text, sizeof(text)}, &a, &e), -EINVAL);
}

static void haproxy_gets_its_own_spelling(void **state)
{
	static const char *const pairs[][2] = {
		{"abns:relay", "abns@relay"},
		{"unix:/run/relay", "unix@/run/relay"},
		{"tcp:127.0.0.1:1", "127.0.0.1:1"},
		{"udp:[::1]:2", "[::1]:2"},
	};
	char out[ADDRESS_HAPROXY_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct address a = address_of(pairs[i][0]);
		assert_string_equal(address_format_haproxy(&a, out), pairs[i][1]);
	}
}

static struct address port_of(int fd)
{
	struct sockaddr_in bound;
	socklen_t len = sizeof(bound);
	char text[64];

	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u", ntohs(bound.sin_port));
	return address_of(text);
}

/* A connected descriptor, or a negative errno. */
static int connect_to(const struct address *a)
{
	int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, &a->u.sa, a->len) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static void an_occupied_port_or_name_is_refused(void **state)
{
	struct address free_port = address_of("tcp:127.0.0.1:0");
	struct errtext e = {""};
	char name[64];

	(void)state;
	int first = address_listen(&free_port, 0, &e);
	assert_true(first >= 0);
	struct address taken = port_of(first);
	assert_int_equal(address_listen(&taken, 0, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, taken.text));
	int client = connect_to(&taken);
	assert_true(client >= 0);
	close(client);
	close(first);
	assert_int_equal(connect_to(&taken), -ECONNREFUSED);

	snprintf(name, sizeof(name), "abns:relay-test-%d", (int)getpid());
	struct address abns = address_of(name);
	first = address_listen(&abns, 0, &e);
	assert_true(first >= 0);
	assert_int_equal(address_listen(&abns, 0, &e), -EADDRINUSE);
	close(first);
}

static void sockets_neither_block_nor_outlive_an_exec(void **state)
{
	struct address a = address_of("udp:127.0.0.1:0");
	struct errtext e;
	int fd = address_listen(&a, 0, &e);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static char directory[] = "/tmp/relay-address-XXXXXX";

static struct address path_of(const char *name)
{
	char text[80];

	snprintf(text, sizeof(text), "unix:%s/%s", directory, name);
	return address_of(text);
}

static void a_path_gets_its_mode_and_stays_private_until_then(void **state)
{
	struct address a = path_of("mode");
	struct errtext e;
	struct stat st;
	mode_t before = umask(022);
	int fd = address_listen(&a, 0660, &e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(umask(before), 022);
	assert_int_equal(stat(a.u.un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	close(fd);
	unlink(a.u.un.sun_path);
}

static void datagram_paths_are_kept_and_reclaimed_as_others(void **state)
{
	struct address a = path_of("datagrams");
	struct errtext e;

	(void)state;
	a.kind = ADDRESS_UNIX_DGRAM;
	int fd = address_listen(&a, 0600, &e);
	assert_true(fd >= 0);
	assert_int_equal(address_listen(&a, 0600, &e), -EADDRINUSE);
	close(fd);
	fd = address_listen(&a, 0600, &e);
	assert_true(fd >= 0);
	/* a socket of the other kind occupies the path too */
	a.kind = ADDRESS_UNIX;
	assert_int_equal(address_listen(&a, 0600, &e), -EADDRINUSE);
	close(fd);
	unlink(a.u.un.sun_path);
}

static void what_is_no_socket_is_never_removed(void **state)
{
	struct address a = path_of("thing");
	struct address target = path_of("target");
	struct errtext e;
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(a.u.un.sun_path, 0700), 0);
	assert_int_equal(address_listen(&a, 0600, &e), -EEXIST);
	assert_int_equal(rmdir(a.u.un.sun_path), 0);
	int fd = address_listen(&target, 0600, &e);
	close(fd);
	assert_int_equal(symlink(target.u.un.sun_path, a.u.un.sun_path), 0);
	assert_int_equal(address_listen(&a, 0600, &e), -EEXIST);
	assert_int_equal(lstat(a.u.un.sun_path, &st), 0);
	assert_int_equal(lstat(target.u.un.sun_path, &st), 0);
	unlink(a.u.un.sun_path);
	unlink(target.u.un.sun_path);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_abns_name_fills_its_place_with_nuls),
		cmocka_unit_test(a_path_leaves_room_for_its_nul),
		cmocka_unit_test(hosts_are_numeric_of_both_families),
		cmocka_unit_test(mistakes_leave_the_result_and_say_why),
		cmocka_unit_test(haproxy_gets_its_own_spelling),
		cmocka_unit_test(an_occupied_port_or_name_is_refused),
		cmocka_unit_test(sockets_neither_block_nor_outlive_an_exec),
		cmocka_unit_test(a_path_gets_its_mode_and_stays_private_until_then),
		cmocka_unit_test(datagram_paths_are_kept_and_reclaimed_as_others),
		cmocka_unit_test(what_is_no_socket_is_never_removed),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
