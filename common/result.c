#include "common/result.h"

#include "common/limittext.h"
#include "common/num.h"
#include "common/provider.h"

/*
 * HAProxy's manual, "Session state at disconnection": which side ended the session, in which phase. From
 * the data phase on the status is the upstream's; before, it is HAProxy's own.
 */
#define ANSWERED "-CcSsPDKU", "-DL"
#define ENDED_WELL "-Ss", "-L"
#define IN_ANY_PHASE NULL

enum flag {
	KNOWN_CLASS = 0,
	CONNECT = 1,  /* no connection */
	FALLBACK = 2, /* an unknown response: the most harmless class */
};

struct row {
	unsigned first, last; /* statuses */
	const char *who;
	const char *phase; /* NULL = any */
	enum result_class class;
	unsigned flags;
};

/* Read if no row of the provider matches. The first matching row decides. */
static const struct row rows[] = {
	{429, 429, ANSWERED, RESULT_BURST, KNOWN_CLASS},
	{401, 401, ANSWERED, RESULT_AUTH, KNOWN_CLASS},
	{403, 403, ANSWERED, RESULT_DENIED, KNOWN_CLASS},
	{400, 400, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{404, 406, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{408, 409, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{411, 417, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{422, 422, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{426, 426, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{431, 431, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS},
	{503, 503, ANSWERED, RESULT_OVERLOAD, KNOWN_CLASS},
	{529, 529, ANSWERED, RESULT_OVERLOAD, KNOWN_CLASS},
	{500, 504, ANSWERED, RESULT_SERVER, KNOWN_CLASS},
	{520, 527, ANSWERED, RESULT_SERVER, KNOWN_CLASS}, /* Cloudflare's, of the origin */
	{400, 499, ANSWERED, RESULT_PAYLOAD, FALLBACK},
	{500, 599, ANSWERED, RESULT_SERVER, FALLBACK},

	{200, 399, ENDED_WELL, RESULT_SUCCESS, KNOWN_CLASS},
	/* A tunnel always ends because one side disconnects. */
	{101, 101, "-Ss", "-DL", RESULT_SUCCESS, KNOWN_CLASS},

	{0, 999, "Cc", IN_ANY_PHASE, RESULT_CLIENT, KNOWN_CLASS},
	{0, 999, "Ss", "C", RESULT_NETWORK, CONNECT},
	{0, 999, "SsP", "HD", RESULT_NETWORK, KNOWN_CLASS},
	/* HAProxy generated the response or ended the stream: not the account's fault. */
	{0, 999, "LPRIDKU", IN_ANY_PHASE, RESULT_PAYLOAD, KNOWN_CLASS},
	{0, 999, "Ss", "Q", RESULT_PAYLOAD, KNOWN_CLASS}, /* nor is a timeout in HAProxy's queue */
};

static bool has_letter(const char *letters, char letter)
{
	return !letters || (letter && strchr(letters, letter));
}

static bool row_fits(const struct row *r, const struct result_answer *a)
{
	if (a->status < r->first || a->status > r->last)
		return false;
	return has_letter(r->who, a->termination[0]) && has_letter(r->phase, a->termination[1]);
}

/* The upstream's response, if HAProxy replaced it. */
static struct result_answer answer_of_upstream(const struct result_answer *a)
{
	uint64_t status;

	if (a->termination[0] != 'L')
		return *a;
	if (num_parse_u64(limittext_value(a->limits, RESULT_STATUS), 999, &status))
		return *a;
	return (struct result_answer){(unsigned)status, "--", a->limits};
}

/* --- rows of the provider --- */

static int64_t ahead(int64_t end_ms, int64_t now_ms)
{
	return end_ms > now_ms ? end_ms : 0;
}

static bool has_word(const struct provider_result *r, struct slice limits)
{
	struct slice value = limittext_value(limits, r->key);

	if (r->is_part)
		return value.n && memmem(value.p, value.n, r->word, strlen(r->word));
	return slice_eq_str(value, r->word);
}

/* 0: the end is absent, so the row does not match. */
static int64_t end_of_window(const struct provider_result *r, struct slice limits, int64_t now_ms)
{
	if (!r->end)
		return now_ms + RESULT_QUOTA_MS;
	int64_t end_ms = ahead(limittext_end(limits, r->end, now_ms), now_ms);
	if (end_ms == 0 && r->end_too)
		end_ms = ahead(limittext_end(limits, r->end_too, now_ms), now_ms);
	return end_ms;
}

static int64_t end_of_fullest(const struct provider *p, struct slice limits, int64_t now_ms)
{
	struct limittext_use use;

	if (!limittext_fullest(limits, p, now_ms, &use))
		return 0;
	return use.used == LIMITTEXT_FULL ? use.until_ms : 0;
}

static bool provider_row_fits(const struct provider *p, const struct provider_result *r,
	const struct result_answer *a, int64_t now_ms, int64_t *ret_until_ms)
{
	*ret_until_ms = 0;
	if (a->status != r->status || (r->key && !has_word(r, a->limits)))
		return false;
	if (r->class != RESULT_WINDOW)
		return true;
	*ret_until_ms =
		r->key ? end_of_window(r, a->limits, now_ms) : end_of_fullest(p, a->limits, now_ms);
	return *ret_until_ms != 0;
}

static bool was_answered(const struct result_answer *a)
{
	static const struct row answered = {0, 999, ANSWERED, RESULT_PAYLOAD, KNOWN_CLASS};

	return row_fits(&answered, a);
}

static bool classify_by_provider(
	const struct provider *p, const struct result_answer *a, int64_t now_ms, struct result *ret)
{
	int64_t until_ms;

	for (const struct provider_result *r = p->results; r && r->status; r++) {
		if (!was_answered(a) || !provider_row_fits(p, r, a, now_ms, &until_ms))
			continue;
		ret->class = r->class;
		ret->known = true;
		ret->until_ms = until_ms;
		return true;
	}
	return false;
}

bool result_has_foreign_state(const struct provider *p, const struct result_answer *a)
{
	for (const struct provider_result *r = p->foreign_state; r && r->status; r++) {
		if (was_answered(a) && a->status == r->status && has_word(r, a->limits))
			return true;
	}
	return false;
}

static void classify_by_status(const struct result_answer *a, struct result *ret)
{
	ret->class = RESULT_PAYLOAD;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!row_fits(&rows[i], a))
			continue;
		ret->class = rows[i].class;
		ret->known = !(rows[i].flags & FALLBACK);
		ret->connect = rows[i].flags & CONNECT;
		return;
	}
}

/* A stream with a good status whose first event is an error, however it ended. */
static bool classify_by_event(
	const struct provider *p, const struct result_answer *a, struct result *ret)
{
	struct slice words = limittext_value(a->limits, RESULT_EVENT);

	if (a->status >= 400 || words.n == 0)
		return false;
	ret->class = RESULT_PAYLOAD;
	for (const struct provider_event *e = p->events; e && e->word; e++) {
		if (!memmem(words.p, words.n, e->word, strlen(e->word)))
			continue;
		ret->class = e->class;
		ret->known = true;
		break;
	}
	return true;
}

static bool tells_when_to_retry(const struct result *r)
{
	return r->class == RESULT_BURST || r->class == RESULT_OVERLOAD;
}

void result_classify(
	const struct provider *p, const struct result_answer *a, int64_t now_ms, struct result *ret)
{
	struct result_answer answer = answer_of_upstream(a);
	struct limittext_use use;

	*ret = (struct result){0};
	if (!classify_by_event(p, &answer, ret) && !classify_by_provider(p, &answer, now_ms, ret))
		classify_by_status(&answer, ret);
	if (tells_when_to_retry(ret))
		ret->until_ms = limittext_retry(a->limits, p, now_ms);
	if (!limittext_fullest(a->limits, p, now_ms, &use))
		return;
	ret->has_used = true;
	ret->used = use.used;
	ret->used_until_ms = use.until_ms;
}

const char *result_class_name(enum result_class c)
{
	static const char *const names[RESULT_CLASS_COUNT] = {
		[RESULT_SUCCESS] = "success",
		[RESULT_BURST] = "burst",
		[RESULT_WINDOW] = "window",
		[RESULT_AUTH] = "auth",
		[RESULT_DENIED] = "denied",
		[RESULT_PAYLOAD] = "payload",
		[RESULT_OVERLOAD] = "overload",
		[RESULT_SERVER] = "server",
		[RESULT_NETWORK] = "network",
		[RESULT_CLIENT] = "client",
	};

	return names[c];
}

const struct provider_header *result_common_headers(void)
{
	static const struct provider_header headers[] = {
		{RESULT_RETRY, "retry-after"},
		{RESULT_RETRY_MS, "retry-after-ms"},
		{NULL, NULL},
	};

	return headers;
}
