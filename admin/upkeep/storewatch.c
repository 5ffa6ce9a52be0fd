#include "admin/upkeep/storewatch.h"

#include "admin/control.h"
#include "admin/publish/publish.h"
#include "admin/store/notices.h"
#include "common/channel.h"
#include "common/log.h"

#include <errno.h>

#define LOOK_S 2.0
#define SUBJECT "store/store"

static void tell_agent(const struct control *c)
{
	const struct channel_message m = {
		.type = CHANNEL_STORE, .error = store_is_up(c->store) ? 0 : -EIO};

	/* no agent, or a busy one: the next look is soon */
	if (publish_fd(c->publish) >= 0)
		channel_send(publish_fd(c->publish), &m, NULL, 0);
}

static void look(struct storewatch *w)
{
	struct store *s = w->control->store;

	store_watch(s);
	bool down = !store_is_up(s);
	if (down && !w->was_down) {
		log_event(LOG_LEVEL_ERROR, "the store takes no changes",
			LOG_STR("reason", store_fault(s)));
		notices_raise(s, NOTICE_STORE_DOWN, SUBJECT, store_fault(s), NULL);
	}
	if (!down && w->was_down) {
		log_write(LOG_LEVEL_INFO, "the store takes changes again", NULL);
		notices_resolve(s, NOTICE_STORE_DOWN, SUBJECT, NULL);
	}
	w->was_down = down;
	tell_agent(w->control);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	look(timer->data);
}

void storewatch_start(struct storewatch *w, struct control *c)
{
	*w = (struct storewatch){.control = c};
	ev_timer_init(&w->timer, on_timer, LOOK_S, LOOK_S);
	w->timer.data = w;
	ev_timer_start(c->loop, &w->timer);
	look(w);
}

void storewatch_stop(struct storewatch *w)
{
	if (w->control)
		ev_timer_stop(w->control->loop, &w->timer);
}
