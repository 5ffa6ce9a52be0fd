#include "common/target.h"

#include "common/relaykey.h"

/* --- encodings --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one layer of percent-encoding off; `out` may be the text itself. Returns the length. */
static size_t decode(struct slice in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		bool encoded = in.p[i] == '%' && in.n - i > 2 && digit(in.p[i + 1]) >= 0 &&
			digit(in.p[i + 2]) >= 0;
		char c = in.p[i];
		if (encoded) {
			c = (char)(digit(in.p[i + 1]) << 4 | digit(in.p[i + 2]));
			i += 2;
		}
		out[n++] = c;
	}
	return n;
}

typedef bool find_fn(struct slice text);

static bool find_in_all_spellings(find_fn *find, struct slice text)
{
	char decoded[TARGET_MAX];

	if (text.n > sizeof(decoded) || find(text))
		return true;
	for (int i = 0; i < TARGET_ENCODINGS && text.n && memchr(text.p, '%', text.n); i++) {
		text = (struct slice){decoded, decode(text, decoded)};
		if (find(text))
			return true;
	}
	return false;
}

/* --- segments --- */

/*
 * The length of a `.`, `/` or `\` in UTF-8 of two or three bytes, which no encoder writes and careless
 * decoders accept; `*ret` is the ASCII character. 1 for any other byte.
 */
static size_t read_char(struct slice text, char *ret)
{
	const unsigned char *p = (const unsigned char *)text.p;

	*ret = text.p[0];
	if (text.n >= 2 && (p[0] & 0xfe) == 0xc0 && (p[1] & 0xc0) == 0x80) {
		*ret = (char)((p[0] & 1) << 6 | (p[1] & 0x3f));
		return 2;
	}
	if (text.n >= 3 && p[0] == 0xe0 && (p[1] & 0xfe) == 0x80 && (p[2] & 0xc0) == 0x80) {
		*ret = (char)((p[1] & 1) << 6 | (p[2] & 0x3f));
		return 3;
	}
	return 1;
}

static bool is_separator(char c)
{
	return c == '/' || c == '\\';
}

static bool has_parent(struct slice path)
{
	int dots = 0; /* of a segment that consists of dots so far; -1 = of another one */
	char c;

	while (path.n) {
		path = slice_skip(path, read_char(path, &c));
		if (dots == 2 && (is_separator(c) || c == ';' || c == '\0'))
			return true;
		if (is_separator(c))
			dots = 0;
		else if (c != '.' || dots < 0)
			dots = -1;
		else
			dots++;
	}
	return dots == 2;
}

bool target_has_parent(struct slice path)
{
	return find_in_all_spellings(has_parent, path);
}

/* --- texts to compare --- */

/*
 * Appends the segments to `out`, each behind a slash, in small letters. Empty ones, those that are one dot, and
 * what follows a semicolon or a NUL in a segment are left out. The text never gets longer, but for its first slash.
 */
static size_t canonize(struct slice path, char *out, size_t at)
{
	bool is_cut = false;
	size_t slash = at;
	char c;

	out[at++] = '/';
	while (path.n) {
		path = slice_skip(path, read_char(path, &c));
		is_cut = !is_separator(c) && (is_cut || c == ';' || c == '\0');
		if (!is_separator(c)) {
			if (!is_cut)
				out[at++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
			continue;
		}
		if (at == slash + 1 || (at == slash + 2 && out[slash + 1] == '.')) {
			at = slash + 1;
			continue;
		}
		slash = at;
		out[at++] = '/';
	}
	return at == slash + 1 || (at == slash + 2 && out[slash + 1] == '.') ? slash : at;
}

void target_each_spelling(struct slice base, struct slice path, target_each_fn *each, void *context)
{
	char decoded[TARGET_MAX], text[2 * TARGET_MAX + 2];
	size_t start = canonize(slice_cut(base, TARGET_MAX), text, 0);

	path = slice_cut(path, TARGET_MAX);
	each(context, (struct slice){text, canonize(path, text, start)}, start);
	for (int i = 0; i < TARGET_ENCODINGS && path.n && memchr(path.p, '%', path.n); i++) {
		path = (struct slice){decoded, decode(path, decoded)};
		each(context, (struct slice){text, canonize(path, text, start)}, start);
	}
}

/* --- keys --- */

static bool has_key(struct slice text)
{
	struct slice key;

	return relaykey_find(text, &key);
}

bool target_has_key(struct slice text)
{
	return find_in_all_spellings(has_key, text);
}
