/* Remote egress nodes: one local TCP listener each, which connects to the node with mutual TLS. */
#ifndef RELAY_HAPROXY_RENDER_NODE_H
#define RELAY_HAPROXY_RENDER_NODE_H

#include "haproxy/render.h"

/* 0, or -EINVAL if a text cannot be rendered or two nodes have the same name. */
int render_node_check_all(const struct render_model *m, struct errtext *e);
/* 0, or -EINVAL if the backend cannot use its node. */
int render_node_check_backend(
	const struct render_model *m, const struct render_backend *k, struct errtext *e);

bool render_node_needs_dns(const struct render_node *n);
/* All nodes and their `defaults`; nothing without nodes. */
void render_nodes(const struct render_model *m, uint64_t silence_ms, struct buffer *b);

#endif
