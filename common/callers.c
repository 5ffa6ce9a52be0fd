#include "common/callers.h"

#include <string.h>
#include <unistd.h>

static const char default_user[] = "haproxy";

static bool is_ours(const struct config *c, bool as_root, const struct passwd *user)
{
	if (user->pw_uid == 0)
		return true;
	if (!as_root)
		return user->pw_uid == geteuid();
	return strcmp(user->pw_name, c->user.s) == 0 || strcmp(user->pw_name, c->agent_user.s) == 0;
}

const struct passwd *callers_user(struct slice name)
{
	char text[64];

	if (name.n == 0 || name.n >= sizeof(text))
		return NULL;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return getpwnam(text);
}

static void add(const struct config *c, bool as_root, struct slice name, struct callers *all)
{
	const struct passwd *user = callers_user(name);

	if (!user || is_ours(c, as_root, user))
		return;
	if (all->count == CALLERS_NONE)
		*all = (struct callers){CALLERS_ONE, user->pw_uid, user->pw_gid};
	else if (user->pw_uid != all->uid)
		all->count = CALLERS_SEVERAL;
}

void callers_find(const struct config *c, bool as_root, struct callers *ret)
{
	const char *fallback = as_root ? default_user : "";
	const char *names = c->spop_allow_users.s[0] ? c->spop_allow_users.s : fallback;
	struct slice rest = slice_from_str(names);
	struct slice one;

	*ret = (struct callers){.count = CALLERS_NONE};
	while (slice_next(&rest, ',', &one))
		add(c, as_root, slice_trim(one), ret);
}
