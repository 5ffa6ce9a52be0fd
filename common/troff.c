#include "common/troff.h"

static void put(struct buffer *out, char c, bool begins_line)
{
	if (c == '-')
		buffer_append_str(out, "\\-");
	else if (c == '\\')
		buffer_append_str(out, "\\e");
	else if (begins_line && (c == '.' || c == '\''))
		buffer_printf(out, "\\&%c", c);
	else
		buffer_append(out, &c, 1);
}

void troff_text(struct buffer *out, const char *text)
{
	for (const char *p = text; *p; p++)
		put(out, *p, p == text);
}

void troff_sentences(struct buffer *out, const char *text)
{
	bool is_code = false;

	for (const char *p = text; *p; p++) {
		if (*p == '`') {
			is_code = !is_code;
			buffer_append_str(out, is_code ? "\\fB" : "\\fR");
		} else
			put(out, *p, p == text);
	}
}

void troff_title(
	struct buffer *out, const char *name, int section, const char *version, const char *manual)
{
	buffer_append_str(out, ".TH ");
	troff_text(out, name);
	buffer_printf(out, " %d \"\" \"spoa\\-relay ", section);
	troff_text(out, version);
	buffer_printf(out, "\" \"%s\"\n", manual);
}
