/* Help, man page and bash completion of relayadm, all made from the rows. */
#ifndef RELAY_ADMIN_CLI_COMMAND_HELP_H
#define RELAY_ADMIN_CLI_COMMAND_HELP_H

#include "admin/command/command.h"
#include "common/buffer.h"

void command_help_all(struct buffer *out);
void command_help_noun(const char *noun, struct buffer *out);
void command_help_command(const struct command *c, struct buffer *out);
/* "tenants add NAME [--rps N] ..." */
void command_synopsis(const struct command *c, struct buffer *out);
/* troff, section 1. `version` is of the program. */
void command_man(const char *version, struct buffer *out);
void command_completion(struct buffer *out);

#endif
