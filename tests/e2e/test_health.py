"""Effects of an account's answers: on the key that met them, and on everybody; circuits, windows, and recovery."""
import concurrent.futures
import datetime
import http.client
import json
import os
import signal
import time

import pytest

from failures import NO_BUDGET, FailingStack, wait_for_no_leases
from relay import VERSIONS, wait_until

RECOVERY = 4  # of an open circuit; a failed probe opens it for half of it, at least
LATE = 15  # seconds that a busy machine may take; without the end of a state it would be for good
QUICK = NO_BUDGET + f"recovery = {RECOVERY}s\nprobe_pause = 100ms\n"


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param, QUICK)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture(scope="module")
def single(site):
    pool = site.pool("single", 1)
    site.relay.adm("pools", "set", "single", *pool.accounts, "--wait", "0s")
    return pool


@pytest.fixture(scope="module")
def pair(site):
    return site.pool("pair")


def until_of(shown):
    """Unix time of the end of the state."""
    return datetime.datetime.fromisoformat(shown["until"].replace("Z", "+00:00")).timestamp()


def at_once(n, call):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: call(), range(n)))


def post_one(pool):
    """The status; 502 also if HAProxy closes the connection instead (docs/HEALTH.md)."""
    try:
        return pool.post().status
    except http.client.RemoteDisconnected:
        return 502


def post_some(pool, n):
    return [post_one(pool) for _ in range(n)]


def open_circuit(pool, do=500):
    """Opens the circuit of a pool of one: a request fails, and the probe after it."""
    pool.reset()
    pool.failing.set(pool.tokens[0], do)
    # HAProxy reports no failure of a reused idle connection
    wait_until("it is open", lambda: pool.show(pool.tokens[0])["state"] == "open" or post_one(pool) is None)
    return pool.wait_for(pool.tokens[0], "open")


class Witnessed:
    """A pool of two accounts that are not probed. Two keys testify against the first, and the second is suspended: the
    circuit of the only account is open, and clients are its trial."""

    def __init__(self, site, name):
        self.pool = site.pool(name, upstream="unprobed")
        site.relay.adm("pools", "set", name, *self.pool.accounts, "--wait", "0s")
        self.token = self.pool.tokens[0]
        keys = [self.pool.key, site.relay.issue(name)]
        wait_until("the second key is known", lambda: self.post(keys[1]) == 200)
        site.relay.adm("accounts", "reset", self.pool.accounts[0])
        self.pool.failing.set(self.token, 503)
        wait_until("both have testified", lambda: {self.post(key) for key in keys} == {200} and
                   self.pool.show(self.token)["state"] == "open")
        site.relay.adm("accounts", "suspend", self.pool.accounts[1])
        # the keys shun it and nothing else is left
        self.pool.failing.clear()

    def post(self, key):
        return self.pool.s.post("/v1/x", body=b"{}", key=key).status


# --- classes ---

@pytest.mark.parametrize("do", [500, 503, 529, "close", "rubbish"])
def test_a_failed_probe_opens_the_circuit(single, do):
    shown = open_circuit(single, do)
    assert shown["circuit"] == "open" and 0 < until_of(shown) - time.time() <= RECOVERY
    sent = single.failing.total(single.tokens[0], "POST")
    refused = single.post()
    assert (refused.status, refused.code, refused.getheader("X-Circuit-Breaker")) == (503, "circuit_open", "open")
    assert 1 <= int(refused.getheader("Retry-After")) <= RECOVERY + 1
    assert single.failing.total(single.tokens[0], "POST") == sent


@pytest.mark.parametrize("status", [500, 503, 529])
def test_five_failures_brake_their_key_only(site, status):
    """The probe says 200: the account stays in use for everybody else."""
    pool = site.pool(f"braked-{status}", 1)
    other = site.relay.issue(pool.name)
    site.relay.adm("pools", "set", pool.name, *pool.accounts, "--wait", "0s")
    token = pool.tokens[0]
    wait_until("the other key is known", lambda: site.get("/v1/x", key=other).status == 200)
    pool.failing.clear()
    pool.failing.set(token, status, method="POST")
    assert post_some(pool, 5) == [status] * 5
    refused = wait_until("the key has to pause", lambda: (a := pool.post()).code and a)
    assert (refused.status, refused.code) == (503, "circuit_open")
    assert 1 <= int(refused.getheader("Retry-After")) <= 5
    sent = pool.failing.total(token, "POST")
    assert 5 <= sent <= 6 and post_some(pool, 5) == [503] * 5 and pool.failing.total(token, "POST") == sent
    assert pool.show(token)["state"] == "ok"
    assert site.get("/v1/x", key=other).status == 200
    pool.failing.set(token)
    wait_until("the trial succeeds", lambda: post_one(pool) == 200)
    assert post_some(pool, 5) == [200] * 5


def test_four_failures_do_not(single):
    single.reset()
    for _ in range(2):
        single.failing.set(single.tokens[0], 500, times=4, method="POST")
        assert post_some(single, 5) == [500] * 4 + [200]
    assert single.show(single.tokens[0])["state"] == "ok"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_bad_request_hurts_nobody(single, status):
    single.reset()
    single.failing.set(single.tokens[0], status)
    assert post_some(single, 8) == [status] * 8
    single.failing.set(single.tokens[0])
    assert single.post().status == 200
    assert single.show(single.tokens[0])["state"] == "ok"


def test_clients_that_leave_hurt_nobody(single):
    single.reset()
    for _ in range(8):
        s = single.s.connect()
        single.s.send(s, "GET", "/v1/x?ms=60000", key=single.key)
        wait_until("it is under way", lambda: single.failing.now(single.tokens[0]) == 1)
        s.close()
        wait_until("it is over", lambda: single.failing.now(single.tokens[0]) == 0)
    wait_for_no_leases(single.s)
    assert single.show(single.tokens[0])["state"] == "ok" and single.post().status == 200


@pytest.mark.parametrize("status", [401, 403])
def test_refusals_of_clients_pass_and_hurt_nobody(single, status):
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, status, method="POST")
    assert post_some(single, 20) == [status] * 20
    wait_until("it is probed", lambda: single.failing.total(token, "GET") >= 1)
    assert single.show(token)["state"] == "ok" and single.s.get("/v1/x", key=single.key).status == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_probe_cools_an_account(single, status):
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, status)
    assert single.post().status == status
    shown = single.wait_for(token, "cooling")
    assert 4 * 60 < until_of(shown) - time.time() <= 5 * 60
    sent = single.failing.total(token, "POST")
    answer = single.post()
    assert answer.status == 503 and answer.code == "no_account"
    assert single.failing.total(token, "POST") == sent
    single.reset()
    assert single.post().status == 200 and single.show(token)["state"] == "ok"


def test_streams_that_break_hurt_nobody(single):
    """HAProxy closes its half for a client that left; the upstream closes, and it looks like its doing."""
    single.reset()
    single.failing.set(single.tokens[0], "cut", method="POST")
    for _ in range(8):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            single.post()
    wait_for_no_leases(single.s)
    assert single.show(single.tokens[0])["state"] == "ok"
    single.failing.calm()
    assert single.post().status == 200


def test_a_burst_costs_what_the_upstream_said(single):
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, 429, times=1, headers=[("Retry-After", "2")])
    before = time.time()
    assert single.post().status == 429
    shown = single.wait_for(token, "burst")
    assert 0.9 < until_of(shown) - before < 2 + LATE
    refused = single.post()
    assert refused.code and 1 <= int(refused.getheader("Retry-After")) <= 2
    assert single.failing.total(token, "POST") == 1
    wait_until("it is used again", lambda: single.post().status == 200)
    # `until` is shown without fraction
    assert until_of(shown) - 0.1 < time.time() < until_of(shown) + LATE
    assert single.show(token)["state"] == "ok"


UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")


def windows(end):
    """Name and upstream: the answer when the account's upstream limit is reached until `end`."""
    usage = {"type": "usage_limit_reached", "message": "The usage limit has been reached"}
    return {
        ("at", "codex"): {"body": {"error": {**usage, "plan_type": "plus", "resets_at": end}}},
        ("in", "codex"): {"body": {"error": {**usage, "resets_in_seconds": end - int(time.time())}}},
        ("full", "codex"): {"headers": [("x-codex-primary-used-percent", "100"),
                                        ("x-codex-primary-reset-at", str(end))]},
        ("unified", "anthropic"): {"headers": [("anthropic-ratelimit-unified-status", "rejected"),
                                               ("anthropic-ratelimit-unified-reset", str(end))]},
    }


def window_pools(site):
    for name, upstream in windows(0):
        tokens = ["sk-ant-api03-window"] if upstream == "anthropic" else None
        pool = site.pool(f"window-{name}", 1, upstream=upstream, tokens=tokens, options=[UNLIMITED])
        site.relay.adm("pools", "set", pool.name, *pool.accounts, "--wait", "0s")
        yield pool


def test_a_window_lasts_until_its_reset(site):
    pools = list(window_pools(site))
    end = int(time.time()) + 6
    until, served = {}, {}
    for pool, answer in zip(pools, windows(end).values()):
        pool.failing.set(pool.tokens[0], 429, times=1, **answer)
        answer = pool.post()
        assert answer.status == 429 and answer.getheader("X-Relay-Upstream") == "1"
        until[pool] = until_of(pool.wait_for(pool.tokens[0], "window"))
        assert abs(until[pool] - end) <= 1
        refused = pool.post()
        assert refused.code and refused.status in (429, 503)

    def all_serve():
        for pool in pools:
            if pool not in served and pool.post().status == 200:
                served[pool] = time.time()
        return len(served) == len(pools)
    wait_until("they are used again", all_serve)
    for pool in pools:
        assert until[pool] - 0.1 <= served[pool] < until[pool] + LATE
        assert pool.failing.total(pool.tokens[0]) == 2 and pool.show(pool.tokens[0])["state"] == "ok"


def test_an_account_that_is_nearly_full_is_spared(site):
    pool = site.pool("full", upstream="codex", options=[UNLIMITED] * 2)
    for token, percent in zip(pool.tokens, ("96", "4")):
        pool.failing.set(token, 200, headers=[("x-codex-primary-used-percent", percent),
                                              ("x-codex-primary-reset-at", str(int(time.time()) + 3600))])
    wait_until("both have told", lambda: pool.post(next(pool.sessions)) and len(pool.failing.counts()) == 2)
    wait_for_no_leases(site)
    pool.failing.clear()
    for _ in range(400):
        assert pool.post(next(pool.sessions)).status == 200
    full, empty = (pool.failing.total(token, "POST") for token in pool.tokens)
    assert full < 185 and empty == 400 - full, (full, empty)


# --- the next account ---

@pytest.mark.parametrize("do", [401, 403, 503, "close"])
def test_who_failed_is_left_alone(site, do):
    """The conversation continues on another account. The relay probes the account before a client uses it again."""
    pair = site.pool(f"left-{do}")
    session, first = pair.bind()
    pair.failing.clear()
    pair.failing.set(first, do)
    assert pair.post(session).status == 200
    assert pair.show(first)["state"] in ("ok", "open", "cooling")
    assert [pair.post(session).status for _ in range(9)] == [200] * 9
    assert pair.failing.total(first, "POST") <= 2
    assert pair.failing.total(pair.other(first), "POST") == 10
    wait_until("it is asked", lambda: pair.failing.total(first, "GET") >= 1)
    pair.wait_for(first, "cooling" if do in (401, 403) else "open")


@pytest.mark.parametrize("status", [401, 403])
def test_what_was_taken_back_is_known_in_the_end(site, status):
    """HAProxy 2.6 does not report answers that it took back; the relay's probes find the cause."""
    pair = site.pool(f"known-{status}")
    _, first = pair.bind()
    pair.failing.set(first, status)

    def cools():
        assert pair.post(next(pair.sessions)).status == 200
        return pair.show(first)["state"] in ("cooling", "suspended")
    wait_until("it cools", cools)
    sent = pair.failing.total(first, "POST")
    assert [pair.post(next(pair.sessions)).status for _ in range(20)] == [200] * 20
    assert pair.failing.total(first, "POST") == sent


def test_a_moments_failure_is_soon_forgotten(pair):
    pair.reset()
    session, first = pair.bind()
    pair.failing.set(first, 503, times=1, method="POST")
    assert pair.post(session).status == 200
    pair.wait_for(first, "ok")
    pair.failing.clear()
    wait_until("it is used again", lambda: pair.post(next(pair.sessions)) and pair.failing.total(first, "POST"))


# --- the breaker, live ---

def test_two_witnesses_open_the_circuit_and_one_trial_closes_it(site):
    w = Witnessed(site, "witnessed")
    opened = time.monotonic()
    w.pool.failing.set(w.token, 200, delay=0.7)
    statuses = []
    while 200 not in statuses:
        statuses += [a.status for a in at_once(20, w.pool.post)]
    rows = w.pool.failing.requests(None)
    trial = rows[0]
    assert trial["time"] - opened >= RECOVERY - 3
    assert [r for r in rows[1:] if r["time"] < trial["answered_at"] - 0.01] == []
    assert set(statuses) == {200, 503}
    w.pool.failing.set(w.token)
    assert {a.status for a in at_once(20, w.pool.post)} == {200}
    shown = w.pool.show(w.token)
    assert (shown["state"], shown["circuit"]) == ("ok", "closed")


def test_a_clients_failed_trial_hands_the_permit_on(site):
    w = Witnessed(site, "handed-on")
    wait_until("a trial fails", lambda: w.pool.post().code is None)
    assert w.pool.failing.total(w.token) == 1
    assert w.pool.show(w.token)["circuit"] == "half_open"
    w.pool.failing.set(w.token)
    wait_until("the next one may try", lambda: w.pool.post().status == 200)
    assert w.pool.show(w.token)["circuit"] == "closed"


def test_a_probe_is_the_trial_where_there_is_one(single):
    """The circuit opens again and again without a request of a client, and a probe closes it."""
    token = single.tokens[0]
    first = until_of(open_circuit(single))
    sent = single.failing.total(token, "POST")
    wait_until("it opens again", lambda: until_of(single.wait_for(token, "open")) > first + 0.5)
    assert post_some(single, 5) == [503] * 5 and single.failing.total(token, "POST") == sent
    single.failing.set(token)
    single.wait_for(token, "ok")
    assert single.failing.total(token, "POST") == sent and single.post().status == 200


def test_a_trial_whose_client_leaves_locks_nothing(site):
    w = Witnessed(site, "unprobed")
    pool, token = w.pool, w.token
    pool.failing.set(token, 200, delay=30)
    wait_until("the circuit may be tried", lambda: pool.show(token)["state"] != "open")
    s = site.connect()
    site.send(s, "GET", "/v1/x", key=pool.key)
    wait_until("a trial is out", lambda: pool.failing.now(token) == 1)
    assert pool.post().code == "circuit_open"
    s.close()
    pool.failing.set(token)
    wait_until("another one may try", lambda: pool.post().status == 200)


def test_the_head_of_a_trial_is_enough(site):
    """A long streaming trial closes the circuit as soon as its answer begins."""
    w = Witnessed(site, "streams")
    pool, token = w.pool, w.token
    pool.failing.set(token, 200, pause=30, times=1)
    wait_until("the circuit may be tried", lambda: pool.show(token)["state"] != "open")
    s = site.connect()
    site.send(s, "GET", "/v1/x", key=pool.key)
    assert s.recv(1000).startswith(b"HTTP/1.1 200")
    wait_until("it is closed", lambda: pool.show(token)["circuit"] == "closed")
    assert pool.failing.now(token) == 1 and pool.post().status == 200
    s.close()


def test_reset_closes_it_at_once(single):
    open_circuit(single)
    single.failing.calm()
    single.s.relay.adm("accounts", "reset", single.accounts[0])
    assert single.show(single.tokens[0])["state"] == "ok"
    assert single.post().status == 200


def test_suspend_and_resume(pair):
    pair.reset()
    session, first = pair.bind()
    pair.failing.clear()
    pair.s.relay.adm("accounts", "suspend", pair.account_of(first), "--reason", "by hand")
    shown = pair.show(first)
    assert (shown["state"], shown["suspended"], shown["suspend_reason"]) == ("suspended", True, "by hand")
    assert [pair.post(session).status for _ in range(5)] == [200] * 5
    assert pair.failing.total(first) == 0
    pair.s.relay.adm("accounts", "resume", pair.account_of(first))
    assert pair.show(first)["state"] == "ok"
    wait_until("it is used", lambda: pair.post(next(pair.sessions)) and pair.failing.total(first))


def test_resume_clears_what_was_held_against_it(single):
    open_circuit(single)
    single.s.relay.adm("accounts", "suspend", single.accounts[0])
    refused = single.post()
    assert (refused.status, refused.code) == (503, "no_account")
    single.failing.calm()
    single.s.relay.adm("accounts", "resume", single.accounts[0])
    assert single.post().status == 200


def test_a_new_credential_clears_a_refusal(single):
    single.reset()
    single.failing.set(single.tokens[0], 401)
    post_some(single, 2)
    single.wait_for(single.tokens[0], "cooling")
    single.s.relay.adm("accounts", "set", single.accounts[0], "--token-stdin", stdin="a-new-token")
    try:
        answer = single.post()
        assert answer.status == 200 and json.loads(answer.body)["token"] == "a-new-token"
    finally:
        single.s.relay.adm("accounts", "set", single.accounts[0], "--token-stdin", stdin=single.tokens[0])


def test_an_open_circuit_survives_restarts(single):
    s = single.s
    shown = open_circuit(single)
    sent = single.failing.total(single.tokens[0], "POST")
    pid = s.relay.pid_of("agent")
    os.kill(pid, signal.SIGKILL)
    wait_until("a new agent serves", lambda: s.relay.pid_of("agent") not in (0, pid))
    refused = wait_until("it answers", lambda: (a := single.post()).code != "agent_unavailable" and a)
    assert refused.code == "circuit_open" or time.time() > until_of(shown)
    assert single.failing.total(single.tokens[0], "POST") == sent or time.time() > until_of(shown)
