/*
 * The snapshot: configuration and accounts as the agent needs them, immutable, in one flat block that
 * control builds, seals in a memfd and hands to the agent. The key table is a separate block.
 *
 * Rows are fixed-size and refer to each other by index; keys refer by id, because the key base
 * outlives snapshots. snapshot_open() checks every reference once, so that readers need no checks. The rows
 * of the base are checked by snapshot_key() instead: a million keys cost nothing when a snapshot is opened.
 * Ids are the store's; they are never reused. All integers are in host order: a snapshot never
 * leaves the machine.
 */
#ifndef RELAY_COMMON_SNAPSHOT_H
#define RELAY_COMMON_SNAPSHOT_H

#include "common/buffer.h"
#include "common/config_rows.h"
#include "common/errtext.h"
#include "common/ip.h"
#include "common/relaykey.h"
#include "common/siphash.h"
#include "common/slice.h"

#include <stdint.h>
#include <sys/types.h>

#define SNAPSHOT_FORMAT 8
#define SNAPSHOT_SIZE_MAX ((size_t)1 << 30)

struct snapshot_text {
	uint32_t offset; /* into SNAPSHOT_TEXT */
	uint32_t len;
};

/* `count` consecutive rows of another section, from index `first` */
struct snapshot_range {
	uint32_t first;
	uint32_t count;
};

/* 0 = unlimited everywhere */
struct snapshot_limits {
	uint32_t rps, rpm, rph, concurrency;
	uint32_t daily, monthly;
};

enum snapshot_wait {
	SNAPSHOT_WAIT_REFUSE,
	SNAPSHOT_WAIT_BOUNDED,
	SNAPSHOT_WAIT_FOREVER,
};

#define SNAPSHOT_TENANT_ENABLED 1u
#define SNAPSHOT_TENANT_SHADOW 2u
#define SNAPSHOT_TENANT_OWN 4u /* belongs to the operator: served in self-use mode too */

struct snapshot_tenant {
	uint32_t id;
	uint32_t flags;
	uint32_t pool_id; /* 0 = none */
	uint32_t wait;	  /* enum snapshot_wait */
	uint64_t wait_ms;
	struct snapshot_text name;
	struct snapshot_range networks; /* allow list in SNAPSHOT_NETWORK; empty = all */
	struct snapshot_limits limits;
};

enum snapshot_strategy {
	SNAPSHOT_STRATEGY_STICKY,
	SNAPSHOT_STRATEGY_LEAST_LOADED,
	SNAPSHOT_STRATEGY_ROUND_ROBIN,
};

#define SNAPSHOT_POOL_SHARED 1u /* keys of several tenants use it */
/* Resources of its accounts are served: they serve one tenant only, or the operator shares them. */
#define SNAPSHOT_POOL_RESOURCES 2u

enum snapshot_sticky {
	SNAPSHOT_STICKY_SOFT,
	SNAPSHOT_STICKY_HARD,
	SNAPSHOT_STICKY_FREE,
};

struct snapshot_pool {
	uint32_t id;
	uint32_t strategy; /* enum snapshot_strategy */
	uint32_t sticky;   /* enum snapshot_sticky */
	uint32_t upstream; /* index */
	uint32_t flags;	   /* SNAPSHOT_POOL_* */
	uint32_t pad;
	uint64_t wait_ms;
	struct snapshot_text name;
	struct snapshot_range members; /* of SNAPSHOT_MEMBER: account indexes */
};

#define SNAPSHOT_ACCOUNT_SUSPENDED 1u
#define SNAPSHOT_ACCOUNT_NO_CREDENTIAL 2u
#define SNAPSHOT_ACCOUNT_REFRESHABLE 4u /* control renews a refused credential */
#define SNAPSHOT_ACCOUNT_NEEDS_LOGIN 8u /* its refresh token is used up */

struct snapshot_account {
	uint32_t id;
	uint32_t flags;
	uint32_t upstream; /* index */
	uint32_t auth;	   /* place of its row: provider_auth_at() */
	uint32_t weight;   /* 1..1000 */
	uint32_t max_consecutive;
	uint32_t pace_min_ms, pace_max_ms;
	int64_t expires_ms; /* of the credential, Unix time; 0 = never */
	struct snapshot_text name;
	struct snapshot_text region;
	struct snapshot_text credential;
	/*
	 * Of SNAPSHOT_ACCOUNT_EGRESS and SNAPSHOT_HEADER, of all its sets: each generation from
	 * first_gen on uses the rows that hold it. Egresses of a generation are in order of preference.
	 */
	struct snapshot_range egresses;
	struct snapshot_range headers;
	uint64_t first_gen; /* no older HAProxy knows what the account needs */
	struct snapshot_limits limits;
	uint64_t credential_generation;
	uint32_t epoch; /* rises with `accounts reset` and `resume` */
	uint32_t pad;
};

/*
 * An egress that an account has in the generations first_gen..last_gen, and all backends that were ever
 * made for it, newest first.
 */
struct snapshot_account_egress {
	uint32_t egress; /* index */
	uint32_t pad;
	struct snapshot_range backends;
	uint64_t first_gen;
	uint64_t last_gen; /* UINT64_MAX in the newest set */
};

/* A HAProxy backend for one (upstream, egress), known to the generations first_gen..last_gen. */
struct snapshot_backend {
	uint32_t id;
	uint32_t egress; /* index */
	uint64_t first_gen;
	uint64_t last_gen; /* UINT64_MAX while it is current */
	struct snapshot_text name;
	struct snapshot_text
		prefix; /* put before the path; empty or starts with '/', no '/' at its end */
	struct snapshot_text strip; /* removed from the path first; same form */
};

/* An extra header that an account has in the generations first_gen..last_gen, which know its variable. */
struct snapshot_header {
	struct snapshot_text variable; /* h_XXXXXXXX */
	struct snapshot_text value;
	uint64_t first_gen;
	uint64_t last_gen; /* UINT64_MAX in the newest set */
};

static inline bool snapshot_gen_within(uint64_t gen, uint64_t first, uint64_t last)
{
	return gen >= first && gen <= last;
}

#define SNAPSHOT_EGRESS_SUSPENDED 1u

struct snapshot_egress {
	uint32_t id;
	uint32_t flags;
	uint32_t epoch; /* as an account's, for all backends of this egress */
	uint32_t pad;
	struct snapshot_text name;
	struct snapshot_text region;
};

/* An address or network whose requests are refused. */
struct snapshot_ban {
	struct cidr network;
	int64_t expires_ms; /* Unix time; 0 = never */
};

#define SNAPSHOT_UPSTREAM_PROBED 1u    /* control probes its accounts */
#define SNAPSHOT_UPSTREAM_WEBSOCKET 2u /* WebSockets may go to it */
#define SNAPSHOT_UPSTREAM_HTTP2 4u     /* HAProxy speaks HTTP/2 with it */

struct snapshot_upstream {
	uint32_t id;
	uint32_t provider; /* place of its row: provider_at() */
	uint32_t flags;	   /* SNAPSHOT_UPSTREAM_* */
	uint32_t pad;
	struct snapshot_text name;
	struct snapshot_text prefix, strip; /* as in its newest backend */
};

/* The account of the resources of a key family in a pool, of which it is a member. */
struct snapshot_resource {
	uint32_t family;
	uint32_t pool;
	uint32_t account; /* ids */
	uint32_t pad;
};

#define SNAPSHOT_KEY_REVOKED 1u

struct snapshot_key {
	uint8_t hash[RELAYKEY_HASH_LEN];
	uint32_t id;
	uint32_t tenant_id;
	uint32_t pool_id; /* 0 = the tenant's */
	uint32_t flags;
	uint32_t family; /* id of the first key in a chain of rotations; 0 = this key */
	uint32_t pad;
	int64_t expires_ms;		/* Unix time; 0 = never */
	struct snapshot_range networks; /* of the key table's own networks */
	struct snapshot_limits limits;
};

/* section, row type */
#define SNAPSHOT_SECTIONS(X)                                                                       \
	X(TEXT, char)                                                                              \
	X(NETWORK, struct cidr)                                                                    \
	X(TENANT, struct snapshot_tenant) /* sorted by id */                                       \
	X(POOL, struct snapshot_pool)	  /* sorted by id */                                       \
	X(MEMBER, uint32_t)                                                                        \
	X(ACCOUNT, struct snapshot_account) /* sorted by id */                                     \
	X(ACCOUNT_EGRESS, struct snapshot_account_egress)                                          \
	X(BACKEND, struct snapshot_backend)                                                        \
	X(HEADER, struct snapshot_header)                                                          \
	X(EGRESS, struct snapshot_egress)                                                          \
	X(UPSTREAM, struct snapshot_upstream)                                                      \
	X(BAN, struct snapshot_ban)	      /* sorted by ban_order() */                          \
	X(RESOURCE, struct snapshot_resource) /* sorted by family and pool */                      \
	X(TRUSTED, struct cidr) /* networks of proxies that tell the client's address */           \
	X(STICKY,                                                                                  \
		struct snapshot_text) /* conversation headers in their order, in small letters */  \
	X(KEYLOG, char)		      /* one key table: keys made or changed since the base */

enum snapshot_section {
#define X(id, type) SNAPSHOT_##id,
	SNAPSHOT_SECTIONS(X)
#undef X
		SNAPSHOT_SECTION_COUNT
};

#define SNAPSHOT_SITE_ENABLED 1u
#define SNAPSHOT_SITE_SELF_USE 2u /* only tenants with SNAPSHOT_TENANT_OWN */
#define SNAPSHOT_SECRET_BY_GEN 4u /* records carry record_secret() of it, not the secret */

/* The options of the configuration that the agent reads: the rows AGENT of config_rows.h. */
#define SNAPSHOT_OPTION_RESTART(field)
#define SNAPSHOT_OPTION_RELOAD(field)
#define SNAPSHOT_OPTION_AGENT(field) uint64_t field;
struct snapshot_options {
#define X(section, key, field, type, range, fallback, when, help) SNAPSHOT_OPTION_##when(field)
	CONFIG_ROWS(X)
#undef X
};

struct snapshot_head {
	char magic[8];
	uint32_t format;
	uint32_t flags;	  /* SNAPSHOT_SITE_*, SNAPSHOT_SECRET_BY_GEN */
	uint64_t size;	  /* of the whole block */
	uint64_t version; /* rises with every change of the store */
	uint64_t keybase; /* id of its key base */
	int64_t created_ms;
	uint8_t hash_secret[RELAYKEY_SECRET_LEN];
	char secret[136];    /* of records on UDP and questions on TCP; NUL-terminated */
	char node_id[64];    /* NUL-terminated */
	char region[64];     /* of this node; NUL-terminated, empty = none */
	uint64_t bans_taken; /* number of board bans that the section BAN includes */
	struct snapshot_options options;
	struct {
		uint64_t offset; /* multiple of 8 */
		uint64_t count;	 /* rows */
	} sections[SNAPSHOT_SECTION_COUNT];
};

/* A key table, in a snapshot (the log) or in a separate block (the base). */
struct keytable {
	const struct snapshot_key *keys;
	const uint32_t *buckets; /* open addressing; index + 1, 0 = empty */
	const struct cidr *networks;
	uint32_t count;
	uint32_t bucket_mask;
	uint32_t network_count;
	uint64_t id;
};

/* A checked snapshot with its key base. Points into the two blocks, which outlive it. */
struct snapshot {
	const struct snapshot_head *head;
	const void *sections[SNAPSHOT_SECTION_COUNT];
	uint32_t counts[SNAPSHOT_SECTION_COUNT];
	struct keytable log;
	struct keytable base;
	struct relaykey_hasher hasher;
	uint8_t conversation_key[SIPHASH_KEY_LEN]; /* of the hashes of conversations */
};

/*
 * Checks the snapshot completely, and of the base only the head, whatever its size. 0, or -EBADMSG with the
 * reason.
 */
int snapshot_open(const void *block, size_t size, const void *base, size_t base_size,
	struct snapshot *ret, struct errtext *e);
/* Checks the head of a key table. */
int keytable_open(const void *block, size_t size, struct keytable *ret, struct errtext *e);

struct slice snapshot_text(const struct snapshot *s, struct snapshot_text t);
const struct snapshot_tenant *snapshot_tenant(const struct snapshot *s, uint32_t id);
const struct snapshot_pool *snapshot_pool(const struct snapshot *s, uint32_t id);
/* NULL when there is none. */
const struct snapshot_account *snapshot_account_by_id(const struct snapshot *s, uint32_t id);
/* Id of the account that has the resources of a key family in this pool; 0 = none. */
uint32_t snapshot_resource(const struct snapshot *s, uint32_t family, uint32_t pool);
/*
 * The newest row of a key: from the log, else from the base. `ret_table` owns its networks. NULL when there
 * is none, or a damaged one.
 */
const struct snapshot_key *snapshot_key(const struct snapshot *s,
	const uint8_t hash[RELAYKEY_HASH_LEN], const struct keytable **ret_table);

#define SNAPSHOT_ROWS(s, SECTION, type) ((const type *)(s)->sections[SNAPSHOT_##SECTION])

/* --- sealed memory --- */

/* A sealed memfd with these bytes: descriptor or -errno. */
int snapshot_seal(const char *name, struct slice block);
struct snapshot_map {
	const void *block;
	size_t size;
	dev_t device; /* with the inode: which memfd it is */
	ino_t inode;
};
/*
 * Maps a memfd read-only, `whole` with all its pages at once. Checks its seals first: no other process can
 * change or truncate it.
 */
int snapshot_map_open(int fd, bool whole, struct snapshot_map *ret, struct errtext *e);
/* Whether this descriptor is the memory that is mapped. */
bool snapshot_map_is_of(const struct snapshot_map *m, int fd);
void snapshot_map_close(struct snapshot_map *m);

/* --- building --- */

struct snapshot_builder;

/* NULL when out of memory. */
struct snapshot_builder *snapshot_builder_new(void);
void snapshot_builder_free(struct snapshot_builder *b);
/* Errors stick and are returned by snapshot_builder_finish(). Equal texts are stored once only when adjacent. */
struct snapshot_text snapshot_builder_text(struct snapshot_builder *b, struct slice s);
/* Appends one row of `section` (any but TEXT and KEYLOG); returns its index. */
uint32_t snapshot_builder_add(
	struct snapshot_builder *b, enum snapshot_section section, const void *row);
uint32_t snapshot_builder_count(const struct snapshot_builder *b, enum snapshot_section section);
void snapshot_builder_set_keylog(struct snapshot_builder *b, struct slice keytable);
/* `head` gives everything but magic, format, size and sections. Appends the block to `out`. */
int snapshot_builder_finish(
	struct snapshot_builder *b, const struct snapshot_head *head, struct buffer *out);

/*
 * Appends a key table to `out`. Ranges of `keys` index `networks`. Of two keys with the same hash the
 * later one counts. 0, -ENOMEM, -EFBIG.
 */
int keytable_build(uint64_t id, const struct snapshot_key *keys, uint32_t count,
	const struct cidr *networks, uint32_t network_count, struct buffer *out);

#endif
