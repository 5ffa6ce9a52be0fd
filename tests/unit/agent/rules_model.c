#include "rules_model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS 10000

static const struct slice paths[RULES_PATHS] = {
	SLICE_LITERAL("/v1/responses"), SLICE_LITERAL("/v1/models")};

static bool differ(struct rules_model *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool differ(struct rules_model *m, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->failure, sizeof(m->failure), format, args);
	va_end(args);
	return false;
}

void rules_model_init(struct rules_model *m, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	town_init(&m->t, seed);
	m->t.accounts = 1 + (uint32_t)(seed % TOWN_ACCOUNTS);
	m->t.shared = seed / TOWN_ACCOUNTS % 3 != 0;
	m->t.probed = seed / 9 % 2;
	town_start(&m->t);
}

void rules_model_fini(struct rules_model *m)
{
	town_stop(&m->t);
}

static bool is_late(const struct rules_model *m, const struct rules_request *r)
{
	const struct statefile_health *row = town_health(&m->t, r->q.account);

	return !row || row->generation != r->q.mark.account_generation;
}

/* --- which account a request may get --- */

static bool was_tried(const struct rules_request *r, uint32_t account)
{
	for (uint32_t i = 0; r && i < r->attempts; i++) {
		if (r->attempt[i].account == account)
			return true;
	}
	return false;
}

struct chance {
	bool usable[TOWN_ACCOUNTS];
	uint32_t count, calm; /* usable ones; of these, that the key does not shun */
};

static struct chance look_around(
	const struct rules_model *m, uint32_t key, uint32_t n, const struct rules_request *r)
{
	struct chance c = {.count = 0};

	for (uint32_t i = 0; i < m->t.accounts; i++) {
		c.usable[i] = town_look(&m->t, i).standing == BOARD_STANDING_USABLE &&
			!rules_is_braked(m, key, i, n) && !was_tried(r, i);
		c.count += c.usable[i];
		c.calm += c.usable[i] && !rules_is_shunned(m, key, i);
	}
	return c;
}

static bool check_choice(struct rules_model *m, const struct chance *c,
	const struct rules_request *r, bool last, const char *what)
{
	uint32_t key = r->q.key;
	bool settled = m->settled_until_ms[key][r->path] > m->t.now_ms;

	if (!c->usable[r->q.account])
		return differ(m, "%s: key %u got account %u", what, key, r->q.account);
	if (c->calm && rules_is_shunned(m, key, r->q.account))
		return differ(m, "%s: key %u got the shunned account %u", what, key, r->q.account);
	bool alt = c->count > 1 && !settled && !last;
	return r->q.alt == alt || differ(m, "%s: another could take over: %d", what, r->q.alt);
}

/* --- events --- */

static struct rules_attempt *begin_attempt(struct rules_request *r)
{
	struct rules_attempt *a = &r->attempt[r->attempts++];

	*a = (struct rules_attempt){.account = r->q.account, .class = RULES_FINE};
	return a;
}

static void forget(struct rules_model *m, struct rules_request *r)
{
	town_end(&m->t, &r->q);
	*r = (struct rules_request){.n = 0};
}

static bool ask(struct rules_model *m, struct rules_request *r, const struct rules_event *e)
{
	struct decide_verdict v;
	struct rules_request fresh = {.n = e->n, .path = e->path, .began_ms = m->t.now_ms};

	if (r->n)
		forget(m, r);
	struct chance c = look_around(m, e->key, e->n, NULL);
	bool allowed = town_decide(&m->t, e->key, paths[e->path], &fresh.q, &v);
	if (allowed != (c.count > 0))
		return differ(m, "key %u is let in: %d", e->key, allowed);
	m->allowed += allowed;
	m->refused += !allowed;
	if (!allowed)
		return true;
	*r = fresh;
	begin_attempt(r);
	if (!check_choice(m, &c, r, false, "at first"))
		return false;
	rules_expect_enter(m, r);
	return true;
}

static const char *failed_of(const struct rules_event *e)
{
	switch (e->class) {
	case RESULT_AUTH:
		return "st=401;";
	case RESULT_DENIED:
		return "st=403;";
	case RESULT_BURST:
		return e->retry ? "st=429;ra=10;" : "st=429;";
	case RESULT_OVERLOAD:
		return "st=503;";
	case RESULT_SERVER:
		return "st=500;";
	case RESULT_SUCCESS:
	case RESULT_WINDOW:
	case RESULT_PAYLOAD:
	case RESULT_NETWORK:
	case RESULT_CLIENT:
	case RESULT_CLASS_COUNT:
		break;
	}
	return "";
}

static bool go_on(struct rules_model *m, struct rules_request *r, const struct rules_event *e)
{
	struct rules_event seen = *e;
	struct decide_verdict v;
	const char *failed = failed_of(e);

	if (!r->q.alt)
		return true;
	seen.class = failed[0] ? e->class : RESULT_CLASS_COUNT;
	rules_expect_failure(m, r, &seen, true, is_late(m, r));
	struct chance c = look_around(m, r->q.key, r->n, r);
	bool moved = town_again(&m->t, &r->q, slice_from_str(failed), &v);
	if (moved != (c.count > 0))
		return differ(m, "request %u goes on: %d", r->n, moved);
	if (!moved) {
		forget(m, r);
		return true;
	}
	m->moved++;
	r->again_ms = m->t.now_ms;
	begin_attempt(r);
	if (!check_choice(m, &c, r, r->attempts == 3, "again"))
		return false;
	rules_expect_enter(m, r);
	return true;
}

static bool is_failure(enum result_class class)
{
	return class != RESULT_SUCCESS && class != RESULT_PAYLOAD && class != RESULT_CLIENT;
}

static bool answer(struct rules_model *m, struct rules_request *r, const struct rules_event *e)
{
	struct result result = {.class = e->class == RESULT_CLASS_COUNT ? RESULT_SERVER : e->class,
		.until_ms = e->retry ? m->t.now_ms + RETRY_MS : 0};
	const struct charge_answer told = {&result, 500, false};
	struct rules_event seen = *e;
	bool late = is_late(m, r);

	seen.class = result.class;
	town_answer(&m->t, &r->q, &told);
	if (result.class == RESULT_SUCCESS)
		rules_expect_success(m, r, late);
	else if (is_failure(result.class))
		rules_expect_failure(m, r, &seen, false, late);
	else
		rules_expect_leave(m, r);
	return true;
}

static bool leave(struct rules_model *m, struct rules_request *r, bool broken)
{
	struct result gone = {.class = RESULT_CLIENT};
	const struct charge_answer told = {&gone, 0, false};

	if (broken) {
		town_broken(&m->t, &r->q);
		rules_expect_break(m, r);
	} else {
		town_answer(&m->t, &r->q, &told);
		rules_expect_leave(m, r);
	}
	forget(m, r);
	return true;
}

static bool probe(struct rules_model *m, const struct rules_event *e)
{
	struct rules_account *a = &m->accounts[e->key];
	struct town_request q;
	int64_t served_ms = m->t.now_ms - a->served.at_ms;
	bool ignored = !a->wanted && a->served.key && served_ms < 5000;

	if (e->class == RESULT_CLASS_COUNT || !town_probe(&m->t, e->key, &q))
		return true;
	struct health_look before = town_look(&m->t, e->key);
	town_probed(&m->t, &q, e->class);
	struct health_look after = town_look(&m->t, e->key);
	if (ignored && is_failure(e->class) && e->class != RESULT_WINDOW &&
		(before.standing != after.standing || before.until_ms != after.until_ms))
		return differ(m, "a probe counted right after a success");
	if (e->class != RESULT_SUCCESS)
		return true;
	struct rules_said served = a->served;
	a->wanted = false;
	a->cleared_ms = m->t.now_ms;
	a->refused = a->broken = (struct rules_said){0, 0};
	memset(a->witnesses, 0, sizeof(a->witnesses));
	a->served = served;
	return true;
}

static bool reset(struct rules_model *m, uint32_t account)
{
	m->t.epochs[account]++;
	town_build(&m->t);
	/* as the agent does it with each snapshot */
	town_memory(&m->t, account);
	if (town_health(&m->t, account) || town_memory(&m->t, account))
		rules_expect_reset(m, account);
	return true;
}

static bool crash(struct rules_model *m)
{
	tables_stop(&m->t.tables);
	tables_start(&m->t.tables);
	rules_expect_crash(m);
	return true;
}

static bool apply(struct rules_model *m, const struct rules_event *e)
{
	struct rules_request *r = &m->requests[e->n % RULES_REQUESTS];
	bool known = r->n && r->n == e->n;

	switch (e->type) {
	case RULES_DECIDE:
		return ask(m, r, e);
	case RULES_AGAIN:
		return !known || go_on(m, r, e);
	case RULES_ANSWER:
		return !known || answer(m, r, e);
	case RULES_END:
		if (known)
			forget(m, r);
		return true;
	case RULES_LEAVE:
	case RULES_BREAK:
		return !known || leave(m, r, e->type == RULES_BREAK);
	case RULES_PROBE:
		return e->key >= m->t.accounts || probe(m, e);
	case RULES_TIME:
		m->t.now_ms += e->ms;
		return true;
	case RULES_RESET:
		return e->key >= m->t.accounts || reset(m, e->key);
	case RULES_CRASH:
		return crash(m);
	case RULES_EVENT_TYPES:
		break;
	}
	return differ(m, "event type %d", (int)e->type);
}

/* --- comparing --- */

static bool compare_key(struct rules_model *m, uint32_t key, uint32_t account)
{
	static const uint8_t another[16] = {0xff};
	const struct rules_met *k = &m->met[key][account];
	const struct evidence_row *row =
		evidence_find(&m->t.tables.evidence, town_requester(&m->t, key), account + 1);
	int64_t end = evidence_brake_end(row, another, m->t.now_ms);
	int64_t expected = rules_is_braked(m, key, account, 0) ? k->brake_until_ms : 0;

	if (end != expected)
		return differ(m, "key %u at %u: braked until %" PRId64 ", expected %" PRId64, key,
			account, end, expected);
	if (evidence_shuns(row, m->t.now_ms) != rules_is_shunned(m, key, account))
		return differ(
			m, "key %u shuns %u: %d", key, account, evidence_shuns(row, m->t.now_ms));
	return evidence_is_trial(row) == (k->brakes > 0) ||
		differ(m, "key %u at %u: a trial comes", key, account);
}

static bool compare_paths(struct rules_model *m, uint32_t key)
{
	for (uint32_t i = 0; i < RULES_PATHS; i++) {
		uint32_t hash = evidence_request(SLICE_LITERAL("POST"), paths[i]);
		bool settled = evidence_is_settled(
			&m->t.tables.evidence, town_requester(&m->t, key), hash, m->t.now_ms);
		if (settled != (m->settled_until_ms[key][i] > m->t.now_ms))
			return differ(m, "key %u, path %u is settled: %d", key, i, settled);
	}
	return true;
}

static bool compare_account(struct rules_model *m, uint32_t account)
{
	const struct evidence_account *a = town_memory(&m->t, account);

	if (!a)
		return true;
	if ((a->wanted_ms != 0) != m->accounts[account].wanted)
		return differ(m, "account %u: a probe is wanted: %d", account, a->wanted_ms != 0);
	uint32_t witnesses = evidence_witnesses(a, m->t.now_ms);
	return witnesses == rules_witnesses(m, account) ||
		differ(m, "account %u: %u witnesses, expected %u", account, witnesses,
			rules_witnesses(m, account));
}

/* What a client's request did to an account for everybody. */
static bool compare_health(
	struct rules_model *m, uint32_t account, const struct statefile_health *before)
{
	const struct statefile_health *row = town_health(&m->t, account);
	bool opened = row && before->circuit == CIRCUIT_CLOSED && row->circuit == CIRCUIT_OPEN;
	bool convicts = m->convicts[account] && before->circuit == CIRCUIT_CLOSED;
	int64_t rest = m->rests_until_ms[account];

	m->convicted += opened;
	m->rested += rest != 0;
	if (opened != convicts)
		return differ(m, "account %u: convicted is %d", account, opened);
	if (!row)
		return true;
	if (rest &&
		row->cool_until_ms != (rest > before->cool_until_ms ? rest : before->cool_until_ms))
		return differ(m, "account %u: rests until %" PRId64, account, row->cool_until_ms);
	if (m->wakes[account] && row->cool_class == RESULT_BURST && row->cool_until_ms)
		return differ(m, "account %u still rests", account);
	if (!rest && row->cool_until_ms > before->cool_until_ms)
		return differ(m, "account %u rests for nothing", account);
	return row->rungs <= before->rungs || differ(m, "account %u: a client's rung", account);
}

static bool compare(struct rules_model *m)
{
	for (uint32_t key = 0; key < m->t.keys; key++) {
		for (uint32_t i = 0; i < m->t.accounts; i++) {
			if (!compare_key(m, key, i))
				return false;
		}
		if (!compare_paths(m, key))
			return false;
	}
	for (uint32_t i = 0; i < m->t.accounts; i++) {
		if (!compare_account(m, i))
			return false;
	}
	return true;
}

bool rules_model_apply(struct rules_model *m, const struct rules_event *e)
{
	struct statefile_health before[TOWN_ACCOUNTS] = {0};
	bool ours = e->type != RULES_PROBE && e->type != RULES_RESET;

	m->t.now_ms++;
	memset(m->convicts, 0, sizeof(m->convicts));
	memset(m->wakes, 0, sizeof(m->wakes));
	memset(m->rests_until_ms, 0, sizeof(m->rests_until_ms));
	for (uint32_t i = 0; i < m->t.accounts; i++) {
		const struct statefile_health *row = town_health(&m->t, i);
		if (row)
			memcpy(&before[i], row, sizeof(before[i]));
	}
	if (!apply(m, e))
		return false;
	for (uint32_t i = 0; ours && i < m->t.accounts; i++) {
		if (!compare_health(m, i, &before[i]))
			return false;
	}
	return compare(m);
}
