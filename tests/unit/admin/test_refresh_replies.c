/*
 * Replies of token hosts, each through the journal, the parser and the store: no refresh token that was
 * in a reply is lost, whatever is beside it. And refusals that go on for a day.
 */
#include "tests/unit/admin/room.h"

#include "admin/store/notices.h"
#include "admin/upkeep/refresh_body.h"
#include "admin/upkeep/refresh_journal.h"
#include "admin/upkeep/refresh_list.h"
#include "admin/upkeep/refresh_settle.h"

#include <stdio.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

#define T ((int64_t)1800000000000)
#define MINUTE_MS ((int64_t)60 * 1000)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define NOTICES "SELECT count(*) FROM notices WHERE acked_ms = 0"

/* --- bodies --- */

#define AT "\"access_token\":\"at.2\""
#define RT "\"refresh_token\":\"rt.2\""
#define IT "\"id_token\":\"id.2\""
#define WHOLE "{" IT "," AT "," RT ",\"expires_in\":3600,\"token_type\":\"Bearer\"}"
#define HTML "<html><head><style>p {\"refresh_token\":\"rt.9\"}</style></head></html>"
#define COPIES(unit, n) .fill = (unit), .fills = (n)

enum packing { PLAIN, GZIP, ZLIB, BARE, TWICE, HALF, UTF16, BOMB };

/* The body is `head`, `fills` times `fill`, and `tail`. */
struct reply {
	const char *name;
	unsigned status;
	const char *head, *fill, *tail;
	size_t fills;
	enum packing packing;
	const char *encoding;
	/* what must follow; NULL: at.1 and rt.1 stay */
	const char *access, *refresh;
	enum refresh_step step;
	enum refresh_outcome outcome;
	const char *notice; /* words in the notice; NULL = no notice */
};

static void append_deflated(struct slice text, int window, struct buffer *out)
{
	z_stream z = {0};
	unsigned char *room;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
	uLong bound = deflateBound(&z, text.n);
	room = malloc(bound);
	assert_non_null(room);
	z.next_in = (const Bytef *)text.p;
	z.avail_in = (uInt)text.n;
	z.next_out = room;
	z.avail_out = (uInt)bound;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buffer_append(out, room, z.total_out);
	deflateEnd(&z);
	free(room);
}

static void append_utf16(struct slice text, struct buffer *out)
{
	buffer_append(out, "\xff\xfe", 2);
	for (size_t i = 0; i < text.n; i++) {
		buffer_append(out, &text.p[i], 1);
		buffer_append(out, "\0", 1);
	}
}

static void pack(const struct reply *r, struct slice text, struct buffer *out)
{
	struct buffer inner = {0};

	switch (r->packing) {
	case PLAIN:
		buffer_append_slice(out, text);
		break;
	case TWICE:
		append_deflated(text, 31, &inner);
		append_deflated(buffer_slice(&inner), 31, out);
		break;
	case HALF:
		append_deflated(text, 31, &inner);
		buffer_append(out, inner.data, inner.len - 12);
		break;
	case UTF16:
		append_utf16(text, out);
		break;
	case GZIP:
	case BOMB:
		append_deflated(text, 31, out);
		break;
	case ZLIB:
	case BARE:
		append_deflated(text, r->packing == ZLIB ? 15 : -15, out);
		break;
	}
	buffer_fini(&inner);
}

static void make(const struct reply *r, struct buffer *out)
{
	struct buffer text = {0};

	buffer_append_str(&text, r->head ? r->head : "");
	for (size_t i = 0; i < r->fills; i++)
		buffer_append_str(&text, r->fill);
	buffer_append_str(&text, r->tail ? r->tail : "");
	pack(r, buffer_slice(&text), out);
	buffer_fini(&text);
}

/* --- the table --- */

#define COMMITS(with, at, rt, what)                                                                \
	.status = (with), .access = (at), .refresh = (rt), .step = REFRESH_COMMIT, .outcome = (what)
#define GRANTS COMMITS(200, "at.2", "rt.2", REFRESH_GRANTED)
#define GRANTS_WITH(with) COMMITS(with, "at.2", "rt.2", REFRESH_GRANTED)
#define KEEPS COMMITS(200, NULL, "rt.2", REFRESH_KEPT)
#define RENEWS COMMITS(200, "at.2", NULL, REFRESH_GRANTED)
#define REPEATS .step = REFRESH_REPEAT, .outcome = REFRESH_LOST
#define RETRIES .step = REFRESH_RETRY, .outcome = REFRESH_REFUSED
#define ENDS .step = REFRESH_LOGIN, .outcome = REFRESH_REJECTED

static const struct reply replies[] = {
	{"whole", GRANTS, .head = WHOLE},
	/* the access token */
	{"no access token", KEEPS, .head = "{" RT "}", .notice = "access_token is missing"},
	{"an empty one", KEEPS, .head = "{\"access_token\":\"\"," RT "}", .notice = "is missing"},
	{"of blanks", KEEPS, .head = "{\"access_token\":\"  \"," RT "}", .notice = "is missing"},
	{"null", KEEPS, .head = "{\"access_token\":null," RT "}", .notice = "is missing"},
	{"true", KEEPS, .head = "{\"access_token\":true," RT "}", .notice = "not a valid string"},
	{"a number", KEEPS, .head = "{\"access_token\":7," RT "}", .notice = "not a valid string"},
	{"an object", KEEPS, .head = "{\"access_token\":{\"a\":[\"}\"]}," RT "}",
		.notice = "not a valid string"},
	{"a list", KEEPS, .head = "{\"access_token\":[[],\"]\"]," RT "}",
		.notice = "not a valid string"},
	{"4097 bytes", KEEPS, .head = "{\"access_token\":\"", COPIES("a", 4097),
		.tail = "\"," RT "}", .notice = "4097 bytes long; at most 4096"},
	{"900000 bytes", KEEPS, .head = "{\"access_token\":\"", COPIES("a", 900000),
		.tail = "\"," RT "}", .notice = "900000 bytes long; at most 4096"},
	{"with a line break", KEEPS, .head = "{\"access_token\":\"a\\r\\nX: y\"," RT "}",
		.notice = "cannot stand in a header"},
	{"with a control character", KEEPS, .head = "{\"access_token\":\"a\x01z\"," RT "}",
		.notice = "cannot stand in a header"},
	{"with a zero", KEEPS, .head = "{\"access_token\":\"a\\u0000z\"," RT "}",
		.notice = "cannot stand in a header"},
	{"with an umlaut", KEEPS, .head = "{\"access_token\":\"\\u00e4\"," RT "}",
		.notice = "cannot stand in a header"},
	{"with an invalid escape", KEEPS, .head = "{\"access_token\":\"a\\x\"," RT "}",
		.notice = "not a valid string"},
	{"with half a surrogate", KEEPS, .head = "{\"access_token\":\"\\ud800\"," RT "}",
		.notice = "not a valid string"},
	{"with blanks around it", GRANTS, .head = "{\"access_token\":\" at.2\\n\"," RT "}"},
	{"with escapes", GRANTS,
		.head = "{\"acc\\u0065ss_token\":\"\\u0061t.2\",\"refresh_token\":\"\\u0072t.2\"}"},
	{"expired when it comes", COMMITS(200, NULL, "rt.2", REFRESH_GRANTED),
		.head = "{\"access_token\":\"e30.eyJleHAiOjF9.x\"," RT "}",
		.notice = "had expired when it came"},
	/* the ID token */
	{"an ID token that is a number", GRANTS, .head = "{\"id_token\":7," AT "," RT "}"},
	{"one with a blank", GRANTS, .head = "{\"id_token\":\"a b\"," AT "," RT "}"},
	{"100000 bytes", GRANTS, .head = "{\"id_token\":\"", COPIES("i", 100000),
		.tail = "\"," AT "," RT "}"},
	{"a deep one", GRANTS, .head = "{" AT "," RT ",\"id_token\":", COPIES("[{\"x\":", 5000)},
	{"a deep one, closed", GRANTS,
		.head = "{\"id_token\":{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":"
			"{\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{}}}}}}}}}}}," AT "," RT "}"},
	{"an ID token alone", .status = 200, REPEATS, .head = "{" IT "}"},
	/* the others */
	{"a lifetime as a text", GRANTS, .head = "{" AT "," RT ",\"expires_in\":\"3600\"}"},
	{"no number", GRANTS, .head = "{" AT "," RT ",\"expires_in\":\"soon\"}"},
	{"a negative one", GRANTS, .head = "{" AT "," RT ",\"expires_in\":-1}"},
	{"a huge one", GRANTS, .head = "{" AT "," RT ",\"expires_in\":1e300}"},
	{"null", GRANTS, .head = "{\"expires_in\":null," AT "," RT "}"},
	{"an object", GRANTS, .head = "{\"expires_in\":{\"s\":1}," AT "," RT "}"},
	{"another token type", GRANTS, .head = "{\"token_type\":\"mac\"," AT "," RT "}"},
	{"a list of scopes", GRANTS, .head = "{\"scope\":[\"a\",{\"b\":\"]\"}]," AT "," RT "}"},
	{"no UTF-8", GRANTS, .head = "{\"scope\":\"caf\xe9\"," AT "," RT "}"},
	{"a null error", GRANTS, .head = "{\"error\":null," AT "," RT "}"},
	/* the refresh token */
	{"no refresh token", RENEWS, .head = "{" AT "}"},
	{"an empty one", RENEWS, .head = "{\"refresh_token\":\"\"," AT "}"},
	{"null", RENEWS, .head = "{\"refresh_token\":null," AT "}"},
	{"a number", RENEWS, .head = "{\"refresh_token\":7," AT "}",
		.notice = "new refresh token cannot be used"},
	{"an object", RENEWS, .head = "{\"refresh_token\":{\"a\":1}," AT "}",
		.notice = "new refresh token cannot be used"},
	{"with blanks and controls", COMMITS(200, "at.2", "r t\t\n\"\\", REFRESH_GRANTED),
		.head = "{" AT ",\"refresh_token\":\"r t\\t\\n\\\"\\\\\"}"},
	{"with a character beyond", COMMITS(200, "at.2", "r\xf0\x9f\x98\x80", REFRESH_GRANTED),
		.head = "{" AT ",\"refresh_token\":\"r\\ud83d\\ude00\"}"},
	{"the last of two", GRANTS, .head = "{\"refresh_token\":\"rt.9\"," AT "," RT "}"},
	{"the only text of two", GRANTS, .head = "{" RT "," AT ",\"refresh_token\":null}"},
	{"two access tokens", GRANTS, .head = "{" AT "," RT ",\"access_token\":{}}"},
	/* the document */
	{"text after the end", GRANTS, .head = WHOLE "\r\n-- \r\nbye {}"},
	{"two objects", GRANTS, .head = WHOLE "{\"refresh_token\":\"rt.9\"}"},
	{"a byte order mark", GRANTS, .head = "\xef\xbb\xbf" WHOLE},
	{"blanks before it", GRANTS, .head = " \t\r\n\r\n" WHOLE},
	{"a guard before it", GRANTS, .head = ")]}'\n" WHOLE},
	{"a list around it", GRANTS, .head = "[" WHOLE "]"},
	{"a comma too many", GRANTS, .head = "{" AT ",," RT ",}"},
	{"a quote too many", GRANTS, .head = "{\"scope\":\"a\"b\"," AT "," RT "}"},
	{"UTF-16", GRANTS, .head = WHOLE, .packing = UTF16},
	{"cut after the refresh token", GRANTS, .head = "{" AT "," RT},
	{"cut within the ID token", GRANTS, .head = "{" AT "," RT ",\"id_token\":\"ey"},
	{"cut within the access token", KEEPS, .head = "{" RT ",\"access_token\":\"at.",
		.notice = "access_token is missing"},
	{"cut within the refresh token", .status = 200, REPEATS,
		.head = "{" AT ",\"refresh_token\":\"rt."},
	{"cut before it", .status = 200, REPEATS, .head = "{" AT},
	{"nothing", .status = 200, REPEATS},
	{"a page", .status = 200, REPEATS, .head = HTML},
	{"no token", .status = 200, REPEATS, .head = "{}"},
	/* encodings */
	{"gzip", GRANTS, .head = WHOLE, .packing = GZIP, .encoding = "gzip"},
	{"deflate with a header", GRANTS, .head = WHOLE, .packing = ZLIB, .encoding = "deflate"},
	{"deflate without one", GRANTS, .head = WHOLE, .packing = BARE, .encoding = "deflate"},
	{"gzip without a label", GRANTS, .head = WHOLE, .packing = GZIP},
	{"gzip with another label", GRANTS, .head = WHOLE, .packing = GZIP, .encoding = "br"},
	{"a label without gzip", GRANTS, .head = WHOLE, .encoding = "gzip"},
	{"gzip in gzip", GRANTS, .head = WHOLE, .packing = TWICE, .encoding = "gzip, gzip"},
	{"gzip, cut in its trailer", GRANTS, .head = WHOLE, .packing = HALF, .encoding = "gzip"},
	{"a page in gzip", .status = 200, REPEATS, .head = HTML, .packing = GZIP},
	{"an unknown encoding", .status = 200, REPEATS, .head = "\x0b\x02\x80hm", .encoding = "br"},
	{"a bomb", .status = 200, REPEATS, COPIES("{\"a\":\"0000000000000000\",", 1000000),
		.packing = BOMB},
	{"a bomb behind the tokens", GRANTS, .head = "{" AT "," RT ",", COPIES("\"a\":1,", 1000000),
		.packing = BOMB},
	/* statuses */
	{"created", GRANTS_WITH(201), .head = WHOLE},
	{"accepted", GRANTS_WITH(202), .head = WHOLE},
	{"an error with both tokens", GRANTS_WITH(500), .head = WHOLE},
	{"an error with one token", .status = 500, REPEATS, .head = "{" RT "}"},
	{"an overload", .status = 503, REPEATS, .head = HTML},
	{"rejected", .status = 400, ENDS, .head = "{\"error\":\"invalid_grant\"}",
		.notice = "invalid_grant"},
	{"rejected with 200", .status = 200, ENDS, .head = "{\"error\":\"invalid_grant\"}",
		.notice = "invalid_grant"},
	{"rejected by type", .status = 401, ENDS,
		.head = "{\"error\":{\"type\":\"invalid_grant\",\"message\":\"}\"}}",
		.notice = "invalid_grant"},
	{"rejected in gzip", .status = 401, ENDS, .packing = GZIP,
		.head = "{\"error\":{\"code\":\"refresh_token_reused\"}}",
		.notice = "refresh_token_reused"},
	{"rejected, with another token", COMMITS(400, NULL, "rt.2", REFRESH_KEPT),
		.head = "{\"error\":\"invalid_grant\"," RT "}", .notice = "invalid_grant"},
	{"rejected, with the same token", .status = 400, ENDS,
		.head = "{\"error\":\"invalid_grant\",\"refresh_token\":\"rt.1\"}",
		.notice = "invalid_grant"},
	{"the client", .status = 401, RETRIES, .head = "{\"error\":\"invalid_client\"}"},
	{"the client with 200", .status = 200, RETRIES, .head = "{\"error\":\"invalid_client\"}"},
	{"forbidden", .status = 403, RETRIES, .head = HTML},
	{"not found, with a token", .status = 404, RETRIES, .head = "{" AT "," RT "}"},
	{"too many", .status = 429, RETRIES, .head = "{\"error\":\"rate_limited\"}"},
	{"elsewhere", .status = 302, RETRIES, .head = HTML},
};
#define REPLY_COUNT (sizeof(replies) / sizeof(replies[0]))

/* --- one reply --- */

static int setup(void **state)
{
	struct room *r = room_new();

	room_run(r,
		"PRAGMA synchronous = OFF;"
		"INSERT INTO upstreams (name, url, provider, token_url, client_id, created_ms)"
		" VALUES ('codex', 'https://h', 'codex', 'https://t/oauth/token', 'app', 0);"
		"INSERT INTO accounts (name, upstream_id, source, created_ms)"
		" VALUES ('a', 1, 'auth-json', 0)");
	*state = r;
	return 0;
}

static void put(struct room *r, enum credential_field field, const char *value)
{
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1, field,
				 slice_from_str(value), 0, &r->e),
		0);
}

static void start_anew(struct room *r)
{
	room_run(r,
		"DELETE FROM refreshes; DELETE FROM refresh_refusals; DELETE FROM notices;"
		"UPDATE accounts SET needs_login = ''");
	put(r, CREDENTIAL_ACCESS_TOKEN, "at.1");
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
	put(r, CREDENTIAL_ID_TOKEN, "id.1");
}

static void answer(struct room *r, const struct refresh_raw *raw)
{
	int64_t parent =
		room_number(r, "SELECT generation FROM credentials WHERE field = 'refresh_token'");

	assert_int_equal(
		refresh_journal_intend(r->control.store, 1, parent, raw->arrived_ms, &r->e), 0);
	assert_int_equal(
		refresh_journal_reply(r->control.store, r->control.vault, 1, parent, raw, &r->e),
		0);
}

static struct refresh_settled settle(struct room *r, enum refresh_outcome outcome)
{
	const struct refresh_account a = {.id = 1, .name = "a"};
	struct refresh_settled s = {0};

	if (refresh_settle(r->control.store, r->control.vault, &a, outcome, &s, &r->e))
		fail_msg("%s", r->e.text);
	return s;
}

static bool has_token(struct room *r, enum credential_field field, const char *value)
{
	struct credential c;

	assert_int_equal(
		credential_get(r->control.store, r->control.vault, 1, field, &c, &r->e), 0);
	bool same = slice_eq_str(buffer_slice(&c.value), value);
	credential_fini(&c);
	return same;
}

static bool has_notice(struct room *r, const char *words)
{
	char sql[256];

	if (!words)
		return room_number(r, NOTICES) == 0;
	snprintf(sql, sizeof(sql), NOTICES " AND instr(message, '%s')", words);
	return room_number(r, sql) == 1;
}

static void check(struct room *r, size_t i)
{
	const struct reply *one = &replies[i];
	struct buffer body = {0};

	make(one, &body);
	start_anew(r);
	answer(r,
		&(struct refresh_raw){one->status, buffer_slice(&body),
			one->encoding ? one->encoding : "", T, 0});
	struct refresh_settled s = settle(r, REFRESH_LOST);
	buffer_fini(&body);
	if (s.outcome != one->outcome || s.action.step != one->step)
		fail_msg("%zu %s: %s, step %d", i, one->name, refresh_outcome_name(s.outcome),
			(int)s.action.step);
	if (!has_token(r, CREDENTIAL_REFRESH_TOKEN, one->refresh ? one->refresh : "rt.1"))
		fail_msg("%zu %s: another refresh token is stored", i, one->name);
	bool expired = s.renewed && !one->access;
	if (!expired && !has_token(r, CREDENTIAL_ACCESS_TOKEN, one->access ? one->access : "at.1"))
		fail_msg("%zu %s: another access token is stored", i, one->name);
	if (!has_notice(r, one->notice))
		fail_msg("%zu %s: not the notice \"%s\"", i, one->name,
			one->notice ? one->notice : "none");
	bool settled = one->step == REFRESH_COMMIT || one->step == REFRESH_LOGIN;
	assert_true(!settled || room_number(r, "SELECT count(*) FROM refreshes") == 0);
}

static void no_refresh_token_of_a_reply_is_lost(void **state)
{
	for (size_t i = 0; i < REPLY_COUNT; i++)
		check(*state, i);
	assert_true(REPLY_COUNT >= 80);
}

/* Any prefix of the reply: the stored token is the old one or the new one. */
static void a_damaged_reply_never_stores_half_a_token(void **state)
{
	struct room *r = *state;
	char text[] = WHOLE;
	const size_t n = sizeof(text) - 1;

	start_anew(r);
	for (size_t i = 0; i < n; i++) {
		put(r, CREDENTIAL_REFRESH_TOKEN, "rt.1");
		answer(r, &(struct refresh_raw){200, {text, i}, "", T, 0});
		settle(r, REFRESH_LOST);
		bool whole = i > (size_t)(strstr(text, "rt.2\"") - text) + 4;
		assert_true(has_token(r, CREDENTIAL_REFRESH_TOKEN, whole ? "rt.2" : "rt.1"));
	}
}

static void a_reply_that_cannot_be_read_is_put_aside(void **state)
{
	struct room *r = *state;
	const char *first =
		"SELECT count(*) FROM refreshes WHERE reply IS NULL AND length(unread) > 0";

	start_anew(r);
	answer(r, &(struct refresh_raw){200, SLICE_LITERAL("\x0b\x02\x80hm"), "br", T, 0});
	struct refresh_settled s = settle(r, REFRESH_LOST);
	assert_int_equal(s.action.step, REFRESH_REPEAT);
	assert_non_null(strstr(s.fault.text, "\"br\""));
	assert_int_equal(room_number(r, first), 1);
	room_run(r, "CREATE TABLE kept AS SELECT unread FROM refreshes");
	answer(r, &(struct refresh_raw){200, SLICE_LITERAL("again"), "br", T, 0});
	settle(r, REFRESH_LOST);
	answer(r,
		&(struct refresh_raw){
			401, SLICE_LITERAL("{\"code\":\"refresh_token_reused\"}"), "", T, 0});
	assert_int_equal(settle(r, REFRESH_LOST).action.step, REFRESH_LOGIN);
	assert_true(has_notice(r, "could not be read"));
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM refreshes JOIN kept USING (unread)"), 1);
	/* A token that is replaced needs it no more. */
	put(r, CREDENTIAL_REFRESH_TOKEN, "rt.new");
	answer(r, &(struct refresh_raw){200, SLICE_LITERAL(WHOLE), "", T, 0});
	settle(r, REFRESH_LOST);
	assert_int_equal(room_number(r, "SELECT count(*) FROM refreshes"), 0);
	room_run(r, "DROP TABLE kept");
}

/* --- a day of refusals --- */

static struct refresh_settled refuse(
	struct room *r, unsigned status, const char *body, int64_t at_ms)
{
	answer(r, &(struct refresh_raw){status, slice_from_str(body), "", at_ms, 0});
	return settle(r, REFRESH_LOST);
}

/* The number of answers until the account needs a login; 0 = never. */
static int count_answers(struct room *r, unsigned status, const char *body, int64_t pause_ms)
{
	start_anew(r);
	for (int i = 0; i < 300; i++)
		if (refuse(r, status, body, T + i * pause_ms).action.step == REFRESH_LOGIN)
			return i + 1;
	return 0;
}

static void endless_refusals_need_a_login_after_a_day(void **state)
{
	static const struct {
		unsigned status;
		const char *body, *reason;
	} kinds[] = {
		{401, "{\"error\":\"invalid_client\"}", "invalid_client"},
		{400, "{\"error\":\"unauthorized_client\"}", "unauthorized_client"},
		{400, "{\"error\":{\"type\":\"invalid_request_error\"}}", "invalid_request_error"},
		{400, "", "status_400"},
		{403, HTML, "status_403"},
		{404, HTML, "status_404"},
		{302, "", "status_302"},
		{200, HTML, "status_200"},
		{200, "{}", "status_200"},
	};
	struct room *r = *state;
	char sql[128];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(
			count_answers(r, kinds[i].status, kinds[i].body, 20 * MINUTE_MS), 73);
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM accounts WHERE needs_login = '%s'",
			kinds[i].reason);
		assert_int_equal(room_number(r, sql), 1);
		assert_true(has_notice(r, "no refresh has succeeded since 2027-01-15T08:00:00Z"));
		assert_true(has_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.1"));
	}
}

static void other_failures_never_need_a_login(void **state)
{
	static const unsigned statuses[] = {500, 502, 503, 529, 408, 425, 429};
	struct room *r = *state;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		assert_int_equal(
			count_answers(r, statuses[i], "{\"error\":\"x\"}", 20 * MINUTE_MS), 0);
	assert_int_equal(count_answers(r, 200, "", 20 * MINUTE_MS), 0);
	assert_int_equal(count_answers(r, 200, "{\"access_tok", 20 * MINUTE_MS), 0);
}

static void a_jump_of_the_clock_is_no_day(void **state)
{
	struct room *r = *state;

	assert_int_equal(count_answers(r, 403, "", 30 * DAY_MS), 73);
	assert_int_equal(count_answers(r, 403, "", -DAY_MS), 0);
	assert_int_equal(count_answers(r, 403, "", 5 * MINUTE_MS), 289);
}

static void another_answer_begins_the_day_anew(void **state)
{
	struct room *r = *state;
	int64_t at = T;

	start_anew(r);
	for (int i = 0; i < 280; i++)
		refuse(r, 403, "", at += 5 * MINUTE_MS);
	refuse(r, 503, "", at += 5 * MINUTE_MS);
	for (int i = 0; i < 288; i++)
		assert_int_equal(
			refuse(r, 403, "", at += 5 * MINUTE_MS).action.step, REFRESH_RETRY);
	/* No answer at all ends nothing. */
	assert_int_equal(refresh_journal_intend(r->control.store, 1, 1, at, &r->e), 0);
	settle(r, REFRESH_NOT_SENT);
	assert_int_equal(refuse(r, 403, "", at + 5 * MINUTE_MS).action.step, REFRESH_LOGIN);
}

static struct refresh_item *scan(struct room *r, struct refresh_list *l)
{
	const struct refresh_clock at = {T, 1000000};

	assert_int_equal(refresh_list_scan(l, NULL, r->control.store, r->board, at, &r->e), 0);
	return refresh_list_find(l, 1);
}

static void a_refresh_on_request_ends_it(void **state)
{
	struct room *r = *state;
	struct refresh_list l = {0};

	assert_int_equal(
		count_answers(r, 401, "{\"error\":\"invalid_client\"}", 5 * MINUTE_MS), 289);
	assert_true(scan(r, &l)->wanted_ms == INT64_MAX);
	assert_int_equal(
		refuse(r, 401, "{\"error\":\"invalid_client\"}", T + 2 * DAY_MS).action.step,
		REFRESH_LOGIN);
	assert_int_equal(refuse(r, 200, WHOLE, T + 3 * DAY_MS).action.step, REFRESH_COMMIT);
	assert_int_equal(room_number(r, "SELECT count(*) FROM accounts WHERE needs_login = ''"), 1);
	assert_true(has_notice(r, NULL) && has_token(r, CREDENTIAL_REFRESH_TOKEN, "rt.2"));
	assert_int_equal(room_number(r, "SELECT count(*) FROM refresh_refusals"), 0);
	assert_true(scan(r, &l)->wanted_ms < INT64_MAX);
	/* A token that is used up is not tried again. */
	refuse(r, 403, "", T);
	refuse(r, 400, "{\"error\":\"invalid_grant\"}", T);
	assert_null(scan(r, &l));
	refresh_list_fini(&l);
}

/* Packed bytes have a brace near their start by chance, in one of some replies. */
static void a_packed_reply_is_text_whatever_its_tokens_are(void **state)
{
	static const int windows[] = {-15, 15, 31};
	uint64_t x = 88172645463325252;

	(void)state;
	for (int round = 0; round < 6000; round++) {
		struct buffer text = {0}, packed = {0}, read = {0};
		buffer_append_str(&text, "{\"access_token\": \"");
		for (int i = 0; i < 12; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			buffer_printf(&text, "%016llx", (unsigned long long)x);
		}
		buffer_append_str(&text, "\", \"expires_in\": 3600}");
		append_deflated(buffer_slice(&text), windows[round % 3], &packed);
		assert_int_equal(refresh_body_read(buffer_slice(&packed), &read), 0);
		assert_true(slice_eq(buffer_slice(&read), buffer_slice(&text)));
		buffer_fini(&text);
		buffer_fini(&packed);
		buffer_fini(&read);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_packed_reply_is_text_whatever_its_tokens_are),
		TEST(no_refresh_token_of_a_reply_is_lost),
		TEST(a_damaged_reply_never_stores_half_a_token),
		TEST(a_reply_that_cannot_be_read_is_put_aside),
		TEST(endless_refusals_need_a_login_after_a_day),
		TEST(other_failures_never_need_a_login),
		TEST(a_jump_of_the_clock_is_no_day),
		TEST(another_answer_begins_the_day_anew),
		TEST(a_refresh_on_request_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
