#include "scenario.h"

#include <string.h>

#define TICK_MS 40
#define FLIGHTS 64
#define ANSWER_MS 80
#define PROBE_MS 120
#define POLL_MS 200
#define FAULT_FROM_MS (10 * 60000)
#define OUTAGE_MS (3 * 60000)
#define SETTLE_MS 60000 /* after an outage */
#define SWITCH_MS 1000	/* the client's own retry */
#define RETRIES 2
#define CHECK_MS 20000
#define HOSTILE_FROM_MS 30000
#define NEVER (-1)

/* How HAProxy and the provider's row see an answer. */
static const struct kind {
	struct charge_answer told; /* `result` is below */
	struct result result;
	const char *failed; /* limits text */
	bool retried;	    /* taken back where another account can serve */
	bool switched;	    /* becomes account_switched there */
} kinds[SCENARIO_ANSWERS] = {
	[SCENARIO_OK] = {{.status = 200}, {.class = RESULT_SUCCESS}, "", false, false},
	[SCENARIO_404] = {{.status = 404}, {.class = RESULT_PAYLOAD}, "", false, false},
	[SCENARIO_401] = {{.status = 401}, {.class = RESULT_AUTH}, "st=401;", true, false},
	[SCENARIO_403] = {{.status = 403}, {.class = RESULT_DENIED}, "st=403;", true, false},
	[SCENARIO_429] = {{.status = 429}, {.class = RESULT_BURST}, "st=429;", true, false},
	[SCENARIO_429_RETRY] = {{.status = 429}, {.class = RESULT_BURST}, "st=429;ra=10;", true,
		false},
	[SCENARIO_500] = {{.status = 500}, {.class = RESULT_SERVER}, "", false, false},
	[SCENARIO_503] = {{.status = 503}, {.class = RESULT_OVERLOAD}, "st=503;", true, false},
	[SCENARIO_529] = {{.status = 529}, {.class = RESULT_OVERLOAD}, "", false, true},
	[SCENARIO_CLOSE] = {{.status = 502}, {.class = RESULT_NETWORK}, "", true, false},
	[SCENARIO_BREAK] = {{.status = 200}, {.class = RESULT_CLIENT}, "", false, false},
};

struct flight {
	bool busy, is_probe;
	struct town_request q;
	uint32_t client, account;
	uint32_t retries;
	bool poisoned;
	int64_t due_ms;
};

struct client {
	int64_t pause_ms, next_ms;
	uint32_t sent;
};

/* Control's side of one account. */
struct watch {
	bool under_way;
	int64_t began_ms, gap_ms, answered_ms, out_since_ms;
	bool was_out;
};

struct play {
	const struct scenario *s;
	struct town t;
	struct scenario_outcome *o;
	struct client clients[TOWN_KEYS];
	struct flight flights[FLIGHTS];
	struct watch watches[TOWN_ACCOUNTS];
	uint32_t in_a_row[TOWN_KEYS]; /* failures at the faulty account, not kept away since */
	int64_t began_ms;
};

static int64_t elapsed(const struct play *p)
{
	return p->t.now_ms - p->began_ms;
}

static bool is_outage(const struct play *p)
{
	return p->s->outage && elapsed(p) >= FAULT_FROM_MS &&
		elapsed(p) < FAULT_FROM_MS + OUTAGE_MS;
}

static bool is_faulty(const struct play *p, uint32_t account)
{
	if (p->s->outage)
		return is_outage(p);
	return p->s->fault != SCENARIO_OK && account == 0 && elapsed(p) >= FAULT_FROM_MS;
}

/* Penalties shortly after an outage are not wrong. */
static bool is_innocent(const struct play *p, uint32_t account)
{
	bool after = p->s->outage && elapsed(p) >= FAULT_FROM_MS &&
		elapsed(p) < FAULT_FROM_MS + OUTAGE_MS + SETTLE_MS;

	return !is_faulty(p, account) && !after;
}

static enum scenario_answer answer_of(const struct play *p, const struct flight *f)
{
	if (is_faulty(p, f->q.account))
		return p->s->fault;
	if (!f->poisoned || (p->s->here && f->q.account != 0))
		return SCENARIO_OK;
	return p->s->poison;
}

/* --- what is measured --- */

static bool is_good(const struct flight *f)
{
	return f->client < SCENARIO_GOOD;
}

static void count(struct play *p, const struct flight *f, bool served)
{
	struct scenario_outcome *o = p->o;

	if (!is_good(f) || !is_innocent(p, TOWN_ACCOUNTS))
		return;
	o->good++;
	o->served += served;
	o->slow += f->client == SCENARIO_GOOD - 1;
	o->slow_served += f->client == SCENARIO_GOOD - 1 && served;
}

static bool is_kept_away(const struct play *p, uint32_t key, uint32_t account)
{
	static const uint8_t another[16];
	const struct evidence_row *row =
		evidence_find(&p->t.tables.evidence, town_requester(&p->t, key), account + 1);

	return town_look(&p->t, account).standing != BOARD_STANDING_USABLE ||
		evidence_shuns(row, p->t.now_ms) || evidence_brake_end(row, another, p->t.now_ms);
}

static void note_fault(struct play *p, const struct flight *f)
{
	uint32_t *n = &p->in_a_row[f->client];

	if (!is_faulty(p, f->q.account) || !is_good(f))
		return;
	if (p->o->failed_ms == NEVER)
		p->o->failed_ms = elapsed(p);
	(*n)++;
	if (*n > p->o->most_failures)
		p->o->most_failures = *n;
	if (is_kept_away(p, f->client, f->q.account))
		*n = 0;
}

static void watch_account(struct play *p, uint32_t i)
{
	struct watch *w = &p->watches[i];
	bool out = town_look(&p->t, i).standing != BOARD_STANDING_USABLE;

	if (out && !w->was_out) {
		w->out_since_ms = is_innocent(p, i) ? p->t.now_ms : 0;
		p->o->wrong += w->out_since_ms != 0;
	}
	if (out && w->out_since_ms && p->t.now_ms - w->out_since_ms > p->o->longest_ms)
		p->o->longest_ms = p->t.now_ms - w->out_since_ms;
	if (out && is_faulty(p, i) && p->o->failed_ms != NEVER && p->o->out_ms == NEVER)
		p->o->out_ms = elapsed(p);
	w->was_out = out;
}

/* --- requests --- */

static struct flight *free_flight(struct play *p)
{
	for (uint32_t i = 0; i < FLIGHTS; i++) {
		if (!p->flights[i].busy)
			return &p->flights[i];
	}
	return NULL;
}

static void send(struct play *p, struct flight *f)
{
	struct decide_verdict v;
	struct slice path = f->poisoned ? SLICE_LITERAL("/v1/poison") : SLICE_LITERAL("/v1/x");

	f->busy = town_decide(&p->t, f->client, path, &f->q, &v);
	f->due_ms = p->t.now_ms + ANSWER_MS;
	if (!f->busy)
		count(p, f, false);
}

static void begin(struct play *p, uint32_t client)
{
	struct client *c = &p->clients[client];
	struct flight *f = free_flight(p);
	bool hostile = client >= SCENARIO_GOOD;

	if (p->t.now_ms < c->next_ms || !f || (hostile && elapsed(p) < HOSTILE_FROM_MS))
		return;
	c->next_ms = p->t.now_ms + c->pause_ms / 2 + town_below(&p->t, (uint32_t)c->pause_ms);
	*f = (struct flight){
		.client = client, .poisoned = hostile && (!p->s->mixed || c->sent % 2)};
	c->sent++;
	send(p, f);
}

static bool go_on(struct play *p, struct flight *f, const struct kind *k)
{
	struct decide_verdict v;
	const char *failed = p->s->old ? "" : k->failed;

	if (!town_again(&p->t, &f->q, slice_from_str(failed), &v))
		return false;
	f->due_ms = p->t.now_ms + ANSWER_MS;
	return true;
}

/* The client gets this answer, or its own retry another one. */
static void finish(struct play *p, struct flight *f, const struct kind *k, bool switched)
{
	struct result result = k->result;
	const struct charge_answer told = {&result, k->told.status, switched};

	if (strstr(k->failed, "ra="))
		result.until_ms = p->t.now_ms + 10000;
	if (k == &kinds[SCENARIO_BREAK])
		town_broken(&p->t, &f->q);
	else
		town_answer(&p->t, &f->q, &told);
	town_end(&p->t, &f->q);
	note_fault(p, f);
	f->busy = false;
	if (switched && f->retries < RETRIES) {
		f->retries++;
		f->busy = true;
		f->due_ms = -(p->t.now_ms + SWITCH_MS);
		return;
	}
	count(p, f, result.class == RESULT_SUCCESS);
}

static void end(struct play *p, struct flight *f)
{
	const struct kind *k = &kinds[answer_of(p, f)];
	bool burst = k->result.class == RESULT_BURST;
	bool retried = k->retried && !(p->s->old && burst);

	if (k == &kinds[SCENARIO_OK] && is_faulty(p, f->q.account))
		p->in_a_row[f->client] = 0;
	if (f->q.alt && retried) {
		struct flight before = *f;
		bool again = go_on(p, f, k);
		note_fault(p, &before);
		if (again)
			return;
		town_end(&p->t, &f->q);
		count(p, f, false);
		f->busy = false;
		return;
	}
	finish(p, f, k, f->q.alt && (k->switched || (p->s->old && burst)));
}

/* --- control --- */

static void probe(struct play *p, uint32_t account)
{
	struct flight *f = free_flight(p);
	struct watch *w = &p->watches[account];

	if (!f)
		return;
	*f = (struct flight){.is_probe = true, .account = account};
	f->busy = town_probe(&p->t, account, &f->q);
	f->due_ms = p->t.now_ms + PROBE_MS;
	w->under_way = f->busy;
	w->began_ms = p->t.now_ms;
	p->o->probes += f->busy;
}

static enum result_class probe_class(struct play *p, uint32_t account)
{
	switch (p->s->probe) {
	case SCENARIO_HONEST:
		break;
	case SCENARIO_BLIND:
		return RESULT_SUCCESS;
	case SCENARIO_FLAKY:
		if (town_below(&p->t, 150) == 0)
			return RESULT_SERVER;
		break;
	case SCENARIO_REFUSED:
		return RESULT_DENIED;
	case SCENARIO_NONE:
		break;
	}
	return is_faulty(p, account) ? kinds[p->s->fault].result.class : RESULT_SUCCESS;
}

static void end_probe(struct play *p, struct flight *f)
{
	struct watch *w = &p->watches[f->account];
	enum result_class class = probe_class(p, f->account);

	town_probed(&p->t, &f->q, class);
	bool out = town_look(&p->t, f->account).standing != BOARD_STANDING_USABLE;
	w->gap_ms = out ? 2000 : w->gap_ms * 2;
	if (w->gap_ms > 60000)
		w->gap_ms = 60000;
	w->under_way = f->busy = false;
}

/* As docs/HEALTH.md says it, "Probes". */
static bool is_due(struct play *p, uint32_t account)
{
	struct watch *w = &p->watches[account];
	const struct evidence_account *m = town_memory(&p->t, account);
	struct health_look look = town_look(&p->t, account);
	int64_t since = p->t.now_ms - w->began_ms;

	if (since > 120000)
		w->gap_ms = 2000;
	if (w->began_ms == 0)
		return elapsed(p) > CHECK_MS; /* the operator's `accounts check` */
	if (look.standing == BOARD_STANDING_SUSPENDED || look.standing == BOARD_STANDING_BURST)
		return false;
	if (look.probe)
		return since >= 2000;
	if (look.standing == BOARD_STANDING_OPEN)
		return look.until_ms - p->t.now_ms < 2000 && since >= 5000;
	if (look.standing == BOARD_STANDING_COOLING)
		return look.until_ms - p->t.now_ms < 60000 && since >= 120000;
	if (!m || !m->wanted_ms || m->wanted_ms == w->answered_ms ||
		since < (w->gap_ms > 2000 ? w->gap_ms : 0))
		return false;
	w->answered_ms = m->wanted_ms;
	return true;
}

static void poll(struct play *p)
{
	if (p->s->probe == SCENARIO_NONE || p->t.now_ms % POLL_MS)
		return;
	for (uint32_t i = 0; i < p->s->accounts; i++) {
		if (!p->watches[i].under_way && is_due(p, i))
			probe(p, i);
	}
}

/* --- an hour --- */

static void tick(struct play *p)
{
	p->t.now_ms += TICK_MS;
	for (uint32_t i = 0; i < SCENARIO_GOOD + p->s->hostile; i++)
		begin(p, i);
	for (uint32_t i = 0; i < FLIGHTS; i++) {
		struct flight *f = &p->flights[i];
		if (!f->busy)
			continue;
		if (f->due_ms < 0 && -f->due_ms <= p->t.now_ms)
			send(p, f);
		else if (f->due_ms >= 0 && f->due_ms <= p->t.now_ms && f->is_probe)
			end_probe(p, f);
		else if (f->due_ms >= 0 && f->due_ms <= p->t.now_ms)
			end(p, f);
	}
	poll(p);
	for (uint32_t i = 0; i < p->s->accounts; i++)
		watch_account(p, i);
}

void scenario_run(const struct scenario *s, uint64_t seed, struct scenario_outcome *ret)
{
	static const int64_t pauses_ms[TOWN_KEYS] = {700, 1500, 9000, 400, 500, 600, 700, 800};
	static struct play p;

	memset(&p, 0, sizeof(p));
	p.s = s;
	p.o = ret;
	*ret = (struct scenario_outcome){.failed_ms = NEVER, .out_ms = NEVER};
	town_init(&p.t, seed);
	p.t.accounts = s->accounts;
	p.t.shared = !s->one_tenant;
	p.t.probed = s->probe != SCENARIO_NONE;
	town_start(&p.t);
	p.began_ms = p.t.now_ms;
	for (uint32_t i = 0; i < TOWN_KEYS; i++)
		p.clients[i].pause_ms = pauses_ms[i];
	for (uint32_t i = 0; i < TOWN_ACCOUNTS; i++)
		p.watches[i].gap_ms = 2000;
	while (elapsed(&p) < SCENARIO_MS)
		tick(&p);
	for (uint32_t i = 0; i < s->accounts; i++)
		ret->suspended += town_look(&p.t, i).standing == BOARD_STANDING_SUSPENDED;
	town_stop(&p.t);
}
