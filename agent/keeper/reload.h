/* SIGHUP: the configuration file is read again. */
#ifndef RELAY_AGENT_KEEPER_RELOAD_H
#define RELAY_AGENT_KEEPER_RELOAD_H

#include "common/config.h"

/*
 * Takes over what a reload can change, and logs what needs a restart, or the mistake. Returns the text in sealed
 * memory, or -errno.
 */
int reload_config(struct config *c, const char *path);

#endif
