/*
 * `relayadm apply` and `relayadm export`. A document of `export` is applied as a whole or not at all, in
 * the one transaction of the request.
 */
#include "admin/api/audit.h"
#include "admin/api/document.h"
#include "admin/api/handlers.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>

#define ITEMS_MAX 100000

/* --- the document --- */

static json_object *parse_document(struct request *r)
{
	struct json_tokener *t = json_tokener_new_ex(COMMAND_JSON_DEPTH);

	if (!t) {
		errtext_set(&r->error, -ENOMEM, "out of memory");
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, r->document.p, (int)r->document.n);
	enum json_tokener_error error = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	if (error == json_tokener_success && json_object_is_type(o, json_type_object))
		return o;
	if (error == json_tokener_success)
		errtext_set(&r->error, -EINVAL, "the document is not a JSON object");
	else
		errtext_set(&r->error, -EINVAL, "the document is not JSON: %s at byte %zu",
			error == json_tokener_continue ? "it ends too early"
						       : json_tokener_error_desc(error),
			end);
	json_object_put(o);
	return NULL;
}

static bool is_kind(const char *field)
{
	const struct document_kind *k = document_kinds;

	while (k->field && strcmp(k->field, field) != 0)
		k++;
	return k->field != NULL;
}

static int check_document(struct request *r, json_object *document)
{
	json_object_object_foreach(document, field, value)
	{
		if (strcmp(field, "version") == 0) {
			if (json_object_is_type(value, json_type_int) &&
				json_object_get_int64(value) == DOCUMENT_VERSION)
				continue;
			return errtext_set(&r->error, -EINVAL,
				"version: this program knows %d only", DOCUMENT_VERSION);
		}
		if (!is_kind(field))
			return errtext_set(&r->error, -EINVAL, "unknown field \"%.100s\"", field);
		if (!json_object_is_type(value, json_type_array))
			return errtext_set(&r->error, -EINVAL, "%s: is not an array", field);
		if (json_object_array_length(value) > ITEMS_MAX)
			return errtext_set(
				&r->error, -EINVAL, "%s: more than %d", field, ITEMS_MAX);
	}
	return 0;
}

/* --- an item --- */

static bool extra_type_is_right(const char *field, json_object *value)
{
	bool is_text = strcmp(field, "suspend_reason") == 0;

	return json_object_is_type(value, is_text ? json_type_string : json_type_boolean);
}

static bool has_credential(json_object *item)
{
	static const char *const fields[] = {
		"token", "auth_json", "credentials", "client_secret", NULL};
	const char *const *field = fields;

	while (*field && !json_object_object_get_ex(item, *field, NULL))
		field++;
	return *field != NULL;
}

/* Checks the fields that are not options; the row checks the rest. */
static int check_fields(struct request *r, const struct document_kind *kind, json_object *item)
{
	json_object *rest = json_object_new_object();
	int error = 0;

	json_object_object_foreach(item, field, value)
	{
		bool extra = strcmp(field, "name") == 0;
		for (const char *const *e = kind->extra; e && *e && !extra; e++) {
			extra = strcmp(*e, field) == 0;
			if (extra && !extra_type_is_right(field, value) && !error)
				error = errtext_set(
					&r->error, -EINVAL, "%s: has a wrong type", field);
		}
		if (!extra)
			json_object_object_add(rest, field, json_object_get(value));
	}
	if (has_credential(rest))
		error = errtext_set(&r->error, -EINVAL,
			"credentials do not belong in a document: use relayadm accounts set");
	if (!error)
		error = command_fields_check(command_row(kind->add), rest, &r->error);
	json_object_put(rest);
	return error;
}

static const char *item_name(struct request *r, json_object *item)
{
	json_object *name = json_object_object_get(item, "name");

	if (json_object_is_type(item, json_type_object) &&
		json_object_is_type(name, json_type_string) &&
		command_name_is_valid(slice_from_str(json_object_get_string(name))))
		return json_object_get_string(name);
	errtext_set(&r->error, -EINVAL, "an item is not an object with a valid name");
	return NULL;
}

/* An account keeps its upstream; everything else of a thing may change. */
static int check_upstream(struct request *r, const struct document_kind *kind, json_object *before)
{
	const char *want = request_text(r, "upstream");
	json_object *has = json_object_object_get(before, "upstream");

	if (kind->noun != &noun_account || !want || strcmp(want, json_object_get_string(has)) == 0)
		return 0;
	return errtext_set(&r->error, -EINVAL,
		"upstream: an account stays with its upstream (\"%s\")",
		json_object_get_string(has));
}

static int show_item(
	struct request *r, const struct document_kind *kind, const char *name, json_object **ret)
{
	json_object *shown = json_object_new_object();
	int error = noun_show(r, kind->noun, name, shown);

	if (!error)
		*ret = document_item(kind, shown);
	json_object_put(shown);
	return error;
}

/* --- what has changed --- */

static void note(
	json_object *changes, char sign, const char *field, const char *name, const char *details)
{
	struct buffer line = {0};

	buffer_printf(&line, "%c %s %s%s%s", sign, field, name, *details ? ": " : "", details);
	json_object_array_add(changes, json_object_new_string(buffer_str(&line)));
	buffer_fini(&line);
}

static void note_differences(struct request *r, json_object *changes, const char *kind,
	const char *name, json_object *before, json_object *after)
{
	struct buffer fields = {0};

	json_object_object_foreach(after, field, value)
	{
		if (!json_object_equal(json_object_object_get(before, field), value))
			buffer_printf(&fields, "%s%s", fields.len ? ", " : "", field);
	}
	if (fields.len) {
		note(changes, '~', kind, name, buffer_str(&fields));
		audit_note(r, kind, name, before, after);
	}
	buffer_fini(&fields);
}

/* --- one item after the other --- */

static int update_item(struct request *r, const struct document_kind *kind, int64_t id)
{
	int error = kind->update(r, id);

	return error || !kind->finish ? error : kind->finish(r, id);
}

static int add_item(
	struct request *r, const struct document_kind *kind, const char *name, json_object *changes)
{
	int64_t id = 0;
	json_object *after = NULL;
	int error = kind->insert(r, name, &id);

	if (!error)
		error = update_item(r, kind, id);
	if (!error)
		error = show_item(r, kind, name, &after);
	if (!error)
		note(changes, '+', kind->field, name, "");
	if (!error)
		audit_note(r, kind->field, name, NULL, after);
	json_object_put(after);
	return error;
}

static int change_item(struct request *r, const struct document_kind *kind, const char *name,
	int64_t id, json_object *changes)
{
	json_object *before = NULL;
	json_object *after = NULL;
	int error = show_item(r, kind, name, &before);

	if (!error)
		error = check_upstream(r, kind, before);
	if (!error)
		error = update_item(r, kind, id);
	if (!error)
		error = show_item(r, kind, name, &after);
	if (!error)
		note_differences(r, changes, kind->field, name, before, after);
	json_object_put(before);
	json_object_put(after);
	return error;
}

/* A new egress needs exactly one kind with its address, an existing one at most one. */
static int check_egress(struct request *r, const struct document_kind *kind, bool is_new)
{
	int ways = request_has(r, "source") + request_has(r, "socks4") + request_has(r, "node");

	if (kind->noun != &noun_egress || ways == 1 || (ways == 0 && !is_new))
		return 0;
	return errtext_set(&r->error, -EINVAL, "exactly one of source, socks4, node");
}

static int apply_item(struct request *r, const struct document_kind *kind, json_object *item,
	json_object *changes)
{
	const char *name = item_name(r, item);
	int64_t id = 0;

	if (!name)
		return errtext_prefix(&r->error, -EINVAL, "%s", kind->field);
	json_object *outer = r->body;
	r->body = item;
	int error = check_fields(r, kind, item);
	if (!error && !document_has(kind, name))
		error = errtext_set(&r->error, -EINVAL, "is built in and stays as it is");
	if (!error)
		error = noun_find(r, kind->noun, name, &id);
	if (!error)
		error = check_egress(r, kind, id == 0);
	if (!error)
		error = id ? change_item(r, kind, name, id, changes)
			   : add_item(r, kind, name, changes);
	r->body = outer;
	return error ? errtext_prefix(&r->error, error == -ENOENT ? -EINVAL : error, "%s %s",
			       kind->field, name)
		     : 0;
}

static int check_item(struct request *r, const struct document_kind *kind, json_object *item,
	json_object *changes)
{
	const char *name = json_object_get_string(json_object_object_get(item, "name"));
	json_object *outer = r->body;
	int64_t id = 0;

	(void)changes;
	int error = noun_find(r, kind->noun, name, &id);
	r->body = item;
	if (!error)
		error = kind->check(r, id);
	r->body = outer;
	return error ? errtext_prefix(&r->error, error, "%s %s", kind->field, name) : 0;
}

typedef int item_fn(struct request *r, const struct document_kind *kind, json_object *item,
	json_object *changes);

/* All items are applied, then all are checked. */
struct applying {
	json_object *document;
	json_object *changes; /* of the answer */
	const struct document_kind *kind;
	size_t next; /* item of the kind */
	bool checks;
};

static void free_applying(void *state)
{
	struct applying *a = state;

	json_object_put(a->document);
	free(a);
}

/* Goes on to the next kind with an item. False: there is none. */
static bool find_item(struct applying *a, json_object **ret)
{
	while (a->kind->field) {
		json_object *items = json_object_object_get(a->document, a->kind->field);
		if (items && a->next < json_object_array_length(items)) {
			*ret = json_object_array_get_idx(items, a->next++);
			return true;
		}
		a->kind++;
		a->next = 0;
	}
	return false;
}

static int apply_next(struct request *r, void *state)
{
	struct applying *a = state;
	json_object *item = NULL;

	if (find_item(a, &item)) {
		item_fn *fn = a->checks ? check_item : apply_item;
		int error = a->checks && !a->kind->check ? 0 : fn(r, a->kind, item, a->changes);
		return error ? error : 1;
	}
	if (a->checks) {
		r->unchanged = json_object_array_length(a->changes) == 0;
		return 0;
	}
	a->checks = true;
	a->kind = document_kinds;
	return 1;
}

int apply_document(struct request *r)
{
	struct applying *a = calloc(1, sizeof(*a));

	if (!a)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	a->changes = json_object_new_array();
	a->kind = document_kinds;
	json_object_object_add(r->answer, "changes", a->changes);
	a->document = parse_document(r);
	int error = a->document ? check_document(r, a->document) : -EINVAL;
	if (error)
		free_applying(a);
	else
		r->rest = (struct request_rest){apply_next, free_applying, a};
	return error;
}

/* --- export --- */

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
