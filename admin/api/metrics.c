#include "admin/api/metrics.h"

#include "admin/api/samples.h"
#include "admin/control.h"
#include "admin/store/account_state.h"
#include "admin/store/history.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/upkeep/clockwatch.h"
#include "admin/upkeep/looptime.h"
#include "admin/upkeep/probe.h"
#include "admin/upkeep/refresh.h"
#include "admin/upkeep/tunnelwatch.h"
#include "common/board.h"
#include "common/log.h"
#include "common/reference.h"
#include "common/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The store's names, and beside each its row on the board; NULL = nothing was counted for it yet. */
struct labelled {
	struct names names;
	const void **rows;
};

/* What one scrape works on. */
struct scrape {
	struct control *control;
	const struct board *board;
	struct labelled tenants, accounts, upstreams;
	struct buffer facts; /* struct account_facts, by rising id */
	bool store_up;
	struct samples samples;
};

typedef void metric_fn(const struct scrape *s);

/* When a counter begins at 0. */
enum begin {
	BEGIN_RELAY,   /* and goes on over SIGUSR2 and the end of a process */
	BEGIN_PROGRAM, /* at SIGUSR2, too */
	BEGIN_CONTROL, /* with each control process: at SIGUSR2, and after its end */
	BEGIN_STORE,   /* with the store */
};

/* --- labelled rows of the board --- */

/* Rows of all kinds begin with their id, which is written first; 0 = free. */
static void join_rows(struct labelled *l, const void *rows, size_t row_size)
{
	size_t count;
	const struct name_row *names = names_rows(&l->names, &count);

	for (size_t i = 0; i < BOARD_ROWS && l->rows; i++) {
		const _Atomic uint32_t *id =
			(const _Atomic uint32_t *)(const void *)((const char *)rows + i * row_size);
		uint32_t value = atomic_load_explicit(id, memory_order_acquire);
		const struct name_row *row = value ? names_find(&l->names, value) : NULL;
		if (row)
			l->rows[row - names] = id;
	}
}

static bool labelled_load(
	struct labelled *l, struct store *store, const char *sql, const void *rows, size_t row_size)
{
	size_t count;
	bool ok = names_load(&l->names, store, sql, NULL) == 0;

	names_rows(&l->names, &count);
	l->rows = calloc(count + 1, sizeof(*l->rows));
	if (!l->rows)
		return false;
	join_rows(l, rows, row_size);
	return ok;
}

static void labelled_fini(struct labelled *l)
{
	names_fini(&l->names);
	free(l->rows);
}

static const struct name_row *labelled_rows(const struct labelled *l, size_t *ret_count)
{
	const struct name_row *rows = names_rows(&l->names, ret_count);

	if (!l->rows)
		*ret_count = 0;
	return rows;
}

static void put(const struct scrape *s, uint64_t value, const char *first, const char *second)
{
	samples_put(&s->samples, value, first, second);
}

static uint64_t counter(const struct scrape *s, enum board_counter_id id)
{
	return board_get(&s->board->counters[id]);
}

/* --- histograms --- */

static double decision_bound(size_t bucket)
{
	return (double)(1u << bucket) / 1e6;
}

static double upstream_bound(size_t bucket)
{
	return board_upstream_bounds[bucket];
}

static void put_upstreams(const struct scrape *s, bool ttfb)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->upstreams, &count);

	for (size_t i = 0; i < count; i++) {
		const struct board_upstream *u = s->upstreams.rows[i];
		const struct board_histogram *h = u ? (ttfb ? &u->ttfb : &u->duration) : NULL;
		samples_put_histogram(
			&s->samples, h, BOARD_UPSTREAM_BUCKETS, upstream_bound, rows[i].name);
	}
}

/* --- the metrics --- */

static void put_decisions(const struct scrape *s)
{
	put(s, counter(s, BOARD_ALLOWED), "allow", NULL);
	put(s, counter(s, BOARD_ANSWERED), "answer", NULL);
	for (size_t i = 1; i < REFUSAL_COUNT; i++)
		put(s, board_get(&s->board->refused[i]), "deny",
			refusal_row((enum refusal)i)->code);
}

static void put_decision_times(const struct scrape *s)
{
	samples_put_histogram(
		&s->samples, &s->board->decision, BOARD_DECISION_BUCKETS, decision_bound, NULL);
}

static void put_requests(const struct scrape *s)
{
	static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	size_t count;
	const struct name_row *rows = labelled_rows(&s->tenants, &count);

	for (size_t i = 0; i < count; i++) {
		const struct board_tenant *t = s->tenants.rows[i];
		for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++)
			put(s, t ? board_get(&t->status_class[k]) : 0, rows[i].name, classes[k]);
	}
}

static double recovery_bound(size_t bucket)
{
	return board_recovery_bounds[bucket];
}

static void put_recoveries(const struct scrape *s)
{
	samples_put_histogram(
		&s->samples, &s->board->recovery, BOARD_RECOVERY_BUCKETS, recovery_bound, NULL);
}

static void put_ttfb(const struct scrape *s)
{
	put_upstreams(s, true);
}

static void put_durations(const struct scrape *s)
{
	put_upstreams(s, false);
}

/* --- health of accounts --- */

/* Called for each account of the store with its name. */
typedef void facts_fn(const struct scrape *s, const char *account, const struct account_facts *f);

static void each_account(const struct scrape *s, facts_fn *fn)
{
	const struct account_facts *facts = (const void *)s->facts.data;

	for (size_t i = 0; i < s->facts.len / sizeof(*facts); i++) {
		const struct name_row *row = names_find(&s->accounts.names, facts[i].id);
		if (row)
			fn(s, row->name, &facts[i]);
	}
}

static void put_state_of(const struct scrape *s, const char *account, const struct account_facts *f)
{
	enum account_state state = account_state(f);

	for (int i = 0; i < ACCOUNT_STATE_COUNT; i++) {
		const char *text = account_state_name((enum account_state)i);
		put(s, (int)state == i, account, i == ACCOUNT_OK ? "active" : text);
	}
}

static void put_account_states(const struct scrape *s)
{
	each_account(s, put_state_of);
}

static void put_circuit_of(
	const struct scrape *s, const char *account, const struct account_facts *f)
{
	static const int values[CIRCUIT_COUNT] = {
		[CIRCUIT_CLOSED] = 0,
		[CIRCUIT_HALF_OPEN] = 1,
		[CIRCUIT_OPEN] = 2,
	};

	put(s, (uint64_t)values[account_circuit(f)], account, NULL);
}

static void put_circuits(const struct scrape *s)
{
	each_account(s, put_circuit_of);
}

static void put_results_of(
	const struct scrape *s, const char *account, const struct account_facts *f)
{
	for (int i = 0; i < RESULT_CLASS_COUNT; i++)
		put(s, f->row ? board_get(&f->row->results[i]) : 0, account,
			result_class_name((enum result_class)i));
}

static void put_results(const struct scrape *s)
{
	each_account(s, put_results_of);
}

static void put_risk(const struct scrape *s)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->accounts, &count);

	for (size_t i = 0; i < count; i++) {
		const struct board_account *a = s->accounts.rows[i];
		samples_put_fraction(
			&s->samples, a ? (double)board_get(&a->risk) / 1e6 : 0.0, rows[i].name);
	}
}

static void put_shadow(const struct scrape *s)
{
	static const char *const limits[] = {"rate", "concurrency", "quota"};
	size_t count;
	const struct name_row *rows = labelled_rows(&s->tenants, &count);

	for (size_t i = 0; i < count; i++) {
		const struct board_tenant *t = s->tenants.rows[i];
		for (size_t k = 0; t && k < sizeof(limits) / sizeof(limits[0]); k++) {
			uint64_t n = board_get(&t->shadow[k]);
			if (n)
				put(s, n, rows[i].name, limits[k]);
		}
	}
}

static void put_frames(const struct scrape *s)
{
	static const char *const types[BOARD_FRAME_TYPES] = {
		"hello", "notify", "disconnect", "other"};

	for (size_t i = 0; i < BOARD_FRAME_TYPES; i++)
		put(s, board_get(&s->board->frames[i]), types[i], NULL);
}

/* Only codes that have occurred: there are many, and most never do. */
static void put_disconnects(const struct scrape *s)
{
	char code[24];

	for (size_t i = 0; i < BOARD_STATUS_MAX; i++) {
		uint64_t n = board_get(&s->board->disconnects[i]);
		if (!n && i)
			continue;
		snprintf(code, sizeof(code), "%zu", i);
		put(s, n, code, NULL);
	}
}

static void put_store_up(const struct scrape *s)
{
	put(s, s->store_up, NULL, NULL);
}

static void put_unsaved(const struct scrape *s)
{
	put(s, s->control->history->unsaved, NULL, NULL);
}

static void put_clock_steps(const struct scrape *s)
{
	put(s, clockwatch_steps(s->control), NULL, NULL);
}

static void put_log_dropped(const struct scrape *s)
{
	put(s, log_dropped(), NULL, NULL);
}

static void put_refreshes(const struct scrape *s)
{
	for (int i = 0; i < REFRESH_OUTCOME_COUNT; i++)
		put(s, refresh_count(s->control->refresh, (enum refresh_outcome)i),
			refresh_outcome_name((enum refresh_outcome)i), NULL);
}

static void put_probes(const struct scrape *s)
{
	for (int i = 0; i < PROBE_REASON_COUNT; i++)
		put(s, probe_count(s->control->probe, (enum probe_reason)i),
			probe_reason_name((enum probe_reason)i), NULL);
}

static void put_websockets(const struct scrape *s)
{
	put(s, tunnelwatch_open(s->control->tunnelwatch), NULL, NULL);
}

static void put_websockets_ended(const struct scrape *s)
{
	for (int i = 0; i < TUNNELWATCH_REASON_COUNT; i++)
		put(s, tunnelwatch_ended(s->control->tunnelwatch, (enum tunnelwatch_reason)i),
			tunnelwatch_reason_name((enum tunnelwatch_reason)i), NULL);
}

static void put_restarts(const struct scrape *s)
{
	for (int role = CHILD_CONTROL; role < CHILD_ROLE_COUNT; role++) {
		const struct channel_process *p = &s->control->processes[role];
		for (int i = 0; i < CHILD_END_COUNT; i++)
			put(s, p->ends[i], child_role_name((enum child_role)role),
				child_end_name((enum child_end)i));
	}
}

static void put_connections_closed(const struct scrape *s)
{
	put(s, s->control->connections_closed, NULL, NULL);
}

static void put_loop_times(const struct scrape *s)
{
	const struct looptime *t = s->control->looptime;

	samples_put_histogram(
		&s->samples, t ? &t->histogram : NULL, LOOPTIME_BUCKETS, looptime_bound, NULL);
}

static void put_build_info(const struct scrape *s)
{
	put(s, 1, version_text(), NULL);
}

static void put_open_notices(const struct scrape *s)
{
	int64_t open = 0;

	if (notices_count_open(s->control->store, &open, NULL) == 0)
		put(s, (uint64_t)open, NULL, NULL);
}

static void put_notice_total(void *context, const char *kind, int64_t opened)
{
	const struct scrape *s = context;

	put(s, (uint64_t)opened, kind, NULL);
}

static void put_notices(const struct scrape *s)
{
	struct scrape copy = *s; /* the callback's context is not const */

	notices_each_total(s->control->store, put_notice_total, &copy, NULL);
}

/* The metrics that are more than a counter of the board; common/board.h has the rows of the others. */
static const struct {
	struct metric_row row;
	metric_fn *put;
	enum begin begin;
} metrics[] = {
	{{"relay_decisions_total", METRIC_COUNTER, {"action", "code"}, "decisions",
		 "Decisions about requests. `action` is allow, deny, or answer for the relay's own endpoints; "
		 "`code` is the error code of a refusal. Refusals by HAProxy itself count, too, such as "
		 "agent_unavailable, request_timeout or upstream_timeout, also of a request that the agent "
		 "allowed before."},
		.put = put_decisions},
	{{"relay_decision_duration_seconds", METRIC_HISTOGRAM, {NULL}, "seconds",
		 "Time that the agent took for one decision."},
		.put = put_decision_times},
	{{"relay_requests_total", METRIC_COUNTER, {"tenant", "status_class"}, "requests",
		 "Finished requests. `status_class` is 1xx to 5xx, or none if the request ended without an "
		 "answer."},
		.put = put_requests},
	{{"relay_upstream_ttfb_seconds", METRIC_HISTOGRAM, {"upstream"}, "seconds",
		 "Time from the whole request until the first byte of the upstream's answer."},
		.put = put_ttfb},
	{{"relay_upstream_duration_seconds", METRIC_HISTOGRAM, {"upstream"}, "seconds",
		 "Time from the first byte of the request until the last byte of the answer."},
		.put = put_durations},
	{{"relay_account_state", METRIC_GAUGE, {"account", "state"}, "0 or 1",
		 "1 for the state that the account is in, 0 for every other state."},
		.put = put_account_states},
	{{"relay_circuit_state", METRIC_GAUGE, {"account"}, "0, 1 or 2",
		 "Circuit of the account: 0 closed, 1 half-open, 2 open."},
		.put = put_circuits},
	{{"relay_account_results_total", METRIC_COUNTER, {"account", "class"}, "attempts",
		 "Attempts at the account by the class of their result, see docs/HEALTH.md."},
		.put = put_results},
	{{"relay_account_risk", METRIC_GAUGE, {"account"}, "0 to 1",
		 "Risk of the account from failures and usage, see docs/LIMITS.md."},
		.put = put_risk},
	{{"relay_account_recovery_seconds", METRIC_HISTOGRAM, {NULL}, "seconds",
		 "How long accounts were out: from the moment that one could not be used, for example because "
		 "of a failed probe, an open circuit or a window of the upstream, until it could again."},
		.put = put_recoveries},
	{{"relay_shadow_passed_total", METRIC_COUNTER, {"tenant", "limit"}, "requests",
		 "Requests that a limit would have refused without shadow mode. `limit` is rate, concurrency "
		 "or quota."},
		.put = put_shadow},
	{{"relay_spop_frames_total", METRIC_COUNTER, {"type"}, "frames",
		 "SPOP frames from HAProxy. `type` is hello, notify, disconnect or other."},
		.put = put_frames},
	{{"relay_spop_disconnects_total", METRIC_COUNTER, {"code"}, "connections",
		 "SPOP disconnects by status code. A code that has not occurred is not shown."},
		.put = put_disconnects},
	{{"relay_requests_unsaved_total", METRIC_COUNTER, {NULL}, "requests",
		 "Finished requests that the history lacks: they were overwritten before they were "
		 "saved, or the store took nothing at the last stop."},
		.put = put_unsaved, .begin = BEGIN_CONTROL},
	{{"relay_log_lines_dropped_total", METRIC_COUNTER, {NULL}, "lines",
		 "Log lines of all processes that were not written because nobody read stderr."},
		.put = put_log_dropped, .begin = BEGIN_PROGRAM},
	{{"relay_notices_open", METRIC_GAUGE, {NULL}, "notices",
		 "Notices that are not acknowledged and whose cause still exists."},
		.put = put_open_notices},
	{{"relay_notices_total", METRIC_COUNTER, {"kind"}, "notices",
		 "Notices raised, counted in the store."},
		.put = put_notices, .begin = BEGIN_STORE},
	{{"relay_token_refresh_total", METRIC_COUNTER, {"result"}, "refreshes",
		 "Refreshes of access tokens by result."},
		.put = put_refreshes, .begin = BEGIN_CONTROL},
	{{"relay_probes_total", METRIC_COUNTER, {"reason"}, "probes",
		 "Probes of accounts by reason."},
		.put = put_probes, .begin = BEGIN_CONTROL},
	{{"relay_websockets_open", METRIC_GAUGE, {NULL}, "WebSockets",
		 "WebSockets in progress, as HAProxy showed them within the last second or two."},
		.put = put_websockets},
	{{"relay_websockets_ended_total", METRIC_COUNTER, {"reason"}, "WebSockets",
		 "WebSockets that the relay has ended. `reason` is key (revoked, expired or deleted), tenant "
		 "(disabled or deleted), ban, or half_closed (only one side had closed)."},
		.put = put_websockets_ended, .begin = BEGIN_CONTROL},
	{{"relay_child_restarts_total", METRIC_COUNTER, {"child", "reason"}, "restarts",
		 "Restarts of the agent and of control. `reason` is crash (a fault), killed (a signal from "
		 "outside), exit, hung (it did not answer the keeper) or start (it never served)."},
		.put = put_restarts},
	{{"relay_clock_steps_total", METRIC_COUNTER, {NULL}, "steps",
		 "Times that the clock of this machine was set by a second or more while the relay ran, "
		 "or since it ran last."},
		.put = put_clock_steps, .begin = BEGIN_CONTROL},
	{{"relay_store_up", METRIC_GAUGE, {NULL}, "0 or 1",
		 "1 if the store answers and takes changes, 0 if not."},
		.put = put_store_up},
	{{"relay_admin_connections_closed_total", METRIC_COUNTER, {NULL}, "connections",
		 "Connections to the admin socket and `/metrics` that were closed because there were too many "
		 "or no descriptor was left."},
		.put = put_connections_closed, .begin = BEGIN_CONTROL},
	{{"relay_control_loop_seconds", METRIC_HISTOGRAM, {NULL}, "seconds",
		 "Time that the loop of the control process worked without a wait. Nothing else is served "
		 "meanwhile."},
		.put = put_loop_times, .begin = BEGIN_CONTROL},
	{{"relay_build_info", METRIC_GAUGE, {"version"}, "1",
		 "Always 1; the label is the version that runs."},
		.put = put_build_info},
};

#define METRIC_COUNT (sizeof(metrics) / sizeof(metrics[0]))

static const board_counter *field_of(const void *row, const struct board_metric *m)
{
	return (const board_counter *)(const void *)((const char *)row + m->offset);
}

static void put_fields(struct scrape *s, const struct labelled *l, const struct board_metric *rows,
	size_t row_count)
{
	size_t count;
	const struct name_row *names = labelled_rows(l, &count);

	for (size_t k = 0; k < row_count; k++) {
		samples_begin(&s->samples, &rows[k].row);
		if (rows[k].row.type == METRIC_GAUGE && !board_knows_leases(s->board))
			continue;
		for (size_t i = 0; i < count; i++)
			put(s, l->rows[i] ? board_get(field_of(l->rows[i], &rows[k])) : 0,
				names[i].name, NULL);
	}
}

static void put_words(struct scrape *s)
{
	for (size_t i = 0; i < BOARD_WORD_METRIC_COUNT; i++) {
		samples_begin(&s->samples, &board_word_metrics[i]);
		for (size_t k = 0; k < BOARD_WORD_COUNT; k++) {
			const struct board_word *w = &board_words[k];
			if (w->metric == &board_word_metrics[i])
				put(s, counter(s, w->counter), w->word, NULL);
		}
	}
}

static void put_all(struct scrape *s)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		samples_begin(&s->samples, &metrics[i].row);
		metrics[i].put(s);
	}
	for (size_t i = 0; i < BOARD_METRIC_COUNT; i++) {
		const board_counter *c = field_of(s->board, &board_metrics[i]);
		samples_begin(&s->samples, &board_metrics[i].row);
		if (c != &s->board->counters[BOARD_LEASES] || board_knows_leases(s->board))
			put(s, board_get(c), NULL, NULL);
	}
	put_words(s);
	put_fields(s, &s->tenants, board_tenant_metrics, BOARD_TENANT_METRIC_COUNT);
	put_fields(s, &s->accounts, board_account_metrics, BOARD_ACCOUNT_METRIC_COUNT);
}

static int take_facts(struct row *row, void *context)
{
	struct scrape *s = context;
	struct account_facts facts = account_facts_read(row, s->board);

	buffer_append(&s->facts, &facts, sizeof(facts));
	return 0;
}

static bool load_facts(struct scrape *s)
{
	int error = sql_each(s->control->store, NULL, take_facts, s,
		"SELECT " ACCOUNT_FACTS " FROM" ACCOUNT_FACTS_FROM "ORDER BY a.id", "");

	return !error && buffer_error(&s->facts) == 0;
}

static bool load_names(struct scrape *s)
{
	struct store *store = s->control->store;
	const struct board *b = s->board;
	bool tenants = labelled_load(&s->tenants, store, "SELECT id, name FROM tenants ORDER BY id",
		b->tenants, sizeof(b->tenants[0]));
	bool accounts = labelled_load(&s->accounts, store,
		"SELECT id, name FROM accounts ORDER BY id", b->accounts, sizeof(b->accounts[0]));
	bool upstreams =
		labelled_load(&s->upstreams, store, "SELECT id, name FROM upstreams ORDER BY id",
			b->upstreams, sizeof(b->upstreams[0]));

	return tenants && accounts && upstreams;
}

void metrics_render(struct control *c, struct buffer *out)
{
	struct scrape s = {.control = c, .board = c->board, .samples = {.out = out}};

	s.store_up = load_names(&s) && load_facts(&s) && store_is_up(c->store);
	put_all(&s);
	labelled_fini(&s.tenants);
	labelled_fini(&s.accounts);
	labelled_fini(&s.upstreams);
	buffer_fini(&s.facts);
}

/* --- docs/METRICS.md --- */

struct entry {
	const struct metric_row *row;
};

static int compare_names(const void *a, const void *b)
{
	const struct entry *one = a;
	const struct entry *other = b;

	return strcmp(one->row->name, other->row->name);
}

static void put_reference(struct buffer *out, const struct metric_row *row)
{
	buffer_printf(out, "| `%s` | %s | ", row->name, samples_type_name(row->type));
	for (size_t i = 0; i < METRIC_LABELS_MAX && row->labels[i]; i++)
		buffer_printf(out, "%s`%s`", i ? ", " : "", row->labels[i]);
	buffer_printf(out, " | %s | ", row->unit);
	reference_cell(out, row->help);
	buffer_append_str(out, " |\n");
}

struct listing {
	struct entry rows[METRIC_COUNT + BOARD_METRIC_COUNT + BOARD_WORD_METRIC_COUNT +
		BOARD_TENANT_METRIC_COUNT + BOARD_ACCOUNT_METRIC_COUNT];
	size_t count;
};

static void list(struct listing *l, const struct board_metric *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		l->rows[l->count++].row = &rows[i].row;
}

/* The names of those that begin then. */
static void list_beginning(struct buffer *out, enum begin begin)
{
	const char *separator = "";

	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (metrics[i].begin != begin)
			continue;
		buffer_printf(out, "%s`%s`", separator, metrics[i].row.name);
		separator = ", ";
	}
}

static void introduce(struct buffer *out)
{
	buffer_append_str(out,
		"With `[admin] metrics = tcp:HOST:PORT` the control process serves these metrics for Prometheus "
		"under `/metrics`.\nLabels have names that an operator chose, or words of a fixed list, never text "
		"from clients.\n\n"
		"Counters and histograms begin at 0 when the relay starts. They go on over SIGUSR2, and over the end "
		"of a process, except:\n\n- with each control process, so also at SIGUSR2: ");
	list_beginning(out, BEGIN_CONTROL);
	buffer_append_str(out, "\n- at SIGUSR2: ");
	list_beginning(out, BEGIN_PROGRAM);
	buffer_append_str(out, "\n- only with a new store: ");
	list_beginning(out, BEGIN_STORE);
	buffer_append_str(out,
		"\n\nGauges of requests in progress have no sample until the agent has read the state file at the "
		"start of the relay.\n\n");
}

void reference_metrics(struct buffer *out)
{
	struct listing l = {.count = 0};

	for (size_t i = 0; i < METRIC_COUNT; i++)
		l.rows[l.count++].row = &metrics[i].row;
	list(&l, board_metrics, BOARD_METRIC_COUNT);
	for (size_t i = 0; i < BOARD_WORD_METRIC_COUNT; i++)
		l.rows[l.count++].row = &board_word_metrics[i];
	list(&l, board_tenant_metrics, BOARD_TENANT_METRIC_COUNT);
	list(&l, board_account_metrics, BOARD_ACCOUNT_METRIC_COUNT);
	qsort(l.rows, l.count, sizeof(l.rows[0]), compare_names);
	reference_begin(out, "Metrics", "admin/api/metrics.c and common/board.h");
	introduce(out);
	buffer_append_str(
		out, "| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < l.count; i++)
		put_reference(out, l.rows[i].row);
}
