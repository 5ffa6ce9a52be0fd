"""Bodies of requests on raw connections: the agent decides first, HAProxy waits only for a body that another account could
get, and everything else is sent as it arrives."""
import contextlib
import re
import socket
import threading
import time

import pytest

from attempts import Attempts, allowed, answer
from relay import haproxy_commands
from rendered import OPENAI, Answer, assert_error, wait_until

SOON = 10  # seconds; far below the time that a body may take
LARGEST = {None: 47000, "144k": 143000}
BUFFER = {None: 65536, "144k": 163840}


@pytest.fixture(scope="module", params=haproxy_commands(), ids=lambda row: row[0])
def haproxy(request):
    return request.param


def make(haproxy, place, **options):
    return Attempts(haproxy[1], place, internal=place / "internal.sock", **options)


@pytest.fixture(scope="module")
def world(haproxy, tmp_path_factory):
    world = make(haproxy, tmp_path_factory.mktemp("bodies"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def bounded(haproxy, tmp_path_factory):
    world = make(haproxy, tmp_path_factory.mktemp("bounded"), max_body=100000)
    yield world
    world.close()


TWO = (allowed(1, "one", alt=True), allowed(2, "two"))
ONE = (allowed(1, "one"),)


class Client:
    """A connection on which a test sends piece by piece."""

    def __init__(self, world, length=None, headers="", method="POST", path="/v1/x"):
        self.s = socket.create_connection(("127.0.0.1", world.port), timeout=60)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if length is not None:
            headers += f"Content-Length: {length}\r\n"
        self.send(f"{method} {path} HTTP/1.1\r\nHost: relay\r\n{headers}\r\n".encode())

    def send(self, data):
        self.s.sendall(data)

    def head(self):
        """The next head: the connection may stay open."""
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            byte = self.s.recv(1)
            assert byte, got
            got += byte
        return got

    def answer(self):
        """The status, and the code of a relay's error."""
        head = self.head().decode("latin1")
        length = int(re.search(r"(?i)\r\ncontent-length: *(\d+)", head)[1])
        body = b""
        while len(body) < length:
            body += self.s.recv(length - len(body))
        self.s.close()
        return Answer(head.encode("latin1") + body)


def refuse(world):
    world.deny(401, "invalid_api_key")
    world.upstream.requests.clear()


@pytest.mark.parametrize("headers", ("", "Expect: 100-continue\r\n"), ids=("plain", "expect"))
@pytest.mark.parametrize("length", (100, 40000, 150000, None), ids=("small", "fits", "large", "chunked"))
def test_a_refusal_waits_for_no_body(world, length, headers):
    refuse(world)
    started = time.monotonic()
    chunked = "" if length else "Transfer-Encoding: chunked\r\n"
    client = Client(world, length, headers + chunked)
    assert_error(client.answer(), 401, "invalid_api_key", OPENAI)
    assert time.monotonic() - started < SOON and not world.upstream.requests


def test_a_body_that_is_too_large_is_refused_before_it_comes(bounded):
    bounded.plan(TWO, {})
    assert_error(Client(bounded, 100001).answer(), 413, "request_too_large", OPENAI)
    assert not bounded.probe.asked


BODIES = {"empty": 0, "small": 10, "fits": 40000, "at the limit": 47000, "above it": 47001, "large": 300000}


@pytest.mark.parametrize("decisions", (TWO, ONE), ids=("two accounts", "one account"))
@pytest.mark.parametrize("size", BODIES.values(), ids=BODIES)
def test_expect_is_answered_once(world, size, decisions):
    world.plan(decisions, {})
    client = Client(world, size, "Expect: 100-continue\r\n")
    if size:
        assert client.head().startswith(b"HTTP/1.1 100 ")
    client.send(b"x" * size)
    got = client.answer()
    assert got.status == 200
    head, body, _ = world.sent()
    assert body == b"x" * size and "expect" not in head.lower() and world.messages() == ["decide"]


def test_expect_is_answered_once_for_a_chunked_body(world):
    world.plan(TWO, {})
    client = Client(world, None, "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")
    assert client.head().startswith(b"HTTP/1.1 100 ")
    client.send(b"5\r\nhello\r\n0\r\n\r\n")
    assert client.answer().status == 200


def test_what_is_awaited_reaches_the_upstream_whole(world):
    """The request is not begun before its body is complete."""
    world.plan(TWO, {})
    before = len(world.upstream.heads)
    client = Client(world, 40000)
    client.send(b"x" * 39999)
    wait_until(lambda: world.messages() == ["decide"])
    assert len(world.upstream.heads) == before
    client.send(b"y")
    assert client.answer().status == 200 and world.sent()[1].endswith(b"xy")


@pytest.mark.parametrize("length, decisions", ((300000, TWO), (47001, TWO), (300000, ONE), (100, ONE), (None, TWO)),
                         ids=("large", "above the limit", "one account", "small, one account", "chunked"))
def test_what_cannot_be_replayed_is_sent_as_it_arrives(world, length, decisions):
    world.plan(decisions, {})
    before = len(world.upstream.heads)
    client = Client(world, length, "" if length else "Transfer-Encoding: chunked\r\n")
    client.send(b"x" * 10 if length else b"a\r\n" + b"x" * 10 + b"\r\n")
    wait_until(lambda: len(world.upstream.heads) > before, seconds=SOON)
    client.send(b"x" * (length - 10) if length else b"0\r\n\r\n")
    assert client.answer().status == 200


@pytest.mark.parametrize("replay", LARGEST)
def test_the_largest_body_goes_to_another_account(haproxy, tmp_path, replay):
    world = make(haproxy, tmp_path, **({"replay": replay} if replay else {}))
    try:
        for size, status in ((LARGEST[replay], 200), (BUFFER[replay], 503)):
            # a credential of 4 KB and many headers take their part of the buffer
            world.plan([allowed(1, "t" * 4096, alt=True), allowed(2, "two")], {"t" * 4096: answer(401)})
            headers = "".join(f"X-Header-{n}: {'v' * 60}\r\n" for n in range(30))
            got = world.ask(method="POST", body=b"x" * size, headers=headers)
            assert got.status == status and got.header("x-relay-error") == (None if status == 200 else "account_switched")
            if status == 200:
                assert len(world.sent()[1]) == size and world.messages() == ["decide", "again"]
        config = (tmp_path / "relay.cfg").read_text()
        assert f"tune.bufsize {BUFFER[replay]}\n" in config
    finally:
        world.close()


def test_no_body_is_replayed_if_that_is_off(haproxy, tmp_path):
    world = make(haproxy, tmp_path, replay="off")
    try:
        for method, status in (("POST", 503), ("GET", 200)):
            world.plan(TWO, {"one": answer(401)})
            assert world.ask(method=method, body=b"x" if method == "POST" else b"").status == status
        world.plan([allowed(1, "one", "b6-refused", alt=True), allowed(2, "two")], {})
        assert world.ask(method="POST", body=b"x" * 40000).status == 200, "nothing was sent to the first one"
    finally:
        world.close()


@pytest.mark.takes(36)
def test_slow_uploads_are_served(world):
    """The one that is awaited and the one that is sent as it arrives."""
    world.plan((), {})
    world.say = lambda message, args: allowed(1, "one", alt=True)
    sizes, pieces = (40000, 300000), 8
    clients = [Client(world, size) for size in sizes]
    for _ in range(pieces):
        for client, size in zip(clients, sizes):
            client.send(b"x" * (size // pieces))
        threading.Event().wait(35 / pieces)  # a slow client is the point
    assert [c.answer().status for c in clients] == [200, 200]


@pytest.mark.parametrize("size, status", ((0, 200), (1, 200), (47000, 200), (47001, 413), (200000, 413)))
@pytest.mark.parametrize("decisions", (TWO, ONE), ids=("two accounts", "one account"))
def test_a_body_without_a_length_is_bounded_if_bodies_are(bounded, size, status, decisions):
    bounded.plan(decisions, {})
    client = Client(bounded, None, "Transfer-Encoding: chunked\r\n")
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for at in range(0, size, 10000):
            part = b"x" * min(10000, size - at)
            client.send(b"%x\r\n%b\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
    got = client.answer()
    assert got.status == status
    if status == 413:
        assert_error(got, 413, "request_too_large", OPENAI)
        assert not bounded.upstream.requests


def test_a_large_head_and_a_body_without_a_length(bounded):
    """The buffer would be full before the body is counted."""
    bounded.plan(ONE, {})
    client = Client(bounded, None, "Transfer-Encoding: chunked\r\n" + f"X-Long: {'v' * 9000}\r\n")
    client.send(b"1\r\nx\r\n0\r\n\r\n")
    assert_error(client.answer(), 413, "request_too_large", OPENAI)
    bounded.plan(ONE, {})
    assert Client(bounded, None, f"X-Long: {'v' * 9000}\r\n", "GET").answer().status == 200
