#include "agent/request.h"

#include "common/head.h"
#include "common/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#define STICKY_TEXT                                                                                \
	"session-id"                                                                               \
	"thread-id"

/* A snapshot with the conversation headers session-id and thread-id. */
static const struct snapshot_text sticky[] = {{0, 10}, {10, 9}};
static char digest[REQUEST_DIGEST_LEN];

static struct decide_request read_head(const char *head)
{
	struct snapshot s = {
		.sections = {[SNAPSHOT_TEXT] = "session-idthread-id", [SNAPSHOT_STICKY] = sticky},
		.counts = {[SNAPSHOT_TEXT] = 19, [SNAPSHOT_STICKY] = 2}};
	struct decide_request r = {.gen = 1};

	request_read_head(&r, slice_from_str(head), &s, digest);
	return r;
}

static void assert_text(struct slice s, const char *expected)
{
	if (!slice_eq_str(s, expected))
		fail_msg("\"%.*s\" is not \"%s\"", (int)s.n, s.p, expected);
}

static void takes_what_a_decision_needs(void **state)
{
	struct decide_request r =
		read_head("host: relay\r\nx-api-key: rk_a\r\nauthorization: Bearer own\r\n"
			  "x-codex-turn-state: z\r\nsession-id: s\r\ncontent-length: 5\r\n"
			  "x-request-id: r-1\r\nupgrade: websocket\r\n\r\n");

	(void)state;
	assert_int_equal(r.fault, REFUSAL_NONE);
	assert_text(r.key, "rk_a");
	assert_int_equal(r.key_lines, 1);
	assert_true(r.hard && r.websocket);
	assert_text(r.sticky, "s");
	assert_int_equal(r.length, 5);
	assert_text(r.label, "r-1");
	r = read_head("host: relay\r\n\r\n");
	assert_int_equal(r.fault, REFUSAL_NONE);
	assert_false(r.hard || r.websocket);
	assert_int_equal(r.key_lines + r.length, 0);
	assert_int_equal(r.key.n + r.sticky.n + r.label.n, 0);
}

/* Headers of a request, the key that it presents, and the lines of the header that has it. */
struct presented {
	const char *head;
	const char *key;
	uint32_t lines;
};

static void takes_the_key_from_the_first_header_that_has_one(void **state)
{
	static const struct presented rows[] = {
		{"x-api-key: 1\r\nauthorization: Bearer rk_2\r\nx-goog-api-key: 3\r\napi-key: 4\r\n",
			"1", 1},
		{"api-key: 4\r\nx-goog-api-key: 3\r\nauthorization: Bearer rk_2\r\n", "rk_2", 1},
		{"authorization: bearer rk_2 \r\n", "rk_2", 1},
		{"api-key: 4\r\nx-goog-api-key: 3\r\nauthorization: Bearer own\r\n", "3", 1},
		{"api-key: 4\r\nauthorization: Basic eA==\r\n", "4", 1},
		{"x-api-key: \r\nx-goog-api-key: \r\napi-key: 4\r\n", "4", 1},
		{"authorization: Bearer own\r\n", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char head[200];
		snprintf(head, sizeof(head), "%s\r\n", rows[i].head);
		struct decide_request r = read_head(head);
		assert_text(r.key, rows[i].key);
		assert_int_equal(r.key_lines, rows[i].lines);
		assert_int_equal(r.fault, REFUSAL_NONE);
	}
}

/* Two lines of the header that has the key are told from one; those behind it are the client's own. */
static void counts_lines_of_the_header_that_has_the_key(void **state)
{
	static const struct presented rows[] = {
		{"x-api-key: 1\r\nx-api-key: 2\r\nauthorization: Bearer rk_1\r\n", "2", 2},
		{"x-api-key: 1\r\nx-api-key: \r\nauthorization: Bearer rk_1\r\n", "", 2},
		{"authorization: Bearer rk_1\r\nauthorization: bearer rk_2\r\n", "rk_2", 2},
		{"x-goog-api-key: 1\r\nx-goog-api-key: 2\r\n", "2", 2},
		{"api-key: 1\r\napi-key: 2\r\n", "2", 2},
		{"authorization: Bearer rk_1\r\nauthorization: Basic eA==\r\n", "", 0},
		{"x-api-key: 1\r\nauthorization: Bearer rk_1\r\nauthorization: Bearer rk_2\r\n"
		 "x-goog-api-key: 2\r\nx-goog-api-key: 3\r\napi-key: 4\r\napi-key: 5\r\n",
			"1", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char head[300];
		snprintf(head, sizeof(head), "%s\r\n", rows[i].head);
		struct decide_request r = read_head(head);
		assert_text(r.key, rows[i].key);
		assert_int_equal(r.key_lines, rows[i].lines);
	}
}

static void names_a_conversation_by_the_first_configured_header(void **state)
{
	(void)state;
	assert_text(read_head("thread-id: t\r\nsession-id: s\r\n\r\n").sticky, "s");
	assert_text(read_head("session-id: s\r\nthread-id: t\r\n\r\n").sticky, "s");
	assert_text(read_head("session-id: \r\nthread-id: t\r\n\r\n").sticky, "t");
	assert_text(read_head("thread-id: t\r\n\r\n").sticky, "t");
	assert_text(read_head("session-id: 1\r\nsession-id: 2\r\n\r\n").sticky, "2");
	assert_text(read_head("session-idx: s\r\n\r\n").sticky, "");
}

static void knows_what_concerns_resources(void **state)
{
	(void)state;
	assert_true(read_head("anthropic-beta: a\r\nanthropic-beta: files-api-2025-04-14\r\n"
			      "anthropic-beta: b\r\n\r\n")
			    .names_resources);
	assert_false(read_head("anthropic-beta: a\r\n\r\n").names_resources);
	assert_true(read_head("x-http-method-override: GET\r\n\r\n").has_other_method);
	assert_false(read_head("x-http: GET\r\n\r\n").has_other_method);
}

static void a_long_name_counts_by_its_digest(void **state)
{
	char head[400];

	(void)state;
	snprintf(head, sizeof(head), "session-id: %0256d\r\n\r\n", 7);
	assert_int_equal(read_head(head).sticky.n, 256);
	snprintf(head, sizeof(head), "session-id: %0257d\r\n\r\n", 7);
	/* printf %0257d 7 | sha256sum */
	assert_text(read_head(head).sticky,
		"E8D238F03937FB023694CE5F7B13A0020502A8865DCFE57DAC986B309A8184A7");
}

static void takes_the_first_valid_label(void **state)
{
	(void)state;
	assert_text(read_head("traceparent: 00-ab-cd-01\r\nx-request-id: r\r\n\r\n").label, "r");
	assert_text(read_head("traceparent: 00-ab-cd-01\r\nx-request-id: r r\r\n\r\n").label,
		"00-ab-cd-01");
	assert_text(read_head("x-request-id: good\r\nx-request-id: b d\r\n\r\n").label, "");
	assert_text(read_head("traceparent: \x01\r\n\r\n").label, "");
}

static void knows_a_body_that_can_be_asked_for(void **state)
{
	static const struct {
		const char *head;
		bool has_json;
	} rows[] = {
		{"content-type: application/json\r\ncontent-length: 2\r\n\r\n", true},
		{"content-length: 2\r\ncontent-type: Application/JSON; charset=utf-8\r\n\r\n",
			true},
		{"content-type: application/json\r\ncontent-length: 2\r\n"
		 "content-encoding: identity\r\n\r\n",
			true},
		{"content-type: application/json\r\ncontent-length: 2\r\n"
		 "content-encoding: gzip\r\n\r\n",
			false},
		{"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n", false},
		{"content-type: application/json\r\ncontent-length: 0\r\n\r\n", false},
		{"content-type: application/jsonl\r\ncontent-length: 2\r\n\r\n", false},
		{"content-type: text/plain\r\ncontent-length: 2\r\n\r\n", false},
		{"content-length: 2\r\n\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(read_head(rows[i].head).has_json, rows[i].has_json);
}

static void a_handshake_is_a_get_for_an_upgrade_without_a_body(void **state)
{
	struct decide_request r = {.method = SLICE_LITERAL("GET")};

	(void)state;
	static const struct {
		const char *head;
		bool websocket, handshake;
	} rows[] = {
		{"connection: Upgrade\r\nupgrade: websocket\r\n\r\n", true, true},
		{"connection: keep-alive, upgrade\r\nupgrade: h2c, WebSocket\r\n\r\n", true, true},
		{"connection: keep-alive\r\nupgrade: websocket\r\n\r\n", true, false},
		{"upgrade: websocket\r\n\r\n", true, false},
		{"connection: Upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n\r\n", true,
			false},
		{"connection: Upgrade\r\nupgrade: h2c\r\n\r\n", false, false},
		{"connection: Upgrade\r\n\r\n", false, false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r = (struct decide_request){.gen = 1, .method = SLICE_LITERAL("GET")};
		request_read_head(&r, slice_from_str(rows[i].head), NULL, digest);
		assert_int_equal(r.websocket, rows[i].websocket);
		assert_int_equal(r.handshake, rows[i].handshake);
	}
	r = (struct decide_request){.gen = 1, .method = SLICE_LITERAL("POST")};
	request_read_head(&r, slice_from_str(rows[0].head), NULL, digest);
	assert_true(r.websocket && !r.handshake);
}

static void refuses_nul(void **state)
{
	static const char head[] = "x-api-key: a\0b\r\n\r\n";
	struct decide_request r = {.gen = 1};

	(void)state;
	request_read_head(&r, (struct slice){head, sizeof(head) - 1}, NULL, digest);
	assert_int_equal(r.fault, REFUSAL_BAD_REQUEST);
}

static void blames_what_it_cannot_take(void **state)
{
	static const struct {
		const char *before;
		int zeros;
	} rows[] = {{"x-api-key: ", 257}, {"authorization: Bearer rk_", 254},
		{"x-goog-api-key: ", 257}, {"api-key: ", 257}, {"host: ", 257}};
	char head[2048];

	(void)state;
	assert_int_equal(read_head("a: b\r\n").fault, REFUSAL_BAD_REQUEST);
	assert_int_equal(read_head("").fault, REFUSAL_BAD_REQUEST);
	assert_int_equal(read_head("content-length: 1, 1\r\n\r\n").fault, REFUSAL_BAD_REQUEST);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(head, sizeof(head), "%s%0*d\r\n\r\n", rows[i].before, rows[i].zeros, 7);
		assert_int_equal(read_head(head).fault, REFUSAL_BAD_REQUEST);
		snprintf(
			head, sizeof(head), "%s%0*d\r\n\r\n", rows[i].before, rows[i].zeros - 4, 7);
		assert_int_equal(read_head(head).fault, REFUSAL_NONE);
	}
	snprintf(head, sizeof(head), "authorization: Bearer %01000d\r\nx-api-key: rk_a\r\n\r\n", 7);
	assert_int_equal(read_head(head).fault, REFUSAL_NONE);
}

#define KEY "rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudw"

static void a_key_belongs_into_four_headers(void **state)
{
	static const char *const good[] = {"x-api-key: " KEY, "authorization: Bearer " KEY,
		"authorization: " KEY, "x-goog-api-key: " KEY, "api-key: " KEY,
		"x-api-key: " KEY "\r\nauthorization: Bearer " KEY,
		"referer: https://a/?key=rk_dGlMoiyrlfxX1rTnyFf3vA7NUtFOY61fTudx"};
	static const char *const bad[] = {"referer: https://a/?key=" KEY, "user-agent: a/" KEY,
		"cookie: a=" KEY "; b=c", "x-api-keys: " KEY, "x-api-ke: " KEY, "my-api-key: " KEY,
		"x-api-key: a\r\nx: " KEY, "x-api-key: " KEY "\r\nx: y: " KEY,
		"x: x-api-key: " KEY};
	char head[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(head, sizeof(head), "host: relay\r\n%s\r\nx: y\r\n\r\n", good[i]);
		assert_int_equal(read_head(head).fault, REFUSAL_NONE);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(head, sizeof(head), "%s\r\nhost: relay\r\n\r\n", bad[i]);
		assert_int_equal(read_head(head).fault, REFUSAL_MISPLACED_API_KEY);
	}
}

/* The address of a request from `src` with these header lines; "?" if there is none. */
static void assert_client(const char *src, const char *lines, const char *expected)
{
	struct cidr trusted[2];
	struct decide_request r = {.has_src = true};
	char head[256], text[IP_TEXT_SIZE] = "?";

	assert_int_equal(ip_parse(slice_from_str(src), &r.src), 0);
	assert_int_equal(cidr_parse(SLICE_LITERAL("10.0.0.0/8"), &trusted[0]), 0);
	assert_int_equal(cidr_parse(SLICE_LITERAL("198.51.100.0/24"), &trusted[1]), 0);
	struct snapshot s = {
		.sections = {[SNAPSHOT_TRUSTED] = trusted}, .counts = {[SNAPSHOT_TRUSTED] = 2}};
	snprintf(head, sizeof(head), "host: relay\r\n%s\r\n", lines);
	request_read_head(&r, slice_from_str(head), &s, digest);
	assert_int_equal(r.fault, REFUSAL_NONE);
	if (r.has_src)
		ip_format(&r.src, text);
	assert_string_equal(text, expected);
}

static void trusted_proxies_tell_the_clients_address(void **state)
{
	static const char *const rows[][3] = {
		{"10.0.0.1", "x-forwarded-for: 6.6.6.6, 192.0.2.1, 198.51.100.7\r\n", "192.0.2.1"},
		{"10.0.0.1",
			"x-forwarded-for: 6.6.6.6, 192.0.2.1\r\nx-forwarded-for: 198.51.100.7\r\n",
			"192.0.2.1"},
		{"10.0.0.1", "forwarded: for=192.0.2.1;proto=https\r\n", "192.0.2.1"},
		{"10.0.0.1", "forwarded: for=6.6.6.6\r\nx-forwarded-for: 192.0.2.1\r\n",
			"192.0.2.1"},
		{"10.0.0.1", "", "10.0.0.1"},
		{"10.0.0.1", "x-forwarded-for: \r\n", "10.0.0.1"},
		{"10.0.0.1", "x-forwarded-for: unknown\r\n", "?"},
		{"192.0.2.9", "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n",
			"192.0.2.9"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_client(rows[i][0], rows[i][1], rows[i][2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_a_decision_needs),
		cmocka_unit_test(takes_the_key_from_the_first_header_that_has_one),
		cmocka_unit_test(counts_lines_of_the_header_that_has_the_key),
		cmocka_unit_test(names_a_conversation_by_the_first_configured_header),
		cmocka_unit_test(knows_what_concerns_resources),
		cmocka_unit_test(a_long_name_counts_by_its_digest),
		cmocka_unit_test(takes_the_first_valid_label),
		cmocka_unit_test(knows_a_body_that_can_be_asked_for),
		cmocka_unit_test(a_handshake_is_a_get_for_an_upgrade_without_a_body),
		cmocka_unit_test(refuses_nul),
		cmocka_unit_test(blames_what_it_cannot_take),
		cmocka_unit_test(a_key_belongs_into_four_headers),
		cmocka_unit_test(trusted_proxies_tell_the_clients_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
