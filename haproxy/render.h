/*
 * The renderer: from a model of what HAProxy must know to the two files it loads, relay.cfg and
 * relay-spoe.conf. Pure: same model, same bytes. The files load without a warning of ours on HAProxy
 * 2.6, 3.0 and 3.2, beside a configuration of the user's own (second `-f`).
 */
#ifndef RELAY_HAPROXY_RENDER_H
#define RELAY_HAPROXY_RENDER_H

#include "common/address.h"
#include "common/buffer.h"
#include "common/errtext.h"
#include "common/provider.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RENDER_BINDS_MAX 8
#define RENDER_TRUSTED_MAX 32
#define RENDER_CFG_NAME "relay.cfg"
#define RENDER_SPOE_NAME "relay-spoe.conf"

enum render_egress {
	RENDER_EGRESS_DIRECT, /* no source address of its own */
	RENDER_EGRESS_SOURCE, /* address = IP */
	RENDER_EGRESS_SOCKS4, /* address = HOST:PORT */
	RENDER_EGRESS_NODE,   /* address = name of one of the model's nodes */
};

/*
 * A remote egress node. HAProxy reaches it by a listener of its own, which wraps what comes in mutual
 * TLS; the backends speak TLS with their upstream through that.
 */
struct render_node {
	const char *name; /* of the section, [a-z0-9._-] */
	const char *host; /* a name or a numeric address without brackets */
	uint16_t port;
	const char *cert;    /* path: our certificate and key */
	const char *ca_file; /* path: the CA of the node's certificate */
};

/* One backend per (upstream, egress). All texts are borrowed. */
struct render_backend {
	const char *name; /* immutable, [a-z0-9._-] */
	const char *host; /* of the upstream's URL: a name or a numeric address without brackets */
	uint16_t port;
	bool tls;
	const char *ca_file;	 /* path; NULL = the system's */
	const char *host_header; /* host, with the port when it is not the scheme's own */
	enum render_egress egress;
	const char *egress_address;
	enum provider provider;
	uint64_t
		first_byte_timeout_ms; /* `timeout server`; 0 = the default of E5 in HAPROXY.md 39 */
};

/* What `relayadm haproxy render` was told (kept by control for its own renders). */
struct render_options {
	const char *binds[RENDER_BINDS_MAX]; /* HOST:PORT */
	size_t bind_count;
	const char *cert; /* path of a PEM file with key; NULL = plain HTTP */
	bool accept_proxy;
	const char *trusted[RENDER_TRUSTED_MAX]; /* CIDRs whose X-Forwarded-For is believed */
	size_t trusted_count;
	const char
		*stats; /* HOST:PORT of the stats page and the Prometheus exporter; NULL = none */
};

struct render_model {
	uint64_t gen;
	struct render_options options;
	const char *output_dir; /* where the files will stand, for the reference to the SPOE file */
	const struct address *spop; /* the agent's listeners */
	size_t spop_count;
	struct address records; /* the records socket */
	const char *secret; /* rendered by setenv; NULL = it comes from HAProxy's own environment */
	bool records_have_secret;
	const char *admin_socket;  /* `stats socket` path; NULL or empty = none rendered */
	const char *admin_group;   /* group of that socket; NULL or empty = HAProxy's own */
	const char *const *sticky; /* header names in order */
	size_t sticky_count;
	const char *const *headers; /* extra headers: every slot of every account and upstream */
	size_t header_count;
	const char *const *request_deny; /* header policy, see config.h [headers] */
	size_t request_deny_count;
	const char *const *request_allow;
	size_t request_allow_count;
	const char *const *response_deny;
	size_t response_deny_count;
	const char *const *response_allow;
	size_t response_allow_count;
	uint64_t max_body; /* bytes; 0 = unlimited */
	const struct render_backend *backends;
	size_t backend_count;
	const struct address *check; /* who answers HAProxy's agent-check (tcp); NULL = nobody */
	const char *internal_socket; /* path; NULL or empty = no frontend for control's requests */
	const struct render_backend *internal; /* SEAM_BACKEND_TOKEN, SEAM_BACKEND_ECHO */
	size_t internal_count;
	const struct render_node *nodes;
	size_t node_count;
};

/* Appends the files' texts. 0, or -EINVAL with the reason (a value that cannot stand in the files). */
int render_config(const struct render_model *m, struct buffer *cfg, struct errtext *e);
int render_spoe(const struct render_model *m, struct buffer *spoe, struct errtext *e);

#endif
