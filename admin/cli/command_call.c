#include "admin/cli/command_call.h"

#include "common/errtext.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Content of files as JSON text is short-lived; json-c gives no way to wipe what it copied. */
static int read_content(
	const struct command_given *g, size_t max, struct buffer *out, struct errtext *e)
{
	bool is_stdin = g->option.type == COMMAND_STDIN || slice_eq_str(g->text, "-");
	char path[4096];
	int error;

	if (is_stdin) {
		error = buffer_read_fd(out, STDIN_FILENO, max);
		snprintf(path, sizeof(path), "standard input");
	} else {
		snprintf(path, sizeof(path), "%.*s", (int)g->text.n, g->text.p);
		error = buffer_read_file(out, path, max);
	}
	if (error == -EFBIG)
		return errtext_set(e, -EFBIG, "%s: larger than %zu bytes", path, max);
	/* -EINVAL is for wrong usage */
	if (error)
		return errtext_set(
			e, error == -EINVAL ? -EIO : error, "%s: %s", path, strerror(-error));
	return 0;
}

/* A token file usually ends with a newline, which is not part of the token. */
static struct slice without_newline(struct slice s)
{
	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

/* The whole file is one secret. */
static bool is_one_word(const struct command_option *o)
{
	return o->field &&
		(strcmp(o->field, "token") == 0 || strcmp(o->field, "client_secret") == 0);
}

static int add_content(const struct command_given *g, json_object *body, struct errtext *e)
{
	struct buffer content = {0};
	struct slice text;
	int error = 0;

	/* an empty value clears the option */
	if (g->option.type == COMMAND_STDIN || g->text.n)
		error = read_content(g, COMMAND_FILE_MAX, &content, e);
	if (!error && content.len && memchr(content.data, '\0', content.len))
		error = errtext_set(e, -EILSEQ, "--%s: the file holds NUL bytes; UTF-8 is needed",
			g->option.name);
	if (!error) {
		text = buffer_slice(&content);
		if (is_one_word(&g->option))
			text = without_newline(text);
		error = command_text_add(&g->option, text, body, e);
	}
	buffer_fini(&content);
	return error;
}

static int add_path(const struct command_given *g, json_object *body, struct errtext *e)
{
	char here[4096];
	char path[8192];

	if (g->text.n == 0 || g->text.p[0] == '/')
		return command_text_add(&g->option, g->text, body, e);
	if (!getcwd(here, sizeof(here)))
		return errtext_set(
			e, -errno, "cannot tell the working directory: %s", strerror(errno));
	int n = snprintf(
		path, sizeof(path), "%s/%.*s", here, (int)slice_cut(g->text, 4000).n, g->text.p);
	return command_text_add(&g->option, (struct slice){path, (size_t)n}, body, e);
}

static bool is_credential_file(const struct command_option *o)
{
	return strcmp(o->name, "credentials") == 0 || strcmp(o->name, "auth-json") == 0;
}

/* --watch: the path of the credential file. */
static int add_origin(const struct command_args *args, const struct command_given *g,
	json_object *body, struct errtext *e)
{
	for (size_t i = 0; i < args->given_count; i++) {
		struct command_given origin = {g->option, args->given[i].text};
		if (!is_credential_file(&args->given[i].option))
			continue;
		if (!slice_eq_str(origin.text, "-"))
			return add_path(&origin, body, e);
	}
	return errtext_set(e, -EINVAL, "--%s: only with --credentials FILE", g->option.name);
}

/* An empty value clears the option, where it may. */
static bool is_no_path(const struct command_option *o, struct slice text)
{
	bool is_path = o->type == COMMAND_CONTENT || o->type == COMMAND_PATH ||
		o->type == COMMAND_DOCUMENT || o->type == COMMAND_OUTPUT;

	return is_path && text.n == 0 && !o->clearable;
}

static int add_given(const struct command_given *g, struct command_call *call, json_object *body,
	struct errtext *e)
{
	if (is_no_path(&g->option, g->text))
		return errtext_set(e, -EINVAL, "%s: is empty", g->option.name);
	switch (g->option.type) {
	case COMMAND_CONTENT:
	case COMMAND_STDIN:
		return add_content(g, body, e);
	case COMMAND_PATH:
		return add_path(g, body, e);
	case COMMAND_DOCUMENT:
		call->has_body = true;
		return read_content(g, COMMAND_DOCUMENT_MAX, &call->body, e);
	case COMMAND_OUTPUT:
		call->output = g->text.p;
		return 0;
	case COMMAND_TEXT:
	case COMMAND_NAME:
	case COMMAND_NAMES:
	case COMMAND_NUMBER:
	case COMMAND_SHARE:
	case COMMAND_DURATION:
	case COMMAND_FLAG:
	case COMMAND_SWITCH:
	case COMMAND_CHOICE:
	case COMMAND_NETWORK:
	case COMMAND_NETWORKS:
	case COMMAND_SPAN:
	case COMMAND_REQUEST:
	case COMMAND_HEADERS:
	case COMMAND_TEXTS:
	case COMMAND_ORIGIN:
		break;
	}
	return command_text_add(&g->option, g->text, body, e);
}

/* The words of a repeating argument are one array. */
static int add_word(const struct command_given *g, json_object *body, struct errtext *e)
{
	struct command_option o = g->option;

	o.type = COMMAND_TEXTS;
	return command_text_add(&o, g->text, body, e);
}

static bool is_repeating(const struct command *c, const struct command_given *g)
{
	for (const struct command_argument *a = c->arguments; a->metavar; a++) {
		if (a->repeats && strcmp(a->metavar, g->option.name) == 0)
			return true;
	}
	return false;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(c && strchr("-._~", c));
}

static void encode(struct slice text, struct buffer *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (is_unreserved(text.p[i]))
			buffer_append(out, text.p + i, 1);
		else
			buffer_printf(out, "%%%02X", (unsigned char)text.p[i]);
	}
}

static void put_target(const struct command_args *args, struct buffer *out)
{
	const char *hole = strstr(args->command->path, "{}");

	if (!hole) {
		buffer_append_str(out, args->command->path);
		return;
	}
	buffer_append(out, args->command->path, (size_t)(hole - args->command->path));
	encode(slice_from_str(args->subject), out);
	buffer_append_str(out, hole + 2);
}

static void put_query(json_object *body, struct buffer *out)
{
	const char *separator = "?";

	json_object_object_foreach(body, field, value)
	{
		buffer_printf(out, "%s%s=", separator, field);
		encode(slice_from_str(json_object_get_string(value)), out);
		separator = "&";
	}
}

static bool sends_query(const struct command *c, const struct command_call *call)
{
	return call->has_body || strcmp(c->method, "GET") == 0 || strcmp(c->method, "DELETE") == 0;
}

static int prepare(const struct command_args *args, struct command_call *call, json_object *body,
	struct errtext *e)
{
	if (args->subject && command_subject_check(args->command, args->subject, e))
		return -EINVAL;
	for (size_t i = 0; i < args->given_count; i++) {
		const struct command_given *g = &args->given[i];
		int error = is_repeating(args->command, g) ? add_word(g, body, e)
			: g->option.type == COMMAND_ORIGIN ? add_origin(args, g, body, e)
							   : add_given(g, call, body, e);
		if (error)
			return error;
	}
	if (command_body_check(args->command, body, e))
		return -EINVAL;
	if (!args->command->path)
		return 0; /* relayadm runs it by itself */
	put_target(args, &call->target);
	if (sends_query(args->command, call)) {
		put_query(body, &call->target);
		return 0;
	}
	call->has_body = true;
	buffer_append_str(
		&call->body, json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN));
	return 0;
}

int command_call_prepare(
	const struct command_args *args, struct command_call *ret, struct errtext *e)
{
	json_object *body = json_object_new_object();

	*ret = (struct command_call){0};
	buffer_init(&ret->body, COMMAND_DOCUMENT_MAX + 1);
	int error = prepare(args, ret, body, e);
	json_object_put(body);
	if (error)
		command_call_fini(ret);
	return error;
}

void command_call_fini(struct command_call *c)
{
	buffer_fini(&c->target);
	buffer_fini(&c->body);
}
