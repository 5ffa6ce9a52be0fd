#include "tests/unit/spoe/cmocka_env.h"

#include "admin/cli/command_table.h"

static const struct command_column columns[] = {
	{"name", "NAME", COLUMN_PLAIN},
	{"rpm", "RPM", COLUMN_LIMIT},
	{"ttfb", "TTFB", COLUMN_MS},
	{"bytes", "BYTES", COLUMN_BYTES},
	{"list", "LIST", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};

static void assert_list(const char *json, const char *want)
{
	json_object *items = json_tokener_parse(json);
	struct buffer out = {0};

	assert_non_null(items);
	command_table_list(columns, items, false, &out);
	assert_string_equal(buffer_str(&out), want);
	buffer_fini(&out);
	json_object_put(items);
}

static void columns_are_as_wide_as_their_content(void **state)
{
	(void)state;
	assert_list("[{\"name\":\"a-long-name\",\"rpm\":0,\"ttfb\":12,\"bytes\":5,\"list\":[]},"
		    "{\"name\":\"b\",\"rpm\":100000,\"ttfb\":-1,\"bytes\":2500000,"
		    "\"list\":[\"x\",\"y\"]}]",
		"NAME         RPM     TTFB   BYTES   LIST\n"
		"a-long-name  -       12 ms  5 B     -\n"
		"b            100000  -      2.5 MB  x,y\n");
}

static void an_empty_list_shows_its_titles(void **state)
{
	(void)state;
	assert_list("[]", "NAME  RPM  TTFB  BYTES  LIST\n");
}

static void width_counts_characters_not_bytes(void **state)
{
	(void)state;
	assert_list("[{\"name\":\"Größe\",\"rpm\":1}]",
		"NAME   RPM  TTFB  BYTES  LIST\n"
		"Größe  1    -     -      -\n");
}

static void terminal_control_characters_are_escaped(void **state)
{
	json_object *o = json_tokener_parse("{\"label\":\"a\\u001b[2Jb\\n\"}");
	struct buffer out = {0};

	(void)state;
	command_table_object(o, false, &out);
	assert_string_equal(buffer_str(&out), "label: a\\x1b[2Jb\\x0a\n");
	buffer_fini(&out);
	json_object_put(o);
}

static void objects_are_lines(void **state)
{
	json_object *o = json_tokener_parse("{\"name\":\"a\",\"pool\":null,\"on\":true,\"n\":5,"
					    "\"headers\":{\"X-A\":\"b\"},\"none\":{},\"e\":\"\"}");
	struct buffer out = {0};

	(void)state;
	command_table_object(o, false, &out);
	assert_string_equal(buffer_str(&out),
		"name: a\npool: -\non: yes\nn: 5\n"
		"headers:\n  X-A: b\nnone: -\ne: -\n");
	buffer_fini(&out);
	json_object_put(o);
}

static void status_has_sections(void **state)
{
	json_object *o = json_tokener_parse(
		"{\"mode\":\"single\",\"processes\":{\"keeper\":{\"pid\":7,\"uptime_s\":3700,"
		"\"restarts\":2,\"state\":\"serving\",\"last_restart\":\"hung\",\"last_restart_at\":\"T\"}},"
		"\"pools\":[],\"accounts\":[{\"name\":\"a\",\"upstream\":\"u\","
		"\"state\":\"open\",\"until_s\":300,\"circuit\":\"open\",\"risk\":0.25,"
		"\"egress\":[\"e\"],\"active\":1,\"requests\":9}]}");
	struct buffer out = {0};

	(void)state;
	command_table_status(o, false, &out);
	assert_string_equal(buffer_str(&out),
		"mode: single\n"
		"\nPROCESS  PID  UPTIME  STATE    RESTARTS  REASON  RESTARTED\n"
		"keeper   7    1h 1m   serving  2         hung    T\n"
		"\nACCOUNT  UPSTREAM  STATE  FOR    CIRCUIT  RISK  EGRESS  ACTIVE  REQUESTS\n"
		"a        u         open   5m 0s  open     0.25  e       1       9\n");
	buffer_fini(&out);
	json_object_put(o);
}

static void usage_is_a_table_below_its_object(void **state)
{
	json_object *o = json_tokener_parse(
		"{\"name\":\"acme\",\"usage\":[{\"window\":\"minute\",\"limit\":60,\"used\":58,"
		"\"remaining\":2,\"resets_at\":\"T1\"},{\"window\":\"month\",\"limit\":null,"
		"\"used\":1234,\"remaining\":null,\"resets_at\":\"T2\"}],\"in_use\":3}");
	struct buffer out = {0};

	(void)state;
	command_table_object(o, false, &out);
	assert_string_equal(buffer_str(&out),
		"name: acme\nin_use: 3\n"
		"\nWINDOW  LIMIT  USED  LEFT  RESETS\n"
		"minute  60     58    2     T1\n"
		"month   -      1234  -     T2\n");
	buffer_fini(&out);
	json_object_put(o);
}

static void status_lists_quotas_only_when_there_are_some(void **state)
{
	json_object *o = json_tokener_parse(
		"{\"processes\":{},\"quota\":[{\"tenant\":\"acme\",\"window\":\"day\",\"used\":80,"
		"\"limit\":100,\"resets_at\":\"T\"}]}");
	struct buffer out = {0};

	(void)state;
	command_table_status(o, false, &out);
	assert_string_equal(buffer_str(&out),
		"\nNEARLY USED UP  WINDOW  USED  LIMIT  RESETS\n"
		"acme            day     80    100    T\n");
	json_object_object_add(o, "quota", json_object_new_array());
	buffer_clear(&out);
	command_table_status(o, false, &out);
	assert_int_equal(out.len, 0);
	buffer_fini(&out);
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_as_wide_as_their_content),
		cmocka_unit_test(an_empty_list_shows_its_titles),
		cmocka_unit_test(width_counts_characters_not_bytes),
		cmocka_unit_test(terminal_control_characters_are_escaped),
		cmocka_unit_test(objects_are_lines),
		cmocka_unit_test(status_has_sections),
		cmocka_unit_test(usage_is_a_table_below_its_object),
		cmocka_unit_test(status_lists_quotas_only_when_there_are_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
