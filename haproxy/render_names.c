#include "haproxy/render_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A longer expression goes on in the next rule: HAProxy's lines have a limit. */
#define TERMS_MAX 1200

static char lower(char c)
{
	return (char)tolower((unsigned char)c);
}

bool render_list_has(struct render_list list, const char *name)
{
	for (size_t i = 0; i < list.count; i++) {
		if (strcasecmp(list.p[i], name) == 0)
			return true;
	}
	return false;
}

/* Names have letters, digits, `-`, `_` and `.`. */
static void append_literal(struct buffer *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = lower(text[i]);
		if (c == '.')
			buffer_append_str(b, "[.]");
		else
			buffer_append(b, &c, 1);
	}
}

static int compare(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Behind the last name that continues as the first one does, at this depth. */
static size_t end_of_group(const char *const *names, size_t count, size_t depth)
{
	size_t end = 1;

	while (end < count && lower(names[end][depth]) == lower(names[0][depth]))
		end++;
	return end;
}

/* One character that no name has next; a dash is a range unless it is the last. */
static void append_other_characters(
	struct buffer *b, const char *const *names, size_t count, size_t depth)
{
	bool dash = false;

	buffer_append_str(b, "[^");
	for (size_t i = 0; i < count; i += end_of_group(names + i, count - i, depth)) {
		char c = lower(names[i][depth]);
		if (c == '-')
			dash = true;
		else
			buffer_append(b, &c, 1);
	}
	buffer_append_str(b, dash ? "-].*" : "].*");
}

/*
 * Every rest but those of the sorted names, which are alike up to `depth`. No name is longer than
 * SEAM_HEADER_NAME_MAX, which bounds the recursion.
 */
static void append_other_rests(
	struct buffer *b, const char *const *names, size_t count, size_t depth)
{
	bool is_name = !names[0][depth]; /* the shortest is the first */

	if (is_name) {
		names++;
		count--;
	}
	if (count == 0) {
		buffer_append_str(b, ".+");
		return;
	}
	buffer_append_str(b, "(");
	append_other_characters(b, names, count, depth);
	for (size_t i = 0; i < count;) {
		size_t n = end_of_group(names + i, count - i, depth);
		buffer_append_str(b, "|");
		append_literal(b, &names[i][depth], 1);
		append_other_rests(b, names + i, n, depth + 1);
		i += n;
	}
	buffer_append_str(b, is_name ? ")" : ")?");
}

static bool is_known(const char *const *names, size_t count, const char *name)
{
	return render_list_has((struct render_list){names, count}, name);
}

/* All names with the prefix, except the exceptions. */
static void append_prefix(
	struct buffer *b, const char *prefix, size_t len, struct render_list allow)
{
	const char *names[RENDER_EXCEPTIONS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < allow.count; i++) {
		const char *name = allow.p[i];
		if (strlen(name) <= len || strncasecmp(name, prefix, len) != 0 ||
			is_known(names, count, name))
			continue;
		if (count == RENDER_EXCEPTIONS_MAX) {
			b->error = -E2BIG;
			return;
		}
		names[count++] = name;
	}
	append_literal(b, prefix, len);
	if (count == 0) {
		buffer_append_str(b, ".*");
		return;
	}
	qsort(names, count, sizeof(names[0]), compare);
	append_other_rests(b, names, count, len);
}

static bool has_term(const struct render_names *n, const char *term)
{
	size_t len = strlen(term);
	const char *all = buffer_str(&n->terms);

	for (const char *at = all; (at = strstr(at, term)); at++) {
		if ((at == all || at[-1] == '|') && (!at[len] || at[len] == '|'))
			return true;
	}
	return false;
}

void render_names_add(struct render_names *n, const char *name)
{
	size_t len = strlen(name);
	struct buffer term = {0};

	if (name[0] == '*') {
		buffer_append_str(&term, ".+");
		append_literal(&term, name + 1, len - 1);
	} else if (name[len - 1] == '*') {
		append_prefix(&term, name, len - 1, n->allow);
	} else {
		append_literal(&term, name, len);
	}
	if (!has_term(n, buffer_str(&term))) {
		if (n->terms.len + term.len > TERMS_MAX)
			render_names_end(n);
		if (n->terms.len)
			buffer_append_str(&n->terms, "|");
		buffer_append_slice(&n->terms, buffer_slice(&term));
	}
	if (buffer_error(&term))
		n->out->error = buffer_error(&term);
	buffer_fini(&term);
}

void render_names_end(struct render_names *n)
{
	if (n->terms.len)
		buffer_printf(n->out, "\t%s del-header '^(%s)$' -m reg\n", n->direction,
			buffer_str(&n->terms));
	if (buffer_error(&n->terms))
		n->out->error = buffer_error(&n->terms);
	buffer_fini(&n->terms);
}
