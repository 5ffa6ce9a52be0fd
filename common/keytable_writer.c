#include "common/keytable_writer.h"

#include "common/snapshot_layout.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_WRITER ((struct keytable_writer){.fd = -1})

static size_t aligned(size_t n)
{
	return (n + 7) / 8 * 8;
}

void keytable_writer_drop(struct keytable_writer *w)
{
	if (w->block)
		munmap(w->block, w->size);
	if (w->fd >= 0)
		close(w->fd);
	buffer_fini(&w->networks);
	*w = NO_WRITER;
}

static int map_block(struct keytable_writer *w, size_t size)
{
	if (ftruncate(w->fd, (off_t)size) < 0)
		return -errno;
	void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	if (block == MAP_FAILED)
		return -errno;
	w->block = block;
	w->size = size;
	return 0;
}

int keytable_writer_begin(struct keytable_writer *w, const char *name, uint32_t max)
{
	const size_t keys_at = aligned(sizeof(struct keytable_head));
	const size_t buckets_at = keys_at + (size_t)max * sizeof(struct snapshot_key);

	*w = NO_WRITER;
	w->max = max;
	w->bucket_count = keytable_bucket_count(max);
	if (w->bucket_count == 0)
		return -EFBIG;
	w->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error = w->fd < 0
		? -errno
		: map_block(w, aligned(buckets_at + w->bucket_count * sizeof(uint32_t)));
	if (error) {
		keytable_writer_drop(w);
		return error;
	}
	w->keys = (struct snapshot_key *)(void *)(w->block + keys_at);
	w->buckets = (uint32_t *)(void *)(w->block + buckets_at);
	return 0;
}

/* The row that is to hold this key. A new key is compared with no row: each would be a cache miss. */
static struct snapshot_key *row_for(
	struct keytable_writer *w, const uint8_t hash[RELAYKEY_HASH_LEN], bool is_new)
{
	const uint32_t mask = w->bucket_count - 1;
	uint32_t at = keytable_bucket(hash) & mask;

	for (; w->buckets[at]; at = (at + 1) & mask) {
		struct snapshot_key *row = &w->keys[w->buckets[at] - 1];
		if (!is_new && memcmp(row->hash, hash, RELAYKEY_HASH_LEN) == 0)
			return row;
	}
	if (w->count == w->max)
		return NULL;
	w->buckets[at] = w->count + 1;
	return &w->keys[w->count++];
}

int keytable_writer_add(struct keytable_writer *w, const struct snapshot_key *key,
	const struct cidr *networks, bool is_new)
{
	struct snapshot_key *row = row_for(w, key->hash, is_new);

	if (!row)
		return -EFBIG;
	*row = *key;
	row->networks.first = (uint32_t)(w->networks.len / sizeof(*networks));
	if (key->networks.count)
		buffer_append(&w->networks, networks + key->networks.first,
			key->networks.count * sizeof(*networks));
	return buffer_error(&w->networks);
}

static int write_networks(const struct keytable_writer *w)
{
	if (w->networks.len == 0)
		return 0;
	ssize_t n = pwrite(w->fd, w->networks.data, w->networks.len, (off_t)w->size);
	if (n < 0)
		return -errno;
	return (size_t)n == w->networks.len ? 0 : -EIO;
}

static void write_head(const struct keytable_writer *w, uint64_t id)
{
	struct keytable_head h = {
		.format = SNAPSHOT_FORMAT,
		.count = w->count,
		.buckets = w->bucket_count,
		.networks = (uint32_t)(w->networks.len / sizeof(struct cidr)),
		.id = id,
		.size = w->size + w->networks.len,
		.keys_offset = (uint64_t)((char *)w->keys - w->block),
		.buckets_offset = (uint64_t)((char *)w->buckets - w->block),
		.networks_offset = w->size,
	};

	memcpy(h.magic, KEYTABLE_MAGIC, sizeof(h.magic));
	memcpy(w->block, &h, sizeof(h));
}

int keytable_writer_seal(struct keytable_writer *w, uint64_t id)
{
	write_head(w, id);
	munmap(w->block, w->size); /* no writable mapping may exist when the memory is sealed */
	w->block = NULL;
	int error = write_networks(w);
	if (!error)
		error = snapshot_seal_memory(w->fd);
	int fd = w->fd;
	if (!error)
		w->fd = -1;
	keytable_writer_drop(w);
	return error ? error : fd;
}
