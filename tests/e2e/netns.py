"""A network namespace of one's own: a function runs in a child in it, where addresses can come and go."""
import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def _child(function, arguments):
    _libc.prctl(1, signal.SIGTERM)
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network namespace needs root")
    ip("link", "set", "lo", "up")
    function(*arguments)


def run_in_netns(function, *arguments, seconds=600):
    """The function's failure is the caller's; what it prints goes where the caller's output goes."""
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
