#include "tests/golden/cmocka_env.h"

#include "tests/golden/recording.h"

enum {
	SMALL = 256, /* bytes; such files are tried with all values */
};

static struct recordings all;

static int load(void **state)
{
	(void)state;
	recordings_load(&all);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	recordings_free(&all);
	return 0;
}

static struct slice bytes_of(const struct recording *file)
{
	return (struct slice){(const char *)file->bytes, file->n};
}

/* Frames before the changed byte must decode as in the unchanged stream. */
static void check(const struct outcome *found, const struct outcome *whole, size_t at)
{
	size_t before = 0;

	assert_int_not_equal(found->answer, SPOE_OK);
	if (found->answer == SPOE_BAD)
		assert_int_not_equal(found->status, SPOE_STATUS_NORMAL);
	else
		assert_int_equal(found->status, SPOE_STATUS_NORMAL);
	for (; before < whole->n_events && whole->ends[before] <= at; before++)
		assert_int_equal(found->ends[before], whole->ends[before]);
	assert_true(found->n_events >= before);
}

static void mutate(struct recording *file, size_t at, uint8_t value, const struct outcome *whole)
{
	uint8_t original = file->bytes[at];
	struct outcome found;

	file->bytes[at] = value;
	recording_play(bytes_of(file), NULL, &found);
	file->bytes[at] = original;
	check(&found, whole, at);
}

static void small_files_survive_every_value_of_every_byte(void **state)
{
	struct outcome whole;
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		struct recording *file = &all.files[i];

		if (file->n > SMALL)
			continue;
		tried++;
		recording_play(bytes_of(file), NULL, &whole);
		for (size_t at = 0; at < file->n; at++)
			for (unsigned value = 0; value <= UINT8_MAX; value++)
				if (value != file->bytes[at])
					mutate(file, at, (uint8_t)value, &whole);
	}
	assert_true(tried > 0);
}

/* The limits of lengths and varints, the type nibbles, and neighbours of the old value. */
static void large_files_survive_border_values_of_every_byte(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x0a, 0x7f, 0x80, 0xef, 0xf0, 0xff};
	struct outcome whole;
	size_t tried = 0;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		struct recording *file = &all.files[i];

		if (file->n <= SMALL)
			continue;
		tried++;
		recording_play(bytes_of(file), NULL, &whole);
		for (size_t at = 0; at < file->n; at++) {
			for (size_t v = 0; v < sizeof(values); v++)
				mutate(file, at, values[v], &whole);
			mutate(file, at, (uint8_t)(file->bytes[at] + 1), &whole);
			mutate(file, at, (uint8_t)(file->bytes[at] - 1), &whole);
		}
	}
	assert_true(tried > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_files_survive_every_value_of_every_byte),
		cmocka_unit_test(large_files_survive_border_values_of_every_byte),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
