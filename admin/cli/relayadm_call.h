/* From a parsed command line to the HTTP request: files read, body or query put together. */
#ifndef RELAY_ADMIN_CLI_RELAYADM_CALL_H
#define RELAY_ADMIN_CLI_RELAYADM_CALL_H

#include "admin/cli/command_args.h"
#include "admin/cli/relayadm_client.h"

struct call {
	struct buffer target;
	struct buffer body; /* may hold a credential: call_fini() wipes it */
	bool has_body;
	const char *output; /* path of a new file for the answer; NULL = none */
};

/* 0; -EINVAL: wrong usage; other negative: a file cannot be read. */
int call_prepare(const struct command_args *args, struct call *ret, struct errtext *e);
void call_fini(struct call *c);

#endif
