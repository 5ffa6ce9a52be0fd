/*
 * The upstream's own ids of requests that failed over: the stream that got the answer has another record
 * than the client's, which becomes the row of the history. A small table by the request's id; a newer entry
 * may replace an older one, and the row then lacks the upstream's id.
 */
#ifndef RELAY_AGENT_ANSWERID_H
#define RELAY_AGENT_ANSWERID_H

#include "common/record.h"

#include <stdint.h>
#include <string.h>

#define ANSWERID_PLACES 256 /* a power of two */

struct answerids {
	struct answerid {
		uint8_t id[16];
		char text[RECORD_ANSWER_MAX];
	} places[ANSWERID_PLACES];
};

static inline struct answerid *answerid_place(struct answerids *t, const uint8_t id[16])
{
	return &t->places[record_id_hash(id) & (ANSWERID_PLACES - 1)];
}

static inline void answerid_put(struct answerids *t, const uint8_t id[16], struct slice answer)
{
	struct answerid *place = answerid_place(t, id);
	struct slice text = slice_cut(answer, sizeof(place->text) - 1);

	memcpy(place->id, id, sizeof(place->id));
	memset(place->text, 0, sizeof(place->text));
	if (text.n)
		memcpy(place->text, text.p, text.n);
}

/* Empty = not known. Valid until the next answerid_put(). */
static inline struct slice answerid_get(struct answerids *t, const uint8_t id[16])
{
	struct answerid *place = answerid_place(t, id);

	if (memcmp(place->id, id, sizeof(place->id)) != 0)
		return (struct slice){NULL, 0};
	return slice_from_str(place->text);
}

#endif
