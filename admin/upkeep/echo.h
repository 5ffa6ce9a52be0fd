/* Parses the response of an echo endpoint: the client address, alone or in a JSON object. */
#ifndef RELAY_ADMIN_UPKEEP_ECHO_H
#define RELAY_ADMIN_UPKEEP_ECHO_H

#include "common/errtext.h"
#include "common/ip.h"

#define ECHO_BODY_MAX 4096

/*
 * A bare address, or an object with one of `ip`, `origin`, `address`. 0 or -EINVAL with the reason.
 */
int echo_parse(struct slice body, struct ip *ret, struct errtext *e);
/*
 * Path and query of an http or https URL; "/" if the path is missing. The result points into `url`.
 * 0 or -EINVAL.
 */
int echo_target(const char *url, struct slice *ret, struct errtext *e);

#endif
