#include "admin/upkeep/refresh_settle.h"

#include "admin/store/credential.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/upkeep/refresh_journal.h"
#include "admin/upkeep/refresh_refusals.h"
#include "common/clock.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>

#define MESSAGE_SIZE 320

struct settling {
	struct store *store;
	const struct vault *vault;
	const struct refresh_account *account;
	struct refresh_row row;
	struct refresh_reply reply;
	struct refresh_refusals refusals;
	struct refresh_settled result;
};

/* --- outcome --- */

static int read_generation(struct settling *w, int64_t *ret, struct errtext *e)
{
	return sql_number(w->store, e, ret,
		"SELECT max(generation) FROM credentials WHERE account_id = ?1"
		" AND field = 'refresh_token'",
		"i", w->account->id);
}

/* Another answer of the token host ends a row of refusals. No answer ends none. */
static int count_refusal(struct settling *w, struct errtext *e)
{
	if (!w->row.has_reply)
		return 0;
	return w->reply.lasting ? refresh_refusals_note(w->store, w->account->id, w->row.parent,
					  w->row.reply_ms, &w->refusals, e)
				: refresh_refusals_clear(w->store, w->account->id, e);
}

/* The token is rejected, but the reply has another one: nothing is lost by trying that one, once. */
static int take_other_token(struct settling *w, enum refresh_outcome *outcome, struct errtext *e)
{
	struct credential stored;

	if (*outcome != REFRESH_REJECTED || !w->reply.refresh_token.n || w->account->useless)
		return 0;
	int error = credential_get(
		w->store, w->vault, w->account->id, CREDENTIAL_REFRESH_TOKEN, &stored, e);
	if (error)
		return error == -EBADMSG ? 0 : error;
	if (!slice_eq(buffer_slice(&stored.value), w->reply.refresh_token))
		*outcome = REFRESH_KEPT;
	credential_fini(&stored);
	return 0;
}

static enum refresh_outcome read_reply(struct settling *w)
{
	const struct refresh_raw raw = {w->row.status, buffer_slice(&w->row.reply), w->row.encoding,
		w->row.reply_ms, w->row.intent_ms};

	return refresh_reply_parse(&raw, &w->reply);
}

static int judge(struct settling *w, enum refresh_outcome outcome, struct errtext *e)
{
	int64_t generation = 0;
	int error = read_generation(w, &generation, e);
	struct refresh_state state = {
		.sends = w->row.sends,
		.failures = w->account->failures,
		.retries = w->account->retries,
		.useless = w->account->useless,
		.superseded = generation != w->row.parent,
	};

	if (error)
		return error;
	if (w->row.has_reply)
		outcome = read_reply(w);
	if (!state.superseded)
		error = count_refusal(w, e);
	if (!error && !state.superseded)
		error = take_other_token(w, &outcome, e);
	state.refused_ms = w->refusals.lasted_ms;
	w->result = (struct refresh_settled){
		.outcome = outcome,
		.action = refresh_next(&state, outcome),
		.fault = w->reply.fault,
	};
	return error;
}

/* --- notices --- */

static int raise_notice(
	struct settling *w, const char *kind, const char *message, struct errtext *e)
{
	char subject[NOTICES_SUBJECT_SIZE];

	return notices_raise(
		w->store, kind, notices_subject("account", w->account->name, subject), message, e);
}

static int end_notice(struct settling *w, const char *kind, struct errtext *e)
{
	char subject[NOTICES_SUBJECT_SIZE];

	return notices_resolve(
		w->store, kind, notices_subject("account", w->account->name, subject), e);
}

static int raise_failing(struct settling *w, struct errtext *e)
{
	const char *fault = w->result.fault.text;
	const char *join = w->result.outcome == REFRESH_GRANTED ? ", but " : ": ";
	char message[NOTICES_MESSAGE_MAX];

	snprintf(message, sizeof(message), "%s%s%.*s", refresh_outcome_text(w->result.outcome),
		*fault ? join : "", MESSAGE_SIZE, fault);
	return raise_notice(w, NOTICE_REFRESH_FAILING, message, e);
}

/* --- actions --- */

static int put(struct settling *w, enum credential_field field, struct slice value,
	int64_t expires_ms, struct errtext *e)
{
	return value.n
		? credential_put(w->store, w->vault, w->account->id, field, value, expires_ms, e)
		: 0;
}

static int put_tokens(struct settling *w, struct errtext *e)
{
	const struct refresh_reply *r = &w->reply;
	int error = put(w, CREDENTIAL_ACCESS_TOKEN, r->access_token, r->expires_ms, e);

	if (!error)
		error = put(w, CREDENTIAL_REFRESH_TOKEN, r->refresh_token, 0, e);
	return error ? error : put(w, CREDENTIAL_ID_TOKEN, r->id_token, 0, e);
}

/* A refresh on request may succeed after all when the account needs a login. */
static int end_failures(struct settling *w, struct errtext *e)
{
	int error = refresh_journal_clear(w->store, w->account->id, e);

	if (!error)
		error = sql_run(w->store, e, "UPDATE accounts SET needs_login = '' WHERE id = ?1",
			"i", w->account->id);
	return error ? error : end_notice(w, NOTICE_NEEDS_LOGIN, e);
}

static int commit_tokens(struct settling *w, struct errtext *e)
{
	int error = put_tokens(w, e);

	if (!error)
		error = end_failures(w, e);
	if (!error && *w->result.fault.text)
		error = raise_failing(w, e);
	else if (!error)
		error = end_notice(w, NOTICE_REFRESH_FAILING, e);
	w->result.renewed = w->reply.access_token.n > 0;
	w->result.expires_ms = w->reply.expires_ms;
	return error ? error : store_bump_version(w->store, e);
}

static int mark_login(struct settling *w, const char *message, struct errtext *e)
{
	int error = sql_run(w->store, e, "UPDATE accounts SET needs_login = ?1 WHERE id = ?2", "ti",
		w->result.reason, w->account->id);

	if (!error && w->reply.unread)
		error = refresh_journal_keep(w->store, w->account->id, true, e);
	if (!error)
		error = refresh_journal_close(w->store, w->account->id, e);
	if (!error)
		error = end_notice(w, NOTICE_REFRESH_FAILING, e);
	if (!error)
		error = raise_notice(w, NOTICE_NEEDS_LOGIN, message, e);
	return error ? error : store_bump_version(w->store, e);
}

static int require_login(struct settling *w, struct errtext *e)
{
	const char *why = w->row.has_unread ? "; an earlier reply could not be read"
		: w->row.sends > 1	    ? "; the reply to an earlier refresh was lost"
					    : "";
	char message[NOTICES_MESSAGE_MAX];

	snprintf(w->result.reason, sizeof(w->result.reason), "%s", w->reply.reason);
	snprintf(message, sizeof(message),
		"log in again and set the credential: the refresh token was rejected (%s%s)",
		w->reply.reason, why);
	return mark_login(w, message, e);
}

/* The refusals stay in the store: they allow a refresh on request. */
static int give_up(struct settling *w, struct errtext *e)
{
	char since[CLOCK_RFC3339_SIZE];
	char message[NOTICES_MESSAGE_MAX];

	clock_format_rfc3339(w->refusals.since_ms, since);
	if (*w->reply.code)
		snprintf(w->result.reason, sizeof(w->result.reason), "%s", w->reply.code);
	else
		snprintf(w->result.reason, sizeof(w->result.reason), "status_%u", w->row.status);
	snprintf(message, sizeof(message),
		"log in again and set the credential, or correct the upstream: no refresh has"
		" succeeded since %s (%.*s); relayadm accounts refresh tries again",
		since, MESSAGE_SIZE, w->result.fault.text);
	return mark_login(w, message, e);
}

static int take_step(struct settling *w, struct errtext *e)
{
	struct store *s = w->store;

	switch (w->result.action.step) {
	case REFRESH_COMMIT:
		return commit_tokens(w, e);
	case REFRESH_LOGIN:
		return w->result.outcome == REFRESH_REJECTED ? require_login(w, e) : give_up(w, e);
	case REFRESH_FORGET:
		return refresh_journal_clear(s, w->account->id, e);
	case REFRESH_REPEAT:
		return w->row.has_reply
			? refresh_journal_keep(s, w->account->id, w->reply.unread, e)
			: 0;
	case REFRESH_RETRY:
		return refresh_journal_unsend(s, w->account->id, e);
	}
	return 0;
}

static int settle_inside(struct settling *w, enum refresh_outcome outcome, struct errtext *e)
{
	int error = judge(w, outcome, e);

	if (!error)
		error = take_step(w, e);
	if (error || w->result.action.step == REFRESH_COMMIT || !w->result.action.notice)
		return error;
	return raise_failing(w, e);
}

int refresh_settle(struct store *s, const struct vault *v, const struct refresh_account *a,
	enum refresh_outcome outcome, struct refresh_settled *ret, struct errtext *e)
{
	struct settling w = {.store = s, .vault = v, .account = a};
	int error = store_begin(s, e);

	if (error)
		return error;
	error = refresh_journal_get(s, v, a->id, &w.row, e);
	if (!error)
		error = settle_inside(&w, outcome, e);
	if (error)
		store_rollback(s);
	else
		error = store_commit(s, e);
	if (!error)
		*ret = w.result;
	refresh_reply_fini(&w.reply);
	refresh_row_fini(&w.row);
	return error;
}
