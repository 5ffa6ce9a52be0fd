#include "admin/api/request.h"

#include "admin/api/audit.h"
#include "admin/api/bulk.h"
#include "admin/api/deferred.h"
#include "admin/publish/change.h"
#include "admin/publish/haproxy_sync.h"
#include "admin/publish/publish.h"
#include "admin/store/store.h"
#include "common/clock.h"
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

/* A change in parts is deferred already. */
static struct deferred *deferred_of(struct request *r)
{
	if (!r->deferred)
		return deferred_new(r);
	deferred_put_answer(r->deferred, r->answer);
	r->answer = json_object_new_object();
	return r->deferred;
}

static bool agent_has_all(const struct request *r)
{
	const struct publish *p = r->control->publish;

	return publish_acknowledged(p) >= publish_version(p);
}

/* The answer comes when the change is in force. */
int request_publish(struct request *r)
{
	const struct change_outcome nothing = {.haproxy = HAPROXY_UNCHANGED};
	enum change_reach reach = reach_of(r);

	/* What is missing from earlier changes is tried again, so that the answer is true. */
	if (r->unchanged) {
		bool owes = reach >= CHANGE_SOON && haproxy_sync_owes(r->control->haproxy);
		if (!owes && agent_has_all(r)) {
			request_put_outcome(r->answer, &nothing);
			if (r->deferred)
				deferred_finish(deferred_of(r), 0, "");
			return 0;
		}
		reach = owes ? CHANGE_RELOAD : CHANGE_AGENT;
	} else {
		audit_log(r);
	}
	struct deferred *d = deferred_of(r);
	int error = change_publish(r->control, reach, d ? on_published : NULL, d);
	if (d && error)
		deferred_finish(d, error, "out of memory");
	return d ? 0 : errtext_set(&r->error, -ENOMEM, "out of memory");
}

/* --- changes --- */

/* The version is raised first: rows that carry it take the new one. */
int request_begin(struct request *r)
{
	struct store *s = r->control->store;
	int error = store_begin(s, &r->error);

	if (!error)
		error = store_bump_version(s, &r->error);
	if (error)
		return error;
	r->before = audit_subject(r);
	return request_handler(command_id(r->command))(r);
}

static void drop_rest(struct request *r)
{
	if (r->rest.step)
		r->rest.free(r->rest.state);
	r->rest = (struct request_rest){0};
}

int request_step(struct request *r, int64_t until_ns)
{
	int rc = r->rest.step ? 1 : 0;

	while (rc == 1) {
		rc = r->rest.step(r, r->rest.state);
		if (rc == 1 && until_ns && clock_monotonic_ns() >= until_ns)
			return rc;
	}
	drop_rest(r);
	return rc;
}

int request_end(struct request *r, int error)
{
	struct store *s = r->control->store;
	json_object *after = error ? NULL : audit_subject(r);

	drop_rest(r);
	audit_describe(r, r->before, after, r->changed);
	json_object_put(r->before);
	json_object_put(after);
	r->before = NULL;
	if (!error && !r->unchanged)
		return store_commit(s, &r->error);
	store_rollback(s);
	return error;
}

void request_forget(struct request *r)
{
	drop_rest(r);
	json_object_put(r->before);
	json_object_put(r->audited);
	json_object_put(r->answer);
	r->before = r->audited = NULL;
	r->answer = json_object_new_object();
	r->unchanged = false;
	r->error.text[0] = '\0';
}

/* A change that takes long goes on between other work. */
static int run_change(struct request *r)
{
	struct bulk *b = r->control->bulk;
	int64_t until_ns = b && !bulk_is_busy(b) ? clock_monotonic_ns() + BULK_STEP_NS : 0;
	int rc = request_begin(r);

	if (!rc)
		rc = request_step(r, until_ns);
	if (rc == 1) {
		store_rollback(r->control->store);
		request_forget(r);
		return bulk_take(b, r);
	}
	rc = request_end(r, rc);
	if (!rc)
		rc = request_publish(r);
	json_object_put(r->audited);
	r->audited = NULL;
	return rc;
}

unsigned request_status(struct request *r, int error)
{
	return error ? fail(r, error) : 200;
}

/* What takes long goes on while the answer is sent. */
static int run_reading(struct request *r)
{
	int64_t until_ns = r->may_stream ? clock_monotonic_ns() + BULK_STEP_NS : 0;
	int rc = request_handler(command_id(r->command))(r);

	if (rc)
		drop_rest(r);
	else
		rc = request_step(r, until_ns);
	return rc == 1 ? 0 : rc;
}

unsigned request_run(struct request *r)
{
	int error = r->command->changes ? run_change(r) : run_reading(r);

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
