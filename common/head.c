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

/* --- headers for this hop --- */

/* What HAProxy acts on itself, or needs to send the request on. */
static bool is_handled(struct slice word)
{
	static const struct slice words[] = {{"close", 5}, {"keep-alive", 10}, {"upgrade", 7},
		{"te", 2}, {"http2-settings", 14}, {"host", 4}, {"content-length", 14},
		{"transfer-encoding", 17}, {"connection", 10}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (slice_eq_nocase(word, words[i]))
			return true;
	}
	return word.n == 0;
}

static bool has_line(struct slice head, struct slice name, struct slice *ret_name)
{
	struct head_line line;

	while (head_next(&head, &line) == HEAD_LINE) {
		*ret_name = line.name;
		if (slice_eq_nocase(line.name, name))
			return true;
	}
	return false;
}

struct hops {
	struct slice head;
	char *out;
	size_t n;
	unsigned words;
};

static bool add_hops(struct hops *h, struct slice list)
{
	struct slice word;
	struct slice name;

	while (slice_next(&list, ',', &word)) {
		word = trim(word);
		if (is_handled(word))
			continue;
		if (++h->words > HEAD_HOPS_WORDS)
			return false;
		if (!has_line(h->head, word, &name))
			continue;
		if (name.n > HEAD_HOPS_MAX || h->n + 1 + name.n + 1 > HEAD_HOPS_MAX)
			return false;
		h->out[h->n++] = (char)name.n;
		memcpy(h->out + h->n, name.p, name.n);
		h->n += name.n;
	}
	return true;
}

bool head_hops(struct slice head, char out[HEAD_HOPS_MAX], size_t *ret_n)
{
	struct hops h = {.head = head, .out = out};
	struct slice rest = head;
	struct head_line line;

	while (head_next(&rest, &line) == HEAD_LINE) {
		if (slice_eq_str(line.name, "connection") && !add_hops(&h, line.value))
			return false;
	}
	if (h.n)
		out[h.n++] = '\0';
	*ret_n = h.n;
	return true;
}

/* --- labels --- */

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
