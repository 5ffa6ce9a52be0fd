/* snapshot_open() checks the whole snapshot: afterwards no reference in it leads outside. */
#include "common/snapshot.h"

#include "common/keytable_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct blocks {
	struct buffer main, base;
};

static struct snapshot_key key_of(uint8_t n, uint32_t id)
{
	struct snapshot_key key = {.id = id, .tenant_id = 1};

	memset(key.hash, n, sizeof(key.hash));
	key.networks = (struct snapshot_range){0, 1};
	return key;
}

static struct blocks build(void)
{
	struct snapshot_head head = {.flags = SNAPSHOT_SITE_ENABLED, .version = 3, .keybase = 9};
	struct snapshot_builder *b = snapshot_builder_new();
	struct snapshot_key base[] = {key_of(1, 1), key_of(2, 2), key_of(3, 3)};
	struct snapshot_key log[] = {key_of(2, 22)};
	struct cidr network = {.bits = 0};
	uint32_t member = 0;
	struct blocks made = {0};
	struct buffer keylog = {0};

	struct snapshot_upstream upstream = {
		.id = 1, .name = snapshot_builder_text(b, SLICE_LITERAL("u"))};
	struct snapshot_egress egress = {
		.id = 1, .name = snapshot_builder_text(b, SLICE_LITERAL("e"))};
	struct snapshot_account_egress choice = {.backends = {0, 1}, .last_gen = UINT64_MAX};
	struct snapshot_backend backend = {
		.id = 1, .name = snapshot_builder_text(b, SLICE_LITERAL("b1"))};
	struct snapshot_header header = {.value = snapshot_builder_text(b, SLICE_LITERAL("value"))};
	struct snapshot_account account = {.id = 1,
		.weight = 1,
		.egresses = {0, 1},
		.headers = {0, 1},
		.credential = snapshot_builder_text(b, SLICE_LITERAL("secret"))};
	struct snapshot_pool pools[] = {{.id = 2, .members = {0, 1}}, {.id = 5}};
	struct snapshot_tenant tenants[] = {{.id = 1, .networks = {0, 1}}, {.id = 7}};

	snapshot_builder_add(b, SNAPSHOT_UPSTREAM, &upstream);
	snapshot_builder_add(b, SNAPSHOT_EGRESS, &egress);
	snapshot_builder_add(b, SNAPSHOT_ACCOUNT_EGRESS, &choice);
	snapshot_builder_add(b, SNAPSHOT_BACKEND, &backend);
	snapshot_builder_add(b, SNAPSHOT_HEADER, &header);
	snapshot_builder_add(b, SNAPSHOT_ACCOUNT, &account);
	snapshot_builder_add(b, SNAPSHOT_MEMBER, &member);
	snapshot_builder_add(b, SNAPSHOT_NETWORK, &network);
	for (size_t i = 0; i < 2; i++) {
		snapshot_builder_add(b, SNAPSHOT_POOL, &pools[i]);
		snapshot_builder_add(b, SNAPSHOT_TENANT, &tenants[i]);
	}
	assert_int_equal(keytable_build(9, base, 3, &network, 1, &made.base), 0);
	assert_int_equal(keytable_build(10, log, 1, &network, 1, &keylog), 0);
	snapshot_builder_set_keylog(b, buffer_slice(&keylog));
	assert_int_equal(snapshot_builder_finish(b, &head, &made.main), 0);
	snapshot_builder_free(b);
	buffer_fini(&keylog);
	return made;
}

static int open_blocks(const struct blocks *b, struct snapshot *s)
{
	struct errtext e;

	return snapshot_open(b->main.data, b->main.len, b->base.data, b->base.len, s, &e);
}

static void free_blocks(struct blocks *b)
{
	buffer_fini(&b->main);
	buffer_fini(&b->base);
}

static void finds_what_was_put_in(void **state)
{
	struct blocks b = build();
	struct snapshot s;
	const struct keytable *table;
	uint8_t hash[RELAYKEY_HASH_LEN];

	(void)state;
	assert_int_equal(open_blocks(&b, &s), 0);
	assert_int_equal(snapshot_tenant(&s, 7)->id, 7);
	assert_null(snapshot_tenant(&s, 2));
	assert_int_equal(snapshot_pool(&s, 5)->id, 5);
	assert_null(snapshot_pool(&s, 6));
	const struct snapshot_account *a = snapshot_account_by_id(&s, 1);
	assert_true(slice_eq_str(snapshot_text(&s, a->credential), "secret"));
	memset(hash, 1, sizeof(hash));
	assert_int_equal(snapshot_key(&s, hash, &table)->id, 1);
	assert_ptr_equal(table, &s.base);
	memset(hash, 2, sizeof(hash));
	assert_int_equal(snapshot_key(&s, hash, &table)->id, 22); /* the log is newer */
	memset(hash, 4, sizeof(hash));
	assert_null(snapshot_key(&s, hash, &table));
	free_blocks(&b);
}

/* Reads everything that a decision could read: the sanitizers notice reads outside. */
static uint64_t read_all(const struct snapshot *s)
{
	uint64_t sum = 0;
	uint8_t hash[RELAYKEY_HASH_LEN];
	const struct keytable *table;

	for (int n = 0; n < 5; n++) {
		memset(hash, n, sizeof(hash));
		const struct snapshot_key *key = snapshot_key(s, hash, &table);
		for (uint32_t i = 0; key && i < key->networks.count; i++)
			sum += table->networks[key->networks.first + i].bits;
	}
	const struct snapshot_account *a = SNAPSHOT_ROWS(s, ACCOUNT, struct snapshot_account);
	const struct snapshot_account_egress *x =
		SNAPSHOT_ROWS(s, ACCOUNT_EGRESS, struct snapshot_account_egress);
	const struct snapshot_backend *backends =
		SNAPSHOT_ROWS(s, BACKEND, struct snapshot_backend);
	for (uint32_t i = 0; i < s->counts[SNAPSHOT_ACCOUNT]; i++) {
		struct slice text = snapshot_text(s, a[i].credential);
		for (size_t c = 0; c < text.n; c++)
			sum += (uint8_t)text.p[c];
		for (uint32_t n = 0; n < a[i].egresses.count; n++) {
			struct snapshot_range range = x[a[i].egresses.first + n].backends;
			for (uint32_t k = 0; k < range.count; k++)
				sum += snapshot_text(s, backends[range.first + k].name).n;
		}
	}
	return sum;
}

static void no_changed_byte_leads_outside(void **state)
{
	struct blocks b = build();
	struct snapshot s;
	uint64_t sum = 0;
	unsigned refused = 0;

	(void)state;
	struct buffer *parts[] = {&b.main, &b.base};
	for (size_t p = 0; p < 2; p++) {
		for (size_t i = 0; i < parts[p]->len; i++) {
			char was = parts[p]->data[i];
			for (int bit = 0; bit < 8; bit++) {
				parts[p]->data[i] = (char)(was ^ (1 << bit));
				if (open_blocks(&b, &s))
					refused++;
				else
					sum += read_all(&s);
			}
			parts[p]->data[i] = was;
		}
	}
	assert_true(refused > 300);
	assert_true(sum > 0);
	free_blocks(&b);
}

static void every_cut_is_refused(void **state)
{
	struct blocks b = build();
	struct snapshot s;
	struct errtext e;

	(void)state;
	for (size_t n = 0; n < b.main.len; n++)
		assert_int_not_equal(
			snapshot_open(b.main.data, n, b.base.data, b.base.len, &s, &e), 0);
	for (size_t n = 0; n < b.base.len; n++)
		assert_int_not_equal(
			snapshot_open(b.main.data, b.main.len, b.base.data, n, &s, &e), 0);
	free_blocks(&b);
}

static void a_key_base_of_another_time_is_refused(void **state)
{
	struct blocks b = build();
	struct buffer other = {0};
	struct snapshot s;
	struct errtext e;

	(void)state;
	assert_int_equal(keytable_build(8, NULL, 0, NULL, 0, &other), 0);
	assert_int_equal(
		snapshot_open(b.main.data, b.main.len, other.data, other.len, &s, &e), -EBADMSG);
	buffer_fini(&other);
	free_blocks(&b);
}

static void ten_thousand_keys_are_all_found(void **state)
{
	enum { COUNT = 10000 };
	struct snapshot_key *keys = calloc(COUNT, sizeof(*keys));
	struct buffer out = {0};
	struct keytable table;
	struct errtext e;

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++) {
		keys[i].id = i + 1;
		/* few buckets, long chains */
		uint32_t spread = i % 100;
		memcpy(keys[i].hash, &spread, sizeof(spread));
		memcpy(keys[i].hash + 8, &i, sizeof(i));
	}
	assert_int_equal(keytable_build(1, keys, COUNT, NULL, 0, &out), 0);
	assert_int_equal(keytable_open(out.data, out.len, &table, &e), 0);
	struct snapshot s = {.base = table, .log = table};
	s.log.count = 0;
	for (uint32_t i = 0; i < COUNT; i++) {
		const struct keytable *found;
		assert_int_equal(snapshot_key(&s, keys[i].hash, &found)->id, i + 1);
	}
	buffer_fini(&out);
	free(keys);
}

/* Each place of a full table, and each that points outside, is no key; the walk ends. */
static void a_damaged_base_has_no_keys(void **state)
{
	const struct snapshot_key rows[] = {{.hash = {1}, .id = 1}, {.hash = {2}, .id = 2}};
	struct snapshot_key unknown = {.hash = {9}};
	struct buffer out = {0};
	struct keytable table;
	const struct keytable *found;
	struct errtext e;

	(void)state;
	assert_int_equal(keytable_build(1, rows, 2, NULL, 0, &out), 0);
	assert_int_equal(keytable_open(out.data, out.len, &table, &e), 0);
	struct snapshot s = {.base = table, .log = table};
	uint32_t *buckets = (uint32_t *)(uintptr_t)table.buckets;
	for (uint32_t i = 0; i <= table.bucket_mask; i++)
		buckets[i] = 1;
	assert_null(snapshot_key(&s, unknown.hash, &found));
	assert_int_equal(snapshot_key(&s, rows[0].hash, &found)->id, 1);
	for (uint32_t i = 0; i <= table.bucket_mask; i++)
		buckets[i] = 3;
	assert_null(snapshot_key(&s, rows[0].hash, &found));
	buffer_fini(&out);
}

static void a_written_table_is_the_same_as_a_built_one(void **state)
{
	enum { COUNT = 1000 };
	struct cidr nets[2] = {{.bits = 1}, {.bits = 2}};
	struct keytable_writer w;
	struct snapshot_map map;
	struct keytable table;
	const struct keytable *found;
	struct errtext e;

	(void)state;
	assert_int_equal(keytable_writer_begin(&w, "test", COUNT), 0);
	for (uint32_t i = 0; i < COUNT + COUNT / 2; i++) {
		struct snapshot_key key = {.id = i, .networks = {i % 2, 1}};
		const uint32_t hash = i % COUNT;
		memcpy(key.hash, &hash, sizeof(hash));
		assert_int_equal(keytable_writer_add(&w, &key, nets, i < COUNT), 0);
	}
	const struct snapshot_key more = {.hash = {1, 2, 3, 4}};
	assert_int_equal(keytable_writer_add(&w, &more, nets, false), -EFBIG);
	int fd = keytable_writer_seal(&w, 5);
	assert_true(fd >= 0);
	assert_int_equal(snapshot_map_open(fd, false, &map, &e), 0);
	assert_true(snapshot_map_is_of(&map, fd));
	assert_int_equal(keytable_open(map.block, map.size, &table, &e), 0);
	assert_int_equal(table.id, 5);
	assert_int_equal(table.count, COUNT);
	struct snapshot s = {.base = table, .log = table};
	for (uint32_t i = 0; i < COUNT; i++) {
		uint8_t hash[RELAYKEY_HASH_LEN] = {0};
		memcpy(hash, &i, sizeof(i));
		const struct snapshot_key *key = snapshot_key(&s, hash, &found);
		assert_int_equal(key->id, i < COUNT / 2 ? i + COUNT : i);
		assert_int_equal(found->networks[key->networks.first].bits, i % 2 + 1);
	}
	snapshot_map_close(&map);
	close(fd);
}

static int open_resources(
	const struct snapshot_resource *rows, uint32_t count, struct blocks *b, struct snapshot *s)
{
	const struct snapshot_head head = {.keybase = 9};
	struct snapshot_builder *builder = snapshot_builder_new();
	struct buffer log = {0};

	*b = (struct blocks){.main = {0}};
	for (uint32_t i = 0; i < count; i++)
		snapshot_builder_add(builder, SNAPSHOT_RESOURCE, &rows[i]);
	assert_int_equal(keytable_build(9, NULL, 0, NULL, 0, &b->base), 0);
	assert_int_equal(keytable_build(10, NULL, 0, NULL, 0, &log), 0);
	snapshot_builder_set_keylog(builder, buffer_slice(&log));
	assert_int_equal(snapshot_builder_finish(builder, &head, &b->main), 0);
	snapshot_builder_free(builder);
	buffer_fini(&log);
	return open_blocks(b, s);
}

static void resources_are_found_by_family_and_pool(void **state)
{
	struct snapshot_resource rows[] = {{1, 2, 10, 0}, {1, 3, 11, 0}, {4, 1, 12, 0}};
	struct blocks b;
	struct snapshot s;

	(void)state;
	assert_int_equal(open_resources(rows, 3, &b, &s), 0);
	assert_int_equal(snapshot_resource(&s, 1, 2), 10);
	assert_int_equal(snapshot_resource(&s, 1, 3), 11);
	assert_int_equal(snapshot_resource(&s, 4, 1), 12);
	assert_int_equal(snapshot_resource(&s, 1, 1), 0);
	assert_int_equal(snapshot_resource(&s, 4, 2), 0);
	assert_int_equal(snapshot_resource(&s, 2, 2), 0);
	free_blocks(&b);
	rows[1].pool = 2;
	assert_int_equal(open_resources(rows, 3, &b, &s), -EBADMSG);
	free_blocks(&b);
	assert_int_equal(open_resources(rows, 0, &b, &s), 0);
	assert_int_equal(snapshot_resource(&s, 1, 2), 0);
	free_blocks(&b);
}

static void an_unfinished_table_is_dropped(void **state)
{
	struct keytable_writer w;

	(void)state;
	assert_int_equal(keytable_writer_begin(&w, "test", UINT32_MAX / 4 + 1), -EFBIG);
	keytable_writer_drop(&w);
	assert_int_equal(keytable_writer_begin(&w, "test", 0), 0);
	keytable_writer_drop(&w);
	assert_int_equal(w.fd, -1);
	keytable_writer_drop(&w);
}

static void only_sealed_memory_is_mapped(void **state)
{
	struct snapshot_map map;
	struct errtext e;
	int fd = snapshot_seal("test", SLICE_LITERAL("some bytes"));

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(snapshot_map_open(fd, true, &map, &e), 0);
	assert_memory_equal(map.block, "some bytes", 10);
	assert_true(write(fd, "x", 1) < 0);
	assert_true(ftruncate(fd, 0) < 0);
	snapshot_map_close(&map);
	close(fd);
	char path[] = "/tmp/relay-test-XXXXXX";
	fd = mkstemp(path);
	assert_true(write(fd, "x", 1) == 1);
	assert_int_equal(snapshot_map_open(fd, true, &map, &e), -EBADMSG);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put_in),
		cmocka_unit_test(no_changed_byte_leads_outside),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(a_key_base_of_another_time_is_refused),
		cmocka_unit_test(ten_thousand_keys_are_all_found),
		cmocka_unit_test(a_damaged_base_has_no_keys),
		cmocka_unit_test(a_written_table_is_the_same_as_a_built_one),
		cmocka_unit_test(resources_are_found_by_family_and_pool),
		cmocka_unit_test(an_unfinished_table_is_dropped),
		cmocka_unit_test(only_sealed_memory_is_mapped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
