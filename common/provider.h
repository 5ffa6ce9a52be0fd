/* Providers: how to authenticate at each, and what it usually looks like. One row each. */
#ifndef RELAY_COMMON_PROVIDER_H
#define RELAY_COMMON_PROVIDER_H

#include "common/slice.h"
#include "common/snapshot.h"

enum provider {
	PROVIDER_OPENAI,
	PROVIDER_CODEX,
	PROVIDER_ANTHROPIC,
	PROVIDER_GENERIC,
	PROVIDER_COUNT,
};

struct provider_row {
	const char *name;
	const char *
		oauth_token_prefix; /* a credential that starts so is an OAuth token; NULL = none do */
	enum snapshot_auth auth;    /* of an API key */
	enum snapshot_auth oauth_auth; /* of an OAuth token */
	const char *account_header;    /* carries the account id of an auth.json; NULL = none */
};

const struct provider_row *provider_row(enum provider p);
/* 0 or -EINVAL. */
int provider_parse(struct slice name, enum provider *ret);
enum snapshot_auth provider_auth(enum provider p, struct slice credential);

/* Appended to anthropic-beta with an OAuth token. */
#define PROVIDER_ANTHROPIC_OAUTH_BETA "oauth-2025-04-20"

#endif
