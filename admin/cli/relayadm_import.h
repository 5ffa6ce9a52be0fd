/* `accounts add NAME --credentials DIR`: an account for each credential file of a directory. */
#ifndef RELAY_ADMIN_CLI_RELAYADM_IMPORT_H
#define RELAY_ADMIN_CLI_RELAYADM_IMPORT_H

#include "admin/cli/command_args.h"

#define IMPORT_FILES_MAX 1024

/* The directory of such a command; NULL = it is another command, or names a file. */
const char *import_directory(const struct command_args *args);
/* Prints what became of each file. Returns the exit code: 0 = every file made an account in force. */
int import_run(
	const struct command_args *args, const char *directory, const char *socket, bool colour);

#endif
