#include "agent/health.h"

#include "common/limittext.h"
#include "common/staterow.h"
#include "common/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_LOOKS 64
#define FORGET_MS (32 * 24 * 3600 * (int64_t)1000)
#define PROBE_SOON_MS 1000 /* a probe that is due takes about this long */

/* --- the table --- */

int healths_init(struct healths *h, struct statefile_health *rows, uint32_t count)
{
	*h = (struct healths){.rows = rows, .open = calloc(count, sizeof(*h->open))};
	return h->open ? idindex_init(&h->index, rows, sizeof(*rows), count, count) : -ENOMEM;
}

void healths_fini(struct healths *h)
{
	idindex_fini(&h->index);
	free(h->open);
	*h = (struct healths){0};
}

/* An open row is listed once; should the list be full, it stays open. */
static struct statefile_health *open_row(struct healths *h, uint32_t i)
{
	struct statefile_health *row = &h->rows[i];

	if (row->check != STATEROW_OPEN && h->open_count < h->index.count)
		h->open[h->open_count++] = i;
	staterow_open(STATEROW(row));
	return row;
}

void healths_seal(struct healths *h)
{
	for (uint32_t n = 0; n < h->open_count; n++) {
		struct statefile_health *row = &h->rows[h->open[n]];
		if (row->state)
			staterow_seal(STATEROW(row));
		else
			staterow_free(STATEROW(row));
	}
	h->open_count = 0;
}

uint32_t health_place(const struct healths *h, const struct health_subject *subject)
{
	return idindex_find(&h->index, subject->kind, subject->id);
}

const struct statefile_health *health_find(
	const struct healths *h, const struct health_subject *subject)
{
	uint32_t found = idindex_find(&h->index, subject->kind, subject->id);

	if (found == IDINDEX_NONE || h->rows[found].epoch != subject->epoch)
		return NULL;
	return &h->rows[found];
}

static bool is_forgettable(const struct statefile_health *row, int64_t now_ms)
{
	return atomic_load_explicit(&row->state, memory_order_relaxed) != HEALTH_FREE &&
		row->circuit == CIRCUIT_CLOSED && !row->suspended &&
		now_ms - row->last_used_ms > FORGET_MS;
}

static void forget_one(struct healths *h, int64_t now_ms)
{
	for (uint32_t n = 0; n < SWEEP_LOOKS; n++) {
		uint32_t i = h->sweep;
		h->sweep = (h->sweep + 1) % h->index.count;
		if (!is_forgettable(&h->rows[i], now_ms))
			continue;
		idindex_remove(&h->index, i);
		return;
	}
}

/* Clears all but kind and id, and moves to a generation that no earlier request has. */
static void clear_row(struct statefile_health *row, uint32_t epoch, int64_t now_ms)
{
	const size_t at = offsetof(struct statefile_health, epoch);
	uint32_t generation = row->generation + 1;

	memset((char *)row + at, 0, offsetof(struct statefile_health, check) - at);
	row->epoch = epoch;
	row->generation = generation;
	row->last_used_ms = now_ms;
}

static struct statefile_health *make_row(
	struct healths *h, const struct health_subject *subject, int64_t now_ms)
{
	if (idindex_next(&h->index) == IDINDEX_NONE)
		forget_one(h, now_ms);
	uint32_t i = idindex_next(&h->index);
	if (i == IDINDEX_NONE) {
		h->full++;
		return NULL;
	}
	struct statefile_health *row = open_row(h, i);
	row->id = subject->id;
	clear_row(row, subject->epoch, now_ms);
	idindex_add(&h->index, i, subject->kind);
	return row;
}

struct statefile_health *health_of(
	struct healths *h, const struct health_subject *subject, int64_t now_ms)
{
	uint32_t i = idindex_find(&h->index, subject->kind, subject->id);

	if (i == IDINDEX_NONE)
		return make_row(h, subject, now_ms);
	struct statefile_health *row = open_row(h, i);
	if (row->epoch != subject->epoch)
		clear_row(row, subject->epoch, now_ms);
	return row;
}

static void shift_row(struct statefile_health *row, int64_t step_ms, int64_t now_ms)
{
	int64_t longest =
		row->cool_class == RESULT_BURST ? LIMITTEXT_AHEAD_MAX_MS : HEALTH_LADDER_LONG_MS;

	row->open_until_ms =
		step_move(row->open_until_ms, step_ms, now_ms + LIMITTEXT_AHEAD_MAX_MS);
	row->cool_until_ms = step_move(row->cool_until_ms, step_ms, now_ms + longest);
	row->window_until_ms =
		step_move(row->window_until_ms, step_ms, now_ms + LIMITTEXT_AHEAD_MAX_MS);
	row->used_until_ms =
		step_move(row->used_until_ms, step_ms, now_ms + LIMITTEXT_AHEAD_MAX_MS);
	row->last_used_ms = step_move(row->last_used_ms, step_ms, now_ms);
	row->last_success_ms = step_move(row->last_success_ms, step_ms, now_ms);
	for (size_t i = 0; i < STATEFILE_PERMITS; i++)
		row->permits[i].until_ms =
			step_move(row->permits[i].until_ms, step_ms, now_ms + HEALTH_PERMIT_MS);
}

void healths_shift(struct healths *h, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < h->index.fresh; i++) {
		if (atomic_load_explicit(&h->rows[i].state, memory_order_relaxed) != HEALTH_FREE)
			shift_row(open_row(h, i), step_ms, now_ms);
	}
}

/* --- permits --- */

static struct statefile_permit *find_permit(struct statefile_health *row, const uint8_t id[16])
{
	for (size_t i = 0; i < STATEFILE_PERMITS; i++) {
		struct statefile_permit *p = &row->permits[i];
		if (p->until_ms && memcmp(p->id, id, sizeof(p->id)) == 0)
			return p;
	}
	return NULL;
}

static uint32_t permits_out(const struct statefile_health *row, int64_t now_ms, int64_t *ret_next)
{
	uint32_t count = 0;

	*ret_next = 0;
	for (size_t i = 0; i < STATEFILE_PERMITS; i++) {
		int64_t until = row->permits[i].until_ms;
		if (until <= now_ms)
			continue;
		count++;
		if (*ret_next == 0 || until < *ret_next)
			*ret_next = until;
	}
	return count;
}

static void give_permit(struct statefile_health *row, const uint8_t id[16], int64_t now_ms)
{
	for (size_t i = 0; i < STATEFILE_PERMITS; i++) {
		struct statefile_permit *p = &row->permits[i];
		if (p->until_ms > now_ms)
			continue;
		memcpy(p->id, id, sizeof(p->id));
		p->until_ms = now_ms + HEALTH_PERMIT_MS;
		return;
	}
}

void health_leave(struct statefile_health *row, const uint8_t id[16])
{
	struct statefile_permit *permit = find_permit(row, id);

	if (permit)
		permit->until_ms = 0;
}

/* --- reading --- */

/* Whether the account has a new credential since the refusal. */
static bool has_new_credential(
	const struct statefile_health *row, const struct health_subject *subject)
{
	return row->cool_class == RESULT_AUTH && row->refused_credential != subject->credential;
}

static enum board_standing cooling_of(
	const struct statefile_health *row, const struct health_subject *subject)
{
	if (row->cool_class == RESULT_BURST)
		return BOARD_STANDING_BURST;
	if (row->cool_class == RESULT_NETWORK)
		return BOARD_STANDING_SUSPECT;
	if (row->cool_class == RESULT_AUTH && row->rungs <= 1 && subject->refreshable)
		return BOARD_STANDING_LOGIN;
	return BOARD_STANDING_COOLING;
}

static bool is_cooling(
	const struct statefile_health *row, const struct health_subject *subject, int64_t now_ms)
{
	return row->cool_until_ms > now_ms && !has_new_credential(row, subject);
}

/* Where control probes, its probe is the trial; a client's request only when none comes. */
static int64_t trial_from_ms(const struct statefile_health *row)
{
	return row->open_until_ms + HEALTH_PROBE_WAIT_MS;
}

static struct health_look look_at_circuit(const struct statefile_health *row,
	const struct health_subject *subject, const struct snapshot_options *rules, int64_t now_ms)
{
	int64_t next;

	if (row->circuit == CIRCUIT_CLOSED)
		return (struct health_look){.standing = BOARD_STANDING_USABLE};
	if (row->circuit == CIRCUIT_OPEN && row->open_until_ms > now_ms)
		return (struct health_look){
			.standing = BOARD_STANDING_OPEN, .until_ms = row->open_until_ms};
	if (subject->probed && trial_from_ms(row) > now_ms)
		return (struct health_look){.standing = BOARD_STANDING_HALF_OPEN,
			.until_ms = now_ms + PROBE_SOON_MS,
			.probe = true};
	if (row->circuit == CIRCUIT_HALF_OPEN &&
		permits_out(row, now_ms, &next) >= rules->health_half_open)
		return (struct health_look){.standing = BOARD_STANDING_HALF_OPEN, .until_ms = next};
	return (struct health_look){.standing = BOARD_STANDING_USABLE, .trial = true};
}

static void outlast(struct health_look *look, enum board_standing standing, int64_t until_ms)
{
	if (until_ms > look->until_ms)
		*look = (struct health_look){.standing = standing, .until_ms = until_ms};
}

struct health_look health_look(const struct statefile_health *row,
	const struct health_subject *subject, const struct snapshot_options *rules, int64_t now_ms)
{
	if (!row)
		return (struct health_look){.standing = BOARD_STANDING_USABLE};
	if (row->suspended)
		return (struct health_look){.standing = BOARD_STANDING_SUSPENDED};
	struct health_look look = look_at_circuit(row, subject, rules, now_ms);
	bool probe = look.probe;
	if (row->window_until_ms > now_ms)
		outlast(&look, BOARD_STANDING_WINDOW, row->window_until_ms);
	if (is_cooling(row, subject, now_ms))
		outlast(&look, cooling_of(row, subject), row->cool_until_ms);
	look.probe = probe;
	look.watch = look.standing == BOARD_STANDING_USABLE &&
		(look.trial || row->cool_until_ms || row->window_until_ms);
	return look;
}

int64_t health_window_ms(const struct statefile_health *row, int64_t now_ms)
{
	return row && row->window_until_ms > now_ms ? row->window_until_ms : 0;
}

double health_used(const struct statefile_health *row, int64_t now_ms)
{
	return row && row->used_until_ms > now_ms ? (double)row->used / UINT16_MAX : 0;
}

/* --- changing --- */

/* Only this function changes a circuit. */
static void set_circuit(struct statefile_health *row, enum circuit circuit)
{
	row->circuit = (uint8_t)circuit;
	row->failures = 0;
	row->generation++;
	for (size_t i = 0; i < STATEFILE_PERMITS; i++)
		row->permits[i].until_ms = 0;
}

static void open_circuit(struct statefile_health *row, int64_t until_ms)
{
	set_circuit(row, CIRCUIT_OPEN);
	row->open_until_ms = until_ms;
}

void health_enter(struct statefile_health *row, const struct snapshot_options *rules,
	const uint8_t id[16], int64_t now_ms)
{
	int64_t next;

	row->last_used_ms = now_ms;
	/* a repeated question from before the circuit opened is no trial */
	if (row->circuit == CIRCUIT_OPEN && row->open_until_ms > now_ms)
		return;
	if (row->circuit == CIRCUIT_CLOSED)
		return;
	if (row->circuit == CIRCUIT_OPEN)
		set_circuit(row, CIRCUIT_HALF_OPEN);
	health_leave(row, id); /* it may hold one already */
	if (permits_out(row, now_ms, &next) < rules->health_half_open)
		give_permit(row, id, now_ms);
}

static void step_up(uint16_t *count)
{
	if (*count < UINT16_MAX)
		(*count)++;
}

static void cool(struct statefile_health *row, enum result_class class, int64_t until_ms)
{
	row->generation++;
	row->cool_class = (uint8_t) class;
	row->cool_until_ms = until_ms;
}

static bool is_late(const struct statefile_health *row, const struct health_event *event)
{
	return event->generation != row->generation;
}

static void succeed(struct statefile_health *row, int64_t now_ms)
{
	row->last_success_ms = now_ms;
	row->failures = row->rungs = row->suspects = 0;
	row->refused_credential = 0;
	if (row->circuit != CIRCUIT_CLOSED)
		set_circuit(row, CIRCUIT_CLOSED);
}

/* Counts whatever the generation: the end of a window is a fact. */
static void note_limits(struct statefile_health *row, const struct result *result, int64_t now_ms)
{
	if (result->has_used) {
		row->used = result->used;
		row->used_until_ms = result->used_until_ms;
	}
	if (result->class != RESULT_WINDOW || result->until_ms <= now_ms ||
		result->until_ms <= row->window_until_ms)
		return;
	row->window_until_ms = result->until_ms;
	row->generation++;
}

/* --- backends --- */

void health_connect(struct statefile_health *row, const struct snapshot_options *rules,
	const struct health_event *event, bool connected, int64_t now_ms)
{
	health_leave(row, event->id);
	if (is_late(row, event))
		return;
	if (connected) {
		succeed(row, now_ms);
		row->cool_until_ms = 0;
		return;
	}
	step_up(&row->failures);
	if (row->circuit == CIRCUIT_HALF_OPEN ||
		(rules->health_threshold && row->failures >= rules->health_threshold))
		open_circuit(row, now_ms + (int64_t)rules->health_recovery_ms);
}

bool health_learn(struct statefile_health *row, const struct health_usage *u, int64_t now_ms)
{
	int64_t until_ms = u->until_ms > now_ms ? u->until_ms : 0;

	row->used = u->used;
	row->used_until_ms = u->used_until_ms;
	/* a page that limits nothing does not end a window that is younger than the page */
	if (until_ms == 0 && (u->window_ms == 0 || row->window_until_ms != u->window_ms))
		return false;
	if (row->window_until_ms == until_ms)
		return false;
	row->window_until_ms = until_ms;
	row->generation++;
	return true;
}

/* Doubling; up to a quarter more, so that egresses that failed together do not come back together. */
static int64_t avoid_ms(uint16_t step, uint64_t random)
{
	int64_t ms = step < 16 ? (int64_t)HEALTH_AVOID_MIN_MS << (step - 1) : HEALTH_AVOID_MAX_MS;

	if (ms > HEALTH_AVOID_MAX_MS)
		ms = HEALTH_AVOID_MAX_MS;
	return ms + (int64_t)(random % (uint64_t)(ms / 4 + 1));
}

void health_avoid(
	struct statefile_health *row, uint32_t generation, int64_t now_ms, uint64_t random)
{
	if (generation != row->generation || row->circuit != CIRCUIT_CLOSED)
		return;
	step_up(&row->suspects);
	cool(row, RESULT_NETWORK, now_ms + avoid_ms(row->suspects, random));
}

/* --- accounts --- */

/* True if it can be renewed. */
static bool refuse_credential(struct statefile_health *row, const struct health_subject *subject,
	const struct health_event *event)
{
	if (event->credential != subject->credential)
		return false;
	row->refused_credential = event->credential;
	return subject->refreshable;
}

bool health_answer(struct statefile_health *row, const struct health_subject *subject,
	const struct health_event *event, bool renews, int64_t now_ms)
{
	bool wanted = false;

	health_leave(row, event->id);
	if (!is_late(row, event) && event->result->class == RESULT_SUCCESS) {
		succeed(row, now_ms);
		if (row->refusal == HEALTH_REFUSAL_SEEN)
			row->refusal = HEALTH_REFUSAL_IGNORED;
		row->cool_until_ms = row->window_until_ms = 0;
	}
	if (!is_late(row, event) && event->result->class == RESULT_AUTH && renews)
		wanted = refuse_credential(row, subject, event);
	note_limits(row, event->result, now_ms);
	return wanted;
}

void health_rest(struct statefile_health *row, uint32_t generation, int64_t until_ms)
{
	/* a refused probe keeps it out for longer */
	if (generation == row->generation && until_ms > row->cool_until_ms)
		cool(row, RESULT_BURST, until_ms);
}

void health_wake(struct statefile_health *row)
{
	if (row->cool_class != RESULT_BURST || !row->cool_until_ms)
		return;
	row->cool_until_ms = 0;
	row->generation++;
}

void health_convict(
	struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms)
{
	if (row->circuit == CIRCUIT_CLOSED)
		open_circuit(row, now_ms + (int64_t)rules->health_recovery_ms);
}

/* True: this suspended the account. */
static bool climb(struct statefile_health *row, enum result_class class, int64_t now_ms)
{
	step_up(&row->rungs);
	cool(row, class,
		now_ms +
			(row->rungs < HEALTH_LADDER_LONG ? HEALTH_LADDER_SHORT_MS
							 : HEALTH_LADDER_LONG_MS));
	if (row->rungs < HEALTH_LADDER_SUSPENDED)
		return false;
	row->suspended = 1;
	return true;
}

/* A credential that a client's 401 has named is renewed all the same. */
static void on_probe_success(struct statefile_health *row, int64_t now_ms)
{
	uint64_t refused = row->refused_credential;

	succeed(row, now_ms);
	row->refused_credential = refused;
	row->refusal = HEALTH_REFUSAL_COUNTS;
	if (row->cool_class != RESULT_BURST)
		row->cool_until_ms = 0;
}

/* Between half the recovery time and all of it: probed again before the end. */
static int64_t out_ms(const struct snapshot_options *rules, uint64_t random)
{
	int64_t half = (int64_t)rules->health_recovery_ms / 2;

	return half + (int64_t)(random % (uint64_t)(half + 1));
}

static bool judge_probe(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, bool suspected,
	int64_t now_ms, uint64_t random)
{
	bool wanted = false;

	switch (event->result->class) {
	case RESULT_SUCCESS:
		on_probe_success(row, now_ms);
		break;
	case RESULT_AUTH:
		if (event->credential != subject->credential)
			return false;
		wanted = refuse_credential(row, subject, event);
		return climb(row, RESULT_AUTH, now_ms) || wanted;
	case RESULT_DENIED:
		return (suspected || row->rungs) && climb(row, RESULT_DENIED, now_ms);
	case RESULT_BURST:
	case RESULT_OVERLOAD:
	case RESULT_SERVER:
	case RESULT_NETWORK:
		open_circuit(row, now_ms + out_ms(rules, random));
		break;
	case RESULT_PAYLOAD:
	case RESULT_WINDOW:
	case RESULT_CLIENT:
	case RESULT_CLASS_COUNT:
		break;
	}
	return false;
}

void health_note_refusal(struct statefile_health *row, enum result_class class)
{
	if ((class == RESULT_AUTH || class == RESULT_DENIED) &&
		row->refusal == HEALTH_REFUSAL_COUNTS)
		row->refusal = HEALTH_REFUSAL_SEEN;
}

bool health_probe(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, bool suspected,
	int64_t now_ms, uint64_t random)
{
	bool wanted = false;
	bool refused = event->result->class == RESULT_AUTH || event->result->class == RESULT_DENIED;

	health_leave(row, event->id);
	if (!is_late(row, event) && !(refused && row->refusal == HEALTH_REFUSAL_IGNORED))
		wanted = judge_probe(row, subject, rules, event, suspected, now_ms, random);
	health_note_refusal(row, event->result->class);
	note_limits(row, event->result, now_ms);
	return wanted;
}
