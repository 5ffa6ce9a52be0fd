#include "admin/publish/keybase.h"

#include "common/ip.h"
#include "common/snapshot.h"

#include <errno.h>
#include <unistd.h>

enum column {
	COLUMN_ID,
	COLUMN_TENANT,
	COLUMN_POOL,
	COLUMN_HASH,
	COLUMN_ALLOW_IP,
	COLUMN_RPS,
	COLUMN_RPM,
	COLUMN_RPH,
	COLUMN_CONCURRENCY,
	COLUMN_EXPIRES,
	COLUMN_REVOKED,
};

struct table {
	struct buffer keys;	/* struct snapshot_key */
	struct buffer networks; /* struct cidr */
	uint32_t count;
	uint32_t last_key; /* highest id */
};

void keybase_init(struct keybase *k)
{
	*k = (struct keybase){.fd = -1};
}

void keybase_fini(struct keybase *k)
{
	if (k->fd >= 0)
		close(k->fd);
	keybase_init(k);
}

static void table_fini(struct table *t)
{
	buffer_fini(&t->keys);
	buffer_fini(&t->networks);
}

static uint32_t column_u32(sqlite3_stmt *st, int column)
{
	return (uint32_t)sqlite3_column_int64(st, column);
}

/* Appends an allow list; a list that does not parse must not become "all addresses". */
static int add_networks(struct table *t, struct slice text, struct snapshot_range *ret)
{
	struct cidr nets[CIDR_LIST_MAX];
	size_t n;
	int error = cidr_parse_list(text, nets, CIDR_LIST_MAX, &n);

	if (error)
		return error;
	ret->first = (uint32_t)(t->networks.len / sizeof(*nets));
	ret->count = (uint32_t)n;
	buffer_append(&t->networks, nets, n * sizeof(*nets));
	return buffer_error(&t->networks);
}

static int add_key(struct table *t, sqlite3_stmt *st, struct errtext *e)
{
	struct slice hash = store_column(st, COLUMN_HASH);
	struct snapshot_key key = {
		.id = column_u32(st, COLUMN_ID),
		.tenant_id = column_u32(st, COLUMN_TENANT),
		.pool_id = column_u32(st, COLUMN_POOL), /* NULL reads as 0 */
		.flags = sqlite3_column_int64(st, COLUMN_REVOKED) ? SNAPSHOT_KEY_REVOKED : 0,
		.expires_ms = sqlite3_column_int64(st, COLUMN_EXPIRES),
		.limits = {.rps = column_u32(st, COLUMN_RPS),
			.rpm = column_u32(st, COLUMN_RPM),
			.rph = column_u32(st, COLUMN_RPH),
			.concurrency = column_u32(st, COLUMN_CONCURRENCY)},
	};

	if (hash.n != RELAYKEY_HASH_LEN)
		return errtext_set(e, -EBADMSG, "store: key %u has a malformed hash", key.id);
	memcpy(key.hash, hash.p, RELAYKEY_HASH_LEN);
	if (add_networks(t, store_column(st, COLUMN_ALLOW_IP), &key.networks) < 0)
		return errtext_set(e, -EBADMSG, "store: key %u has a malformed allow list", key.id);
	buffer_append(&t->keys, &key, sizeof(key));
	t->count++;
	t->last_key = key.id;
	return buffer_error(&t->keys) ? errtext_set(e, -ENOMEM, "keys: out of memory") : 0;
}

/* All keys whose last change is after `version`. */
static int load_keys(struct store *s, uint64_t version, struct table *t, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s,
		"SELECT id, tenant_id, pool_id, hash, allow_ip, rps, rpm, rph, concurrency, expires_ms,"
		" revoked_ms FROM keys WHERE version > ?1 ORDER BY id",
		e);
	int rc = -EIO;

	if (!st)
		return rc;
	sqlite3_bind_int64(st, 1, (int64_t)version);
	while ((rc = store_step(s, st, e)) == 1) {
		rc = add_key(t, st, e);
		if (rc)
			break;
	}
	sqlite3_reset(st);
	return rc;
}

static int write_table(uint64_t id, const struct table *t, struct buffer *out, struct errtext *e)
{
	int error = keytable_build(id, (const struct snapshot_key *)(const void *)t->keys.data,
		t->count, (const struct cidr *)(const void *)t->networks.data,
		(uint32_t)(t->networks.len / sizeof(struct cidr)), out);

	return error ? errtext_set(e, error, "keys: too many, or out of memory") : 0;
}

static int seal_table(uint64_t id, const struct table *t, int *ret_fd, struct errtext *e)
{
	struct buffer block = {.max = SNAPSHOT_SIZE_MAX};
	int error = write_table(id, t, &block, e);

	if (!error) {
		*ret_fd = snapshot_seal("relay-keys", buffer_slice(&block));
		if (*ret_fd < 0)
			error = errtext_set(e, *ret_fd, "keys: %s", strerror(-*ret_fd));
	}
	buffer_fini(&block);
	return error;
}

int keybase_build(struct keybase *k, struct store *s, struct errtext *e)
{
	struct keybase made = {.fd = -1, .id = store_version(s)};
	struct table t = {0};
	int error = load_keys(s, 0, &t, e);

	if (!error)
		error = seal_table(made.id, &t, &made.fd, e);
	made.count = t.count;
	made.last_key = t.last_key;
	table_fini(&t);
	if (error)
		return error;
	keybase_fini(k);
	*k = made;
	return 0;
}

int keybase_log(const struct keybase *k, struct store *s, struct buffer *out, uint32_t *ret_count,
	struct errtext *e)
{
	struct table t = {0};
	int error = load_keys(s, k->id, &t, e);

	if (!error)
		error = write_table(k->id, &t, out, e);
	if (!error)
		*ret_count = t.count;
	table_fini(&t);
	return error;
}

int keybase_is_whole(const struct keybase *k, struct store *s, bool *ret, struct errtext *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT count(*) FROM keys WHERE id <= ?1", e);

	if (!st)
		return -EIO;
	sqlite3_bind_int64(st, 1, k->last_key);
	int rc = store_step(s, st, e);
	if (rc == 1)
		*ret = k->fd >= 0 && sqlite3_column_int64(st, 0) == (int64_t)k->count;
	sqlite3_reset(st);
	return rc < 0 ? rc : 0;
}
