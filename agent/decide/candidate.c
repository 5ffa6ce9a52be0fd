/* Whether an account can serve this request now, and if not, why not. */
#include "agent/decide/candidate.h"

static bool knows(uint64_t gen, uint64_t first, uint64_t last)
{
	return gen >= first && gen <= last;
}

/* An account goes out with all of its headers or not at all. */
static bool headers_known(const struct snapshot *s, const struct snapshot_account *a, uint64_t gen)
{
	const struct snapshot_header *h =
		SNAPSHOT_ROWS(s, HEADER, struct snapshot_header) + a->headers.first;

	for (uint32_t i = 0; i < a->headers.count; i++) {
		if (!knows(gen, h[i].first_gen, h[i].last_gen))
			return false;
	}
	return true;
}

/* The first of its own exits for which the asking HAProxy has a backend; never another account's. */
static const struct snapshot_backend *find_backend(
	const struct snapshot *s, const struct snapshot_account *a, uint64_t gen)
{
	const struct snapshot_exit *exits = SNAPSHOT_ROWS(s, EXIT, struct snapshot_exit);
	const struct snapshot_backend *backends =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);

	for (uint32_t i = 0; i < a->exits.count; i++) {
		struct snapshot_range range = exits[a->exits.first + i].backends;
		for (uint32_t n = 0; n < range.count; n++) {
			const struct snapshot_backend *b = &backends[range.first + n];
			if (knows(gen, b->first_gen, b->last_gen))
				return b;
		}
	}
	return NULL;
}

/* What no waiting changes. */
static enum board_reason fixed_reason(
	const struct decide_context *c, const struct snapshot_account *a)
{
	if (a->flags & SNAPSHOT_ACCOUNT_SUSPENDED)
		return BOARD_REASON_SUSPENDED;
	if (a->flags & SNAPSHOT_ACCOUNT_NO_CREDENTIAL)
		return BOARD_REASON_NO_CREDENTIAL;
	if (a->expires_ms && a->expires_ms <= c->clock.now_ms)
		return BOARD_REASON_EXPIRED;
	if (a->upstream != c->verdict->pool->upstream)
		return BOARD_REASON_UPSTREAM;
	if (!headers_known(c->snapshot, a, c->request->gen))
		return BOARD_REASON_HEADER;
	return BOARD_REASON_NONE;
}

/* The limit that lasts longest; when it ends is `free_ms`. */
static enum board_reason limit_reason(
	const struct decide_context *c, const struct snapshot_account *a, struct candidate *ret)
{
	enum board_reason reason = BOARD_REASON_NONE;

	if (a->limits.concurrency &&
		usage_in_use(c->state->usages, ret->usage) >= a->limits.concurrency)
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

enum board_reason candidate_look(const struct decide_context *c, const struct snapshot_account *a,
	bool has_lease, struct candidate *ret)
{
	*ret = (struct candidate){
		.account = a, .usage = usage_find(c->state->usages, USAGE_ACCOUNT, a->id)};
	enum board_reason reason = fixed_reason(c, a);
	if (reason == BOARD_REASON_NONE) {
		ret->backend = find_backend(c->snapshot, a, c->request->gen);
		if (!ret->backend)
			reason = BOARD_REASON_BACKEND;
	}
	if (reason == BOARD_REASON_NONE && !has_lease)
		reason = limit_reason(c, a, ret);
	ret->score = decide_score(
		&a->limits, ret->usage, usage_in_use(c->state->usages, ret->usage), &c->clock)
			     .score;
	return reason;
}

bool candidate_is_limited(enum board_reason reason)
{
	return reason == BOARD_REASON_MINUTE || reason == BOARD_REASON_HOUR ||
		reason == BOARD_REASON_SLOTS;
}
