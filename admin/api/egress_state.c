#include "admin/api/egress_state.h"

#include "admin/api/query.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"

struct backends {
	json_object *items;
	struct buffer reason;
	size_t out; /* of them */
};

static enum board_standing standing_of(const struct board_backend *b)
{
	uint64_t standing = b ? board_get(&b->standing) : BOARD_STANDING_USABLE;

	return standing < BOARD_STANDING_COUNT ? (enum board_standing)standing
					       : BOARD_STANDING_USABLE;
}

static void put_reason(struct backends *all, struct slice upstream, const char *why)
{
	buffer_printf(&all->reason, "%s%.*s: %s", all->reason.len ? "; " : "", (int)upstream.n,
		upstream.p, why);
}

static int put_backend(struct request *r, struct row *row, void *context)
{
	struct backends *all = context;
	const struct board_backend *b = board_find_backend(r->control->board, row_u32(row, "id"));
	enum board_standing standing = standing_of(b);
	json_object *o = json_object_new_object();

	answer_slice(o, "backend", row_text(row, "name"));
	answer_slice(o, "upstream", row_text(row, "upstream"));
	answer_text(o, "state", board_standing_name(standing));
	answer_time(o, "until", b ? (int64_t)board_get(&b->until_ms) : 0);
	answer_number(o, "failures", b ? (int64_t)board_get(&b->failures) : 0);
	json_object_array_add(all->items, o);
	if (standing == BOARD_STANDING_USABLE)
		return 0;
	all->out++;
	put_reason(all, row_text(row, "upstream"), board_standing_text(standing));
	return 0;
}

static const char *state_of(const struct egress_row *row, const struct backends *all)
{
	size_t count = json_object_array_length(all->items);

	if (row->suspended)
		return "suspended";
	return count && all->out == count ? "down" : "ok";
}

void egress_state_describe(struct request *r, const struct egress_row *row, json_object *o)
{
	struct backends all = {.items = json_object_new_array()};

	/* a store that fails here fails the query of the egresses too */
	query_each(r, put_backend, &all,
		"SELECT b.id, b.name, u.name AS upstream FROM backends b JOIN upstreams u ON u.id = b.upstream_id"
		" WHERE b.egress_id = ?1 AND b.last_gen IS NULL ORDER BY u.name",
		"i", row->id);
	answer_text(o, "state", state_of(row, &all));
	if (row->suspended)
		answer_slice(o, "reason", row->suspend_reason);
	else
		answer_text(o, "reason", buffer_str(&all.reason));
	json_object_object_add(o, "backends", all.items);
	buffer_fini(&all.reason);
}
