#include "tests/unit/haproxy/difference.h"

#include <stdlib.h>

#define LINES_MAX 8192
#define WIDTH 160    /* characters shown of a line */
#define BEFORE 60    /* of these, before the difference */
#define SHOWN_MAX 20 /* lines shown of one place */

struct lines {
	struct slice at[LINES_MAX];
	size_t count;
	size_t next; /* the first line that was not compared */
};

static struct lines *split(struct slice text)
{
	struct lines *l = calloc(1, sizeof(*l));
	struct slice line;

	if (!l)
		abort();
	while (l->count < LINES_MAX && slice_next(&text, '\n', &line))
		l->at[l->count++] = line;
	return l;
}

/* Are the texts equal again after so many lines of each? */
static bool meets(
	const struct lines *one, size_t skip, const struct lines *other, size_t other_skip)
{
	size_t i = one->next + skip;
	size_t k = other->next + other_skip;

	if (i >= one->count || k >= other->count)
		return i == one->count && k == other->count;
	return slice_eq(one->at[i], other->at[k]);
}

static void find_meeting(
	const struct lines *one, const struct lines *other, size_t *ret_one, size_t *ret_other)
{
	for (size_t sum = 1;; sum++) {
		for (size_t skip = 0; skip <= sum; skip++) {
			if (!meets(one, skip, other, sum - skip))
				continue;
			*ret_one = skip;
			*ret_other = sum - skip;
			return;
		}
	}
}

static size_t common_prefix(struct slice a, struct slice b)
{
	size_t n = 0;

	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	return n;
}

static void append_line(struct buffer *out, char mark, struct slice line, size_t differs_at)
{
	size_t start = line.n > WIDTH && differs_at > BEFORE ? differs_at - BEFORE : 0;
	struct slice part = slice_skip(line, start);

	buffer_printf(out, "%c %s%.*s%s\n", mark, start ? "..." : "",
		(int)(part.n < WIDTH ? part.n : WIDTH), part.p, part.n > WIDTH ? "..." : "");
}

static void append_lines(struct buffer *out, char mark, const struct lines *l, size_t count,
	const struct lines *other, size_t other_count)
{
	size_t shown = count < SHOWN_MAX ? count : SHOWN_MAX;

	for (size_t i = 0; i < shown; i++) {
		struct slice line = l->at[l->next + i];
		size_t differs_at =
			i < other_count ? common_prefix(line, other->at[other->next + i]) : 0;
		append_line(out, mark, line, differs_at);
	}
	if (shown < count)
		buffer_printf(out, "%c (%zu more lines)\n", mark, count - shown);
}

size_t difference(
	const char *name, struct slice one, struct slice other, size_t max, struct buffer *out)
{
	struct lines *a = split(one);
	struct lines *b = split(other);
	size_t places = 0;

	while (a->next < a->count || b->next < b->count) {
		size_t skip = 0;
		size_t other_skip = 0;
		if (!meets(a, 0, b, 0)) {
			find_meeting(a, b, &skip, &other_skip);
			if (places++ < max) {
				buffer_printf(out, "%s:%zu\n", name, a->next + 1);
				append_lines(out, '-', a, skip, b, other_skip);
				append_lines(out, '+', b, other_skip, a, skip);
			}
		}
		a->next += skip + (a->next + skip < a->count);
		b->next += other_skip + (b->next + other_skip < b->count);
	}
	free(a);
	free(b);
	return places;
}
