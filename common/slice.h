/* A slice: bytes owned by someone else, with their length. Never NUL-terminated by contract. */
#ifndef RELAY_COMMON_SLICE_H
#define RELAY_COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
	const char *p; /* may be NULL only when n is 0 */
	size_t n;
};

#define SLICE_LITERAL(s) ((struct slice){(s), sizeof(s) - 1})

static inline struct slice slice_from_str(const char *s)
{
	return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *s)
{
	return slice_eq(a, slice_from_str(s));
}

/* ASCII letters only, and NULs are bytes as any other. */
bool slice_eq_nocase(struct slice a, struct slice b);

static inline bool slice_has_prefix(struct slice a, struct slice prefix)
{
	return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

static inline struct slice slice_skip(struct slice a, size_t n)
{
	return n >= a.n ? (struct slice){a.p, 0} : (struct slice){a.p + n, a.n - n};
}

static inline struct slice slice_cut(struct slice a, size_t n)
{
	return (struct slice){a.p, n < a.n ? n : a.n};
}

/* Takes the text before the first `sep` off `*rest`. Returns false if `*rest` was used up. */
bool slice_next(struct slice *rest, char sep, struct slice *ret_field);

struct slice slice_trim(struct slice a);

/* Compares in a time that depends on the lengths alone. */
bool slice_eq_secret(struct slice a, struct slice b);

#endif
