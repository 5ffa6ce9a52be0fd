/* Generated worlds and requests: what no decision may ever do. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#define WORLDS 20
#define REQUESTS 60000 /* in each world: 1.2 million in all */

static uint32_t pool_of(const struct world *w, const struct world_key *key)
{
	return key->pool != UINT32_MAX ? key->pool : w->tenant_pool[key->tenant];
}

static bool has_exit(const struct world *w, const struct world_account *a, uint64_t gen)
{
	for (uint32_t i = 0; i < a->egress_count; i++) {
		if (w->first_gen[a->upstream][a->egresses[i]] <= gen)
			return true;
	}
	return false;
}

static bool is_usable(const struct world *w, uint32_t account, uint64_t gen)
{
	const struct world_account *a = &w->accounts[account];

	return !a->suspended && !a->bare && a->first_gen <= gen && has_exit(w, a, gen);
}

static bool any_usable(const struct world *w, uint32_t pool, uint64_t gen)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
		if (w->member[pool][i] && is_usable(w, i, gen))
			return true;
	}
	return false;
}

/* A member that nobody must help: a HAProxy process of another generation knows it. */
static bool any_known_elsewhere(const struct world *w, uint32_t pool)
{
	for (uint32_t i = 0; i < WORLD_ACCOUNTS; i++) {
		const struct world_account *a = &w->accounts[i];
		if (w->member[pool][i] && !a->suspended && !a->bare)
			return true;
	}
	return false;
}

static enum refusal expected(const struct world *w, const struct world_key *key, uint64_t gen)
{
	uint32_t pool = pool_of(w, key);

	if (key->revoked)
		return REFUSAL_REVOKED_API_KEY;
	if (key->expired)
		return REFUSAL_EXPIRED_API_KEY;
	if (!w->tenant_enabled[key->tenant])
		return REFUSAL_TENANT_DISABLED;
	if (pool == UINT32_MAX)
		return REFUSAL_NO_ROUTE;
	if (any_usable(w, pool, gen))
		return REFUSAL_NONE;
	return any_known_elsewhere(w, pool) ? REFUSAL_CIRCUIT_OPEN : REFUSAL_NO_ACCOUNT;
}

static void assert_allowed_is_right(const struct world *w, const struct world_key *key,
	const struct decide_request *r, const struct decide_verdict *v)
{
	uint32_t account = v->account->id - 1;
	const struct world_account *a = &w->accounts[account];
	uint32_t egress = v->backend->egress;
	bool own_egress = false;

	assert_int_equal(v->tenant->id, key->tenant + 1);
	assert_true(w->member[pool_of(w, key)][account]);
	assert_true(is_usable(w, account, r->gen));
	for (uint32_t i = 0; i < a->egress_count; i++)
		own_egress |= a->egresses[i] == egress;
	assert_true(own_egress);
	assert_int_equal(v->backend->id, a->upstream * WORLD_EGRESSES + egress + 1);
	assert_true(v->backend->first_gen <= r->gen);
	assert_int_equal(v->lease->account, v->account->id);
	assert_int_equal(v->lease->egress, egress + 1);
}

static void check_world(uint64_t seed)
{
	struct world *w = world_new(seed, 1024);
	struct decide_verdict v;
	uint32_t allowed = 0;

	for (uint32_t i = 0; i < REQUESTS; i++) {
		const struct world_key *key = &w->keys[world_below(w, WORLD_KEYS)];
		struct decide_request r = world_request(w, key);
		char conversation[16];
		snprintf(conversation, sizeof(conversation), "c%u", world_below(w, 500));
		if (world_below(w, 2))
			r.sticky = slice_from_str(conversation);
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, world_random(w), &v);
		assert_int_equal(v.refusal, expected(w, key, r.gen));
		if (v.action != DECIDE_ALLOW)
			continue;
		allowed++;
		assert_allowed_is_right(w, key, &r, &v);
		if (world_below(w, 3)) /* lost records fill the table, so only some */
			decide_release(&w->tables.state, v.lease, false);
		else if (w->tables.leases.used > 1000)
			decide_release(&w->tables.state, v.lease, false);
	}
	assert_true(allowed > REQUESTS / 4);
	world_free(w);
}

static void never_uses_the_token_or_egress_of_another_account(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= WORLDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		check_world(seed);
	}
}

static void a_conversation_keeps_its_account_when_others_leave(void **state)
{
	struct world *w = world_new(99, 64);
	struct decide_verdict before;
	struct decide_verdict after;
	uint32_t moved = 0;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		const struct world_key *key = &w->keys[world_below(w, WORLD_KEYS)];
		struct decide_request r = world_request(w, key);
		char conversation[16];
		snprintf(conversation, sizeof(conversation), "c%u", i);
		r.sticky = slice_from_str(conversation);
		r.hard = true; /* pools that are not sticky bind only these */
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, world_random(w), &before);
		if (before.action != DECIDE_ALLOW)
			continue;
		decide_release(&w->tables.state, before.lease, false);
		world_random(w);
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, world_random(w), &after);
		decide_release(&w->tables.state, after.lease, false);
		moved += before.account != after.account;
	}
	assert_int_equal(moved, 0);
	world_free(w);
}

static void a_repeated_question_gets_the_same_account_and_counts_once(void **state)
{
	struct world *w = world_new(5, 4096);
	struct decide_verdict first;
	struct decide_verdict again;
	uint32_t compared = 0;

	(void)state;
	for (uint32_t i = 0; i < 3000; i++) {
		struct decide_request r = world_request(w, &w->keys[world_below(w, WORLD_KEYS)]);
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, world_random(w), &first);
		uint32_t used = w->tables.leases.used;
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, world_random(w), &again);
		assert_int_equal(first.refusal, again.refusal);
		assert_int_equal(used, w->tables.leases.used);
		if (first.action != DECIDE_ALLOW)
			continue;
		assert_true(again.repeated);
		assert_ptr_equal(first.account, again.account);
		compared++;
	}
	assert_true(compared > 500);
	world_free(w);
}

static void refuses_the_request_id_of_another_key(void **state)
{
	struct world *w = world_new(6, 64);
	struct decide_verdict v;

	(void)state;
	for (uint32_t k = 0; k < WORLD_KEYS; k++) {
		struct decide_request r = world_request(w, &w->keys[k]);
		r.gen = WORLD_GENS;
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, 1, &v);
		if (v.action != DECIDE_ALLOW)
			continue;
		for (uint32_t other = 0; other < WORLD_KEYS; other++) {
			struct decide_verdict stolen;
			r.key = slice_from_str(w->keys[other].text);
			decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS, 1, &stolen);
			assert_true(other == k || stolen.action == DECIDE_DENY);
		}
		world_free(w);
		return;
	}
	fail_msg("no key was allowed");
}

static void a_full_table_refuses_until_a_row_is_free(void **state)
{
	struct world *w = world_new(7, 8);
	struct decide_verdict v;
	struct statefile_lease *held[8];
	uint32_t count = 0;
	uint32_t refused = 0;

	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		const struct world_key *key = &w->keys[i % WORLD_KEYS];
		struct decide_request r = world_request(w, key);
		enum refusal refusal = expected(w, key, r.gen);
		bool full = refusal == REFUSAL_NONE && count == 8;
		decide(&w->snapshot, &w->tables.state, &r, WORLD_NOW_MS + i, 1, &v);
		assert_int_equal(v.refusal, full ? REFUSAL_OVERLOADED : refusal);
		if (v.action == DECIDE_ALLOW)
			held[count++] = v.lease;
		else if (full && ++refused % 3 == 0)
			decide_release(&w->tables.state, held[--count], false);
		assert_int_equal(w->tables.leases.used, count);
	}
	assert_true(refused > 10);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_uses_the_token_or_egress_of_another_account),
		cmocka_unit_test(a_conversation_keeps_its_account_when_others_leave),
		cmocka_unit_test(a_repeated_question_gets_the_same_account_and_counts_once),
		cmocka_unit_test(refuses_the_request_id_of_another_key),
		cmocka_unit_test(a_full_table_refuses_until_a_row_is_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
