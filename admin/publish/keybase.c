#include "admin/publish/keybase.h"

#include "admin/store/sql.h"
#include "common/ip.h"
#include "common/snapshot.h"

#include <errno.h>
#include <unistd.h>

#define NAME "relay-keys"

/* --- rows of the store --- */

/* Takes the rows of a query. */
struct reading {
	struct keybase_log *log; /* NULL = the writer */
	struct keytable_writer *writer;
	struct errtext *e;
};

/* A list that does not parse is an error: it must not mean "all addresses". */
static int read_key(struct row *row, struct snapshot_key *ret, struct cidr nets[CIDR_LIST_MAX],
	struct errtext *e)
{
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
	size_t n;

	if (hash.n != RELAYKEY_HASH_LEN)
		return errtext_set(e, -EBADMSG, "store: key %u has a malformed hash", key.id);
	memcpy(key.hash, hash.p, RELAYKEY_HASH_LEN);
	if (cidr_parse_list(row_text(row, "allow_ip"), nets, CIDR_LIST_MAX, &n) < 0)
		return errtext_set(e, -EBADMSG, "store: key %u has a malformed allow list", key.id);
	key.networks.count = (uint32_t)n;
	*ret = key;
	return 0;
}

static int add_to_log(struct keybase_log *log, struct snapshot_key *key, const struct cidr *nets)
{
	key->networks.first = (uint32_t)(log->networks.len / sizeof(*nets));
	buffer_append(&log->networks, nets, key->networks.count * sizeof(*nets));
	buffer_append(&log->keys, key, sizeof(*key));
	log->count++;
	return buffer_error(&log->networks) ? buffer_error(&log->networks)
					    : buffer_error(&log->keys);
}

static int take_key(struct row *row, void *context)
{
	struct reading *r = context;
	struct snapshot_key key = {.id = 0};
	struct cidr nets[CIDR_LIST_MAX];
	int error = read_key(row, &key, nets, r->e);

	if (error)
		return error;
	error = r->log ? add_to_log(r->log, &key, nets)
		       : keytable_writer_add(r->writer, &key, nets, true);
	return error ? errtext_set(r->e, error, "keys: too many, or out of memory") : 0;
}

#define COLUMNS                                                                                    \
	"SELECT id, tenant_id, pool_id, revoked_ms, expires_ms, family, rps, rpm, rph,"            \
	" concurrency, daily, monthly, hash, allow_ip FROM keys"

static int read_all(struct store *s, struct keytable_writer *w, struct errtext *e)
{
	struct reading r = {.writer = w, .e = e};

	return sql_each(s, e, take_key, &r, COLUMNS " ORDER BY id", "");
}

/* In the order of the index, or SQLite would walk through all keys. */
static int read_changed(struct store *s, struct keybase_log *log, struct errtext *e)
{
	struct reading r = {.log = log, .e = e};

	return sql_each(s, e, take_key, &r,
		COLUMNS " INDEXED BY keys_by_version WHERE version > ?1 ORDER BY version, id", "i",
		(int64_t)log->version);
}

/* --- the base --- */

void keybase_init(struct keybase *k)
{
	*k = (struct keybase){
		.fd = -1, .merged_fd = -1, .merge_above = KEYBASE_LOG_MAX, .merge.writer.fd = -1};
}

static void drop_merge(struct keybase *k)
{
	keytable_writer_drop(&k->merge.writer);
	snapshot_map_close(&k->merge.old);
	k->merge = (struct keybase_merge){.writer.fd = -1};
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void keybase_fini(struct keybase *k)
{
	drop_merge(k);
	close_fd(k->merged_fd);
	close_fd(k->fd);
	buffer_fini(&k->log.keys);
	buffer_fini(&k->log.networks);
	keybase_init(k);
}

static int count_keys(struct store *s, uint32_t *ret, struct errtext *e)
{
	int64_t count = 0;
	int error = sql_number(s, e, &count, "SELECT count(*) FROM keys", "");

	if (error)
		return error;
	if (count > UINT32_MAX)
		return errtext_set(e, -EFBIG, "keys: too many");
	*ret = (uint32_t)count;
	return 0;
}

static int begin_table(struct keytable_writer *w, uint32_t rows, struct errtext *e)
{
	int error = keytable_writer_begin(w, NAME, rows);

	return error ? errtext_set(e, error, "keys: %s", strerror(-error)) : 0;
}

static int seal_table(struct keytable_writer *w, uint64_t id, int *ret_fd, struct errtext *e)
{
	int fd = keytable_writer_seal(w, id);

	if (fd < 0)
		return errtext_set(e, fd, "keys: %s", strerror(-fd));
	*ret_fd = fd;
	return 0;
}

static int build_base(struct keybase *k, struct store *s, struct errtext *e)
{
	struct keytable_writer w;
	uint64_t version = store_version(s);
	uint32_t count = 0;
	int error = count_keys(s, &count, e);

	if (!error)
		error = begin_table(&w, count, e);
	if (error)
		return error;
	error = read_all(s, &w, e);
	if (!error)
		error = seal_table(&w, version, &k->fd, e);
	keytable_writer_drop(&w);
	if (!error)
		k->id = k->log.version = version;
	return error;
}

/* --- the log --- */

static void drop_rows(struct buffer *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
}

/* The first rows leave, with their networks. */
static void shorten_log(struct keybase_log *log, uint32_t rows)
{
	drop_rows(&log->keys, rows * sizeof(struct snapshot_key));
	log->count -= rows;
	struct snapshot_key *keys = (struct snapshot_key *)(void *)log->keys.data;
	const uint32_t gone = log->count ? keys[0].networks.first
					 : (uint32_t)(log->networks.len / sizeof(struct cidr));
	for (uint32_t i = 0; i < log->count; i++)
		keys[i].networks.first -= gone;
	drop_rows(&log->networks, gone * sizeof(struct cidr));
}

/* The last rows leave. */
static void cut_log(struct keybase_log *log, uint32_t count, size_t networks)
{
	log->keys.len = count * sizeof(struct snapshot_key);
	log->keys.error = 0;
	log->networks.len = networks;
	log->networks.error = 0;
	log->count = count;
}

static void take_merged(struct keybase *k)
{
	close_fd(k->fd);
	k->fd = k->merged_fd;
	k->id = k->merge.id;
	shorten_log(&k->log, k->merge.log_rows);
	k->merged_fd = -1;
	k->merge_above = KEYBASE_LOG_MAX;
	drop_merge(k);
}

int keybase_update(struct keybase *k, struct store *s, struct errtext *e)
{
	uint64_t version = store_version(s);

	if (k->fd < 0)
		return build_base(k, s, e);
	if (k->merged_fd >= 0)
		take_merged(k);
	const uint32_t count = k->log.count;
	const size_t networks = k->log.networks.len;
	int error = read_changed(s, &k->log, e);
	if (error)
		cut_log(&k->log, count, networks);
	else
		k->log.version = version;
	return error;
}

static const struct snapshot_key *keys_of(const struct keybase_log *log)
{
	return (const struct snapshot_key *)(const void *)log->keys.data;
}

static const struct cidr *networks_of(const struct keybase_log *log)
{
	return (const struct cidr *)(const void *)log->networks.data;
}

int keybase_write_log(const struct keybase *k, struct buffer *out, struct errtext *e)
{
	const struct keybase_log *log = &k->log;
	int error = keytable_build(k->id, keys_of(log), log->count, networks_of(log),
		(uint32_t)(log->networks.len / sizeof(struct cidr)), out);

	return error ? errtext_set(e, error, "keys: too many, or out of memory") : 0;
}

/* --- merging --- */

bool keybase_wants_merge(const struct keybase *k)
{
	return k->merged_fd < 0 && (k->merge.writer.fd >= 0 || k->log.count > k->merge_above);
}

static int begin_merge(struct keybase *k, struct errtext *e)
{
	struct keybase_merge *m = &k->merge;
	int error = snapshot_map_open(k->fd, false, &m->old, e);

	if (!error)
		error = keytable_open(m->old.block, m->old.size, &m->table, e);
	if (error)
		return error;
	m->log_rows = k->log.count;
	m->id = k->log.version;
	if (m->log_rows > UINT32_MAX - m->table.count)
		return errtext_set(e, -EFBIG, "keys: too many");
	return begin_table(&m->writer, m->table.count + m->log_rows, e);
}

/* The rows of the base, each with another hash, and behind them those of the log. */
static int copy_rows(struct keybase *k, struct errtext *e)
{
	struct keybase_merge *m = &k->merge;
	const uint32_t rows = m->table.count + m->log_rows;
	int error = 0;

	for (uint32_t n = 0; n < KEYBASE_STEP_ROWS && m->done < rows && !error; n++, m->done++) {
		bool is_old = m->done < m->table.count;
		error = is_old ? keytable_writer_add(&m->writer, &m->table.keys[m->done],
					 m->table.networks, true)
			       : keytable_writer_add(&m->writer,
					 &keys_of(&k->log)[m->done - m->table.count],
					 networks_of(&k->log), false);
	}
	return error ? errtext_set(e, error, "keys: out of memory") : 0;
}

int keybase_merge(struct keybase *k, struct errtext *e)
{
	struct keybase_merge *m = &k->merge;
	int error = m->writer.fd < 0 ? begin_merge(k, e) : 0;

	if (!error)
		error = copy_rows(k, e);
	if (!error && m->done == m->table.count + m->log_rows)
		error = seal_table(&m->writer, m->id, &k->merged_fd, e);
	if (error) {
		drop_merge(k);
		k->merge_above = k->log.count + KEYBASE_LOG_MAX;
	}
	return error;
}
