#include "common/snapshot_layout.h"

#include <errno.h>
#include <stdlib.h>

struct snapshot_builder {
	struct buffer sections[SNAPSHOT_SECTION_COUNT];
};

struct snapshot_builder *snapshot_builder_new(void)
{
	struct snapshot_builder *b = calloc(1, sizeof(*b));

	for (size_t i = 0; b && i < SNAPSHOT_SECTION_COUNT; i++)
		buffer_init(&b->sections[i], SNAPSHOT_SIZE_MAX);
	return b;
}

void snapshot_builder_free(struct snapshot_builder *b)
{
	for (size_t i = 0; b && i < SNAPSHOT_SECTION_COUNT; i++)
		buffer_fini(&b->sections[i]);
	free(b);
}

struct snapshot_text snapshot_builder_text(struct snapshot_builder *b, struct slice s)
{
	struct buffer *texts = &b->sections[SNAPSHOT_TEXT];
	struct snapshot_text t = {.len = (uint32_t)s.n};

	if (s.n <= texts->len && s.n && memcmp(texts->data + texts->len - s.n, s.p, s.n) == 0) {
		t.offset = (uint32_t)(texts->len - s.n);
		return t;
	}
	t.offset = (uint32_t)texts->len;
	buffer_append_slice(texts, s);
	return t;
}

uint32_t snapshot_builder_add(
	struct snapshot_builder *b, enum snapshot_section section, const void *row)
{
	uint32_t index = snapshot_builder_count(b, section);

	buffer_append(&b->sections[section], row, snapshot_row_size(section));
	return index;
}

uint32_t snapshot_builder_count(const struct snapshot_builder *b, enum snapshot_section section)
{
	return (uint32_t)(b->sections[section].len / snapshot_row_size(section));
}

void snapshot_builder_set_keylog(struct snapshot_builder *b, struct slice keytable)
{
	buffer_clear(&b->sections[SNAPSHOT_KEYLOG]);
	buffer_append_slice(&b->sections[SNAPSHOT_KEYLOG], keytable);
}

static void align(struct buffer *out)
{
	buffer_extend(out, (8 - out->len % 8) % 8);
}

int snapshot_builder_finish(
	struct snapshot_builder *b, const struct snapshot_head *head, struct buffer *out)
{
	struct snapshot_head h = *head;

	align(out);
	size_t start = buffer_extend(out, sizeof(h));
	for (size_t i = 0; i < SNAPSHOT_SECTION_COUNT; i++) {
		if (buffer_error(&b->sections[i]))
			return buffer_error(&b->sections[i]);
		align(out);
		h.sections[i].offset = out->len - start;
		h.sections[i].count = snapshot_builder_count(b, (enum snapshot_section)i);
		buffer_append_slice(out, buffer_slice(&b->sections[i]));
	}
	align(out);
	if (buffer_error(out))
		return buffer_error(out);
	memcpy(h.magic, SNAPSHOT_MAGIC, sizeof(h.magic));
	h.format = SNAPSHOT_FORMAT;
	h.size = out->len - start;
	memcpy(out->data + start, &h, sizeof(h));
	explicit_bzero(&h, sizeof(h));
	return 0;
}

static void fill_buckets(
	uint32_t *buckets, uint32_t mask, const struct snapshot_key *keys, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = keytable_bucket(keys[i].hash) & mask;
		while (buckets[at] &&
			memcmp(keys[buckets[at] - 1].hash, keys[i].hash, RELAYKEY_HASH_LEN) != 0)
			at = (at + 1) & mask;
		buckets[at] = i + 1;
	}
}

uint32_t keytable_bucket_count(uint32_t count)
{
	uint32_t buckets = 8;

	if (count > UINT32_MAX / 4)
		return 0;
	while (buckets < count * 2)
		buckets *= 2;
	return buckets;
}

int keytable_build(uint64_t id, const struct snapshot_key *keys, uint32_t count,
	const struct cidr *networks, uint32_t network_count, struct buffer *out)
{
	struct keytable_head h = {.format = SNAPSHOT_FORMAT,
		.count = count,
		.id = id,
		.networks = network_count,
		.buckets = keytable_bucket_count(count)};

	if (h.buckets == 0)
		return -EFBIG;
	align(out);
	size_t start = buffer_extend(out, sizeof(h));
	h.keys_offset = out->len - start;
	buffer_append(out, keys, count * sizeof(*keys));
	align(out);
	h.networks_offset = out->len - start;
	buffer_append(out, networks, network_count * sizeof(*networks));
	align(out);
	h.buckets_offset = out->len - start;
	size_t buckets = buffer_extend(out, h.buckets * sizeof(uint32_t));
	align(out);
	if (buffer_error(out))
		return buffer_error(out);
	fill_buckets((uint32_t *)(void *)(out->data + buckets), h.buckets - 1, keys, count);
	memcpy(h.magic, KEYTABLE_MAGIC, sizeof(h.magic));
	h.size = out->len - start;
	memcpy(out->data + start, &h, sizeof(h));
	return 0;
}
