/* Who makes room for a new connection, with real sockets. */
#include "admin/api/server_connections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct both {
	int ours, theirs;
};

static struct both pairs[SERVER_CONNECTIONS_MAX];
static size_t pair_count;

static struct origin peer(uint8_t number)
{
	return (struct origin){{number}};
}

static int add(struct server_connections *all, uint8_t number, int64_t now_ms)
{
	const struct origin origin = peer(number);
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pairs[pair_count++] = (struct both){fds[0], fds[1]};
	assert_true(server_connections_add(all, fds[0], &origin, now_ms));
	return fds[0];
}

static int setup(void **state)
{
	static struct server_connections all;

	pair_count = 0;
	server_connections_init(&all);
	*state = &all;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < pair_count; i++) {
		close(pairs[i].ours);
		close(pairs[i].theirs);
	}
	return 0;
}

static bool is_ended(struct server_connections *all, int fd)
{
	return server_connections_find(all, fd)->ending;
}

static enum server_room room(struct server_connections *all, uint8_t number)
{
	const struct origin origin = peer(number);

	return server_connections_make_room(all, &origin);
}

static void the_oldest_of_a_peer_makes_room_for_it(void **state)
{
	struct server_connections *all = *state;
	char byte;
	int other = add(all, 2, 0);
	int first = add(all, 1, 0);

	for (size_t i = 1; i < SERVER_PEER_MAX; i++) {
		assert_int_equal(room(all, 1), SERVER_ROOM_FREE);
		add(all, 1, 0);
	}
	assert_int_equal(room(all, 2), SERVER_ROOM_FREE);
	assert_int_equal(room(all, 1), SERVER_ROOM_SOON);
	assert_true(is_ended(all, first));
	assert_false(is_ended(all, other));
	assert_int_equal(recv(first, &byte, 1, MSG_DONTWAIT), 0);
	server_connections_remove(all, server_connections_find(all, first));
	assert_int_equal(room(all, 1), SERVER_ROOM_FREE);
}

static void the_peer_with_the_most_makes_room_when_all_is_full(void **state)
{
	struct server_connections *all = *state;
	int few = add(all, 9, 0);
	int most = add(all, 1, 0);

	for (size_t i = 1; i < SERVER_PEER_MAX; i++)
		add(all, 1, 0);
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX - SERVER_PEER_MAX - 1; i++)
		add(all, 2, 0);
	assert_int_equal(room(all, 3), SERVER_ROOM_SOON);
	assert_true(is_ended(all, most));
	assert_false(is_ended(all, few));
}

static void those_that_wait_for_an_answer_stay(void **state)
{
	struct server_connections *all = *state;

	for (size_t i = 0; i < SERVER_PEER_MAX; i++)
		server_connections_find(all, add(all, 1, 0))->waits = true;
	assert_int_equal(room(all, 1), SERVER_ROOM_NONE);
	assert_int_equal(room(all, 2), SERVER_ROOM_FREE);
}

static void ends_what_is_idle(void **state)
{
	struct server_connections *all = *state;
	int old = add(all, 1, 100);
	int waiting = add(all, 1, 100);
	int young = add(all, 1, 300);

	server_connections_find(all, waiting)->waits = true;
	assert_int_equal(server_connections_end_idle(all, 200), 1);
	assert_true(is_ended(all, old));
	assert_false(is_ended(all, waiting));
	assert_false(is_ended(all, young));
	assert_int_equal(server_connections_end_idle(all, 200), 0);
	assert_int_equal(all->ended, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_oldest_of_a_peer_makes_room_for_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_peer_with_the_most_makes_room_when_all_is_full, setup, teardown),
		cmocka_unit_test_setup_teardown(
			those_that_wait_for_an_answer_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_what_is_idle, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
