"""A separate network namespace: a function runs in a child process in it, where it can add and remove addresses."""
import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback

CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
CAP_NET_ADMIN = 12
CAPABILITY_VERSION = 0x20080522
PR_SET_PDEATHSIG = 1
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def _must(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def _keep_net_admin():
    """`ip` needs this: a user other than root would start it without capabilities."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)()
    _must(_libc.capget(header, data), "capget")
    data[2] |= 1 << CAP_NET_ADMIN
    _must(_libc.capset(header, data), "capset")
    _must(_libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0), "ambient capability")


def _enter():
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _must(_libc.unshare(CLONE_NEWNET), "network namespace")
        return
    _must(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNET), "user and network namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)
    _keep_net_admin()


def enter():
    """Enters the namespace, for this thread and later child processes."""
    _enter()
    ip("link", "set", "lo", "up")


def _child(function, arguments):
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    enter()
    function(*arguments)


def run_in_netns(function, *arguments, seconds=600):
    """A failure of the function is raised in the caller; its output goes to the caller's output."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _child(function, arguments)
            code = 0
        except BaseException:  # whatever it was, pytest must not run twice
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, f"failed in the namespace: {status}"
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    raise AssertionError(f"not done within {seconds} s")
