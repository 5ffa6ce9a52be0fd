#include "common/errtext.h"
#include "tests/unit/spoe/cmocka_env.h"

#include "admin/api/request.h"
#include "admin/cli/command_help.h"
#include "admin/command/command.h"

#include <errno.h>
#include <stdio.h>

#define EACH_COMMAND(c)                                                                            \
	for (const struct command *c = command_row((enum command_id)0);                            \
		c <= command_row((enum command_id)(COMMAND_COUNT - 1)); c++)
/* relayadm runs the others by itself */
#define EACH_SERVED(c)                                                                             \
	for (const struct command *c = command_row((enum command_id)0);                            \
		c <= command_row((enum command_id)(COMMAND_SERVED - 1)); c++)
#define EACH_OPTION(o, c) for (const struct command_option *o = (c)->options; o && o->name; o++)

static void every_row_is_complete(void **state)
{
	(void)state;
	EACH_COMMAND(c)
	{
		assert_non_null(c->noun);
		assert_true(strlen(c->help) > 5);
		assert_true(c->help[strlen(c->help) - 1] != '.');
		assert_true(command_has_noun(c->noun));
		assert_true(*command_noun_help(c->noun));
	}
}

static void every_served_row_is_complete(void **state)
{
	(void)state;
	EACH_SERVED(c)
	{
		assert_non_null(c->method);
		assert_true(strncmp(c->path, "/v1/", 4) == 0);
		assert_non_null(request_handler(command_id(c)));
		if (c->changes)
			assert_int_equal(c->authority, AUTHORITY_ADMIN);
		if (c->answer == ANSWER_LIST || c->answer == ANSWER_PAGES)
			assert_non_null(c->columns[0].field);
		bool has_hole = strstr(c->path, "{}") != NULL;
		bool fills_it = c->arguments[0].metavar && !c->arguments[0].field &&
			c->arguments[0].type != COMMAND_DOCUMENT &&
			c->arguments[0].type != COMMAND_OUTPUT;
		assert_int_equal(has_hole, fills_it);
	}
}

static void every_option_has_help_and_a_metavar(void **state)
{
	(void)state;
	EACH_COMMAND(c)
	{
		EACH_OPTION(o, c)
		{
			assert_true(o->help && strlen(o->help) > 3);
			assert_int_equal(command_option_takes_value(o), o->metavar != NULL);
			assert_true(o->type != COMMAND_CHOICE || o->choices);
			assert_true(!o->choices || o->type == COMMAND_CHOICE ||
				o->type == COMMAND_DURATION);
			assert_true(o->max == 0 || o->min <= o->max);
		}
	}
}

static void commands_routes_and_options_are_unique(void **state)
{
	(void)state;
	EACH_COMMAND(a)
	{
		const struct command *first = command_find(a->noun, a->verb);
		/* Another form of the same command is the next row. */
		assert_true(first == a || command_next_form(first) == a);
		EACH_SERVED(b)
		{
			assert_false(a->path && b > a && strcmp(a->path, b->path) == 0 &&
				strcmp(a->method, b->method) == 0);
		}
		EACH_OPTION(o, a)
		{
			assert_ptr_equal(command_option_find(a, slice_from_str(o->name)), o);
		}
	}
}

static void fields_are_option_names_with_underscores(void **state)
{
	char field[COMMAND_FIELD_SIZE];
	struct command_option found;

	(void)state;
	EACH_COMMAND(c)
	{
		EACH_OPTION(o, c)
		{
			command_option_field(o, field);
			assert_null(strchr(field, '-'));
			assert_true(command_field_find(c, field, &found));
		}
	}
	const struct command *add = command_row(COMMAND_TENANTS_ADD);
	assert_string_equal(
		command_option_field(command_option_find(add, SLICE_LITERAL("allow-ip")), field),
		"allow_ip");
}

static void routes_by_method_and_path(void **state)
{
	struct slice name;
	bool known;

	(void)state;
	assert_ptr_equal(
		command_route("POST", SLICE_LITERAL("/v1/tokens/12/revoke"), &name, &known),
		command_row(COMMAND_TOKENS_REVOKE));
	assert_true(slice_eq_str(name, "12"));
	assert_ptr_equal(command_route("GET", SLICE_LITERAL("/v1/tenants"), &name, &known),
		command_row(COMMAND_TENANTS_LIST));
	assert_null(command_route("PUT", SLICE_LITERAL("/v1/tenants"), &name, &known));
	assert_true(known);
	static const char *const unknown[] = {"/v1/tenants/", "/v1/nothing", "/", "",
		"/v1/tenants/a/b/c", "v1/tenants", "//v1/tenants"};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_null(command_route("GET", slice_from_str(unknown[i]), &name, &known));
		assert_false(known);
	}
}

static void route_leads_to(const struct command *c, const char *name)
{
	const char *hole = strstr(c->path, "{}");
	int start = (int)(hole ? hole - c->path : (ptrdiff_t)strlen(c->path));
	struct slice found_name;
	char path[256];
	bool known;

	snprintf(path, sizeof(path), "%.*s%s%s", start, c->path, hole ? name : "",
		hole ? hole + 2 : "");
	if (command_route(c->method, slice_from_str(path), &found_name, &known) != c)
		fail_msg("%s %s does not lead to %s %s", c->method, path, c->noun,
			c->verb ? c->verb : "");
}

/* An object may have the name of any verb. */
static void no_path_hides_an_object(void **state)
{
	(void)state;
	EACH_SERVED(c)
	{
		route_leads_to(c, "a-name");
		EACH_SERVED(other)
		{
			const char *last = strrchr(other->path, '/') + 1;
			if (strcmp(last, "{}") != 0)
				route_leads_to(c, last);
		}
	}
}

static void knows_valid_names(void **state)
{
	static const char *const good[] = {"a", "0", "a.b_c-d", "main", "9lives"};
	static const char *const bad[] = {"", "A", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n"};
	char longest[COMMAND_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(command_name_is_valid(slice_from_str(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(command_name_is_valid(slice_from_str(bad[i])));
	memset(longest, 'a', sizeof(longest));
	assert_true(command_name_is_valid((struct slice){longest, COMMAND_NAME_MAX}));
	assert_false(command_name_is_valid((struct slice){longest, COMMAND_NAME_MAX + 1}));
}

/* --- bodies --- */

static int check(enum command_id id, const char *json, struct errtext *e)
{
	json_object *body = json_tokener_parse(json);

	assert_non_null(body);
	int error = command_body_check(command_row(id), body, e);
	json_object_put(body);
	return error;
}

static void refuse(enum command_id id, const char *json, const char *message)
{
	struct errtext e = {""};

	assert_int_equal(check(id, json, &e), -EINVAL);
	if (!strstr(e.text, message))
		fail_msg("%s: \"%s\" lacks \"%s\"", json, e.text, message);
}

static void takes_good_bodies(void **state)
{
	struct errtext e = {""};

	(void)state;
	assert_int_equal(check(COMMAND_TENANTS_ADD,
				 "{\"name\":\"a\",\"rpm\":5,\"allow_ip\":[\"10.0.0.0/8\"],"
				 "\"shadow\":true,\"pool\":\"\",\"wait\":\"forever\"}",
				 &e),
		0);
	assert_int_equal(check(COMMAND_ACCOUNTS_ADD,
				 "{\"name\":\"a\",\"upstream\":\"u\",\"token\":\"t\",\"egress\":[],"
				 "\"headers\":{\"X-A\":\"b\"}}",
				 &e),
		0);
	assert_int_equal(check(COMMAND_POOLS_SET, "{\"accounts\":[\"a\",\"b\"]}", &e), 0);
}

static void refuses_bad_bodies_by_name(void **state)
{
	(void)state;
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"colour\":1}", "unknown field \"colour\"");
	refuse(COMMAND_TENANTS_ADD, "{}", "NAME is missing");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"A\"}", "is not a name");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":\"5\"}", "rpm: is not a whole number");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":-1}", "rpm: a number from 0");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":4294967296}", "rpm: a number from 0");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":99999999999999999999}",
		"rpm: a number");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":1.5}", "rpm: is not a whole number");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"rpm\":null}", "rpm: is not a whole number");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"allow_ip\":\"10.0.0.0/8\"}", "array");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"allow_ip\":[\"10.0.0.1/8\"]}", "10.0.0.1/8");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"shadow\":\"on\"}", "true or false");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"wait\":\"\"}",
		"not a duration (as 500ms, 10s, 30d), and none of refuse|forever");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"wait\":\"a\\u0000b\"}", "not a duration");
	refuse(COMMAND_TENANTS_ADD, "{\"name\":\"a\",\"wait\":\"11m\"}", "wait: at most 10m");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"a\",\"ttl\":\"soon\"}", "not a duration");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"a\",\"ttl\":\"0\"}",
		"ttl: must be at least 1ms");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"a\",\"count\":10001}",
		"count: a number from 1 to 10000");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"a\",\"count\":0}", "count: a number");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"a\",\"name\":\"b\\u0000c\"}",
		"control character");
	refuse(COMMAND_TOKENS_ISSUE, "{\"tenant\":\"\"}", "is not a name");
	refuse(COMMAND_BANS_ADD, "{\"network\":\"10.0.0.1/8\"}", "CIDR: \"10.0.0.1/8\" is not");
	refuse(COMMAND_ACCOUNTS_SET, "{\"pace\":\"1s\"}", "MIN-MAX");
	refuse(COMMAND_ACCOUNTS_SET, "{\"pace\":\"3s-1s\"}", "MIN-MAX");
	refuse(COMMAND_ACCOUNTS_SET, "{\"pace\":\"1s-11m\"}", "up to 10m");
	refuse(COMMAND_ACCOUNTS_SET, "{\"pace\":\"0-0\"}", "MIN-MAX");
	refuse(COMMAND_ACCOUNTS_SET, "{\"weight\":0}", "weight: a number from 1 to 1000");
	refuse(COMMAND_UPSTREAMS_ADD, "{\"name\":\"a\"}", "--url is missing");
	refuse(COMMAND_UPSTREAMS_ADD, "{\"name\":\"a\",\"url\":\"https://h\",\"provider\":\"y\"}",
		"none of");
	refuse(COMMAND_UPSTREAMS_ADD, "{\"name\":\"a\",\"url\":\"x\"}", "url: the URL must start");
	refuse(COMMAND_UPSTREAMS_SET, "{\"headers\":{\"X-A\":\"b\",\"x-a\":\"c\"}}",
		"\"x-a\" is given twice");
	refuse(COMMAND_UPSTREAMS_SET, "{\"headers\":{\"X-A\":5}}", "X-A is not a string");
	refuse(COMMAND_UPSTREAMS_SET, "{\"headers\":{\"X-A\":\"b\\r\\nc\"}}", "printable ASCII");
}

static void refuses_bodies_that_do_not_fit_together(void **state)
{
	(void)state;
	refuse(COMMAND_EGRESS_ADD, "{\"name\":\"e\"}", "give one of --source, --socks4, --node");
	refuse(COMMAND_EGRESS_ADD, "{\"name\":\"e\",\"source\":\"192.0.2.1\",\"node\":\"h:2\"}",
		"only one of");
	refuse(COMMAND_EGRESS_SET, "{\"source\":\"192.0.2.1\",\"socks4\":\"192.0.2.1:2\"}",
		"only one of");
	refuse(COMMAND_EGRESS_ADD, "{\"name\":\"e\",\"node\":\"h:2\",\"ca\":\"/x\"}",
		"--node: only with --cert");
	refuse(COMMAND_EGRESS_ADD, "{\"name\":\"e\",\"source\":\"192.0.2.1\",\"cert\":\"/x\"}",
		"--cert: only with --node");
	refuse(COMMAND_ACCOUNTS_ADD, "{\"name\":\"a\",\"upstream\":\"u\"}",
		"give one of --token-file");
	refuse(COMMAND_ACCOUNTS_SET, "{\"token\":\"a\",\"auth_json\":\"b\"}", "only one of");
	refuse(COMMAND_POOLS_ADD, "{\"accounts\":[]}", "ACCOUNT: at least one");
	refuse(COMMAND_POOLS_REMOVE, "{}", "ACCOUNT is missing");
	refuse(COMMAND_POOLS_REMOVE, "{\"accounts\":[\"a\",\"b\",\"a\"]}",
		"ACCOUNT: \"a\" is given twice");
	refuse(COMMAND_POOLS_SET, "{\"accounts\":[5]}", "array of strings");
	refuse(COMMAND_POOLS_SET, "{\"accounts\":[\"a\"],\"wait\":\"31s\"}", "wait: at most 30s");
}

static void checks_the_object_of_a_command(void **state)
{
	static const struct {
		enum command_id id;
		const char *bad, *good;
	} cases[] = {
		{COMMAND_TENANTS_SHOW, "A b", "ab"},
		{COMMAND_TOKENS_SHOW, "x1", "12"},
		{COMMAND_NOTICES_ACK, "-1", "0"},
		{COMMAND_REQUESTS_WHY, "1234", "01a22049-6bf7-7c2d-9755-98e4843787c0"},
	};
	struct errtext e = {""};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct command *c = command_row(cases[i].id);
		assert_int_equal(command_subject_check(c, cases[i].good, &e), 0);
		assert_int_equal(command_subject_check(c, cases[i].bad, &e), -EINVAL);
		assert_int_equal(command_subject_check(c, "", &e), -EINVAL);
	}
}

/* --- generated texts --- */

/* Text for troff has a backslash before a hyphen; no first part of a choice is another word of the help. */
static void help_names_every_choice(const struct command_option *o, const char *help)
{
	struct slice rest = slice_from_str(o->choices ? o->choices : "");
	struct slice choice;
	struct slice part;

	while (rest.n && slice_next(&rest, '|', &choice)) {
		slice_next(&choice, '-', &part);
		assert_non_null(memmem(help, strlen(help), part.p, part.n));
	}
}

static void help_names_every_command(void **state)
{
	struct buffer help = {0};
	struct buffer man = {0};
	struct buffer completion = {0};

	(void)state;
	command_help_all(&help);
	command_man("1.0", &man);
	command_completion(&completion);
	EACH_COMMAND(c)
	{
		assert_non_null(strstr(buffer_str(&help), c->help));
		if (c->verb)
			assert_non_null(strstr(buffer_str(&completion), c->verb));
		struct buffer one = {0};
		command_help_command(c, &one);
		EACH_OPTION(o, c)
		{
			char word[64];
			snprintf(word, sizeof(word), "--%s", o->name);
			assert_non_null(strstr(buffer_str(&one), word));
			assert_non_null(strstr(buffer_str(&completion), word));
			help_names_every_choice(o, buffer_str(&one));
			help_names_every_choice(o, buffer_str(&man));
		}
		buffer_fini(&one);
	}
	assert_non_null(strstr(buffer_str(&man), ".TH RELAYADM 1"));
	assert_non_null(strstr(buffer_str(&man), "\\-\\-allow\\-ip"));
	assert_null(strstr(buffer_str(&man), "\n'"));
	buffer_fini(&help);
	buffer_fini(&man);
	buffer_fini(&completion);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_complete),
		cmocka_unit_test(every_served_row_is_complete),
		cmocka_unit_test(every_option_has_help_and_a_metavar),
		cmocka_unit_test(commands_routes_and_options_are_unique),
		cmocka_unit_test(fields_are_option_names_with_underscores),
		cmocka_unit_test(routes_by_method_and_path),
		cmocka_unit_test(no_path_hides_an_object),
		cmocka_unit_test(knows_valid_names),
		cmocka_unit_test(takes_good_bodies),
		cmocka_unit_test(refuses_bad_bodies_by_name),
		cmocka_unit_test(refuses_bodies_that_do_not_fit_together),
		cmocka_unit_test(checks_the_object_of_a_command),
		cmocka_unit_test(help_names_every_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
