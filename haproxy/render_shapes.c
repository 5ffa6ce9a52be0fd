/*
 * Shapes of error bodies. Three variables hold the texts before the message, between the message and the
 * other fields, and at the end. The rows of the shapes are in common/provider_rows.c.
 */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#define SHAPE RENDER_VAR("shape")
#define SEPARATOR ';' /* between the statuses of txn.rly.mid */

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

void render_shape_middle(struct buffer *b, int status)
{
	size_t place = 0;

	while (render_status_at(place) != status)
		place++;
	buffer_printf(b, "%%[var(txn.rly.mid,),field(%zu,%c)]", place + 1, SEPARATOR);
}

static void append_set(struct buffer *b, const char *kind, const char *variable, const char *value,
	const char *condition)
{
	buffer_printf(b, "\t%s set-var-fmt(txn.rly.%s) '%s'%s\n", kind, variable, value, condition);
}

static void append_middle(
	struct buffer *b, const struct provider_shape *s, const char *kind, const char *condition)
{
	struct buffer text = {0};
	int status;

	for (size_t i = 0; (status = render_status_at(i)) != 0; i++) {
		if (i)
			buffer_printf(&text, "%c", SEPARATOR);
		buffer_printf(&text, "%s%d%s%s%s", s->middle[0], status, s->middle[1],
			provider_status_name(s, status), s->middle[2]);
	}
	append_set(b, kind, "mid", buffer_str(&text), condition);
	if (buffer_error(&text))
		b->error = buffer_error(&text);
	buffer_fini(&text);
}

/* `has_middle`: txn.rly.mid may have the value of another shape. */
static void append_shape(struct buffer *b, const struct provider_shape *s, bool has_middle,
	const char *kind, const char *condition)
{
	append_set(b, kind, "open", s->open, condition);
	append_set(b, kind, "close", s->close, condition);
	if (s->statuses)
		append_middle(b, s, kind, condition);
	else if (has_middle)
		buffer_printf(b, "\t%s unset-var(txn.rly.mid)%s\n", kind, condition);
}

static void append_path(struct buffer *b, const char *path, enum render_paths paths)
{
	if (paths == RENDER_PATHS_UPSTREAM)
		buffer_printf(b, "{ path_sub %s }", path);
	else
		buffer_printf(b, "{ path %s } || { path_beg %s/ }", path, path);
}

static void append_paths(struct buffer *b, const char *const *path, enum render_paths paths)
{
	for (size_t i = 0; path && path[i]; i++) {
		buffer_append_str(b, i ? " || " : " if ");
		append_path(b, path[i], paths);
	}
}

void render_error_shapes(struct buffer *b, enum render_paths paths)
{
	bool has_middle = false;

	buffer_append_str(b, "\n\t# Choose the shape of error bodies by the path.\n");
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		struct buffer condition = {0};
		append_paths(&condition, s->paths, paths);
		append_shape(b, s, has_middle, "tcp-request content", buffer_str(&condition));
		if (buffer_error(&condition))
			b->error = buffer_error(&condition);
		buffer_fini(&condition);
		has_middle |= s->statuses != NULL;
	}
}

void render_shape_of_agent(struct buffer *b)
{
	bool has_middle = false;

	for (size_t i = 0; i < provider_shape_count(); i++)
		has_middle |= provider_shape_at(i)->statuses != NULL;
	buffer_append_str(b,
		"\n\t# Choose the shape of error bodies by the variable `shape` of the agent.\n");
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		struct buffer condition = {0};
		buffer_printf(&condition, " if { " SHAPE " -m str %s }", s->name);
		append_shape(b, s, has_middle, "http-request", buffer_str(&condition));
		if (buffer_error(&condition))
			b->error = buffer_error(&condition);
		buffer_fini(&condition);
	}
}

void render_shape_headers(struct buffer *b)
{
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		if (s->id_header)
			buffer_printf(b,
				"\thttp-after-response set-header %s %%[unique-id]"
				" if { res.fhdr(x-relay-error) -m found }"
				" { var(txn.rly.open) -m beg '%s' }\n",
				s->id_header, s->sign);
	}
}
