#include "admin/command/headerset.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#define JSON_MAX (64 << 10)
#define JSON_DEPTH 2

/* Headers that the relay sets, or HAProxy for the connection. */
static const char *const reserved[] = {"host", "content-length", "transfer-encoding", "connection",
	"keep-alive", "http2-settings", "te", "trailer", "upgrade", "expect", "proxy-authorization",
	"proxy-connection", "authorization", "x-api-key", "x-request-id", "traceparent"};

static int check_name(struct slice name, struct errtext *e)
{
	if (!name.n || name.n > SEAM_HEADER_NAME_MAX)
		return errtext_set(
			e, -EINVAL, "a header name has 1 to %d characters", SEAM_HEADER_NAME_MAX);
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return errtext_set(e, -EINVAL,
				"\"%.*s\" is not a header name: letters, digits, - and _",
				(int)name.n, name.p);
	}
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (slice_eq_nocase(name, slice_from_str(reserved[i])))
			return errtext_set(
				e, -EINVAL, "header %s is set by the relay itself", reserved[i]);
	if (slice_eq_nocase(slice_cut(name, 8), SLICE_LITERAL("x-relay-")))
		return errtext_set(e, -EINVAL, "headers X-Relay-* are the relay's own");
	return 0;
}

static int check_value(struct slice name, struct slice value, struct errtext *e)
{
	if (!value.n || value.n > SEAM_HEADER_VALUE_MAX)
		return errtext_set(e, -EINVAL, "the value of header %.*s must have 1 to %d bytes",
			(int)name.n, name.p, SEAM_HEADER_VALUE_MAX);
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < 0x20 || value.p[i] > 0x7e)
			return errtext_set(e, -EINVAL,
				"the value of header %.*s must be printable ASCII", (int)name.n,
				name.p);
	return 0;
}

static struct headerset_row *find_row(struct headerset *h, struct slice name)
{
	for (size_t i = 0; i < h->count; i++)
		if (slice_eq_nocase(name, slice_from_str(h->rows[i].name)))
			return &h->rows[i];
	return NULL;
}

static size_t total_of(const struct headerset *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->count; i++)
		n += strlen(h->rows[i].value);
	return n;
}

static void copy_text(char *out, struct slice s)
{
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

int headerset_put(struct headerset *h, struct slice name, struct slice value, struct errtext *e)
{
	int error = check_name(name, e);

	value = slice_trim(value);
	if (!error)
		error = check_value(name, value, e);
	if (error)
		return error;
	struct headerset_row *row = find_row(h, name);
	size_t before = row ? strlen(row->value) : 0;
	if (!row && h->count == SEAM_HEADERS_MAX)
		return errtext_set(e, -E2BIG,
			"more than %d extra headers for an account and its upstream together",
			SEAM_HEADERS_MAX);
	if (total_of(h) - before + value.n > SEAM_HEADERS_TOTAL_MAX)
		return errtext_set(e, -E2BIG,
			"the extra headers of an account and its upstream exceed %d bytes together",
			SEAM_HEADERS_TOTAL_MAX);
	if (!row)
		row = &h->rows[h->count++];
	copy_text(row->name, name);
	copy_text(row->value, value);
	return 0;
}

int headerset_merge(struct headerset *h, const struct headerset *over, struct errtext *e)
{
	for (size_t i = 0; i < over->count; i++) {
		int error = headerset_put(h, slice_from_str(over->rows[i].name),
			slice_from_str(over->rows[i].value), e);
		if (error)
			return error;
	}
	return 0;
}

static int take_members(struct json_object *o, struct headerset *ret, struct errtext *e)
{
	if (!json_object_is_type(o, json_type_object))
		return errtext_set(e, -EINVAL, "headers must be a JSON object");
	json_object_object_foreach(o, name, value)
	{
		if (!json_object_is_type(value, json_type_string))
			return errtext_set(
				e, -EINVAL, "the value of header %.64s must be a text", name);
		struct slice text = {
			json_object_get_string(value), (size_t)json_object_get_string_len(value)};
		int error = headerset_put(ret, slice_from_str(name), text, e);
		if (error)
			return error;
	}
	return 0;
}

int headerset_parse(struct slice json, struct headerset *ret, struct errtext *e)
{
	*ret = (struct headerset){0};
	if (!json.n)
		return 0;
	if (json.n > JSON_MAX)
		return errtext_set(e, -EINVAL, "headers: too long");
	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);
	if (!t)
		return errtext_set(e, -ENOMEM, "headers: out of memory");
	struct json_object *o = json_tokener_parse_ex(t, json.p, (int)json.n);
	int error =
		o ? take_members(o, ret, e) : errtext_set(e, -EINVAL, "headers: not a JSON object");
	json_object_put(o);
	json_tokener_free(t);
	return error;
}

void headerset_format(const struct headerset *h, struct buffer *out)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; i < h->count; i++)
		json_object_object_add(
			o, h->rows[i].name, json_object_new_string(h->rows[i].value));
	buffer_append_str(out, json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}
