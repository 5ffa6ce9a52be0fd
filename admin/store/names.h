/* Names by id, read once from one table of the store, for reports that join many rows. */
#ifndef RELAY_ADMIN_STORE_NAMES_H
#define RELAY_ADMIN_STORE_NAMES_H

#include "admin/store/store.h"
#include "common/buffer.h"
#include "common/errtext.h"

#include <stdint.h>

#define NAMES_SIZE 64

struct name_row {
	uint32_t id;
	char name[NAMES_SIZE];
};

struct names {
	struct buffer rows; /* struct name_row, by rising id */
};

/* `sql` selects id and name, in order of id. */
int names_load(struct names *n, struct store *s, const char *sql, struct errtext *e);
void names_fini(struct names *n);
/* NULL when it is not there. */
const struct name_row *names_find(const struct names *n, uint32_t id);
const struct name_row *names_rows(const struct names *n, size_t *ret_count);

#endif
