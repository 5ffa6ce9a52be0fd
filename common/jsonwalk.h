/*
 * A walk over JSON text that was cut, or is hostile, or no JSON at all. It finds values and does not
 * check them: brackets are counted and not matched. It stays inside the text, does not recurse and does
 * not allocate. What it cannot read uses the text up, so that every walk ends.
 */
#ifndef RELAY_COMMON_JSONWALK_H
#define RELAY_COMMON_JSONWALK_H

#include "common/slice.h"

#include <stdbool.h>

#define JSONWALK_PIECE_SIZE 4 /* UTF-8 of one escape */

/* Enters the object or the array at the start of `*rest`. False if there is none. */
bool jsonwalk_enter_object(struct slice *rest);
bool jsonwalk_enter_array(struct slice *rest);
/*
 * The next member of the object or item of the array that was entered: `*rest` begins at its value, which
 * the caller takes off. False at the end; `*rest` is behind the object or array then.
 */
bool jsonwalk_next_member(struct slice *rest, struct slice *ret_name);
bool jsonwalk_next_item(struct slice *rest);

/* Takes the rest of the object or array that was entered last. */
void jsonwalk_leave(struct slice *rest);

/* Takes any value off. */
void jsonwalk_skip(struct slice *rest);
/*
 * Takes a string off: what is between its quotes, escapes as they are. False if the value is no string, which
 * stays. `ret_whole` is false if the text was cut inside it.
 */
bool jsonwalk_string(struct slice *rest, struct slice *ret_raw, bool *ret_whole);

/* The next decoded bytes of a string, in the string itself or in `scratch`. False at its end. */
bool jsonwalk_piece(struct slice *raw, char scratch[JSONWALK_PIECE_SIZE], struct slice *ret_piece);
/* Whether a string says `text`, however it is written. */
bool jsonwalk_says(struct slice raw, const char *text);

#endif
