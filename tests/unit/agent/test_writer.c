/* The keeper's writer, asked as control asks it; in a directory of the test. */
#include "agent/keeper/writer.h"

#include "common/buffer.h"
#include "common/channel.h"
#include "common/snapshot.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_MS 20000

struct desk {
	struct writer writer;
	int control_fd; /* control's end */
	struct config config;
	struct identities ids;
	char dir[64];
	struct channel_message answer;
};

static int set_up(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));
	int pair[2];

	assert_non_null(d);
	snprintf(d->dir, sizeof(d->dir), "/tmp/relay-writer-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	assert_int_equal(channel_pair(pair), 0);
	d->writer.fd = -1;
	writer_use(&d->writer, pair[0]);
	d->control_fd = pair[1];
	config_init(&d->config);
	snprintf(d->config.haproxy_output_dir.s, sizeof(d->config.haproxy_output_dir.s), "%s",
		d->dir);
	*state = d;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.cfg", "ca-0123456789abcdef01234567.pem"};
	struct desk *d = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]);
		unlink(path);
	}
	rmdir(d->dir);
	writer_use(&d->writer, -1);
	close(d->control_fd);
	free(d);
	return 0;
}

static void send_file(struct desk *d, const char *name, uint64_t number, int fd)
{
	struct channel_message m = {.type = CHANNEL_FILE, .version = number};

	snprintf(m.text, sizeof(m.text), "%s", name);
	assert_int_equal(channel_send(d->control_fd, &m, &fd, fd >= 0 ? 1 : 0), 0);
	writer_receive(&d->writer, &d->config, &d->ids);
}

/* The writer's process ends, and its answer is there. Returns its error. */
static int await(struct desk *d)
{
	struct pollfd ready = {.fd = d->control_fd, .events = POLLIN};
	int fds[CHANNEL_FDS_MAX];
	int status;

	assert_true(d->writer.pid > 0);
	assert_int_equal(writer_fd(&d->writer), -1);
	pid_t pid = waitpid(d->writer.pid, &status, 0);
	assert_true(writer_ended(&d->writer, pid, status));
	assert_int_equal(poll(&ready, 1, ANSWER_MS), 1);
	assert_int_equal(channel_receive(d->control_fd, &d->answer, fds), 0);
	assert_int_equal(d->answer.type, CHANNEL_FILE);
	return d->answer.error;
}

static int put(struct desk *d, const char *name, const char *text)
{
	int fd = snapshot_seal("test", slice_from_str(text));

	assert_true(fd >= 0);
	send_file(d, name, 7, fd);
	close(fd);
	int error = await(d);
	assert_int_equal(d->answer.version, 7);
	return error;
}

static bool file_is(const struct desk *d, const char *name, const char *text)
{
	struct buffer there = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	bool same = !buffer_read_file(&there, path, 1 << 20) &&
		slice_eq(buffer_slice(&there), slice_from_str(text));
	buffer_fini(&there);
	return same;
}

static void a_good_file_is_put_in_place(void **state)
{
	struct desk *d = *state;
	char path[128];
	struct stat st;

	assert_int_equal(put(d, "relay.cfg", "global\n"), 0);
	assert_true(file_is(d, "relay.cfg", "global\n"));
	assert_int_equal(put(d, "relay.cfg", "global\n\ttune.bufsize 1\n"), 0);
	assert_true(file_is(d, "relay.cfg", "global\n\ttune.bufsize 1\n"));
	snprintf(path, sizeof(path), "%s/relay.cfg", d->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(put(d, "ca-0123456789abcdef01234567.pem", "-----BEGIN\n"), 0);
}

static void a_bad_file_is_refused_and_the_old_one_stays(void **state)
{
	struct desk *d = *state;

	assert_int_equal(put(d, "relay.cfg", "global\n"), 0);
	assert_int_equal(put(d, "relay.cfg", "global\n\tuser root\n"), -EPERM);
	assert_non_null(strstr(d->answer.text, "relay.cfg:2"));
	assert_int_equal(put(d, "../relay.cfg", "global\n"), -EPERM);
	assert_true(file_is(d, "relay.cfg", "global\n"));
}

static void a_strange_question_is_no_harm(void **state)
{
	struct desk *d = *state;
	int ends[2];

	send_file(d, "relay.cfg", 1, -1);
	assert_int_equal(d->writer.pid, 0);
	assert_int_equal(pipe(ends), 0);
	send_file(d, "relay.cfg", 2, ends[0]);
	assert_true(await(d) < 0);
	close(ends[0]);
	close(ends[1]);
	d->config.haproxy_output_dir.s[0] = '\0';
	assert_int_equal(put(d, "relay.cfg", "global\n"), -EINVAL);
}

static void control_learns_of_a_process_that_died(void **state)
{
	struct desk *d = *state;
	int fds[CHANNEL_FDS_MAX];

	assert_false(writer_ended(&d->writer, 1, 0));
	d->writer.pid = 4711;
	assert_false(writer_ended(&d->writer, 4712, 9));
	assert_true(writer_ended(&d->writer, 4711, 9));
	assert_int_equal(channel_receive(d->control_fd, &d->answer, fds), 0);
	assert_int_equal(d->answer.error, -EIO);
	assert_int_equal(d->answer.version, 0);
	assert_int_equal(d->writer.pid, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_file_is_put_in_place),
		TEST(a_bad_file_is_refused_and_the_old_one_stays),
		TEST(a_strange_question_is_no_harm),
		TEST(control_learns_of_a_process_that_died),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
