#include "admin/command/command.h"

#include "admin/command/command_rows.h"

#include <stdio.h>

enum command_id command_id(const struct command *c)
{
	return (enum command_id)(c - command_row((enum command_id)0));
}

static bool same_word(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

const struct command *command_find(const char *noun, const char *verb)
{
	for (int i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = command_row((enum command_id)i);
		if (strcmp(c->noun, noun) == 0 && same_word(c->verb, verb))
			return c;
	}
	return NULL;
}

const struct command *command_next_form(const struct command *c)
{
	enum command_id next = command_id(c) + 1;
	const struct command *other = next < COMMAND_COUNT ? command_row(next) : NULL;

	if (!other || strcmp(c->noun, other->noun) != 0 || !same_word(c->verb, other->verb))
		return NULL;
	return other;
}

static const struct command_noun *find_noun(const char *name)
{
	for (const struct command_noun *n = command_nouns(); n->name; n++) {
		if (strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

bool command_has_noun(const char *noun)
{
	return find_noun(noun) != NULL;
}

const char *command_noun_help(const char *noun)
{
	const struct command_noun *n = find_noun(noun);
	const struct command *whole = command_find(noun, NULL);

	if (n && n->help)
		return n->help;
	return whole ? whole->help : "";
}

/* `name` is the path segment in place of {}; it is never empty. */
static bool path_matches(const char *template, struct slice path, struct slice *ret_name)
{
	struct slice want = slice_from_str(template);
	struct slice want_part;
	struct slice part;
	struct slice name = {NULL, 0};

	while (want.p && path.p) {
		if (!slice_next(&want, '/', &want_part) || !slice_next(&path, '/', &part))
			return false;
		if (slice_eq_str(want_part, "{}")) {
			if (part.n == 0)
				return false;
			name = part;
		} else if (!slice_eq(want_part, part)) {
			return false;
		}
	}
	if (want.p || path.p)
		return false;
	*ret_name = name;
	return true;
}

const struct command *command_route(
	const char *method, struct slice path, struct slice *ret_name, bool *ret_known)
{
	*ret_known = false;
	for (int i = 0; i < COMMAND_SERVED; i++) {
		const struct command *c = command_row((enum command_id)i);
		if (!path_matches(c->path, path, ret_name))
			continue;
		*ret_known = true;
		if (strcmp(c->method, method) == 0)
			return c;
	}
	return NULL;
}

const char *command_option_field(const struct command_option *o, char *out)
{
	snprintf(out, COMMAND_FIELD_SIZE, "%s", o->field ? o->field : o->name);
	if (!o->field) {
		for (char *p = out; *p; p++)
			*p = *p == '-' ? '_' : *p;
	}
	return out;
}

const struct command_option *command_option_find(const struct command *c, struct slice name)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (slice_eq_str(name, o->name))
			return o;
	}
	return NULL;
}

bool command_option_takes_value(const struct command_option *o)
{
	return o->type != COMMAND_FLAG && o->type != COMMAND_STDIN && o->type != COMMAND_ORIGIN;
}

struct command_option command_argument_option(const struct command_argument *a)
{
	return (struct command_option){
		.name = a->metavar,
		.field = a->field,
		.metavar = a->metavar,
		.type = a->type,
		.required = !a->optional,
		.max = a->max,
		.choices = a->choices,
	};
}

bool command_field_find(const struct command *c, const char *field, struct command_option *ret)
{
	char name[COMMAND_FIELD_SIZE];

	for (const struct command_argument *a = c->arguments; a->metavar; a++) {
		if (!a->field || strcmp(a->field, field) != 0)
			continue;
		*ret = command_argument_option(a);
		return true;
	}
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (strcmp(command_option_field(o, name), field) != 0)
			continue;
		*ret = *o;
		return true;
	}
	return false;
}

bool command_option_repeats(const struct command_option *o)
{
	return o->type == COMMAND_HEADERS || o->type == COMMAND_TEXTS;
}
