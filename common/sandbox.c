#include "common/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Sanitizers and coverage open files and start threads, at the end too. */
#ifdef RELAY_INSTRUMENTED
#define IS_INSTRUMENTED true
#else
#define IS_INSTRUMENTED false
#endif

/* Names, because a machine may not have each of them. NULL ends a list. */
static const char *const agents_calls[] = {
	/* memory */
	"brk", "madvise", "membarrier", "mincore", "mlock", "mmap", "mprotect", "mremap", "msync",
	"munlock", "munmap",
	/* time */
	"clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday",
	"nanosleep", "time", "timerfd_create", "timerfd_gettime", "timerfd_settime", "times",
	/* what is open */
	"close", "close_range", "dup", "dup2", "dup3", "fallocate", "fcntl", "fdatasync", "flock",
	"fstat", "fsync", "ftruncate", "lseek", "newfstatat", "pipe", "pipe2", "pread64", "preadv",
	"preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readv", "statx", "write", "writev",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
	"eventfd", "eventfd2", "poll", "ppoll", "pselect6", "select",
	/* sockets that are there; the creation of some is below */
	"accept", "accept4", "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmmsg",
	"recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair",
	/* itself, and its end */
	"arch_prctl", "exit", "exit_group", "futex", "futex_waitv", "get_robust_list", "getcpu",
	"getegid", "geteuid", "getgid", "getgroups", "getpgrp", "getpid", "getppid", "getrandom",
	"getresgid", "getresuid", "getrlimit", "getrusage", "gettid", "getuid", "prctl",
	"restart_syscall", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sched_getaffinity", "sched_yield",
	"set_robust_list", "set_tid_address", "sigaltstack", "sysinfo", "tgkill", "uname", NULL};

static const char *const refused_to_control[] = {
	/* other processes */
	"kcmp", "migrate_pages", "move_pages", "pidfd_getfd", "process_madvise", "process_vm_readv",
	"process_vm_writev", "ptrace",
	/* file systems and name spaces */
	"chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mknod", "mknodat", "mount",
	"mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree",
	"pivot_root", "quotactl", "quotactl_fd", "setns", "swapoff", "swapon", "umount", "umount2",
	"unshare",
	/* the kernel and the machine */
	"acct", "adjtimex", "bpf", "clock_adjtime", "clock_settime", "delete_module",
	"finit_module", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load",
	"lookup_dcookie", "perf_event_open", "reboot", "sethostname", "setdomainname",
	"settimeofday", "stime", "syslog", "vhangup",
	/* rarely used, and often a hole */
	"add_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "keyctl", "modify_ldt",
	"personality", "request_key", "userfaultfd", "vmsplice", NULL};

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
	for (; *names; names++) {
		int number = seccomp_syscall_resolve_name(*names);
		/* negative: not on this machine */
		if (number < 0)
			continue;
		int error = seccomp_rule_add(filter, action, number, 0);
		if (error)
			return error;
	}
	return 0;
}

/* Questions to the kernel who a local peer is. */
static int add_netlink(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp netlink = {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &netlink);
}

static int load(scmp_filter_ctx filter, int error)
{
	/* for the journal: an error does not say that the filter made it */
	if (!error)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int sandbox_agent(void)
{
	if (IS_INSTRUMENTED)
		return 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	int error = add_all(filter, SCMP_ACT_ALLOW, agents_calls);
	if (!error)
		error = add_netlink(filter);
	return load(filter, error);
}

int sandbox_control(void)
{
	if (IS_INSTRUMENTED)
		return 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	return load(filter, add_all(filter, SCMP_ACT_ERRNO(EPERM), refused_to_control));
}
