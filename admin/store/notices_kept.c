#include "admin/store/notices_kept.h"

#include "admin/store/statement.h"
#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept_notices {
	size_t count;
	struct kept_notice rows[NOTICES_KEPT_MAX];
};

static struct kept_notice *find(struct kept_notices *k, const char *kind, const char *subject)
{
	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->rows[i].kind, kind) == 0 && strcmp(k->rows[i].subject, subject) == 0)
			return &k->rows[i];
	return NULL;
}

static struct kept_notice *add(struct kept_notices *k, const char *kind, const char *subject)
{
	if (k->count == NOTICES_KEPT_MAX)
		return NULL;
	struct kept_notice *n = &k->rows[k->count++];
	*n = (struct kept_notice){.created_ms = clock_wall_ms()};
	snprintf(n->kind, sizeof(n->kind), "%s", kind);
	snprintf(n->subject, sizeof(n->subject), "%s", subject);
	return n;
}

void notices_kept_put(struct store *s, const char *kind, const char *subject, struct slice message)
{
	if (!s->kept)
		s->kept = calloc(1, sizeof(*s->kept));
	if (!s->kept)
		return;
	struct kept_notice *n = find(s->kept, kind, subject);
	if (!n) {
		n = add(s->kept, kind, subject);
		log_event(LOG_LEVEL_WARNING, "notice", LOG_STR("kind", kind),
			LOG_STR("subject", subject), LOG_SLICE("message", message));
	}
	if (!n)
		return;
	snprintf(n->message, sizeof(n->message), "%.*s", (int)message.n, message.p);
	n->count++;
	n->last_ms = clock_wall_ms();
}

void notices_kept_drop(struct store *s, const char *kind, const char *subject)
{
	struct kept_notices *k = s->kept;
	size_t left = 0;

	for (size_t i = 0; k && i < k->count; i++) {
		bool goes = strcmp(k->rows[i].subject, subject) == 0 &&
			(!kind || strcmp(k->rows[i].kind, kind) == 0);
		if (!goes)
			k->rows[left++] = k->rows[i];
	}
	if (k)
		k->count = left;
}

const struct kept_notice *notices_kept_rows(const struct store *s, size_t *ret_count)
{
	*ret_count = s->kept ? s->kept->count : 0;
	return s->kept ? s->kept->rows : NULL;
}

void notices_kept_store(struct store *s)
{
	while (s->kept && s->kept->count) {
		const struct kept_notice n = s->kept->rows[0];
		bool is_new;
		if (notices_store(s, n.kind, n.subject, n.message, &is_new, NULL))
			return;
		notices_kept_drop(s, n.kind, n.subject);
	}
}
