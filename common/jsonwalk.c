#include "common/jsonwalk.h"

#include <stdint.h>

#define HEX_DIGITS 4
#define REPLACEMENT 0xfffd /* half of a surrogate pair says nothing */

static void advance(struct slice *rest, size_t n)
{
	rest->p += n;
	rest->n -= n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The first character of what follows; 0 at the end of the text. */
static char look(struct slice *rest)
{
	while (rest->n && is_blank(*rest->p))
		advance(rest, 1);
	return rest->n ? *rest->p : '\0';
}

static bool give_up(struct slice *rest)
{
	rest->n = 0;
	return false;
}

static bool enter(struct slice *rest, char bracket)
{
	if (look(rest) != bracket)
		return false;
	advance(rest, 1);
	return true;
}

bool jsonwalk_enter_object(struct slice *rest)
{
	return enter(rest, '{');
}

bool jsonwalk_enter_array(struct slice *rest)
{
	return enter(rest, '[');
}

static bool has_next(struct slice *rest, char bracket)
{
	char c = look(rest);

	if (c == ',') {
		advance(rest, 1);
		c = look(rest);
	}
	if (c == '\0')
		return give_up(rest);
	if (c != bracket)
		return true;
	advance(rest, 1);
	return false;
}

bool jsonwalk_next_member(struct slice *rest, struct slice *ret_name)
{
	bool whole;

	if (!has_next(rest, '}'))
		return false;
	if (!jsonwalk_string(rest, ret_name, &whole) || !whole || look(rest) != ':')
		return give_up(rest);
	advance(rest, 1);
	return look(rest) != '\0';
}

bool jsonwalk_next_item(struct slice *rest)
{
	return has_next(rest, ']');
}

/* --- values --- */

/* An odd number of backslashes before a quote makes it a part of the string. */
static bool is_escaped(const char *begin, const char *quote)
{
	const char *p = quote;

	while (p > begin && p[-1] == '\\')
		p--;
	return (quote - p) % 2;
}

/* The quote that ends the string whose text begins at `begin`; NULL if the text was cut before it. */
static const char *end_of_string(const char *begin, const char *end)
{
	const char *p = begin;

	while ((p = memchr(p, '"', (size_t)(end - p)))) {
		if (!is_escaped(begin, p))
			return p;
		p++;
	}
	return NULL;
}

bool jsonwalk_string(struct slice *rest, struct slice *ret_raw, bool *ret_whole)
{
	if (look(rest) != '"')
		return false;
	advance(rest, 1);
	const char *quote = end_of_string(rest->p, rest->p + rest->n);
	*ret_whole = quote != NULL;
	*ret_raw = (struct slice){rest->p, quote ? (size_t)(quote - rest->p) : rest->n};
	advance(rest, ret_raw->n + *ret_whole);
	return true;
}

void jsonwalk_leave(struct slice *rest)
{
	size_t depth = 1;
	const char *p = rest->p;
	const char *end = p + rest->n;

	while (depth && p && p < end) {
		switch (*p++) {
		case '"':
			p = end_of_string(p, end);
			p = p ? p + 1 : NULL;
			break;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		default:
			break;
		}
	}
	advance(rest, p ? (size_t)(p - rest->p) : rest->n);
}

/* Where a number or a word ends. */
static bool is_mark(char c)
{
	return c == ',' || c == '"' || c == '[' || c == ']' || c == '{' || c == '}';
}

static void skip_scalar(struct slice *rest)
{
	const char *p = rest->p;
	const char *end = p + rest->n;

	while (p < end && !is_mark(*p))
		p++;
	if (p == rest->p)
		give_up(rest);
	else
		advance(rest, (size_t)(p - rest->p));
}

void jsonwalk_skip(struct slice *rest)
{
	struct slice raw;
	bool whole;

	if (jsonwalk_enter_object(rest) || jsonwalk_enter_array(rest))
		jsonwalk_leave(rest);
	else if (!jsonwalk_string(rest, &raw, &whole))
		skip_scalar(rest);
}

/* --- text --- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind a backslash and `u`. */
static bool read_unit(struct slice raw, uint32_t *ret)
{
	uint32_t unit = 0;

	if (raw.n < 2 + HEX_DIGITS || raw.p[0] != '\\' || raw.p[1] != 'u')
		return false;
	for (int i = 0; i < HEX_DIGITS; i++) {
		int digit = hex_value(raw.p[2 + i]);
		if (digit < 0)
			return false;
		unit = unit << 4 | (uint32_t)digit;
	}
	*ret = unit;
	return true;
}

static bool is_high(uint32_t unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(uint32_t unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

/* The character of one or two `\u` escapes. */
static bool read_character(struct slice *raw, uint32_t *ret)
{
	uint32_t unit;
	uint32_t low;

	if (!read_unit(*raw, &unit))
		return false;
	advance(raw, 2 + HEX_DIGITS);
	*ret = unit;
	if (is_high(unit) && read_unit(*raw, &low) && is_low(low)) {
		advance(raw, 2 + HEX_DIGITS);
		*ret = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
	} else if (is_high(unit) || is_low(unit))
		*ret = REPLACEMENT;
	return true;
}

static size_t write_utf8(uint32_t c, char out[JSONWALK_PIECE_SIZE])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(marks[n] | c);
	return n;
}

static char unescape(char c)
{
	static const char names[] = "bfnrt";
	static const char meanings[] = "\b\f\n\r\t";
	const char *at = c ? strchr(names, c) : NULL;

	return at ? meanings[at - names] : c;
}

bool jsonwalk_piece(struct slice *raw, char scratch[JSONWALK_PIECE_SIZE], struct slice *ret_piece)
{
	const char *escape = raw->n ? memchr(raw->p, '\\', raw->n) : NULL;
	size_t plain = escape ? (size_t)(escape - raw->p) : raw->n;
	uint32_t character;

	if (plain) {
		*ret_piece = slice_cut(*raw, plain);
		advance(raw, plain);
		return true;
	}
	if (raw->n < 2)
		return give_up(raw);
	if (read_character(raw, &character)) {
		*ret_piece = (struct slice){scratch, write_utf8(character, scratch)};
		return true;
	}
	scratch[0] = unescape(raw->p[1]);
	*ret_piece = (struct slice){scratch, 1};
	advance(raw, 2);
	return true;
}

bool jsonwalk_says(struct slice raw, const char *text)
{
	struct slice wanted = slice_from_str(text);
	char scratch[JSONWALK_PIECE_SIZE];
	struct slice piece;

	while (jsonwalk_piece(&raw, scratch, &piece)) {
		if (!slice_has_prefix(wanted, piece))
			return false;
		wanted = slice_skip(wanted, piece.n);
	}
	return wanted.n == 0;
}
