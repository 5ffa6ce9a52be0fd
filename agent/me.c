#include "agent/me.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct text {
	char *p;
	size_t n;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(t->p + t->n, ME_BODY_MAX - t->n, format, args);
	va_end(args);
	if (n > 0)
		t->n = t->n + (size_t)n < ME_BODY_MAX ? t->n + (size_t)n : ME_BODY_MAX - 1;
}

/* Without any limit nothing is counted: what is not known is null. */
static void put_unlimited(struct text *t, const struct snapshot_limits *limits, uint32_t used)
{
	if (window_has_limit(limits))
		put(t, "null,\"used\":%u,\"remaining\":null", used);
	else
		put(t, "null,\"used\":null,\"remaining\":null");
}

/* Day and month always, other windows only if limited. */
static void put_windows(struct text *t, const struct snapshot_limits *limits,
	const struct statefile_usage *row, int64_t now_ms)
{
	const char *comma = "";

	put(t, "\"windows\":[");
	for (int i = 0; i < USAGE_WINDOW_COUNT; i++) {
		enum usage_window w = (enum usage_window)i;
		uint32_t limit = window_limit(limits, w);
		uint32_t used = row ? window_count(row, w, now_ms) : 0;
		if (limit == 0 && w < USAGE_DAY)
			continue;
		put(t, "%s{\"window\":\"%s\",\"limit\":", comma, window_name(w));
		if (limit)
			put(t, "%u,\"used\":%u,\"remaining\":%u", limit, used,
				used < limit ? limit - used : 0);
		else
			put_unlimited(t, limits, used);
		put(t, ",\"resets_at\":%" PRId64 "}", window_reset_ms(w, now_ms) / 1000);
		comma = ",";
	}
	put(t, "]");
}

static void put_subject(struct text *t, const struct agent *a, enum usage_kind kind, uint32_t id,
	const struct snapshot_limits *limits, int64_t now_ms)
{
	const struct statefile_usage *row = usage_find(&a->usages, kind, id);

	put_windows(t, limits, row, now_ms);
	put(t, ",\"concurrency\":{\"limit\":");
	if (limits->concurrency)
		put(t, "%u", limits->concurrency);
	else
		put(t, "null");
	put(t, ",\"in_use\":%u}", slots_in_use(&a->slots, kind, id));
}

static void put_name(struct text *t, const char *field, struct slice name)
{
	/* names are [a-z0-9._-]: safe inside a JSON string */
	if (name.n)
		put(t, "\"%s\":\"%.*s\",", field, (int)name.n, name.p);
	else
		put(t, "\"%s\":null,", field);
}

void me_format(const struct agent *a, const struct decide_verdict *v, int64_t now_ms, char *out)
{
	struct text t;
	struct slice pool = {NULL, 0};

	t.p = out;
	t.n = 0;
	if (v->pool)
		pool = snapshot_text(a->snapshot, v->pool->name);
	put(&t, "{\"tenant\":{");
	put_name(&t, "name", snapshot_text(a->snapshot, v->tenant->name));
	put_subject(&t, a, USAGE_TENANT, v->tenant->id, &v->tenant->limits, now_ms);
	put(&t, ",\"shadow\":%s},\"key\":{\"id\":%u,\"expires_at\":",
		v->tenant->flags & SNAPSHOT_TENANT_SHADOW ? "true" : "false", v->key->id);
	if (v->key->expires_ms)
		put(&t, "%" PRId64 ",", v->key->expires_ms / 1000);
	else
		put(&t, "null,");
	put_name(&t, "pool", pool);
	put_subject(&t, a, USAGE_KEY, decide_family(v->key), &v->key->limits, now_ms);
	put(&t, "}}");
}
