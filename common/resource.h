/*
 * Resources that a provider keeps for an account, such as files and batches, and the administration of the
 * account: which requests reach them. The rows are in provider_rows.c.
 *
 * A path is read as the upstream may understand it: in every spelling of target.h, in small letters, without
 * empty segments, segments `.`, and what follows a semicolon or a NUL in a segment. A family is found at any
 * place in it, since the upstream's URL and the client may each bring a part of the path.
 */
#ifndef RELAY_COMMON_RESOURCE_H
#define RELAY_COMMON_RESOURCE_H

#include "common/provider.h"

enum resource {
	RESOURCE_NONE,
	RESOURCE_NEW,	/* a POST that may make one, and needs none that exists */
	RESOURCE_OLD,	/* any other request */
	RESOURCE_ADMIN, /* the account's administration */
};

struct resource_request {
	struct slice method;
	struct slice base;    /* path of the upstream's URL */
	struct slice path;    /* of the client, behind it */
	bool opens_socket;    /* it asks for a WebSocket */
	bool names_resources; /* its headers say that its body names some (resource_is_named) */
};

enum resource resource_of(const struct provider *p, const struct resource_request *r);

/* Does this header of a request say that its body names resources? `name` is in small letters. */
bool resource_is_named(struct slice name, struct slice value);

#endif
