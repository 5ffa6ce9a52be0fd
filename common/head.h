/*
 * The head of a request as HAProxy's fetch `req.hdrs` gives it: lines `name: value\r\n` in their order,
 * then an empty line. HAProxy writes names in small letters, trims values, replaces folded lines by
 * blanks and passes bytes above 127 as they are. Nothing is copied; nothing is taken for granted.
 */
#ifndef RELAY_COMMON_HEAD_H
#define RELAY_COMMON_HEAD_H

#include "common/slice.h"

#define HEAD_LABEL_MAX 64

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
/* 1 to HEAD_LABEL_MAX letters, digits, '.', '_' and '-': a client's own id of a request. */
bool head_is_label(struct slice value);

#endif
