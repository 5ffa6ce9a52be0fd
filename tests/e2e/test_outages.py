"""Many requests while accounts fail, an egress is closed, and circuits are open. RELAY_FULL=1: each kind alone, and on
every version."""
import threading
import time

import pytest

from failures import Failing, FailingStack, Steady, wait_for_no_leases
from relay import ANY, VERSIONS, is_full, wait_until

MANY = VERSIONS if is_full() else (ANY,)
REQUESTS = 20000 if is_full() else 5000
RECOVERY = 30  # the default
# Failures that every HAProxy can replay inside the request.
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


class Silence(threading.Thread):
    """A pool of one whose circuit opens now; a client repeats its request until it is served again. The upstream
    recovers when it was probed for the third time."""

    def __init__(self, site):
        super().__init__()
        self.failing = Failing(site.dir, "silent")
        site.relay.adm("upstreams", "add", "silent", "--url", self.failing.url, "--provider", "openai")
        self.pool = site.pool("silent", 1, upstream="silent")
        site.relay.adm("pools", "set", "silent", *self.pool.accounts, "--wait", "0s")
        self.failing.calm()
        self.failing.set(self.pool.tokens[0], 500)
        self.codes = []
        self.ask(1)
        wait_until("its probe has failed", lambda: self.pool.show(self.pool.tokens[0])["circuit"] == "open")
        self.start()

    def ask(self, times):
        for _ in range(times):
            answer = self.pool.post()
            self.codes.append(answer.code or str(answer.status))

    def run(self):
        wait_until("it serves again", lambda: self.ask(1) or self.recover() or self.codes[-1] == "200",
                   3 * RECOVERY + 60, 0.1)

    def recover(self):
        if self.failing.total(self.pool.tokens[0], "GET") >= 3:
            self.failing.set(self.pool.tokens[0])


@pytest.fixture(scope="module", autouse=True)
def silence(site):
    """Begins with the module, so that the half minute overlaps with the other tests."""
    thread = Silence(site)
    yield thread
    thread.join()
    thread.failing.stop()


def send_many(pool, what):
    began = time.monotonic()
    answers = Steady(pool).send(REQUESTS)
    seconds = time.monotonic() - began
    attempts = {t: pool.failing.total(t, "POST") for t in pool.tokens}
    print(f"HAProxy {pool.s.version}, {what}: {answers} in {seconds:.1f} s; attempts {sorted(attempts.values())}")
    wait_for_no_leases(pool.s)
    return answers


@pytest.mark.takes(10)
@pytest.mark.parametrize("kind", [*(FAILURES if is_full() else ()), "mixed"])
def test_one_of_ten(site, kind):
    pool = site.pool(f"one-{kind}", 10)
    pool.failing.set_some({pool.tokens[3]: FAILURES.get(kind, MIXED)})
    assert send_many(pool, f"one of ten, {kind}") == {200: REQUESTS}


def test_one_of_ten_by_chance(site):
    """An account that fails half of its requests stays partly usable."""
    pool = site.pool("half", 10)
    pool.failing.set_some({pool.tokens[7]: [{**b, "share": 0.5} for b in MIXED]})
    assert send_many(pool, "one of ten, half of the time") == {200: REQUESTS}


@pytest.mark.takes(10)
def test_one_egress_of_ten(site):
    pool = site.pool("closed", 10, egresses=["closed"] + [None] * 9)
    assert send_many(pool, "one egress of ten") == {200: REQUESTS}


@pytest.mark.takes(10)
def test_nine_of_ten(site):
    pool = site.pool("nine", 10)
    pool.failing.set_some({t: MIXED for t in pool.tokens[1:]})
    answers = send_many(pool, "nine of ten")
    assert answers[200] > REQUESTS * 0.98


@pytest.mark.takes(60)
def test_silence_until_a_probe_succeeds(silence):
    """One failure, no request of a client although clients keep trying, and a probe closes the circuit."""
    silence.join()
    rows = silence.failing.requests(None)
    assert silence.codes[0] == "500" and silence.codes[-1] == "200", silence.codes[-5:]
    assert set(silence.codes[1:-1]) == {"circuit_open"} and len(silence.codes) > 50
    posts = [r for r in rows if r["method"] == "POST"]
    probes = [r for r in rows if r["method"] == "GET"]
    assert len(posts) == 2 and len(probes) >= 4 and posts[1]["time"] > probes[3]["time"]
    assert silence.pool.show(silence.pool.tokens[0])["circuit"] == "closed"
