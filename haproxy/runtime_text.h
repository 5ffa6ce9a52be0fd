/* Pure parsers for the answers of HAProxy's sockets and the output of its binary. */
#ifndef RELAY_HAPROXY_RUNTIME_TEXT_H
#define RELAY_HAPROXY_RUNTIME_TEXT_H

#include "common/slice.h"
#include "haproxy/runtime.h"

#include <stdbool.h>
#include <stddef.h>

/* `show proc` of a master. */
struct runtime_processes {
	uint64_t reloads; /* tried since the master started */
	uint64_t failed;  /* of those, since the last success */
	uint32_t workers; /* current and old */
};

/* 0, or -EPROTO: not an answer of a master. */
int runtime_parse_processes(struct slice answer, struct runtime_processes *ret);

/* Reads the known fields of `show info`; -EPROTO without a version. */
int runtime_parse_info(struct slice answer, struct runtime_status *ret);

/* The names in the rows of `show stat` of servers `out` whose last check could not bind. */
void runtime_parse_unbound(struct slice answer, runtime_unbound_fn *fn, void *context);

/* The number in an answer to `get var`. -ENOENT: there is none; -EPROTO: not such an answer. */
int runtime_parse_variable(struct slice answer, uint64_t *ret);

/*
 * The first [ALERT] without its prefix, with its continuation lines, on one line and cut at the size.
 * False if there is none.
 */
bool runtime_first_alert(struct slice log, char *out, size_t size);

#endif
