/* The ways to remote egress nodes: a TCP listener each, with mutual TLS behind it. */
#ifndef RELAY_HAPROXY_RENDER_NODE_H
#define RELAY_HAPROXY_RENDER_NODE_H

#include "haproxy/render.h"

/* 0 or -EINVAL: the texts can stand in the files, and no two nodes have one name. */
int render_node_check_all(const struct render_model *m, struct errtext *e);
/* 0 or -EINVAL: a backend that leaves by a node can do so. */
int render_node_check_backend(
	const struct render_model *m, const struct render_backend *k, struct errtext *e);

bool render_node_needs_dns(const struct render_node *n);
/* All of them, with their `defaults`; nothing when there are none. */
void render_nodes(const struct render_model *m, uint64_t silence_ms, struct buffer *b);

#endif
