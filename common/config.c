#include "common/config.h"

#include "common/num.h"
#include "common/weborigin.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WITHIN_ANY                                                                                 \
	{                                                                                          \
		0, 0                                                                               \
	}
#define WITHIN_WITHIN(min, max)                                                                    \
	{                                                                                          \
		(min), (max)                                                                       \
	}
#define WHEN_RESTART false
#define INTERNAL_SOCKET "haproxy-internal.sock"
#define WHEN_RELOAD true
#define WHEN_AGENT true

const struct config_row config_rows[CONFIG_ROW_COUNT] = {
#define X(section, key, field, type, range, fallback, when, help)                                  \
	{#section, #key, CONFIG_##type, WITHIN_##range, offsetof(struct config, field), fallback,  \
		WHEN_##when, help},
	CONFIG_ROWS(X)
#undef X
};

#define DURATION_MAX_MS ((uint64_t)3650 * 86400 * 1000)
#define HELP_WIDTH 100 /* of --print-config */

struct parser {
	struct config *config;
	const char *name;
	unsigned line;
	char section[32];
	struct errtext *e;
	bool seen[CONFIG_ROW_COUNT]; /* by row: a key twice is a mistake, not a choice */
};

static int fail(const struct parser *p, const char *what, struct slice where)
{
	return errtext_set(p->e, -EINVAL, "%s:%u: %s '%.*s'", p->name, p->line, what, (int)where.n,
		where.n ? where.p : "");
}

static void *field(const struct config_row *row, struct config *c)
{
	return (char *)c + row->offset;
}

static const void *field_const(const struct config_row *row, const struct config *c)
{
	return (const char *)c + row->offset;
}

/* The environment can hold what a line of the file cannot: a newline would end up in other files. */
static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static int set_text(const struct config_row *row, struct slice value, struct config *c)
{
	struct config_text *text = field(row, c);

	if (value.n >= sizeof(text->s) || has_control(value))
		return -ERANGE;
	if (row->type == CONFIG_PATH && value.n && value.p[0] != '/')
		return -EINVAL;
	memset(text, 0, sizeof(*text));
	if (value.n)
		memcpy(text->s, value.p, value.n);
	return 0;
}

static int set_number(const struct config_row *row, struct slice value, struct config *c)
{
	uint64_t n = 0;
	int error = -EINVAL;

	if (row->type == CONFIG_NUMBER)
		error = num_parse_u64(value, UINT32_MAX, &n);
	else if (row->type == CONFIG_SIZE)
		error = num_parse_size(value, INT64_MAX, &n);
	else if (row->type == CONFIG_DURATION)
		error = num_parse_duration(value, DURATION_MAX_MS, &n);
	if (error)
		return error;
	if (row->range.max && (n < row->range.min || n > row->range.max))
		return -ERANGE;
	memcpy(field(row, c), &n, sizeof(n));
	return 0;
}

static int set_value(const struct config_row *row, struct slice value, struct config *c)
{
	switch (row->type) {
	case CONFIG_TEXT:
	case CONFIG_SECRET:
	case CONFIG_PATH:
		return set_text(row, value, c);
	case CONFIG_LEVEL:
		return log_level_parse(value, field(row, c));
	case CONFIG_REQUESTS:
		return log_requests_parse(value, field(row, c));
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return set_number(row, value, c);
	}
	return -EINVAL;
}

void config_range(const struct config_row *row, struct buffer *out)
{
	char min[NUM_DURATION_SIZE];
	char max[NUM_DURATION_SIZE];

	if (row->type == CONFIG_DURATION)
		buffer_printf(out, "%s to %s", num_format_duration(row->range.min, min),
			num_format_duration(row->range.max, max));
	else
		buffer_printf(out, "%" PRIu64 " to %" PRIu64, row->range.min,
			row->range.max ? row->range.max : UINT32_MAX);
}

static const char *expected_form(enum config_type type)
{
	switch (type) {
	case CONFIG_TEXT:
	case CONFIG_SECRET:
		return "a text of at most 1023 characters, without control characters";
	case CONFIG_PATH:
		return "an absolute path";
	case CONFIG_LEVEL:
		return "error, warning, info or debug";
	case CONFIG_REQUESTS:
		return "off, errors or all";
	case CONFIG_NUMBER:
		return "a number";
	case CONFIG_SIZE:
		return "a number of bytes such as 4096, 64k, 10m";
	case CONFIG_DURATION:
		return "a duration such as 250ms, 10s, 5m, 24h, 30d";
	}
	return "";
}

void config_expected(const struct config_row *row, struct buffer *out)
{
	buffer_append_str(out, expected_form(row->type));
	if (row->type != CONFIG_NUMBER && !row->range.max)
		return;
	buffer_append_str(out, row->type == CONFIG_NUMBER ? " from " : ", from ");
	config_range(row, out);
}

static int bad_value(struct parser *p, const struct config_row *row)
{
	struct buffer text = {0};

	config_expected(row, &text);
	errtext_set(p->e, -EINVAL, "%s:%u: %s: %s is expected", p->name, p->line, row->key,
		buffer_str(&text));
	buffer_fini(&text);
	return -EINVAL;
}

void config_init(struct config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
		set_value(&config_rows[i], slice_from_str(config_rows[i].fallback), c);
}

/* --- ${NAME} --- */

static int expand_one(struct parser *p, struct slice name, struct buffer *out)
{
	char text[128];

	if (name.n == 0 || name.n >= sizeof(text))
		return fail(p, "a bad name in ${...}:", name);
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	const char *value = getenv(text);
	if (!value)
		return fail(p, "the environment has no variable", name);
	buffer_append_str(out, value);
	return 0;
}

static int expand(struct parser *p, struct slice value, struct buffer *out)
{
	while (value.n) {
		const char *start = memmem(value.p, value.n, "${", 2);
		if (!start) {
			buffer_append_slice(out, value);
			break;
		}
		size_t before = (size_t)(start - value.p);
		const char *end = memchr(start, '}', value.n - before);
		if (!end)
			return fail(p, "${ without }:", value);
		buffer_append(out, value.p, before);
		int error =
			expand_one(p, (struct slice){start + 2, (size_t)(end - start) - 2}, out);
		if (error)
			return error;
		value = slice_skip(value, (size_t)(end + 1 - value.p));
	}
	return buffer_error(out);
}

/* --- lines --- */

static bool section_exists(struct slice name)
{
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		if (slice_eq_str(name, config_rows[i].section))
			return true;
	}
	return false;
}

static int parse_section(struct parser *p, struct slice line)
{
	if (line.p[line.n - 1] != ']')
		return fail(p, "a section without its ']':", line);
	struct slice name = slice_trim((struct slice){line.p + 1, line.n - 2});
	if (!section_exists(name))
		return fail(p, "unknown section", name);
	memcpy(p->section, name.p, name.n);
	p->section[name.n] = '\0';
	return 0;
}

static const struct config_row *find_row(const char *section, struct slice key)
{
	/* the other name of an option */
	if (strcmp(section, "log") == 0 && slice_eq_str(key, "level"))
		return find_row("relay", SLICE_LITERAL("log_level"));
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		if (strcmp(config_rows[i].section, section) == 0 &&
			slice_eq_str(key, config_rows[i].key))
			return &config_rows[i];
	}
	return NULL;
}

static int parse_pair(struct parser *p, struct slice line)
{
	struct slice rest = line;
	struct slice key;
	struct buffer value = {0};

	if (!memchr(line.p, '=', line.n))
		return fail(p, "neither [section] nor key = value:", line);
	slice_next(&rest, '=', &key);
	key = slice_trim(key);
	const struct config_row *row = find_row(p->section, key);
	if (!row)
		return errtext_set(p->e, -EINVAL, "%s:%u: unknown key '%.*s' in section [%s]",
			p->name, p->line, (int)key.n, key.n ? key.p : "", p->section);
	if (p->seen[row - config_rows])
		return fail(p, "given twice:", key);
	p->seen[row - config_rows] = true;
	int error = expand(p, slice_trim(rest), &value);
	if (!error && set_value(row, buffer_slice(&value), p->config))
		error = bad_value(p, row);
	buffer_fini(&value);
	return error;
}

static int parse_line(struct parser *p, struct slice line)
{
	line = slice_trim(line);
	if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
		return 0;
	if (line.p[0] == '[')
		return parse_section(p, line);
	if (!p->section[0])
		return fail(p, "a key before the first [section]:", line);
	return parse_pair(p, line);
}

/* --- what belongs together --- */

static int check_listeners(struct config *c, const char *name, struct errtext *e)
{
	struct address addresses[ADDRESS_LIST_MAX];
	struct slice rest = slice_from_str(c->spop_listen.s);
	struct slice one;
	size_t n = 0;

	while (c->spop_listen.s[0] && slice_next(&rest, ',', &one)) {
		if (n == ADDRESS_LIST_MAX)
			return errtext_set(e, -EINVAL, "%s: [spop] listen: at most %d addresses",
				name, ADDRESS_LIST_MAX);
		if (address_parse(slice_trim(one), &addresses[n], e))
			return errtext_prefix(e, -EINVAL, "%s: [spop] listen", name);
		if (address_is_datagram(&addresses[n++]))
			return errtext_set(
				e, -EINVAL, "%s: [spop] listen: udp cannot carry SPOP", name);
	}
	if (config_spop_has_tcp(c) && !c->spop_secret.s[0])
		return errtext_set(
			e, -EINVAL, "%s: [spop] secret is required with a tcp listener", name);
	if (strlen(c->spop_secret.s) > 128)
		return errtext_set(e, -EINVAL, "%s: [spop] secret: at most 128 characters", name);
	if (strpbrk(c->spop_secret.s, " \t\"'\\"))
		return errtext_set(
			e, -EINVAL, "%s: [spop] secret: no blanks, quotes or backslashes", name);
	return 0;
}

static int check_address(
	const char *name, const char *option, const char *value, bool datagram, struct errtext *e)
{
	struct address a;

	if (!value[0])
		return 0;
	if (address_parse(slice_from_str(value), &a, e))
		return errtext_prefix(e, -EINVAL, "%s: %s", name, option);
	bool fits =
		datagram ? a.kind == ADDRESS_UDP || a.kind == ADDRESS_UNIX : a.kind == ADDRESS_TCP;
	if (!fits)
		return errtext_set(e, -EINVAL, "%s: %s: %s is expected", name, option,
			datagram ? "udp:HOST:PORT or unix:PATH" : "tcp:HOST:PORT");
	return 0;
}

/* Settings of later versions of the product are refused rather than silently ignored. */
static int check_unserved(const struct config *c, const char *name, struct errtext *e)
{
	static const char message[] = "%s: %s: not available in this version; leave it empty";

	if (c->redis_url.s[0])
		return errtext_set(e, -EINVAL, message, name, "[redis] url");
	if (c->admin_http.s[0])
		return errtext_set(e, -EINVAL, message, name, "[admin] http");
	if (c->store_url.s[0] && strncmp(c->store_url.s, "sqlite:/", 8) != 0)
		return errtext_set(
			e, -EINVAL, "%s: [store] url: sqlite:/ABSOLUTE/PATH is expected", name);
	return 0;
}

/* A ban that ends before it is published has no effect. */
static int check_bans(const struct config *c, const char *name, struct errtext *e)
{
	if (c->bad_keys_max && c->ban_ms < 1000)
		return errtext_set(e, -EINVAL, "%s: [limits] ban: at least 1s", name);
	return 0;
}

/* Every request is searched for all of these names. */
static int check_sticky(const struct config *c, const char *name, struct errtext *e)
{
	struct slice rest = slice_from_str(c->sticky_headers.s);
	struct slice one;
	int count = 0;

	while (slice_next(&rest, ',', &one)) {
		one = slice_trim(one);
		count += one.n != 0;
		for (size_t i = 0; i < one.n; i++) {
			if (!isalnum((unsigned char)one.p[i]) && !strchr("-_.", one.p[i]))
				return errtext_set(e, -EINVAL,
					"%s: [sticky] headers: \"%.*s\" holds more than letters, "
					"digits, . _ -",
					name, (int)slice_cut(one, 64).n, one.p);
		}
	}
	if (count > CONFIG_STICKY_MAX)
		return errtext_set(e, -EINVAL, "%s: [sticky] headers: at most %d names", name,
			CONFIG_STICKY_MAX);
	return 0;
}

static int check_origins(const struct config *c, const char *name, struct errtext *e)
{
	struct slice rest = slice_from_str(c->cors_origins.s);
	struct slice one;
	int count = 0;
	bool any = false;

	while (slice_next(&rest, ',', &one)) {
		one = slice_trim(one);
		if (one.n == 0)
			continue;
		count++;
		any |= slice_eq_str(one, "*");
		if (!slice_eq_str(one, "*") && !weborigin_is_valid(one))
			return errtext_set(e, -EINVAL,
				"%s: [cors] origins: \"%.*s\" is no origin as browsers send it: "
				"scheme://host or scheme://host:port in small letters, without a "
				"path and without the scheme's own port",
				name, (int)slice_cut(one, 64).n, one.p);
	}
	if (count > CONFIG_ORIGINS_MAX)
		return errtext_set(e, -EINVAL, "%s: [cors] origins: at most %d origins", name,
			CONFIG_ORIGINS_MAX);
	if (any && count > 1)
		return errtext_set(
			e, -EINVAL, "%s: [cors] origins: * means all origins: name no other", name);
	return 0;
}

static int check_whole(struct config *c, const char *name, struct errtext *e)
{
	int error = check_listeners(c, name, e);

	if (!error && !c->events_listen.s[0])
		error = errtext_set(e, -EINVAL, "%s: [events] listen must not be empty", name);
	if (!error)
		error = check_address(name, "[events] listen", c->events_listen.s, true, e);
	if (!error)
		error = check_address(name, "[check] listen", c->check_listen.s, false, e);
	if (!error)
		error = check_address(name, "[admin] metrics", c->admin_metrics.s, false, e);
	if (!error && (!c->state_dir.s[0] || !c->run_dir.s[0]))
		error = errtext_set(
			e, -EINVAL, "%s: [relay] state_dir and run_dir must not be empty", name);
	if (!error && (!c->user.s[0] || strcmp(c->user.s, c->agent_user.s) == 0))
		error = errtext_set(
			e, -EINVAL, "%s: [relay] user and agent_user must differ", name);
	if (!error)
		error = check_bans(c, name, e);
	if (!error)
		error = check_sticky(c, name, e);
	if (!error)
		error = check_origins(c, name, e);
	return error ? error : check_unserved(c, name, e);
}

/* --- empty means derived --- */

static void set_derived(struct config_text *text, const char *directory, const char *name)
{
	if (!text->s[0])
		snprintf(text->s, sizeof(text->s), "%.900s/%s", directory, name);
}

static void derive(struct config *c)
{
	if (!c->haproxy_socket_dir.s[0])
		c->haproxy_socket_dir = c->run_dir;
	if (!c->spop_listen.s[0])
		snprintf(c->spop_listen.s, sizeof(c->spop_listen.s), "unix:%.900s/agent.sock",
			c->haproxy_socket_dir.s);
	if (!c->node_id.s[0] && gethostname(c->node_id.s, 63) < 0)
		strcpy(c->node_id.s, "node");
	set_derived(&c->admin_socket, c->run_dir.s, "admin.sock");
	set_derived(&c->key_file, c->state_dir.s, "vault.key");
	set_derived(&c->haproxy_internal_socket, c->haproxy_socket_dir.s, INTERNAL_SOCKET);
	if (!c->store_url.s[0])
		snprintf(c->store_url.s, sizeof(c->store_url.s), "sqlite:%.900s/relay.db",
			c->state_dir.s);
}

/* The derived addresses; those that the file names have been checked. */
static int check_socket_dir(const struct config *c, const char *name, struct errtext *e)
{
	struct address addresses[ADDRESS_LIST_MAX];

	if (config_spop_listeners(c, addresses) >= 0)
		return 0;
	return errtext_set(e, -EINVAL,
		"%s: [haproxy] socket_dir: the path of a socket there is too long or has a comma; "
		"choose a shorter one",
		name);
}

int config_parse(struct config *c, const char *name, struct slice text, struct errtext *e)
{
	struct config fresh;
	struct parser p = {.config = &fresh, .name = name, .e = e};
	struct slice rest = text;
	struct slice line;

	config_init(&fresh);
	while (text.n && slice_next(&rest, '\n', &line)) {
		p.line++;
		int error = parse_line(&p, line);
		if (error)
			return error;
	}
	int error = check_whole(&fresh, name, e);
	if (error)
		return error;
	derive(&fresh);
	error = check_socket_dir(&fresh, name, e);
	if (!error)
		*c = fresh;
	return error;
}

static size_t field_size(const struct config_row *row)
{
	switch (row->type) {
	case CONFIG_TEXT:
	case CONFIG_SECRET:
	case CONFIG_PATH:
		return sizeof(struct config_text);
	case CONFIG_LEVEL:
		return sizeof(enum log_level);
	case CONFIG_REQUESTS:
		return sizeof(enum log_requests);
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
		return sizeof(uint64_t);
	}
	return 0;
}

/* Whether the file leaves [haproxy] internal_socket empty, or names the path that is derived then. */
static bool has_derived_socket(const struct config *c)
{
	struct config_text derived = {""};

	set_derived(&derived, c->haproxy_socket_dir.s, INTERNAL_SOCKET);
	return strcmp(c->haproxy_internal_socket.s, derived.s) == 0;
}

/* What is derived from an option that needs a restart needs one, too: it stays that of the directory in use. */
void config_reload(struct config *c, const struct config *fresh)
{
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		const struct config_row *row = &config_rows[i];
		if (row->reloadable)
			memcpy(field(row, c), field_const(row, fresh), field_size(row));
	}
	if (has_derived_socket(fresh)) {
		c->haproxy_internal_socket.s[0] = '\0';
		derive(c);
	}
}

int config_load(struct config *c, const char *path, struct errtext *e)
{
	struct buffer text = {0};
	int error = buffer_read_file(&text, path, CONFIG_FILE_MAX);

	if (error)
		error = errtext_set(e, error, "%s: %s", path, strerror(-error));
	else
		error = config_parse(c, path, buffer_slice(&text), e);
	buffer_fini(&text);
	return error;
}

int config_spop_listeners(const struct config *c, struct address out[ADDRESS_LIST_MAX])
{
	struct slice rest = slice_from_str(c->spop_listen.s);
	struct slice one;
	int n = 0;

	while (slice_next(&rest, ',', &one)) {
		if (n == ADDRESS_LIST_MAX || address_parse(slice_trim(one), &out[n], NULL))
			return -EINVAL;
		n++;
	}
	return n;
}

bool config_spop_has_tcp(const struct config *c)
{
	struct slice rest = slice_from_str(c->spop_listen.s);
	struct slice one;

	while (slice_next(&rest, ',', &one)) {
		if (slice_has_prefix(slice_trim(one), SLICE_LITERAL("tcp:")))
			return true;
	}
	return false;
}

static int join(const char *directory, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s", directory, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int config_state_path(const struct config *c, const char *name, char *out, size_t size)
{
	return join(c->state_dir.s, name, out, size);
}

/* --- showing --- */

static void format_value(const struct config_row *row, const struct config *c, struct buffer *out)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};
	const struct config_text *text = field_const(row, c);
	const uint64_t *number = field_const(row, c);
	char duration[NUM_DURATION_SIZE];

	switch (row->type) {
	case CONFIG_SECRET:
		buffer_append_str(out, text->s[0] ? "***" : "");
		break;
	case CONFIG_TEXT:
	case CONFIG_PATH:
		buffer_append_str(out, text->s);
		break;
	case CONFIG_LEVEL:
		buffer_append_str(out, levels[c->log_level]);
		break;
	case CONFIG_REQUESTS:
		buffer_append_str(out, log_requests_name(c->log_requests));
		break;
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
		buffer_printf(out, "%" PRIu64, *number);
		break;
	case CONFIG_DURATION:
		buffer_append_str(out, num_format_duration(*number, duration));
		break;
	}
}

/* Comment lines of at most HELP_WIDTH columns. */
static void print_help(const char *help, struct buffer *out)
{
	struct slice rest = slice_from_str(help);
	struct slice word;
	size_t column = 0;

	while (rest.n && slice_next(&rest, ' ', &word)) {
		bool fits = column && column + 1 + word.n <= HELP_WIDTH;
		buffer_append_str(out, fits ? " " : column ? "\n# " : "# ");
		buffer_append_slice(out, word);
		column = (fits ? column + 1 : 2) + word.n;
	}
	buffer_append_str(out, "\n");
}

void config_print(const struct config *c, struct buffer *out)
{
	const char *section = "";

	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		const struct config_row *row = &config_rows[i];
		if (strcmp(section, row->section) != 0)
			buffer_printf(out, "%s[%s]\n", i ? "\n" : "", row->section);
		section = row->section;
		print_help(row->help, out);
		buffer_printf(out, "# Default: %s. A change needs a %s.\n%s = ",
			row->fallback[0] ? row->fallback : "(empty)",
			row->reloadable ? "reload" : "restart", row->key);
		format_value(row, c, out);
		buffer_append_str(out, "\n");
	}
}

void config_needs_restart(const struct config *old, const struct config *new, struct buffer *out)
{
	/* the fields themselves, not their printed form, in which all secrets look alike */
	for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
		const struct config_row *row = &config_rows[i];
		if (!row->reloadable &&
			memcmp(field_const(row, old), field_const(row, new), field_size(row)) != 0)
			buffer_printf(out, "%s%s.%s", out->len ? ", " : "", row->section, row->key);
	}
}
