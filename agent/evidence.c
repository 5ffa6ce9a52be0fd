#include "agent/evidence.h"

#include "common/step.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_SHUN_STEPS 6 /* doublings until the longest shun */

static_assert(sizeof(struct evidence_row) == 32, "rows of 32 bytes");
static_assert(EVIDENCE_SHUN_MIN_MS << EVIDENCE_SHUN_STEPS >= EVIDENCE_SHUN_MAX_MS, "enough steps");
static_assert(EVIDENCE_SHARE * 8 == EVIDENCE_BUCKETS, "a tenant has an eighth of the buckets");

int evidence_init(struct evidence *e, uint32_t healths)
{
	*e = (struct evidence){.rows = calloc(EVIDENCE_ROWS, sizeof(*e->rows)),
		.accounts = calloc(healths, sizeof(*e->accounts)),
		.account_count = healths};
	if (e->rows && e->accounts)
		return 0;
	evidence_fini(e);
	return -ENOMEM;
}

void evidence_fini(struct evidence *e)
{
	free(e->rows);
	free(e->accounts);
	*e = (struct evidence){0};
}

/* --- the table --- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The tenant decides the part of the table, the rest the bucket in it. */
static struct evidence_row *bucket_of(const struct evidence *e, const struct evidence_row *key)
{
	uint32_t what = key->account ? key->account : ~key->detail;
	uint64_t in_share = mix((uint64_t)key->family << 32 | what) % EVIDENCE_SHARE;
	uint64_t bucket = (mix(key->tenant) + in_share) % EVIDENCE_BUCKETS;

	return &e->rows[bucket * EVIDENCE_WAYS];
}

static bool is_same(const struct evidence_row *row, const struct evidence_row *key)
{
	return row->tenant == key->tenant && row->family == key->family &&
		row->account == key->account && (key->account || row->detail == key->detail);
}

static struct evidence_row *find(const struct evidence *e, const struct evidence_row *key)
{
	if (e->used == 0 || key->tenant == 0)
		return NULL;
	struct evidence_row *bucket = bucket_of(e, key);
	for (size_t i = 0; i < EVIDENCE_WAYS; i++) {
		if (is_same(&bucket[i], key))
			return &bucket[i];
	}
	return NULL;
}

static uint32_t count_of(const struct evidence_row *bucket, uint32_t tenant)
{
	uint32_t count = 0;

	for (size_t i = 0; i < EVIDENCE_WAYS; i++)
		count += bucket[i].tenant == tenant;
	return count;
}

/* The tenant with the most rows of the bucket loses the one that ends first. */
static struct evidence_row *victim_of(struct evidence_row *bucket)
{
	struct evidence_row *victim = bucket;

	for (size_t i = 1; i < EVIDENCE_WAYS; i++) {
		uint32_t mine = count_of(bucket, bucket[i].tenant);
		uint32_t most = count_of(bucket, victim->tenant);
		if (mine > most || (mine == most && bucket[i].until_ms < victim->until_ms))
			victim = &bucket[i];
	}
	return victim;
}

static struct evidence_row *place_for(struct evidence_row *bucket)
{
	for (size_t i = 0; i < EVIDENCE_WAYS; i++) {
		if (bucket[i].tenant == 0)
			return &bucket[i];
	}
	return victim_of(bucket);
}

/* NULL: nobody is known to ask. */
static struct evidence_row *make(struct evidence *e, const struct evidence_row *key)
{
	struct evidence_row *row = find(e, key);

	if (row || key->tenant == 0)
		return row;
	row = place_for(bucket_of(e, key));
	e->used += row->tenant == 0;
	*row = *key;
	return row;
}

static void drop(struct evidence *e, struct evidence_row *row)
{
	if (!row)
		return;
	*row = (struct evidence_row){.tenant = 0};
	e->used--;
}

/* --- one requester at one account --- */

static struct evidence_row at_account(struct evidence_requester who, uint32_t account)
{
	return (struct evidence_row){
		.tenant = who.tenant, .family = who.family, .account = account};
}

const struct evidence_row *evidence_find(
	const struct evidence *e, struct evidence_requester who, uint32_t account)
{
	const struct evidence_row key = at_account(who, account);

	return find(e, &key);
}

static struct evidence_row *make_row(
	struct evidence *e, struct evidence_requester who, uint32_t account)
{
	const struct evidence_row key = at_account(who, account);

	return make(e, &key);
}

static struct evidence_row *find_row(
	const struct evidence *e, struct evidence_requester who, uint32_t account)
{
	const struct evidence_row key = at_account(who, account);

	return find(e, &key);
}

static void step_up(uint8_t *n, uint8_t max)
{
	if (*n < max)
		(*n)++;
}

static void step_down(uint8_t *n)
{
	if (*n)
		(*n)--;
}

bool evidence_shuns(const struct evidence_row *row, int64_t now_ms)
{
	return row && row->until_ms > now_ms && row->until_ms <= now_ms + EVIDENCE_SHUN_MAX_MS;
}

/* The id is random. 0 means that there is no trial. */
static uint32_t trial_of(const uint8_t id[16])
{
	uint32_t n;

	memcpy(&n, id, sizeof(n));
	return n ? n : 1;
}

/* Milliseconds until the brake or its trial ends. */
static int64_t brake_left(const struct evidence_row *row, int64_t now_ms)
{
	uint32_t left = row->brake_ms - (uint32_t)now_ms;

	return row->brake_step && left <= EVIDENCE_BRAKE_MAX_MS ? left : 0;
}

int64_t evidence_brake_end(const struct evidence_row *row, const uint8_t id[16], int64_t now_ms)
{
	int64_t left = row ? brake_left(row, now_ms) : 0;

	return left && row->detail != trial_of(id) ? now_ms + left : 0;
}

bool evidence_is_trial(const struct evidence_row *row)
{
	return row && row->brake_step;
}

void evidence_enter(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], int64_t now_ms)
{
	struct evidence_row *row = find_row(e, who, account);

	if (!row || !row->brake_step || brake_left(row, now_ms))
		return;
	row->detail = trial_of(id);
	row->brake_ms = (uint32_t)(now_ms + EVIDENCE_TRIAL_MS);
}

void evidence_leave(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], int64_t now_ms)
{
	struct evidence_row *row = find_row(e, who, account);

	if (!row || !row->brake_step || row->detail != trial_of(id))
		return;
	row->detail = 0;
	row->brake_ms = (uint32_t)now_ms;
}

void evidence_shun(struct evidence *e, struct evidence_requester who, uint32_t account,
	enum board_evidence class, int64_t now_ms)
{
	struct evidence_row *row = make_row(e, who, account);

	if (!row)
		return;
	row->class = (uint8_t) class;
	if (evidence_shuns(row, now_ms))
		return;
	if (now_ms - row->until_ms > EVIDENCE_SHUN_MAX_MS)
		row->shun_step = 0;
	int64_t ms = (int64_t)EVIDENCE_SHUN_MIN_MS << row->shun_step;
	row->until_ms = now_ms + (ms < EVIDENCE_SHUN_MAX_MS ? ms : EVIDENCE_SHUN_MAX_MS);
	step_up(&row->shun_step, EVIDENCE_SHUN_STEPS);
}

static void brake(struct evidence_row *row, int64_t max_ms, int64_t now_ms)
{
	static const int64_t pauses_ms[] = {4000, 8000, 16000, EVIDENCE_BRAKE_MAX_MS};
	const uint8_t steps = sizeof(pauses_ms) / sizeof(pauses_ms[0]);

	step_up(&row->brake_step, steps);
	int64_t ms = pauses_ms[row->brake_step - 1];
	row->brake_ms = (uint32_t)(now_ms + (ms < max_ms ? ms : max_ms));
	row->detail = 0;
}

/* While the brake is on, only its trial counts: requests that were sent before tell nothing new. */
void evidence_fail(struct evidence *e, struct evidence_requester who, uint32_t account,
	const uint8_t id[16], enum board_evidence class, struct evidence_brake b, int64_t now_ms)
{
	struct evidence_row *row = b.threshold ? make_row(e, who, account) : NULL;

	if (!row)
		return;
	row->class = (uint8_t) class;
	if (row->brake_step) {
		if (row->detail == trial_of(id))
			brake(row, b.max_ms, now_ms);
		return;
	}
	step_up(&row->failures, UINT8_MAX);
	if (row->failures >= (b.threshold < UINT8_MAX ? b.threshold : UINT8_MAX))
		brake(row, b.max_ms, now_ms);
}

void evidence_acquit(struct evidence *e, struct evidence_requester who, uint32_t account,
	bool failed, int64_t now_ms)
{
	struct evidence_row *row = find_row(e, who, account);

	if (!row)
		return;
	row->until_ms = 0;
	step_down(&row->shun_step);
	if (failed && row->brake_step) {
		step_down(&row->brake_step);
		row->brake_ms = (uint32_t)now_ms;
		row->detail = 0;
	}
	if (failed)
		step_down(&row->failures);
	if (!row->failures && !row->brake_step && !row->shun_step)
		drop(e, row);
}

void evidence_succeed(struct evidence *e, struct evidence_requester who, uint32_t account)
{
	drop(e, find_row(e, who, account));
}

/* --- requests that are not failed over --- */

/* FNV-1a; a tenant that finds two paths with one hash harms only itself. */
static uint32_t hash(uint32_t h, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (uint8_t)s.p[i]) * 16777619u;
	return h;
}

uint32_t evidence_request(struct slice method, struct slice path)
{
	uint32_t h = hash(hash(2166136261u, method), path);

	return h ? h : 1;
}

static struct evidence_row of_request(struct evidence_requester who, uint32_t request)
{
	return (struct evidence_row){.tenant = who.tenant, .family = who.family, .detail = request};
}

bool evidence_is_settled(
	const struct evidence *e, struct evidence_requester who, uint32_t request, int64_t now_ms)
{
	const struct evidence_row key = of_request(who, request);
	const struct evidence_row *row = find(e, &key);

	return row && row->until_ms > now_ms && row->until_ms <= now_ms + EVIDENCE_SETTLED_MS;
}

void evidence_settle(
	struct evidence *e, struct evidence_requester who, uint32_t request, int64_t now_ms)
{
	const struct evidence_row key = of_request(who, request);
	struct evidence_row *row = request ? make(e, &key) : NULL;

	if (row)
		row->until_ms = now_ms + EVIDENCE_SETTLED_MS;
}

void evidence_unsettle(struct evidence *e, struct evidence_requester who, uint32_t request)
{
	const struct evidence_row key = of_request(who, request);

	drop(e, find(e, &key));
}

/* --- several requesters at one account --- */

static void forget_account(struct evidence *e, uint32_t account)
{
	for (uint32_t i = 0; e->used && i < EVIDENCE_ROWS; i++) {
		if (e->rows[i].tenant && e->rows[i].account == account)
			drop(e, &e->rows[i]);
	}
}

struct evidence_account *evidence_account(
	struct evidence *e, uint32_t row, uint32_t account, uint32_t epoch)
{
	struct evidence_account *a = &e->accounts[row];

	if (a->account == account && a->epoch == epoch)
		return a;
	if (a->account == account)
		forget_account(e, account);
	*a = (struct evidence_account){.account = account, .epoch = epoch};
	return a;
}

void evidence_want(struct evidence_account *a, enum board_evidence class, int64_t now_ms)
{
	a->wanted_class = (uint8_t) class;
	a->wanted_ms = now_ms;
}

void evidence_clear(struct evidence_account *a, struct evidence_requester who, int64_t now_ms)
{
	evidence_clear_all(a, now_ms);
	a->served = (struct evidence_report){who, now_ms};
}

void evidence_clear_all(struct evidence_account *a, int64_t now_ms)
{
	const struct evidence_report none = {.at_ms = 0};

	a->wanted_ms = 0;
	a->cleared_ms = now_ms;
	a->refused = a->broken = none;
	for (size_t i = 0; i < EVIDENCE_WITNESSES; i++)
		a->witnesses[i] = none;
}

static bool is_fresh(const struct evidence_report *w, int64_t ms, int64_t now_ms)
{
	return w->at_ms && now_ms >= w->at_ms && now_ms - w->at_ms <= ms;
}

/* Two keys; where the pool serves several tenants, of two tenants. */
static bool is_another(struct evidence_requester a, struct evidence_requester b, bool shared)
{
	return shared ? a.tenant != b.tenant : a.family != b.family;
}

bool evidence_testify(
	struct evidence_account *a, struct evidence_requester who, bool shared, int64_t now_ms)
{
	struct evidence_report *place = &a->witnesses[0];
	bool all = true;

	for (size_t i = 1; i < EVIDENCE_WITNESSES; i++) {
		if (a->witnesses[i].at_ms < place->at_ms)
			place = &a->witnesses[i];
	}
	for (size_t i = 0; i < EVIDENCE_WITNESSES; i++) {
		if (a->witnesses[i].at_ms && !is_another(a->witnesses[i].who, who, shared))
			place = &a->witnesses[i];
	}
	*place = (struct evidence_report){who, now_ms};
	for (size_t i = 0; i < EVIDENCE_WITNESSES; i++)
		all = all && is_fresh(&a->witnesses[i], EVIDENCE_WITNESS_MS, now_ms);
	return all;
}

uint32_t evidence_witnesses(const struct evidence_account *a, int64_t now_ms)
{
	uint32_t count = 0;

	for (size_t i = 0; i < EVIDENCE_WITNESSES; i++)
		count += is_fresh(&a->witnesses[i], EVIDENCE_WITNESS_MS, now_ms);
	return count;
}

static void shift_account(struct evidence_account *a, int64_t step_ms, int64_t now_ms)
{
	int64_t *const times[] = {&a->wanted_ms, &a->probe_ms, &a->cleared_ms, &a->renewal_ms,
		&a->served.at_ms, &a->refused.at_ms, &a->broken.at_ms, &a->witnesses[0].at_ms,
		&a->witnesses[1].at_ms};

	static_assert(EVIDENCE_WITNESSES == 2, "each witness has a time above");
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		*times[i] = step_move(*times[i], step_ms, now_ms);
}

void evidence_shift(struct evidence *e, int64_t step_ms, int64_t now_ms)
{
	for (uint32_t i = 0; i < e->account_count; i++)
		shift_account(&e->accounts[i], step_ms, now_ms);
	for (uint32_t i = 0; e->used && i < EVIDENCE_ROWS; i++) {
		struct evidence_row *row = &e->rows[i];
		if (!row->tenant)
			continue;
		row->until_ms = step_move(row->until_ms, step_ms, now_ms + EVIDENCE_SILENCE_MS);
		row->brake_ms += (uint32_t)step_ms;
	}
}

/* --- reports --- */

/*
 * In a shared pool a tenant's report counts once in a while, whatever the account: requests of one
 * tenant can be refused as often as it wants.
 */
static bool may_report(const struct evidence *e, const struct evidence_row *key, int64_t now_ms)
{
	const struct evidence_row *row = find(e, key);

	return !row || row->until_ms <= now_ms || row->until_ms > now_ms + EVIDENCE_SILENCE_MS;
}

static void be_silent(struct evidence *e, const struct evidence_row *key, int64_t now_ms)
{
	struct evidence_row *row = make(e, key);

	if (row)
		row->until_ms = now_ms + EVIDENCE_SILENCE_MS;
}

int64_t evidence_rest(struct evidence *e, struct evidence_account *a, struct evidence_requester who,
	bool shared, int64_t until_ms, int64_t now_ms)
{
	const struct evidence_row key = {.tenant = who.tenant};
	const struct evidence_report before = a->refused;
	bool two = is_fresh(&before, EVIDENCE_WITNESS_MS, now_ms) &&
		is_another(before.who, who, shared);
	bool served = is_fresh(&a->served, EVIDENCE_REPORT_MS, now_ms) &&
		is_another(a->served.who, who, shared);

	if (shared && !may_report(e, &key, now_ms))
		return 0;
	a->refused = (struct evidence_report){who, now_ms};
	if (!two && served)
		return 0;
	if (shared)
		be_silent(e, &key, now_ms);
	if (two || until_ms < now_ms + EVIDENCE_REPORT_MS)
		return until_ms;
	return now_ms + EVIDENCE_REPORT_MS;
}

bool evidence_renew(struct evidence_account *a, int64_t now_ms)
{
	bool lately = a->renewal_ms && now_ms >= a->renewal_ms &&
		now_ms - a->renewal_ms < EVIDENCE_RENEWAL_MS;

	if (lately && is_fresh(&a->served, EVIDENCE_REPORT_MS, now_ms))
		return false;
	a->renewal_ms = now_ms;
	return true;
}

bool evidence_break(struct evidence_account *a, struct evidence_requester who, int64_t now_ms)
{
	bool others = is_fresh(&a->broken, EVIDENCE_BROKEN_MS, now_ms) &&
		a->broken.who.family != who.family;

	a->broken = (struct evidence_report){who, now_ms};
	return others;
}

void evidence_count_brakes(
	struct evidence *e, evidence_find_fn *find_account, void *context, int64_t now_ms)
{
	for (uint32_t i = 0; i < e->account_count; i++)
		e->accounts[i].brakes = 0;
	for (uint32_t i = 0; e->used && i < EVIDENCE_ROWS; i++) {
		if (!e->rows[i].tenant || !brake_left(&e->rows[i], now_ms))
			continue;
		struct evidence_account *a = find_account(context, e->rows[i].account);
		if (a)
			a->brakes++;
	}
}
