#include "agent/keeper/snapshots.h"

#include <stddef.h>
#include <unistd.h>

static const struct snapshots_held none = {.fds = {-1, -1}};

void snapshots_init(struct snapshots *s)
{
	*s = (struct snapshots){.newest = none, .trial = none, .proven = none};
}

static bool is_held(const struct snapshots_held *h)
{
	return h->fds[0] >= 0;
}

static void drop(struct snapshots_held *h)
{
	for (size_t i = 0; i < 2; i++) {
		if (h->fds[i] >= 0)
			close(h->fds[i]);
	}
	*h = none;
}

static void move(struct snapshots_held *to, struct snapshots_held *from)
{
	drop(to);
	*to = *from;
	*from = none;
}

static bool is_over(int64_t since_ms, int64_t now_ms)
{
	return now_ms - since_ms >= SNAPSHOTS_SOON_MS;
}

/* The agent has lived until now. */
static void prove(struct snapshots *s, int64_t now_ms)
{
	if (is_over(s->started_ms, now_ms))
		s->crashes = 0;
	if (is_held(&s->newest) && is_over(s->newest.since_ms, now_ms))
		s->newest.is_proven = true;
	if (!is_held(&s->trial) || !is_over(s->trial.since_ms, now_ms))
		return;
	s->trial.is_proven = true;
	move(&s->proven, &s->trial);
}

void snapshots_start(struct snapshots *s, int64_t now_ms)
{
	s->started_ms = now_ms;
	s->used = s->newest.version;
	s->used_since_ms = now_ms;
	s->newest.since_ms = s->trial.since_ms = now_ms;
}

void snapshots_use(struct snapshots *s, uint64_t version, int64_t now_ms)
{
	prove(s, now_ms);
	s->used = version;
	s->used_since_ms = now_ms;
}

static void make_room(struct snapshots *s)
{
	if (s->newest.is_proven) {
		drop(&s->trial);
		move(&s->proven, &s->newest);
	} else if (!is_held(&s->trial)) {
		move(&s->trial, &s->newest);
	} else {
		drop(&s->newest);
	}
}

void snapshots_keep(struct snapshots *s, uint64_t version, const int fds[2], int64_t now_ms)
{
	struct snapshots_held fresh = {version, {fds[0], fds[1]}, now_ms, false};

	prove(s, now_ms);
	if (is_held(&s->newest) && version == s->newest.version) {
		fresh.since_ms = s->newest.since_ms;
		fresh.is_proven = s->newest.is_proven;
		drop(&s->newest);
	} else {
		make_room(s);
	}
	s->newest = fresh;
	s->given_up = 0;
}

/* Without an older one the agent goes on trying: that is no worse than an agent that knows nothing. */
static bool give_up(struct snapshots *s)
{
	if (s->used == s->newest.version) {
		if (!is_held(&s->proven))
			return false;
		drop(&s->trial);
		move(&s->newest, &s->proven);
	}
	s->given_up = s->used;
	s->crashes = 0;
	return true;
}

bool snapshots_end(struct snapshots *s, bool is_fault, int64_t now_ms)
{
	prove(s, now_ms);
	if (is_fault && !is_over(s->used_since_ms, now_ms))
		s->crashes++;
	return s->crashes >= SNAPSHOTS_CRASHES && s->used && give_up(s);
}
