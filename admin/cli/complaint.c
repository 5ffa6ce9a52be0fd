#include "admin/cli/complaint.h"

#include <stdio.h>
#include <string.h>

#define JSON_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static const char *word_of(enum exit_code code)
{
	static const char *const words[] = {
		[EXIT_DONE] = "done",
		[EXIT_REFUSED] = "refused",
		[EXIT_USAGE] = "usage",
		[EXIT_UNREACHABLE] = "unreachable",
	};

	return words[code];
}

static void print_error(const char *code, const char *text)
{
	json_object *o = json_object_new_object();
	json_object *error = json_object_new_object();

	json_object_object_add(error, "code", json_object_new_string(code));
	json_object_object_add(error, "message", json_object_new_string(text));
	json_object_object_add(o, "error", error);
	fprintf(stderr, "%s\n", json_object_to_json_string_ext(o, JSON_FLAGS));
	json_object_put(o);
}

int complain(bool json, enum exit_code code, const char *text)
{
	if (json)
		print_error(word_of(code), text);
	else
		fprintf(stderr, "relayadm: %s\n", text);
	return (int)code;
}

static const char *member(json_object *error, const char *field)
{
	json_object *value = json_object_object_get(error, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

/* NULL: the answer of the daemon has none. */
static const char *of_error(json_object *body, const char *field)
{
	json_object *error = json_object_is_type(body, json_type_object)
		? json_object_object_get(body, "error")
		: NULL;

	return json_object_is_type(error, json_type_object) ? member(error, field) : NULL;
}

const char *complaint_message(json_object *body)
{
	return of_error(body, "message");
}

bool complaint_is_of_keeper(json_object *body)
{
	const char *code = of_error(body, "code");

	return code && strcmp(code, "control_not_running") == 0;
}

int complain_of_answer(bool json, long status, json_object *body)
{
	enum exit_code end = complaint_is_of_keeper(body) ? EXIT_UNREACHABLE : EXIT_REFUSED;
	const char *message = of_error(body, "message");
	const char *code = of_error(body, "code");
	char text[64];

	snprintf(text, sizeof(text), "the daemon answered with status %ld", status);
	if (!json || !code)
		return complain(json, end, message ? message : text);
	print_error(code, message ? message : text);
	return (int)end;
}

int complain_of_warning(bool json, const char *text)
{
	if (json)
		print_error("not_in_force", text);
	else
		fprintf(stderr, "relayadm: warning: %s\n", text);
	return EXIT_REFUSED;
}
