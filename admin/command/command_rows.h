/* The rows themselves; see command.h for what they mean. */
#ifndef RELAY_ADMIN_COMMAND_COMMAND_ROWS_H
#define RELAY_ADMIN_COMMAND_COMMAND_ROWS_H

#include "admin/command/command.h"

struct command_noun {
	const char *name; /* NULL ends the rows */
	const char *help; /* NULL: a command by itself, its row has the help */
};

const struct command_noun *command_nouns(void);

#endif
