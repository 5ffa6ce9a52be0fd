#include "admin/api/request.h"

#include "admin/api/audit.h"
#include "admin/api/deferred.h"
#include "admin/publish/change.h"
#include "admin/publish/haproxy_sync.h"
#include "admin/publish/publish.h"
#include "admin/store/store.h"
#include "common/errtext.h"
#include "common/num.h"

#include <errno.h>

struct error_row {
	int error;
	unsigned status;
	const char *code;
};

static const struct error_row *error_row(int error)
{
	static const struct error_row rows[] = {
		{-EINVAL, 400, "bad_value"},
		{-EFBIG, 400, "bad_value"},
		{-E2BIG, 400, "bad_value"},
		{-ENOENT, 404, "not_found"},
		{-EEXIST, 409, "conflict"},
		{-EBUSY, 409, "conflict"},
		{-ETIMEDOUT, 503, "unavailable"},
		{-ECONNREFUSED, 503, "unavailable"},
		{-EPIPE, 503, "unavailable"},
		{0, 500, "internal"},
	};
	const struct error_row *row = rows;

	while (row->error && row->error != error)
		row++;
	return row;
}

static const char *code_of_status(unsigned status)
{
	switch (status) {
	case 400:
		return "bad_value";
	case 403:
		return "forbidden";
	case 404:
		return "not_found";
	case 405:
		return "method_not_allowed";
	case 413:
		return "too_large";
	default:
		return status < 500 ? "refused" : "internal";
	}
}

static void put_error(struct request *r, const char *code, const char *message)
{
	json_object *error = json_object_new_object();

	json_object_put(r->answer);
	r->answer = json_object_new_object();
	answer_text(error, "code", code);
	answer_text(error, "message", message);
	json_object_object_add(r->answer, "error", error);
	buffer_fini(&r->bytes);
}

unsigned request_refuse(struct request *r, unsigned status, const char *message)
{
	put_error(r, code_of_status(status), message);
	return status;
}

static unsigned fail(struct request *r, int error)
{
	const struct error_row *row = error_row(error);

	put_error(r, row->code, r->error.text);
	return row->status;
}

static void put_haproxy(json_object *o, const struct change_outcome *outcome)
{
	struct errtext failed = outcome->haproxy_error;

	answer_text(o, "haproxy", haproxy_outcome_name(outcome->haproxy));
	if (outcome->haproxy_error.text[0])
		answer_text(o, "haproxy_error", outcome->haproxy_error.text);
	if (!outcome->haproxy_failed)
		return;
	errtext_prefix(&failed, 0, "stored, but HAProxy has not loaded it");
	answer_text(o, "failed", failed.text);
}

void request_put_outcome(json_object *o, const struct change_outcome *outcome)
{
	put_haproxy(o, outcome);
	if (outcome->warning.text[0])
		answer_text(o, "warning", outcome->warning.text);
}

static void on_published(void *context, const struct change_outcome *outcome)
{
	struct deferred *d = context;

	if (!outcome->error)
		request_put_outcome(deferred_answer(d), outcome);
	deferred_finish(d, outcome->error, outcome->reason.text);
}

/* Only commands with --no-reload can need a reload. */
static bool haproxy_may_care(const struct command *c)
{
	return command_option_find(c, SLICE_LITERAL("no-reload")) != NULL;
}

static enum change_reach reach_of(const struct request *r)
{
	if (!haproxy_may_care(r->command))
		return CHANGE_AGENT;
	if (request_flag(r, "no_reload"))
		return CHANGE_FILES;
	return request_flag(r, "no_wait") ? CHANGE_SOON : CHANGE_HAPROXY;
}

static bool agent_has_all(const struct request *r)
{
	const struct publish *p = r->control->publish;

	return publish_acknowledged(p) >= publish_version(p);
}

/* The answer comes when the change is in force. */
static int publish_change(struct request *r, const char *changed)
{
	const struct change_outcome nothing = {.haproxy = HAPROXY_UNCHANGED};
	enum change_reach reach = reach_of(r);

	/* What is missing from earlier changes is tried again, so that the answer is true. */
	if (r->unchanged) {
		bool owes = reach >= CHANGE_SOON && haproxy_sync_owes(r->control->haproxy);
		if (!owes && agent_has_all(r)) {
			request_put_outcome(r->answer, &nothing);
			return 0;
		}
		reach = owes ? CHANGE_RELOAD : CHANGE_AGENT;
	} else {
		audit_log(r, changed);
	}
	struct deferred *d = deferred_new(r);
	int error = change_publish(r->control, reach, d ? on_published : NULL, d);
	if (d && error)
		deferred_finish(d, error, "out of memory");
	return d ? 0 : errtext_set(&r->error, -ENOMEM, "out of memory");
}

/* The version is raised first: rows that carry it take the new one. */
static int run_audited(struct request *r, request_fn *handler, char changed[AUDIT_TEXT_SIZE])
{
	int error = store_bump_version(r->control->store, &r->error);

	if (error)
		return error;
	json_object *before = audit_subject(r);
	error = handler(r);
	json_object *after = error ? NULL : audit_subject(r);
	audit_describe(r, before, after, changed);
	json_object_put(before);
	json_object_put(after);
	return error;
}

static int run_change(struct request *r, request_fn *handler)
{
	struct store *s = r->control->store;
	char changed[AUDIT_TEXT_SIZE] = "";
	int error = store_begin(s, &r->error);

	if (error)
		return error;
	error = run_audited(r, handler, changed);
	if (error || r->unchanged)
		store_rollback(s);
	else
		error = store_commit(s, &r->error);
	if (!error)
		error = publish_change(r, changed);
	json_object_put(r->audited);
	r->audited = NULL;
	return error;
}

unsigned request_status(struct request *r, int error)
{
	return error ? fail(r, error) : 200;
}

unsigned request_run(struct request *r)
{
	request_fn *handler = request_handler(command_id(r->command));
	int error = r->command->changes ? run_change(r, handler) : handler(r);

	return request_status(r, error);
}

/* --- body --- */

json_object *request_value(const struct request *r, const char *field)
{
	return json_object_object_get(r->body, field);
}

bool request_has(const struct request *r, const char *field)
{
	return json_object_object_get_ex(r->body, field, NULL) != 0;
}

const char *request_text(const struct request *r, const char *field)
{
	json_object *value = request_value(r, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

int64_t request_number(const struct request *r, const char *field, int64_t otherwise)
{
	return request_has(r, field) ? json_object_get_int64(request_value(r, field)) : otherwise;
}

double request_share(const struct request *r, const char *field, double otherwise)
{
	return request_has(r, field) ? json_object_get_double(request_value(r, field)) : otherwise;
}

bool request_flag(const struct request *r, const char *field)
{
	return json_object_get_boolean(request_value(r, field)) != 0;
}

uint64_t request_duration(const struct request *r, const char *field, uint64_t otherwise_ms)
{
	const char *text = request_text(r, field);
	uint64_t ms;

	if (!text || num_parse_duration(slice_from_str(text), COMMAND_DURATION_MAX_MS, &ms))
		return otherwise_ms;
	return ms;
}
