/*
 * Bodies of requests: how large they may be, which ones HAProxy waits for, and which ones another account
 * can get in the same request. HAProxy replays a request only if all of it was in one buffer when it was
 * sent. So it waits for a body that fits, after the decision, and sends all other bodies as they arrive.
 */
#include "haproxy/render_parts.h"

#include <inttypes.h>
#include <stdio.h>

/* The buffer holds head and body. Its reserve takes what rules write: a credential of 4 KB fits. */
static const struct replay {
	const char *name;
	int bufsize, maxrewrite;
	int body; /* bytes of the largest body that is replayed; 0 = none */
} replays[] = {
	{"48k", 65536, 8192, 47000},
	{"144k", 163840, 16384, 143000},
	{"off", 65536, 8192, 0},
};

/* A body without a length is bounded where it is bounded at all: it must fit in the buffer. */
#define UNSIZED_BODY 47000
#define UNSIZED_HEAD 8000

#define HAS_LENGTH "{ req.hdr(content-length) -m found }"

/* HAProxy may take the request back from a server. */
#define MAY_BE_TAKEN_BACK "{ " RENDER_ALT " -m bool } || { " RENDER_VAR("resend") " -m bool }"

#define COUNT (sizeof(replays) / sizeof(replays[0]))

/* The first row is the default. */
static size_t index_of(const char *name)
{
	size_t i = 0;

	while (name && i < COUNT && strcmp(replays[i].name, name) != 0)
		i++;
	return i;
}

bool render_replay_is_known(const char *name)
{
	return index_of(name) < COUNT;
}

/* The model was checked. */
static const struct replay *replay_of(const struct render_model *m)
{
	return &replays[index_of(m->options.replay_body) % COUNT];
}

int render_replay_body_max(const struct render_model *m)
{
	return replay_of(m)->body;
}

void render_buffers(const struct render_model *m, struct buffer *b)
{
	const struct replay *r = replay_of(m);

	buffer_printf(b,
		"\t# Buffers. Another account can take over a request whose body has at most %d bytes\n"
		"\t# (`haproxy render --replay-body`). A request in progress uses up to two buffers, a third\n"
		"\t# one while a retry is possible, an idle connection none.\n"
		"\ttune.bufsize %d\n"
		"\ttune.maxrewrite %d\n"
		".if version_atleast(3.0)\n"
		"\ttune.memory.hot-size 4194304\n"
		".endif\n",
		r->body, r->bufsize, r->maxrewrite);
}

void render_retry_rule(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\t# Retry only if another account can take over, or if the connection may have been idle.\n");
	if (!render_replay_body_max(m))
		buffer_append_str(
			b, "\thttp-request disable-l7-retry unless { method GET HEAD }\n");
	buffer_append_str(b, "\thttp-request disable-l7-retry unless " MAY_BE_TAKEN_BACK "\n");
}

/* With a known length. */
static void append_length_limit(uint64_t max_body, struct buffer *b)
{
	char condition[96];

	snprintf(condition, sizeof(condition), "if { req.hdr_val(content-length) gt %" PRIu64 " }",
		max_body);
	buffer_printf(b, "\n\t# Refuse bodies above %" PRIu64 " bytes.\n", max_body);
	render_refusal(b, REFUSAL_REQUEST_TOO_LARGE, condition);
}

void render_request_limits(const struct render_model *m, struct buffer *b)
{
	buffer_append_str(b,
		"\n\t# TRACE would show the injected credential to the client; CONNECT is for "
		"forward proxies.\n");
	render_refusal(b, REFUSAL_BAD_REQUEST, "if { method TRACE CONNECT }");
	if (m->config->requests_max_body)
		append_length_limit(m->config->requests_max_body, b);
}

/* HAProxy counts a body without a length only as far as it is in the buffer. */
static void append_unsized_limit(uint64_t max_body, struct buffer *b)
{
	uint64_t max = max_body < UNSIZED_BODY ? max_body : UNSIZED_BODY;
	char condition[128];

	buffer_printf(b,
		"\t# A body without a length must fit in the buffer: at most %" PRIu64
		" bytes, with at most\n"
		"\t# %d bytes of headers.\n"
		"\thttp-request wait-for-body time %ds at-least %" PRIu64
		" if relay_allowed !" HAS_LENGTH "\n",
		max, UNSIZED_HEAD, SEAM_BODY_WAIT_S, max + 1);
	snprintf(condition, sizeof(condition),
		"if relay_allowed !" HAS_LENGTH " { req.body_size gt %" PRIu64 " }", max);
	render_refusal(b, REFUSAL_REQUEST_TOO_LARGE, condition);
	snprintf(condition, sizeof(condition),
		"if relay_allowed !" HAS_LENGTH " { req.body_size gt 0 } { req.hdrs,length gt %d }",
		UNSIZED_HEAD);
	render_refusal(b, REFUSAL_REQUEST_TOO_LARGE, condition);
}

void render_wait_for_replay(const struct render_model *m, const char *condition, struct buffer *b)
{
	const struct replay *r = replay_of(m);

	if (!r->body)
		return;
	buffer_printf(b,
		"\t# Wait for a body that another account could get. Larger ones, and those without a length,\n"
		"\t# are sent as they arrive.\n"
		"\thttp-request wait-for-body time %ds at-least %d if %s{ req.hdr_val(content-length) le %d }\n",
		SEAM_BODY_WAIT_S, r->bufsize, condition, r->body);
}

void render_wait_for_body(const struct render_model *m, struct buffer *b)
{
	render_wait_for_replay(m, "relay_retry ", b);
	buffer_printf(b,
		"\t# Ask for a body that is announced with Expect, once.\n"
		"\thttp-request wait-for-body time %ds at-least 1 if { req.hdr(expect) -m found }"
		" relay_allowed\n",
		SEAM_BODY_WAIT_S);
	if (m->config->requests_max_body)
		append_unsized_limit(m->config->requests_max_body, b);
}
