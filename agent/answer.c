#include "agent/answer.h"

#include "agent/me.h"
#include "agent/message.h"
#include "agent/timekeeper.h"
#include "common/provider.h"
#include "common/record.h"
#include "common/seam.h"

#include <inttypes.h>
#include <stdio.h>

#define HEALTH_BODY_MAX 256
#define RATE_SIZE 48 /* three numbers */

static void set_str(struct spoe_ack *ack, enum seam_var var, struct slice value)
{
	spoe_ack_set_str(ack, SPOE_SCOPE_TXN, slice_from_str(seam_var_name(var)), value);
}

static void set_text(struct spoe_ack *ack, enum seam_var var, const char *text)
{
	set_str(ack, var, slice_from_str(text));
}

static void set_int(struct spoe_ack *ack, enum seam_var var, int64_t value)
{
	spoe_ack_set_int(ack, SPOE_SCOPE_TXN, slice_from_str(seam_var_name(var)), value);
}

static void set_flag(struct spoe_ack *ack, enum seam_var var, bool value)
{
	spoe_ack_set_bool(ack, SPOE_SCOPE_TXN, slice_from_str(seam_var_name(var)), value);
}

/* HAProxy's rules make the body, Retry-After and X-Should-Retry from these. */
static void write_refusal(enum refusal refusal, const struct refusal_told *told,
	const char *message, struct spoe_ack *ack)
{
	const struct refusal_row *row = refusal_row(refusal);

	set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_DENY);
	set_int(ack, SEAM_VAR_STATUS, row->status);
	set_text(ack, SEAM_VAR_CODE, row->code);
	set_text(ack, SEAM_VAR_TYPE, told->type);
	set_text(ack, SEAM_VAR_MSG, message);
	set_flag(ack, SEAM_VAR_RETRYABLE, told->retryable);
	if (told->retry_after)
		set_int(ack, SEAM_VAR_RETRY, told->retry_after);
	if (told->resets_at)
		set_int(ack, SEAM_VAR_RESETS, told->resets_at);
}

void answer_write_refusal(enum refusal refusal, struct spoe_ack *ack)
{
	struct refusal_told told = refusal_tell(refusal, 0, false, 0);

	write_refusal(refusal, &told, refusal_row(refusal)->message, ack);
}

/* A probe has no tenant and key; those of a further attempt are in its lease. */
static void write_track(const struct decide_verdict *v, struct spoe_ack *ack)
{
	char track[RECORD_TRACK_SIZE];
	uint32_t account = v->account ? v->account->id : 0;

	if (v->key)
		record_format_track(v->key->tenant_id, v->key->id, account, track);
	else if (v->account)
		record_format_track(v->lease ? v->lease->tenant : 0, v->lease ? v->lease->key : 0,
			account, track);
	else
		return;
	set_text(ack, SEAM_VAR_TRACK, track);
}

static void write_mark(const struct decide_verdict *v, struct spoe_ack *ack)
{
	char mark[RECORD_MARK_SIZE];

	set_text(ack, SEAM_VAR_MARK, record_format_mark(&v->mark, mark));
}

/* The variables of the way to authenticate. */
static void write_credential(
	const struct snapshot *s, const struct snapshot_account *a, struct spoe_ack *ack)
{
	const struct provider_auth *auth = provider_auth_at(a->auth);

	spoe_ack_set_str(ack, SPOE_SCOPE_TXN, slice_from_str(auth->variable),
		snapshot_text(s, a->credential));
	if (auth->list_header)
		spoe_ack_set_str(ack, SPOE_SCOPE_TXN, slice_from_str(auth->list_variable),
			slice_from_str(auth->list_value));
}

/* Those of the set that the asking HAProxy uses. */
static void write_headers(const struct snapshot *s, const struct snapshot_account *a, uint64_t gen,
	struct spoe_ack *ack)
{
	const struct snapshot_header *h =
		SNAPSHOT_ROWS(s, HEADER, struct snapshot_header) + a->headers.first;

	for (uint32_t i = 0; i < a->headers.count; i++) {
		if (!snapshot_gen_within(gen, h[i].first_gen, h[i].last_gen))
			continue;
		spoe_ack_set_str(ack, SPOE_SCOPE_TXN, snapshot_text(s, h[i].variable),
			snapshot_text(s, h[i].value));
	}
}

static void write_path(const struct decide_verdict *v, struct spoe_ack *ack)
{
	char path[SEAM_PREFIX_MAX + REQUEST_PATH_MAX + 1];

	if (!v->path_changed || v->path_prefix.n + v->path_rest.n > sizeof(path))
		return;
	memcpy(path, v->path_prefix.p, v->path_prefix.n);
	memcpy(path + v->path_prefix.n, v->path_rest.p, v->path_rest.n);
	set_str(ack, SEAM_VAR_PATH, (struct slice){path, v->path_prefix.n + v->path_rest.n});
}

static void write_allow(
	const struct snapshot *s, const struct decide_verdict *v, struct spoe_ack *ack)
{
	set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_ALLOW);
	set_str(ack, SEAM_VAR_BE, snapshot_text(s, v->backend->name));
	if (v->alt)
		set_flag(ack, SEAM_VAR_ALT, true);
	if (v->watch)
		set_flag(ack, SEAM_VAR_WATCH, true);
	if (v->resend)
		set_flag(ack, SEAM_VAR_RESEND, true);
	if (v->fresh)
		set_flag(ack, SEAM_VAR_FRESH, true);
	if (v->kept)
		set_flag(ack, SEAM_VAR_KEPT, true);
	write_mark(v, ack);
	write_track(v, ack);
	write_path(v, ack);
	write_credential(s, v->account, ack);
	write_headers(s, v->account, v->gen, ack);
}

static void write_health(
	const struct snapshot *s, const struct decide_verdict *v, struct spoe_ack *ack)
{
	char body[HEALTH_BODY_MAX];
	const char *status = v->healthy ? "ok" : "unavailable";

	if (v->is_live)
		snprintf(body, sizeof(body), "{\"live\":%s}", v->healthy ? "true" : "false");
	else
		snprintf(body, sizeof(body),
			"{\"status\":\"%s\",\"mode\":\"single\",\"node\":\"%s\"}", status,
			s->head->node_id);
	set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_ANSWER);
	set_int(ack, SEAM_VAR_STATUS, v->healthy ? 200 : 503);
	set_text(ack, SEAM_VAR_BODY, body);
}

static int64_t seconds_until(int64_t then_ms, int64_t now_ms)
{
	return then_ms > now_ms ? (then_ms - now_ms + 999) / 1000 : 1;
}

/* The request limit with the fewest requests left (docs/INTERFACE.md, "Requests"). */
static void write_rate(const struct decide_verdict *v, int64_t now_ms, struct spoe_ack *ack)
{
	const struct decide_rate *rate = &v->rate;
	char text[RATE_SIZE];

	if (rate->limit == 0)
		return;
	snprintf(text, sizeof(text), "%u;%u;%" PRId64, rate->limit,
		v->action == DECIDE_ALLOW ? rate->left : 0, seconds_until(rate->resets_ms, now_ms));
	set_text(ack, SEAM_VAR_RATE, text);
}

static void write_deny(const struct snapshot *s, const struct decide_verdict *v, int64_t now_ms,
	struct spoe_ack *ack)
{
	struct refusal_told told = refusal_tell(v->refusal, v->resets_ms, v->resets_exact, now_ms);
	char message[MESSAGE_SIZE];

	message_format(s, v, now_ms, message);
	write_refusal(v->refusal, &told, message, ack);
	if (v->refusal == REFUSAL_RATE_LIMITED || v->refusal == REFUSAL_QUOTA_EXCEEDED)
		write_rate(v, now_ms, ack);
	write_track(v, ack);
}

static void write_me(
	const struct agent *a, const struct decide_verdict *v, int64_t now_ms, struct spoe_ack *ack)
{
	char body[ME_BODY_MAX];

	me_format(a, v, now_ms, body);
	set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_ANSWER);
	set_int(ack, SEAM_VAR_STATUS, 200);
	set_text(ack, SEAM_VAR_BODY, body);
}

void answer_write(
	const struct agent *a, const struct decide_verdict *v, int64_t now_ms, struct spoe_ack *ack)
{
	switch (v->action) {
	case DECIDE_ALLOW:
		write_allow(a->snapshot, v, ack);
		write_rate(v, now_ms, ack);
		break;
	case DECIDE_ANSWER:
		if (v->is_me)
			write_me(a, v, now_ms, ack);
		else
			write_health(a->snapshot, v, ack);
		break;
	case DECIDE_WAIT:
		set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_WAIT);
		set_int(ack, SEAM_VAR_SINCE, timekeeper_to_boot(a, v->since_ms));
		break;
	case DECIDE_BODY:
		set_text(ack, SEAM_VAR_ACTION, SEAM_ACTION_BODY);
		break;
	case DECIDE_DENY:
		write_deny(a->snapshot, v, now_ms, ack);
		break;
	}
}

void answer_write_client(const struct decide_request *r, struct spoe_ack *ack)
{
	if (r->hops_n)
		set_str(ack, SEAM_VAR_HOPS, (struct slice){r->hops, r->hops_n});
	if (r->kinds[0])
		set_text(ack, SEAM_VAR_KINDS, r->kinds);
	if (r->label.n)
		set_str(ack, SEAM_VAR_LABEL, r->label);
}

void answer_write_tunnel(
	const struct decide_request *r, const struct decide_verdict *v, struct spoe_ack *ack)
{
	char client[IP_TEXT_SIZE] = "-";
	char track[RECORD_TRACK_SIZE];
	char text[RECORD_TRACK_SIZE + IP_TEXT_SIZE];

	if (!r->websocket || v->action != DECIDE_ALLOW)
		return;
	record_format_track(v->key->tenant_id, v->key->id, v->account->id, track);
	if (r->has_src)
		ip_format(&r->src, client);
	snprintf(text, sizeof(text), "%s|%s", track, client);
	set_text(ack, SEAM_VAR_TUNNEL, text);
}

void answer_write_name(const struct decide_request *r, struct spoe_ack *ack)
{
	char names[2 * BODYNAME_SIZE];

	snprintf(names, sizeof(names), "%s%s", r->body.name, r->body.message);
	if (names[0])
		set_text(ack, SEAM_VAR_NAME, names);
}

void answer_write_again(
	const struct agent *a, const struct decide_verdict *v, int64_t now_ms, struct spoe_ack *ack)
{
	size_t shape = v->lease ? lease_shape(v->lease) : 0;

	set_text(ack, SEAM_VAR_SHAPE, provider_shape_at(shape)->name);
	answer_write(a, v, now_ms, ack);
	if (v->action == DECIDE_DENY)
		write_mark(v, ack);
}

/* An empty ACK stalls some HAProxy versions (docs/HAPROXY-NOTES.md, "SPOE"). */
void answer_write_nothing(struct spoe_ack *ack)
{
	set_flag(ack, SEAM_VAR_WATCH, false);
}
