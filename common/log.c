#include "common/log.h"

#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096

struct line {
	char text[LOG_LINE_MAX];
	size_t n;
};

static struct {
	const char *role;
	enum log_level level;
	bool is_terminal;
} sink = {"spoa-relay", LOG_LEVEL_INFO, false};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_init(const char *role, enum log_level level)
{
	sink.role = role;
	sink.level = level;
	sink.is_terminal = isatty(STDERR_FILENO) == 1;
}

void log_set_level(enum log_level level)
{
	sink.level = level;
}

bool log_is_on(enum log_level level)
{
	return level <= sink.level;
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
	put_str(l, "{\"time\":\"");
	put_str(l, time);
	put_str(l, "\",\"level\":\"");
	put_str(l, level_names[level]);
	put_str(l, "\",\"role\":\"");
	put_str(l, sink.role);
	put_str(l, "\",\"msg\":");
	put_quoted(l, slice_from_str(message));
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	struct line l = {.n = 0};
	char time[CLOCK_RFC3339_SIZE];

	if (level > sink.level)
		return;
	clock_format_rfc3339_ms(clock_wall_ms(), time);
	if (sink.is_terminal) {
		put_str(&l, time);
		put_str(&l, " ");
		put_str(&l, level_names[level]);
		put_str(&l, " ");
		put_str(&l, sink.role);
		put_str(&l, ": ");
		put_str(&l, message);
	} else {
		put_json(&l, level, message, time);
	}
	for (const struct log_field *f = fields; f && f->type != LOG_FIELD_END; f++) {
		/* a field is written whole or not at all, so that the line stays valid JSON */
		size_t before = l.n;
		put_str(&l, sink.is_terminal ? " " : ",\"");
		put_str(&l, f->name);
		put_str(&l, sink.is_terminal ? "=" : "\":");
		put_value(&l, f);
		if (sizeof(l.text) - 3 - l.n < 16) {
			l.n = before;
			break;
		}
	}
	if (!sink.is_terminal)
		l.text[l.n++] = '}';
	l.text[l.n++] = '\n';
	/* there is no other place to report a failure of the log */
	ssize_t ignored = write(STDERR_FILENO, l.text, l.n);
	(void)ignored;
}
