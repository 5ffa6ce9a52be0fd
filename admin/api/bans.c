/* relayadm bans; the list itself is banlist.h. */
#include "admin/api/handlers.h"
#include "admin/store/banlist.h"
#include "admin/store/store.h"
#include "common/ban.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_FORCE "(expires_ms = 0 OR expires_ms > ?1)"

static int describe(struct request *r, struct row *row, void *context)
{
	json_object *o = context;

	(void)r;
	answer_slice(o, "network", row_text(row, "network"));
	answer_slice(o, "source", row_text(row, "source"));
	answer_slice(o, "reason", row_text(row, "reason"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
	answer_time(o, "expires_at", row_number(row, "expires_ms"));
	return 0;
}

struct listing {
	json_object *items;
	char last[CIDR_TEXT_SIZE]; /* network so far */
};

static int add_item(struct request *r, struct row *row, void *context)
{
	struct listing *l = context;
	json_object *o = json_object_new_object();

	json_object_array_add(l->items, o);
	row_copy(row, "network", l->last, sizeof(l->last));
	return describe(r, row, o);
}

static int list_page(struct request *r, void *state)
{
	struct listing *l = state;
	size_t before = json_object_array_length(l->items);
	char after[sizeof(l->last)];

	snprintf(after, sizeof(after), "%s", l->last);
	int error = query_each(r, add_item, l,
		"SELECT network, source, reason, created_ms, expires_ms FROM bans WHERE " IN_FORCE
		" AND network > ?2 ORDER BY network LIMIT ?3",
		"iti", clock_wall_ms(), after, (int64_t)QUERY_PAGE_ROWS);
	return error ? error : json_object_array_length(l->items) - before == QUERY_PAGE_ROWS;
}

int bans_list(struct request *r)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	l->items = answer_items(r->answer);
	r->rest = (struct request_rest){list_page, free, l};
	return 0;
}

/* The body's network, in the form of the store. */
static int read_network(struct request *r, char out[CIDR_TEXT_SIZE])
{
	const char *text = request_text(r, "network");
	struct cidr net;

	if (cidr_parse(slice_from_str(text), &net))
		return errtext_set(&r->error, -EINVAL,
			"\"%.100s\" is not an address or network (as 10.0.0.0/8, host bits zero)",
			text);
	cidr_format(&net, out);
	return 0;
}

static int refuse_full(struct request *r)
{
	bool full = false;
	int error = banlist_is_full(r->control->store, &full, &r->error);

	if (!error && full)
		error = errtext_set(&r->error, -EBUSY, "there are %d bans already", BANS_MAX);
	return error;
}

static int insert(struct request *r, const char *network, int64_t now_ms, int64_t expires_ms)
{
	const char *reason = request_text(r, "reason");
	int error = query_run(r,
		"INSERT INTO bans (network, source, reason, created_ms, expires_ms)"
		" VALUES (?1, 'operator', ?2, ?3, ?4)",
		"ttii", network, reason ? reason : "", now_ms, expires_ms);

	if (error == -EEXIST)
		errtext_set(&r->error, error, "%s is banned already", network);
	return error;
}

int ban_show(struct request *r, const char *network)
{
	int error = query_each(r, describe, r->answer,
		"SELECT network, source, reason, created_ms, expires_ms FROM bans WHERE network = ?1",
		"t", network);

	return error || json_object_object_length(r->answer) ? error : -ENOENT;
}

int bans_add(struct request *r)
{
	char network[CIDR_TEXT_SIZE];
	int64_t now = clock_wall_ms();
	int64_t ms = (int64_t)request_duration(r, "for", 0);
	int64_t expires = ms ? now + ms : 0;
	int error = read_network(r, network);

	if (!error)
		error = banlist_purge(r->control->store, now, &r->error);
	if (!error)
		error = refuse_full(r);
	if (!error)
		error = insert(r, network, now, expires);
	return error ? error : ban_show(r, network);
}

/* Also lifts a ban of the agent that has not been taken over yet. */
int bans_del(struct request *r)
{
	struct store *s = r->control->store;
	char network[CIDR_TEXT_SIZE];
	int64_t now = clock_wall_ms();
	int error = read_network(r, network);

	if (!error)
		error = banlist_take(s, r->control->board, now, &r->error);
	if (!error)
		error = query_run(
			r, "DELETE FROM bans WHERE network = ?2 AND " IN_FORCE, "it", now, network);
	if (!error && store_changed_rows(s) == 0)
		error = errtext_set(&r->error, -ENOENT, "%s is not banned", network);
	return error;
}
