#include "admin/upkeep/historygap.h"

#include "admin/control.h"
#include "admin/store/history.h"
#include "admin/store/store.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"
#include "common/slice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SETTING "history_gap"
#define TEXT_SIZE 32

static struct statefile_run *run_of(const struct control *c)
{
	return c->statefile.block ? statefile_run(&c->statefile) : NULL;
}

void historygap_note(const struct control *c, struct history *h)
{
	struct statefile_run *run = run_of(c);
	uint64_t n = history_waiting(h);

	if (!n)
		return;
	log_event(LOG_LEVEL_ERROR, "the history lacks finished requests: the store took no changes",
		LOG_INT("requests", n), LOG_STR("reason", store_fault(c->store)));
	if (!run)
		return;
	run->gap_rows += n;
	run->gap_ms = clock_wall_ms();
}

static void log_gap(int64_t ms, uint64_t rows)
{
	char at[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(ms, at);
	if (rows)
		log_event(LOG_LEVEL_WARNING,
			"the history lacks finished requests: the store took no changes before the "
			"last stop",
			LOG_STR("until", at), LOG_INT("requests", rows));
	else
		log_event(LOG_LEVEL_WARNING,
			"the relay ended without a stop: requests that finished in the seconds "
			"before may be missing in the history",
			LOG_STR("until", at));
}

void historygap_poll(const struct control *c, struct history *h)
{
	struct statefile_run *run = run_of(c);
	char text[TEXT_SIZE];

	if (!run || run->gap_ms <= 0)
		return;
	snprintf(text, sizeof(text), "%" PRId64, run->gap_ms);
	if (!h->gap_told) {
		log_gap(run->gap_ms, run->gap_rows);
		h->unsaved += run->gap_rows <= BOARD_REQUESTS ? run->gap_rows : 0;
	}
	h->gap_told = true;
	if (store_set_setting(c->store, SETTING, text, NULL))
		return;
	run->gap_ms = 0;
	run->gap_rows = 0;
}

int historygap_read(struct store *s, int64_t *ret_ms, struct errtext *e)
{
	char *text = NULL;
	int error = store_get_setting(s, SETTING, &text, e);

	*ret_ms = 0;
	if (!error && text && num_parse_i64(slice_from_str(text), ret_ms))
		*ret_ms = 0;
	free(text);
	return error;
}
