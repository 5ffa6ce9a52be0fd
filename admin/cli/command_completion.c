/*
 * The bash completion of relayadm, made from the rows. The names of things come from `relayadm names`: one request
 * that control answers in a millisecond, given up after a second.
 */
#include "admin/cli/command_help.h"

#include "admin/command/command_rows.h"

#define EACH_COMMAND(c)                                                                            \
	for (const struct command *c = command_row((enum command_id)0);                            \
		c <= command_row((enum command_id)(COMMAND_COUNT - 1)); c++)
#define EACH_OPTION(o, c) for (const struct command_option *o = (c)->options; o && o->name; o++)

/* The noun whose names a value is one of; NULL = none. */
static const char *noun_of_names(const struct command *c, const char *metavar)
{
	static const struct {
		const char *metavar;
		const char *noun;
	} nouns[] = {
		{"TENANT", "tenants"},
		{"UPSTREAM", "upstreams"},
		{"EGRESS,...", "egress"},
		{"ACCOUNT", "accounts"},
		{"POOL", "pools"},
	};

	for (size_t i = 0; metavar && i < sizeof(nouns) / sizeof(nouns[0]); i++) {
		if (strcmp(metavar, nouns[i].metavar) == 0)
			return nouns[i].noun;
	}
	if (!metavar || strcmp(metavar, "NAME") != 0 || !c->verb || strcmp(c->verb, "add") == 0)
		return NULL;
	return c->noun;
}

static const char *verb_of(const struct command *c)
{
	return c->verb ? c->verb : "";
}

static bool is_first_form(const struct command *c)
{
	return command_find(c->noun, c->verb) == c;
}

static void put_alternatives(struct buffer *out, const char *choices)
{
	for (const char *p = choices; *p; p++)
		buffer_append(out, *p == '|' ? " " : p, 1);
}

/* --- words before the one to complete --- */

static void put_flags(struct buffer *out)
{
	struct buffer seen = {0};

	buffer_append_str(&seen, " --json --help --version ");
	EACH_COMMAND(c)
	{
		EACH_OPTION(o, c)
		{
			struct buffer word = {0};
			buffer_printf(&word, " --%s ", o->name);
			if (!command_option_takes_value(o) &&
				!strstr(buffer_str(&seen), buffer_str(&word)))
				buffer_printf(&seen, "--%s ", o->name);
			buffer_fini(&word);
		}
	}
	struct slice rest = slice_trim(buffer_slice(&seen));
	struct slice one;
	const char *bar = "";
	while (slice_next(&rest, ' ', &one)) {
		buffer_printf(out, "%s%.*s", bar, (int)one.n, one.p);
		bar = " | ";
	}
	buffer_fini(&seen);
}

/* --- values of options --- */

static bool names_a_file(enum command_type type)
{
	return type == COMMAND_PATH || type == COMMAND_CONTENT || type == COMMAND_DOCUMENT ||
		type == COMMAND_OUTPUT;
}

static void put_option_value(
	const struct command *c, const struct command_option *o, struct buffer *out)
{
	const char *choices = o->type == COMMAND_SWITCH ? "on|off" : o->choices;
	const char *noun = noun_of_names(c, o->metavar);

	if (!choices && !noun && !names_a_file(o->type))
		return;
	buffer_printf(out, "\t\"%s %s --%s\") ", c->noun, verb_of(c), o->name);
	if (choices) {
		buffer_append_str(out, "words=\"");
		put_alternatives(out, choices);
		buffer_append_str(out, "\" ;;\n");
	} else if (noun) {
		buffer_printf(out, "of=%s ;;\n", noun);
	} else {
		buffer_append_str(out, "COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n");
	}
}

static void put_option_values(struct buffer *out)
{
	EACH_COMMAND(c)
	{
		EACH_OPTION(o, c)
		{
			put_option_value(c, o, out);
		}
	}
}

/* --- arguments --- */

static void put_argument(const struct command *c, size_t at, struct buffer *out)
{
	const struct command_argument *a = &c->arguments[at];
	const char *noun = noun_of_names(c, a->metavar);
	const char *choices = a->type == COMMAND_SWITCH ? "on|off" : a->choices;

	if (!noun && !choices)
		return;
	if (a->repeats)
		buffer_printf(out, "\t\t\"%s %s \"*) ", c->noun, verb_of(c));
	else
		buffer_printf(out, "\t\t\"%s %s %zu\") ", c->noun, verb_of(c), at);
	if (noun) {
		buffer_printf(out, "of=%s ;;\n", noun);
		return;
	}
	buffer_append_str(out, "words=\"");
	put_alternatives(out, choices);
	buffer_append_str(out, "\" ;;\n");
}

static void put_arguments(struct buffer *out)
{
	EACH_COMMAND(c)
	{
		for (size_t i = 0; is_first_form(c) && c->arguments[i].metavar; i++)
			put_argument(c, i, out);
	}
}

/* --- nouns, verbs, options --- */

/* The options of all forms, each once. */
static void put_options(const struct command *first, struct buffer *out)
{
	for (const struct command *c = first; c; c = command_next_form(c)) {
		EACH_OPTION(o, c)
		{
			if (c == first || !command_option_find(first, slice_from_str(o->name)))
				buffer_printf(out, " --%s", o->name);
		}
	}
}

static void put_verbs(const char *noun, struct buffer *out)
{
	const char *space = "";

	EACH_COMMAND(c)
	{
		if (!c->verb || strcmp(c->noun, noun) != 0 || !is_first_form(c))
			continue;
		buffer_printf(out, "%s%s", space, c->verb);
		space = " ";
	}
}

static void put_words(struct buffer *out)
{
	buffer_append_str(out, "\t\t\" \") words=\"--socket --json --help --version");
	for (const struct command_noun *n = command_nouns(); n->name; n++)
		buffer_printf(out, " %s", n->name);
	buffer_append_str(out, "\" ;;\n");
	for (const struct command_noun *n = command_nouns(); n->name; n++) {
		if (!n->help)
			continue;
		buffer_printf(out, "\t\t\"%s \") words=\"", n->name);
		put_verbs(n->name, out);
		buffer_append_str(out, "\" ;;\n");
	}
	EACH_COMMAND(c)
	{
		if (!is_first_form(c))
			continue;
		buffer_printf(out, "\t\t\"%s %s\") words=\"--json --help", c->noun, verb_of(c));
		put_options(c, out);
		buffer_append_str(out, "\" ;;\n");
	}
}

/* A noun that is a whole command has no verb, so that its arguments follow at once. */
static void put_whole_nouns(struct buffer *out)
{
	const char *bar = "";

	for (const struct command_noun *n = command_nouns(); n->name; n++) {
		if (n->help)
			continue;
		buffer_printf(out, "%s%s", bar, n->name);
		bar = " | ";
	}
}

static void put_parsing(struct buffer *out)
{
	buffer_append_str(out,
		"# bash completion for relayadm, made by relayadm --generate-completion\n"
		"_relayadm()\n{\n"
		"\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
		"\tlocal noun= verb= whole= socket= word words= of= before=\n"
		"\tlocal -i i at=0\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tword=${COMP_WORDS[i]}\n"
		"\t\tcase $word in\n"
		"\t\t--socket) i+=1; socket=${COMP_WORDS[i]} ;;\n\t\t");
	put_flags(out);
	buffer_append_str(out,
		") ;;\n"
		"\t\t--*) i+=1 ;;\n"
		"\t\t-*) ;;\n"
		"\t\t*) if [ -z \"$noun\" ]; then\n"
		"\t\t\t\tnoun=$word\n"
		"\t\t\t\tcase $noun in ");
	put_whole_nouns(out);
	buffer_append_str(out,
		") whole=yes ;; esac\n"
		"\t\t\telif [ -z \"$verb$whole\" ]; then verb=$word; else at+=1; fi ;;\n"
		"\t\tesac\n"
		"\tdone\n"
		"\tCOMPREPLY=()\n");
}

static void put_reply(struct buffer *out)
{
	buffer_append_str(out,
		"\tif [ -n \"$of\" ]; then\n"
		"\t\twords=$(timeout 1 \"${COMP_WORDS[0]}\" ${socket:+--socket \"$socket\"} names $of 2>/dev/null)\n"
		"\t\twords=${words//[^a-z0-9._$'\\n'-]/}\n"
		"\t\tcase $current in *,*) before=${current%,*},; current=${current##*,} ;; esac\n"
		"\t\tCOMPREPLY=($(compgen -P \"$before\" -W \"$words\" -- \"$current\"))\n"
		"\t\treturn\n"
		"\tfi\n"
		"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
		"\t[ \"${#COMPREPLY[@]}\" -gt 0 ] || COMPREPLY=($(compgen -f -- \"$current\"))\n"
		"}\ncomplete -F _relayadm relayadm\n");
}

void command_completion(struct buffer *out)
{
	put_parsing(out);
	buffer_append_str(out, "\tcase \"$noun $verb $previous\" in\n");
	put_option_values(out);
	buffer_append_str(out,
		"\tesac\n"
		"\tcase $current in\n"
		"\t-*) ;;\n"
		"\t*) [ -n \"$words$of\" ] || case \"$noun $verb $at\" in\n");
	put_arguments(out);
	buffer_append_str(out,
		"\t\tesac ;;\n"
		"\tesac\n"
		"\tif [ -z \"$words$of\" ]; then\n"
		"\t\tcase \"$noun $verb\" in\n");
	put_words(out);
	buffer_append_str(out, "\t\tesac\n\tfi\n");
	put_reply(out);
}
