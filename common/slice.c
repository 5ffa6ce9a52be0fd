#include "common/slice.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool slice_next(struct slice *rest, char sep, struct slice *ret_field)
{
	if (!rest->p)
		return false;
	const char *end = memchr(rest->p, sep, rest->n);
	if (!end) {
		*ret_field = *rest;
		*rest = (struct slice){NULL, 0};
		return true;
	}
	size_t n = (size_t)(end - rest->p);
	*ret_field = (struct slice){rest->p, n};
	*rest = (struct slice){end + 1, rest->n - n - 1};
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice a)
{
	while (a.n && is_blank(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n && is_blank(a.p[a.n - 1]))
		a.n--;
	return a;
}

bool slice_eq_secret(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	volatile unsigned char diff = 0;
	for (size_t i = 0; i < a.n; i++)
		diff = (unsigned char)(diff | ((unsigned char)a.p[i] ^ (unsigned char)b.p[i]));
	return diff == 0;
}
