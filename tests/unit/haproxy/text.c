#include "tests/unit/haproxy/text.h"

#include "tests/unit/haproxy/model.h"

#include <string.h>

size_t count_of(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("lacks: %s", part);
}

void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("has: %s", part);
}

void assert_before(const char *text, const char *first, const char *second)
{
	const char *one = strstr(text, first);
	const char *other = strstr(text, second);

	if (!one || !other || one > other)
		fail_msg("not in this order: %s | %s", first, second);
}

char *section_of(char *text, const char *head)
{
	char *section = strstr(text, head);

	if (!section)
		fail_msg("no section %s", head);
	for (char *line = strchr(section, '\n'); line; line = strchr(line + 1, '\n')) {
		if (line[1] != '\t' && line[1] != '.' && line[1] != '\n') {
			line[1] = '\0';
			break;
		}
	}
	return section;
}
