#include "haproxy/tunnels.h"

#include "common/num.h"
#include "common/record.h"
#include "common/seam.h"
#include "haproxy/gauge.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW_TABLE "show table " TUNNELS_TABLE " data.conn_cur gt 0"
#define COMMAND_SIZE 128
/* SC_FL_SHUT_DONE of HAProxy 3.0 to 3.4, and SC_ST_EST of all versions. */
#define FLAG_SHUT 0x20000u
#define STATE_CONNECTED "8"

/* --- what HAProxy prints --- */

/* The text behind `name` in a line of words. */
static bool find_word(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);
	struct slice word;

	while (line.n && slice_next(&line, ' ', &word)) {
		if (word.n > n && memcmp(word.p, name, n) == 0) {
			*ret = slice_skip(word, n);
			return true;
		}
	}
	return false;
}

static bool parse_pointer(struct slice text, uint64_t *ret)
{
	char digits[17];
	char *end;

	if (!slice_has_prefix(text, SLICE_LITERAL("0x")))
		return false;
	text = slice_skip(text, 2);
	if (text.n == 0 || text.n >= sizeof(digits))
		return false;
	memcpy(digits, text.p, text.n);
	digits[text.n] = '\0';
	*ret = strtoull(digits, &end, 16);
	return *end == '\0' && *ret;
}

static bool take_source(struct slice source, char out[TUNNEL_SOURCE_SIZE])
{
	if (source.n == 0 || source.n >= TUNNEL_SOURCE_SIZE)
		return false;
	memcpy(out, source.p, source.n);
	out[source.n] = '\0';
	return true;
}

/* 0x55d0c8: key=1|2|3|203.0.113.7|198.51.100.1:5000|17 use=1 exp=59990 shard=0 conn_cur=1 */
static bool parse_row(struct slice line, struct tunnel *ret)
{
	struct slice key;
	struct slice client;
	struct slice source = {NULL, 0};
	struct slice fields[3];
	uint64_t number = 0;

	if (!slice_has_prefix(line, SLICE_LITERAL("0x")) || !find_word(line, "key=", &key))
		return false;
	struct slice track = key;
	for (size_t i = 0; i < 3; i++) {
		if (!slice_next(&key, '|', &fields[i]))
			return false;
	}
	track.n = (size_t)(fields[2].p + fields[2].n - track.p);
	if (record_parse_track(track, &ret->tenant, &ret->key, &ret->account) ||
		!slice_next(&key, '|', &client))
		return false;
	ret->has_client = ip_parse(client, &ret->client) == 0;
	slice_next(&key, '|', &source);
	if (key.n && num_parse_u64(key, UINT32_MAX, &number))
		return false;
	ret->stream.number = (uint32_t)number;
	return take_source(source, ret->stream.source);
}

int tunnels_parse_table(struct slice answer, uint64_t worker, struct buffer *out)
{
	struct slice line;
	int rows = 0;

	/* a worker of a configuration without WebSockets */
	if (!slice_has_prefix(answer, SLICE_LITERAL("# table: " TUNNELS_TABLE ",")))
		return 0;
	while (answer.n && slice_next(&answer, '\n', &line)) {
		struct tunnel t = {.stream = {.worker = worker}};
		if (!parse_row(line, &t))
			continue;
		if (++rows > TUNNELS_MAX)
			return -E2BIG;
		buffer_append(out, &t, sizeof(t));
	}
	return buffer_error(out);
}

/* "[8,41002h,fd=14,..." */
static bool parse_side(struct slice line, const char *name, bool *ret_shut)
{
	struct slice side;
	struct slice state;
	struct slice flags;
	char digits[12];

	if (!find_word(line, name, &side) || !slice_next(&side, ',', &state) ||
		!slice_next(&side, ',', &flags) || flags.n == 0 || flags.n >= sizeof(digits))
		return false;
	memcpy(digits, flags.p, flags.n);
	digits[flags.n] = '\0';
	*ret_shut = strtoul(digits, NULL, 16) & FLAG_SHUT;
	return slice_eq_str(state, STATE_CONNECTED);
}

bool tunnels_parse_session(struct slice line, struct tunnel_session *ret)
{
	struct tunnel_session s = {0};
	struct slice rest = line;
	struct slice session;
	struct slice frontend;
	bool front = false;
	bool back = false;

	if (!slice_next(&rest, ':', &session) || !parse_pointer(session, &s.session) ||
		!find_word(line, "fe=", &frontend) || !slice_eq_str(frontend, SEAM_FRONTEND) ||
		!find_word(line, "src=", &s.source))
		return false;
	s.is_half_closed = parse_side(line, "scf=[", &front) && parse_side(line, "scb=[", &back) &&
		(front || back);
	*ret = s;
	return true;
}

/* "0x7f: [date] id=17 proto=tcpv4 ...", and a line with "req.st=MSG_TUNNEL" */
uint32_t tunnels_parse_number(struct slice answer)
{
	static const char tunnel[] = " req.st=MSG_TUNNEL ";
	struct slice rest = answer;
	struct slice line;
	struct slice id;
	uint64_t number;

	if (!slice_next(&rest, '\n', &line) || !find_word(line, "id=", &id) ||
		num_parse_u64(id, UINT32_MAX, &number) || rest.n == 0 ||
		!memmem(rest.p, rest.n, tunnel, sizeof(tunnel) - 1))
		return 0;
	return (uint32_t)number;
}

/* --- asking --- */

static int ask(const struct tunnels_target *t, uint64_t worker, const char *command,
	struct buffer *answer, struct errtext *e)
{
	char text[COMMAND_SIZE];

	if (!worker)
		return runtime_command(t->admin_socket, command, t->timeout_ms, answer, e);
	snprintf(text, sizeof(text), "@!%" PRIu64 " %s", worker, command);
	return runtime_command(t->master_socket, text, t->timeout_ms, answer, e);
}

static int by_stream(const void *a, const void *b)
{
	const struct tunnel_stream *left = a;
	const struct tunnel_stream *right = b;

	if (left->worker != right->worker)
		return left->worker < right->worker ? -1 : 1;
	return strcmp(left->source, right->source);
}

/* Of an array in order, the first one with this source. */
static struct tunnel_stream *find_stream(
	struct tunnel_stream *streams, size_t count, uint64_t worker, struct slice source)
{
	struct tunnel_stream wanted = {.worker = worker};

	if (!take_source(source, wanted.source))
		return NULL;
	struct tunnel_stream *at = bsearch(&wanted, streams, count, sizeof(*streams), by_stream);
	while (at && at > streams && by_stream(at - 1, &wanted) == 0)
		at--;
	return at;
}

/* --- reading --- */

struct reading {
	const struct tunnels_target *target;
	struct buffer *tunnels;
	struct buffer *half; /* NULL = not asked for */
};

/* Half-closed streams of the worker whose source is that of a tunnel. */
static int look_for_half(struct reading *r, uint64_t worker, struct tunnel_stream *streams,
	size_t count, struct errtext *e)
{
	struct buffer answer = {0};
	struct slice line;
	struct tunnel_session s;

	qsort(streams, count, sizeof(*streams), by_stream);
	int error = ask(r->target, worker, "show sess", &answer, e);
	struct slice rest = buffer_slice(&answer);
	while (!error && rest.n && slice_next(&rest, '\n', &line)) {
		if (!tunnels_parse_session(line, &s) || !s.is_half_closed ||
			!find_stream(streams, count, worker, s.source))
			continue;
		struct tunnel_stream one = {.worker = worker, .session = s.session};
		take_source(s.source, one.source);
		buffer_append(r->half, &one, sizeof(one));
	}
	buffer_fini(&answer);
	return error ? error : buffer_error(r->half);
}

static int look_at_worker(struct reading *r, uint64_t worker, size_t before, struct errtext *e)
{
	const struct tunnel *found = (const void *)(r->tunnels->data + before);
	size_t count = (r->tunnels->len - before) / sizeof(*found);

	if (!r->half || count == 0)
		return 0;
	struct tunnel_stream *streams = calloc(count, sizeof(*streams));
	if (!streams)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		streams[i] = found[i].stream;
	int error = look_for_half(r, worker, streams, count, e);
	free(streams);
	return error;
}

static int read_worker(struct reading *r, uint64_t worker, struct errtext *e)
{
	struct buffer answer = {0};
	size_t before = r->tunnels->len;
	int error = ask(r->target, worker, SHOW_TABLE, &answer, e);

	if (!error)
		error = tunnels_parse_table(buffer_slice(&answer), worker, r->tunnels);
	buffer_fini(&answer);
	return error ? error : look_at_worker(r, worker, before, e);
}

/* A worker that does not answer may have ended; the others count. */
int tunnels_read(const struct tunnels_target *t, struct buffer *tunnels, struct buffer *half,
	struct errtext *e)
{
	struct reading r = {t, tunnels, half};
	uint64_t pids[GAUGE_WORKERS_MAX] = {0};

	if (!t->master_socket || !t->master_socket[0])
		return read_worker(&r, 0, e);
	int count = gauge_list_workers(t->master_socket, t->timeout_ms, pids, e);
	for (int i = 0; i < count; i++)
		read_worker(&r, pids[i], NULL);
	return count < 0 ? count : 0;
}

/* --- ending --- */

struct ending {
	const struct tunnels_target *target;
	struct tunnel_stream *streams;
	size_t count;
	uint32_t left;
};

/* NULL: this stream goes on. */
static struct tunnel_stream *find_wanted(
	const struct ending *d, uint64_t worker, const struct tunnel_session *s, uint32_t number)
{
	const struct tunnel_stream *end = d->streams + d->count;
	struct tunnel_stream *at = find_stream(d->streams, d->count, worker, s->source);

	for (; at && at < end && at->worker == worker && slice_eq_str(s->source, at->source);
		at++) {
		if ((at->session == 0 || at->session == s->session) &&
			(at->number == 0 || at->number == number))
			return at;
	}
	return NULL;
}

static int ask_session(const struct ending *d, uint64_t worker, const char *command,
	uint64_t session, struct buffer *answer, struct errtext *e)
{
	char text[COMMAND_SIZE / 2];

	snprintf(text, sizeof(text), "%s 0x%" PRIx64, command, session);
	return ask(d->target, worker, text, answer, e);
}

/* Looks once more right before: the name of a stream that has ended may be another one's by now. */
static int end_session(
	struct ending *d, uint64_t worker, const struct tunnel_session *s, struct errtext *e)
{
	struct buffer answer = {0};
	int error = ask_session(d, worker, "show sess", s->session, &answer, e);
	uint32_t number = error ? 0 : tunnels_parse_number(buffer_slice(&answer));
	struct tunnel_stream *wanted = number ? find_wanted(d, worker, s, number) : NULL;

	if (wanted) {
		buffer_clear(&answer);
		error = ask_session(d, worker, "shutdown session", s->session, &answer, e);
		wanted->ended += !error;
		d->left--;
	}
	buffer_fini(&answer);
	return error;
}

static int end_in_worker(struct ending *d, uint64_t worker, struct errtext *e)
{
	struct buffer answer = {0};
	struct slice line;
	struct tunnel_session s;
	int error = ask(d->target, worker, "show sess", &answer, e);
	struct slice rest = buffer_slice(&answer);

	while (!error && d->left && rest.n && slice_next(&rest, '\n', &line)) {
		if (tunnels_parse_session(line, &s) &&
			find_stream(d->streams, d->count, worker, s.source))
			error = end_session(d, worker, &s, e);
	}
	buffer_fini(&answer);
	return error;
}

int tunnels_end(const struct tunnels_target *t, struct tunnel_stream *streams, size_t count,
	uint32_t max, struct errtext *e)
{
	struct ending d = {.target = t, .streams = streams, .count = count, .left = max};
	int error = 0;

	qsort(streams, count, sizeof(*streams), by_stream);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && streams[i].worker == streams[i - 1].worker)
			continue;
		int failed = end_in_worker(&d, streams[i].worker, e);
		error = failed ? failed : error;
	}
	return error;
}
