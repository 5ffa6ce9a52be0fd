/* Bodies of any bytes: a name has its form, and blanks before the body or bytes behind it change nothing. */
#include "agent/bodyname.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char name[BODYNAME_SIZE])
{
	size_t n = strlen(name);

	if (n &&
		(n != BODYNAME_LEN || !strchr("kum", name[0]) ||
			strspn(name + 1, "0123456789abcdef") != n - 1))
		abort();
}

static bool has_names_of(const struct bodyname *a, const struct bodyname *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->message, b->message) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bodyname found, shifted;
	char *copy = malloc(size + 1);

	if (!copy)
		return 0;
	bodyname_find((struct slice){(const char *)data, size}, &found);
	check(found.name);
	check(found.message);
	if (found.message[0] && (found.message[0] != 'm' || found.name[0] == 'm' || !found.name[0]))
		abort();
	copy[0] = ' ';
	memcpy(copy + 1, data, size);
	bodyname_find((struct slice){copy, size + 1}, &shifted);
	if (!has_names_of(&found, &shifted))
		abort();
	free(copy);
	return 0;
}
