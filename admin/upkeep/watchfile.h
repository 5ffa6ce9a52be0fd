/*
 * Watched auth.json files (`accounts add --auth-json F --watch`): each stays its owner's, who refreshes
 * it. Control only looks whether it has changed and takes over newer tokens; it never writes the file
 * and never uses the refresh token in it, which is not even kept.
 */
#ifndef RELAY_ADMIN_UPKEEP_WATCHFILE_H
#define RELAY_ADMIN_UPKEEP_WATCHFILE_H

#include "admin/store/credential.h"
#include "admin/upkeep/authjson.h"

#include <stdbool.h>

struct control;
struct watchfile;

/* NULL: out of memory. */
struct watchfile *watchfile_new(struct control *c);
/* NULL is fine. */
void watchfile_free(struct watchfile *w);
/* Looks at all of them now. */
void watchfile_poll(struct watchfile *w);

/* Whether what a file holds is another token than the stored one, and no older one. Pure. */
bool watchfile_is_newer(const struct authjson *file, const struct credential *stored);

#endif
