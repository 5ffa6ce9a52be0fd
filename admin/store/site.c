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

int site_flags(struct store *s, uint32_t *ret_flags, struct errtext *e)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < SWITCHES; i++) {
		char *text = NULL;
		int error = store_get_setting(s, switches[i].setting, &text, e);
		if (error)
			return error;
		if (text ? strcmp(text, "on") == 0 : switches[i].otherwise)
			flags |= switches[i].flag;
		free(text);
	}
	*ret_flags = flags;
	return 0;
}

int site_set_flag(struct store *s, uint32_t flag, bool on, struct errtext *e)
{
	for (size_t i = 0; i < SWITCHES; i++)
		if (switches[i].flag == flag)
			return store_set_setting(s, switches[i].setting, on ? "on" : "off", e);
	return errtext_set(e, -EINVAL, "unknown site switch");
}
