/* Paths of clients: what passes has no `..` segment, however many layers of encoding come off. */
#include "common/relaykey.h"
#include "common/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By another way than the code does: split first, compare then. */
static bool has_parent(struct slice path)
{
	while (path.n) {
		size_t n = 0;
		while (n < path.n && path.p[n] != '/' && path.p[n] != '\\')
			n++;
		if (n == 2 && memcmp(path.p, "..", 2) == 0)
			return true;
		if (n > 2 && memcmp(path.p, "..", 2) == 0 &&
			(path.p[2] == ';' || path.p[2] == '\0'))
			return true;
		path = slice_skip(path, n + 1);
	}
	return false;
}

static size_t decode(const char *in, size_t n, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char digits[3] = {0};
		char *end = digits;
		if (in[i] == '%' && n - i > 2) {
			memcpy(digits, in + i + 1, 2);
			out[len] = (char)strtol(digits, &end, 16);
		}
		/* strtol() also takes blanks and signs */
		bool encoded = end == digits + 2 && digits[0] > '/' && digits[1] > '/';
		if (!encoded)
			out[len] = in[i];
		len++;
		i += encoded ? 2 : 0;
	}
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char layers[2][TARGET_MAX];
	struct slice path = {(const char *)data, size};
	struct slice key;

	if (size > TARGET_MAX)
		return 0;
	bool refused = target_has_parent(path);
	bool keyed = target_has_key(path);
	for (int i = 0; i <= TARGET_ENCODINGS; i++) {
		if (!refused && has_parent(path))
			abort();
		if (!keyed && relaykey_find(path, &key))
			abort();
		path = (struct slice){layers[i % 2], decode(path.p, path.n, layers[i % 2])};
	}
	return 0;
}
