#include "agent/state.h"

#include "agent/bans.h"
#include "agent/timekeeper.h"
#include "common/log.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define LOOKS 4096 /* the largest table is done in less than five minutes */

/* The board outlives the agent: it shows the leases of the one before until those of the state file are counted. */
struct takeover {
	struct agent *agent;
	uint64_t leases;
	uint64_t tenants[BOARD_ROWS], accounts[BOARD_ROWS]; /* by row of the board */
};

static void take_over_lease(void *context, const struct statefile_lease *lease)
{
	struct takeover *t = context;
	struct board *b = t->agent->board;
	const struct board_tenant *tenant = board_tenant(b, lease->tenant);
	const struct board_account *account = board_account(b, lease->account);

	slots_enter_lease(&t->agent->slots, lease);
	t->leases++;
	if (tenant)
		t->tenants[tenant - b->tenants]++;
	if (account)
		t->accounts[account - b->accounts]++;
}

static void show_gauges(const struct takeover *t)
{
	struct board *b = t->agent->board;

	board_set(&b->counters[BOARD_LEASES], t->leases);
	for (size_t i = 0; i < BOARD_ROWS; i++) {
		board_set(&b->tenants[i].active, t->tenants[i]);
		board_set(&b->accounts[i].active, t->accounts[i]);
	}
}

static int open_leases(struct agent *a, uint32_t count)
{
	struct takeover *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->agent = a;
	int error = leases_init(&a->leases, a->undo.leases, count, take_over_lease, t);
	if (!error)
		show_gauges(t);
	free(t);
	return error;
}

/* Shows damage that was found, and logs it. */
static void report(struct agent *a, const struct statefile_damage *d)
{
	for (size_t t = 0; t < STATEFILE_TABLE_COUNT; t++) {
		if (!d->mended[t] && !d->dropped[t])
			continue;
		board_add(&a->board->counters[BOARD_STATE_MENDED_USAGE + t], d->mended[t]);
		board_add(&a->board->counters[BOARD_STATE_DROPPED_USAGE + t], d->dropped[t]);
		log_event(d->dropped[t] ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
			"state file was damaged",
			LOG_STR("table", statefile_table_name((enum statefile_table)t)),
			LOG_INT("rows_mended", d->mended[t]),
			LOG_INT("rows_dropped", d->dropped[t]));
	}
}

static int open_tables(struct agent *a)
{
	const struct statefile *f = &a->statefile;
	uint32_t usages, leases, bindings, undos, healths;
	struct statefile_damage damage = {{0}, {0}};
	struct statefile_health *health_rows = statefile_table(f, STATEFILE_HEALTH, &healths);
	struct statefile_binding *binding_rows = statefile_table(f, STATEFILE_STICKY, &bindings);

	a->undo.usages = statefile_table(f, STATEFILE_USAGE, &usages);
	a->undo.leases = statefile_table(f, STATEFILE_LEASE, &leases);
	a->undo.row = statefile_table(f, STATEFILE_UNDO, &undos);
	a->undo.usage_count = usages;
	a->undo.lease_count = leases;
	undo_recover(&a->undo, &damage);
	statefile_check_rows(f, &damage);
	report(a, &damage);
	bindings_init(&a->bindings, binding_rows, bindings);
	int error = usages_init(&a->usages, a->undo.usages, usages, STATEFILE_USAGES_MAX);
	if (!error)
		error = healths_init(&a->healths, health_rows, healths);
	if (!error)
		error = evidence_init(&a->evidence, healths);
	if (!error)
		error = budgets_init(&a->budgets);
	if (!error)
		error = pooled_init(&a->pooled);
	if (!error)
		error = slots_init(&a->slots, leases);
	if (!error)
		error = open_leases(a, leases);
	if (!error)
		error = room_init(&a->room);
	if (!error)
		error = healer_init(&a->healer, leases, statefile_workers(f));
	damage = (struct statefile_damage){.dropped = {[STATEFILE_USAGE] = a->usages.index.dropped,
						   [STATEFILE_HEALTH] = a->healths.index.dropped}};
	report(a, &damage);
	return error;
}

int state_open(struct agent *a, struct errtext *e)
{
	a->board = board_map(a->start->board_fd, true, e);
	if (!a->board)
		return -EBADMSG;
	int error = statefile_map(a->start->statefile_fd, &a->statefile, e);
	if (error)
		return error;
	a->state = (struct decide_state){
		.leases = &a->leases,
		.usages = &a->usages,
		.bindings = &a->bindings,
		.undo = &a->undo,
		.healths = &a->healths,
		.evidence = &a->evidence,
		.room = &a->room,
		.slots = &a->slots,
		.budgets = &a->budgets,
		.pooled = &a->pooled,
	};
	error = open_tables(a);
	if (!error)
		error = bans_start(a);
	if (!error)
		timekeeper_start(a);
	else
		return errtext_set(e, error, "%s", strerror(-error));
	return RAND_bytes((unsigned char *)&a->random, sizeof(a->random)) == 1
		? 0
		: errtext_set(e, -EIO, "cannot get random numbers");
}

void state_follow(struct agent *a)
{
	uint32_t rows;

	if (statefile_follow(&a->statefile, a->start->statefile_fd) == 0) {
		statefile_table(&a->statefile, STATEFILE_USAGE, &rows);
		usages_grow(&a->usages, rows);
	}
	usages_look(&a->usages, timekeeper_now(a), LOOKS);
	report(a, &a->usages.damage);
	a->usages.damage = (struct statefile_damage){{0}, {0}};
	board_set(&a->board->counters[BOARD_USAGE_ROWS], a->usages.index.used);
	board_set(&a->board->counters[BOARD_USAGE_ROOM], a->usages.index.count);
}

void state_settle(struct agent *a)
{
	healths_seal(&a->healths);
}

void state_close(struct agent *a)
{
	state_settle(a);
	bans_stop(a);
	healer_fini(&a->healer);
	room_fini(&a->room);
	leases_fini(&a->leases);
	healths_fini(&a->healths);
	evidence_fini(&a->evidence);
	slots_fini(&a->slots);
	pooled_fini(&a->pooled);
	budgets_fini(&a->budgets);
	usages_fini(&a->usages);
	statefile_unmap(&a->statefile);
	board_unmap(a->board);
}
