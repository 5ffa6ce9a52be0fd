/* Limits texts for every provider, status and termination: no verdict may reach too far ahead. */
#include "common/limittext.h"
#include "common/provider.h"
#include "common/result.h"

#include <stdlib.h>

#define NOW_MS INT64_C(1767323045000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ahead(int64_t ms)
{
	return ms > NOW_MS && ms <= NOW_MS + LIMITTEXT_AHEAD_MAX_MS;
}

static void check(const struct result *r)
{
	if (r->class >= RESULT_CLASS_COUNT || !result_class_name(r->class))
		abort();
	if (r->class == RESULT_WINDOW ? !is_ahead(r->until_ms)
				      : r->until_ms && !is_ahead(r->until_ms))
		abort();
	if (r->until_ms && r->class != RESULT_WINDOW && r->class != RESULT_BURST &&
		r->class != RESULT_OVERLOAD)
		abort();
	if (r->used_until_ms && (!r->has_used || !is_ahead(r->used_until_ms)))
		abort();
	if (r->connect && r->class != RESULT_NETWORK)
		abort();
}

/* The first five bytes are provider, status and termination. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result_answer a = {0};
	struct result r;

	if (size < 5)
		return 0;
	a.status = (unsigned)(data[1] << 8 | data[2]) % 1000;
	memcpy(a.termination, data + 3, 2);
	a.limits = (struct slice){(const char *)data + 5, size - 5};
	result_classify(provider_at(data[0] % provider_count()), &a, NOW_MS, &r);
	check(&r);
	return 0;
}
