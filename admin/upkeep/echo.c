#include "admin/upkeep/echo.h"

#include "common/url.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#define JSON_DEPTH 8

static int not_an_address(struct errtext *e)
{
	return errtext_set(e, -EINVAL, "the response of the echo endpoint is not an IP address");
}

static int parse_object(json_object *o, struct ip *ret, struct errtext *e)
{
	static const char *const fields[] = {"ip", "origin", "address"};
	json_object *value;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (json_object_object_get_ex(o, fields[i], &value) &&
			json_object_is_type(value, json_type_string))
			return ip_parse(slice_trim(slice_from_str(json_object_get_string(value))),
				       ret) == 0
				? 0
				: not_an_address(e);
	}
	return errtext_set(
		e, -EINVAL, "the response of the echo endpoint has none of ip, origin, address");
}

static int parse_json(struct slice body, struct ip *ret, struct errtext *e)
{
	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);

	if (!t)
		return errtext_set(e, -ENOMEM, "out of memory");
	json_object *o = json_tokener_parse_ex(t, body.p, (int)body.n);
	bool is_object = json_tokener_get_error(t) == json_tokener_success &&
		json_object_is_type(o, json_type_object);
	int error = is_object ? parse_object(o, ret, e) : not_an_address(e);
	json_object_put(o);
	json_tokener_free(t);
	return error;
}

int echo_parse(struct slice body, struct ip *ret, struct errtext *e)
{
	if (body.n > ECHO_BODY_MAX)
		return errtext_set(e, -EINVAL, "the response of the echo endpoint is too long");
	body = slice_trim(body);
	if (body.n && body.p[0] == '{')
		return parse_json(body, ret, e);
	return ip_parse(body, ret) == 0 ? 0 : not_an_address(e);
}

int echo_target(const char *url, struct slice *ret, struct errtext *e)
{
	struct slice base = url_without_query(url);
	struct url parsed;
	int error = url_parse(base, &parsed, e);

	if (error)
		return errtext_prefix(e, error, "[health] echo_url");
	const char *path = strchr(url + strcspn(url, ":") + strlen("://"), '/');
	if (path && path < base.p + base.n)
		*ret = (struct slice){path, strcspn(path, "#")};
	else if (url[base.n] == '?')
		return errtext_set(
			e, -EINVAL, "[health] echo_url: the URL needs a path before the query");
	else
		*ret = slice_from_str("/");
	return 0;
}
