/* GET /relay/me: a key's own limits, usage and reset times, as JSON. */
#ifndef RELAY_AGENT_ME_H
#define RELAY_AGENT_ME_H

#include "agent/agent.h"

#define ME_BODY_MAX 4096

/* `out` has ME_BODY_MAX bytes. Times are Unix seconds, as in errors. */
void me_format(const struct agent *a, const struct decide_verdict *v, int64_t now_ms, char *out);

#endif
