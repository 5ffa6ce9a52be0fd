"""Probes by control: which accounts, when, and their effects. One HAProxy version: the tests of the configuration cover
HAProxy's part of a probe."""
import http.client
import time

import pytest

from failures import NO_BUDGET, FailingStack
from relay import ANY, Refused, header, wait_until

RECOVERY, PAUSE, IDLE = 2, 1.0, 4
CONFIG = NO_BUDGET + f"recovery = {RECOVERY}s\nprobe_pause = {PAUSE:.0f}s\nprobe_idle = {IDLE}s\n"
OFFSET = 30  # longest delay of idle probes after the start of control
SLOW = NO_BUDGET + f"recovery = {RECOVERY}s\nprobe_idle = 1h\n"


@pytest.fixture(scope="module")
def site():
    s = FailingStack(ANY, SLOW)
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture(scope="module")
def pair(site):
    return site.pool("pair")


@pytest.fixture(scope="module")
def single(site):
    return site.pool("single", 1)


def probes_of(s, token):
    return [r for r in s.failing.requests("GET") if r["token"] == token]


def counted(s, reason):
    c = http.client.HTTPConnection("127.0.0.1", s.relay.metrics_port, timeout=5)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return next(int(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line.startswith(f'relay_probes_total{{reason="{reason}"}}'))


def check(s, account):
    return s.relay.adm("accounts", "check", account)


def refusal(s, account):
    with pytest.raises(Refused) as refused:
        check(s, account)
    return refused.value.stderr


# --- on demand ---

def test_check_tells_what_was_seen(single):
    single.reset()
    s, token = single.s, single.tokens[0]
    before = time.monotonic()
    seen = check(s, single.accounts[0])
    assert (seen["name"], seen["status"], seen["class"], seen["state"]) == (single.accounts[0], 200, "success", "ok")
    assert 0 <= seen["took_ms"] <= (time.monotonic() - before) * 1000 and seen["reason"] is None
    probe, = probes_of(s, token)
    assert (probe["path"], header(probe, "Authorization")) == ("/v1/models", f"Bearer {token}")
    assert not [name for name, _ in probe["headers"] if name.lower().startswith("x-relay")]
    single.failing.set(token, 500)
    seen = check(s, single.accounts[0])
    assert (seen["status"], seen["class"]) == (500, "server")
    assert counted(s, "asked") == 2


@pytest.mark.takes(10)
def test_check_bounds_its_time(single):
    single.reset()
    single.failing.set(single.tokens[0], "hang", method="GET")
    before = time.monotonic()
    seen = check(single.s, single.accounts[0])
    assert time.monotonic() - before < 40
    assert seen["status"] is None and seen["reason"]
    single.reset()
    assert check(single.s, single.accounts[0])["status"] == 200


def test_check_asks_what_the_upstream_understands(site):
    claude = site.pool("claude", 1, upstream="anthropic")
    check(site, "claude0")
    probe, = probes_of(site, claude.tokens[0])
    assert (probe["path"], header(probe, "x-api-key")) == ("/v1/models", claude.tokens[0])
    assert header(probe, "anthropic-version")
    prefixed = site.pool("prefixed", 1, upstream="prefixed")
    assert "--probe" in refusal(site, "prefixed0")
    site.relay.adm("upstreams", "set", "prefixed", "--probe", "/who/am/i?x=1")
    assert check(site, "prefixed0")["status"] == 200
    probe, = probes_of(site, prefixed.tokens[0])
    assert (probe["path"], probe["query"]) == ("/who/am/i", "x=1")
    site.relay.adm("upstreams", "set", "prefixed", "--probe", "none")
    assert "none" in refusal(site, "prefixed0")
    with pytest.raises(Refused):
        site.relay.adm("upstreams", "set", "prefixed", "--probe", "who am i")


def test_check_refuses_whom_it_cannot_ask(single):
    s, name = single.s, single.accounts[0]
    single.reset()
    s.relay.adm("accounts", "suspend", name)
    assert "suspended" in refusal(s, name)
    s.relay.adm("accounts", "resume", name)
    assert check(s, name)["status"] == 200
    assert "nobody" in refusal(s, "nobody")


# --- without a command ---

def times_of(s, token):
    return [r["time"] for r in probes_of(s, token)]


def test_a_failed_request_is_looked_into_at_once(pair):
    """The probe fails as well: the account is out for everybody."""
    pair.reset()
    session, first = pair.bind()
    pair.failing.clear()
    pair.failing.set(first, 503)
    before = counted(pair.s, "suspect")
    answer = pair.post(session)
    assert answer.status == 200
    shown = pair.wait_for(first, "open")
    failed = next(r for r in pair.failing.requests() if r["token"] == first)
    assert times_of(pair.s, first)[0] - failed["time"] < 10
    assert counted(pair.s, "suspect") == before + 1
    assert (shown["probe"]["class"], shown["probe"]["status"]) == ("overload", 503)
    assert not probes_of(pair.s, pair.other(first))


def test_a_probe_that_succeeds_leaves_the_account_in_use(pair):
    pair.reset()
    session, first = pair.bind()
    pair.failing.clear()
    # HAProxy 2.6 does not tell a refusal from a connection that was closed: the account gets the request once more
    pair.failing.set(first, 503, method="POST", times=2 if pair.s.version == "2.6" else 1)
    assert pair.post(session).status == 200
    wait_until("it is probed", lambda: probes_of(pair.s, first))
    shown = wait_until("it is judged", lambda: (a := pair.show(first))["probe"]["class"] == "success" and a)
    assert shown["state"] == "ok" and shown["probe"]["wanted_since"] is None
    assert shown["probe"]["reason"] == "suspect" and shown["probe"]["status"] == 200


@pytest.mark.takes(12)
def test_pauses_double_while_clients_fail_and_probes_succeed(single):
    """403: the requests are at fault, and the answer passes each time."""
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, 403, method="POST")

    def probed():
        assert single.post().status == 403
        return len(probes_of(single.s, token)) >= 3

    wait_until("it is probed three times", probed, 30)
    first, second, third = times_of(single.s, token)[:3]
    assert 1.9 <= second - first < 4 and 3.9 <= third - second < 8
    assert single.show(token)["state"] == "ok"


def test_an_open_circuit_has_its_trial(single):
    """The circuit closes again without a client request."""
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, 500)
    assert single.post().status == 500
    single.wait_for(token, "open")
    before = counted(single.s, "trial") + counted(single.s, "early")
    single.failing.calm()
    single.wait_for(token, "ok")
    assert counted(single.s, "trial") + counted(single.s, "early") > before
    assert not single.failing.requests() and single.post().status == 200


def test_a_probe_that_hangs_is_a_failed_one(single):
    single.reset()
    token = single.tokens[0]
    single.failing.set(token, "hang", method="GET")
    seen = check(single.s, single.accounts[0])
    assert (seen["status"], seen["class"]) == (None, "network")
    single.failing.calm()
    single.wait_for(token, "ok")


def test_show_tells_the_last_and_the_next_probe(single):
    single.reset()
    check(single.s, single.accounts[0])
    shown = single.show(single.tokens[0])
    assert (shown["witnesses"], shown["brakes"], shown["window_until"]) == (0, 0, None)
    probe = shown["probe"]
    assert (probe["reason"], probe["status"], probe["class"]) == ("asked", 200, "success")
    assert probe["at"] and not probe["under_way"] and probe["wanted_for"] is None
    assert probe["next_reason"] == "idle" and probe["next_at"] > probe["at"]
    single.s.relay.adm("accounts", "suspend", single.accounts[0])
    assert wait_until("control knows it", lambda: single.show(single.tokens[0])["probe"]["obstacle"]) == \
        "it is suspended"
    single.s.relay.adm("accounts", "resume", single.accounts[0])


def test_a_window_is_left_alone(single):
    """The end of the state is exact, and a probe does not count against that limit."""
    single.reset()
    token = single.tokens[0]
    body = {"error": {"type": "usage_limit_reached", "resets_in_seconds": 7200}}
    single.failing.set(token, 429, method="POST", body=body)
    assert single.post().status == 429
    until = single.wait_for(token, "window")["until"]
    assert not probes_of(single.s, token)
    assert check(single.s, single.accounts[0])["status"] == 200
    shown = single.show(token)
    assert (shown["state"], shown["until"]) == ("window", until)


@pytest.mark.takes(35)
def test_idle_accounts_are_probed_one_after_the_other():
    """All accounts but the suspended one and the one without a pool."""
    s = FailingStack(ANY, CONFIG)
    try:
        s.start()
        idle = s.pool("idle", 6)
        s.relay.adm("accounts", "suspend", "idle0")
        s.account("lonely", "openai", "token-of-lonely")
        first = wait_until("one is probed", lambda: probes_of(s, idle.tokens[1]) and time.monotonic(), OFFSET + 60)
        asked = {t: probes_of(s, t) for t in idle.tokens[1:]}
        wait_until("all are probed", lambda: all(probes_of(s, t) for t in idle.tokens[1:]), 60)
        assert all(len(rows) <= 1 for rows in asked.values()) and first
        times = sorted(r["time"] for r in s.failing.requests("GET") if r["path"] == "/v1/models")
        assert min(b - a for a, b in zip(times, times[1:])) >= PAUSE - 0.1
        assert not probes_of(s, idle.tokens[0]) and not probes_of(s, "token-of-lonely")
        assert counted(s, "idle") >= 5
        assert all(idle.show(t)["state"] == "ok" for t in idle.tokens[1:])
    finally:
        s.stop()
