"""If the account of a request fails, another account answers, in the same request if HAProxy can replay it."""
import hashlib
import http.client
import json
import statistics
import time

import pytest

from bare import compare
from failures import NO_BUDGET, FailingStack, Steady, attempts_of, wait_for_no_leases
from relay import VERSIONS, header, wait_until

KB = 1024
SWITCHED = ("503", "account_switched", "1")


def body_of(size):
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def sha(body):
    return hashlib.sha256(body).hexdigest()


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param, render=("--replay-body", "144k"))
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture(scope="module")
def pair(site):
    """Two accounts, each with one distinct header and a common one."""
    headers = [("--header", f"X-Only-{n}: only-{n}", "--header", f"X-Both: both-{n}") for n in (0, 1)]
    pair = site.pool("pair", options=headers)
    meet_both(pair)
    return pair


@pytest.fixture(scope="module")
def single(site):
    return site.pool("single", 1)


def meet_both(pool):
    """Waits until HAProxy knows the headers of each account."""
    met = set()
    wait_until("every account serves", lambda: met.add(pool.bind()[1]) or len(met) == len(pool.tokens))


def fail_first(pool, do, size=39 * KB, path="/v1/x", sends=(), **behaviour):
    """Lets the account of a new session fail; returns the answer, the token and the session."""
    pool.reset()
    session, first = pool.bind()
    pool.failing.clear()
    pool.failing.set(first, do, method="POST", **behaviour)
    return pool.post(session, body=body_of(size), path=path, headers=sends), first, session


def assert_whole(answer, token, body):
    assert answer.status == 200, (answer.status, answer.code, answer.body)
    said = json.loads(answer.body)
    assert (said["token"], said["body_len"], said["body_sha256"]) == (token, len(body), sha(body))


def listed(s, answer):
    request_id = answer.getheader("X-Request-Id")
    return next((r for r in s.relay.adm("requests", "list", "--last", "50")["items"] if r["id"] == request_id), None)


# --- inside the request ---

@pytest.mark.parametrize("size", [39 * KB, 120 * KB])
@pytest.mark.parametrize("do", [401, 403, 503, "close"])
def test_another_account_takes_over(pair, do, size):
    body = body_of(size)
    before = pair.s.relay.metric("relay_failovers_total")
    answer, first, _ = fail_first(pair, do, size)
    assert_whole(answer, pair.other(first), body)
    assert answer.code is None and answer.headers.get_all("X-Relay-Upstream") == ["1"]
    assert len(answer.headers.get_all("X-Request-Id")) == 1
    # the connection was idle before: the same account gets the request once more
    again = [first] if do == "close" and pair.s.version != "2.6" else []
    attempts = attempts_of(pair)
    assert [(r["token"], r["body_sha256"]) for r in attempts] == [
        (t, sha(body)) for t in (first, *again, pair.other(first))]
    assert pair.s.relay.metric("relay_failovers_total") == before + 1
    row = wait_until("the request is listed", lambda: listed(pair.s, answer))
    assert (row["account"], row["status"]) == (pair.account_of(pair.other(first)), 200)
    why = pair.s.relay.adm("requests", "why", row["id"])
    reasons = {c["account"]: c["reason"] for c in why["candidates"]}
    assert reasons[pair.account_of(first)] == "this request has already failed there"
    wait_for_no_leases(pair.s)


@pytest.mark.parametrize("size", [39 * KB, 120 * KB])
def test_429_is_taken_over_where_haproxy_can(pair, size):
    body = body_of(size)
    answer, first, session = fail_first(pair, 429, size)
    if pair.s.version == "2.6":
        assert (str(answer.status), answer.code, answer.getheader("Retry-After")) == SWITCHED
        answer = pair.post(session, body=body)
    assert_whole(answer, pair.other(first), body)


@pytest.mark.parametrize("size", [39 * KB, 120 * KB, 1024 * KB])
def test_a_refused_connection_is_taken_over(site, size):
    """Any size: no part of the body was sent. Some conversations belong to the account whose egress refuses."""
    site.add_closed_egress(f"closed{size}")
    pool = site.pool(f"refused{size}", egresses=[f"closed{size}", None])
    before = site.relay.metric("relay_failovers_total")
    body = body_of(size)

    def taken_over():
        assert_whole(pool.post(next(pool.sessions), body=body), pool.tokens[1], body)
        return site.relay.metric("relay_failovers_total") > before
    wait_until("a request was taken over", taken_over)
    assert site.failing.total(pool.tokens[0]) == 0
    wait_for_no_leases(site)


def test_what_never_left_is_not_counted(site):
    """No connection and no other account: the request counts against no quota."""
    site.relay.adm("tenants", "set", "nowhere", "--monthly", "100000")
    key = site.relay.issue("nowhere", "--monthly", "100000")

    def used():
        me = json.loads(site.get("/relay/me", key=key).body)
        return [w["used"] for w in me["tenant"]["windows"] + me["key"]["windows"] if w["window"] in ("day", "month")]

    site.nowhere.reset()
    wait_for_no_leases(site)
    before = used()
    assert len(before) == 4 and None not in before
    answer = site.post("/v1/x", key=key)
    assert (answer.status, answer.getheader("X-Relay-Error")) == (502, "upstream_unreachable")
    wait_for_no_leases(site)
    assert used() == before
    site.nowhere.reset()


def test_nothing_of_the_first_account_is_left(pair):
    for _ in range(6):
        answer, first, _ = fail_first(pair, 503, path="/v1/x?a=1&b=%20",
                                      sends=[("X-Client", "says"), ("Accept", "text/event-stream")])
        assert answer.status == 200
        one, two = attempts_of(pair)
        a, b = (pair.tokens.index(t) for t in (first, pair.other(first)))
        expect = {"authorization": f"Bearer {two['token']}", f"x-only-{b}": f"only-{b}", "x-both": f"both-{b}"}
        sent = {k.lower(): v for k, v in two["headers"]}
        assert expect.items() <= sent.items() and len(sent) == len(two["headers"]), two["headers"]
        assert f"x-only-{a}" not in sent and first not in json.dumps(two["headers"])
        # The last attempt uses a new connection.
        own = {"authorization", "x-both", "x-only-0", "x-only-1", "connection"}
        common = [sorted((k.lower(), v) for k, v in r["headers"] if k.lower() not in own) for r in (one, two)]
        assert common[0] == common[1]
        assert not [k for k in sent if k.startswith("x-relay") or k == "x-request-id" or k == "x-api-key"]
        assert (one["path"], one["query"]) == (two["path"], two["query"]) == ("/v1/x", "a=1&b=%20")


def test_an_anthropic_login_and_an_api_key(site):
    login, key = "sk-ant-oat01-the-login", "sk-ant-api03-the-key"
    pool = site.pool("claude", upstream="anthropic", tokens=[login, key])
    meet_both(pool)
    seen = set()

    def once():
        answer, first, _ = fail_first(pool, 401, path="/v1/messages",
                                      sends=[("anthropic-beta", "of-the-client"), ("anthropic-version", "1")])
        assert answer.status == 200, answer.body
        second = attempts_of(pool)[1]
        if first == login:
            assert header(second, "x-api-key") == key and header(second, "authorization") is None
        else:
            assert header(second, "authorization") == f"Bearer {login}" and header(second, "x-api-key") is None
        beta = ",".join(v for k, v in second["headers"] if k.lower() == "anthropic-beta").replace(" ", "").split(",")
        assert sorted(beta) == sorted(["of-the-client"] + (["oauth-2025-04-20"] if first == key else [])), beta
        seen.add(first)
        return len(seen) == 2
    wait_until("both ways", once)


def test_a_prefix_is_applied_once(site):
    pool = site.pool("prefixed", upstream="prefixed")
    answer, _, _ = fail_first(pool, 503, path="/v1/embeddings/7?x=1")
    assert answer.status == 200
    assert [(r["path"], r["query"]) for r in attempts_of(pool)] == [("/pre/fix/embeddings/7", "x=1")] * 2


def timed(connection, pool, session, body):
    began = time.monotonic()
    connection.request("POST", "/v1/x", body=body, headers={"X-API-Key": pool.key, "session-id": session})
    answer = connection.getresponse()
    answer.read()
    return answer.status, (time.monotonic() - began) * 1000


def median_times(pair, c):
    """Medians of a hundred requests without and a hundred with a failure, in turn."""
    pair.reset()
    body = body_of(39 * KB)
    plain, failed = [], []
    for _ in range(100):
        session, first = pair.bind()
        plain.append(timed(c, pair, session, body))
        pair.failing.set(first, 503, times=1, method="POST")
        failed.append(timed(c, pair, session, body))
        pair.s.relay.adm("accounts", "reset", pair.account_of(first))
    assert {status for status, _ in plain + failed} == {200}
    assert sum(1 for r in pair.failing.requests() if r["did"] == 503) == 100
    medians = [statistics.median(ms for _, ms in some) for some in (plain, failed)]
    print(f"HAProxy {pair.s.version}: {medians[0]:.2f} ms without, {medians[1]:.2f} ms with failover")
    return medians


@pytest.mark.takes(10)
def test_failover_adds_little(pair):
    """A failed attempt takes about as long as one that serves. With a single server to retry at, HAProxy would wait 1 s."""
    c = http.client.HTTPConnection("127.0.0.1", pair.s.port, timeout=60)
    compare(lambda: median_times(pair, c), lambda plain, failed: failed < 3 * plain + 5)
    c.close()


# --- requests that cannot be replayed inside HAProxy ---

@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("status", [401, 403, 429, 503, 529])
def test_a_large_request_is_told_to_come_again(pair, status, early):
    body = body_of(1024 * KB)
    answer, first, session = fail_first(pair, status, 1024 * KB, early=early)
    assert (str(answer.status), answer.code, answer.getheader("Retry-After")) == SWITCHED, answer.body
    error = json.loads(answer.body)["error"]
    assert error["retryable"] is True and answer.getheader("X-Relay-Upstream") is None
    wait_for_no_leases(pair.s)  # within the Retry-After of one second
    assert_whole(pair.post(session, body=body), pair.other(first), body)
    wait_for_no_leases(pair.s)


def test_529_is_never_replayed(pair):
    answer, first, session = fail_first(pair, 529)
    assert (str(answer.status), answer.code, answer.getheader("Retry-After")) == SWITCHED
    assert [r["token"] for r in pair.failing.requests()] == [first]


def test_the_shape_of_account_switched(site):
    pool = site.pool("switched", upstream="anthropic", tokens=["sk-ant-api03-one", "sk-ant-api03-two"])
    answer, _, _ = fail_first(pool, 529, path="/v1/messages")
    said = json.loads(answer.body)
    assert said["type"] == "error" and said["error"]["code"] == "account_switched"
    assert said["error"]["type"] == "overloaded_error"


# --- answers that are passed on ---

@pytest.mark.parametrize("size", [39 * KB, 1024 * KB])
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 529])
def test_alone_an_account_speaks_for_itself(single, status, size):
    said = {"error": {"message": "mine", "n": status}}
    answer, _, _ = fail_first(single, status, size, headers=[("Retry-After", "7")], body=said)
    assert (answer.status, answer.code, json.loads(answer.body)) == (status, None, said)
    assert answer.getheader("X-Relay-Upstream") == "1" and answer.getheader("Retry-After") == "7"
    assert len(single.failing.requests()) == 1


def test_500_passes_through(pair):
    answer, first, _ = fail_first(pair, 500)
    assert (answer.status, answer.code, answer.getheader("X-Relay-Upstream")) == (500, None, "1")
    assert [r["token"] for r in pair.failing.requests()] == [first]


@pytest.mark.parametrize("do", ["rubbish", "half"])
def test_what_is_no_answer(single, do):
    answer, _, _ = fail_first(single, do)
    assert (answer.status, answer.code) == (502, "upstream_invalid")
    assert len(attempts_of(single)) == 1  # 2.6 takes half a head for no answer


def test_rubbish_is_not_repeated(pair):
    answer, first, _ = fail_first(pair, "rubbish")
    assert (answer.status, answer.code) == (502, "upstream_invalid")
    assert [r["token"] for r in pair.failing.requests()] == [first]


@pytest.mark.parametrize("accounts", [1, 2])
def test_nobody_answers(pair, single, accounts):
    """HAProxy may close the client's connection (docs/HEALTH.md); it never invents an answer."""
    pool = single if accounts == 1 else pair
    pool.reset()
    while {r["token"] for r in pool.failing.requests()} != set(pool.tokens):  # all keep a connection
        assert pool.post(next(pool.sessions)).status == 200
    pool.failing.clear()
    for token in pool.tokens:
        pool.failing.set(token, "close")
    try:
        answer = pool.post(body=body_of(39 * KB))
        assert answer.status == 502 and answer.code in ("upstream_invalid", "upstream_unreachable"), answer.code
    except http.client.RemoteDisconnected:
        pass
    # The first attempt met a connection that was kept, and gets a new one. HAProxy 2.6 asks the other account instead.
    again = 0 if pool.s.version == "2.6" and accounts == 2 else 1
    assert len(pool.failing.requests()) == len(pool.tokens) + again
    wait_for_no_leases(pool.s)


def test_alone_and_unreachable(site):
    site.nowhere.reset()
    answer = site.nowhere.post(body=body_of(39 * KB))
    assert (answer.status, answer.code) == (502, "upstream_unreachable")


def test_an_upstream_that_hangs(site):
    pool = site.pool("hasty", upstream="hasty")
    began = time.monotonic()
    answer, first, _ = fail_first(pool, "hang")
    assert (answer.status, answer.code) == (504, "upstream_timeout") and time.monotonic() - began < 20
    assert [r["token"] for r in pool.failing.requests()] == [first]
    wait_for_no_leases(site)


def test_an_answer_that_breaks_off_is_not_repeated(pair):
    with pytest.raises(http.client.IncompleteRead):
        fail_first(pair, "cut")
    assert len(pair.failing.requests()) == 1
    wait_for_no_leases(pair.s)


# --- retry budget ---

def test_three_accounts_at_most(site):
    pool = site.pool("four", 4)
    for token in pool.tokens:
        pool.failing.set(token, 503, method="POST", body={"mine": token})
    answer = pool.post(body=body_of(39 * KB))
    asked = [r["token"] for r in pool.failing.requests()]
    assert len(asked) == len(set(asked)) == 3
    assert (answer.status, answer.code, json.loads(answer.body)) == (503, None, {"mine": asked[-1]})
    assert answer.getheader("X-Relay-Upstream") == "1"


def test_the_last_ones_answer_reaches_the_client(pair):
    pair.reset()
    for token in pair.tokens:
        pair.failing.set(token, 401, method="POST", body={"mine": token})
    answer = pair.post(body=body_of(39 * KB))
    asked = [r["token"] for r in pair.failing.requests()]
    assert sorted(asked) == sorted(pair.tokens)
    assert (answer.status, answer.code, json.loads(answer.body)) == (401, None, {"mine": asked[-1]})


def test_a_conversation_that_must_not_move(site):
    pool = site.pool("hard", upstream="codex")
    site.relay.adm("pools", "set", "hard", *pool.accounts, "--sticky", "hard")
    state = [("x-codex-turn-state", "abc")]
    answer, first, session = fail_first(pool, 503, sends=state)
    assert (answer.status, answer.code, answer.getheader("X-Relay-Upstream")) == (503, None, "1")
    assert [r["token"] for r in pool.failing.requests()] == [first]


def test_one_attempt_means_no_failover(site, pair):
    site.configure(NO_BUDGET + "attempts = 1\n")
    try:
        answer, first, _ = fail_first(pair, 503)
        assert (answer.status, answer.code) == (503, None)
        assert [r["token"] for r in pair.failing.requests()] == [first]
    finally:
        site.configure(NO_BUDGET)


def test_a_failing_pool_does_not_multiply_the_load(site):
    """By default a fifth of the requests, and five a second, may be retried."""
    site.configure("")  # first: a tenant keeps what it has saved up
    try:
        pool = site.pool("budget", 20, limits=("--rph", "1000000"))
        site.relay.adm("pools", "set", "budget", *pool.accounts, "--wait", "0s")
        for token in pool.tokens:
            pool.failing.set(token, 503, share=0.5, method="POST")
        before = used(me(pool), "hour")
        began = time.monotonic()
        answers = Steady(pool, clients=4).send(1000)
        seconds = time.monotonic() - began
    finally:
        site.configure(NO_BUDGET)
    sent = sum(pool.failing.total(token, "POST") for token in pool.tokens)
    admitted = used(me(pool), "hour") - before
    print(f"HAProxy {site.version}: {answers} in {seconds:.1f} s, {admitted} admitted, {sent} attempts")
    # requests in flight may overdraw the budget: two more attempts of each client
    assert admitted < sent <= 1.2 * admitted + 5 * (seconds + 2) + 8
    assert admitted > 40


# --- slots and counts ---

def test_slots_and_counts_of_each_attempt(site):
    # end records come a moment later, so that six clients may hold more than six slots
    pool = site.pool("slots", 3, options=[("--concurrency", "6", "--rph", "100000")] * 3, limits=("--rph", "100000"))
    site.relay.adm("pools", "set", "slots", *pool.accounts, "--wait", "20s")
    pool.reset()
    used_before = [used(pool.show(token), "hour") for token in pool.tokens]
    tenant_before = used(me(pool), "hour")
    pool.failing.set(pool.tokens[0], 401, share=0.5, method="POST", delay=0.01)
    answers = Steady(pool, clients=6, path="/v1/x?ms=5").send(600)
    assert answers == {200: 600}
    counts = pool.failing.counts()
    assert all(counts[token]["most"] <= 6 for token in pool.tokens), counts
    wait_for_no_leases(site)
    for token, before in zip(pool.tokens, used_before):
        shown = pool.show(token)
        assert shown["in_use"] == 0
        assert used(shown, "hour") - before == pool.failing.total(token, "POST")
    assert used(me(pool), "hour") - tenant_before == 600


def me(pool):
    return json.loads(pool.s.get("/relay/me", key=pool.key).body)["tenant"]


def used(subject, name):
    windows = subject.get("usage") or subject.get("windows")
    return next((w["used"] for w in windows if w["window"] == name), 0)
