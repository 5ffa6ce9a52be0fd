/*
 * Watched credential files (`accounts add --credentials F --watch`). The file's owner refreshes the
 * tokens. Control only reads newer tokens from the file; it never writes the file, and never uses
 * or stores its refresh token.
 */
#ifndef RELAY_ADMIN_UPKEEP_WATCHFILE_H
#define RELAY_ADMIN_UPKEEP_WATCHFILE_H

#include "admin/store/credential.h"
#include "admin/upkeep/credential_file.h"

#include <stdbool.h>

struct control;
struct watchfile;

/* NULL: out of memory. */
struct watchfile *watchfile_new(struct control *c);
/* NULL is fine. */
void watchfile_free(struct watchfile *w);
/* Checks all files now. */
void watchfile_poll(struct watchfile *w);

/* True if the file's token differs from the stored one and is not older. Pure. */
bool watchfile_is_newer(const struct credential_file *file, const struct credential *stored);

#endif
