/*
 * The head of a request as HAProxy's fetch `req.hdrs` gives it: lines `name: value\r\n` in their order,
 * then an empty line. HAProxy writes names in small letters, trims values, replaces folded lines by
 * blanks and passes bytes above 127 as they are. Nothing is copied; nothing is taken for granted.
 */
#ifndef RELAY_COMMON_HEAD_H
#define RELAY_COMMON_HEAD_H

#include "common/slice.h"

#define HEAD_LABEL_MAX 64
#define HEAD_HOPS_MAX 64 /* so that the largest answer to HAProxy stays below its bound */
#define HEAD_HOPS_WORDS 16

struct head_line {
	struct slice name;  /* 1 byte or more, as it came */
	struct slice value; /* without blanks and tabs at its ends; may be empty */
};

enum head_answer {
	HEAD_LINE,
	HEAD_END, /* of a complete head */
	HEAD_BAD, /* not a head, or only a part of one */
};

/* The next line; takes it off `*rest`, which is the whole head at first. */
enum head_answer head_next(struct slice *rest, struct head_line *ret);

/* Does a list of words, separated by commas, have one that begins with `prefix`? In any case of letters. */
bool head_list_has_prefix(struct slice list, struct slice prefix);
/*
 * The headers that `connection` names and the head has: they are for this hop only (RFC 9110, section
 * 7.6.1). Writes them as HAProxy's del-headers-bin reads them: a byte with the length before each name, and
 * 0 at the end; nothing if there are none. False: more than HEAD_HOPS_WORDS names, or too long ones.
 */
bool head_hops(struct slice head, char out[HEAD_HOPS_MAX], size_t *ret_n);
/* 1 to HEAD_LABEL_MAX letters, digits, '.', '_' and '-': a client's own id of a request. */
bool head_is_label(struct slice value);

#endif
