/*
 * A list that the daemon answers page by page: all pages that were asked for, printed as they come. `--last`
 * is their length together, 0 = to the end.
 */
#ifndef RELAY_ADMIN_CLI_RELAYADM_PAGES_H
#define RELAY_ADMIN_CLI_RELAYADM_PAGES_H

#include "admin/cli/command_args.h"

#define PAGES_LAST 100 /* rows without --last, as of the daemon */

/* Returns the exit code; `target` is the path and query of the first call. */
int pages_run(const struct command_args *args, const char *socket, const char *target, bool colour);

#endif
