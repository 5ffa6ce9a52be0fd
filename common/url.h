/* An upstream's URL: http or https, host, port, path prefix. Nothing else is accepted. */
#ifndef RELAY_COMMON_URL_H
#define RELAY_COMMON_URL_H

#include "common/errtext.h"
#include "common/seam.h"
#include "common/slice.h"

#include <stdint.h>

#define URL_HOST_MAX 253

struct url {
	bool tls;
	uint16_t port;
	char host[URL_HOST_MAX + 1];	     /* lower case; an IPv6 address without brackets */
	char host_header[URL_HOST_MAX + 16]; /* in the form of the Host header */
	char prefix[SEAM_PREFIX_MAX + 1];    /* empty, or starts with '/' and has none at its end */
};

/* 0 or -EINVAL with the reason. */
int url_parse(struct slice s, struct url *ret, struct errtext *e);
/* All of a URL before its query or fragment; valid as long as `url`. */
struct slice url_without_query(const char *url);
/* A path prefix (`--strip`): empty or like /v1; `ret` gets it without a '/' at its end. */
int url_parse_prefix(struct slice s, char ret[SEAM_PREFIX_MAX + 1], struct errtext *e);

#endif
