/* relayadm: the command line of spoa-relay. All commands are rows of command.h. */
#include "admin/cli/command_args.h"
#include "admin/cli/command_call.h"
#include "admin/cli/command_help.h"
#include "admin/cli/command_table.h"
#include "admin/cli/complaint.h"
#include "admin/cli/relayadm_client.h"
#include "admin/cli/relayadm_doctor.h"
#include "admin/cli/relayadm_import.h"
#include "admin/cli/relayadm_pages.h"
#include "common/errtext.h"
#include "common/stdfds.h"
#include "common/version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOST_MS 2000L
#define SOCKET_MAX 107 /* sun_path, with a NUL */

#define JSON_PRETTY                                                                                \
	(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

static int print(struct buffer *out)
{
	bool failed =
		buffer_error(out) || fputs(buffer_str(out), stdout) == EOF || fflush(stdout) != 0;

	buffer_fini(out);
	return failed ? complain(false, EXIT_REFUSED, "cannot write the output") : EXIT_DONE;
}

static int usage_error(const struct command_args *args, const char *text)
{
	complain(args->json, EXIT_USAGE, text);
	if (args->json)
		return EXIT_USAGE;
	if (args->command && args->command->verb)
		fprintf(stderr, "Try: relayadm %s %s --help\n", args->noun, args->command->verb);
	else if (args->noun)
		fprintf(stderr, "Try: relayadm %s --help\n", args->noun);
	else
		fprintf(stderr, "Try: relayadm --help\n");
	return EXIT_USAGE;
}

static int print_help(const struct command_args *args)
{
	struct buffer out = {0};

	if (args->command)
		command_help_command(args->command, &out);
	else if (args->noun)
		command_help_noun(args->noun, &out);
	else
		command_help_all(&out);
	return print(&out);
}

static int print_generated(enum command_args_want want)
{
	struct buffer out = {0};

	if (want == ARGS_MAN)
		command_man(version_text(), &out);
	else if (want == ARGS_COMPLETION)
		command_completion(&out);
	else
		buffer_printf(&out, "relayadm %s\n", version_text());
	return print(&out);
}

/* --- answers --- */

static const char *string_of(json_object *o, const char *field)
{
	json_object *value = json_object_object_get(o, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static int print_json(json_object *answer)
{
	struct buffer out = {0};

	buffer_printf(&out, "%s\n", json_object_to_json_string_ext(answer, JSON_PRETTY));
	return print(&out);
}

static void put_token(json_object *one, struct buffer *out)
{
	const char *token = string_of(one, "token");
	const char *pool = string_of(one, "pool");
	const char *expires = string_of(one, "expires_at");

	buffer_printf(out, "%s\n", token ? token : "");
	if (isatty(STDERR_FILENO) == 1)
		fprintf(stderr, "key %s of tenant %s, pool %s, %s%s\n",
			json_object_get_string(json_object_object_get(one, "id")),
			string_of(one, "tenant"), pool ? pool : "-",
			expires ? "expires " : "never expires", expires ? expires : "");
}

static void put_tokens(json_object *answer, struct buffer *out)
{
	json_object *items = json_object_object_get(answer, "items");

	if (!items) {
		put_token(answer, out);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(items); i++)
		buffer_printf(out, "%s\n", string_of(json_object_array_get_idx(items, i), "token"));
}

static void put_names(json_object *answer, struct buffer *out)
{
	json_object *items = json_object_object_get(answer, "items");

	for (size_t i = 0; items && i < json_object_array_length(items); i++)
		buffer_printf(
			out, "%s\n", json_object_get_string(json_object_array_get_idx(items, i)));
}

static void put_changes(json_object *answer, struct buffer *out)
{
	json_object *changes = json_object_object_get(answer, "changes");

	for (size_t i = 0; changes && i < json_object_array_length(changes); i++)
		buffer_printf(
			out, "%s\n", json_object_get_string(json_object_array_get_idx(changes, i)));
}

static void put_outcome(json_object *answer, struct buffer *out)
{
	const char *haproxy = string_of(answer, "haproxy");
	const char *error = string_of(answer, "haproxy_error");

	if (!haproxy || strcmp(haproxy, "unchanged") == 0)
		return;
	buffer_printf(out, "haproxy: %s%s%s%s\n", haproxy, error ? " (" : "", error ? error : "",
		error ? ")" : "");
}

/* https://no-color.org */
static bool wants_colour(void)
{
	const char *refused = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) == 1 && !(refused && *refused) && term && *term &&
		strcmp(term, "dumb") != 0;
}

static int print_answer(const struct command *c, json_object *answer)
{
	struct buffer out = {0};

	switch (c->answer) {
	case ANSWER_LIST:
	case ANSWER_PAGES:
		command_table_list(
			c->columns, json_object_object_get(answer, "items"), wants_colour(), &out);
		break;
	case ANSWER_OBJECT:
		command_table_object(answer, wants_colour(), &out);
		break;
	case ANSWER_STATUS:
		command_table_status(answer, wants_colour(), &out);
		break;
	case ANSWER_TOKEN:
		put_tokens(answer, &out);
		break;
	case ANSWER_NAMES:
		put_names(answer, &out);
		break;
	case ANSWER_CHANGES:
		put_changes(answer, &out);
		put_outcome(answer, &out);
		break;
	case ANSWER_NONE:
		put_outcome(answer, &out);
		break;
	case ANSWER_JSON:
	case ANSWER_FILE:
		return print_json(answer);
	}
	return print(&out);
}

/* With --json the answer has its notes and warnings, and stderr has errors alone. */
static int tell(const struct command_args *args, json_object *body)
{
	const char *warning = string_of(body, "warning");
	const char *note = string_of(body, "note");
	const char *failed = string_of(body, "failed");
	int not_in_force = warning ? complain_of_warning(args->json, warning) : EXIT_DONE;

	if (note && !args->json)
		fprintf(stderr, "relayadm: note: %s\n", note);
	int code = args->json ? print_json(body) : print_answer(args->command, body);
	if (code == EXIT_DONE && failed)
		code = args->json ? complain_of_warning(true, failed)
				  : complain(false, EXIT_REFUSED, failed);
	return code == EXIT_DONE ? not_in_force : code;
}

static int show(const struct command_args *args, const struct client_answer *answer)
{
	json_object *body = answer->is_json ? json_tokener_parse(buffer_str(&answer->body)) : NULL;
	int code;

	if (answer->status != 200)
		code = complain_of_answer(args->json, answer->status, body);
	else if (args->command->answer == ANSWER_FILE)
		code = EXIT_DONE;
	else if (!body)
		code = complain(args->json, EXIT_UNREACHABLE,
			"the program behind the socket is not spoa-relay");
	else
		code = tell(args, body);
	json_object_put(body);
	return code;
}

/* --- a call --- */

static int open_output(bool json, const char *path, int *ret_fd)
{
	char text[4200];

	*ret_fd = -1;
	if (!path)
		return EXIT_DONE;
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (*ret_fd >= 0)
		return EXIT_DONE;
	snprintf(text, sizeof(text), "%.4000s: %s", path, strerror(errno));
	return complain(json, EXIT_REFUSED, text);
}

/* An incomplete backup is deleted. */
static int close_output(bool json, int fd, const char *path, int code)
{
	if (fd < 0)
		return code;
	bool failed = fsync(fd) != 0;
	failed = close(fd) != 0 || failed;
	if (failed && code == EXIT_DONE)
		code = complain(json, EXIT_REFUSED, "cannot write the file to disk");
	if (code != EXIT_DONE)
		unlink(path);
	return code;
}

/* NULL = none is given */
static const char *given_socket(const struct command_args *args)
{
	const char *env = getenv("RELAYADM_SOCKET");

	if (args->socket)
		return args->socket;
	return env && *env ? env : NULL;
}

static const char *socket_path(const struct command_args *args)
{
	const char *given = given_socket(args);

	return given ? given : COMMAND_SOCKET;
}

/* Only a change that HAProxy must load takes long; a script gets no line that it did not ask for. */
static const char *waiting_text(const struct command *c)
{
	bool may_wait = command_option_find(c, SLICE_LITERAL("no-wait")) != NULL;

	return may_wait && isatty(STDERR_FILENO) == 1
		? "waiting until HAProxy has loaded the change ..."
		: NULL;
}

/* The connection was lost: the keeper may know why. */
static int lost(const struct command_args *args, const struct errtext *why)
{
	const struct client_call again = {.socket = socket_path(args),
		.method = "GET",
		.target = "/",
		.output_fd = -1,
		.timeout_ms = LOST_MS};
	struct client_answer answer;
	struct errtext e;
	json_object *body = NULL;
	int code;

	if (client_run(&again, &answer, &e) == 0 && answer.is_json)
		body = json_tokener_parse(buffer_str(&answer.body));
	if (complaint_is_of_keeper(body))
		code = complain_of_answer(args->json, answer.status, body);
	else
		code = complain(args->json, EXIT_UNREACHABLE, why->text);
	json_object_put(body);
	buffer_fini(&answer.body);
	return code;
}

static int send_call(const struct command_args *args, const struct command_call *call)
{
	struct client_answer answer;
	struct errtext e;
	struct client_call request = {
		.socket = socket_path(args),
		.method = args->command->method,
		.target = buffer_str(&call->target),
		.waiting = waiting_text(args->command),
	};
	int code = open_output(args->json, call->output, &request.output_fd);

	if (code)
		return code;
	if (call->has_body)
		request.body = (struct slice){buffer_str(&call->body), call->body.len};
	int error = client_run(&request, &answer, &e);
	if (error == -EPIPE)
		code = lost(args, &e);
	else if (error)
		code = complain(args->json,
			client_is_unreachable(error) ? EXIT_UNREACHABLE : EXIT_REFUSED, e.text);
	else
		code = show(args, &answer);
	buffer_fini(&answer.body);
	return close_output(args->json, request.output_fd, call->output, code);
}

static int run_doctor(const struct command_args *args)
{
	struct buffer out = {0};
	bool is_good = relayadm_doctor(args, given_socket(args), &out);
	int code = print(&out);

	return code == EXIT_DONE && !is_good ? EXIT_REFUSED : code;
}

static int run(const struct command_args *args)
{
	struct errtext e;
	struct command_call call;

	if (strlen(socket_path(args)) > SOCKET_MAX)
		return usage_error(args, "the path of the socket is longer than 107 bytes");
	const char *directory = import_directory(args);
	if (directory)
		return import_run(args, directory, socket_path(args), wants_colour());
	int error = command_call_prepare(args, &call, &e);

	if (error == -EINVAL)
		return usage_error(args, e.text);
	if (error)
		return complain(args->json, EXIT_REFUSED, e.text);
	int code = args->command == command_row(COMMAND_DOCTOR) ? run_doctor(args)
		: args->command->answer == ANSWER_PAGES
		? pages_run(args, socket_path(args), buffer_str(&call.target), wants_colour())
		: send_call(args, &call);
	command_call_fini(&call);
	return code;
}

/* For words that cannot be parsed: --json may come behind the wrong one. */
static bool asks_for_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct command_args args;
	struct errtext e;
	int code = EXIT_USAGE;

	if (stdfds_open())
		return EXIT_REFUSED;
	int error = command_args_parse(argc, argv, &args, &e);
	if (error == -ENOMEM)
		return complain(false, EXIT_REFUSED, e.text);
	if (error) {
		args.json |= asks_for_json(argc, argv);
		return usage_error(&args, e.text);
	}
	switch (args.want) {
	case ARGS_COMMAND:
		code = run(&args);
		break;
	case ARGS_HELP:
		code = print_help(&args);
		break;
	case ARGS_VERSION:
	case ARGS_MAN:
	case ARGS_COMPLETION:
		code = print_generated(args.want);
		break;
	}
	command_args_fini(&args);
	return code;
}
