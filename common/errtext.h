/*
 * An error message for people, made where the facts are and shown where the user is. Functions that
 * can fail for reasons a person must read take a `struct errtext *` last and fill it only on failure.
 */
#ifndef RELAY_COMMON_ERRTEXT_H
#define RELAY_COMMON_ERRTEXT_H

#define ERRTEXT_SIZE 512

struct errtext {
	char text[ERRTEXT_SIZE]; /* one sentence without a full stop; cut at the size */
};

/* Fills `e` (may be NULL) and returns `code`, so that `return errtext_set(e, -EINVAL, ...)` reads well. */
int errtext_set(struct errtext *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before what is there. Returns `code`. */
int errtext_prefix(struct errtext *e, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
