#include "admin/upkeep/refresh_reply.h"

#include "admin/store/credential.h"
#include "admin/upkeep/jwt.h"
#include "admin/upkeep/refresh_body.h"
#include "admin/upkeep/refresh_fields.h"
#include "common/provider.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPIRES_IN_MAX_S ((int64_t)10 * 365 * 86400)
#define NUMBER_SIZE 32

/* --- fields --- */

enum field { ACCESS_TOKEN, REFRESH_TOKEN, ID_TOKEN, EXPIRES_IN, ERROR, CODE, TYPE, FIELD_COUNT };

struct found {
	struct refresh_field fields[FIELD_COUNT];
};

static bool is_better(const struct refresh_field *now, const struct refresh_field *known)
{
	bool had_text = known->kind == REFRESH_FIELD_TEXT && known->value.n;

	return !had_text || (now->kind == REFRESH_FIELD_TEXT && now->value.n);
}

/* Of several fields with one name the last one counts, unless only an earlier one has a text. */
static void take_field(void *context, const struct refresh_field *f)
{
	static const char *const names[FIELD_COUNT] = {[ACCESS_TOKEN] = "access_token",
		[REFRESH_TOKEN] = "refresh_token",
		[ID_TOKEN] = "id_token",
		[EXPIRES_IN] = "expires_in",
		[ERROR] = "error",
		[CODE] = "code",
		[TYPE] = "type"};
	struct found *found = context;

	for (int i = 0; i < FIELD_COUNT; i++)
		if (slice_eq_str(f->name, names[i]) && is_better(f, &found->fields[i]))
			found->fields[i] = *f;
}

static bool is_null(const struct refresh_field *f)
{
	return f->kind == REFRESH_FIELD_ABSENT || slice_eq_str(f->value, "null");
}

/* --- tokens --- */

/* A blank or a line break around a token that goes into a header cannot be meant. */
static struct slice text_of(const struct refresh_field *f, enum credential_field field)
{
	if (f->kind != REFRESH_FIELD_TEXT || !slice_trim(f->value).n)
		return (struct slice){NULL, 0};
	return field == CREDENTIAL_REFRESH_TOKEN ? f->value : slice_trim(f->value);
}

/* An empty result has a reason in `why`. A token that is not given is one, too. */
static struct slice usable(
	const struct refresh_field *f, enum credential_field field, struct errtext *why)
{
	const struct slice none = {NULL, 0};
	struct slice s = text_of(f, field);
	struct errtext e = {""};

	if (s.n && credential_check(field, s, &e) == 0)
		return s;
	if (s.n)
		errtext_set(why, 0, "%s", e.text);
	else if (is_null(f) || f->kind == REFRESH_FIELD_TEXT)
		errtext_set(why, 0, "%s is missing", credential_field_name(field));
	else
		errtext_set(why, 0, "%s is not a valid string", credential_field_name(field));
	return none;
}

static int64_t seconds_of(const struct refresh_field *f)
{
	char text[NUMBER_SIZE];
	struct slice s = slice_cut(f->value, sizeof(text) - 1);

	snprintf(text, sizeof(text), "%.*s", (int)s.n, s.p ? s.p : "");
	double seconds = strtod(text, NULL);
	return seconds >= 1 && seconds <= (double)EXPIRES_IN_MAX_S ? (int64_t)seconds : 0;
}

static int64_t made_ms(const struct refresh_raw *raw)
{
	int64_t took_ms = raw->arrived_ms - raw->sent_ms;

	return raw->sent_ms && took_ms >= 0 && took_ms <= REFRESH_REPLY_AGE_MAX_MS
		? raw->sent_ms
		: raw->arrived_ms;
}

static int64_t expiry(
	const struct found *found, struct slice access_token, const struct refresh_raw *raw)
{
	int64_t ms;

	if (jwt_expiry(access_token, &ms, NULL) == 0)
		return ms;
	int64_t seconds = seconds_of(&found->fields[EXPIRES_IN]);
	return seconds ? made_ms(raw) + seconds * 1000 : 0;
}

/* A fault of a refresh token that is there; the old one stays. */
static void note_refresh_token(struct refresh_reply *r, const struct found *found)
{
	struct errtext why = {""};
	const struct refresh_field *f = &found->fields[REFRESH_TOKEN];

	r->refresh_token = usable(f, CREDENTIAL_REFRESH_TOKEN, &why);
	if (!r->refresh_token.n && !is_null(f) && !(f->kind == REFRESH_FIELD_TEXT && !f->value.n))
		errtext_set(&r->fault, 0, "the new refresh token cannot be used: %s", why.text);
}

static void take_tokens(
	struct refresh_reply *r, const struct found *found, const struct refresh_raw *raw)
{
	struct errtext unused;

	note_refresh_token(r, found);
	r->id_token = usable(&found->fields[ID_TOKEN], CREDENTIAL_ID_TOKEN, &unused);
	struct errtext why = {""};
	r->access_token = usable(&found->fields[ACCESS_TOKEN], CREDENTIAL_ACCESS_TOKEN, &why);
	if (!r->access_token.n) {
		r->fault = why;
		return;
	}
	r->expires_ms = expiry(found, r->access_token, raw);
	if (r->expires_ms && r->expires_ms <= raw->arrived_ms)
		errtext_set(&r->fault, 0, "the access token had expired when it came");
}

static bool is_known_encoding(const char *encoding)
{
	static const char *const known[] = {"", "identity", "gzip", "x-gzip", "deflate"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_eq_nocase(slice_from_str(encoding), slice_from_str(known[i])))
			return true;
	return false;
}

static bool is_plain(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == ':';
}

static void print_word(struct slice s, char *out)
{
	size_t n = slice_cut(s, REFRESH_CODE_SIZE - 1).n;

	for (size_t i = 0; i < n; i++)
		out[i] = is_plain(s.p[i]) ? s.p[i] : '_';
	out[n] = '\0';
}

/* A success without a token: what is wrong with the reply as a whole. */
static void explain(
	struct refresh_reply *r, const struct refresh_raw *raw, enum refresh_fields_end end)
{
	char encoding[REFRESH_CODE_SIZE];

	print_word(slice_from_str(raw->encoding), encoding);
	if (!raw->body.n)
		errtext_set(&r->fault, 0, "the reply is empty");
	else if (end == REFRESH_FIELDS_NONE && !is_known_encoding(raw->encoding))
		errtext_set(&r->fault, 0,
			"the reply came in the encoding \"%s\", which cannot be read", encoding);
	else if (end == REFRESH_FIELDS_NONE)
		errtext_set(&r->fault, 0, "the reply is not a JSON object");
	else if (end == REFRESH_FIELDS_CUT && r->text.len >= REFRESH_BODY_MAX)
		errtext_set(&r->fault, 0, "the reply is longer than %zu bytes", REFRESH_BODY_MAX);
	else if (end == REFRESH_FIELDS_CUT)
		errtext_set(&r->fault, 0, "the reply is cut off");
}

/* --- errors --- */

/* RFC 6749, 5.2, and the codes of providers. */
static const char *find_fatal(struct slice code)
{
	static const char invalid_grant[] = "invalid_grant";

	if (slice_eq_str(code, invalid_grant))
		return invalid_grant;
	for (size_t i = 0; i < provider_count(); i++) {
		const char *const *fatal = provider_at(i)->login_errors;
		for (; fatal && *fatal; fatal++) {
			if (slice_eq_str(code, *fatal))
				return *fatal;
		}
	}
	return "";
}

static void take_code(struct refresh_reply *r, const struct refresh_field *f)
{
	if (f->kind != REFRESH_FIELD_TEXT || !f->value.n)
		return;
	if (!*r->reason)
		r->reason = find_fatal(f->value);
	if (!*r->code || *r->reason)
		print_word(f->value, r->code);
}

/* {"error": "CODE"}, {"error": {"code": "CODE"}}, {"error": {"type": "CODE"}} or {"code": "CODE"}. */
static void take_codes(struct refresh_reply *r, const struct found *found)
{
	const struct refresh_field *error = &found->fields[ERROR];
	struct found inner = {0};

	take_code(r, error);
	if (error->kind == REFRESH_FIELD_NESTED)
		refresh_fields_read(r->text.data + (error->value.p - r->text.data), error->value.n,
			take_field, &inner);
	if (!*r->reason)
		take_code(r, &inner.fields[CODE]);
	if (!*r->reason)
		take_code(r, &inner.fields[TYPE]);
	if (!*r->reason)
		take_code(r, &found->fields[CODE]);
}

static bool may_have_been_used(unsigned status)
{
	return status < 200 || status >= 500 || status == 408 || status == 425;
}

/* RFC 6749 uses 400 and 401; a success with an error in it comes from hosts that always answer 200. */
static bool may_reject(unsigned status)
{
	return status < 300 || status == 400 || status == 401 || status == 403;
}

static enum refresh_outcome judge_error(
	struct refresh_reply *r, const struct found *found, unsigned status)
{
	take_codes(r, found);
	if (*r->code)
		errtext_set(&r->fault, 0, "status %u, %s", status, r->code);
	else
		errtext_set(&r->fault, 0, "status %u", status);
	if (!may_reject(status))
		r->reason = "";
	if (*r->reason) {
		struct errtext unused;
		r->refresh_token =
			usable(&found->fields[REFRESH_TOKEN], CREDENTIAL_REFRESH_TOKEN, &unused);
		return REFRESH_REJECTED;
	}
	r->lasting = status != 429;
	return REFRESH_REFUSED;
}

/* --- replies --- */

static bool has_error(const struct found *found)
{
	const struct refresh_field *f = &found->fields[ERROR];

	return f->kind == REFRESH_FIELD_NESTED || (f->kind == REFRESH_FIELD_TEXT && f->value.n);
}

static void drop_tokens(struct refresh_reply *r)
{
	r->access_token = r->refresh_token = r->id_token = (struct slice){NULL, 0};
	r->expires_ms = 0;
}

/* Without a refresh token, a reply that ends early may have had one. */
static enum refresh_outcome judge_success(struct refresh_reply *r, const struct found *found,
	const struct refresh_raw *raw, enum refresh_fields_end end)
{
	bool cut = end == REFRESH_FIELDS_CUT;

	take_tokens(r, found, raw);
	if (r->access_token.n && (r->refresh_token.n || !cut))
		return REFRESH_GRANTED;
	if (r->refresh_token.n)
		return REFRESH_KEPT;
	if (has_error(found))
		return judge_error(r, found, raw->status);
	drop_tokens(r);
	explain(r, raw, end);
	r->unread = end == REFRESH_FIELDS_NONE && raw->body.n > 0;
	r->lasting = raw->body.n > 0 && !cut;
	return REFRESH_LOST;
}

/* A grant under a wrong status is one, if it has both tokens. */
static enum refresh_outcome judge_failure(
	struct refresh_reply *r, const struct found *found, const struct refresh_raw *raw)
{
	if (!has_error(found))
		take_tokens(r, found, raw);
	if (r->access_token.n && r->refresh_token.n)
		return REFRESH_GRANTED;
	drop_tokens(r);
	errtext_set(&r->fault, 0, "status %u", raw->status);
	return REFRESH_LOST;
}

enum refresh_outcome refresh_reply_parse(const struct refresh_raw *raw, struct refresh_reply *ret)
{
	struct found found = {0};

	*ret = (struct refresh_reply){.reason = ""};
	if (refresh_body_read(raw->body, &ret->text)) {
		errtext_set(&ret->fault, 0, "out of memory");
		ret->unread = raw->body.n > 0;
		return REFRESH_LOST;
	}
	enum refresh_fields_end end =
		refresh_fields_read(ret->text.data, ret->text.len, take_field, &found);
	if (may_have_been_used(raw->status))
		return judge_failure(ret, &found, raw);
	if (raw->status < 300)
		return judge_success(ret, &found, raw, end);
	return judge_error(ret, &found, raw->status);
}

void refresh_reply_fini(struct refresh_reply *r)
{
	buffer_fini(&r->text);
	*r = (struct refresh_reply){.reason = ""};
}

/* --- request --- */

static void put_json_string(struct slice s, struct buffer *out)
{
	buffer_append_str(out, "\"");
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20)
			buffer_printf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			buffer_printf(out, "\\%c", c);
		else
			buffer_append(out, &s.p[i], 1);
	}
	buffer_append_str(out, "\"");
}

/* Everything but letters, digits and -._ is escaped, which every reader of forms understands. */
static void put_form_value(struct slice s, struct buffer *out)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool is_plain_byte = c < 0x80 && (isalnum(c) || c == '-' || c == '.' || c == '_');
		if (is_plain_byte)
			buffer_append(out, &s.p[i], 1);
		else
			buffer_printf(out, "%%%02X", c);
	}
}

static void put_member(
	const struct refresh_request *r, const char *name, struct slice value, struct buffer *out)
{
	if (r->is_json) {
		buffer_printf(out, "%s\"%s\":", out->len ? "," : "{", name);
		put_json_string(value, out);
	} else {
		buffer_printf(out, "%s%s=", out->len ? "&" : "", name);
		put_form_value(value, out);
	}
}

void refresh_request_format(const struct refresh_request *r, struct buffer *out)
{
	put_member(r, "client_id", r->client_id, out);
	if (r->client_secret.n)
		put_member(r, "client_secret", r->client_secret, out);
	put_member(r, "grant_type", SLICE_LITERAL("refresh_token"), out);
	put_member(r, "refresh_token", r->refresh_token, out);
	if (r->is_json)
		buffer_append_str(out, "}");
}
