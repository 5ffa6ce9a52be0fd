#include "agent/pooled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pooled_init(struct pooled *p)
{
	p->rows = calloc(POOLED_ROWS, sizeof(*p->rows));
	return p->rows ? 0 : -ENOMEM;
}

void pooled_fini(struct pooled *p)
{
	free(p->rows);
	p->rows = NULL;
}

static bool is_same(struct pooled_key a, struct pooled_key b)
{
	return a.gen == b.gen && a.backend == b.backend && a.alt == b.alt;
}

/* No more connections are idle than were used within their life. A step of the clock forgets all. */
static void age(struct pooled_row *row, int64_t now_ms)
{
	int64_t ms = now_ms - row->since_ms;
	uint32_t used = 0;

	if (ms < 0 || ms >= POOLED_PERIODS * (int64_t)POOLED_PERIOD_MS)
		*row = (struct pooled_row){.key = row->key, .since_ms = now_ms};
	for (; now_ms - row->since_ms >= POOLED_PERIOD_MS; row->since_ms += POOLED_PERIOD_MS) {
		memmove(row->answers + 1, row->answers,
			sizeof(row->answers) - sizeof(row->answers[0]));
		row->answers[0] = 0;
	}
	for (size_t i = 0; i < POOLED_PERIODS; i++)
		used += row->answers[i];
	if (row->idle > used)
		row->idle = used;
}

/* The row of the pool, made if another one had its place. */
static struct pooled_row *row_of(struct pooled *p, struct pooled_key key, int64_t now_ms)
{
	uint64_t seed = key.gen << 33 ^ (uint64_t)key.backend << 1 ^ key.alt;
	struct pooled_row *row =
		&p->rows[(uint32_t)(seed * 0x9e3779b97f4a7c15u >> 32) % POOLED_ROWS];

	if (!is_same(row->key, key))
		*row = (struct pooled_row){.key = key, .since_ms = now_ms};
	age(row, now_ms);
	return row;
}

static bool has_port(const struct pooled_row *row, uint16_t port)
{
	for (size_t i = 0; port && i < POOLED_PORTS; i++) {
		if (row->ports[i] == port)
			return true;
	}
	return false;
}

static void keep_port(struct pooled_row *row, uint16_t port)
{
	row->ports[row->next_port] = port;
	row->next_port = (uint8_t)((row->next_port + 1) % POOLED_PORTS);
}

void pooled_put(
	struct pooled *p, struct pooled_key key, uint16_t port, bool was_taken, int64_t now_ms)
{
	struct pooled_row *row = row_of(p, key, now_ms);
	bool known = has_port(row, port);

	row->answered_ms = now_ms;
	if (port && (known || was_taken))
		row->is_useless = !known;
	if (port && !known)
		keep_port(row, port);
	if (row->is_useless) {
		row->idle = 0;
		return;
	}
	if (row->answers[0] < POOLED_MAX)
		row->answers[0]++;
	if (row->idle < POOLED_MAX)
		row->idle++;
}

bool pooled_take(struct pooled *p, struct pooled_key key, int64_t now_ms)
{
	struct pooled_row *row = p ? row_of(p, key, now_ms) : NULL;

	if (!row || !row->idle)
		return false;
	row->idle--;
	return true;
}

bool pooled_shares(struct pooled *p, struct pooled_key key, int64_t now_ms)
{
	const struct pooled_row *row = p ? row_of(p, key, now_ms) : NULL;

	return row && row->answered_ms && now_ms - row->answered_ms < POOLED_LIFE_MS;
}

bool pooled_knows(struct pooled *p, struct pooled_key key, uint16_t port, int64_t now_ms)
{
	return p && has_port(row_of(p, key, now_ms), port);
}
