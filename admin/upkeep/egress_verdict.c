#include "admin/upkeep/egress_verdict.h"

#include "admin/publish/change.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/clock.h"
#include "common/errtext.h"
#include "common/log.h"

#include <errno.h>
#include <stdio.h>

/* Prefix of every suspension by a check. A check lifts no other suspension. */
#define REASON_PREFIX "egress check: "

static bool is_kind(const struct egress_subject *s, const char *kind)
{
	return strcmp(s->kind, kind) == 0;
}

/* --- verdict --- */

/* A source IP is its address; other kinds are expected as seen first. `direct` has no address. */
static const char *expected_of(const struct egress_subject *s)
{
	if (is_kind(s, "direct"))
		return "";
	return is_kind(s, "source") ? s->address : s->seen_ip;
}

static bool is_expected(const struct egress_subject *s, const struct ip *seen)
{
	const char *expected = expected_of(s);
	struct ip ip;

	if (!*expected)
		return true;
	return ip_parse(slice_from_str(expected), &ip) == 0 && memcmp(&ip, seen, sizeof(ip)) == 0;
}

void egress_subject_read(struct row *row, struct egress_subject *ret)
{
	*ret = (struct egress_subject){
		.id = row_number(row, "id"), .shared = row_flag(row, "shared")};
	row_copy(row, "name", ret->name, sizeof(ret->name));
	row_copy(row, "kind", ret->kind, sizeof(ret->kind));
	row_copy(row, "address", ret->address, sizeof(ret->address));
	row_copy(row, "seen_ip", ret->seen_ip, sizeof(ret->seen_ip));
}

static int take_twin(struct row *row, void *context)
{
	struct egress_verdict *v = context;
	struct slice egress = row_text(row, "egress");
	struct slice account = row_text(row, "account");

	v->matches = false;
	errtext_set(&v->reason, 0,
		"%s was seen; this is also the IP of egress \"%.*s\" of account \"%.*s\"", v->seen,
		(int)egress.n, egress.p, (int)account.n, account.p);
	return 0;
}

/* An egress with the same address whose account must not be seen together with this one's account. */
static int find_twin(struct store *s, const struct egress_subject *subject,
	struct egress_verdict *v, struct errtext *e)
{
	return sql_each(s, e, take_twin, v,
		"SELECT g.name AS egress, a.name AS account FROM egresses g"
		" JOIN account_egresses x ON x.egress_id = g.id JOIN accounts a ON a.id = x.account_id"
		" JOIN account_egresses own ON own.egress_id = ?1 AND own.account_id <> a.id"
		" WHERE g.id <> ?1 AND g.seen_ip = ?2 AND g.shared = 0 AND g.suspended = 0"
		" AND g.kind <> 'direct' ORDER BY g.id LIMIT 1",
		"it", subject->id, v->seen);
}

int egress_verdict_find(struct store *s, const struct egress_subject *subject,
	const struct ip *seen, struct egress_verdict *ret, struct errtext *e)
{
	*ret = (struct egress_verdict){.matches = is_expected(subject, seen)};
	ip_format(seen, ret->seen);
	snprintf(ret->expected, sizeof(ret->expected), "%.*s", IP_TEXT_SIZE - 1,
		expected_of(subject));
	if (!ret->matches) {
		errtext_set(
			&ret->reason, 0, "%s was seen in place of %s", ret->seen, ret->expected);
		return 0;
	}
	if (subject->shared || is_kind(subject, "direct"))
		return 0;
	return find_twin(s, subject, ret, e);
}

/* --- storage --- */

/* The address seen first stays the expected one, so an egress whose address changes keeps failing. */
static int keep_seen(struct store *s, const struct egress_subject *subject,
	const struct egress_verdict *v, struct errtext *e)
{
	int error = sql_run(s, e,
		"UPDATE egresses SET checked_ms = ?4, seen_ip = CASE WHEN ?5 THEN ?6 ELSE seen_ip END"
		" WHERE id = ?1 AND kind = ?2 AND address = ?3",
		"ittiit", subject->id, subject->kind, subject->address, clock_wall_ms(),
		(int64_t)(v->matches || is_kind(subject, "source")), v->seen);

	if (!error && store_changed_rows(s) == 0)
		return errtext_set(e, -EBUSY, "the egress changed during the check");
	return error;
}

static int suspend(struct store *s, const struct egress_subject *subject,
	const struct egress_verdict *v, bool *ret_changed, struct errtext *e)
{
	char subject_text[NOTICES_SUBJECT_SIZE];
	char reason[ERRTEXT_SIZE + sizeof(REASON_PREFIX)];

	snprintf(reason, sizeof(reason), REASON_PREFIX "%s", v->reason.text);
	int error = sql_run(s, e,
		"UPDATE egresses SET suspended = 1, suspend_reason = ?2 WHERE id = ?1 AND suspended = 0",
		"it", subject->id, reason);
	*ret_changed = store_changed_rows(s) > 0;
	return error ? error
		     : notices_raise(s, NOTICE_EGRESS_MISMATCH,
			       notices_subject("egress", subject->name, subject_text),
			       v->reason.text, e);
}

static int lift(
	struct store *s, const struct egress_subject *subject, bool *ret_changed, struct errtext *e)
{
	char subject_text[NOTICES_SUBJECT_SIZE];
	int error = sql_run(s, e,
		"UPDATE egresses SET suspended = 0, suspend_reason = '', epoch = epoch + 1"
		" WHERE id = ?1 AND suspended = 1 AND suspend_reason LIKE '" REASON_PREFIX "%'",
		"i", subject->id);

	*ret_changed = store_changed_rows(s) > 0;
	return error ? error
		     : notices_resolve(s, NOTICE_EGRESS_MISMATCH,
			       notices_subject("egress", subject->name, subject_text), e);
}

static int keep_all(struct store *s, const struct egress_subject *subject,
	const struct egress_verdict *v, bool on_demand, bool *ret_changed, struct errtext *e)
{
	int error = keep_seen(s, subject, v, e);

	*ret_changed = false;
	if (!error && !v->matches)
		error = suspend(s, subject, v, ret_changed, e);
	if (!error && v->matches && on_demand)
		error = lift(s, subject, ret_changed, e);
	if (!error && *ret_changed)
		error = store_bump_version(s, e);
	return error;
}

static void log_change(const struct egress_subject *subject, const struct egress_verdict *v)
{
	if (v->matches)
		log_event(LOG_LEVEL_INFO, "egress resumed", LOG_STR("egress", subject->name),
			LOG_STR("seen", v->seen));
	else
		log_event(LOG_LEVEL_WARNING, "egress suspended", LOG_STR("egress", subject->name),
			LOG_STR("reason", v->reason.text));
}

int egress_verdict_keep(struct control *c, const struct egress_subject *subject,
	const struct egress_verdict *v, bool on_demand, struct errtext *e)
{
	bool changed = false;
	int error = store_begin(c->store, e);

	if (error)
		return error;
	error = keep_all(c->store, subject, v, on_demand, &changed, e);
	if (error)
		store_rollback(c->store);
	else
		error = store_commit(c->store, e);
	if (error || !changed)
		return error;
	log_change(subject, v);
	return change_publish(c, CHANGE_AGENT, NULL, NULL);
}
