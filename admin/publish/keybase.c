#include "admin/publish/keybase.h"

#include "admin/store/sql.h"
#include "common/ip.h"
#include "common/snapshot.h"

#include <errno.h>
#include <unistd.h>

struct table {
	struct buffer keys;	/* struct snapshot_key */
	struct buffer networks; /* struct cidr */
	uint32_t count;
	uint32_t last_key; /* highest id */
	struct errtext *e;
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

/* Appends an allow list. A list that does not parse is an error: it must not mean "all addresses". */
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

static int add_key(struct row *row, void *context)
{
	struct table *t = context;
	struct snapshot_key key = {
		.id = row_u32(row, "id"),
		.tenant_id = row_u32(row, "tenant_id"),
		.pool_id = row_u32(row, "pool_id"), /* NULL reads as 0 */
		.flags = row_flag(row, "revoked_ms") ? SNAPSHOT_KEY_REVOKED : 0,
		.family = row_u32(row, "family"),
		.expires_ms = row_number(row, "expires_ms"),
		.limits = {.rps = row_u32(row, "rps"),
			.rpm = row_u32(row, "rpm"),
			.rph = row_u32(row, "rph"),
			.concurrency = row_u32(row, "concurrency"),
			.daily = row_u32(row, "daily"),
			.monthly = row_u32(row, "monthly")},
	};
	struct slice hash = row_text(row, "hash");

	if (hash.n != RELAYKEY_HASH_LEN)
		return errtext_set(t->e, -EBADMSG, "store: key %u has a malformed hash", key.id);
	memcpy(key.hash, hash.p, RELAYKEY_HASH_LEN);
	if (add_networks(t, row_text(row, "allow_ip"), &key.networks) < 0)
		return errtext_set(
			t->e, -EBADMSG, "store: key %u has a malformed allow list", key.id);
	buffer_append(&t->keys, &key, sizeof(key));
	t->count++;
	t->last_key = key.id;
	return buffer_error(&t->keys) ? errtext_set(t->e, -ENOMEM, "keys: out of memory") : 0;
}

/* All keys whose last change is after `version`. */
static int load_keys(struct store *s, uint64_t version, struct table *t)
{
	return sql_each(s, t->e, add_key, t,
		"SELECT id, tenant_id, pool_id, revoked_ms, expires_ms, rps, rpm, rph, concurrency,"
		" daily, monthly, family, hash, allow_ip FROM keys WHERE version > ?1 ORDER BY id",
		"i", (int64_t)version);
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
	struct table t = {.e = e};
	int error = load_keys(s, 0, &t);

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
	struct table t = {.e = e};
	int error = load_keys(s, k->id, &t);

	if (!error)
		error = write_table(k->id, &t, out, e);
	if (!error)
		*ret_count = t.count;
	table_fini(&t);
	return error;
}

int keybase_is_whole(const struct keybase *k, struct store *s, bool *ret, struct errtext *e)
{
	int64_t count = 0;
	int error = sql_number(s, e, &count, "SELECT count(*) FROM keys WHERE id <= ?1", "i",
		(int64_t)k->last_key);

	if (!error)
		*ret = k->fd >= 0 && count == (int64_t)k->count;
	return error;
}
