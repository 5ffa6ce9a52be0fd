#include "common/result.h"

#include "common/limittext.h"
#include "common/num.h"

#define OF(p) (1u << PROVIDER_##p)
#define ANY 0u
#define LIKE_OPENAI (OF(OPENAI) | OF(CODEX) | OF(GENERIC))

/*
 * HAProxy's manual, "Session state at disconnection": which side ended the session, in which phase. From
 * the data phase on the status is the upstream's; before, it is HAProxy's own.
 */
#define ANSWERED "-CcSsPDKU", "-DL"
#define ENDED_WELL "-Ss", "-L"
#define IN_ANY_PHASE NULL

enum flag {
	CONNECT = 1,  /* no connection */
	FALLBACK = 2, /* an unknown response: the most harmless class */
};

struct row {
	unsigned providers;
	unsigned first, last; /* statuses */
	const char *who;
	const char *phase; /* NULL = any */
	int64_t (*window)(
		struct slice limits, int64_t now_ms); /* must find an end; NULL = matches */
	enum result_class class;
	unsigned flags;
};

static bool has_type(struct slice limits, const char *type)
{
	return slice_eq_str(limittext_value(limits, RESULT_BODY_TYPE), type);
}

static int64_t ahead(int64_t end_ms, int64_t now_ms)
{
	return end_ms > now_ms ? end_ms : 0;
}

/* Codex's body for an exhausted plan. */
static int64_t told_by_body(struct slice limits, int64_t now_ms)
{
	if (!has_type(limits, "usage_limit_reached"))
		return 0;
	int64_t end_ms = ahead(limittext_end(limits, RESULT_BODY_RESETS_AT, now_ms), now_ms);
	if (end_ms)
		return end_ms;
	return ahead(limittext_end(limits, RESULT_BODY_RESETS_IN, now_ms), now_ms);
}

static int64_t told_by_percentage(struct slice limits, int64_t now_ms)
{
	struct limittext_use use;

	if (!limittext_fullest(limits, PROVIDER_CODEX, now_ms, &use))
		return 0;
	return use.used == LIMITTEXT_FULL ? use.until_ms : 0;
}

static int64_t told_by_unified_status(struct slice limits, int64_t now_ms)
{
	if (!slice_eq_str(limittext_value(limits, "aus"), "rejected"))
		return 0;
	return ahead(limittext_end(limits, "aur", now_ms), now_ms);
}

/* A plan or a budget is exhausted, without an end. */
static int64_t quota_without_end(struct slice limits, int64_t now_ms)
{
	static const char *const types[] = {
		"insufficient_quota",
		"usage_limit_reached",
		"usage_not_included",
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (has_type(limits, types[i]))
			return now_ms + RESULT_QUOTA_MS;
	}
	return 0;
}

/* The first matching row decides. */
static const struct row rows[] = {
	{LIKE_OPENAI, 429, 429, ANSWERED, told_by_body, RESULT_WINDOW, 0},
	{OF(CODEX), 429, 429, ANSWERED, told_by_percentage, RESULT_WINDOW, 0},
	{LIKE_OPENAI, 429, 429, ANSWERED, quota_without_end, RESULT_WINDOW, 0},
	{OF(ANTHROPIC), 429, 429, ANSWERED, told_by_unified_status, RESULT_WINDOW, 0},
	{ANY, 429, 429, ANSWERED, NULL, RESULT_BURST, 0},
	{ANY, 401, 401, ANSWERED, NULL, RESULT_AUTH, 0},
	{ANY, 403, 403, ANSWERED, NULL, RESULT_DENIED, 0},
	{ANY, 400, 400, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 404, 406, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 408, 409, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 411, 417, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 422, 422, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 426, 426, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 431, 431, ANSWERED, NULL, RESULT_PAYLOAD, 0},
	{ANY, 503, 503, ANSWERED, NULL, RESULT_OVERLOAD, 0},
	{ANY, 529, 529, ANSWERED, NULL, RESULT_OVERLOAD, 0},
	{ANY, 500, 504, ANSWERED, NULL, RESULT_SERVER, 0},
	{ANY, 520, 527, ANSWERED, NULL, RESULT_SERVER, 0}, /* Cloudflare's, of the origin */
	{ANY, 400, 499, ANSWERED, NULL, RESULT_PAYLOAD, FALLBACK},
	{ANY, 500, 599, ANSWERED, NULL, RESULT_SERVER, FALLBACK},

	{ANY, 200, 399, ENDED_WELL, NULL, RESULT_SUCCESS, 0},
	/* A tunnel always ends because one side disconnects. */
	{ANY, 101, 101, "-Ss", "-DL", NULL, RESULT_SUCCESS, 0},

	{ANY, 0, 999, "Cc", IN_ANY_PHASE, NULL, RESULT_CLIENT, 0},
	{ANY, 0, 999, "Ss", "C", NULL, RESULT_NETWORK, CONNECT},
	{ANY, 0, 999, "SsP", "HD", NULL, RESULT_NETWORK, 0},
	/* HAProxy generated the response or ended the stream: not the account's fault. */
	{ANY, 0, 999, "LPRIDKU", IN_ANY_PHASE, NULL, RESULT_PAYLOAD, 0},
	{ANY, 0, 999, "Ss", "Q", NULL, RESULT_PAYLOAD, 0}, /* nor is a timeout in HAProxy's queue */
};

static bool has_letter(const char *letters, char letter)
{
	return !letters || (letter && strchr(letters, letter));
}

static bool row_fits(const struct row *r, enum provider p, const struct result_answer *a)
{
	if (r->providers != ANY && !(r->providers & (1u << p)))
		return false;
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

static void classify(
	enum provider p, const struct result_answer *a, int64_t now_ms, struct result *ret)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		if (!row_fits(r, p, a))
			continue;
		int64_t end_ms = r->window ? r->window(a->limits, now_ms) : 0;
		if (r->window && end_ms == 0)
			continue;
		ret->class = r->class;
		ret->known = !(r->flags & FALLBACK);
		ret->connect = r->flags & CONNECT;
		ret->until_ms = end_ms;
		return;
	}
	ret->class = RESULT_PAYLOAD;
}

void result_classify(
	enum provider p, const struct result_answer *a, int64_t now_ms, struct result *ret)
{
	struct result_answer answer = answer_of_upstream(a);
	struct limittext_use use;

	*ret = (struct result){0};
	classify(p, &answer, now_ms, ret);
	if (ret->class == RESULT_BURST)
		ret->until_ms = limittext_retry(a->limits, now_ms);
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

const struct result_header *result_headers(enum provider p)
{
#define ROW(key, header) {key, header},
	static const struct result_header codex[] = {
		RESULT_HEADERS_COMMON(ROW) RESULT_HEADERS_CODEX(ROW){NULL, NULL}};
	static const struct result_header anthropic[] = {
		RESULT_HEADERS_COMMON(ROW) RESULT_HEADERS_ANTHROPIC(ROW){NULL, NULL}};
	static const struct result_header openai[] = {
		RESULT_HEADERS_COMMON(ROW) RESULT_HEADERS_OPENAI(ROW){NULL, NULL}};
#undef ROW
	static const struct result_header *const families[PROVIDER_COUNT] = {
		[PROVIDER_OPENAI] = openai,
		[PROVIDER_CODEX] = codex,
		[PROVIDER_ANTHROPIC] = anthropic,
		[PROVIDER_GENERIC] = openai,
	};

	return families[p];
}
