#include "common/head.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice trim(struct slice a)
{
	while (a.n && is_blank(a.p[0])) {
		a.p++;
		a.n--;
	}
	while (a.n && is_blank(a.p[a.n - 1]))
		a.n--;
	return a;
}

enum head_answer head_next(struct slice *rest, struct head_line *ret)
{
	const char *p = rest->p;
	const char *end = rest->n ? memchr(p, '\n', rest->n) : NULL;

	if (!end || end == p || end[-1] != '\r')
		return HEAD_BAD;
	size_t n = (size_t)(end - p) - 1;
	struct slice after = slice_skip(*rest, n + 2);
	if (n == 0)
		return after.n == 0 ? HEAD_END : HEAD_BAD;
	const char *colon = memchr(p, ':', n);
	if (!colon || colon == p)
		return HEAD_BAD;
	size_t name = (size_t)(colon - p);
	*ret = (struct head_line){{p, name}, trim((struct slice){colon + 1, n - name - 1})};
	*rest = after;
	return HEAD_LINE;
}

bool head_list_has_prefix(struct slice list, struct slice prefix)
{
	struct slice word;

	while (slice_next(&list, ',', &word)) {
		if (slice_eq_nocase(slice_cut(trim(word), prefix.n), prefix))
			return true;
	}
	return false;
}

static bool is_label_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '.' || c == '_' || c == '-';
}

bool head_is_label(struct slice value)
{
	if (value.n == 0 || value.n > HEAD_LABEL_MAX)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		if (!is_label_byte(value.p[i]))
			return false;
	}
	return true;
}
