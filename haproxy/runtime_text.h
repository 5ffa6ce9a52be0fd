/* What HAProxy's sockets and its binary say, as text: pure readers for the runtime client. */
#ifndef RELAY_HAPROXY_RUNTIME_TEXT_H
#define RELAY_HAPROXY_RUNTIME_TEXT_H

#include "common/slice.h"
#include "haproxy/runtime.h"

#include <stdbool.h>
#include <stddef.h>

/* `show proc` of a master. */
struct runtime_processes {
	uint64_t reloads; /* tried since the master started */
	uint64_t failed;  /* of those, since the last that was taken */
	uint32_t workers; /* current and old */
};

/* 0, or -EPROTO when this is no answer of a master. */
int runtime_parse_processes(struct slice answer, struct runtime_processes *ret);

/* `show info` into the fields it has; -EPROTO when there is no version in it. */
int runtime_parse_info(struct slice answer, struct runtime_status *ret);

/*
 * HAProxy's first complaint: the first [ALERT] without its prefix, with the lines that belong to it,
 * on one line and cut at the size. False when there is none.
 */
bool runtime_first_alert(struct slice log, char *out, size_t size);

#endif
