"""What HAProxys of every version read in answers of upstreams, with the rendered files: limits and errors, for the
record, for the agent and for the next attempt.
"""

import json
import re
import socket
import threading

import pytest

from attempts import OK, Attempts, allowed, answer, retries_429, sees, told
from rendered import FIELD_LIMITS, OPENAI, Answer, assert_error, wait_until
from relay import haproxy_commands

pytestmark = pytest.mark.takes(0.2)


@pytest.fixture(scope="module", params=haproxy_commands(), ids=lambda row: row[0])
def haproxy(request):
    return request.param


@pytest.fixture(scope="module")
def world(haproxy, tmp_path_factory):
    place = tmp_path_factory.mktemp("again")
    world = Attempts(haproxy[1], place, internal=place / "internal.sock")
    yield world
    world.close()


CODEX = "b1-demo-direct"
CLAUDE = "b2-demo-five"
USAGE = {"error": {"type": "usage_limit_reached", "resets_at": 1800000000, "resets_in_seconds": 86400}}

SIGNATURE = {"type": "error", "error": {"type": "invalid_request_error", "message":
                                        "messages.1.content.0: Invalid `signature` in `thinking` block"}}


@pytest.mark.parametrize("backend, status, headers, body, limits", (
    (CODEX, 200, "Retry-After: 1", "", ""),
    (CODEX, 500, "Retry-After: 1", "", "st=500;ra=1;"),
    (CODEX, 503, "retry-AFTER-ms: 1500", "", "st=503;ram=1500;"),
    (CODEX, 529, "RETRY-AFTER: 7", "", "st=529;ra=7;"),
    (CODEX, 200, "x-codex-primary-used-percent: 12.5\r\nx-codex-secondary-reset-at: 7", "", "c1u=12.5;c2a=7;"),
    (CODEX, 200, "X-CODEX-Primary-USED-percent: 12.5", "", "c1u=12.5;"),
    (CODEX, 429, "x-codex-primary-used-percent: 100", json.dumps(USAGE),
     "st=429;c1u=100;bt=usage_limit_reached;br=1800000000;bs=86400;"),
    (CODEX, 429, "Retry-After: 5", "<html>", "st=429;ra=5;"),
    (CODEX, 400, "Retry-After: 5", json.dumps({"error": {"message": "no"}}), "st=400;ra=5;"),
    (CODEX, 400, "", json.dumps({"error": {"type": "invalid_request_error", "code": "invalid_encrypted_content"}}),
     "st=400;bt=invalid_request_error;bt=invalid_encrypted_content;bc=invalid_encrypted_content;"),
    (CLAUDE, 400, "", json.dumps(SIGNATURE),
     "st=400;bt=invalid_request_error;bm=messages1content0Invalidsignatureinthinkingblock;"),
    (CLAUDE, 200, "x-codex-primary-used-percent: 12.5", "", ""),
    (CLAUDE, 200, "anthropic-ratelimit-unified-status: allowed\r\nanthropic-ratelimit-unified-5h-utilization: 0.25",
     "", "aus=allowed;a5u=0.25;"),
    (CLAUDE, 429, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", '{"error":{"code":"a;b=c\\n"}}',
     "st=429;ra=Wed, 21 Oct 2015 07:28:00 GMT;bt=abc;"),
    (CLAUDE, 429, "Retry-After: " + "9" * 60, json.dumps({"error": {"type": "t" * 60}}),
     f"st=429;ra={'9' * 48};bt={'t' * 48};"),
    # no value makes a field of another name
    (CLAUDE, 429, "Retry-After: 5;st=200;aus=rejected;aur=9", '{"error":{"type":"a;st=200;","resets_at":"1;st=2"}}',
     "st=429;ra=5;bt=ast200;br=1st2;"),
    (CLAUDE, 403, "Retry-After: ;st=200\r\nanthropic-ratelimit-unified-status: =;=", "", "st=403;aus==;"),
    (CLAUDE, 200, "anthropic-ratelimit-unified-status: allowed;st=429;ev=.overloaded_error.", "", "aus=allowed;"),
    (CLAUDE, 429, "", json.dumps({"error": {"resets_at": "2026-01-02T03:04:05+01:00"}}),
     "st=429;br=2026-01-02t03:04:05+01:00;"),
    (CLAUDE, 429, "", "[" * 4000 + '{"error":{"type":"deep"}}', "st=429;"),
    (CLAUDE, 429, "", json.dumps({"echo": "x" * 5000, "error": {"type": "late"}}), "st=429;"),
    (CLAUDE, 429, "", json.dumps({"error": {"type": "early"}, "echo": "x" * 5000}), "st=429;bt=early;"),
    ("b7-openai", 200, "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6ms", "", "xrr=0;xrt=6ms;")))
def test_records_what_an_answer_says_of_limits(world, backend, status, headers, body, limits):
    headers = f"{headers}\r\n" if headers else ""
    world.plan([allowed(1, "one", backend, watch=True)], {"one": answer(status, body.encode(), headers.encode())})
    got = world.ask(method="POST", body=b"x")
    assert got.status == status and got.body == body.encode()
    assert told(" ".join(world.record(got)[FIELD_LIMITS:])) == limits
    message, args = world.probe.asked[-1]
    assert message == "respond" and args["status"] == status
    assert told(args["lim"]) == limits


@pytest.mark.parametrize("media", ("application/json", "Application/JSON; charset=utf-8", "APPLICATION/JSON",
                                   "application/problem+json", "text/plain", ""))
def test_reads_an_error_under_every_spelling_of_its_media_type(world, media):
    headers = f"Content-Type: {media}\r\n".encode() if media else b""
    world.plan([allowed(1, "one")], {"one": answer(429, json.dumps(USAGE).encode(), headers)})
    got = world.ask(method="POST", body=b"x")
    assert got.status == 429 and json.loads(got.body) == USAGE
    assert told(world.record(got)[FIELD_LIMITS]) == "st=429;bt=usage_limit_reached;br=1800000000;bs=86400;"


class Held:
    """An upstream's answer: its beginning, and the rest when the test lets it go."""

    def __init__(self, begin, rest=b""):
        self.begin, self.rest, self.go = begin, rest, threading.Event()

    def __call__(self, sock):
        sock.sendall(self.begin)
        assert self.go.wait(60)
        sock.sendall(self.rest)
        return False


def begin_of_answer(world, until, path=OPENAI):
    """A client's connection, and what it has received when `until` has come."""
    sock = socket.create_connection(("127.0.0.1", world.port), timeout=20)
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".encode())
    got = b""
    while until not in got:
        piece = sock.recv(65536)
        assert piece, got
        got += piece
    return sock, got


def end_of_answer(sock, got):
    with sock:
        return Answer(got + b"".join(iter(lambda: sock.recv(65536), b"")))


def test_waits_for_no_body(world):
    """A refusal whose body does not come reaches the client as it is, and counts."""
    held = Held(b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\nRetry-After: 60\r\n"
                b"Content-Length: 10\r\n\r\n{\"err", b'or":1')
    world.plan([allowed(1, "one")], {"one": held})
    sock, got = begin_of_answer(world, b'{"err')
    held.go.set()
    got = end_of_answer(sock, got)
    assert (got.status, got.header("retry-after"), got.body) == (429, "60", b'{"error":1')
    assert told(world.record(got)[FIELD_LIMITS]) == "st=429;ra=60;"


def test_waits_for_no_body_before_it_takes_an_answer_back(world, haproxy):
    held = Held(b"HTTP/1.1 429 X\r\nRetry-After: 60\r\nContent-Length: 500\r\n\r\n{\"err")
    world.plan([allowed(1, "one", alt=True), allowed(2, "two")], {"one": held})
    sock, got = begin_of_answer(world, b"\r\n\r\n")
    held.go.set()
    got = end_of_answer(sock, got)
    assert got.status == (200 if retries_429(haproxy) else 503)


REFUSED = "b6-refused"


def answered(text):
    """Of `failed`: what it tells of the answer, without the connection."""
    return re.sub("(ru|po)=[^;]*;", "", told(text))


@pytest.mark.parametrize("backend, reply, failed", (
    (CODEX, answer(401), "st=401;st=0;"),
    (CODEX, answer(403, headers=b"Retry-After: 5\r\n"), "st=403;ra=5;st=0;"),
    (CODEX, answer(429, json.dumps(USAGE).encode()),
     "st=429;bt=usage_limit_reached;br=1800000000;bs=86400;st=0;"),
    (CODEX, answer(503, headers=b"RETRY-AFTER-MS: 250\r\nx-codex-primary-used-percent: 100\r\n"),
     "st=503;ram=250;c1u=100;st=0;"),
    (CLAUDE, answer(429, headers=b"anthropic-ratelimit-unified-status: rejected;st=200\r\nRetry-After: st=0;st=5\r\n"),
     "st=429;ra=st=0;aus=rejected;st=0;"),
    (CODEX, None, "st=0;"),
    (REFUSED, None, "st=0;")),
    ids=("401", "403", "429", "503", "forged", "closed", "refused"))
def test_tells_the_next_attempt_what_was_taken_back(world, haproxy, backend, reply, failed):
    world.plan([allowed(1, "one", backend, alt=True), allowed(2, "two", CLAUDE)], {"one": reply})
    got = world.ask(method="POST", body=b"x" * 1000)
    if not sees(haproxy) and reply and reply.startswith(b"HTTP/1.1 429"):
        assert_error(got, 503, "account_switched", OPENAI)
    else:
        assert got.status == 200 and world.messages() == ["decide", "again"]
        assert answered(world.asked()["failed"]) == (failed if sees(haproxy) else "")
    if haproxy[0] >= "3.2" and failed == "st=0;":
        assert re.match("st=0;ru=none;" if backend == REFUSED else "ru=[01];", told(world.asked()["failed"]))


def test_tells_only_what_its_own_request_met(world, haproxy):
    """Nothing of an earlier failure is left, on this connection or in the next attempt."""
    for reply, failed in ((answer(403), "st=403;st=0;"), (None, "st=0;"), (answer(503), "st=503;st=0;")):
        world.plan([allowed(1, "one", alt=True), allowed(2, "two", alt=True), allowed(3, "three")],
                   {"one": reply, "two": None})
        assert world.ask(method="POST", body=b"x").status == 200
        said = [answered(args["failed"]) for message, args in world.probe.asked if message == "again"]
        assert said == ([failed, "st=0;"] if sees(haproxy) else ["", ""])


def test_the_longest_headers_hinder_no_further_attempt(world, haproxy):
    names = ["retry-after", "retry-after-ms"] + [f"anthropic-ratelimit-{name}" for name in (
        "unified-status", "unified-reset", "unified-5h-utilization", "unified-5h-reset", "unified-7d-utilization",
        "unified-7d-reset", "requests-limit", "requests-remaining", "requests-reset", "tokens-limit",
        "tokens-remaining", "tokens-reset")]
    headers = "".join(f"{name}: {'9' * 400}\r\n" for name in names).encode()
    body = json.dumps({"error": {"type": "t" * 99, "code": "c" * 99, "resets_at": "9" * 99, "resets_in_seconds": 9}})
    world.plan([allowed(1, "one", CLAUDE, alt=True), allowed(2, "two")], {"one": answer(403, body.encode(), headers)})
    assert world.ask(method="POST", body=b"x").status == 200
    if sees(haproxy):
        failed = world.asked()["failed"]
        assert failed.startswith(b"st=403;ra=" + b"9" * 48 + b";") and 900 < len(failed) <= 1024


def test_an_interim_answer_hides_no_limit_from_the_record(world):
    early = b"HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n"
    world.plan([allowed(1, "one")], {"one": early + answer(429, headers=b"Retry-After: 5\r\n")})
    sock, got = begin_of_answer(world, b"HTTP/1.1 429")
    got = end_of_answer(sock, got[got.index(b"HTTP/1.1 429"):])
    assert told(world.record(got)[FIELD_LIMITS]) == "st=429;ra=5;"


# --- errors inside a stream ---

def stream(*events, media=b"text/event-stream"):
    body = b"".join(events)
    return b"HTTP/1.1 200 X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (media, len(body), body)


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


OVERLOADED = event("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
CREATED = event("response.created", {"type": "response.created", "response": {"id": "r", "error": None}})
FAILED = event("response.failed", {"type": "response.failed", "response": {
    "status": "failed", "error": {"code": "server_is_overloaded", "message": "busy"}, "instructions": "x" * 9000}})
STARTED = event("message_start", {"type": "message_start", "message": {"content": []}})
WORDS = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}'
ERRORS = {
    "anthropic": (CLAUDE, (OVERLOADED,), "overloaded_error"),
    "crlf": (CLAUDE, (OVERLOADED.replace(b"\n", b"\r\n"),), "overloaded_error"),
    "compact": (CLAUDE, (OVERLOADED.replace(b": {", b":{").replace(b"event: ", b"event:"),), "overloaded_error"),
    "limited": (CLAUDE, (event("error", {"type": "error", "error": {"type": "rate_limit_error"}}),),
                "rate_limit_error"),
    "after a comment": (CLAUDE, (b": hello\n\n", OVERLOADED), "overloaded_error"),
    "after the start": (CLAUDE, (STARTED, OVERLOADED), "overloaded_error"),
    "responses": (CODEX, (FAILED,), "server_is_overloaded"),
    "responses, created": (CODEX, (CREATED, FAILED), "server_is_overloaded"),
    "error event": (CODEX, (event("error", {"type": "error", "code": "rate_limit_exceeded"}),), "rate_limit_exceeded"),
    "chat": ("b7-openai", (b'data: {"error":{"message":"m","type":"server_error","code":null}}\n\n',
                           b"data: [DONE]\n\n"), "server_error"),
    "data only": ("b7-openai", (b'data: {"type":"error","error":{"code":"slow_down"}}\n\n',), "slow_down")}
STREAMS = {
    "good": (CLAUDE, (STARTED,)),
    "words in a text": (CLAUDE, (STARTED, event("content_block_delta", {"delta": {"text": "\n\n" + WORDS}}))),
    "text first": (CLAUDE, (event("content_block_delta", {"text": WORDS + "\n" + WORDS}),)),
    "another error": (CLAUDE, (event("error", {"type": "error", "error": {"type": "invalid_request_error"}}),)),
    "beyond what is read": (CLAUDE, (STARTED, b":" + b"x" * 5000 + b"\n\n", OVERLOADED))}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_at_the_head_of_a_stream_is_recorded_and_passes(world, case):
    backend, events, word = ERRORS[case]
    world.plan([allowed(1, "one", backend)], {"one": stream(*events)})
    got = world.ask(method="POST", body=b"x")
    assert (got.status, got.body) == (200, b"".join(events)) and world.messages() == ["decide"]
    limits = world.record(got)[FIELD_LIMITS]
    assert limits.startswith("st=200;ev=.") and f".{word}." in limits


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_at_the_head_of_a_stream_switches_the_account(world, case):
    backend, events, word = ERRORS[case]
    world.plan([allowed(1, "one", backend, alt=True)], {"one": stream(*events)})
    assert_error(got := world.ask(method="POST", body=b"x"), 503, "account_switched", OPENAI)
    assert got.header("retry-after") == "1" and world.messages() == ["decide", "respond"]
    assert world.asked()["status"] == 200 and f".{word}.".encode() in world.asked()["lim"]
    record = world.record(got)
    assert record[7:9] == ["out", "503"] and record[FIELD_LIMITS].startswith("st=200;ev=.")


@pytest.mark.parametrize("alt", (False, True))
@pytest.mark.parametrize("case", STREAMS)
def test_another_stream_passes(world, case, alt):
    backend, events = STREAMS[case]
    world.plan([allowed(1, "one", backend, alt=alt)], {"one": stream(*events)})
    got = world.ask(method="POST", body=b"x")
    assert (got.status, got.body) == (200, b"".join(events)) and world.messages() == ["decide"]
    assert world.record(got)[FIELD_LIMITS].startswith("st=200;ev=.") == (case == "another error")


def test_an_error_in_another_kind_of_answer_is_no_event(world):
    created = answer(201, OVERLOADED, b"Content-Type: text/event-stream\r\n")
    for reply in (stream(OVERLOADED, media=b"text/plain"), created):
        world.plan([allowed(1, "one", CLAUDE, alt=True)], {"one": reply})
        got = world.ask(method="POST", body=b"x")
        assert got.status in (200, 201) and told(world.record(got)[FIELD_LIMITS]) == ""


@pytest.mark.parametrize("alt", (False, True))
def test_a_stream_waits_for_nothing(world, alt):
    """The head reaches the client before the first event, and an error that comes later passes."""
    held = Held(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(OVERLOADED),
                OVERLOADED)
    world.plan([allowed(1, "one", CLAUDE, alt=alt)], {"one": held})
    sock, got = begin_of_answer(world, b"\r\n\r\n")
    held.go.set()
    got = end_of_answer(sock, got)
    assert (got.status, got.body) == (200, OVERLOADED)


# --- what goes up ---

@pytest.mark.parametrize("backend, method, path, plain", (
    (CODEX, "POST", "/v1/responses", True),
    (CODEX, "POST", "/v1/responses?x=1", True),
    (CODEX, "GET", "/v1/responses", False),
    (CODEX, "POST", "/v1/responses/compact", False),
    (CODEX, "POST", "/v1/chat/completions", False),
    (CLAUDE, "POST", "/v1/messages?beta=true", True),
    (CLAUDE, "POST", "/v1/messages/count_tokens", False),
    (CLAUDE, "GET", "/v1/models", False),
    ("b7-openai", "POST", "/v1/chat/completions", True),
    ("b7-openai", "POST", "/v1/completions", True),
    ("b7-openai", "POST", "/v1/embeddings", False)))
@pytest.mark.parametrize("accepts", ("gzip, br", "identity;q=0, gzip", None))
def test_asks_models_for_plain_answers(world, backend, method, path, plain, accepts):
    world.plan([allowed(1, "one", backend)], {})
    assert world.ask(path, f"Accept-Encoding: {accepts}\r\n" if accepts else "", method, b"x").status == 200
    lines = re.findall("(?im)^accept-encoding: (.*?)\r$", world.sent()[0])
    assert lines == (["identity"] if plain else [accepts] if accepts else [])


def test_resends_on_a_new_connection(world, haproxy):
    """`fresh`: the upstream closed an idle connection when the request arrived on it."""
    def serve(sock):
        served.append(sock)
        return sock.sendall(OK) is None

    def close_reused(sock):
        return sock not in served and serve(sock)
    served = []
    for _ in range(50):  # the thread that takes the request may open a connection although one is idle
        world.plan([allowed(1, "one", alt=True)], {"one": serve})
        assert world.ask(method="POST", body=b"x").status == 200
        before = world.upstream.connections
        world.plan([allowed(1, "one", alt=True), allowed(2, "one", alt=True, fresh=True)], {"one": close_reused})
        assert world.ask(method="POST", body=b"x").status == 200
        if world.upstream.connections > before and world.messages() == ["decide"]:
            continue
        break
    assert world.messages() == ["decide", "again"] and len(world.upstream.requests) == 2
    if sees(haproxy):  # the agent asks for it only there
        failed = told(world.asked()["failed"])
        assert answered(failed) == "st=0;" and world.upstream.connections == before + 1
        assert failed.startswith("po=" if haproxy[0].startswith("3.0") else "ru=1;st=0;ru=none;")
        assert "connection: close" in world.sent()[0].lower()


def is_open(sock):
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:  # the upstream has closed it too
        return False


@pytest.mark.takes(10)
def test_idle_connections_do_not_live_long(world):
    """Upstreams close them after 15 s."""
    used = []
    world.plan([allowed(1, "one")], {"one": lambda sock: used.append(sock) or sock.sendall(OK) is None})
    assert world.ask(method="POST", body=b"x").status == 200
    assert is_open(used[0])
    wait_until(lambda: not is_open(used[0]), seconds=14)
