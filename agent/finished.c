#include "agent/finished.h"

#include "agent/held.h"
#include "common/refusal.h"

static void copy_text(char *out, size_t size, struct slice s)
{
	size_t n = s.n < size ? s.n : size - 1;

	if (n)
		memcpy(out, s.p, n);
	out[n] = '\0';
}

/* A path with a relay key in it is not kept. */
static void copy_target(struct board_request *row, const struct record *r)
{
	if (slice_eq_str(r->code, refusal_row(REFUSAL_MISPLACED_API_KEY)->code))
		return;
	record_copy_text(r->method, row->method, sizeof(row->method));
	record_copy_text(r->path, row->path, sizeof(row->path));
}

/* After several attempts the lease has the account of the last one. */
static void copy_lease(struct board_request *row, const struct statefile_lease *lease)
{
	row->tenant = lease->tenant;
	row->key = lease->key;
	row->pool = lease->pool;
	if (row->account)
		row->account = lease->account;
	row->egress = lease->egress;
	row->upstream = lease->upstream;
	row->conversation = lease->conversation;
	row->resources = (lease->flags & LEASE_RESOURCE) != 0;
	row->tries = (uint8_t)(lease->attempt < UINT8_MAX ? lease->attempt : UINT8_MAX);
	if (lease->attempt > 1)
		row->retries = (uint16_t)(lease->attempt - 1);
	row->attempt_count = held_attempts(lease, row->attempts);
}

/* Of the egress of this account. */
static struct snapshot_text egress_region(
	const struct snapshot *s, const struct snapshot_account *account, uint32_t egress)
{
	const struct snapshot_egress *egresses = SNAPSHOT_ROWS(s, EGRESS, struct snapshot_egress);
	const struct snapshot_account_egress *rows =
		SNAPSHOT_ROWS(s, ACCOUNT_EGRESS, struct snapshot_account_egress) +
		account->egresses.first;

	for (uint32_t i = 0; i < account->egresses.count; i++) {
		if (egresses[rows[i].egress].id == egress)
			return egresses[rows[i].egress].region;
	}
	return (struct snapshot_text){0, 0};
}

static void copy_place(struct board_request *row, const struct snapshot *s)
{
	const struct snapshot_account *account = snapshot_account_by_id(s, row->account);
	struct slice region = {NULL, 0};

	if (!account)
		return;
	row->provider = (uint8_t)(1 +
		SNAPSHOT_ROWS(s, UPSTREAM, struct snapshot_upstream)[account->upstream].provider);
	region = snapshot_text(s, egress_region(s, account, row->egress));
	if (region.n == 0)
		region = snapshot_text(s, account->region);
	copy_text(row->region, sizeof(row->region),
		region.n ? region : slice_from_str(s->head->region));
}

static void copy_state(struct board_request *row, const struct board *b)
{
	const struct board_tenant *tenant = board_find_tenant(b, row->tenant);
	const struct board_account *account = board_find_account(b, row->account);

	row->active = tenant ? (uint32_t)board_get(&tenant->active) : 0;
	row->circuit = account ? (uint8_t)board_get(&account->circuit) : CIRCUIT_CLOSED;
}

void finished_put(struct agent *a, const struct record *r, const struct statefile_lease *lease,
	int64_t now_ms)
{
	struct board_request row = {
		.started_ms = now_ms - (r->duration_ms > 0 ? r->duration_ms : 0),
		.tenant = r->tenant,
		.key = r->key,
		.account = r->account,
		.relay_ms = r->relay_ms,
		.ttfb_ms = r->ttfb_ms,
		.duration_ms = r->duration_ms,
		.status = (uint16_t)r->status,
		.retries = (uint16_t)r->retries,
		.bytes_in = r->bytes_in,
		.bytes_out = r->bytes_out,
	};
	memcpy(row.id, r->id, sizeof(row.id));
	memcpy(row.termination, r->termination, sizeof(r->termination));
	copy_text(row.code, sizeof(row.code), r->code);
	copy_text(row.label, sizeof(row.label), r->label);
	copy_text(row.answer, sizeof(row.answer), r->answer);
	copy_target(&row, r);
	if (lease)
		copy_lease(&row, lease);
	if (a->snapshot)
		copy_place(&row, a->snapshot);
	copy_state(&row, a->board);
	board_put_request(a->board, &row);
}

void finished_describe(
	const struct agent *a, const struct statefile_lease *lease, struct board_request *row)
{
	row->account = lease->account;
	row->relay_ms = row->ttfb_ms = row->duration_ms = -1;
	row->started_ms = lease->decided_ms;
	memcpy(row->id, lease->id, sizeof(row->id));
	copy_lease(row, lease);
	if (a->snapshot)
		copy_place(row, a->snapshot);
	copy_state(row, a->board);
}
