#include "admin/upkeep/accesslog.h"

#include "admin/store/history.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/provider.h"
#include "common/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define WORK_NS ((int64_t)5 * 1000000)
#define CLOCK_ROWS 16 /* lines between two looks at the clock */

/* --- one line --- */

static struct log_field text(const char *name, const char *value)
{
	return *value ? LOG_STR(name, value) : LOG_NULL(name);
}

static struct log_field known(const char *name, int64_t n, bool is_known)
{
	return is_known ? LOG_INT(name, n) : LOG_NULL(name);
}

static const char *circuit_name(const struct board_request *q)
{
	static const char *const names[CIRCUIT_COUNT] = {
		[CIRCUIT_CLOSED] = "closed",
		[CIRCUIT_HALF_OPEN] = "half-open",
		[CIRCUIT_OPEN] = "open",
	};

	return q->account && q->circuit < CIRCUIT_COUNT ? names[q->circuit] : "";
}

static const char *provider_name(const struct board_request *q)
{
	const struct provider *p = provider_from_number(q->provider);

	return p ? p->name : "";
}

/* Texts of the agent need not end with a NUL. */
static const char *ended(char *s, size_t size)
{
	s[size - 1] = '\0';
	return s;
}

static void write_line(struct accesslog *a, struct board_request *q)
{
	struct store *s = a->control->store;
	struct labels *l = &a->names;
	char letters[sizeof(q->termination) + 1] = "";
	char id[RECORD_ID_TEXT_SIZE];
	char conversation[20] = "";
	bool answered = q->ttfb_ms >= 0 && q->relay_ms >= 0;

	memcpy(letters, q->termination, sizeof(q->termination));
	if (q->conversation)
		snprintf(conversation, sizeof(conversation), "%016" PRIx64, q->conversation);
	const struct log_field fields[] = {LOG_STR("request_id", record_format_id(q->id, id)),
		text("tenant", labels_name(l, s, LABEL_TENANT, q->tenant)),
		known("key", q->key, q->key != 0),
		text("pool", labels_name(l, s, LABEL_POOL, q->pool)),
		text("account", labels_name(l, s, LABEL_ACCOUNT, q->account)),
		text("egress", labels_name(l, s, LABEL_EGRESS, q->egress)),
		text("upstream", labels_name(l, s, LABEL_UPSTREAM, q->upstream)),
		text("provider", provider_name(q)),
		text("region", ended(q->region, sizeof(q->region))),
		text("method", ended(q->method, sizeof(q->method))),
		text("path", ended(q->path, sizeof(q->path))),
		known("status", q->status, q->status != 0),
		text("code", ended(q->code, sizeof(q->code))),
		known("attempts", q->tries, q->tries != 0), LOG_INT("retries", q->retries),
		text("circuit", circuit_name(q)), text("conversation", conversation),
		known("concurrency", q->active, q->tenant != 0),
		known("relay_ms", q->relay_ms, q->relay_ms >= 0),
		known("upstream_ms", (int64_t)q->ttfb_ms - q->relay_ms, answered && q->account),
		known("duration_ms", q->duration_ms, q->duration_ms >= 0),
		LOG_INT("bytes_in", q->bytes_in), LOG_INT("bytes_out", q->bytes_out),
		LOG_STR("termination", letters), text("label", ended(q->label, sizeof(q->label))),
		{0}};
	log_always("access", fields);
}

/* A stream that broke is an error whatever its status; HAProxy's own answers end with other letters. */
static bool is_error(const struct board_request *q)
{
	bool broke = q->account && memcmp(q->termination, "--", 2) != 0;

	return q->status == 0 || q->status >= 400 || broke;
}

/* --- all of them --- */

/* Where a control process before this one stopped. */
static void begin(struct accesslog *a, uint64_t written)
{
	const struct control *c = a->control;

	a->begun = true;
	if (history_taken(c->store, c->board, &a->next, NULL) || a->next > written)
		a->next = written;
}

static void skip_overwritten(struct accesslog *a, uint64_t written)
{
	uint64_t lost = written - a->next - BOARD_REQUESTS;

	log_event(LOG_LEVEL_WARNING, "access lines are missing: requests came too fast",
		LOG_INT("count", lost));
	a->next += lost;
}

static bool write_lines(struct accesslog *a, uint64_t written)
{
	int64_t deadline = clock_monotonic_ns() + WORK_NS;
	bool errors_only = a->control->config.log_requests == LOG_REQUESTS_ERRORS;
	struct board_request q;

	for (unsigned n = 1; a->next < written; n++) {
		if (board_read_request(a->control->board, a->next++, &q) == 0 &&
			(!errors_only || is_error(&q)))
			write_line(a, &q);
		if (n % CLOCK_ROWS == 0 && clock_monotonic_ns() >= deadline)
			return a->next < written;
	}
	return false;
}

bool accesslog_poll(struct accesslog *a)
{
	const struct board *b = a->control->board;
	uint64_t written = atomic_load_explicit(&b->written, memory_order_acquire);

	if (!a->begun)
		begin(a, written);
	if (a->control->config.log_requests == LOG_REQUESTS_OFF)
		a->next = written;
	if (a->next < written && written - a->next > BOARD_REQUESTS)
		skip_overwritten(a, written);
	return a->next < written && write_lines(a, written);
}
