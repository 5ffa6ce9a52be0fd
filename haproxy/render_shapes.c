/* Shapes of error bodies. Their rows are in common/provider_rows.c. */
#include "common/provider.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#define SHAPE RENDER_VAR("shape")

static void append_set(struct buffer *b, const char *kind, const char *variable, const char *value,
	const char *condition)
{
	buffer_printf(b, "\t%s set-var-fmt(txn.rly.%s) '%s'%s\n", kind, variable, value, condition);
}

static void append_shape(
	struct buffer *b, const struct provider_shape *s, const char *kind, const char *condition)
{
	append_set(b, kind, "open", s->open, condition);
	append_set(b, kind, "close", s->close, condition);
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
	buffer_append_str(b, "\n\t# The shape of error bodies, chosen before anything can fail.\n");
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		struct buffer condition = {0};
		append_paths(&condition, s->paths, paths);
		append_shape(b, s, "tcp-request content", buffer_str(&condition));
		if (buffer_error(&condition))
			b->error = buffer_error(&condition);
		buffer_fini(&condition);
	}
}

void render_shape_of_agent(struct buffer *b)
{
	buffer_append_str(b, "\n\t# The shape of error bodies, chosen by the agent.\n");
	for (size_t i = 0; i < provider_shape_count(); i++) {
		const struct provider_shape *s = provider_shape_at(i);
		struct buffer condition = {0};
		buffer_printf(&condition, " if { " SHAPE " -m str %s }", s->name);
		append_shape(b, s, "http-request", buffer_str(&condition));
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
