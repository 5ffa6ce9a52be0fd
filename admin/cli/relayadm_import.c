#include "admin/cli/relayadm_import.h"

#include "admin/cli/command_call.h"
#include "admin/cli/command_table.h"
#include "admin/cli/complaint.h"
#include "admin/cli/relayadm_client.h"
#include "common/errtext.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define JSON_PRETTY                                                                                \
	(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static const struct slice suffix = {".json", 5};

struct import {
	const struct command_args *args;
	const char *socket;
	const char *directory;
	struct slice prefix; /* NAME */
	json_object *items;
	size_t refused;
	bool defers; /* --no-reload is given: nothing is reloaded at the end */
	bool owes;   /* HAProxy must load some of the accounts */
	bool is_unreachable;
	struct errtext note; /* the first one */
	size_t notes;
};

/* --- the command --- */

static const struct command_given *find_given(const struct command_args *args, const char *name)
{
	for (size_t i = 0; i < args->given_count; i++)
		if (strcmp(args->given[i].option.name, name) == 0)
			return &args->given[i];
	return NULL;
}

const char *import_directory(const struct command_args *args)
{
	const struct command_given *g = args->command == command_row(COMMAND_ACCOUNTS_ADD)
		? find_given(args, "credentials")
		: NULL;
	struct stat st;

	/* the texts are those of the command line, so they end with a NUL */
	return g && g->text.n && stat(g->text.p, &st) == 0 && S_ISDIR(st.st_mode) ? g->text.p
										  : NULL;
}

/* --- files --- */

static int is_login(const struct dirent *entry)
{
	struct slice name = slice_from_str(entry->d_name);

	return name.n > suffix.n && slice_eq(slice_skip(name, name.n - suffix.n), suffix);
}

/* NAME-FILE in the form of a name; the server checks its length. */
static void format_name(struct slice prefix, const char *file, char *out, size_t size)
{
	struct slice stem = slice_cut(slice_from_str(file), strlen(file) - suffix.n);

	while (stem.n && stem.p[0] == '.')
		stem = slice_skip(stem, 1);
	int n = snprintf(out, size, "%.*s-%.*s", (int)slice_cut(prefix, 200).n, prefix.p,
		(int)stem.n, stem.p);
	for (int i = (int)prefix.n; i < n && (size_t)i < size - 1; i++) {
		char c = out[i];
		bool is_good =
			(c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
		if (c >= 'A' && c <= 'Z')
			out[i] = (char)(c | 0x20);
		else if (!is_good)
			out[i] = '-';
	}
}

/* --- one file --- */

static void put_text(json_object *o, const char *field, const char *text)
{
	json_object_object_add(o, field, text ? json_object_new_string(text) : NULL);
}

static const char *text_of(json_object *o, const char *field)
{
	json_object *value = json_object_object_get(o, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static void put_result(struct import *im, json_object *item, const char *result, const char *reason)
{
	put_text(item, "result", result);
	put_text(item, "reason", reason);
	im->refused += strcmp(result, "added") != 0;
}

/* The account is stored; it may lack HAProxy's reload, which comes at the end. */
static void take_added(struct import *im, json_object *item, json_object *body)
{
	const char *haproxy = text_of(body, "haproxy");
	const char *warning = text_of(body, "warning");
	const char *note = text_of(body, "note");

	im->owes = im->owes || (haproxy && strcmp(haproxy, "pending reload") == 0);
	put_text(item, "login", text_of(body, "login"));
	put_text(item, "note", note);
	put_result(im, item, warning ? "not in force" : "added", warning);
	if (note && im->notes++ == 0)
		errtext_set(&im->note, 0, "%s", note);
}

static void take_answer(struct import *im, json_object *item, const struct client_answer *answer)
{
	json_object *body = answer->is_json ? json_tokener_parse(buffer_str(&answer->body)) : NULL;
	json_object *error = json_object_object_get(body, "error");
	const char *message = text_of(error, "message");

	if (answer->status == 200 && body)
		take_added(im, item, body);
	else
		put_result(im, item, answer->status == 409 ? "exists" : "refused",
			message ? message : "the answer is not one of spoa-relay");
	json_object_put(body);
}

static int send_file(
	struct import *im, const struct command_args *args, json_object *item, struct errtext *e)
{
	struct client_answer answer;
	struct command_call call;
	int error = command_call_prepare(args, &call, e);

	if (error)
		return error;
	const struct client_call request = {.socket = im->socket,
		.method = args->command->method,
		.target = buffer_str(&call.target),
		.body = {buffer_str(&call.body), call.body.len},
		.output_fd = -1};
	error = client_run(&request, &answer, e);
	im->is_unreachable = error != 0;
	if (!error)
		take_answer(im, item, &answer);
	buffer_fini(&answer.body);
	command_call_fini(&call);
	return error;
}

static struct command_given with_file(
	const struct command_given *g, const char *path, const char *name)
{
	const char *option = g->option.name;
	struct command_given changed = *g;

	if (strcmp(option, "credentials") == 0)
		changed.text = slice_from_str(path);
	else if (strcmp(option, "NAME") == 0)
		changed.text = slice_from_str(name);
	return changed;
}

/* The same command for one file: with its path, its name, and no reload yet. An exit code. */
static int add_file(struct import *im, const char *path, const char *name, json_object *item)
{
	const struct command_args *args = im->args;
	struct command_args one = *args;
	const struct command_option *no_reload =
		command_option_find(args->command, SLICE_LITERAL("no-reload"));
	struct errtext e = {""};

	one.given = calloc(args->given_count + 1, sizeof(*one.given));
	if (!one.given)
		return complain(args->json, EXIT_REFUSED, "out of memory");
	for (size_t i = 0; i < args->given_count; i++)
		one.given[i] = with_file(&args->given[i], path, name);
	if (!im->defers && no_reload)
		one.given[one.given_count++] = (struct command_given){*no_reload, {"", 0}};
	int error = send_file(im, &one, item, &e);
	free(one.given);
	/* a wrong command line is wrong for all files */
	if (error == -EINVAL)
		return complain(args->json, EXIT_USAGE, e.text);
	if (error)
		put_result(im, item, "refused", e.text);
	return EXIT_DONE;
}

static int take_file(struct import *im, const char *file)
{
	char path[PATH_MAX];
	char name[512];
	struct stat st;
	json_object *item = json_object_new_object();

	json_object_array_add(im->items, item);
	format_name(im->prefix, file, name, sizeof(name));
	put_text(item, "file", file);
	put_text(item, "account", name);
	int n = snprintf(path, sizeof(path), "%s/%s", im->directory, file);
	if ((size_t)n >= sizeof(path) || stat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
		put_result(im, item, "refused", "is not a regular file");
		return EXIT_DONE;
	}
	return add_file(im, path, name, item);
}

/* --- the end --- */

/* NULL: done. The text is static or in `e`. */
static const char *reload(struct import *im, struct errtext *e)
{
	const struct command *c = command_row(COMMAND_HAPROXY_RELOAD);
	const struct client_call request = {.socket = im->socket,
		.method = c->method,
		.target = c->path,
		.body = SLICE_LITERAL("{}"),
		.output_fd = -1};
	struct client_answer answer;
	const char *problem = NULL;

	if (!im->owes || im->defers)
		return NULL;
	if (client_run(&request, &answer, e)) {
		problem = e->text;
	} else {
		json_object *body = json_tokener_parse(buffer_str(&answer.body));
		const char *failed = answer.status == 200
			? text_of(body, "failed")
			: text_of(json_object_object_get(body, "error"), "message");
		if (failed || answer.status != 200) {
			errtext_set(e, 0, "%s", failed ? failed : "HAProxy was not reloaded");
			problem = e->text;
		}
		json_object_put(body);
	}
	buffer_fini(&answer.body);
	return problem;
}

static int print_items(struct import *im, bool colour)
{
	static const struct command_column columns[] = {{"file", "FILE", COLUMN_PLAIN},
		{"account", "ACCOUNT", COLUMN_PLAIN}, {"login", "LOGIN", COLUMN_PLAIN},
		{"result", "RESULT", COLUMN_PLAIN}, {"reason", "REASON", COLUMN_PLAIN},
		{NULL, NULL, COLUMN_PLAIN}};
	struct buffer out = {0};

	if (im->args->json) {
		json_object *o = json_object_new_object();
		json_object_object_add(o, "items", json_object_get(im->items));
		buffer_printf(&out, "%s\n", json_object_to_json_string_ext(o, JSON_PRETTY));
		json_object_put(o);
	} else {
		command_table_list(columns, im->items, colour, &out);
	}
	bool failed =
		buffer_error(&out) || fputs(buffer_str(&out), stdout) == EOF || fflush(stdout) != 0;
	buffer_fini(&out);
	return failed ? complain(im->args->json, EXIT_REFUSED, "cannot write the output")
		      : EXIT_DONE;
}

static int finish(struct import *im, bool colour)
{
	struct errtext e = {""};
	char text[64];
	const char *problem = im->is_unreachable ? NULL : reload(im, &e);
	size_t n = json_object_array_length(im->items);
	int code = print_items(im, colour);

	if (im->notes && !im->args->json)
		fprintf(stderr, "relayadm: note: %s%s\n", im->note.text,
			im->notes > 1 ? " (and likewise for the other accounts)" : "");
	if (problem)
		code = complain_of_warning(im->args->json, problem);
	if (im->is_unreachable)
		return complain(im->args->json, EXIT_UNREACHABLE,
			"the daemon cannot be reached: the files behind the last one were not sent");
	if (!im->refused)
		return code;
	snprintf(text, sizeof(text), "%zu of %zu files made no account in force", im->refused, n);
	return complain(im->args->json, EXIT_REFUSED, text);
}

static int take_all(struct import *im, struct dirent **files, int n)
{
	char text[PATH_MAX + 64];

	if (n == 0 || n > IMPORT_FILES_MAX) {
		snprintf(text, sizeof(text), "%s: %s", im->directory,
			n ? "has more than 1024 files *.json" : "has no file *.json");
		return complain(im->args->json, EXIT_REFUSED, text);
	}
	int code = EXIT_DONE;
	for (int i = 0; i < n && !im->is_unreachable && code == EXIT_DONE; i++)
		code = take_file(im, files[i]->d_name);
	return code;
}

int import_run(
	const struct command_args *args, const char *directory, const char *socket, bool colour)
{
	const struct command_given *name = find_given(args, "NAME");
	struct import im = {.args = args,
		.socket = socket,
		.directory = directory,
		.prefix = name ? name->text : SLICE_LITERAL("login"),
		.items = json_object_new_array(),
		.defers = find_given(args, "no-reload") != NULL};
	struct dirent **files = NULL;
	char text[PATH_MAX + 64];
	int n = scandir(im.directory, &files, is_login, alphasort);
	int code;

	if (n < 0) {
		snprintf(text, sizeof(text), "%s: %s", im.directory, strerror(errno));
		code = complain(args->json, EXIT_REFUSED, text);
	} else {
		code = take_all(&im, files, n);
		code = code == EXIT_DONE ? finish(&im, colour) : code;
	}
	for (int i = 0; i < n; i++)
		free(files[i]);
	free(files);
	json_object_put(im.items);
	return code;
}
