#include "agent/health.h"

#include <errno.h>
#include <string.h>

#define SWEEP_LOOKS 64
#define FORGET_MS (32 * 24 * 3600 * (int64_t)1000)

/* --- the table --- */

int healths_init(struct healths *h, struct statefile_health *rows, uint32_t count)
{
	*h = (struct healths){.rows = rows};
	return idindex_init(&h->index, rows, sizeof(*rows), count);
}

void healths_fini(struct healths *h)
{
	idindex_fini(&h->index);
	*h = (struct healths){0};
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
static void clear_row(struct statefile_health *row, uint32_t epoch)
{
	uint32_t generation = row->generation + 1;
	size_t at = offsetof(struct statefile_health, epoch);

	memset((char *)row + at, 0, sizeof(*row) - at);
	row->epoch = epoch;
	row->generation = generation;
}

struct statefile_health *health_of(
	struct healths *h, const struct health_subject *subject, int64_t now_ms)
{
	uint32_t i = idindex_find(&h->index, subject->kind, subject->id);

	if (i != IDINDEX_NONE) {
		if (h->rows[i].epoch == subject->epoch)
			return &h->rows[i];
		clear_row(&h->rows[i], subject->epoch);
		h->rows[i].last_used_ms = now_ms;
		return &h->rows[i];
	}
	if (idindex_next(&h->index) == IDINDEX_NONE)
		forget_one(h, now_ms);
	i = idindex_next(&h->index);
	if (i == IDINDEX_NONE) {
		h->full++;
		return NULL;
	}
	h->rows[i].id = subject->id;
	clear_row(&h->rows[i], subject->epoch);
	h->rows[i].last_used_ms = now_ms;
	idindex_add(&h->index, i, subject->kind);
	return &h->rows[i];
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

static enum board_standing cooling_of(const struct statefile_health *row)
{
	if (row->cool_class == RESULT_BURST)
		return BOARD_STANDING_BURST;
	if (row->cool_class == RESULT_NETWORK)
		return BOARD_STANDING_SUSPECT;
	if (row->cool_class == RESULT_AUTH && row->rungs == 0)
		return BOARD_STANDING_LOGIN;
	return BOARD_STANDING_COOLING;
}

static bool is_cooling(
	const struct statefile_health *row, const struct health_subject *subject, int64_t now_ms)
{
	return row->cool_until_ms > now_ms && !has_new_credential(row, subject);
}

static struct health_look look_at_circuit(
	const struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms)
{
	int64_t next;

	if (row->circuit == CIRCUIT_CLOSED)
		return (struct health_look){.standing = BOARD_STANDING_USABLE};
	if (row->circuit == CIRCUIT_OPEN && row->open_until_ms > now_ms)
		return (struct health_look){
			.standing = BOARD_STANDING_OPEN, .until_ms = row->open_until_ms};
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
	struct health_look look = look_at_circuit(row, rules, now_ms);
	bool barred = look.standing != BOARD_STANDING_USABLE;
	if (row->window_until_ms > now_ms)
		outlast(&look, BOARD_STANDING_WINDOW, row->window_until_ms);
	if (is_cooling(row, subject, now_ms))
		outlast(&look, cooling_of(row), row->cool_until_ms);
	look.barred = barred;
	look.watch = look.standing == BOARD_STANDING_USABLE &&
		(look.trial || row->cool_until_ms || row->window_until_ms);
	return look;
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

static void open_circuit(
	struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms)
{
	set_circuit(row, CIRCUIT_OPEN);
	row->open_until_ms = now_ms + (int64_t)rules->health_recovery_ms;
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

static int64_t doubled(uint32_t step, int64_t min, int64_t max, uint64_t random)
{
	int64_t ms = step < 16 ? min << (step ? step - 1 : 0) : max;

	if (ms > max)
		ms = max;
	/* up to a quarter more, so that accounts that failed together do not come back together */
	return ms + (int64_t)(random % (uint64_t)(ms / 4 + 1));
}

static void cool(struct statefile_health *row, enum result_class class, int64_t until_ms)
{
	row->generation++;
	/* the result of a probe does not shorten the ladder's cool-down */
	if (row->cool_class == RESULT_DENIED && row->cool_until_ms > until_ms)
		return;
	row->cool_class = (uint8_t) class;
	row->cool_until_ms = until_ms;
}

static void step_up(uint16_t *count)
{
	if (*count < UINT16_MAX)
		(*count)++;
}

static void on_success(struct statefile_health *row, int64_t now_ms)
{
	row->last_success_ms = now_ms;
	row->failures = row->rungs = row->suspects = row->bursts = 0;
	row->refused_credential = 0;
	row->cool_until_ms = row->window_until_ms = 0;
	if (row->circuit != CIRCUIT_CLOSED)
		set_circuit(row, CIRCUIT_CLOSED);
}

/*
 * A probe may succeed on an account whose real requests fail. So its success only puts the account
 * on probation: the next failure opens the circuit at once, and the next suspicion lasts longer.
 */
static void on_probe_success(
	struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms)
{
	row->last_success_ms = now_ms;
	row->rungs = 0;
	row->refused_credential = 0;
	if (row->cool_class != RESULT_BURST)
		row->cool_until_ms = 0;
	if (row->circuit == CIRCUIT_CLOSED)
		return;
	set_circuit(row, CIRCUIT_CLOSED);
	row->failures = (uint16_t)(rules->health_threshold ? rules->health_threshold - 1 : 0);
}

/* An answer about the request's content shows that the account works: the suspicion ends. */
static void on_payload(struct statefile_health *row, bool is_probe)
{
	if (row->cool_class == RESULT_NETWORK)
		row->cool_until_ms = 0;
	if (!is_probe)
		row->suspects = 0;
}

static void on_failure(
	struct statefile_health *row, const struct snapshot_options *rules, int64_t now_ms)
{
	/* a failed last resort changes nothing */
	if (row->circuit == CIRCUIT_OPEN)
		return;
	step_up(&row->failures);
	bool tripped = row->circuit == CIRCUIT_HALF_OPEN ||
		(rules->health_threshold && row->failures >= rules->health_threshold);
	if (tripped)
		open_circuit(row, rules, now_ms);
}

/* True: this suspended the account. */
static bool climb(struct statefile_health *row, enum result_class class, int64_t now_ms)
{
	step_up(&row->rungs);
	if (row->rungs >= 2)
		cool(row, class,
			now_ms + (row->rungs == 2 ? HEALTH_LADDER_2_MS : HEALTH_LADDER_3_MS));
	if (row->rungs < HEALTH_LADDER_SUSPENDED)
		return false;
	row->suspended = 1;
	row->generation++;
	return true;
}

/* The first refusal of a renewable credential costs the account only the time of the renewal. */
static bool on_auth(struct statefile_health *row, const struct health_subject *subject,
	uint32_t credential, int64_t now_ms)
{
	bool first = row->refused_credential == 0;

	if (credential != subject->credential)
		return false;
	row->refused_credential = credential;
	if (!subject->refreshable || !first)
		return climb(row, RESULT_AUTH, now_ms) || subject->refreshable;
	cool(row, RESULT_AUTH, now_ms + HEALTH_LOGIN_MS);
	return true;
}

static void on_burst(
	struct statefile_health *row, const struct result *result, int64_t now_ms, uint64_t random)
{
	step_up(&row->bursts);
	int64_t until =
		now_ms + doubled(row->bursts, HEALTH_BURST_MIN_MS, HEALTH_BURST_MAX_MS, random);
	cool(row, RESULT_BURST, result->until_ms > now_ms ? result->until_ms : until);
}

static bool judge(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, int64_t now_ms,
	uint64_t random)
{
	switch (event->result->class) {
	case RESULT_SUCCESS:
		if (event->is_probe)
			on_probe_success(row, rules, now_ms);
		else
			on_success(row, now_ms);
		break;
	case RESULT_BURST:
		on_burst(row, event->result, now_ms, random);
		break;
	case RESULT_AUTH:
		return on_auth(row, subject, event->credential, now_ms);
	case RESULT_DENIED:
		if (event->is_probe && !row->suspects && !row->rungs)
			break;
		return climb(row, RESULT_DENIED, now_ms);
	case RESULT_OVERLOAD:
	case RESULT_SERVER:
	case RESULT_NETWORK:
		on_failure(row, rules, now_ms);
		break;
	case RESULT_PAYLOAD:
		on_payload(row, event->is_probe);
		break;
	case RESULT_WINDOW:
	case RESULT_CLIENT:
	case RESULT_CLASS_COUNT:
		break;
	}
	return false;
}

/* Counts whatever the generation: the end of a window is a fact. */
static void note_window(struct statefile_health *row, const struct result *result, int64_t now_ms)
{
	if (result->class != RESULT_WINDOW || result->until_ms <= now_ms ||
		result->until_ms <= row->window_until_ms)
		return;
	row->window_until_ms = result->until_ms;
	row->generation++;
}

bool health_result(struct statefile_health *row, const struct health_subject *subject,
	const struct snapshot_options *rules, const struct health_event *event, int64_t now_ms,
	uint64_t random)
{
	const struct result *result = event->result;
	bool late = event->generation != row->generation;
	bool wanted = false;

	health_leave(row, event->id);
	if (result->has_used) {
		row->used = result->used;
		row->used_until_ms = result->used_until_ms;
	}
	if (!late)
		wanted = judge(row, subject, rules, event, now_ms, random);
	note_window(row, result, now_ms);
	return wanted;
}

void health_suspect(struct statefile_health *row, const struct snapshot_options *rules,
	const uint8_t id[16], uint32_t generation, int64_t now_ms, uint64_t random)
{
	health_leave(row, id);
	if (generation != row->generation)
		return;
	if (row->circuit == CIRCUIT_HALF_OPEN) {
		open_circuit(row, rules, now_ms);
		return;
	}
	step_up(&row->suspects);
	cool(row, RESULT_NETWORK,
		now_ms +
			doubled(row->suspects, HEALTH_SUSPECT_MIN_MS, HEALTH_SUSPECT_MAX_MS,
				random));
}

void health_avoid(
	struct statefile_health *row, uint32_t generation, int64_t now_ms, uint64_t random)
{
	if (generation != row->generation || row->circuit != CIRCUIT_CLOSED)
		return;
	step_up(&row->suspects);
	cool(row, RESULT_NETWORK,
		now_ms +
			doubled(row->suspects, HEALTH_SUSPECT_MIN_MS, HEALTH_SUSPECT_MAX_MS,
				random));
}

void health_pass_over(struct statefile_health *row, int64_t now_ms, uint64_t random)
{
	int64_t until = now_ms + doubled(1, HEALTH_PASS_OVER_MS, HEALTH_PASS_OVER_MS, random);

	if (row->circuit == CIRCUIT_CLOSED && row->cool_until_ms < until)
		cool(row, RESULT_NETWORK, until);
}

void health_excuse(struct statefile_health *row)
{
	if (row->cool_class != RESULT_NETWORK || row->cool_until_ms == 0)
		return;
	row->cool_until_ms = 0;
	row->suspects = 0;
	row->generation++;
}
