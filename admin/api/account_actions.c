/*
 * relayadm accounts suspend, resume, reset. What the agent holds against an account is void as soon as
 * the account's epoch is another one.
 */
#include "admin/api/handlers.h"
#include "admin/store/account_state.h"
#include "admin/store/notices.h"
#include "admin/store/store.h"
#include "common/errtext.h"
#include "common/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REASON_MAX 256
#define WHOLE 1000000

static int raise_epoch(struct request *r, int64_t id)
{
	return query_run(r, "UPDATE accounts SET epoch = epoch + 1 WHERE id = ?1", "i", id);
}

static int check_reason(struct request *r, const char *reason)
{
	if (strlen(reason) <= REASON_MAX)
		return 0;
	return errtext_set(&r->error, -EINVAL, "reason: longer than %d bytes", REASON_MAX);
}

static int suspend(struct request *r, int64_t id, const char *reason)
{
	int error = check_reason(r, reason);

	return error
		? error
		: query_run(r,
			  "UPDATE accounts SET suspended = 1, suspend_reason = ?1 WHERE id = ?2",
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
	const char *reason = request_text(r, "reason");

	return suspend(r, id, reason ? reason : "");
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

/* --- all of high risk (P8) --- */

/* Those found, before any of them is changed. */
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
	buffer_fini(&all.found);
	return error;
}
