/* One line of HAProxy's configuration as words, as HAProxy itself splits it; and what no word may be. */
#ifndef RELAY_AGENT_KEEPER_RENDERED_WORDS_H
#define RELAY_AGENT_KEEPER_RENDERED_WORDS_H

#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>

#define RENDERED_WORDS_MAX 256
#define RENDERED_LINE_MAX ((size_t)64 << 10)
#define RENDERED_NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

struct rendered_words {
	const char *items[RENDERED_WORDS_MAX]; /* without quotes and escapes, in `text` */
	size_t count;
	char text[RENDERED_LINE_MAX + 1];
};

/*
 * Splits a line, without its end and its comment. NULL, or what the renderer never writes: a byte that is not
 * printable ASCII, an environment variable, a quote that does not end, too long a line.
 */
const char *rendered_words_split(struct rendered_words *w, struct slice line);
/* The first word that reads another file, runs code or leaves our sections; NULL = none. */
const char *rendered_words_forbidden(const struct rendered_words *w);

/* `list` ends with NULL. */
bool rendered_is_among(const char *text, const char *const *list);
/* An action of a rule that we render, without its argument in parentheses. */
bool rendered_is_action(const char *text);

#endif
