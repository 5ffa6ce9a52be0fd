/* relayadm notices, and the notices of status; notices.h keeps them. */
#include "admin/store/notices.h"
#include "admin/store/notices_kept.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/api/handlers.h"
#include "common/clock.h"
#include "common/num.h"

#include <errno.h>
#include <string.h>

#define SHOWN 10 /* in status */
#define COLUMNS                                                                                    \
	"SELECT id, kind, subject, message, count, created_ms, last_ms, acked_ms FROM notices"

static int describe(struct request *r, struct row *row, void *context)
{
	json_object *o = context;

	(void)r;
	answer_number(o, "id", row_number(row, "id"));
	answer_slice(o, "kind", row_text(row, "kind"));
	answer_slice(o, "subject", row_text(row, "subject"));
	answer_slice(o, "message", row_text(row, "message"));
	answer_number(o, "count", row_number(row, "count"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
	answer_time(o, "last_at", row_number(row, "last_ms"));
	answer_time(o, "acked_at", row_number(row, "acked_ms"));
	return 0;
}

static int add_item(struct request *r, struct row *row, void *context)
{
	json_object *o = json_object_new_object();

	json_object_array_add(context, o);
	return describe(r, row, o);
}

/* Those that the store has not taken yet: they have no id. */
static json_object *describe_kept(const struct kept_notice *n)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "id", NULL);
	answer_text(o, "kind", n->kind);
	answer_text(o, "subject", n->subject);
	answer_text(o, "message", n->message);
	answer_number(o, "count", n->count);
	answer_time(o, "created_at", n->created_ms);
	answer_time(o, "last_at", n->last_ms);
	answer_time(o, "acked_at", 0);
	return o;
}

/* A token that goes with the process is more urgent than anything else. */
static void add_kept(struct request *r, json_object *items)
{
	size_t count;
	const struct kept_notice *rows = notices_kept_rows(r->control->store, &count);

	for (int urgent = 1; urgent >= 0; urgent--)
		for (size_t i = 0; i < count; i++)
			if ((strcmp(rows[i].kind, NOTICE_TOKEN_UNSAVED) == 0) == urgent)
				json_object_array_add(items, describe_kept(&rows[i]));
}

int notices_list(struct request *r)
{
	json_object *items = answer_items(r->answer);

	add_kept(r, items);
	return query_each(r, add_item, items, COLUMNS " WHERE ?1 OR acked_ms = 0 ORDER BY id DESC",
		"i", (int64_t)request_flag(r, "all"));
}

int notices_describe(struct request *r, json_object *o)
{
	json_object *items = json_object_new_array();
	int64_t open = 0;
	int error = notices_count_open(r->control->store, &open, &r->error);

	answer_number(o, "notices_open", open);
	json_object_object_add(o, "notices", items);
	add_kept(r, items);
	if (error)
		return error;
	return query_each(r, add_item, items,
		COLUMNS " WHERE acked_ms = 0 ORDER BY id DESC LIMIT ?1", "i", (int64_t)SHOWN);
}

int notices_ack(struct request *r)
{
	uint64_t id;
	int64_t acked = 0;

	if (num_parse_u64(slice_from_str(r->name), INT64_MAX, &id))
		return errtext_set(
			&r->error, -EINVAL, "\"%.64s\" is not the id of a notice", r->name);
	int error = query_number(
		r, &acked, "SELECT acked_ms FROM notices WHERE id = ?1", "i", (int64_t)id);
	if (error == -ENOENT)
		return errtext_set(&r->error, error, "there is no notice with id %s", r->name);
	if (!error && acked)
		r->unchanged = true;
	else if (!error)
		error = query_run(r, "UPDATE notices SET acked_ms = ?1 WHERE id = ?2", "ii",
			clock_wall_ms(), (int64_t)id);
	return error
		? error
		: query_each(r, describe, r->answer, COLUMNS " WHERE id = ?1", "i", (int64_t)id);
}
