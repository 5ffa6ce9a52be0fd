/* `relayadm status`: the state of the node on one screen. */
#include "admin/api/handlers.h"
#include "admin/publish/haproxy_sync.h"
#include "admin/store/history.h"
#include "admin/store/keycount.h"
#include "admin/store/store.h"
#include "admin/upkeep/clockwatch.h"
#include "common/board.h"

#include "admin/api/egress_state.h"
#include "admin/api/recent.h"
#include "admin/api/site.h"
#include "admin/api/usage.h"
#include "admin/api/warnings.h"
#include "admin/publish/publish.h"
#include "admin/store/account_state.h"
#include "admin/upkeep/refresh.h"
#include "common/clock.h"
#include "common/record.h"
#include "common/version.h"

#include <stdlib.h>
#include <unistd.h>

#define ERRORS_SHOWN 10
#define ERRORS_SEARCHED 1000
#define NAMES_SHOWN 5
#define KEEPER_SILENT_MS 3000 /* it asks control four times a second */

/* --- processes --- */

static void put_process(json_object *o, const char *name, const struct channel_process *p)
{
	json_object *one = json_object_new_object();
	int64_t uptime_ms = clock_monotonic_ms() - p->started_ms;

	answer_known(one, "pid", p->pid, p->pid);
	answer_known(one, "uptime_s", p->pid, uptime_ms > 0 ? uptime_ms / 1000 : 0);
	answer_number(one, "restarts", p->restarts);
	answer_text(one, "state", child_state_name((enum child_state)p->state));
	answer_text(one, "last_restart",
		p->last_end_ms ? child_end_name((enum child_end)p->last_end) : NULL);
	answer_time(one, "last_restart_at", p->last_end_ms);
	json_object_object_add(o, name, one);
}

/* A keeper that is stopped or hangs cannot report it: control misses its questions. */
static void put_keeper(struct request *r, json_object *keeper)
{
	const struct control *c = r->control;
	int64_t silent_ms = c->pinged_ms ? clock_monotonic_ms() - c->pinged_ms : 0;
	bool is_silent = silent_ms > KEEPER_SILENT_MS;

	if (is_silent)
		answer_text(keeper, "state", child_state_name(CHILD_HUNG));
	answer_known(keeper, "silent_s", is_silent, silent_ms / 1000);
	answer_time(keeper, "replacing_since", c->replacing_ms);
}

static void put_processes(struct request *r)
{
	json_object *processes = json_object_new_object();

	for (int role = 0; role < CHILD_ROLE_COUNT; role++)
		put_process(processes, child_role_name((enum child_role)role),
			&r->control->processes[role]);
	put_keeper(r, json_object_object_get(processes, child_role_name(CHILD_KEEPER)));
	json_object_object_add(r->answer, "processes", processes);
}

/* --- the node --- */

static void put_node(struct request *r)
{
	const struct config *c = &r->control->config;
	char host[256] = "";
	const char *node = c->node_id.s;

	if (!*node && gethostname(host, sizeof(host) - 1) == 0)
		node = host;
	answer_text(r->answer, "mode", "single");
	answer_text(r->answer, "node", node);
	answer_text(r->answer, "region", *c->region.s ? c->region.s : NULL);
	answer_text(r->answer, "version", version_text());
	answer_number(
		r->answer, "uptime_s", (clock_monotonic_ms() - r->control->started_ms) / 1000);
}

static void put_store(struct request *r)
{
	json_object *o = json_object_new_object();

	const struct store *s = r->control->store;

	answer_text(o, "kind", "sqlite");
	answer_flag(o, "up", store_is_up(s));
	answer_text(o, "error", store_is_up(s) ? NULL : store_fault(s));
	answer_number(o, "version", (int64_t)store_version(r->control->store));
	answer_number(o, "unsaved_tokens", (int64_t)refresh_unsaved(r->control->refresh));
	json_object_object_add(r->answer, "store", o);
	json_object_object_add(r->answer, "redis", NULL);
}

static void put_agent(struct request *r)
{
	json_object *o = json_object_new_object();
	const struct publish *p = r->control->publish;

	answer_flag(o, "connected", publish_fd(p) >= 0);
	answer_number(o, "published", (int64_t)publish_version(p));
	answer_number(o, "acknowledged", (int64_t)publish_acknowledged(p));
	answer_flag(o, "late", publish_is_late(p));
	json_object_object_add(r->answer, "snapshot", o);
}

/* Accounts whose newest headers or egresses wait for a reload, while HAProxy serves the ones before. */
static int put_old_sets(struct request *r, const struct haproxy_state *state, json_object *o)
{
	struct buffer names = {0};
	int count = !state->pending ? 0
				    : query_names(r, &names, NAMES_SHOWN,
					      "SELECT a.name FROM account_sets s"
					      " JOIN accounts a ON a.id = s.account_id"
					      " WHERE ?1 BETWEEN s.first_gen AND s.last_gen"
					      " ORDER BY a.name",
					      "i", (int64_t)state->loaded);

	answer_number(o, "old_sets", count > 0 ? count : 0);
	if (count > 0)
		answer_text(o, "old_set_names", buffer_str(&names));
	buffer_fini(&names);
	return count < 0 ? count : 0;
}

static int put_haproxy(struct request *r)
{
	struct haproxy_state state;
	json_object *o = json_object_new_object();

	haproxy_sync_state(r->control->haproxy, &state);
	answer_known(o, "generation", state.gen, (int64_t)state.gen);
	answer_flag(o, "rendered", *state.output_dir);
	answer_flag(o, "pending", state.pending);
	answer_flag(o, "reachable", state.answers);
	answer_text(o, "version", state.answers ? state.status.version : NULL);
	answer_text(o, "last_error", *state.error ? state.error : NULL);
	/* the age of HAProxy's number of requests in progress; null = never read */
	int64_t read_ms = (int64_t)board_get(&r->control->board->counters[BOARD_GAUGE_READ_MS]);
	answer_known(o, "gauge_age_s", read_ms, (clock_wall_ms() - read_ms) / 1000);
	json_object_object_add(r->answer, "haproxy", o);
	return put_old_sets(r, &state, o);
}

/* --- counts --- */

static int put_counts(struct request *r)
{
	static const struct {
		const char *field;
		const char *sql;
	} counts[] = {
		{"tenants", "SELECT count(*) FROM tenants"},
		{"keys", "SELECT " KEYCOUNT_ALL},
		{"upstreams", "SELECT count(*) FROM upstreams"},
		{"egress", "SELECT count(*) FROM egresses"},
		{"accounts", "SELECT count(*) FROM accounts"},
		{"pools", "SELECT count(*) FROM pools"},
		{"bans",
			"SELECT count(*) FROM bans"
			" WHERE expires_ms = 0 OR expires_ms > unixepoch() * 1000"},
	};
	json_object *o = json_object_new_object();
	int error = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) && !error; i++) {
		int64_t n = 0;
		error = query_number(r, &n, counts[i].sql, "");
		answer_number(o, counts[i].field, n);
	}
	json_object_object_add(r->answer, "counts", o);
	return error;
}

static int put_site(struct request *r)
{
	json_object *o = json_object_new_object();

	json_object_object_add(r->answer, "site", o);
	return site_describe(r->control->store, o, &r->error);
}

static void put_clock(struct request *r)
{
	json_object *o = json_object_new_object();
	int64_t at_ms = 0;
	int64_t step_ms = clockwatch_last(r->control, &at_ms);

	answer_number(o, "steps", (int64_t)clockwatch_steps(r->control));
	answer_time(o, "last_step_at", at_ms);
	json_object_object_add(o, "last_step_s",
		at_ms ? json_object_new_int64((step_ms + (step_ms < 0 ? -500 : 500)) / 1000)
		      : NULL);
	json_object_object_add(r->answer, "clock", o);
}

static void put_traffic(struct request *r)
{
	const struct board *b = r->control->board;
	json_object *o = json_object_new_object();
	uint64_t refused = 0;

	for (int i = 0; i < REFUSAL_COUNT; i++)
		refused += board_get(&b->refused[i]);
	answer_number(o, "allowed", (int64_t)board_get(&b->counters[BOARD_ALLOWED]));
	answer_number(o, "refused", (int64_t)refused);
	answer_known(o, "in_progress", board_knows_leases(b),
		(int64_t)board_get(&b->counters[BOARD_LEASES]));
	answer_number(o, "waiting", (int64_t)board_get(&b->counters[BOARD_WAITING]));
	answer_number(o, "slots_healed", (int64_t)board_get(&b->counters[BOARD_HEALED]));
	answer_number(o, "records_lost", (int64_t)board_get(&b->counters[BOARD_EVENTS_LOST]));
	answer_number(o, "unsaved", (int64_t)r->control->history->unsaved);
	answer_number(o, "records_forged", (int64_t)board_get(&b->counters[BOARD_EVENTS_FORGED]));
	json_object_object_add(r->answer, "requests", o);
}

/* --- pools, accounts --- */

/* Counts the accounts of a pool; each has a row for each of its egresses. */
struct usable {
	int64_t count;
	uint32_t account; /* of the last rows; 0 = none yet */
	bool is_counted;
};

/* Where HAProxy's files are not rendered, there is no backend, and nothing is known of the egress. */
static int count_usable(struct request *r, struct row *row, void *context)
{
	struct account_facts facts = account_facts_read(row, r->control->board);
	struct usable *u = context;
	uint32_t backend = row_u32(row, "backend");
	bool has_way = !row_flag(row, "egress_suspended") &&
		(!backend || egress_state_is_usable(r->control, backend));

	if (facts.id != u->account)
		*u = (struct usable){u->count, facts.id, false};
	if (u->is_counted || !has_way || account_state(&facts) != ACCOUNT_OK)
		return 0;
	u->is_counted = true;
	u->count++;
	return 0;
}

/* The egresses of the accounts of a pool: `direct` where an account has none. */
#define WAYS                                                                                       \
	"WITH members AS MATERIALIZED (SELECT account_id FROM pool_members WHERE pool_id = ?1),"   \
	" ways(account_id, egress_id) AS (SELECT account_id, egress_id FROM account_egresses"      \
	" WHERE account_id IN members UNION ALL SELECT account_id,"                                \
	" (SELECT id FROM egresses WHERE kind = 'direct' LIMIT 1) FROM members n"                  \
	" WHERE NOT EXISTS (SELECT 1 FROM account_egresses x WHERE x.account_id = n.account_id)) "

static int put_pool(struct request *r, struct row *row, void *context)
{
	json_object *o = json_object_new_object();
	struct usable usable = {0};
	int error = query_each(r, count_usable, &usable,
		WAYS
		"SELECT " ACCOUNT_FACTS ", coalesce(b.id, 0) AS backend,"
		" coalesce(e.suspended, 0) AS egress_suspended FROM" ACCOUNT_FACTS_FROM
		"JOIN members m ON m.account_id = a.id"
		" LEFT JOIN ways w ON w.account_id = a.id LEFT JOIN egresses e ON e.id = w.egress_id"
		" LEFT JOIN backends b ON b.upstream_id = a.upstream_id"
		" AND b.egress_id = w.egress_id AND b.last_gen IS NULL"
		" ORDER BY a.id",
		"i", row_number(row, "id"));

	answer_slice(o, "name", row_text(row, "name"));
	answer_slice(o, "upstream", row_text(row, "upstream"));
	answer_slice(o, "strategy", row_text(row, "strategy"));
	answer_number(o, "accounts", row_number(row, "accounts"));
	answer_number(o, "usable", usable.count);
	json_object_array_add(context, o);
	return error;
}

static int put_pools(struct request *r)
{
	json_object *items = json_object_new_array();

	json_object_object_add(r->answer, "pools", items);
	return query_each(r, put_pool, items,
		"SELECT p.name, u.name AS upstream, p.strategy,"
		" (SELECT count(*) FROM pool_members m WHERE m.pool_id = p.id) AS accounts,"
		" p.id FROM pools p JOIN upstreams u ON u.id = p.upstream_id ORDER BY p.name",
		"");
}

static void put_board_row(json_object *o, const struct board *b, uint32_t id)
{
	const struct board_account *row = board_find_account(b, id);

	answer_number(o, "active", row ? (int64_t)board_get(&row->active) : 0);
	answer_number(o, "requests", row ? (int64_t)board_get(&row->requests) : 0);
}

static int put_id(struct request *r, struct row *row, void *context)
{
	char name[COMMAND_NAME_MAX + 1];

	(void)r;
	answer_number(context, row_copy(row, "name", name, sizeof(name)), row_number(row, "id"));
	return 0;
}

static int put_accounts(struct request *r)
{
	static const char *const kept[] = {"name", "upstream", "state", "standing", "until",
		"until_s", "circuit", "risk", "in_use", "needs_login", "suspend_reason", "egress",
		"credential_expires_at"};
	json_object *all = json_object_new_object();
	json_object *ids = json_object_new_object();
	json_object *items = json_object_new_array();
	int error = noun_list(r, &noun_account, all);

	if (!error)
		error = query_each(r, put_id, ids, "SELECT id, name FROM accounts", "");
	json_object *shown = json_object_object_get(all, "items");
	for (size_t i = 0; i < json_object_array_length(shown) && !error; i++) {
		json_object *account = json_object_array_get_idx(shown, i);
		json_object *o = json_object_new_object();
		for (size_t k = 0; k < sizeof(kept) / sizeof(kept[0]); k++)
			json_object_object_add(o, kept[k],
				json_object_get(json_object_object_get(account, kept[k])));
		const char *name = json_object_get_string(json_object_object_get(o, "name"));
		int64_t id = json_object_get_int64(json_object_object_get(ids, name));
		put_board_row(o, r->control->board, (uint32_t)id);
		json_object_array_add(items, o);
	}
	json_object_put(all);
	json_object_put(ids);
	json_object_object_add(r->answer, "accounts", items);
	return error;
}

/* --- egresses --- */

static bool is_in_order(json_object *egress)
{
	const char *state = json_object_get_string(json_object_object_get(egress, "state"));
	const char *reason = json_object_get_string(json_object_object_get(egress, "reason"));

	return strcmp(state, "ok") == 0 && !reason;
}

static int put_egress(struct request *r, struct row *row, void *context)
{
	struct egress_row state = {
		.id = row_number(row, "id"),
		.suspended = row_flag(row, "suspended"),
		.suspend_reason = row_text(row, "suspend_reason"),
		.address = row_text(row, "address"),
	};
	json_object *o = json_object_new_object();

	answer_slice(o, "name", row_text(row, "name"));
	egress_state_describe(r, &state, o);
	answer_slice(o, "address", state.address);
	json_object_object_del(o, "backends");
	if (is_in_order(o))
		json_object_put(o);
	else
		json_object_array_add(context, o);
	return 0;
}

/* Lists only the egresses that are not in order. */
static int put_egresses(struct request *r)
{
	json_object *items = json_object_new_array();

	json_object_object_add(r->answer, "egress", items);
	return query_each(r, put_egress, items,
		"SELECT id, name, address, suspended, suspend_reason FROM egresses ORDER BY name",
		"");
}

/* --- last errors --- */

static void put_error(json_object *items, const struct recent_row *row)
{
	json_object *o = json_object_new_object();
	char id[RECORD_ID_TEXT_SIZE];

	answer_time(o, "time", row->request.started_ms);
	answer_known(o, "status", row->request.status, row->request.status);
	answer_text(o, "code", *row->request.code ? row->request.code : NULL);
	answer_text(o, "tenant", *row->tenant ? row->tenant : NULL);
	answer_text(o, "account", *row->account ? row->account : NULL);
	answer_text(o, "id", record_format_id(row->request.id, id));
	json_object_array_add(items, o);
}

static int put_errors(struct request *r)
{
	struct recent_row *rows = NULL;
	size_t count = 0;
	json_object *items = json_object_new_array();
	int error = recent_list(r->control, ERRORS_SEARCHED, NULL, &rows, &count, &r->error);

	for (size_t i = 0; !error && i < count; i++) {
		if (json_object_array_length(items) == ERRORS_SHOWN)
			break;
		if (rows[i].request.status >= 500 || rows[i].request.status == 429)
			put_error(items, &rows[i]);
	}
	free(rows);
	json_object_object_add(r->answer, "errors", items);
	return error;
}

/* The first members of the answer; warnings_describe() fills them. */
static void put_places(struct request *r)
{
	json_object_object_add(r->answer, "ok", NULL);
	json_object_object_add(r->answer, "summary", NULL);
	json_object_object_add(r->answer, "warnings", NULL);
}

/* `--check`: what is wrong makes the command fail. */
static int finish(struct request *r)
{
	warnings_describe(r);
	if (request_flag(r, "check") &&
		!json_object_get_boolean(json_object_object_get(r->answer, "ok")))
		answer_text(r->answer, "failed", "the relay is not ok");
	return 0;
}

static int put_notices(struct request *r)
{
	return notices_describe(r, r->answer);
}

static int put_quotas(struct request *r)
{
	return usage_describe_quotas(r, r->answer);
}

int status_show(struct request *r)
{
	static int (*const parts[])(struct request * r) = {put_haproxy, put_site, put_counts,
		put_notices, put_pools, put_accounts, put_egresses, put_quotas, put_errors};
	int error = 0;

	put_places(r);
	put_node(r);
	put_processes(r);
	put_agent(r);
	put_store(r);
	put_clock(r);
	put_traffic(r);
	/* a store that is down still gives some of it, and the rest must be shown */
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int failed = parts[i](r);
		if (!error)
			error = failed;
	}
	put_store(r);
	return error && store_is_up(r->control->store) ? error : finish(r);
}
