#include "admin/store/boardmark.h"

#include "common/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_SIZE 48 /* two numbers and a blank */

static uint64_t parse_mark(const char *text, const struct board *b)
{
	struct slice rest = slice_from_str(text);
	struct slice board;
	uint64_t created;
	uint64_t next;

	if (!slice_next(&rest, ' ', &board) || !rest.p ||
		num_parse_u64(board, INT64_MAX, &created) ||
		num_parse_u64(rest, INT64_MAX, &next) || (int64_t)created != b->created_ms)
		return 0;
	return next;
}

int boardmark_get(struct store *s, const char *setting, const struct board *b, uint64_t *ret,
	struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, setting, &text, e);

	if (error)
		return error;
	*ret = text ? parse_mark(text, b) : 0;
	free(text);
	return 0;
}

int boardmark_put(struct store *s, const char *setting, const struct board *b, uint64_t next,
	struct errtext *e)
{
	char text[TEXT_SIZE];

	snprintf(text, sizeof(text), "%" PRId64 " %" PRIu64, b->created_ms, next);
	return store_set_setting(s, setting, text, e);
}
