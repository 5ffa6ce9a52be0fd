#include "admin/upkeep/refresh_waiters.h"

#include <errno.h>

int refresh_waiters_add(struct refresh_waiters *w, int64_t account, int64_t end_ms,
	refresh_told_fn *told, void *context)
{
	if (w->count == REFRESH_WAITERS_MAX)
		return -EAGAIN;
	w->rows[w->count].account = account;
	w->rows[w->count].end_ms = end_ms;
	w->rows[w->count].told = told;
	w->rows[w->count++].context = context;
	return 0;
}

static void tell(struct refresh_waiters *w, size_t i, int error, const char *text)
{
	refresh_told_fn *told = w->rows[i].told;
	void *context = w->rows[i].context;

	w->rows[i] = w->rows[--w->count];
	told(context, error, text);
}

/* Backwards: a row that moves to a free place was visited already. */
void refresh_waiters_tell(struct refresh_waiters *w, int64_t account, int error, const char *text)
{
	for (size_t i = w->count; i-- > 0;)
		if (w->rows[i].account == account)
			tell(w, i, error, text);
}

void refresh_waiters_end(struct refresh_waiters *w, int64_t now_ms, int error, const char *text)
{
	for (size_t i = w->count; i-- > 0;)
		if (w->rows[i].end_ms <= now_ms)
			tell(w, i, error, text);
}
