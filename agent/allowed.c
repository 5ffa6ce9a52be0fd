#include "agent/allowed.h"

#include "common/callers.h"
#include "common/log.h"

#include <sys/socket.h>
#include <unistd.h>

static const char default_users[] = "haproxy, root";

static void add(struct allowed *a, uid_t uid)
{
	if (!allowed_uid(a, uid) && a->count < sizeof(a->uids) / sizeof(a->uids[0]))
		a->uids[a->count++] = uid;
}

static void add_name(struct allowed *a, struct slice name, bool configured)
{
	const struct passwd *user = callers_user(name);

	if (user)
		add(a, user->pw_uid);
	else if (configured && name.n)
		log_event(LOG_LEVEL_WARNING, "unknown user in [spop] allow_users",
			LOG_SLICE("user", name));
}

void allowed_init(struct allowed *a, const struct config *c)
{
	bool configured = c->spop_allow_users.s[0] != '\0';
	struct slice rest = slice_from_str(configured ? c->spop_allow_users.s : default_users);
	struct slice one;

	a->count = 0;
	add(a, geteuid());
	while (slice_next(&rest, ',', &one))
		add_name(a, slice_trim(one), configured);
}

bool allowed_uid(const struct allowed *a, uid_t uid)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->uids[i] == uid)
			return true;
	}
	return false;
}

bool allowed_peer(const struct allowed *a, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		allowed_uid(a, peer.uid);
}
