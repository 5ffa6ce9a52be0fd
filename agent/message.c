#include "agent/message.h"

#include "common/provider.h"
#include "common/window.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define MINUTE_MS 60000
#define NAME_LEN 63 /* of tenants and pools */

struct text {
	char *out;
	size_t n;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(t->out + t->n, MESSAGE_SIZE - t->n, format, args);
	va_end(args);
	if (n > 0)
		t->n = t->n + (size_t)n < MESSAGE_SIZE ? t->n + (size_t)n : MESSAGE_SIZE - 1;
}

/* --- times --- */

/* Never too early: seconds for the next minute, else the next full minute; the date of another day. */
static void put_time(struct text *t, const char *before, int64_t end_ms, int64_t now_ms)
{
	bool soon = end_ms <= now_ms + MINUTE_MS;
	int64_t unit_ms = soon ? 1000 : MINUTE_MS;
	int64_t rounded_ms = (end_ms + unit_ms - 1) / unit_ms * unit_ms;
	time_t end = (time_t)(rounded_ms / 1000);
	bool today = window_number(USAGE_DAY, rounded_ms) == window_number(USAGE_DAY, now_ms);
	struct tm tm;

	if (!gmtime_r(&end, &tm))
		return;
	put(t, "%s ", before);
	if (!today)
		put(t, "%04d-%02d-%02d ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	put(t, "%02d:%02d", tm.tm_hour, tm.tm_min);
	if (soon)
		put(t, ":%02d", tm.tm_sec);
	put(t, " UTC");
}

static void put_end(
	struct text *t, const char *before, const struct decide_verdict *v, int64_t now_ms)
{
	if (v->resets_exact)
		put_time(t, before, v->resets_ms, now_ms);
}

/* --- limits of tenant and key --- */

static void put_name(struct text *t, const char *what, struct slice name)
{
	put(t, "%s %.*s: ", what, (int)(name.n < NAME_LEN ? name.n : NAME_LEN), name.p);
}

static void put_limit(
	struct text *t, const struct snapshot *s, const struct decide_verdict *v, int64_t now_ms)
{
	const struct decide_limit *limit = &v->limit;
	const char *plural = limit->limit == 1 ? "" : "s";

	if (limit->kind == USAGE_KEY)
		put(t, "key %u: ", v->key->id);
	else
		put_name(t, "tenant", snapshot_text(s, v->tenant->name));
	if (limit->window == USAGE_WINDOW_COUNT) {
		put(t, "%u concurrent request%s, all in use", limit->limit, plural);
		return;
	}
	const char *window = window_name((enum usage_window)limit->window);
	put(t, "%u request%s %s %s, used up", limit->limit, plural,
		limit->window == USAGE_HOUR ? "an" : "a", window);
	put_end(t, " until", v, now_ms);
}

/* --- accounts --- */

/* Of the account of a conversation or of resources. */
static const char *state_of_one(enum refusal refusal)
{
	switch (refusal) {
	case REFUSAL_ACCOUNTS_LIMITED:
	case REFUSAL_ACCOUNTS_EXHAUSTED:
		return "is at its limits";
	case REFUSAL_CIRCUIT_OPEN:
		return "cannot be used for a moment";
	default:
		return "cannot be used";
	}
}

static const char *state_of_all(const struct decide_verdict *v)
{
	switch (v->refusal) {
	case REFUSAL_ACCOUNTS_LIMITED:
	case REFUSAL_ACCOUNTS_EXHAUSTED:
		return shortage_is_limits_only(&v->shortage)
			? "all accounts are at their limits"
			: "all accounts are at their limits or out";
	case REFUSAL_CIRCUIT_OPEN:
		return "no account can be used for a moment";
	default:
		return "no account can be used";
	}
}

static void put_state(struct text *t, const struct decide_verdict *v)
{
	bool is_braked = v->refusal == REFUSAL_CIRCUIT_OPEN && v->shortage.first == SHORTAGE_BRAKE;

	if (is_braked)
		put(t, "requests of this key have just failed here");
	else if (v->alone)
		put(t, "the account of this %s %s",
			v->resource != RESOURCE_NONE ? "key's resources" : "conversation",
			state_of_one(v->refusal));
	else
		put(t, "%s", state_of_all(v));
}

static void put_shortage(
	struct text *t, const struct snapshot *s, const struct decide_verdict *v, int64_t now_ms)
{
	put_name(t, "pool", snapshot_text(s, v->pool->name));
	put_state(t, v);
	put_end(t, " until", v, now_ms);
	if (v->shortage.first == SHORTAGE_NONE)
		put(t, "; only the operator can end this");
	else if (v->alone && v->refusal == REFUSAL_ACCOUNTS_EXHAUSTED &&
		v->resource == RESOURCE_NONE)
		put(t, "; start a new session to go on now");
}

static void put_route(struct text *t, const struct snapshot *s, const struct decide_verdict *v)
{
	struct slice pool = snapshot_text(s, v->pool->name);

	put(t, "pool %.*s serves the %s API, not %s", (int)(pool.n < NAME_LEN ? pool.n : NAME_LEN),
		pool.p, v->provider->title, v->foreign_path);
}

static void put_resource(struct text *t, const struct snapshot *s, const struct decide_verdict *v)
{
	put_name(t, "pool", snapshot_text(s, v->pool->name));
	put(t,
		v->resource == RESOURCE_ADMIN
			? "the administration of its accounts is not served"
			: "files and other resources of its accounts are not served, because another "
			  "tenant could reach them");
}

/* As the provider writes it, after what the relay has to say. */
static void put_retry(struct text *t, const struct decide_verdict *v, int64_t now_ms)
{
	const char *before = v->provider ? v->provider->retry_text : NULL;

	if (before && v->resets_exact && v->resets_ms > now_ms)
		put(t, ". %s%llds", before, (long long)((v->resets_ms - now_ms + 999) / 1000));
}

static bool is_of_pool(const struct decide_verdict *v)
{
	for (int i = 0; i < SHORTAGE_CAUSE_COUNT; i++) {
		if (v->shortage.counts[i])
			return v->pool != NULL;
	}
	return false;
}

void message_format(const struct snapshot *s, const struct decide_verdict *v, int64_t now_ms,
	char out[MESSAGE_SIZE])
{
	struct text t = {.out = out};

	out[0] = '\0';
	if (v->limit.limit && v->tenant && v->key)
		put_limit(&t, s, v, now_ms);
	else if (v->foreign_path)
		put_route(&t, s, v);
	else if (v->refusal == REFUSAL_NO_ROUTE && v->resource != RESOURCE_NONE)
		put_resource(&t, s, v);
	else if (is_of_pool(v))
		put_shortage(&t, s, v, now_ms);
	else
		put(&t, "%s", refusal_row(v->refusal)->message);
	put_retry(&t, v, now_ms);
}
