#include "common/limittext.h"

#include "common/num.h"
#include "common/provider.h"
#include "common/result.h"
#include "common/timetext.h"

#define MICRO UINT64_C(1000000)

/*
 * A bare number below UNIX_TIME_MIN is a count of seconds, from there on a Unix time (September 2001),
 * and from UNIX_TIME_MS_MIN on a Unix time in milliseconds. No number between the two has a meaning.
 */
#define UNIX_TIME_MIN UINT32_C(1000000000)
#define UNIX_TIME_MS_MIN (UINT64_C(1000) * UNIX_TIME_MIN)
#define UNIX_TIME_MS_MAX (UINT64_C(1000) * UINT32_MAX)

struct slice limittext_value(struct slice text, const char *key)
{
	struct slice field;
	struct slice name;

	while (slice_next(&text, ';', &field)) {
		if (!slice_next(&field, '=', &name) || !field.p || !slice_eq_str(name, key))
			continue;
		field = slice_trim(field);
		if (field.n)
			return field;
	}
	return (struct slice){NULL, 0};
}

static int64_t at_most(int64_t ms, int64_t max_ms)
{
	return ms < max_ms ? ms : max_ms;
}

static bool read_number(struct slice value, int64_t now_ms, int64_t *ret_ms)
{
	uint64_t micro;
	uint64_t unix_ms;

	if (num_parse_decimal(value, UINT32_MAX, &micro) == 0) {
		int64_t ms = (int64_t)(micro / 1000);
		*ret_ms = micro / MICRO >= UNIX_TIME_MIN ? ms : now_ms + ms;
		return true;
	}
	if (num_parse_u64(value, UNIX_TIME_MS_MAX, &unix_ms) || unix_ms < UNIX_TIME_MS_MIN)
		return false;
	*ret_ms = (int64_t)unix_ms;
	return true;
}

/* Unix time of a value in any spelling; 0 if it has none of them. */
static int64_t time_of(struct slice value, int64_t now_ms)
{
	int64_t ms;

	if (read_number(value, now_ms, &ms))
		return ms;
	if (timetext_parse_span(value, LIMITTEXT_AHEAD_MAX_MS, &ms) == 0)
		return now_ms + ms;
	if (timetext_parse_rfc3339(value, &ms) == 0 || timetext_parse_http_date(value, &ms) == 0)
		return ms;
	return 0;
}

int64_t limittext_end(struct slice text, const char *key, int64_t now_ms)
{
	int64_t ms = time_of(limittext_value(text, key), now_ms);

	return at_most(ms, now_ms + LIMITTEXT_AHEAD_MAX_MS);
}

static int64_t retry_after_ms(struct slice text, int64_t now_ms)
{
	uint64_t micro;

	if (num_parse_decimal(limittext_value(text, RESULT_RETRY_MS), UINT32_MAX, &micro) == 0)
		return now_ms + (int64_t)(micro / MICRO);
	return time_of(limittext_value(text, RESULT_RETRY), now_ms);
}

int64_t limittext_retry(struct slice text, const struct provider *p, int64_t now_ms)
{
	int64_t ms = retry_after_ms(text, now_ms);

	if (ms <= now_ms && p->retry_field)
		ms = limittext_end(text, p->retry_field, now_ms);
	return ms > now_ms ? at_most(ms, now_ms + LIMITTEXT_RETRY_MAX_MS) : 0;
}

/* `part` of `whole`, both at most 2^47; never more than the whole. */
static uint16_t share(uint64_t part, uint64_t whole)
{
	return (uint16_t)(part >= whole ? LIMITTEXT_FULL : part * LIMITTEXT_FULL / whole);
}

static bool read_used(struct slice text, const struct provider_limit *l, uint16_t *ret)
{
	const uint64_t max = UINT64_C(1) << 47;
	uint64_t limit;
	uint64_t left;

	if (l->used) {
		uint64_t micro;
		if (num_parse_decimal(limittext_value(text, l->used), l->whole * 2, &micro))
			return false;
		*ret = share(micro, l->whole * MICRO);
		return true;
	}
	if (num_parse_u64(limittext_value(text, l->limit), max, &limit) || limit == 0)
		return false;
	if (num_parse_u64(limittext_value(text, l->left), max, &left))
		return false;
	*ret = share(left < limit ? limit - left : 0, limit);
	return true;
}

static bool read_limit(struct slice text, const struct provider_limit *l, int64_t now_ms,
	struct limittext_use *ret)
{
	struct limittext_use use;

	if (!read_used(text, l, &use.used))
		return false;
	use.until_ms = limittext_end(text, l->end, now_ms);
	if (use.until_ms == 0 && l->end_too)
		use.until_ms = limittext_end(text, l->end_too, now_ms);
	if (use.until_ms != 0 && use.until_ms <= now_ms)
		return false;
	*ret = use;
	return true;
}

/* Of two limits that are equally full, the one that lasts longer. */
static bool is_fuller(const struct limittext_use *a, const struct limittext_use *b)
{
	return a->used > b->used || (a->used == b->used && a->until_ms > b->until_ms);
}

bool limittext_fullest(
	struct slice text, const struct provider *p, int64_t now_ms, struct limittext_use *ret)
{
	bool found = false;

	for (const struct provider_limit *l = p->limits; l && l->end; l++) {
		struct limittext_use use;
		if (!read_limit(text, l, now_ms, &use))
			continue;
		if (!found || is_fuller(&use, ret))
			*ret = use;
		found = true;
	}
	return found;
}
