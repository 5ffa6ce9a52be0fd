/*
 * The users of HAProxy's processes, which use the sockets between HAProxy and the relay. They are those of
 * `[spop] allow_users`; without that option the user `haproxy`, or nobody if the relay runs without
 * root. Root and the relay's own users need no permission and do not count.
 */
#ifndef RELAY_COMMON_CALLERS_H
#define RELAY_COMMON_CALLERS_H

#include "common/config.h"
#include "common/slice.h"

#include <pwd.h>
#include <stdbool.h>
#include <sys/types.h>

enum callers_count {
	CALLERS_NONE, /* HAProxy runs as root or as our user */
	CALLERS_ONE,
	CALLERS_SEVERAL,
};

struct callers {
	enum callers_count count;
	uid_t uid; /* the first; HAProxy's internal sockets belong to it. Unset with CALLERS_NONE */
	gid_t gid;
};

/* The user of a name in `[spop] allow_users`; NULL if there is none. Valid until the next call. */
const struct passwd *callers_user(struct slice name);
/* `as_root`: root has started the relay. Names that do not exist are left out. */
void callers_find(const struct config *c, bool as_root, struct callers *ret);

#endif
