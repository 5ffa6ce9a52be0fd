#include "agent/question.h"

#include "common/num.h"
#include "common/record.h"
#include "common/seam.h"
#include "common/target.h"

#include <errno.h>

#define FRAME_REST 1024 /* a frame without head, target and body: names, the other arguments */

static const struct slice names[SEAM_ARG_COUNT] = {
#define X(id, name, max) {name, sizeof(name) - 1},
	SEAM_DECIDE_ARGS(X)
#undef X
};

static bool find_arg(struct slice name, enum seam_arg *ret)
{
	for (unsigned i = 0; i < SEAM_ARG_COUNT; i++) {
		if (slice_eq(name, names[i])) {
			*ret = (enum seam_arg)i;
			return true;
		}
	}
	return false;
}

/* An absent argument leaves the field unchanged; any other value must fit. */
static void take_number(struct decide_request *r, const struct spoe_value *value, uint64_t *ret)
{
	int64_t number;
	int error = spoe_value_get_int(value, &number);

	if (error == -ENOENT)
		return;
	if (error || number < 0)
		request_blame(r, REFUSAL_BAD_REQUEST);
	else
		*ret = (uint64_t)number;
}

static void take_since(struct decide_request *r, const struct spoe_value *value)
{
	uint64_t since = 0;

	take_number(r, value, &since);
	r->since_ms = (int64_t)since;
}

/* A client may well have many cookies: it learns that they are too many. */
static enum refusal too_long(enum seam_arg arg)
{
	return arg == SEAM_ARG_HEAD ? REFUSAL_HEADERS_TOO_LARGE : REFUSAL_BAD_REQUEST;
}

static void take_bytes(struct decide_request *r, enum seam_arg arg, const struct spoe_value *value,
	struct slice *ret)
{
	struct slice text;
	int error = spoe_value_get_bytes(value, &text);

	if (error == -ENOENT)
		return;
	if (error)
		request_blame(r, REFUSAL_BAD_REQUEST);
	else if (text.n > seam_arg_max(arg))
		request_blame(r, too_long(arg));
	else
		*ret = text;
}

static void take_src(struct decide_request *r, const struct spoe_value *value)
{
	r->has_src = true;
	if (value->type == SPOE_TYPE_IPV4)
		r->src = ip_from_v4(value->ip);
	else if (value->type == SPOE_TYPE_IPV6)
		r->src = ip_from_v6(value->ip);
	else
		r->has_src = false;
}

static void take_id(struct decide_request *r, const struct spoe_value *value, bool *ret_found)
{
	struct slice text = {NULL, 0};

	if (spoe_value_get_bytes(value, &text) == 0 && record_parse_id(text, r->id) == 0)
		*ret_found = true;
}

static void take_account(struct question *q, const struct spoe_value *value)
{
	struct slice text = {NULL, 0};
	uint64_t id = 0;

	take_bytes(&q->request, SEAM_ARG_ACCOUNT, value, &text);
	if (text.n && num_parse_u64(text, UINT32_MAX, &id))
		request_blame(&q->request, REFUSAL_BAD_REQUEST);
	q->account = (uint32_t)id;
}

/* A longer body is cut: its end matters to nobody. */
static void take_body(struct decide_request *r, const struct spoe_value *value)
{
	struct slice text;

	if (spoe_value_get_bytes(value, &text) == 0)
		bodyname_find(slice_cut(text, SEAM_BODY_MAX), &r->body);
}

/* One name or two, as answer_write_name() wrote them. */
static void take_name(struct decide_request *r, const struct spoe_value *value)
{
	struct slice text = {NULL, 0};

	take_bytes(r, SEAM_ARG_NAME, value, &text);
	if (text.n >= BODYNAME_LEN)
		memcpy(r->body.name, text.p, BODYNAME_LEN);
	if (text.n == 2 * (size_t)BODYNAME_LEN)
		memcpy(r->body.message, text.p + BODYNAME_LEN, BODYNAME_LEN);
}

/* What the walk over the arguments finds, and what is read only after it. */
struct found {
	bool id, gen;
	struct slice head, target;
};

static void take(
	struct question *q, enum seam_arg arg, const struct spoe_value *value, struct found *found)
{
	struct decide_request *r = &q->request;

	switch (arg) {
	case SEAM_ARG_GEN:
		found->gen = value->type != SPOE_TYPE_NULL;
		take_number(r, value, &r->gen);
		break;
	case SEAM_ARG_WORKER:
		take_number(r, value, &r->worker);
		break;
	case SEAM_ARG_SECRET:
		take_bytes(r, arg, value, &q->secret);
		break;
	case SEAM_ARG_ID:
		take_id(r, value, &found->id);
		break;
	case SEAM_ARG_HEAD:
		take_bytes(r, arg, value, &found->head);
		break;
	case SEAM_ARG_METHOD:
		take_bytes(r, arg, value, &r->method);
		break;
	case SEAM_ARG_PATH:
		take_bytes(r, arg, value, &found->target);
		break;
	case SEAM_ARG_SRC:
		take_src(r, value);
		break;
	case SEAM_ARG_BODY:
		take_body(r, value);
		break;
	case SEAM_ARG_NAME:
		take_name(r, value);
		break;
	case SEAM_ARG_SINCE:
		take_since(r, value);
		break;
	case SEAM_ARG_STATUS:
		take_number(r, value, &q->status);
		break;
	case SEAM_ARG_LIMITS:
		take_bytes(r, arg, value, &q->limits);
		break;
	case SEAM_ARG_ACCOUNT:
		take_account(q, value);
		break;
	case SEAM_ARG_FAILED:
		take_bytes(r, arg, value, &r->failed);
		break;
	case SEAM_ARG_COUNT:
		break;
	}
}

static void take_target(struct decide_request *r, struct slice target)
{
	const char *query = target.n ? memchr(target.p, '?', target.n) : NULL;

	r->path = query ? (struct slice){target.p, (size_t)(query - target.p)} : target;
	if (r->path.n == 0 || r->path.p[0] != '/' || r->path.n > REQUEST_PATH_MAX ||
		target_has_parent(r->path)) {
		r->path = (struct slice){NULL, 0};
		request_blame(r, REFUSAL_BAD_REQUEST);
	} else if (target_has_key(target)) {
		request_blame(r, REFUSAL_MISPLACED_API_KEY);
	}
}

/* Whether HAProxy can send the question once more, with the body. */
static bool fits_with_body(
	const struct decide_request *r, const struct found *found, size_t frame_max)
{
	uint64_t body = r->length <= SEAM_BODY_MAX ? r->length : SEAM_BODY_MAX + 1;

	return found->head.n + found->target.n + body + FRAME_REST <= frame_max;
}

/* Files that an earlier version rendered send no head: HAProxy needs the new ones. */
static void take_client(
	struct question *q, const struct snapshot *s, const struct found *found, size_t frame_max)
{
	struct decide_request *r = &q->request;

	if (found->head.n == 0)
		request_blame(r, REFUSAL_AGENT_UNAVAILABLE);
	else
		request_read_head(r, found->head, s, q->digest);
	take_target(r, found->target);
	r->has_json = r->has_json && slice_eq_str(r->method, "POST") &&
		fits_with_body(r, found, frame_max);
}

void question_read(struct spoe_notify_walk *walk, bool is_client, const struct snapshot *s,
	size_t frame_max, struct question *ret)
{
	struct found found = {.id = false};
	struct spoe_arg arg;
	enum seam_arg which;

	*ret = (struct question){.secret = {NULL, 0}};
	while (spoe_notify_next_arg(walk, &arg)) {
		if (find_arg(arg.name, &which))
			take(ret, which, &arg.value, &found);
	}
	if (!found.id || !found.gen)
		request_blame(&ret->request, REFUSAL_BAD_REQUEST);
	if (is_client)
		take_client(ret, s, &found, frame_max);
}
