/* What an echo endpoint answers: the address it saw, alone or in a JSON object. */
#ifndef RELAY_ADMIN_UPKEEP_ECHO_H
#define RELAY_ADMIN_UPKEEP_ECHO_H

#include "common/errtext.h"
#include "common/ip.h"

#define ECHO_BODY_MAX 4096

/* A bare address, or an object with one of `ip`, `origin`, `address`. 0 or -EINVAL with the reason. */
int echo_parse(struct slice body, struct ip *ret, struct errtext *e);
/*
 * Path and query of it, as they are asked for, "/" when there is none; -EINVAL when it is no http or
 * https URL. Valid as long as `url`.
 */
int echo_target(const char *url, struct slice *ret, struct errtext *e);

#endif
