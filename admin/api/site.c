#include "admin/api/site.h"

#include "admin/api/handlers.h"
#include "admin/store/site.h"
#include "common/snapshot.h"

int site_describe(struct store *s, json_object *o, struct errtext *e)
{
	uint32_t flags = 0;
	int error = site_flags(s, &flags, e);

	if (error)
		return error;
	answer_flag(o, "enabled", (flags & SNAPSHOT_SITE_ENABLED) != 0);
	answer_flag(o, "self_use", (flags & SNAPSHOT_SITE_SELF_USE) != 0);
	return 0;
}

int site_show(struct request *r)
{
	return site_describe(r->control->store, r->answer, &r->error);
}

static int set_flag(struct request *r, uint32_t flag, bool on)
{
	int error = site_set_flag(r->control->store, flag, on, &r->error);

	return error ? error : site_show(r);
}

int site_enable(struct request *r)
{
	return set_flag(r, SNAPSHOT_SITE_ENABLED, true);
}

int site_disable(struct request *r)
{
	return set_flag(r, SNAPSHOT_SITE_ENABLED, false);
}

int site_self_use(struct request *r)
{
	return set_flag(r, SNAPSHOT_SITE_SELF_USE, request_flag(r, "on"));
}
