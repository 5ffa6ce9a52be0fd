/*
 * The command line of relayadm, parsed by the rows. Pure: files are not opened here. Options come
 * before or after arguments, as `--name value` or `--name=value`; `--` ends them.
 */
#ifndef RELAY_ADMIN_CLI_COMMAND_ARGS_H
#define RELAY_ADMIN_CLI_COMMAND_ARGS_H

#include "admin/command/command.h"

#define COMMAND_ARGS_MAX 1100 /* values on one command line */

enum command_args_want {
	ARGS_COMMAND, /* run `command` */
	ARGS_HELP,    /* of `command`, of `noun`, or of all */
	ARGS_VERSION,
	ARGS_MAN,	 /* --generate-man */
	ARGS_COMPLETION, /* --generate-completion */
};

struct command_given {
	struct command_option option;
	struct slice text;
};

struct command_args {
	enum command_args_want want;
	const char *socket; /* NULL = not given */
	bool json;
	const char *noun; /* NULL = none given */
	const struct command *command;
	const char *subject;	     /* replaces {} in the path; NULL = none */
	struct command_given *given; /* the rest, in order */
	size_t given_count;
};

/* All texts point into `argv`. 0, -EINVAL with the reason (usage), -ENOMEM. */
int command_args_parse(int argc, char *const argv[], struct command_args *ret, struct errtext *e);
void command_args_fini(struct command_args *a);

#endif
