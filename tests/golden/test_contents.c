#include "tests/golden/cmocka_env.h"

#include <stdlib.h>
#include <string.h>

#include "tests/golden/recording.h"

enum {
	TEXT_MAX = 1 << 20,
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

/* All events of a file as text, in memory that the caller frees. */
static char *play_to_text(const struct recording *file, struct outcome *ret_outcome)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	recording_play((struct slice){(const char *)file->bytes, file->n}, out, ret_outcome);
	assert_int_equal(fclose(out), 0);
	return text;
}

static char *expected_text(const char *name)
{
	char path[2 * RECORDING_PATH_MAX];
	char *text = calloc(1, TEXT_MAX);
	FILE *file;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/../expected/%.*s.txt", GOLDEN_DIR,
		(int)(strlen(name) - strlen(".from-haproxy.bin")), name);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_true(fread(text, 1, TEXT_MAX - 1, file) > 0);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void decodes_every_file_to_its_last_byte(void **state)
{
	struct outcome outcome;

	(void)state;
	assert_int_equal(all.n, 17);
	for (size_t i = 0; i < all.n; i++) {
		free(play_to_text(&all.files[i], &outcome));
		assert_int_equal(outcome.answer, SPOE_MORE);
		assert_int_equal(outcome.consumed, all.files[i].n);
	}
}

/* The expected text was made by expect.py, which shares no code with the library. */
static void finds_what_an_independent_decoder_finds(void **state)
{
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < all.n; i++) {
		char *found = play_to_text(&all.files[i], &outcome);
		char *wanted = expected_text(all.files[i].name);

		assert_string_equal(found, wanted);
		free(found);
		free(wanted);
	}
}

/* The text of all files of one HAProxy, in memory that the caller frees. */
static char *version_text(const char *version)
{
	struct outcome outcome;
	char *joined = calloc(1, TEXT_MAX);

	assert_non_null(joined);
	for (size_t i = 0; i < all.n; i++) {
		char *text;

		if (strncmp(all.files[i].name, version, strlen(version)) != 0)
			continue;
		text = play_to_text(&all.files[i], &outcome);
		assert_true(strlen(joined) + strlen(text) < TEXT_MAX);
		strcat(joined, text);
		free(text);
	}
	return joined;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
		n++;
	return n;
}

/* By spoe.conf: 3 POSTs over IPv4, 1 GET over IPv6, 20 GETs; `admit` and `respond` each. */
static void finds_the_traffic_that_was_sent(void **state)
{
	static const struct {
		const char *part;
		size_t n;
	} wanted[] = {
		{"\tadmit id=string:", 24},
		{"\trespond id=string:", 24},
		{" method=string:POST path=string:/v1/responses host=string:127.0.0.1:8000 ", 3},
		{" key=string:rk_test_0123456789 auth=string:Bearer\\x20abc ", 3},
		{" sticky=string:01a1fb2c-f3a5 ", 3},
		{" src=ipv4:127.0.0.1 len=int64:7 missing=null tls=bool:0 port=int64:8000 ", 3},
		{" src=ipv6:::1 len=null missing=null tls=bool:0 port=int64:8001 ", 1},
		{" src=ipv4:127.0.0.1 len=null ", 20},
		{" neg=int64:-5\n", 24},
		{" status=int64:200 retry_after=null\n", 24},
		{"hello max-frame-size=16380 pipelining=0 async=0 healthcheck=1 engine-id=\n", 3},
		{" key=string:rk_20 ", 1},
	};
	static const char *const versions[] = {"haproxy-2.6", "haproxy-3.0", "haproxy-3.2"};

	(void)state;
	for (size_t v = 0; v < sizeof(versions) / sizeof(versions[0]); v++) {
		char *text = version_text(versions[v]);

		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			assert_int_equal(count(text, wanted[i].part), wanted[i].n);
		free(text);
	}
}

static void finds_a_goodbye_where_haproxy_says_one(void **state)
{
	static const struct {
		const char *version;
		size_t n;
	} wanted[] = {{"haproxy-2.6", 2}, {"haproxy-3.0", 4}, {"haproxy-3.2", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char *text = version_text(wanted[i].version);

		assert_int_equal(count(text, "disconnect 0 normal\n"), wanted[i].n);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_every_file_to_its_last_byte),
		cmocka_unit_test(finds_what_an_independent_decoder_finds),
		cmocka_unit_test(finds_the_traffic_that_was_sent),
		cmocka_unit_test(finds_a_goodbye_where_haproxy_says_one),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
