/* The global switches. */
#include "tests/unit/admin/room.h"

#include "common/snapshot.h"

#include <stdio.h>

static uint32_t flags_after(struct room *r, enum command_id id, const char *body)
{
	struct room_seen seen;

	room_change(r, id, NULL, body, &seen);
	uint32_t flags =
		seen.snapshot.head->flags & (SNAPSHOT_SITE_ENABLED | SNAPSHOT_SITE_SELF_USE);
	room_seen_fini(&seen);
	return flags;
}

static void shows(struct room *r, bool enabled, bool self_use)
{
	json_object *answer;

	assert_int_equal(room_call(r, COMMAND_SITE_SHOW, NULL, "{}", &answer), 200);
	assert_int_equal(
		json_object_get_boolean(json_object_object_get(answer, "enabled")), enabled);
	assert_int_equal(
		json_object_get_boolean(json_object_object_get(answer, "self_use")), self_use);
	json_object_put(answer);
}

static void switches_apply_when_the_command_returns(void **state)
{
	struct room *r = *state;

	shows(r, true, false);
	assert_int_equal(flags_after(r, COMMAND_SITE_DISABLE, "{}"), 0);
	shows(r, false, false);
	assert_int_equal(
		flags_after(r, COMMAND_SITE_SELF_USE, "{\"on\":true}"), SNAPSHOT_SITE_SELF_USE);
	assert_int_equal(flags_after(r, COMMAND_SITE_ENABLE, "{}"),
		SNAPSHOT_SITE_ENABLED | SNAPSHOT_SITE_SELF_USE);
	shows(r, true, true);
	assert_int_equal(
		flags_after(r, COMMAND_SITE_SELF_USE, "{\"on\":false}"), SNAPSHOT_SITE_ENABLED);
	shows(r, true, false);
	room_refuse(r, COMMAND_SITE_SELF_USE, NULL, "{}", 400, "on|off is missing");
}

static void status_shows_switches_and_bans(void **state)
{
	struct room *r = *state;
	json_object *answer;

	room_run(r,
		"INSERT INTO bans VALUES ('192.0.2.1', '', 'operator', 1, 0),"
		" ('192.0.2.2', '', 'agent', 1, 2)");
	flags_after(r, COMMAND_SITE_SELF_USE, "{\"on\":true}");
	assert_int_equal(room_call(r, COMMAND_STATUS, NULL, "{}", &answer), 200);
	json_object *site = json_object_object_get(answer, "site");
	assert_true(json_object_get_boolean(json_object_object_get(site, "enabled")));
	assert_true(json_object_get_boolean(json_object_object_get(site, "self_use")));
	json_object *counts = json_object_object_get(answer, "counts");
	assert_int_equal(json_object_get_int64(json_object_object_get(counts, "bans")), 1);
	json_object_put(answer);
}

static void own_tenants_are_marked(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	room_change(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"mine\",\"own\":true}", &seen);
	assert_int_equal(snapshot_tenant(&seen.snapshot, 1)->flags,
		SNAPSHOT_TENANT_ENABLED | SNAPSHOT_TENANT_OWN);
	room_seen_fini(&seen);
	room_change(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"theirs\"}", &seen);
	assert_int_equal(snapshot_tenant(&seen.snapshot, 2)->flags, SNAPSHOT_TENANT_ENABLED);
	room_seen_fini(&seen);
	room_change(r, COMMAND_TENANTS_SET, "mine", "{\"own\":false}", &seen);
	assert_int_equal(snapshot_tenant(&seen.snapshot, 1)->flags, SNAPSHOT_TENANT_ENABLED);
	room_seen_fini(&seen);
}

static void the_head_carries_the_agents_configuration(void **state)
{
	struct room *r = *state;
	struct room_seen seen;

	snprintf(r->control.config.region.s, sizeof(r->control.config.region.s), "eu-1");
	r->control.config.sticky_ttl_ms = 5000;
	r->control.config.bad_keys_max = 7;
	r->control.config.ban_ms = 9000;
	room_change(r, COMMAND_TENANTS_ADD, NULL, "{\"name\":\"t\"}", &seen);
	const struct snapshot_head *head = seen.snapshot.head;
	assert_string_equal(head->region, "eu-1");
	assert_int_equal(head->options.sticky_ttl_ms, 5000);
	assert_int_equal(head->options.bad_keys_max, 7);
	assert_int_equal(head->options.ban_ms, 9000);
	assert_int_equal(head->bans_taken, 0);
	room_seen_fini(&seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(switches_apply_when_the_command_returns),
		TEST(status_shows_switches_and_bans),
		TEST(own_tenants_are_marked),
		TEST(the_head_carries_the_agents_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
