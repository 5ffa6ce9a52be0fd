#include "agent/senders.h"

#include "common/log.h"

#include <errno.h>
#include <string.h>

void senders_init(struct senders *s, int fd, const struct allowed *allowed)
{
	*s = (struct senders){.allowed = allowed};
	s->is_blind = sockowner_open(&s->owner, fd, SOCKOWNER_NETLINK) &&
		sockowner_open(&s->owner, fd, SOCKOWNER_LISTS);
	s->others_exist = !ip_is_loopback(&s->owner.receiver.ip);
	if (s->is_blind)
		log_write(LOG_LEVEL_WARNING,
			"the kernel does not show who sends end records: only their secret is checked",
			NULL);
}

void senders_fini(struct senders *s)
{
	if (s->allowed) /* else it was never begun */
		sockowner_close(&s->owner);
}

static bool is_same(const struct sender *row, const struct sockowner_address *a)
{
	return row->address.port == a->port && memcmp(&row->address.ip, &a->ip, sizeof(a->ip)) == 0;
}

static struct sender *find(struct senders *s, const struct sockowner_address *a)
{
	if (s->last < s->count && is_same(&s->rows[s->last], a))
		return &s->rows[s->last];
	for (size_t i = 0; i < s->count; i++) {
		if (is_same(&s->rows[i], a)) {
			s->last = i;
			return &s->rows[i];
		}
	}
	return NULL;
}

static void drop(struct senders *s, struct sender *row)
{
	*row = s->rows[--s->count];
}

static void keep(struct senders *s, const struct sockowner_address *a, int64_t now_ms)
{
	if (s->count < SENDERS_MAX)
		s->rows[s->count++] = (struct sender){*a, now_ms};
}

enum look {
	LOOK_ALLOWED,
	LOOK_REFUSED,
	LOOK_UNSEEN, /* no socket has this address, or the kernel does not say */
};

static enum look look_up(struct senders *s, const struct sockowner_address *a)
{
	struct sockowner_socket found;

	if (sockowner_find(&s->owner, a, &found))
		return LOOK_UNSEEN;
	return found.uid == 0 || allowed_uid(s->allowed, found.uid) ? LOOK_ALLOWED : LOOK_REFUSED;
}

static enum senders_verdict verdict_of_gone(
	const struct senders *s, const struct sender *row, int64_t now_ms)
{
	bool believed = row ? now_ms - row->seen_ms < SENDERS_GONE_MS : s->others_exist;

	return believed ? SENDERS_ALLOWED : SENDERS_GONE;
}

enum senders_verdict senders_judge(struct senders *s, const struct sockaddr *from, int64_t now_ms)
{
	struct sockowner_address a;

	if (s->is_blind)
		return SENDERS_ALLOWED;
	if (sockowner_address(from, &a))
		return SENDERS_REFUSED;
	struct sender *row = find(s, &a);
	if (row && now_ms - row->seen_ms < SENDERS_RECHECK_MS)
		return SENDERS_ALLOWED;
	switch (look_up(s, &a)) {
	case LOOK_ALLOWED:
		if (row)
			row->seen_ms = now_ms;
		else
			keep(s, &a, now_ms);
		return SENDERS_ALLOWED;
	case LOOK_REFUSED:
		if (row)
			drop(s, row);
		return SENDERS_REFUSED;
	case LOOK_UNSEEN:
		break;
	}
	return verdict_of_gone(s, row, now_ms);
}

void senders_sweep(struct senders *s, int64_t now_ms)
{
	for (size_t i = s->count; i-- > 0;) {
		struct sender *row = &s->rows[i];
		enum look look = look_up(s, &row->address);
		if (look == LOOK_ALLOWED)
			row->seen_ms = now_ms;
		else if (look == LOOK_REFUSED || now_ms - row->seen_ms >= SENDERS_GONE_MS)
			drop(s, row);
	}
}
