/* From a parsed command line to the HTTP request: files read, body or query put together. */
#ifndef RELAY_ADMIN_CLI_COMMAND_CALL_H
#define RELAY_ADMIN_CLI_COMMAND_CALL_H

#include "admin/cli/command_args.h"
#include "common/buffer.h"

struct command_call {
	struct buffer target;
	struct buffer body; /* may hold a credential: command_call_fini() wipes it */
	bool has_body;
	const char *output; /* path of a new file for the answer; NULL = none */
};

/* 0; -EINVAL: wrong usage; other negative: a file cannot be read. */
int command_call_prepare(
	const struct command_args *args, struct command_call *ret, struct errtext *e);
void command_call_fini(struct command_call *c);

#endif
