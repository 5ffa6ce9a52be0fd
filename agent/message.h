/*
 * The text of a refusal: whose limit it is, and until when. It names the client's own tenant, key and
 * pool, never an account and never another tenant.
 */
#ifndef RELAY_AGENT_MESSAGE_H
#define RELAY_AGENT_MESSAGE_H

#include "agent/decide/decide.h"

#define MESSAGE_SIZE 256

/* For a verdict that refuses. Printable ASCII without quotes and backslashes. */
void message_format(const struct snapshot *s, const struct decide_verdict *v, int64_t now_ms,
	char out[MESSAGE_SIZE]);

#endif
