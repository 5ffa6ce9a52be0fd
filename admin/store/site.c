#include "admin/store/site.h"

#include "common/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct site_switch {
	const char *setting;
	uint32_t flag;
	bool otherwise; /* until it is set */
} switches[] = {
	{"site_enabled", SNAPSHOT_SITE_ENABLED, true},
	{"site_self_use", SNAPSHOT_SITE_SELF_USE, false},
};

#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

static int read_switch(
	struct store *s, const struct site_switch *which, uint32_t *flags, struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, which->setting, &text, e);
	bool on = text ? strcmp(text, "on") == 0 : which->otherwise;

	if (!error && text && !on && strcmp(text, "off") != 0)
		error = errtext_set(
			e, -EBADMSG, "store: setting %s is neither on nor off", which->setting);
	if (on)
		*flags |= which->flag;
	free(text);
	return error;
}

int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e)
{
	uint32_t flags = 0;
	int error = 0;

	for (size_t i = 0; i < SWITCHES && !error; i++)
		error = read_switch(s, &switches[i], &flags, e);
	if (!error)
		*ret_flags = flags;
	return error;
}

int site_set_flag(struct store *s, uint32_t flag, bool on, struct errtext *e)
{
	for (size_t i = 0; i < SWITCHES; i++)
		if (switches[i].flag == flag)
			return store_set_setting(s, switches[i].setting, on ? "on" : "off", e);
	return errtext_set(e, -EINVAL, "unknown site switch");
}
