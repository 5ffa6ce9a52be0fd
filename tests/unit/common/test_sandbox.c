/* Each filter in a separate process, because it lasts. */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef RELAY_INSTRUMENTED
#define REFUSED(call) true
#else
#define REFUSED(call) is_refused(call)

static bool is_refused(long result)
{
	return result < 0 && errno == EPERM;
}
#endif

/* Returns the exit code: the number of the first check that fails, 0 = none. */
static int in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(check());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int run_true(void)
{
	char *const args[] = {(char *)(uintptr_t) "true", NULL};

	execv("/bin/true", args);
	return -1;
}

static int check_agent(void)
{
	int pair[2];
	char byte = 'a';

	if (sandbox_agent())
		return 1;
	if (!REFUSED(run_true()))
		return 2;
	if (!REFUSED(open("/etc/passwd", O_RDONLY)))
		return 3;
	if (!REFUSED(socket(AF_INET, SOCK_STREAM, 0)))
		return 4;
	if (!REFUSED(unlink("/nowhere")))
		return 5;
	if (!REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 6;
	if (!REFUSED(fork()))
		return 7;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || write(pair[0], &byte, 1) != 1 ||
		read(pair[1], &byte, 1) != 1)
		return 8;
	int netlink = socket(AF_NETLINK, SOCK_RAW, 0);
	if (netlink < 0 && errno == EPERM)
		return 9;
	void *memory = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? 10 : 0;
}

static int check_control(void)
{
	int status;

	if (sandbox_control())
		return 1;
	if (!REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 2;
	if (!REFUSED(chroot("/")))
		return 3;
	if (open("/etc/passwd", O_RDONLY) < 0 || socket(AF_INET, SOCK_STREAM, 0) < 0)
		return 4;
	/* HAProxy's check */
	pid_t pid = fork();
	if (pid == 0)
		_exit(run_true() < 0 ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 5;
}

static void the_agent_works_on_what_is_open(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_agent), 0);
}

static void control_works_but_not_on_the_machine(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_control), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_agent_works_on_what_is_open),
		cmocka_unit_test(control_works_but_not_on_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
