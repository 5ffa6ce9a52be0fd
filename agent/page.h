/* What a provider's usage page says about an account: control asks for the page, and tells the agent. */
#ifndef RELAY_AGENT_PAGE_H
#define RELAY_AGENT_PAGE_H

#include "agent/agent.h"
#include "common/channel.h"

#include <stdint.h>

/* Ignores a page of an account that is gone, or that an older credential asked for. */
void page_take(struct agent *a, const struct channel_usage *u, int64_t now_ms);

#endif
