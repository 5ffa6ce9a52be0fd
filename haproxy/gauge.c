#include "haproxy/gauge.h"

#include "common/clock.h"
#include "common/num.h"
#include "common/record.h"
#include "common/seam.h"
#include "haproxy/render_parts.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define SHOW_TABLE "show table " RENDER_TRACK " data.conn_cur gt 0"
#define COMMAND_SIZE 96

/* --- what HAProxy prints --- */

/* HAProxy ends an answer with an empty line; a master that reloads meanwhile cuts it short. */
static bool is_whole(struct slice answer)
{
	return answer.n >= 2 && memcmp(answer.p + answer.n - 2, "\n\n", 2) == 0;
}

/* The text of `NAME=text` in a line of words. */
static bool find_value(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);
	struct slice word;

	while (line.n && slice_next(&line, ' ', &word)) {
		if (word.n > n && memcmp(word.p, name, n) == 0 && word.p[n] == '=') {
			*ret = slice_skip(word, n + 1);
			return true;
		}
	}
	return false;
}

/* 0x55d0c8: key=1|2|3 use=1 exp=59990 shard=0 conn_cur=1 */
static bool parse_row(struct slice line, struct gauge_row *ret)
{
	struct slice key;
	struct slice count;
	uint64_t number;

	if (!find_value(line, "key", &key) || !find_value(line, "conn_cur", &count) ||
		num_parse_u64(count, UINT32_MAX, &number) ||
		record_parse_track(key, &ret->tenant, &ret->key, &ret->account))
		return false;
	ret->count = (uint32_t)number;
	return true;
}

int gauge_parse_table(struct slice answer, struct buffer *out)
{
	struct slice line;
	struct gauge_row row;
	int rows = 0;

	if (!slice_has_prefix(answer, SLICE_LITERAL("# table: " RENDER_TRACK ",")))
		return -EPROTO;
	if (!is_whole(answer))
		return -EAGAIN;
	while (answer.n && slice_next(&answer, '\n', &line)) {
		if (!slice_has_prefix(line, SLICE_LITERAL("0x")) || !parse_row(line, &row) ||
			row.count == 0)
			continue;
		if (rows == GAUGE_ROWS_MAX)
			return -E2BIG;
		buffer_append(out, &row, sizeof(row));
		rows++;
	}
	return buffer_error(out) ? buffer_error(out) : rows;
}

int gauge_parse_workers(struct slice answer, uint64_t ret_pids[GAUGE_WORKERS_MAX])
{
	bool has_master = false;
	struct slice line;
	bool whole = is_whole(answer);
	int count = 0;

	while (answer.n && slice_next(&answer, '\n', &line)) {
		struct slice pid;
		struct slice type = {NULL, 0};
		uint64_t number;
		line = slice_trim(line);
		if (!slice_next(&line, ' ', &pid) || num_parse_u64(pid, INT32_MAX, &number))
			continue;
		line = slice_trim(line);
		slice_next(&line, ' ', &type);
		has_master |= slice_eq_str(type, "master");
		if (!slice_eq_str(type, "worker"))
			continue;
		if (count == GAUGE_WORKERS_MAX)
			return -E2BIG;
		ret_pids[count++] = number;
	}
	if (!has_master)
		return -EPROTO;
	return whole ? count : -EAGAIN;
}

/* --- asking --- */

struct reading {
	struct gauge_head head;
	uint32_t workers[GAUGE_WORKERS_MAX];
	struct buffer *out; /* the rows */
};

/* `address` is where the command goes: empty, or `@!PID ` at a master. */
static int ask_table(const char *socket, const char *address, int timeout_ms, struct reading *r,
	struct errtext *e)
{
	char command[COMMAND_SIZE];
	struct buffer answer = {0};

	snprintf(command, sizeof(command), "%s" SHOW_TABLE, address);
	int rows = runtime_command(socket, command, timeout_ms, &answer, e);
	if (rows == 0) {
		rows = gauge_parse_table(buffer_slice(&answer), r->out);
		if (rows < 0)
			errtext_set(e, rows, "HAProxy's table %s cannot be read", RENDER_TRACK);
	}
	buffer_fini(&answer);
	if (rows < 0)
		return rows;
	r->head.rows += (uint32_t)rows;
	return r->head.rows <= GAUGE_ROWS_MAX ? 0 : -E2BIG;
}

/* A worker with files of an older release has no such number: 0. */
static int ask_number(const char *socket, const char *address, const char *name, int timeout_ms,
	uint64_t *ret, struct errtext *e)
{
	int error = runtime_variable(socket, address, name, timeout_ms, ret, e);

	return error == -ENOENT ? 0 : error;
}

static int ask_process(const char *socket, const char *address, int timeout_ms, struct reading *r,
	struct errtext *e)
{
	uint64_t started_us = 0;
	uint64_t gen = 0;
	int error = ask_number(socket, address, SEAM_PROC_WORKER, timeout_ms, &started_us, e);

	if (!error)
		error = ask_number(socket, address, SEAM_PROC_GEN, timeout_ms, &gen, e);
	if (!error)
		error = ask_table(socket, address, timeout_ms, r, e);
	if (error)
		return error;
	if (r->head.workers == 0 || gen < r->head.oldest_gen)
		r->head.oldest_gen = gen;
	r->workers[r->head.workers++] = gauge_worker(started_us);
	return 0;
}

int gauge_list_workers(
	const char *master, int timeout_ms, uint64_t ret_pids[GAUGE_WORKERS_MAX], struct errtext *e)
{
	struct buffer answer = {0};
	int count = runtime_command(master, "show proc", timeout_ms, &answer, e);

	if (count == 0) {
		count = gauge_parse_workers(buffer_slice(&answer), ret_pids);
		if (count < 0)
			errtext_set(e, count, "%s is not the socket of a HAProxy master", master);
	}
	buffer_fini(&answer);
	return count;
}

static bool is_listed(uint64_t pid, const uint64_t *pids, int count)
{
	for (int i = 0; i < count; i++) {
		if (pids[i] == pid)
			return true;
	}
	return false;
}

/* A worker that ended between the list and the question has no requests any more. */
static int ask_worker(
	const char *master, uint64_t pid, int timeout_ms, struct reading *r, struct errtext *e)
{
	uint64_t pids[GAUGE_WORKERS_MAX] = {0};
	char address[COMMAND_SIZE / 2];

	snprintf(address, sizeof(address), "@!%" PRIu64 " ", pid);
	int error = ask_process(master, address, timeout_ms, r, e);
	if (!error || error == -ETIMEDOUT || error == -E2BIG)
		return error;
	int count = gauge_list_workers(master, timeout_ms, pids, e);
	if (count < 0)
		return count;
	return is_listed(pid, pids, count) ? -EAGAIN : 0;
}

static int ask_all(const char *master, int timeout_ms, struct reading *r, struct errtext *e)
{
	uint64_t pids[GAUGE_WORKERS_MAX] = {0};
	int count = gauge_list_workers(master, timeout_ms, pids, e);
	int error = count < 0 ? count : 0;

	for (int i = 0; i < count && !error; i++)
		error = ask_worker(master, pids[i], timeout_ms, r, e);
	r->head.is_whole = 1;
	r->head.source = (uint32_t)crc32(0, (const Bytef *)master, (uInt)strlen(master));
	return error;
}

int gauge_read(const char *admin_socket, const char *master_socket, int timeout_ms,
	struct buffer *out, struct errtext *e)
{
	struct reading r = {.head = {.begun_ms = clock_wall_ms()}, .out = out};
	size_t at = out->len;
	bool has_master = master_socket && master_socket[0];

	buffer_append(out, &r.head, sizeof(r.head));
	int error = has_master ? ask_all(master_socket, timeout_ms, &r, e)
			       : ask_process(admin_socket, "", timeout_ms, &r, e);
	buffer_append(out, r.workers, r.head.workers * sizeof(r.workers[0]));
	if (!error)
		error = buffer_error(out);
	if (error)
		return error;
	memcpy(out->data + at, &r.head, sizeof(r.head));
	return 0;
}
