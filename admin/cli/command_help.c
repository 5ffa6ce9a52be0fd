#include "admin/cli/command_help.h"

#include "admin/command/command_rows.h"
#include "common/troff.h"

#include <ctype.h>

#define HELP_COLUMN 26

static const char exit_codes[] =
	"0 done, 1 refused (the reason on stderr), 2 wrong usage, 3 daemon unreachable.\n";

static void put_arguments(const struct command *c, struct buffer *out)
{
	for (const struct command_argument *a = c->arguments; a->metavar; a++)
		buffer_printf(out, a->optional ? " [%s%s]" : " %s%s", a->metavar,
			a->repeats ? "..." : "");
}

static void put_option(const struct command_option *o, struct buffer *out)
{
	buffer_printf(out, "--%s", o->name);
	if (o->metavar)
		buffer_printf(out, " %s", o->metavar);
}

static bool is_required_group(char group)
{
	return isupper((unsigned char)group) != 0;
}

static bool group_was_put(const struct command *c, const struct command_option *upto)
{
	for (const struct command_option *o = c->options; o != upto; o++) {
		if (o->group == upto->group)
			return true;
	}
	return false;
}

static void put_group(const struct command *c, char group, struct buffer *out)
{
	const char *separator = is_required_group(group) ? " (" : " [";

	for (const struct command_option *o = c->options; o->name; o++) {
		if (o->group != group)
			continue;
		buffer_append_str(out, separator);
		put_option(o, out);
		separator = " | ";
	}
	buffer_append_str(out, is_required_group(group) ? ")" : "]");
}

void command_synopsis(const struct command *c, struct buffer *out)
{
	buffer_printf(out, "%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
	put_arguments(c, out);
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (o->group) {
			if (!group_was_put(c, o))
				put_group(c, o->group, out);
			continue;
		}
		buffer_append_str(out, o->required ? " " : " [");
		put_option(o, out);
		buffer_append_str(out, o->required ? "" : "]");
		if (command_option_repeats(o))
			buffer_append_str(out, "...");
	}
}

static void put_help_line(const char *what, const char *help, struct buffer *out)
{
	if (strlen(what) > HELP_COLUMN)
		buffer_printf(out, "  %s\n  %-*s  %s\n", what, HELP_COLUMN, "", help);
	else
		buffer_printf(out, "  %-*s  %s\n", HELP_COLUMN, what, help);
}

/* With the choices, if the metavar does not list them. */
static void put_option_help(const struct command_option *o, struct buffer *out)
{
	buffer_append_str(out, o->help);
	if (!o->choices || strcmp(o->choices, o->metavar) == 0)
		return;
	buffer_append_str(out, "; one of ");
	for (const char *p = o->choices; *p; p++)
		buffer_append(out, *p == '|' ? ", " : p, *p == '|' ? 2 : 1);
}

static void put_form(const struct command *c, struct buffer *out)
{
	buffer_append_str(out, "usage: relayadm ");
	command_synopsis(c, out);
	buffer_printf(out, "\n\n%c%s.\n", toupper((unsigned char)c->help[0]), c->help + 1);
	if (c->options)
		buffer_append_str(out, "\n");
	for (const struct command_option *o = c->options; o && o->name; o++) {
		struct buffer what = {0};
		struct buffer help = {0};
		put_option(o, &what);
		put_option_help(o, &help);
		put_help_line(buffer_str(&what), buffer_str(&help), out);
		buffer_fini(&what);
		buffer_fini(&help);
	}
}

void command_help_command(const struct command *c, struct buffer *out)
{
	const struct command *first = command_find(c->noun, c->verb);

	for (const struct command *form = first; form; form = command_next_form(form)) {
		buffer_append_str(out, form == first ? "" : "\n");
		put_form(form, out);
	}
}

static void put_commands(const char *noun, struct buffer *out)
{
	for (int i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = command_row((enum command_id)i);
		if (strcmp(c->noun, noun) != 0)
			continue;
		struct buffer what = {0};
		buffer_printf(&what, "%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
		put_arguments(c, &what);
		put_help_line(buffer_str(&what), c->help, out);
		buffer_fini(&what);
	}
}

void command_help_noun(const char *noun, struct buffer *out)
{
	const struct command *whole = command_find(noun, NULL);

	if (whole) {
		command_help_command(whole, out);
		return;
	}
	buffer_printf(out, "usage: relayadm %s VERB ...\n\n%s: %s\n\n", noun, noun,
		command_noun_help(noun));
	put_commands(noun, out);
	buffer_printf(out, "\n\"relayadm %s VERB --help\" lists a verb's options.\n", noun);
}

void command_help_all(struct buffer *out)
{
	buffer_append_str(out, "usage: relayadm [--socket PATH] [--json] NOUN VERB ...\n");
	for (const struct command_noun *n = command_nouns(); n->name; n++) {
		buffer_printf(out, "\n%s: %s\n", n->name, command_noun_help(n->name));
		put_commands(n->name, out);
	}
	buffer_append_str(out,
		"\nOptions for all:\n"
		"  --socket PATH   admin socket of spoa-relay; else $RELAYADM_SOCKET, else " COMMAND_SOCKET
		"\n"
		"  --json          print the JSON answer, for scripts\n"
		"  --help          show this text, or the help of a noun or a command\n"
		"  --version       show the version\n\n");
	buffer_printf(out, "Exit status: %s", exit_codes);
}

/* --- troff --- */

static void put_man_options(const struct command *c, struct buffer *out)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		struct buffer what = {0};
		struct buffer help = {0};
		put_option(o, &what);
		put_option_help(o, &help);
		buffer_append_str(out, ".RS\n.TP\n\\fB");
		troff_text(out, buffer_str(&what));
		buffer_append_str(out, "\\fR\n");
		troff_text(out, buffer_str(&help));
		buffer_append_str(out, "\n.RE\n");
		buffer_fini(&what);
		buffer_fini(&help);
	}
}

static void put_man_command(const struct command *c, struct buffer *out)
{
	struct buffer synopsis = {0};

	command_synopsis(c, &synopsis);
	buffer_append_str(out, ".TP\n\\fB");
	troff_text(out, buffer_str(&synopsis));
	buffer_append_str(out, "\\fR\n");
	troff_text(out, c->help);
	buffer_append_str(out, ".\n");
	put_man_options(c, out);
	buffer_fini(&synopsis);
}

static void put_man_noun(const struct command_noun *n, struct buffer *out)
{
	buffer_append_str(out, ".SS ");
	troff_text(out, n->name);
	buffer_append_str(out, "\n");
	if (n->help) {
		troff_text(out, n->help);
		buffer_append_str(out, "\n");
	}
	for (int i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = command_row((enum command_id)i);
		if (strcmp(c->noun, n->name) == 0)
			put_man_command(c, out);
	}
}

void command_man(const char *version, struct buffer *out)
{
	troff_title(out, "RELAYADM", 1, version, "User Commands");
	buffer_append_str(out,
		".SH NAME\nrelayadm \\- administer spoa\\-relay\n"
		".SH SYNOPSIS\n\\fBrelayadm\\fR [\\fB\\-\\-socket\\fR \\fIPATH\\fR] "
		"[\\fB\\-\\-json\\fR] \\fINOUN VERB\\fR ...\n"
		".SH DESCRIPTION\nrelayadm sends commands to the control process of spoa\\-relay over its Unix "
		"socket. It prints tables, or with \\fB\\-\\-json\\fR the JSON answer. "
		"\\fBrelayadm doctor\\fR runs by itself, also when the relay does not.\n"
		"A name has 1 to 63 of the characters a\\-z 0\\-9 . _ \\-; the first is a letter or a digit. "
		"Durations are written as 500ms, 10s, 5m, 1h, 30d; a bare number is seconds.\n"
		".SH COMMANDS\n");
	for (const struct command_noun *n = command_nouns(); n->name; n++)
		put_man_noun(n, out);
	buffer_append_str(out,
		".SH ENVIRONMENT\n.TP\n\\fBRELAYADM_SOCKET\\fR\n"
		"Path of the admin socket when \\fB\\-\\-socket\\fR is not given; else " COMMAND_SOCKET
		".\n.SH EXIT STATUS\n");
	troff_text(out, exit_codes);
	buffer_append_str(out,
		".SH SEE ALSO\n.BR spoa\\-relay (8),\n.BR spoa\\-relay.conf (5),\n.BR haproxy (1)\n");
}
