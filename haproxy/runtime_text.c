#include "haproxy/runtime_text.h"

#include "common/num.h"
#include "common/seam.h"

#include <errno.h>
#include <stdio.h>

static bool next_line(struct slice *rest, struct slice *ret)
{
	return rest->n && slice_next(rest, '\n', ret);
}

static bool next_word(struct slice *line, struct slice *ret)
{
	while (slice_next(line, ' ', ret)) {
		if (ret->n)
			return true;
	}
	return false;
}

/* PID master RELOADS [failed: N] ... */
static int parse_master(struct slice line, struct runtime_processes *ret)
{
	struct slice word;

	if (!next_word(&line, &word) || num_parse_u64(word, UINT64_MAX, &ret->reloads))
		return -EPROTO;
	if (!next_word(&line, &word) || !slice_eq_str(word, "[failed:"))
		return -EPROTO;
	if (!next_word(&line, &word) || word.n < 2)
		return -EPROTO;
	return num_parse_u64(slice_cut(word, word.n - 1), UINT64_MAX, &ret->failed) ? -EPROTO : 0;
}

int runtime_parse_processes(struct slice answer, struct runtime_processes *ret)
{
	struct runtime_processes found = {0};
	struct slice line;
	struct slice pid;
	struct slice type;
	bool has_master = false;

	while (next_line(&answer, &line)) {
		if (slice_has_prefix(line, SLICE_LITERAL("#")) || !next_word(&line, &pid) ||
			!next_word(&line, &type))
			continue;
		if (slice_eq_str(type, "worker"))
			found.workers++;
		if (!slice_eq_str(type, "master"))
			continue;
		if (parse_master(line, &found))
			return -EPROTO;
		has_master = true;
	}
	if (!has_master)
		return -EPROTO;
	*ret = found;
	return 0;
}

/* "proc.x: type=sint value=<5>", or "Variable not found." */
int runtime_parse_variable(struct slice answer, uint64_t *ret)
{
	static const char mark[] = " value=<";
	const char *at = memmem(answer.p, answer.n, mark, sizeof(mark) - 1);

	if (!at)
		return memmem(answer.p, answer.n, "not found", 9) ? -ENOENT : -EPROTO;
	struct slice rest = slice_skip(answer, (size_t)(at - answer.p) + sizeof(mark) - 1);
	struct slice number;
	slice_next(&rest, '>', &number);
	return num_parse_u64(number, UINT64_MAX, ret) ? -ENOENT : 0;
}

/* pxname,svname,...; the text is of HAProxy and of the C library, the same in all versions of HAProxy. */
void runtime_parse_unbound(struct slice answer, runtime_unbound_fn *fn, void *context)
{
	static const char mark[] = "bind to source address (Cannot assign requested address)";
	struct slice line;

	while (next_line(&answer, &line)) {
		struct slice rest = line;
		struct slice backend;
		struct slice server;
		if (slice_next(&rest, ',', &backend) && slice_next(&rest, ',', &server) &&
			slice_eq_str(server, SEAM_SERVER_OUT) &&
			memmem(rest.p, rest.n, mark, sizeof(mark) - 1))
			fn(context, backend);
	}
}

static void take_number(struct slice value, uint64_t *out)
{
	uint64_t number;

	if (!num_parse_u64(value, UINT64_MAX, &number))
		*out = number;
}

static void take_info(struct slice key, struct slice value, struct runtime_status *s)
{
	uint64_t uptime = 0;

	if (slice_eq_str(key, "Version")) {
		snprintf(s->version, sizeof(s->version), "%.*s", (int)slice_cut(value, 63).n,
			value.p);
	} else if (slice_eq_str(key, "Uptime_sec")) {
		take_number(value, &uptime);
		s->uptime_s = (int64_t)(uptime & INT64_MAX);
	} else if (slice_eq_str(key, "CurrConns")) {
		take_number(value, &s->connections);
	} else if (slice_eq_str(key, "CumReq")) {
		take_number(value, &s->requests);
	} else if (slice_eq_str(key, "DroppedLogs")) {
		take_number(value, &s->dropped_logs);
	}
}

int runtime_parse_info(struct slice answer, struct runtime_status *ret)
{
	struct runtime_status found = *ret;
	struct slice line;
	struct slice key;

	found.version[0] = '\0';
	while (next_line(&answer, &line)) {
		if (slice_next(&line, ':', &key))
			take_info(key, slice_trim(line), &found);
	}
	if (!found.version[0])
		return -EPROTO;
	*ret = found;
	return 0;
}

/* "[ALERT]    (123) : config : text" -> "text" */
static struct slice alert_text(struct slice line)
{
	const char *mark = memmem(line.p, line.n, ") : ", 4);
	struct slice text = line;

	if (mark)
		text = slice_skip(line, (size_t)(mark - line.p) + 4);
	if (slice_has_prefix(text, SLICE_LITERAL("config : ")))
		text = slice_skip(text, 9);
	return slice_trim(text);
}

static size_t append_text(char *out, size_t size, size_t len, struct slice text)
{
	if (text.n && len && len + 1 < size)
		out[len++] = ' ';
	for (size_t i = 0; i < text.n && len + 1 < size; i++) {
		char c = text.p[i];
		out[len++] = c >= ' ' && c <= '~' ? c : ' ';
	}
	return len;
}

bool runtime_first_alert(struct slice log, char *out, size_t size)
{
	struct slice line;
	size_t len = 0;
	bool found = false;

	while (next_line(&log, &line)) {
		bool is_new = slice_has_prefix(line, SLICE_LITERAL("["));
		if (found && is_new)
			break;
		if (is_new && !slice_has_prefix(line, SLICE_LITERAL("[ALERT]")))
			continue;
		if (!is_new && !found)
			continue;
		found = true;
		len = append_text(out, size, len, is_new ? alert_text(line) : slice_trim(line));
	}
	if (found)
		out[len] = '\0';
	return found;
}
