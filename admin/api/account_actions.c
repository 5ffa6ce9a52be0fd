/*
 * relayadm accounts suspend, resume, reset, refresh and check. A new epoch of an account voids what the
 * agent holds against it.
 */
#include "admin/api/audit.h"
#include "admin/api/deferred.h"
#include "admin/api/handlers.h"
#include "admin/publish/change.h"
#include "admin/store/account_state.h"
#include "admin/store/names.h"
#include "admin/store/notices.h"
#include "admin/store/store.h"
#include "admin/upkeep/probe.h"
#include "admin/upkeep/refresh.h"
#include "common/errtext.h"
#include "common/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WHOLE 1000000

static int raise_epoch(struct request *r, int64_t id)
{
	return query_run(r, "UPDATE accounts SET epoch = epoch + 1 WHERE id = ?1", "i", id);
}

static int check_reason(struct request *r, const char *reason)
{
	if (strlen(reason) <= COMMAND_REASON_MAX)
		return 0;
	return errtext_set(&r->error, -EINVAL, "reason: longer than %d bytes", COMMAND_REASON_MAX);
}

/* `reason` NULL: the one that the account has stays; it is empty unless the account is suspended. */
static int suspend(struct request *r, int64_t id, const char *reason)
{
	int error = reason ? check_reason(r, reason) : 0;

	return error ? error
		     : query_run(r,
			       "UPDATE accounts SET suspended = 1,"
			       " suspend_reason = coalesce(?1, suspend_reason) WHERE id = ?2",
			       "ti", reason, id);
}

static int resolve_notice(struct request *r, struct row *row, void *context)
{
	char subject[NOTICES_SUBJECT_SIZE];
	char name[COMMAND_NAME_MAX + 1];

	(void)context;
	notices_subject("account", row_copy(row, "name", name, sizeof(name)), subject);
	return notices_resolve(r->control->store, NOTICE_ACCOUNT_SUSPENDED, subject, &r->error);
}

static int resume(struct request *r, int64_t id)
{
	int error = query_run(
		r, "UPDATE accounts SET suspended = 0, suspend_reason = '' WHERE id = ?1", "i", id);

	if (!error)
		error = raise_epoch(r, id);
	return error ? error
		     : query_each(r, resolve_notice, NULL,
			       "SELECT name FROM accounts WHERE id = ?1", "i", id);
}

int account_suspend(struct request *r, int64_t id, bool suspended, const char *reason)
{
	int64_t before = 0;
	int error =
		query_number(r, &before, "SELECT suspended FROM accounts WHERE id = ?1", "i", id);

	if (error)
		return error;
	if (suspended)
		return suspend(r, id, reason);
	return before ? resume(r, id) : 0;
}

/* --- one account --- */

static int change_subject(struct request *r, int (*change)(struct request *r, int64_t id))
{
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (!error)
		error = change(r, id);
	return error ? error : noun_show(r, &noun_account, r->name, r->answer);
}

static int suspend_with_reason(struct request *r, int64_t id)
{
	return suspend(r, id, request_text(r, "reason"));
}

int accounts_suspend(struct request *r)
{
	return change_subject(r, suspend_with_reason);
}

int accounts_resume(struct request *r)
{
	return change_subject(r, resume);
}

int accounts_reset(struct request *r)
{
	return change_subject(r, raise_epoch);
}

/* --- all accounts of high risk --- */

/* The accounts are collected before any of them is changed. */
struct risky {
	uint32_t above;	     /* millionths */
	struct buffer found; /* struct account_facts */
};

static int take_risky(struct request *r, struct row *row, void *context)
{
	struct risky *all = context;
	struct account_facts facts = account_facts_read(row, r->control->board);

	if (account_risk(&facts) > all->above)
		buffer_append(&all->found, &facts, sizeof(facts));
	return buffer_error(&all->found);
}

static int show_item(struct request *r, struct row *row, void *context)
{
	json_object *o = json_object_new_object();
	char name[COMMAND_NAME_MAX + 1];

	json_object_array_add(context, o);
	return noun_show(r, &noun_account, row_copy(row, "name", name, sizeof(name)), o);
}

static int suspend_risky(
	struct request *r, const struct account_facts *f, uint32_t above, json_object *items)
{
	const char *given = request_text(r, "reason");
	char reason[96];

	snprintf(reason, sizeof(reason), "risk %.3g is above %.3g", (double)account_risk(f) / WHOLE,
		(double)above / WHOLE);
	int error = suspend(r, f->id, given && *given ? given : reason);
	return error ? error
		     : query_each(r, show_item, items, "SELECT name FROM accounts WHERE id = ?1",
			       "i", (int64_t)f->id);
}

/* A line for each account. */
static void audit_suspended(struct request *r, json_object *items)
{
	for (size_t i = 0; i < json_object_array_length(items); i++) {
		json_object *one = json_object_array_get_idx(items, i);
		json_object *before = json_object_new_object();
		json_object *after = json_object_new_object();
		answer_flag(before, "suspended", false);
		answer_flag(after, "suspended", true);
		audit_note(r, "accounts",
			json_object_get_string(json_object_object_get(one, "name")), before, after);
		json_object_put(before);
		json_object_put(after);
	}
}

int accounts_suspend_risky(struct request *r)
{
	struct risky all = {.above = (uint32_t)(request_share(r, "risk_above", 1) * WHOLE + 0.5)};
	json_object *items = answer_items(r->answer);
	int error = query_each(r, take_risky, &all,
		"SELECT " ACCOUNT_FACTS " FROM" ACCOUNT_FACTS_FROM
		"WHERE a.suspended = 0 ORDER BY a.name",
		"");
	const struct account_facts *found = (const void *)all.found.data;
	size_t count = all.found.len / sizeof(*found);

	r->unchanged = !error && count == 0;
	for (size_t i = 0; i < count && !error; i++)
		error = suspend_risky(r, &found[i], all.above, items);
	if (!error)
		audit_suspended(r, items);
	buffer_fini(&all.found);
	return error;
}

/* --- refresh --- */

/* The first reason that applies is reported; the last one applies to every account. */
static int refuse_refresh(struct request *r, int64_t id)
{
	static const struct {
		const char *condition;
		const char *words;
	} reasons[] = {
		{"SELECT 1 FROM accounts WHERE id = ?1 AND source = 'watch'",
			"its credential file is watched: the client that owns the file refreshes the token"},
		{"SELECT 1 FROM accounts a WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM credentials c"
		 " WHERE c.account_id = a.id AND c.field = 'refresh_token')",
			"it has no refresh token"},
		{"SELECT 1 FROM accounts WHERE id = ?1 AND needs_login <> ''",
			"its refresh token is used up: it needs a login"},
		{"SELECT 1",
			"its upstream has no token-url, or there is no client-id to refresh with"},
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

struct waiting {
	struct control *control;
	struct deferred *deferred;
	char name[NAMES_SIZE];
};

static void end_waiting(struct waiting *w, int error, const char *text)
{
	deferred_finish(w->deferred, error, text);
	free(w);
}

static void on_in_force(void *context, const struct change_outcome *outcome)
{
	struct waiting *w = context;

	if (outcome->warning.text[0])
		answer_text(deferred_answer(w->deferred), "warning", outcome->warning.text);
	end_waiting(w, outcome->error, outcome->reason.text);
}

/* "renewed" is told when requests leave with the new token. */
static void on_refreshed(void *context, int error, const char *text)
{
	struct waiting *w = context;
	json_object *o = deferred_answer(w->deferred);

	answer_text(o, "name", w->name);
	answer_text(o, "refresh", text);
	if (error)
		end_waiting(w, error, text);
	else if (change_publish(w->control, CHANGE_AGENT, on_in_force, w))
		end_waiting(w, -ENOMEM,
			"the token is renewed, but there is no memory to wait for the agent");
}

static int wait_for_outcome(struct request *r, int64_t id)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	snprintf(w->name, sizeof(w->name), "%s", r->name);
	w->control = r->control;
	w->deferred = deferred_new(r);
	if (!w->deferred) {
		free(w);
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	}
	if (refresh_wait(r->control->refresh, id, on_refreshed, w))
		on_refreshed(w, -EPIPE, "too many wait for a refresh already");
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
		return error == -ENOENT ? refuse_refresh(r, id) : error;
	if (request_flag(r, "wait"))
		return wait_for_outcome(r, id);
	answer_text(r->answer, "name", r->name);
	answer_text(r->answer, "refresh", word);
	return 0;
}

/* --- check --- */

static void on_checked(void *context, int error, const char *reason, const struct probe_told *told)
{
	struct deferred *d = context;

	if (told) {
		json_object *o = deferred_answer(d);
		answer_text(o, "name", told->name);
		json_object_object_add(o, "status",
			told->status ? json_object_new_int((int32_t)told->status) : NULL);
		answer_number(o, "took_ms", told->took_ms);
		answer_text(o, "reason", told->reason);
		answer_text(o, "class", told->result);
		answer_text(o, "state", told->state);
	}
	deferred_finish(d, error, reason);
}

int accounts_check(struct request *r)
{
	struct errtext e = {""};
	int64_t id = 0;
	int error = noun_subject(r, &noun_account, &id);

	if (error)
		return error;
	struct deferred *d = deferred_new(r);
	if (!d)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	error = probe_ask(r->control->probe, id, on_checked, d, &e);
	if (error)
		deferred_finish(d, error, e.text);
	return 0;
}
