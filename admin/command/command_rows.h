/* The rows of the commands; command.h explains them. */
#ifndef RELAY_ADMIN_COMMAND_COMMAND_ROWS_H
#define RELAY_ADMIN_COMMAND_COMMAND_ROWS_H

#include "admin/command/command.h"

struct command_noun {
	const char *name; /* NULL ends the rows */
	const char *help; /* NULL: the noun is a whole command, whose row has the help */
};

const struct command_noun *command_nouns(void);

#endif
