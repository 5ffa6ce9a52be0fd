/* Connections without the secret: who makes room, with real connections on loopback. */
#include "agent/unproven.h"

#include "common/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY (UNPROVEN_PER_PEER + 1)

static struct unproven all[MANY + 1];

/* The accepted end of a connection from this address. */
static int connected_from(const char *source)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(source)};

	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(bind(client, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
	int accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	close(listener);
	close(client);
	return accepted;
}

static void the_oldest_of_an_address_makes_room(void **state)
{
	struct unproven_list list = {NULL, NULL};
	int here = connected_from("127.0.0.1");
	int there = connected_from("127.0.0.2");

	(void)state;
	unproven_add(&list, &all[MANY], there);
	for (size_t i = 0; i < MANY; i++) {
		unproven_add(&list, &all[i], here);
		struct unproven *excess = unproven_excess(&list, &all[i]);
		assert_ptr_equal(excess, i + 1 < MANY ? NULL : &all[0]);
	}
	assert_null(unproven_excess(&list, &all[MANY]));
	unproven_remove(&list, &all[0]);
	assert_false(all[0].is_listed);
	assert_null(unproven_excess(&list, &all[MANY - 1]));
	assert_ptr_equal(list.oldest, &all[MANY]);
	close(here);
	close(there);
}

static void removal_keeps_the_order(void **state)
{
	struct unproven_list list = {NULL, NULL};
	int here = connected_from("127.0.0.1");

	(void)state;
	for (size_t i = 0; i < 3; i++)
		unproven_add(&list, &all[i], here);
	unproven_remove(&list, &all[1]);
	unproven_remove(&list, &all[1]);
	assert_ptr_equal(list.oldest, &all[0]);
	assert_ptr_equal(list.newest, &all[2]);
	unproven_remove(&list, &all[2]);
	assert_ptr_equal(list.newest, &all[0]);
	unproven_remove(&list, &all[0]);
	assert_null(list.oldest);
	assert_null(list.newest);
	close(here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_oldest_of_an_address_makes_room),
		cmocka_unit_test(removal_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
