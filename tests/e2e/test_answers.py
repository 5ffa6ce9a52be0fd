"""What the relay makes of answers that tell more than their status: ends of limits, errors inside a stream, bodies that do
not come, and connections that the upstream has closed.
"""

import http.client
import json
import time

import pytest

from failures import FailingStack, wait_for_no_leases
from relay import VERSIONS, wait_until

GENERATED = "/v1/chat/completions"
GZIP = [("Accept-Encoding", "gzip")]


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture(scope="module")
def single(site):
    return site.pool("alone", 1)


@pytest.fixture(scope="module")
def pair(site):
    return site.pool("both")


def used_up(spelling="resets_at", end=None):
    end = end if end is not None else int(time.time()) + 3700
    return json.dumps({"error": {"type": "usage_limit_reached", "message": "no more", spelling: end}})


# --- the end of a window ---

@pytest.mark.parametrize("packed, media", ((False, "application/json"), (True, "application/json"),
                                           (False, "Application/JSON; charset=utf-8"), (False, "text/plain")))
def test_a_window_is_read_from_every_spelling_of_an_answer(single, packed, media):
    single.reset()
    token, = single.tokens
    single.failing.set(token, 429, method="POST", body=used_up(), packed=packed, type=media)
    answer = single.post(path=GENERATED, headers=GZIP)
    assert (answer.status, answer.code) == (429, None) and json.loads(answer.body)["error"]["type"]
    assert single.wait_for(token, "window")["until_s"] > 3600
    single.reset()


@pytest.mark.parametrize("spelling, end", (
    ("resets_at", lambda now: str(now + 3700)), ("resets_at", lambda now: (now + 3700) * 1000),
    ("resets_at", lambda now: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3700))),
    ("resets_in_seconds", lambda now: 3700), ("resets_in_seconds", lambda now: "3700"),
    ("resets_in_seconds", lambda now: "1h1m40s")))
def test_a_window_is_read_from_every_spelling_of_its_end(single, spelling, end):
    single.reset()
    token, = single.tokens
    single.failing.set(token, 429, method="POST", type="application/json",
                       body=used_up(spelling, end(int(time.time()))))
    assert single.post(path=GENERATED).status == 429
    assert 3600 < single.wait_for(token, "window")["until_s"] <= 3700
    single.reset()


def test_only_generated_answers_lose_their_encoding(single):
    single.reset()
    for path, sent in ((GENERATED, "identity"), ("/v1/files", "gzip")):
        assert single.post(path=path, headers=GZIP).status == 200
        assert dict((k.lower(), v) for k, v in single.failing.requests()[-1]["headers"])["accept-encoding"] == sent


# --- a body that does not come ---

def test_a_refusal_whose_body_does_not_come_reaches_the_client(single):
    """At once, with its own status."""
    single.reset()
    token, = single.tokens
    single.failing.set(token, "stall", method="POST", code=429,
                       headers=[("Retry-After", "60"), ("Content-Type", "application/json")])
    connection = http.client.HTTPConnection("127.0.0.1", single.s.port, timeout=20)
    began = time.monotonic()
    connection.request("POST", "/v1/x", body=b"{}", headers={"X-API-Key": single.key})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Retry-After"), answer.read(1)) == (429, "60", b"{")
    assert time.monotonic() - began < 4
    connection.close()
    assert 0 < single.wait_for(token, "burst")["until_s"] <= 5  # on the word of one key
    wait_for_no_leases(single.s)
    single.reset()


# --- errors inside a stream ---

OVERLOADED = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
FAILED = ('event: response.created\ndata: {"type":"response.created","response":{"id":"r"}}\n\n'
          'event: response.failed\ndata: {"type":"response.failed","response":{"status":"failed","error":'
          '{"code":"server_is_overloaded","message":"busy"}}}\n\n')


def classes(pool, token):
    return pool.show(token)["results"]


@pytest.mark.parametrize("text", (OVERLOADED, FAILED), ids=("anthropic", "openai"))
def test_a_stream_of_errors_alone_is_passed_on_and_counts(single, text):
    single.reset()
    token, = single.tokens
    before = classes(single, token)
    single.failing.set(token, 200, method="POST", body=text, type="text/event-stream")
    answer = single.post(path=GENERATED)
    assert (answer.status, answer.code, answer.body.decode()) == (200, None, text)
    wait_until("it counts", lambda: classes(single, token)["overload"] == before["overload"] + 1)
    single.reset()


@pytest.mark.parametrize("text", (OVERLOADED, FAILED), ids=("anthropic", "openai"))
def test_a_stream_of_errors_is_replaced_where_another_account_can_serve(site, text, request):
    pool = site.pool("switching-" + request.node.callspec.id.rpartition("-")[2])
    session, first = pool.bind()
    pool.failing.clear()
    pool.failing.set(first, 200, method="POST", body=text, type="text/event-stream")
    answer = pool.post(session, path=GENERATED)
    assert (answer.status, answer.code, answer.getheader("Retry-After")) == (503, "account_switched", "1")
    answer = pool.post(session, path=GENERATED)
    assert (answer.status, json.loads(answer.body)["token"]) == (200, pool.other(first))
    wait_for_no_leases(site)


def test_an_account_of_errors_alone_gets_few_requests(site):
    """Case: forty requests of new conversations, then eighty more."""
    pool = site.pool("errors")
    bad = pool.tokens[0]
    pool.failing.set(bad, 200, method="POST", body=OVERLOADED, type="text/event-stream")
    for _ in range(40):
        pool.post(next(pool.sessions))
    pool.failing.clear()
    for _ in range(80):
        pool.post(next(pool.sessions))
    assert pool.failing.total(bad, "POST") <= 8


# --- connections that the upstream has closed ---

def test_a_request_on_a_closed_connection_is_nobodys_fault(site):
    """Each kept connection is closed as soon as the next request arrives on it."""
    pool = site.pool("race")
    session, first = pool.bind()
    pool.reset()
    for token in pool.tokens:
        pool.failing.set(token, "reused", method="POST")
    answers = [pool.post(session) for _ in range(12)]
    assert [a.status for a in answers] == [200] * 12
    assert {json.loads(a.body)["token"] for a in answers} == {first}
    assert {pool.show(token)["state"] for token in pool.tokens} == {"ok"}
    assert {classes(pool, token)["network"] for token in pool.tokens} == {0}
    wait_for_no_leases(site)


# --- what an answer says about the upstream itself ---

def location(pool, said, status=302, path="/v1/x"):
    pool.reset()
    pool.failing.set(pool.tokens[0], status, method="POST", headers=[["Location", said]], body="{}")
    return pool.post(path=path).getheader("Location")


def test_a_location_below_the_upstream_is_the_relays(site, single):
    url = site.failing.url
    for status in (201, 302, 307):
        assert location(single, f"{url}/v1/files/7?x=1#y", status) == "/v1/files/7?x=1#y"
    for elsewhere in ("https://cdn.example/x?sig=a%20b", f"{url}9/v1/x", f"{url}.evil.example/x", "/v1/files/7", "files/7", url):
        assert location(single, elsewhere) == elsewhere
    assert location(single, f"{url}/v1/x", 200) == f"{url}/v1/x"
    prefixed = site.pool("moved", 1, upstream="prefixed")
    for said in (f"{url}/pre/fix/files/7", "/pre/fix/files/7"):
        assert location(prefixed, said) == "/v1/files/7"
    for elsewhere in (f"{url}/other/files/7", "/pre/fixed/files/7"):
        assert location(prefixed, elsewhere) == elsewhere
    prefixed.reset()


def upstream_id(site, answer):
    """From the history."""
    identity = answer.getheader("X-Request-Id")
    row = wait_until("it is listed", lambda: [r for r in site.relay.adm("requests", "list")["items"] if r["id"] == identity])[0]
    why = site.relay.adm("requests", "why", identity)
    assert why["upstream_request_id"] == row["upstream_request_id"]
    return row["upstream_request_id"]


def test_the_history_has_the_upstreams_own_id(site, single, pair):
    single.reset()
    token, = single.tokens
    for said, kept in (("req_01-aB.c~d", "req_01-aB.c~d"), ("a b;c|d", "a%20b%3Bc%7Cd"), ("x" * 200, "x" * 63)):
        single.failing.set(token, 200, method="POST", headers=[["X-Request-Id", said]])
        answer = single.post()
        assert answer.headers.get_all("X-Request-Id") != [said] and upstream_id(site, answer) == kept
    single.failing.set(token, "ok", method="POST")
    assert upstream_id(site, single.post()) is None
    single.reset()
    claude = site.pool("claude", 1, upstream="anthropic")
    claude.failing.set(claude.tokens[0], 429, method="POST", headers=[["request-id", "req_claude"]])
    assert upstream_id(site, claude.post(path="/v1/messages")) == "req_claude"
    # after a failover, the one of the account that answered
    pair.reset()
    session, first = pair.bind()
    pair.failing.set(first, 503, method="POST", headers=[["X-Request-Id", "req_first"]])
    pair.failing.set(pair.other(first), 200, method="POST", headers=[["X-Request-Id", "req_second"]])
    assert upstream_id(site, pair.post(session)) == "req_second"
    pair.reset()
