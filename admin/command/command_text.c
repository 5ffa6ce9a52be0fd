/* Values of options, as people write them in argv and in queries, converted to JSON. */
#include "admin/command/command.h"
#include "common/errtext.h"

#include "common/num.h"

#include <errno.h>
#include <stdio.h>

static json_object *new_string(struct slice s)
{
	return json_object_new_string_len(s.n ? s.p : "", (int)s.n);
}

static json_object *list_of(struct slice text)
{
	json_object *list = json_object_new_array();
	struct slice rest = text;
	struct slice one;

	while (text.n && slice_next(&rest, ',', &one))
		json_object_array_add(list, new_string(slice_trim(one)));
	return list;
}

static int add_header(
	const struct command_option *o, struct slice text, json_object *object, struct errtext *e)
{
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	char name[COMMAND_TEXT_MAX];

	if (text.n == 0)
		return 0;
	if (!colon)
		return errtext_set(e, -EINVAL, "--%s: \"%.*s\" has no colon, write 'Name: value'",
			o->name, (int)slice_cut(text, 100).n, text.p);
	size_t n = (size_t)(colon - text.p);
	if (n >= sizeof(name))
		return errtext_set(e, -EINVAL, "--%s: the header's name is too long", o->name);
	memcpy(name, text.p, n);
	name[n] = '\0';
	if (json_object_object_get_ex(object, name, NULL))
		return errtext_set(e, -EINVAL, "--%s: %s is given twice", o->name, name);
	json_object_object_add(object, name, new_string(slice_trim(slice_skip(text, n + 1))));
	return 0;
}

static json_object *collected(json_object *body, const char *field, bool is_object)
{
	json_object *value;

	if (json_object_object_get_ex(body, field, &value))
		return value;
	value = is_object ? json_object_new_object() : json_object_new_array();
	json_object_object_add(body, field, value);
	return value;
}

static int add_number(const struct command_option *o, struct slice text, const char *field,
	json_object *body, struct errtext *e)
{
	uint64_t n;

	if (num_parse_u64(text, INT64_MAX, &n))
		return errtext_set(e, -EINVAL, "%s: \"%.*s\" is not a whole number", o->name,
			(int)slice_cut(text, 100).n, text.p);
	json_object_object_add(body, field, json_object_new_int64((int64_t)n));
	return 0;
}

static int add_share(const struct command_option *o, struct slice text, const char *field,
	json_object *body, struct errtext *e)
{
	char digits[16];
	uint32_t millionths;

	if (num_parse_fraction(text, &millionths))
		return errtext_set(e, -EINVAL, "%s: \"%.*s\" is not a number from 0 to 1, e.g. 0.7",
			o->name, (int)slice_cut(text, 100).n, text.p);
	/* without this json-c would send all seventeen digits of a double */
	double share = (double)millionths / 1e6;
	snprintf(digits, sizeof(digits), "%.6g", share);
	json_object_object_add(body, field, json_object_new_double_s(share, digits));
	return 0;
}

static int add_switch(const struct command_option *o, struct slice text, const char *field,
	json_object *body, struct errtext *e)
{
	bool on = slice_eq_str(text, "on") || slice_eq_str(text, "true");

	if (!on && !slice_eq_str(text, "off") && !slice_eq_str(text, "false"))
		return errtext_set(e, -EINVAL, "%s: \"%.*s\" is neither on nor off", o->name,
			(int)slice_cut(text, 100).n, text.p);
	json_object_object_add(body, field, json_object_new_boolean(on));
	return 0;
}

/* No value on the command line; in a query "true". */
static int add_flag(const struct command_option *o, struct slice text, const char *field,
	json_object *body, struct errtext *e)
{
	if (text.n && !slice_eq_str(text, "true"))
		return errtext_set(e, -EINVAL, "%s: takes no value but true", o->name);
	json_object_object_add(body, field, json_object_new_boolean(true));
	return 0;
}

int command_text_add(
	const struct command_option *o, struct slice text, json_object *body, struct errtext *e)
{
	char field[COMMAND_FIELD_SIZE];

	command_option_field(o, field);
	switch (o->type) {
	case COMMAND_NUMBER:
		return add_number(o, text, field, body, e);
	case COMMAND_SHARE:
		return add_share(o, text, field, body, e);
	case COMMAND_SWITCH:
		return add_switch(o, text, field, body, e);
	case COMMAND_FLAG:
		return add_flag(o, text, field, body, e);
	case COMMAND_NAMES:
	case COMMAND_NETWORKS:
		json_object_object_add(body, field, list_of(text));
		return 0;
	case COMMAND_HEADERS:
		return add_header(o, text, collected(body, field, true), e);
	case COMMAND_TEXTS:
		json_object_array_add(collected(body, field, false), new_string(text));
		return 0;
	case COMMAND_TEXT:
	case COMMAND_NAME:
	case COMMAND_DURATION:
	case COMMAND_SPAN:
	case COMMAND_REQUEST:
	case COMMAND_NETWORK:
	case COMMAND_CHOICE:
	case COMMAND_PATH:
	case COMMAND_CONTENT:
	case COMMAND_STDIN:
	case COMMAND_ORIGIN:
		json_object_object_add(body, field, new_string(text));
		return 0;
	case COMMAND_DOCUMENT:
	case COMMAND_OUTPUT:
		break;
	}
	return errtext_set(e, -EINVAL, "%s: takes no text", o->name);
}
