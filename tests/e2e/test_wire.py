"""Misbehaving peers on an abstract socket: whatever they send, the same agent continues to serve."""
import os
import pathlib
import re
import resource
import subprocess
import time
import uuid

import pytest

import spop
from relay import ANY, Stack, wait_until


@pytest.fixture(scope="module")
def served(request):
    """One stack for this file, and the name of its agent's socket. After each test the same agent still serves."""
    s = Stack(ANY, extra=f"[spop]\nlisten = abns:relay-wire-{os.getpid()}\n")
    try:
        s.start()
        s.name = re.search(r"abns@([^\s']+)", (s.dir / "haproxy/relay.cfg").read_text()).group(1)
        s.agent = s.relay.pid_of("agent")
        yield s
    finally:
        s.stop()


@pytest.fixture(autouse=True)
def still_serves(served):
    yield
    assert served.post("/v1/x", key=served.key).status == 200
    assert served.relay.pid_of("agent") == served.agent


def closes(c, status=None):
    """The agent reports the reason if it can, and closes the connection."""
    last = None
    while (got := c.frame()) is not None:
        last = got
    if status is not None:
        kind, payload = last
        at = payload.index(b"status-code") + len("status-code") + 1
        assert kind == spop.AGENT_DISCONNECT and payload[at] == status, payload
    c.close()


def ask(c, served, request_id=None, **more):
    c.send(spop.decide(1, request_id or str(uuid.uuid4()), served.key, **more))
    kind, payload = c.frame()
    assert kind == spop.ACK
    return payload


def test_a_question_is_answered(served):
    c = spop.Connection(served.name).open()
    payload = ask(c, served)
    assert b"allow" in payload and b"token-of-demo" in payload
    c.close()


def test_oversize_frame(served):
    c = spop.Connection(served.name).open()
    c.send(b"\x00\x10\x00\x00" + b"\x03" * 100)
    closes(c, 3)
    c = spop.Connection(served.name)
    c.send(b"\xff\xff\xff\xff")
    closes(c, 3)


def test_truncated_frames(served):
    whole = spop.hello() + spop.decide(1, str(uuid.uuid4()), served.key)
    for cut in range(0, len(whole), 7):
        c = spop.Connection(served.name)
        c.send(whole[:cut])
        c.close()


def test_frames_split_into_bytes(served):
    c = spop.Connection(served.name)
    for byte in spop.hello():
        c.send(bytes([byte]))
    assert c.frame()[0] == spop.AGENT_HELLO
    for byte in spop.decide(1, str(uuid.uuid4()), served.key):
        c.send(bytes([byte]))
    assert c.frame()[0] == spop.ACK
    c.close()


def test_a_question_twice_is_one_request(served):
    """Each id keeps one of two accounts, and counts as one request however often it is sent."""
    accounts = ("wire-a", "wire-b")
    for name in accounts:
        served.account(name, "demo", f"token-of-{name}")
    served.relay.adm("pools", "set", "wire", *accounts)
    key = served.relay.issue("demo", "--pool", "wire")
    repeated = served.relay.metric("relay_decisions_repeated_total")
    c = spop.Connection(served.name).open()
    seen = set()
    for _ in range(20):
        request_id = str(uuid.uuid4())
        c.send(spop.decide(1, request_id, key) * 2 + spop.decide(1, request_id, key, message="decide2"))
        answers = [c.frame() for _ in range(3)]
        assert answers[0][0] == spop.ACK and answers[0] == answers[1] == answers[2]
        seen |= {name for name in accounts if f"token-of-{name}".encode() in answers[0][1]}
    c.close()
    assert seen == set(accounts)
    assert served.relay.metric("relay_decisions_repeated_total") == repeated + 40
    assert sum(served.relay.metric(f'relay_account_inflight{{account="{name}"}}') for name in accounts) == 20


def test_many_questions_in_one_write(served):
    c = spop.Connection(served.name).open()
    c.send(b"".join(spop.decide(n, str(uuid.uuid4()), served.key) for n in range(300)))
    for _ in range(300):
        assert c.frame()[0] == spop.ACK
    c.close()


def test_wrong_order_and_rubbish(served):
    question = spop.decide(1, str(uuid.uuid4()), served.key)
    decisions = served.relay.metric("relay_decisions_total")
    for data, status in ((question, 4), (question + spop.hello(), 4), (spop.hello() + spop.hello(), 4),
                         (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 3), (b"\x00\x00\x00\x00" * 10, 4),
                         (spop.hello() + spop.notify(1, 1, "decide", {"gen": 1})[:-1] + b"\xff" * 40, None),
                         (spop.frame(spop.NOTIFY, 1, 1, b"", flags=0), 10), (spop.frame(spop.ACK, 1, 1, b""), 4)):
        c = spop.Connection(served.name)
        c.send(data)
        closes(c, status)
    assert served.relay.metric("relay_decisions_total") == decisions


def test_wrong_arguments_are_a_refusal(served):
    c = spop.Connection(served.name).open()
    key = f"x-api-key: {served.key}"
    for more, code in (
            ({"path": "/" + "x" * 1024}, b"bad_request"), ({"path": "/?" + "x" * 8191}, b"bad_request"),
            ({"path": "x"}, b"bad_request"), ({"path": 5}, b"bad_request"), ({"gen": "text"}, b"bad_request"),
            ({"id": "no-uuid"}, b"bad_request"), ({"h": 5}, b"bad_request"), ({"h": spop.head(key, key)}, b"bad_request"),
            ({"h": spop.head(key)[:-2]}, b"bad_request"), ({"h": spop.head(key) + "x: y\r\n\r\n"}, b"bad_request"),
            ({"h": spop.head(key, "host: " + "h" * 257)}, b"bad_request"),
            ({"h": spop.head(key, "content-length: -1")}, b"bad_request"),
            ({"h": spop.head(key, "x: " + "y" * 32768)}, b"headers_too_large"), ({"h": None}, b"agent_unavailable")):
        c.send(spop.decide(1, str(uuid.uuid4()), served.key, **more))
        kind, payload = c.frame()
        assert kind == spop.ACK and code in payload, more
    c.send(spop.decide(1, str(uuid.uuid4()), served.key, path="/v1/x?" + "y" * 8000, h=spop.head(key, "x: " + "y" * 32000)))
    kind, payload = c.frame()
    assert kind == spop.ACK and b"allow" in payload
    c.send(spop.notify(1, 1, "of-another-kind", {}))
    assert c.frame()[0] == spop.ACK
    c.close()


def test_health_check(served):
    c = spop.Connection(served.name)
    c.send(spop.hello(capabilities="", healthcheck=True))
    assert c.frame()[0] == spop.AGENT_HELLO
    c.close()


def resident_kb(pid):
    """What belongs to the process alone: rows for finished requests are shared."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+)", status, re.M)[1])


def test_a_thousand_connections_at_once(served):
    connections = []
    for _ in range(1000):  # half of them could wait with their HELLO
        connections.append(spop.Connection(served.name))
        connections[-1].send(spop.hello() + spop.decide(1, str(uuid.uuid4()), served.key))
    for c in connections:
        assert c.frame()[0] == spop.AGENT_HELLO
        assert c.frame()[0] == spop.ACK
    wait_until("they are counted", lambda: served.relay.metric("relay_spop_connections") >= 1000)
    # an incomplete frame costs what came of it, not a buffer of 64 KB
    before = resident_kb(served.relay.pid_of("agent"))
    for c in connections:
        c.send(spop.decide(1, str(uuid.uuid4()), served.key, h=spop.head("x: " + "y" * 30000))[:1000])
    probe = spop.Connection(served.name).open()
    probe.send(spop.decide(1, str(uuid.uuid4()), served.key))
    assert probe.frame()[0] == spop.ACK
    probe.close()
    assert resident_kb(served.relay.pid_of("agent")) - before < 8000
    for c in connections:
        c.close()
    wait_until("they are gone", lambda: served.relay.metric("relay_spop_connections") < 100)


@pytest.fixture
def descriptors():
    """Enough descriptors for the peers of the largest test; restores the old limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), max(hard, 8192)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_kept(c):
    try:
        c.send(spop.hello())
        return c.frame() is not None
    except BrokenPipeError:
        return False


def test_more_connections_than_are_kept(served, descriptors):
    most = 4096  # PEERS_MAX of agent/peer.h
    refused = served.relay.metric("relay_spop_connections_refused_total")
    connections = []
    try:
        for _ in range(5000):
            c = spop.Connection(served.name)
            if is_kept(c):
                connections.append(c)
            else:
                c.close()
        assert most - 100 < len(connections) <= most
        assert most - 100 < served.relay.metric("relay_spop_connections") <= most
        assert served.relay.metric("relay_spop_connections_refused_total") - refused >= 5000 - len(connections)
        for c in (connections[0], connections[-1]):
            assert b"allow" in ask(c, served)
    finally:
        for c in connections:
            c.close()
    wait_until("they are gone", lambda: served.relay.metric("relay_spop_connections") < 100)
    wait_until("HAProxy is served again", lambda: served.post("/v1/x", key=served.key).status == 200)


def test_an_engine_gets_as_many_connections_as_it_needs(served):
    """HAProxy 2.6 to 3.0 opens one for each question while it is overloaded, up to the end of its descriptors."""
    def opened(engine, capabilities="pipelining,async"):
        c = spop.Connection(served.name)
        connections.append(c)
        c.send(spop.hello(capabilities=capabilities, **{"engine-id": engine}))
        return c.frame()[0]
    connections = []
    try:
        for _ in range(128):  # PEERS_PER_ENGINE of agent/peer.h
            assert opened("one") == spop.AGENT_HELLO
        assert opened("one") == spop.AGENT_DISCONNECT
        assert opened("two") == spop.AGENT_HELLO
        assert opened("one", "pipelining") == spop.AGENT_HELLO
        for c in (connections[0], connections[127]):
            assert b"allow" in ask(c, served)
        connections[5].close()
        connections.pop().close()  # HAProxy has all connections of an engine with the same capabilities
        wait_until("there is a place again", lambda: opened("one") == spop.AGENT_HELLO)
    finally:
        for c in connections:
            c.close()


def timed_post(served):
    began = time.monotonic()
    assert served.post("/v1/x", key=served.key).status == 200
    return time.monotonic() - began


def test_a_peer_that_never_reads(served):
    """The others are served meanwhile. The peer is closed 10 s after it has stopped to read."""
    before = resident_kb(served.agent)
    c = spop.Connection(served.name)
    c.s.setblocking(False)
    questions = b"".join(spop.decide(n, str(uuid.uuid4()), served.key) for n in range(200))
    data = spop.hello() + questions
    stalled = served.relay.metric("relay_spop_stalled_total")
    started = time.monotonic()
    taken, times, largest = started, [], before
    while time.monotonic() < started + 60:
        try:
            data = data[c.s.send(data):] or questions
            taken = time.monotonic()
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            break
        times.append(timed_post(served))
        largest = max(largest, resident_kb(served.agent))
    else:
        raise AssertionError("it was never closed")
    c.close()
    times.sort()
    print(f"{len(times)} others served, slowest {times[-1] * 1000:.1f} ms, agent +{largest - before} kB")
    assert 9 < time.monotonic() - taken < 40  # PEER_STALL_MS is 10 s, and a sweep
    assert served.relay.metric("relay_spop_stalled_total") == stalled + 1
    assert times[-1] < 5, "who reads waited for who does not"
    assert largest - before < 8192


def test_a_peer_that_says_nothing(served):
    c = spop.Connection(served.name)
    began = time.monotonic()
    assert c.frame() is None
    assert 4 < time.monotonic() - began < 40
    c.close()


def test_a_user_who_may_not_ask(served):
    program = ("import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(5);"
               f"s.connect(b'\\0' + {served.name!r}.encode().ljust(107, b'\\0')); print(s.recv(1))")
    refused = served.relay.metric("relay_spop_connections_refused_total")
    run = subprocess.run(["/usr/bin/python3", "-c", program], user=33, capture_output=True, text=True, timeout=20)
    assert served.relay.metric("relay_spop_connections_refused_total") == refused + 1
    assert run.stdout.strip() == "b''" or "ConnectionReset" in run.stderr, run.stdout + run.stderr
