/*
 * Further attempts within one request. When a request fails at the server of an egress, HAProxy retries it
 * at the frontend below, in the same process, where the agent chooses another account. That attempt is
 * a separate stream with the first one's id; it may fail over in turn.
 */
#include "common/provider.h"
#include "common/result.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <stdio.h>

#define ALT " { " RENDER_ALT " -m bool }"
#define SWITCHED "relay_switched" ALT " || relay_event relay_event_known" ALT

#define KEPT "{ " RENDER_VAR("kept") " -m bool } { status " SEAM_KEPT_STATUSES_TEXT " }"

static void append_servers(const struct render_model *m, const char *options, struct buffer *b)
{
	for (int i = 1; i <= 2; i++) {
		buffer_printf(b, "\tserver " SEAM_SERVER_AGAIN "%d ", i);
		render_own_server(m, SEAM_FRONTEND_AGAIN, b);
		buffer_printf(b, " send-proxy-v2 proxy-v2-options unique-id%s pool-max-conn 0\n",
			options);
	}
}

/*
 * Two, because with one server HAProxy waits a second before the retry. A connection carries the id of
 * one request and the response that HAProxy took back, so HAProxy keeps none.
 */
void render_again_servers(const struct render_model *m, struct buffer *b)
{
	char options[96];

	snprintf(options, sizeof(options),
		" set-proxy-v2-tlv-fmt(" SEAM_TLV_FAILED
		") %%[" RENDER_VAR("failed") ",bytes(0,%d)]",
		SEAM_TLV_MAX);
	buffer_append_str(b, ".if version_atleast(3.0)\n");
	append_servers(m, options, b);
	buffer_append_str(b, ".else\n");
	append_servers(m, "", b);
	buffer_append_str(b, ".endif\n");
}

/*
 * The argument `failed`. The status 0 at its end counts if the PROXY header tells no other: there was no
 * response. In HAProxy 2.6 the argument is absent.
 */
static void append_failed(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# The response that HAProxy took back, from the PROXY header.\n"
		".if version_atleast(3.2)\n"
		"\thttp-request set-var-fmt(txn.rly.failed) \"%[fc_pp_tlv(" SEAM_TLV_FAILED
		")]" RESULT_STATUS "=0;" RESULT_REUSED "=" RESULT_REUSED_NONE ";\"\n"
		".elif version_atleast(3.0)\n"
		"\thttp-request set-var-fmt(txn.rly.failed) \"%[fc_pp_tlv(" SEAM_TLV_FAILED
		")]" RESULT_STATUS "=0;\"\n"
		".endif\n");
}

/*
 * If an idle connection closes while HAProxy 3.0 or later sends a request on it, HAProxy closes the
 * client's connection without a response or a record, so that the client retries. A first attempt
 * without another account accepts that for the sake of reuse; the last of several must report its end.
 * If that happened to the first of several, the agent sends it again with `fresh`.
 */
static void append_own_connection(struct buffer *b)
{
	buffer_append_str(b,
		"\t# Use a new connection for the last attempt, so that its end is always reported, and\n"
		"\t# after the upstream has closed a reused one.\n"
		".if version_atleast(3.0)\n");
	render_own_connection(
		b, "if { " RENDER_VAR("fresh") " -m bool } || !{ " RENDER_ALT " -m bool }");
	buffer_append_str(b, ".endif\n");
}

void render_again(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(
		b, "\nfrontend " SEAM_FRONTEND_AGAIN " from " RENDER_DEFAULTS "\n\tbind ");
	render_own_bind(m, SEAM_FRONTEND_AGAIN, b);
	buffer_append_str(b, " accept-proxy\n");
	render_log(m, b);
	render_same_id(b);
	render_engine(m, SEAM_ENGINE, b);
	render_own_errors(b);
	render_allowed(b);
	render_error_shapes(b, RENDER_PATHS_UPSTREAM);
	render_wait_for_replay(m, "", b);
	append_failed(b);
	render_ask(SEAM_MSG_AGAIN, "", b);
	render_ask_again(SEAM_MSG_AGAIN2, "", b);
	render_shape_of_agent(b);
	render_denials(b);
	render_no_decision(b);
	render_tunnel_again(m, b);
	render_credential_deletion(b);
	render_tracking(b);
	append_own_connection(b);
	render_response(m, b);
	render_after_attempt(b);
	render_routes(b, false);
}

/* The words of error events that are a reason to use another account, of all providers. */
static void append_words(struct buffer *b)
{
	for (size_t i = 0; i < provider_count(); i++) {
		const struct provider_event *e = provider_at(i)->events;
		bool repeated = false;
		for (size_t k = 0; k < i; k++)
			repeated |= provider_at(k)->events == e;
		for (; !repeated && e && e->word; e++)
			buffer_printf(b, " %s", e->word);
	}
}

/*
 * A refusal that HAProxy cannot retry (the status, an error inside a stream, or a body that did not fit)
 * although another account could serve: the client's retry will reach that account. The record holds the
 * upstream's status with the limits.
 */
static void append_switched(struct buffer *b)
{
	buffer_append_str(b,
		"\tacl relay_switched status " SEAM_SWITCH_STATUSES_TEXT "\n"
		"\tacl relay_event " RENDER_VAR(
			"lim") " -m beg " RESULT_STATUS "=200;" RESULT_EVENT "=\n"
			       "\tacl relay_event_known " RENDER_VAR("lim") " -m sub");
	append_words(b);
	buffer_append_str(b, "\n");
}

/*
 * A conversation that must stay with its account gets the account's own refusal, and its next request
 * meets the same account. Clients obey a Retry-After of minutes in silence. A date counts as long.
 */
static void append_kept(struct buffer *b)
{
	buffer_printf(b,
		"\t# A conversation that stays with its account asks again soon.\n"
		"\thttp-response set-header Retry-After %d if " KEPT
		" { res.fhdr(retry-after) -m found }"
		" !{ res.fhdr(retry-after) -m reg '^0*(10|[0-9])$' }\n"
		"\thttp-response del-header retry-after-ms if " KEPT
		" { res.fhdr(retry-after-ms) -m found }"
		" !{ res.fhdr(retry-after-ms) -m reg '^0*(10000|[0-9]{1,4})(\\.[0-9]*)?$' }\n",
		SEAM_KEPT_RETRY_S);
}

void render_response(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Responses of upstreams: HAProxy runs `http-response` rules for no other. A further\n"
		"\t# attempt has applied these to its response already.\n"
		"\thttp-response allow if { srv_name -m beg " SEAM_SERVER_AGAIN " }\n");
	render_response_headers(m, b);
	render_tunnel_response(m, b);
	buffer_append_str(b,
		"\t# The rest is about errors, and about what the agent waits for.\n"
		"\thttp-response allow if { status lt 400 } !{ " RENDER_VAR(
			"lim") " -m beg " RESULT_STATUS
			       "= } !{ " RENDER_VAR("watch") " -m bool }\n");
	append_switched(b);
	buffer_append_str(b,
		"\t# Report at once to the agent: a trial, and a refusal that the client will retry.\n"
		"\thttp-response send-spoe-group " SEAM_ENGINE " " SEAM_MSG_RESPOND
		" if { " RENDER_VAR("watch") " -m bool } || " SWITCHED "\n");
	render_response_refusal(b, REFUSAL_ACCOUNT_SWITCHED, "if " SWITCHED);
	append_kept(b);
}
