#include "admin/upkeep/refresh_fields.h"

#include "admin/upkeep/refresh_body.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	char *at;
	char *end;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && is_blank(*c->at))
		c->at++;
}

/* --- texts --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits; -1 = none, and nothing is consumed. */
static int32_t take_unit(struct cursor *c)
{
	int32_t unit = 0;

	if (c->end - c->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(c->at[i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	c->at += 4;
	return unit;
}

/* Never longer than the escape that it replaces. */
static char *put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xe0 | code >> 12);
		} else {
			*to++ = (char)(0xf0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (code & 0x3f));
	return to;
}

static bool take_unicode(struct cursor *c, char **to)
{
	int32_t high = take_unit(c);
	int32_t low = -1;

	if (high < 0 || (high >= 0xdc00 && high < 0xe000))
		return false;
	if (high < 0xd800 || high >= 0xe000) {
		*to = put_utf8(*to, (uint32_t)high);
		return true;
	}
	if (c->end - c->at >= 6 && c->at[0] == '\\' && c->at[1] == 'u') {
		c->at += 2;
		low = take_unit(c);
	}
	if (low < 0xdc00 || low >= 0xe000)
		return false;
	*to = put_utf8(
		*to, 0x10000u + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
	return true;
}

/* At a backslash. False: the escape is invalid. */
static bool take_escape(struct cursor *c, char **to)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";

	c->at++;
	if (c->at == c->end)
		return false;
	char name = *c->at++;
	if (name == 'u')
		return take_unicode(c, to);
	const char *known = name ? strchr(names, name) : NULL;
	if (known)
		*(*to)++ = values[known - names];
	return known != NULL;
}

/* At a quote. False: the text ends first. */
static bool take_text(struct cursor *c, struct refresh_field *f)
{
	char *start = ++c->at;
	char *to = start;

	f->kind = REFRESH_FIELD_TEXT;
	while (c->at < c->end && *c->at != '"') {
		if (*c->at != '\\')
			*to++ = *c->at++;
		else if (!take_escape(c, &to))
			f->kind = REFRESH_FIELD_BROKEN;
	}
	f->value = (struct slice){start, (size_t)(to - start)};
	if (c->at == c->end)
		return false;
	c->at++;
	return true;
}

/* --- other values --- */

static void skip_text(struct cursor *c)
{
	for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
		if (*c->at == '\\' && c->at + 1 < c->end)
			c->at++;
}

/* At a bracket. A counter is enough: a wrong kind of bracket at the end does no harm. */
static bool take_nested(struct cursor *c, struct refresh_field *f)
{
	const char *start = c->at;
	size_t depth = 0;

	f->kind = REFRESH_FIELD_NESTED;
	for (; c->at < c->end; c->at++) {
		if (*c->at == '"')
			skip_text(c);
		if (c->at >= c->end)
			break;
		depth += *c->at == '{' || *c->at == '[';
		if ((*c->at == '}' || *c->at == ']') && --depth == 0) {
			c->at++;
			f->value = (struct slice){start, (size_t)(c->at - start)};
			return true;
		}
	}
	return false;
}

static void skip_to_separator(struct cursor *c)
{
	while (c->at < c->end && *c->at != ',' && *c->at != '}')
		c->at++;
}

static bool take_plain(struct cursor *c, struct refresh_field *f)
{
	const char *start = c->at;

	f->kind = REFRESH_FIELD_PLAIN;
	skip_to_separator(c);
	f->value = slice_trim((struct slice){start, (size_t)(c->at - start)});
	return c->at < c->end;
}

static bool take_value(struct cursor *c, struct refresh_field *f)
{
	if (c->at == c->end)
		return false;
	if (*c->at == '"')
		return take_text(c, f);
	if (*c->at == '{' || *c->at == '[')
		return take_nested(c, f);
	return take_plain(c, f);
}

/* --- members --- */

/* 1: there is a member; 0: none here; -1: the text ends first. */
static int take_member(struct cursor *c, struct refresh_field *f)
{
	if (*c->at != '"')
		return 0;
	if (!take_text(c, f))
		return -1;
	f->name = f->value;
	skip_blanks(c);
	if (c->at == c->end)
		return -1;
	if (*c->at != ':')
		return 0;
	c->at++;
	skip_blanks(c);
	return take_value(c, f) ? 1 : -1;
}

enum refresh_fields_end refresh_fields_read(
	char *text, size_t n, refresh_field_fn *fn, void *context)
{
	size_t lead = n < REFRESH_BODY_LEAD ? n : REFRESH_BODY_LEAD;
	char *open = n && *text != '<' ? memchr(text, '{', lead) : NULL;

	if (!open)
		return REFRESH_FIELDS_NONE;
	struct cursor c = {open + 1, text + n};
	while (skip_blanks(&c), c.at < c.end && *c.at != '}') {
		struct refresh_field f = {0};
		int found = *c.at == ',' ? 0 : take_member(&c, &f);
		if (found < 0)
			return REFRESH_FIELDS_CUT;
		if (found)
			fn(context, &f);
		skip_to_separator(&c);
		if (c.at < c.end && *c.at == ',')
			c.at++;
	}
	return c.at < c.end ? REFRESH_FIELDS_WHOLE : REFRESH_FIELDS_CUT;
}
