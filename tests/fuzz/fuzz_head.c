/* Heads of requests, as a client can make HAProxy write them: every slice lies inside the head. */
#include "agent/request.h"

#include "common/head.h"
#include "common/snapshot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct slice part, struct slice whole)
{
	return part.n == 0 ||
		(part.p >= whole.p && part.n <= whole.n &&
			(size_t)(part.p - whole.p) <= whole.n - part.n);
}

static void walk(struct slice head)
{
	struct slice rest = head;
	struct head_line line;

	while (head_next(&rest, &line) == HEAD_LINE) {
		if (line.name.n == 0 || !is_inside(line.name, head) ||
			!is_inside(line.value, head) || !is_inside(rest, head) ||
			memchr(line.value.p, '\n', line.value.n))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct snapshot_text sticky[] = {{0, 10}, {10, 9}};
	/* 127.0.0.0/8 */
	static const struct cidr trusted = {
		.ip = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127}}, .bits = 104};
	const struct snapshot s = {.sections = {[SNAPSHOT_TEXT] = "session-idthread-id",
					   [SNAPSHOT_STICKY] = sticky,
					   [SNAPSHOT_TRUSTED] = &trusted},
		.counts = {[SNAPSHOT_TEXT] = 19, [SNAPSHOT_STICKY] = 2, [SNAPSHOT_TRUSTED] = 1}};
	struct slice head = {(const char *)data, size};
	struct decide_request r = {.has_src = true, .src = trusted.ip};
	char digest[REQUEST_DIGEST_LEN];

	walk(head);
	request_read_head(&r, head, &s, digest);
	if (!is_inside(r.key, head) || !is_inside(r.label, head) ||
		(r.sticky.p != digest && !is_inside(r.sticky, head)))
		abort();
	if (r.key.n > REQUEST_KEY_MAX || r.sticky.n > REQUEST_STICKY_MAX ||
		r.label.n > REQUEST_LABEL_MAX)
		abort();
	return 0;
}
