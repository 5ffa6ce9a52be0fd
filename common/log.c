#include "common/log.h"

#include "common/clock.h"
#include "common/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

struct line {
	char text[SINK_LINE_MAX];
	size_t n;
};

static struct {
	const char *role;
	enum log_level level;
	struct sink out;
	uint64_t
		missing; /* lines of this process that were dropped since the last one that was not */
} log_state = {.role = "spoa-relay", .level = LOG_LEVEL_INFO, .out = {.fd = STDERR_FILENO}};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
/* syslog(3)'s, for the journal */
static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

void log_init(const char *role, enum log_level level)
{
	log_state.role = role;
	log_state.level = level;
	log_state.missing = 0;
	sink_open(&log_state.out);
}

void log_set_role(const char *role)
{
	log_state.role = role;
	log_state.missing = 0;
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

bool log_is_on(enum log_level level)
{
	return level <= log_state.level;
}

uint64_t log_dropped(void)
{
	return sink_dropped(&log_state.out);
}

int log_level_parse(struct slice name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (!slice_eq_str(name, level_names[i]))
			continue;
		*ret = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}

static const char *const requests_names[] = {"off", "errors", "all"};

int log_requests_parse(struct slice name, enum log_requests *ret)
{
	for (size_t i = 0; i < sizeof(requests_names) / sizeof(requests_names[0]); i++) {
		if (!slice_eq_str(name, requests_names[i]))
			continue;
		*ret = (enum log_requests)i;
		return 0;
	}
	return -EINVAL;
}

const char *log_requests_name(enum log_requests r)
{
	return requests_names[r];
}

/* Two bytes are kept for the end of the line, so that a cut line is still closed. */
static void put(struct line *l, const char *p, size_t n)
{
	size_t room = sizeof(l->text) - 3 - l->n;

	if (n > room)
		n = room;
	memcpy(l->text + l->n, p, n);
	l->n += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void put_escaped(struct line *l, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char code[8];
		if (sizeof(l->text) - l->n < 16)
			return;
		if (c == '"' || c == '\\') {
			snprintf(code, sizeof(code), "\\%c", c);
			put_str(l, code);
		} else if (c < 0x20 || c >= 0x7f) {
			snprintf(code, sizeof(code), "\\u%04x", c);
			put_str(l, code);
		} else {
			put(l, s.p + i, 1);
		}
	}
}

static void put_quoted(struct line *l, struct slice s)
{
	put_str(l, "\"");
	put_escaped(l, s);
	put_str(l, "\"");
}

static void put_value(struct line *l, const struct log_field *f)
{
	char number[32];

	switch (f->type) {
	case LOG_FIELD_END:
		break;
	case LOG_FIELD_NULL:
		put_str(l, "null");
		break;
	case LOG_FIELD_STR:
	case LOG_FIELD_SLICE:
		put_quoted(l, f->text);
		break;
	case LOG_FIELD_INT:
		snprintf(number, sizeof(number), "%" PRId64, f->number);
		put_str(l, number);
		break;
	case LOG_FIELD_ERRNO:
		put_quoted(
			l, slice_from_str(strerror((int)(f->number < 0 ? -f->number : f->number))));
		break;
	}
}

static void put_json(struct line *l, enum log_level level, const char *message, const char *time)
{
	if (log_state.out.form == SINK_JOURNAL)
		put_str(l, priorities[level]);
	put_str(l, "{\"time\":\"");
	put_str(l, time);
	put_str(l, "\",\"level\":\"");
	put_str(l, level_names[level]);
	put_str(l, "\",\"role\":\"");
	put_str(l, log_state.role);
	put_str(l, "\",\"msg\":");
	put_quoted(l, slice_from_str(message));
}

static void put_text(struct line *l, enum log_level level, const char *message, const char *time)
{
	put_str(l, time);
	put_str(l, " ");
	put_str(l, level_names[level]);
	put_str(l, " ");
	put_str(l, log_state.role);
	put_str(l, ": ");
	put_str(l, message);
}

/* A field is written whole or not at all, so that the line stays valid JSON. */
static void put_fields(struct line *l, const struct log_field *fields, bool is_text)
{
	for (const struct log_field *f = fields; f && f->type != LOG_FIELD_END; f++) {
		size_t before = l->n;
		put_str(l, is_text ? " " : ",\"");
		put_str(l, f->name);
		put_str(l, is_text ? "=" : "\":");
		put_value(l, f);
		if (sizeof(l->text) - 3 - l->n < 16) {
			l->n = before;
			break;
		}
	}
}

static bool write_line(enum log_level level, const char *message, const struct log_field *fields)
{
	bool is_text = log_state.out.form == SINK_TEXT;
	struct line l = {.n = 0};
	char time[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339_ms(clock_wall_ms(), time);
	if (is_text)
		put_text(&l, level, message, time);
	else
		put_json(&l, level, message, time);
	put_fields(&l, fields, is_text);
	if (!is_text)
		l.text[l.n++] = '}';
	l.text[l.n++] = '\n';
	return sink_write(&log_state.out, (struct slice){l.text, l.n});
}

/* There may be room again: says how many lines are missing above. */
static bool tell_missing(void)
{
	const struct log_field fields[] = {LOG_INT("count", log_state.missing), {0}};

	return write_line(LOG_LEVEL_WARNING, "log lines were dropped: nobody read them", fields);
}

static void put_line(enum log_level level, const char *message, const struct log_field *fields)
{
	if (log_state.missing && tell_missing())
		log_state.missing = 0;
	if (log_state.missing || !write_line(level, message, fields))
		log_state.missing++;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	if (level <= log_state.level)
		put_line(level, message, fields);
}

void log_always(const char *message, const struct log_field *fields)
{
	put_line(LOG_LEVEL_INFO, message, fields);
}
