#include "agent/keeper/reload.h"

#include "common/log.h"
#include "common/snapshot.h"

#include <string.h>

static int read_text(const char *path, struct config *ret, struct errtext *e)
{
	struct buffer text = {0};
	int error = buffer_read_file(&text, path, CONFIG_FILE_MAX);

	if (error)
		error = errtext_set(e, error, "%s: %s", path, strerror(-error));
	else
		error = config_parse(ret, path, buffer_slice(&text), e);
	int fd = error ? error : snapshot_seal("relay-config", buffer_slice(&text));
	buffer_fini(&text);
	return fd;
}

int reload_config(struct config *c, const char *path)
{
	struct config fresh;
	struct errtext e = {""};
	struct buffer frozen = {0};
	int fd = read_text(path, &fresh, &e);

	if (fd < 0) {
		log_event(LOG_LEVEL_ERROR, "configuration not reloaded", LOG_STR("error", e.text));
		return fd;
	}
	config_needs_restart(c, &fresh, &frozen);
	if (frozen.len)
		log_event(LOG_LEVEL_WARNING, "changed options need a restart",
			LOG_STR("options", buffer_str(&frozen)));
	buffer_fini(&frozen);
	config_reload(c, &fresh);
	log_set_level(c->log_level);
	return fd;
}
