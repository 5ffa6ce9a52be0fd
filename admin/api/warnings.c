#include "admin/api/warnings.h"

#include "admin/store/notices.h"
#include "admin/upkeep/clockwatch.h"
#include "admin/upkeep/minute.h"
#include "admin/upkeep/statewatch.h"
#include "admin/upkeep/unbound.h"
#include "common/board.h"
#include "common/clock.h"
#include "common/refusal.h"

#include <stdarg.h>
#include <stdio.h>

#define GAUGE_OLD_S 10
#define RECENT_S 600
#define START_MS 5000 /* a start takes no longer, unless a store or state file is converted */
#define SUMMARY_MAX 1000
/* of the minute's decisions: fewer failures than one in a hundred are no problem of the node */
#define PROBLEM_SHARE 100

enum level {
	PROBLEM,
	NOTE,
};

struct list {
	struct request *request;
	json_object *items;
	struct buffer summary;
};

static void __attribute__((format(printf, 5, 6))) add(struct list *l, enum level level,
	const char *code, const char *subject, const char *format, ...)
{
	json_object *o = json_object_new_object();
	struct errtext text;
	va_list args;

	va_start(args, format);
	vsnprintf(text.text, sizeof(text.text), format, args);
	va_end(args);
	answer_text(o, "code", code);
	answer_text(o, "level", level == PROBLEM ? "problem" : "note");
	answer_text(o, "subject", subject);
	answer_text(o, "message", text.text);
	json_object_array_add(l->items, o);
	if (level == PROBLEM && l->summary.len < SUMMARY_MAX)
		buffer_printf(&l->summary, "%s%s", l->summary.len ? "; " : "", text.text);
}

/* --- members of the answer --- */

static json_object *member(json_object *o, const char *field)
{
	return json_object_object_get(o, field);
}

static json_object *part(const struct list *l, const char *field)
{
	return member(l->request->answer, field);
}

static int64_t number(json_object *o, const char *field)
{
	return json_object_get_int64(member(o, field));
}

static bool flag(json_object *o, const char *field)
{
	return json_object_get_boolean(member(o, field)) != 0;
}

/* NULL = null or none. */
static const char *text(json_object *o, const char *field)
{
	return json_object_get_string(member(o, field));
}

/* --- processes, store --- */

/* The time of its last restart outlives SIGUSR2, its uptime does not. */
static void look_at_restarts(struct list *l, const char *name, const struct channel_process *p)
{
	int64_t age_s = (clock_monotonic_ms() - p->last_end_mono) / 1000;

	if (p->restarts > 0 && age_s < RECENT_S)
		add(l, PROBLEM, "child_restarted", name,
			"the %s process was restarted %lld s ago (%s), %u time%s in all", name,
			(long long)age_s, child_end_name((enum child_end)p->last_end), p->restarts,
			p->restarts == 1 ? "" : "s");
}

static bool is_serving(json_object *process)
{
	return strcmp(text(process, "state"), child_state_name(CHILD_SERVING)) == 0;
}

static void look_at_agent(struct list *l)
{
	json_object *snapshot = part(l, "snapshot");

	if (!is_serving(member(part(l, "processes"), child_role_name(CHILD_AGENT))))
		return; /* look_at_children() says so */
	if (!flag(snapshot, "connected"))
		add(l, PROBLEM, "agent_down", "agent",
			"the agent is not running: requests are refused");
	else if (flag(snapshot, "late"))
		add(l, PROBLEM, "agent_behind", "agent",
			"the agent has not taken the newest configuration");
}

/* A start is part of a replacement by SIGUSR2; a restart after a fault is told by itself. */
static bool has_just_started(const struct channel_process *p)
{
	return p->state == CHILD_STARTING && clock_monotonic_ms() - p->started_ms < START_MS;
}

static void look_at_children(struct list *l)
{
	for (int role = CHILD_CONTROL; role < CHILD_ROLE_COUNT; role++) {
		const char *name = child_role_name((enum child_role)role);
		const struct channel_process *p = &l->request->control->processes[role];
		json_object *process = member(part(l, "processes"), name);
		if (is_serving(process) || has_just_started(p))
			look_at_restarts(l, name, p);
		if (!is_serving(process))
			add(l, has_just_started(p) ? NOTE : PROBLEM, "child_down", name,
				"the %s process is %s", name, text(process, "state"));
	}
}

static void look_at_keeper(struct list *l)
{
	json_object *keeper = member(part(l, "processes"), child_role_name(CHILD_KEEPER));
	const char *since = text(keeper, "replacing_since");

	if (member(keeper, "silent_s"))
		add(l, PROBLEM, "keeper_silent", "keeper",
			"the keeper, process %lld, has not answered for %lld s: no process that dies is "
			"restarted",
			(long long)number(keeper, "pid"), (long long)number(keeper, "silent_s"));
	if (since)
		add(l, NOTE, "replacing", "keeper",
			"SIGUSR2: the program is being replaced since %s", since);
}

static void look_at_clock(struct list *l)
{
	const struct control *c = l->request->control;
	int64_t at_ms = 0;
	int64_t step_ms = clockwatch_last(c, &at_ms);
	int64_t age_s = (clock_wall_ms() - at_ms) / 1000;

	if (at_ms && age_s < RECENT_S)
		add(l, PROBLEM, "clock_step", "clock",
			"the clock of this machine was set %s by %lld s, %lld s ago",
			step_ms < 0 ? "back" : "ahead",
			(long long)(step_ms < 0 ? -step_ms : step_ms) / 1000,
			(long long)(age_s > 0 ? age_s : 0));
}

static void look_at_store(struct list *l)
{
	json_object *store = part(l, "store");
	int64_t unsaved = number(store, "unsaved_tokens");

	if (unsaved > 0)
		add(l, PROBLEM, "tokens_unsaved", "store",
			"refreshed tokens of %lld account%s are in memory alone: do not restart the relay "
			"before the store takes them",
			(long long)unsaved, unsaved == 1 ? "" : "s");
	if (!flag(store, "up"))
		add(l, PROBLEM, "store_down", "store", "the store takes no changes: %s",
			text(store, "error"));
}

static void look_at_state(struct list *l)
{
	const struct control *c = l->request->control;

	if (c->state_removed)
		add(l, PROBLEM, "state_removed", "state", "%s", STATEWATCH_REMOVED);
	if (notices_is_open(c->store, NOTICE_STATE_LOST))
		add(l, PROBLEM, "state_lost", "state",
			"the state file was lost at a start: all counts began anew; acknowledge its "
			"notice: relayadm notices list");
}

/* --- HAProxy --- */

/*
 * A control process that has just started has not read the gauge yet, so its start counts as a
 * reading.
 */
static void look_at_gauge(struct list *l, json_object *haproxy)
{
	json_object *read = member(haproxy, "gauge_age_s");
	int64_t up_s = number(l->request->answer, "uptime_s");
	int64_t age_s = read ? json_object_get_int64(read) : up_s;

	if (age_s <= GAUGE_OLD_S || up_s <= GAUGE_OLD_S)
		return;
	if (read)
		add(l, PROBLEM, "gauge_old", "haproxy",
			"HAProxy's gauge was last read %lld s ago: slots of lost requests are not "
			"given back",
			(long long)age_s);
	else
		add(l, PROBLEM, "gauge_old", "haproxy",
			"HAProxy's gauge was never read: slots of lost requests are not given "
			"back");
}

static void look_at_haproxy(struct list *l)
{
	json_object *haproxy = part(l, "haproxy");
	const char *error = text(haproxy, "last_error");

	if (!flag(haproxy, "rendered")) {
		add(l, PROBLEM, "haproxy_not_rendered", "haproxy",
			"HAProxy's files were never rendered: run relayadm haproxy render");
		return;
	}
	if (!flag(haproxy, "reachable"))
		add(l, PROBLEM, "haproxy_unreachable", "haproxy",
			"HAProxy does not answer at its sockets");
	else
		look_at_gauge(l, haproxy);
	if (flag(haproxy, "pending"))
		add(l, PROBLEM, "reload_pending", "haproxy",
			"pending reload: HAProxy has not loaded the last changes%s%s",
			error ? ": " : "", error ? error : "");
	if (number(haproxy, "old_sets") > 0)
		add(l, NOTE, "old_sets", "haproxy",
			"old set in use: HAProxy has not loaded the new headers or egresses of %s",
			text(haproxy, "old_set_names"));
}

/* --- pools, egresses --- */

static void look_at_pools(struct list *l)
{
	json_object *pools = part(l, "pools");

	for (size_t i = 0; i < json_object_array_length(pools); i++) {
		json_object *pool = json_object_array_get_idx(pools, i);
		const char *name = text(pool, "name");
		long long accounts = (long long)number(pool, "accounts");
		if (number(pool, "usable") > 0)
			continue;
		if (accounts == 0)
			add(l, PROBLEM, "pool_unusable", name, "pool %s has no account", name);
		else
			add(l, PROBLEM, "pool_unusable", name,
				"pool %s: none of its %lld accounts can be used", name, accounts);
	}
}

static void look_at_egresses(struct list *l)
{
	json_object *egresses = part(l, "egress");

	for (size_t i = 0; i < json_object_array_length(egresses); i++) {
		json_object *egress = json_object_array_get_idx(egresses, i);
		const char *name = text(egress, "name");
		if (flag(egress, "address_missing"))
			add(l, PROBLEM, "egress_address", name,
				"egress %s: HAProxy's machine does not have the address %s", name,
				text(egress, "address"));
	}
}

/* --- refusals --- */

/* What the client or an operator can help, or an operator wanted, is no problem of the node. */
static bool is_failure(enum refusal r)
{
	return refusal_row(r)->status >= 500 && r != REFUSAL_SITE_DISABLED &&
		r != REFUSAL_ACCOUNT_SWITCHED && r != REFUSAL_DRAINING;
}

static void look_at_refusals(struct list *l)
{
	const struct minute *minute = l->request->control->minute;
	struct minute_sample m;

	if (!minute)
		return;
	minute_read(minute, &m);
	uint64_t all = m.allowed;
	for (int i = 0; i < REFUSAL_COUNT; i++)
		all += m.refused[i];
	for (int i = 1; i < REFUSAL_COUNT; i++) {
		enum refusal r = (enum refusal)i;
		bool many = m.refused[i] * PROBLEM_SHARE >= all;
		if (m.refused[i])
			add(l, is_failure(r) && many ? PROBLEM : NOTE, "refusals",
				refusal_row(r)->code,
				"%llu request%s refused in the last minute: %s",
				(unsigned long long)m.refused[i], m.refused[i] == 1 ? "" : "s",
				refusal_row(r)->code);
	}
}

/* --- notes --- */

static void look_at_site(struct list *l)
{
	json_object *site = part(l, "site");
	int64_t open = number(l->request->answer, "notices_open");

	if (site && !flag(site, "enabled"))
		add(l, NOTE, "site_disabled", "site",
			"the site is disabled: all requests are refused");
	if (open > 0)
		add(l, NOTE, "notices", NULL, "%lld open notice%s: see relayadm notices list",
			(long long)open, open == 1 ? "" : "s");
}

void warnings_describe(struct request *r)
{
	static void (*const looks[])(struct list *) = {look_at_agent, look_at_store, look_at_state,
		look_at_clock, look_at_haproxy, look_at_children, look_at_keeper, look_at_pools,
		look_at_egresses, look_at_refusals, look_at_site};
	struct list l = {.request = r, .items = json_object_new_array()};

	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
		looks[i](&l);
	answer_flag(r->answer, "ok", l.summary.len == 0);
	answer_text(r->answer, "summary", l.summary.len ? buffer_str(&l.summary) : "ok");
	json_object_object_add(r->answer, "warnings", l.items);
	buffer_fini(&l.summary);
}
