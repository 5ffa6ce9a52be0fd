"""Many requests while accounts fail, agents die and circuits are open. RELAY_FULL=1 runs all of it on every version."""
import json
import os
import signal
import threading
import time

import pytest

from failures import NO_BUDGET, FailingStack, Steady, wait_for_no_leases
from relay import VERSIONS, wait_until

MANY = VERSIONS if os.environ.get("RELAY_FULL") else ("2.6",)
REQUESTS = 20000
RECOVERY = 30  # the default
# What every HAProxy can replay inside the request.
FAILURES = {"401": {"do": "answer", "status": 401}, "403": {"do": "answer", "status": 403},
            "503": {"do": "answer", "status": 503}, "close": {"do": "close"}}
MIXED = list(FAILURES.values())


@pytest.fixture(scope="module", params=MANY)
def site(request):
    """With the defaults of [health]."""
    s = FailingStack(request.param, "")
    try:
        yield s.start()
    finally:
        s.stop()


@pytest.fixture
def own(request):
    s = FailingStack(request.param, NO_BUDGET)
    try:
        yield s.start()
    finally:
        s.stop()


def send_many(pool, what):
    began = time.monotonic()
    answers = Steady(pool).send(REQUESTS)
    seconds = time.monotonic() - began
    attempts = {t: pool.failing.total(t, "POST") for t in pool.tokens}
    print(f"HAProxy {pool.s.version}, {what}: {answers} in {seconds:.1f} s; attempts {sorted(attempts.values())}")
    wait_for_no_leases(pool.s)
    return answers


@pytest.mark.parametrize("kind", [*FAILURES, "mixed"])
def test_one_of_ten(site, kind):
    pool = site.pool(f"one-{kind}", 10)
    pool.failing.set_some({pool.tokens[3]: FAILURES.get(kind, MIXED)})
    assert send_many(pool, f"one of ten, {kind}") == {200: REQUESTS}


def test_one_of_ten_by_chance(site):
    """An account that fails half of its requests is never quite out."""
    pool = site.pool("half", 10)
    pool.failing.set_some({pool.tokens[7]: [{**b, "share": 0.5} for b in MIXED]})
    assert send_many(pool, "one of ten, half of the time") == {200: REQUESTS}


def test_one_egress_of_ten(site):
    pool = site.pool("closed", 10, egresses=["closed"] + [None] * 9)
    assert send_many(pool, "one egress of ten") == {200: REQUESTS}


def test_nine_of_ten(site):
    pool = site.pool("nine", 10)
    pool.failing.set_some({t: MIXED for t in pool.tokens[1:]})
    answers = send_many(pool, "nine of ten")
    assert answers[200] > REQUESTS * 0.99


def test_thirty_seconds_of_silence(site):
    """The default: five failures, then nothing for 30 s whoever asks, one trial, and it is closed."""
    pool = site.pool("silent", 1)
    site.relay.adm("pools", "set", "silent", *pool.accounts, "--wait", "0s")
    pool.failing.set(pool.tokens[0], 500, times=5)
    assert [pool.post().status for _ in range(5)] == [500] * 5
    pool.wait_for(pool.tokens[0], "open", 3)
    last = pool.failing.counts()[pool.tokens[0]]["last"]
    codes = set()

    def served():
        answer = pool.post()
        codes.add(answer.code)
        return answer.status == 200
    wait_until("it serves again", served, RECOVERY + 15)
    rows = pool.failing.requests(None)
    assert codes == {"circuit_open", None}
    assert rows[5]["time"] - last >= RECOVERY - 0.1
    assert pool.show(pool.tokens[0])["circuit"] == "closed"


def pid_of(relay, role):
    """0 while control is away."""
    run = relay.adm_run("status")
    return json.loads(run.stdout)["processes"][role]["pid"] if run.returncode == 0 else 0


def kill_often(relay, role, stop, killed):
    while not stop.wait(0.5):
        pid = pid_of(relay, role)
        if pid and pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)


@pytest.mark.parametrize("own", VERSIONS, indirect=True)
@pytest.mark.parametrize("role", ["agent", "control"])
def test_killed_in_the_middle_of_failovers(own, role):
    pool = own.pool("killed", 6, options=[("--concurrency", "16")] * 6)
    own.relay.adm("pools", "set", "killed", *pool.accounts, "--wait", "20s")
    for token in pool.tokens[:3]:
        pool.failing.set(token, 503, share=0.5, method="POST")
    stop, killed = threading.Event(), []
    killer = threading.Thread(target=kill_often, args=(own.relay, role, stop, killed))
    killer.start()
    try:
        answers = Steady(pool, path="/v1/x?ms=20").send(5000)
    finally:
        stop.set()
        killer.join()
    print(f"HAProxy {own.version}, {role} killed {len(killed)} times: {answers}")
    wait_until(f"a new {role}", lambda: pid_of(own.relay, role) not in (0, *killed), 20)
    assert len(killed) >= 2 and answers == {200: 5000}
    wait_for_no_leases(own, 15)
    assert all(own.relay.adm("accounts", "show", a)["in_use"] == 0 for a in pool.accounts)
