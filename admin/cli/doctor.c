#include "admin/cli/doctor.h"

#include "common/version.h"
#include "haproxy/render_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_NOTE] = "note", [DOCTOR_PROBLEM] = "problem"};

static json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

void doctor_say(struct doctor *d, enum doctor_level level, const char *check, const char *remedy,
	const char *format, ...)
{
	json_object *o = json_object_new_object();
	char found[2048];
	va_list list;

	va_start(list, format);
	vsnprintf(found, sizeof(found), format, list);
	va_end(list);
	json_object_object_add(o, "level", json_object_new_string(level_names[level]));
	json_object_object_add(o, "check", json_object_new_string(check));
	json_object_object_add(o, "found", json_object_new_string(found));
	json_object_object_add(o, "do", text_or_null(remedy));
	json_object_array_add(d->findings, o);
	d->has_problem = d->has_problem || level == DOCTOR_PROBLEM;
}

static void put_word(struct buffer *out, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-";

	if (*word && word[strspn(word, plain)] == '\0')
		buffer_append_str(out, word);
	else
		render_word(out, word); /* HAProxy's single quotes are the shell's */
}

const char *doctor_command(struct buffer *out, const char *template, ...)
{
	const char *hole;
	va_list list;

	va_start(list, template);
	while ((hole = strstr(template, "{}"))) {
		buffer_append(out, template, (size_t)(hole - template));
		put_word(out, va_arg(list, const char *));
		template = hole + 2;
	}
	va_end(list);
	buffer_append_str(out, template);
	return buffer_str(out);
}

json_object *doctor_status(const struct doctor *d, const char *part, const char *field)
{
	return json_object_object_get(json_object_object_get(d->status, part), field);
}

int doctor_init(struct doctor *d, const char *config_path, const char *units)
{
	struct buffer remedy = {0};
	struct errtext e;

	*d = (struct doctor){
		.config_path = config_path, .units = units, .findings = json_object_new_array()};
	config_init(&d->config);
	int error = config_load(&d->config, config_path, &e);
	if (error == -EACCES)
		doctor_say(d, DOCTOR_PROBLEM, "configuration", "run relayadm doctor as root",
			"nothing is checked: %s", e.text);
	else if (error)
		doctor_say(d, DOCTOR_PROBLEM, "configuration",
			doctor_command(&remedy,
				"correct it, then: spoa-relay --check-config --config {}",
				config_path),
			"%s", e.text);
	else
		doctor_say(d, DOCTOR_OK, "configuration", NULL, "%s can be used", config_path);
	buffer_fini(&remedy);
	return error;
}

void doctor_fini(struct doctor *d)
{
	json_object_put(d->status);
	json_object_put(d->egresses);
	json_object_put(d->findings);
}

static void check_version(struct doctor *d)
{
	const char *version = json_object_get_string(json_object_object_get(d->status, "version"));

	if (!d->status)
		return; /* check_status() says so */
	if (version && strcmp(version, version_text()) == 0)
		doctor_say(d, DOCTOR_OK, "version", NULL, "relay and relayadm are %s", version);
	else
		doctor_say(d, DOCTOR_PROBLEM, "version",
			"install both programs, then: systemctl kill --kill-whom=main -s USR2 spoa-relay",
			"the relay that runs is %s, relayadm is %s", version ? version : "older",
			version_text());
}

/* What the running relay says is wrong, in its own words. */
static void check_status(struct doctor *d)
{
	json_object *warnings = json_object_object_get(d->status, "warnings");

	if (!d->status)
		return; /* relayadm said why the relay does not answer */
	for (size_t i = 0; i < json_object_array_length(warnings); i++) {
		json_object *w = json_object_array_get_idx(warnings, i);
		const char *level = json_object_get_string(json_object_object_get(w, "level"));
		bool is_problem = level && strcmp(level, level_names[DOCTOR_PROBLEM]) == 0;
		doctor_say(d, is_problem ? DOCTOR_PROBLEM : DOCTOR_NOTE, "status",
			"relayadm status; see docs/TROUBLESHOOTING.md", "%s",
			json_object_get_string(json_object_object_get(w, "message")));
	}
	if (json_object_array_length(warnings) == 0)
		doctor_say(d, DOCTOR_OK, "status", NULL, "the relay says that it is ok");
}

void doctor_run(struct doctor *d)
{
	static void (*const checks[])(struct doctor *) = {
		doctor_check_users,
		doctor_check_state,
		doctor_check_disk,
		doctor_check_key,
		doctor_check_sockets,
		doctor_check_haproxy,
		doctor_check_rendered,
		doctor_check_descriptors,
		doctor_check_service,
		doctor_check_socket_unit,
		doctor_check_drop_in,
		doctor_check_egresses,
		doctor_check_clock,
		check_version,
		check_status,
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](d);
}

void doctor_print(const struct doctor *d, struct buffer *out)
{
	for (size_t i = 0; i < json_object_array_length(d->findings); i++) {
		json_object *o = json_object_array_get_idx(d->findings, i);
		const char *remedy = json_object_get_string(json_object_object_get(o, "do"));
		buffer_printf(out, "%-7s  %s: %s",
			json_object_get_string(json_object_object_get(o, "level")),
			json_object_get_string(json_object_object_get(o, "check")),
			json_object_get_string(json_object_object_get(o, "found")));
		buffer_printf(out, "%s%s\n", remedy ? "; to do: " : "", remedy ? remedy : "");
	}
}
