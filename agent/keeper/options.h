/* The command line of spoa-relay as rows: its parser, --help and spoa-relay(8) come from them. */
#ifndef RELAY_AGENT_KEEPER_OPTIONS_H
#define RELAY_AGENT_KEEPER_OPTIONS_H

#include "common/buffer.h"

#include <stdbool.h>

#define OPTIONS_CONFIG_DEFAULT "/etc/spoa-relay/spoa-relay.conf"

enum options_task {
	OPTIONS_RUN,
	OPTIONS_CONFIG, /* not a task: names the file */
	OPTIONS_CHECK,
	OPTIONS_PRINT,
	OPTIONS_INIT,
	OPTIONS_VERSION,
	OPTIONS_HELP,
	OPTIONS_GENERATE,
};

struct options {
	enum options_task task;
	const char *config_path;
	bool config_given;
	const char *generate; /* what, of OPTIONS_GENERATE */
};

/* 0, or -1 when something was wrong, which stderr says. */
int options_parse(int argc, char **argv, struct options *ret);
void options_usage(struct buffer *out);
/* spoa-relay(8) */
void options_man(struct buffer *out);

#endif
