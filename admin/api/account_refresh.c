/* `accounts refresh`: starts one, or says why there is none. */
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/store/names.h"
#include "admin/upkeep/refresh.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The reasons in the order in which they count; the last one holds for any account that is left. */
static int refuse(struct request *r, int64_t id)
{
	static const struct {
		const char *condition;
		const char *words;
	} reasons[] = {
		{"SELECT 1 FROM accounts WHERE id = ?1 AND source = 'watch'",
			"its auth.json is watched: whoever owns the file refreshes it"},
		{"SELECT 1 FROM accounts a WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM credentials c"
		 " WHERE c.account_id = a.id AND c.field = 'refresh_token')",
			"it has no refresh token"},
		{"SELECT 1 FROM accounts WHERE id = ?1 AND needs_login <> ''",
			"its refresh token is used up: it needs a login"},
		{"SELECT 1", "its upstream has no token-url or no client-id to refresh with"},
	};
	int64_t found = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		int error = query_number(r, &found, reasons[i].condition, i < 3 ? "i" : "", id);
		if (error && error != -ENOENT)
			return error;
		if (!error)
			return errtext_set(&r->error, -EBUSY,
				"account \"%s\" cannot be refreshed: %s", r->name,
				reasons[i].words);
	}
	return -ENOENT;
}

/* --- waiting --- */

struct waiting {
	struct deferred *deferred;
	char name[NAMES_SIZE];
};

static void on_told(void *context, int error, const char *text)
{
	struct waiting *w = context;
	json_object *o = deferred_answer(w->deferred);

	answer_text(o, "name", w->name);
	answer_text(o, "refresh", text);
	deferred_finish(w->deferred, error, text);
	free(w);
}

static int wait_for_outcome(struct request *r, int64_t id)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	snprintf(w->name, sizeof(w->name), "%s", r->name);
	w->deferred = deferred_new(r);
	if (!w->deferred) {
		free(w);
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	}
	if (refresh_wait(r->control->refresh, id, on_told, w))
		on_told(w, -EPIPE, "too many wait for a refresh already");
	return 0;
}

int accounts_refresh(struct request *r)
{
	const char *word;
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (error)
		return error;
	error = refresh_ask(r->control->refresh, id, &word, &r->error);
	if (error)
		return error == -ENOENT ? refuse(r, id) : error;
	if (request_flag(r, "wait"))
		return wait_for_outcome(r, id);
	answer_text(r->answer, "name", r->name);
	answer_text(r->answer, "refresh", word);
	return 0;
}
