#include "admin/upkeep/jwt.h"

#include <errno.h>

json_object *jwt_parse_object(struct slice text, const char *what, struct errtext *e)
{
	struct json_tokener *t = json_tokener_new_ex(JWT_DEPTH);

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
	if (!json_object_is_type(exp, json_type_int) || s <= 0 || s > JWT_EXPIRY_MAX_S)
		return errtext_set(e, -EINVAL, "exp in its payload is not a time in seconds");
	*ret_ms = s * 1000;
	return 0;
}

/* NULL with the reason; json_object_put() frees it. */
static json_object *read_payload(struct slice jwt, struct errtext *e)
{
	struct slice rest = jwt;
	struct slice parts[3];
	struct buffer payload = {.max = JWT_PAYLOAD_MAX};
	json_object *o = NULL;
	size_t n = 0;

	while (n < 3 && slice_next(&rest, '.', &parts[n]))
		n++;
	if (n != 3 || rest.p || parts[1].n == 0) {
		errtext_set(e, -EINVAL, "it is not a JWT: three parts with dots between them");
		return NULL;
	}
	int error = decode_base64url(parts[1], &payload);
	if (error == -EFBIG)
		errtext_set(e, -EINVAL, "its payload is larger than %zu bytes", JWT_PAYLOAD_MAX);
	else if (error)
		errtext_set(e, -EINVAL, "its payload is not base64url");
	else
		o = jwt_parse_object(buffer_slice(&payload), "its payload", e);
	buffer_fini(&payload);
	return o;
}

int jwt_expiry(struct slice jwt, int64_t *ret_ms, struct errtext *e)
{
	json_object *o = read_payload(jwt, e);
	int error = o ? expiry_of(o, ret_ms, e) : -EINVAL;

	json_object_put(o);
	return error;
}

int jwt_text(struct slice jwt, const char *const *path, struct buffer *ret)
{
	json_object *o = read_payload(jwt, NULL);
	json_object *at = o;

	for (; at && *path; path++)
		at = json_object_is_type(at, json_type_object) ? json_object_object_get(at, *path)
							       : NULL;
	bool found = json_object_is_type(at, json_type_string);
	if (found)
		buffer_append(
			ret, json_object_get_string(at), (size_t)json_object_get_string_len(at));
	json_object_put(o);
	return found ? buffer_error(ret) : -ENOENT;
}
