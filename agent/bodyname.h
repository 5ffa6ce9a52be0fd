/*
 * The conversation that a request body in JSON belongs to, for clients whose headers do not name it. The
 * first of these that the body has:
 *
 *   k  `prompt_cache_key` (OpenAI: Responses, Chat Completions)
 *   u  `metadata.user_id` (Anthropic)
 *   m  the text of the first message of the user, which every turn repeats: in `messages`, `input` or
 *      `contents` (Gemini). Only its text counts: marks for caches come and go beside it.
 *
 * Pure: no I/O, no allocation. The body may be cut anywhere; a name that was cut is none.
 */
#ifndef RELAY_AGENT_BODYNAME_H
#define RELAY_AGENT_BODYNAME_H

#include "common/slice.h"

#define BODYNAME_LEN                                                                               \
	33 /* the letter, and 32 hex digits of a SHA-256 over the letter and the text */
#define BODYNAME_SIZE (BODYNAME_LEN + 1)
#define BODYNAME_TEXT_MAX 8192 /* bytes of a first message that count */

/* Empty texts: the body has none. */
struct bodyname {
	char name[BODYNAME_SIZE];
	/*
	 * The first message, if `name` is another one. Clients write names behind their messages: as a
	 * conversation grows, the name leaves the part of the body that is read, and the message is left.
	 */
	char message[BODYNAME_SIZE];
};

void bodyname_find(struct slice body, struct bodyname *ret);

#endif
