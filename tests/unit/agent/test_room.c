/* The waiting room: turns, order, bounds. */
#include "agent/room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct decide_request request(uint32_t n, int64_t since_ms)
{
	struct decide_request r = {.since_ms = since_ms, .path = SLICE_LITERAL("/v1/x")};

	memcpy(r.id, &n, sizeof(n));
	return r;
}

static struct waiter *add(struct room *r, uint32_t n, uint32_t tenant, int64_t since, void *owner)
{
	struct decide_request q = request(n, since);
	struct room_seat seat = {owner, n, n};

	return room_add(r, &q, tenant, &seat);
}

static void keeps_a_copy_of_the_request(void **state)
{
	struct room r;
	char key[] = "rk_something";
	struct decide_request q = request(1, 5);
	struct room_seat seat = {&r, 3, 4};

	(void)state;
	assert_int_equal(room_init(&r), 0);
	q.key = slice_from_str(key);
	struct waiter *w = room_add(&r, &q, 9, &seat);
	memset(key, 'x', sizeof(key) - 1);
	assert_true(slice_eq_str(w->request.key, "rk_something"));
	assert_true(slice_eq_str(w->request.path, "/v1/x"));
	assert_int_equal(w->request.sticky.n, 0);
	assert_ptr_equal(room_find(&r, q.id), w);
	room_remove(&r, w);
	assert_null(room_find(&r, q.id));
	room_fini(&r);
}

static void a_tenants_oldest_request_comes_first(void **state)
{
	struct room r;

	(void)state;
	assert_int_equal(room_init(&r), 0);
	struct waiter *second = add(&r, 1, 7, 200, NULL);
	struct waiter *third = add(&r, 2, 7, 300, NULL);
	struct waiter *first = add(&r, 3, 7, 100, NULL);
	struct waiter *equal = add(&r, 4, 7, 200, NULL);
	assert_ptr_equal(r.first->first, first);
	assert_ptr_equal(first->next, second);
	assert_ptr_equal(second->next, equal);
	assert_ptr_equal(equal->next, third);
	assert_null(third->next);
	room_remove(&r, second);
	assert_ptr_equal(first->next, equal);
	assert_ptr_equal(equal->previous, first);
	room_fini(&r);
}

static void tenants_take_turns(void **state)
{
	struct room r;
	uint32_t served[3] = {0};

	(void)state;
	assert_int_equal(room_init(&r), 0);
	for (uint32_t i = 0; i < 200; i++)
		add(&r, i, 0, i, NULL);
	for (uint32_t i = 0; i < 10; i++) {
		add(&r, 1000 + i, 1, 1000 + i, NULL);
		add(&r, 2000 + i, 2, 2000 + i, NULL);
	}
	for (uint32_t turn = 0; turn < 30; turn++) {
		uint32_t tenant = r.first->tenant;
		served[tenant]++;
		room_remove(&r, r.first->first);
		if (r.first && r.first->tenant == tenant)
			room_pass_turn(&r);
	}
	assert_int_equal(served[0], 10);
	assert_int_equal(served[1], 10);
	assert_int_equal(served[2], 10);
	assert_int_equal(r.tenants, 1);
	room_fini(&r);
}

static void has_a_bound_for_each_tenant_and_for_all(void **state)
{
	struct room r;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(room_init(&r), 0);
	for (uint32_t i = 0; i < ROOM_TENANT_WAITERS_MAX; i++)
		assert_non_null(add(&r, n++, 1, i, NULL));
	assert_false(room_has_place(&r, 1));
	assert_null(add(&r, n, 1, 0, NULL));
	assert_true(room_has_place(&r, 2));
	while (r.count < ROOM_WAITERS_MAX) {
		assert_non_null(add(&r, n, 10 + n, 0, NULL));
		n++;
	}
	assert_false(room_has_place(&r, 2));
	assert_null(add(&r, n, 2, 0, NULL));
	while (r.first)
		room_remove(&r, r.first->first);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.tenants, 0);
	assert_non_null(add(&r, n, 1, 0, NULL));
	room_fini(&r);
}

static void refuses_texts_that_are_too_long_and_keeps_the_place_free(void **state)
{
	static char path[ROOM_TEXT_MAX + 1];
	struct decide_request q = request(1, 0);
	struct room_seat seat = {NULL, 0, 0};
	struct room r;

	(void)state;
	memset(path, 'a', sizeof(path));
	assert_int_equal(room_init(&r), 0);
	q.path = (struct slice){path, sizeof(path)};
	assert_null(room_add(&r, &q, 1, &seat));
	assert_int_equal(r.count, 0);
	assert_int_equal(r.tenants, 0);
	q.path.n--;
	assert_non_null(room_add(&r, &q, 1, &seat));
	room_fini(&r);
}

static void knows_whether_requests_wait_for_a_reason(void **state)
{
	struct room r;

	(void)state;
	assert_int_equal(room_init(&r), 0);
	struct waiter *w = add(&r, 1, 7, 0, NULL);
	assert_true(room_has_waiters(&r, ROOM_FOR_TENANT_SLOT, 7));
	assert_false(room_has_waiters(&r, ROOM_FOR_TENANT_SLOT, 8));
	room_set_reason(&r, w, ROOM_FOR_KEY_SLOT, 9);
	assert_false(room_has_waiters(&r, ROOM_FOR_TENANT_SLOT, 7));
	assert_true(room_has_waiters(&r, ROOM_FOR_KEY_SLOT, 9));
	room_set_reason(&r, w, ROOM_FOR_ACCOUNT, 5);
	assert_false(room_has_waiters(&r, ROOM_FOR_KEY_SLOT, 9));
	assert_true(room_has_waiters(&r, ROOM_FOR_ACCOUNT, 5));
	room_set_reason(&r, w, ROOM_FOR_PACE, 0);
	assert_false(room_has_waiters(&r, ROOM_FOR_ACCOUNT, 5));
	room_set_reason(&r, w, ROOM_FOR_ACCOUNT, 6);
	room_remove(&r, w);
	assert_false(room_has_waiters(&r, ROOM_FOR_ACCOUNT, 6));
	room_fini(&r);
}

static void a_closed_connection_removes_only_its_requests(void **state)
{
	struct room r;
	int one, other;

	(void)state;
	assert_int_equal(room_init(&r), 0);
	for (uint32_t i = 0; i < 60; i++)
		add(&r, i, i % 5, i, i % 3 ? &one : &other);
	room_remove_owner(&r, &one);
	assert_int_equal(r.count, 20);
	for (struct room_queue *q = r.first; q; q = q->next) {
		for (struct waiter *w = q->first; w; w = w->next)
			assert_ptr_equal(w->seat.owner, &other);
	}
	room_remove_owner(&r, &other);
	assert_int_equal(r.count, 0);
	assert_null(r.first);
	room_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_a_copy_of_the_request),
		cmocka_unit_test(a_tenants_oldest_request_comes_first),
		cmocka_unit_test(tenants_take_turns),
		cmocka_unit_test(has_a_bound_for_each_tenant_and_for_all),
		cmocka_unit_test(refuses_texts_that_are_too_long_and_keeps_the_place_free),
		cmocka_unit_test(knows_whether_requests_wait_for_a_reason),
		cmocka_unit_test(a_closed_connection_removes_only_its_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
