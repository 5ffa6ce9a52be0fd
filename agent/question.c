#include "agent/question.h"

#include "common/num.h"
#include "common/record.h"
#include "common/seam.h"

#include <errno.h>

static bool find_arg(struct slice name, enum seam_arg *ret)
{
	for (unsigned i = 0; i < SEAM_ARG_COUNT; i++) {
		if (slice_eq_str(name, seam_arg_name((enum seam_arg)i))) {
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
		r->malformed = true;
	else
		*ret = (uint64_t)number;
}

static void take_since(struct decide_request *r, const struct spoe_value *value)
{
	uint64_t since = 0;

	take_number(r, value, &since);
	r->since_ms = (int64_t)since;
}

static void take_bytes(struct decide_request *r, enum seam_arg arg, const struct spoe_value *value,
	struct slice *ret)
{
	int error = spoe_value_get_bytes(value, ret);

	if (error == -ENOENT)
		return;
	if (error || ret->n > seam_arg_max(arg)) {
		r->malformed = true;
		*ret = (struct slice){NULL, 0};
	}
}

static void take_flag(struct decide_request *r, const struct spoe_value *value, bool *ret)
{
	if (value->type == SPOE_TYPE_BOOL)
		*ret = value->flag;
	else if (value->type != SPOE_TYPE_NULL)
		r->malformed = true;
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
		q->request.malformed = true;
	q->account = (uint32_t)id;
}

struct needed {
	bool id;
	bool gen;
};

/* Where plain texts go; unused ones are checked too. */
static struct slice *text_of(struct question *q, enum seam_arg arg, struct slice *ignored)
{
	struct decide_request *r = &q->request;
	struct slice *const texts[SEAM_ARG_COUNT] = {
		[SEAM_ARG_SECRET] = &q->secret,
		[SEAM_ARG_KEY] = &r->key,
		[SEAM_ARG_AUTH] = &r->auth,
		[SEAM_ARG_STICKY] = &r->sticky,
		[SEAM_ARG_METHOD] = &r->method,
		[SEAM_ARG_PATH] = &r->path,
		[SEAM_ARG_HOST] = ignored,
		[SEAM_ARG_LIMITS] = &q->limits,
		[SEAM_ARG_FAILED] = &r->failed,
	};

	return texts[arg];
}

static uint64_t *number_of(struct question *q, enum seam_arg arg)
{
	struct decide_request *r = &q->request;
	uint64_t *const numbers[SEAM_ARG_COUNT] = {
		[SEAM_ARG_GEN] = &r->gen,
		[SEAM_ARG_NKEYS] = &r->key_lines,
		[SEAM_ARG_NAUTH] = &r->auth_lines,
		[SEAM_ARG_LEN] = &r->length,
		[SEAM_ARG_STATUS] = &q->status,
	};

	return numbers[arg];
}

static void take(
	struct question *q, enum seam_arg arg, const struct spoe_value *value, struct needed *found)
{
	struct decide_request *r = &q->request;
	struct slice ignored = {NULL, 0};
	struct slice *text = text_of(q, arg, &ignored);
	uint64_t *number = number_of(q, arg);

	if (text)
		take_bytes(r, arg, value, text);
	if (number)
		take_number(r, value, number);
	if (arg == SEAM_ARG_GEN)
		found->gen = value->type != SPOE_TYPE_NULL;
	else if (arg == SEAM_ARG_ID)
		take_id(r, value, &found->id);
	else if (arg == SEAM_ARG_HARD)
		take_flag(r, value, &r->hard);
	else if (arg == SEAM_ARG_WS)
		take_flag(r, value, &r->websocket);
	else if (arg == SEAM_ARG_SRC)
		take_src(r, value);
	else if (arg == SEAM_ARG_SINCE)
		take_since(r, value);
	else if (arg == SEAM_ARG_ACCOUNT)
		take_account(q, value);
}

void question_read(struct spoe_notify_walk *walk, bool with_path, struct question *ret)
{
	struct needed found = {false, false};
	struct spoe_arg arg;
	enum seam_arg which;

	*ret = (struct question){.secret = {NULL, 0}};
	while (spoe_notify_next_arg(walk, &arg)) {
		if (find_arg(arg.name, &which))
			take(ret, which, &arg.value, &found);
	}
	if (!found.id || !found.gen)
		ret->request.malformed = true;
	if (with_path && (ret->request.path.n == 0 || ret->request.path.p[0] != '/'))
		ret->request.malformed = true;
}
