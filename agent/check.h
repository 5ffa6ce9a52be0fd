/*
 * HAProxy's agent-check (H6, HAPROXY.md 25): one connection a look, which sends the backend's name and is
 * answered `up` or `down #reason`. Only what HAProxy must keep traffic away from is down: what the
 * breaker has shut for a moment is, until shortly before its trial, which must find the server up.
 */
#ifndef RELAY_AGENT_CHECK_H
#define RELAY_AGENT_CHECK_H

#include "agent/agent.h"

#define CHECKS_MAX 1024	    /* connections at once */
#define CHECK_NAME_MAX 256  /* bytes of the question */
#define CHECK_MS 2000	    /* for the question to come */
#define CHECK_EARLY_MS 5000 /* an open circuit is reported up so long before its trial */

struct checks;

/* NULL when out of memory. Without a listener it does nothing. */
struct checks *checks_new(struct agent *a);
void checks_free(struct checks *c);

/* The answer for a backend; `out` needs CHECK_ANSWER_SIZE. */
#define CHECK_ANSWER_SIZE 128
const char *check_answer(const struct agent *a, struct slice backend, int64_t now_ms, char *out);

#endif
