/* `relayadm doctor`, the one command that runs in relayadm itself. */
#ifndef RELAY_ADMIN_CLI_RELAYADM_DOCTOR_H
#define RELAY_ADMIN_CLI_RELAYADM_DOCTOR_H

#include "admin/cli/command_args.h"
#include "common/buffer.h"

/* `socket` NULL: that of the configuration. Writes the findings into `out`. True when there is no problem. */
bool relayadm_doctor(const struct command_args *args, const char *socket, struct buffer *out);

#endif
