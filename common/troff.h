/* Text for a manual page: what troff would read as a request, an escape or a hyphen is quoted. */
#ifndef RELAY_COMMON_TROFF_H
#define RELAY_COMMON_TROFF_H

#include "common/buffer.h"

/* Plain text. */
void troff_text(struct buffer *out, const char *text);
/* Sentences in which `words` are code: those come out bold, without the backquotes. */
void troff_sentences(struct buffer *out, const char *text);
/* The first line of a page. It has no date: a page is the same whenever it is made. */
void troff_title(
	struct buffer *out, const char *name, int section, const char *version, const char *manual);

#endif
