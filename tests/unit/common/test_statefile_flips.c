/*
 * Damage of rows: a flipped bit is found and flipped back, more damage costs the row. No other row is
 * touched, and no row ever has other values than an agent wrote.
 */
#include "common/statefile.h"
#include "common/staterow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLIPS 500
#define ROWS 40 /* in use in each table */

static const size_t row_sizes[STATEFILE_UNDO] = {
	[STATEFILE_USAGE] = sizeof(struct statefile_usage),
	[STATEFILE_LEASE] = sizeof(struct statefile_lease),
	[STATEFILE_STICKY] = sizeof(struct statefile_binding),
	[STATEFILE_HEALTH] = sizeof(struct statefile_health),
};

union row {
	struct statefile_usage usage;
	struct statefile_lease lease;
	struct statefile_binding binding;
	struct statefile_health health;
};

struct known {
	enum statefile_table table;
	char *row; /* in the file */
	union row was;
};

struct scene {
	char path[64];
	int fd;
	struct statefile file;
	uint64_t random;
	struct known rows[STATEFILE_UNDO * ROWS];
	uint32_t count;
};

static uint32_t below(struct scene *s, uint32_t n)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((s->random >> 33) % n);
}

static void fill(struct scene *s, void *row, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)row)[i] = (uint8_t)below(s, 256);
}

/* A row with random values that an agent could have written there. */
static void make_row(struct scene *s, enum statefile_table t, uint32_t at, uint32_t rows, void *row)
{
	union row made;

	fill(s, &made, sizeof(made));
	switch (t) {
	case STATEFILE_USAGE:
		made.usage.state = 1 + below(s, USAGE_KIND_COUNT - 1);
		made.usage.id = at + 1;
		break;
	case STATEFILE_LEASE:
		made.lease.state = 1 + below(s, LEASE_STATE_COUNT - 1);
		made.lease.decided_ms = 1800000000000 + at;
		break;
	case STATEFILE_STICKY:
		made.binding.state = (1 + below(s, BINDING_STATE_COUNT - 1)) |
			below(s, 65536) << BINDING_BEFORE_SHIFT;
		made.binding.used = 1800000000000 + at;
		made.binding.conversation = at / STATEFILE_BINDING_WAYS +
			(uint64_t)(rows / STATEFILE_BINDING_WAYS) * (1 + below(s, 1000000));
		break;
	case STATEFILE_HEALTH:
		made.health.state = 1 + below(s, HEALTH_KIND_COUNT - 1);
		made.health.circuit = (uint8_t)below(s, CIRCUIT_COUNT);
		made.health.cool_class = 0;
		break;
	case STATEFILE_UNDO:
	case STATEFILE_TABLE_COUNT:
		break;
	}
	memcpy(row, &made, row_sizes[t]);
	staterow_seal(row, row_sizes[t]);
}

static void fill_tables(struct scene *s)
{
	for (int t = 0; t < STATEFILE_UNDO; t++) {
		uint32_t rows;
		char *table = statefile_table(&s->file, (enum statefile_table)t, &rows);
		for (uint32_t i = 0; i < ROWS; i++) {
			/* the first, the last, and some between them */
			uint32_t at = i * ((rows - 1) / (ROWS - 1));
			struct known *k = &s->rows[s->count++];
			k->table = (enum statefile_table)t;
			k->row = table + at * row_sizes[t];
			make_row(s, k->table, at, rows, k->row);
			memcpy(&k->was, k->row, row_sizes[t]);
		}
	}
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct errtext e = {""};
	enum statefile_event event;

	s->random = 12;
	snprintf(s->path, sizeof(s->path), "/tmp/relay-flips-%d", (int)getpid());
	s->fd = statefile_open(s->path, (unsigned)-1, 0, &event, &e);
	if (s->fd < 0 || statefile_map(s->fd, &s->file, &e))
		return -1;
	fill_tables(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	statefile_unmap(&s->file);
	close(s->fd);
	unlink(s->path);
	free(s);
	return 0;
}

static bool is_as_it_was(const struct known *k)
{
	return memcmp(k->row, &k->was, row_sizes[k->table]) == 0;
}

static bool is_gone(const struct known *k)
{
	static const union row none;

	return memcmp(k->row, &none, row_sizes[k->table]) == 0;
}

static void put_back(struct known *k)
{
	memcpy(k->row, &k->was, row_sizes[k->table]);
}

static void flip(struct scene *s, const struct known *k)
{
	uint32_t bit = below(s, (uint32_t)row_sizes[k->table] * 8);

	k->row[bit / 8] = (char)(k->row[bit / 8] ^ (1 << bit % 8));
}

static uint32_t sum(const uint32_t counts[STATEFILE_TABLE_COUNT])
{
	uint32_t n = 0;

	for (size_t t = 0; t < STATEFILE_TABLE_COUNT; t++)
		n += counts[t];
	return n;
}

/* Rows in use, of all tables. */
static uint32_t count_used(const struct scene *s)
{
	uint32_t used = 0;

	for (int t = 0; t < STATEFILE_UNDO; t++) {
		uint32_t rows;
		const char *table = statefile_table(&s->file, (enum statefile_table)t, &rows);
		for (uint32_t i = 0; i < rows; i++)
			used += staterow_state(table + i * row_sizes[t]) != 0;
	}
	return used;
}

static void sound_rows_stay_as_they_are(void **state)
{
	struct scene *s = *state;
	struct statefile_damage damage = {{0}, {0}};

	statefile_check_rows(&s->file, &damage);
	assert_int_equal(sum(damage.mended) + sum(damage.dropped), 0);
	assert_int_equal(count_used(s), s->count);
	for (uint32_t i = 0; i < s->count; i++)
		assert_true(is_as_it_was(&s->rows[i]));
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

/* Else a flipped bit could be taken for another one. By chance one in 4,000 rows of usage has such a pair. */
static void rows_that_differ_in_two_bits_have_other_sums(void **state)
{
	struct scene *s = *state;
	uint32_t sums[sizeof(union row) * 8];

	for (uint32_t i = 0; i < s->count; i++) {
		const size_t size = row_sizes[s->rows[i].table];
		const size_t bits = (size - sizeof(uint32_t)) * 8;
		union row row = s->rows[i].was;
		for (size_t bit = 0; bit < bits; bit++) {
			uint8_t *byte = (uint8_t *)&row + bit / 8;
			*byte = (uint8_t)(*byte ^ 1 << bit % 8);
			sums[bit] = staterow_sum(&row, size);
			*byte = (uint8_t)(*byte ^ 1 << bit % 8);
		}
		qsort(sums, bits, sizeof(sums[0]), compare);
		for (size_t bit = 1; bit < bits; bit++)
			assert_int_not_equal(sums[bit], sums[bit - 1]);
	}
}

static void a_flipped_bit_is_flipped_back(void **state)
{
	struct scene *s = *state;

	for (uint32_t n = 0; n < FLIPS; n++) {
		struct statefile_damage damage = {{0}, {0}};
		struct known *k = &s->rows[below(s, s->count)];
		flip(s, k);
		assert_false(is_as_it_was(k));
		statefile_check_rows(&s->file, &damage);
		assert_true(is_as_it_was(k));
		assert_int_equal(sum(damage.dropped), 0);
		/* a state that became 0 may also be of a row that was being freed */
		assert_true(sum(damage.mended) <= 1);
	}
	for (uint32_t i = 0; i < s->count; i++)
		assert_true(is_as_it_was(&s->rows[i]));
	assert_int_equal(count_used(s), s->count);
}

static void every_bit_of_a_day_count_is_watched(void **state)
{
	struct scene *s = *state;
	struct known *k = &s->rows[1];
	struct statefile_usage *row = (void *)k->row;

	assert_int_equal(k->table, STATEFILE_USAGE);
	for (int bit = 0; bit < 32; bit++) {
		struct statefile_damage damage = {{0}, {0}};
		row->windows[USAGE_DAY].count ^= 1u << bit;
		assert_false(staterow_is_sound(STATEROW(row)));
		statefile_check_rows(&s->file, &damage);
		assert_int_equal(damage.mended[STATEFILE_USAGE], 1);
		assert_true(is_as_it_was(k));
	}
}

static void more_damage_costs_the_row_and_no_other(void **state)
{
	struct scene *s = *state;
	uint32_t lost = 0;

	for (uint32_t n = 0; n < FLIPS; n++) {
		struct statefile_damage damage = {{0}, {0}};
		struct known *k = &s->rows[below(s, s->count)];
		for (uint32_t flips = 2 + below(s, 7); flips > 0; flips--)
			flip(s, k);
		bool whole = is_as_it_was(k); /* the same bit twice */
		statefile_check_rows(&s->file, &damage);
		assert_true(is_as_it_was(k) || (!whole && is_gone(k)));
		assert_int_equal(sum(damage.dropped), is_gone(k));
		lost += is_gone(k);
		put_back(k);
	}
	assert_true(lost > FLIPS / 2);
	for (uint32_t i = 0; i < s->count; i++)
		assert_true(is_as_it_was(&s->rows[i]));
}

/* All at once, anywhere in the tables: also more than the number of searches. */
static void flips_everywhere_leave_only_rows_that_an_agent_wrote(void **state)
{
	struct scene *s = *state;
	struct statefile_damage damage = {{0}, {0}};
	uint32_t hit = 0;
	uint32_t alive = 0;

	for (uint32_t n = 0; n < FLIPS; n++) {
		uint32_t rows;
		enum statefile_table t = (enum statefile_table)below(s, STATEFILE_UNDO);
		char *table = statefile_table(&s->file, t, &rows);
		size_t byte = below(s, (uint32_t)(rows * row_sizes[t]));
		table[byte] = (char)(table[byte] ^ (1 << below(s, 8)));
		flip(s, &s->rows[below(s, s->count)]);
	}
	for (uint32_t i = 0; i < s->count; i++)
		hit += !is_as_it_was(&s->rows[i]);
	statefile_check_rows(&s->file, &damage);
	for (uint32_t i = 0; i < s->count; i++) {
		alive += is_as_it_was(&s->rows[i]);
		assert_true(is_as_it_was(&s->rows[i]) || is_gone(&s->rows[i]));
	}
	assert_int_equal(count_used(s), alive);
	assert_true(hit > 0 && alive >= s->count - hit);
}

/* A row that lies in another place, or of another table, or zeros where a row was. */
static void shifted_rows_are_dropped(void **state)
{
	struct scene *s = *state;
	struct statefile_damage damage = {{0}, {0}};
	uint32_t rows;
	char *usages = statefile_table(&s->file, STATEFILE_USAGE, &rows);
	char *leases = statefile_table(&s->file, STATEFILE_LEASE, &rows);

	/* the second half of one row and the first of the next */
	memcpy(usages + 10 * 128, s->rows[0].row + 32, 96);
	memcpy(usages + 10 * 128 + 96, s->rows[1].row, 32);
	memcpy(leases + 10 * 192, usages, 192);
	statefile_check_rows(&s->file, &damage);
	assert_int_equal(damage.dropped[STATEFILE_USAGE], 1);
	assert_int_equal(damage.dropped[STATEFILE_LEASE], 1);
	assert_int_equal(count_used(s), s->count);
	/* a binding in another bucket than its own */
	char *bindings = statefile_table(&s->file, STATEFILE_STICKY, &rows);
	memcpy(bindings + 32 * STATEFILE_BINDING_WAYS, bindings, 32);
	statefile_check_rows(&s->file, &damage);
	assert_int_equal(damage.dropped[STATEFILE_STICKY], 1);
	assert_int_equal(count_used(s), s->count);
}

/* An agent was killed between the two stores that free a row, or while a row was open. */
static void a_killed_agent_leaves_no_damage(void **state)
{
	struct scene *s = *state;
	struct statefile_damage damage = {{0}, {0}};
	struct statefile_usage *usage = (void *)s->rows[0].row;
	struct statefile_lease *lease = (void *)s->rows[ROWS].row;
	struct statefile_binding *binding = (void *)s->rows[2 * ROWS].row;

	lease->state = LEASE_FREE;
	staterow_open(STATEROW(usage));
	usage->failure_ratio ^= 5;
	staterow_open(STATEROW(binding));
	binding->state = BINDING_FREE;
	binding->account ^= 5;
	statefile_check_rows(&s->file, &damage);
	assert_int_equal(sum(damage.mended) + sum(damage.dropped), 0);
	assert_int_equal(count_used(s), s->count - 1);
	assert_true(is_as_it_was(&s->rows[ROWS]));
	assert_int_equal(usage->failure_ratio, s->rows[0].was.usage.failure_ratio ^ 5);
	assert_int_equal(usage->check, staterow_sum(STATEROW(usage)));
	assert_int_equal(binding->check, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sound_rows_stay_as_they_are, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			rows_that_differ_in_two_bits_have_other_sums, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_flipped_bit_is_flipped_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			every_bit_of_a_day_count_is_watched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			more_damage_costs_the_row_and_no_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			flips_everywhere_leave_only_rows_that_an_agent_wrote, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shifted_rows_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_killed_agent_leaves_no_damage, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
