#include "agent/keeper/rendered_words.h"

#include <ctype.h>
#include <string.h>

/* HAProxy expands it to the system's CA certificates, see `presetenv`. */
#define CA_VARIABLE "${SPOA_RELAY_CA}"
#define SECRET_FETCH "env(SPOA_RELAY_SECRET)"

bool rendered_is_among(const char *text, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(text, *list) == 0)
			return true;
	}
	return false;
}

bool rendered_is_action(const char *text)
{
	static const char *const actions[] = {"accept", "add-header", "allow", "capture", "close",
		"del-header", "del-headers-bin", "deny", "disable-l7-retry", "inspect-delay",
		"pause", "redirect", "reject", "replace-header", "replace-path", "replace-pathq",
		"replace-uri", "replace-value", "return", "sc-inc-gpc", "sc-inc-gpc0",
		"sc-inc-gpc1", "sc-set-gpt0", "send-spoe-group", "set-bc-mark", "set-bc-tos",
		"set-dst", "set-dst-port", "set-fc-mark", "set-fc-tos", "set-header",
		"set-log-level", "set-mark", "set-method", "set-path", "set-pathq",
		"set-priority-class", "set-query", "set-retries", "set-src", "set-src-port",
		"set-status", "set-timeout", "set-tos", "set-uri", "set-var", "set-var-fmt",
		"silent-drop", "track-sc0", "track-sc1", "track-sc2", "unset-var", "use-service",
		"wait-for-body", NULL};

	return rendered_is_among(text, actions);
}

/* --- splitting --- */

struct split {
	struct slice rest;
	char *out;
	char quote; /* ' or " while inside, else 0 */
	bool in_word;
};

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* After a backslash. HAProxy keeps that before a letter without a meaning; without it less can hide. */
static char take_escape(struct split *s)
{
	char c = s->rest.p[0];

	s->rest = slice_skip(s->rest, 1);
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		break;
	}
	if (c != 'x' || s->rest.n < 2 || hex_digit(s->rest.p[0]) < 0 || hex_digit(s->rest.p[1]) < 0)
		return c;
	int value = hex_digit(s->rest.p[0]) * 16 + hex_digit(s->rest.p[1]);
	s->rest = slice_skip(s->rest, 2);
	return value ? (char)value : ' ';
}

static const char *end_word(struct split *s)
{
	if (s->in_word)
		*s->out++ = '\0';
	s->in_word = false;
	return NULL;
}

static const char *put(struct rendered_words *w, struct split *s, const char *c)
{
	if (!s->in_word) {
		if (w->count == RENDERED_WORDS_MAX)
			return "too many words";
		w->items[w->count++] = s->out;
		s->in_word = true;
	}
	if (c)
		*s->out++ = *c;
	return NULL;
}

static const char *take_variable(struct rendered_words *w, struct split *s)
{
	struct slice name = SLICE_LITERAL(CA_VARIABLE);
	const char *error = NULL;

	/* the character `$` is taken already */
	if (s->quote != '"' || !slice_has_prefix(s->rest, slice_skip(name, 1)))
		return "$";
	for (size_t i = 0; !error && i < name.n; i++)
		error = put(w, s, &name.p[i]);
	s->rest = slice_skip(s->rest, name.n - 1);
	return error;
}

static const char *take_character(struct rendered_words *w, struct split *s)
{
	char c = s->rest.p[0];

	s->rest = slice_skip(s->rest, 1);
	if (c != '\t' && (c < ' ' || c > '~'))
		return "a byte that is not printable ASCII";
	if (s->quote && c == s->quote) {
		s->quote = 0;
		return NULL;
	}
	if (s->quote == '\'')
		return put(w, s, &c);
	if (c == '$')
		return take_variable(w, s);
	if (c == '\\' && s->rest.n) {
		c = take_escape(s);
		return put(w, s, &c);
	}
	if (s->quote)
		return put(w, s, &c);
	if (c == '\'' || c == '"') {
		s->quote = c;
		return put(w, s, NULL);
	}
	if (c == '#')
		s->rest.n = 0;
	return c == ' ' || c == '\t' || c == '#' ? end_word(s) : put(w, s, &c);
}

const char *rendered_words_split(struct rendered_words *w, struct slice line)
{
	struct split s = {.rest = line, .out = w->text};
	const char *error = NULL;

	w->count = 0;
	/* each word ends with a NUL, in place of the blank after it */
	if (line.n >= RENDERED_LINE_MAX)
		return "too long a line";
	while (!error && s.rest.n)
		error = take_character(w, &s);
	if (!error && s.quote)
		error = "a quote without an end";
	end_word(&s);
	return error;
}

/* --- forbidden words --- */

static bool is_identifier(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

/* A fetch, a converter or an action that loads a file or runs Lua. `at` is the start of an identifier. */
static bool is_function(const char *at)
{
	static const char *const files[] = {"map", "jwt_verify", "jwt_decrypt", NULL};
	size_t n = strspn(at, RENDERED_NAME_CHARACTERS);

	if (strncmp(at, "lua.", 4) == 0)
		return true;
	if (at[n] != '(')
		return false;
	if (n == 3 && strncmp(at, "env", 3) == 0)
		return strncmp(at, SECRET_FETCH, strlen(SECRET_FETCH)) != 0;
	for (const char *const *f = files; *f; f++) {
		if (strncmp(at, *f, strlen(*f)) == 0)
			return true;
	}
	return false;
}

static bool has_function(const char *text)
{
	for (const char *c = text; *c; c++) {
		if ((c == text || !is_identifier(c[-1])) && is_function(c))
			return true;
	}
	return false;
}

const char *rendered_words_forbidden(const struct rendered_words *w)
{
	static const char *const words[] = {"-f", "-M", "ca-sign-file", "ca-verify-file",
		"crl-file", "crt-list", "errorfile", "errorfiles", "external-check", "file",
		"lf-file", "namespace", "tls-ticket-keys", "usesrc", NULL};

	for (size_t i = 0; i < w->count; i++) {
		if (rendered_is_among(w->items[i], words) || has_function(w->items[i]))
			return w->items[i];
	}
	return NULL;
}
