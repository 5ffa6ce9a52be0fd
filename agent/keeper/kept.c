#include "agent/keeper/kept.h"

#include "common/board.h"
#include "common/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static int take_board(struct inherited *i)
{
	struct errtext e = {""};
	uint64_t number;
	int fd = inherited_take_named(i, INHERITED_BOARD, &number);
	struct board *b = fd >= 0 ? board_map(fd, false, &e) : NULL;

	if (fd >= 0 && !b)
		close(fd);
	if (!b)
		return -1;
	board_unmap(b);
	return fd;
}

static const char *name_of(const char *what, char out[INHERITED_NAME_MAX])
{
	snprintf(out, INHERITED_NAME_MAX, "%s%d-", what, SNAPSHOT_FORMAT);
	return out;
}

static bool take_snapshot(struct inherited *i, struct snapshots_held *ret)
{
	char name[INHERITED_NAME_MAX];
	struct snapshots_held h = {.is_proven = false};
	uint64_t version;

	h.fds[0] = inherited_take_named(i, name_of(INHERITED_SNAPSHOT, name), &h.version);
	h.fds[1] = inherited_take_named(i, name_of(INHERITED_KEYBASE, name), &version);
	if (h.fds[0] >= 0 && h.fds[1] >= 0) {
		*ret = h;
		return true;
	}
	for (size_t n = 0; n < 2; n++) {
		if (h.fds[n] >= 0)
			close(h.fds[n]);
	}
	return false;
}

bool kept_take(struct inherited *i, int *ret_board_fd, struct snapshots *s)
{
	*ret_board_fd = take_board(i);
	bool has_newest = take_snapshot(i, &s->newest);
	s->proven.is_proven = has_newest && take_snapshot(i, &s->proven);
	return *ret_board_fd >= 0 && has_newest;
}

static void hand_over_fd(struct handover *h, const char *what, uint64_t version, int *fd)
{
	char name[INHERITED_NAME_MAX];

	snprintf(name, sizeof(name), "%s%d-%" PRIu64, what, SNAPSHOT_FORMAT, version);
	handover_add(h, fd, name);
}

static void hand_over_snapshot(struct handover *h, struct snapshots_held *s)
{
	hand_over_fd(h, INHERITED_SNAPSHOT, s->version, &s->fds[0]);
	hand_over_fd(h, INHERITED_KEYBASE, s->version, &s->fds[1]);
}

void kept_hand_over(int *board_fd, struct snapshots *s, struct handover *h)
{
	handover_add(h, board_fd, INHERITED_BOARD "1");
	hand_over_snapshot(h, &s->newest);
	hand_over_snapshot(h, &s->proven);
	for (size_t n = 0; n < 2; n++)
		handover_keep(h, &s->trial.fds[n]);
}
