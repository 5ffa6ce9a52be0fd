#include "admin/upkeep/refresh_reply.h"

#include "admin/store/credential.h"
#include "admin/upkeep/authjson.h"
#include "common/provider.h"

#define EXPIRES_IN_MAX_S ((int64_t)10 * 365 * 86400)

static json_object *parse(struct slice body)
{
	struct json_tokener *t = json_tokener_new_ex(REFRESH_REPLY_DEPTH);

	if (!t || !body.n) {
		json_tokener_free(t);
		return NULL;
	}
	json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, body.p, (int)body.n);
	bool good = json_tokener_get_error(t) == json_tokener_success &&
		json_object_is_type(o, json_type_object);
	json_tokener_free(t);
	if (good)
		return o;
	json_object_put(o);
	return NULL;
}

/* --- tokens --- */

/* False if the field is present but unusable. */
static bool take(json_object *o, const char *name, enum credential_field field, struct slice *ret)
{
	json_object *value = json_object_object_get(o, name);

	if (!value)
		return true;
	if (!json_object_is_type(value, json_type_string))
		return false;
	*ret = (struct slice){
		json_object_get_string(value), (size_t)json_object_get_string_len(value)};
	return ret->n == 0 || credential_check(field, *ret, NULL) == 0;
}

static int64_t expiry(json_object *o, struct slice access_token, int64_t arrived_ms)
{
	json_object *in = json_object_object_get(o, "expires_in");
	int64_t seconds = json_object_get_int64(in);
	int64_t ms;

	if (authjson_jwt_expiry(access_token, &ms, NULL) == 0)
		return ms;
	if (!in || seconds <= 0 || seconds > EXPIRES_IN_MAX_S)
		return 0;
	return arrived_ms + seconds * 1000;
}

static bool take_tokens(struct refresh_reply *r, int64_t arrived_ms)
{
	bool good = take(r->document, "access_token", CREDENTIAL_ACCESS_TOKEN, &r->access_token) &&
		take(r->document, "refresh_token", CREDENTIAL_REFRESH_TOKEN, &r->refresh_token) &&
		take(r->document, "id_token", CREDENTIAL_ID_TOKEN, &r->id_token);

	if (!good || !(r->access_token.n + r->refresh_token.n + r->id_token.n))
		return false;
	if (r->access_token.n)
		r->expires_ms = expiry(r->document, r->access_token, arrived_ms);
	return true;
}

/* --- errors --- */

/* RFC 6749, 5.2, and the codes of providers. */
static const char *find_fatal(const char *code)
{
	static const char invalid_grant[] = "invalid_grant";

	if (strcmp(code, invalid_grant) == 0)
		return invalid_grant;
	for (size_t i = 0; i < provider_count(); i++) {
		const char *const *fatal = provider_at(i)->login_errors;
		for (; fatal && *fatal; fatal++) {
			if (strcmp(code, *fatal) == 0)
				return *fatal;
		}
	}
	return "";
}

static const char *match(json_object *value)
{
	if (!json_object_is_type(value, json_type_string))
		return "";
	return find_fatal(json_object_get_string(value));
}

/* {"error": "CODE"}, {"error": {"code": "CODE"}} or {"code": "CODE"}. */
static const char *fatal_code(json_object *o)
{
	json_object *error = json_object_object_get(o, "error");
	const char *code = match(error);

	if (!*code && json_object_is_type(error, json_type_object))
		code = match(json_object_object_get(error, "code"));
	return *code ? code : match(json_object_object_get(o, "code"));
}

static bool may_have_been_used(unsigned status)
{
	return status < 200 || status >= 500 || status == 408 || status == 425;
}

enum refresh_outcome refresh_reply_parse(
	unsigned status, struct slice body, int64_t arrived_ms, struct refresh_reply *ret)
{
	*ret = (struct refresh_reply){.reason = ""};
	if (may_have_been_used(status))
		return REFRESH_LOST;
	ret->document = parse(body);
	if (status < 300) {
		if (ret->document && take_tokens(ret, arrived_ms))
			return REFRESH_GRANTED;
		return REFRESH_LOST;
	}
	if (ret->document && (status == 400 || status == 401 || status == 403))
		ret->reason = fatal_code(ret->document);
	return *ret->reason ? REFRESH_REJECTED : REFRESH_REFUSED;
}

void refresh_reply_fini(struct refresh_reply *r)
{
	json_object_put(r->document);
	*r = (struct refresh_reply){.reason = ""};
}

/* --- request --- */

static void put_string(struct slice s, struct buffer *out)
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

void refresh_request_format(struct slice client_id, struct slice refresh_token, struct buffer *out)
{
	buffer_append_str(out, "{\"client_id\":");
	put_string(client_id, out);
	buffer_append_str(out, ",\"grant_type\":\"refresh_token\",\"refresh_token\":");
	put_string(refresh_token, out);
	buffer_append_str(out, "}");
}
