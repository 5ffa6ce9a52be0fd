/*
 * Copies what a response says about the limits of its account into txn.relay.lim, for the record and for
 * `respond` (common/result.h). A single test of the header names finds out whether there is anything to
 * copy; most responses cost no more than that.
 */
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
#define WITH_BODY "if { status 429 } { res.hdr(content-type) -m beg application/json }"

/* Prefixes of the header names. */
static const char *const families[] = {
	"x-codex-",
	"anthropic-ratelimit-",
	"x-ratelimit-",
};

static bool has_family(const struct result_header *rows, const char *family)
{
	for (const struct result_header *h = rows; h->key; h++) {
		if (strncmp(h->header, family, strlen(family)) == 0)
			return true;
	}
	return false;
}

static void append_condition(const struct result_header *rows, struct buffer *b)
{
	buffer_append_str(b, " if { status ge 400 }");
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (has_family(rows, families[i]))
			buffer_printf(b, " || { res.hdr_names -m sub %s }", families[i]);
	}
	buffer_append_str(b, "\n");
}

static void append_headers(const struct result_header *rows, struct buffer *b)
{
	buffer_append_str(b, "\thttp-response set-var-fmt(txn." SEAM_VAR_PREFIX ".lim) \"");
	for (const struct result_header *h = rows; h->key; h++)
		buffer_printf(
			b, "%s=%%[res.fhdr(%s),bytes(0,%d)];", h->key, h->header, RESULT_VALUE_MAX);
	buffer_append_str(b, "\"");
	append_condition(rows, b);
}

#define WORD ",regsub('[^A-Za-z0-9_]','',g)"

/*
 * An unescaped dollar would start an environment variable. Without a type a number would be cut to six
 * digits; `lower` makes it text, because bytes() would take the eight bytes of the integer.
 */
static void append_field(struct buffer *b, const char *key, const char *field, const char *type)
{
	buffer_printf(b, "%s=%%[res.body,json_query('\\$.error.%s'%s,bytes(0,%d)];", key, field,
		type, RESULT_VALUE_MAX);
}

static void append_body(struct buffer *b)
{
	buffer_append_str(
		b, "\thttp-response set-var-fmt(txn." SEAM_VAR_PREFIX ".lim) \"%[" LIM "]");
	append_field(b, RESULT_BODY_TYPE, "type", ")" WORD);
	append_field(b, RESULT_BODY_TYPE, "code", ")" WORD);
	append_field(b, RESULT_BODY_RESETS_AT, "resets_at", ",'int'),lower");
	append_field(b, RESULT_BODY_RESETS_IN, "resets_in_seconds", ",'int'),lower");
	buffer_append_str(b, "\" " WITH_BODY "\n");
}

void render_limits(enum provider p, struct buffer *b)
{
	buffer_printf(b, "\thttp-response wait-for-body time %dms at-least %d " WITH_BODY "\n",
		BODY_WAIT_MS, BODY_SIZE);
	append_headers(result_headers(p), b);
	append_body(b);
	/* drop empty fields */
	buffer_append_str(b,
		"\thttp-response set-var(txn." SEAM_VAR_PREFIX ".lim) " LIM
		",regsub('[a-z0-9]+=;','',g) if { " LIM " -m found }\n");
}
