#include "admin/upkeep/probe.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "admin/upkeep/outbound.h"
#include "admin/upkeep/probe_list.h"
#include "admin/upkeep/usage_page.h"
#include "common/board.h"
#include "common/channel.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/refusal.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_S 0.2
#define SCAN_MS 5000	 /* longest time between two scans of the store */
#define LOOK_MS 1000	 /* longest time between two looks at the board */
#define JUDGED_MS 1000	 /* longest wait for the agent's result of a probe */
#define BLOCKED_MS 2000	 /* pause for an account whose probe could not be sent */
#define REFRESH_MS 30000 /* a refresh that takes longer does not block probes */

struct probe {
	struct control *control;
	ev_timer tick;
	struct probe_list list;
	struct probe_pace pace;
	uint64_t counts[PROBE_REASON_COUNT];
	/* from the last looks */
	uint64_t version, changes;
	int64_t scanned_ms, looked_ms;
	bool failed; /* the last store error is in the log already */
};

static uint64_t draw(void)
{
	uint64_t n = 0;

	RAND_bytes((unsigned char *)&n, sizeof(n));
	return n;
}

static const struct board_account *shown(const struct probe_item *item)
{
	return board_find_account(item->owner->control->board, item->account.id);
}

/* --- waiting callers --- */

static uint64_t sum_results(const struct board_account *row, uint64_t ret_by_class[])
{
	uint64_t sum = 0;

	for (int i = 0; i < RESULT_CLASS_COUNT; i++) {
		ret_by_class[i] = row ? board_get(&row->results[i]) : 0;
		sum += ret_by_class[i];
	}
	return sum;
}

/*
 * The class that the agent has counted since the probe began. A client request of the same account
 * may be counted instead.
 */
static const char *class_since(const struct probe_item *item)
{
	uint64_t now[RESULT_CLASS_COUNT];

	sum_results(shown(item), now);
	for (int i = 0; i < RESULT_CLASS_COUNT; i++) {
		if (now[i] > item->by_class[i])
			return result_class_name((enum result_class)i);
	}
	return NULL;
}

static void finish_asked(
	struct probe_item *item, int error, const char *reason, const struct probe_told *told)
{
	probe_told_fn *tell = item->told;

	item->told = NULL;
	item->judged_by_ms = 0;
	item->account.asked_ms = 0;
	if (tell)
		tell(item->context, error, reason, told);
}

static void tell_judged(struct probe_item *item)
{
	const struct board_account *row = shown(item);
	const struct probe_told told = {
		.name = item->name,
		.status = item->status,
		.took_ms = item->took_ms,
		.reason = item->reason.text[0] ? item->reason.text : NULL,
		.result = class_since(item),
		.state = row ? board_standing_name((enum board_standing)board_get(&row->standing))
			     : NULL,
	};

	finish_asked(item, 0, NULL, &told);
}

static void poll_judged(struct probe_item *item, int64_t now_ms)
{
	uint64_t by_class[RESULT_CLASS_COUNT];

	if (!item->judged_by_ms)
		return;
	if (sum_results(shown(item), by_class) != item->results || now_ms >= item->judged_by_ms)
		tell_judged(item);
}

static void keep_answer(struct probe_item *item, const struct outbound_answer *a, int64_t now_ms)
{
	item->status = *a->code ? 0 : a->status;
	item->took_ms = now_ms - item->account.began_ms;
	errtext_set(&item->reason, 0, "%s", *a->code ? a->code : a->failure);
}

/* --- usage pages --- */

/* A full channel loses the message: the page is asked again. */
static void tell_agent(const struct probe_item *item, const struct usage_page *page)
{
	const struct channel_message m = {.type = CHANNEL_USAGE,
		.usage = {
			.account = item->account.id,
			.used = page->used,
			.is_full = page->verdict == USAGE_PAGE_FULL,
			.credential_generation = item->sent_credential,
			.used_until_ms = page->used_until_ms,
			.until_ms = page->until_ms,
			.window_ms = page->verdict == USAGE_PAGE_FREE ? item->sent_window_ms : 0,
		}};
	int fd = publish_fd(item->owner->control->publish);

	if (fd >= 0)
		channel_send(fd, &m, NULL, 0);
}

/* An answer that is no usage page changes nothing. */
static void take_page(struct probe_item *item, const struct outbound_answer *a, int64_t now_ms)
{
	struct usage_page page;

	if (!item->account.has_page || a->status != 200 || *a->code || !a->whole)
		return;
	if (usage_page_read(&item->provider->page, a->body, now_ms, &page)) {
		log_event(LOG_LEVEL_DEBUG, "answer is not a usage page",
			LOG_STR("account", item->name));
		return;
	}
	item->page_read_ms = now_ms;
	tell_agent(item, &page);
}

/* --- sending --- */

static bool has_code(const struct outbound_answer *a, enum refusal r)
{
	return strcmp(a->code, refusal_row(r)->code) == 0;
}

/*
 * With a code of the relay, the upstream did not see the probe, or its answer was no HTTP or too late.
 * Without a status HAProxy met a connection that the upstream had closed: it closes its own, writes no
 * record, and the agent has judged nothing.
 */
static enum probe_outcome outcome_of(const struct outbound_answer *a)
{
	if (has_code(a, REFUSAL_UPSTREAM_INVALID) || has_code(a, REFUSAL_UPSTREAM_TIMEOUT))
		return PROBE_FAILED;
	if (*a->code || !a->sent || a->status == 0)
		return PROBE_UNSENT;
	bool refused = a->status == 401 || a->status == 403 || a->status == 429;
	return refused || a->status >= 500 ? PROBE_FAILED : PROBE_PASSED;
}

static void on_answer(void *context, const struct outbound_answer *a)
{
	struct probe_item *item = context;
	int64_t now = clock_wall_ms();

	item->call = NULL;
	probe_end(&item->account, outcome_of(a));
	keep_answer(item, a, now);
	take_page(item, a, now);
	log_event(LOG_LEVEL_DEBUG, "probe", LOG_STR("account", item->name),
		LOG_STR("why", probe_reason_name(item->account.reason)),
		LOG_INT("status", a->status), LOG_STR("code", a->code),
		LOG_STR("failure", a->failure), LOG_INT("took_ms", now - item->account.began_ms));
	/* the agent counts the class a moment later */
	if (item->account.reason == PROBE_ASKED && item->told)
		item->judged_by_ms = now + JUDGED_MS;
}

static int send_it(struct probe_item *item, struct errtext *e)
{
	struct control *c = item->owner->control;
	char account[64];
	int n = snprintf(
		account, sizeof(account), SEAM_HEADER_ACCOUNT ": %" PRIu32, item->account.id);
	const struct outbound_request request = {
		.socket = c->config.haproxy_internal_socket.s,
		.method = item->provider->probe.method,
		.target = item->target,
		.headers = {{account, (size_t)n}, SLICE_LITERAL("Accept: application/json"),
			SLICE_LITERAL("User-Agent: spoa-relay"),
			slice_from_str(item->provider->probe.header)},
		.timeout_ms = SEAM_PROBE_MS,
		.done = on_answer,
		.context = item,
	};

	item->sent_credential = item->credential;
	item->sent_window_ms = item->account.window_ms;
	return outbound_send(c->outbound, &request, &item->call, e);
}

/* True if a refresh is in progress: the upstream may refuse the old token already. */
static int is_refreshing(
	struct control *c, uint32_t account, int64_t now_ms, bool *ret, struct errtext *e)
{
	int64_t count = 0;
	int error = sql_number(c->store, e, &count,
		"SELECT count(*) FROM refreshes"
		" WHERE account_id = ?1 AND reply IS NULL AND intent_ms > ?2",
		"ii", (int64_t)account, now_ms - REFRESH_MS);

	*ret = count > 0;
	return error;
}

static int try_send(struct probe_item *item, int64_t now_ms, struct errtext *e)
{
	bool refreshing = false;
	int error = is_refreshing(item->owner->control, item->account.id, now_ms, &refreshing, e);

	if (!error && refreshing)
		error = errtext_set(e, -EBUSY, "a token refresh is in progress");
	if (error)
		return error;
	return send_it(item, e);
}

static void begin(struct probe_item *item, enum probe_reason reason, int64_t now_ms)
{
	struct probe *p = item->owner;
	struct errtext e = {""};

	if (reason == PROBE_ASKED)
		item->results = sum_results(shown(item), item->by_class);
	int error = item->obstacle.text[0] ? -EBUSY : try_send(item, now_ms, &e);
	if (!error) {
		p->counts[reason]++;
		probe_begin(&item->account, &p->pace, reason, now_ms, draw());
		return;
	}
	item->account.not_before_ms = now_ms + BLOCKED_MS;
	if (reason == PROBE_ASKED)
		finish_asked(item, error, e.text[0] ? e.text : item->obstacle.text, NULL);
	log_event(LOG_LEVEL_DEBUG, "account probe postponed", LOG_STR("account", item->name),
		LOG_STR("reason", e.text));
}

/* --- schedule --- */

static void on_gone(struct probe_item *item)
{
	if (item->call)
		outbound_cancel(item->call);
	finish_asked(item, -ENOENT, "the account was deleted", NULL);
}

static void scan(struct probe *p, int64_t now_ms)
{
	struct errtext e = {""};
	uint64_t version = store_version(p->control->store);
	int error = probe_list_scan(&p->list, p, p->control->store, on_gone, &e);

	p->scanned_ms = now_ms;
	if (error && !p->failed)
		log_event(LOG_LEVEL_ERROR, "probes paused: cannot read the store",
			LOG_STR("reason", e.text));
	p->failed = error != 0;
	p->version = error ? p->version : version;
}

static void look(struct probe *p, int64_t now_ms)
{
	const struct config *config = &p->control->config;

	p->changes = board_get(&p->control->board->counters[BOARD_HEALTH_CHANGES]);
	p->looked_ms = now_ms;
	p->pace.idle_ms = (int64_t)config->health_probe_idle_ms;
	p->pace.pause_ms = (int64_t)config->health_probe_pause_ms;
	if (p->pace.start_ms > now_ms + PROBE_OFFSET_MS)
		p->pace.start_ms = now_ms + PROBE_OFFSET_MS;
	for (size_t i = 0; i < p->list.count; i++)
		probe_observe(
			p->list.accounts[i], shown(probe_item_of(p->list.accounts[i])), now_ms);
}

/* True also if the clock was set back. */
static bool is_over(int64_t since_ms, int64_t now_ms, int64_t time_ms)
{
	return now_ms < since_ms || now_ms - since_ms >= time_ms;
}

static void begin_due(struct probe *p, int64_t now_ms)
{
	enum probe_reason reason;
	size_t at;

	while (probe_next(p->list.accounts, p->list.count, &p->pace, now_ms, &at, &reason))
		begin(probe_item_of(p->list.accounts[at]), reason, now_ms);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct probe *p = timer->data;
	const struct board *b = p->control->board;
	int64_t now = clock_wall_ms();
	bool fresh = p->version != store_version(p->control->store) ||
		is_over(p->scanned_ms, now, SCAN_MS);

	(void)loop;
	(void)events;
	if (fresh)
		scan(p, now);
	if (fresh || p->changes != board_get(&b->counters[BOARD_HEALTH_CHANGES]) ||
		is_over(p->looked_ms, now, LOOK_MS))
		look(p, now);
	for (size_t i = 0; i < p->list.count; i++)
		poll_judged(probe_item_of(p->list.accounts[i]), now);
	begin_due(p, now);
}

int probe_ask(
	struct probe *p, int64_t account, probe_told_fn *told, void *context, struct errtext *e)
{
	int64_t now = clock_wall_ms();

	scan(p, now);
	struct probe_item *item = probe_list_find(&p->list, account);
	if (!item)
		return errtext_set(e, -ENOENT, "the account does not exist");
	if (item->obstacle.text[0])
		return errtext_set(e, -EBUSY, "account \"%s\" cannot be checked: %s", item->name,
			item->obstacle.text);
	if (item->told)
		return errtext_set(e, -EBUSY, "account \"%s\" is being checked", item->name);
	item->told = told;
	item->context = context;
	item->account.asked_ms = now;
	look(p, now);
	begin_due(p, now);
	return 0;
}

bool probe_show(struct probe *p, int64_t account, struct probe_view *ret)
{
	struct probe_item *item = p ? probe_list_find(&p->list, account) : NULL;

	*ret = (struct probe_view){0};
	if (!item)
		return false;
	const struct probe_account *a = &item->account;
	ret->obstacle = item->obstacle.text[0] ? item->obstacle.text : NULL;
	ret->under_way = a->under_way;
	ret->last_reason = a->reason;
	ret->last_ms = a->began_ms;
	ret->status = item->status;
	ret->took_ms = item->took_ms;
	ret->failure = item->reason.text[0] ? item->reason.text : NULL;
	ret->has_page = a->has_page;
	ret->page_ms = item->page_read_ms;
	probe_observe(&item->account, shown(item), clock_wall_ms());
	if (!a->under_way)
		probe_outlook(a, &p->pace, &ret->next_ms, &ret->next_reason);
	return true;
}

uint64_t probe_count(const struct probe *p, enum probe_reason reason)
{
	return p ? p->counts[reason] : 0;
}

/* --- start and end --- */

struct probe *probe_new(struct control *c)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->control = c;
	p->version = UINT64_MAX;
	p->pace.start_ms = clock_wall_ms() + (int64_t)(draw() % (PROBE_OFFSET_MS + 1));
	ev_timer_init(&p->tick, on_tick, 0, TICK_S);
	p->tick.data = p;
	ev_timer_start(c->loop, &p->tick);
	return p;
}

static void on_stop(struct probe_item *item)
{
	if (item->call)
		outbound_cancel(item->call);
	finish_asked(item, -EPIPE, "the relay is stopping", NULL);
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	ev_timer_stop(p->control->loop, &p->tick);
	probe_list_fini(&p->list, on_stop);
	free(p);
}
