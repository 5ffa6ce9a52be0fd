/* `relayadm names`: the names of a kind of things, for completion. */
#include "admin/api/handlers.h"
#include "admin/store/store.h"

#define NAMES_MAX 10000 /* more are of no use to complete a word */

static const struct source {
	const char *noun;
	const char *sql;
} sources[] = {
	{"tenants", "SELECT name FROM tenants ORDER BY name LIMIT ?1"},
	{"upstreams", "SELECT name FROM upstreams ORDER BY name LIMIT ?1"},
	{"egress", "SELECT name FROM egresses ORDER BY name LIMIT ?1"},
	{"accounts", "SELECT name FROM accounts ORDER BY name LIMIT ?1"},
	{"pools", "SELECT name FROM pools ORDER BY name LIMIT ?1"},
};

static int add_name(struct request *r, struct row *row, void *context)
{
	struct slice name = row_text(row, "name");

	(void)r;
	json_object_array_add(context, json_object_new_string_len(name.p, (int)name.n));
	return 0;
}

int names_list(struct request *r)
{
	const char *noun = request_text(r, "of");
	json_object *items = answer_items(r->answer);

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (strcmp(sources[i].noun, noun) == 0)
			return query_each(
				r, add_name, items, sources[i].sql, "i", (int64_t)NAMES_MAX);
	}
	return 0;
}
