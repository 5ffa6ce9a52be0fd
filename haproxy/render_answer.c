/* Headers of an answer that concern the upstream's own address and ids. */
#include "common/record.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <string.h>

/* url_enc() leaves no blank, which would end the field of the record. */
void render_answer_id(const struct provider *p, struct buffer *b)
{
	if (p->id_header)
		buffer_printf(b,
			"\thttp-response set-var(txn.rly.answer) res.fhdr(%s),bytes(0,%d),url_enc\n",
			p->id_header, RECORD_ANSWER_MAX);
}

static void append_literal(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		if (strchr(".[]()*+?{}|^$\\", *text))
			buffer_append_str(b, "\\");
		buffer_append(b, text, 1);
	}
}

/* A percent sign begins an expression of HAProxy. */
static void append_replacement(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '%')
			buffer_append_str(b, "%");
		buffer_append(b, text, 1);
	}
}

static void append_words(
	const struct render_backend *k, struct buffer *pattern, struct buffer *text)
{
	const char *prefix = k->prefix ? k->prefix : "";
	const char *strip = k->strip ? k->strip : "";

	buffer_append_str(pattern, "^(https?://");
	append_literal(pattern, k->host_header);
	buffer_append_str(pattern, prefix[0] || strip[0] ? ")?" : ")");
	append_literal(pattern, prefix);
	buffer_append_str(pattern, "(/.*)$");
	append_replacement(text, strip);
	buffer_append_str(text, "\\2");
}

/*
 * The client meets the relay under a name that nobody here knows: a path is all it needs. The upstream's
 * prefix is not part of that, and what `strip` has removed is. Locations elsewhere stay as they are.
 */
void render_location(const struct render_backend *k, struct buffer *b)
{
	struct buffer pattern = {0};
	struct buffer text = {0};

	append_words(k, &pattern, &text);
	buffer_append_str(b, "\thttp-response replace-header Location ");
	render_word(b, buffer_str(&pattern));
	buffer_append_str(b, " ");
	render_word(b, buffer_str(&text));
	buffer_append_str(b, " if { status 201 202 301:308 }\n");
	if (buffer_error(&pattern) || buffer_error(&text))
		b->error = buffer_error(&pattern) ? buffer_error(&pattern) : buffer_error(&text);
	buffer_fini(&pattern);
	buffer_fini(&text);
}
