/*
 * The renderer turns a model of what HAProxy must know into the two files that HAProxy loads:
 * relay.cfg and relay-spoe.conf. Pure: same model, same bytes. HAProxy 2.6 and later load the files
 * without a warning, after the user's configuration (second `-f`).
 */
#ifndef RELAY_HAPROXY_RENDER_H
#define RELAY_HAPROXY_RENDER_H

#include "common/address.h"
#include "common/buffer.h"
#include "common/config.h"
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
	RENDER_EGRESS_DIRECT, /* no fixed source address */
	RENDER_EGRESS_SOURCE, /* address = IP */
	RENDER_EGRESS_SOCKS4, /* address = HOST:PORT */
	RENDER_EGRESS_NODE,   /* address = name of one of the model's nodes */
};

/*
 * A remote egress node. HAProxy reaches it through a separate local listener, which adds mutual TLS;
 * the backends speak TLS with their upstream inside that.
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
	const char
		*host; /* from the upstream's URL: a name or a numeric address without brackets */
	uint16_t port;
	bool tls;
	const char *ca_file;	    /* path; NULL = the system's */
	const char *prefix, *strip; /* of paths: added for the upstream, and removed; NULL = none */
	const char *host_header;    /* host, with the port if it is not the scheme's default */
	enum render_egress egress;
	const char *egress_address;
	const struct provider *provider; /* NULL in `internal` */
	uint64_t first_byte_timeout_ms;	 /* `timeout server`; 0 = 10 minutes */
	bool websocket;			 /* WebSockets may go to the upstream */
	bool http2;			 /* HAProxy speaks HTTP/2 with it */
};

/* The options of `relayadm haproxy render`; the control process keeps them for later renderings. */
struct render_options {
	const char *binds[RENDER_BINDS_MAX]; /* HOST:PORT */
	size_t bind_count;
	const char *cert; /* path of a PEM file with key; NULL = plain HTTP */
	bool accept_proxy;
	const char *trusted
		[RENDER_TRUSTED_MAX]; /* CIDRs of proxies that tell the client's address; the agent reads it */
	size_t trusted_count;
	const char
		*stats; /* HOST:PORT of the stats page and the Prometheus exporter; NULL = none */
	const char *chroot;	 /* HAProxy's, without a `/` at the end; NULL = none */
	const char *replay_body; /* 48k, 144k or off; NULL = 48k */
};

#define RENDER_UID_NONE ((uint32_t)-1)

struct render_model {
	uint64_t gen;
	const struct config *config; /* for the options that rules use as they are */
	struct render_options options;
	const char *output_dir;	    /* of the files, for the reference to the SPOE file */
	const struct address *spop; /* the agent's listeners */
	size_t spop_count;
	struct address records; /* the records socket */
	const char *secret;	/* rendered with setenv; NULL = HAProxy's environment has it */
	bool records_have_secret;
	const char *id_key; /* base64: makes the ids of requests unpredictable below HAProxy 3.4 */
	const char *admin_socket;   /* `stats socket` path; NULL or empty = none rendered */
	const char *admin_group;    /* group of that socket; NULL or empty = HAProxy's group */
	const char *const *headers; /* names of the extra headers of all accounts and upstreams */
	size_t header_count;
	const char *const *request_deny; /* header policy, see config.h [headers] */
	size_t request_deny_count;
	const char *const *request_allow;
	size_t request_allow_count;
	const char *const *response_deny;
	size_t response_deny_count;
	const char *const *response_allow;
	size_t response_allow_count;
	const struct render_backend *backends;
	size_t backend_count;
	const struct address *check; /* for HAProxy's agent-check (tcp); NULL = no agent-check */
	const char *socket_dir;	     /* of the listeners that HAProxy itself connects to */
	uint32_t haproxy_uid;	     /* owns those; RENDER_UID_NONE = whoever starts HAProxy */
	const char *internal_socket; /* path; NULL or empty = no frontend for internal requests */
	uint32_t
		internal_uid; /* owns it alone; RENDER_UID_NONE = the group `admin_group` uses it */
	const struct render_backend *internal; /* SEAM_BACKEND_TOKEN, SEAM_BACKEND_ECHO */
	size_t internal_count;
	const struct render_node *nodes;
	size_t node_count;
};

/* Appends the files' texts. 0, or -EINVAL with the reason (a value that the files cannot hold). */
int render_config(const struct render_model *m, struct buffer *cfg, struct errtext *e);
int render_spoe(const struct render_model *m, struct buffer *spoe, struct errtext *e);

#endif
