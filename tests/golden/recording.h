/*
 * recording: a captured SPOP stream in memory, and the events that the library decodes from it.
 *
 * The bytes end at an unreadable page: a read past the end crashes in any build.
 */
#ifndef RELAY_TESTS_GOLDEN_RECORDING_H
#define RELAY_TESTS_GOLDEN_RECORDING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/slice.h"
#include "spoe/session.h"

enum {
	RECORDING_SIZE_MAX = 65536,
	RECORDING_FILES_MAX = 64,
	RECORDING_EVENTS_MAX = 512,
	RECORDING_PATH_MAX = 512,
};

/* Bytes before a guard page. */
struct guarded {
	uint8_t *map;
	size_t map_size;
	uint8_t *end; /* the guard page begins here */
};

/* One file: name relative to GOLDEN_DIR, and its bytes, ending at the guard. */
struct recording {
	char name[RECORDING_PATH_MAX];
	struct guarded guarded;
	uint8_t *bytes;
	size_t n;
};

/* All captured streams, in the order of their names. */
struct recordings {
	size_t n;
	struct recording files[RECORDING_FILES_MAX];
};

/* The result of a stream: its events and the end of each. */
struct outcome {
	enum spoe_answer answer; /* the last: SPOE_MORE or SPOE_BAD */
	enum spoe_status status;
	size_t n_events;
	size_t consumed;
	size_t ends[RECORDING_EVENTS_MAX];
};

void guarded_init(struct guarded *guarded, size_t size_max);
void guarded_fini(struct guarded *guarded);

/* A copy of `bytes` that ends at the guard. */
struct slice guarded_copy(struct guarded *guarded, struct slice bytes);

/* Loads every *.bin below GOLDEN_DIR; fails the test if there is none. */
void recordings_load(struct recordings *recordings);
void recordings_free(struct recordings *recordings);

/*
 * Feeds `in` to a new session up to its end or to SPOE_BAD, walks every message and checks that all
 * slices are inside the frame they came from. With `out`, also writes each event as text.
 */
void recording_play(struct slice in, FILE *out, struct outcome *ret_outcome);

/* Writes one event as text: a line, and one more for each message. */
void recording_print(const struct spoe_session *session, const struct spoe_event *event, FILE *out);

#endif
