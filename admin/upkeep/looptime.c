#include "admin/upkeep/looptime.h"

#include "common/clock.h"
#include "common/log.h"

#include <time.h>

#define LONG_NS ((int64_t)50 * 1000000)

double looptime_bound(size_t bucket)
{
	static const double bounds[LOOPTIME_BUCKETS - 1] = {
		0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10};

	return bounds[bucket];
}

/* Of this thread: what a turn worked, apart from what it waited for the disk or another process. */
static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void count(struct looptime *t, int64_t ns)
{
	size_t i = 0;

	while (i < LOOPTIME_BUCKETS - 1 && (double)ns > looptime_bound(i) * 1e9)
		i++;
	board_add(&t->histogram.buckets[i], 1);
	board_add(&t->histogram.sum_us, (uint64_t)ns / 1000);
	if (ns > LONG_NS)
		log_event(LOG_LEVEL_DEBUG, "control's loop was busy for long",
			LOG_INT("ms", ns / 1000000),
			LOG_INT("cpu_ms", (cpu_ns() - t->begun_cpu_ns) / 1000000));
}

static void on_woken(struct ev_loop *loop, ev_check *w, int events)
{
	struct looptime *t = w->data;

	(void)loop;
	(void)events;
	t->begun_ns = clock_monotonic_ns();
	t->begun_cpu_ns = cpu_ns();
}

static void on_waits(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct looptime *t = w->data;

	(void)loop;
	(void)events;
	if (t->begun_ns)
		count(t, clock_monotonic_ns() - t->begun_ns);
	t->begun_ns = 0;
}

/* The first of all that is woken, the last of all before the loop waits. */
void looptime_start(struct looptime *t, struct ev_loop *loop)
{
	*t = (struct looptime){.loop = loop};
	ev_check_init(&t->woken, on_woken);
	ev_prepare_init(&t->waits, on_waits);
	ev_set_priority(&t->woken, EV_MAXPRI);
	ev_set_priority(&t->waits, EV_MINPRI);
	t->woken.data = t->waits.data = t;
	ev_check_start(loop, &t->woken);
	ev_prepare_start(loop, &t->waits);
}

void looptime_stop(struct looptime *t)
{
	ev_check_stop(t->loop, &t->woken);
	ev_prepare_stop(t->loop, &t->waits);
}
