#include "common/refusal.h"

#include <stddef.h>

static const struct refusal_row rows[REFUSAL_COUNT] = {
	[REFUSAL_NONE] = {200, "", "", false, 0, "", "", ""},
#define X(id, status, code, type, retryable, retry_after, message, cause, remedy)                  \
	[REFUSAL_##id] = {status, code, type, retryable, retry_after, message, cause, remedy},
	REFUSAL_ROWS(X)
#undef X
};

const struct refusal_row *refusal_row(enum refusal r)
{
	return &rows[(size_t)r < REFUSAL_COUNT ? r : REFUSAL_NONE];
}
