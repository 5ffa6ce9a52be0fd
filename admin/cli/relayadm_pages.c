#include "admin/cli/relayadm_pages.h"

#include "admin/cli/command_table.h"
#include "admin/cli/complaint.h"
#include "admin/cli/relayadm_client.h"
#include "common/errtext.h"
#include "common/num.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define JSON_ITEM                                                                                  \
	(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

struct pages {
	const struct command_args *args;
	const char *socket;
	bool colour;	    /* of tables */
	struct buffer base; /* the target without `last` and `cursor` */
	uint64_t left;	    /* rows still wanted; UINT64_MAX = all */
	uint64_t cursor;    /* 0 = the first page */
	uint64_t printed;
};

/* --- the target of a page --- */

static bool is_paging(struct slice pair)
{
	return slice_has_prefix(pair, SLICE_LITERAL("last=")) ||
		slice_has_prefix(pair, SLICE_LITERAL("cursor="));
}

static uint64_t number_in(struct slice pair)
{
	struct slice name;
	uint64_t n = 0;

	slice_next(&pair, '=', &name);
	num_parse_u64(pair, INT64_MAX, &n);
	return n;
}

static void read_target(struct pages *p, const char *target)
{
	struct slice rest = slice_from_str(target);
	struct slice part;
	uint64_t last = PAGES_LAST;

	slice_next(&rest, '?', &part);
	buffer_append_slice(&p->base, part);
	buffer_append_str(&p->base, "?");
	while (rest.n && slice_next(&rest, '&', &part)) {
		if (slice_has_prefix(part, SLICE_LITERAL("last=")))
			last = number_in(part);
		if (slice_has_prefix(part, SLICE_LITERAL("cursor=")))
			p->cursor = number_in(part);
		if (is_paging(part))
			continue;
		buffer_append_slice(&p->base, part);
		buffer_append_str(&p->base, "&");
	}
	p->left = last ? last : UINT64_MAX;
}

static void put_target(const struct pages *p, struct buffer *out)
{
	buffer_printf(
		out, "%slast=%" PRIu64, buffer_str(&p->base), p->left == UINT64_MAX ? 0 : p->left);
	if (p->cursor)
		buffer_printf(out, "&cursor=%" PRIu64, p->cursor);
}

/* --- printing --- */

static void put_json(struct pages *p, json_object *items, struct buffer *out)
{
	for (size_t i = 0; i < json_object_array_length(items); i++)
		buffer_printf(out, "%s%s", p->printed++ ? "," : "",
			json_object_to_json_string_ext(
				json_object_array_get_idx(items, i), JSON_ITEM));
}

/* The titles come once, also if there are no rows. */
static void put_table(struct pages *p, json_object *items, bool is_last, struct buffer *out)
{
	size_t n = json_object_array_length(items);
	struct buffer table = {0};

	if (n == 0 && (p->printed || !is_last))
		return;
	command_table_list(p->args->command->columns, items, p->colour, &table);
	const char *titles_end = p->printed ? strchr(buffer_str(&table), '\n') : NULL;
	buffer_append_str(out, titles_end ? titles_end + 1 : buffer_str(&table));
	buffer_fini(&table);
	p->printed += n;
}

static int flush(struct pages *p, struct buffer *out)
{
	bool failed =
		buffer_error(out) || fputs(buffer_str(out), stdout) == EOF || fflush(stdout) != 0;

	buffer_fini(out);
	return failed ? complain(p->args->json, EXIT_REFUSED, "cannot write the output")
		      : EXIT_DONE;
}

/* --- a page --- */

static int print_page(struct pages *p, json_object *body, bool is_first)
{
	json_object *items = json_object_object_get(body, "items");
	uint64_t next = (uint64_t)json_object_get_int64(json_object_object_get(body, "next"));
	struct buffer out = {0};

	if (!json_object_is_type(items, json_type_array))
		return complain(p->args->json, EXIT_UNREACHABLE,
			"the program behind the socket is not spoa-relay");
	uint64_t n = json_object_array_length(items);
	p->left -= p->left == UINT64_MAX ? 0 : n < p->left ? n : p->left;
	bool is_last = next == 0 || p->left == 0;
	if (p->args->json && is_first)
		buffer_append_str(&out, "{\n\"items\": [");
	if (p->args->json)
		put_json(p, items, &out);
	else
		put_table(p, items, is_last, &out);
	if (p->args->json && is_last && next)
		buffer_printf(&out, "],\n\"next\": %" PRIu64 "\n}\n", next);
	else if (p->args->json && is_last)
		buffer_append_str(&out, "],\n\"next\": null\n}\n");
	p->cursor = is_last ? 0 : next;
	return flush(p, &out);
}

static int show_page(struct pages *p, const struct client_answer *answer, bool is_first)
{
	json_object *body = answer->is_json ? json_tokener_parse(buffer_str(&answer->body)) : NULL;
	int code = answer->status == 200 ? print_page(p, body, is_first)
					 : complain_of_answer(p->args->json, answer->status, body);

	json_object_put(body);
	return code;
}

static int ask(struct pages *p, bool is_first)
{
	struct buffer target = {0};
	struct client_answer answer;
	struct errtext e;

	put_target(p, &target);
	struct client_call call = {.socket = p->socket,
		.method = p->args->command->method,
		.target = buffer_str(&target),
		.output_fd = -1};
	int error = client_run(&call, &answer, &e);
	int code = error
		? complain(p->args->json,
			  client_is_unreachable(error) ? EXIT_UNREACHABLE : EXIT_REFUSED, e.text)
		: show_page(p, &answer, is_first);
	buffer_fini(&answer.body);
	buffer_fini(&target);
	return code;
}

int pages_run(const struct command_args *args, const char *socket, const char *target, bool colour)
{
	struct pages p = {.args = args, .socket = socket, .colour = colour};

	read_target(&p, target);
	int code = ask(&p, true);
	while (code == EXIT_DONE && p.cursor)
		code = ask(&p, false);
	buffer_fini(&p.base);
	return code;
}
