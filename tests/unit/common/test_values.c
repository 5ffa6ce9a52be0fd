/* Numbers, durations, addresses, networks, texts: the small parsers of external input. */
#include "common/address.h"
#include "common/ip.h"
#include "common/log.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/refusal.h"
#include "common/seam.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void numbers_are_taken_whole_or_not_at_all(void **state)
{
	uint64_t n = 77;
	int64_t i;

	(void)state;
	assert_int_equal(num_parse_u64(SLICE_LITERAL("18446744073709551615"), UINT64_MAX, &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(
		num_parse_u64(SLICE_LITERAL("18446744073709551616"), UINT64_MAX, &n), -ERANGE);
	assert_int_equal(num_parse_u64(SLICE_LITERAL("11"), 10, &n), -ERANGE);
	const char *bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0"};
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		assert_int_equal(num_parse_u64(slice_from_str(bad[k]), UINT64_MAX, &n), -EINVAL);
	assert_int_equal(num_parse_i64(SLICE_LITERAL("-5"), &i), 0);
	assert_int_equal(i, -5);
}

static void durations_read_as_they_are_written(void **state)
{
	static const uint64_t values[] = {0, 1, 250, 1000, 1500, 60000, 90000, 3600000, 86400000};
	char text[NUM_DURATION_SIZE];
	uint64_t ms;
	uint32_t ppm;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		num_format_duration(values[i], text);
		assert_int_equal(num_parse_duration(slice_from_str(text), UINT64_MAX, &ms), 0);
		assert_int_equal(ms, values[i]);
	}
	assert_int_equal(num_parse_duration(SLICE_LITERAL("30d"), UINT64_MAX, &ms), 0);
	assert_int_equal(ms, 30u * 86400000u);
	assert_int_equal(num_parse_duration(SLICE_LITERAL("5x"), UINT64_MAX, &ms), -EINVAL);
	assert_int_equal(num_parse_duration(SLICE_LITERAL("d"), UINT64_MAX, &ms), -EINVAL);
	assert_int_equal(
		num_parse_duration(SLICE_LITERAL("99999999999999999d"), UINT64_MAX, &ms), -ERANGE);
	assert_int_equal(num_parse_fraction(SLICE_LITERAL("0.7"), &ppm), 0);
	assert_int_equal(ppm, 700000);
	assert_int_not_equal(num_parse_fraction(SLICE_LITERAL("1.1"), &ppm), 0);
	assert_int_not_equal(num_parse_fraction(SLICE_LITERAL("1."), &ppm), 0);
}

static void networks_match_what_they_should(void **state)
{
	static const struct {
		const char *network, *address;
		bool has;
	} cases[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"0.0.0.0/0", "1.2.3.4", true},
		{"0.0.0.0/0", "::1", false},
		{"::/0", "::1", true},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
	};
	char text[CIDR_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cidr network;
		struct ip ip;
		assert_int_equal(cidr_parse(slice_from_str(cases[i].network), &network), 0);
		assert_int_equal(ip_parse(slice_from_str(cases[i].address), &ip), 0);
		assert_int_equal(cidr_has(&network, &ip), cases[i].has);
		assert_string_equal(cidr_format(&network, text), cases[i].network);
	}
	const char *bad[] = {"", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0", "10.0.0.0/",
		"host", "1.2.3.4/8/8", "[::1]"};
	struct cidr network;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(cidr_parse(slice_from_str(bad[i]), &network), 0);
}

static void addresses_are_checked(void **state)
{
	static const char *const bad[] = {"", "abns:", "unix:relative", "tcp:127.0.0.1",
		"tcp:127.0.0.1:65536", "tcp::80", "tcp:example.com:80", "file:/x",
		"udp:127.0.0.1:"};
	struct address a;
	struct errtext e;
	char text[ADDRESS_HAPROXY_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(address_parse(slice_from_str(bad[i]), &a, &e), 0);
	assert_int_equal(address_parse(SLICE_LITERAL("abns:relay"), &a, &e), 0);
	/* HAProxy's abns@ pads with NULs to the full length */
	assert_int_equal(a.len, sizeof(struct sockaddr_un));
	assert_string_equal(address_format_haproxy(&a, text), "abns@relay");
	assert_int_equal(address_parse(SLICE_LITERAL("tcp:[::1]:80"), &a, &e), 0);
	assert_int_equal(a.u.in6.sin6_family, AF_INET6);
}

/* A connected descriptor, or a negative errno. */
static int connect_to(const struct address *a)
{
	int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, &a->u.sa, a->len) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static void a_stale_path_goes_and_a_served_one_stays(void **state)
{
	char text[80];
	char directory[] = "/tmp/relay-address-XXXXXX";
	struct address a;
	struct errtext e;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(text, sizeof(text), "unix:%s/sock", directory);
	assert_int_equal(address_parse(slice_from_str(text), &a, &e), 0);
	int first = address_listen(&a, 0660, &e);
	assert_true(first >= 0);
	assert_int_equal(address_listen(&a, 0660, &e), -EADDRINUSE);
	int client = connect_to(&a);
	assert_true(client >= 0);
	close(client);
	close(first);
	int again = address_listen(&a, 0660, &e);
	assert_true(again >= 0);
	close(again);
	unlink(a.u.un.sun_path);
	FILE *file = fopen(a.u.un.sun_path, "w");
	fclose(file);
	assert_int_equal(address_listen(&a, 0660, &e), -EEXIST);
	assert_int_equal(access(a.u.un.sun_path, F_OK), 0);
	unlink(a.u.un.sun_path);
	rmdir(directory);
}

static void tables_are_whole(void **state)
{
	char variable[SEAM_HEADER_VAR_SIZE];
	char same[SEAM_HEADER_VAR_SIZE];

	(void)state;
	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		const struct refusal_row *row = refusal_row((enum refusal)r);
		assert_true(row->status >= 400 && row->status < 600);
		assert_null(strpbrk(row->message, "\"\\\n"));
		for (int other = r + 1; other < REFUSAL_COUNT; other++)
			assert_string_not_equal(row->code, refusal_row((enum refusal)other)->code);
	}
	assert_string_equal(seam_header_var("ChatGPT-Account-ID", variable),
		seam_header_var("chatgpt-account-id", same));
}

/* Every line is one JSON object, for any logged value. */
static void log_lines_are_json(void **state)
{
	char path[] = "/tmp/relay-log-XXXXXX";
	char line[8192];
	char *evil = malloc(10001);
	int fd = mkstemp(path);
	int saved = dup(STDERR_FILENO);

	(void)state;
	for (int i = 0; i < 10000; i++)
		evil[i] = (char)(i % 255 + 1);
	evil[10000] = '\0';
	dup2(fd, STDERR_FILENO);
	log_init("test", LOG_LEVEL_INFO);
	log_event(LOG_LEVEL_INFO, "a \"quoted\"\nmessage", LOG_STR("evil", evil), LOG_INT("n", -5));
	log_event(LOG_LEVEL_INFO, "small", LOG_SLICE("evil", ((struct slice){evil, 300})),
		LOG_ERROR_CODE(-ENOENT), LOG_INT("n", 5));
	log_write(LOG_LEVEL_DEBUG, "not shown", NULL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	FILE *file = fdopen(fd, "r");
	rewind(file);
	int lines = 0;
	while (fgets(line, sizeof(line), file)) {
		json_object *o = json_tokener_parse(line);
		assert_non_null(o);
		json_object_put(o);
		lines++;
	}
	assert_int_equal(lines, 2);
	fclose(file);
	unlink(path);
	free(evil);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
		cmocka_unit_test(durations_read_as_they_are_written),
		cmocka_unit_test(networks_match_what_they_should),
		cmocka_unit_test(addresses_are_checked),
		cmocka_unit_test(a_stale_path_goes_and_a_served_one_stays),
		cmocka_unit_test(tables_are_whole),
		cmocka_unit_test(log_lines_are_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
