#include "admin/upkeep/resources_upkeep.h"

#include "admin/control.h"
#include "admin/publish/change.h"
#include "admin/store/history.h"
#include "admin/store/resources.h"
#include "admin/store/store.h"
#include "common/log.h"

static int publish(struct control *c, struct errtext *e)
{
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = store_bump_version(c->store, e);
	if (error)
		store_rollback(c->store);
	else
		error = store_commit(c->store, e);
	return error ? error : change_publish(c, CHANGE_AGENT, NULL, NULL);
}

void resources_upkeep_poll(struct control *c, struct history *h)
{
	struct errtext e = {""};
	int error = resources_prune(c->store, c->clock.retention.now_ms, &e);

	if (!error && h->resources_changed) {
		error = publish(c, &e);
		h->resources_changed = error != 0;
	}
	if (error)
		log_event(LOG_LEVEL_ERROR, "cannot keep the accounts of resources",
			LOG_STR("reason", e.text));
}
