/*
 * The members of a JSON object, one by one. A parser of whole documents would discard a refresh
 * token because of a fault beside it: bytes after the end, a cut, a broken escape, another encoding.
 * So a member counts as soon as it is complete. Pure, without recursion, and works in place.
 */
#ifndef RELAY_ADMIN_UPKEEP_REFRESH_FIELDS_H
#define RELAY_ADMIN_UPKEEP_REFRESH_FIELDS_H

#include "common/slice.h"

enum refresh_field_kind {
	REFRESH_FIELD_ABSENT,
	REFRESH_FIELD_TEXT,
	REFRESH_FIELD_BROKEN, /* a text with an invalid escape */
	REFRESH_FIELD_PLAIN,  /* a number, true, false or null */
	REFRESH_FIELD_NESTED, /* an object or a list */
};

struct refresh_field {
	enum refresh_field_kind kind;
	struct slice name;
	struct slice value; /* a text without its escapes; everything else as it stands */
};

enum refresh_fields_end {
	REFRESH_FIELDS_NONE,  /* no object */
	REFRESH_FIELDS_CUT,   /* the text ends within the object */
	REFRESH_FIELDS_WHOLE, /* with or without more text after it */
};

/*
 * Calls `fn` for each complete member of the first object. `text` is changed: escapes are replaced
 * where they stand, so slices stay valid as long as it does, and a nested object can be read in turn.
 */
typedef void refresh_field_fn(void *context, const struct refresh_field *f);
enum refresh_fields_end refresh_fields_read(
	char *text, size_t n, refresh_field_fn *fn, void *context);

#endif
