#include "admin/cli/relayadm_doctor.h"

#include "admin/cli/complaint.h"
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

/* The same words as of every command. */
static int explain(json_object *body, long status, struct errtext *e)
{
	const char *message = complaint_message(body);

	if (message)
		errtext_set(e, -EPROTO, "%s", message);
	else
		errtext_set(e, -EPROTO, "the daemon answered with status %ld", status);
	return -EPROTO;
}

/* 0, or why the relay does not answer as it should; -EPROTO = it runs. */
static int ask(const char *socket, const char *target, json_object **ret, struct errtext *e)
{
	const struct client_call call = {.socket = socket,
		.method = "GET",
		.target = target,
		.output_fd = -1,
		.timeout_ms = ASK_MS};
	struct client_answer answer;
	int error = client_run(&call, &answer, e);
	json_object *body =
		!error && answer.is_json ? json_tokener_parse(buffer_str(&answer.body)) : NULL;

	if (!error && (answer.status != 200 || !body))
		error = explain(body, answer.status, e);
	if (error)
		json_object_put(body);
	else
		*ret = body;
	buffer_fini(&answer.body);
	return error;
}

/* A start helps only where nothing runs. */
static const char *remedy_for(int error)
{
	return error == -ECONNREFUSED
		? "systemctl start spoa-relay; the reason is in: journalctl -u spoa-relay"
		: "relayadm status, in a minute; the reason is in: journalctl -u spoa-relay";
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
	int error = ask(socket, "/v1/status", &d->status, &e);
	if (error)
		doctor_say(d, DOCTOR_PROBLEM, "relay", remedy_for(error), "%s", e.text);
	else
		ask(socket, "/v1/egress", &d->egresses, &e);
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
