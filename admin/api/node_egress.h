/*
 * What is particular to an egress of kind `node` (haproxy/egress-node.cfg): the files by which HAProxy
 * and the node know each other, and that the node learns where to go from the SNI alone.
 */
#ifndef RELAY_ADMIN_API_NODE_EGRESS_H
#define RELAY_ADMIN_API_NODE_EGRESS_H

#include "admin/api/request.h"

/* Takes `cert` and `ca` of the body, after kind and address: a node needs both, nothing else has any. */
int node_egress_update(struct request *r, int64_t id);
/* Adds `cert` and `ca`. */
void node_egress_describe(struct slice kind, struct slice cert, struct slice ca, json_object *o);
/*
 * To be asked at the end of a change: -EINVAL when an account would send through a node what the node
 * could read, or could not place: an upstream that is not https, or has no name.
 */
int node_egress_check(struct request *r);

#endif
