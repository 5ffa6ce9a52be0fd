#include "agent/keeper/watch.h"

void watch_start(struct watch *w, int64_t limit_ms, int64_t now_ms)
{
	*w = (struct watch){
		.limit_ms = limit_ms, .looked_ms = now_ms, .asked_ms = now_ms, .is_asked = true};
}

void watch_serve(struct watch *w, int64_t limit_ms)
{
	w->limit_ms = limit_ms;
	w->silent_ms = 0;
	w->is_asked = false;
}

int64_t watch_due(const struct watch *w)
{
	return w->looked_ms + WATCH_LOOK_MS;
}

static int64_t counted_ms(int64_t used_ms, bool is_runnable)
{
	if (!is_runnable || used_ms > WATCH_LOOK_MS)
		return WATCH_LOOK_MS;
	return used_ms > 0 ? used_ms : 0;
}

enum watch_step watch_look(struct watch *w, int64_t now_ms, const struct watch_sample *s)
{
	int64_t used_ms = s->cpu_ms - w->cpu_ms;

	if (now_ms < watch_due(w))
		return WATCH_NOTHING;
	w->looked_ms = now_ms;
	w->cpu_ms = s->cpu_ms;
	if (!w->is_asked) {
		w->is_asked = true;
		w->number++;
		w->asked_ms = now_ms;
		w->silent_ms = 0;
		return WATCH_ASK;
	}
	w->silent_ms += counted_ms(used_ms, s->is_runnable);
	return w->silent_ms >= w->limit_ms ? WATCH_HUNG : WATCH_NOTHING;
}

void watch_answer(struct watch *w, uint64_t number)
{
	if (!w->is_asked || !w->number || number != w->number)
		return;
	w->is_asked = false;
	w->silent_ms = 0;
}
