/*
 * Sets of header names as one POSIX expression, for one `del-header -m reg`. HAProxy keeps the names of
 * headers in lower case. No expression uses look-ahead, which HAProxy has only with PCRE.
 */
#ifndef RELAY_HAPROXY_RENDER_NAMES_H
#define RELAY_HAPROXY_RENDER_NAMES_H

#include "common/buffer.h"

#include <stdbool.h>

#define RENDER_EXCEPTIONS_MAX 64 /* below one prefix */

struct render_list {
	const char *const *p;
	size_t count;
};

/* The set is written as rules that begin with `direction`, such as "http-request". */
struct render_names {
	struct buffer *out;
	const char *direction;
	struct render_list allow; /* never below a prefix of the set */
	struct buffer terms;	  /* separated by `|` */
};

bool render_list_has(struct render_list list, const char *name);
/*
 * Adds a name. `*` at its end matches any rest; at its beginning it matches at least one character. A name
 * that the set has is not added again. More exceptions below a prefix than RENDER_EXCEPTIONS_MAX are an
 * error of the buffer, -E2BIG.
 */
void render_names_add(struct render_names *n, const char *name);
/* Writes what was added since, and frees it. */
void render_names_end(struct render_names *n);

#endif
