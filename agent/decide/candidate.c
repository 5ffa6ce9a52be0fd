/* Whether an account can serve this request now, and the reason if it cannot. */
#include "agent/decide/candidate.h"

struct health_subject health_subject_of_account(
	const struct snapshot *s, const struct snapshot_account *a)
{
	const struct snapshot_upstream *upstreams =
		SNAPSHOT_ROWS(s, UPSTREAM, struct snapshot_upstream);

	return (struct health_subject){
		.kind = HEALTH_ACCOUNT,
		.id = a->id,
		.epoch = a->epoch,
		.credential = (uint32_t)a->credential_generation,
		.refreshable = a->flags & SNAPSHOT_ACCOUNT_REFRESHABLE,
		.probed = upstreams[a->upstream].flags & SNAPSHOT_UPSTREAM_PROBED,
	};
}

static const struct snapshot_egress *egress_of(
	const struct snapshot *s, const struct snapshot_backend *b)
{
	return SNAPSHOT_ROWS(s, EGRESS, struct snapshot_egress) + b->egress;
}

struct health_subject health_subject_of_backend(
	const struct snapshot *s, const struct snapshot_backend *b)
{
	return (struct health_subject){
		.kind = HEALTH_BACKEND, .id = b->id, .epoch = egress_of(s, b)->epoch};
}

static struct health_look look_at(
	const struct decide_context *c, const struct health_subject *subject)
{
	return health_look(health_find(c->state->healths, subject), subject,
		&c->snapshot->head->options, c->clock.now_ms);
}

/* --- the egress --- */

/* The newest backend of an account's egress that the asking HAProxy knows, if it uses this egress. */
static const struct snapshot_backend *known_backend(
	const struct snapshot *s, const struct snapshot_account_egress *egress, uint64_t gen)
{
	const struct snapshot_backend *backends =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);

	if (!snapshot_gen_within(gen, egress->first_gen, egress->last_gen))
		return NULL;
	for (uint32_t n = 0; n < egress->backends.count; n++) {
		const struct snapshot_backend *b = &backends[egress->backends.first + n];
		if (snapshot_gen_within(gen, b->first_gen, b->last_gen))
			return b;
	}
	return NULL;
}

static const struct snapshot_account_egress *egresses_of(
	const struct snapshot *s, const struct snapshot_account *a)
{
	return SNAPSHOT_ROWS(s, ACCOUNT_EGRESS, struct snapshot_account_egress) + a->egresses.first;
}

static const struct snapshot_backend *backend_with_id(
	const struct snapshot *s, const struct snapshot_account_egress *egress, uint32_t id)
{
	const struct snapshot_backend *rows =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend) + egress->backends.first;

	for (uint32_t n = 0; n < egress->backends.count; n++) {
		if (rows[n].id == id)
			return &rows[n];
	}
	return NULL;
}

const struct snapshot_backend *candidate_backend(
	const struct snapshot *s, const struct snapshot_account *a, uint32_t id)
{
	const struct snapshot_account_egress *egresses = egresses_of(s, a);
	const struct snapshot_backend *b = NULL;

	for (uint32_t i = 0; i < a->egresses.count && !b; i++)
		b = backend_with_id(s, &egresses[i], id);
	return b;
}

uint32_t candidate_egress_count(
	const struct snapshot *s, const struct snapshot_account *a, uint64_t gen)
{
	const struct snapshot_account_egress *egresses = egresses_of(s, a);
	uint32_t count = 0;

	for (uint32_t i = 0; i < a->egresses.count; i++)
		count += snapshot_gen_within(gen, egresses[i].first_gen, egresses[i].last_gen);
	return count;
}

static bool is_here(const struct snapshot *s, const struct snapshot_egress *e)
{
	struct slice here = slice_from_str(s->head->region);

	return here.n && slice_eq(snapshot_text(s, e->region), here);
}

/* Why a backend that this request has tried is not tried again. */
static enum board_reason failed_reason(
	const struct decide_context *c, const struct snapshot_backend *b)
{
	if (egress_of(c->snapshot, b)->flags & SNAPSHOT_EGRESS_SUSPENDED)
		return BOARD_REASON_EGRESS_SUSPENDED;
	return c->verdict->failed.cause == DECIDE_CAUSE_EGRESS ? BOARD_REASON_EGRESS
							       : BOARD_REASON_EGRESS_FAILED;
}

/* The backend of this request's failed attempt. */
static bool has_failed(const struct decide_context *c, const struct snapshot_backend *b)
{
	const struct decide_failure *failed = &c->verdict->failed;

	return failed->cause != DECIDE_CAUSE_ANSWER && failed->backend == b->id;
}

static bool is_suspended(const struct decide_context *c, const struct snapshot_backend *b)
{
	return egress_of(c->snapshot, b)->flags & SNAPSHOT_EGRESS_SUSPENDED;
}

/* Whether a backend is usable; if not, `k->free_ms` becomes the earliest time one comes back. */
static bool is_open(const struct decide_context *c, const struct snapshot_backend *b,
	struct candidate *k, bool *ret_watch)
{
	struct health_subject subject = health_subject_of_backend(c->snapshot, b);
	struct health_look look = look_at(c, &subject);

	*ret_watch = look.watch;
	if (is_suspended(c, b))
		return false;
	if (look.standing == BOARD_STANDING_USABLE)
		return true;
	if (look.until_ms && (k->free_ms == 0 || look.until_ms < k->free_ms))
		k->free_ms = look.until_ms;
	return false;
}

/* A repeated question keeps its backend. */
static bool find_admitted_egress(const struct decide_context *c, struct candidate *k)
{
	const struct snapshot_account_egress *egresses = egresses_of(c->snapshot, k->account);

	for (uint32_t i = 0; i < k->account->egresses.count; i++) {
		const struct snapshot_backend *b =
			known_backend(c->snapshot, &egresses[i], c->request->gen);
		if (!b || b->id != c->verdict->lease->backend || is_suspended(c, b))
			continue;
		k->backend = b;
		return true;
	}
	return false;
}

/*
 * Takes the first usable egress of the account; egresses of this node's region first. Never an
 * egress of another account.
 */
static enum board_reason find_egress(
	const struct decide_context *c, enum candidate_ask ask, struct candidate *k)
{
	const struct snapshot_account_egress *egresses = egresses_of(c->snapshot, k->account);
	enum board_reason reason = BOARD_REASON_BACKEND;

	if (ask == CANDIDATE_ADMITTED && find_admitted_egress(c, k))
		return BOARD_REASON_NONE;
	for (uint32_t i = 0; i < k->account->egresses.count; i++) {
		bool watch;
		const struct snapshot_backend *b =
			known_backend(c->snapshot, &egresses[i], c->request->gen);
		if (!b)
			continue;
		if (has_failed(c, b)) {
			if (reason != BOARD_REASON_EGRESS)
				reason = failed_reason(c, b);
			continue;
		}
		if (reason != BOARD_REASON_EGRESS)
			reason = is_suspended(c, b) ? BOARD_REASON_EGRESS_SUSPENDED
						    : BOARD_REASON_EGRESS;
		bool here = is_here(c->snapshot, egress_of(c->snapshot, b));
		if ((k->backend && !here) || !is_open(c, b, k, &watch))
			continue;
		k->backend = b;
		k->watch = watch;
		if (here)
			break;
	}
	if (!k->backend)
		return reason;
	k->free_ms = 0;
	return BOARD_REASON_NONE;
}

static bool was_tried(const struct decide_context *c, const struct snapshot_account *a)
{
	const struct statefile_lease *lease = c->verdict->lease;

	/* a request that failed at its egress may take another egress of the same account */
	if (c->verdict->failed.account == a->id)
		return c->verdict->failed.cause == DECIDE_CAUSE_ANSWER;
	for (size_t i = 0; lease && i < STATEFILE_ATTEMPTS; i++) {
		if (lease->tried[i] == a->id)
			return true;
	}
	return false;
}

/* Reasons that waiting cannot change. */
static enum board_reason fixed_reason(
	const struct decide_context *c, const struct snapshot_account *a, enum candidate_ask ask)
{
	if (a->flags & SNAPSHOT_ACCOUNT_SUSPENDED)
		return BOARD_REASON_SUSPENDED;
	if (a->flags & SNAPSHOT_ACCOUNT_NO_CREDENTIAL)
		return BOARD_REASON_NO_CREDENTIAL;
	if (a->flags & SNAPSHOT_ACCOUNT_NEEDS_LOGIN)
		return BOARD_REASON_LOGIN;
	if (a->expires_ms && a->expires_ms <= c->clock.now_ms - c->state->unsettled_ms &&
		ask != CANDIDATE_PROBE)
		return a->flags & SNAPSHOT_ACCOUNT_REFRESHABLE ? BOARD_REASON_RENEWAL
							       : BOARD_REASON_EXPIRED;
	if (c->verdict->pool && a->upstream != c->verdict->pool->upstream)
		return BOARD_REASON_UPSTREAM;
	if (c->request->gen < a->first_gen)
		return BOARD_REASON_HEADER;
	return was_tried(c, a) ? BOARD_REASON_TRIED : BOARD_REASON_NONE;
}

static enum board_reason reason_of(enum board_standing standing)
{
	switch (standing) {
	case BOARD_STANDING_OPEN:
		return BOARD_REASON_CIRCUIT;
	case BOARD_STANDING_HALF_OPEN:
		return BOARD_REASON_HALF_OPEN;
	case BOARD_STANDING_WINDOW:
		return BOARD_REASON_WINDOW;
	case BOARD_STANDING_LOGIN:
		return BOARD_REASON_REFRESH;
	case BOARD_STANDING_SUSPENDED:
		return BOARD_REASON_SUSPENDED;
	case BOARD_STANDING_BURST:
		return BOARD_REASON_BURST;
	case BOARD_STANDING_SUSPECT:
		return BOARD_REASON_COOLING;
	case BOARD_STANDING_COOLING:
		return BOARD_REASON_REFUSED;
	case BOARD_STANDING_USABLE:
	case BOARD_STANDING_COUNT:
		break;
	}
	return BOARD_REASON_NONE;
}

/* What this key met at the account. */
static enum board_reason evidence_reason(const struct decide_context *c, struct candidate *k)
{
	const struct evidence_row *row =
		evidence_find(c->state->evidence, decide_requester(c), k->account->id);
	int64_t end_ms = evidence_brake_end(row, c->request->id, c->clock.now_ms);

	k->watch = k->watch || evidence_is_trial(row);
	k->shunned = evidence_shuns(row, c->clock.now_ms);
	k->free_ms = end_ms;
	return end_ms ? BOARD_REASON_BRAKED : BOARD_REASON_NONE;
}

static enum board_reason health_reason(
	const struct decide_context *c, enum candidate_ask ask, struct candidate *k)
{
	struct health_subject subject = health_subject_of_account(c->snapshot, k->account);
	struct health_look look = look_at(c, &subject);

	k->watch = k->watch || look.watch;
	if (ask != CANDIDATE_ALL)
		return BOARD_REASON_NONE;
	k->free_ms = look.until_ms;
	enum board_reason reason = reason_of(look.standing);
	return reason == BOARD_REASON_NONE ? evidence_reason(c, k) : reason;
}

/* The limit that lasts longest; `free_ms` becomes its end. */
static enum board_reason limit_reason(
	const struct decide_context *c, const struct snapshot_account *a, struct candidate *ret)
{
	enum board_reason reason = BOARD_REASON_NONE;

	if (a->limits.concurrency &&
		slots_in_use(c->state->slots, USAGE_ACCOUNT, a->id) >= a->limits.concurrency)
		reason = BOARD_REASON_SLOTS;
	for (int i = 0; ret->usage && i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		uint32_t limit = window_limit(&a->limits, w);
		if (limit == 0 || window_clock_count(&c->clock, ret->usage, w) < limit)
			continue;
		reason = w <= USAGE_MINUTE ? BOARD_REASON_MINUTE : BOARD_REASON_HOUR;
		ret->free_ms = window_reset_ms(w, c->clock.now_ms);
	}
	return reason;
}

static double score_of(const struct decide_context *c, const struct candidate *k)
{
	struct health_subject subject = health_subject_of_account(c->snapshot, k->account);
	double upstream = health_used(health_find(c->state->healths, &subject), c->clock.now_ms);

	uint32_t in_use = slots_in_use(c->state->slots, USAGE_ACCOUNT, k->account->id);

	return decide_score(&k->account->limits, k->usage, in_use, upstream, &c->clock).score;
}

enum board_reason candidate_look(const struct decide_context *c, const struct snapshot_account *a,
	enum candidate_ask ask, struct candidate *ret)
{
	*ret = (struct candidate){
		.account = a, .usage = usage_find(c->state->usages, USAGE_ACCOUNT, a->id)};
	enum board_reason reason = fixed_reason(c, a, ask);

	if (reason == BOARD_REASON_NONE)
		reason = find_egress(c, ask, ret);
	if (reason == BOARD_REASON_NONE)
		reason = health_reason(c, ask, ret);
	struct candidate limited = *ret;
	/* a request that changes only its egress keeps its slot */
	bool counts = ask == CANDIDATE_ALL && c->verdict->failed.account != a->id;
	enum board_reason limit = counts ? limit_reason(c, a, &limited) : BOARD_REASON_NONE;
	if (reason == BOARD_REASON_NONE && limit != BOARD_REASON_NONE) {
		reason = limit;
		*ret = limited;
	}
	ret->score = score_of(c, ret);
	return reason;
}
