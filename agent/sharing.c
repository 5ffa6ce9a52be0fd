#include "agent/sharing.h"

#include "common/step.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int sharing_init(struct sharing *s, const uint8_t seed[SIPHASH_KEY_LEN])
{
	*s = (struct sharing){.sources = calloc(SHARING_SOURCES, sizeof(struct sharing_source))};
	memcpy(s->seed, seed, sizeof(s->seed));
	return s->sources ? 0 : -ENOMEM;
}

void sharing_fini(struct sharing *s)
{
	free(s->sources);
	*s = (struct sharing){.sources = NULL};
}

static uint64_t hash_of(const struct sharing *s, const struct cidr *network)
{
	return siphash(s->seed, (struct slice){(const char *)network->ip.b, sizeof(network->ip.b)});
}

static uint32_t last_use(const struct sharing_source *row)
{
	return row->used_s[0] > row->used_s[1] ? row->used_s[0] : row->used_s[1];
}

/* The row of the hash; else NULL, and `ret_place` is the one to replace. */
static struct sharing_source *find(
	const struct sharing *s, uint64_t hash, struct sharing_source **ret_place)
{
	struct sharing_source *ways =
		s->sources + hash % (SHARING_SOURCES / SHARING_WAYS) * SHARING_WAYS;

	*ret_place = ways;
	for (size_t i = 0; i < SHARING_WAYS; i++) {
		if (ways[i].hash == hash && last_use(&ways[i]))
			return &ways[i];
		if (last_use(&ways[i]) < last_use(*ret_place))
			*ret_place = &ways[i];
	}
	return NULL;
}

void sharing_shift(struct sharing *s, int64_t step_ms, int64_t now_ms)
{
	for (size_t i = 0; i < SHARING_SOURCES; i++) {
		for (size_t n = 0; n < 2; n++) {
			uint32_t *used_s = &s->sources[i].used_s[n];
			int64_t used_ms = *used_s * (int64_t)1000;
			*used_s = (uint32_t)(step_move(used_ms, step_ms, now_ms) / 1000);
		}
	}
}

void sharing_note(struct sharing *s, const struct cidr *network, uint32_t tenant, int64_t now_ms)
{
	struct sharing_source *place;
	uint64_t hash = hash_of(s, network);
	struct sharing_source *row = find(s, hash, &place);

	if (!row) {
		row = place;
		*row = (struct sharing_source){.hash = hash};
	}
	size_t i = row->tenant[1] == tenant ||
		(row->tenant[0] != tenant && row->used_s[1] < row->used_s[0]);
	row->tenant[i] = tenant;
	row->used_s[i] = (uint32_t)(now_ms / 1000);
}

bool sharing_is_shared(const struct sharing *s, const struct cidr *network, int64_t now_ms)
{
	struct sharing_source *place;
	const struct sharing_source *row = find(s, hash_of(s, network), &place);
	int64_t since = now_ms / 1000 - SHARING_WINDOW_S;

	return row && row->tenant[0] && row->tenant[1] && row->used_s[0] >= since &&
		row->used_s[1] >= since;
}
