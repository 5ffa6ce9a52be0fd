"""Changes of live accounts: no request fails, and none gets a mixture of the old set and the new one."""
import asyncio
import collections
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from relay import ANY, BUILD, VERSIONS, Process, Stack, free_port, header, is_full, wait_until
from traffic import read_answer


def seen_of(s, key, n=20):
    """(source address, X-New) of each of some requests, all of which must succeed."""
    s.upstream.clear()
    statuses = [s.post("/v1/x", key=key).status for _ in range(n)]
    assert statuses == [200] * n
    return {(row["source_ip"], header(row, "X-New")) for row in s.upstream.requests()}


def old_set_warnings(s):
    return [w for w in s.relay.adm("status")["warnings"] if w["code"] == "old_sets"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_account_keeps_its_set_until_haproxy_has_the_new_one(fresh, version):
    s = fresh(version)
    r = s.relay
    r.adm("egress", "add", "ip1", "--source", "127.0.0.61")
    assert old_set_warnings(s) == []
    change = r.adm("accounts", "set", "demo", "--header", "X-New: 1", "--egress", "ip1", "--no-reload")
    assert change["haproxy"] == "pending reload"
    assert seen_of(s, s.key) == {("127.0.0.1", None)}
    assert "old set in use" in old_set_warnings(s)[0]["message"] and "demo" in old_set_warnings(s)[0]["message"]
    assert r.adm("status")["haproxy"]["old_sets"] == 1
    # a new value waits together with its name
    r.adm("accounts", "set", "demo", "--header", "X-New: 2", "--no-reload")
    assert seen_of(s, s.key) == {("127.0.0.1", None)}
    assert r.adm("haproxy", "reload")["haproxy"] == "reloaded"
    assert seen_of(s, s.key) == {("127.0.0.61", "2")}
    assert old_set_warnings(s) == []
    # HAProxy knows this name already: the value is in force at once
    assert r.adm("accounts", "set", "demo", "--header", "X-New: 3")["haproxy"] == "unchanged"
    assert seen_of(s, s.key) == {("127.0.0.61", "3")}


def test_an_egress_is_taken_away_at_once_by_suspending_it(fresh):
    s = fresh()
    r = s.relay
    r.adm("egress", "add", "ip1", "--source", "127.0.0.61")
    r.adm("egress", "add", "ip2", "--source", "127.0.0.62")
    r.adm("accounts", "set", "demo", "--egress", "ip1")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}
    r.adm("accounts", "set", "demo", "--egress", "ip2", "--no-reload")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}
    r.adm("egress", "suspend", "ip1", "--reason", "abuse report")
    s.upstream.clear()
    assert {s.post("/v1/x", key=s.key).status for _ in range(5)} == {503}
    assert s.upstream.requests() == []
    assert r.adm("egress", "show", "ip1")["reason"] == "abuse report"
    r.adm("egress", "resume", "ip1")
    assert seen_of(s, s.key) == {("127.0.0.61", None)}


# --- reloads that changes share ---

def reloads(s):
    return s.relay.process.text().count('"haproxy reloaded"')


def test_changes_soon_after_another_share_its_reload(fresh):
    s = fresh()
    r = s.relay
    before = reloads(s)
    first = r.adm("accounts", "set", "demo", "--header", "X-New: 0", settle=False)
    assert first["haproxy"] == "reloaded" and reloads(s) == before + 1
    for n in range(1, 4):
        run = r.adm_run("accounts", "set", "demo", "--header", f"X-New{n}: {n}", "--header", "X-New: 1", "--no-wait")
        change = json.loads(run.stdout)
        assert run.returncode == 1 and change["haproxy"] == "pending reload", run
        assert "share one reload" in change["haproxy_error"] and "HAProxy has not loaded it" in run.stderr
    # this one needs nothing of HAProxy, so it does not say that it waits
    assert r.adm("accounts", "set", "demo", "--weight", "7", settle=False)["haproxy"] == "unchanged"
    # nor does one with --no-reload put off what others wait for
    r.adm("accounts", "set", "demo", "--header", "X-New4: 4", "--header", "X-New: 1", "--no-reload")
    assert seen_of(s, s.key) == {("127.0.0.1", "0")}
    wait_until("HAProxy has the changes", lambda: not r.adm("haproxy", "status")["pending"])
    assert reloads(s) == before + 2
    assert seen_of(s, s.key) == {("127.0.0.1", "1")}
    # whoever asks for a reload does not wait
    r.adm_run("accounts", "set", "demo", "--header", "X-New: 2", "--header", "X-Other: 2", "--no-wait")
    assert r.adm("haproxy", "reload", settle=False)["haproxy"] == "reloaded"
    assert seen_of(s, s.key) == {("127.0.0.1", "2")}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_script_uses_at_once_what_it_has_added(fresh, version):
    """No `haproxy reload`: each command returns when HAProxy has its change, and changes at one time share a reload."""
    s = fresh(version)
    r = s.relay
    before = reloads(s)
    for n in (1, 2):
        r.adm("upstreams", "add", f"more{n}", "--url", s.upstream.url, "--provider", "openai", settle=False)
        change = r.adm("accounts", "add", f"more{n}", "--upstream", f"more{n}", "--token-stdin", stdin=f"token-{n}",
                       settle=False)
        assert change["haproxy"] == "reloaded", change
        r.adm("pools", "set", f"more{n}", f"more{n}")
        r.adm("tenants", "add", f"more{n}", "--pool", f"more{n}", "--daily", "0", "--monthly", "0")
        assert s.post("/v1/x", key=r.issue(f"more{n}")).status == 200
    # more of them at the same time wait together
    assert reloads(s) <= before + 4
    runs = []
    threads = [threading.Thread(target=lambda n=n: runs.append(
        r.adm_run("accounts", "add", f"own{n}", "--upstream", "demo", "--header", f"X-Own{n}: 1", "--token-stdin",
                  stdin=f"token-{n}"))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [run.returncode for run in runs] == [0] * 4
    assert {json.loads(run.stdout)["haproxy"] for run in runs} <= {"reloaded", "unchanged"}
    assert not r.adm("haproxy", "status")["pending"]


def test_a_shared_reload_that_haproxy_refuses_fails_the_commands_that_wait_for_it(fresh):
    s = fresh()
    r = s.relay
    good = (s.dir / "haproxy.cfg").read_text()
    assert r.adm("accounts", "set", "demo", "--header", "X-New: 0", settle=False)["haproxy"] == "reloaded"
    (s.dir / "haproxy.cfg").write_text(good + "frontend broken\n    bind unix@/nowhere/at/all\n")
    change = ("accounts", "set", "demo", "--header", "X-New: 0", "--header", "X-Late: 1")
    run = r.adm_run(*change)
    answer = json.loads(run.stdout)
    assert run.returncode == 1 and answer["haproxy"] == "pending reload" and answer["haproxy_error"], run
    assert "stored, but HAProxy has not loaded it" in run.stderr
    # a command that changes nothing is not in force either
    document = s.dir / "export.json"
    document.write_text(json.dumps(r.adm("export")))
    run = r.adm_run("apply", str(document))
    assert run.returncode == 1 and json.loads(run.stdout)["changes"] == [] and "has not loaded it" in run.stderr, run
    (s.dir / "haproxy.cfg").write_text(good)
    assert r.adm_run("apply", str(document)).returncode == 0
    assert not r.adm("haproxy", "status")["pending"]


def test_a_relay_that_stops_answers_a_change_that_waits_for_a_reload(fresh):
    s = fresh()
    r = s.relay
    for n in range(4):  # on a starved machine the 5 s may be over before the relay stops
        r.adm("accounts", "set", "demo", "--header", "X-New: 0", "--header", f"X-Early{n}: 1", settle=False)
        command = [str(BUILD / "relayadm"), "--socket", str(r.socket), "--json", "accounts", "set", "demo", "--header",
                   "X-New: 0", "--header", f"X-Late{n}: 1"]
        late = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("it is stored", lambda n=n: f"X-Late{n}" in json.dumps(r.adm("accounts", "show", "demo")))
        r.stop()
        out, err = late.communicate(timeout=60)
        if late.returncode:
            break
        r.start()
    assert late.returncode == 1 and json.loads(out)["haproxy"] == "pending reload", (out, err)
    assert "HAProxy is reloaded when it starts again" in err
    r.start()
    wait_until("HAProxy has it", lambda: not r.adm("haproxy", "status")["pending"])
    assert seen_of(s, s.key) == {("127.0.0.1", "0")}


def test_the_order_of_the_readme_leaves_nothing_pending():
    """With a master socket alone, as there: HAProxy itself tells which configuration it has."""
    s = Stack(ANY)
    try:
        config = s.relay.config.read_text()
        s.relay.config.write_text("".join(line for line in config.splitlines(True) if "admin_socket" not in line))
        s.start()
        # a change for which HAProxy has all it needs
        s.relay.adm("egress", "add", "later", "--source", "127.0.0.61", settle=False)
        wait_until("nothing is pending", lambda: not s.relay.adm("haproxy", "status")["pending"])
        assert reloads(s) == 0
        assert s.relay.adm("accounts", "set", "demo", "--header", "X-New: 1", settle=False)["haproxy"] == "reloaded"
        assert reloads(s) == 1
    finally:
        s.stop()


# --- two HAProxys ---

class SecondHaproxy:
    """Another HAProxy with the same files on separate sockets. Control does not know it."""

    def __init__(self, s):
        self.port = free_port()
        directory = s.dir / "second"
        directory.mkdir()
        text = (s.dir / "haproxy" / "relay.cfg").read_text()
        for old, new in ((f"127.0.0.1:{s.port}", f"127.0.0.1:{self.port}"),
                         (f"127.0.0.1:{s.stats_port}", f"127.0.0.1:{free_port()}"),
                         ("relay-again-", "relay-second-"), ("again.sock", "again2.sock"),
                         ("haproxy.sock", "haproxy2.sock"), ("internal.sock", "internal2.sock")):
            text = text.replace(old, new)
        (directory / "relay.cfg").write_text(text)
        self.process = Process("second", [*s.command, "-W", "-f", s.dir / "haproxy.cfg", "-f", directory / "relay.cfg"],
                               directory / "haproxy.log")


def kill_haproxy(s):
    """Master and workers at once: no record is sent."""
    workers = subprocess.run(["pgrep", "-P", str(s.haproxy.pid)], capture_output=True, text=True).stdout.split()
    for pid in (s.haproxy.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    s.haproxy.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_gauge_of_one_haproxy_does_not_end_requests_of_another(fresh, version):
    s = fresh(version)
    second = SecondHaproxy(s)
    first_port = s.port
    in_progress = lambda: s.relay.adm("status")["requests"]["in_progress"]  # noqa: E731
    streams = []
    try:
        # the same tenant, key and account: only the process tells the requests apart
        for port in (second.port, first_port, second.port):
            s.port = port
            wait_until("it serves", lambda: serves(s))
            stream = s.connect()
            s.send(stream, "GET", "/sse?n=100000&ms=100")
            assert stream.recv(12) == b"HTTP/1.1 200"
            streams.append(stream)
        s.port = first_port
        assert in_progress() == 3
        wait_until("the gauge is read", lambda: s.relay.adm("status")["haproxy"]["gauge_age_s"] is not None)
        kill_haproxy(s)
        s.start_haproxy()
        # the reading that ends the lost request leaves the others alone
        wait_until("the lost request is found", lambda: in_progress() == 2)
        assert s.relay.metric("relay_slots_healed_total") == 1
        for stream in (streams[0], streams[2]):
            assert stream.recv(100)
            stream.close()
        wait_until("their records end them", lambda: in_progress() == 0)
        assert s.relay.metric("relay_slots_healed_total") == 1
    finally:
        s.port = first_port
        for stream in streams:
            stream.close()
        second.process.stop()


def serves(s):
    try:
        return s.get("/relay/health").status == 200
    except OSError:
        return False


# --- many of both ---

CLIENTS = 30
RATE = 300  # requests per second


class Clients:
    """Clients with kept connections, each sending its next request when it is due or the last is answered."""

    def __init__(self, s):
        self.port, self.key = s.port, s.key
        self.outcomes = collections.Counter()
        self.ends = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()

    async def run(self):
        await asyncio.gather(*(self.client(n) for n in range(CLIENTS)))

    async def client(self, n):
        connection, due = None, time.monotonic() + n / RATE
        while not self.ends:
            await asyncio.sleep(max(0, due - time.monotonic()))
            due += CLIENTS / RATE
            outcome, connection = await self.send(connection, n)
            self.outcomes[outcome] += 1

    async def send(self, connection, n):
        """An idle connection that HAProxy has closed is no failure: nothing was sent on it."""
        if connection is None or connection[0].at_eof():
            connection = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = connection
        try:
            writer.write((f"POST /v1/{n} HTTP/1.1\r\nHost: relay\r\nX-API-Key: {self.key}\r\n"
                          "Content-Length: 2\r\n\r\n{}").encode())
            status, closes = await asyncio.wait_for(read_answer(reader), 60)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
            writer.close()
            return type(e).__name__, None
        if closes:
            writer.close()
        return status, None if closes else connection


def set_of(row):
    """(source address, new headers) of a request at the upstream."""
    return row["source_ip"], tuple(sorted((k.lower(), v) for k, v in row["headers"] if k.lower().startswith("x-n")))


@pytest.mark.parametrize("version", VERSIONS)
def test_no_request_fails_while_accounts_change_and_haproxy_reloads(fresh, version):
    s = fresh(version)
    r = s.relay
    changes, asked = (60, 30) if is_full() else (12, 8)
    for n in range(changes):
        r.adm("egress", "add", f"ip{n}", "--source", f"127.0.0.{60 + n}")
    source, new = "127.0.0.1", ()
    sets = {(source, new)}
    s.upstream.clear()
    with Clients(s) as clients:
        wait_until("requests come", lambda: clients.outcomes[200] > RATE)
        for n in range(changes):
            if n % 2:
                source = f"127.0.0.{60 + n}"
                r.adm("accounts", "set", "demo", "--egress", f"ip{n}")
            else:
                new = ((f"x-n{n}", str(n)),)
                r.adm("accounts", "set", "demo", "--header", f"X-N{n}: {n}")
            sets.add((source, new))
            if n * asked // changes != (n + 1) * asked // changes:
                assert r.adm("haproxy", "reload", settle=False)["haproxy"] == "reloaded"
        sent = clients.outcomes[200]
        wait_until("requests come", lambda: clients.outcomes[200] > sent + RATE)
    assert set(clients.outcomes) == {200}, clients.outcomes
    seen = {set_of(row) for row in s.upstream.requests()}
    assert seen <= sets and (source, new) in seen
