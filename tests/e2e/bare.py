"""A HAProxy of the same version without the relay: what a test compares a time with, measured side by side."""
import contextlib
import socket

from relay import Process, free_port, wait_until

CONFIG = """
global
    nbthread 2
    maxconn 9000
    tune.bufsize 32768
defaults
    mode http
    option http-no-delay
    option abortonclose
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend bare
    bind 127.0.0.1:{port}
    http-request set-header Authorization "Bearer {token}"
    default_backend upstream
backend upstream
    server upstream 127.0.0.1:{upstream}
"""


@contextlib.contextmanager
def bare(stack, upstream, token="none"):
    """The port of a HAProxy in front of the upstream's port."""
    port = free_port()
    cfg = stack.dir / f"bare-{port}.cfg"
    cfg.write_text(CONFIG.format(port=port, upstream=upstream, token=token))
    process = Process("bare HAProxy", [*stack.command, "-W", "-f", cfg], stack.dir / f"bare-{port}.log")
    try:
        wait_until("the bare HAProxy listens", lambda: listens(process, port))
        yield port
    finally:
        process.stop()


def listens(process, port):
    assert process.popen.poll() is None, process.text()
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def compare(measure, is_good, times=5):
    """A comparison of times that has to hold once: a busy machine spoils some measurements, a fault spoils all."""
    seen = []
    for _ in range(times):
        seen.append(measure())
        if is_good(*seen[-1]):
            return
    raise AssertionError(f"never as it should be: {seen}")
