/* `relayadm requests list`. */
#include "admin/query.h"

#include "admin/recent.h"
#include "common/clock.h"
#include "common/record.h"

#include <errno.h>
#include <stdlib.h>

#define LAST_DEFAULT 100

/* HAProxy's two letters in words; what is rare keeps its letters. */
static const char *ended_word(const char *termination)
{
	static const struct {
		const char *letters;
		const char *word;
	} words[] = {
		{"--", "normal"},
		{"CD", "client left"},
		{"CH", "client left"},
		{"CC", "client left"},
		{"CR", "client left"},
		{"CQ", "client left"},
		{"cD", "client silent"},
		{"cR", "request too slow"},
		{"SD", "upstream left"},
		{"SH", "upstream left"},
		{"SC", "upstream unreachable"},
		{"sC", "connect timeout"},
		{"sH", "upstream silent"},
		{"sD", "upstream silent"},
		{"PH", "answer invalid"},
		{"PR", "refused"},
		{"LR", "refused"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(words[i].letters, termination, 2) == 0)
			return words[i].word;
	}
	return termination;
}

static void answer_name(json_object *o, const char *field, const char *name)
{
	answer_text(o, field, *name ? name : NULL);
}

static void describe(const struct recent_row *row, json_object *o)
{
	const struct board_request *q = &row->request;
	char text[RECORD_ID_TEXT_SIZE];
	char time[CLOCK_RFC3339_SIZE];
	char letters[sizeof(q->termination) + 1] = "";

	memcpy(letters, q->termination, sizeof(q->termination));
	answer_text(o, "id", record_format_id(q->id, text));
	answer_text(o, "time", clock_format_rfc3339_ms(q->started_ms, time));
	answer_name(o, "tenant", row->tenant);
	answer_number(o, "key", q->key);
	answer_name(o, "account", row->account);
	answer_name(o, "egress", row->egress);
	answer_name(o, "upstream", row->upstream);
	answer_number(o, "status", q->status);
	answer_name(o, "code", q->code);
	answer_number(o, "bytes_in", (int64_t)q->bytes_in);
	answer_number(o, "bytes_out", (int64_t)q->bytes_out);
	answer_number(o, "ttfb_ms", q->ttfb_ms);
	answer_number(o, "duration_ms", q->duration_ms);
	answer_number(o, "retries", q->retries);
	/* what the relay answers by itself (health) ends like a refusal, but is none */
	bool answered = q->status < 400 && !*row->account;
	answer_text(o, "ended", answered ? "answered" : ended_word(letters));
	answer_text(o, "termination", letters);
	answer_name(o, "label", q->label);
}

int requests_list(struct request *r)
{
	int64_t last = request_number(r, "last", LAST_DEFAULT);
	struct recent_row *rows = NULL;
	size_t count = 0;
	json_object *items = answer_items(r->answer);
	int error = recent_list(
		r->control, (size_t)last, request_text(r, "tenant"), &rows, &count, &r->error);

	for (size_t i = 0; i < count && !error; i++) {
		json_object *o = json_object_new_object();
		describe(&rows[i], o);
		json_object_array_add(items, o);
	}
	free(rows);
	return error;
}
