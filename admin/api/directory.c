#include "admin/api/directory.h"

#include "common/errtext.h"

#include <stdio.h>

int directory_load(struct directory *d, struct store *s, struct errtext *e)
{
	int error = names_load(&d->tenants, s, "SELECT id, name FROM tenants ORDER BY id", e);

	if (!error)
		error = names_load(&d->accounts, s, "SELECT id, name FROM accounts ORDER BY id", e);
	if (!error)
		error = names_load(&d->egresses, s, "SELECT id, name FROM egresses ORDER BY id", e);
	if (!error)
		error = names_load(
			&d->upstreams, s, "SELECT id, name FROM upstreams ORDER BY id", e);
	if (!error)
		error = names_load(&d->pools, s, "SELECT id, name FROM pools ORDER BY id", e);
	return error;
}

void directory_fini(struct directory *d)
{
	names_fini(&d->tenants);
	names_fini(&d->accounts);
	names_fini(&d->egresses);
	names_fini(&d->upstreams);
	names_fini(&d->pools);
}

const char *directory_name(const struct names *n, uint32_t id, char out[NAMES_SIZE])
{
	const struct name_row *row = names_find(n, id);

	if (row)
		snprintf(out, NAMES_SIZE, "%s", row->name);
	else if (id)
		snprintf(out, NAMES_SIZE, "#%u", id);
	else
		out[0] = '\0';
	return out;
}
