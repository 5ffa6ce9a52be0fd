#include "admin/api/document.h"
#include "admin/api/handlers.h"

static int export_kind(struct request *r, const struct document_kind *kind)
{
	json_object *all = json_object_new_object();
	json_object *items = json_object_new_array();
	int error = noun_list(r, kind->noun, all);
	json_object *shown = json_object_object_get(all, "items");

	for (size_t i = 0; !error && i < json_object_array_length(shown); i++) {
		json_object *one = json_object_array_get_idx(shown, i);
		const char *name = json_object_get_string(json_object_object_get(one, "name"));
		if (document_has(kind, name))
			json_object_array_add(items, document_item(kind, one));
	}
	json_object_object_add(r->answer, kind->field, items);
	json_object_put(all);
	return error;
}

int export_show(struct request *r)
{
	int error = 0;

	answer_number(r->answer, "version", DOCUMENT_VERSION);
	for (const struct document_kind *k = document_kinds; k->field && !error; k++)
		error = export_kind(r, k);
	return error;
}
