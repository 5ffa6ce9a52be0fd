/*
 * Paths of clients: what passes has no `..` segment, however many layers of encoding come off, and a spelling for
 * comparison has one form.
 */
#include "common/relaykey.h"
#include "common/resource.h"
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

/* Each segment has letters and no large ones, and begins with the only slash before it. */
static void check(void *context, struct slice path, size_t start)
{
	(void)context;
	if (start > path.n || (path.n && (path.p[0] != '/' || path.p[path.n - 1] == '/')))
		abort();
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];
		if (c == '\\' || c == '\0' || c == ';' || (c >= 'A' && c <= 'Z') ||
			(c == '/' && path.p[i + 1] == '/'))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char layers[2][TARGET_MAX];
	struct slice path = {(const char *)data, size};
	struct slice key;

	if (size > TARGET_MAX)
		return 0;
	target_each_spelling(slice_cut(path, 5), slice_skip(path, 5), check, NULL);
	for (size_t i = 0; i < provider_count(); i++) {
		const struct resource_request r = {.path = path};
		resource_of(provider_at(i), &r);
	}
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
