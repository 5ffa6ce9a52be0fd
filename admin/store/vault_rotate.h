/*
 * Renewal of the vault's keys while the relay runs. From the first step on the store opens with the key file
 * of before and with the new one, and both data keys are there, so a crash at any point leaves everything
 * readable and the next control process goes on. Each function is one step:
 *
 *  1. vault_rotate_begin: makes the new key file beside the old one, and a new data key, which seals from now on.
 *  2. vault_rotate_key_file: puts the new key file in the place of the old one, and forgets the old one's key.
 *  3. vault_rotate_values: seals some values with the new data key, until none is left.
 *  4. vault_rotate_end: forgets the old data key.
 */
#ifndef RELAY_ADMIN_STORE_VAULT_ROTATE_H
#define RELAY_ADMIN_STORE_VAULT_ROTATE_H

#include "admin/store/vault.h"

#define VAULT_BATCH 64 /* values in a transaction */

struct vault_status {
	char key_id[VAULT_ID_SIZE];
	uint8_t version; /* of the data key */
	bool is_rotating;
	int64_t values;	    /* sealed ones */
	int64_t left;	    /* of them, those that the old data key has sealed */
	int64_t rotated_ms; /* end of the last rotation, Unix time; 0 = none */
};

/* -EBUSY: one is under way. `keeps_file`: only the data key is renewed. Nothing changed after an error. */
int vault_rotate_begin(
	struct vault *v, struct store *s, const char *key_file, bool keeps_file, struct errtext *e);
/* Does nothing if it is done already. */
int vault_rotate_key_file(
	struct vault *v, struct store *s, const char *key_file, struct errtext *e);

struct vault_walk {
	int table;
	int64_t after;	 /* row */
	int64_t damaged; /* values that do not open */
	int64_t account; /* of the last such value; 0 = of none */
	bool is_done;
};

/* The next VAULT_BATCH values at most, in one transaction. A zeroed walk begins at the first value. */
int vault_rotate_values(
	struct vault *v, struct store *s, struct vault_walk *walk, struct errtext *e);
/* -EAGAIN: the old data key has still sealed some values. */
int vault_rotate_end(struct vault *v, struct store *s, int64_t now_ms, struct errtext *e);

bool vault_is_rotating(const struct vault *v);
int vault_get_status(
	const struct vault *v, struct store *s, struct vault_status *ret, struct errtext *e);

#endif
