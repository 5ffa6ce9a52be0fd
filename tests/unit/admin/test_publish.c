#include "admin/publish/keybase.h"
#include "tests/unit/admin/room.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define SMALL                                                                                        \
	"INSERT INTO upstreams (name, url, provider, headers, created_ms)"                           \
	" VALUES ('chat', 'https://chat.example/api', 'codex', '{\"X-One\":\"1\"}', 0);"             \
	"INSERT INTO egresses (name, kind, address, created_ms)"                                     \
	" VALUES ('east', 'source', '127.0.0.9', 0);"                                                \
	"INSERT INTO accounts (name, upstream_id, source, headers, created_ms)"                      \
	" VALUES ('a', 1, 'token', '{\"x-one\":\"2\"}', 0), ('b', 1, 'token', '{}', 0);"             \
	"INSERT INTO account_egresses VALUES (2, 2, 1), (2, 1, 2);"                                  \
	"INSERT INTO pools (name, upstream_id, strategy, created_ms)"                                \
	" VALUES ('p', 1, 'round-robin', 0);"                                                        \
	"INSERT INTO pool_members VALUES (1, 2, 1), (1, 1, 2);"                                      \
	"INSERT INTO tenants (name, pool_id, rpm, wait, allow_ip, created_ms)"                       \
	" VALUES ('acme', 1, 60, '1500', '10.0.0.0/8,::1', 0);"                                      \
	"INSERT INTO backends (upstream_id, egress_id, fingerprint, name, prefix, strip, first_gen," \
	" last_gen) VALUES (1, 1, 'f', 'b1', '/api', '', 1, 3), (1, 2, 'f', 'b2', '/api', '/v1', 1," \
	" NULL), (1, 1, 'g', 'b3', '', '', 4, NULL);"                                                \
	"INSERT INTO header_slots VALUES ('h_x', 'X-One', 2, NULL)"

static void publish(struct room *r, struct room_seen *seen)
{
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	if (publish_build(r->control.publish, &r->e) < 0)
		fail_msg("%s", r->e.text);
	publish_send(r->control.publish);
	room_take(r, seen);
}

static void carries_the_whole_configuration(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_put_token(r, 1, "sk-a");
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCOUNT_ID, SLICE_LITERAL("acct-1"), 0, &r->e),
		0);
	publish(r, &seen);
	const struct snapshot *s = &seen.snapshot;
	const struct snapshot_tenant *t = snapshot_tenant(s, 1);
	assert_non_null(t);
	assert_int_equal(t->limits.rpm, 60);
	assert_int_equal(t->wait, SNAPSHOT_WAIT_BOUNDED);
	assert_int_equal(t->wait_ms, 1500);
	assert_int_equal(t->networks.count, 2);
	const struct snapshot_pool *p = snapshot_pool(s, t->pool_id);
	assert_int_equal(p->strategy, SNAPSHOT_STRATEGY_ROUND_ROBIN);
	const uint32_t *members = SNAPSHOT_ROWS(s, MEMBER, uint32_t) + p->members.first;
	const struct snapshot_account *accounts =
		SNAPSHOT_ROWS(s, ACCOUNT, struct snapshot_account);
	assert_int_equal(accounts[members[0]].id, 2);
	assert_int_equal(accounts[members[1]].id, 1);
	assert_int_equal(accounts[1].flags, SNAPSHOT_ACCOUNT_NO_CREDENTIAL);
	assert_int_equal(accounts[0].flags, 0);
	assert_true(slice_eq_str(snapshot_text(s, accounts[0].credential), "sk-a"));
	assert_memory_equal(
		s->head->hash_secret, r->secrets.hash_secret, sizeof(s->head->hash_secret));
	assert_string_equal(s->head->secret, r->secrets.record_secret);
	assert_true(s->head->flags & SNAPSHOT_SECRET_BY_GEN);
	room_seen_fini(&seen);
}

static bool is_shared(struct room *r, uint32_t pool)
{
	struct room_seen seen;

	publish(r, &seen);
	bool shared = snapshot_pool(&seen.snapshot, pool)->flags & SNAPSHOT_POOL_SHARED;
	room_seen_fini(&seen);
	return shared;
}

static void a_pool_that_several_tenants_use_is_shared(void **state)
{
	struct room *r = *state;

	room_run(r, SMALL);
	assert_false(is_shared(r, 1));
	room_run(r, "INSERT INTO tenants (name, created_ms) VALUES ('other', 0), ('third', 0)");
	assert_false(is_shared(r, 1));
	/* the pool of a key counts too */
	room_run(r,
		"INSERT INTO keys (tenant_id, pool_id, hash, last4, created_ms, version)"
		" VALUES (2, 1, x'00', 'abcd', 0, 1)");
	assert_true(is_shared(r, 1));
	room_run(r, "UPDATE tenants SET pool_id = NULL");
	assert_false(is_shared(r, 1));
	room_run(r,
		"INSERT INTO keys (tenant_id, pool_id, hash, last4, created_ms, version)"
		" VALUES (3, 1, x'01', 'abcd', 0, 1)");
	assert_true(is_shared(r, 1));
	room_run(r, "DELETE FROM keys; UPDATE tenants SET pool_id = 1 WHERE id < 3");
	assert_true(is_shared(r, 1));
}

static bool is_probed(struct room *r)
{
	struct room_seen seen;

	publish(r, &seen);
	bool probed = SNAPSHOT_ROWS(&seen.snapshot, UPSTREAM, struct snapshot_upstream)[0].flags &
		SNAPSHOT_UPSTREAM_PROBED;
	room_seen_fini(&seen);
	return probed;
}

static void the_agent_knows_whose_accounts_are_probed(void **state)
{
	struct room *r = *state;

	room_run(r, SMALL);
	assert_true(is_probed(r));
	room_run(r, "UPDATE upstreams SET probe_path = 'none'");
	assert_false(is_probed(r));
	room_run(r, "UPDATE upstreams SET probe_path = '', provider = 'generic'");
	assert_false(is_probed(r));
	room_run(r, "UPDATE upstreams SET probe_path = '/health'");
	assert_true(is_probed(r));
}

static void egresses_follow_the_account_and_backends_the_pair(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_put_token(r, 1, "sk-a");
	room_put_token(r, 2, "sk-b");
	publish(r, &seen);
	const struct snapshot *s = &seen.snapshot;
	const struct snapshot_account *a = snapshot_account_by_id(s, 1);
	const struct snapshot_account *b = snapshot_account_by_id(s, 2);
	const struct snapshot_account_egress *choices =
		SNAPSHOT_ROWS(s, ACCOUNT_EGRESS, struct snapshot_account_egress);
	const struct snapshot_backend *backends =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);
	const struct snapshot_egress *egresses = SNAPSHOT_ROWS(s, EGRESS, struct snapshot_egress);
	/* An account without an egress uses direct, newest backend first. */
	assert_int_equal(a->egresses.count, 1);
	struct snapshot_range range = choices[a->egresses.first].backends;
	assert_int_equal(egresses[choices[a->egresses.first].egress].id, 1);
	assert_int_equal(range.count, 2);
	assert_int_equal(backends[range.first].id, 3);
	assert_true(backends[range.first].last_gen == UINT64_MAX);
	assert_int_equal(backends[range.first + 1].id, 1);
	assert_int_equal(backends[range.first + 1].last_gen, 3);
	/* In order of preference. */
	assert_int_equal(b->egresses.count, 2);
	assert_int_equal(egresses[choices[b->egresses.first].egress].id, 2);
	range = choices[b->egresses.first].backends;
	assert_int_equal(range.count, 1);
	assert_true(slice_eq_str(snapshot_text(s, backends[range.first].strip), "/v1"));
	room_seen_fini(&seen);
}

static void headers_are_merged_and_unrendered_ones_wait(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_put_token(r, 1, "sk-a");
	assert_int_equal(credential_put(r->control.store, r->control.vault, 1,
				 CREDENTIAL_ACCOUNT_ID, SLICE_LITERAL("acct-1"), 0, &r->e),
		0);
	publish(r, &seen);
	const struct snapshot *s = &seen.snapshot;
	const struct snapshot_account *a = snapshot_account_by_id(s, 1);
	const struct snapshot_header *h = SNAPSHOT_ROWS(s, HEADER, struct snapshot_header);
	char variable[SEAM_HEADER_VAR_SIZE];
	assert_int_equal(a->headers.count, 2);
	h += a->headers.first;
	assert_true(slice_eq_str(snapshot_text(s, h[0].value), "2"));
	assert_true(
		slice_eq_str(snapshot_text(s, h[0].variable), seam_header_var("x-one", variable)));
	assert_true(slice_eq_str(snapshot_text(s, h[1].value), "acct-1"));
	assert_true(a->first_gen == UINT64_MAX && h[0].first_gen == UINT64_MAX);
	room_seen_fini(&seen);
	room_run(r,
		"INSERT INTO header_slots (variable, name, first_gen)"
		" VALUES ('h_id', 'ChatGPT-Account-Id', 4)");
	publish(r, &seen);
	a = snapshot_account_by_id(&seen.snapshot, 1);
	assert_int_equal(a->first_gen, 4);
	assert_int_equal(a->headers.count, 2);
	room_seen_fini(&seen);
}

static void an_account_whose_token_does_not_open_has_no_egress(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_put_token(r, 1, "sk-a");
	room_put_token(r, 2, "sk-b");
	/* the token of another account */
	room_run(r,
		"UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE"
		" account_id = 2) WHERE account_id = 1");
	publish(r, &seen);
	const struct snapshot_account *a = snapshot_account_by_id(&seen.snapshot, 1);
	assert_int_equal(a->flags, SNAPSHOT_ACCOUNT_NO_CREDENTIAL);
	assert_int_equal(a->egresses.count, 0);
	assert_int_equal(a->credential.len, 0);
	assert_int_equal(snapshot_account_by_id(&seen.snapshot, 2)->flags, 0);
	room_seen_fini(&seen);
}

static void a_revoked_key_is_seen_in_the_log(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	struct room_seen later;

	room_run(r, SMALL);
	room_add_key(r, "one");
	room_add_key(r, "two");
	publish(r, &seen);
	assert_int_equal(seen.snapshot.base.count, 2);
	assert_int_equal(seen.snapshot.log.count, 0);
	assert_int_equal(room_find_key(r, &seen, "one")->flags, 0);
	assert_int_equal(room_find_key(r, &seen, "one")->networks.count, 1);
	assert_null(room_find_key(r, &seen, "three"));
	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	room_run(r,
		"UPDATE keys SET revoked_ms = 5, version = (SELECT CAST(value AS INTEGER) FROM"
		" settings WHERE name = 'version') WHERE id = 1");
	room_add_key(r, "three");
	publish(r, &later);
	assert_true(later.version > seen.version);
	assert_true(later.snapshot.base.id == seen.snapshot.base.id);
	assert_int_equal(later.snapshot.log.count, 2);
	assert_int_equal(room_find_key(r, &later, "one")->flags, SNAPSHOT_KEY_REVOKED);
	assert_int_equal(room_find_key(r, &later, "two")->flags, 0);
	assert_non_null(room_find_key(r, &later, "three"));
	room_seen_fini(&seen);
	room_seen_fini(&later);
}

static void add_keys(struct room *r, int first, int count)
{
	char text[32];

	assert_int_equal(store_begin(r->control.store, &r->e), 0);
	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "key-%d", first + i);
		room_add_key(r, text);
	}
	assert_int_equal(store_commit(r->control.store, &r->e), 0);
}

static void replace_agent(struct room *r)
{
	int pair[2];

	close(r->agent_fd);
	assert_int_equal(channel_pair(pair), 0);
	r->agent_fd = pair[1];
	publish_set_peer(r->control.publish, pair[0]);
}

static void revoke_key(struct room *r, unsigned id)
{
	char sql[200];

	assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
	snprintf(sql, sizeof(sql),
		"UPDATE keys SET revoked_ms = 5, version = (SELECT CAST(value AS INTEGER) FROM"
		" settings WHERE name = 'version') WHERE id = %u",
		id);
	room_run(r, sql);
}

/* A base with one row more than a step takes, and a log that is too long. */
static void fill_until_merge(struct room *r, struct room_seen *seen)
{
	room_run(r, SMALL);
	add_keys(r, 0, KEYBASE_STEP_ROWS + 1);
	publish(r, seen);
	room_seen_fini(seen);
	assert_false(publish_wants_merge(r->control.publish));
	add_keys(r, KEYBASE_STEP_ROWS + 1, KEYBASE_LOG_MAX);
	publish(r, seen);
	room_seen_fini(seen);
	assert_false(publish_wants_merge(r->control.publish));
	revoke_key(r, 1);
	publish(r, seen);
	assert_true(publish_wants_merge(r->control.publish));
	assert_int_equal(seen->snapshot.log.count, KEYBASE_LOG_MAX + 1);
}

static void a_long_log_becomes_a_new_base(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	unsigned steps = 0;

	fill_until_merge(r, &seen);
	const uint64_t first = seen.snapshot.base.id;
	room_seen_fini(&seen);
	for (; publish_wants_merge(r->control.publish); steps++)
		publish_merge(r->control.publish);
	assert_int_equal(steps, 3);
	revoke_key(r, 2);
	publish(r, &seen);
	assert_true(seen.snapshot.base.id > first);
	assert_int_equal(seen.snapshot.base.count, KEYBASE_STEP_ROWS + 1 + KEYBASE_LOG_MAX);
	assert_int_equal(seen.snapshot.log.count, 1);
	assert_int_equal(room_find_key(r, &seen, "key-0")->flags, SNAPSHOT_KEY_REVOKED);
	assert_int_equal(room_find_key(r, &seen, "key-1")->flags, SNAPSHOT_KEY_REVOKED);
	for (int i = 2; i < KEYBASE_STEP_ROWS + 1 + KEYBASE_LOG_MAX; i++) {
		char text[32];
		snprintf(text, sizeof(text), "key-%d", i);
		const struct snapshot_key *key = room_find_key(r, &seen, text);
		assert_int_equal(key->flags, 0);
		assert_int_equal(key->id, i + 1);
		assert_int_equal(key->networks.count, 1);
	}
	room_seen_fini(&seen);
}

static void changes_during_a_merge_stay_in_the_log(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	fill_until_merge(r, &seen);
	const uint64_t first = seen.snapshot.base.id;
	room_seen_fini(&seen);
	publish_merge(r->control.publish);
	revoke_key(r, 3);
	add_keys(r, 100000, 2);
	publish(r, &seen);
	assert_true(seen.snapshot.base.id == first);
	assert_int_equal(seen.snapshot.log.count, KEYBASE_LOG_MAX + 4);
	assert_int_equal(room_find_key(r, &seen, "key-2")->flags, SNAPSHOT_KEY_REVOKED);
	room_seen_fini(&seen);
	while (publish_wants_merge(r->control.publish))
		publish_merge(r->control.publish);
	room_add_key(r, "last");
	publish(r, &seen);
	assert_true(seen.snapshot.base.id > first);
	assert_int_equal(seen.snapshot.log.count, 4);
	assert_int_equal(room_find_key(r, &seen, "key-0")->flags, SNAPSHOT_KEY_REVOKED);
	assert_int_equal(room_find_key(r, &seen, "key-2")->flags, SNAPSHOT_KEY_REVOKED);
	assert_int_equal(room_find_key(r, &seen, "key-3")->flags, 0);
	assert_int_equal(room_find_key(r, &seen, "key-100001")->networks.count, 1);
	assert_int_equal(room_find_key(r, &seen, "last")->networks.first, 3);
	room_seen_fini(&seen);
}

/* The snapshot was built for the base from before the merge. */
static void a_new_agent_gets_the_base_of_its_snapshot(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	fill_until_merge(r, &seen);
	const uint64_t first = seen.snapshot.base.id;
	room_seen_fini(&seen);
	while (publish_wants_merge(r->control.publish))
		publish_merge(r->control.publish);
	replace_agent(r);
	publish_send(r->control.publish);
	room_take(r, &seen);
	assert_true(seen.snapshot.base.id == first);
	assert_int_equal(room_find_key(r, &seen, "key-0")->flags, SNAPSHOT_KEY_REVOKED);
	room_seen_fini(&seen);
}

static void a_rotated_key_keeps_its_family_without_the_first_key(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_add_key(r, "one");
	room_add_key(r, "two");
	room_run(r, "UPDATE keys SET family = 1, daily = 7, monthly = 8 WHERE id = 2");
	room_run(r, "DELETE FROM keys WHERE id = 1");
	publish(r, &seen);
	assert_null(room_find_key(r, &seen, "one"));
	assert_int_equal(room_find_key(r, &seen, "two")->family, 1);
	assert_int_equal(room_find_key(r, &seen, "two")->limits.daily, 7);
	assert_int_equal(room_find_key(r, &seen, "two")->limits.monthly, 8);
	room_seen_fini(&seen);
}

static void knows_what_the_agent_has_answered(void **state)
{
	struct room *r = *state;
	struct publish *p = r->control.publish;
	struct room_seen seen;

	room_run(r, SMALL);
	publish(r, &seen);
	assert_false(publish_is_late(p));
	room_acknowledge(r, seen.version, 0);
	publish_receive(p);
	assert_true(publish_acknowledged(p) == seen.version);
	assert_null(publish_refusal(p, seen.version));
	room_seen_fini(&seen);
	/* The agent rejects the next one. */
	publish(r, &seen);
	room_acknowledge(r, seen.version, -EBADMSG);
	publish_receive(p);
	assert_true(publish_acknowledged(p) == seen.version - 1);
	assert_string_equal(publish_refusal(p, seen.version), "a row points outside");
	assert_true(publish_is_late(p));
	room_seen_fini(&seen);
}

static void a_new_agent_gets_the_last_snapshot(void **state)
{
	struct room *r = *state;
	struct publish *p = r->control.publish;
	struct room_seen seen;

	room_run(r, SMALL);
	publish(r, &seen);
	uint64_t version = seen.version;
	room_seen_fini(&seen);
	replace_agent(r);
	assert_int_equal(publish_acknowledged(p), 0);
	publish_send(p);
	room_take(r, &seen);
	assert_true(seen.version == version);
	room_seen_fini(&seen);
}

static void fill_large(struct room *r)
{
	char sql[256];

	for (int i = 0; i < 100; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO tenants (name, pool_id, created_ms) VALUES"
			" ('t%d', 1, 0)",
			i);
		room_run(r, sql);
	}
	for (int i = 3; i <= 50; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO accounts (id, name, upstream_id, source,"
			" created_ms) VALUES (%d, 'a%d', 1, 'token', 0)",
			i, i);
		room_run(r, sql);
		room_put_token(r, i, "sk-0123456789");
	}
	add_keys(r, 0, 10000);
}

/* The bound is generous: a change must not rebuild the key base. */
static void a_change_among_ten_thousand_keys_is_quick(void **state)
{
	struct room *r = *state;
	struct room_seen seen;
	int64_t best = INT64_MAX;

	room_run(r, SMALL);
	fill_large(r);
	publish(r, &seen);
	room_seen_fini(&seen);
	for (int i = 0; i < 5; i++) {
		room_add_key(r, i == 0 ? "p" : i == 1 ? "q" : i == 2 ? "r" : i == 3 ? "s" : "t");
		int64_t start = room_cpu_ns();
		publish(r, &seen);
		int64_t took = room_cpu_ns() - start;
		best = took < best ? took : best;
		assert_int_equal(seen.snapshot.log.count, i + 1);
		room_seen_fini(&seen);
	}
	print_message("build, send, open: %lld us\n", (long long)(best / 1000));
	assert_true(best < 100000000);
}

/* The database constraints are off: this tests the second check. */
static void an_unknown_value_in_the_store_is_an_error(void **state)
{
	static const struct {
		const char *bad, *good, *words;
	} cases[] = {
		{"UPDATE pools SET strategy = 'random'", "UPDATE pools SET strategy = 'sticky'",
			"unknown strategy \"random\""},
		{"UPDATE pools SET sticky = ''", "UPDATE pools SET sticky = 'soft'",
			"unknown stickiness \"\""},
		{"UPDATE upstreams SET provider = 'gem'", "UPDATE upstreams SET provider = 'codex'",
			"unknown provider"},
		{"UPDATE tenants SET wait = 'later'", "UPDATE tenants SET wait = 'refuse'",
			"malformed wait"},
		{"INSERT INTO settings VALUES ('site_enabled', 'yes')",
			"DELETE FROM settings WHERE name = 'site_enabled'", "neither on nor off"},
	};
	struct room *r = *state;
	struct room_seen seen;

	room_run(r, SMALL);
	room_run(r, "PRAGMA ignore_check_constraints = ON");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		room_run(r, cases[i].bad);
		assert_int_equal(store_bump_version(r->control.store, &r->e), 0);
		assert_int_equal(publish_build(r->control.publish, &r->e), -EBADMSG);
		if (!strstr(r->e.text, cases[i].words))
			fail_msg("%s: %s", cases[i].bad, r->e.text);
		room_run(r, cases[i].good);
	}
	publish(r, &seen);
	room_seen_fini(&seen);
}

static int64_t open_notices(struct room *r)
{
	return room_number(r,
		"SELECT count(*) FROM notices WHERE acked_ms = 0 AND kind = 'snapshot_given_up'");
}

static void a_version_that_was_given_up_is_not_sent_again(void **state)
{
	struct room *r = *state;
	struct publish *p = r->control.publish;
	struct channel_message m;
	int fds[CHANNEL_FDS_MAX];
	struct room_seen seen;

	room_run(r, SMALL);
	publish(r, &seen);
	room_seen_fini(&seen);
	assert_null(publish_refusal(p, publish_version(p)));
	publish_give_up(p, publish_version(p));
	publish_give_up(p, publish_version(p));
	assert_non_null(publish_refusal(p, publish_version(p)));
	assert_int_equal(open_notices(r), 1);
	replace_agent(r);
	publish_send(p);
	assert_int_equal(channel_receive(r->agent_fd, &m, fds), -EAGAIN);
	assert_non_null(publish_refusal(p, publish_version(p)));
	/* an answer that was on its way is none to a later version */
	room_acknowledge(r, publish_version(p), 0);
	publish_receive(p);
	assert_int_equal(open_notices(r), 1);
	publish(r, &seen);
	assert_true(seen.version == publish_version(p));
	assert_null(publish_refusal(p, seen.version));
	room_acknowledge(r, seen.version, 0);
	publish_receive(p);
	assert_int_equal(open_notices(r), 0);
	room_seen_fini(&seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(carries_the_whole_configuration),
		TEST(a_pool_that_several_tenants_use_is_shared),
		TEST(the_agent_knows_whose_accounts_are_probed),
		TEST(egresses_follow_the_account_and_backends_the_pair),
		TEST(headers_are_merged_and_unrendered_ones_wait),
		TEST(an_account_whose_token_does_not_open_has_no_egress),
		TEST(an_unknown_value_in_the_store_is_an_error),
		TEST(a_revoked_key_is_seen_in_the_log),
		TEST(a_long_log_becomes_a_new_base),
		TEST(changes_during_a_merge_stay_in_the_log),
		TEST(a_new_agent_gets_the_base_of_its_snapshot),
		TEST(a_rotated_key_keeps_its_family_without_the_first_key),
		TEST(knows_what_the_agent_has_answered),
		TEST(a_new_agent_gets_the_last_snapshot),
		TEST(a_version_that_was_given_up_is_not_sent_again),
		TEST(a_change_among_ten_thousand_keys_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
