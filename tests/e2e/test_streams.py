"""Streams pass unchanged and without delay; a client that leaves frees its upstream."""
import concurrent.futures
import hashlib
import json
import os
import socket
import statistics
import subprocess
import time

import pytest

from bare import bare, compare
from relay import wait_until

EVENTS = 50


def read_chunks(s):
    """Yields (time, data) for each piece of a chunked answer on arrival."""
    buffer = b""

    def more():
        nonlocal buffer
        data = s.recv(65536)
        assert data, "closed early"
        buffer += data

    while b"\r\n\r\n" not in buffer:
        more()
    head, buffer = buffer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200"), head
    while True:
        while b"\r\n" not in buffer:
            more()
        line, rest = buffer.split(b"\r\n", 1)
        size = int(line, 16)
        while len(rest) < size + 2:
            more()
            rest = buffer.split(b"\r\n", 1)[1]
        now = time.monotonic_ns()
        if size == 0:
            return
        yield now, rest[:size]
        buffer = rest[size + 2:]


def read_events(s):
    """Yields (time, event) for each server-sent event; on a busy machine HAProxy passes on two at a time."""
    buffer = b""
    for now, data in read_chunks(s):
        *events, buffer = (buffer + data).split(b"\n\n")
        for event in events:
            yield now, event + b"\n\n"
    assert not buffer, buffer


def sse_delays(stack, port):
    """Milliseconds from the sending of each event to its arrival through that port, in order of size."""
    delays = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        stack.send(s, "GET", f"/sse?n={EVENTS}&ms=20")
        for i, (now, data) in enumerate(read_events(s)):
            event = json.loads(data.removeprefix(b"data: "))
            assert event["i"] == i and data == b'data: {"i": %d, "t": %d}\n\n' % (i, event["t"])
            delays.append((now - event["t"]) / 1e6)
    assert len(delays) == EVENTS
    return sorted(delays)


def test_each_event_at_once(stack):
    """Nearly all are no later than the latest that a bare HAProxy passes on at the same time."""
    def measure():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ours, theirs = pool.map(lambda port: sse_delays(stack, port), (stack.port, port))
        print(f"HAProxy {stack.version}: median {statistics.median(ours):.2f} ms, worst {ours[-1]:.2f} ms;"
              f" bare {statistics.median(theirs):.2f} ms, {theirs[-1]:.2f} ms")
        return ours[EVENTS * 9 // 10], theirs[-1]

    with bare(stack, stack.upstream.port) as port:
        compare(measure, lambda ours, theirs: ours < theirs + 5)


def test_large_answer(stack):
    answer = stack.get("/bytes?n=5242880", key=stack.key)
    direct = subprocess.run(["curl", "-s", f"{stack.upstream.url}/bytes?n=5242880"], capture_output=True, check=True)
    assert len(answer.body) == 5242880 and answer.body == direct.stdout


def test_large_body_also_compressed(stack):
    body = os.urandom(2 << 20)
    for data, headers in ((body, []), (zstd(body), [("Content-Encoding", "zstd")])):
        answer = stack.post("/v1/x", body=data, key=stack.key, headers=headers)
        assert answer.status == 200
        row = stack.upstream.requests()[-1]
        assert row["body_len"] == len(data) and row["body_sha256"] == hashlib.sha256(data).hexdigest()
        assert (["Content-Encoding", "zstd"] in [[k.title(), v] for k, v in row["headers"]]) == bool(headers)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


# An upstream that is not told of the close is held for half a minute at least: by its own answer, or by a timeout.
SOON = 10


def leaves(stack, path, ready):
    """Leaves at the moment of `ready`; returns the time until the upstream noticed."""
    stack.upstream.clear()
    s = stack.connect()
    stack.send(s, "GET", path)
    ready(s)
    left = time.monotonic()
    s.close()
    row = wait_until("the upstream sees the close", lambda: [
        r for r in stack.upstream.requests() if r["closed_at"]])[0]
    return row["closed_at"] - left


def test_leaving_before_the_headers(stack):
    def ready(_):
        wait_until("the upstream has it", stack.upstream.requests)
    assert leaves(stack, "/slow?headers=60", ready) < SOON


def test_leaving_between_events(stack):
    def ready(s):
        chunks = read_chunks(s)
        for _ in range(3):
            next(chunks)
    assert leaves(stack, "/sse?n=1000&ms=50", ready) < SOON


@pytest.mark.takes(10)
def test_leaving_in_a_silence(stack):
    def ready(s):
        next(read_chunks(s))
        time.sleep(10)
    assert leaves(stack, "/silence?before=60", ready) < SOON
