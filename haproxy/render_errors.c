/*
 * The uniform errors. One body serves all shapes: an opening, the message, a middle, the other fields, a
 * closing (render_shapes.c). It is built when an error is answered, and a response made before any rule
 * has run is valid JSON too.
 */
#include "common/record.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

/* The SDKs of OpenAI and Anthropic follow it, whatever the status is. */
#define SHOULD_RETRY "X-Should-Retry"

#define BODY RENDER_VAR("body")
#define CODE RENDER_VAR("code")
#define IS_ERROR "{ res.fhdr(x-relay-error) -m found }"
#define MESSAGE RENDER_VAR("msg")
#define RATE RENDER_VAR("rate")
#define RETRY_AFTER RENDER_VAR("retry")
#define RETRYABLE RENDER_VAR("retryable")
#define RETRYABLE_TEXT "%[var(txn.rly.retryable,false)]"
#define STATUS RENDER_VAR("status")
#define TYPE RENDER_VAR("type")

/* A refusal whose fields are all known at rendering time. */
static void append_fixed(struct buffer *b, const struct refusal_row *row)
{
	struct buffer fields = {0};
	const char *retryable = row->retryable ? "true" : "false";

	buffer_append_str(b, "content-type application/json lf-string ");
	render_shape_open(&fields);
	buffer_printf(&fields, "\"message\":\"%s\",", row->message);
	render_shape_middle(&fields, row->status);
	buffer_printf(&fields,
		"\"type\":\"%s\",\"code\":\"%s\",\"retryable\":%s,\"resets_at\":null", row->type,
		row->code, retryable);
	render_shape_close(&fields);
	render_word(b, buffer_str(&fields));
	if (buffer_error(&fields))
		b->error = buffer_error(&fields);
	buffer_fini(&fields);
	buffer_printf(b, " hdr X-Relay-Error %s hdr " SHOULD_RETRY " %s", row->code, retryable);
	if (row->retry_after)
		buffer_printf(b, " hdr Retry-After %d", row->retry_after);
}

static void append_return(struct buffer *b, const char *kind, enum refusal r, const char *condition)
{
	const struct refusal_row *row = refusal_row(r);

	buffer_printf(b, "\t%s return status %d ", kind, row->status);
	append_fixed(b, row);
	buffer_printf(b, "%s%s\n", condition[0] ? " " : "", condition);
}

void render_refusal(struct buffer *b, enum refusal r, const char *condition)
{
	append_return(b, "http-request", r, condition);
}

void render_response_refusal(struct buffer *b, enum refusal r, const char *condition)
{
	append_return(b, "http-response", r, condition);
}

/* Statuses that HAProxy generates itself, and the refusal for each. */
static const struct own_error {
	int status;
	enum refusal refusal;
} own_errors[] = {
	{400, REFUSAL_BAD_REQUEST},
	{408, REFUSAL_REQUEST_TIMEOUT},
	{413, REFUSAL_REQUEST_TOO_LARGE},
	{500, REFUSAL_OVERLOADED},
	{501, REFUSAL_BAD_REQUEST},
	{502, REFUSAL_UPSTREAM_INVALID},
	{503, REFUSAL_UPSTREAM_UNREACHABLE},
	{504, REFUSAL_UPSTREAM_TIMEOUT},
};

#define OWN_ERROR_COUNT (sizeof(own_errors) / sizeof(own_errors[0]))

void render_own_errors(struct buffer *b)
{
	buffer_append_str(b, "\n\t# Error responses of HAProxy itself.\n");
	for (size_t i = 0; i < OWN_ERROR_COUNT; i++) {
		buffer_printf(b, "\thttp-error status %d ", own_errors[i].status);
		append_fixed(b, refusal_row(own_errors[i].refusal));
		buffer_append_str(b, "\n");
	}
}

static void append_deny(struct buffer *b, int status)
{
	buffer_printf(b, "\thttp-request return status %d content-type application/json lf-string ",
		status);
	buffer_append_str(b, "'");
	render_shape_open(b);
	buffer_append_str(b, "\"message\":\"%[" MESSAGE ",json(utf8s)]\",");
	render_shape_middle(b, status);
	buffer_append_str(b,
		"\"type\":\"%[" TYPE ",json(utf8s)]\","
		"\"code\":\"%[" CODE ",json(utf8s)]\","
		"\"retryable\":" RETRYABLE_TEXT ","
		"\"resets_at\":%[var(txn." SEAM_VAR_PREFIX ".resets,null)]");
	render_shape_close(b);
	buffer_append_str(
		b, "' hdr X-Relay-Error %[" CODE "] hdr " SHOULD_RETRY " " RETRYABLE_TEXT);
	buffer_printf(b,
		" if { " RENDER_ACTION " -m str " SEAM_ACTION_DENY " } { " STATUS " -m int %d }\n",
		status);
}

static void append_answer(struct buffer *b, int status)
{
	buffer_printf(b,
		"\thttp-request return status %d content-type application/json lf-string "
		"'%%[" BODY "]' hdr Cache-Control no-store if { " RENDER_ACTION
		" -m str " SEAM_ACTION_ANSWER " } { " STATUS " -m int %d }\n",
		status, status);
}

void render_denials(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Refusals by the agent. `return` takes a fixed status: one rule for each.\n"
		"\thttp-request set-var(txn.rly.retryable) str(true) if { " RETRYABLE
		" -m bool }\n");
	for (size_t i = 0; render_status_at(i); i++)
		append_deny(b, render_status_at(i));
}

void render_agent_answers(struct buffer *b)
{
	buffer_append_str(b, "\n\t# Responses made by the agent.\n");
	append_answer(b, 200);
	append_answer(b, 503);
}

/* A client that closes its half, or leaves, interrupts the question: that is not the agent's failure. */
void render_no_decision(struct buffer *b)
{
	buffer_append_str(
		b, "\t# No decision: the client closed its side, or the agent is to blame.\n");
	render_refusal(b, REFUSAL_BAD_REQUEST, "if " RENDER_INTERRUPTED " !relay_allowed");
	render_refusal(b, REFUSAL_AGENT_UNAVAILABLE, "unless relay_allowed");
}

/* Refusals with another status than the one HAProxy generates. */
static void append_status_fixes(struct buffer *b)
{
	for (size_t i = 0; i < OWN_ERROR_COUNT; i++) {
		const struct refusal_row *row = refusal_row(own_errors[i].refusal);
		if (row->status == own_errors[i].status)
			continue;
		buffer_printf(b,
			"\thttp-after-response set-status %d if { status %d } "
			"{ res.fhdr(x-relay-error) -m str %s }\n",
			row->status, own_errors[i].status, row->code);
	}
}

/* The request limit that is nearest to its end, for clients: the fields of one variable. */
static const char *const rate_headers[] = {
	"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"};

static void append_after_response(struct buffer *b)
{
	buffer_append_str(
		b, "\thttp-after-response allow if !{ " RATE " -m found } !" IS_ERROR "\n");
	for (size_t i = 0; i < sizeof(rate_headers) / sizeof(rate_headers[0]); i++)
		buffer_printf(b,
			"\thttp-after-response set-header %s %%[" RATE ",field(%zu,;)]"
			" if { " RATE " -m found }\n",
			rate_headers[i], i + 1);
	buffer_append_str(b,
		"\t# The relay's errors. X-Relay-Error is always the relay's: an upstream's has been "
		"removed.\n"
		"\thttp-after-response allow if !" IS_ERROR "\n");
	append_status_fixes(b);
	buffer_append_str(b,
		"\thttp-after-response set-var(txn.rly.code) res.fhdr(x-relay-error)\n"
		"\thttp-after-response set-var(txn.rly.code) str(" RECORD_OWN
		"),concat(,txn.rly.code)"
		" unless { " RENDER_ACTION " -m str " SEAM_ACTION_DENY " }\n"
		"\thttp-after-response set-header Retry-After %[" RETRY_AFTER "]"
		" if { " RETRY_AFTER " -m found }\n");
	buffer_printf(b,
		"\thttp-after-response set-header X-Circuit-Breaker open"
		" if { res.fhdr(x-relay-error) -m str %s }\n",
		refusal_row(REFUSAL_CIRCUIT_OPEN)->code);
}

void render_after_response(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Every response.\n"
		"\thttp-after-response set-header X-Request-Id %[unique-id]\n");
	append_after_response(b);
	buffer_append_str(b, "\t# Some SDKs read the id from a header of their provider.\n");
	render_shape_headers(b);
}

void render_after_attempt(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Every response. The upstream's id stays, for the record of the request.\n");
	append_after_response(b);
}
