#include "agent/ending.h"

#include "agent/finished.h"
#include "agent/held.h"
#include "agent/judge.h"
#include "agent/timekeeper.h"
#include "agent/waiting.h"
#include "common/log.h"
#include "common/seam.h"

/* Which stream of the request the record is about. */
struct stream {
	bool is_client; /* the client's stream; its record is the request's */
	bool is_answer; /* a server answered or failed to: the record tells the account's health */
	bool was_taken; /* HAProxy took it back from a server for another attempt */
	bool is_ours;	/* a request of control */
};

static struct stream stream_of(const struct record *r)
{
	bool is_ours = slice_eq_str(r->frontend, SEAM_FRONTEND_INTERNAL);

	return (struct stream){
		.is_ours = is_ours,
		.is_client = !is_ours && !slice_eq_str(r->frontend, SEAM_FRONTEND_AGAIN),
		.is_answer = slice_eq_str(r->server, SEAM_SERVER_OUT) ||
			slice_eq_str(r->server, SEAM_SERVER_FRESH),
		.was_taken = slice_has_prefix(r->server, SLICE_LITERAL(SEAM_SERVER_AGAIN)),
	};
}

/*
 * A complete answer to a first attempt leaves an idle connection. Most further attempts get separate
 * connections, and control's requests are few: they leave none here.
 */
static void note_connection(struct agent *a, const struct record *r, const struct stream *stream)
{
	const struct pooled_key key = {r->gen, record_backend_id(r), !record_is_once(r)};
	const struct statefile_lease *lease = lease_find(&a->leases, r->id);
	bool was_taken = lease && lease->flags & LEASE_REUSED;

	/* a WebSocket uses its connection up */
	if (stream->is_client && stream->is_answer && r->status && r->status != 101 &&
		memcmp(r->termination, "--", 2) == 0)
		pooled_put(&a->pooled, key, r->port, was_taken, timekeeper_now(a));
}

/* --- board and log --- */

static void count_status(struct board *b, const struct record *r)
{
	struct board_tenant *tenant = board_tenant(b, r->tenant);
	unsigned class = r->status / 100;

	if (tenant)
		board_add(&tenant->status_class[class < 6 ? class : 0], 1);
}

/* The agent counts its own refusals when it decides. The outer stream repeats the inner one's answer. */
static void count_refusal(struct board *b, const struct record *r, const struct stream *stream)
{
	enum refusal refusal = r->is_own && !stream->is_ours && !stream->was_taken
		? refusal_find(r->code)
		: REFUSAL_NONE;

	if (refusal != REFUSAL_NONE)
		board_add(&b->refused[refusal], 1);
}

static void observe_upstream(struct agent *a, const struct record *r)
{
	const struct snapshot_account *account =
		a->snapshot ? snapshot_account_by_id(a->snapshot, r->account) : NULL;

	if (!account)
		return;
	struct board_upstream *upstream = board_upstream(a->board,
		SNAPSHOT_ROWS(a->snapshot, UPSTREAM, struct snapshot_upstream)[account->upstream]
			.id);
	if (upstream && r->ttfb_ms >= 0)
		board_observe_upstream(&upstream->ttfb, (uint64_t)r->ttfb_ms);
	if (upstream && r->duration_ms >= 0)
		board_observe_upstream(&upstream->duration, (uint64_t)r->duration_ms);
}

/* One line for each stream, for log_level = debug. */
static void log_request(const struct record *r, const struct statefile_lease *lease)
{
	char id[RECORD_ID_TEXT_SIZE];

	log_event(LOG_LEVEL_DEBUG, "request", LOG_STR("request_id", record_format_id(r->id, id)),
		LOG_INT("tenant", r->tenant), LOG_INT("key", r->key),
		LOG_INT("account", r->account), LOG_INT("attempt", r->mark.attempt),
		LOG_INT("egress", lease ? lease->egress : 0), LOG_INT("status", r->status),
		LOG_SLICE("server", r->server), LOG_SLICE("code", r->code),
		LOG_INT("ttfb_ms", r->ttfb_ms), LOG_INT("duration_ms", r->duration_ms),
		LOG_INT("bytes_in", r->bytes_in), LOG_INT("bytes_out", r->bytes_out),
		LOG_STR("ended", r->termination));
}

/* --- the lease --- */

/*
 * A record ends the lease only if key and account match; the record of a stream that HAProxy took
 * back also ends the lease of a later account. A record without an account ends the lease too: its
 * client left before HAProxy had applied the agent's answer.
 */
static struct statefile_lease *lease_of(
	struct agent *a, const struct record *r, const struct stream *stream)
{
	struct statefile_lease *lease = lease_find(&a->leases, r->id);
	bool never_applied = r->key == 0 && r->account == 0;

	if (!lease || never_applied)
		return lease;
	bool fits = lease->account == r->account || stream->was_taken;
	return fits && lease->key == r->key ? lease : NULL;
}

/* No lease: the question may still come, or the request may be waiting. */
static void forget_request(struct agent *a, const struct record *r)
{
	if (r->key || r->account)
		return;
	waiting_forget(a, r->id);
	gone_add(&a->gone, r->id, timekeeper_now(a));
}

/* It ended in HAProxy's queue or before a connection was up: it was never sent to an upstream. */
static bool was_sent(const struct record *r)
{
	char phase = r->termination[0] ? r->termination[1] : '-';

	return r->server.n && phase != 'Q' && phase != 'C';
}

static bool never_left(
	const struct record *r, const struct statefile_lease *lease, const struct stream *stream)
{
	return stream->was_taken ? lease->flags & LEASE_UNSENT : !was_sent(r);
}

/* All attempts of a request that failed over, for `requests why`. */
static void keep_attempts(struct board *b, const struct record *r,
	const struct statefile_lease *lease, int64_t now_ms)
{
	struct board_why why = {.decided_ms = now_ms, .action = BOARD_ACTION_ENDED};

	memcpy(why.id, r->id, sizeof(why.id));
	why.attempt_count = held_attempts(lease, why.attempts);
	board_put_why(b, &why);
}

/* The record of the attempt that gave the answer, whichever stream it is of. */
static void settle_conversation(struct agent *a, const struct record *r)
{
	struct statefile_lease *lease = lease_find(&a->leases, r->id);
	struct result_answer answer = {.status = r->status, .limits = r->limits};

	memcpy(answer.termination, r->termination, sizeof(answer.termination));
	if (lease && lease->account == r->account && a->snapshot)
		agent_settle(a, lease, &answer);
}

static void end_request(
	struct agent *a, const struct record *r, const struct stream *stream, bool proven)
{
	struct statefile_lease *lease = lease_of(a, r, stream);

	if (!lease && r->account)
		board_add(&a->board->counters[BOARD_EVENTS_UNMATCHED], 1);
	count_status(a->board, r);
	finished_put(a, r, lease, timekeeper_now(a));
	if (log_is_on(LOG_LEVEL_DEBUG))
		log_request(r, lease);
	if (lease && lease->attempt > 1)
		keep_attempts(a->board, r, lease, timekeeper_now(a));
	if (lease)
		agent_release(a, lease, proven && never_left(r, lease, stream));
	else
		forget_request(a, r);
}

void ending_count_early(struct agent *a, const struct record *r)
{
	if (!stream_of(r).is_client)
		return;
	if (r->status == 400)
		board_add(&a->board->refused[REFUSAL_BAD_REQUEST], 1);
	else if (r->status == 408)
		board_add(&a->board->refused[REFUSAL_REQUEST_TIMEOUT], 1);
}

void ending_take(struct agent *a, const struct record *r)
{
	const struct stream stream = stream_of(r);

	board_add(&a->board->counters[BOARD_EVENTS], 1);
	count_refusal(a->board, r, &stream);
	note_connection(a, r, &stream);
	if (stream.is_answer && r->account && was_sent(r))
		observe_upstream(a, r);
	if (r->account)
		judge_record(a, r, stream.is_answer, stream.was_taken);
	if (stream.is_answer && r->account)
		settle_conversation(a, r);
	if (stream.is_client)
		end_request(a, r, &stream, true);
	else if (log_is_on(LOG_LEVEL_DEBUG))
		log_request(r, NULL);
}

bool ending_take_unproven(struct agent *a, const struct record *r)
{
	const struct stream stream = stream_of(r);

	if (!stream.is_client || !r->key || !lease_of(a, r, &stream))
		return false;
	board_add(&a->board->counters[BOARD_EVENTS], 1);
	end_request(a, r, &stream, false);
	return true;
}
