#include "agent/keeper/trial.h"

#include "agent/keeper/firstrun.h"
#include "agent/keeper/identity.h"
#include "agent/keeper/inherited.h"
#include "agent/keeper/kept.h"
#include "agent/keeper/listeners.h"
#include "common/statefile.h"

#include <limits.h>
#include <stdio.h>

/* The state file is in use: only the room for a conversion is checked. */
static int try_state(const struct config *c, struct errtext *e)
{
	char path[PATH_MAX];
	int error = config_state_path(c, "state", path, sizeof(path));

	return error ? errtext_set(e, error, "[relay] state_dir is too long")
		     : statefile_try(path, e);
}

/* The store is in use: it is not tried. A lost store would end the new keeper. */
static int open_all(const struct config *c, struct inherited *i, struct errtext *e)
{
	struct identities ids;
	struct listeners listeners;
	bool is_first;
	int error = identities_find(c, &ids, e);

	if (!error)
		error = firstrun_check(c, &is_first, e);
	if (!error)
		error = listeners_make_directories(c, &ids, e);
	if (!error)
		error = listeners_open(c, &ids, i, &listeners, e);
	if (!error)
		listeners_give_back(&listeners);
	return error ? error : try_state(c, e);
}

int trial_run(const struct config *c)
{
	struct inherited inherited;
	struct errtext e = {""};
	struct snapshots snapshots;
	int board_fd;

	inherited_init(&inherited);
	if (inherited.is_for_other) {
		fputs("spoa-relay: a script started this program without exec, so it has none of the sockets\n",
			stderr);
		return 1;
	}
	if (!inherited_from_keeper(&inherited))
		return 0;
	snapshots_init(&snapshots);
	bool takes_all = kept_take(&inherited, &board_fd, &snapshots);
	if (open_all(c, &inherited, &e)) {
		fprintf(stderr, "spoa-relay: %s\n", e.text);
		return 1;
	}
	return takes_all ? TRIAL_TAKES_ALL : 0;
}
