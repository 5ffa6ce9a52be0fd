"""A failure is charged to whoever caused it: one tenant's failing requests take no account away from the others, and an
account that really fails is out soon. RELAY_FULL=1 sends 1,000 requests of each tenant and kind."""
import asyncio
import concurrent.futures
import itertools
import socket
import struct
import time

import pytest

from failures import ANY_NUMBER, NO_BUDGET, FailingStack, Pool, wait_for_no_leases
from relay import VERSIONS, is_full, wait_until
from traffic import Program, Watch, run_together

REQUESTS, SECONDS = (1000, 25) if is_full() else (200, 6)
UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
# What a request asks the upstream for; {first} is the credential of the pool's first account.
KINDS = {
    "401": "do=401", "403": "do=403", "404": "do=404", "400": "do=400", "429": "do=429", "429-told": "do=429&retry=30",
    "500": "do=500", "503": "do=503", "529": "do=529", "hang": "do=hang", "rubbish": "do=rubbish",
    "403-here": "do=403&only={first}", "error-in-stream": "do=error",
}
WAIT = "6s"  # longer than an account rests on the report of one key
UPSTREAM = {"hang": "patient"}
RESTS = ("burst", "suspect")  # short, and ended by time or by a probe that succeeds


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = FailingStack(request.param, NO_BUDGET)
    try:
        s.start()
        for name, seconds, provider in (("patient", 3, "openai"), ("hasty-openai", 1, "openai"),
                                        ("hasty-unprobed", 1, "generic")):
            s.relay.adm("upstreams", "add", name, "--url", s.failing.url, "--provider", provider,
                        "--first-byte-timeout", f"{seconds}s")
        yield s
    finally:
        s.stop()


class Scene:
    """A pool with several tenants: one that is good and some whose requests fail."""

    def __init__(self, site, name, n, kind, hostile=1, upstream=None):
        self.kind, self.name = kind, name
        self.pool = Pool(site, name, n, upstream=upstream or UPSTREAM.get(kind, "openai"), options=[UNLIMITED] * n)
        site.relay.adm("pools", "set", name, *self.pool.accounts, "--wait", WAIT)
        query = KINDS[kind].format(first=self.pool.tokens[0])
        self.good = Program(site.port, self.pool.key, REQUESTS, SECONDS, conversations=20)
        self.hostile = [Program(site.port, self.add_tenant(f"{name}-{i}"), REQUESTS, SECONDS,
                                lambda _: f"/v1/x?{query}", seed=i + 2) for i in range(hostile)]

    def add_tenant(self, name):
        relay = self.pool.s.relay
        relay.adm("tenants", "add", name, "--pool", self.name, *ANY_NUMBER)
        return relay.issue(name)

    @property
    def programs(self):
        return [self.good, *self.hostile]

    def answers(self):
        return {"good": dict(self.good.answers), "hostile": [dict(p.answers) for p in self.hostile]}


def make_scenes(site, size, hostile):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        scenes = list(pool.map(lambda kind: Scene(site, f"{kind}-{size}-{hostile}", size, kind, hostile), KINDS))
    for scene in scenes:
        wait_until("HAProxy knows the pool", lambda s=scene: s.pool.post().status == 200)
    return scenes


def run_scenes(site, scenes):
    """The watch, when all requests are answered."""
    with Watch(site.relay) as watch:
        run_together(itertools.chain.from_iterable(scene.programs for scene in scenes))
    for scene in scenes:
        print(scene.name, scene.answers(), watch.of(scene.pool.accounts))
    wait_for_no_leases(site)
    return watch


def was_told_by_two(scene, key):
    """Two keys were told the same rest by the upstream: that counts in full."""
    return scene.kind == "429-told" and key[1] == "burst"


def may_rest(scene, size):
    """Then a pool of one serves nobody."""
    return scene.kind == "429-told" and size == 1


@pytest.mark.takes(40)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_failing_requests_of_one_tenant_hurt_no_other(site, size):
    scenes = make_scenes(site, size, 1)
    watch = run_scenes(site, scenes)
    assert watch.looks > SECONDS
    wrong = {}
    for scene in scenes:
        if scene.good.served < (0.98 if size == 1 else 1):
            wrong[scene.name] = scene.answers()
        for key, seconds in watch.of(scene.pool.accounts).items():
            if key[1] not in RESTS or key[2] != "closed" or seconds > 5:
                wrong[key] = seconds
    assert not wrong


@pytest.mark.takes(15)
@pytest.mark.parametrize("size", [1, 2, 3] if is_full() else [2])
def test_failing_requests_of_two_tenants_hurt_no_third(site, size):
    scenes = make_scenes(site, size, 2)
    watch = run_scenes(site, scenes)
    wrong = {}
    for scene in scenes:
        if scene.good.served < 0.98 and not may_rest(scene, size):
            wrong[scene.name] = scene.answers()
        penalties = {key: seconds for key, seconds in watch.of(scene.pool.accounts).items()
                     if not was_told_by_two(scene, key) and (key[1] not in RESTS or seconds > 5)}
        if len(penalties) > 4 or max(penalties.values(), default=0) > 30:
            wrong[scene.name, "penalties"] = penalties
    assert not wrong


# --- clients that are killed ---

async def kill_some(site, keys, streams, by_reset):
    """All streams have begun when all clients go at once."""
    writers = []

    async def begin(key):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(f"POST /v1/x?do=200&pause=60 HTTP/1.1\r\nHost: relay\r\nX-API-Key: {key}\r\n"
                     "Content-Length: 2\r\n\r\n{}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)
        return head.split(b" ", 2)[1]
    statuses = await asyncio.gather(*(begin(keys[i % len(keys)]) for i in range(streams)))
    for writer in writers:
        if by_reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
    return statuses


@pytest.mark.takes(8)
def test_killed_clients_leave_every_account_ok(site):
    scene = Scene(site, "killed", 3, "400", hostile=3)
    pool, keys = scene.pool, [p.key for p in scene.programs]
    wait_until("HAProxy knows the pool", lambda: pool.post().status == 200)
    with Watch(site.relay) as watch:
        for turn in range(20):
            assert set(asyncio.run(kill_some(site, keys, 100, turn % 2))) == {b"200"}
            wait_for_no_leases(site)
    assert not watch.of(pool.accounts)
    assert {pool.show(token)["state"] for token in pool.tokens} == {"ok"}
    assert pool.post().status == 200


# --- accounts that really fail ---

REALLY = {"401": {"do": 401}, "403": {"do": 403}, "429": {"do": 429, "headers": [("Retry-After", "20")]},
          "500": {"do": 500}, "503": {"do": 503}, "529": {"do": 529}, "close": {"do": "close"},
          "rubbish": {"do": "rubbish"}, "hang": {"do": "hang"}}
SERVED_BY_ANOTHER = ("401", "403", "503", "close")  # in the same request, on every HAProxy


class Failed:
    """A pool whose first account fails in one way; two tenants."""

    def __init__(self, site, kind, upstream):
        self.kind, self.site = kind, site
        self.scene = Scene(site, f"really-{kind}-{upstream}", 2, "400", upstream=upstream)
        self.pool = self.scene.pool
        self.bad = self.pool.tokens[0]
        self.keys = {"one": self.pool.key, "two": self.scene.hostile[0].key}
        self.met = dict.fromkeys(self.keys, 0)
        self.serial = itertools.count()
        wait_until("HAProxy knows the pool", lambda: self.pool.post().status == 200)
        self.pool.failing.clear()  # the book keeps the first rows only
        self.pool.failing.set(self.bad, **REALLY[kind], method="POST")
        self.began = time.monotonic()

    def most(self):
        """How often a key may have met it: five times, and in a trial after each brake, the first of four seconds."""
        return 5 + int((time.monotonic() - self.began) // 4)

    def fail_probes_too(self):
        """Not before a request has met it: a probe that no request asked for would take it out."""
        self.pool.failing.set(self.bad, **REALLY[self.kind])

    def send(self, who):
        """One request; the number of this key's requests that have met the account. A connection that was closed is
        used once more (docs/HEALTH.md), so that an account can meet a request twice."""
        try:
            self.site.post(f"/v1/x?who={who}&n={next(self.serial)}", key=self.keys[who])
        except ConnectionError:
            pass  # HAProxy closes the connection instead of an answer (docs/HEALTH.md)
        self.met[who] = len({r["query"] for r in self.pool.failing.requests()
                             if r["token"] == self.bad and r["query"].startswith(f"who={who}&")})
        return self.met[who]

    def shown(self):
        return self.pool.show(self.bad)

    def is_out(self):
        return self.shown()["state"] != "ok"


@pytest.mark.takes(3)
@pytest.mark.parametrize("kind", REALLY)
def test_an_account_that_fails_is_out_by_its_probe(site, kind):
    """For the key that meets it within five failures; for everybody as soon as a probe has failed."""
    failed = Failed(site, kind, "hasty-openai")
    wait_until("a request meets it", lambda: failed.send("one"))
    failed.fail_probes_too()
    wait_until("it is out", lambda: failed.send("one") > failed.most() or failed.is_out())
    assert failed.met["one"] <= failed.most()
    met = failed.met["one"]
    for _ in range(10):
        assert failed.site.post("/v1/x?who=two", key=failed.keys["two"]).status == 200
        failed.send("one")
    assert failed.send("two") == 0 and failed.met["one"] == met


@pytest.mark.takes(2)
@pytest.mark.parametrize("kind", SERVED_BY_ANOTHER)
def test_an_account_without_a_probe_is_out_by_two_witnesses(site, kind):
    failed = Failed(site, kind, "hasty-unprobed")
    wait_until("the first meets it", lambda: failed.send("one"))
    for _ in range(10):
        failed.send("one")
    assert failed.met["one"] <= failed.most()
    assert not failed.is_out()  # alone it never convicts
    wait_until("the second meets it", lambda: failed.send("two"))
    wait_until("it is out", failed.is_out)
    shown = failed.shown()
    assert 0 < shown["until_s"] <= 30
    met = dict(failed.met)
    for who in failed.keys:
        for _ in range(10):
            failed.send(who)
    assert failed.met == met


@pytest.mark.takes(3)
@pytest.mark.parametrize("kind", [k for k in REALLY if k not in SERVED_BY_ANOTHER and k != "429"])
def test_an_account_without_a_probe_is_left_by_the_key_that_meets_it(site, kind):
    """Nobody served these requests elsewhere, so that there is no witness: each key leaves it after five failures."""
    failed = Failed(site, kind, "hasty-unprobed")
    for who in failed.keys:
        wait_until("it meets the account", lambda w=who: failed.send(w))
        for _ in range(12):
            failed.send(who)
        assert 1 <= failed.met[who] <= failed.most(), failed.met
