#include "admin/healthwatch.h"

#include "admin/account_state.h"
#include "admin/control.h"
#include "admin/notices.h"
#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>

#define POLL_S 0.2
#define LOOK_MS 5000
#define REASON_SIZE 96

/* --- why --- */

/* The agent's own row; it may change meanwhile, so what is read is checked. */
static const struct statefile_health *find_health(const struct control *c, uint32_t account)
{
	uint32_t count = 0;
	const struct statefile_health *rows = c->statefile.block
		? statefile_table(&c->statefile, STATEFILE_HEALTH, &count)
		: NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (atomic_load_explicit(&rows[i].state, memory_order_acquire) == HEALTH_ACCOUNT &&
			rows[i].id == account)
			return &rows[i];
	}
	return NULL;
}

static const char *format_reason(const struct control *c, uint32_t account, char *out)
{
	const struct statefile_health *row = find_health(c, account);
	unsigned rungs = row ? row->rungs : 0;
	unsigned class = row ? row->cool_class : RESULT_CLASS_COUNT;
	int n = rungs ? snprintf(out, REASON_SIZE, "%u refusals in a row", rungs)
		      : snprintf(out, REASON_SIZE, "repeated refusals");

	if (class < RESULT_CLASS_COUNT && class != RESULT_SUCCESS)
		snprintf(out + n, REASON_SIZE - (size_t)n, ", the last one: %s",
			result_class_name((enum result_class) class));
	return out;
}

/* --- what is to be suspended --- */

static int find_suspended(struct control *c, struct buffer *ids, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(c->store,
		"SELECT " ACCOUNT_FACTS " FROM" ACCOUNT_FACTS_FROM
		"WHERE a.suspended = 0 ORDER BY a.id",
		e);
	int rc = -EIO;

	while (st && (rc = store_step(c->store, st, e)) == 1) {
		struct account_facts facts = account_facts_read(st, 0, c->board);
		if (account_standing(&facts) == BOARD_STANDING_SUSPENDED)
			buffer_append(ids, &facts.id, sizeof(facts.id));
	}
	return rc ? rc : buffer_error(ids);
}

static int suspend(struct control *c, uint32_t id, const char *reason, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(c->store,
		"UPDATE accounts SET suspended = 1, suspend_reason = ?1 WHERE id = ?2"
		" RETURNING name",
		e);
	char subject[NOTICES_SUBJECT_SIZE] = "";

	if (!st)
		return -EIO;
	store_bind_text(st, 1, reason);
	sqlite3_bind_int64(st, 2, id);
	int rc = store_step(c->store, st, e);
	if (rc == 1)
		notices_subject("account", (const char *)sqlite3_column_text(st, 0), subject);
	/* to the end, or it would hold the transaction */
	while (rc == 1)
		rc = store_step(c->store, st, e);
	if (rc || !*subject)
		return rc;
	return notices_raise(c->store, NOTICE_ACCOUNT_SUSPENDED, subject, reason, e);
}

static int suspend_all(struct control *c, struct slice ids, struct errtext *e)
{
	char reason[REASON_SIZE];
	uint32_t id;
	int error = store_bump_version(c->store, e);

	for (; ids.n >= sizeof(id) && !error; ids.p += sizeof(id), ids.n -= sizeof(id)) {
		memcpy(&id, ids.p, sizeof(id));
		error = suspend(c, id, format_reason(c, id, reason), e);
	}
	return error;
}

static int keep(struct control *c, struct slice ids, struct errtext *e)
{
	struct control_outcome outcome;
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = suspend_all(c, ids, e);
	if (error)
		store_rollback(c->store);
	else
		error = store_commit(c->store, e);
	return error ? error : control_publish(c, &outcome, e);
}

/* --- when --- */

void healthwatch_poll(struct healthwatch *w, int64_t now_ms)
{
	struct control *c = w->control;
	uint64_t changes = board_get(&c->board->counters[BOARD_HEALTH_CHANGES]);
	struct buffer ids = {0};
	struct errtext e = {""};

	if (w->looked_ms && changes == w->seen && now_ms - w->looked_ms < LOOK_MS)
		return;
	w->seen = changes;
	w->looked_ms = now_ms;
	int error = find_suspended(c, &ids, &e);
	if (!error && ids.len)
		error = keep(c, buffer_slice(&ids), &e);
	if (error)
		log_event(LOG_LEVEL_ERROR, "suspensions by the agent were not kept",
			LOG_STR("reason", e.text));
	buffer_fini(&ids);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	healthwatch_poll(timer->data, clock_monotonic_ns() / 1000000);
}

void healthwatch_start(struct healthwatch *w, struct control *c)
{
	*w = (struct healthwatch){.control = c};
	ev_timer_init(&w->timer, on_timer, POLL_S, POLL_S);
	w->timer.data = w;
	ev_timer_start(c->loop, &w->timer);
}

void healthwatch_stop(struct healthwatch *w)
{
	if (w->control)
		ev_timer_stop(w->control->loop, &w->timer);
}
