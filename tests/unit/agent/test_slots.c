/* Slots of tenants, families and accounts, against a plain table. */
#include "agent/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define LEASES 256
#define IDS 40
#define ROUNDS 1000000

static uint32_t next(uint64_t *rng, uint32_t n)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*rng >> 33) % n;
}

struct plain {
	uint32_t of[USAGE_KIND_COUNT][IDS + 1];
};

static void step(struct plain *p, const struct statefile_lease *lease, int by)
{
	p->of[USAGE_TENANT][lease->tenant] += (uint32_t)by;
	p->of[USAGE_KEY][lease->family ? lease->family : lease->key] += (uint32_t)by;
	p->of[USAGE_ACCOUNT][lease->account] += (uint32_t)by;
}

static void assert_same(const struct slots *s, const struct plain *p)
{
	for (uint32_t id = 1; id <= IDS; id++) {
		for (int kind = USAGE_TENANT; kind <= USAGE_ACCOUNT; kind++)
			assert_int_equal(
				slots_in_use(s, (enum usage_kind)kind, id), p->of[kind][id]);
	}
}

static void any_sequence_counts_each_subject(void **state)
{
	static struct statefile_lease leases[LEASES];
	struct plain plain = {0};
	struct slots s;
	uint64_t rng = 1;

	(void)state;
	assert_int_equal(slots_init(&s, LEASES), 0);
	for (uint32_t n = 0; n < ROUNDS; n++) {
		struct statefile_lease *lease = &leases[next(&rng, LEASES)];
		if (lease->tenant) {
			slots_leave_lease(&s, lease);
			step(&plain, lease, -1);
			lease->tenant = 0;
		} else {
			lease->tenant = 1 + next(&rng, IDS);
			lease->key = 1 + next(&rng, IDS);
			lease->family = next(&rng, IDS);
			lease->account = 1 + next(&rng, IDS);
			slots_enter_lease(&s, lease);
			step(&plain, lease, 1);
		}
		if (n % 1000 == 0)
			assert_same(&s, &plain);
	}
	assert_same(&s, &plain);
	slots_fini(&s);
}

static void every_lease_may_have_subjects_of_its_own(void **state)
{
	struct slots s;

	(void)state;
	assert_int_equal(slots_init(&s, LEASES), 0);
	for (uint32_t i = 1; i <= LEASES; i++)
		slots_enter_lease(
			&s, &(struct statefile_lease){.tenant = i, .key = i, .account = i});
	for (uint32_t i = 1; i <= LEASES; i++) {
		assert_int_equal(slots_in_use(&s, USAGE_TENANT, i), 1);
		assert_int_equal(slots_in_use(&s, USAGE_KEY, i), 1);
		assert_int_equal(slots_in_use(&s, USAGE_ACCOUNT, i), 1);
	}
	slots_fini(&s);
}

static void what_nobody_holds_cannot_be_left(void **state)
{
	struct slots s;

	(void)state;
	assert_int_equal(slots_init(&s, LEASES), 0);
	slots_leave(&s, USAGE_KEY, 7);
	assert_int_equal(slots_in_use(&s, USAGE_KEY, 7), 0);
	slots_enter(&s, USAGE_KEY, 7);
	assert_int_equal(slots_in_use(&s, USAGE_KEY, 7), 1);
	assert_int_equal(slots_in_use(&s, USAGE_TENANT, 7), 0);
	slots_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_counts_each_subject),
		cmocka_unit_test(every_lease_may_have_subjects_of_its_own),
		cmocka_unit_test(what_nobody_holds_cannot_be_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
