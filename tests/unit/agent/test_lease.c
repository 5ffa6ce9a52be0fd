#include "agent/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS 64
#define IDS 200 /* more than the table has rows: it is often full */
#define STEPS 400000
#define MANY 65536

static uint32_t found_count;

static void count_found(void *context, const struct statefile_lease *lease)
{
	(void)context;
	(void)lease;
	found_count++;
}

static uint32_t next(uint64_t *rng)
{
	*rng = *rng * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*rng >> 33);
}

/* Few different last bytes, so that probe sequences in the index are long and cross each other. */
static void make_id(uint32_t n, uint8_t id[16])
{
	memset(id, 0, 16);
	id[12] = (uint8_t)(n % 7);
	memcpy(id + 4, &n, sizeof(n));
}

static void agrees(struct leases *l, const bool *present, uint32_t count)
{
	uint8_t id[16];

	assert_int_equal(l->used, count);
	for (uint32_t n = 0; n < IDS; n++) {
		make_id(n, id);
		struct statefile_lease *lease = lease_find(l, id);
		assert_int_equal(lease != NULL, present[n]);
		assert_true(!lease || memcmp(lease->id, id, 16) == 0);
	}
}

static void behaves_as_a_set_over_any_sequence(void **state)
{
	struct statefile_lease *rows = calloc(ROWS, sizeof(*rows));
	bool present[IDS] = {false};
	uint32_t count = 0;
	struct leases l;
	uint64_t rng = 42;
	uint8_t id[16];

	(void)state;
	assert_int_equal(leases_init(&l, rows, ROWS, count_found, NULL), 0);
	for (uint32_t i = 0; i < STEPS; i++) {
		uint32_t n = next(&rng) % IDS;
		make_id(n, id);
		if (present[n]) {
			lease_end(&l, lease_find(&l, id));
			present[n] = false;
			count--;
		} else {
			struct statefile_lease *lease = lease_new(&l, id);
			assert_int_equal(lease == NULL, count == ROWS);
			if (lease) {
				lease->decided_ms = i;
				lease_commit(lease);
				present[n] = true;
				count++;
			}
		}
		if (i % 1000 == 0)
			agrees(&l, present, count);
		if (i % 20000 == 0) { /* the agent dies and another takes the rows over */
			leases_fini(&l);
			found_count = 0;
			assert_int_equal(leases_init(&l, rows, ROWS, count_found, NULL), 0);
			assert_int_equal(found_count, count);
		}
	}
	leases_fini(&l);
	free(rows);
}

static void a_lease_not_committed_is_gone_after_a_crash(void **state)
{
	struct statefile_lease *rows = calloc(ROWS, sizeof(*rows));
	struct leases l;
	uint8_t id[16] = {1};

	(void)state;
	assert_int_equal(leases_init(&l, rows, ROWS, count_found, NULL), 0);
	assert_non_null(lease_new(&l, id));
	leases_fini(&l);
	assert_int_equal(leases_init(&l, rows, ROWS, count_found, NULL), 0);
	assert_null(lease_find(&l, id));
	assert_int_equal(l.used, 0);
	leases_fini(&l);
	free(rows);
}

/* Ids begin with the time: those of a moment are alike but for their last bytes. */
static void ids_of_one_moment_are_found_at_once(void **state)
{
	struct statefile_lease *rows = calloc(MANY, sizeof(*rows));
	struct leases l;
	uint64_t rng = 7;
	uint8_t id[16] = {0x01, 0xa2, 0x20, 0x49, 0x5c, 0xde, 0xf8};

	(void)state;
	assert_int_equal(leases_init(&l, rows, MANY, count_found, NULL), 0);
	clock_t start = clock();
	for (uint32_t i = 0; i < MANY; i++) {
		uint32_t n = next(&rng);
		memcpy(id + 8, &i, sizeof(i));
		memcpy(id + 12, &n, sizeof(n));
		lease_commit(lease_new(&l, id));
		assert_non_null(lease_find(&l, id));
	}
	/* one list of all would take 2,000 million comparisons */
	assert_true(clock() - start < 2 * CLOCKS_PER_SEC);
	leases_fini(&l);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaves_as_a_set_over_any_sequence),
		cmocka_unit_test(a_lease_not_committed_is_gone_after_a_crash),
		cmocka_unit_test(ids_of_one_moment_are_found_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
