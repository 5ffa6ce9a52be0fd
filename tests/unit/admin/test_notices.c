/* Notices: raised, counted, resolved, acknowledged, listed. */
#include "tests/unit/admin/room.h"

#include "admin/api/metrics.h"
#include "admin/store/notices.h"
#include "admin/store/notices_kept.h"
#include "admin/store/sql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void raise_one(struct room *r, const char *kind, const char *subject, const char *message)
{
	assert_int_equal(notices_raise(r->control.store, kind, subject, message, &r->e), 0);
}

static void resolve(struct room *r, const char *kind, const char *subject)
{
	assert_int_equal(notices_resolve(r->control.store, kind, subject, &r->e), 0);
}

static int64_t open_ones(struct room *r)
{
	int64_t n = -1;

	assert_int_equal(notices_count_open(r->control.store, &n, &r->e), 0);
	return n;
}

/* The items of the list; the caller puts them. */
static json_object *list(struct room *r, const char *body)
{
	json_object *answer;

	assert_int_equal(room_call(r, COMMAND_NOTICES_LIST, NULL, body, &answer), 200);
	json_object *items = json_object_get(json_object_object_get(answer, "items"));
	json_object_put(answer);
	return items;
}

static const char *text(json_object *items, size_t at, const char *field)
{
	return json_object_get_string(
		json_object_object_get(json_object_array_get_idx(items, at), field));
}

static void has_metric(struct room *r, const char *line)
{
	struct buffer out = {0};

	metrics_render(&r->control, &out);
	if (!strstr(buffer_str(&out), line))
		fail_msg("lacks %s", line);
	buffer_fini(&out);
}

static void a_repeated_notice_is_counted(void **state)
{
	struct room *r = *state;

	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", "first");
	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", "second");
	raise_one(r, NOTICE_NEEDS_LOGIN, "account/b", "other subject");
	raise_one(r, NOTICE_ACCOUNT_INVALID, "account/a", "other kind");
	assert_int_equal(open_ones(r), 3);
	json_object *items = list(r, "{}");
	assert_int_equal(json_object_array_length(items), 3);
	assert_string_equal(text(items, 0, "kind"), "account_invalid");
	assert_string_equal(text(items, 2, "subject"), "account/a");
	assert_string_equal(text(items, 2, "message"), "second");
	assert_string_equal(text(items, 2, "count"), "2");
	assert_null(text(items, 2, "acked_at"));
	json_object_put(items);
	has_metric(r, "relay_notices_open 3\n");
	has_metric(r, "relay_notices_total{kind=\"needs_login\"} 2\n");
	has_metric(r, "relay_notices_total{kind=\"egress_mismatch\"} 0\n");
}

static void a_resolved_notice_is_closed_and_can_return(void **state)
{
	struct room *r = *state;

	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", "m");
	raise_one(r, NOTICE_ACCOUNT_SUSPENDED, "account/a", "m");
	raise_one(r, NOTICE_NEEDS_LOGIN, "account/ab", "m");
	resolve(r, NOTICE_NEEDS_LOGIN, "account/a");
	resolve(r, NOTICE_NEEDS_LOGIN, "account/none");
	assert_int_equal(open_ones(r), 2);
	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", "again");
	assert_int_equal(open_ones(r), 3);
	assert_int_equal(room_number(r, "SELECT count(*) FROM notices"), 4);
	resolve(r, NULL, "account/a");
	assert_int_equal(open_ones(r), 1);
	has_metric(r, "relay_notices_total{kind=\"needs_login\"} 3\n");
}

static void raising_is_part_of_the_transaction(void **state)
{
	struct room *r = *state;
	struct store *s = r->control.store;

	assert_int_equal(store_begin(s, &r->e), 0);
	raise_one(r, NOTICE_EGRESS_MISMATCH, "egress/e", "m");
	store_rollback(s);
	assert_int_equal(open_ones(r), 0);
	assert_int_equal(store_begin(s, &r->e), 0);
	raise_one(r, NOTICE_EGRESS_MISMATCH, "egress/e", "m");
	assert_int_equal(store_commit(s, &r->e), 0);
	assert_int_equal(open_ones(r), 1);
	has_metric(r, "relay_notices_total{kind=\"egress_mismatch\"} 1\n");
}

static void an_acknowledged_notice_is_kept_but_not_listed(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", "m");
	room_change(r, COMMAND_NOTICES_ACK, "1", "{}", &seen);
	room_seen_fini(&seen);
	json_object *items = list(r, "{}");
	assert_int_equal(json_object_array_length(items), 0);
	json_object_put(items);
	items = list(r, "{\"all\":true}");
	assert_int_equal(json_object_array_length(items), 1);
	assert_non_null(text(items, 0, "acked_at"));
	json_object_put(items);
	/* A second acknowledgement is no change. */
	uint64_t before = store_version(r->control.store);
	assert_int_equal(room_call(r, COMMAND_NOTICES_ACK, "1", "{}", NULL), 200);
	assert_true(store_version(r->control.store) == before);
	room_refuse(r, COMMAND_NOTICES_ACK, "2", "{}", 404, "no notice with id 2");
	room_refuse(r, COMMAND_NOTICES_ACK, "x", "{}", 400, "not the id of a notice");
}

static void status_shows_the_newest_open_ones(void **state)
{
	struct room *r = *state;
	char subject[NOTICES_SUBJECT_SIZE];
	char name[16];
	json_object *answer;

	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		raise_one(r, NOTICE_NEEDS_LOGIN, notices_subject("account", name, subject), "m");
	}
	resolve(r, NOTICE_NEEDS_LOGIN, "account/a11");
	assert_int_equal(room_call(r, COMMAND_STATUS, NULL, "{}", &answer), 200);
	json_object *notices = json_object_object_get(answer, "notices");
	assert_int_equal(json_object_get_int(json_object_object_get(answer, "notices_open")), 11);
	assert_int_equal(json_object_array_length(notices), 10);
	assert_string_equal(text(notices, 0, "subject"), "account/a10");
	json_object_put(answer);
}

static void takes_changes(struct room *r, bool does)
{
	assert_int_equal(sql_run(r->control.store, &r->e,
				 does ? "PRAGMA query_only = 0" : "PRAGMA query_only = 1", ""),
		0);
}

/* The message may be the text of an error, which the failure of the store writes over. */
static void a_failure_does_not_change_the_message(void **state)
{
	struct room *r = *state;
	size_t count;

	takes_changes(r, false);
	errtext_set(&r->e, 0, "%0200d", 7);
	const struct errtext before = r->e;
	assert_int_not_equal(
		notices_raise(r->control.store, NOTICE_STORE_DOWN, "store/store", r->e.text, &r->e),
		0);
	assert_string_not_equal(r->e.text, before.text);
	const struct kept_notice *kept = notices_kept_rows(r->control.store, &count);
	assert_int_equal(count, 1);
	assert_string_equal(kept->message, before.text);
	takes_changes(r, true);
	notices_kept_store(r->control.store);
	notices_kept_rows(r->control.store, &count);
	assert_int_equal(count, 0);
	json_object *items = list(r, "{}");
	assert_string_equal(text(items, 0, "message"), before.text);
	json_object_put(items);
}

static void old_acknowledged_notices_are_deleted_and_open_ones_kept(void **state)
{
	struct room *r = *state;
	char subject[NOTICES_SUBJECT_SIZE];

	raise_one(r, NOTICE_NEEDS_LOGIN, "account/open", "m");
	assert_int_equal(store_begin(r->control.store, &r->e), 0);
	for (int i = 0; i < NOTICES_KEPT + 50; i++) {
		snprintf(subject, sizeof(subject), "account/a%d", i);
		raise_one(r, NOTICE_ACCOUNT_INVALID, subject, "m");
		resolve(r, NOTICE_ACCOUNT_INVALID, subject);
	}
	raise_one(r, NOTICE_ACCOUNT_INVALID, "account/last", "m");
	assert_int_equal(store_commit(r->control.store, &r->e), 0);
	assert_int_equal(open_ones(r), 2);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM notices WHERE acked_ms > 0"), NOTICES_KEPT);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM notices WHERE subject = 'account/a49'"), 0);
	assert_int_equal(
		room_number(r, "SELECT count(*) FROM notices WHERE subject = 'account/a50'"), 1);
	has_metric(r, "relay_notices_total{kind=\"account_invalid\"} 1051\n");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	struct room *r = *state;
	char message[NOTICES_MESSAGE_MAX + 16];

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	memcpy(message + NOTICES_MESSAGE_MAX - 1, "\xc3\xa4", 2);
	raise_one(r, NOTICE_NEEDS_LOGIN, "account/a", message);
	json_object *items = list(r, "{}");
	assert_int_equal(strlen(text(items, 0, "message")), NOTICES_MESSAGE_MAX - 1);
	json_object_put(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)
		TEST(a_repeated_notice_is_counted),
		TEST(a_resolved_notice_is_closed_and_can_return),
		TEST(raising_is_part_of_the_transaction),
		TEST(an_acknowledged_notice_is_kept_but_not_listed),
		TEST(status_shows_the_newest_open_ones),
		TEST(old_acknowledged_notices_are_deleted_and_open_ones_kept),
		TEST(a_failure_does_not_change_the_message),
		TEST(a_long_message_is_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
