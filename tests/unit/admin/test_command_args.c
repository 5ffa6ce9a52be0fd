#include "common/errtext.h"
#include "tests/unit/spoe/cmocka_env.h"

#include "admin/cli/command_args.h"

#include <errno.h>

#define ARGV(...) ((char *const[]){(char[]){"relayadm"}, __VA_ARGS__, NULL})
#define W(text) ((char[]){text})
#define COUNT(...) ((int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)))
#define PARSE(args, e, ...)                                                                        \
	command_args_parse(COUNT(__VA_ARGS__) + 1, ARGV(__VA_ARGS__), (args), (e))

static void takes_options_before_and_after_arguments(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(PARSE(&a, &e, W("--socket"), W("/s"), W("tenants"), W("add"), W("--rpm"),
				 W("5"), W("acme"), W("--pool=main"), W("--json")),
		0);
	assert_int_equal(a.want, ARGS_COMMAND);
	assert_ptr_equal(a.command, command_row(COMMAND_TENANTS_ADD));
	assert_string_equal(a.socket, "/s");
	assert_true(a.json);
	assert_int_equal(a.given_count, 3);
	assert_string_equal(a.given[0].option.name, "rpm");
	assert_true(slice_eq_str(a.given[0].text, "5"));
	assert_string_equal(a.given[1].option.name, "NAME");
	assert_true(slice_eq_str(a.given[2].text, "main"));
	command_args_fini(&a);
}

static void subject_goes_to_the_path(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(PARSE(&a, &e, W("pools"), W("set"), W("main"), W("a"), W("b"), W("--wait"),
				 W("5s")),
		0);
	assert_string_equal(a.subject, "main");
	assert_int_equal(a.given_count, 3);
	command_args_fini(&a);
}

static void double_dash_ends_options(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(PARSE(&a, &e, W("tenants"), W("show"), W("--"), W("--json")), 0);
	assert_string_equal(a.subject, "--json");
	assert_false(a.json);
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("apply"), W("-")), 0);
	assert_true(slice_eq_str(a.given[0].text, "-"));
	command_args_fini(&a);
}

static void help_is_found_everywhere(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(PARSE(&a, &e, W("help")), 0);
	assert_int_equal(a.want, ARGS_HELP);
	assert_null(a.noun);
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("tokens"), W("--help")), 0);
	assert_int_equal(a.want, ARGS_HELP);
	assert_string_equal(a.noun, "tokens");
	assert_null(a.command);
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("tokens"), W("issue"), W("-h")), 0);
	assert_int_equal(a.want, ARGS_HELP);
	assert_ptr_equal(a.command, command_row(COMMAND_TOKENS_ISSUE));
	command_args_fini(&a);
}

#define REFUSE(message, ...)                                                                       \
	do {                                                                                       \
		struct command_args a_;                                                            \
		struct errtext e_ = {""};                                                          \
		assert_int_equal(PARSE(&a_, &e_, __VA_ARGS__), -EINVAL);                           \
		if (!strstr(e_.text, message))                                                     \
			fail_msg("\"%s\" lacks \"%s\"", e_.text, message);                         \
	} while (0)

static void rejects_an_invalid_command_line(void **state)
{
	(void)state;
	REFUSE("unknown noun \"foo\"", W("foo"));
	REFUSE("unknown verb \"polish\" of accounts", W("accounts"), W("polish"));
	REFUSE("no verb given", W("tokens"));
	REFUSE("no command given", W("--json"));
	REFUSE("NAME is missing", W("tenants"), W("show"));
	REFUSE("nothing to change is given", W("pools"), W("set"), W("main"));
	REFUSE("nothing to change is given", W("tenants"), W("set"), W("main"));
	REFUSE("ACCOUNT is missing", W("pools"), W("add"), W("main"));
	REFUSE("one word too many", W("tenants"), W("show"), W("a"), W("b"));
	REFUSE("unknown option \"--x\"", W("tenants"), W("add"), W("a"), W("--x"));
	REFUSE("unknown option \"-x\"", W("tenants"), W("add"), W("-x"));
	REFUSE("needs a value", W("tenants"), W("add"), W("a"), W("--rpm"));
	REFUSE("needs a value", W("--socket"));
	REFUSE("takes no value", W("apply"), W("f"), W("--no-reload=1"));
	REFUSE("given twice", W("tenants"), W("add"), W("a"), W("--rpm=1"), W("--rpm=2"));
	REFUSE("unknown option", W("--rpm"), W("tenants"));
}

static void headers_may_repeat(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(PARSE(&a, &e, W("upstreams"), W("add"), W("u"), W("--url"), W("http://x"),
				 W("--header"), W("A: b"), W("--header"), W("C: d")),
		0);
	assert_int_equal(a.given_count, 4);
	command_args_fini(&a);
}

/* --- values --- */

static json_object *text_of(enum command_id id, const char *option, const char *const *texts)
{
	const struct command_option *o =
		command_option_find(command_row(id), slice_from_str(option));
	json_object *body = json_object_new_object();
	struct errtext e;

	assert_non_null(o);
	for (; *texts; texts++)
		assert_int_equal(command_text_add(o, slice_from_str(*texts), body, &e), 0);
	return body;
}

static void assert_json(
	enum command_id id, const char *option, const char *const *texts, const char *want)
{
	json_object *body = text_of(id, option, texts);

	assert_string_equal(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN), want);
	json_object_put(body);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void values_become_json(void **state)
{
	(void)state;
	assert_json(COMMAND_TENANTS_SET, "rpm", TEXTS("007"), "{\"rpm\":7}");
	assert_json(COMMAND_TENANTS_SET, "shadow", TEXTS("off"), "{\"shadow\":false}");
	assert_json(COMMAND_TENANTS_SET, "allow-ip", TEXTS("a, b"), "{\"allow_ip\":[\"a\",\"b\"]}");
	assert_json(COMMAND_TENANTS_SET, "allow-ip", TEXTS(""), "{\"allow_ip\":[]}");
	assert_json(COMMAND_TENANTS_SET, "pool", TEXTS(""), "{\"pool\":\"\"}");
	assert_json(COMMAND_ACCOUNTS_SET, "header", TEXTS("X-A: b", "X-C:d:e"),
		"{\"headers\":{\"X-A\":\"b\",\"X-C\":\"d:e\"}}");
	assert_json(COMMAND_ACCOUNTS_SET, "header", TEXTS(""), "{\"headers\":{}}");
	assert_json(COMMAND_HAPROXY_RENDER, "bind", TEXTS("a:1", "b:2"),
		"{\"bind\":[\"a:1\",\"b:2\"]}");
	assert_json(COMMAND_APPLY, "no-reload", TEXTS(""), "{\"no_reload\":true}");
	assert_json(COMMAND_APPLY, "no-reload", TEXTS("true"), "{\"no_reload\":true}");
}

static void refuse_text(enum command_id id, const char *option, const char *text)
{
	const struct command_option *o =
		command_option_find(command_row(id), slice_from_str(option));
	json_object *body = json_object_new_object();
	struct errtext e;

	assert_int_equal(command_text_add(o, slice_from_str(text), body, &e), -EINVAL);
	json_object_put(body);
}

static void rejects_malformed_values(void **state)
{
	(void)state;
	refuse_text(COMMAND_TENANTS_SET, "rpm", "5x");
	refuse_text(COMMAND_TENANTS_SET, "rpm", "-5");
	refuse_text(COMMAND_TENANTS_SET, "rpm", "");
	refuse_text(COMMAND_TENANTS_SET, "shadow", "maybe");
	refuse_text(COMMAND_ACCOUNTS_SET, "header", "no colon");
	refuse_text(COMMAND_APPLY, "no-reload", "false");
}

static void an_argument_of_choices_is_not_named_by_them(void **state)
{
	const struct command_argument *of = &command_row(COMMAND_NAMES_LIST)->arguments[0];
	const struct command_option o = command_argument_option(of);
	json_object *foo = json_object_new_string("foo");
	struct errtext e;

	(void)state;
	assert_int_equal(command_value_check(&o, foo, &e), -EINVAL);
	assert_true(strncmp(e.text, "\"foo\" is none of tenants|", 25) == 0);
	json_object_put(foo);
}

static void an_option_selects_the_form_of_a_command(void **state)
{
	struct command_args a;
	struct errtext e;

	(void)state;
	assert_int_equal(
		PARSE(&a, &e, W("accounts"), W("suspend"), W("a"), W("--reason"), W("r")), 0);
	assert_ptr_equal(a.command, command_row(COMMAND_ACCOUNTS_SUSPEND));
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("accounts"), W("suspend"), W("--reason"), W("r"),
				 W("--risk-above"), W("0.7")),
		0);
	assert_ptr_equal(a.command, command_row(COMMAND_ACCOUNTS_SUSPEND_RISKY));
	assert_null(a.subject);
	command_args_fini(&a);
	assert_int_equal(
		PARSE(&a, &e, W("accounts"), W("suspend"), W("--risk-above"), W("0.7"), W("a")),
		-EINVAL);
	assert_int_equal(
		PARSE(&a, &e, W("accounts"), W("suspend"), W("a"), W("--risk-above=0.7")), -EINVAL);
	assert_int_equal(PARSE(&a, &e, W("haproxy"), W("options")), 0);
	assert_ptr_equal(a.command, command_row(COMMAND_HAPROXY_OPTIONS));
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("haproxy"), W("options"), W("--stats"), W("")), 0);
	assert_ptr_equal(a.command, command_row(COMMAND_HAPROXY_OPTIONS_SET));
	command_args_fini(&a);
	assert_int_equal(PARSE(&a, &e, W("accounts"), W("suspend")), -EINVAL);
	assert_int_equal(PARSE(&a, &e, W("accounts"), W("resume"), W("--risk-above=0.7")), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_option_selects_the_form_of_a_command),
		cmocka_unit_test(takes_options_before_and_after_arguments),
		cmocka_unit_test(subject_goes_to_the_path),
		cmocka_unit_test(double_dash_ends_options),
		cmocka_unit_test(help_is_found_everywhere),
		cmocka_unit_test(rejects_an_invalid_command_line),
		cmocka_unit_test(headers_may_repeat),
		cmocka_unit_test(values_become_json),
		cmocka_unit_test(rejects_malformed_values),
		cmocka_unit_test(an_argument_of_choices_is_not_named_by_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
