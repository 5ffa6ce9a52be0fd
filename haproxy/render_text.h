/*
 * Safe text for HAProxy's files. HAProxy's parser gives a meaning to spaces, quotes, backslashes, `#`,
 * `$` and `%`. So each value either has a narrow form without these characters, or is written as a
 * single-quoted word, where they have no meaning.
 */
#ifndef RELAY_HAPROXY_RENDER_TEXT_H
#define RELAY_HAPROXY_RENDER_TEXT_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>

#define RENDER_NAME_MAX 200
#define RENDER_WORD_MAX 1024
#define RENDER_HOST_MAX 253

/* Each check returns 0, or -EINVAL with a message that begins with `what`. */
int render_check_name(const char *what, const char *name, struct errtext *e);
int render_check_header(const char *what, const char *name, struct errtext *e);
/* A name, or a prefix of names with `*` at its end. */
int render_check_header_pattern(const char *what, const char *name, struct errtext *e);
/* A host name or a numeric address without brackets. */
int render_check_host(const char *what, const char *host, struct errtext *e);
int render_check_ip(const char *what, const char *ip, struct errtext *e);
/* HOST:PORT, HOST numeric ([...] for IPv6); with `wildcard` also `*` or nothing as HOST. */
int render_check_endpoint(const char *what, const char *endpoint, bool wildcard, struct errtext *e);
/* Printable ASCII without quotes and backslashes: fit for render_word(). */
int render_check_word(const char *what, const char *word, struct errtext *e);
/* An absolute path, fit for render_word(). */
int render_check_path(const char *what, const char *path, struct errtext *e);

bool render_host_is_numeric(const char *host);
bool render_host_is_v6(const char *host);
/* `localhost` and names below it, which are never in DNS (RFC 6761, section 6.3). */
bool render_host_is_loopback(const char *host);

/* Appends the word in single quotes; a quote in it as '\''. */
void render_word(struct buffer *b, const char *word);

#endif
