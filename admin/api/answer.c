/* Fields of answers; declared in request.h. */
#include "admin/api/request.h"

#include "common/clock.h"
#include "common/num.h"

void answer_text(json_object *o, const char *field, const char *text)
{
	answer_slice(o, field, slice_from_str(text ? text : ""));
}

void answer_slice(json_object *o, const char *field, struct slice text)
{
	json_object_object_add(
		o, field, text.n ? json_object_new_string_len(text.p, (int)text.n) : NULL);
}

void answer_number(json_object *o, const char *field, int64_t n)
{
	json_object_object_add(o, field, json_object_new_int64(n));
}

void answer_known(json_object *o, const char *field, bool known, int64_t n)
{
	json_object_object_add(o, field, known ? json_object_new_int64(n) : NULL);
}

void answer_flag(json_object *o, const char *field, bool value)
{
	json_object_object_add(o, field, json_object_new_boolean(value));
}

void answer_time(json_object *o, const char *field, int64_t wall_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	answer_text(o, field, wall_ms ? clock_format_rfc3339(wall_ms, text) : NULL);
}

void answer_duration(json_object *o, const char *field, uint64_t ms)
{
	char text[NUM_DURATION_SIZE];

	answer_text(o, field, num_format_duration(ms, text));
}

void answer_list(json_object *o, const char *field, struct slice comma_separated)
{
	json_object *list = json_object_new_array();
	struct slice rest = comma_separated;
	struct slice one;

	while (comma_separated.n && slice_next(&rest, ',', &one))
		json_object_array_add(
			list, json_object_new_string_len(one.n ? one.p : "", (int)one.n));
	json_object_object_add(o, field, list);
}

json_object *answer_items(json_object *o)
{
	json_object *items = json_object_new_array();

	json_object_object_add(o, "items", items);
	return items;
}
