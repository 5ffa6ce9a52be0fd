#include "admin/store/vault_rotate.h"

#include "admin/store/hex.h"
#include "admin/store/keyfile.h"
#include "admin/store/sql.h"
#include "admin/store/vault_parts.h"

#include <errno.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VERSION_MAX 255

static int end(struct store *s, int error, struct errtext *e)
{
	if (!error)
		return store_commit(s, e);
	store_rollback(s);
	return error;
}

static int next_path(const char *key_file, char out[PATH_MAX], struct errtext *e)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s.next", key_file) >= PATH_MAX)
		return errtext_set(e, -ENAMETOOLONG, "key file %s: the path is too long", key_file);
	return 0;
}

bool vault_is_rotating(const struct vault *v)
{
	return v->old.version != 0;
}

/* --- 1. the new keys --- */

static int put_keys(const struct vault_key *now, const struct vault_key *fresh, struct store *s,
	const uint8_t *file_key, const uint8_t *next_key, struct errtext *e)
{
	char id[VAULT_ID_SIZE];
	int error = vault_put_key(file_key, s, fresh, false, e);

	if (!error && next_key) {
		vault_format_id(next_key, id);
		error = vault_put_key(next_key, s, now, true, e);
		if (!error)
			error = vault_put_key(next_key, s, fresh, true, e);
		if (!error)
			error = store_set_setting(s, VAULT_NEXT_KEY_ID, id, e);
	}
	if (!error)
		error = vault_set_number(s, VAULT_OLD_VERSION, now->version, e);
	return error ? error : vault_set_number(s, VAULT_VERSION, fresh->version, e);
}

static int store_keys(struct vault *v, struct store *s, const uint8_t *file_key,
	const uint8_t *next_key, struct errtext *e)
{
	struct vault_key fresh = {.version = (uint8_t)(v->now.version % VERSION_MAX + 1)};

	if (RAND_priv_bytes(fresh.bytes, sizeof(fresh.bytes)) != 1)
		return errtext_set(e, -EIO, "vault: no randomness");
	int error = store_begin(s, e);
	if (!error)
		error = end(s, put_keys(&v->now, &fresh, s, file_key, next_key, e), e);
	if (!error) {
		v->old = v->now;
		v->now = fresh;
	}
	explicit_bzero(&fresh, sizeof(fresh));
	return error;
}

static int begin_with_file(struct vault *v, struct store *s, const char *key_file,
	const uint8_t *file_key, struct errtext *e)
{
	uint8_t next_key[VAULT_KEY_LEN];
	char path[PATH_MAX];
	int error = next_path(key_file, path, e);

	if (!error)
		error = keyfile_check_place(key_file, e);
	if (error)
		return error;
	unlink(path); /* of a rotation that did not begin */
	error = keyfile_create(path, next_key, e);
	if (!error)
		error = store_keys(v, s, file_key, next_key, e);
	if (error)
		unlink(path);
	explicit_bzero(next_key, sizeof(next_key));
	return error;
}

static int check_id(
	struct store *s, const char *key_file, const uint8_t *file_key, struct errtext *e)
{
	char is[VAULT_ID_SIZE];
	char wanted[VAULT_ID_SIZE];
	int error = vault_text_setting(s, VAULT_KEY_ID, wanted, sizeof(wanted), e);

	vault_format_id(file_key, is);
	return error || strcmp(is, wanted) == 0
		? error
		: errtext_set(e, -EKEYREJECTED,
			  "key file %s: is not the one that this store was opened with", key_file);
}

int vault_rotate_begin(
	struct vault *v, struct store *s, const char *key_file, bool keeps_file, struct errtext *e)
{
	uint8_t file_key[VAULT_KEY_LEN];

	if (vault_is_rotating(v))
		return errtext_set(e, -EBUSY, "a rotation is under way");
	int error = keyfile_read(key_file, file_key, e);
	if (!error)
		error = check_id(s, key_file, file_key, e);
	if (!error)
		error = keeps_file ? store_keys(v, s, file_key, NULL, e)
				   : begin_with_file(v, s, key_file, file_key, e);
	explicit_bzero(file_key, sizeof(file_key));
	return error;
}

/* --- 2. the key file --- */

/* From now on only the key file that is in place opens the store. */
static int adopt(struct vault *v, struct store *s, const uint8_t *file_key, const char *id,
	struct errtext *e)
{
	char name[VAULT_NAME_SIZE];
	int error = vault_put_key(file_key, s, &v->now, false, e);

	if (!error)
		error = vault_put_key(file_key, s, &v->old, false, e);
	if (!error)
		error = store_set_setting(s, VAULT_KEY_ID, id, e);
	if (!error)
		error = vault_unset(s, vault_key_name(v->now.version, true, name), e);
	if (!error)
		error = vault_unset(s, vault_key_name(v->old.version, true, name), e);
	return error ? error : vault_unset(s, VAULT_NEXT_KEY_ID, e);
}

static int adopt_file(struct vault *v, struct store *s, const char *key_file, const char *next_id,
	struct errtext *e)
{
	uint8_t key[VAULT_KEY_LEN];
	char id[VAULT_ID_SIZE];
	int error = keyfile_read(key_file, key, e);

	if (error)
		return error;
	vault_format_id(key, id);
	if (strcmp(id, next_id) != 0)
		error = check_id(s, key_file, key, e);
	if (!error)
		error = store_begin(s, e);
	if (!error)
		error = end(s, adopt(v, s, key, id, e), e);
	explicit_bzero(key, sizeof(key));
	return error;
}

/* The next key file may be in place already. If it is lost, the old one stays. */
static int put_in_place(const char *key_file, const char *next_id, struct errtext *e)
{
	uint8_t key[VAULT_KEY_LEN];
	char path[PATH_MAX];
	char id[VAULT_ID_SIZE];
	int error = next_path(key_file, path, e);

	if (error)
		return error;
	error = keyfile_read(path, key, NULL);
	if (error)
		return error == -ENOENT || error == -EINVAL ? 0 : error;
	vault_format_id(key, id);
	explicit_bzero(key, sizeof(key));
	if (strcmp(id, next_id) != 0)
		return 0;
	error = keyfile_replace(path, key_file);
	return error ? errtext_set(e, error, "key file %s: cannot be replaced: %s", key_file,
			       strerror(-error))
		     : 0;
}

int vault_rotate_key_file(struct vault *v, struct store *s, const char *key_file, struct errtext *e)
{
	char next_id[VAULT_ID_SIZE];
	int error = vault_text_setting(s, VAULT_NEXT_KEY_ID, next_id, sizeof(next_id), e);

	if (error)
		return error == -ENOENT ? 0 : error;
	error = put_in_place(key_file, next_id, e);
	return error ? error : adopt_file(v, s, key_file, next_id, e);
}

/* --- 3. the values --- */

/* Every table with sealed values: a row, its place, and the value. `settings` have theirs as hex digits. */
struct table {
	const char *
		select; /* rows after ?1, at most ?2, whose version is the text ?3 (two hex digits) */
	const char *update; /* the value ?2 of the row ?1 */
	const char *count;  /* of the version ?1; NULL: of all */
	bool is_hex;
};

#define OF_VERSION(column) "hex(substr(" column ", 2, 1)) = "

static const struct table tables[] = {
	{"SELECT rowid AS row, account_id, field, generation, sealed AS value FROM credentials"
	 " WHERE rowid > ?1 AND " OF_VERSION("sealed") "?3 ORDER BY rowid LIMIT ?2",
		"UPDATE credentials SET sealed = ?2 WHERE rowid = ?1",
		"SELECT count(*) FROM credentials WHERE ?1 IS NULL OR " OF_VERSION("sealed") "?1",
		false},
	{"SELECT rowid AS row, account_id, '" VAULT_PLACE_REPLY "' AS field, parent AS generation,"
	 " reply AS value FROM refreshes"
	 " WHERE rowid > ?1 AND " OF_VERSION("reply") "?3 ORDER BY rowid LIMIT ?2",
		"UPDATE refreshes SET reply = ?2 WHERE rowid = ?1",
		"SELECT count(*) FROM refreshes WHERE reply IS NOT NULL AND (?1 IS NULL OR " OF_VERSION(
			"reply") "?1)",
		false},
	{"SELECT rowid AS row, account_id, '" VAULT_PLACE_REPLY "' AS field, parent AS generation,"
	 " unread AS value FROM refreshes"
	 " WHERE rowid > ?1 AND " OF_VERSION("unread") "?3 ORDER BY rowid LIMIT ?2",
		"UPDATE refreshes SET unread = ?2 WHERE rowid = ?1",
		"SELECT count(*) FROM refreshes WHERE unread IS NOT NULL AND (?1 IS NULL OR " OF_VERSION(
			"unread") "?1)",
		false},
	{"SELECT rowid AS row, 0 AS account_id, name AS field, 0 AS generation, value FROM settings"
	 " WHERE rowid > ?1 AND name GLOB '" VAULT_SETTING_PREFIX "*'"
	 " AND upper(substr(value, 3, 2)) = ?3 ORDER BY rowid LIMIT ?2",
		"UPDATE settings SET value = ?2 WHERE rowid = ?1",
		"SELECT count(*) FROM settings WHERE name GLOB '" VAULT_SETTING_PREFIX "*'"
		" AND (?1 IS NULL OR upper(substr(value, 3, 2)) = ?1)",
		true},
};
#define TABLES ((int)(sizeof(tables) / sizeof(tables[0])))

struct sealed {
	int64_t row;
	char field[VAULT_FIELD_MAX + 1];
	struct vault_place at;
	struct buffer value;
};

struct batch {
	struct sealed values[VAULT_BATCH];
	size_t count;
	bool is_hex;
};

static int take_value(struct row *row, void *context)
{
	struct batch *b = context;
	struct sealed *one = &b->values[b->count++];

	one->row = row_number(row, "row");
	row_copy(row, "field", one->field, sizeof(one->field));
	one->at = (struct vault_place){
		one->field, row_number(row, "account_id"), row_number(row, "generation")};
	if (!b->is_hex)
		buffer_append_slice(&one->value, row_text(row, "value"));
	else if (hex_parse(row_text(row, "value"), &one->value) < 0)
		buffer_clear(&one->value); /* which does not open */
	return buffer_error(&one->value);
}

/* -EBADMSG: the value does not open. */
static int seal_again(const struct vault *v, struct store *s, const struct table *t,
	const struct sealed *one, struct errtext *e)
{
	struct buffer plain = {0};
	struct buffer fresh = {0};
	struct buffer text = {0};
	int error = vault_unseal(v, &one->at, buffer_slice(&one->value), &plain, e);

	if (!error)
		error = vault_seal(v, &one->at, buffer_slice(&plain), &fresh, e);
	struct slice value = buffer_slice(&fresh);
	if (!error && t->is_hex) {
		hex_format(value, &text);
		error = buffer_error(&text);
		value = buffer_slice(&text);
	}
	if (!error)
		error = sql_run(s, e, t->update, t->is_hex ? "is" : "ib", one->row, &value);
	buffer_fini(&plain);
	buffer_fini(&fresh);
	buffer_fini(&text);
	return error;
}

static int seal_batch(const struct vault *v, struct store *s, const struct batch *b,
	struct vault_walk *walk, struct errtext *e)
{
	int error = 0;

	for (size_t i = 0; i < b->count && !error; i++) {
		const struct sealed *one = &b->values[i];
		error = seal_again(v, s, &tables[walk->table], one, e);
		walk->after = one->row;
		if (error != -EBADMSG)
			continue;
		walk->damaged++;
		walk->account = one->at.account;
		error = 0;
	}
	return error;
}

static void format_version(uint8_t version, char out[3])
{
	snprintf(out, 3, "%02X", version);
}

static int rotate_batch(struct vault *v, struct store *s, struct batch *b, struct vault_walk *walk,
	struct errtext *e)
{
	char version[3];

	format_version(v->old.version, version);
	b->is_hex = tables[walk->table].is_hex;
	int error = sql_each(s, e, take_value, b, tables[walk->table].select, "iit", walk->after,
		(int64_t)VAULT_BATCH, version);
	return error ? error : seal_batch(v, s, b, walk, e);
}

int vault_rotate_values(
	struct vault *v, struct store *s, struct vault_walk *walk, struct errtext *e)
{
	struct vault_walk next = *walk;
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return errtext_set(e, -ENOMEM, "out of memory");
	int error = store_begin(s, e);
	if (!error)
		error = end(s, rotate_batch(v, s, b, &next, e), e);
	if (!error && b->count < VAULT_BATCH) {
		next.table++;
		next.after = 0;
		next.is_done = next.table == TABLES;
	}
	if (!error)
		*walk = next;
	for (size_t i = 0; i < b->count; i++)
		buffer_fini(&b->values[i].value);
	free(b);
	return error;
}

/* --- 4. the end --- */

/* `version` 0: of all. */
static int count_values(struct store *s, uint8_t version, int64_t *ret, struct errtext *e)
{
	char text[3];
	int error = 0;

	format_version(version, text);
	*ret = 0;
	for (int i = 0; i < TABLES && !error; i++) {
		int64_t n = 0;
		error = sql_number(s, e, &n, tables[i].count, "t", version ? text : NULL);
		*ret += n;
	}
	return error;
}

static int forget_old(struct vault *v, struct store *s, int64_t now_ms, struct errtext *e)
{
	char name[VAULT_NAME_SIZE];
	int64_t left = 0;
	int error = count_values(s, v->old.version, &left, e);

	if (!error && left)
		return errtext_set(e, -EAGAIN, "%lld values are left", (long long)left);
	if (!error)
		error = vault_unset(s, vault_key_name(v->old.version, false, name), e);
	if (!error)
		error = vault_unset(s, VAULT_OLD_VERSION, e);
	return error ? error : vault_set_number(s, VAULT_ROTATED, now_ms, e);
}

int vault_rotate_end(struct vault *v, struct store *s, int64_t now_ms, struct errtext *e)
{
	int error = store_begin(s, e);

	if (!error)
		error = end(s, forget_old(v, s, now_ms, e), e);
	if (error)
		return error;
	explicit_bzero(&v->old, sizeof(v->old));
	store_checkpoint(s);
	return 0;
}

int vault_get_status(
	const struct vault *v, struct store *s, struct vault_status *ret, struct errtext *e)
{
	struct vault_status status = {
		.version = v->now.version, .is_rotating = vault_is_rotating(v)};
	int error = vault_text_setting(s, VAULT_KEY_ID, status.key_id, sizeof(status.key_id), e);

	if (!error)
		error = count_values(s, 0, &status.values, e);
	if (!error && status.is_rotating)
		error = count_values(s, v->old.version, &status.left, e);
	if (!error)
		error = vault_number_setting(s, VAULT_ROTATED, 0, &status.rotated_ms, e);
	if (!error)
		*ret = status;
	return error;
}
