#include "town.h"

#include "agent/decide/candidate.h"

#include <stdlib.h>
#include <string.h>

void town_init(struct town *t, uint64_t seed)
{
	*t = (struct town){.accounts = TOWN_ACCOUNTS,
		.keys = TOWN_KEYS,
		.shared = true,
		.probed = true,
		.now_ms = TOWN_NOW_MS,
		.rng = decide_mix(seed + 1)};
	t->options = (struct snapshot_options){.sticky_ttl_ms = 3600000,
		.health_threshold = 5,
		.health_half_open = 1,
		.health_recovery_ms = 30000,
		.health_attempts = 3,
		.health_retry_percent = 100,
		.health_retry_per_second = 1000};
	for (uint32_t i = 0; i < TOWN_KEYS; i++) {
		if (relaykey_generate(t->key_texts[i]))
			abort();
	}
}

uint32_t town_below(struct town *t, uint32_t n)
{
	t->rng += 0x9e3779b97f4a7c15u;
	return (uint32_t)(decide_mix(t->rng) % n);
}

/* --- the snapshot --- */

static void add_accounts(const struct town *t, struct snapshot_builder *b)
{
	struct snapshot_upstream upstream = {
		.id = 1, .flags = t->probed ? SNAPSHOT_UPSTREAM_PROBED : 0};
	struct snapshot_pool pool = {.id = TOWN_POOL,
		.flags = t->shared ? SNAPSHOT_POOL_SHARED : 0,
		.members = {0, t->accounts}};

	snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &upstream);
	for (uint32_t i = 0; i < t->accounts; i++) {
		struct snapshot_egress egress = {.id = i + 1};
		struct snapshot_backend backend = {
			.id = i + 1, .egress = i, .first_gen = 1, .last_gen = UINT64_MAX};
		struct snapshot_account_egress choice = {
			.egress = i, .backends = {i, 1}, .last_gen = UINT64_MAX};
		struct snapshot_account account = {.id = i + 1,
			.weight = 100,
			.epoch = t->epochs[i],
			.credential_generation = 1,
			.egresses = {i, 1}};
		snapshot_builder_add(b, SNAPSHOT_EGRESS, &egress);
		snapshot_builder_add(b, SNAPSHOT_BACKEND, &backend);
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &choice);
		snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &account);
		snapshot_builder_add(b, SNAPSHOT_MEMBER, &i);
	}
	snapshot_builder_add(b, SNAPSHOT_POOL, &pool);
}

static void add_keys(struct town *t, const struct snapshot_head *head, struct snapshot_builder *b)
{
	struct relaykey_hasher hasher;
	struct buffer log = {0};

	relaykey_hasher_init(&hasher, head->hash_secret);
	for (uint32_t i = 0; i < TOWN_KEYS; i++) {
		struct snapshot_tenant tenant = {
			.id = i + 1, .flags = SNAPSHOT_TENANT_ENABLED, .pool_id = TOWN_POOL};
		t->key_rows[i] = (struct snapshot_key){
			.id = i + 1, .tenant_id = t->shared ? i % TOWN_TENANTS + 1 : 1};
		relaykey_hash(&hasher, slice_from_str(t->key_texts[i]), t->key_rows[i].hash);
		snapshot_builder_add(b, SNAPSHOT_TENANT, &tenant);
	}
	if (keytable_build(7, t->key_rows, TOWN_KEYS, NULL, 0, &t->base) ||
		keytable_build(8, NULL, 0, NULL, 0, &log))
		abort();
	snapshot_builder_set_keylog(b, buffer_slice(&log));
	buffer_fini(&log);
}

void town_build(struct town *t)
{
	struct snapshot_head head = {
		.flags = SNAPSHOT_SITE_ENABLED, .version = 1, .keybase = 7, .options = t->options};
	struct snapshot_builder *b = snapshot_builder_new();
	struct errtext e;

	buffer_fini(&t->block);
	buffer_fini(&t->base);
	t->block = t->base = (struct buffer){0};
	add_accounts(t, b);
	add_keys(t, &head, b);
	if (snapshot_builder_finish(b, &head, &t->block) ||
		snapshot_open(
			t->block.data, t->block.len, t->base.data, t->base.len, &t->snapshot, &e))
		abort();
	snapshot_builder_free(b);
}

void town_start(struct town *t)
{
	town_build(t);
	tables_init(&t->tables, (struct tables_size){64, 256, 64});
}

void town_stop(struct town *t)
{
	tables_fini(&t->tables);
	buffer_fini(&t->block);
	buffer_fini(&t->base);
}

/* --- what is known --- */

struct evidence_requester town_requester(const struct town *t, uint32_t key)
{
	return (struct evidence_requester){t->key_rows[key].tenant_id, t->key_rows[key].id};
}

static const struct snapshot_account *account_row(const struct town *t, uint32_t i)
{
	return &SNAPSHOT_ROWS(&t->snapshot, ACCOUNT, struct snapshot_account)[i];
}

struct health_subject town_subject(const struct town *t, uint32_t account)
{
	return health_subject_of_account(&t->snapshot, account_row(t, account));
}

const struct statefile_health *town_health(const struct town *t, uint32_t account)
{
	struct health_subject subject = town_subject(t, account);

	return health_find(&t->tables.healths, &subject);
}

struct health_look town_look(const struct town *t, uint32_t account)
{
	struct health_subject subject = town_subject(t, account);

	return health_look(
		town_health(t, account), &subject, &t->snapshot.head->options, t->now_ms);
}

const struct evidence_account *town_memory(struct town *t, uint32_t account)
{
	return charge_memory(&t->snapshot, &t->tables.state, account_row(t, account));
}

/* --- requests --- */

static void take_verdict(struct town_request *q, const struct decide_verdict *v)
{
	q->account = v->account->id - 1;
	q->mark = v->mark;
	q->alt = v->alt;
	q->watch = v->watch;
}

static void make_id(struct town *t, uint8_t id[16])
{
	uint64_t n[2] = {decide_mix(++t->asked), t->asked};

	memcpy(id, n, sizeof(n));
}

bool town_decide(struct town *t, uint32_t key, struct slice path, struct town_request *ret,
	struct decide_verdict *v)
{
	*ret = (struct town_request){.key = key,
		.request = {.gen = 1,
			.key_lines = 1,
			.key = slice_from_str(t->key_texts[key]),
			.method = SLICE_LITERAL("POST"),
			.path = path}};
	make_id(t, ret->request.id);
	decide(&t->snapshot, &t->tables.state, &ret->request, t->now_ms, town_below(t, UINT32_MAX),
		v);
	if (v->action != DECIDE_ALLOW)
		return false;
	take_verdict(ret, v);
	return true;
}

bool town_again(
	struct town *t, struct town_request *q, struct slice failed, struct decide_verdict *v)
{
	struct decide_request r = {.gen = 1, .failed = failed};

	memcpy(r.id, q->request.id, sizeof(r.id));
	decide_again(
		&t->snapshot, &t->tables.state, &r, false, t->now_ms, town_below(t, UINT32_MAX), v);
	if (v->action != DECIDE_ALLOW)
		return false;
	take_verdict(q, v);
	return true;
}

static bool begin(struct town *t, const struct town_request *q, struct charge *ret)
{
	return charge_begin(&t->snapshot, &t->tables.state, q->account + 1, q->request.id, &q->mark,
		t->now_ms, town_below(t, UINT32_MAX), ret);
}

void town_answer(struct town *t, const struct town_request *q, const struct charge_answer *a)
{
	struct charge c;

	if (begin(t, q, &c))
		charge_answer(&c, a);
}

void town_broken(struct town *t, const struct town_request *q)
{
	struct charge c;

	if (begin(t, q, &c))
		charge_broken(&c);
}

void town_end(struct town *t, const struct town_request *q)
{
	struct statefile_lease *lease = lease_find(&t->tables.leases, q->request.id);

	if (lease)
		decide_release(&t->tables.state, lease, false);
}

bool town_probe(struct town *t, uint32_t account, struct town_request *ret)
{
	struct decide_verdict v;

	*ret = (struct town_request){.request = {.gen = 1}};
	make_id(t, ret->request.id);
	decide_probe(&t->snapshot, &t->tables.state, &ret->request, account + 1, t->now_ms, &v);
	if (v.action != DECIDE_ALLOW)
		return false;
	take_verdict(ret, &v);
	return true;
}

void town_probed(struct town *t, const struct town_request *q, enum result_class class)
{
	const struct result result = {.class = class, .known = true};
	struct charge c;

	if (begin(t, q, &c))
		charge_probe(&c, &result);
}
