#include "admin/upkeep/healthwatch.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/account_state.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>

#define POLL_S 0.2
#define LOOK_MS 5000
#define REASON_SIZE 96

/* --- suspension reason --- */

/* The agent's own row. The agent may change it during the read, so values are checked. */
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
	int n = rungs ? snprintf(out, REASON_SIZE, "%u probes in a row were refused", rungs)
		      : snprintf(out, REASON_SIZE, "its probes were refused");

	if (class < RESULT_CLASS_COUNT && class != RESULT_SUCCESS)
		snprintf(out + n, REASON_SIZE - (size_t)n, ", the last one: %s",
			result_class_name((enum result_class) class));
	return out;
}

/* --- findings --- */

struct found {
	uint32_t id;
	const char *why;
	char name[NAMES_SIZE];
};

/* Arrays of struct found. */
struct findings {
	struct buffer suspended, invalid;
};

static void findings_fini(struct findings *f)
{
	buffer_fini(&f->suspended);
	buffer_fini(&f->invalid);
}

/* NULL: the credential is valid or can be renewed. */
static const char *why_invalid(const struct account_facts *f, uint64_t generation, bool renewable)
{
	if (f->needs_login || !f->has_credential || renewable)
		return NULL;
	if (f->expired)
		return "the credential has expired and cannot be renewed";
	if (account_standing(f) != BOARD_STANDING_USABLE && generation &&
		board_get(&f->row->refused_credential) == generation)
		return "the upstream refuses the credential, and it cannot be renewed";
	return NULL;
}

struct finding {
	struct findings *all;
	const struct board *board;
};

static int take_account(struct row *row, void *context)
{
	const struct finding *f = context;
	struct account_facts facts = account_facts_read(row, f->board);
	struct found one = {
		.id = facts.id,
		.why = why_invalid(&facts, (uint64_t)row_number(row, "generation"),
			row_flag(row, "renewable")),
	};

	row_copy(row, "name", one.name, sizeof(one.name));
	if (account_standing(&facts) == BOARD_STANDING_SUSPENDED)
		buffer_append(&f->all->suspended, &one, sizeof(one));
	if (one.why)
		buffer_append(&f->all->invalid, &one, sizeof(one));
	return 0;
}

static int find_all(struct control *c, struct findings *all, struct errtext *e)
{
	struct finding f = {all, c->board};
	int error = sql_each(c->store, e, take_account, &f,
		"SELECT " ACCOUNT_FACTS ", c.generation, a.source <> 'watch' AND EXISTS (SELECT 1"
		" FROM credentials x WHERE x.account_id = a.id AND x.field = 'refresh_token')"
		" AS renewable, a.name FROM" ACCOUNT_FACTS_FROM
		"WHERE a.suspended = 0 ORDER BY a.id",
		"");

	if (!error)
		error = buffer_error(&all->suspended);
	return error ? error : buffer_error(&all->invalid);
}

/* --- suspended --- */

static int suspend(struct control *c, const struct found *one, struct errtext *e)
{
	char subject[NOTICES_SUBJECT_SIZE];
	char reason[REASON_SIZE];
	int error = sql_run(c->store, e,
		"UPDATE accounts SET suspended = 1, suspend_reason = ?1 WHERE id = ?2", "ti",
		format_reason(c, one->id, reason), (int64_t)one->id);

	return error ? error
		     : notices_raise(c->store, NOTICE_ACCOUNT_SUSPENDED,
			       notices_subject("account", one->name, subject), reason, e);
}

static int suspend_all(struct control *c, const struct buffer *all, struct errtext *e)
{
	const struct found *found = (const void *)all->data;
	int error = store_bump_version(c->store, e);

	for (size_t i = 0; i < all->len / sizeof(*found) && !error; i++)
		error = suspend(c, &found[i], e);
	return error;
}

static int keep_suspended(struct control *c, const struct buffer *all, struct errtext *e)
{
	int error = all->len ? store_begin(c->store, e) : 0;

	if (error || !all->len)
		return error;
	error = suspend_all(c, all, e);
	if (error)
		store_rollback(c->store);
	else
		error = store_commit(c->store, e);
	return error ? error : change_publish(c, CHANGE_AGENT, NULL, NULL);
}

/* --- invalid --- */

/* The rows are struct found or bare ids; both begin with an id and are sorted by it. */
static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a;
	const uint32_t *y = b;

	return (*x > *y) - (*x < *y);
}

static bool holds(const struct buffer *rows, size_t row_size, uint32_t id)
{
	return rows->len && bsearch(&id, rows->data, rows->len / row_size, row_size, compare_ids);
}

struct mended {
	const struct buffer *invalid; /* struct found */
	struct buffer subjects;	      /* NUL-terminated texts */
};

static int take_mended(struct row *row, void *context)
{
	struct mended *m = context;

	if (holds(m->invalid, sizeof(struct found), row_u32(row, "id")))
		return 0;
	buffer_append_slice(&m->subjects, row_text(row, "subject"));
	buffer_append(&m->subjects, "", 1);
	return 0;
}

/*
 * For accounts in use: a suspended account keeps its notice. The query ends before the first notice is
 * resolved, because resolving writes to the same table.
 */
static int resolve_mended(struct control *c, const struct buffer *all, struct errtext *e)
{
	struct mended m = {.invalid = all};
	int error = sql_each(c->store, e, take_mended, &m,
		"SELECT a.id, n.subject FROM notices n JOIN accounts a"
		" ON n.subject = 'account/' || a.name WHERE n.kind = '" NOTICE_ACCOUNT_INVALID
		"' AND n.acked_ms = 0 AND a.suspended = 0",
		"");

	for (size_t at = 0; !error && at < m.subjects.len; at += strlen(m.subjects.data + at) + 1)
		error = notices_resolve(c->store, NOTICE_ACCOUNT_INVALID, m.subjects.data + at, e);
	buffer_fini(&m.subjects);
	return error;
}

/*
 * Raises a notice once per episode: an acknowledged notice is not raised again while the fault
 * lasts.
 */
static int tell_invalid(struct healthwatch *w, const struct buffer *all, struct errtext *e)
{
	const struct found *found = (const void *)all->data;
	char subject[NOTICES_SUBJECT_SIZE];
	struct buffer told = {0};
	int error = 0;

	for (size_t i = 0; i < all->len / sizeof(*found) && !error; i++) {
		if (!holds(&w->told, sizeof(found[i].id), found[i].id))
			error = notices_raise(w->control->store, NOTICE_ACCOUNT_INVALID,
				notices_subject("account", found[i].name, subject), found[i].why,
				e);
		if (!error)
			buffer_append(&told, &found[i].id, sizeof(found[i].id));
	}
	buffer_fini(&w->told);
	w->told = told;
	return error ? error : resolve_mended(w->control, all, e);
}

/* --- timer --- */

static int look(struct healthwatch *w, struct errtext *e)
{
	struct findings all = {0};
	int error = find_all(w->control, &all, e);

	if (!error)
		error = keep_suspended(w->control, &all.suspended, e);
	if (!error)
		error = tell_invalid(w, &all.invalid, e);
	findings_fini(&all);
	return error;
}

void healthwatch_poll(struct healthwatch *w, int64_t now_ms)
{
	uint64_t changes = board_get(&w->control->board->counters[BOARD_HEALTH_CHANGES]);
	struct errtext e = {""};

	if (w->looked_ms && changes == w->seen && now_ms - w->looked_ms < LOOK_MS)
		return;
	w->seen = changes;
	w->looked_ms = now_ms;
	if (look(w, &e))
		log_event(LOG_LEVEL_ERROR, "cannot store account health from the agent",
			LOG_STR("reason", e.text));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	healthwatch_poll(timer->data, clock_monotonic_ms());
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
	buffer_fini(&w->told);
}
