/* `relayadm haproxy ...`: haproxy_sync.h does the work. */
#include "admin/api/handlers.h"
#include "admin/publish/haproxy_sync.h"

static void put_report(struct request *r, const struct haproxy_report *report)
{
	answer_text(r->answer, "haproxy", haproxy_outcome_name(report->outcome));
	if (report->error.text[0])
		answer_text(r->answer, "haproxy_error", report->error.text);
}

static void put_state(struct request *r)
{
	struct haproxy_state state;

	haproxy_sync_state(r->control->haproxy, &state);
	answer_number(r->answer, "generation", (int64_t)state.gen);
	answer_flag(r->answer, "pending", state.pending);
	answer_text(r->answer, "output_dir", *state.output_dir ? state.output_dir : NULL);
	answer_text(r->answer, "last_error", *state.error ? state.error : NULL);
	answer_flag(r->answer, "reachable", state.answers);
	if (!state.answers)
		return;
	answer_text(r->answer, "version", state.status.version);
	answer_number(r->answer, "uptime_s", state.status.uptime_s);
	answer_number(r->answer, "workers", state.status.workers);
	answer_number(r->answer, "connections", (int64_t)state.status.connections);
	answer_number(r->answer, "requests", (int64_t)state.status.requests);
	answer_number(r->answer, "dropped_logs", (int64_t)state.status.dropped_logs);
}

int haproxy_render(struct request *r)
{
	struct haproxy_report report = {.outcome = HAPROXY_UNCHANGED};
	int error = haproxy_sync_render(r->control->haproxy, r->body, true, &report, &r->error);

	if (error)
		return error;
	put_report(r, &report);
	put_state(r);
	return 0;
}

int haproxy_check(struct request *r)
{
	int error = haproxy_sync_check(r->control->haproxy, &r->error);

	if (!error)
		answer_text(r->answer, "check", "good");
	return error;
}

int haproxy_reload(struct request *r)
{
	struct haproxy_report report = {.outcome = HAPROXY_UNCHANGED};
	int error = haproxy_sync_reload(r->control->haproxy, &report, &r->error);

	if (!error)
		put_report(r, &report);
	return error;
}

int haproxy_status(struct request *r)
{
	put_state(r);
	return 0;
}
