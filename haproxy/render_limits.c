/*
 * Copies what a response says about the limits of its account into txn.relay.lim, for the record and for
 * `respond` (common/result.h). A single test of the header names finds out whether there is anything to
 * copy; most responses cost no more than that.
 */
#include "common/provider.h"
#include "common/result.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"

#define LIM RENDER_VAR("lim")
/*
 * The body of a refusal is small and arrives with its head. HAProxy replaces a response whose body does
 * not arrive in time with 504, so the time is generous; only JSON is waited for.
 */
#define BODY_WAIT_MS 5000
#define BODY_SIZE 8192

static void append_condition(const struct provider *p, struct buffer *b)
{
	buffer_append_str(b, " if { status ge 400 }");
	for (size_t i = 0; p->limit_prefixes && p->limit_prefixes[i]; i++)
		buffer_printf(b, " || { res.hdr_names -m sub %s }", p->limit_prefixes[i]);
	buffer_append_str(b, "\n");
}

static void append_values(const struct provider_header *h, struct buffer *b)
{
	for (; h && h->key; h++)
		buffer_printf(
			b, "%s=%%[res.fhdr(%s),bytes(0,%d)];", h->key, h->header, RESULT_VALUE_MAX);
}

static void append_headers(const struct provider *p, struct buffer *b)
{
	buffer_append_str(b, "\thttp-response set-var-fmt(txn." SEAM_VAR_PREFIX ".lim) \"");
	append_values(result_common_headers(), b);
	append_values(p->limit_headers, b);
	buffer_append_str(b, "\"");
	append_condition(p, b);
}

static void append_with_body(const struct provider *p, struct buffer *b)
{
	buffer_printf(b, " if { status %s } { res.hdr(content-type) -m beg application/json }\n",
		p->body_statuses);
}

/*
 * An unescaped dollar would start an environment variable. Without a type a number would be cut to six
 * digits; `lower` makes it text, because bytes() would take the eight bytes of the integer.
 */
static const char *const conversions[] = {
	[PROVIDER_FIELD_WORD] = "),regsub('[^A-Za-z0-9_]','',g)",
	[PROVIDER_FIELD_NUMBER] = ",'int'),lower",
	[PROVIDER_FIELD_SPAN] = "),regsub('[^a-z0-9.]','',g)",
};

static void append_body(const struct provider *p, struct buffer *b)
{
	buffer_append_str(
		b, "\thttp-response set-var-fmt(txn." SEAM_VAR_PREFIX ".lim) \"%[" LIM "]");
	for (const struct provider_field *f = p->body_fields; f->key; f++)
		buffer_printf(b, "%s=%%[res.body,json_query('\\$.error.%s'%s,bytes(0,%d)];", f->key,
			f->path, conversions[f->kind], RESULT_VALUE_MAX);
	buffer_append_str(b, "\"");
	append_with_body(p, b);
}

void render_limits(const struct provider *p, struct buffer *b)
{
	buffer_printf(
		b, "\thttp-response wait-for-body time %dms at-least %d", BODY_WAIT_MS, BODY_SIZE);
	append_with_body(p, b);
	append_headers(p, b);
	append_body(p, b);
	/* drop empty fields */
	buffer_append_str(b,
		"\thttp-response set-var(txn." SEAM_VAR_PREFIX ".lim) " LIM
		",regsub('[a-z0-9]+=;','',g) if { " LIM " -m found }\n");
}
