/* The naive part of the model: docs/HEALTH.md, "Evidence", written a second time. */
#include "rules_model.h"

#include <string.h>

#define MINUTE_MS 60000

static uint32_t tenant_of(const struct rules_model *m, uint32_t key)
{
	return m->t.key_rows[key].tenant_id;
}

/* Two keys; where several tenants use the pool, of two tenants. */
static bool are_two(const struct rules_model *m, uint32_t a, uint32_t b)
{
	return m->t.shared ? tenant_of(m, a) != tenant_of(m, b) : a != b;
}

static bool is_fresh(const struct rules_model *m, const struct rules_said *s, int64_t ms)
{
	return s->key && m->t.now_ms >= s->at_ms && m->t.now_ms - s->at_ms <= ms;
}

static struct rules_met *met(struct rules_model *m, const struct rules_request *r)
{
	return &m->met[r->q.key][r->q.account];
}

static struct rules_attempt *attempt(struct rules_request *r)
{
	return &r->attempt[r->attempts - 1];
}

/* --- one key at one account --- */

bool rules_is_shunned(const struct rules_model *m, uint32_t key, uint32_t account)
{
	return m->met[key][account].shun_until_ms > m->t.now_ms;
}

bool rules_is_braked(const struct rules_model *m, uint32_t key, uint32_t account, uint32_t n)
{
	const struct rules_met *k = &m->met[key][account];

	return k->brakes && k->brake_until_ms > m->t.now_ms && !(k->trial && k->trial == n);
}

void rules_expect_enter(struct rules_model *m, const struct rules_request *r)
{
	struct rules_met *k = met(m, r);

	if (!k->brakes || k->brake_until_ms > m->t.now_ms)
		return;
	k->trial = r->n;
	k->brake_until_ms = m->t.now_ms + 30000;
}

void rules_expect_leave(struct rules_model *m, const struct rules_request *r)
{
	struct rules_met *k = met(m, r);

	if (!k->brakes || k->trial != r->n)
		return;
	k->trial = 0;
	k->brake_until_ms = m->t.now_ms;
}

static void put_brake(struct rules_model *m, struct rules_met *k)
{
	static const int64_t seconds[] = {0, 4, 8, 16, 30};

	if (k->brakes < 4)
		k->brakes++;
	int64_t s = seconds[k->brakes];
	if (m->t.accounts == 1 && s > 10)
		s = 10;
	k->brake_until_ms = m->t.now_ms + s * 1000;
	k->trial = 0;
	m->braked++;
}

static void count_failure(struct rules_model *m, const struct rules_request *r)
{
	struct rules_met *k = met(m, r);

	if (k->brakes) {
		if (k->trial == r->n)
			put_brake(m, k);
		return;
	}
	k->failures++;
	if (k->failures >= 5)
		put_brake(m, k);
}

static void shun(struct rules_model *m, struct rules_met *k)
{
	static const int64_t seconds[] = {5, 10, 20, 40, 80, 160, 300};

	if (k->shun_until_ms > m->t.now_ms)
		return;
	if (m->t.now_ms - k->shun_until_ms > 5 * MINUTE_MS)
		k->shuns = 0;
	k->shun_until_ms = m->t.now_ms + seconds[k->shuns] * 1000;
	if (k->shuns < 6)
		k->shuns++;
	m->shunned++;
}

static bool does_brake(int class)
{
	return class == RESULT_BURST || class == RESULT_OVERLOAD || class == RESULT_SERVER ||
		class == RESULT_NETWORK;
}

/* --- the request is at fault --- */

static void take_back(struct rules_model *m, struct rules_met *k, bool counted)
{
	k->shun_until_ms = 0;
	if (k->shuns)
		k->shuns--;
	if (!counted)
		return;
	if (k->brakes) {
		k->brakes--;
		k->brake_until_ms = m->t.now_ms;
		k->trial = 0;
	}
	if (k->failures)
		k->failures--;
}

static bool is_same_refusal(
	struct rules_model *m, struct rules_request *r, int class, struct rules_attempt *before)
{
	struct rules_account *a = &m->accounts[before->account];

	if (before->class != class || before->account == r->q.account)
		return false;
	if (before->same)
		return true;
	before->same = true;
	take_back(m, &m->met[r->q.key][before->account], does_brake(class));
	if (class == RESULT_BURST && a->refused.key == r->q.key + 1) {
		a->refused = (struct rules_said){0, 0};
		m->wakes[before->account] = true;
	}
	return true;
}

static bool is_at_fault(struct rules_model *m, struct rules_request *r, int class)
{
	bool found = false;

	for (uint32_t i = 0; class != RULES_UNSEEN && i + 1 < r->attempts; i++)
		found |= is_same_refusal(m, r, class, &r->attempt[i]);
	m->acquitted += found;
	return found;
}

/* --- several keys --- */

static void clear(struct rules_model *m, uint32_t account)
{
	struct rules_account *a = &m->accounts[account];

	a->wanted = false;
	a->cleared_ms = m->t.now_ms;
	a->refused = a->broken = (struct rules_said){0, 0};
	memset(a->witnesses, 0, sizeof(a->witnesses));
	m->cleared++;
}

uint32_t rules_witnesses(const struct rules_model *m, uint32_t account)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < TOWN_KEYS; i++)
		count += is_fresh(m, &m->accounts[account].witnesses[i], MINUTE_MS);
	return count < 2 ? count : 2;
}

/* Of those that are not two with it, only the newest counts. */
static void testify(struct rules_model *m, uint32_t key, uint32_t account)
{
	struct rules_account *a = &m->accounts[account];
	bool others = false;

	for (uint32_t i = 0; i < TOWN_KEYS; i++) {
		if (!are_two(m, i, key))
			a->witnesses[i] = (struct rules_said){0, 0};
		others |= is_fresh(m, &a->witnesses[i], MINUTE_MS);
	}
	a->witnesses[key] = (struct rules_said){key + 1, m->t.now_ms};
	/* only the last two are kept */
	uint32_t oldest = key;
	uint32_t count = 0;
	for (uint32_t i = 0; i < TOWN_KEYS; i++) {
		count += a->witnesses[i].key != 0;
		if (a->witnesses[i].key && a->witnesses[i].at_ms < a->witnesses[oldest].at_ms)
			oldest = i;
	}
	if (count > 2)
		a->witnesses[oldest] = (struct rules_said){0, 0};
	m->convicts[account] |= others;
}

void rules_expect_success(struct rules_model *m, struct rules_request *r, bool late)
{
	*met(m, r) = (struct rules_met){.trial = 0};
	m->settled_until_ms[r->q.key][r->path] = 0;
	if (!late) {
		clear(m, r->q.account);
		m->accounts[r->q.account].served = (struct rules_said){r->q.key + 1, m->t.now_ms};
	}
	for (uint32_t i = 0; i + 1 < r->attempts; i++) {
		struct rules_attempt *before = &r->attempt[i];
		int64_t known = i + 2 == r->attempts ? r->again_ms : r->began_ms;
		if (before->class == RULES_FINE || before->same || before->told ||
			before->account == r->q.account)
			continue;
		before->told = true;
		if (m->accounts[before->account].cleared_ms < known)
			testify(m, r->q.key, before->account);
	}
}

static void rest(struct rules_model *m, const struct rules_request *r)
{
	struct rules_account *a = &m->accounts[r->q.account];
	uint32_t key = r->q.key;
	uint32_t tenant = tenant_of(m, key) - 1;
	bool second = is_fresh(m, &a->refused, MINUTE_MS) && are_two(m, a->refused.key - 1, key);
	bool served = is_fresh(m, &a->served, 5000) && are_two(m, a->served.key - 1, key);

	if (m->t.shared && m->silent_until_ms[tenant] > m->t.now_ms)
		return;
	a->refused = (struct rules_said){key + 1, m->t.now_ms};
	if (!second && served)
		return;
	if (m->t.shared)
		m->silent_until_ms[tenant] = m->t.now_ms + 60 * MINUTE_MS;
	m->rests_until_ms[r->q.account] = m->t.now_ms + (second ? 10000 : 5000);
}

void rules_expect_failure(struct rules_model *m, struct rules_request *r,
	const struct rules_event *e, bool taken_back, bool late)
{
	int class = e->class == RESULT_CLASS_COUNT ? RULES_UNSEEN : (int)e->class;

	if (attempt(r)->class != RULES_FINE) {
		rules_expect_leave(m, r);
		if (taken_back && !attempt(r)->same)
			shun(m, met(m, r));
		return;
	}
	if (!late && class != RESULT_WINDOW)
		m->accounts[r->q.account].wanted = true;
	if (is_at_fault(m, r, class)) {
		attempt(r)->same = true;
		m->settled_until_ms[r->q.key][r->path] = m->t.now_ms + 30000;
		rules_expect_leave(m, r);
	} else {
		if (does_brake(class))
			count_failure(m, r);
		else
			rules_expect_leave(m, r);
		if (taken_back)
			shun(m, met(m, r));
		if (class == RESULT_BURST && e->retry && !late)
			rest(m, r);
	}
	attempt(r)->class = class;
}

void rules_expect_break(struct rules_model *m, const struct rules_request *r)
{
	struct rules_account *a = &m->accounts[r->q.account];

	rules_expect_leave(m, r);
	if (is_fresh(m, &a->broken, 10000) && a->broken.key != r->q.key + 1)
		a->wanted = true;
	a->broken = (struct rules_said){r->q.key + 1, m->t.now_ms};
}

void rules_expect_reset(struct rules_model *m, uint32_t account)
{
	for (uint32_t i = 0; i < TOWN_KEYS; i++)
		m->met[i][account] = (struct rules_met){.trial = 0};
	m->accounts[account] = (struct rules_account){.wanted = false};
}

void rules_expect_crash(struct rules_model *m)
{
	for (uint32_t i = 0; i < TOWN_ACCOUNTS; i++)
		rules_expect_reset(m, i);
	memset(m->settled_until_ms, 0, sizeof(m->settled_until_ms));
	memset(m->silent_until_ms, 0, sizeof(m->silent_until_ms));
}
