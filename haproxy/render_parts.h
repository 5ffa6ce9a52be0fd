/* The parts of the rendered files: one function per section. */
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
/*
 * More questions, for the connections of a dead agent. From 3.1 on there is one for each question in
 * progress: with eight more, one request in some crashes under load was refused.
 */
#define RENDER_BROKEN_CONNECTIONS 24
/* The client closed its side and so interrupted the question: SPOE error 5, from 3.1 on 4. */
#define RENDER_INTERRUPTED "{ " RENDER_ERROR " -m int 4 5 }"
#define RENDER_BACKEND_NAME RENDER_VAR("be")
/* Only the backends of egresses begin like this: no answer of the agent opens another one. */
#define RENDER_EGRESS_PREFIX "b"
#define RENDER_HAS_BACKEND                                                                         \
	"relay_allowed { " RENDER_BACKEND_NAME " -m beg " RENDER_EGRESS_PREFIX " }"
#define RENDER_KINDS RENDER_VAR("kinds")
#define RENDER_PATH RENDER_VAR("path")
#define RENDER_TRACK_KEY RENDER_VAR("track")

#define RENDER_SERVER_TIMEOUT_MS 600000u
/* HAProxy gives up a connection if sent data is not acknowledged for this long. */
#define RENDER_UNACKNOWLEDGED "15s"
#define RENDER_INTERNAL_TIMEOUT_MS 180000u /* token hosts can be slow */

/* 0, or -EINVAL if a text of the model cannot be rendered. */
int render_check_model(const struct render_model *m, struct errtext *e);
/* The same for the SPOE file. */
int render_check_spoe_model(const struct render_model *m, struct errtext *e);

/* `log` and `log-format`: the end record. */
void render_log(const struct render_model *m, struct buffer *b);
/* `unique-id-format`: a new id, or the first attempt's. */
void render_new_id(const struct render_model *m, struct buffer *b);
void render_same_id(struct buffer *b);
void render_engine(const struct render_model *m, const char *engine, struct buffer *b);
/* Sends a question if `condition` holds (ACLs, or empty). */
void render_ask(const char *message, const char *condition, struct buffer *b);
/* Sends it several times more, as long as there is no answer. */
void render_ask_again(const char *message, const char *condition, struct buffer *b);
/* render_body.c: the question with the body, if the agent asks for it. */
void render_body(struct buffer *b);
void render_tracking(struct buffer *b);
/*
 * A connection for this request only. HAProxy never reuses an idle connection with another TOS value.
 * Needs 3.0.
 */
void render_own_connection(struct buffer *b, const char *condition);
/* In the backend, behind the header policy: tells the upstream that this connection ends. */
void render_close_own_connection(struct buffer *b);
/* The ACL `relay_allowed`: the agent has decided that the request is forwarded. */
void render_allowed(struct buffer *b);
/*
 * To the agent's backend if it allowed the request, else to the one without a server. `once`: to the second
 * one of that egress, if no other account can take the request.
 */
void render_routes(struct buffer *b, bool once);

void render_frontend(const struct render_model *m, struct buffer *b);

/* The choices of render_options.replay_body: 48k, 144k, off. */
bool render_replay_is_known(const char *name);
/* Bytes of the largest body that another account can get in the same request; 0 = none. */
int render_replay_body_max(const struct render_model *m);
void render_buffers(const struct render_model *m, struct buffer *b);
/* Refuses without a question: bodies that are announced as too large, and some methods. */
void render_request_limits(const struct render_model *m, struct buffer *b);
/* Waits for the body of an allowed request where that is needed, and refuses one that is too large. */
void render_wait_for_body(const struct render_model *m, struct buffer *b);
/* Waits for a body that can be replayed; `condition` is ACLs with a blank behind, or empty. */
void render_wait_for_replay(const struct render_model *m, const char *condition, struct buffer *b);

/* Removes headers of the client and of an account; what the account needs is set behind it. */
void render_request_headers(const struct render_model *m, struct buffer *b);
void render_extra_headers(const struct render_model *m, struct buffer *b);
/* Sets the headers of the account's way to authenticate. */
void render_credential(struct buffer *b);
/* Removes what the failed account has added to a header of the client. */
void render_credential_deletion(struct buffer *b);
/* Removes headers of the upstream and the account; only the relay's own remain under its names. */
void render_response_headers(const struct render_model *m, struct buffer *b);

/* [cors] origins: which answers pages of other origins may read. Nothing if the option is empty. */
bool render_has_cors(const struct render_model *m);
void render_cors_request(const struct render_model *m, struct buffer *b);
void render_cors_response(const struct render_model *m, struct buffer *b);

/* The path that decides the shape of errors. */
enum render_paths {
	RENDER_PATHS_CLIENT,   /* the client's own */
	RENDER_PATHS_UPSTREAM, /* the upstream's, which may have a prefix */
};
/* Rules that choose the shape by the path, before anything can fail. */
void render_error_shapes(struct buffer *b, enum render_paths paths);
/* Rules that take the shape from the agent, which knows the client's path. */
void render_shape_of_agent(struct buffer *b);
/* The texts of a body before the message, behind it, and at the end; `status` is the refusal's. */
void render_shape_open(struct buffer *b);
void render_shape_middle(struct buffer *b, int status);
void render_shape_close(struct buffer *b);
/* Headers of some shapes, on the relay's own errors. */
void render_shape_headers(struct buffer *b);
/* The statuses of all refusals, each once; 0 beyond the last. */
int render_status_at(size_t i);
/* `http-error` for the errors of HAProxy itself. */
void render_own_errors(struct buffer *b);
/* The agent's refusals. One rule per status, because `return` takes a fixed status. */
void render_denials(struct buffer *b);
/* Refuses a request without a decision to forward it. */
void render_no_decision(struct buffer *b);
/* The agent's own responses. */
void render_agent_answers(struct buffer *b);
/* `http-request return` of one refusal; `condition` is "if ..." or empty. */
void render_refusal(struct buffer *b, enum refusal r, const char *condition);
/* `http-response return` in place of an upstream's response. */
void render_response_refusal(struct buffer *b, enum refusal r, const char *condition);
/* `http-after-response`: headers and status of every response. */
void render_after_response(struct buffer *b);
/* The same in relay-again, whose responses go through the client's frontend, which sets the ids. */
void render_after_attempt(struct buffer *b);

/* The frontend for further attempts, and the servers that send requests to it. */
void render_again(const struct render_model *m, struct buffer *b);
void render_again_servers(const struct render_model *m, struct buffer *b);
void render_retry_rule(const struct render_model *m, struct buffer *b);
/* The rules for an upstream's response. */
void render_response(const struct render_model *m, struct buffer *b);
/* The response that HAProxy may take back, for the next attempt. */
void render_failed(const struct render_backend *k, struct buffer *b);
/* What the answer tells beside its content: the upstream's id of the request, for its record. */
void render_answer_id(const struct provider *p, struct buffer *b);
/* A Location below the upstream's URL becomes a path of the relay. */
void render_location(const struct render_backend *k, struct buffer *b);
/* Whether the connection was used before, for the next attempt. */
void render_reused(struct buffer *b, const char *condition);
void render_limits(const struct provider *p, struct buffer *b);

/* The agent has allowed a WebSocket. */
#define RENDER_IS_TUNNEL "{ " RENDER_VAR("tunnel") " -m found }"
/* WebSockets (render_tunnel.c). Nothing is rendered if no backend has them. */
bool render_has_tunnels(const struct render_model *m);
/* A further attempt is a WebSocket if the request still asks for one. */
void render_tunnel_again(const struct render_model *m, struct buffer *b);
/* Behind the header policies, and behind an `allow` for requests that are no WebSocket. */
void render_tunnel_request(const struct render_backend *k, struct buffer *b);
void render_tunnel_response(const struct render_model *m, struct buffer *b);
/* The table of those in progress. */
void render_tunnel_table(const struct render_model *m, struct buffer *b);

void render_egress_defaults(const struct render_model *m, struct buffer *b);
void render_backend(const struct render_model *m, const struct render_backend *k, struct buffer *b);
void render_host(const struct render_backend *k, struct buffer *b);
/* use-server and the server `out` with its weight. Leaves the line open for options. */
void render_server(const struct render_model *m, const struct render_backend *k, const char *weight,
	struct buffer *b);
/* Ends that line. */
void render_server_end(const struct render_backend *k, struct buffer *b);
bool render_backend_needs_dns(const struct render_backend *k);
uint64_t render_backend_timeout_ms(const struct render_backend *k);
void render_black_hole(struct buffer *b);
void render_track(const struct render_model *m, struct buffer *b);

/* The frontend for internal requests, and the backends that only it uses. */
void render_internal(const struct render_model *m, struct buffer *b);
void render_internal_backend(
	const struct render_model *m, const struct render_backend *k, struct buffer *b);

void render_agent_backend(const struct render_model *m, struct buffer *b);
/* If the agent has local listeners, HAProxy uses only these, and questions carry no secret. */
bool render_spop_uses(const struct render_model *m, const struct address *listener);
bool render_spop_has_secret(const struct render_model *m);

/*
 * A listener that only HAProxy connects to, a Unix socket in the model's directory. `bind` has the path as
 * root sees it; `server` has it as HAProxy sees it after its chroot.
 */
void render_own_bind(const struct render_model *m, const char *name, struct buffer *b);
void render_own_server(const struct render_model *m, const char *name, struct buffer *b);
/* `path` as HAProxy sees it after its chroot; NULL = it is outside. */
const char *render_inside(const struct render_model *m, const char *path);
/* The form of an address in a `server` or `log` line. */
void render_target(const struct render_model *m, const struct address *a, struct buffer *b);
int render_check_sockets(const struct render_model *m, struct errtext *e);

void render_stats(const struct render_model *m, struct buffer *b);

#endif
