/*
 * The decision as the agent makes it: clock and randomness for the pure core, counters, reasons and log
 * lines for its verdict.
 */
#ifndef RELAY_AGENT_DECISION_H
#define RELAY_AGENT_DECISION_H

#include "agent/agent.h"
#include "agent/question.h"
#include "spoe/ack.h"

/*
 * Decides one question, counts it, and writes the answer into `ack`. With a seat the request may
 * wait: then false, nothing is written, and the answer follows later.
 */
bool agent_answer(struct agent *a, const struct decide_request *r, const struct room_seat *seat,
	struct spoe_ack *ack);
/* `again`: HAProxy took the request back from a server. `repeated`: again2. */
void agent_answer_again(
	struct agent *a, const struct question *q, bool repeated, struct spoe_ack *ack);
void agent_answer_probe(struct agent *a, const struct question *q, struct spoe_ack *ack);
/* `respond`: the head of an answer. It changes only the account's health. */
void agent_hear_head(struct agent *a, const struct question *q, struct spoe_ack *ack);
/* Decides and counts a waiting request. The caller answers `ret` or lets the request wait on. */
void agent_decide(struct agent *a, const struct decide_request *r, int64_t now_ms,
	struct decide_verdict *ret);
void agent_answer_waiter(struct agent *a, const struct decide_request *r, struct decide_verdict *v,
	int64_t now_ms, struct spoe_ack *ack);

#endif
