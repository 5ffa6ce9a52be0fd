/*
 * The fields of an egress of kind `node` (haproxy/egress-node.cfg): the certificate files of
 * HAProxy and the node, and the rule that a node learns the destination from the SNI alone.
 */
#ifndef RELAY_ADMIN_API_NODE_EGRESS_H
#define RELAY_ADMIN_API_NODE_EGRESS_H

#include "admin/api/request.h"

/*
 * Takes `cert` and `ca` of the body, after kind and address: a node needs both, other kinds have
 * none.
 */
int node_egress_update(struct request *r, int64_t id);
/* Adds `cert` and `ca`. */
void node_egress_describe(struct slice kind, struct slice cert, struct slice ca, json_object *o);
/*
 * Called at the end of a change: -EINVAL when an account would use a node for an upstream that is
 * not https (the node could read it) or has no host name (the node finds the upstream by name).
 * `account`: the one that changed; 0 = all, after a change of an upstream or an egress.
 */
int node_egress_check(struct request *r, int64_t account);

#endif
