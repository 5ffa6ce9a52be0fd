#include "common/errtext.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int errtext_set(struct errtext *e, int code, const char *format, ...)
{
	va_list args;

	if (!e)
		return code;
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return code;
}

int errtext_prefix(struct errtext *e, int code, const char *format, ...)
{
	char old[ERRTEXT_SIZE];
	va_list args;

	if (!e)
		return code;
	memcpy(old, e->text, sizeof(old));
	va_start(args, format);
	int n = vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n + 3 < sizeof(e->text)) {
		size_t room = sizeof(e->text) - (size_t)n - 3;
		memcpy(e->text + n, ": ", 2);
		memcpy(e->text + n + 2, old, room);
		e->text[sizeof(e->text) - 1] = '\0';
	}
	return code;
}
