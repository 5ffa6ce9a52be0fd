/*
 * The answer: from a verdict to the variables that HAProxy's rules read (docs/PROTOCOL.md,
 * "Variables").
 */
#ifndef RELAY_AGENT_ANSWER_H
#define RELAY_AGENT_ANSWER_H

#include "agent/agent.h"
#include "spoe/ack.h"

void answer_write(const struct agent *a, const struct decide_verdict *v, int64_t now_ms,
	struct spoe_ack *ack);
/* What only the client says: its own id of the request, for the record, and the headers of its hop. */
void answer_write_client(const struct decide_request *r, struct spoe_ack *ack);
/* Of a WebSocket that is allowed: whose it is. */
void answer_write_tunnel(
	const struct decide_request *r, const struct decide_verdict *v, struct spoe_ack *ack);
/* What the body names, for the questions of a request that waits. */
void answer_write_name(const struct decide_request *r, struct spoe_ack *ack);
/* The answer to `again`. */
void answer_write_again(const struct agent *a, const struct decide_verdict *v, int64_t now_ms,
	struct spoe_ack *ack);
/* The answer to a message that needs none. */
void answer_write_nothing(struct spoe_ack *ack);
/* A refusal without a snapshot or a verdict. */
void answer_write_refusal(enum refusal refusal, struct spoe_ack *ack);

#endif
