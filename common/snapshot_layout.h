/* Shared by the reader and the builder of snapshots only. */
#ifndef RELAY_COMMON_SNAPSHOT_LAYOUT_H
#define RELAY_COMMON_SNAPSHOT_LAYOUT_H

#include "common/snapshot.h"

#define SNAPSHOT_MAGIC "RLYSNAP\1"
#define KEYTABLE_MAGIC "RLYKEYS\1"

struct keytable_head {
	char magic[8];
	uint32_t format;
	uint32_t count;
	uint32_t buckets; /* a power of two, at least twice the count */
	uint32_t networks;
	uint64_t id;
	uint64_t size;
	uint64_t keys_offset;
	uint64_t buckets_offset;
	uint64_t networks_offset;
};

size_t snapshot_row_size(enum snapshot_section section);

/* For `count` rows; 0 = too many. */
uint32_t keytable_bucket_count(uint32_t count);
/* Seals a memfd against every change. 0 or -errno. */
int snapshot_seal_memory(int fd);

static inline uint32_t keytable_bucket(const uint8_t hash[RELAYKEY_HASH_LEN])
{
	uint32_t n;

	memcpy(&n, hash, sizeof(n));
	return n;
}

#endif
