/* The question: from the arguments of `decide` to a request (SEAM.md "Messages"). */
#ifndef RELAY_AGENT_QUESTION_H
#define RELAY_AGENT_QUESTION_H

#include "agent/decide/decide.h"
#include "spoe/notify.h"

struct question {
	struct decide_request request;
	struct slice secret; /* empty when none came */
	struct slice limits; /* of respond */
	uint64_t status;     /* of respond */
	uint32_t account;    /* of probe; id, 0 = none */
};

/*
 * Reads the current message's arguments. Whatever is wrong with them makes a malformed request, never
 * an error of the connection; arguments of unknown names are skipped. `with_path`: one is needed.
 */
void question_read(struct spoe_notify_walk *walk, bool with_path, struct question *ret);

#endif
