#include "agent/bans.h"

#include "common/log.h"

#include <errno.h>
#include <openssl/rand.h>

static uint64_t bans_written(const struct agent *a)
{
	return atomic_load_explicit(&a->board->bans_written, memory_order_relaxed);
}

/* The snapshot's `bans_taken` says which of these control has taken since. */
static void restore(struct agent *a)
{
	uint64_t end = bans_written(a);
	struct board_ban ban;

	for (uint64_t n = end > BOARD_BANS ? end - BOARD_BANS : 0; n < end; n++) {
		if (board_read_ban(a->board, n, &ban) == 0)
			badkeys_ban(&a->badkeys, n, &ban.network, ban.expires_ms);
	}
}

int bans_start(struct agent *a)
{
	uint8_t seed[SIPHASH_KEY_LEN];

	if (RAND_bytes(seed, sizeof(seed)) != 1)
		return -EIO;
	int error = badkeys_init(&a->badkeys, seed);
	if (!error)
		error = sharing_init(&a->sharing, seed);
	if (error)
		return error;
	a->state.badkeys = &a->badkeys;
	restore(a);
	return 0;
}

void bans_stop(struct agent *a)
{
	badkeys_fini(&a->badkeys);
	sharing_fini(&a->sharing);
}

/* A ban of these would hit others than the sender. */
static enum board_spared spared(
	const struct agent *a, const struct ip *src, const struct cidr *network, int64_t now_ms)
{
	const struct snapshot *s = a->snapshot;
	const struct cidr *trusted = SNAPSHOT_ROWS(s, TRUSTED, struct cidr);
	uint32_t count = s->counts[SNAPSHOT_TRUSTED];

	if (ip_is_loopback(src))
		return BOARD_SPARED_LOOPBACK;
	if (count && cidr_list_allows(trusted, count, src))
		return BOARD_SPARED_TRUSTED;
	return sharing_is_shared(&a->sharing, network, now_ms) ? BOARD_SPARED_SHARED
							       : BOARD_SPARED_NOT;
}

static void pronounce(struct agent *a, const struct ip *src, uint32_t bad_keys, int64_t now_ms)
{
	uint64_t ban_ms = a->snapshot->head->options.ban_ms;
	struct board_ban ban = {.network = badkeys_network(src), .bad_keys = bad_keys};
	char network[CIDR_TEXT_SIZE];

	ban.spared = spared(a, src, &ban.network, now_ms);
	if (ban.spared == BOARD_SPARED_NOT)
		ban.expires_ms = now_ms + (int64_t)ban_ms;
	/* a spared one too: numbers are those of the board */
	badkeys_ban(&a->badkeys, bans_written(a), &ban.network, ban.expires_ms);
	board_put_ban(a->board, &ban);
	cidr_format(&ban.network, network);
	if (ban.spared != BOARD_SPARED_NOT) {
		log_event(LOG_LEVEL_WARNING, "many bad keys from an address that is not banned",
			LOG_STR("network", network), LOG_INT("bad_keys", bad_keys));
		return;
	}
	board_add(&a->board->counters[BOARD_BANNED], 1);
	log_event(LOG_LEVEL_WARNING, "address banned for bad keys", LOG_STR("network", network),
		LOG_INT("bad_keys", bad_keys), LOG_INT("seconds", ban_ms / 1000));
}

static void note_good(struct agent *a, const struct decide_request *r,
	const struct decide_verdict *v, int64_t now_ms)
{
	if (!r->has_src || !v->tenant || !a->snapshot->head->options.bad_keys_max)
		return;
	const struct cidr network = badkeys_network(&r->src);
	sharing_note(&a->sharing, &network, v->tenant->id, now_ms);
}

void bans_note(struct agent *a, const struct decide_request *r, const struct decide_verdict *v,
	int64_t now_ms)
{
	const struct snapshot_head *head = a->snapshot->head;

	if (v->bad_key.n == 0) {
		note_good(a, r, v, now_ms);
		return;
	}
	if (v->bad_key_cached)
		board_add(&a->board->counters[BOARD_BAD_KEY_CACHED], 1);
	if (v->bad_key_unknown)
		badkeys_cache(&a->badkeys, v->bad_key, head->version);
	if (!r->has_src)
		return;
	uint32_t bad_keys =
		badkeys_note(&a->badkeys, &r->src, v->bad_key, now_ms, head->options.bad_keys_max);
	if (bad_keys)
		pronounce(a, &r->src, bad_keys, now_ms);
}
