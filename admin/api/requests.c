/* `relayadm requests list|why`. */
#include "admin/api/handlers.h"
#include "common/board.h"
#include "common/errtext.h"

#include "admin/api/absence.h"
#include "admin/api/attempts.h"
#include "admin/api/directory.h"
#include "admin/api/reasons.h"
#include "admin/api/recent.h"
#include "admin/command/command_form.h"
#include "admin/upkeep/historygap.h"
#include "common/clock.h"
#include "common/num.h"
#include "common/provider.h"
#include "common/record.h"
#include "common/window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GAP_SIZE 160
#define LAST_DEFAULT 100

/* HAProxy's two letters in words; rare ones stay letters. */
static const char *ended_word(const char *termination)
{
	static const struct {
		const char *letters;
		const char *word;
	} words[] = {
		{"--", "normal"},
		{"CD", "client left"},
		{"CH", "client left"},
		{"CC", "client left"},
		{"CR", "client left"},
		{"CQ", "client left"},
		{"cD", "client silent"},
		{"cR", "request too slow"},
		{"SD", "upstream left"},
		{"SH", "upstream left"},
		{"SC", "upstream unreachable"},
		{"sC", "connect timeout"},
		{"sH", "upstream silent"},
		{"sD", "upstream silent"},
		{"PH", "answer invalid"},
		{"PR", "refused"},
		{"LR", "refused"},
		{"LH", "refused"},
		{BOARD_ENDED_AWAY, "while the relay was stopped"},
		{BOARD_ENDED_LOST, "end record lost"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(words[i].letters, termination, 2) == 0)
			return words[i].word;
	}
	return termination;
}

static void answer_name(json_object *o, const char *field, const char *name)
{
	answer_text(o, field, *name ? name : NULL);
}

/* Without an end record nobody knows. */
static void put_bytes(const struct board_request *q, json_object *o)
{
	bool is_known = q->termination[0] != BOARD_ENDED_LOST[0];

	json_object_object_add(
		o, "bytes_in", is_known ? json_object_new_int64((int64_t)q->bytes_in) : NULL);
	json_object_object_add(
		o, "bytes_out", is_known ? json_object_new_int64((int64_t)q->bytes_out) : NULL);
}

static void put_end(const struct recent_row *row, json_object *o)
{
	const struct board_request *q = &row->request;
	char letters[sizeof(q->termination) + 1] = "";

	memcpy(letters, q->termination, sizeof(q->termination));
	answer_known(o, "status", q->status != 0, q->status);
	answer_name(o, "code", q->code);
	put_bytes(q, o);
	answer_known(o, "relay_ms", q->relay_ms >= 0, q->relay_ms);
	answer_known(o, "ttfb_ms", q->ttfb_ms >= 0, q->ttfb_ms);
	answer_known(o, "duration_ms", q->duration_ms >= 0, q->duration_ms);
	answer_number(o, "retries", q->retries);
	/* an answer of the relay itself (/relay/me) ends like a refusal, but is none */
	bool answered = q->status >= 200 && q->status < 400 && !*row->account;
	answer_text(o, "ended", answered ? "answered" : ended_word(letters));
	answer_text(o, "termination", letters);
	answer_name(o, "label", q->label);
	answer_name(o, "upstream_request_id", q->answer);
}

static void put_target(const struct board_request *q, json_object *o)
{
	const struct provider *provider = provider_from_number(q->provider);

	answer_name(o, "method", q->method);
	answer_name(o, "path", q->path);
	answer_text(o, "provider", provider ? provider->name : NULL);
	answer_name(o, "region", q->region);
	answer_known(o, "attempt_count", q->tries != 0, q->tries);
}

static void describe(const struct recent_row *row, json_object *o)
{
	const struct board_request *q = &row->request;
	char text[RECORD_ID_TEXT_SIZE];
	char time[CLOCK_RFC3339_SIZE];

	answer_text(o, "id", record_format_id(q->id, text));
	answer_text(o, "time", clock_format_rfc3339_ms(q->started_ms, time));
	answer_name(o, "tenant", row->tenant);
	answer_known(o, "key", q->key != 0, q->key);
	answer_name(o, "pool", row->pool);
	answer_name(o, "account", row->account);
	answer_name(o, "egress", row->egress);
	answer_name(o, "upstream", row->upstream);
	put_target(q, o);
	put_end(row, o);
}

/* --- list --- */

static int64_t read_time(const struct request *r, const char *field)
{
	const char *text = request_text(r, field);
	int64_t ms = 0;

	if (text)
		form_read_time(slice_from_str(text), clock_wall_ms(), &ms);
	return ms;
}

static int read_filter(struct request *r, struct history_filter *f)
{
	const char *tenant = request_text(r, "tenant");
	const char *account = request_text(r, "account");
	const char *status = request_text(r, "status");
	int error = 0;

	*f = (struct history_filter){.key = (uint32_t)request_number(r, "key", 0),
		.code = request_text(r, "code"),
		.since_ms = read_time(r, "since"),
		.until_ms = read_time(r, "until")};
	if (status)
		form_read_status(slice_from_str(status), &f->status_min, &f->status_max);
	if (tenant)
		error = recent_tenant(r->control, tenant, &f->tenant, &r->error);
	if (!error && account)
		error = recent_account(r->control, account, &f->account, &r->error);
	return error;
}

/* One page; `next` is where the next one begins. relayadm asks for all pages. */
int requests_list(struct request *r)
{
	int64_t last = request_number(r, "last", LAST_DEFAULT);
	struct history_filter filter;
	struct recent_row *rows = NULL;
	size_t count = 0;
	uint64_t next = 0;
	json_object *items = answer_items(r->answer);
	int error = read_filter(r, &filter);

	if (!error)
		error = recent_page(r->control, &filter, (uint64_t)request_number(r, "cursor", 0),
			(size_t)last, &rows, &count, &next, &r->error);
	for (size_t i = 0; i < count && !error; i++) {
		json_object *o = json_object_new_object();
		describe(&rows[i], o);
		json_object_array_add(items, o);
	}
	free(rows);
	answer_known(r->answer, "next", next != 0, (int64_t)next);
	return error;
}

/* --- why --- */

struct why {
	uint8_t id[16];
	struct directory names;
	struct recent_row row; /* the finished request */
	bool finished;
	struct reasons reasons;
	bool explained; /* the reasons are there */
};

static void put_named(json_object *o, const char *field, const struct names *names, uint32_t id)
{
	char name[NAMES_SIZE];

	answer_name(o, field, directory_name(names, id, name));
}

static const char *action_name(uint8_t action)
{
	static const char *const names[] = {
		[BOARD_ACTION_DENIED] = "denied",
		[BOARD_ACTION_ALLOWED] = "allowed",
		[BOARD_ACTION_WAITED] = "waiting",
	};

	return action < sizeof(names) / sizeof(names[0]) ? names[action] : NULL;
}

static void answer_refusal(json_object *o, const char *field, enum refusal r)
{
	answer_text(o, field, r == REFUSAL_NONE ? NULL : refusal_row(r)->code);
}

static void put_limits(const struct board_why *w, json_object *o)
{
	json_object *items = json_object_new_array();

	for (size_t i = 0; i < w->limit_count; i++) {
		const struct board_limit *l = &w->limits[i];
		json_object *one = json_object_new_object();
		answer_text(one, "scope", l->kind == USAGE_KEY ? "key" : "tenant");
		answer_text(one, "window",
			l->window < USAGE_WINDOW_COUNT ? window_name((enum usage_window)l->window)
						       : "concurrency");
		answer_number(one, "limit", l->limit);
		answer_number(one, "used", l->used);
		answer_flag(one, "hit", l->hit);
		json_object_array_add(items, one);
	}
	json_object_object_add(o, "limits", items);
}

static void put_score(json_object *o, uint16_t score)
{
	char text[16];

	snprintf(text, sizeof(text), "%.3f", (double)score / UINT16_MAX);
	json_object_object_add(
		o, "score", json_object_new_double_s((double)score / UINT16_MAX, text));
}

static void put_candidates(const struct why *y, json_object *o)
{
	const struct board_why *w = &y->reasons.last;
	json_object *items = json_object_new_array();

	for (size_t i = 0; i < w->candidate_count; i++) {
		const struct board_candidate *c = &w->candidates[i];
		json_object *one = json_object_new_object();
		put_named(one, "account", &y->names.accounts, c->account);
		put_score(one, c->score);
		answer_text(one, "reason",
			c->reason < BOARD_REASON_COUNT
				? board_reason_text((enum board_reason)c->reason)
				: NULL);
		json_object_array_add(items, one);
	}
	json_object_object_add(o, "candidates", items);
	answer_number(o, "not_listed",
		w->member_count > w->candidate_count ? w->member_count - w->candidate_count : 0);
}

/* The ring has the attempts of a request that failed over; a failure without failover was the only one. */
static void put_attempts(const struct why *y, json_object *o)
{
	const struct board_why *w = &y->reasons.last;
	const struct board_request *q = &y->row.request;
	const struct board_attempt only = {.account = q->account,
		.status = q->status,
		.class = BOARD_EVIDENCE_COUNT, /* not kept */
		.verdict = BOARD_VERDICT_OPEN};
	bool failed = y->finished && q->account && q->status >= 400 && !*q->code;

	if (w->attempt_count || !failed)
		attempts_describe(w->attempts, w->attempt_count, &y->names.accounts, o);
	else if (q->attempt_count && q->attempt_count <= BOARD_ATTEMPTS)
		attempts_describe(q->attempts, q->attempt_count, &y->names.accounts, o);
	else
		attempts_describe(&only, 1, &y->names.accounts, o);
}

/* What a request has to do with the resources of an account. */
static const char *resource_text(const struct board_why *w)
{
	bool is_refused = w->action == BOARD_ACTION_DENIED && w->refusal == REFUSAL_NO_ROUTE;

	if (w->resource == RESOURCE_NONE)
		return NULL;
	if (w->resource == RESOURCE_ADMIN)
		return "the administration of accounts is never served";
	return is_refused ? "not served: another tenant could reach resources of these accounts"
			  : "the resources of a key are at one account";
}

static void put_decision(const struct why *y, json_object *o)
{
	const struct reasons *s = &y->reasons;

	answer_text(o, "action", action_name(s->last.action));
	/* the finished request has what the client was told */
	if (!y->finished || (!*y->row.request.code && s->last.action == BOARD_ACTION_DENIED))
		answer_refusal(o, "code",
			s->last.action == BOARD_ACTION_DENIED ? (enum refusal)s->last.refusal
							      : REFUSAL_NONE);
	answer_flag(o, "shadow", s->last.shadow);
	answer_flag(o, "sticky", s->last.conversation != 0);
	answer_text(o, "resources", resource_text(&s->last));
	json_object_object_add(
		o, "waited_ms", s->waited_ms < 0 ? NULL : json_object_new_int64(s->waited_ms));
	answer_refusal(o, "waited_for", s->waited_for);
	put_attempts(y, o);
	put_limits(&s->last, o);
	put_candidates(y, o);
}

/* The decision's values come first; the finished request fills the gaps. */
static void put_head(const struct why *y, json_object *o)
{
	const struct board_request *q = &y->row.request;
	const struct board_why *w = &y->reasons.last;
	const struct directory *d = &y->names;
	char text[RECORD_ID_TEXT_SIZE];
	char time[CLOCK_RFC3339_SIZE];

	answer_text(o, "id", record_format_id(y->id, text));
	answer_text(o, "time",
		clock_format_rfc3339_ms(y->finished ? q->started_ms : w->decided_ms, time));
	put_named(o, "tenant", &d->tenants, w->tenant ? w->tenant : q->tenant);
	uint32_t key = w->key ? w->key : q->key;
	answer_known(o, "key", key, key);
	put_named(o, "pool", &d->pools, w->pool ? w->pool : q->pool);
	put_named(o, "account", &d->accounts, w->account ? w->account : q->account);
	put_named(o, "egress", &d->egresses, q->egress);
	put_named(o, "upstream", &d->upstreams, q->upstream);
}

static const char *note_of(const struct control *c, const struct why *y, char out[ABSENCE_SIZE])
{
	bool is_late = y->reasons.last.action == BOARD_ACTION_ALLOWED &&
		strcmp(y->row.request.code, refusal_row(REFUSAL_AGENT_UNAVAILABLE)->code) == 0;

	if (!y->explained)
		return absence_of_reasons(c->board, &y->row.request, out);
	if (!y->finished)
		return absence_of_end(c, y->id, &y->reasons, clock_wall_ms());
	return is_late ? "HAProxy did not wait for this decision" : NULL;
}

static void put_why(const struct control *c, const struct why *y, json_object *o)
{
	char note[ABSENCE_SIZE];

	put_head(y, o);
	if (y->finished)
		put_end(&y->row, o);
	if (y->explained)
		put_decision(y, o);
	answer_text(o, "note", note_of(c, y, note));
}

static int refuse_unknown(struct request *r)
{
	const struct config *c = &r->control->config;
	char kept[NUM_DURATION_SIZE];

	int64_t gap_ms = 0;
	char gap[GAP_SIZE] = "";
	char at[CLOCK_RFC3339_SIZE];

	if (historygap_read(r->control->store, &gap_ms, NULL) == 0 && gap_ms) {
		clock_format_rfc3339(gap_ms, at);
		snprintf(gap, sizeof(gap),
			"; the relay ended at %s before it had saved all: requests that finished "
			"shortly before may be missing",
			at);
	}
	return errtext_set(&r->error, -ENOENT,
		"nothing is known of request %.40s: finished requests are kept for %s and %" PRIu64
		" at most, reasons for the last %d decisions%s",
		r->name, num_format_duration(c->requests_retention_ms, kept), c->requests_max_rows,
		BOARD_WHYS, gap);
}

/* When a wait without a later decision ended. */
static int64_t end_of(const struct why *y)
{
	const struct board_request *q = &y->row.request;

	return y->finished && q->duration_ms >= 0 ? q->started_ms + q->duration_ms
						  : clock_wall_ms();
}

static int find(struct request *r, struct why *y)
{
	int found = recent_find(r->control, y->id, &y->row.request, &r->error);

	if (found < 0)
		return found;
	y->finished = found == 1;
	if (!y->finished)
		y->row.request = (struct board_request){0};
	y->explained = reasons_find(r->control->board, y->id, end_of(y), &y->reasons);
	return y->finished || y->explained ? 0 : refuse_unknown(r);
}

int requests_why(struct request *r)
{
	struct why y = {0};

	if (record_parse_id(slice_from_str(r->name), y.id))
		return errtext_set(&r->error, -EINVAL,
			"\"%.100s\" is not a request id: take the one of X-Request-Id", r->name);
	int error = find(r, &y);
	if (!error)
		error = directory_load(&y.names, r->control->store, &r->error);
	if (!error) {
		directory_name(&y.names.accounts, y.row.request.account, y.row.account);
		put_why(r->control, &y, r->answer);
	}
	directory_fini(&y.names);
	return error;
}
