/* Values of options: names, fields, and the check of JSON values. */
#include "admin/command/command.h"
#include "common/errtext.h"

#include "admin/command/headerset.h"
#include "common/buffer.h"
#include "common/ip.h"
#include "common/num.h"
#include "common/record.h"

#include <errno.h>
#include <inttypes.h>

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool command_name_is_valid(struct slice s)
{
	if (s.n == 0 || s.n > COMMAND_NAME_MAX || !is_name_start(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++) {
		if (!is_name_start(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
			return false;
	}
	return true;
}

static bool is_choice(const char *choices, struct slice s)
{
	struct slice rest = slice_from_str(choices);
	struct slice one;

	while (slice_next(&rest, '|', &one)) {
		if (slice_eq(one, s))
			return true;
	}
	return false;
}

static bool has_control_characters(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c == 0x7f)
			return true;
	}
	return false;
}

static uint64_t number_max(const struct command_option *o)
{
	return o->max ? o->max : INT64_MAX;
}

static int check_name(const struct command_option *o, struct slice s, struct errtext *e)
{
	if ((o->clearable && s.n == 0) || command_name_is_valid(s))
		return 0;
	return errtext_set(e, -EINVAL,
		"%s: \"%.*s\" is not a name: up to 63 of a-z 0-9 . _ -, the first a letter "
		"or a digit",
		o->name, (int)slice_cut(s, 100).n, s.p);
}

static int check_duration(const struct command_option *o, struct slice s, struct errtext *e)
{
	uint64_t max = o->max ? o->max : COMMAND_DURATION_MAX_MS;
	char text[NUM_DURATION_SIZE];
	uint64_t ms;
	int error = num_parse_duration(s, max, &ms);

	if (o->choices && is_choice(o->choices, s))
		return 0;
	if (!error && ms < o->min)
		return errtext_set(e, -EINVAL, "%s: must be at least %s", o->name,
			num_format_duration(o->min, text));
	if (error == -ERANGE)
		return errtext_set(
			e, -EINVAL, "%s: at most %s", o->name, num_format_duration(max, text));
	if (error)
		return errtext_set(e, -EINVAL,
			"%s: \"%.*s\" is not a duration (as 500ms, 10s, 30d)%s%s", o->name,
			(int)slice_cut(s, 100).n, s.p, o->choices ? ", and none of " : "",
			o->choices ? o->choices : "");
	return 0;
}

/* MIN-MAX. The bound is that of both; a span of nothing is no span. */
static int check_span(const struct command_option *o, struct slice s, struct errtext *e)
{
	struct slice rest = s;
	struct slice from;
	uint64_t min = 0;
	uint64_t max = 0;
	char text[NUM_DURATION_SIZE];

	if (s.n == 0)
		return 0;
	bool good = slice_next(&rest, '-', &from) && rest.p &&
		num_parse_duration(slice_trim(from), o->max, &min) == 0 &&
		num_parse_duration(slice_trim(rest), o->max, &max) == 0 && min <= max && max > 0;
	if (good)
		return 0;
	return errtext_set(e, -EINVAL, "%s: \"%.*s\" is not MIN-MAX, as 500ms-3s, up to %s",
		o->name, (int)slice_cut(s, 100).n, s.p, num_format_duration(o->max, text));
}

static int check_request(const struct command_option *o, struct slice s, struct errtext *e)
{
	uint8_t id[16];

	if (record_parse_id(s, id) == 0)
		return 0;
	return errtext_set(e, -EINVAL,
		"%s: \"%.*s\" is not the id of a request: take the one of X-Request-Id", o->name,
		(int)slice_cut(s, 100).n, s.p);
}

static int check_network(const struct command_option *o, struct slice s, struct errtext *e)
{
	struct cidr net;

	if (cidr_parse(s, &net) == 0)
		return 0;
	return errtext_set(e, -EINVAL,
		"%s: \"%.*s\" is not an address or network (as 10.0.0.0/8, host bits zero)",
		o->name, (int)slice_cut(s, 100).n, s.p);
}

static int check_plain(const struct command_option *o, struct slice s, struct errtext *e)
{
	uint64_t max = o->max ? o->max : COMMAND_TEXT_MAX;

	if (s.n > max)
		return errtext_set(e, -EINVAL, "%s: longer than %" PRIu64 " bytes", o->name, max);
	if (has_control_characters(s))
		return errtext_set(e, -EINVAL, "%s: contains a control character", o->name);
	if (s.n == 0)
		return o->clearable ? 0 : errtext_set(e, -EINVAL, "%s: is empty", o->name);
	if (o->form && o->form(s, e))
		return errtext_prefix(e, -EINVAL, "%s", o->name);
	return 0;
}

static int check_content(const struct command_option *o, struct slice s, struct errtext *e)
{
	if (s.n > COMMAND_FILE_MAX)
		return errtext_set(
			e, -EINVAL, "%s: larger than %zu bytes", o->name, COMMAND_FILE_MAX);
	if (s.n && memchr(s.p, '\0', s.n))
		return errtext_set(e, -EINVAL, "%s: contains a NUL byte", o->name);
	return 0;
}

/* An argument without a name is called by its choices. */
static int not_a_choice(const struct command_option *o, struct slice s, struct errtext *e)
{
	bool is_named = strcmp(o->name, o->choices) != 0;

	return errtext_set(e, -EINVAL, "%s%s\"%.*s\" is none of %s", is_named ? o->name : "",
		is_named ? ": " : "", (int)slice_cut(s, 100).n, s.p, o->choices);
}

static int check_string(const struct command_option *o, struct slice s, struct errtext *e)
{
	switch (o->type) {
	case COMMAND_NAME:
	case COMMAND_NAMES:
		return check_name(o, s, e);
	case COMMAND_DURATION:
		return check_duration(o, s, e);
	case COMMAND_NETWORK:
	case COMMAND_NETWORKS:
		return check_network(o, s, e);
	case COMMAND_SPAN:
		return check_span(o, s, e);
	case COMMAND_REQUEST:
		return check_request(o, s, e);
	case COMMAND_CHOICE:
		if (is_choice(o->choices, s))
			return 0;
		return not_a_choice(o, s, e);
	case COMMAND_CONTENT:
	case COMMAND_STDIN:
		return check_content(o, s, e);
	case COMMAND_TEXT:
	case COMMAND_TEXTS:
	case COMMAND_PATH:
	case COMMAND_ORIGIN:
		return check_plain(o, s, e);
	case COMMAND_NUMBER:
	case COMMAND_SHARE:
	case COMMAND_FLAG:
	case COMMAND_SWITCH:
	case COMMAND_HEADERS:
	case COMMAND_DOCUMENT:
	case COMMAND_OUTPUT:
		break;
	}
	return errtext_set(e, -EINVAL, "%s: is not a text", o->name);
}

static enum json_type wanted_type(const struct command_option *o)
{
	switch (o->type) {
	case COMMAND_NUMBER:
		return json_type_int;
	case COMMAND_SHARE:
		return json_type_double;
	case COMMAND_FLAG:
	case COMMAND_SWITCH:
		return json_type_boolean;
	case COMMAND_NAMES:
	case COMMAND_NETWORKS:
	case COMMAND_TEXTS:
		return json_type_array;
	case COMMAND_HEADERS:
		return json_type_object;
	case COMMAND_TEXT:
	case COMMAND_NAME:
	case COMMAND_DURATION:
	case COMMAND_CHOICE:
	case COMMAND_PATH:
	case COMMAND_CONTENT:
	case COMMAND_STDIN:
	case COMMAND_ORIGIN:
	case COMMAND_NETWORK:
	case COMMAND_SPAN:
	case COMMAND_REQUEST:
	case COMMAND_DOCUMENT:
	case COMMAND_OUTPUT:
		break;
	}
	return json_type_string;
}

static const char *type_word(enum json_type type)
{
	switch (type) {
	case json_type_int:
		return "a whole number";
	case json_type_boolean:
		return "true or false";
	case json_type_array:
		return "an array of strings";
	case json_type_object:
		return "an object of strings";
	case json_type_double:
		return "a number";
	case json_type_string:
	case json_type_null:
		break;
	}
	return "a string";
}

static struct slice json_slice(json_object *value)
{
	return (struct slice){
		json_object_get_string(value), (size_t)json_object_get_string_len(value)};
}

static int check_number(const struct command_option *o, json_object *value, struct errtext *e)
{
	/* json-c clips numbers beyond 64 bits; the bound below never exceeds them */
	int64_t n = json_object_get_int64(value);
	uint64_t max = number_max(o);

	if (n >= 0 && (uint64_t)n >= o->min && (uint64_t)n <= max)
		return 0;
	return errtext_set(e, -EINVAL, "%s: a number from %llu to %llu", o->name,
		(unsigned long long)o->min, (unsigned long long)max);
}

/* NaN is outside the bounds too. */
static int check_share(const struct command_option *o, json_object *value, struct errtext *e)
{
	double share = json_object_get_double(value);

	if (share >= 0 && share <= 1)
		return 0;
	return errtext_set(e, -EINVAL, "%s: a number from 0 to 1, e.g. 0.7", o->name);
}

static uint64_t list_max(const struct command_option *o)
{
	if (o->max)
		return o->max;
	return o->type == COMMAND_NETWORKS ? CIDR_LIST_MAX : COMMAND_LIST_MAX;
}

/* 127.0.0.1 and 127.0.0.1/32 are one network. */
static bool is_same(const struct command_option *o, json_object *a, json_object *b)
{
	struct cidr one;
	struct cidr other;

	if (o->type != COMMAND_NETWORKS)
		return slice_eq(json_slice(a), json_slice(b));
	return cidr_parse(json_slice(a), &one) == 0 && cidr_parse(json_slice(b), &other) == 0 &&
		one.bits == other.bits && memcmp(&one.ip, &other.ip, sizeof(one.ip)) == 0;
}

/* A second mention changes nothing, and may be a slip: `pools remove p b b` for `b c`. */
static int refuse_twice(
	const struct command_option *o, json_object *list, size_t at, struct errtext *e)
{
	json_object *one = json_object_array_get_idx(list, at);

	for (size_t i = 0; i < at; i++) {
		if (is_same(o, json_object_array_get_idx(list, i), one))
			return errtext_set(e, -EINVAL, "%s: \"%.100s\" is given twice", o->name,
				json_object_get_string(one));
	}
	return 0;
}

static int check_array(const struct command_option *o, json_object *value, struct errtext *e)
{
	size_t n = json_object_array_length(value);
	struct command_option element = *o;

	element.clearable = false;
	element.max = 0;
	if (n > list_max(o))
		return errtext_set(
			e, -EINVAL, "%s: more than %" PRIu64 " values", o->name, list_max(o));
	if (n == 0 && o->required)
		return errtext_set(e, -EINVAL, "%s: at least one", o->name);
	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(value, i);
		if (!json_object_is_type(one, json_type_string))
			return errtext_set(e, -EINVAL, "%s: is not an array of strings", o->name);
		if (check_string(&element, json_slice(one), e) || refuse_twice(o, value, i, e))
			return -EINVAL;
	}
	return 0;
}

/* Names compare without case. */
static int check_headers(const struct command_option *o, json_object *value, struct errtext *e)
{
	struct headerset set = {0};
	size_t n = 0;

	json_object_object_foreach(value, key, text)
	{
		if (!json_object_is_type(text, json_type_string))
			return errtext_set(e, -EINVAL, "%s: %s is not a string", o->name, key);
		if (headerset_put(&set, slice_from_str(key), json_slice(text), e))
			return errtext_prefix(e, -EINVAL, "%s", o->name);
		if (set.count == n++)
			return errtext_set(
				e, -EINVAL, "%s: \"%.100s\" is given twice", o->name, key);
	}
	return 0;
}

int command_value_check(const struct command_option *o, json_object *value, struct errtext *e)
{
	enum json_type want = wanted_type(o);

	if (want == json_type_double && json_object_is_type(value, json_type_int))
		return check_share(o, value, e);
	if (!json_object_is_type(value, want))
		return errtext_set(e, -EINVAL, "%s: is not %s", o->name, type_word(want));
	if (want == json_type_int)
		return check_number(o, value, e);
	if (want == json_type_double)
		return check_share(o, value, e);
	if (want == json_type_array)
		return check_array(o, value, e);
	if (want == json_type_object)
		return check_headers(o, value, e);
	if (want == json_type_string)
		return check_string(o, json_slice(value), e);
	return 0;
}

int command_fields_check(const struct command *c, json_object *body, struct errtext *e)
{
	struct command_option o;

	json_object_object_foreach(body, field, value)
	{
		if (!command_field_find(c, field, &o))
			return errtext_set(e, -EINVAL, "unknown field \"%.100s\"", field);
		if (command_value_check(&o, value, e))
			return -EINVAL;
	}
	return 0;
}

static int check_required(const struct command *c, json_object *body, struct errtext *e)
{
	char field[COMMAND_FIELD_SIZE];

	for (const struct command_argument *a = c->arguments; a->metavar; a++) {
		if (a->field && !a->optional && !json_object_object_get_ex(body, a->field, NULL))
			return errtext_set(e, -EINVAL, "%s is missing", a->metavar);
	}
	for (const struct command_option *o = c->options; o && o->name; o++) {
		command_option_field(o, field);
		if (o->required && !json_object_object_get_ex(body, field, NULL))
			return errtext_set(e, -EINVAL, "--%s is missing", o->name);
	}
	return 0;
}

static bool has_option(const struct command *c, struct slice name, json_object *body)
{
	const struct command_option *o = command_option_find(c, name);
	char field[COMMAND_FIELD_SIZE];

	return o && json_object_object_get_ex(body, command_option_field(o, field), NULL);
}

static int check_needs(const struct command *c, json_object *body, struct errtext *e)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		struct slice rest = slice_from_str(o->needs ? o->needs : "");
		struct slice other;
		if (!o->needs || !has_option(c, slice_from_str(o->name), body))
			continue;
		while (slice_next(&rest, '|', &other)) {
			if (!has_option(c, other, body))
				return errtext_set(e, -EINVAL, "--%s: only with --%.*s", o->name,
					(int)other.n, other.p);
		}
	}
	return 0;
}

static void name_group(const struct command *c, char group, struct buffer *out)
{
	for (const struct command_option *o = c->options; o->name; o++) {
		if (o->group == group)
			buffer_printf(out, "%s--%s", out->len ? ", " : "", o->name);
	}
}

/* Options of one group may share a field: they count once. */
static size_t count_group(const struct command *c, char group, json_object *body)
{
	char field[COMMAND_FIELD_SIZE];
	char last[COMMAND_FIELD_SIZE] = "";
	size_t n = 0;

	for (const struct command_option *o = c->options; o->name; o++) {
		if (o->group != group || strcmp(command_option_field(o, field), last) == 0)
			continue;
		memcpy(last, field, sizeof(last));
		n += json_object_object_get_ex(body, field, NULL) ? 1 : 0;
	}
	return n;
}

static int check_groups(const struct command *c, json_object *body, struct errtext *e)
{
	for (const struct command_option *o = c->options; o && o->name; o++) {
		if (!o->group)
			continue;
		size_t n = count_group(c, o->group, body);
		bool required = o->group >= 'A' && o->group <= 'Z';
		if (n == 1 || (n == 0 && !required))
			continue;
		struct buffer names = {0};
		name_group(c, o->group, &names);
		errtext_set(e, -EINVAL, "%s of %s", n ? "give only one" : "give one",
			buffer_str(&names));
		buffer_fini(&names);
		return -EINVAL;
	}
	return 0;
}

int command_presence_check(const struct command *c, json_object *body, struct errtext *e)
{
	int error = check_required(c, body, e);

	if (!error)
		error = check_groups(c, body, e);
	return error ? error : check_needs(c, body, e);
}

int command_subject_check(const struct command *c, const char *text, struct errtext *e)
{
	const struct command_option o = command_argument_option(&c->arguments[0]);
	struct slice s = slice_from_str(text);
	uint64_t n;

	if (o.type != COMMAND_NUMBER)
		return check_string(&o, s, e);
	if (num_parse_u64(s, INT64_MAX, &n) == 0)
		return 0;
	return errtext_set(e, -EINVAL, "%s: \"%.*s\" is not a whole number", o.name,
		(int)slice_cut(s, 100).n, s.p);
}

int command_body_check(const struct command *c, json_object *body, struct errtext *e)
{
	int error = command_fields_check(c, body, e);

	return error ? error : command_presence_check(c, body, e);
}
