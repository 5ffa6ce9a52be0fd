/* The parts of the rendered files, one function a section, in the order in which they stand. */
#ifndef RELAY_HAPROXY_RENDER_PARTS_H
#define RELAY_HAPROXY_RENDER_PARTS_H

#include "common/refusal.h"
#include "common/seam.h"
#include "haproxy/render.h"

/* Names of our proxies and sections. */
#define RENDER_DEFAULTS "relay-defaults"
#define RENDER_DEFAULTS_EGRESS "relay-egress-defaults"
#define RENDER_DEFAULTS_AGENT "relay-agent-defaults"
#define RENDER_RESOLVERS "relay-dns"
#define RENDER_BLACK_HOLE "relay-closed"
#define RENDER_AGENT "relay-agent"
#define RENDER_TRACK "relay-track"
#define RENDER_STATS "relay-stats"
#define RENDER_SYSTEM_CA_ENV "SPOA_RELAY_CA"

/* A variable that the agent sets, as HAProxy's expressions read it. */
#define RENDER_VAR(name) "var(txn." SEAM_VAR_PREFIX "." name ")"
#define RENDER_ACTION RENDER_VAR("action")
#define RENDER_ALT RENDER_VAR("alt")
#define RENDER_ERROR RENDER_VAR("error")
#define RENDER_BACKEND_NAME RENDER_VAR("be")
#define RENDER_PATH RENDER_VAR("path")
#define RENDER_TRACK_KEY RENDER_VAR("track")

/* Buffers that hold the whole of most requests (HAPROXY.md 19), and room to write credentials (21). */
#define RENDER_BUFSIZE 163840
#define RENDER_MAXREWRITE 16384
/* A body of unknown length passes only while it can be measured in one buffer beside its head. */
#define RENDER_UNSIZED_BODY_MAX 65536
#define RENDER_UNSIZED_HEAD_MAX 65536

#define RENDER_SERVER_TIMEOUT_MS 600000u
/* What was sent and not acknowledged for so long is lost, as when an address of ours is taken away. */
#define RENDER_UNACKNOWLEDGED "15s"
#define RENDER_INTERNAL_TIMEOUT_MS 180000u /* for a token host that takes its time */

/* 0 or -EINVAL: every text of the model can stand in the files. */
int render_check_model(const struct render_model *m, struct errtext *e);
/* The same for what the SPOE file holds. */
int render_check_spoe_model(const struct render_model *m, struct errtext *e);

/* `log`, `log-format` and the identity of a stream. */
void render_log(const struct render_model *m, const char *unique_id, struct buffer *b);
void render_engine(const struct render_model *m, const char *engine, struct buffer *b);
/* A message, and the one that repeats it, if `condition` (a list of ACLs, or empty). */
void render_question(
	const char *message, const char *repeat, const char *condition, struct buffer *b);
void render_tracking(struct buffer *b);
/*
 * A connection that no other request has had or will have: the TOS is part of what HAProxy tells idle
 * connections by. From 3.0 on.
 */
void render_own_connection(struct buffer *b, const char *condition);

void render_frontend(const struct render_model *m, struct buffer *b);
/* Conversation, label and the other facts that the agent is told, into txn.rly.*. */
void render_captures(const struct render_model *m, struct buffer *b);
/* Size of the body, methods that would show what was injected. */
void render_request_limits(const struct render_model *m, struct buffer *b);

void render_request_headers(const struct render_model *m, struct buffer *b);
/* What becomes of an extra header that the account at hand does not set. */
enum render_slots {
	RENDER_SLOTS_REPLACE, /* it is another one's: gone */
	RENDER_SLOTS_SET,     /* it is ours: stays */
};
void render_credentials(const struct render_model *m, enum render_slots slots, struct buffer *b);
void render_response_headers(const struct render_model *m, struct buffer *b);

enum render_shape {
	RENDER_SHAPE_OPENAI,
	RENDER_SHAPE_ANTHROPIC,
};
/* Opening and closing of a shape, by rules of this kind and on this condition ("if ..."). */
void render_shape(
	struct buffer *b, enum render_shape shape, const char *kind, const char *condition);
/* OpenAI's, or Anthropic's on a condition that needs only the path: before anything can fail. */
void render_error_shapes(struct buffer *b, const char *anthropic);
/* `http-error` for what HAProxy answers by itself. */
void render_own_errors(struct buffer *b);
/* The agent's refusals; one rule per status, because a status is static. */
void render_denials(struct buffer *b);
/* The same with the answers it gives itself; what is not allowed then is refused. */
void render_agent_answers(struct buffer *b);
/* `http-request return` of one refusal; `condition` is "if ..." or empty. */
void render_refusal(struct buffer *b, enum refusal r, const char *condition);
/* `http-response return` in place of an upstream's answer. */
void render_response_refusal(struct buffer *b, enum refusal r, const char *condition);
/* What is put right on every answer after its maker. */
void render_after_response(struct buffer *b);

/* The frontend for further attempts, and the servers that lead to it. */
void render_again(const struct render_model *m, struct buffer *b);
void render_again_servers(const struct render_model *m, struct buffer *b);
void render_retry_rule(struct buffer *b);
/* What becomes of an upstream's answer. */
void render_response(const struct render_model *m, struct buffer *b);
void render_limits(enum provider p, struct buffer *b);

void render_egress_defaults(struct buffer *b);
void render_backend(const struct render_model *m, const struct render_backend *k, struct buffer *b);
/* Host, use-server and the server that leads out, with its weight; the line is left open for options. */
void render_server(const struct render_model *m, const struct render_backend *k, const char *weight,
	struct buffer *b);
/* The last of that line. */
void render_server_end(const struct render_backend *k, struct buffer *b);
bool render_backend_needs_dns(const struct render_backend *k);
uint64_t render_backend_timeout_ms(const struct render_backend *k);
void render_black_hole(struct buffer *b);
void render_track(struct buffer *b);

/* The frontend for control's own requests, and the backends that only it uses. */
void render_internal(const struct render_model *m, struct buffer *b);
void render_internal_backend(
	const struct render_model *m, const struct render_backend *k, struct buffer *b);

void render_agent_backend(const struct render_model *m, struct buffer *b);
/* Local listeners are used alone where there are any; decides then carry no secret. */
bool render_spop_uses(const struct render_model *m, const struct address *listener);
bool render_spop_has_secret(const struct render_model *m);

/* `abns@` and a name that no other instance in this network namespace has. */
void render_own_address(const struct render_model *m, const char *name, struct buffer *b);

void render_stats(const struct render_model *m, struct buffer *b);

#endif
