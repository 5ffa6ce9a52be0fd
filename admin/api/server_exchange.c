#include "admin/api/server_exchange.h"

#include "admin/api/bulk.h"
#include "admin/api/deferred.h"
#include "admin/api/metrics.h"
#include "admin/api/server_stream.h"
#include "admin/publish/publish.h"
#include "common/errtext.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TYPE_JSON "application/json"
#define TYPE_BYTES "application/octet-stream"
#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct exchange *exchange_new(void)
{
	struct exchange *x = calloc(1, sizeof(*x));

	if (x)
		buffer_init(&x->body, COMMAND_DOCUMENT_MAX);
	return x;
}

void exchange_free(struct exchange *x)
{
	if (!x)
		return;
	deferred_release(x->deferred);
	buffer_fini(&x->body);
	free(x);
}

void exchange_take(struct exchange *x, const char *data, size_t n)
{
	if (x->too_large)
		return;
	buffer_append(&x->body, data, n);
	if (!buffer_error(&x->body))
		return;
	buffer_fini(&x->body);
	x->too_large = true;
}

/* --- the peer --- */

static bool peer_uid(struct MHD_Connection *connection, uid_t *ret)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	*ret = peer.uid;
	return true;
}

/* The mode of the socket file admitted the peer; this socket has no lesser authority. */
static enum command_authority peer_authority(void)
{
	return AUTHORITY_ADMIN;
}

/* --- from HTTP to a body --- */

struct query {
	struct request *request;
	int error;
};

static enum MHD_Result take_query(
	void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct query *q = context;
	struct request *r = q->request;
	struct command_option o;

	(void)kind;
	if (!command_field_find(r->command, key, &o))
		q->error = errtext_set(&r->error, -EINVAL, "unknown field \"%.100s\"", key);
	else if (request_has(r, key))
		q->error = errtext_set(&r->error, -EINVAL, "%s: is given twice", o.name);
	else
		q->error = command_text_add(
			&o, slice_from_str(value ? value : ""), r->body, &r->error);
	return q->error ? MHD_NO : MHD_YES;
}

static int read_query(struct request *r, struct MHD_Connection *connection)
{
	struct query q = {.request = r};

	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &q);
	return q.error;
}

static int read_json(struct request *r, struct slice text)
{
	struct json_tokener *t = json_tokener_new_ex(COMMAND_JSON_DEPTH);
	int error = 0;

	if (!t)
		return errtext_set(&r->error, -ENOMEM, "out of memory");
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object *o = json_tokener_parse_ex(t, text.p, (int)text.n);
	enum json_tokener_error state = json_tokener_get_error(t);
	if (state != json_tokener_success)
		error = errtext_set(&r->error, -EINVAL, "the body is not JSON: %s at byte %zu",
			state == json_tokener_continue ? "it ends too early"
						       : json_tokener_error_desc(state),
			json_tokener_get_parse_end(t));
	else if (!json_object_is_type(o, json_type_object))
		error = errtext_set(&r->error, -EINVAL, "the body is not a JSON object");
	json_tokener_free(t);
	if (error) {
		json_object_put(o);
		return error;
	}
	json_object_put(r->body);
	r->body = o;
	return 0;
}

static bool takes_document(const struct command *c)
{
	return c->arguments[0].type == COMMAND_DOCUMENT && c->arguments[0].metavar;
}

static int read_body(struct request *r, struct exchange *x, struct MHD_Connection *connection)
{
	struct slice text = buffer_slice(&x->body);
	int error = 0;

	if (takes_document(r->command))
		r->document = text;
	else if (text.n)
		error = read_json(r, text);
	if (!error)
		error = read_query(r, connection);
	return error ? error : command_body_check(r->command, r->body, &r->error);
}

static int check_name(struct request *r)
{
	return r->name ? command_subject_check(r->command, r->name, &r->error) : 0;
}

/* --- from a request to HTTP --- */

static void put_json(struct request *r, struct exchange_answer *ret)
{
	ret->type = TYPE_JSON;
	buffer_printf(&ret->body, "%s\n", json_object_to_json_string_ext(r->answer, JSON_FLAGS));
}

/* False: there is none. */
static bool stream_rest(struct request *r, struct exchange_answer *ret)
{
	if (!r->rest.step)
		return false;
	ret->type = TYPE_JSON;
	ret->stream = stream_new(r);
	if (ret->stream)
		return true;
	r->rest.free(r->rest.state);
	errtext_set(&r->error, -ENOMEM, "out of memory");
	ret->status = request_status(r, -ENOMEM);
	return false;
}

static void finish(struct request *r, struct exchange_answer *ret)
{
	if (ret->status == 200 && r->command->answer == ANSWER_FILE) {
		ret->type = TYPE_BYTES;
		ret->body = r->bytes;
		r->bytes = (struct buffer){0};
	} else if (!stream_rest(r, ret)) {
		put_json(r, ret);
	}
	buffer_fini(&r->bytes);
	json_object_put(r->body);
	json_object_put(r->answer);
}

static bool is_too_large(const struct exchange *x, const struct command *c)
{
	size_t max = takes_document(c) ? COMMAND_DOCUMENT_MAX : COMMAND_BODY_MAX;

	return x->too_large || x->body.len > max;
}

static unsigned run(struct request *r, struct exchange *x, struct MHD_Connection *connection)
{
	if (!peer_uid(connection, &r->uid) || peer_authority() < r->command->authority)
		return request_refuse(r, 403, "this user may not do that");
	if (is_too_large(x, r->command))
		return request_refuse(r, 413, "the body is too large");
	if (check_name(r) || read_body(r, x, connection))
		return request_refuse(r, 400, r->error.text);
	return request_run(r);
}

static void list_methods(struct slice path, struct buffer *out)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	struct slice name;
	bool known;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (command_route(methods[i], path, &name, &known))
			buffer_printf(out, "%s%s", out->len ? ", " : "", methods[i]);
	}
}

static unsigned refuse_route(
	struct request *r, bool known, struct slice path, struct exchange_answer *ret)
{
	if (!known)
		return request_refuse(r, 404, "there is nothing at this path");
	list_methods(path, &ret->allow);
	return request_refuse(r, 405, "this path does not serve that method");
}

bool exchange_wants_look(const struct exchange *x, const char *method, const char *path)
{
	struct slice name;
	bool known;
	const struct command *c = command_route(method, slice_from_str(path), &name, &known);

	return !x->looked && c &&
		(command_id(c) == COMMAND_STATUS || command_id(c) == COMMAND_HAPROXY_STATUS);
}

bool exchange_has_to_wait(const struct control *c, const char *method, const char *path)
{
	struct slice name;
	bool known;
	const struct command *row = command_route(method, slice_from_str(path), &name, &known);

	return row && row->changes && bulk_is_busy(c->bulk);
}

void exchange_run_api(struct exchange *x, struct control *c, struct MHD_Connection *connection,
	const char *method, const char *path, struct exchange_answer *ret)
{
	struct request r = {
		.control = c,
		.may_stream = true,
		.body = json_object_new_object(),
		.answer = json_object_new_object(),
	};
	struct slice name = {NULL, 0};
	struct slice whole = slice_from_str(path);
	char subject[COMMAND_TEXT_MAX] = "";
	bool known;

	*ret = (struct exchange_answer){0};
	r.command = command_route(method, whole, &name, &known);
	if (!r.command || name.n >= sizeof(subject)) {
		ret->status = refuse_route(&r, known && name.n < sizeof(subject), whole, ret);
		r.command = command_row(COMMAND_STATUS);
		finish(&r, ret);
		return;
	}
	if (name.n) {
		memcpy(subject, name.p, name.n);
		r.name = subject;
	}
	ret->status = run(&r, x, connection);
	finish(&r, ret);
	x->deferred = r.deferred;
	if (x->deferred)
		buffer_fini(&ret->body);
}

void exchange_run_deferred(struct exchange *x, struct exchange_answer *ret)
{
	struct request r = {.command = command_row(COMMAND_STATUS)};

	*ret = (struct exchange_answer){0};
	ret->status = deferred_take(x->deferred, &r.answer);
	deferred_take_rest(x->deferred, &r);
	finish(&r, ret);
}

/* --- metrics --- */

static void put_health(struct control *c, struct exchange_answer *ret)
{
	bool connected = publish_fd(c->publish) >= 0;

	ret->status = connected ? 200 : 503;
	ret->type = TYPE_JSON;
	buffer_printf(&ret->body, "{\"status\":\"%s\"}\n", connected ? "ok" : "no agent");
}

void exchange_run_metrics(
	struct control *c, const char *method, const char *path, struct exchange_answer *ret)
{
	bool is_metrics = strcmp(path, "/metrics") == 0;

	*ret = (struct exchange_answer){.status = 404, .type = "text/plain"};
	if (!is_metrics && strcmp(path, "/healthz") != 0) {
		buffer_append_str(&ret->body, "not found\n");
		return;
	}
	if (strcmp(method, "GET") != 0) {
		ret->status = 405;
		buffer_append_str(&ret->allow, "GET");
		buffer_append_str(&ret->body, "method not allowed\n");
		return;
	}
	if (!is_metrics) {
		put_health(c, ret);
		return;
	}
	ret->status = 200;
	ret->type = METRICS_CONTENT_TYPE;
	metrics_render(c, &ret->body);
}
