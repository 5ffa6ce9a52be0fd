#include "crowd.h"

#include "common/provider.h"

#include <stdlib.h>
#include <string.h>

void crowd_init(struct crowd *c)
{
	*c = (struct crowd){
		.head = {.flags = SNAPSHOT_SITE_ENABLED, .keybase = 3, .version = 1},
		.tenant = {.id = CROWD_TENANT, .flags = SNAPSHOT_TENANT_ENABLED},
		.key = {.id = CROWD_KEY, .tenant_id = CROWD_TENANT, .pool_id = CROWD_POOL},
		.pool = {.id = CROWD_POOL},
		.pool_name = "main",
		.tenant_name = "team-a",
		.account_count = 3,
		.provider = "generic",
		.now_ms = CROWD_NOW_MS,
		.failed = "",
		.method = "POST",
		.path = "/v1/responses",
	};
	c->head.options = (struct snapshot_options){.sticky_ttl_ms = CROWD_TTL_MS,
		.health_threshold = 2,
		.health_half_open = 1,
		.health_recovery_ms = 30000,
		.health_attempts = 3,
		.health_retry_per_second = 10};
	for (uint32_t i = 0; i < CROWD_ACCOUNTS; i++)
		c->accounts[i] = (struct crowd_account){
			.row = {.id = CROWD_ACCOUNT + i, .weight = 100, .credential_generation = 1},
			.region = "",
			.egress_count = 1};
	for (uint32_t i = 0; i < CROWD_EGRESSES; i++)
		c->egresses[i] = (struct crowd_egress){
			.row = {.id = CROWD_EGRESS + i}, .region = "", .first_gen = 1};
	if (relaykey_generate(c->key_text))
		abort();
	tables_init(&c->tables, (struct tables_size){16, 16, 64});
}

/* --- the snapshot --- */

static void add_egresses(struct crowd *c, struct snapshot_builder *b)
{
	for (uint32_t i = 0; i < CROWD_EGRESSES; i++) {
		struct crowd_egress *e = &c->egresses[i];
		struct snapshot_backend backend = {.id = CROWD_BACKEND + i,
			.egress = i,
			.first_gen = e->first_gen,
			.last_gen = UINT64_MAX};
		e->row.region = snapshot_builder_text(b, slice_from_str(e->region));
		snapshot_builder_add(b, SNAPSHOT_EGRESS, &e->row);
		snapshot_builder_add(b, SNAPSHOT_BACKEND, &backend);
	}
}

static void add_account(struct crowd_account *a, uint32_t i, struct snapshot_builder *b)
{
	a->row.region = snapshot_builder_text(b, slice_from_str(a->region));
	a->row.egresses = (struct snapshot_range){
		snapshot_builder_count(b, SNAPSHOT_ACCOUNT_EGRESS), a->egress_count};
	for (uint32_t n = 0; n < a->egress_count; n++) {
		struct snapshot_account_egress choice = {.egress = a->egresses[n],
			.backends = {a->egresses[n], 1},
			.last_gen = UINT64_MAX};
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &choice);
	}
	snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &a->row);
	snapshot_builder_add(b, SNAPSHOT_MEMBER, &i);
}

static void add_key(struct crowd *c, struct snapshot_builder *b, struct buffer *log)
{
	struct relaykey_hasher hasher;

	relaykey_hasher_init(&hasher, c->head.hash_secret);
	relaykey_hash(&hasher, slice_from_str(c->key_text), c->key.hash);
	if (keytable_build(3, &c->key, 1, NULL, 0, &c->base) ||
		keytable_build(4, NULL, 0, NULL, 0, log))
		abort();
	snapshot_builder_set_keylog(b, buffer_slice(log));
}

void crowd_build(struct crowd *c)
{
	struct snapshot_builder *b = snapshot_builder_new();
	struct snapshot_upstream upstream = {.id = 1,
		.provider = (uint32_t)provider_index(provider_find(slice_from_str(c->provider))),
		.flags = c->probed ? SNAPSHOT_UPSTREAM_PROBED : 0};
	struct buffer log = {0};
	struct errtext e;

	buffer_fini(&c->block);
	buffer_fini(&c->base);
	c->block = c->base = (struct buffer){0};
	c->pool.members.count = c->account_count;
	snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &upstream);
	add_egresses(c, b);
	for (uint32_t i = 0; i < c->account_count; i++)
		add_account(&c->accounts[i], i, b);
	c->pool.name = snapshot_builder_text(b, slice_from_str(c->pool_name));
	c->tenant.name = snapshot_builder_text(b, slice_from_str(c->tenant_name));
	snapshot_builder_add(b, SNAPSHOT_POOL, &c->pool);
	snapshot_builder_add(b, SNAPSHOT_TENANT, &c->tenant);
	if (c->resources_at) {
		struct snapshot_resource resource = {CROWD_KEY, CROWD_POOL, c->resources_at, 0};
		snapshot_builder_add(b, SNAPSHOT_RESOURCE, &resource);
	}
	add_key(c, b, &log);
	if (snapshot_builder_finish(b, &c->head, &c->block) ||
		snapshot_open(
			c->block.data, c->block.len, c->base.data, c->base.len, &c->snapshot, &e))
		abort();
	snapshot_builder_free(b);
	buffer_fini(&log);
}

void crowd_fini(struct crowd *c)
{
	tables_fini(&c->tables);
	buffer_fini(&c->block);
	buffer_fini(&c->base);
}

void crowd_restart(struct crowd *c)
{
	tables_stop(&c->tables);
	tables_start(&c->tables);
}

/* --- asking --- */

static struct decide_request request_of(const struct crowd *c, uint32_t n)
{
	struct decide_request r = {.gen = 1,
		.key_lines = 1,
		.hard = c->hard,
		.key = slice_from_str(c->key_text),
		.method = slice_from_str(c->method),
		.path = slice_from_str(c->path)};

	memcpy(r.id, &n, sizeof(n));
	r.has_json = c->body;
	r.was_read = c->read;
	if (c->read)
		bodyname_find(slice_from_str(c->body), &r.body);
	r.failed = slice_from_str(c->failed);
	if (c->sticky || c->hard)
		r.sticky = SLICE_LITERAL(CROWD_CONVERSATION);
	return r;
}

bool crowd_decide(struct crowd *c, uint32_t n)
{
	struct decide_request r = request_of(c, n);

	decide(&c->snapshot, &c->tables.state, &r, c->now_ms, decide_mix(n), &c->v);
	return c->v.action == DECIDE_ALLOW;
}

static bool ask_again(struct crowd *c, uint32_t n, bool repeated)
{
	struct decide_request r = request_of(c, n);

	decide_again(&c->snapshot, &c->tables.state, &r, repeated, c->now_ms, decide_mix(n), &c->v);
	return c->v.action == DECIDE_ALLOW;
}

bool crowd_again(struct crowd *c, uint32_t n)
{
	return ask_again(c, n, false);
}

bool crowd_again2(struct crowd *c, uint32_t n)
{
	return ask_again(c, n, true);
}

bool crowd_probe(struct crowd *c, uint32_t n, uint32_t account)
{
	struct decide_request r = request_of(c, n);

	decide_probe(&c->snapshot, &c->tables.state, &r, CROWD_ACCOUNT + account, c->now_ms, &c->v);
	return c->v.action == DECIDE_ALLOW;
}

uint32_t crowd_account(const struct crowd *c)
{
	return c->v.account->id - CROWD_ACCOUNT;
}

uint32_t crowd_egress(const struct crowd *c)
{
	return c->v.backend->id - CROWD_BACKEND;
}

/* --- leases and counts --- */

struct statefile_lease *crowd_lease(struct crowd *c, uint32_t n)
{
	return lease_find(&c->tables.leases, request_of(c, n).id);
}

bool crowd_answered(struct crowd *c, uint32_t n)
{
	return decide_answered(&c->snapshot, &c->tables.state, crowd_lease(c, n), c->now_ms);
}

bool crowd_foreign(struct crowd *c, uint32_t n)
{
	return decide_foreign(&c->snapshot, &c->tables.state, crowd_lease(c, n), c->now_ms);
}

void crowd_end(struct crowd *c, uint32_t n)
{
	decide_release(&c->tables.state, crowd_lease(c, n), false);
}

uint32_t crowd_in_use(const struct crowd *c, enum usage_kind kind, uint32_t id)
{
	return slots_in_use(&c->tables.slots, kind, id);
}

uint32_t crowd_counted(const struct crowd *c, enum usage_kind kind, uint32_t id)
{
	const struct statefile_usage *row = usage_find(&c->tables.usages, kind, id);
	struct window_clock clock;

	window_clock_set(&clock, c->now_ms);
	return row ? window_clock_count(&clock, row, USAGE_HOUR) : 0;
}

uint32_t crowd_all_in_use(const struct crowd *c)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < c->account_count; i++)
		sum += crowd_in_use(c, USAGE_ACCOUNT, CROWD_ACCOUNT + i);
	return sum;
}

uint32_t crowd_all_counted(const struct crowd *c)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < c->account_count; i++)
		sum += crowd_counted(c, USAGE_ACCOUNT, CROWD_ACCOUNT + i);
	return sum;
}

/* --- health --- */

static struct health_subject account_subject(const struct crowd *c, uint32_t i)
{
	const struct snapshot_account *a = &c->accounts[i].row;

	return (struct health_subject){.kind = HEALTH_ACCOUNT,
		.id = a->id,
		.epoch = a->epoch,
		.credential = (uint32_t)a->credential_generation,
		.refreshable = a->flags & SNAPSHOT_ACCOUNT_REFRESHABLE,
		.probed = c->probed};
}

static struct health_subject backend_subject(const struct crowd *c, uint32_t egress)
{
	return (struct health_subject){.kind = HEALTH_BACKEND,
		.id = CROWD_BACKEND + egress,
		.epoch = c->egresses[egress].row.epoch};
}

struct statefile_health *crowd_account_health(struct crowd *c, uint32_t i)
{
	struct health_subject subject = account_subject(c, i);

	return health_of(&c->tables.healths, &subject, c->now_ms);
}

struct statefile_health *crowd_backend_health(struct crowd *c, uint32_t egress)
{
	struct health_subject subject = backend_subject(c, egress);

	return health_of(&c->tables.healths, &subject, c->now_ms);
}

void crowd_break_account(struct crowd *c, uint32_t i)
{
	health_convict(crowd_account_health(c, i), &c->head.options, c->now_ms);
}

void crowd_break_egress(struct crowd *c, uint32_t egress)
{
	static const uint8_t nobody[16];
	struct statefile_health *row = crowd_backend_health(c, egress);

	for (uint32_t n = 0; n < c->head.options.health_threshold; n++) {
		const struct health_event event = {.id = nobody, .generation = row->generation};
		health_connect(row, &c->head.options, &event, false, c->now_ms);
	}
}

/* Of a probe, but for classes that only clients tell. */
void crowd_say(struct crowd *c, uint32_t i, enum result_class class, int64_t until_ms)
{
	static const uint8_t nobody[16];
	struct health_subject subject = account_subject(c, i);
	struct statefile_health *row = crowd_account_health(c, i);
	const struct result result = {.class = class, .known = true, .until_ms = until_ms};
	const struct health_event event = {.id = nobody,
		.generation = row->generation,
		.credential = subject.credential,
		.result = &result};

	if (class == RESULT_BURST)
		health_rest(row, row->generation, until_ms);
	else if (class == RESULT_SUCCESS || class == RESULT_WINDOW)
		health_answer(row, &subject, &event, true, c->now_ms);
	else
		health_probe(row, &subject, &c->head.options, &event, true, c->now_ms, 0);
}
