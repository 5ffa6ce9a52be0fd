/*
 * HAProxy's agent-check (docs/PROTOCOL.md, "Agent-check"): one connection for each check. HAProxy
 * sends the backend's name, the agent answers `up` or `down #reason`. `down` keeps all traffic
 * away. A backend with an open circuit is down until shortly before its trial, because the trial
 * must find the server up.
 */
#ifndef RELAY_AGENT_CHECK_H
#define RELAY_AGENT_CHECK_H

#include "agent/agent.h"

#define CHECKS_MAX 1024	    /* connections at once */
#define CHECK_NAME_MAX 256  /* bytes of the backend's name */
#define CHECK_MS 2000	    /* until the name must have arrived */
#define CHECK_EARLY_MS 5000 /* an open circuit is reported up this long before its trial */

struct checks;

/* NULL when out of memory. Idle without a listener. */
struct checks *checks_new(struct agent *a);
void checks_free(struct checks *c);

/* The answer for a backend; `out` needs CHECK_ANSWER_SIZE. */
#define CHECK_ANSWER_SIZE 128
const char *check_answer(const struct agent *a, struct slice backend, int64_t now_ms, char *out);

#endif
