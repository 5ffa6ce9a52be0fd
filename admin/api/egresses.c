#include "admin/api/handlers.h"
#include "admin/store/store.h"
#include "common/errtext.h"

#include "admin/api/egress_sharing.h"
#include "admin/api/egress_state.h"
#include "admin/api/node_egress.h"
#include "admin/store/notices.h"
#include "common/clock.h"
#include "common/ip.h"

#include <errno.h>

static void describe(struct request *r, struct row *row, json_object *o)
{
	struct egress_row state = {
		.id = row_number(row, "id"),
		.suspended = row_flag(row, "suspended"),
		.suspend_reason = row_text(row, "suspend_reason"),
		.address = row_text(row, "address"),
	};

	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "kind", row_text(row, "kind"));
	answer_slice(o, "address", row_text(row, "address"));
	node_egress_describe(
		row_text(row, "kind"), row_text(row, "node_cert"), row_text(row, "node_ca"), o);
	answer_slice(o, "region", row_text(row, "region"));
	answer_flag(o, "shared", row_flag(row, "shared"));
	answer_number(o, "accounts", row_number(row, "accounts"));
	egress_state_describe(r, &state, o);
	answer_flag(o, "suspended", state.suspended);
	answer_slice(o, "suspend_reason", state.suspend_reason);
	answer_slice(o, "seen_ip", row_text(row, "seen_ip"));
	answer_time(o, "checked_at", row_number(row, "checked_ms"));
	answer_time(o, "created_at", row_number(row, "created_ms"));
}

static const struct noun_column columns[] = {
	{"region", "UPDATE egresses SET region = ?1 WHERE id = ?2", NOUN_TEXT},
	{"shared", "UPDATE egresses SET shared = ?1 WHERE id = ?2", NOUN_SWITCH},
	{NULL, NULL, NOUN_TEXT},
};

const struct noun noun_egress = {
	.what = "egress",
	.find = "SELECT id FROM egresses WHERE name = ?1",
	.select = "SELECT e.id, e.name, e.kind, e.address, e.region, e.shared, e.created_ms,"
		  " (SELECT count(*) FROM account_egresses a WHERE a.egress_id = e.id) AS accounts,"
		  " e.suspended, e.suspend_reason, e.seen_ip, e.checked_ms, e.node_cert, e.node_ca"
		  " FROM egresses e " NOUN_PAGE("e.name"),
	.describe = describe,
	.columns = columns,
};

/* After a change of the address the seen address and the suspension no longer count. */
static int forget_seen(struct request *r, int64_t id)
{
	return query_run(r,
		"UPDATE egresses SET seen_ip = '', checked_ms = 0, epoch = epoch + suspended,"
		" suspended = 0, suspend_reason = '' WHERE id = ?1",
		"i", id);
}

static int put_address(struct request *r, int64_t id, const char *kind, const char *address)
{
	int64_t same = 0;
	int error = query_number(r, &same,
		"SELECT kind = ?1 AND address = ?2 FROM egresses WHERE id = ?3", "tti", kind,
		address, id);

	if (error || same)
		return error;
	error = forget_seen(r, id);
	return error ? error
		     : query_run(r, "UPDATE egresses SET kind = ?1, address = ?2 WHERE id = ?3",
			       "tti", kind, address, id);
}

/* A source in the form that the kernel shows. */
static int update_address(struct request *r, int64_t id)
{
	static const char *const kinds[] = {"source", "socks4", "node"};
	char source[IP_TEXT_SIZE];
	struct ip ip;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *text = request_text(r, kinds[i]);
		if (!text)
			continue;
		bool is_ip = i == 0 && ip_parse(slice_from_str(text), &ip) == 0;
		return put_address(r, id, kinds[i], is_ip ? ip_format(&ip, source) : text);
	}
	return 0;
}

int egress_insert(struct request *r, const char *name, int64_t *ret_id)
{
	int error = query_run(r,
		"INSERT INTO egresses (name, kind, created_ms) VALUES (?1, 'source', ?2)", "ti",
		name, clock_wall_ms());

	if (!error)
		*ret_id = store_last_id(r->control->store);
	return noun_insert_error(r, &noun_egress, error);
}

int egress_update(struct request *r, int64_t id)
{
	int error = noun_update(r, &noun_egress, id);

	if (!error)
		error = update_address(r, id);
	if (!error)
		error = node_egress_update(r, id);
	return error ? error : node_egress_check(r, 0);
}

/* `direct` is built in and has no address. */
static int refuse_built_in(struct request *r)
{
	if (strcmp(r->name, "direct") != 0)
		return 0;
	return errtext_set(&r->error, -EBUSY, "egress \"direct\" is built in and stays as it is");
}

int egress_add(struct request *r)
{
	const char *name = request_text(r, "name");
	int64_t id = 0;
	int error = egress_insert(r, name, &id);

	if (!error)
		error = egress_update(r, id);
	return error ? error : noun_show(r, &noun_egress, name, r->answer);
}

/*
 * An operator who sets an address, even the same, accepts it: the next check takes the address it
 * sees.
 */
static int accept_address(struct request *r, int64_t id)
{
	char subject[NOTICES_SUBJECT_SIZE];

	if (!request_has(r, "source") && !request_has(r, "socks4") && !request_has(r, "node"))
		return 0;
	int error = forget_seen(r, id);
	return error ? error
		     : notices_resolve(r->control->store, NOTICE_EGRESS_MISMATCH,
			       notices_subject("egress", r->name, subject), &r->error);
}

int egress_set(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_egress, &id);

	if (!error)
		error = refuse_built_in(r);
	if (!error)
		error = egress_update(r, id);
	if (!error)
		error = accept_address(r, id);
	if (!error)
		error = egress_sharing_check_egress(r, id);
	return error ? error : noun_show(r, &noun_egress, r->name, r->answer);
}

int egress_list(struct request *r)
{
	return noun_list_pages(r, &noun_egress);
}

int egress_show(struct request *r)
{
	return noun_show(r, &noun_egress, r->name, r->answer);
}

int egress_del(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_egress, &id);

	if (!error)
		error = refuse_built_in(r);
	if (!error)
		error = noun_refuse_if_used(r, &noun_egress, "account",
			"SELECT a.name FROM account_egresses e JOIN accounts a ON a.id = e.account_id"
			" WHERE e.egress_id = ?1 ORDER BY a.name",
			id);
	return error ? error : query_run(r, "DELETE FROM egresses WHERE id = ?1", "i", id);
}

/* --- suspend, resume --- */

int egress_suspend(struct request *r)
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_egress, &id);

	/* without a reason the one that it has stays */
	if (!error)
		error = query_run(r,
			"UPDATE egresses SET suspended = 1,"
			" suspend_reason = coalesce(?2, suspend_reason) WHERE id = ?1",
			"it", id, request_text(r, "reason"));
	return error ? error : noun_show(r, &noun_egress, r->name, r->answer);
}

/* The next check suspends it again if it still shows another address. */
int egress_resume(struct request *r)
{
	char subject[NOTICES_SUBJECT_SIZE];
	int64_t id = 0;
	int error = noun_subject(r, &noun_egress, &id);

	if (!error)
		error = query_run(r,
			"UPDATE egresses SET suspended = 0, suspend_reason = '', epoch = epoch + 1"
			" WHERE id = ?1",
			"i", id);
	if (!error)
		error = notices_resolve(r->control->store, NOTICE_EGRESS_MISMATCH,
			notices_subject("egress", r->name, subject), &r->error);
	return error ? error : noun_show(r, &noun_egress, r->name, r->answer);
}
