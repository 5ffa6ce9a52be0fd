#include "spoe/status.h"

#include <stddef.h>

static const struct {
	uint32_t code;
	const char *text;
} rows[] = {
#define SPOE_STATUS_ROW(name, code, text) {code, text},
	SPOE_STATUSES(SPOE_STATUS_ROW)
#undef SPOE_STATUS_ROW
};

enum {
	N_ROWS = sizeof(rows) / sizeof(rows[0]),
};

const char *spoe_status_text(uint32_t code)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].code == code)
			return rows[i].text;
	return rows[N_ROWS - 1].text; /* UNKNOWN is the last row */
}
