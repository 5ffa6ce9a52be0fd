#include "admin/upkeep/minute.h"

#include "common/board.h"

static void take(const struct board *b, struct minute_sample *out)
{
	out->allowed = board_get(&b->counters[BOARD_ALLOWED]);
	for (int i = 0; i < REFUSAL_COUNT; i++)
		out->refused[i] = board_get(&b->refused[i]);
}

void minute_step(struct minute *m)
{
	take(m->board, &m->samples[m->next]);
	m->next = (m->next + 1) % MINUTE_SAMPLES;
	if (m->count < MINUTE_SAMPLES)
		m->count++;
}

void minute_init(struct minute *m, const struct board *board)
{
	*m = (struct minute){.board = board};
	minute_step(m);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	minute_step(timer->data);
}

void minute_start(struct minute *m, struct ev_loop *loop)
{
	ev_timer_init(&m->timer, on_timer, MINUTE_STEP_S, MINUTE_STEP_S);
	m->timer.data = m;
	ev_timer_start(loop, &m->timer);
}

void minute_read(const struct minute *m, struct minute_sample *ret)
{
	const struct minute_sample *oldest = &m->samples[m->count < MINUTE_SAMPLES ? 0 : m->next];

	take(m->board, ret);
	ret->allowed -= oldest->allowed;
	for (int i = 0; i < REFUSAL_COUNT; i++)
		ret->refused[i] -= oldest->refused[i];
}
