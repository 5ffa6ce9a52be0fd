#include "admin/cli/command_table.h"

#include <inttypes.h>
#include <stdio.h>

static void put_bytes(int64_t n, struct buffer *out)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double value = (double)n;
	size_t unit = 0;

	while (value >= 1000 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		value /= 1000;
		unit++;
	}
	buffer_printf(out, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

static void put_ms(int64_t ms, struct buffer *out)
{
	if (ms < 0)
		buffer_append_str(out, "-");
	else if (ms < 10000)
		buffer_printf(out, "%" PRId64 " ms", ms);
	else
		buffer_printf(out, "%.1f s", (double)ms / 1000);
}

static void put_span(int64_t s, struct buffer *out)
{
	if (s < 120)
		buffer_printf(out, "%" PRId64 "s", s);
	else if (s < 3600)
		buffer_printf(out, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		buffer_printf(out, "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
	else
		buffer_printf(out, "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
}

static void put_number(int64_t n, enum command_kind kind, struct buffer *out)
{
	switch (kind) {
	case COLUMN_LIMIT:
		if (n == 0)
			buffer_append_str(out, "-");
		else
			buffer_printf(out, "%" PRId64, n);
		break;
	case COLUMN_MS:
		put_ms(n, out);
		break;
	case COLUMN_BYTES:
		put_bytes(n, out);
		break;
	case COLUMN_SPAN:
		put_span(n, out);
		break;
	case COLUMN_STATE:
	case COLUMN_PLAIN:
		buffer_printf(out, "%" PRId64, n);
		break;
	}
}

/* A label comes from a client: it must not contain control sequences for the terminal. */
static void put_text(const char *text, struct buffer *out)
{
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f)
			buffer_printf(out, "\\x%02x", c);
		else
			buffer_append(out, p, 1);
	}
	if (!*text)
		buffer_append_str(out, "-");
}

static void put_array(json_object *array, struct buffer *out)
{
	size_t n = json_object_array_length(array);

	for (size_t i = 0; i < n; i++) {
		buffer_append_str(out, i ? "," : "");
		command_table_value(json_object_array_get_idx(array, i), COLUMN_PLAIN, out);
	}
	if (n == 0)
		buffer_append_str(out, "-");
}

static void put_members(json_object *object, struct buffer *out)
{
	size_t before = out->len;

	json_object_object_foreach(object, key, value)
	{
		buffer_printf(out, "%s%s: ", out->len > before ? ", " : "", key);
		command_table_value(value, COLUMN_PLAIN, out);
	}
	if (out->len == before)
		buffer_append_str(out, "-");
}

void command_table_value(json_object *value, enum command_kind kind, struct buffer *out)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		buffer_append_str(out, "-");
		break;
	case json_type_boolean:
		buffer_append_str(out, json_object_get_boolean(value) ? "yes" : "no");
		break;
	case json_type_int:
		put_number(json_object_get_int64(value), kind, out);
		break;
	case json_type_double:
		buffer_printf(out, "%g", json_object_get_double(value));
		break;
	case json_type_string:
		put_text(json_object_get_string(value), out);
		break;
	case json_type_array:
		put_array(value, out);
		break;
	case json_type_object:
		put_members(value, out);
		break;
	}
}

/* Characters, not bytes: labels may be UTF-8. */
static size_t text_width(const char *text)
{
	size_t n = 0;

	for (const char *p = text; *p; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	return n;
}

static void format_cell(const struct command_column *c, json_object *item, struct buffer *cell)
{
	buffer_clear(cell);
	command_table_value(json_object_object_get(item, c->field), c->kind, cell);
}

static size_t column_width(const struct command_column *c, json_object *items, struct buffer *cell)
{
	size_t width = text_width(c->title);

	for (size_t i = 0; i < json_object_array_length(items); i++) {
		format_cell(c, json_object_array_get_idx(items, i), cell);
		size_t w = text_width(buffer_str(cell));
		width = w > width ? w : width;
	}
	return width;
}

#define RED "\x1b[31m"
#define YELLOW "\x1b[33m"
#define PLAIN "\x1b[0m"

/* Of a COLUMN_STATE: every other word is a state in which something is wrong, and so is none of a number. */
static bool is_wrong(json_object *value)
{
	static const char *const good[] = {"ok", "closed", "serving"};
	const char *word = json_object_get_string(value);

	if (json_object_is_type(value, json_type_int))
		return json_object_get_int64(value) == 0;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!word || strcmp(word, good[i]) == 0)
			return false;
	}
	return true;
}

static void put_coloured(const char *text, const char *colour, struct buffer *out)
{
	if (colour)
		buffer_printf(out, "%s%s" PLAIN, colour, text);
	else
		buffer_append_str(out, text);
}

static void put_cell(
	const char *text, size_t width, bool is_last, const char *colour, struct buffer *out)
{
	size_t w = text_width(text);

	put_coloured(text, colour, out);
	if (is_last)
		buffer_append_str(out, "\n");
	else
		buffer_printf(out, "%*s", (int)(width - w + 2), "");
}

static void put_row(const struct command_column *columns, const size_t *widths, json_object *item,
	bool colour, struct buffer *out)
{
	struct buffer cell = {0};

	for (size_t c = 0; columns[c].field; c++) {
		bool wrong = colour && columns[c].kind == COLUMN_STATE &&
			is_wrong(json_object_object_get(item, columns[c].field));
		format_cell(&columns[c], item, &cell);
		put_cell(buffer_str(&cell), widths[c], !columns[c + 1].field, wrong ? RED : NULL,
			out);
	}
	buffer_fini(&cell);
}

void command_table_list(
	const struct command_column *columns, json_object *items, bool colour, struct buffer *out)
{
	size_t widths[COMMAND_COLUMNS_MAX] = {0};
	struct buffer cell = {0};

	for (size_t c = 0; columns[c].field; c++) {
		widths[c] = column_width(&columns[c], items, &cell);
	}
	for (size_t c = 0; columns[c].field; c++)
		put_cell(columns[c].title, widths[c], !columns[c + 1].field, NULL, out);
	for (size_t i = 0; i < json_object_array_length(items); i++)
		put_row(columns, widths, json_object_array_get_idx(items, i), colour, out);
	buffer_fini(&cell);
}

static void put_object(json_object *o, int indent, struct buffer *out)
{
	json_object_object_foreach(o, key, value)
	{
		bool nested = json_object_is_type(value, json_type_object) &&
			json_object_object_length(value) > 0;
		buffer_printf(out, "%*s%s:", indent, "", key);
		if (nested) {
			buffer_append_str(out, "\n");
			put_object(value, indent + 2, out);
			continue;
		}
		buffer_append_str(out, " ");
		command_table_value(value, COLUMN_PLAIN, out);
		buffer_append_str(out, "\n");
	}
}

/* --- screens with sections: status, requests why --- */

static const struct command_column process_columns[] = {
	{"name", "PROCESS", COLUMN_PLAIN},
	{"pid", "PID", COLUMN_PLAIN},
	{"uptime_s", "UPTIME", COLUMN_SPAN},
	{"state", "STATE", COLUMN_STATE},
	{"restarts", "RESTARTS", COLUMN_PLAIN},
	{"last_restart", "REASON", COLUMN_PLAIN},
	{"last_restart_at", "RESTARTED", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column pool_columns[] = {
	{"name", "POOL", COLUMN_PLAIN},
	{"upstream", "UPSTREAM", COLUMN_PLAIN},
	{"strategy", "STRATEGY", COLUMN_PLAIN},
	{"accounts", "ACCOUNTS", COLUMN_PLAIN},
	{"usable", "USABLE", COLUMN_STATE},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column account_columns[] = {
	{"name", "ACCOUNT", COLUMN_PLAIN},
	{"upstream", "UPSTREAM", COLUMN_PLAIN},
	{"state", "STATE", COLUMN_STATE},
	{"until_s", "FOR", COLUMN_SPAN},
	{"circuit", "CIRCUIT", COLUMN_STATE},
	{"risk", "RISK", COLUMN_PLAIN},
	{"egress", "EGRESS", COLUMN_PLAIN},
	{"active", "ACTIVE", COLUMN_PLAIN},
	{"requests", "REQUESTS", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column backend_columns[] = {
	{"backend", "BACKEND", COLUMN_PLAIN},
	{"upstream", "UPSTREAM", COLUMN_PLAIN},
	{"state", "STATE", COLUMN_STATE},
	{"until", "UNTIL", COLUMN_PLAIN},
	{"failures", "FAILURES", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column notice_columns[] = {
	{"id", "NOTICE", COLUMN_PLAIN},
	{"kind", "KIND", COLUMN_PLAIN},
	{"subject", "SUBJECT", COLUMN_PLAIN},
	{"count", "COUNT", COLUMN_PLAIN},
	{"message", "MESSAGE", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column egress_columns[] = {
	{"name", "EGRESS", COLUMN_PLAIN},
	{"state", "STATE", COLUMN_STATE},
	{"reason", "REASON", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column error_columns[] = {
	{"time", "LAST ERRORS", COLUMN_PLAIN},
	{"status", "STATUS", COLUMN_PLAIN},
	{"code", "CODE", COLUMN_PLAIN},
	{"tenant", "TENANT", COLUMN_PLAIN},
	{"account", "ACCOUNT", COLUMN_PLAIN},
	{"id", "ID", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};

static const struct command_column limit_columns[] = {
	{"scope", "LIMIT OF", COLUMN_PLAIN},
	{"window", "WINDOW", COLUMN_PLAIN},
	{"limit", "LIMIT", COLUMN_PLAIN},
	{"used", "USED", COLUMN_PLAIN},
	{"hit", "HIT", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column usage_columns[] = {
	{"window", "WINDOW", COLUMN_PLAIN},
	{"limit", "LIMIT", COLUMN_PLAIN},
	{"used", "USED", COLUMN_PLAIN},
	{"remaining", "LEFT", COLUMN_PLAIN},
	{"resets_at", "RESETS", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column quota_columns[] = {
	{"tenant", "NEARLY USED UP", COLUMN_PLAIN},
	{"window", "WINDOW", COLUMN_PLAIN},
	{"used", "USED", COLUMN_PLAIN},
	{"limit", "LIMIT", COLUMN_PLAIN},
	{"resets_at", "RESETS", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column attempt_columns[] = {
	{"account", "ATTEMPT AT", COLUMN_PLAIN},
	{"status", "STATUS", COLUMN_PLAIN},
	{"class", "CLASS", COLUMN_PLAIN},
	{"meaning", "MEANING", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};
static const struct command_column candidate_columns[] = {
	{"account", "ACCOUNT", COLUMN_PLAIN},
	{"score", "SCORE", COLUMN_PLAIN},
	{"reason", "REASON", COLUMN_PLAIN},
	{NULL, NULL, COLUMN_PLAIN},
};

static void put_section(
	const struct command_column *columns, json_object *items, bool colour, struct buffer *out)
{
	if (json_object_array_length(items) == 0)
		return;
	buffer_append_str(out, "\n");
	command_table_list(columns, items, colour, out);
}

static const struct command_column *status_section(const char *key)
{
	static const struct {
		const char *key;
		const struct command_column *columns;
	} sections[] = {
		{"pools", pool_columns},
		{"accounts", account_columns},
		{"egress", egress_columns},
		{"backends", backend_columns},
		{"notices", notice_columns},
		{"errors", error_columns},
		{"limits", limit_columns},
		{"attempts", attempt_columns},
		{"candidates", candidate_columns},
		{"usage", usage_columns},
		{"quota", quota_columns},
	};

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (strcmp(sections[i].key, key) == 0)
			return sections[i].columns;
	}
	return NULL;
}

/* Arrays of objects become tables. A section name can also name a plain list elsewhere. */
static bool is_table(const char *key, json_object *value)
{
	return status_section(key) && json_object_is_type(value, json_type_array) &&
		json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
}

void command_table_object(json_object *o, bool colour, struct buffer *out)
{
	json_object *plain = json_object_new_object();

	json_object_object_foreach(o, field, content)
	{
		if (!is_table(field, content))
			json_object_object_add(plain, field, json_object_get(content));
	}
	put_object(plain, 0, out);
	json_object_put(plain);
	json_object_object_foreach(o, section, items)
	{
		if (is_table(section, items))
			put_section(status_section(section), items, colour, out);
	}
}

/* {keeper: {...}, ...} as rows of a table. */
static void put_processes(json_object *processes, bool colour, struct buffer *out)
{
	json_object *items = json_object_new_array();

	json_object_object_foreach(processes, name, process)
	{
		json_object *row = json_object_new_object();
		json_object_object_add(row, "name", json_object_new_string(name));
		json_object_object_foreach(process, field, value)
		{
			json_object_object_add(row, field, json_object_get(value));
		}
		json_object_array_add(items, row);
	}
	put_section(process_columns, items, colour, out);
	json_object_put(items);
}

static const char *text_of(json_object *o, const char *field)
{
	const char *text = json_object_get_string(json_object_object_get(o, field));

	return text ? text : "";
}

/* The first line says it all; each problem that it joins has a separate line, too. */
static void put_summary(json_object *status, bool colour, struct buffer *out)
{
	json_object *warnings = json_object_object_get(status, "warnings");
	bool ok = json_object_get_boolean(json_object_object_get(status, "ok"));
	size_t n = json_object_array_length(warnings);

	put_coloured(text_of(status, "summary"), colour && !ok ? RED : NULL, out);
	buffer_append_str(out, "\n");
	for (size_t i = 0; i < n; i++) {
		json_object *one = json_object_array_get_idx(warnings, i);
		bool is_problem = strcmp(text_of(one, "level"), "problem") == 0;
		if (is_problem && n == 1)
			continue;
		put_coloured(text_of(one, "level"),
			!colour		     ? NULL
				: is_problem ? RED
					     : YELLOW,
			out);
		buffer_printf(out, ": %s\n", text_of(one, "message"));
	}
}

static bool is_of_summary(const char *key)
{
	return strcmp(key, "ok") == 0 || strcmp(key, "summary") == 0 ||
		strcmp(key, "warnings") == 0;
}

/* The screen of one request has no summary and no processes, and leaves out unknown values. */
void command_table_status(json_object *status, bool colour, struct buffer *out)
{
	json_object *processes = json_object_object_get(status, "processes");
	bool has_summary = json_object_object_get(status, "summary") != NULL;

	if (has_summary)
		put_summary(status, colour, out);
	json_object_object_foreach(status, key, value)
	{
		if (has_summary && is_of_summary(key))
			continue;
		if (status_section(key) || (processes ? value == processes : !value))
			continue;
		buffer_printf(out, "%s: ", key);
		command_table_value(value, COLUMN_PLAIN, out);
		buffer_append_str(out, "\n");
	}
	if (processes)
		put_processes(processes, colour, out);
	json_object_object_foreach(status, section, items)
	{
		if (status_section(section) && json_object_is_type(items, json_type_array))
			put_section(status_section(section), items, colour, out);
	}
}
