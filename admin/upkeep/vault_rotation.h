/*
 * Runs the rotation of the vault's keys (admin/store/vault_rotate.h), one step after the other, between all other
 * work of control. A control process that starts goes on where the last one stopped.
 */
#ifndef RELAY_ADMIN_UPKEEP_VAULT_ROTATION_H
#define RELAY_ADMIN_UPKEEP_VAULT_ROTATION_H

#include "admin/store/vault_rotate.h"

struct control;
struct vault_rotation;

/* NULL: out of memory. */
struct vault_rotation *vault_rotation_new(struct control *c);
/* NULL is fine. */
void vault_rotation_free(struct vault_rotation *r);

/* Called once, from control's loop: 0, or a negative errno code with its reason. */
typedef void vault_rotation_told_fn(void *context, int error, const char *reason);

/*
 * Begins a rotation; `told` is called at its end, or when it has to wait. -EBUSY: one is under way; other
 * errors: nothing was changed.
 */
int vault_rotation_begin(struct vault_rotation *r, bool keeps_file, vault_rotation_told_fn *told,
	void *context, struct errtext *e);
/* Why it waits; "" = it does not, or there is none. NULL is fine. */
const char *vault_rotation_fault(const struct vault_rotation *r);

#endif
