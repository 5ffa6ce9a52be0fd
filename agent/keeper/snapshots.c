#include "agent/keeper/snapshots.h"

#include <stddef.h>
#include <unistd.h>

static const struct snapshots_held none = {.fds = {-1, -1}};

void snapshots_init(struct snapshots *s)
{
	*s = (struct snapshots){.newest = none, .proven = none};
}

static void drop(struct snapshots_held *h)
{
	for (size_t i = 0; i < 2; i++) {
		if (h->fds[i] >= 0)
			close(h->fds[i]);
	}
	*h = none;
}

static bool is_soon(const struct snapshots *s, int64_t now_ms)
{
	return now_ms - s->used_since_ms < SNAPSHOTS_SOON_MS;
}

/* The agent stops using its version. */
static void leave(struct snapshots *s, int64_t now_ms)
{
	if (is_soon(s, now_ms))
		return;
	s->crashes = 0;
	if (s->used && s->used == s->newest.version)
		s->newest.is_proven = true;
}

void snapshots_start(struct snapshots *s, int64_t now_ms)
{
	s->used = s->newest.version;
	s->used_since_ms = now_ms;
}

void snapshots_use(struct snapshots *s, uint64_t version, int64_t now_ms)
{
	leave(s, now_ms);
	s->used = version;
	s->used_since_ms = now_ms;
}

void snapshots_keep(struct snapshots *s, uint64_t version, const int fds[2])
{
	bool is_proven = version == s->newest.version && s->newest.is_proven;

	if (version != s->newest.version && s->newest.is_proven) {
		drop(&s->proven);
		s->proven = s->newest;
	} else {
		drop(&s->newest);
	}
	s->newest = (struct snapshots_held){version, {fds[0], fds[1]}, is_proven};
	s->given_up = 0;
}

/* Without an older one the agent goes on trying: that is no worse than an agent that knows nothing. */
static bool give_up(struct snapshots *s)
{
	if (s->used == s->newest.version) {
		if (s->proven.fds[0] < 0)
			return false;
		drop(&s->newest);
		s->newest = s->proven;
		s->proven = none;
	}
	s->given_up = s->used;
	s->crashes = 0;
	return true;
}

bool snapshots_end(struct snapshots *s, bool is_fault, int64_t now_ms)
{
	leave(s, now_ms);
	if (is_fault && is_soon(s, now_ms))
		s->crashes++;
	return s->crashes >= SNAPSHOTS_CRASHES && s->used && give_up(s);
}
