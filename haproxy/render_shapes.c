/*
 * Shapes of error bodies. A shape that is not the default sets one variable, whose fields are the texts
 * before the message, before and behind the request id, and between the message and the other fields for
 * each status. The expressions of a body hold the default. So a request that is answered well sets at
 * most one variable. The rows of the shapes are in common/provider_rows.c.
 */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#include <stdio.h>

#define SHAPE RENDER_VAR("shape")
#define SEPARATOR ';'
#define IDENTITY "%[unique-id]"

enum { FIELD_OPEN = 1, FIELD_BEFORE_ID, FIELD_BEHIND_ID, FIELD_MIDDLE };

int render_status_at(size_t i)
{
	size_t found = 0;

	for (int r = REFUSAL_NONE + 1; r < REFUSAL_COUNT; r++) {
		int status = refusal_row((enum refusal)r)->status;
		int earlier = REFUSAL_NONE + 1;
		while (refusal_row((enum refusal)earlier)->status != status)
			earlier++;
		if (earlier == r && found++ == i)
			return status;
	}
	return 0;
}

/* A field of the variable; `value` is the default's, with its quotes escaped for HAProxy. */
static void append_field(struct buffer *b, size_t field, const char *value, size_t len)
{
	buffer_append_str(b, "%[var(txn.rly.shape,\"");
	for (size_t i = 1; i < field && len; i++)
		buffer_printf(b, "%c", SEPARATOR);
	for (size_t i = 0; i < len; i++)
		buffer_printf(b, value[i] == '"' ? "\\%c" : "%c", value[i]);
	buffer_printf(b, "\"),field(%zu,%c)]", field, SEPARATOR);
}

static void split_close(const struct provider_shape *s, struct slice *before, struct slice *behind)
{
	const char *identity = strstr(s->close, IDENTITY);

	*before = (struct slice){s->close, (size_t)(identity - s->close)};
	*behind = slice_from_str(identity + sizeof(IDENTITY) - 1);
}

void render_shape_open(struct buffer *b)
{
	const char *open = provider_shape_at(0)->open;

	append_field(b, FIELD_OPEN, open, strlen(open));
}

void render_shape_middle(struct buffer *b, int status)
{
	size_t place = 0;

	while (render_status_at(place) != status)
		place++;
	append_field(b, FIELD_MIDDLE + place, "", 0);
}

void render_shape_close(struct buffer *b)
{
	struct slice before;
	struct slice behind;

	split_close(provider_shape_at(0), &before, &behind);
	append_field(b, FIELD_BEFORE_ID, before.p, before.n);
	buffer_append_str(b, IDENTITY);
	append_field(b, FIELD_BEHIND_ID, behind.p, behind.n);
}

static void append_middle(struct buffer *b, const struct provider_shape *s)
{
	int status;

	for (size_t i = 0; (status = render_status_at(i)) != 0; i++)
		buffer_printf(b, "%c%s%d%s%s%s", SEPARATOR, s->middle[0], status, s->middle[1],
			provider_status_name(s, status), s->middle[2]);
}

static void append_set(struct buffer *b, const struct provider_shape *s, const char *condition)
{
	struct slice before;
	struct slice behind;

	split_close(s, &before, &behind);
	buffer_printf(b, "\thttp-request set-var-fmt(txn.rly.shape) '%s%c%.*s%c%.*s", s->open,
		SEPARATOR, (int)before.n, before.p, SEPARATOR, (int)behind.n, behind.p);
	if (s->statuses)
		append_middle(b, s);
	buffer_printf(b, "'%s\n", condition);
}

static void append_path(struct buffer *b, const char *path, enum render_paths paths)
{
	if (paths == RENDER_PATHS_UPSTREAM)
		buffer_printf(b, "{ path_sub %s }", path);
	else
		/* one look at the path of a request that has another shape */
		buffer_printf(b, "{ path_beg %s } !{ path_reg ^%s[^/] }", path, path);
}

void render_error_shapes(struct buffer *b, enum render_paths paths)
{
	buffer_append_str(b, "\n\t# Choose the shape of error bodies by the path.\n");
	for (size_t i = 1; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		struct buffer condition = {0};
		for (size_t k = 0; s->paths && s->paths[k]; k++) {
			buffer_append_str(&condition, k ? " || " : " if ");
			append_path(&condition, s->paths[k], paths);
		}
		append_set(b, s, buffer_str(&condition));
		if (buffer_error(&condition))
			b->error = buffer_error(&condition);
		buffer_fini(&condition);
	}
}

void render_shape_of_agent(struct buffer *b)
{
	buffer_printf(b,
		"\n\t# Choose the shape of error bodies by the variable `shape` of the agent.\n"
		"\thttp-request unset-var(txn.rly.shape) if { " SHAPE " -m str %s }\n",
		provider_shape_at(0)->name);
	for (size_t i = 1; i < provider_shape_count(); i++) {
		char condition[64];
		snprintf(condition, sizeof(condition), " if { " SHAPE " -m str %s }",
			provider_shape_at(i)->name);
		append_set(b, provider_shape_at(i), condition);
	}
}

void render_shape_headers(struct buffer *b)
{
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		if (s->id_header)
			buffer_printf(b,
				"\thttp-after-response set-header %s %s"
				" if { var(txn.rly.shape) -m beg '%s' }\n",
				s->id_header, IDENTITY, s->sign);
	}
}
