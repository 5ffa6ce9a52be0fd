#include "agent/keeper/pairs.h"

#include "common/channel.h"

#include <stddef.h>
#include <unistd.h>

static void close_pair(int fds[2])
{
	for (size_t i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

void pairs_close(struct pairs *p)
{
	close_pair(p->to_keeper);
	close_pair(p->to_peer);
	close_pair(p->to_writer);
}

int pairs_make(bool with_writer, struct pairs *ret)
{
	struct pairs p = {{-1, -1}, {-1, -1}, {-1, -1}};
	int error = channel_pair(p.to_keeper);

	if (!error)
		error = channel_pair(p.to_peer);
	if (!error && with_writer)
		error = channel_pair(p.to_writer);
	if (error) {
		pairs_close(&p);
		return error;
	}
	*ret = p;
	return 0;
}
