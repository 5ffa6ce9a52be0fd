#include "admin/publish/change.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "common/log.h"

static void note_unacknowledged(struct control *c, struct change_outcome *ret)
{
	if (ret->acknowledged)
		return;
	log_event(LOG_LEVEL_WARNING, "change is not in force yet",
		LOG_INT("version", publish_version(c->publish)),
		LOG_STR("reason", ret->warning.text));
}

int change_publish(struct control *c, struct change_outcome *ret, struct errtext *e)
{
	*ret = (struct change_outcome){.haproxy = HAPROXY_UNCHANGED};
	int error = publish_build(c->publish, e);

	if (error)
		return error;
	ret->acknowledged = publish_send_and_wait(c->publish, PUBLISH_ACK_MS, &ret->warning) == 0;
	note_unacknowledged(c, ret);
	return 0;
}

void change_announce(struct control *c)
{
	struct errtext e = {""};

	if (publish_build(c->publish, &e))
		log_event(LOG_LEVEL_ERROR, "a change is stored but not in force",
			LOG_STR("reason", e.text));
	else
		publish_send(c->publish);
}

/*
 * New backends and slots go into the snapshot before HAProxy is told of them: a new HAProxy process
 * then never asks for a generation that the agent does not know (SEAM.md).
 */
int change_apply(struct control *c, bool haproxy_may_care, bool no_reload,
	struct change_outcome *ret, struct errtext *e)
{
	struct haproxy_report report = {.outcome = HAPROXY_UNCHANGED};

	if (haproxy_may_care)
		haproxy_sync_prepare(c->haproxy, &report);
	int error = change_publish(c, ret, e);
	if (error)
		return error;
	if (haproxy_may_care)
		haproxy_sync_finish(c->haproxy, !no_reload, &report);
	ret->haproxy = report.outcome;
	ret->haproxy_error = report.error;
	return 0;
}
