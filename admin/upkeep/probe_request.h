/*
 * The probe request of an account: a GET that is free, counts against no limit and needs the
 * credential. The provider decides the path, or the operator (`upstreams set --probe`).
 */
#ifndef RELAY_ADMIN_UPKEEP_PROBE_REQUEST_H
#define RELAY_ADMIN_UPKEEP_PROBE_REQUEST_H

#include "admin/command/command_form.h"
#include "common/errtext.h"
#include "common/provider.h"
#include "common/seam.h"
#include "common/slice.h"

#include <stdbool.h>

#define PROBE_TARGET_SIZE (FORM_PROBE_MAX + SEAM_PREFIX_MAX + 1)

/*
 * `url` and `strip` are the upstream's, `path` is its --probe; `ret` has PROBE_TARGET_SIZE bytes.
 * `ret_is_page`: the answer is the provider's usage page. 0; -ENOENT: this upstream gets no probes;
 * -EINVAL: the URL is invalid.
 */
int probe_target(const struct provider *p, struct slice url, struct slice strip, struct slice path,
	char ret[PROBE_TARGET_SIZE], bool *ret_is_page, struct errtext *e);

#endif
