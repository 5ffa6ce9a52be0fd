#include "admin/upkeep/vault_rotation.h"

#include "admin/control.h"
#include "admin/store/names.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#define STEP_S 0.01  /* between two steps: a step takes a few milliseconds */
#define AGAIN_S 30.0 /* after a failure */

struct vault_rotation {
	struct control *control;
	ev_timer timer;
	bool has_file; /* the key file is in its place */
	struct vault_walk walk;
	struct errtext fault; /* empty = none */
	vault_rotation_told_fn *told;
	void *context;
};

static void tell(struct vault_rotation *r, int error, const char *reason)
{
	vault_rotation_told_fn *told = r->told;

	r->told = NULL;
	if (told)
		told(r->context, error, reason);
}

static void go_on_in(struct vault_rotation *r, double seconds)
{
	ev_timer_stop(r->control->loop, &r->timer);
	ev_timer_set(&r->timer, seconds, 0);
	ev_timer_start(r->control->loop, &r->timer);
}

/* --- steps --- */

static int copy_name(struct row *row, void *context)
{
	row_copy(row, "name", context, NAMES_SIZE);
	return 0;
}

/* Values that do not open keep the old data key: with it they may be repaired, without it never. */
static int refuse_damaged(struct vault_rotation *r, struct errtext *e)
{
	char name[NAMES_SIZE] = "";

	sql_each(r->control->store, NULL, copy_name, name,
		"SELECT name FROM accounts WHERE id = ?1", "i", r->walk.account);
	if (*name)
		return errtext_set(e, -EBUSY,
			"%lld sealed values are damaged, one of account %s: set its credential anew, or "
			"delete it; the rotation then ends by itself",
			(long long)r->walk.damaged, name);
	return errtext_set(e, -EBUSY,
		"%lld sealed values of the store are damaged: restore a backup of the store",
		(long long)r->walk.damaged);
}

/* 1: another step follows. 0: the rotation has ended. */
static int step(struct vault_rotation *r, struct errtext *e)
{
	struct control *c = r->control;
	int error = 0;

	if (!r->has_file) {
		error = vault_rotate_key_file(c->vault, c->store, c->config.key_file.s, e);
		r->has_file = !error;
		return error ? error : 1;
	}
	if (!r->walk.is_done) {
		error = vault_rotate_values(c->vault, c->store, &r->walk, e);
		return error ? error : 1;
	}
	if (r->walk.damaged)
		return refuse_damaged(r, e);
	error = vault_rotate_end(c->vault, c->store, clock_wall_ms(), e);
	if (error != -EAGAIN)
		return error;
	r->walk = (struct vault_walk){0};
	return 1;
}

static void fail(struct vault_rotation *r, int error, const struct errtext *e)
{
	if (!*r->fault.text)
		log_event(LOG_LEVEL_ERROR, "the rotation of the vault's keys waits",
			LOG_STR("reason", e->text));
	r->fault = *e;
	r->walk = (struct vault_walk){0};
	go_on_in(r, AGAIN_S);
	tell(r, error, e->text);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct vault_rotation *r = timer->data;
	struct errtext e = {""};
	/* a change of many parts would begin again */
	int next = store_has_aside(r->control->store) ? 1 : step(r, &e);

	(void)loop;
	(void)events;
	if (next < 0) {
		fail(r, next, &e);
		return;
	}
	if (next > 0) {
		go_on_in(r, STEP_S);
		return;
	}
	r->fault.text[0] = '\0';
	log_event(LOG_LEVEL_INFO, "the vault's keys are renewed",
		LOG_STR("key_file", r->control->config.key_file.s));
	tell(r, 0, "");
}

/* --- start and end --- */

int vault_rotation_begin(struct vault_rotation *r, bool keeps_file, vault_rotation_told_fn *told,
	void *context, struct errtext *e)
{
	struct control *c = r->control;
	int error = vault_rotate_begin(c->vault, c->store, c->config.key_file.s, keeps_file, e);

	if (error)
		return error;
	log_event(LOG_LEVEL_INFO, "the vault's keys are being renewed",
		LOG_STR("key_file", c->config.key_file.s));
	r->has_file = false;
	r->walk = (struct vault_walk){0};
	r->told = told;
	r->context = context;
	go_on_in(r, 0);
	return 0;
}

const char *vault_rotation_fault(const struct vault_rotation *r)
{
	return r ? r->fault.text : "";
}

struct vault_rotation *vault_rotation_new(struct control *c)
{
	struct vault_rotation *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->control = c;
	ev_timer_init(&r->timer, on_timer, STEP_S, 0);
	r->timer.data = r;
	if (vault_is_rotating(c->vault))
		ev_timer_start(c->loop, &r->timer);
	return r;
}

void vault_rotation_free(struct vault_rotation *r)
{
	if (!r)
		return;
	tell(r, -EPIPE, "the relay stops; the rotation goes on at the next start");
	ev_timer_stop(r->control->loop, &r->timer);
	free(r);
}
