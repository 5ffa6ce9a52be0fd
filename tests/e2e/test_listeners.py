"""Listeners stay usable, whatever connects to them and asks nothing."""
import contextlib
import http.client
import socket
import time

import pytest

from relay import ANY, BUILD, Process, Stack, free_port, wait_until

MANY = 1000
PEER_MAX = 128  # SERVER_PEER_MAX of admin/api/server_connections.h
FILES = 100  # descriptors; fewer than connections of one peer to any listener
ROUNDS = 20


@pytest.fixture(scope="module")
def stack():
    port = free_port()
    s = Stack(ANY, extra=f"[check]\nlisten = tcp:127.0.0.1:{port}\n")
    s.check_port = port
    try:
        yield s.start()
    finally:
        s.stop()


def connect_unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(str(path))
    return s


def places(stack):
    """name -> how to connect, for each listener that takes connections."""
    relay = stack.relay
    return {
        "metrics": lambda: socket.create_connection(("127.0.0.1", relay.metrics_port), timeout=10),
        "admin": lambda: connect_unix(relay.socket),
        "spop": lambda: connect_unix(relay.dir / "run" / "agent.sock"),
        "check": lambda: socket.create_connection(("127.0.0.1", stack.check_port), timeout=10),
    }


@contextlib.contextmanager
def opened(connect, count):
    """Connections that ask nothing; the far end may close them at once."""
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            with contextlib.suppress(OSError):
                all_of_them.enter_context(connect())
        yield


def scrape(relay):
    """Seconds that /metrics took."""
    begun = time.monotonic()
    c = http.client.HTTPConnection("127.0.0.1", relay.metrics_port, timeout=30)
    c.request("GET", "/metrics")
    answer = c.getresponse()
    text = answer.read()
    c.close()
    assert answer.status == 200 and b"relay_build_info" in text
    return time.monotonic() - begun


def fastest(relay, tries=10):
    return min(scrape(relay) for _ in range(tries))


def is_served(relay):
    try:
        return fastest(relay, 3) < 0.05
    except OSError:  # the descriptors are not free yet
        return False


def check(stack):
    with socket.create_connection(("127.0.0.1", stack.check_port), timeout=30) as s:
        s.sendall(b"no-such-backend\n")
        return s.recv(100)


def serves(stack):
    assert stack.relay.adm("status")["snapshot"]["connected"]
    assert check(stack) == b"up\n"
    assert stack.post("/v1/chat/completions", key=stack.key).status == 200


@pytest.mark.parametrize("name", ["metrics", "admin", "spop", "check"])
def test_a_thousand_connections_that_ask_nothing_leave_no_trace(stack, name):
    connect = places(stack)[name]
    for _ in range(ROUNDS):
        with opened(connect, MANY):
            pass
        assert fastest(stack.relay) < 0.05
    serves(stack)


@pytest.mark.parametrize("name", ["metrics", "admin"])
def test_idle_connections_do_not_shut_out_others(stack, name):
    closed = stack.relay.metric("relay_admin_connections_closed_total")
    with opened(places(stack)[name], MANY):
        assert fastest(stack.relay) < 0.05
        assert stack.relay.metric("relay_admin_connections_closed_total") >= closed + MANY - 2 * PEER_MAX
        serves(stack)


def test_a_connection_that_never_finishes_its_head_ends(stack):
    with places(stack)["metrics"]() as s:
        s.settimeout(90)
        begun = time.monotonic()
        s.sendall(b"GET /metrics HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 80:
                s.sendall(b"X: y\r\n")
                s.settimeout(1)
                try:
                    if s.recv(1000) == b"":
                        break
                except TimeoutError:
                    continue
        assert time.monotonic() - begun < 75


@pytest.fixture(scope="module")
def poor(stack):
    """The same relay with few descriptors for each of its processes."""
    relay = stack.relay
    relay.stop()
    relay.process = Process("spoa-relay", ["prlimit", f"--nofile={FILES}:{FILES}", BUILD / "spoa-relay", "--config",
                                           relay.config], relay.dir / "relay.log")
    wait_until("it serves", lambda: relay.adm_run("status").returncode == 0)
    wait_until("HAProxy reaches the agent", lambda: stack.get("/relay/health").status == 200)
    return stack


@pytest.mark.parametrize("role, name", [("control", "metrics"), ("control", "admin"), ("agent", "spop"),
                                        ("agent", "check")])
def test_recovers_when_no_descriptor_was_left(poor, role, name):
    relay = poor.relay
    pid = relay.pid_of(role)
    seen = relay.process.text().count("Too many open files")
    with opened(places(poor)[name], FILES + 20):
        # what is over is closed at once, so nothing spins and nobody waits
        wait_until("the log says so", lambda: relay.process.text().count("Too many open files") > seen)
    begun = time.monotonic()
    wait_until("it serves again", lambda: is_served(relay))
    assert time.monotonic() - begun < 5  # 1 s, on a machine that has nothing else to do
    serves(poor)
    assert relay.pid_of(role) == pid
