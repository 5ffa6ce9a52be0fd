#include "admin/api/audit.h"

#include "admin/api/document.h"
#include "admin/api/handlers.h"
#include "common/ban.h"
#include "common/log.h"
#include "common/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define VALUE_MAX 100 /* bytes of one value that are told */

/* --- the subject --- */

static const struct document_kind *kind_of(const char *noun)
{
	for (const struct document_kind *k = document_kinds; k->field; k++) {
		if (strcmp(k->field, noun) == 0)
			return k;
	}
	return NULL;
}

static void take_field(json_object *from, const char *field, json_object *to)
{
	json_object *value;

	if (json_object_object_get_ex(from, field, &value))
		json_object_object_add(to, field, json_object_get(value));
}

/* What `export` prints, and whether it is suspended. */
static int read_thing(struct request *sub, const struct document_kind *kind, const char *name)
{
	int error = noun_show(sub, kind->noun, name, sub->answer);
	json_object *shown = sub->answer;

	if (error)
		return error;
	sub->answer = document_item(kind, shown);
	take_field(shown, "suspended", sub->answer);
	take_field(shown, "suspend_reason", sub->answer);
	json_object_put(shown);
	return 0;
}

static int read_key(struct request *sub, const char *name)
{
	uint64_t id;

	if (num_parse_u64(slice_from_str(name), INT64_MAX, &id))
		return -EINVAL;
	return token_show(sub, (int64_t)id);
}

static int read_ban(struct request *sub, const char *text)
{
	char network[CIDR_TEXT_SIZE];
	struct cidr net;

	if (cidr_parse(slice_from_str(text), &net))
		return -EINVAL;
	return ban_show(sub, cidr_format(&net, network));
}

static int read_subject(struct request *sub, const char *noun, const char *name)
{
	const struct document_kind *kind = kind_of(noun);

	if (strcmp(noun, "site") == 0)
		return site_show(sub);
	if (!name)
		return -ENOENT;
	if (kind)
		return read_thing(sub, kind, name);
	if (strcmp(noun, "tokens") == 0)
		return read_key(sub, name);
	if (strcmp(noun, "bans") == 0)
		return read_ban(sub, name);
	return -ENOENT;
}

/* In the path, in the body, or made by the change. */
static const char *subject_name(const struct request *r)
{
	const char *field = r->command->arguments[0].field;
	json_object *id = json_object_object_get(r->answer, "id");

	if (r->name)
		return r->name;
	return field ? request_text(r, field) : id ? json_object_get_string(id) : NULL;
}

json_object *audit_subject(const struct request *r)
{
	struct request sub = *r;

	sub.answer = json_object_new_object();
	sub.error = (struct errtext){""};
	int error = read_subject(&sub, r->command->noun, subject_name(r));
	if (error || json_object_object_length(sub.answer) == 0) {
		json_object_put(sub.answer);
		return NULL;
	}
	return sub.answer;
}

/* --- differences --- */

static const char *separator(const struct buffer *t)
{
	return t->len ? ", " : "";
}

static bool is_empty(json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return true;
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	case json_type_array:
		return json_object_array_length(value) == 0;
	case json_type_object:
		return json_object_object_length(value) == 0;
	case json_type_boolean:
		return !json_object_get_boolean(value);
	case json_type_int:
	case json_type_double:
		break;
	}
	return json_object_get_double(value) == 0;
}

static void add_value(struct buffer *t, json_object *value)
{
	size_t n =
		json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

	if (n) {
		for (size_t i = 0; i < n; i++)
			buffer_printf(t, "%s%.*s", i ? "," : "", VALUE_MAX,
				json_object_get_string(json_object_array_get_idx(value, i)));
	} else if (json_object_is_type(value, json_type_boolean) ||
		json_object_is_type(value, json_type_int) || !is_empty(value)) {
		buffer_printf(t, "%.*s", VALUE_MAX, json_object_get_string(value));
	} else {
		buffer_printf(t, "none");
	}
}

static const char *member_word(json_object *from, json_object *to, const char *name)
{
	json_object *old;
	json_object *new;

	if (!json_object_object_get_ex(from, name, &old))
		return "added";
	if (!json_object_object_get_ex(to, name, &new))
		return "removed";
	return json_object_equal(old, new) ? NULL : "changed";
}

/* Those of `of`, unless the other object has them too and was told. */
static void add_members(struct buffer *t, const char *field, json_object *of, json_object *before,
	json_object *after)
{
	if (!of)
		return;
	json_object_object_foreach(of, name, value)
	{
		const char *word = member_word(before, after, name);
		(void)value;
		if (word && (of == after || !json_object_object_get_ex(after, name, NULL)))
			buffer_printf(
				t, "%s%s %.*s %s", separator(t), field, VALUE_MAX, name, word);
	}
}

static void add_field(struct buffer *t, const char *field, json_object *before, json_object *after,
	bool both_exist)
{
	if (json_object_is_type(before, json_type_object) ||
		json_object_is_type(after, json_type_object)) {
		/* values of headers may be secrets: only their names are told */
		add_members(t, field, after, before, after);
		add_members(t, field, before, before, after);
		return;
	}
	if (json_object_equal(before, after) ||
		(!both_exist && is_empty(before) && is_empty(after)))
		return;
	buffer_printf(t, "%s%s: ", separator(t), field);
	if (both_exist || !is_empty(before)) {
		add_value(t, before);
		buffer_printf(t, " -> ");
	}
	add_value(t, after);
}

static bool is_file(const struct command_option *o)
{
	return o->type == COMMAND_CONTENT || o->type == COMMAND_STDIN;
}

/* Content of files is told by add_files(). */
static bool is_content(const char *field)
{
	static const char *const fields[] = {
		"token", "auth_json", "credentials", "client_secret", "ca", "ca_pem", "ca_file"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strcmp(fields[i], field) == 0)
			return true;
	}
	return false;
}

static void add_fields(struct buffer *t, json_object *before, json_object *after)
{
	bool both = before && after;

	json_object_object_foreach(after ? after : before, field, value)
	{
		if (!is_content(field))
			add_field(t, field, after ? json_object_object_get(before, field) : value,
				after ? value : NULL, both);
	}
}

static void cut(struct buffer *t, char out[AUDIT_TEXT_SIZE])
{
	snprintf(out, AUDIT_TEXT_SIZE, "%s", buffer_str(t));
	buffer_fini(t);
}

void audit_differences(json_object *before, json_object *after, char out[AUDIT_TEXT_SIZE])
{
	struct buffer t = {0};

	if (before || after)
		add_fields(&t, before, after);
	cut(&t, out);
}

static void add_files(struct buffer *t, const struct request *r)
{
	char field[COMMAND_FIELD_SIZE];
	const char *last = "";

	for (const struct command_option *o = r->command->options; o && o->name; o++) {
		const char *name = command_option_field(o, field);
		if (!is_file(o) || !request_has(r, name) || strcmp(name, last) == 0)
			continue;
		buffer_printf(t, "%s%s replaced", separator(t), name);
		last = o->field ? o->field : o->name;
	}
}

/* Keys that the change has made besides its subject. */
static void add_made(struct buffer *t, const struct request *r)
{
	json_object *items = json_object_object_get(r->answer, "items");
	json_object *id = json_object_object_get(r->answer, "id");
	size_t n = items ? json_object_array_length(items) : 0;

	if (strcmp(r->command->noun, "tokens") != 0)
		return;
	if (n) {
		json_object *first = json_object_array_get_idx(items, 0);
		json_object *end = json_object_array_get_idx(items, n - 1);
		buffer_printf(t, "%skeys %" PRId64 " to %" PRId64, separator(t),
			json_object_get_int64(json_object_object_get(first, "id")),
			json_object_get_int64(json_object_object_get(end, "id")));
	} else if (r->name && id && strcmp(json_object_get_string(id), r->name) != 0) {
		buffer_printf(t, "%snew key: %s", separator(t), json_object_get_string(id));
	}
}

void audit_describe(
	const struct request *r, json_object *before, json_object *after, char out[AUDIT_TEXT_SIZE])
{
	struct buffer t = {0};

	if (before || after)
		add_fields(&t, before, after);
	add_files(&t, r);
	add_made(&t, r);
	cut(&t, out);
}

/* --- lines --- */

void audit_note(struct request *r, const char *noun, const char *name, json_object *before,
	json_object *after)
{
	char changed[AUDIT_TEXT_SIZE];
	json_object *o = json_object_new_object();

	audit_differences(before, after, changed);
	answer_text(o, "noun", noun);
	answer_text(o, "target", name);
	answer_text(o, "changed", changed);
	if (!r->audited)
		r->audited = json_object_new_array();
	json_object_array_add(r->audited, o);
}

static void log_line(
	const struct request *r, const char *noun, const char *target, const char *changed)
{
	log_event(LOG_LEVEL_INFO, "change", LOG_STR("noun", noun),
		LOG_STR("verb", r->command->verb ? r->command->verb : r->command->noun),
		LOG_STR("target", target), LOG_INT("uid", r->uid), LOG_STR("changed", changed));
}

static const char *string_of(json_object *o, const char *field)
{
	return json_object_get_string(json_object_object_get(o, field));
}

void audit_log(const struct request *r)
{
	const char *field = r->command->arguments[0].field;
	const char *target = r->name ? r->name : request_text(r, field ? field : "tenant");

	if (!r->audited) {
		log_line(r, r->command->noun, target ? target : "", r->changed);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(r->audited); i++) {
		json_object *o = json_object_array_get_idx(r->audited, i);
		log_line(r, string_of(o, "noun"), string_of(o, "target"), string_of(o, "changed"));
	}
}
