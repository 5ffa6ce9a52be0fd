/* relayadm judges each value that can be judged without the store, before it sends anything. */
#include "tests/unit/spoe/cmocka_env.h"

#include "admin/cli/command_call.h"
#include "admin/command/command_form.h"
#include "common/ip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 1200
#define LONG_MAX 8192
#define BAD_MAX 16

/* --- what is good and bad --- */

static char content_path[] = "/tmp/relay-judged-XXXXXX";

/* Texts that any content may be: a new option without a form is added here, or gets one. */
static const char *const free_texts[] = {"name", "reason", "client-id"};

static const struct sample {
	command_form_fn *form;
	const char *good;
	const char *bad[BAD_MAX];
} forms[] = {
	{form_url, "https://h", {"h", "ftp://h", "https://h:99999", "https://h/?a", "https://u@h"}},
	{form_prefix, "/v1", {"v1", "/v1/../x", "/v 1", "//"}},
	{form_probe, "/v1/models?limit=1&x=%20", {"models", "none/", "/a b", "/a#b", "/\xc3\xa9"}},
	{form_region, "eu-1", {"EU", "a b", "-"}},
	{form_source, "192.0.2.1", {"localhost", "192.0.2.256", "0.0.0.0", "224.0.0.1", "::"}},
	{form_socks4, "127.0.0.1:9", {"h:1", "127.0.0.1", "127.0.0.1:0", ":1", "127.0.0.1:x"}},
	{form_node, "h:1", {"h", "h:", "h:65536", "h h:1", "-h:1", "[::1:1"}},
	{form_listener, ":8080", {"localhost", ":99999", ":0", "h:1", "127.0.0.1:80 ssl crt x"}},
	{form_file, "/x", {"/a'b", "/a\"b", "/a\\b", "/\xc3\xa4"}},
	{form_code, "rate_limited", {"429", "Rate_limited", "nothing"}},
	{form_time, "2h", {"garbage", "-5m", "bad", "2026-13-01T00:00:00Z", "2026-01-31", "5y"}},
	{form_status, "5xx", {"0", "5XX", "9xx", "0xx", "20", "99", "600", "4x", "-1", "4xxx"}},
};

static const struct {
	enum command_type type;
	struct sample sample;
} types[] = {
	{COMMAND_NAME, {NULL, "a", {"A", "a b", "-", "\xc3\xa4", "a/b"}}},
	{COMMAND_NAMES, {NULL, "a,b", {"A", "a,,b", "a,a", "b,a,b"}}},
	{COMMAND_NUMBER, {NULL, "7", {"x", "-1", "1.5", "1x", "0x1", "99999999999999999999"}}},
	{COMMAND_SHARE, {NULL, "0.5", {"x", "2", "-0.1", "1.1", "nan"}}},
	{COMMAND_DURATION, {NULL, "5s", {"x", "-5m", "5y", "1.5s", "5 s", "99999999d"}}},
	{COMMAND_SWITCH, {NULL, "on", {"maybe", "ON", "1"}}},
	{COMMAND_CHOICE, {NULL, NULL, {"x", "X"}}},
	{COMMAND_NETWORK, {NULL, "192.0.2.0/24", {"x", "192.0.2.1/24", "1.2.3.256", "::/129"}}},
	{COMMAND_NETWORKS, {NULL, "192.0.2.1", {"x", "192.0.2.1/24", "192.0.2.1,192.0.2.1/32"}}},
	{COMMAND_SPAN, {NULL, "1s-2s", {"1s", "2s-1s", "x-y", "-", "0-0"}}},
	{COMMAND_REQUEST, {NULL, "01a22049-6bf7-7c2d-9755-98e4843787c0", {"1234", "x"}}},
	{COMMAND_HEADERS, {NULL, "X-A: b", {"x", "a b: c", ": v", "X-A:", "Host: h", "X-A: \x01"}}},
	{COMMAND_TEXT, {NULL, "x", {"a\nb", "\x7f"}}},
	{COMMAND_TEXTS, {NULL, "x", {"a\nb", "\x7f"}}},
	{COMMAND_PATH, {NULL, "/x", {"/a\nb", "/\x7f"}}},
	{COMMAND_CONTENT, {NULL, content_path, {NULL}}},
	{COMMAND_DOCUMENT, {NULL, content_path, {NULL}}},
	{COMMAND_OUTPUT, {NULL, "/x", {NULL}}},
};

static const struct sample *sample_of(const struct command_option *o)
{
	for (size_t i = 0; o->form && i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (forms[i].form == o->form)
			return &forms[i];
	}
	if (o->form)
		fail_msg("the form of %s has no samples", o->name);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].type == o->type)
			return &types[i].sample;
	}
	fail_msg("the type of %s has no samples", o->name);
	return NULL;
}

static const char *good_of(const struct command_option *o)
{
	static char choice[64];

	if (o->type != COMMAND_CHOICE)
		return sample_of(o)->good;
	snprintf(choice, sizeof(choice), "%.*s", (int)strcspn(o->choices, "|"), o->choices);
	return choice;
}

/* --- a command line --- */

struct line {
	const struct command *command;
	char *words[WORDS_MAX];
	int count;
	bool has_group;
};

static void put(struct line *l, const char *word)
{
	assert_true(l->count < WORDS_MAX);
	l->words[l->count] = strdup(word);
	assert_non_null(l->words[l->count++]);
}

static void put_option(struct line *l, const struct command_option *o, const char *value)
{
	char word[64];

	snprintf(word, sizeof(word), "--%s", o->name);
	put(l, word);
	if (command_option_takes_value(o))
		put(l, value);
	l->has_group = l->has_group || (o->group >= 'A' && o->group <= 'Z');
}

/* The values of a list are words. */
static void put_argument(struct line *l, const struct command_argument *a, const char *value)
{
	char *copy = strdup(value);
	char *rest = copy;
	char *word;

	while (a->repeats && (word = strsep(&rest, ",")))
		put(l, word);
	if (!a->repeats)
		put(l, value);
	free(copy);
}

static void put_needed(struct line *l, const struct command_option *o)
{
	struct slice rest = slice_from_str(o->needs ? o->needs : "");
	struct slice name;

	while (o->needs && slice_next(&rest, '|', &name)) {
		const struct command_option *other = command_option_find(l->command, name);
		struct slice back = slice_from_str(other->needs ? other->needs : "");
		struct slice more;
		put_option(l, other, good_of(other));
		while (other->needs && slice_next(&back, '|', &more)) {
			const struct command_option *third = command_option_find(l->command, more);
			if (third != o)
				put_option(l, third, good_of(third));
		}
	}
}

/* What the command needs, and one value under test. */
static void fill(struct line *l, const struct command_argument *argument,
	const struct command_option *option, const char *value)
{
	const struct command *c = l->command;

	put(l, "relayadm");
	put(l, c->noun);
	if (c->verb)
		put(l, c->verb);
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (o->required && o != option)
			put_option(l, o, good_of(o));
	}
	if (option) {
		put_needed(l, option);
		put_option(l, option, value);
	} else if (c->verb && strcmp(c->verb, "set") == 0) {
		put_option(l, c->options, good_of(c->options)); /* something to change */
	}
	for (const struct command_option *o = c->options; o && o->name && !l->has_group; o++) {
		if (o->group >= 'A' && o->group <= 'Z')
			put_option(l, o, good_of(o));
	}
	put(l, "--"); /* a bad value may look like an option */
	for (const struct command_argument *a = c->arguments; a->metavar; a++) {
		struct command_option o = command_argument_option(a);
		if (a == argument || !a->optional)
			put_argument(l, a, a == argument ? value : good_of(&o));
	}
}

static int judge(const struct command *c, const struct command_argument *argument,
	const struct command_option *option, const char *value)
{
	struct line l = {.command = c};
	struct command_args args;
	struct command_call call;
	struct errtext e = {""};

	fill(&l, argument, option, value);
	int error = command_args_parse(l.count, l.words, &args, &e);
	if (!error) {
		assert_ptr_equal(args.command, c);
		error = command_call_prepare(&args, &call, &e);
		command_args_fini(&args);
		if (!error)
			command_call_fini(&call);
	}
	if (error)
		assert_true(strlen(e.text) > 5);
	while (l.count)
		free(l.words[--l.count]);
	return error;
}

/* --- every value of every command --- */

struct value {
	const struct command *command;
	const struct command_argument *argument; /* or */
	const struct command_option *option;
	struct command_option row;
};

static void expect(const struct value *v, const char *value, int wanted)
{
	int error = judge(v->command, v->argument, v->option, value);

	if (error != wanted)
		fail_msg("%s %s: %s \"%.60s\" gives %d instead of %d", v->command->noun,
			v->command->verb ? v->command->verb : "", v->row.name, value, error,
			wanted);
}

/* `count` different names or networks, separated by commas. */
static void list_of(const struct command_option *o, size_t count, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s%zu", i ? "," : "",
			o->type == COMMAND_NETWORKS ? "192.0.2." : "n", i);
}

static void refuses_sizes(const struct value *v)
{
	const struct command_option *o = &v->row;
	bool is_list = o->type == COMMAND_NAMES || o->type == COMMAND_NETWORKS;
	bool is_text = o->type == COMMAND_TEXT || o->type == COMMAND_PATH;
	char text[LONG_MAX];

	if (o->type == COMMAND_NUMBER && o->max) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)o->max + 1);
		expect(v, text, -EINVAL);
	}
	if (o->type == COMMAND_DURATION && o->max) {
		snprintf(text, sizeof(text), "%llums", (unsigned long long)o->max + 1);
		expect(v, text, -EINVAL);
	}
	if (o->min)
		expect(v, "0", -EINVAL);
	if (is_list) {
		size_t most = o->max ? (size_t)o->max : CIDR_LIST_MAX;
		list_of(o, most, text, sizeof(text));
		expect(v, text, 0);
		list_of(o, most + 1, text, sizeof(text));
		expect(v, text, -EINVAL);
	}
	if (is_text || o->type == COMMAND_NAME) {
		memset(text, 'a', COMMAND_TEXT_MAX + 1);
		text[0] = o->type == COMMAND_PATH ? '/' : 'a';
		text[o->type == COMMAND_TEXT && o->max ? o->max + 1 : COMMAND_TEXT_MAX + 1] = '\0';
		expect(v, text, -EINVAL);
	}
}

static void judge_value(const struct value *v)
{
	const struct command_option *o = &v->row;
	const struct sample *s = sample_of(o);
	bool is_free = o->type != COMMAND_TEXT && o->type != COMMAND_TEXTS;

	for (size_t i = 0; i < sizeof(free_texts) / sizeof(free_texts[0]); i++)
		is_free = is_free || strcmp(free_texts[i], o->name) == 0;
	if (!is_free && !o->form)
		fail_msg("%s %s --%s has no form", v->command->noun, v->command->verb, o->name);
	expect(v, good_of(o), 0);
	for (size_t i = 0; i < BAD_MAX && s->bad[i]; i++)
		expect(v, s->bad[i], -EINVAL);
	expect(v, "", o->clearable ? 0 : -EINVAL);
	refuses_sizes(v);
}

static void every_value_is_judged(void **state)
{
	size_t count = 0;

	(void)state;
	for (int id = 0; id < COMMAND_COUNT; id++) {
		const struct command *c = command_row((enum command_id)id);
		for (const struct command_argument *a = c->arguments; a->metavar; a++, count++) {
			const struct value v = {c, a, NULL, command_argument_option(a)};
			judge_value(&v);
		}
		for (const struct command_option *o = c->options; o && o->name; o++) {
			const struct value v = {c, NULL, o, *o};
			if (!command_option_takes_value(o))
				continue;
			judge_value(&v);
			count++;
		}
	}
	assert_true(count > 150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_judged),
	};
	int fd = mkstemp(content_path);

	if (fd < 0 || write(fd, "x", 1) != 1)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	close(fd);
	unlink(content_path);
	return failed;
}
