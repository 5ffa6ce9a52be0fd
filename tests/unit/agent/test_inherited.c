/* Sockets from systemd: which one fits an address. */
#include "agent/keeper/inherited.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/relay-inherited-XXXXXX";

static struct address address_of(const char *kind, const char *rest)
{
	char text[96];
	struct address a;
	struct errtext e;

	snprintf(text, sizeof(text), "%s%s", kind, rest);
	assert_int_equal(address_parse(slice_from_str(text), &a, &e), 0);
	return a;
}

static struct address path_of(const char *name)
{
	char text[80];

	snprintf(text, sizeof(text), "%s/%s", directory, name);
	return address_of("unix:", text);
}

/* Port 0 becomes the port that the kernel has chosen. */
static int opened(struct address *a)
{
	struct errtext e;
	int fd = address_listen(a, 0600, &e);
	socklen_t len = sizeof(a->u);

	if (fd < 0)
		fail_msg("%s", e.text);
	if (a->u.sa.sa_family == AF_INET)
		assert_int_equal(getsockname(fd, &a->u.sa, &len), 0);
	return fd;
}

static int bound_only(const struct address *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a->u.sa, a->len), 0);
	return fd;
}

static struct inherited holding(const int *fds, uint32_t count)
{
	struct inherited i = {.count = count};

	memcpy(i.fds, fds, count * sizeof(*fds));
	return i;
}

static void takes_each_socket_once_and_by_its_address(void **state)
{
	char name[48];
	(void)state;
	snprintf(name, sizeof(name), "relay-inherited-%d", (int)getpid());
	struct address a[] = {path_of("agent"), path_of("agent2"), address_of("abns:", name),
		address_of("tcp:", "127.0.0.1:0"), address_of("udp:", "127.0.0.1:0")};
	enum { COUNT = sizeof(a) / sizeof(a[0]) };
	int fds[COUNT];

	for (size_t n = 0; n < COUNT; n++)
		fds[n] = opened(&a[n]);
	struct inherited i = holding(fds, COUNT);
	for (size_t n = COUNT; n-- > 0;) {
		bool ours = true;
		assert_int_equal(inherited_take(&i, &a[n], &ours), fds[n]);
		assert_false(ours);
		assert_int_equal(inherited_take(&i, &a[n], &ours), -1);
		close(fds[n]);
	}
	unlink(a[0].u.un.sun_path);
	unlink(a[1].u.un.sun_path);
}

static void takes_nothing_of_another_kind(void **state)
{
	struct address datagrams = path_of("datagrams");
	struct address silent = path_of("silent");
	struct address elsewhere = address_of("tcp:", "127.0.0.1:0");

	(void)state;
	bool ours;
	datagrams.kind = ADDRESS_UNIX_DGRAM;
	int fds[] = {opened(&datagrams), bound_only(&silent), opened(&elsewhere)};
	struct inherited i = holding(fds, 3);
	datagrams.kind = ADDRESS_UNIX;
	elsewhere.u.in.sin_port ^= 1;
	assert_int_equal(inherited_take(&i, &datagrams, &ours), -1);
	assert_int_equal(inherited_take(&i, &silent, &ours), -1);
	assert_int_equal(inherited_take(&i, &elsewhere, &ours), -1);
	inherited_fini(&i);
	for (size_t n = 0; n < 3; n++)
		assert_int_equal(fcntl(fds[n], F_GETFD), -1);
	unlink(datagrams.u.un.sun_path);
	unlink(silent.u.un.sun_path);
}

static void believes_only_an_environment_for_this_process(void **state)
{
	struct inherited i;

	(void)state;
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "2", 1);
	inherited_init(&i);
	assert_int_equal(i.count, 0);
	assert_null(getenv("LISTEN_FDS"));
	setenv("LISTEN_FDS", "2", 1);
	inherited_init(&i);
	assert_int_equal(i.count, 0);
}

static void takes_memory_by_name_and_number(void **state)
{
	const int fds[] = {100, 101, 102, 103};
	struct inherited i = holding(fds, 4);
	static const char *const names[] = {
		"relay-snapshot-7-9", "relay-snapshot-7-8", "relay-board-x", ""};
	uint64_t number;

	(void)state;
	for (size_t n = 0; n < 4; n++)
		snprintf(i.names[n], sizeof(i.names[n]), "%s", names[n]);
	assert_int_equal(inherited_take_named(&i, "relay-snapshot-8-", &number), -1);
	assert_int_equal(inherited_take_named(&i, "relay-snapshot-7-", &number), 100);
	assert_int_equal(number, 9);
	assert_int_equal(inherited_take_named(&i, "relay-snapshot-7-", &number), 101);
	assert_int_equal(number, 8);
	assert_int_equal(inherited_take_named(&i, "relay-snapshot-7-", &number), -1);
	assert_int_equal(inherited_take_named(&i, "relay-board-", &number), -1);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_each_socket_once_and_by_its_address),
		cmocka_unit_test(takes_nothing_of_another_kind),
		cmocka_unit_test(takes_memory_by_name_and_number),
		cmocka_unit_test(believes_only_an_environment_for_this_process),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
