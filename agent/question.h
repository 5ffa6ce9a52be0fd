/* The question: from the arguments of a message to a request (docs/PROTOCOL.md, "Arguments"). */
#ifndef RELAY_AGENT_QUESTION_H
#define RELAY_AGENT_QUESTION_H

#include "agent/decide/decide.h"
#include "spoe/notify.h"

struct question {
	struct decide_request request;
	struct slice secret;		 /* empty when none came */
	char digest[REQUEST_DIGEST_LEN]; /* of the conversation's name, if it is long */
	struct slice limits;		 /* of respond */
	uint64_t status;		 /* of respond */
	uint32_t account;		 /* of probe; id, 0 = none */
};

/*
 * Reads the current message's arguments. A bad argument makes the request malformed and leaves the
 * connection open; unknown arguments are skipped. `is_client`: a client's request, with path and head.
 * `s` names the conversation headers; NULL = none. `frame_max`: a question with the body must fit.
 */
void question_read(struct spoe_notify_walk *walk, bool is_client, const struct snapshot *s,
	size_t frame_max, struct question *ret);

#endif
