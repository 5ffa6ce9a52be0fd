/* Readings of the gauge, from HAProxy's requests in progress in the model. */
#include "limits_model.h"

#include <string.h>

/*
 * HAProxy's requests minus leases, of this request's triple; without requests that no lease covers
 * any more.
 */
static int unheld(const struct limits_model *m, const struct limits_request *of)
{
	int n = 0;

	for (uint32_t i = 0; i < m->live_count; i++) {
		const struct limits_request *q = &m->requests[m->live[i]];
		if (q->asked.key == of->asked.key && q->account == of->account)
			n += (q->at_haproxy && !q->uncovered) - q->leased;
	}
	return n;
}

void limits_uncover(struct limits_model *m, const struct limits_request *of)
{
	struct limits_request *oldest = NULL;

	if (unheld(m, of) <= 0)
		return;
	for (uint32_t i = 0; i < m->live_count; i++) {
		struct limits_request *q = &m->requests[m->live[i]];
		if (q->at_haproxy && !q->leased && !q->uncovered && q->asked.key == of->asked.key &&
			q->account == of->account &&
			(!oldest || q->decided_ms < oldest->decided_ms))
			oldest = q;
	}
	if (oldest)
		oldest->uncovered = true;
}

static struct limits_request *request_of(
	struct limits_model *m, const struct statefile_lease *lease)
{
	uint32_t n;

	memcpy(&n, lease->id + 8, sizeof(n));
	struct limits_request *q = &m->requests[n % LIMITS_REQUESTS];
	return q->n == n && q->leased ? q : NULL;
}

static struct limits_request *release(struct limits_model *m, struct statefile_lease *lease)
{
	struct limits_request *q = request_of(m, lease);

	if (!q) {
		limits_fail(m, "a lease of nobody was released");
		return NULL;
	}
	decide_release(&m->tables.state, lease, false);
	limits_release(m, q, false);
	m->healed++;
	return q;
}

/* Late records after a healing can leave too few leases; the healer must not. */
static void release_healed(void *context, struct statefile_lease *lease, bool is_gone)
{
	struct limits_model *m = context;
	struct limits_request *q = release(m, lease);

	(void)is_gone;
	if (q && unheld(m, q) > 0)
		limits_fail(m, "request %u was released, and HAProxy has it or its like", q->n);
}

static void release_expired(void *context, struct statefile_lease *lease, bool is_gone)
{
	struct limits_model *m = context;
	bool is_old = m->now_ms - lease->decided_ms >= HEALER_AGE_MS;
	struct limits_request *q = release(m, lease);

	(void)is_gone;
	if (!q)
		return;
	q->uncovered = true;
	if (!is_old)
		limits_fail(m, "request %u was released too early", q->n);
}

static void settle_all(struct limits_model *m)
{
	for (uint32_t i = m->live_count; i-- > 0;)
		limits_settle(m, &m->requests[m->live[i]]);
}

static uint32_t read_gauge(const struct limits_model *m, struct gauge_row *rows)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->live_count; i++) {
		const struct limits_request *q = &m->requests[m->live[i]];
		struct gauge_row row = {q->tenant + 1, q->asked.key + 1, q->account + 1, 1};
		uint32_t at = 0;
		if (!q->at_haproxy)
			continue;
		while (at < count && (rows[at].key != row.key || rows[at].account != row.account))
			at++;
		if (at == count)
			rows[count++] = row;
		else
			rows[at].count++;
	}
	return count;
}

bool limits_heal(struct limits_model *m)
{
	struct gauge_row rows[LIMITS_REQUESTS];
	const uint32_t workers[] = {gauge_worker(1), gauge_worker(2)};
	struct gauge_head head = {
		.begun_ms = m->now_ms, .rows = read_gauge(m, rows), .workers = 2, .is_whole = 1};
	const struct healer_reading reading = {&head, rows, workers};

	healer_compare(&m->healer, &m->tables.leases, &reading, release_healed, m);
	settle_all(m);
	return m->failure[0] == '\0';
}

bool limits_expire(struct limits_model *m)
{
	healer_expire(&m->tables.leases, m->now_ms, release_expired, m);
	settle_all(m);
	return m->failure[0] == '\0';
}
