"""Requests in an old HAProxy process still find their rules, after any number of changes and reloads."""
import http.client

import pytest

from relay import VERSIONS, header, wait_until


@pytest.mark.parametrize("version", VERSIONS)
def test_old_processes_are_served_right(fresh, version):
    s = fresh(version)
    r = s.relay
    for i in range(4):
        r.adm("egress", "add", f"ip{i}", "--source", f"127.0.0.{60 + i}")
    s.account("first", "demo", "token-of-first", "--egress", "ip0")
    r.adm("pools", "set", "main", "first")
    key = r.issue("demo", "--pool", "main")
    wait_until("it is served", lambda: s.post("/v1/x", key=key).status == 200)

    # a stream in each generation keeps its process alive; a later request in it sends the old gen
    held = []
    for i in range(1, 4):
        stream = s.connect()
        s.send(stream, "GET", "/sse?n=100000&ms=100", key=key)
        assert stream.recv(12) == b"HTTP/1.1 200"
        held.append(stream)
        change = r.adm("accounts", "add", f"more{i}", "--upstream", "demo", "--token-stdin", "--egress", f"ip{i}",
                       "--header", f"X-New-{i}: v{i}", stdin=f"token-of-more{i}")
        assert change["haproxy"] == "reloaded", change
        r.adm("pools", "set", "main", "first", *[f"more{n}" for n in range(1, i + 1)])
        statuses = {s.post("/v1/x", key=key).status for _ in range(20)}
        assert statuses == {200}
    s.upstream.clear()
    for n in range(100):
        assert s.post(f"/v1/{n}", key=key, headers=[("session-id", f"c{n}")]).status == 200
    seen = set()
    for row in s.upstream.requests():
        account = header(row, "authorization").removeprefix("Bearer token-of-")
        expected = "127.0.0.60" if account == "first" else f"127.0.0.{60 + int(account[-1])}"
        assert row["source_ip"] == expected
        for n in range(1, 4):
            assert header(row, f"X-New-{n}") == (f"v{n}" if account == f"more{n}" else None)
        seen.add(account)
    assert seen == {"first", "more1", "more2", "more3"}
    for stream in held:
        assert stream.recv(100)  # no stream was cut
        stream.close()


def test_a_question_of_an_old_generation_gets_only_what_it_knows(fresh):
    """One connection, opened before the changes, with continuing requests: HAProxy's old process serves them."""
    s = fresh()
    r = s.relay
    s.account("a", "demo", "token-of-a")
    r.adm("pools", "set", "main", "a")
    key = r.issue("demo", "--pool", "main")
    slow = s.connect()
    # The head is sent now, the body after the reload: the old process asks the agent only then.
    s.send(slow, "POST", "/v1/late", [("Content-Length", "4")], b"ab", key)
    r.adm("egress", "add", "new", "--source", "127.0.0.77")
    assert s.account("b", "demo", "token-of-b", "--egress", "new")["haproxy"] == "reloaded"
    r.adm("upstreams", "set", "demo", "--url", s.upstream.url + "/moved")
    r.adm("pools", "set", "main", "a", "b", "--strategy", "round-robin")
    s.upstream.clear()
    slow.sendall(b"cd")
    answer = http.client.HTTPResponse(slow, method="POST")
    answer.begin()
    assert answer.status == 200
    row = s.upstream.requests()[-1]
    assert row["path"] == "/v1/late"  # the backend of its generation, with the path of that backend
    assert header(row, "authorization") == "Bearer token-of-a" and row["source_ip"] == "127.0.0.1"
    assert s.post("/v1/new", key=key).status == 200
    assert s.upstream.requests()[-1]["path"] == "/moved/v1/new"
