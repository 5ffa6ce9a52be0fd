#include "agent/keeper/rendered.h"

#include "agent/keeper/rendered_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CA_PREFIX "ca-"
#define CA_SUFFIX ".pem"
#define CA_DIGITS 24

enum section {
	SECTION_NONE,
	SECTION_GLOBAL,
	SECTION_PROXY,
	SECTION_RESOLVERS,
	SECTION_SPOE,
};

struct check {
	const char *name;
	const struct rendered_places *places;
	enum section section;
	size_t line; /* from 1 */
	struct rendered_words words;
	struct errtext *e;
};

static int refuse(struct check *c, const char *word)
{
	return errtext_set(c->e, -EPERM,
		"%s:%zu: \"%.60s\" is not part of a rendered file, so HAProxy must not read it",
		c->name, c->line, word);
}

static const char *word(const struct check *c, size_t i)
{
	return i < c->words.count ? c->words.items[i] : "";
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text);
	size_t m = strlen(suffix);

	return n >= m && strcmp(text + n - m, suffix) == 0;
}

/* --- words with a separate check --- */

/* HAProxy replaces whatever is at the path of a socket that it binds. */
static bool may_bind(const struct check *c, const char *path)
{
	for (size_t i = 0; i < sizeof(c->places->sockets) / sizeof(c->places->sockets[0]); i++) {
		const char *known = c->places->sockets[i];
		if (known && *known && strcmp(path, known) == 0)
			return true;
	}
	return path[0] == '/' && has_suffix(path, ".sock") && !strstr(path, "/../");
}

static int check_bind(struct check *c)
{
	static const char unix_prefix[] = "unix@";
	const char *address = word(c, 1);

	if (has_prefix(address, unix_prefix))
		return may_bind(c, address + strlen(unix_prefix)) ? 0 : refuse(c, address);
	if (has_prefix(address, "abns@"))
		return 0;
	return strpbrk(address, "@/") ? refuse(c, address) : 0;
}

static int check_stats(struct check *c)
{
	static const char *const proxy_words[] = {
		"enable", "uri", "refresh", "hide-version", "show-legends", "show-modules", NULL};

	if (c->section == SECTION_GLOBAL) {
		bool good = strcmp(word(c, 1), "socket") == 0 && may_bind(c, word(c, 2));
		return good ? 0 : refuse(c, word(c, c->words.count > 2 ? 2 : 1));
	}
	return rendered_is_among(word(c, 1), proxy_words) ? 0 : refuse(c, word(c, 1));
}

static int check_filter(struct check *c)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/relay-spoe.conf", c->places->output_dir);
	bool good = n > 0 && (size_t)n < sizeof(path) && strcmp(word(c, 1), "spoe") == 0 &&
		strcmp(word(c, 2), "engine") == 0 && strcmp(word(c, 4), "config") == 0 &&
		strcmp(word(c, 5), path) == 0 && c->words.count == 6;

	return good ? 0 : refuse(c, word(c, c->words.count > 5 ? 5 : 1));
}

static int check_environment(struct check *c)
{
	return has_prefix(word(c, 1), "SPOA_RELAY_") ? 0 : refuse(c, word(c, 1));
}

static int check_variable(struct check *c)
{
	return has_prefix(word(c, 1), "proc.") ? 0 : refuse(c, word(c, 1));
}

static int check_log(struct check *c)
{
	const char *to = word(c, 1);

	return *to == '/' ||
			(strchr(to, '@') && !has_prefix(to, "unix@") && !has_prefix(to, "udp@"))
		? refuse(c, to)
		: 0;
}

static int check_option(struct check *c)
{
	return strcmp(word(c, 1), "external-check") == 0 ? refuse(c, word(c, 1)) : 0;
}

static int check_action(struct check *c)
{
	static const char *const levels[] = {"connection", "content", "session", NULL};
	char base[40];
	bool has_level = has_prefix(word(c, 0), "tcp-") && rendered_is_among(word(c, 1), levels);
	const char *action = word(c, has_level ? 2 : 1);

	snprintf(base, sizeof(base), "%.*s", (int)strcspn(action, "("), action);
	if (!rendered_is_action(base))
		return refuse(c, action);
	if (strcmp(base, "use-service") == 0 && strcmp(word(c, 2), "prometheus-exporter") != 0)
		return refuse(c, word(c, 2));
	return 0;
}

static const struct keyword {
	enum section section;
	const char *word; /* a "*" at the end is any rest */
	int (*check)(struct check *c);
} keywords[] = {
	{SECTION_GLOBAL, "presetenv", check_environment},
	{SECTION_GLOBAL, "set-var", check_variable},
	{SECTION_GLOBAL, "set-var-fmt", check_variable},
	{SECTION_GLOBAL, "setenv", check_environment},
	{SECTION_GLOBAL, "stats", check_stats},
	{SECTION_GLOBAL, "tune.*", NULL},
	{SECTION_RESOLVERS, "accepted_payload_size", NULL},
	{SECTION_RESOLVERS, "hold", NULL},
	{SECTION_RESOLVERS, "nameserver", NULL},
	{SECTION_RESOLVERS, "parse-resolv-conf", NULL},
	{SECTION_RESOLVERS, "resolve_retries", NULL},
	{SECTION_RESOLVERS, "timeout", NULL},
	{SECTION_PROXY, "acl", NULL},
	{SECTION_PROXY, "backlog", NULL},
	{SECTION_PROXY, "balance", NULL},
	{SECTION_PROXY, "bind", check_bind},
	{SECTION_PROXY, "clitcpka-*", NULL},
	{SECTION_PROXY, "default-server", NULL},
	{SECTION_PROXY, "default_backend", NULL},
	{SECTION_PROXY, "filter", check_filter},
	{SECTION_PROXY, "force-persist", NULL},
	{SECTION_PROXY, "fullconn", NULL},
	{SECTION_PROXY, "http-after-response", check_action},
	{SECTION_PROXY, "http-error", NULL},
	{SECTION_PROXY, "http-request", check_action},
	{SECTION_PROXY, "http-response", check_action},
	{SECTION_PROXY, "http-reuse", NULL},
	{SECTION_PROXY, "log", check_log},
	{SECTION_PROXY, "log-format", NULL},
	{SECTION_PROXY, "maxconn", NULL},
	{SECTION_PROXY, "mode", NULL},
	{SECTION_PROXY, "no", NULL},
	{SECTION_PROXY, "option", check_option},
	{SECTION_PROXY, "retries", NULL},
	{SECTION_PROXY, "retry-on", NULL},
	{SECTION_PROXY, "server", NULL},
	{SECTION_PROXY, "srvtcpka-*", NULL},
	{SECTION_PROXY, "stats", check_stats},
	{SECTION_PROXY, "stick-table", NULL},
	{SECTION_PROXY, "tcp-request", check_action},
	{SECTION_PROXY, "tcp-response", check_action},
	{SECTION_PROXY, "timeout", NULL},
	{SECTION_PROXY, "unique-id-format", NULL},
	{SECTION_PROXY, "use-server", NULL},
	{SECTION_PROXY, "use_backend", NULL},
	{SECTION_SPOE, "args", NULL},
	{SECTION_SPOE, "event", NULL},
	{SECTION_SPOE, "groups", NULL},
	{SECTION_SPOE, "max-frame-size", NULL},
	{SECTION_SPOE, "messages", NULL},
	{SECTION_SPOE, "no", NULL},
	{SECTION_SPOE, "option", NULL},
	{SECTION_SPOE, "spoe-agent", NULL},
	{SECTION_SPOE, "spoe-group", NULL},
	{SECTION_SPOE, "spoe-message", NULL},
	{SECTION_SPOE, "timeout", NULL},
	{SECTION_SPOE, "use-backend", NULL},
};

/* --- lines --- */

static bool is_name(const char *text)
{
	return *text && strspn(text, RENDERED_NAME_CHARACTERS) == strlen(text);
}

static const struct {
	const char *word;
	enum section section;
	const char *prefix; /* of its name; NULL = it has none */
} sections[] = {
	{"global", SECTION_GLOBAL, NULL},
	{"defaults", SECTION_PROXY, "relay-"},
	{"frontend", SECTION_PROXY, "relay-"},
	{"backend", SECTION_PROXY, ""},
	{"listen", SECTION_PROXY, "relay-"},
	{"resolvers", SECTION_RESOLVERS, "relay-"},
};

static int open_section(struct check *c, size_t i)
{
	const char *name = word(c, 1);
	size_t expected = sections[i].prefix ? 2 : 1;

	if (sections[i].prefix && (!is_name(name) || !has_prefix(name, sections[i].prefix)))
		return refuse(c, *name ? name : word(c, 0));
	if (expected == 2 && strcmp(word(c, 2), "from") == 0 && is_name(word(c, 3)))
		expected = 4;
	if (c->words.count != expected)
		return refuse(c, word(c, c->words.count - 1));
	c->section = sections[i].section;
	return 0;
}

static bool is_keyword(const struct keyword *k, const struct check *c)
{
	size_t n = strlen(k->word);

	if (k->section != c->section)
		return false;
	if (k->word[n - 1] == '*')
		return strncmp(word(c, 0), k->word, n - 1) == 0;
	return strcmp(word(c, 0), k->word) == 0;
}

static int check_keyword(struct check *c)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (is_keyword(&keywords[i], c))
			return keywords[i].check ? keywords[i].check(c) : 0;
	}
	return refuse(c, word(c, 0));
}

static int check_directive(struct check *c)
{
	static const char *const directives[] = {".if", ".elif", ".else", ".endif", NULL};

	return rendered_is_among(word(c, 0), directives) ? 0 : refuse(c, word(c, 0));
}

/* HAProxy knows a section by its word, indented or not. */
static int check_cfg_line(struct check *c)
{
	if (word(c, 0)[0] == '.')
		return check_directive(c);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (strcmp(word(c, 0), sections[i].word) == 0)
			return open_section(c, i);
	}
	return check_keyword(c);
}

/* A scope is `[NAME]`; the file belongs to HAProxy's SPOE filter and knows no other sections. */
static int check_spoe_line(struct check *c)
{
	c->section = SECTION_SPOE;
	return word(c, 0)[0] == '[' && c->words.count == 1 ? 0 : check_keyword(c);
}

static int check_line(struct check *c, struct slice line, bool is_cfg)
{
	const char *bad = rendered_words_split(&c->words, line);

	if (bad)
		return refuse(c, bad);
	if (c->words.count == 0)
		return 0;
	int error = is_cfg ? check_cfg_line(c) : check_spoe_line(c);
	if (error)
		return error;
	bad = rendered_words_forbidden(&c->words);
	return bad ? refuse(c, bad) : 0;
}

static int check_lines(struct check *c, struct slice text, bool is_cfg)
{
	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		c->line++;
		if (!end)
			return refuse(c, "a line without an end");
		size_t n = (size_t)(end - text.p);
		int error = check_line(c, slice_cut(text, n), is_cfg);
		if (error)
			return error;
		text = slice_skip(text, n + 1);
	}
	return 0;
}

/* --- files --- */

static bool is_ca_name(const char *name)
{
	size_t digits = strspn(name + strlen(CA_PREFIX), "0123456789abcdef");

	return digits == CA_DIGITS && strcmp(name + strlen(CA_PREFIX) + digits, CA_SUFFIX) == 0;
}

/* HAProxy reads certificates from it and nothing else. */
static int check_ca(struct check *c, struct slice text)
{
	static const char key[] = "PRIVATE KEY";

	if (memmem(text.p, text.n, key, strlen(key)))
		return refuse(c, key);
	return text.n && memchr(text.p, '\0', text.n) ? refuse(c, "a NUL byte") : 0;
}

static int check_named(struct check *c, struct slice text)
{
	if (text.n == 0 || text.n > RENDERED_MAX)
		return errtext_set(c->e, -EPERM, "%s: is empty or larger than %zu bytes", c->name,
			RENDERED_MAX);
	if (strcmp(c->name, "relay.cfg") == 0)
		return check_lines(c, text, true);
	if (strcmp(c->name, "relay-spoe.conf") == 0)
		return check_lines(c, text, false);
	if (has_prefix(c->name, CA_PREFIX) && is_ca_name(c->name))
		return check_ca(c, text);
	return errtext_set(c->e, -EPERM, "\"%.60s\" is not the name of a rendered file", c->name);
}

int rendered_check(const char *name, struct slice text, const struct rendered_places *places,
	struct errtext *e)
{
	struct check *c = calloc(1, sizeof(*c)); /* the words of a line are large */

	if (!c)
		return errtext_set(e, -ENOMEM, "out of memory");
	c->name = name;
	c->places = places;
	c->e = e;
	int error = check_named(c, text);
	free(c);
	return error;
}
