#include "admin/upkeep/authjson.h"

#include "admin/store/credential.h"
#include "common/buffer.h"
#include "common/timetext.h"

#include <errno.h>

#define EXPIRY_MAX_S ((int64_t)253402300799) /* the year 9999 */

static json_object *parse_object(struct slice text, const char *what, struct errtext *e)
{
	struct json_tokener *t = json_tokener_new_ex(AUTHJSON_DEPTH);

	if (!t) {
		errtext_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, text.p, (int)text.n);
	enum json_tokener_error error = json_tokener_get_error(t);
	size_t end = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	if (error != json_tokener_success)
		errtext_set(e, -EINVAL, "%s is not JSON: %s at byte %zu", what,
			error == json_tokener_continue ? "it ends too early"
						       : json_tokener_error_desc(error),
			end);
	else if (!json_object_is_type(o, json_type_object))
		errtext_set(e, -EINVAL, "%s is not a JSON object", what);
	else
		return o;
	json_object_put(o);
	return NULL;
}

/* --- JWT (RFC 7519), payload only --- */

static int base64url_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

/* RFC 4648 section 5, without padding. */
static int decode_base64url(struct slice s, struct buffer *out)
{
	uint32_t bits = 0;
	unsigned have = 0;

	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		int digit = base64url_digit(s.p[i]);
		if (digit < 0)
			return -EINVAL;
		bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			char byte = (char)(bits >> have & 0xff);
			buffer_append(out, &byte, 1);
		}
	}
	return s.n % 4 == 1 ? -EINVAL : buffer_error(out);
}

static int expiry_of(json_object *payload, int64_t *ret_ms, struct errtext *e)
{
	json_object *exp = json_object_object_get(payload, "exp");
	int64_t s = json_object_get_int64(exp);

	if (!exp)
		return errtext_set(e, -EINVAL, "its payload has no exp");
	if (!json_object_is_type(exp, json_type_int) || s <= 0 || s > EXPIRY_MAX_S)
		return errtext_set(e, -EINVAL, "exp in its payload is not a time in seconds");
	*ret_ms = s * 1000;
	return 0;
}

int authjson_jwt_expiry(struct slice jwt, int64_t *ret_ms, struct errtext *e)
{
	struct slice rest = jwt;
	struct slice parts[3];
	struct buffer payload = {.max = AUTHJSON_PAYLOAD_MAX};
	size_t n = 0;

	while (n < 3 && slice_next(&rest, '.', &parts[n]))
		n++;
	if (n != 3 || rest.p || parts[1].n == 0)
		return errtext_set(
			e, -EINVAL, "it is not a JWT: three parts with dots between them");
	int error = decode_base64url(parts[1], &payload);
	if (error == -EFBIG)
		errtext_set(
			e, -EINVAL, "its payload is larger than %zu bytes", AUTHJSON_PAYLOAD_MAX);
	else if (error)
		errtext_set(e, -EINVAL, "its payload is not base64url");
	json_object *o = error ? NULL : parse_object(buffer_slice(&payload), "its payload", e);
	error = o ? expiry_of(o, ret_ms, e) : -EINVAL;
	json_object_put(o);
	buffer_fini(&payload);
	return error;
}

/* --- the file --- */

/* What the functions below read, and where the results go. */
struct reading {
	const struct provider_file *file;
	struct authjson *a;
	struct errtext *e;
};

/* A missing field and null give an empty slice. `inside` is the name of the object; NULL = none. */
static int take_text(const struct reading *r, json_object *o, const char *inside, const char *field,
	struct slice *ret)
{
	json_object *value = json_object_object_get(o, field);

	*ret = (struct slice){NULL, 0};
	if (!value)
		return 0;
	if (!json_object_is_type(value, json_type_string))
		return errtext_set(r->e, -EINVAL, "%s: %s%s%s is not a string", r->file->name,
			inside ? inside : "", inside ? "." : "", field);
	*ret = (struct slice){
		json_object_get_string(value), (size_t)json_object_get_string_len(value)};
	return 0;
}

static int require(const struct reading *r, struct slice value, const char *field)
{
	return value.n ? 0
		       : errtext_set(r->e, -EINVAL, "%s: %s.%s is missing", r->file->name,
				 r->file->tokens, field);
}

/* A field that is no valid credential counts as missing. */
static void take_usable(const struct reading *r, json_object *tokens, const char *field,
	enum credential_field kind, struct slice *ret)
{
	const struct reading silent = {r->file, r->a, NULL};

	if (take_text(&silent, tokens, NULL, field, ret) || credential_check(kind, *ret, NULL))
		*ret = (struct slice){NULL, 0};
}

static int require_access_token(const struct reading *r, json_object *tokens)
{
	const struct provider_file *f = r->file;
	struct authjson *a = r->a;
	int error = take_text(r, tokens, f->tokens, f->access_token, &a->access_token);

	if (!error)
		error = require(r, a->access_token, f->access_token);
	return error;
}

static int take_expiry(const struct reading *r)
{
	const struct provider_file *f = r->file;
	int error = authjson_jwt_expiry(r->a->access_token, &r->a->expires_ms, r->e);

	return error ? errtext_prefix(r->e, error, "%s: %s.%s", f->name, f->tokens, f->access_token)
		     : 0;
}

/* With a refresh token, nothing beside it is required: it brings the rest. */
static int take_tokens(const struct reading *r, json_object *tokens)
{
	const struct provider_file *f = r->file;
	struct authjson *a = r->a;
	int error = take_text(r, tokens, f->tokens, f->refresh_token, &a->refresh_token);

	take_usable(r, tokens, f->id_token, CREDENTIAL_ID_TOKEN, &a->id_token);
	if (!error)
		error = take_text(r, tokens, f->tokens, f->account_id, &a->account_id);
	if (!error && a->refresh_token.n)
		take_usable(r, tokens, f->access_token, CREDENTIAL_ACCESS_TOKEN, &a->access_token);
	else if (!error)
		error = require_access_token(r, tokens);
	if (!error)
		error = require(r, a->account_id, f->account_id);
	if (error)
		return error;
	if (!a->refresh_token.n)
		return take_expiry(r);
	if (authjson_jwt_expiry(a->access_token, &a->expires_ms, NULL))
		a->expires_ms = 0;
	return 0;
}

static void take_last_refresh(const struct reading *r)
{
	const struct reading silent = {r->file, r->a, NULL};
	struct slice text;

	if (take_text(&silent, r->a->document, NULL, r->file->last_refresh, &text) ||
		timetext_parse_rfc3339(text, &r->a->last_refresh_ms))
		r->a->last_refresh_ms = 0;
}

static int take_document(const struct reading *r)
{
	const struct provider_file *f = r->file;
	json_object *tokens = json_object_object_get(r->a->document, f->tokens);

	take_last_refresh(r);
	if (tokens) {
		if (!json_object_is_type(tokens, json_type_object))
			return errtext_set(
				r->e, -EINVAL, "%s: %s is not an object", f->name, f->tokens);
		return take_tokens(r, tokens);
	}
	int error = take_text(r, r->a->document, NULL, f->api_key, &r->a->access_token);
	if (!error && !r->a->access_token.n)
		error = errtext_set(r->e, -EINVAL, "%s: holds neither %s nor %s: %s", f->name,
			f->tokens, f->api_key, f->remedy);
	return error;
}

int authjson_parse(const struct provider_file *file, struct slice text, struct authjson *ret,
	struct errtext *e)
{
	struct authjson a = {0};
	const struct reading r = {file, &a, e};

	if (text.n > AUTHJSON_MAX)
		return errtext_set(
			e, -EINVAL, "%s: larger than %zu bytes", file->name, AUTHJSON_MAX);
	a.document = parse_object(text, file->name, e);
	if (!a.document)
		return -EINVAL;
	int error = take_document(&r);
	if (error) {
		authjson_fini(&a);
		return error;
	}
	*ret = a;
	return 0;
}

void authjson_fini(struct authjson *a)
{
	json_object_put(a->document);
	*a = (struct authjson){0};
}
