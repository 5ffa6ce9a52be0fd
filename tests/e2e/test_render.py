"""The rendered files in real HAProxys of every version, against an agent that says what a test wants.

The real agent has its own end-to-end tests. Here it is the files that must hold, whatever an agent
says and also when there is none: fail closed, both error shapes, header policy, credentials, records.
"""

import contextlib
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from rendered import (ACCOUNT_SLOT, ANTHROPIC, EXTRA_SLOT, FIELD_CODE, FIELD_ENDS, FIELD_LABEL, GEMINI, OPENAI, World,
                      assert_error)
from relay import free_port, haproxy_commands

pytestmark = pytest.mark.takes(0.2)


@pytest.fixture(scope="module", params=haproxy_commands(), ids=lambda row: row[0])
def haproxy(request):
    return request.param[1]


@pytest.fixture(scope="module")
def world(haproxy, tmp_path_factory):
    world = World(haproxy, tmp_path_factory.mktemp("render"))
    yield world
    world.close()


@pytest.mark.parametrize("path", (OPENAI, ANTHROPIC, GEMINI))
def test_forwards_nothing_without_an_agent(haproxy, tmp_path, path):
    world = World(haproxy, tmp_path, agent=False)
    try:
        start = time.monotonic()
        answer = world.ask(path, "X-API-Key: rk_x\r\n", "POST", b"{}")
        assert time.monotonic() - start < 20
        assert assert_error(answer, 503, "agent_unavailable", path)["retryable"] is True
        assert answer.header("retry-after") == "1"
        assert world.record(answer)[FIELD_CODE] == "!agent_unavailable"
        assert world.upstream.requests == []
    finally:
        world.close()


def test_asks_a_second_time_and_then_refuses(world):
    seen = len(world.probe.asked)
    world.say = lambda message, args: None
    assert_error(world.ask(), 503, "agent_unavailable", OPENAI)
    assert [message for message, _ in world.probe.asked[seen:]] == ["decide", "decide2"]
    allowed = {"action": "allow", "be": "b1-demo-direct", "bearer": "t"}
    world.say = lambda message, args: {**allowed, "path": "/second"} if message == "decide2" else None
    assert world.ask().status == 200 and world.sent()[0].startswith("GET /second ")


@pytest.mark.parametrize("path", (OPENAI, ANTHROPIC, GEMINI))
@pytest.mark.parametrize("status, code", (
    (401, "invalid_api_key"), (403, "ip_banned"), (404, "no_route"), (400, "bad_request"),
    (413, "request_too_large"), (426, "websocket_unsupported"), (408, "request_timeout"),
    (429, "quota_exceeded"), (503, "circuit_open"), (502, "upstream_unreachable"),
    (504, "upstream_timeout")))
def test_refuses_as_the_agent_says(world, path, status, code):
    forwarded = len(world.upstream.requests)
    world.deny(status, code, type='a "type\\', msg='quotes " and \\ and \x01')
    error = assert_error(world.ask(path), status, code, path)
    assert error["type"] == 'a "type\\' and error["message"].startswith('quotes " and \\ and')
    assert error["retryable"] is False and error["resets_at"] is None
    world.deny(status, code, retryable=True, retry=7, resets=1800000000)
    answer = world.ask(path)
    error = assert_error(answer, status, code, path)
    assert error["retryable"] is True and error["resets_at"] == 1800000000
    assert answer.header("retry-after") == "7"
    assert answer.header("x-circuit-breaker") == ("open" if code == "circuit_open" else None)
    assert len(world.upstream.requests) == forwarded


WAY = {"be": "b1-demo-direct", "bearer": "t", "track": "1|2|3", "alt": True}


@pytest.mark.parametrize("variables, status, code", (
    ({"action": "wait", **WAY}, 503, "agent_unavailable"),
    ({"action": "Allow", **WAY}, 503, "agent_unavailable"),
    ({"action": "", **WAY}, 503, "agent_unavailable"),
    ({"action": "allow ", **WAY}, 503, "agent_unavailable"),
    ({"action": 1, **WAY}, 503, "agent_unavailable"),
    ({"action": True, **WAY}, 503, "agent_unavailable"),
    (WAY, 503, "agent_unavailable"),
    ({"action": "deny", "status": 418, "code": "tea", **WAY}, 503, "agent_unavailable"),
    ({"action": "deny", **WAY}, 503, "agent_unavailable"),
    ({"action": "deny", "status": 403, "code": "ip_banned", "type": "t", "msg": "m", **WAY, "path": "/x"}, 403,
     "ip_banned"),
    ({"action": "answer", "status": 302, **WAY}, 503, "agent_unavailable"),
    ({"action": "allow"}, 503, "no_account"),
    ({"action": "allow", **WAY, "be": ""}, 503, "no_account"),
    ({"action": "allow", **WAY, "be": "b999-gone"}, 503, "no_account"),
    ({"action": "allow", **WAY, "be": "relay-agent"}, 503, "no_account"),
    ({"action": "allow", **WAY, "be": "relay-closed"}, 503, "no_account"),
    ({"action": "allow", **WAY, "be": 5}, 503, "no_account")))
def test_forwards_only_what_is_allowed(world, variables, status, code):
    forwarded = len(world.upstream.requests)
    world.say = lambda message, args: variables
    assert_error(world.ask(method="POST", body=b"{}"), status, code, OPENAI)
    assert len(world.upstream.requests) == forwarded


def test_gives_the_agents_own_answers(world):
    world.say = lambda message, args: {"action": "answer", "status": 200, "body": '{"a":"%[src]"}'}
    answer = world.ask("/relay/me")
    assert (answer.status, answer.body) == (200, b'{"a":"%[src]"}')
    assert answer.header("content-type") == "application/json" and answer.header("x-request-id")


def test_tells_the_agent_what_it_needs(world):
    world.allow()
    answer = world.ask("/v1/x?q=1", "X-API-Key: rk_a\r\nAuthorization: Bearer own\r\nThread-Id: t\r\n"
                       "Session-Id: s\r\nX-Codex-Turn-State: z\r\nX-Forwarded-For: 9.9.9.9\r\n",
                       "POST", b"12345")
    args = world.asked()
    assert args.pop("id").decode() == world.record(answer)[3]
    assert str(args.pop("src")) == "127.0.0.1"
    assert abs(args.pop("worker") / 1e6 - time.time()) < 3600  # the start of the process
    head = args.pop("h")
    assert args == {"gen": 7, "method": b"POST", "path": b"/v1/x?q=1"}
    assert head == (b"host: relay\r\ncontent-length: 5\r\nx-api-key: rk_a\r\nauthorization: Bearer own\r\nthread-id: t\r\n"
                    b"session-id: s\r\nx-codex-turn-state: z\r\nx-forwarded-for: 9.9.9.9\r\n\r\n")
    world.ask(headers="A:\r\nB:  x \t y  \r\nB: 1\r\n 2\r\nC: \xe4\xff\r\nX-API-Key: 1\r\nX-API-Key: 2\r\n")
    assert world.asked()["h"] == (b"host: relay\r\na: \r\nb: x \t y\r\nb: 1   2\r\nc: \xe4\xff\r\n"
                                  b"x-api-key: 1\r\nx-api-key: 2\r\n\r\n")
    world.ask(path="/v1/x?" + "q" * 10000, headers=f"A: {'a' * 35000}\r\n")
    assert (len(world.asked()["path"]), len(world.asked()["h"])) == (8193, 32769)
    world.ask(headers="".join(f"N{n}: {'v' * 200}\r\n" for n in range(98)))
    assert world.asked()["h"].count(b"\r\n") == 100 and world.asked()["h"].endswith(b"\r\n\r\n")


def test_lets_nothing_of_the_clients_identity_pass(world):
    world.allow(path="/prefix/v1/x")
    world.ask("/v1/x?q=%20", "X-API-Key: rk_client\r\nAuthorization: Bearer client\r\n"
              "Cookie: client\r\nForwarded: for=client\r\nX-Forwarded-Client: client\r\n"
              "X-Real-IP: client\r\nTE: trailers\r\nProxy-Authorization: client\r\n"
              "X-Relay-Bearer: client\r\nX-Goog-Api-Key: client\r\nX-Other-API-Key: client\r\n"
              "X-Other-Auth-Token: client\r\nX-API-Keys: kept\r\nChatGPT-Account-ID: client\r\nchatgpt-account-id: client\r\n"
              "OpenAI-Organization: client\r\nX-Extra: client\r\nX-Internal-A: client\r\n"
              "anthropic-version: 2023-06-01\r\ntraceparent: 00-ab-cd-01\r\nVia: kept\r\n"
              "X-Forwarded-For: 192.0.2.1\r\nContent-Encoding: zstd\r\n", "POST", b"body")
    head, body, _ = world.sent()
    lines = head.lower().splitlines()
    assert lines[0] == "post /prefix/v1/x?q=%20 http/1.1" and body == b"body"
    assert "client" not in head and "te: trailers" not in lines
    assert {"authorization: bearer account-token", "host: 127.0.0.1:9000", "via: kept", "x-api-keys: kept",
            "anthropic-version: 2023-06-01", "traceparent: 00-ab-cd-01",
            "x-forwarded-for: 192.0.2.1", "content-encoding: zstd"} <= set(lines)


def test_removes_headers_that_connection_names(world):
    world.allow(hops="\x05x-hop\x02a9\0", kinds=";p0;90;", path="/rewritten")
    world.ask("/v1/x", "Connection: X-Hop, A9\r\nX-Hop: 1\r\nA9: 1\r\nX-End: 1\r\nX-Hops: 1\r\n", "POST", b"body")
    head = world.sent()[0].lower()
    names = {line.partition(":")[0] for line in head.split("\r\n")[1:]}
    assert {"x-end", "x-hops", "host", "content-length"} <= names and not names & {"x-hop", "a9"}
    assert head.startswith("post /rewritten ") and world.sent()[1] == b"body"


def test_injects_what_the_account_needs(world):
    world.allow(**{ACCOUNT_SLOT: "acct", EXTRA_SLOT: 'a "b" %[src]'})
    world.ask(headers="chatgpt-account-id: own\r\n")
    lines = world.sent()[0].splitlines()
    assert {"chatgpt-account-id: acct", 'x-extra: a "b" %[src]'} <= set(lines)
    world.allow(bearer=None, apikey="account-key")
    world.ask(headers="X-API-Key: rk_x\r\nAuthorization: Bearer own\r\n")
    lines = world.sent()[0].splitlines()
    assert "x-api-key: account-key" in lines and not re.search("rk_x|own", world.sent()[0])
    world.allow(bearer="B" * 4096)
    world.ask(method="POST", body=b"z" * 300000)
    assert "Bearer " + "B" * 4096 in world.sent()[0] and len(world.sent()[1]) == 300000


@pytest.mark.parametrize("own, sent", (
    ("", ["anthropic-beta: oauth"]),
    ("anthropic-beta: a, b\r\n", ["anthropic-beta: a, b,oauth"]),
    ("anthropic-beta: a, oauth\r\n", ["anthropic-beta: a, oauth"]),
    ("anthropic-beta: a\r\nanthropic-beta: b\r\n",
     ["anthropic-beta: a", "anthropic-beta: b", "anthropic-beta: oauth"])))
def test_appends_to_the_clients_beta_header(world, own, sent):
    world.allow(beta="oauth")
    world.ask(ANTHROPIC, own)
    assert [line for line in world.sent()[0].splitlines() if "beta" in line] == sent


def test_strips_what_tells_on_the_account(world):
    world.upstream.reply = (b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nX-Relay-Error: fake\r\n"
                            b"X-Request-Id: fake\r\nSet-Cookie: s\r\nOpenAI-Organization: acme\r\n"
                            b"Server-Timing: x\r\nAlt-Svc: h3\r\nx-codex-kept: 1\r\n"
                            b"RateLimit-Limit: 1\r\nX-Circuit-Breaker: open\r\nX-API-Key: k\r\nAuthorization: k\r\n"
                            b"X-Auth-Token: k\r\nanthropic-ratelimit-tokens-limit: 7\r\n"
                            b"x-ratelimit-limit-requests: 8\r\n\r\nno")
    world.allow()
    answer = world.ask()
    world.upstream.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert (answer.status, answer.body, answer.header("x-relay-upstream")) == (503, b"no", "1")
    names = {key.lower() for key, _ in answer.headers}
    assert names - {"connection"} == {"content-length", "x-codex-kept", "x-relay-upstream", "x-request-id",
                                      "anthropic-ratelimit-tokens-limit", "x-ratelimit-limit-requests"}
    assert answer.header("x-request-id") != "fake"


def test_leaves_from_the_accounts_address(world):
    world.allow(be="b2-demo-five")
    world.ask()
    assert world.sent()[2] == "127.0.0.5" and "host: up.example" in world.sent()[0]


def ask_until_answered(world, path):
    """HAProxy 3.0 and later closes without an answer where a reused upstream connection is closed: asks again."""
    for _ in range(8):
        received = len(world.upstream.requests)
        try:
            answer = world.ask(path, method="POST", body=b"{}")
        except IndexError:
            answer = None
        assert len(world.upstream.requests) == received + 1, "a request was sent twice"
        if answer:
            return answer
    raise AssertionError("no answer on a new upstream connection")


@pytest.mark.parametrize("path", (OPENAI, ANTHROPIC, GEMINI))
def test_says_what_is_wrong_with_an_upstream(world, path):
    world.shape = {OPENAI: "openai", ANTHROPIC: "anthropic", GEMINI: "gemini"}[path]
    world.allow(be="b6-refused")
    assert_error(world.ask(path), 502, "upstream_unreachable", path)
    world.allow()
    normal = world.upstream.reply
    try:
        world.upstream.reply = b"garbage\r\n\r\n"
        assert_error(world.ask(path), 502, "upstream_invalid", path)
        world.upstream.reply = lambda sock: False
        answer = ask_until_answered(world, path)
        assert_error(answer, 502, "upstream_invalid", path)
        world.allow(be="b2-demo-five")
        over = threading.Event()
        world.upstream.reply = lambda sock: over.wait(60) and False
        assert_error(world.ask(path), 504, "upstream_timeout", path)
        over.set()
    finally:
        world.upstream.reply = normal


def test_refuses_methods_that_would_show_a_credential(world):
    forwarded = len(world.upstream.requests)
    world.allow()
    assert_error(world.ask(method="TRACE"), 400, "bad_request", OPENAI)
    assert len(world.upstream.requests) == forwarded


def test_records_the_label_that_the_agent_gives(world):
    for variables, label in (({"label": "my.id-1"}, "my.id-1"), ({}, "-")):
        world.allow(**variables)
        fields = world.record(world.ask(headers="X-Request-Id: other\r\n"))
        assert fields[4:9] == ["1|2|3", "relay-in", "b1-demo-direct.once", "out", "200"]
        assert fields[FIELD_ENDS] == "--" and fields[FIELD_LABEL] == label and fields[21:23] == ["GET", OPENAI]
        assert len(fields) == 26 and 1024 <= int(fields[23]) and fields[24] == "-"


def test_reuses_upstream_connections(world):
    world.allow()
    before = world.upstream.connections
    for _ in range(50):
        assert world.ask().status == 200
    assert world.upstream.connections - before <= 5


@pytest.mark.parametrize("begun", (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"))
def test_hangs_up_when_the_client_has_left(world, begun):
    reached, closed = threading.Event(), threading.Event()

    def reply(sock):
        sock.sendall(begun)
        reached.set()
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        closed.set()
        return False

    normal, world.upstream.reply = world.upstream.reply, reply
    world.allow()
    try:
        with socket.create_connection(("127.0.0.1", world.port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
            assert reached.wait(25)
        assert closed.wait(10)
    finally:
        world.upstream.reply = normal


@pytest.fixture(scope="module")
def guarded(haproxy, tmp_path_factory):
    """With a trusted load balancer, a limit on bodies, an upstream with TLS, a secret, stats."""
    place = tmp_path_factory.mktemp("guarded")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", place / "key.pem", "-out", place / "cert.pem"],
                   check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(place / "cert.pem", place / "key.pem")
    stats = f"127.0.0.1:{free_port()}"
    world = World(haproxy, place, tls=tls, proxy=1, trust="10.9.0.0/16", max_body=100000,
                  secret="a$#{secret}%", stats=stats)
    world.stats = stats
    yield world
    world.close()


def through(address):
    return f"PROXY TCP4 {address} 127.0.0.1 5000 80\r\n".encode()


@pytest.mark.parametrize("peer", ("192.0.2.9", "10.9.1.1"))
def test_the_agent_gets_the_peer_and_what_it_forwards(guarded, peer):
    guarded.allow()
    answer = guarded.ask(headers="X-Forwarded-For: 198.51.100.1, 203.0.113.1\r\nForwarded: for=a\r\n", first=through(peer))
    assert answer.status == 200 and str(guarded.asked()["src"]) == peer
    assert b"\r\nx-forwarded-for: 198.51.100.1, 203.0.113.1\r\nforwarded: for=a\r\n" in guarded.asked()["h"]
    assert guarded.record(answer)[1] == "a$#{secret}%"


@pytest.mark.parametrize("size, sized, status", (
    (100000, True, 200), (100001, True, 413), (47000, False, 200), (47001, False, 413)))
def test_bounds_bodies(guarded, size, sized, status):
    guarded.allow()
    body = b"x" * size
    if sized:
        answer = guarded.ask(method="POST", body=body, first=through("192.0.2.9"))
    else:
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        with_body = Chunked(chunk)
        answer = guarded.ask(method="POST", headers="Transfer-Encoding: chunked\r\n",
                             body=with_body, first=through("192.0.2.9"))
    assert answer.status == status
    if status == 413:
        assert_error(answer, 413, "request_too_large", OPENAI)


class Chunked(bytes):
    """A body with its own framing: false, so that ask() adds no length."""

    def __bool__(self):
        return False


def test_checks_the_certificate_of_an_upstream(guarded):
    guarded.allow(be="b3-tls-direct")
    assert guarded.ask(first=through("192.0.2.9")).status == 200
    assert "authorization: Bearer account-token" in guarded.secure.requests[-1][0]
    received = len(guarded.secure.requests)
    guarded.allow(be="b5-tls-socks")  # the same server under a name its certificate lacks
    assert_error(guarded.ask(first=through("192.0.2.9")), 502, "upstream_unreachable", OPENAI)
    assert len(guarded.secure.requests) == received


def test_shows_stats_and_metrics(guarded):
    for path, part in (("/", "b3-tls-direct"), ("/metrics", "haproxy_process_uptime_seconds")):
        done = subprocess.run(["curl", "-sf", f"http://{guarded.stats}{path}"], capture_output=True,
                              text=True, check=True, timeout=60)
        assert part in done.stdout


def test_loads_without_a_warning(haproxy, world, guarded, tmp_path):
    debian = pathlib.Path("/etc/haproxy/haproxy.cfg")
    for source in (world, guarded):
        place = tmp_path / source.name
        shutil.copytree(source.files, place, ignore=shutil.ignore_patterns("*.log", "*.sock"))
        for files in ((), (debian,)):
            command = [haproxy, "-c", "-dW"]
            for path in (*files, place / "relay.cfg"):
                command += ["-f", path]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
