#include "agent/bodyname.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define BODIES 4000
#define BODY_SIZE 8192

static struct bodyname find(const char *body)
{
	struct bodyname found;

	bodyname_find(slice_from_str(body), &found);
	return found;
}

/* --- kinds --- */

static const struct {
	const char *body;
	const char *kinds; /* of name and message; `-` = empty */
} kinds_of[] = {
	{"{\"model\":\"m\",\"input\":\"hi\",\"prompt_cache_key\":\"s1\"}", "km"},
	{"{\"prompt_cache_key\":\"s1\",\"metadata\":{\"user_id\":\"u\"}}", "k-"},
	{"{\"metadata\":{\"a\":{},\"user_id\":\"u\"},\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
		"um"},
	{"{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"x\"}]}",
		"m-"},
	{"{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"x\"}],\"role\":\"user\"}]}",
		"m-"},
	{"{\"input\":[{\"type\":\"message\",\"role\":\"developer\",\"content\":\"d\"},"
	 "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"}]}]}",
		"m-"},
	{"{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}]}", "m-"},
	{"{\"contents\":[{\"role\":\"model\",\"parts\":[]},{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}]}",
		"m-"},
	{"\n\t {\"\\u0070rompt_cache_ke\\u0079\" : \"s1\"}", "k-"},
	{"{\"messages\":[{\"role\":\"us\\u0065r\",\"content\":\"x\"}]}", "m-"},
	/* cut */
	{"{\"prompt_cache_key\":\"s1\"", "k-"},
	{"{\"prompt_cache_key\":\"s1", "--"},
	{"{\"metadata\":{\"user_id\":\"u\"", "u-"},
	{"{\"metadata\":{\"user_id\":\"u", "--"},
	{"{\"input\":\"hi there", "m-"},
	{"{\"messages\":[{\"role\":\"user\",\"content\":\"hi the", "m-"},
	{"{\"messages\":[{\"role\":\"user\",\"content\":", "--"},
	{"{\"messages\":[{\"content\":\"hi the", "--"},
	/* no names */
	{"", "--"},
	{"{}", "--"},
	{"[]", "--"},
	{"null", "--"},
	{"\"prompt_cache_key\"", "--"},
	{"[{\"prompt_cache_key\":\"s1\"}]", "--"},
	{"{\"a\":{\"prompt_cache_key\":\"s1\"}}", "--"},
	{"{\"prompt_cache_key\":\"\"}", "--"},
	{"{\"prompt_cache_key\":7}", "--"},
	{"{\"prompt_cache_key\":null,\"metadata\":null,\"input\":null}", "--"},
	{"{\"metadata\":\"user_id\"}", "--"},
	{"{\"metadata\":{\"user_id\":[\"u\"]}}", "--"},
	{"{\"metadata\":{\"a\":{\"user_id\":\"u\"}}}", "--"},
	{"{\"user_id\":\"u\"}", "--"},
	{"{\"input\":\"\"}", "--"},
	{"{\"input\":[1,\"x\",[]]}", "--"},
	{"{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}", "--"},
	{"{\"messages\":[{\"content\":\"x\"}]}", "--"},
	{"{\"messages\":[{\"role\":\"user\"}]}", "--"},
	{"{\"text\":\"{\\\"prompt_cache_key\\\":\\\"s1\\\"}\"}", "--"},
	{"{\"a\":}]{\"prompt_cache_key\":\"s1\"}", "--"},
	{"prompt_cache_key=s1", "--"},
};

static void the_first_of_three_names_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds_of) / sizeof(kinds_of[0]); i++) {
		struct bodyname found = find(kinds_of[i].body);
		const char kinds[] = {found.name[0] ? found.name[0] : '-',
			found.message[0] ? found.message[0] : '-', '\0'};
		if (strcmp(kinds, kinds_of[i].kinds) != 0)
			fail_msg(
				"%s: %s instead of %s", kinds_of[i].body, kinds, kinds_of[i].kinds);
		assert_true(found.name[0] == '\0' || strlen(found.name) == BODYNAME_LEN);
	}
}

static void a_name_is_what_it_says(void **state)
{
	struct bodyname plain = find("{\"prompt_cache_key\":\"s\xc3\xa4 1\"}");
	struct bodyname written =
		find("{\"x\":[1],\"prompt_cache_key\":\"\\u0073\\u00e4\\u00201\",\"y\":2}");

	(void)state;
	assert_string_equal(plain.name, written.name);
	assert_string_not_equal(plain.name, find("{\"prompt_cache_key\":\"s\xc3\xa4 2\"}").name);
	/* not as hashes of other kinds: the letter is a part of what is hashed */
	struct bodyname key = find("{\"prompt_cache_key\":\"x\"}");
	struct bodyname user = find("{\"metadata\":{\"user_id\":\"x\"}}");
	struct bodyname message = find("{\"input\":\"x\"}");
	assert_string_not_equal(key.name + 1, user.name + 1);
	assert_string_not_equal(key.name + 1, message.name + 1);
	assert_string_not_equal(user.name + 1, message.name + 1);
}

/* --- the first message --- */

/* Clients turn a text into parts, move marks for caches, and add what follows. */
static void a_message_is_its_text(void **state)
{
	static const char *const same[] = {
		"{\"input\":\"go on\"}",
		"{\"messages\":[{\"role\":\"user\",\"content\":\"go on\"}]}",
		"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"go on\"}]}]}",
		"{\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"go on\","
		"\"cache_control\":{\"type\":\"ephemeral\",\"text\":1}}]},{\"role\":\"assistant\",\"content\":\"x\"}]}",
		"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"go\\u0020on\"}]},"
		"{\"role\":\"user\",\"content\":\"more\"}]}",
		"{\"contents\":[{\"parts\":[{\"text\":\"go on\"},{\"inlineData\":{}}]}]}",
	};
	struct bodyname first = find(same[0]);

	(void)state;
	for (size_t i = 1; i < sizeof(same) / sizeof(same[0]); i++)
		assert_string_equal(find(same[i]).name, first.name);
	assert_string_not_equal(find("{\"input\":\"go off\"}").name, first.name);
	assert_string_not_equal(
		find("{\"contents\":[{\"parts\":[{\"text\":\"go\"},{\"text\":\" on\"}]}]}").name,
		first.name);
}

static void a_message_without_text_is_told_by_its_bytes(void **state)
{
	struct bodyname a =
		find("{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":\"AAAA\"}]}]}");
	struct bodyname b =
		find("{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":\"AAAB\"}]}]}");
	struct bodyname next =
		find("{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":\"AAAA\"}]},"
		     "{\"role\":\"user\",\"content\":\"x\"}]}");

	(void)state;
	assert_string_not_equal(a.name, b.name);
	assert_string_equal(a.name, next.name);
}

/* The end of a long message may be cut in one turn and whole in the next. */
static void only_the_start_of_a_message_counts(void **state)
{
	char *body = malloc(3 * BODYNAME_TEXT_MAX);
	struct bodyname found[3];

	(void)state;
	assert_non_null(body);
	int n = sprintf(body, "{\"input\":\"");
	memset(body + n, 'x', 2 * BODYNAME_TEXT_MAX);
	for (size_t i = 0; i < 3; i++)
		bodyname_find((struct slice){body, (size_t)n + BODYNAME_TEXT_MAX * i + i * i - 1},
			&found[i]);
	assert_string_not_equal(found[1].name, "");
	assert_string_equal(found[1].name, found[2].name);
	free(body);
}

/* --- any body: same values, other spelling and order --- */

struct body {
	char text[BODY_SIZE];
	size_t n;
	unsigned random;
};

static unsigned next_random(struct body *b, unsigned below)
{
	b->random = b->random * 1103515245u + 12345u;
	return (b->random >> 8) % below;
}

static void put(struct body *b, const char *text)
{
	size_t n = strlen(text);

	assert_true(b->n + n < sizeof(b->text));
	memcpy(b->text + b->n, text, n);
	b->n += n;
}

static void put_blanks(struct body *b)
{
	for (unsigned n = next_random(b, 3); n; n--)
		put(b, next_random(b, 2) ? " " : "\n");
}

/* ASCII without control characters, each as it is or as an escape. */
static void put_string(struct body *b, const char *text)
{
	char escape[8];

	put(b, "\"");
	for (; *text; text++) {
		bool must = *text == '"' || *text == '\\';
		if (next_random(b, 4) == 0)
			snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)*text);
		else
			snprintf(escape, sizeof(escape), must ? "\\%c" : "%c", *text);
		put(b, escape);
	}
	put(b, "\"");
}

static void put_filler(struct body *b, unsigned depth)
{
	static const char *const scalars[] = {"0", "-1.5e9", "true", "null", "\"{[\\\"]}\"",
		"\"\\\\\"", "\"prompt_cache_key\"", "{}", "[]", "\"\""};

	put_blanks(b);
	if (depth == 0 || next_random(b, 2)) {
		put(b, scalars[next_random(b, sizeof(scalars) / sizeof(scalars[0]))]);
		return;
	}
	bool object = next_random(b, 2);
	put(b, object ? "{" : "[");
	for (unsigned n = next_random(b, 4); n; n--) {
		if (object) {
			put_string(b, "prompt_cache_key");
			put(b, ":");
		}
		put_filler(b, depth - 1);
		put(b, n > 1 ? "," : "");
	}
	put_blanks(b);
	put(b, object ? "}" : "]");
}

static void put_member(struct body *b, const char *name)
{
	put(b, b->text[b->n - 1] == '{' ? "" : ",");
	put_blanks(b);
	put_string(b, name);
	put_blanks(b);
	put(b, ":");
	put_blanks(b);
}

static void make_body(struct body *b, const char *key, const char *message)
{
	bool key_first = next_random(b, 2);

	b->n = 0;
	put(b, "{");
	for (int i = 0; i < 2; i++) {
		for (unsigned n = next_random(b, 4); n; n--) {
			put_member(b, "tools");
			put_filler(b, 4);
		}
		if (key_first == !i) {
			put_member(b, "prompt_cache_key");
			put_string(b, key);
			continue;
		}
		put_member(b, "input");
		put(b, "[{");
		put_member(b, "role");
		put_string(b, "user");
		put_member(b, "content");
		put_string(b, message);
		put(b, "}]");
	}
	put(b, "}");
}

static void spelling_and_order_do_not_matter(void **state)
{
	struct body b = {.random = 1};
	struct bodyname first, found;

	(void)state;
	make_body(&b, "a \"key\"\\", "do [this]: {\"now\"}");
	bodyname_find((struct slice){b.text, b.n}, &first);
	assert_int_equal(first.name[0], 'k');
	assert_int_equal(first.message[0], 'm');
	for (int i = 0; i < BODIES; i++) {
		make_body(&b, "a \"key\"\\", "do [this]: {\"now\"}");
		bodyname_find((struct slice){b.text, b.n}, &found);
		assert_memory_equal(&found, &first, sizeof(found));
	}
}

/* A cut body has the names of the whole one, fewer, or a part of the message. */
static void a_cut_never_makes_another_name(void **state)
{
	struct body b = {.random = 7};
	struct bodyname whole, cut;

	(void)state;
	for (int i = 0; i < BODIES / 40; i++) {
		make_body(&b, "key", "message");
		bodyname_find((struct slice){b.text, b.n}, &whole);
		for (size_t n = 0; n < b.n; n++) {
			/* at the end of an allocation, so that instruments see reads behind it */
			char *text = malloc(n + 1);
			assert_non_null(text);
			memcpy(text + 1, b.text, n);
			bodyname_find((struct slice){text + 1, n}, &cut);
			free(text);
			if (cut.name[0] == 'k')
				assert_string_equal(cut.name, whole.name);
			else
				assert_true(cut.name[0] == '\0' || cut.name[0] == 'm');
			assert_true(cut.name[0] == 'k' || cut.message[0] == '\0');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_of_three_names_counts),
		cmocka_unit_test(a_name_is_what_it_says),
		cmocka_unit_test(a_message_is_its_text),
		cmocka_unit_test(a_message_without_text_is_told_by_its_bytes),
		cmocka_unit_test(only_the_start_of_a_message_counts),
		cmocka_unit_test(spelling_and_order_do_not_matter),
		cmocka_unit_test(a_cut_never_makes_another_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
