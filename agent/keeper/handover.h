/*
 * What a keeper passes to the program that replaces it, in the way of systemd: LISTEN_FDS descriptors from 3 on, and
 * their names (inherited.h). So a program that knows nothing of handovers still takes the sockets, and closes the
 * rest. The environment also names the path of the program: a wrapper script at this path starts another file.
 */
#ifndef RELAY_AGENT_KEEPER_HANDOVER_H
#define RELAY_AGENT_KEEPER_HANDOVER_H

#include "agent/keeper/inherited.h"

#include <stddef.h>

#define HANDOVER_OTHERS_MAX 8
#define HANDOVER_PROGRAM "SPOA_RELAY_PROGRAM" /* the variable */

struct handover {
	struct {
		int *fd; /* the keeper's; its number may change */
		char name[INHERITED_NAME_MAX];
	} rows[INHERITED_MAX];
	uint32_t count;
	int restarts_fd;		  /* made for this handover; -1 = none */
	int *others[HANDOVER_OTHERS_MAX]; /* that are not passed, and may be in the way */
	uint32_t other_count;
	const char *program; /* absolute path */
	const char *config_path;
};

/* Passes a descriptor; -1 is skipped. */
void handover_add(struct handover *h, int *fd, const char *name);
/* A descriptor that stays here; -1 is skipped. */
void handover_keep(struct handover *h, int *fd);
/* Closes what was made for it; not what is passed or stays. */
void handover_fini(struct handover *h);
/*
 * Becomes the program, with `option` behind the configuration (NULL = none). Returns only when that failed:
 * -errno; the descriptors may have other numbers then.
 */
int handover_exec(struct handover *h, const char *option);

#endif
