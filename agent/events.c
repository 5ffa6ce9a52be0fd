#include "agent/events.h"

#include "agent/allowed.h"
#include "agent/quiet.h"
#include "agent/waiting.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCHES_PER_WAKE 8
#define DRAIN_BATCHES 4096
/*
 * After a look the socket is left alone for a moment, so that a busy HAProxy wakes us for a batch and not
 * for every record; the kernel keeps what comes meanwhile.
 */
#define PAUSE_S 0.001

union control_space {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(struct ucred))];
};

struct events {
	struct agent *agent;
	ev_io io;
	ev_timer resume;
	bool is_local;
	struct allowed allowed;
	uint32_t overflow; /* the kernel's count of dropped datagrams, as last seen */
	struct quiet forged_quiet, bad_quiet, lost_quiet;
	struct mmsghdr messages[EVENTS_BATCH];
	struct iovec iovs[EVENTS_BATCH];
	union control_space controls[EVENTS_BATCH];
	char buffers[EVENTS_BATCH][RECORD_MAX];
};

static board_counter *counter(const struct events *e, enum board_counter_id id)
{
	return &e->agent->board->counters[id];
}

static void complain(struct quiet *q, const char *message, uint64_t n)
{
	if (!quiet_may_speak(q, clock_monotonic_ns() / 1000000))
		return;
	log_event(LOG_LEVEL_WARNING, message, LOG_INT("count", n),
		LOG_INT("suppressed", q->suppressed));
	q->suppressed = 0;
}

/* --- one record --- */

static void copy_text(char *out, size_t size, struct slice s)
{
	size_t n = s.n < size ? s.n : size - 1;

	if (n)
		memcpy(out, s.p, n);
	out[n] = '\0';
}

static void put_in_ring(struct board *b, const struct record *r,
	const struct statefile_lease *lease, int64_t now_ms)
{
	struct board_request row = {
		.started_ms = now_ms - (r->duration_ms > 0 ? r->duration_ms : 0),
		.tenant = r->tenant,
		.key = r->key,
		.account = r->account,
		.egress = lease ? lease->egress : 0,
		.upstream = lease ? lease->upstream : 0,
		.ttfb_ms = r->ttfb_ms,
		.duration_ms = r->duration_ms,
		.status = (uint16_t)r->status,
		.retries = (uint16_t)r->retries,
		.bytes_in = r->bytes_in,
		.bytes_out = r->bytes_out,
	};
	memcpy(row.id, r->id, sizeof(row.id));
	memcpy(row.termination, r->termination, sizeof(r->termination));
	copy_text(row.code, sizeof(row.code), r->code);
	copy_text(row.label, sizeof(row.label), r->label);
	board_put_request(b, &row);
}

static void count_result(
	struct board *b, const struct record *r, const struct statefile_lease *lease)
{
	struct board_tenant *tenant = board_tenant(b, r->tenant);
	unsigned class = r->status / 100;

	if (tenant)
		board_add(&tenant->status_class[class < 6 ? class : 0], 1);
	struct board_upstream *upstream = lease ? board_upstream(b, lease->upstream) : NULL;
	if (!upstream || r->server.n == 0)
		return;
	if (r->ttfb_ms >= 0)
		board_observe_upstream(&upstream->ttfb, (uint64_t)r->ttfb_ms);
	if (r->duration_ms >= 0)
		board_observe_upstream(&upstream->duration, (uint64_t)r->duration_ms);
}

/*
 * A record closes the lease of its own key and account only. One without any is of a request whose
 * client left before HAProxy had applied our answer: it closes what we had decided for it.
 */
static struct statefile_lease *lease_of(struct agent *a, const struct record *r)
{
	struct statefile_lease *lease = lease_find(&a->leases, r->id);
	bool never_applied = r->key == 0 && r->account == 0;

	if (!lease || never_applied)
		return lease;
	return lease->account == r->account && lease->key == r->key ? lease : NULL;
}

/* O3: one line a request, for those who ask for it by log_level = debug. */
static void log_request(const struct record *r, const struct statefile_lease *lease)
{
	char id[RECORD_ID_TEXT_SIZE];

	log_event(LOG_LEVEL_DEBUG, "request", LOG_STR("request_id", record_format_id(r->id, id)),
		LOG_INT("tenant", r->tenant), LOG_INT("key", r->key),
		LOG_INT("account", r->account), LOG_INT("egress", lease ? lease->egress : 0),
		LOG_INT("status", r->status), LOG_SLICE("code", r->code),
		LOG_INT("ttfb_ms", r->ttfb_ms), LOG_INT("duration_ms", r->duration_ms),
		LOG_INT("bytes_in", r->bytes_in), LOG_INT("bytes_out", r->bytes_out),
		LOG_STR("ended", r->termination));
}

/* --- what a record does --- */

#define RESULT_SHARE 16 /* a result moves the failure ratio by 1/16 of the way */

static bool client_left(const struct record *r)
{
	return r->termination[0] == 'C' || r->termination[0] == 'c';
}

static bool has_failed(const struct record *r)
{
	return r->status >= 500 || r->status == 401 || r->status == 403 || r->status == 429 ||
		r->status == 0;
}

/* P8: the account's failure ratio, and its risk for all to see. */
static void judge_account(struct agent *a, const struct record *r)
{
	struct statefile_usage *row = usage_find(&a->usages, USAGE_ACCOUNT, r->account);
	const struct snapshot_account *account =
		a->snapshot ? snapshot_account_by_id(a->snapshot, r->account) : NULL;
	struct board_account *shown = board_account(a->board, r->account);
	struct window_clock clock;

	if (!row || !account || !shown || client_left(r))
		return;
	int target = has_failed(r) ? UINT16_MAX : 0;
	row->failure_ratio =
		(uint16_t)(row->failure_ratio + (target - row->failure_ratio) / RESULT_SHARE);
	window_clock_set(&clock, clock_wall_ms());
	double risk =
		decide_score(&account->limits, row, usage_in_use(&a->usages, row), &clock).risk;
	board_set(&shown->risk, (uint64_t)(risk * 1e6));
}

/* Nobody decided it, or not yet: its question may still come, or may wait for a slot. */
static void forget_request(struct agent *a, const struct record *r)
{
	if (r->key || r->account)
		return;
	waiting_forget(a, r->id);
	gone_add(&a->gone, r->id, clock_wall_ms());
}

/* Ended in the queue or before its connection stood: nothing of it can have reached an upstream. */
static bool was_sent(const struct record *r)
{
	char phase = r->termination[0] ? r->termination[1] : '-';

	return r->server.n && phase != 'Q' && phase != 'C';
}

static void take_record(struct events *e, const struct record *r)
{
	struct agent *a = e->agent;
	struct statefile_lease *lease = lease_of(a, r);
	bool sent = was_sent(r);

	board_add(counter(e, BOARD_EVENTS), 1);
	if (!lease && r->account)
		board_add(counter(e, BOARD_EVENTS_UNMATCHED), 1);
	count_result(a->board, r, lease);
	put_in_ring(a->board, r, lease, clock_wall_ms());
	if (log_is_on(LOG_LEVEL_DEBUG))
		log_request(r, lease);
	if (lease)
		agent_release(a, lease, !sent);
	else
		forget_request(a, r);
	if (r->server.n && r->account)
		judge_account(a, r);
}

static void refuse(struct events *e, enum board_counter_id id, struct quiet *q, const char *message)
{
	board_add(counter(e, id), 1);
	complain(q, message, board_get(counter(e, id)));
}

static void take_datagram(struct events *e, struct slice datagram)
{
	struct slice secret = e->is_local ? (struct slice){NULL, 0} : agent_secret(e->agent);
	struct record record;

	/* over UDP without a secret everybody would be believed */
	if (!e->is_local && secret.n == 0) {
		refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet,
			"an end record came before any secret");
		return;
	}
	switch (record_parse(datagram, secret, &record)) {
	case RECORD_OK:
		take_record(e, &record);
		break;
	case RECORD_OTHER:
		break;
	case RECORD_BAD:
		refuse(e, BOARD_EVENTS_BAD, &e->bad_quiet, "a datagram is no end record");
		break;
	case RECORD_FORGED:
		refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet,
			"an end record had a wrong secret");
		break;
	}
}

/* --- the socket --- */

static void count_lost(struct events *e, uint32_t overflow)
{
	uint32_t lost = overflow - e->overflow;

	e->overflow = overflow;
	if (lost == 0)
		return;
	board_add(counter(e, BOARD_EVENTS_LOST), lost);
	complain(&e->lost_quiet, "end records were lost", lost);
}

/* What the kernel says beside a datagram: who sent it, how many were dropped before it. */
static bool sender_allowed(struct events *e, struct msghdr *msg)
{
	bool allowed = !e->is_local;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SO_RXQ_OVFL) {
			uint32_t overflow;
			memcpy(&overflow, CMSG_DATA(c), sizeof(overflow));
			count_lost(e, overflow);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred sender;
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			allowed = allowed_uid(&e->allowed, sender.uid);
		}
	}
	return allowed;
}

static void prepare(struct events *e)
{
	for (size_t i = 0; i < EVENTS_BATCH; i++) {
		e->iovs[i] = (struct iovec){e->buffers[i], sizeof(e->buffers[i])};
		e->messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &e->iovs[i],
			.msg_iovlen = 1,
			.msg_control = e->controls[i].space,
			.msg_controllen = sizeof(e->controls[i].space),
		};
	}
}

static void on_resume(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct events *e = timer->data;

	(void)revents;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &e->io);
}

/* Takes what is there, at most so many batches. */
static bool receive(struct events *e, int batches)
{
	bool any = false;

	for (int batch = 0; batch < batches; batch++) {
		prepare(e);
		int n = recvmmsg(e->io.fd, e->messages, EVENTS_BATCH, MSG_DONTWAIT, NULL);
		any |= n > 0;
		for (int i = 0; i < n; i++) {
			if (sender_allowed(e, &e->messages[i].msg_hdr))
				take_datagram(
					e, (struct slice){e->buffers[i], e->messages[i].msg_len});
			else
				refuse(e, BOARD_EVENTS_FORGED, &e->forged_quiet,
					"an end record came from a user that may not send them");
		}
		if (n < EVENTS_BATCH)
			break;
	}
	return any;
}

static void on_events(struct ev_loop *loop, ev_io *io, int revents)
{
	struct events *e = io->data;

	(void)revents;
	ev_io_stop(loop, io);
	ev_timer_again(loop, &e->resume);
	receive(e, BATCHES_PER_WAKE);
}

bool events_drain(struct events *e)
{
	return receive(e, DRAIN_BATCHES);
}

static void set_options(const struct events *e, int fd)
{
	int on = 1;
	int size = EVENTS_RECEIVE_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on));
	if (e->is_local)
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

struct events *events_new(struct agent *a)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->agent = a;
	ev_timer_init(&e->resume, on_resume, 0, PAUSE_S);
	e->resume.data = e;
	allowed_init(&e->allowed, a->start->config);
	for (uint32_t i = 0; i < a->start->listener_count; i++) {
		const struct child_listener *l = &a->start->listeners[i];
		if (l->what != CHILD_SOCKET_EVENTS)
			continue;
		e->is_local = address_is_local(&l->address);
		set_options(e, l->fd);
		ev_io_init(&e->io, on_events, l->fd, EV_READ);
		e->io.data = e;
		ev_io_start(a->loop, &e->io);
	}
	return e;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	ev_io_stop(e->agent->loop, &e->io);
	ev_timer_stop(e->agent->loop, &e->resume);
	free(e);
}
