#include "common/kinds.h"

#include "common/head.h"
#include "common/seam.h"

/* The next name; takes it off. Empty at the end. */
static struct slice next_name(struct slice *hops)
{
	size_t n = hops->n ? (unsigned char)hops->p[0] : 0;
	struct slice name = slice_cut(slice_skip(*hops, 1), n);

	*hops = slice_skip(*hops, 1 + n);
	return name;
}

static bool is_named(struct slice hops, struct slice name)
{
	struct slice other;

	while ((other = next_name(&hops)).n) {
		if (slice_eq_nocase(other, name))
			return true;
	}
	return false;
}

/* 0 beyond the name. */
static char at_place(struct slice name, size_t place)
{
	return place < name.n ? name.p[name.n - 1 - place] : '\0';
}

static bool no_other_has(struct slice head, struct slice hops, size_t place, char c)
{
	struct head_line line;

	while (head_next(&head, &line) == HEAD_LINE) {
		if (at_place(line.name, place) == c && !is_named(hops, line.name))
			return false;
	}
	return true;
}

/* The place of a kind of this header that no other has; SEAM_KIND_PLACES if there is none. */
static size_t find_place(struct slice head, struct slice hops, struct slice name)
{
	for (size_t place = 0; place < SEAM_KIND_PLACES; place++) {
		char c = at_place(name, place);
		if (c && strchr(SEAM_KIND_CHARACTERS, c) && no_other_has(head, hops, place, c))
			return place;
	}
	return SEAM_KIND_PLACES;
}

bool kinds_find(struct slice head, struct slice hops, char *out, size_t size)
{
	struct slice rest = hops;
	struct slice name;
	size_t n = 0;

	out[n++] = ';';
	while ((name = next_name(&rest)).n) {
		size_t place = find_place(head, hops, name);
		if (place == SEAM_KIND_PLACES || size - n < SEAM_KIND_LEN + 1)
			return false;
		out[n++] = at_place(name, place);
		out[n++] = (char)('0' + place);
		out[n++] = ';';
	}
	out[n] = '\0';
	return true;
}
