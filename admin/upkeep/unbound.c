#include "admin/upkeep/unbound.h"

#include "admin/control.h"
#include "common/num.h"
#include "haproxy/runtime.h"

#include <string.h>

#define READ_S 5.0 /* HAProxy checks each server every 10 s */
#define QUESTION_MS 300

/* "b<id>-<upstream>-<egress>" */
static void take_backend(void *context, struct slice name)
{
	struct buffer *ids = context;
	struct slice rest = slice_skip(name, 1);
	struct slice number;
	uint64_t value;

	if (!slice_has_prefix(name, SLICE_LITERAL("b")) || !slice_next(&rest, '-', &number) ||
		num_parse_u64(number, UINT32_MAX, &value))
		return;
	uint32_t id = (uint32_t)value;
	buffer_append(ids, &id, sizeof(id));
}

static void read_all(struct offload_job *job)
{
	struct unbound *u = (struct unbound *)job;

	u->error = runtime_unbound(u->config.haproxy_admin_socket.s,
		u->config.haproxy_master_socket.s, QUESTION_MS, take_backend, &u->found, NULL);
}

/* Without an answer the last one stays: whoever cannot reach HAProxy hears of that. */
static void on_read(struct offload_job *job, bool ran)
{
	struct unbound *u = (struct unbound *)job;

	if (ran && !u->error) {
		buffer_fini(&u->backends);
		u->backends = u->found;
		u->found = (struct buffer){0};
	}
	buffer_fini(&u->found);
	if (ran)
		ev_timer_again(u->control->loop, &u->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct unbound *u = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	u->config = u->control->config;
	u->job = (struct offload_job){.work = read_all, .done = on_read};
	offload_run(u->control->asker, &u->job);
}

void unbound_start(struct unbound *u, struct control *c)
{
	*u = (struct unbound){.control = c};
	ev_timer_init(&u->timer, on_timer, READ_S, READ_S);
	u->timer.data = u;
	ev_timer_start(c->loop, &u->timer);
}

void unbound_stop(struct unbound *u)
{
	if (u->control)
		ev_timer_stop(u->control->loop, &u->timer);
	buffer_fini(&u->backends);
}

bool unbound_has(const struct unbound *u, uint32_t backend)
{
	for (size_t at = 0; u && at + sizeof(backend) <= u->backends.len; at += sizeof(backend)) {
		if (memcmp(u->backends.data + at, &backend, sizeof(backend)) == 0)
			return true;
	}
	return false;
}
