#include "admin/store/hex.h"

#include <errno.h>

void hex_format(struct slice bytes, struct buffer *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];
		char pair[2] = {digits[c >> 4], digits[c & 15]};
		buffer_append(out, pair, sizeof(pair));
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int hex_parse(struct slice text, struct buffer *ret)
{
	if (text.n % 2)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i += 2) {
		int high = digit(text.p[i]);
		int low = digit(text.p[i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		unsigned char byte = (unsigned char)(high << 4 | low);
		buffer_append(ret, &byte, 1);
	}
	return buffer_error(ret) ? -EINVAL : 0;
}
