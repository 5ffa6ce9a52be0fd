/* The runtime client against the test's sockets, and the check of the installed HAProxy. */
#include "tests/unit/haproxy/model.h"

#include "common/clock.h"
#include "haproxy/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A peer that sends its replies in turn, one per connection; it stops at the first NULL. */
struct peer {
	char dir[64];
	char path[96];
	int fd;
	pthread_t thread;
	const char *const *replies;
	char asked[8][64];
};

static void *peer_run(void *context)
{
	struct peer *p = context;

	for (size_t i = 0; p->replies[i]; i++) {
		int fd = accept(p->fd, NULL, NULL);
		ssize_t n = recv(fd, p->asked[i], sizeof(p->asked[i]) - 1, 0);
		p->asked[i][n > 0 ? n : 0] = '\0';
		send(fd, p->replies[i], strlen(p->replies[i]), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static void peer_open(struct peer *p, const char *const *replies)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	memset(p, 0, sizeof(*p));
	p->replies = replies;
	snprintf(p->dir, sizeof(p->dir), "/tmp/relay-runtime.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/s", p->dir);
	memcpy(sun.sun_path, p->path, sizeof(p->path));
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(p->fd, 4), 0);
	if (replies)
		assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
}

static void peer_close(struct peer *p)
{
	if (p->replies)
		pthread_join(p->thread, NULL);
	close(p->fd);
	unlink(p->path);
	rmdir(p->dir);
}

#define PROC(reloads, failed)                                                                      \
	"#<PID>  <type>  <reloads>  <uptime>  <version>\n"                                         \
	"555     master  " reloads " [failed: " failed "]   0d00h00m01s     2.6.12-1\n"            \
	"# workers\n561  worker  0  0d00h00m00s  2.6.12-1\n"                                       \
	"# old workers\n557  worker  1  0d00h01m00s  2.6.12-1\n# programs\n\n"

static void returns_a_whole_answer(void **state)
{
	static const char *const replies[] = {"Name: HAProxy\nVersion: 2.6.12\n\n", NULL};
	struct buffer answer = {0};
	struct peer peer;

	(void)state;
	peer_open(&peer, replies);
	assert_int_equal(runtime_command(peer.path, "show info", 5000, &answer, NULL), 0);
	peer_close(&peer);
	assert_string_equal(peer.asked[0], "show info\n");
	assert_string_equal(buffer_str(&answer), replies[0]);
	buffer_fini(&answer);
}

static void says_that_a_silent_haproxy_did_not_answer(void **state)
{
	struct buffer answer = {0};
	struct errtext e = {""};
	struct peer peer;

	(void)state;
	peer_open(&peer, NULL);
	int64_t start = clock_monotonic_ns();
	assert_int_equal(runtime_command(peer.path, "show info", 50, &answer, &e), -ETIMEDOUT);
	assert_true(clock_monotonic_ns() - start >= 49000000);
	assert_non_null(strstr(e.text, "did not answer in time"));
	assert_int_equal(runtime_reload(peer.path, 50, &e), -ETIMEDOUT);
	peer_close(&peer);
	assert_int_equal(runtime_command(peer.path, "show info", 50, &answer, &e), -ENOENT);
	assert_int_equal(runtime_command(peer.path, "a\nb", 50, &answer, &e), -EINVAL);
	buffer_fini(&answer);
}

static void reads_status_from_both_sockets(void **state)
{
	static const char *const info[] = {"Name: HAProxy\nVersion: 3.2.26-1\nUptime_sec: 12\n"
					   "CurrConns: 3\nCumReq: 400\nDroppedLogs: 5\n\n",
		NULL};
	static const char *const proc[] = {PROC("4", "0"), NULL};
	struct runtime_status status;
	struct errtext e = {""};
	struct peer admin;
	struct peer master;

	(void)state;
	peer_open(&admin, info);
	peer_open(&master, proc);
	assert_int_equal(runtime_status(admin.path, master.path, 5000, &status, &e), 0);
	peer_close(&admin);
	peer_close(&master);
	assert_string_equal(status.version, "3.2.26-1");
	assert_int_equal(status.uptime_s, 12);
	assert_int_equal(status.workers, 2);
	assert_int_equal(status.connections, 3);
	assert_int_equal(status.requests, 400);
	assert_int_equal(status.dropped_logs, 5);
	assert_int_equal(runtime_status("", NULL, 5000, &status, &e), -EINVAL);
}

static int reload_with(const char *const *replies, struct errtext *e)
{
	struct peer peer;

	peer_open(&peer, replies);
	int error = runtime_reload(peer.path, 5000, e);
	peer_close(&peer);
	assert_string_equal(peer.asked[0], "show proc\n");
	return error;
}

static void take_name(void *context, struct slice name)
{
	buffer_printf(context, "%.*s;", (int)name.n, name.p);
}

static void finds_backends_whose_source_address_is_not_here(void **state)
{
	static const char *const replies[] = {
		"# pxname,svname,status,check_status,last_chk,\n"
		"b7-u-e,out,DOWN,L4CON,Can't bind to source address (Cannot assign requested "
		"address),\n"
		"b7-u-e,again1,UP,L4CON,Can't bind to source address (Cannot assign requested "
		"address),\n"
		"b8-u-f,out,DOWN,L4CON,Can't bind to source address (Address already in use),\n"
		"b9-u-g,out,DOWN,L4CON,Connection refused,\n"
		"b10-u-h,out,UP,L4OK,,\n\n",
		NULL};
	struct buffer names = {0};
	struct peer p;

	(void)state;
	peer_open(&p, replies);
	assert_int_equal(runtime_unbound("", p.path, 5000, take_name, &names, NULL), 0);
	peer_close(&p);
	assert_string_equal(p.asked[0], "@1 show stat -1 4 -1\n");
	assert_string_equal(buffer_str(&names), "b7-u-e;");
	buffer_fini(&names);
	assert_int_equal(runtime_unbound("", "", 5000, take_name, &names, NULL), -ENOTSUP);
}

static void follows_a_reload_that_only_counts(void **state)
{
	static const char *const taken[] = {
		PROC("1", "0"), "", PROC("1", "0"), PROC("2", "0"), NULL};
	static const char *const refused[] = {PROC("1", "0"), "", PROC("2", "1"), NULL};
	struct errtext e = {""};

	(void)state;
	assert_int_equal(reload_with(taken, &e), 0);
	assert_int_equal(reload_with(refused, &e), -EPROTO);
	assert_non_null(strstr(e.text, "kept its old configuration"));
}

static void believes_a_master_that_says_how_it_went(void **state)
{
	static const char *const taken[] = {PROC("1", "0"), "Success=1\n--\nfine\n", NULL};
	static const char *const refused[] = {PROC("1", "0"),
		"Success=0\n--\n[NOTICE]   (1) : haproxy version is 3.0\n"
		"[ALERT]    (1) : config : parsing [r.cfg:2] : unknown keyword 'x'\n"
		"[ALERT]    (1) : config : Fatal errors\n",
		NULL};
	static const char *const worker[] = {"Unknown command, but maybe\n", NULL};
	struct errtext e = {""};

	(void)state;
	assert_int_equal(reload_with(taken, &e), 0);
	assert_int_equal(reload_with(refused, &e), -EPROTO);
	assert_string_equal(e.text,
		"HAProxy kept its old configuration: "
		"parsing [r.cfg:2] : unknown keyword 'x'");
	assert_int_equal(reload_with(worker, &e), -EPROTO);
	assert_non_null(strstr(e.text, "not the socket of a HAProxy master"));
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void passes_on_the_first_complaint_of_a_check(void **state)
{
	char dir[] = "/tmp/relay-check.XXXXXX";
	char path[64];
	struct errtext e = {""};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.cfg", dir);
	write_file(path, "defaults d\n\tmode http\n\tfrobnicate\n");
	assert_int_equal(runtime_check("haproxy", path, 20000, &e), -EINVAL);
	assert_non_null(strstr(e.text, "unknown keyword 'frobnicate'"));
	assert_null(strstr(e.text, "[ALERT]"));
	assert_int_equal(runtime_check("/nonesuch/haproxy", path, 20000, &e), -ENOENT);
	write_file(path,
		"global\n\tmaxconn 10\n"
		"defaults d\n\tmode http\n\ttimeout client 1s\n"
		"frontend f from d\n\tbind abns@relay-check-test\n");
	assert_int_equal(runtime_check("haproxy", path, 20000, &e), 0);
	unlink(path);
	rmdir(dir);
}

static void stops_a_check_that_never_ends(void **state)
{
	char dir[] = "/tmp/relay-check.XXXXXX";
	char path[64];
	struct errtext e = {""};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/slow", dir);
	write_file(path, "#!/bin/sh\nexec sleep 600\n");
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(runtime_check(path, "x", 200, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "in time"));
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returns_a_whole_answer),
		cmocka_unit_test(says_that_a_silent_haproxy_did_not_answer),
		cmocka_unit_test(reads_status_from_both_sockets),
		cmocka_unit_test(finds_backends_whose_source_address_is_not_here),
		cmocka_unit_test(follows_a_reload_that_only_counts),
		cmocka_unit_test(believes_a_master_that_says_how_it_went),
		cmocka_unit_test(passes_on_the_first_complaint_of_a_check),
		cmocka_unit_test(stops_a_check_that_never_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
