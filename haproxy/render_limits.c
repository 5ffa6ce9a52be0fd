/*
 * Copies what a response says about its account: status, limits and errors (common/result.h). Nothing
 * here waits for a body or changes it: a body is read as far as it has come with the head. Each kind of
 * response has its own rule, and an ordinary one passes no more than a test of the status.
 */
#include "common/provider.h"
#include "common/result.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#include <inttypes.h>

#define LIM RENDER_VAR("lim")
#define SET_LIM "\thttp-response set-var-fmt(txn." SEAM_VAR_PREFIX ".lim) "
/* A body echoes a request at times: what follows these bytes is not searched. */
#define BODY "res.body,bytes(0,4096)"

static void append_values(const struct provider_header *h, struct buffer *b)
{
	for (; h && h->key; h++)
		buffer_printf(b, "%s=%%[res.fhdr(%s),field(1,;),bytes(0,%d)];", h->key, h->header,
			RESULT_VALUE_MAX);
}

/*
 * An unescaped dollar would start an environment variable. Without a type a number would be cut to six
 * digits; `lower` makes it text, because bytes() would take the eight bytes of the integer.
 */
static const char *const conversions[] = {
	[PROVIDER_FIELD_WORD] = "),regsub('[^A-Za-z0-9_]','',g)",
	[PROVIDER_FIELD_NUMBER] = ",'int'),lower,regsub('[^a-z0-9.:+-]','',g)",
	[PROVIDER_FIELD_SPAN] = "),regsub('[^a-z0-9.]','',g)",
};

static void append_error(const struct provider *p, struct buffer *b)
{
	buffer_append_str(b, "\"" RESULT_STATUS "=%[status];");
	append_values(result_common_headers(), b);
	append_values(p->limit_headers, b);
	for (const struct provider_field *f = p->body_fields; f->key; f++)
		buffer_printf(b, "%s=%%[" BODY ",json_query('\\$.error.%s'%s,bytes(0,%d)];", f->key,
			f->path, conversions[f->kind], RESULT_VALUE_MAX);
	buffer_append_str(b, "\"");
}

static void append_seen(const char *text, const char *condition, struct buffer *b)
{
	buffer_printf(b,
		"\ttcp-response content set-var-fmt(txn." SEAM_VAR_PREFIX
		".failed) \"%s;\" if %s\n",
		text, condition);
}

/* This rule runs as soon as there is a connection. The one for an answer overwrites its result. */
void render_reused(struct buffer *b, const char *condition)
{
	buffer_append_str(b, ".if version_atleast(3.2)\n");
	append_seen(RESULT_REUSED "=%[bc_reused]", condition, b);
	buffer_append_str(b, ".elif version_atleast(3.0)\n");
	append_seen(RESULT_PORT "=%[bc_src_port]", condition, b);
	buffer_append_str(b, ".endif\n");
}

/*
 * Rules `tcp-response` run before HAProxy decides to take a response back; no other rule sees it. With
 * the delay they wait for the head as HAProxy itself does, until its timeout. In HAProxy 2.6 the rule
 * would break `retry-on empty-response`.
 */
void render_failed(const struct render_backend *k, struct buffer *b)
{
	render_reused(b, "{ " RENDER_ALT " -m bool }");
	buffer_printf(b,
		".if version_atleast(3.0)\n"
		"\t# For the next attempt: the response that another account replaces.\n"
		"\ttcp-response inspect-delay %" PRIu64 "ms\n"
		"\ttcp-response content set-var-fmt(txn." SEAM_VAR_PREFIX ".failed) ",
		render_backend_timeout_ms(k));
	append_error(k->provider, b);
	buffer_append_str(b, " if { " RENDER_ALT " -m bool } { status ge 400 }\n.endif\n");
}

static void append_limits(const struct provider *p, struct buffer *b)
{
	if (!p->limit_headers)
		return;
	buffer_append_str(b, SET_LIM "\"");
	append_values(p->limit_headers, b);
	buffer_append_str(b, "\" if { status lt 400 } { res.hdr_names -m sub");
	for (size_t i = 0; p->limit_prefixes[i]; i++)
		buffer_printf(b, " %s", p->limit_prefixes[i]);
	buffer_append_str(b, " }\n");
}

/*
 * Lines that only an error event begins with: in the JSON of other events a line break is escaped, so no
 * text of a model can look like one.
 */
static const char *const event_lines[] = {"event: error", "event:error", "event: response.failed",
	"data: {\\\"error\\\"", "data: { \\\"error\\\"", "data: {\\\"type\\\":\\\"error\\\"",
	"data: {\\\"type\\\":\\\"response.failed\\\""};

static void append_event_lines(const char *sample, const char *before, struct buffer *b)
{
	buffer_printf(b, "\tacl relay_event %s", sample);
	for (size_t i = 0; i < sizeof(event_lines) / sizeof(event_lines[0]); i++)
		buffer_printf(b, " \"%s%s\"", before, event_lines[i]);
	buffer_append_str(b, "\n");
}

/* Removes everything before the JSON of the event. No stream has the byte 1, so `[^\x01]` matches any byte. */
#define EVENT_JSON                                                                                 \
	BODY ",regsub('^([^\\x01]*\\n)?event: *(error|response[.]failed)\\r?\\n','')"              \
	     ",regsub('^([^\\x01]*\\n)?data: *([{] *\\\"(error|type))','\\\\2')"

static void append_event(const struct provider *p, struct buffer *b)
{
	if (!p->event_fields)
		return;
	buffer_append_str(
		b, "\t# A stream that begins with an error, as far as it came with the head.\n");
	append_event_lines("res.body -m beg", "", b);
	append_event_lines(BODY " -m sub", "\\n", b);
	buffer_append_str(b, SET_LIM "\"" RESULT_STATUS "=%[status];" RESULT_EVENT "=.");
	for (size_t i = 0; p->event_fields[i]; i++)
		buffer_printf(b, "%%[" EVENT_JSON ",json_query('\\$.%s'%s,bytes(0,%d)].",
			p->event_fields[i], conversions[PROVIDER_FIELD_WORD], RESULT_VALUE_MAX);
	buffer_append_str(b,
		";%[" LIM
		"]\" if { status 200 } { res.fhdr(content-type) -i -m beg text/event-stream }"
		" relay_event\n");
}

void render_limits(const struct provider *p, struct buffer *b)
{
	buffer_append_str(b, SET_LIM);
	append_error(p, b);
	buffer_append_str(b, " if { status ge 400 }\n");
	append_limits(p, b);
	append_event(p, b);
}
