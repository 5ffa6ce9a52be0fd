#include "admin/api/metrics.h"

#include "admin/control.h"
#include "admin/store/account_state.h"
#include "admin/store/history.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/store.h"
#include "admin/upkeep/probe.h"
#include "admin/upkeep/refresh.h"
#include "common/board.h"
#include "common/version.h"

#include <errno.h>
#include <inttypes.h>
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
	struct buffer *out;
};

typedef void metric_fn(const struct scrape *s, const char *name);

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

static void put_line(const struct scrape *s, const char *name, const char *labels, uint64_t value)
{
	buffer_printf(s->out, "%s%s %" PRIu64 "\n", name, labels, value);
}

/* --- histograms --- */

/* `bound_of` gives the upper bound of a bucket in seconds; the last one is +Inf. */
typedef double bound_fn(size_t bucket);

static double decision_bound(size_t bucket)
{
	return (double)(1u << bucket) / 1e6;
}

static double upstream_bound(size_t bucket)
{
	return board_upstream_bounds[bucket];
}

/* `label` is empty, or like `upstream="a"`. */
static void put_histogram(const struct scrape *s, const char *name, const char *label,
	const struct board_histogram *h, size_t buckets, bound_fn *bound_of)
{
	const char *comma = *label ? "," : "";
	const char *open = *label ? "{" : "";
	const char *close = *label ? "}" : "";
	uint64_t count = 0;

	for (size_t i = 0; i + 1 < buckets; i++) {
		count += h ? board_get(&h->buckets[i]) : 0;
		buffer_printf(s->out, "%s_bucket{%s%sle=\"%.6g\"} %" PRIu64 "\n", name, label,
			comma, bound_of(i), count);
	}
	count += h ? board_get(&h->buckets[buckets - 1]) : 0;
	buffer_printf(
		s->out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
	buffer_printf(s->out, "%s_sum%s%s%s %.6f\n", name, open, label, close,
		h ? (double)board_get(&h->sum_us) / 1e6 : 0.0);
	buffer_printf(s->out, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

static void put_upstreams(const struct scrape *s, const char *name, bool ttfb)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->upstreams, &count);
	char label[NAMES_SIZE + 16];

	for (size_t i = 0; i < count; i++) {
		const struct board_upstream *u = s->upstreams.rows[i];
		const struct board_histogram *h = u ? (ttfb ? &u->ttfb : &u->duration) : NULL;
		snprintf(label, sizeof(label), "upstream=\"%s\"", rows[i].name);
		put_histogram(s, name, label, h, BOARD_UPSTREAM_BUCKETS, upstream_bound);
	}
}

/* --- the metrics --- */

static void put_decisions(const struct scrape *s, const char *name)
{
	char labels[96];

	put_line(s, name, "{action=\"allow\",code=\"\"}",
		board_get(&s->board->counters[BOARD_ALLOWED]));
	put_line(s, name, "{action=\"answer\",code=\"\"}",
		board_get(&s->board->counters[BOARD_ANSWERED]));
	for (size_t i = 1; i < REFUSAL_COUNT; i++) {
		snprintf(labels, sizeof(labels), "{action=\"deny\",code=\"%s\"}",
			refusal_row((enum refusal)i)->code);
		put_line(s, name, labels, board_get(&s->board->refused[i]));
	}
}

static void put_decision_times(const struct scrape *s, const char *name)
{
	put_histogram(s, name, "", &s->board->decision, BOARD_DECISION_BUCKETS, decision_bound);
}

static void put_requests(const struct scrape *s, const char *name)
{
	static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	size_t count;
	const struct name_row *rows = labelled_rows(&s->tenants, &count);
	char labels[NAMES_SIZE + 48];

	for (size_t i = 0; i < count; i++) {
		const struct board_tenant *t = s->tenants.rows[i];
		for (size_t k = 0; k < sizeof(classes) / sizeof(classes[0]); k++) {
			snprintf(labels, sizeof(labels), "{tenant=\"%s\",status_class=\"%s\"}",
				rows[i].name, classes[k]);
			put_line(s, name, labels, t ? board_get(&t->status_class[k]) : 0);
		}
	}
}

static void put_ttfb(const struct scrape *s, const char *name)
{
	put_upstreams(s, name, true);
}

static void put_durations(const struct scrape *s, const char *name)
{
	put_upstreams(s, name, false);
}

static void put_streams(const struct scrape *s, const char *name)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->tenants, &count);
	char labels[NAMES_SIZE + 16];

	for (size_t i = 0; i < count; i++) {
		const struct board_tenant *t = s->tenants.rows[i];
		snprintf(labels, sizeof(labels), "{tenant=\"%s\"}", rows[i].name);
		put_line(s, name, labels, t ? board_get(&t->active) : 0);
	}
}

/* --- health of accounts --- */

/* Called for each account of the store with its name. */
typedef void facts_fn(const struct scrape *s, const char *name, const char *account,
	const struct account_facts *f);

static void each_account(const struct scrape *s, const char *name, facts_fn *fn)
{
	const struct account_facts *facts = (const void *)s->facts.data;

	for (size_t i = 0; i < s->facts.len / sizeof(*facts); i++) {
		const struct name_row *row = names_find(&s->accounts.names, facts[i].id);
		if (row)
			fn(s, name, row->name, &facts[i]);
	}
}

static void put_state_of(const struct scrape *s, const char *name, const char *account,
	const struct account_facts *f)
{
	char labels[NAMES_SIZE + 48];
	enum account_state state = account_state(f);

	for (int i = 0; i < ACCOUNT_STATE_COUNT; i++) {
		const char *text = account_state_name((enum account_state)i);
		snprintf(labels, sizeof(labels), "{account=\"%s\",state=\"%s\"}", account,
			i == ACCOUNT_OK ? "active" : text);
		put_line(s, name, labels, (int)state == i);
	}
}

static void put_account_states(const struct scrape *s, const char *name)
{
	each_account(s, name, put_state_of);
}

static void put_circuit_of(const struct scrape *s, const char *name, const char *account,
	const struct account_facts *f)
{
	static const int values[CIRCUIT_COUNT] = {
		[CIRCUIT_CLOSED] = 0,
		[CIRCUIT_HALF_OPEN] = 1,
		[CIRCUIT_OPEN] = 2,
	};
	char labels[NAMES_SIZE + 16];

	snprintf(labels, sizeof(labels), "{account=\"%s\"}", account);
	put_line(s, name, labels, (uint64_t)values[account_circuit(f)]);
}

static void put_circuits(const struct scrape *s, const char *name)
{
	each_account(s, name, put_circuit_of);
}

static void put_results_of(const struct scrape *s, const char *name, const char *account,
	const struct account_facts *f)
{
	char labels[NAMES_SIZE + 48];

	for (int i = 0; i < RESULT_CLASS_COUNT; i++) {
		snprintf(labels, sizeof(labels), "{account=\"%s\",class=\"%s\"}", account,
			result_class_name((enum result_class)i));
		put_line(s, name, labels, f->row ? board_get(&f->row->results[i]) : 0);
	}
}

static void put_results(const struct scrape *s, const char *name)
{
	each_account(s, name, put_results_of);
}

static void put_failovers(const struct scrape *s, const char *name)
{
	const struct board *b = s->board;

	put_line(
		s, name, "{reason=\"response\"}", board_get(&b->counters[BOARD_FAILOVER_RESPONSE]));
	put_line(s, name, "{reason=\"connect\"}", board_get(&b->counters[BOARD_FAILOVER_CONNECT]));
	put_line(s, name, "{reason=\"egress\"}", board_get(&b->counters[BOARD_FAILOVER_EGRESS]));
	put_line(s, name, "{reason=\"refused\"}", board_get(&b->counters[BOARD_FAILOVER_REFUSED]));
}

static void put_inflight(const struct scrape *s, const char *name)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->accounts, &count);
	char labels[NAMES_SIZE + 16];

	for (size_t i = 0; i < count; i++) {
		const struct board_account *a = s->accounts.rows[i];
		snprintf(labels, sizeof(labels), "{account=\"%s\"}", rows[i].name);
		put_line(s, name, labels, a ? board_get(&a->active) : 0);
	}
}

static void put_risk(const struct scrape *s, const char *name)
{
	size_t count;
	const struct name_row *rows = labelled_rows(&s->accounts, &count);

	for (size_t i = 0; i < count; i++) {
		const struct board_account *a = s->accounts.rows[i];
		buffer_printf(s->out, "%s{account=\"%s\"} %.6f\n", name, rows[i].name,
			a ? (double)board_get(&a->risk) / 1e6 : 0.0);
	}
}

static void put_shadow(const struct scrape *s, const char *name)
{
	static const char *const limits[] = {"rate", "concurrency", "quota"};
	size_t count;
	const struct name_row *rows = labelled_rows(&s->tenants, &count);
	char labels[NAMES_SIZE + 48];

	for (size_t i = 0; i < count; i++) {
		const struct board_tenant *t = s->tenants.rows[i];
		for (size_t k = 0; t && k < sizeof(limits) / sizeof(limits[0]); k++) {
			uint64_t n = board_get(&t->shadow[k]);
			snprintf(labels, sizeof(labels), "{tenant=\"%s\",limit=\"%s\"}",
				rows[i].name, limits[k]);
			if (n)
				put_line(s, name, labels, n);
		}
	}
}

static void put_frames(const struct scrape *s, const char *name)
{
	static const char *const types[BOARD_FRAME_TYPES] = {
		"hello", "notify", "disconnect", "other"};
	char labels[32];

	for (size_t i = 0; i < BOARD_FRAME_TYPES; i++) {
		snprintf(labels, sizeof(labels), "{type=\"%s\"}", types[i]);
		put_line(s, name, labels, board_get(&s->board->frames[i]));
	}
}

/* Only codes that have occurred: there are many, and most never do. */
static void put_disconnects(const struct scrape *s, const char *name)
{
	char labels[32];

	for (size_t i = 0; i < BOARD_STATUS_MAX; i++) {
		uint64_t n = board_get(&s->board->disconnects[i]);
		if (!n && i)
			continue;
		snprintf(labels, sizeof(labels), "{code=\"%zu\"}", i);
		put_line(s, name, labels, n);
	}
}

static void put_store_up(const struct scrape *s, const char *name)
{
	put_line(s, name, "", s->store_up);
}

static void put_unsaved(const struct scrape *s, const char *name)
{
	put_line(s, name, "", s->control->history->unsaved);
}

static void put_refreshes(const struct scrape *s, const char *name)
{
	char labels[48];

	for (int i = 0; i < REFRESH_OUTCOME_COUNT; i++) {
		snprintf(labels, sizeof(labels), "{result=\"%s\"}",
			refresh_outcome_name((enum refresh_outcome)i));
		put_line(s, name, labels,
			refresh_count(s->control->refresh, (enum refresh_outcome)i));
	}
}

static void put_probes(const struct scrape *s, const char *name)
{
	char labels[48];

	for (int i = 0; i < PROBE_REASON_COUNT; i++) {
		snprintf(labels, sizeof(labels), "{reason=\"%s\"}",
			probe_reason_name((enum probe_reason)i));
		put_line(s, name, labels, probe_count(s->control->probe, (enum probe_reason)i));
	}
}

static void put_build_info(const struct scrape *s, const char *name)
{
	char labels[128];

	snprintf(labels, sizeof(labels), "{version=\"%s\"}", version_text());
	put_line(s, name, labels, 1);
}

static void put_open_notices(const struct scrape *s, const char *name)
{
	int64_t open = 0;

	if (notices_count_open(s->control->store, &open, NULL) == 0)
		put_line(s, name, "", (uint64_t)open);
}

struct notice_total {
	const struct scrape *scrape;
	const char *name;
};

static void put_notice_total(void *context, const char *kind, int64_t opened)
{
	const struct notice_total *t = context;
	char labels[NAMES_SIZE + 16];

	snprintf(labels, sizeof(labels), "{kind=\"%s\"}", kind);
	put_line(t->scrape, t->name, labels, (uint64_t)opened);
}

static void put_notices(const struct scrape *s, const char *name)
{
	struct notice_total t = {.scrape = s, .name = name};

	notices_each_total(s->control->store, put_notice_total, &t, NULL);
}

static void put_event_faults(const struct scrape *s, const char *name)
{
	const struct board *b = s->board;

	put_line(s, name, "{reason=\"bad\"}", board_get(&b->counters[BOARD_EVENTS_BAD]));
	put_line(s, name, "{reason=\"forged\"}", board_get(&b->counters[BOARD_EVENTS_FORGED]));
	put_line(
		s, name, "{reason=\"unmatched\"}", board_get(&b->counters[BOARD_EVENTS_UNMATCHED]));
}

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define NO_COUNTER BOARD_COUNTER_COUNT

/* One row a metric: either a single counter of the board, or a function. */
static const struct {
	const char *name;
	enum metric_type type;
	enum board_counter_id counter;
	metric_fn *put;
	const char *help;
} metrics[] = {
	{"relay_decisions_total", METRIC_COUNTER, NO_COUNTER, put_decisions,
		"Decisions by what was decided and the code of a refusal."},
	{"relay_decision_duration_seconds", METRIC_HISTOGRAM, NO_COUNTER, put_decision_times,
		"Time the agent took to decide."},
	{"relay_decisions_repeated_total", METRIC_COUNTER, BOARD_REPEATED, NULL,
		"Decisions asked again and answered from their lease."},
	{"relay_bans_total", METRIC_COUNTER, BOARD_BANNED, NULL, "Addresses banned for bad keys."},
	{"relay_bad_keys_cached_total", METRIC_COUNTER, BOARD_BAD_KEY_CACHED, NULL,
		"Bad keys refused without a look-up."},
	{"relay_requests_total", METRIC_COUNTER, NO_COUNTER, put_requests,
		"Finished requests by tenant and class of status."},
	{"relay_upstream_ttfb_seconds", METRIC_HISTOGRAM, NO_COUNTER, put_ttfb,
		"Time to the first byte of the upstream's answer."},
	{"relay_upstream_duration_seconds", METRIC_HISTOGRAM, NO_COUNTER, put_durations,
		"Time of the whole request."},
	{"relay_streams_active", METRIC_GAUGE, NO_COUNTER, put_streams,
		"Requests in progress by tenant."},
	{"relay_account_state", METRIC_GAUGE, NO_COUNTER, put_account_states,
		"1 for the state an account is in."},
	{"relay_circuit_state", METRIC_GAUGE, NO_COUNTER, put_circuits,
		"Circuit of an account: 0 closed, 1 half-open, 2 open."},
	{"relay_account_results_total", METRIC_COUNTER, NO_COUNTER, put_results,
		"Attempts by account and what became of them."},
	{"relay_failovers_total", METRIC_COUNTER, NO_COUNTER, put_failovers,
		"Attempts handed to another account by why; refused: no account was left."},
	{"relay_last_resort_total", METRIC_COUNTER, BOARD_LAST_RESORT, NULL,
		"Requests sent to an account that is out, because all were."},
	{"relay_retry_exhausted_total", METRIC_COUNTER, BOARD_RETRY_EXHAUSTED, NULL,
		"Requests let out without failover because their tenant's budget was spent."},
	{"relay_results_unknown_total", METRIC_COUNTER, BOARD_RESULT_UNKNOWN, NULL,
		"Answers of upstreams that fit no known class."},
	{"relay_health_full_total", METRIC_COUNTER, BOARD_HEALTH_FULL, NULL,
		"Accounts and egresses counted as healthy because their table was full."},
	{"relay_account_inflight", METRIC_GAUGE, NO_COUNTER, put_inflight,
		"Requests in progress by account."},
	{"relay_spop_frames_total", METRIC_COUNTER, NO_COUNTER, put_frames,
		"SPOP frames from HAProxy by type."},
	{"relay_spop_connections", METRIC_GAUGE, BOARD_SPOP_CONNECTIONS, NULL,
		"SPOP connections that are open."},
	{"relay_spop_connections_refused_total", METRIC_COUNTER, BOARD_SPOP_REFUSED, NULL,
		"SPOP connections refused: too many, or a wrong peer."},
	{"relay_spop_stalled_total", METRIC_COUNTER, BOARD_SPOP_STALLED, NULL,
		"SPOP connections closed because the peer did not read."},
	{"relay_spop_disconnects_total", METRIC_COUNTER, NO_COUNTER, put_disconnects,
		"SPOP disconnects by status code."},
	{"relay_events_total", METRIC_COUNTER, BOARD_EVENTS, NULL, "End-of-request records taken."},
	{"relay_events_lost_total", METRIC_COUNTER, BOARD_EVENTS_LOST, NULL,
		"End-of-request records that the kernel dropped."},
	{"relay_events_refused_total", METRIC_COUNTER, NO_COUNTER, put_event_faults,
		"Datagrams that were no valid record, or for no request in progress."},
	{"relay_leases_outstanding", METRIC_GAUGE, BOARD_LEASES, NULL,
		"Requests in progress on this node."},
	{"relay_slots_healed_total", METRIC_COUNTER, BOARD_HEALED, NULL,
		"Slots given back because HAProxy did not hold them."},
	{"relay_requests_given_back_total", METRIC_COUNTER, BOARD_GIVEN_BACK, NULL,
		"Admitted requests that were never sent on, uncounted again."},
	{"relay_requests_waiting", METRIC_GAUGE, BOARD_WAITING, NULL,
		"Requests that wait for a slot."},
	{"relay_requests_waited_total", METRIC_COUNTER, BOARD_WAITED, NULL,
		"Requests admitted after waiting."},
	{"relay_waits_refused_total", METRIC_COUNTER, BOARD_WAIT_REFUSED, NULL,
		"Requests that could not wait because every place was taken."},
	{"relay_shadow_passed_total", METRIC_COUNTER, NO_COUNTER, put_shadow,
		"Requests that shadow mode let pass a limit."},
	{"relay_account_risk", METRIC_GAUGE, NO_COUNTER, put_risk, "Risk of an account, 0 to 1."},
	{"relay_bindings_moved_total", METRIC_COUNTER, BOARD_BINDINGS_MOVED, NULL,
		"Conversations that went to another account."},
	{"relay_usage_rows", METRIC_GAUGE, BOARD_USAGE_ROWS, NULL,
		"Tenants, keys, accounts and pools with counts in the state file."},
	{"relay_usage_refused_total", METRIC_COUNTER, BOARD_USAGE_FULL, NULL,
		"Requests refused because the state file had no place to count them."},
	{"relay_snapshot_version", METRIC_GAUGE, BOARD_SNAPSHOT_VERSION, NULL,
		"Version of the configuration in force in the agent."},
	{"relay_snapshots_refused_total", METRIC_COUNTER, BOARD_SNAPSHOT_REFUSED, NULL,
		"Snapshots that did not pass the agent's check."},
	{"relay_board_full_total", METRIC_COUNTER, BOARD_BOARD_FULL, NULL,
		"Counts lost because a table of labels was full."},
	{"relay_requests_unsaved_total", METRIC_COUNTER, NO_COUNTER, put_unsaved,
		"Finished requests that were overwritten before the store had them."},
	{"relay_notices_open", METRIC_GAUGE, NO_COUNTER, put_open_notices,
		"Notices that nobody has acknowledged and whose cause is not gone."},
	{"relay_notices_total", METRIC_COUNTER, NO_COUNTER, put_notices,
		"Notices opened, by kind."},
	{"relay_token_refresh_total", METRIC_COUNTER, NO_COUNTER, put_refreshes,
		"Refreshes of access tokens by what became of them."},
	{"relay_probes_total", METRIC_COUNTER, NO_COUNTER, put_probes,
		"Probes of accounts by what they were made for."},
	{"relay_store_up", METRIC_GAUGE, NO_COUNTER, put_store_up, "1 when the store answers."},
	{"relay_build_info", METRIC_GAUGE, NO_COUNTER, put_build_info, "The running version."},
};

static void put_metric(const struct scrape *s, size_t i)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	buffer_printf(s->out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name, metrics[i].help,
		metrics[i].name, types[metrics[i].type]);
	if (metrics[i].put)
		metrics[i].put(s, metrics[i].name);
	else
		put_line(
			s, metrics[i].name, "", board_get(&s->board->counters[metrics[i].counter]));
}

static bool load_facts(struct scrape *s)
{
	struct store *store = s->control->store;
	sqlite3_stmt *st = store_statement(
		store, "SELECT " ACCOUNT_FACTS " FROM" ACCOUNT_FACTS_FROM "ORDER BY a.id", NULL);
	int rc = -EIO;

	while (st && (rc = store_step(store, st, NULL)) == 1) {
		struct account_facts facts = account_facts_read(st, 0, s->board);
		buffer_append(&s->facts, &facts, sizeof(facts));
	}
	return rc == 0 && buffer_error(&s->facts) == 0;
}

static bool load_names(struct scrape *s)
{
	struct store *store = s->control->store;
	const struct board *b = s->board;
	bool tenants = labelled_load(&s->tenants, store,
		"SELECT id, name, 0 FROM tenants ORDER BY id", b->tenants, sizeof(b->tenants[0]));
	bool accounts =
		labelled_load(&s->accounts, store, "SELECT id, name, 0 FROM accounts ORDER BY id",
			b->accounts, sizeof(b->accounts[0]));
	bool upstreams =
		labelled_load(&s->upstreams, store, "SELECT id, name, 0 FROM upstreams ORDER BY id",
			b->upstreams, sizeof(b->upstreams[0]));

	return tenants && accounts && upstreams;
}

void metrics_render(struct control *c, struct buffer *out)
{
	struct scrape s = {.control = c, .board = c->board, .out = out};

	s.store_up = load_names(&s) && load_facts(&s);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		put_metric(&s, i);
	labelled_fini(&s.tenants);
	labelled_fini(&s.accounts);
	labelled_fini(&s.upstreams);
	buffer_fini(&s.facts);
}
