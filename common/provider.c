#include "common/provider.h"

#include <errno.h>

static const struct provider_row rows[PROVIDER_COUNT] = {
	[PROVIDER_OPENAI] = {"openai", NULL, SNAPSHOT_AUTH_BEARER, SNAPSHOT_AUTH_BEARER, NULL},
	[PROVIDER_CODEX] = {"codex", NULL, SNAPSHOT_AUTH_BEARER, SNAPSHOT_AUTH_BEARER,
		"ChatGPT-Account-ID"},
	[PROVIDER_ANTHROPIC] = {"anthropic", "sk-ant-oat", SNAPSHOT_AUTH_X_API_KEY,
		SNAPSHOT_AUTH_ANTHROPIC_OAUTH, NULL},
	[PROVIDER_GENERIC] = {"generic", NULL, SNAPSHOT_AUTH_BEARER, SNAPSHOT_AUTH_BEARER, NULL},
};

const struct provider_row *provider_row(enum provider p)
{
	return &rows[p];
}

int provider_parse(struct slice name, enum provider *ret)
{
	for (size_t i = 0; i < PROVIDER_COUNT; i++) {
		if (!slice_eq_str(name, rows[i].name))
			continue;
		*ret = (enum provider)i;
		return 0;
	}
	return -EINVAL;
}

enum snapshot_auth provider_auth(enum provider p, struct slice credential)
{
	const struct provider_row *row = provider_row(p);

	if (row->oauth_token_prefix &&
		slice_has_prefix(credential, slice_from_str(row->oauth_token_prefix)))
		return row->oauth_auth;
	return row->auth;
}
