/* A caller that waits for a refresh gets one result: the account's outcome or a timeout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/upkeep/refresh_waiters.h"

#include <errno.h>

struct waiter {
	int told;
	int error;
};

static void on_told(void *context, int error, const char *text)
{
	struct waiter *w = context;

	assert_non_null(text);
	w->told++;
	w->error = error;
}

static void only_waiters_of_the_account_get_the_outcome(void **state)
{
	struct refresh_waiters w = {0};
	struct waiter people[9] = {{0}};

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_int_equal(refresh_waiters_add(&w, i % 3, 100, on_told, &people[i]), 0);
	refresh_waiters_tell(&w, 1, -EBUSY, "x");
	for (int i = 0; i < 9; i++) {
		assert_int_equal(people[i].told, i % 3 == 1);
		assert_int_equal(people[i].error, i % 3 == 1 ? -EBUSY : 0);
	}
	refresh_waiters_tell(&w, 1, 0, "x");
	refresh_waiters_end(&w, INT64_MAX, -EPIPE, "x");
	for (int i = 0; i < 9; i++)
		assert_int_equal(people[i].told, 1);
	assert_int_equal(w.count, 0);
}

static void waiters_end_at_their_deadline(void **state)
{
	struct refresh_waiters w = {0};
	struct waiter people[5] = {{0}};

	(void)state;
	for (int i = 0; i < 5; i++)
		refresh_waiters_add(&w, 1, 100 + i, on_told, &people[i]);
	refresh_waiters_end(&w, 102, -ETIMEDOUT, "x");
	for (int i = 0; i < 5; i++)
		assert_int_equal(people[i].told, i <= 2);
	assert_int_equal(w.count, 2);
}

static void the_number_of_waiters_is_limited(void **state)
{
	struct refresh_waiters w = {0};
	struct waiter one = {0};

	(void)state;
	for (int i = 0; i < REFRESH_WAITERS_MAX; i++)
		assert_int_equal(refresh_waiters_add(&w, 1, 1, on_told, &one), 0);
	assert_int_equal(refresh_waiters_add(&w, 1, 1, on_told, &one), -EAGAIN);
	refresh_waiters_tell(&w, 1, 0, "x");
	assert_int_equal(one.told, REFRESH_WAITERS_MAX);
	assert_int_equal(refresh_waiters_add(&w, 1, 1, on_told, &one), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_waiters_of_the_account_get_the_outcome),
		cmocka_unit_test(waiters_end_at_their_deadline),
		cmocka_unit_test(the_number_of_waiters_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
