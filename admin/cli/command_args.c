#include "admin/cli/command_args.h"

#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

struct parse {
	struct command_args *args;
	char *const *argv;
	int argc;
	int at;
	bool options_ended;
	size_t positional; /* how many arguments of the command were taken */
	struct errtext *e;
};

static int fail(struct parse *p, const char *what, const char *word)
{
	return errtext_set(p->e, -EINVAL, "%s \"%s\"", what, word);
}

static int take(struct parse *p, const struct command_option *o, struct slice text)
{
	struct command_args *a = p->args;

	if (a->given_count == COMMAND_ARGS_MAX)
		return errtext_set(p->e, -EINVAL, "too many values");
	a->given[a->given_count++] = (struct command_given){*o, text};
	return 0;
}

/* The value after `--name=`, or the next word. */
static int option_value(struct parse *p, const char *word, struct slice *ret)
{
	const char *equals = strchr(word, '=');

	if (equals) {
		*ret = slice_from_str(equals + 1);
		return 0;
	}
	if (p->at == p->argc)
		return errtext_set(p->e, -EINVAL, "%s needs a value", word);
	*ret = slice_from_str(p->argv[p->at++]);
	return 0;
}

static struct slice option_name(const char *word)
{
	return (struct slice){word + 2, strcspn(word + 2, "=")};
}

/* 1 = it was one, 0 = not, negative = failed */
static int take_global(struct parse *p, const char *word)
{
	static const struct {
		const char *name;
		enum command_args_want want;
	} wants[] = {
		{"--help", ARGS_HELP},
		{"-h", ARGS_HELP},
		{"--version", ARGS_VERSION},
		{"--generate-man", ARGS_MAN},
		{"--generate-completion", ARGS_COMPLETION},
	};
	struct slice value = {NULL, 0};

	for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		if (strcmp(word, wants[i].name) == 0) {
			p->args->want = wants[i].want;
			return 1;
		}
	}
	if (strcmp(word, "--json") == 0) {
		p->args->json = true;
		return 1;
	}
	if (!slice_eq_str(option_name(word), "socket"))
		return 0;
	int error = option_value(p, word, &value);
	if (!error && value.n == 0)
		error = errtext_set(p->e, -EINVAL, "--socket is empty");
	p->args->socket = value.p;
	return error ? error : 1;
}

static bool was_given(const struct command_args *a, const char *name)
{
	for (size_t i = 0; i < a->given_count; i++) {
		if (slice_eq_str(slice_from_str(a->given[i].option.name), name))
			return true;
	}
	return false;
}

/* An option that only another form of the command has selects that form, if its other options allow that. */
static const struct command_option *find_option(struct parse *p, struct slice name)
{
	struct command_args *a = p->args;
	const struct command_option *o = command_option_find(a->command, name);
	const struct command *other = command_next_form(a->command);

	if (o || !other || p->positional)
		return o;
	o = command_option_find(other, name);
	if (o)
		a->command = other;
	return o;
}

static int take_option(struct parse *p, const char *word)
{
	struct slice value = {NULL, 0};
	int global = word[1] == '-' || word[1] == 'h' ? take_global(p, word) : 0;

	if (global)
		return global < 0 ? global : 0;
	if (word[1] != '-' || !p->args->command)
		return fail(p, "unknown option", word);
	const struct command_option *o = find_option(p, option_name(word));
	if (!o)
		return fail(p, "unknown option", word);
	if (was_given(p->args, o->name) && !command_option_repeats(o))
		return errtext_set(p->e, -EINVAL, "--%s is given twice", o->name);
	if (!command_option_takes_value(o) && strchr(word, '='))
		return errtext_set(p->e, -EINVAL, "--%s takes no value", o->name);
	if (command_option_takes_value(o) && option_value(p, word, &value))
		return -EINVAL;
	return take(p, o, value);
}

static int take_argument(struct parse *p, const char *word)
{
	const struct command_argument *a = &p->args->command->arguments[p->positional];

	if (!a->metavar)
		return fail(p, "one word too many:", word);
	if (!a->repeats)
		p->positional++;
	if (!a->field && a->type != COMMAND_DOCUMENT && a->type != COMMAND_OUTPUT) {
		p->args->subject = word;
		return 0;
	}
	struct command_option o = command_argument_option(a);
	return take(p, &o, slice_from_str(word));
}

/* The first word is the noun; the second the verb, unless the noun is a whole command. */
static int take_word(struct parse *p, const char *word)
{
	struct command_args *a = p->args;

	if (a->command)
		return take_argument(p, word);
	if (!a->noun) {
		if (strcmp(word, "help") == 0) {
			a->want = ARGS_HELP;
			return 0;
		}
		if (!command_has_noun(word))
			return fail(p, "unknown noun", word);
		a->noun = word;
		a->command = command_find(word, NULL);
		return 0;
	}
	if (strcmp(word, "help") == 0) {
		a->want = ARGS_HELP;
		return 0;
	}
	a->command = command_find(a->noun, word);
	if (!a->command)
		return errtext_set(p->e, -EINVAL, "unknown verb \"%s\" of %s", word, a->noun);
	return 0;
}

static int check_complete(struct parse *p)
{
	const struct command_args *a = p->args;

	if (!a->noun)
		return errtext_set(p->e, -EINVAL, "no command given");
	if (!a->command)
		return errtext_set(p->e, -EINVAL, "%s: no verb given", a->noun);
	const struct command_argument *next = &a->command->arguments[p->positional];
	if (next->metavar && !next->optional && !(next->repeats && was_given(a, next->metavar)))
		return errtext_set(p->e, -EINVAL, "%s is missing", next->metavar);
	if (a->given_count == 0 && a->command->verb && strcmp(a->command->verb, "set") == 0)
		return errtext_set(p->e, -EINVAL, "nothing to change is given");
	return 0;
}

static int parse_words(struct parse *p)
{
	while (p->at < p->argc) {
		const char *word = p->argv[p->at++];
		int error;
		if (!p->options_ended && strcmp(word, "--") == 0) {
			p->options_ended = true;
			continue;
		}
		bool is_option = !p->options_ended && word[0] == '-' && word[1] != '\0';
		error = is_option ? take_option(p, word) : take_word(p, word);
		if (error)
			return error;
	}
	return p->args->want == ARGS_COMMAND ? check_complete(p) : 0;
}

int command_args_parse(int argc, char *const argv[], struct command_args *ret, struct errtext *e)
{
	struct parse p = {.args = ret, .argv = argv, .argc = argc, .at = 1, .e = e};

	*ret = (struct command_args){.want = ARGS_COMMAND};
	ret->given = calloc(COMMAND_ARGS_MAX, sizeof(*ret->given));
	if (!ret->given)
		return errtext_set(e, -ENOMEM, "out of memory");
	int error = parse_words(&p);
	if (error)
		command_args_fini(ret);
	return error;
}

void command_args_fini(struct command_args *a)
{
	free(a->given);
	a->given = NULL;
	a->given_count = 0;
}
