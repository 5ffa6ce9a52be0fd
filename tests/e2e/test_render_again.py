"""Further attempts, limits and checks as the rendered files make them, in HAProxys of every version.

What the real agent makes of them is in test_failover.py.
"""

import re
import socket
import struct
import threading

import pytest

from attempts import DENIED, OK, Attempts, allowed, answer, last_server, retries_429, told
from bare import compare
from rendered import (ACCOUNT_SLOT, ANTHROPIC, EXTRA_SLOT, FIELD_CODE, FIELD_ENDS, FIELD_LIMITS, FIELD_MARK, GEMINI,
                      OPENAI, assert_error, wait_until)
from relay import haproxy_commands

pytestmark = pytest.mark.takes(0.2)
BETA = "oauth-2025-04-20"


@pytest.fixture(scope="module", params=haproxy_commands(), ids=lambda row: row[0])
def haproxy(request):
    return request.param


@pytest.fixture(scope="module")
def world(haproxy, tmp_path_factory):
    place = tmp_path_factory.mktemp("again")
    world = Attempts(haproxy[1], place, internal=place / "internal.sock", replay="144k")
    yield world
    world.close()


@pytest.mark.parametrize("size", (0, 39000, 120000))
@pytest.mark.parametrize("refusal", (answer(401), answer(403), answer(503), None), ids=("401", "403", "503", "closed"))
def test_gives_a_refused_request_to_another_account(world, haproxy, refusal, size):
    world.plan([allowed(1, "one", alt=True), allowed(2, "two", "b2-demo-five")], {"one": refusal})
    got = world.ask("/v1/x?q=1", method="POST", body=b"x" * size)
    assert (got.status, got.body, got.header("x-relay-upstream")) == (200, b"ok", "1")
    assert world.messages() == ["decide", "again"]
    args = world.probe.asked[1][1]
    assert (args["gen"], args["id"], set(args)) == (7, got.header("x-request-id").encode(), {"gen", "id", "worker", "failed"})
    first, second = world.upstream.requests
    assert (first[2], second[2]) == ("127.0.0.1", "127.0.0.5") and first[1] == second[1] == b"x" * size
    assert second[0].startswith("POST /v1/x?q=1 HTTP/1.1\r\n")
    outer, inner = world.records_of(got, 2)
    assert outer[4:7] == ["1|2|1", "relay-in", "b1-demo-direct"] and outer[7] in ("again1", "again2")
    assert inner[4:9] == ["1|2|2", "relay-again", "b2-demo-five", last_server(haproxy), "200"]
    assert (outer[FIELD_MARK], inner[FIELD_MARK]) == ("1.0.0.0", "2.0.0.0") and outer[8] == "200"


def again_with(world, identity, request=b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
    """The status line that relay-again answers to a PROXY header with this id; None for no id in it."""
    config = (world.files / "relay.cfg").read_text()
    bind = re.search(r"\nfrontend relay-again .*\n\tbind '?(abns|unix)@([^ '\n]+)", config)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(("\0" + bind[2]).ljust(108, "\0") if bind[1] == "abns" else bind[2])
        field = b"" if identity is None else b"\x05" + struct.pack(">H", len(identity)) + identity
        ends = bytes((127, 0, 0, 1) * 2 + (0, 80) * 2)
        head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(ends + field)) + ends
        sock.sendall(head + field + request)
        try:
            return b"".join(iter(lambda: sock.recv(65536), b"")).split(b"\r\n")[0]
        except ConnectionResetError:
            return b""


def test_takes_only_ids_from_a_peer(world):
    plain, dashed = b"01a220495cdef8d265264561f60f8da6", b"01a22049-6bf7-7c2d-9755-98e4843787c0"
    lines = (b"\n", b" 1|2|3 relay-in b out 200 1 1 0 0 0 0 0 -- 0 - - - -", b"\0abc", b"0")
    bad = (None, b"", b"-", plain[1:], plain.upper(), dashed[:-1],
           *(one + more for one in (plain, dashed) for more in lines))
    world.plan([], {})
    for identity in bad:
        assert again_with(world, identity) == b"", identity
        assert again_with(world, identity, b"rubbish\r\n\r\n") == b"", identity
    assert world.messages() == []
    for identity in (plain, dashed):
        assert again_with(world, identity).startswith(b"HTTP/1.1 502 "), identity
    assert [args["id"] for _, args in world.probe.asked] == [plain, dashed]
    logged = []
    while logged[-1:] != [dashed]:  # records arrive in order
        logged.append(world.records.recv(8192).split(b" ")[3])
    assert plain in logged and all(re.fullmatch(b"[0-9a-f-]{32,36}", one) for one in logged)


def test_takes_a_429_back_where_haproxy_can(world, haproxy):
    world.plan([allowed(1, "one", alt=True), allowed(2, "two", "b2-demo-five")], {"one": answer(429)})
    got = world.ask(method="POST", body=b"x")
    if retries_429(haproxy):
        assert got.status == 200 and world.messages() == ["decide", "again"]
    else:
        assert_error(got, 503, "account_switched", OPENAI)
        assert got.header("retry-after") == "1"


@pytest.mark.parametrize("path", (OPENAI, ANTHROPIC, GEMINI))
@pytest.mark.parametrize("status, size", ((529, 10), (401, 1000000), (429, 1000000), (503, 1000000)))
def test_says_that_the_account_has_switched(world, path, status, size):
    world.plan([allowed(1, "one", alt=True)], {"one": answer(status, headers=b"Retry-After: 600\r\n")})
    got = world.ask(path, method="POST", body=b"x" * size)
    assert assert_error(got, 503, "account_switched", path)["retryable"] is True
    assert got.header("retry-after") == "1"
    # The agent has the record before the client returns.
    assert world.messages() == ["decide", "respond"] and world.asked()["status"] == status
    record = world.record(got)
    assert record[7:9] == ["out", "503"] and told(record[FIELD_LIMITS]) == f"st={status};ra=600;"


@pytest.mark.parametrize("status", (401, 403, 429, 500, 503, 529))
def test_lets_the_upstreams_answer_pass_when_nobody_else_can(world, status):
    refusal = answer(status, b"its own", b"Retry-After: 600\r\nX-Relay-Error: fake\r\n")
    world.plan([allowed(1, "one")], {"one": refusal})
    got = world.ask(method="POST", body=b"x")
    assert (got.status, got.body, got.header("retry-after")) == (status, b"its own", "600")
    assert got.header("x-relay-upstream") == "1" and got.header("x-relay-error") is None
    assert world.messages() == ["decide"] and len(world.upstream.requests) == 1


def test_tries_three_accounts_and_passes_the_last_answer(world, haproxy):
    world.plan([allowed(1, "one", alt=True), allowed(2, "two", "b2-demo-five", alt=True), allowed(3, "three")],
               {"one": answer(401), "two": None, "three": answer(403, b"third", b"Retry-After: 600\r\n")})
    got = world.ask(method="POST", body=b"x")
    assert (got.status, got.body, got.header("retry-after")) == (403, b"third", "600")
    assert world.messages() == ["decide", "again", "again"] and len(world.upstream.requests) == 3
    records = world.records_of(got, 3)
    assert [r[FIELD_MARK][0] for r in records] == ["1", "2", "3"]
    assert [r[7][:5] for r in records] == ["again", "again", last_server(haproxy)]
    assert [told(r[FIELD_LIMITS]) for r in records] == ["", "", "st=403;ra=600;"]


@pytest.mark.parametrize("path, shape", ((OPENAI, "openai"), (ANTHROPIC, "anthropic"), (GEMINI, "gemini")))
def test_passes_a_refusal_of_a_further_attempt_unharmed(world, path, shape):
    world.plan([allowed(1, "one", "b6-refused", path="/elsewhere"), {**DENIED, "shape": shape}], {})
    got = world.ask(path, method="POST", body=b"x" * 39000)
    assert assert_error(got, 502, "upstream_unreachable", path)["message"] == "Some text"
    assert got.header("retry-after") == "7"
    denied, outer = world.records_of(got, 2)
    assert denied[5] == "relay-again" and (denied[FIELD_CODE], outer[FIELD_CODE]) == ("upstream_unreachable", "!upstream_unreachable")
    assert outer[7:9] in (["again1", "502"], ["again2", "502"])


def test_takes_the_shape_from_the_agent_and_not_from_the_path_of_the_upstream(world):
    world.plan([allowed(1, "one", "b6-refused", path="/v1beta/openai/x"), DENIED], {})
    got = world.ask(OPENAI, method="POST", body=b"x" * 39000)
    assert assert_error(got, 502, "upstream_unreachable", OPENAI)["message"] == "Some text"


def test_answers_a_large_body_that_met_no_upstream(world):
    world.plan([allowed(1, "one", "b6-refused"), DENIED], {})
    assert_error(world.ask(method="POST", body=b"x" * 1000000), 502, "upstream_unreachable", OPENAI)


def test_streams_a_large_body_to_the_next_when_the_first_was_not_reached(world):
    world.plan([allowed(1, "one", "b6-refused", alt=True), allowed(2, "two")], {})
    assert world.ask(method="POST", body=b"x" * 1000000).status == 200
    assert len(world.sent()[1]) == 1000000


def test_refuses_a_further_attempt_without_an_agent(world):
    decisions = {"decide": allowed(1, "one", alt=True)}
    world.plan([], {"one": answer(401)})
    world.say = lambda message, args: decisions.get(message)
    assert_error(world.ask(method="POST", body=b"x"), 503, "agent_unavailable", OPENAI)
    assert world.messages() == ["decide", "again", "again2"] and len(world.upstream.requests) == 1


def test_leaves_nothing_of_the_first_account(world):
    first = allowed(1, "one", alt=True, path="/prefix/v1/x", **{ACCOUNT_SLOT: "first", EXTRA_SLOT: "first"})
    second = allowed(2, "two", "b2-demo-five", alt=True, **{ACCOUNT_SLOT: "second"})
    world.plan([first, second], {"one": answer(401)})
    assert world.ask("/v1/x", "Session-Id: kept\r\n", "POST", b"x").status == 200
    lines = [head.lower().splitlines() for head, _, _ in world.upstream.requests]
    assert {"authorization: bearer one", "chatgpt-account-id: first", "x-extra: first"} <= set(lines[0])
    assert set(lines[1]) == {"post /prefix/v1/x http/1.1", "host: up.example", "session-id: kept", "content-length: 1",
                             "authorization: bearer two", "chatgpt-account-id: second"}


def test_takes_an_api_key_away(world):
    world.plan([allowed(1, None, apikey="first", alt=True), allowed(2, "two")], {})
    world.upstream.reply = lambda sock: sock.sendall(answer(401) if "first" in world.sent()[0] else OK) or True
    assert world.ask(headers="X-API-Key: rk_x\r\n", method="POST", body=b"x").status == 200
    assert "x-api-key: first" in world.upstream.requests[0][0] and "x-api-key" not in world.sent()[0]


@pytest.mark.parametrize("own, then", (
    ([], []), (["a"], ["a"]), (["a, b"], ["a, b"]), (["a", "b"], ["a", "b", ""]), ([f"a, {BETA}"], [f"a, {BETA}"])))
def test_takes_the_appended_beta_away(world, own, then):
    for beta, expected in ((None, then), (BETA, None)):
        world.plan([allowed(1, "one", alt=True, beta=BETA), allowed(2, "two", beta=beta)], {"one": answer(401)})
        world.ask(ANTHROPIC, "".join(f"anthropic-beta: {value}\r\n" for value in own), "POST", b"x")
        sent = [re.findall("(?m)^anthropic-beta: ?(.*?)\r$", head) for head, _, _ in world.upstream.requests]
        if expected is None:
            assert ",".join(sent[1]).count(BETA) == 1
        else:
            assert sent[1] == expected


def test_blames_the_account_that_hangs(world):
    """The further attempt times out 40 ms before the attempt around it, which a busy machine can miss."""
    def measure():
        over = threading.Event()
        world.plan([allowed(1, "one", "b2-demo-five", alt=True), allowed(2, "two", "b2-demo-five")],
                   {"one": answer(401), "two": lambda sock: over.wait(60) and False})
        got = world.ask(method="POST", body=b"x")
        over.set()
        assert_error(got, 504, "upstream_timeout", OPENAI)
        return [r[FIELD_ENDS] for r in world.records_of(got, 2)]

    compare(measure, lambda outer, inner: (outer, inner) == ("--", "sH"))


def test_tells_how_the_last_attempt_ended_also_on_a_reused_connection(world, haproxy):
    world.plan([allowed(1, "one")], {})
    assert world.ask().status == 200  # leaves an idle connection
    world.plan([allowed(1, "one", alt=True), allowed(2, "two")], {"one": answer(401), "two": None})
    got = world.ask(method="POST", body=b"x")
    assert_error(got, 502, "upstream_invalid", OPENAI)
    assert world.records_of(got, 2)[1][7:9] == [last_server(haproxy), "502"]


def test_goes_around_a_server_that_is_down_and_takes_nothing_back_from_the_next(world):
    world.command("set server b1-demo-direct/out health down")
    try:
        world.plan([allowed(1, "one", alt=True), allowed(2, "two", "b2-demo-five")], {"two": answer(401)})
        assert world.ask(method="POST", body=b"x").status == 401
        assert world.messages() == ["decide", "again"]
        assert [source for _, _, source in world.upstream.requests] == ["127.0.0.5"]
    finally:
        world.command("set server b1-demo-direct/out health up")


def test_counts_each_attempt_while_it_lasts(world):
    reached, over = threading.Event(), threading.Event()
    world.plan([allowed(1, "one", alt=True), allowed(2, "two")],
               {"one": answer(401), "two": lambda sock: reached.set() or over.wait(60) and False})
    asking = threading.Thread(target=world.ask, kwargs={"method": "POST", "body": b"x"})
    asking.start()
    assert reached.wait(25)
    table = world.command("show table relay-track")
    over.set()
    asking.join()
    assert re.search(r"key=1\|2\|1 .*conn_cur=1", table) and re.search(r"key=1\|2\|2 .*conn_cur=1", table)


def test_keeps_a_connection_to_the_upstream_of_a_further_attempt(world):
    before = world.upstream.connections
    for _ in range(30):
        world.plan([allowed(1, "one", alt=True), allowed(2, "two", alt=True)], {"one": answer(401)})
        assert world.ask(method="POST", body=b"x").status == 200
    assert world.upstream.connections - before <= 12


DATE = "Fri, 31 Dec 2027 23:59:59 GMT"


@pytest.mark.parametrize("again", (False, True))
@pytest.mark.parametrize("status, kept, given, passed", (
    (503, True, {"retry-after": "30"}, {"retry-after": "10"}),
    (529, True, {"retry-after": "86400"}, {"retry-after": "10"}),
    (503, True, {"retry-after": DATE}, {"retry-after": "10"}),
    (503, True, {"retry-after": "-1"}, {"retry-after": "10"}),
    (503, True, {"retry-after": "10"}, {"retry-after": "10"}),
    (529, True, {"retry-after": "2"}, {"retry-after": "2"}),
    (503, True, {}, {}),
    (503, True, {"retry-after-ms": "30000", "retry-after": "30"}, {"retry-after": "10"}),
    (503, True, {"retry-after-ms": "9999.5", "retry-after": "9"}, {"retry-after-ms": "9999.5", "retry-after": "9"}),
    (429, True, {"retry-after": "30"}, {"retry-after": "30"}),
    (500, True, {"retry-after": "30"}, {"retry-after": "30"}),
    (503, False, {"retry-after": DATE}, {"retry-after": DATE})))
def test_a_conversation_that_stays_asks_again_soon(world, again, status, kept, given, passed):
    """Also when the request has reached its account through another egress of the account."""
    head = "".join(f"{k}: {v}\r\n" for k, v in given.items()).encode()
    last = allowed(2, "two", **({"kept": True} if kept else {}))
    if again:
        world.plan([allowed(1, "one", alt=True), last], {"one": answer(401), "two": answer(status, headers=head)})
    else:
        world.plan([last], {"two": answer(status, headers=head)})
    got = world.ask(method="POST", body=b"x")
    assert got.status == status
    assert {name: got.header(name) for name in ("retry-after", "retry-after-ms") if got.header(name)} == passed


def test_tells_the_head_of_an_answer_only_when_asked(world):
    world.plan([allowed(1, "one", watch=False)], {})
    world.ask()
    assert world.messages() == ["decide"]


def test_probes_an_account(world):
    probe = {"action": "allow", "be": "b2-demo-five", "bearer": "probed", "track": "0|0|9", "mark": "p.1.2.3",
             "alt": False, ACCOUNT_SLOT: "acct"}
    world.plan([probe], {"probed": answer(401, headers=b"X-Relay-Error: fake\r\nRetry-After: 9\r\n")})
    got = world.ask_inside("/v1/models", "X-Relay-Account: 9\r\nUser-Agent: ours\r\nanthropic-version: ours\r\n")
    assert got.status == 401 and got.header("x-relay-error") is None
    (message, args), = world.probe.asked
    assert message == "probe"
    assert args == {"gen": 7, "id": got.header("x-request-id").encode(), "account": b"9"}
    lines = set(world.sent()[0].lower().splitlines())
    assert {"authorization: bearer probed", "chatgpt-account-id: acct", "anthropic-version: ours", "user-agent: ours"} <= lines
    assert "x-relay" not in world.sent()[0].lower() and world.sent()[2] == "127.0.0.5"
    fields = world.record(got)
    assert fields[4:9] == ["0|0|9", "relay-internal", "b2-demo-five", "out", "401"]
    assert fields[FIELD_MARK] == "p.1.2.3" and told(fields[FIELD_LIMITS]) == "st=401;ra=9;"


def test_a_probe_stays_with_its_egress(world):
    world.plan([allowed(1, "one", "b6-refused")], {})
    got = world.ask_inside("/", "X-Relay-Account: 9\r\n")
    assert_error(got, 502, "upstream_unreachable", OPENAI)
    fields = world.record(got)
    assert fields[7] == "out" and fields[FIELD_ENDS] == "SC" and world.messages() == ["probe"]


def test_refuses_a_probe_as_the_agent_says(world):
    world.plan([DENIED], {})
    assert_error(world.ask_inside("/", "X-Relay-Account: 9\r\n"), 502, "upstream_unreachable", OPENAI)
    world.say = lambda message, args: None
    assert_error(world.ask_inside("/", "X-Relay-Account: 9\r\n"), 503, "agent_unavailable", OPENAI)
    assert world.upstream.requests == []


def test_sends_controls_own_requests_as_they_are(world):
    world.plan([], {"own": answer(400, b'{"error":"invalid_grant"}')})
    got = world.ask_inside("/oauth/token", "X-Relay-Backend: c-e3\r\nAuthorization: Bearer own\r\nX-Extra: ours\r\n",
                           "POST", b"grant")
    assert (got.status, got.body) == (400, b'{"error":"invalid_grant"}') and world.messages() == []
    head, body, source = world.sent()
    assert body == b"grant" and source == "127.0.0.5" and "x-relay" not in head.lower()
    assert {"authorization: bearer own", "x-extra: ours", "host: up.example"} <= set(head.lower().splitlines())


def test_sends_a_token_request_once(world):
    world.plan([], {"own": None})
    got = world.ask_inside("/oauth/token", "X-Relay-Backend: t1-e2\r\nAuthorization: Bearer own\r\n", "POST", b"grant")
    assert_error(got, 502, "upstream_invalid", OPENAI)
    assert len(world.upstream.requests) == 1


@pytest.mark.parametrize("headers", ("", "X-Relay-Backend: t9-e9\r\n", "X-Relay-Backend: b1-demo-direct\r\n",
                                     "X-Relay-Backend: relay-agent\r\n", "X-Relay-Backend: relay-stats\r\n"))
def test_sends_what_names_no_backend_nowhere(world, headers):
    world.plan([], {})
    assert_error(world.ask_inside("/", headers), 503, "no_account", OPENAI)
    assert world.upstream.requests == [] and world.messages() == []


def test_only_its_owner_may_use_a_socket_of_haproxy(world):
    sockets = [world.files / "internal.sock", *world.files.glob("relay-again-*.sock")]
    assert len(sockets) == 2
    assert {s.stat().st_mode & 0o777 for s in sockets} == {0o600}


class Checker:
    """Answers agent-checks; `words` by backend, otherwise `up`."""

    def __init__(self):
        self.asked, self.words = set(), {}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        try:
            while True:
                with self.listener.accept()[0] as sock:
                    name = sock.recv(300).decode()
                    self.asked.add(name)
                    sock.sendall(self.words.get(name.strip(), "up").encode() + b"\n")
        except OSError:
            return

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()


def test_asks_the_agent_how_a_server_is(haproxy, tmp_path):
    checker = Checker()
    checker.words["b1-demo-direct"] = "down #address seen is 192.0.2.1"
    world = Attempts(haproxy[1], tmp_path, check=f"tcp:127.0.0.1:{checker.port}")
    try:
        wait_until(lambda: world.stat("b1-demo-direct", "out", "status") == "DOWN (agent)")
        assert world.stat("b2-demo-five", "out", "status").startswith("UP")
        assert "b1-demo-direct\n" in checker.asked and "address seen is 192.0.2.1" in world.command("show stat")
        world.plan([allowed(1, "one"), allowed(2, "two", "b2-demo-five")], {})
        assert world.ask().status == 200 and world.sent()[2] == "127.0.0.5"
        checker.words.clear()
        wait_until(lambda: world.stat("b1-demo-direct", "out", "status").startswith("UP"))
        assert world.stat("b1-demo-direct", "out", "weight") == "0"
    finally:
        world.close()
        checker.close()
