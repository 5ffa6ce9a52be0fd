#include "admin/upkeep/tunnelwatch.h"

#include "admin/control.h"
#include "admin/store/sql.h"
#include "admin/store/store.h"
#include "common/ban.h"
#include "common/clock.h"
#include "common/log.h"
#include "haproxy/tunnels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_S 1.0
#define QUESTION_MS 300
/* One that is half-closed in two looks is ended. */
#define LOOK_MS 10000
#define KEYS_MAX 4096 /* looked up after one reading; the next one goes on behind them */
#define ENDS_MAX 1000 /* after one reading; the next one finds the others again */

/* --- on the thread --- */

static struct tunnels_target target_of(const struct tunnelwatch *w)
{
	return (struct tunnels_target){
		w->config.haproxy_admin_socket.s, w->config.haproxy_master_socket.s, QUESTION_MS};
}

static void read_all(struct offload_job *job)
{
	struct tunnelwatch *w = (struct tunnelwatch *)job;
	const struct tunnels_target t = target_of(w);

	w->error = tunnels_read(&t, &w->tunnels, w->looks ? &w->half : NULL, NULL);
}

static void end_all(struct offload_job *job)
{
	struct tunnelwatch *w = (struct tunnelwatch *)job;
	const struct tunnels_target t = target_of(w);

	w->error = tunnels_end(&t, (struct tunnel_stream *)(void *)w->ends.data,
		w->ends.len / sizeof(struct tunnel_stream), ENDS_MAX, NULL);
}

/* --- whose they are --- */

static void add_end(
	struct tunnelwatch *w, const struct tunnel_stream *stream, enum tunnelwatch_reason reason)
{
	struct tunnel_stream one = *stream;

	one.tag = reason;
	buffer_append(&w->ends, &one, sizeof(one));
}

struct standing {
	int64_t revoked_ms, expires_ms;
	bool enabled;
};

static int read_standing(struct row *row, void *context)
{
	struct standing *s = context;

	s->revoked_ms = row_number(row, "revoked_ms");
	s->expires_ms = row_number(row, "expires_ms");
	s->enabled = row_flag(row, "enabled");
	return 0;
}

/* The reason why the key would be refused now; TUNNELWATCH_REASON_COUNT = none, or the store cannot tell. */
static enum tunnelwatch_reason judge_key(struct tunnelwatch *w, uint32_t key)
{
	struct standing s;
	int error = sql_one(w->control->store, NULL, read_standing, &s,
		"SELECT k.revoked_ms, k.expires_ms, t.enabled FROM keys k"
		" JOIN tenants t ON t.id = k.tenant_id WHERE k.id = ?1",
		"i", (int64_t)key);

	if (error == -ENOENT)
		return TUNNELWATCH_KEY;
	if (error)
		return TUNNELWATCH_REASON_COUNT;
	if (s.revoked_ms || (s.expires_ms && s.expires_ms <= clock_wall_ms()))
		return TUNNELWATCH_KEY;
	return s.enabled ? TUNNELWATCH_REASON_COUNT : TUNNELWATCH_TENANT;
}

static int by_key(const void *a, const void *b)
{
	uint32_t left = ((const struct tunnel *)a)->key;
	uint32_t right = ((const struct tunnel *)b)->key;

	return left < right ? -1 : left > right;
}

/* `tunnels` in the order of keys. */
static void judge_keys(struct tunnelwatch *w, const struct tunnel *tunnels, size_t count)
{
	enum tunnelwatch_reason reason = TUNNELWATCH_REASON_COUNT;
	uint32_t known = 0;
	uint32_t keys = 0;

	for (size_t i = 0; i < count; i++) {
		if (tunnels[i].key <= w->after_key)
			continue;
		if (keys == 0 || tunnels[i].key != known) {
			if (keys == KEYS_MAX) {
				w->after_key = known;
				return;
			}
			keys++;
			known = tunnels[i].key;
			reason = judge_key(w, known);
		}
		if (reason != TUNNELWATCH_REASON_COUNT)
			add_end(w, &tunnels[i].stream, reason);
	}
	w->after_key = 0;
}

/* --- bans --- */

static int read_ban(struct row *row, void *context)
{
	struct buffer *bans = context;
	struct snapshot_ban one = {.expires_ms = row_number(row, "expires_ms")};

	if (cidr_parse(row_text(row, "network"), &one.network) == 0)
		buffer_append(bans, &one, sizeof(one));
	return 0;
}

static void refresh_bans(struct tunnelwatch *w)
{
	uint64_t version = store_version(w->control->store);

	if (w->has_bans && w->bans_version == version)
		return;
	w->has_bans = false;
	buffer_fini(&w->bans);
	if (sql_each(w->control->store, NULL, read_ban, &w->bans,
		    "SELECT network, expires_ms FROM bans WHERE expires_ms = 0 OR expires_ms > ?1",
		    "i", clock_wall_ms()) != 0 ||
		buffer_error(&w->bans))
		return;
	if (w->bans.len)
		qsort(w->bans.data, w->bans.len / sizeof(struct snapshot_ban),
			sizeof(struct snapshot_ban), ban_order);
	w->bans_version = version;
	w->has_bans = true;
}

static void judge_clients(struct tunnelwatch *w, const struct tunnel *tunnels, size_t count)
{
	const struct snapshot_ban *bans = (const void *)w->bans.data;
	uint32_t bans_count = (uint32_t)(w->bans.len / sizeof(*bans));
	int64_t now_ms = clock_wall_ms();

	for (size_t i = 0; i < count && bans_count; i++) {
		if (tunnels[i].has_client &&
			bans_cover(bans, bans_count, &tunnels[i].client, now_ms))
			add_end(w, &tunnels[i].stream, TUNNELWATCH_BAN);
	}
}

/* --- half-closed ones --- */

static bool is_same(const struct tunnel_stream *a, const struct tunnel_stream *b)
{
	return a->worker == b->worker && a->session == b->session &&
		strcmp(a->source, b->source) == 0;
}

static void judge_half_closed(struct tunnelwatch *w)
{
	const struct tunnel_stream *now = (const void *)w->half.data;
	const struct tunnel_stream *before = (const void *)w->before.data;
	size_t count = w->half.len / sizeof(*now);
	size_t before_count = w->before.len / sizeof(*before);

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < before_count; k++) {
			if (is_same(&now[i], &before[k])) {
				add_end(w, &now[i], TUNNELWATCH_HALF_CLOSED);
				break;
			}
		}
	}
	buffer_fini(&w->before);
	w->before = w->half;
	w->half = (struct buffer){0};
}

/* --- one reading after the other --- */

static void finish(struct tunnelwatch *w)
{
	buffer_fini(&w->tunnels);
	buffer_fini(&w->half);
	buffer_fini(&w->ends);
	ev_timer_again(w->control->loop, &w->timer);
}

/* Those that remain are found again in a second. */
static void on_ended(struct offload_job *job, bool ran)
{
	struct tunnelwatch *w = (struct tunnelwatch *)job;
	const struct tunnel_stream *ends = (const void *)w->ends.data;
	uint32_t ended[TUNNELWATCH_REASON_COUNT] = {0};

	if (!ran)
		return;
	for (size_t i = 0; i < w->ends.len / sizeof(*ends); i++)
		ended[ends[i].tag] += ends[i].ended;
	for (int i = 0; i < TUNNELWATCH_REASON_COUNT; i++) {
		w->counts[i] += ended[i];
		if (ended[i])
			log_event(LOG_LEVEL_INFO, "WebSockets were ended",
				LOG_STR("reason",
					tunnelwatch_reason_name((enum tunnelwatch_reason)i)),
				LOG_INT("count", ended[i]));
	}
	finish(w);
}

void tunnelwatch_judge(struct tunnelwatch *w)
{
	struct tunnel *tunnels = (void *)w->tunnels.data;
	size_t count = w->tunnels.len / sizeof(*tunnels);

	w->was_read = true;
	w->open = (uint32_t)count;
	if (w->looks) {
		w->looked_ms = clock_monotonic_ms();
		judge_half_closed(w);
	}
	if (count == 0)
		return;
	qsort(tunnels, count, sizeof(*tunnels), by_key);
	judge_keys(w, tunnels, count);
	refresh_bans(w);
	judge_clients(w, tunnels, count);
}

static void on_read(struct offload_job *job, bool ran)
{
	struct tunnelwatch *w = (struct tunnelwatch *)job;

	if (!ran)
		return;
	if (!w->error)
		tunnelwatch_judge(w);
	if (w->error || w->ends.len == 0 || buffer_error(&w->ends)) {
		finish(w);
		return;
	}
	w->job = (struct offload_job){.work = end_all, .done = on_ended};
	offload_run(w->control->asker, &w->job);
}

/* An upstream takes WebSockets, or there may be some from before. */
static bool is_needed(const struct tunnelwatch *w)
{
	const struct config *config = &w->control->config;
	int64_t upstreams = 0;

	if (!config->haproxy_admin_socket.s[0] && !config->haproxy_master_socket.s[0])
		return false;
	return w->open || !w->was_read ||
		sql_number(w->control->store, NULL, &upstreams,
			"SELECT EXISTS (SELECT 1 FROM upstreams WHERE websocket)", "") != 0 ||
		upstreams;
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct tunnelwatch *w = timer->data;

	(void)events;
	if (!is_needed(w))
		return;
	ev_timer_stop(loop, timer);
	w->config = w->control->config;
	w->looks = clock_monotonic_ms() - w->looked_ms >= LOOK_MS;
	w->job = (struct offload_job){.work = read_all, .done = on_read};
	offload_run(w->control->asker, &w->job);
}

void tunnelwatch_start(struct tunnelwatch *w, struct control *c)
{
	*w = (struct tunnelwatch){.control = c};
	ev_timer_init(&w->timer, on_timer, READ_S, READ_S);
	w->timer.data = w;
	ev_timer_start(c->loop, &w->timer);
}

void tunnelwatch_stop(struct tunnelwatch *w)
{
	if (!w->control)
		return;
	ev_timer_stop(w->control->loop, &w->timer);
	buffer_fini(&w->tunnels);
	buffer_fini(&w->half);
	buffer_fini(&w->ends);
	buffer_fini(&w->before);
	buffer_fini(&w->bans);
}

/* --- metrics --- */

uint32_t tunnelwatch_open(const struct tunnelwatch *w)
{
	return w ? w->open : 0;
}

uint64_t tunnelwatch_ended(const struct tunnelwatch *w, enum tunnelwatch_reason reason)
{
	return w ? w->counts[reason] : 0;
}

const char *tunnelwatch_reason_name(enum tunnelwatch_reason reason)
{
	static const char *const names[] = {"key", "tenant", "ban", "half_closed"};

	return names[reason];
}
