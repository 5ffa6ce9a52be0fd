/* The client frontend: ask the agent, follow its decision, forward nothing without one. */
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/render_text.h"

#include <inttypes.h>
#include <stdio.h>

static void append_binds(const struct render_options *o, struct buffer *b)
{
	for (size_t i = 0; i < o->bind_count; i++) {
		buffer_printf(b, "\tbind %s", o->binds[i]);
		if (o->accept_proxy)
			buffer_append_str(b, " accept-proxy");
		if (o->cert) {
			buffer_append_str(b, " ssl crt ");
			render_word(b, o->cert);
			buffer_append_str(b, " alpn h2,http/1.1");
		}
		buffer_append_str(b, "\n");
	}
}

/*
 * A request that must wait for a slot is sent to the agent again through a second engine with a long
 * time limit. The agent answers within SEAM_WAIT_MS. HAProxy asks again if the answer is "wait" or if the
 * agent died, but not for a client that has left: the agent could give it a slot that nobody uses.
 */
static void append_wait(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# No free slot: ask again through a second SPOE engine, which may answer late.\n"
		"\thttp-request send-spoe-group " SEAM_ENGINE_WAIT " " SEAM_MSG_WAIT
		" if { " RENDER_ACTION " -m str " SEAM_ACTION_WAIT " }\n");
	for (int i = 0; i < SEAM_WAIT_REPEATS; i++)
		buffer_append_str(b,
			"\thttp-request send-spoe-group " SEAM_ENGINE_WAIT " " SEAM_MSG_WAIT2
			" if { " RENDER_ACTION " -m str " SEAM_ACTION_WAIT " } !" RENDER_INTERRUPTED
			"\n");
}

/*
 * Only 3.4 and later can delete a header whose name is not known before. Earlier versions remove it by its
 * kind (append_kinds); a header that is for this hop must not go on, so without one they refuse the request.
 */
static void append_hops(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# Headers that Connection names are for this hop. The agent reads them until it has decided.\n"
		".if version_atleast(3.4)\n"
		"\thttp-request del-headers-bin var(txn.relay.hops) if relay_allowed"
		" { " RENDER_VAR("hops") " -m found }\n"
					 ".else\n");
	render_refusal(b, REFUSAL_BAD_REQUEST,
		"if relay_allowed { " RENDER_VAR("hops") " -m found } !{ " RENDER_KINDS
							 " -m found }");
	buffer_append_str(b, ".endif\n");
}

/* Rules for few requests, behind everything else. */
static void append_kinds(struct buffer *b)
{
	static const char dots[] = ".........";

	buffer_append_str(b,
		"\n\t# Headers that Connection names, by a character and its place in the name that no other\n"
		"\t# header of the request has.\n"
		".if version_before(3.4)\n");
	for (int place = 0; place < SEAM_KIND_PLACES; place++) {
		for (const char *c = SEAM_KIND_CHARACTERS; *c; c++)
			buffer_printf(b,
				"\thttp-request del-header '%c%.*s$' -m reg"
				" if { " RENDER_KINDS " -m sub ;%c%d; }\n",
				*c, place, dots, *c, place);
	}
	buffer_append_str(b, ".endif\n");
}

/* The ordinary request meets no rule behind it. */
static void append_allow(struct buffer *b)
{
	buffer_append_str(
		b, "\thttp-request allow if relay_allowed !{ " RENDER_VAR("hops") " -m found }\n");
}

/* Of a request that is allowed. A backend would rewrite the path again at each attempt. */
static void append_forward(const struct render_model *m, struct buffer *b)
{
	/* before the wait for the body: the gauge must show a slot that is taken */
	render_tracking(b);
	render_wait_for_body(m, b);
	buffer_append_str(b,
		"\t# Origin form only: an absolute URI would carry the client's Host.\n"
		"\thttp-request set-uri %[pathq] unless { url_beg / }\n"
		"\thttp-request set-path %[" RENDER_PATH "] if { " RENDER_PATH " -m found }\n");
}

/*
 * From 2.8 on HAProxy notices that a client has disconnected only when it connects to a server. A new
 * connection gives it time to notice before anything is sent; an idle one does not. So a request that
 * has waited gets a new connection. 3.0 does not notice even then: it aborts the request right after
 * sending it.
 */
static void append_waited(struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# A request that has waited gets a new connection: HAProxy then notices a client that left.\n"
		".if version_atleast(3.1)\n");
	render_own_connection(b, "if { " RENDER_VAR("since") " -m found }");
	buffer_append_str(b, ".endif\n");
}

/* The ordinary request meets no rule behind the first `allow` of this set. */
static void append_decision(const struct render_model *m, struct buffer *b)
{
	render_ask(SEAM_MSG_DECIDE, "", b);
	append_forward(m, b);
	append_allow(b);
	render_ask_again(SEAM_MSG_DECIDE2, "", b);
	render_body(b);
	append_wait(b);
	append_waited(b);
	append_hops(b);
	append_forward(m, b);
	append_kinds(b);
}

void render_frontend(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b, "\nfrontend " SEAM_FRONTEND " from " RENDER_DEFAULTS "\n");
	append_binds(&m->options, b);
	render_log(m, b);
	render_new_id(m, b);
	render_engine(m, SEAM_ENGINE, b);
	render_engine(m, SEAM_ENGINE_WAIT, b);
	render_own_errors(b);
	render_allowed(b);
	buffer_append_str(b,
		"\tacl relay_retry " RENDER_ALT " -m bool\n"
		"\tacl relay_retry " RENDER_VAR("resend") " -m bool\n");
	render_error_shapes(b, RENDER_PATHS_CLIENT);
	render_cors_request(m, b);
	render_request_limits(m, b);
	append_decision(m, b);
	render_response(m, b);
	render_cors_response(m, b);
	render_after_response(b);
	render_routes(b, true);
}
