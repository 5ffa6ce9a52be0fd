/*
 * The probe request of an account: a GET that is free, counts against no limit and needs the
 * credential. The provider decides the path, or the operator (`upstreams set --probe`).
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_REQUEST_H
#define RELAY_ADMIN_UPKEEP_PROBE_REQUEST_H

#include "common/errtext.h"
#include "common/provider.h"
#include "common/seam.h"
#include "common/slice.h"

#include <stdbool.h>

#define PROBE_PATH_MAX 512 /* of --probe */
#define PROBE_TARGET_SIZE (PROBE_PATH_MAX + SEAM_PREFIX_MAX + 1)
#define PROBE_NONE PROVIDER_PROBE_NONE

/* Path and query, from the root of the upstream's host. 0 or -EINVAL with the reason. */
int probe_path_check(struct slice path, struct errtext *e);

/*
 * `url` and `strip` are the upstream's, `path` is its --probe; `ret` has PROBE_TARGET_SIZE bytes.
 * `ret_is_page`: the answer is the provider's usage page. 0; -ENOENT: this upstream gets no probes;
 * -EINVAL: the URL is invalid.
 */
int probe_target(const struct provider *p, struct slice url, struct slice strip, struct slice path,
	char ret[PROBE_TARGET_SIZE], bool *ret_is_page, struct errtext *e);

#endif
