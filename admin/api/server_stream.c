#include "admin/api/server_stream.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct stream {
	struct request request; /* what steps need */
	struct buffer out;
	size_t sent;
	bool is_first; /* no item was written yet */
	bool over;
	bool failed;
};

static void write_items(struct stream *s)
{
	json_object *items = json_object_object_get(s->request.answer, "items");
	size_t n = json_object_array_length(items);

	for (size_t i = 0; i < n; i++) {
		buffer_append_str(&s->out, s->is_first ? "" : ",");
		buffer_append_str(&s->out,
			json_object_to_json_string_ext(
				json_object_array_get_idx(items, i), JSON_FLAGS));
		s->is_first = false;
	}
	json_object_array_del_idx(items, 0, n);
}

struct stream *stream_new(struct request *r)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->request = (struct request){
		.control = r->control,
		.command = r->command,
		.body = json_object_get(r->body),
		.answer = json_object_get(r->answer),
		.rest = r->rest,
	};
	r->rest = (struct request_rest){0};
	s->is_first = true;
	buffer_append_str(&s->out, "{\"items\":[");
	write_items(s);
	return s;
}

/* The next rows. */
static void refill(struct stream *s)
{
	struct request *r = &s->request;
	int rc = r->rest.step(r, r->rest.state);

	buffer_clear(&s->out);
	s->sent = 0;
	if (rc >= 0)
		write_items(s);
	if (rc == 0)
		buffer_append_str(&s->out, "]}\n");
	s->over = rc != 1;
	s->failed = rc < 0 || buffer_error(&s->out);
	if (s->failed)
		log_event(LOG_LEVEL_ERROR, "a list was cut off", LOG_STR("noun", r->command->noun),
			LOG_STR("reason", rc < 0 ? r->error.text : "out of memory"));
}

ssize_t stream_read(void *stream, uint64_t at, char *out, size_t max)
{
	struct stream *s = stream;

	(void)at;
	while (s->sent == s->out.len && !s->over)
		refill(s);
	size_t n = s->out.len - s->sent;
	if (s->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n > max)
		n = max;
	memcpy(out, s->out.data + s->sent, n);
	s->sent += n;
	return (ssize_t)n;
}

void stream_free(void *stream)
{
	struct stream *s = stream;

	s->request.rest.free(s->request.rest.state);
	json_object_put(s->request.body);
	json_object_put(s->request.answer);
	buffer_fini(&s->out);
	free(s);
}
