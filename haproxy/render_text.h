/*
 * What may stand in HAProxy's files. The parser of HAProxy gives a meaning to spaces, quotes,
 * backslashes, `#`, `$` and `%`; every value is either of a narrow form that holds none of them, or is
 * written as a single-quoted word, in which all of them are plain.
 */
#ifndef RELAY_HAPROXY_RENDER_TEXT_H
#define RELAY_HAPROXY_RENDER_TEXT_H

#include "common/buffer.h"
#include "common/errtext.h"

#include <stdbool.h>

#define RENDER_NAME_MAX 200
#define RENDER_WORD_MAX 1024
#define RENDER_HOST_MAX 253

/* Each check answers 0 or -EINVAL with a message that begins with `what`. */
int render_check_name(const char *what, const char *name, struct errtext *e);
int render_check_header(const char *what, const char *name, struct errtext *e);
/* A name of a list, or the beginning of names with `*` at its end. */
int render_check_header_pattern(const char *what, const char *name, struct errtext *e);
/* A host name or a numeric address without brackets. */
int render_check_host(const char *what, const char *host, struct errtext *e);
int render_check_ip(const char *what, const char *ip, struct errtext *e);
/* HOST:PORT, HOST numeric ([...] for IPv6); `*` and an empty HOST only where `wildcard` says so. */
int render_check_endpoint(const char *what, const char *endpoint, bool wildcard, struct errtext *e);
/* Printable ASCII without quotes and backslashes: fit for render_word(). */
int render_check_word(const char *what, const char *word, struct errtext *e);
/* An absolute path, fit for render_word(). */
int render_check_path(const char *what, const char *path, struct errtext *e);

bool render_host_is_numeric(const char *host);
bool render_host_is_v6(const char *host);
/* `localhost` and names below it, which never stand in DNS (RFC 6761, section 6.3). */
bool render_host_is_loopback(const char *host);

/* The word in single quotes; a quote of its own as '\''. */
void render_word(struct buffer *b, const char *word);

#endif
