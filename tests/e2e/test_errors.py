"""Every refusal as a client sees it, with the real agent behind HAProxy."""
import contextlib
import http.client
import json
import re
import socket
import subprocess
import time

import pytest

from relay import VERSIONS, free_port, wait_until
from rendered import google_fields

AT_ONCE = 20  # seconds: without a rule for it, a request would wait for half a minute at least
SHAPES = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic", "/v1beta/models/demo": "gemini"}


def check(answer, status, code, path):
    assert answer.status == status, answer.body
    body = json.loads(answer.body)
    request_id = answer.getheader("X-Request-Id")
    gemini = SHAPES.get(path) == "gemini"
    error = google_fields(body, status, code, request_id) if gemini else body["error"]
    assert error["code"] == code and answer.getheader("X-Relay-Error") == code
    assert answer.getheader("Content-Type") == "application/json"
    assert answer.getheader("X-Relay-Upstream") is None
    assert len(request_id) in (32, 36)
    if SHAPES.get(path) == "anthropic":
        assert body["type"] == "error" and body["request_id"] == request_id
    elif not gemini:
        assert error["param"] is None and error["request_id"] == request_id
    assert isinstance(error["message"], str) and isinstance(error["retryable"], bool) and "resets_at" in error
    assert answer.getheader("X-Should-Retry") == str(error["retryable"]).lower()
    by_itself = status in (502, 504) or code == "agent_unavailable"
    assert error["retryable"] == (by_itself or status == 408)
    assert (answer.getheader("Retry-After"), error["resets_at"]) == ("1" if by_itself else None, None)
    return error


def serving_all_paths(stack, name):
    """A pool of one account that serves the API of every provider."""
    stack.relay.adm("upstreams", "add", name, "--url", stack.upstream.url, "--provider", "generic")
    stack.account(name, name, f"token-of-{name}")
    stack.relay.adm("pools", "set", name, name)
    return name


@pytest.mark.parametrize("path", SHAPES)
def test_refusals_of_the_agent(stack, path):
    r = stack.relay
    name = "x" + path.replace("/", "-")
    pool = serving_all_paths(stack, name)
    check(stack.post(path), 401, "missing_api_key", path)
    check(stack.post(path, key="rk_nonsense"), 401, "invalid_api_key", path)
    check(stack.post(path, key="sk-ant-something"), 401, "invalid_api_key", path)
    made = r.adm("tokens", "issue", "--tenant", "demo", "--pool", pool)
    assert stack.post(path, key=made["token"]).status == 200
    r.adm("tokens", "revoke", str(made["id"]))
    check(stack.post(path, key=made["token"]), 401, "revoked_api_key", path)
    soon = r.adm("tokens", "issue", "--tenant", "demo", "--pool", pool, "--ttl", "1s")
    wait_until("the key expires", lambda: stack.post(path, key=soon["token"]).status == 401)
    check(stack.post(path, key=soon["token"]), 401, "expired_api_key", path)
    r.adm("tenants", "add", name, "--pool", pool, "--allow-ip", "10.0.0.0/8")
    key = r.issue(name)
    check(stack.post(path, key=key), 403, "ip_not_allowed", path)
    r.adm("tenants", "disable", name)
    check(stack.post(path, key=key), 403, "tenant_disabled", path)
    key = r.issue("demo", "--pool", pool)
    r.adm("accounts", "suspend", name)
    check(stack.post(path, key=key), 503, "no_account", path)
    r.adm("accounts", "resume", name)
    assert stack.post(path, key=key).status == 200
    r.adm("site", "disable")
    try:
        check(stack.post(path, key=key), 503, "site_disabled", path)
    finally:
        r.adm("site", "enable")


def test_requests_that_are_never_forwarded(stack):
    before = len(stack.upstream.requests())
    two = stack.post("/v1/x", headers=[("X-API-Key", stack.key), ("X-API-Key", stack.key)])
    check(two, 400, "bad_request", "/v1/x")
    check(stack.post("/" + "y" * 1030, key=stack.key), 400, "bad_request", "/v1/x")
    ws = stack.get("/v1/responses", key=stack.key, headers=[
        ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    check(ws, 426, "websocket_unsupported", "/v1/responses")
    check(stack.post("/relay/other", key=stack.key), 404, "no_route", "/relay/other")
    assert len(stack.upstream.requests()) == before


def test_health_is_public(stack):
    answer = stack.get("/relay/health")
    assert answer.status == 200 and json.loads(answer.body)["status"] == "ok"


def test_upstream_failures(stack):
    r = stack.relay
    for path in SHAPES:
        name = "gone" + path.replace("/", "-")
        r.adm("upstreams", "add", name, "--url", f"http://127.0.0.1:{free_port()}")
        stack.account(name, name, "t")
        r.adm("pools", "set", name, name)
        check(stack.post(path, key=r.issue("demo", "--pool", name)), 502, "upstream_unreachable", path)
    r.adm("upstreams", "add", "slow", "--url", stack.upstream.url, "--first-byte-timeout", "1s")
    stack.account("slow", "slow", "t")
    r.adm("pools", "set", "slow", "slow")
    key = r.issue("demo", "--pool", "slow")
    check(stack.post("/slow?headers=5", key=key), 504, "upstream_timeout", "/slow")
    check(stack.post("/rubbish", key=stack.key), 502, "upstream_invalid", "/rubbish")


def test_an_upstreams_own_error_passes_through(stack):
    for code in (400, 401, 403, 404, 429, 500, 503, 529):
        stack.relay.adm("accounts", "reset", "demo")
        answer = stack.post(f"/status?code={code}", key=stack.key)
        assert answer.status == code
        assert json.loads(answer.body)["error"]["code"] == "demo"
        assert answer.getheader("X-Relay-Upstream") == "1" and answer.getheader("X-Relay-Error") is None
        assert len(answer.getheader("X-Request-Id")) in (32, 36)
        assert answer.getheader("X-Upstream-Says") == "hello" and answer.getheader("Set-Cookie") is None
    stack.relay.adm("accounts", "reset", "demo")


def test_body_limit(fresh):
    s = fresh(extra="[requests]\nmax_body = 1000\n")
    check(s.post("/v1/x", body=b"x" * 1001, key=s.key), 413, "request_too_large", "/v1/x")
    assert s.post("/v1/x", body=b"x" * 1000, key=s.key).status == 200


@pytest.mark.takes(125)
def test_a_body_that_does_not_come(fresh):
    """All versions and all shapes at once, because each takes the whole time that a body may take. A bad key waits for nothing."""
    waiting = []
    for s in (fresh(version) for version in VERSIONS):
        pool = serving_all_paths(s, "two")
        s.account("other", "two", "token-of-other")
        s.relay.adm("pools", "set", pool, "two", "other")
        key_of_two = s.relay.issue("demo", "--pool", pool)
        wait_until("HAProxy knows both", lambda s=s, k=key_of_two: {s.get("/echo", key=k).status for _ in range(4)} == {200})
        s.upstream.clear()
        for path in SHAPES:
            for key, expected in ((key_of_two, (408, "request_timeout")), ("rk_bad", (401, "invalid_api_key"))):
                c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=200)
                c.request("POST", path, body=b"{", headers={"X-API-Key": key, "Content-Length": "40000"})
                waiting.append((s, c, path, expected))
    begin = time.monotonic()
    for s, c, path, expected in sorted(waiting, key=lambda row: row[3]):
        answer = c.getresponse()
        answer.body = answer.read()
        check(answer, *expected, path)
        c.close()
        assert s.upstream.requests() == []
        assert expected[0] == 408 or time.monotonic() - begin < 20


def half_closed(stack, key, method, path, body=b"", after=lambda: None):
    """The answer to a client that closes its sending side: status and code; None if there is none."""
    s = stack.connect()
    length = [("Content-Length", str(len(body)))] if body else []
    stack.send(s, method, path, [("Connection", "close"), *length], body, key)
    after()
    s.shutdown(socket.SHUT_WR)
    answer = ""
    with contextlib.suppress(ConnectionResetError):
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode("latin-1")
    s.close()
    code = re.search(r"^x-relay-error: (\S+)\r$", answer, re.I | re.M)
    return answer and (int(answer.split()[1]), code and code.group(1)) or None


def test_a_client_that_closes_its_half(stack):
    """It is served, or told that it is at fault; nobody is called for it, and no account suffers."""
    r = stack.relay
    pool = serving_all_paths(stack, "half")
    r.adm("tenants", "add", "half", "--pool", pool, "--concurrency", "1", "--wait", "5s", "--daily", "0", "--monthly", "0")
    key = r.issue("half")

    def free():
        return r.metric("relay_leases_outstanding") == 0

    def busy():
        return r.metric("relay_leases_outstanding") == 1

    def waits():
        return r.metric("relay_requests_waiting") == 1
    wait_until("nothing is in progress", free)
    seen = [half_closed(stack, key, "GET", "/v1/x"), half_closed(stack, key, "POST", "/v1/x", b"{}"),
            half_closed(stack, key, "POST", "/v1/messages", b"x" * 300000)]
    wait_until("all slots are free", free)
    seen.append(half_closed(stack, key, "GET", "/slow?headers=2", after=lambda: wait_until("it is under way", busy)))
    wait_until("all slots are free", free)
    holder = stack.connect()
    stack.send(holder, "GET", "/sse?n=1000&ms=100", key=key)
    wait_until("the slot is taken", busy)
    seen.append(half_closed(stack, key, "GET", "/v1/x", after=lambda: wait_until("it waits", waits)))
    wait_until("it is gone", lambda: not waits())
    holder.close()
    wait_until("all slots are free", free)
    # 3.0 does not notice the waiting one; its wait ends as that of any other
    assert set(seen) <= {None, (200, None), (400, "bad_request"), (429, "concurrency_limited")}, seen
    assert r.adm("accounts", "show", pool)["state"] == "ok"
    assert stack.post("/v1/x", key=key).status == 200


def test_no_decision_no_forwarding(fresh):
    """Without any relay process: 503 at once, in all shapes, and no request reaches the upstream."""
    s = fresh()
    s.upstream.clear()
    s.relay.stop()
    for path in SHAPES:
        began = time.monotonic()
        check(s.post(path, key=s.key), 503, "agent_unavailable", path)
        assert time.monotonic() - began < AT_ONCE
    assert s.upstream.requests() == []
    s.relay.start()
    wait_until("it serves again", lambda: s.post("/v1/x", key=s.key).status == 200)


def test_an_agent_that_stands_still(fresh):
    s = fresh()
    s.upstream.clear()
    with s.relay.stopped("agent"):
        began = time.monotonic()
        check(s.post("/v1/x", key=s.key), 503, "agent_unavailable", "/v1/x")
        assert time.monotonic() - began < AT_ONCE
    assert s.upstream.requests() == []
    wait_until("it serves again", lambda: s.post("/v1/x", key=s.key).status == 200)


@pytest.mark.parametrize("size", (10, 2000, 40000))
def test_a_refusal_over_http2_reaches_the_client(stack, tmp_path, size):
    """The body comes behind the head, so a refusal is made before it is there: without care, about every third one is lost."""
    body = tmp_path / "body"
    body.write_bytes(b"x" * size)
    curl = ["curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}", "-H", "X-API-Key: rk_nonsense",
            "--data-binary", f"@{body}", f"http://127.0.0.1:{stack.port}/v1/chat/completions"]
    said = [subprocess.run(curl, capture_output=True, text=True, timeout=AT_ONCE) for _ in range(20)]
    assert {(run.stdout, run.stderr) for run in said} == {("401", "")}


def h2_frame(kind, flags, stream, data=b""):
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def test_a_refused_client_over_http2_that_sends_no_body_gets_408(stack):
    fields = {":method": "POST", ":scheme": "http", ":path": "/v1/responses", ":authority": "relay", "x-api-key": "rk_nonsense",
              "content-length": "1000"}
    head = b"".join(b"\0" + b"".join(bytes([len(word)]) + word.encode() for word in field) for field in fields.items())
    began = time.monotonic()
    with stack.connect() as s:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0) + h2_frame(1, 4, 1, head))
        said = b""
        while b"request_id" not in said:
            more = s.recv(65536)
            assert more, said
            said += more
    assert b'"request_timeout"' in said and time.monotonic() - began < AT_ONCE
