#include "admin/api/egress_state.h"

#include "admin/api/query.h"
#include "admin/store/store.h"
#include "admin/upkeep/unbound.h"
#include "common/board.h"
#include "common/clock.h"

struct backends {
	json_object *items;
	struct buffer reason;
	size_t out;   /* of them */
	bool unbound; /* HAProxy's machine does not have the address */
	struct slice address;
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
	bool unbound = unbound_has(r->control->unbound, row_u32(row, "id"));
	all->unbound |= unbound;
	if (standing == BOARD_STANDING_USABLE && !unbound)
		return 0;
	all->out++;
	if (!unbound)
		put_reason(all, row_text(row, "upstream"), board_standing_text(standing));
	return 0;
}

bool egress_state_is_usable(const struct control *c, uint32_t backend)
{
	return standing_of(board_find_backend(c->board, backend)) == BOARD_STANDING_USABLE &&
		!unbound_has(c->unbound, backend);
}

/* One cause for all upstreams. */
static void put_missing_address(struct backends *all)
{
	if (all->unbound)
		buffer_printf(&all->reason, "%sHAProxy's machine does not have the address %.*s",
			all->reason.len ? "; " : "", (int)all->address.n, all->address.p);
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
	struct backends all = {.items = json_object_new_array(), .address = row->address};

	/* a store that fails here fails the query of the egresses too */
	query_each(r, put_backend, &all,
		"SELECT b.id, b.name, u.name AS upstream FROM backends b JOIN upstreams u ON u.id = b.upstream_id"
		" WHERE b.egress_id = ?1 AND b.last_gen IS NULL ORDER BY u.name",
		"i", row->id);
	put_missing_address(&all);
	answer_text(o, "state", state_of(row, &all));
	if (row->suspended)
		answer_slice(o, "reason", row->suspend_reason);
	else
		answer_text(o, "reason", buffer_str(&all.reason));
	answer_flag(o, "address_missing", all.unbound);
	json_object_object_add(o, "backends", all.items);
	buffer_fini(&all.reason);
}
