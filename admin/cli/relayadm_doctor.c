#include "admin/cli/relayadm_doctor.h"

#include "admin/cli/doctor.h"
#include "admin/cli/relayadm_client.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_MS 5000L

static const char *given(const struct command_args *args, const char *name, const char *otherwise)
{
	for (size_t i = 0; i < args->given_count; i++) {
		if (strcmp(args->given[i].option.name, name) == 0)
			return args->given[i].text.p;
	}
	return otherwise;
}

/* NULL, with the reason, when the relay does not answer as it should. */
static json_object *ask(const char *socket, const char *target, struct errtext *e)
{
	const struct client_call call = {.socket = socket,
		.method = "GET",
		.target = target,
		.output_fd = -1,
		.timeout_ms = ASK_MS};
	struct client_answer answer;
	json_object *body = NULL;

	if (client_run(&call, &answer, e) == 0) {
		if (answer.status == 200 && answer.is_json)
			body = json_tokener_parse(buffer_str(&answer.body));
		else
			errtext_set(e, 0,
				"the control process is not running: the keeper answers %ld",
				answer.status);
	}
	buffer_fini(&answer.body);
	return body;
}

static void ask_relay(struct doctor *d, const char *socket)
{
	char path[PATH_MAX];
	struct errtext e;

	if (!socket && !*d->config.admin_socket.s) {
		snprintf(path, sizeof(path), "%s/admin.sock", d->config.run_dir.s);
		socket = path;
	}
	if (!socket)
		socket = d->config.admin_socket.s;
	if (access(socket, W_OK) != 0 && errno == EACCES) {
		doctor_say(d, DOCTOR_NOTE, "relay", "run relayadm doctor as root",
			"not checked: this user may not use %s", socket);
		return;
	}
	d->status = ask(socket, "/v1/status", &e);
	if (!d->status)
		doctor_say(d, DOCTOR_PROBLEM, "relay",
			"systemctl start spoa-relay; the reason is in: journalctl -u spoa-relay",
			"%s", e.text);
	else
		d->egresses = ask(socket, "/v1/egress", &e);
}

/* As a unit names it. */
static const char *absolute(const char *path, char *out)
{
	return path[0] != '/' && realpath(path, out) ? out : path;
}

bool relayadm_doctor(const struct command_args *args, const char *socket, struct buffer *out)
{
	char path[PATH_MAX];
	struct doctor d;
	int error = doctor_init(&d, absolute(given(args, "config", DOCTOR_CONFIG), path),
		given(args, "units", DOCTOR_UNITS));

	if (!error) {
		ask_relay(&d, socket);
		doctor_run(&d);
	}
	if (args->json)
		buffer_printf(out, "%s\n",
			json_object_to_json_string_ext(d.findings,
				JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		doctor_print(&d, out);
	bool is_good = !d.has_problem;
	doctor_fini(&d);
	return is_good;
}
