#include "admin/api/site.h"

#include "admin/api/query.h"
#include "common/snapshot.h"

#include <stdlib.h>

/* A switch has its default until somebody moves it. */
struct site_switch {
	const char *setting;
	uint32_t flag; /* SNAPSHOT_SITE_* */
	bool otherwise;
};

static const struct site_switch enabled = {"site_enabled", SNAPSHOT_SITE_ENABLED, true};
static const struct site_switch self_use = {"site_self_use", SNAPSHOT_SITE_SELF_USE, false};

static int read_switch(
	struct store *s, const struct site_switch *which, uint32_t *flags, struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, which->setting, &text, e);

	if (!error && (text ? strcmp(text, "on") == 0 : which->otherwise))
		*flags |= which->flag;
	free(text);
	return error;
}

int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e)
{
	uint32_t flags = 0;
	int error = read_switch(s, &enabled, &flags, e);

	if (!error)
		error = read_switch(s, &self_use, &flags, e);
	if (!error)
		*ret_flags = flags;
	return error;
}

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

static int move_switch(struct request *r, const struct site_switch *which, bool on)
{
	int error =
		store_set_setting(r->control->store, which->setting, on ? "on" : "off", &r->error);

	return error ? error : site_show(r);
}

int site_enable(struct request *r)
{
	return move_switch(r, &enabled, true);
}

int site_disable(struct request *r)
{
	return move_switch(r, &enabled, false);
}

int site_self_use(struct request *r)
{
	return move_switch(r, &self_use, request_flag(r, "on"));
}
