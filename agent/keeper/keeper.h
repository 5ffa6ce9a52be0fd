/*
 * The keeper: the parent process. It opens every listening socket, the state file and the board and
 * keeps them, so that connections queue instead of being refused while a child is replaced. It
 * starts, watches and restarts control and agent, connects them with a new channel after each
 * start, and holds the newest snapshot that the agent accepted and older ones. It parses no outside
 * input: only the configuration file, its children's fixed-size messages and state, and signals.
 */
#ifndef RELAY_AGENT_KEEPER_KEEPER_H
#define RELAY_AGENT_KEEPER_KEEPER_H

#include "common/config.h"

/*
 * Returns the exit code: 0 after SIGTERM or SIGINT, 1 when it could not start. `program`: absolute path of the
 * program, for SIGUSR2.
 */
int keeper_main(const struct config *c, const char *config_path, const char *program);

#endif
