/*
 * The output directory: HAProxy's master reads it, so it belongs to root when root runs the keeper, and
 * only the keeper writes there. All by descriptors: no path is followed twice.
 */
#ifndef RELAY_AGENT_KEEPER_OUTDIR_H
#define RELAY_AGENT_KEEPER_OUTDIR_H

#include "agent/keeper/identity.h"
#include "common/errtext.h"
#include "common/slice.h"

/*
 * Makes the directory if missing. Started as root: takes a directory of control's over, without the rendered
 * files in it, which control renders again. 0, or a negative errno: it cannot be made, is not a directory, or
 * control or everybody could write to it.
 */
int outdir_prepare(const char *path, const struct identities *ids, struct errtext *e);
/*
 * Checks `text` (rendered.h) and puts it in place as `name`, whole and durable. Control's group may read it,
 * and CA files everybody. 0 or a negative errno.
 */
int outdir_put(const char *path, const char *name, struct slice text, const struct config *c,
	const struct identities *ids, struct errtext *e);

#endif
