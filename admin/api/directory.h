/* The names of the things that requests refer to by id. */
#ifndef RELAY_ADMIN_API_DIRECTORY_H
#define RELAY_ADMIN_API_DIRECTORY_H

#include "admin/store/names.h"

struct directory {
	struct names tenants, accounts, egresses, upstreams, pools;
};

/* `d` is zeroed; directory_fini() is due after a failure too. */
int directory_load(struct directory *d, struct store *s, struct errtext *e);
void directory_fini(struct directory *d);
/* "#ID" when the store no longer has it, "" for id 0. */
const char *directory_name(const struct names *n, uint32_t id, char out[NAMES_SIZE]);

#endif
