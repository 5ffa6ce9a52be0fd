#include "admin/api/noun.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "common/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS_NAMED 5

int noun_find(struct request *r, const struct noun *n, const char *name, int64_t *ret_id)
{
	int error = query_number(r, ret_id, n->find, "t", name);

	if (error == -ENOENT) {
		*ret_id = 0;
		return 0;
	}
	return error;
}

static int find_or(
	struct request *r, const struct noun *n, const char *name, int otherwise, int64_t *ret_id)
{
	int error = noun_find(r, n, name, ret_id);

	if (!error && *ret_id == 0)
		error = errtext_set(
			&r->error, otherwise, "there is no %s named \"%s\"", n->what, name);
	return error;
}

int noun_subject(struct request *r, const struct noun *n, int64_t *ret_id)
{
	return find_or(r, n, r->name, -ENOENT, ret_id);
}

int noun_reference(struct request *r, const struct noun *n, const char *name, int64_t *ret_id)
{
	return find_or(r, n, name, -EINVAL, ret_id);
}

int noun_insert_error(struct request *r, const struct noun *n, int error)
{
	if (error != -EEXIST)
		return error;
	const char *name = request_text(r, "name");
	return errtext_set(
		&r->error, error, "%s \"%s\" exists already", n->what, name ? name : r->name);
}

static void join_list(json_object *list, struct buffer *out)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		buffer_printf(out, "%s%s", i ? "," : "",
			json_object_get_string(json_object_array_get_idx(list, i)));
}

static int update_list(struct request *r, const struct noun_column *c, int64_t id)
{
	struct buffer text = {0};

	join_list(request_value(r, c->field), &text);
	int error = query_run(r, c->update, "ti", buffer_str(&text), id);
	buffer_fini(&text);
	return error;
}

static int update_column(struct request *r, const struct noun_column *c, int64_t id)
{
	switch (c->type) {
	case NOUN_NUMBER:
		return query_run(r, c->update, "ii", request_number(r, c->field, 0), id);
	case NOUN_SWITCH:
		return query_run(r, c->update, "ii", (int64_t)request_flag(r, c->field), id);
	case NOUN_TEXT:
		return query_run(r, c->update, "ti", request_text(r, c->field), id);
	case NOUN_DURATION:
		return query_run(r, c->update, "ii", (int64_t)request_duration(r, c->field, 0), id);
	case NOUN_LIST:
		return update_list(r, c, id);
	}
	return 0;
}

int noun_update(struct request *r, const struct noun *n, int64_t id)
{
	for (const struct noun_column *c = n->columns; c->field; c++) {
		if (!request_has(r, c->field))
			continue;
		int error = update_column(r, c, id);
		if (error)
			return error;
	}
	return 0;
}

struct reading {
	const struct noun *noun;
	json_object *items; /* NULL: one object */
	json_object *one;
	size_t count;
	char last[COMMAND_NAME_MAX + 1]; /* the name of the last row; empty = none */
};

static int take_row(struct request *r, struct row *row, void *context)
{
	struct reading *reading = context;

	/* a page begins with the last name of the one before */
	if (reading->items && slice_eq_str(row_text(row, "name"), reading->last))
		return 0;
	json_object *o = reading->items ? json_object_new_object() : reading->one;
	row_copy(row, "name", reading->last, sizeof(reading->last));
	reading->noun->describe(r, row, o);
	if (reading->items)
		json_object_array_add(reading->items, o);
	reading->count++;
	return 0;
}

int noun_list(struct request *r, const struct noun *n, json_object *o)
{
	struct reading reading = {.noun = n, .items = answer_items(o)};

	return query_each(r, take_row, &reading, n->select, "tti", NULL, NULL, (int64_t)-1);
}

static int read_page(struct request *r, void *state)
{
	struct reading *reading = state;
	size_t before = reading->count;
	char from[sizeof(reading->last)];

	snprintf(from, sizeof(from), "%s", reading->last);
	int error = query_each(r, take_row, reading, reading->noun->select, "tti",
		*from ? from : NULL, NULL, (int64_t)QUERY_PAGE_ROWS + 1);

	return error ? error : reading->count - before >= QUERY_PAGE_ROWS;
}

int noun_list_pages(struct request *r, const struct noun *n)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	reading->noun = n;
	reading->items = answer_items(r->answer);
	r->rest = (struct request_rest){read_page, free, reading};
	return 0;
}

int noun_show(struct request *r, const struct noun *n, const char *name, json_object *o)
{
	struct reading reading = {.noun = n, .one = o};
	int error = query_each(r, take_row, &reading, n->select, "tti", name, name, (int64_t)1);

	if (!error && reading.count == 0)
		error = errtext_set(
			&r->error, -ENOENT, "there is no %s named \"%s\"", n->what, name);
	return error;
}

int noun_refuse_if_used(
	struct request *r, const struct noun *n, const char *user, const char *sql, int64_t id)
{
	struct buffer names = {0};
	int count = query_names(r, &names, USERS_NAMED, sql, "i", id);

	if (count > 0)
		count = errtext_set(&r->error, -EBUSY, "%s \"%s\" is in use by %s%s %s", n->what,
			r->name, user, count > 1 ? "s" : "", buffer_str(&names));
	buffer_fini(&names);
	return count;
}
