#include "admin/upkeep/usage_page.h"

#include "common/limittext.h"
#include "common/provider.h"
#include "common/timetext.h"

#include <errno.h>
#include <json-c/json.h>

#define UNIX_TIME_MAX_S 1e11 /* far beyond any sensible time; no product below overflows */

/* --- JSON --- */

static json_object *parse(struct slice body)
{
	struct json_tokener *t = json_tokener_new_ex(USAGE_PAGE_DEPTH);

	if (!t || !body.n) {
		json_tokener_free(t);
		return NULL;
	}
	json_object *o = json_tokener_parse_ex(t, body.p, (int)body.n);
	bool good = json_tokener_get_error(t) == json_tokener_success &&
		json_object_is_type(o, json_type_object);
	json_tokener_free(t);
	if (good)
		return o;
	json_object_put(o);
	return NULL;
}

/* The value at a dotted path; NULL if it is absent or null. */
static json_object *find(json_object *o, const char *path)
{
	struct slice rest = slice_from_str(path);
	struct slice part;
	char name[64];

	while (slice_next(&rest, '.', &part)) {
		if (!json_object_is_type(o, json_type_object) || part.n >= sizeof(name))
			return NULL;
		memcpy(name, part.p, part.n);
		name[part.n] = '\0';
		if (!json_object_object_get_ex(o, name, &o))
			return NULL;
	}
	return o;
}

static bool read_number(json_object *value, double max, double *ret)
{
	if (!json_object_is_type(value, json_type_int) &&
		!json_object_is_type(value, json_type_double))
		return false;
	*ret = json_object_get_double(value);
	return *ret >= 0 && *ret <= max; /* also false for not-a-number */
}

enum flag { FLAG_ABSENT, FLAG_NO, FLAG_YES };

/* False: the field is malformed. */
static bool read_flag(json_object *page, const char *path, enum flag *ret)
{
	json_object *value = path ? find(page, path) : NULL;

	*ret = FLAG_ABSENT;
	if (!value)
		return true;
	if (!json_object_is_type(value, json_type_boolean))
		return false;
	*ret = json_object_get_boolean(value) ? FLAG_YES : FLAG_NO;
	return true;
}

/* --- windows --- */

struct window {
	double used;	  /* 1 = full */
	int64_t until_ms; /* later than now; 0 = unknown or over */
};

/* False: the field is malformed. */
static bool read_time(json_object *value, int64_t *ret_ms)
{
	double seconds;

	if (json_object_is_type(value, json_type_string))
		return timetext_parse_rfc3339((struct slice){json_object_get_string(value),
						      (size_t)json_object_get_string_len(value)},
			       ret_ms) == 0;
	if (!read_number(value, UNIX_TIME_MAX_S, &seconds))
		return false;
	*ret_ms = (int64_t)(seconds * 1000);
	return true;
}

static bool read_window_end(
	const struct provider_page_window *w, json_object *o, int64_t now_ms, int64_t *ret_ms)
{
	json_object *end = find(o, w->end);
	json_object *left = !end && w->end_too ? find(o, w->end_too) : NULL;
	double seconds;
	int64_t ms = 0;

	if (end && !read_time(end, &ms))
		return false;
	if (left) {
		if (!read_number(left, UNIX_TIME_MAX_S, &seconds))
			return false;
		ms = now_ms + (int64_t)(seconds * 1000);
	}
	if (ms > now_ms + LIMITTEXT_AHEAD_MAX_MS)
		ms = now_ms + LIMITTEXT_AHEAD_MAX_MS;
	*ret_ms = ms > now_ms ? ms : 0;
	return true;
}

static bool read_window(
	const struct provider_page_window *w, json_object *o, int64_t now_ms, struct window *ret)
{
	double used;

	if (!json_object_is_type(o, json_type_object) ||
		!read_number(find(o, w->used), 2.0 * w->whole, &used))
		return false;
	ret->used = used / w->whole;
	return read_window_end(w, o, now_ms, &ret->until_ms);
}

/* --- the page --- */

struct reading {
	enum flag allowed, reached;
	bool is_full;	  /* a window is */
	bool is_endless;  /* a full window without an end */
	int64_t until_ms; /* the last end of a full window */
	size_t count;
	struct window fullest;
};

static void take_window(struct reading *r, const struct window *w)
{
	bool fuller = w->used > r->fullest.used ||
		(w->used == r->fullest.used && w->until_ms > r->fullest.until_ms);

	if (r->count++ == 0 || fuller)
		r->fullest = *w;
	if (w->used < 1)
		return;
	r->is_full = true;
	r->is_endless = r->is_endless || !w->until_ms;
	if (w->until_ms > r->until_ms)
		r->until_ms = w->until_ms;
}

static bool read_page(
	const struct provider_page *p, json_object *page, int64_t now_ms, struct reading *r)
{
	if (!read_flag(page, p->allowed, &r->allowed) || !read_flag(page, p->reached, &r->reached))
		return false;
	for (const struct provider_page_window *w = p->windows; w->path; w++) {
		json_object *o = find(page, w->path);
		struct window window;
		if (!o)
			continue;
		if (!read_window(w, o, now_ms, &window))
			return false;
		take_window(r, &window);
	}
	return r->count > 0;
}

static struct usage_page judge(const struct reading *r)
{
	struct usage_page page = {
		.used = r->fullest.used >= 1 ? LIMITTEXT_FULL
					     : (uint16_t)(r->fullest.used * LIMITTEXT_FULL),
		.used_until_ms = r->fullest.until_ms,
	};

	bool told = r->allowed != FLAG_ABSENT || r->reached != FLAG_ABSENT;
	bool reached = r->allowed == FLAG_NO || r->reached == FLAG_YES || (!told && r->is_full);

	if (!reached && !r->is_full) {
		page.verdict = USAGE_PAGE_FREE;
	} else if (reached && r->is_full && !r->is_endless) {
		page.verdict = USAGE_PAGE_FULL;
		page.until_ms = r->until_ms;
	}
	return page;
}

int usage_page_read(
	const struct provider_page *p, struct slice body, int64_t now_ms, struct usage_page *ret)
{
	struct reading r = {0};
	json_object *page = p->places ? parse(body) : NULL;
	bool good = page && read_page(p, page, now_ms, &r);

	json_object_put(page);
	if (!good)
		return -EBADMSG;
	*ret = judge(&r);
	return 0;
}
