#include "common/refusal.h"

#include <stddef.h>

static const struct refusal_row rows[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = {200, "", "", false, 0, 0, "", "", ""},
#define X(id, status, code, type, retryable, retry_after, retry_max, message, cause, remedy)       \
	[REFUSAL_##id] = {                                                                         \
		status, code, type, retryable, retry_after, retry_max, message, cause, remedy},
	REFUSAL_ROWS(X)
#undef X
};

const struct refusal_row *refusal_row(enum refusal r)
{
	return &rows[(size_t)r < REFUSAL_COUNT ? r : REFUSAL_NONE];
}

enum refusal refusal_find(struct slice code)
{
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		if (slice_eq_str(code, rows[i].code))
			return (enum refusal)i;
	}
	return REFUSAL_NONE;
}

static int64_t seconds_until(int64_t then_ms, int64_t now_ms)
{
	return then_ms > now_ms ? (then_ms - now_ms + 999) / 1000 : 1;
}

/* A limit beyond a minute is a quota for clients: they must not wait for it without a word. */
static const char *type_beyond(const struct refusal_row *row)
{
	return row->status == 429 ? rows[REFUSAL_QUOTA_EXCEEDED].type : row->type;
}

struct refusal_told refusal_tell(enum refusal r, int64_t end_ms, bool exact, int64_t now_ms)
{
	const struct refusal_row *row = refusal_row(r);
	bool beyond = end_ms > now_ms + REFUSAL_WAIT_MS;
	struct refusal_told told = {.type = beyond ? type_beyond(row) : row->type,
		.retryable = row->retryable && !beyond,
		.retry_after = end_ms ? seconds_until(end_ms, now_ms) : row->retry_after,
		.resets_at = end_ms && exact ? (end_ms + 999) / 1000 : 0};

	if (told.retry_after > row->retry_max)
		told.retry_after = row->retry_max;
	return told;
}
