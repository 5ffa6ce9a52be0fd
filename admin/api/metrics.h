/* The Prometheus text of GET /metrics: the counts of the board under the names of the store. */
#ifndef RELAY_ADMIN_API_METRICS_H
#define RELAY_ADMIN_API_METRICS_H

#include "common/buffer.h"

struct control;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_render(struct control *c, struct buffer *out);

#endif
