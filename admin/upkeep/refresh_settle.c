#include "admin/upkeep/refresh_settle.h"

#include "admin/store/credential.h"
#include "admin/store/notices.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/upkeep/refresh_journal.h"
#include "admin/upkeep/refresh_reply.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdio.h>

struct settling {
	struct store *store;
	const struct vault *vault;
	const struct refresh_account *account;
	struct refresh_row row;
	struct refresh_reply reply;
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

static int judge(struct settling *w, enum refresh_outcome outcome, struct errtext *e)
{
	int64_t generation = 0;
	int error = read_generation(w, &generation, e);
	const struct refresh_state state = {
		.sends = w->row.sends,
		.failures = w->account->failures,
		.retries = w->account->retries,
		.superseded = generation != w->row.parent,
	};

	if (error)
		return error;
	if (w->row.has_reply)
		outcome = refresh_reply_parse(
			w->row.status, buffer_slice(&w->row.reply), w->row.reply_ms, &w->reply);
	w->result = (struct refresh_settled){
		.outcome = outcome,
		.action = refresh_next(&state, outcome),
		.reason = w->row.has_reply ? w->reply.reason : "",
	};
	return 0;
}

/* --- actions --- */

static int put(struct settling *w, enum credential_field field, struct slice value,
	int64_t expires_ms, struct errtext *e)
{
	return value.n
		? credential_put(w->store, w->vault, w->account->id, field, value, expires_ms, e)
		: 0;
}

static int commit_tokens(struct settling *w, struct errtext *e)
{
	const struct refresh_reply *r = &w->reply;
	char subject[NOTICES_SUBJECT_SIZE];
	int error = put(w, CREDENTIAL_ACCESS_TOKEN, r->access_token, r->expires_ms, e);

	if (!error)
		error = put(w, CREDENTIAL_REFRESH_TOKEN, r->refresh_token, 0, e);
	if (!error)
		error = put(w, CREDENTIAL_ID_TOKEN, r->id_token, 0, e);
	if (!error)
		error = refresh_journal_clear(w->store, w->account->id, e);
	if (!error)
		error = notices_resolve(w->store, NOTICE_REFRESH_FAILING,
			notices_subject("account", w->account->name, subject), e);
	w->result.renewed = r->access_token.n > 0;
	w->result.expires_ms = r->expires_ms;
	return error ? error : store_bump_version(w->store, e);
}

static int require_login(struct settling *w, struct errtext *e)
{
	const char *why = w->row.sends > 1 ? "; the reply to an earlier refresh was lost" : "";
	char subject[NOTICES_SUBJECT_SIZE];
	char message[NOTICES_MESSAGE_MAX];
	int error = sql_run(w->store, e, "UPDATE accounts SET needs_login = ?1 WHERE id = ?2", "ti",
		w->reply.reason, w->account->id);

	if (!error)
		error = refresh_journal_clear(w->store, w->account->id, e);
	snprintf(message, sizeof(message),
		"log in again and set the credential: the refresh token was rejected (%s%s)",
		w->reply.reason, why);
	if (!error)
		error = notices_raise(w->store, NOTICE_NEEDS_LOGIN,
			notices_subject("account", w->account->name, subject), message, e);
	return error ? error : store_bump_version(w->store, e);
}

static int take_step(struct settling *w, struct errtext *e)
{
	struct store *s = w->store;

	switch (w->result.action.step) {
	case REFRESH_COMMIT:
		return commit_tokens(w, e);
	case REFRESH_LOGIN:
		return require_login(w, e);
	case REFRESH_FORGET:
		return refresh_journal_clear(s, w->account->id, e);
	case REFRESH_REPEAT:
		return w->row.has_reply ? refresh_journal_keep(s, w->account->id, e) : 0;
	case REFRESH_RETRY:
		return refresh_journal_unsend(s, w->account->id, e);
	}
	return 0;
}

static int raise_failing(struct settling *w, struct errtext *e)
{
	char subject[NOTICES_SUBJECT_SIZE];

	if (!w->result.action.notice)
		return 0;
	return notices_raise(w->store, NOTICE_REFRESH_FAILING,
		notices_subject("account", w->account->name, subject),
		refresh_outcome_text(w->result.outcome), e);
}

static int settle_inside(struct settling *w, enum refresh_outcome outcome, struct errtext *e)
{
	int error = judge(w, outcome, e);

	if (!error)
		error = take_step(w, e);
	return error ? error : raise_failing(w, e);
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
