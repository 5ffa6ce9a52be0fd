/*
 * An error message for people, made where the facts are known and shown where the user is. Functions
 * with such errors take a `struct errtext *` last and fill it only on failure.
 */
#ifndef RELAY_COMMON_ERRTEXT_H
#define RELAY_COMMON_ERRTEXT_H

#define ERRTEXT_SIZE 512

struct errtext {
	char text[ERRTEXT_SIZE]; /* one sentence without a full stop; cut at the size */
};

/* Fills `e` (may be NULL) and returns `code`, for `return errtext_set(e, -EINVAL, ...)`. */
int errtext_set(struct errtext *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the text. Returns `code`. */
int errtext_prefix(struct errtext *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
