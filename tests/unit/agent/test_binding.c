/* Bindings of conversations: rows, ages, answers, pins, tenants, crashes. */
#include "agent/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define BUCKETS 4
#define ROWS (BUCKETS * STATEFILE_BINDING_WAYS)
#define TTL_MS 1000
#define TENANT 1

struct table {
	struct statefile_binding rows[ROWS];
	struct bindings b;
};

static int set_up(void **state)
{
	static struct table t;

	memset(&t, 0, sizeof(t));
	bindings_init(&t.b, t.rows, ROWS);
	*state = &t;
	return 0;
}

static struct binding_key key(uint64_t conversation, int64_t now_ms)
{
	return (struct binding_key){conversation, TENANT, now_ms, TTL_MS};
}

static struct binding look(const struct table *t, uint64_t conversation, int64_t now_ms)
{
	struct binding_key k = key(conversation, now_ms);

	return binding_find(&t->b, &k);
}

static uint32_t find(const struct table *t, uint64_t conversation, int64_t now_ms)
{
	return look(t, conversation, now_ms).account;
}

static void use_as(struct table *t, uint64_t conversation, uint32_t tenant, int64_t now_ms)
{
	struct binding_key k = {conversation, tenant, now_ms, TTL_MS};

	binding_use(&t->b, &k, 1);
}

static void use(struct table *t, uint64_t conversation, uint32_t account, int64_t now_ms)
{
	struct binding_key k = key(conversation, now_ms);

	binding_use(&t->b, &k, account);
}

static bool answer(struct table *t, uint64_t conversation, uint32_t from, uint32_t account)
{
	struct binding_key k = key(conversation, 2000);

	return binding_answered(&t->b, &k, from, account);
}

static void pin(struct table *t, uint64_t conversation, uint32_t account)
{
	struct binding_key k = key(conversation, 2000);

	binding_pin(&t->b, &k, account);
}

static void a_conversation_keeps_its_account_for_the_time_to_live(void **state)
{
	struct table *t = *state;

	assert_int_equal(find(t, 5, 1000), 0);
	use(t, 5, 7, 1000);
	assert_int_equal(find(t, 5, 1999), 7);
	assert_int_equal(find(t, 5, 2000), 0);
	assert_int_equal(find(t, 5, 900), 7);
	use(t, 5, 7, 1999);
	assert_int_equal(find(t, 5, 2998), 7);
	use(t, 5, 8, 2998); /* only an answer binds it elsewhere */
	assert_int_equal(find(t, 5, 3997), 7);
	assert_int_equal(find(t, 5 + BUCKETS, 2998), 0);
	use(t, 5, 8, 4000);
	assert_int_equal(find(t, 5, 4000), 8);
	/* its expired row was used again: there is no second one */
	for (uint32_t i = 0, held = 0; i < ROWS; i++) {
		held += t->rows[i].state != BINDING_FREE;
		assert_true(held <= 1);
	}
}

static void an_account_takes_a_conversation_over_when_it_answers(void **state)
{
	static const struct {
		const char *name;
		uint32_t held; /* account; 0 = no row */
		bool answered, pinned;
		uint32_t from, by; /* the answer */
		uint32_t expected;
		bool moved;
	} rows[] = {
		{"the first answer of its account", 7, false, false, 0, 7, 7, false},
		{"after a failover of the first request", 7, false, false, 0, 8, 8, false},
		{"after a move of an unanswered one", 7, false, false, 7, 8, 8, false},
		{"its own account again", 7, true, false, 7, 7, 7, false},
		{"after a move", 7, true, false, 7, 8, 8, true},
		{"after a move, but it has moved elsewhere since", 9, true, false, 7, 8, 9, false},
		{"a late first answer", 9, true, false, 0, 7, 9, false},
		{"a pinned one", 7, true, true, 7, 8, 7, false},
		{"its row was replaced", 0, false, false, 7, 8, 8, false},
	};
	struct table *t = *state;

	for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].name);
		memset(t->rows, 0, sizeof(t->rows));
		if (rows[i].held)
			use(t, 5, rows[i].held, 1900);
		if (rows[i].answered)
			answer(t, 5, 0, rows[i].held);
		if (rows[i].pinned)
			pin(t, 5, rows[i].held);
		assert_int_equal(look(t, 5, 2000).answered, rows[i].answered);
		assert_int_equal(answer(t, 5, rows[i].from, rows[i].by), rows[i].moved);
		struct binding after = look(t, 5, 2000);
		assert_int_equal(after.account, rows[i].expected);
		assert_true(after.answered);
		assert_int_equal(after.pinned, rows[i].pinned);
		assert_int_equal(after.before, rows[i].moved ? rows[i].from : 0);
	}
}

static void a_pinned_conversation_never_moves(void **state)
{
	struct table *t = *state;

	use(t, 5, 7, 1900);
	answer(t, 5, 0, 7);
	assert_true(answer(t, 5, 7, 8));
	pin(t, 5, 7);
	assert_int_equal(find(t, 5, 2000), 7);
	assert_true(look(t, 5, 2000).pinned);
	assert_false(answer(t, 5, 7, 9));
	assert_false(answer(t, 5, 0, 9));
	use(t, 5, 9, 2500);
	assert_int_equal(find(t, 5, 3400), 7);
	assert_true(look(t, 5, 3400).pinned);
	/* also without a row */
	pin(t, 6, 4);
	assert_true(look(t, 6, 2000).pinned && look(t, 6, 2000).account == 4);
}

static void the_least_recently_used_of_a_bucket_is_replaced(void **state)
{
	struct table *t = *state;
	uint64_t n;

	for (n = 0; n < STATEFILE_BINDING_WAYS; n++)
		use(t, 1 + n * BUCKETS, (uint32_t)n + 1, 100 + (int64_t)n);
	use(t, 1, 1, 500); /* used again: now the second is the oldest */
	use(t, 2, 99, 50); /* another bucket */
	use(t, 1 + n * BUCKETS, 50, 600);
	assert_int_equal(find(t, 1, 600), 1);
	assert_int_equal(find(t, 1 + BUCKETS, 600), 0);
	assert_int_equal(find(t, 1 + 2 * BUCKETS, 600), 3);
	assert_int_equal(find(t, 1 + n * BUCKETS, 600), 50);
	assert_int_equal(find(t, 2, 600), 99);
}

static void an_expired_binding_is_replaced_first(void **state)
{
	struct table *t = *state;

	use_as(t, 1, 7, 100);
	for (uint64_t n = 1; n < STATEFILE_BINDING_WAYS; n++)
		use_as(t, 1 + n * BUCKETS, TENANT, 1050 + (int64_t)n);
	use_as(t, 1 + 8 * BUCKETS, TENANT, 1100);
	for (uint64_t n = 1; n <= STATEFILE_BINDING_WAYS; n++)
		assert_int_equal(find(t, 1 + n * BUCKETS, 1100), 1);
	assert_int_equal(find(t, 1, 1100), 0);
}

static uint32_t found(const struct table *t, uint64_t first, uint64_t count)
{
	uint32_t sum = 0;

	for (uint64_t i = 0; i < count; i++)
		sum += find(t, 1 + (first + i) * BUCKETS, 600) != 0;
	return sum;
}

/* One tenant makes a thousand new conversations in a bucket that it shares with two others. */
static void a_flood_of_one_tenant_replaces_its_own(void **state)
{
	struct table *t = *state;

	for (uint64_t n = 0; n < 3; n++) {
		use_as(t, 1 + n * BUCKETS, 7, 100);
		use_as(t, 1 + (10 + n) * BUCKETS, 8, 100);
	}
	for (uint64_t n = 0; n < 1000; n++)
		use_as(t, 1 + (100 + n) * BUCKETS, 9, 200);
	assert_true(found(t, 0, 3) >= 2 && found(t, 10, 3) >= 2);
	assert_int_equal(found(t, 0, 3) + found(t, 10, 3) + found(t, 100, 1000), 8);
	/* a tenant that comes later gets its share */
	for (uint64_t n = 0; n < 50; n++)
		use_as(t, 1 + (2000 + n) * BUCKETS, 4, 300);
	assert_true(found(t, 2000, 50) >= 2);
	assert_true(found(t, 0, 3) >= 1 && found(t, 10, 3) >= 1 && found(t, 100, 1000) >= 1);
}

static void a_new_agent_keeps_bindings(void **state)
{
	struct table *t = *state;
	struct bindings second;
	struct binding_key k = key(77, 2001);

	use(t, 77, 3, 1900);
	answer(t, 77, 0, 3);
	answer(t, 77, 3, 70000);
	bindings_init(&second, t->rows, ROWS);
	assert_int_equal(binding_find(&second, &k).account, 70000);
	assert_int_equal(binding_find(&second, &k).before, 3);
	assert_true(binding_find(&second, &k).answered);
}

/* It has neither tenant nor flags. */
static void a_row_of_an_older_version_counts_as_answered(void **state)
{
	struct table *t = *state;

	t->rows[8].account = 4;
	t->rows[8].conversation = 1;
	t->rows[8].used = 1900;
	t->rows[8].state = BINDING_HELD;
	struct binding b = look(t, 1, 2000);
	assert_int_equal(b.account, 4);
	assert_true(b.answered && !b.pinned);
	assert_int_equal(b.before, 0);
	assert_true(answer(t, 1, 4, 5));
	assert_int_equal(find(t, 1, 2000), 5);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(a_conversation_keeps_its_account_for_the_time_to_live),
		TEST(an_account_takes_a_conversation_over_when_it_answers),
		TEST(a_pinned_conversation_never_moves),
		TEST(the_least_recently_used_of_a_bucket_is_replaced),
		TEST(an_expired_binding_is_replaced_first),
		TEST(a_flood_of_one_tenant_replaces_its_own),
		TEST(a_new_agent_keeps_bindings),
		TEST(a_row_of_an_older_version_counts_as_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
