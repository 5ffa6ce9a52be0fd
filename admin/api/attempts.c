#include "admin/api/attempts.h"

#include "admin/api/directory.h"
#include "admin/api/request.h"
#include "common/buffer.h"

#include <stdio.h>

static const char *class_name(const struct board_attempt *a)
{
	return a->class < BOARD_EVIDENCE_COUNT ? board_evidence_name((enum board_evidence)a->class)
					       : NULL;
}

static enum board_verdict verdict_of(const struct board_attempt *a)
{
	return a->verdict < BOARD_VERDICT_COUNT ? (enum board_verdict)a->verdict
						: BOARD_VERDICT_OPEN;
}

static bool has_failed(const struct board_attempt *a)
{
	return a->class != RESULT_SUCCESS;
}

/* What HAProxy saw: the status, or the class of an attempt without an answer. */
static void put_answer(const struct board_attempt *a, struct buffer *b)
{
	const char *class = class_name(a);

	if (a->status)
		buffer_printf(b, "%u", a->status);
	else
		buffer_append_str(b, class ? class : "-");
}

static const struct board_attempt *find(
	const struct board_attempt *rows, size_t count, enum board_verdict verdict)
{
	for (size_t i = 0; i < count; i++) {
		if (has_failed(&rows[i]) && verdict_of(&rows[i]) == verdict)
			return &rows[i];
	}
	return NULL;
}

static void put_conclusion(const struct board_attempt *rows, size_t count,
	const struct names *accounts, struct buffer *b)
{
	const struct board_attempt *witness = find(rows, count, BOARD_VERDICT_WITNESS);
	char name[NAMES_SIZE];

	if (find(rows, count, BOARD_VERDICT_REQUEST))
		buffer_append_str(b, ": the request");
	else if (witness)
		buffer_printf(b, ": evidence against %s",
			directory_name(accounts, witness->account, name));
}

static void put_evidence(const struct board_attempt *rows, size_t count,
	const struct names *accounts, json_object *o)
{
	struct buffer b = {0};
	char name[NAMES_SIZE];

	for (size_t i = 0; i < count; i++) {
		buffer_printf(&b, "%s%s: ", i ? "; " : "",
			directory_name(accounts, rows[i].account, name));
		put_answer(&rows[i], &b);
	}
	put_conclusion(rows, count, accounts, &b);
	answer_text(o, "evidence", count && !buffer_error(&b) ? buffer_str(&b) : NULL);
	buffer_fini(&b);
}

void attempts_describe(const struct board_attempt *rows, size_t count, const struct names *accounts,
	json_object *o)
{
	json_object *items = json_object_new_array();

	put_evidence(rows, count, accounts, o);
	for (size_t i = 0; i < count; i++) {
		const struct board_attempt *a = &rows[i];
		json_object *one = json_object_new_object();
		char name[NAMES_SIZE];
		answer_text(one, "account", directory_name(accounts, a->account, name));
		json_object_object_add(
			one, "status", a->status ? json_object_new_int(a->status) : NULL);
		answer_text(one, "class", class_name(a));
		answer_text(
			one, "verdict", has_failed(a) ? board_verdict_name(verdict_of(a)) : NULL);
		answer_text(
			one, "meaning", has_failed(a) ? board_verdict_text(verdict_of(a)) : NULL);
		json_object_array_add(items, one);
	}
	json_object_object_add(o, "attempts", items);
}
