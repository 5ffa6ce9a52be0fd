"""Egresses that come and go under load: no account ever uses an address of another one."""
import asyncio
import http.client
import itertools
import random
import threading
import time

import pytest

from crowd import Crowd
from egress import Authority, Names, Node, Socks4
from netns import ip, run_in_netns
from relay import ANY, VERSIONS, Stack, Upstream, header, is_full, wait_until
from test_egress import account_through, seen_from

HOST = "up.localhost"  # resolves to this machine in HAProxy, and is a host name for a node
REQUESTS = 50_000 if is_full() else 5_000
CLIENTS = 3  # of each pool
# account: its egresses, by the address that the upstream sees
OWN = {
    "a": ("source 10.9.0.1",),
    "b": ("source 10.9.0.2", "source 10.9.0.3"),
    "c": ("source 10.9.0.4", "socks4 10.9.0.5", "node 10.9.0.6"),
    "d": ("socks4 10.9.0.7",),
    "e": ("node 10.9.0.8", "source 10.9.0.9"),
    "f": ("socks4 10.9.0.10", "socks4 10.9.0.11", "source 10.9.0.12"),
}


class Source:
    """A local address that can be removed."""

    def __init__(self, address):
        self.address = address
        self.up()

    def options(self):
        return "--source", self.address

    def up(self):
        ip("addr", "add", f"{self.address}/32", "dev", "lo")

    def down(self):
        ip("addr", "del", f"{self.address}/32", "dev", "lo")

    def stop(self):
        pass


class Proxy(Source):
    """A SOCKS4 server that can die."""

    def __init__(self, world, address):
        self.world, self.process = world, None
        super().__init__(address)
        self.start()

    def start(self):
        self.process = Socks4(self.world.s.dir, self.address, self.process.port if self.process else 0)

    def options(self):
        return "--socks4", f"127.0.0.1:{self.process.port}"

    def up(self):
        if not self.process:
            super().up()
        else:
            self.start()

    def down(self):
        self.process.stop()

    def stop(self):
        if self.process.popen.poll() is None:
            self.process.stop()


class Far(Proxy):
    """A remote node that can die."""

    def start(self):
        w = self.world
        self.process = Node(w.s.dir, w.s.command, self.address, w.cert, w.ours.pem, {HOST: w.upstream.port}, w.names,
                            self.process.port if self.process else None)

    def options(self):
        w = self.world
        return "--node", f"127.0.0.1:{self.process.port}", "--cert", w.client, "--ca", w.ours.pem


class World:
    def __init__(self, version):
        self.s = Stack(version, extra="[health]\nrecovery = 1s\n[check]\nlisten = tcp:127.0.0.1:7999\n").start()
        self.ours = Authority(self.s.dir, "ours")
        self.cert, self.client = self.ours.issue("node.test"), self.ours.issue("relay.test")
        self.upstream = Upstream(self.s.dir, "tls", "--cert", self.ours.issue(HOST))
        self.names = Names()
        self.ways, self.owner, self.rows, self.changes = {}, {}, 0, 0
        self.strays, self.seen, self.done = [], set(), threading.Event()
        self.make_accounts()

    def make_accounts(self):
        adm = self.s.relay.adm
        adm("upstreams", "add", "tls", "--url", f"https://{HOST}:{self.upstream.port}", "--provider", "openai",
            "--ca-file", self.ours.pem)
        for account, egresses in OWN.items():
            for i, text in enumerate(egresses):
                kind, address = text.split()
                way = Source(address) if kind == "source" else {"socks4": Proxy, "node": Far}[kind](self, address)
                self.ways[f"{account}{i}"] = way
                adm("egress", "add", f"{account}{i}", *way.options(), "--no-reload")
            self.owner[f"Bearer token-of-{account}"] = {t.split()[1] for t in egresses}
            self.s.account(account, "tls", f"token-of-{account}", "--egress",
                           ",".join(f"{account}{i}" for i in range(len(egresses))))
        self.keys = {"all": self.pool("all", *OWN)}
        for account, egresses in OWN.items():
            if len(egresses) > 1:
                self.keys[account] = self.pool(f"only-{account}", account)

    def pool(self, name, *accounts):
        self.s.relay.adm("pools", "set", name, *accounts)
        self.s.relay.adm("tenants", "add", name, "--pool", name, "--daily", "0", "--monthly", "0")
        return self.s.relay.issue(name)

    def read_book(self):
        """Every request that reached the upstream, once."""
        rows = self.upstream.requests(self.rows)
        self.rows += len(rows)
        for row in rows:
            token, address = header(row, "authorization"), row["source_ip"]
            self.seen.add(address)
            if address not in self.owner.get(token, ()):
                self.strays.append((token, address))
        return rows

    def storm(self, seed):
        """At most half of all egresses are down at once."""
        chance, down = random.Random(seed), []
        while not self.done.is_set():
            if len(down) > len(self.ways) // 2 or (down and chance.random() < 0.4):
                self.ways[down.pop(chance.randrange(len(down)))].up()
            else:
                name = chance.choice([n for n in self.ways if n not in down])
                self.ways[name].down()
                down.append(name)
            self.changes += 1
            self.read_book()
            self.done.wait(chance.uniform(0.05, 0.4))
        for name in down:
            self.ways[name].up()

    def stop(self):
        for way in self.ways.values():
            way.stop()
        self.upstream.stop()
        self.names.close()
        self.s.stop()


class Patient(Crowd):
    """HAProxy silently closes a kept connection if a server that others reused is lost over a later request
    (http_ana.c, abort_keep_alive). That counts as status 0, and the client opens a new connection."""

    async def client(self, turns):
        writer = None
        while turns.pop_one():
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head, body = self.request(None)
            writer.write(head + body)
            try:
                status, closes = await asyncio.wait_for(self.read_answer(reader), 120)
            except (ConnectionError, asyncio.IncompleteReadError):
                status, closes = 0, True
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if closes:
                writer.close()
                writer = None
        if writer:
            writer.close()


class Load(threading.Thread):
    """Runs all crowds until they have sent their requests. The main thread starts and stops egresses, because child
    processes end with the thread that started them."""

    def __init__(self, crowds, requests, done):
        super().__init__()
        self.crowds, self.each, self.done, self.failure = crowds, requests // len(crowds), done, None

    def run(self):
        try:
            asyncio.run(self._send())
        except Exception as e:
            self.failure = e
        finally:
            self.done.set()

    async def _send(self):
        await asyncio.gather(*(c.run(self.each) for c in self.crowds.values()))


def run_storm(version, requests):
    w = World(version)
    try:
        crowds = {name: Patient(w.s.port, key, CLIENTS, seed=4) for name, key in w.keys.items()}
        load, begun = Load(crowds, requests, w.done), time.monotonic()
        load.start()
        try:
            w.storm(seed=5)
        finally:
            load.join()
        assert not load.failure, load.failure
        took = time.monotonic() - begun
        w.read_book()
        statuses = {name: c.statuses for name, c in crowds.items()}
        print(f"\nHAProxy {version}: {requests} requests in {took:.0f} s, {w.changes} changes of the weather: {statuses};"
              f" {w.rows} reached the upstream from {len(w.seen)} addresses, {len(w.strays)} as somebody else")
        assert w.strays == []
        assert sum(sum(c.values()) for c in statuses.values()) == load.each * len(crowds)
        assert statuses["all"].get(200, 0) >= 0.99 * load.each, statuses
        assert_all_are_well(w)
    finally:
        w.stop()


def assert_all_are_well(w):
    """True if each account uses its first egress again."""
    first = {egresses[0].split()[1] for egresses in OWN.values()}
    numbers = itertools.count()
    w.seen.clear()

    def every_first():
        for key in w.keys.values():
            w.s.get("/v1/models", key=key, headers=[("Session-Id", f"conversation-{next(numbers)}")])
        w.read_book()
        return w.seen >= first

    wait_until("every address is used again", every_first, 90, 0.01)
    assert w.strays == []


@pytest.mark.takes(30)
def test_no_account_is_seen_from_an_address_that_is_not_its_own():
    run_in_netns(run_storm, ANY, REQUESTS, seconds=max(600, REQUESTS / 20))


def run_taken_away(version):
    s = Stack(version).start()
    try:
        for name, address in (("one", "10.9.0.1"), ("two", "10.9.0.2")):
            Source(address)
            s.relay.adm("egress", "add", name, "--source", address)
        key = account_through(s, "wanderer", ["one", "two"])
        assert {s.post("/v1/chat/completions", key=key).status for _ in range(5)} == {200}
        assert seen_from(s.upstream, "token-of-wanderer") == {"10.9.0.1"}
        ip("addr", "del", "10.9.0.1/32", "dev", "lo")
        begun = time.monotonic()
        try:
            assert s.post("/v1/chat/completions", key=key, timeout=60).status in (200, 502)
        except http.client.RemoteDisconnected:
            pass  # HAProxy 3.0 and newer, see Patient
        assert time.monotonic() - begun < 40
        assert s.post("/v1/chat/completions", key=key).status == 200
        assert seen_from(s.upstream, "token-of-wanderer") == {"10.9.0.1", "10.9.0.2"}
    finally:
        s.stop()


@pytest.mark.takes(20)
@pytest.mark.parametrize("version", VERSIONS if is_full() else VERSIONS[:1])
def test_an_address_that_was_taken_away_is_noticed(version):
    """The kernel keeps the connections of a removed address and reports nothing."""
    run_in_netns(run_taken_away, version, seconds=300)
