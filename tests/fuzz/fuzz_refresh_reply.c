/* Replies of a token host: the first byte chooses the status, the rest is the body. */
#include "admin/upkeep/refresh_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte of a token: it must lie in the text. */
static void read_all(struct slice s)
{
	volatile char last = 0;

	for (size_t i = 0; i < s.n; i++)
		last = s.p[i];
	(void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned statuses[] = {200, 400, 401, 404, 429, 503};
	struct refresh_reply r;

	if (!size)
		return 0;
	const struct refresh_raw raw = {
		.status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))],
		.body = {(const char *)data + 1, size - 1},
		.encoding = "gzip",
		.arrived_ms = 1000,
	};
	enum refresh_outcome outcome = refresh_reply_parse(&raw, &r);
	read_all(r.access_token);
	read_all(r.refresh_token);
	read_all(r.id_token);
	if (outcome == REFRESH_GRANTED && !r.access_token.n)
		abort();
	if (outcome == REFRESH_KEPT && (r.access_token.n || !r.refresh_token.n))
		abort();
	refresh_reply_fini(&r);
	return 0;
}
