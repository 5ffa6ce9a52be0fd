"""Control's loop serves others while HAProxy, its check or the agent takes its time."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

from identity import FAST, Logins
from relay import BUILD, wait_until

SCRAPE = 0.1  # seconds; the slowest one of a round
TURN_MS = 70  # of CPU: 50 and what a busy machine adds; made at once, each of the commands takes more
ROUNDS = 5    # the machine may be busy with something else: one good round is enough


def scrape(relay):
    begun = time.monotonic()
    c = http.client.HTTPConnection("127.0.0.1", relay.metrics_port, timeout=60)
    c.request("GET", "/metrics")
    assert c.getresponse().read()
    c.close()
    return time.monotonic() - begun


@contextlib.contextmanager
def scraping(relay):
    """Gives a list of the seconds that each scrape took meanwhile."""
    took, over = [], threading.Event()

    def run():
        while not over.wait(0.01):
            took.append(scrape(relay))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def stopped(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):  # the keeper has restarted it
                os.kill(pid, signal.SIGCONT)


def slow(relay):
    """How often the loop has worked for longer than 50 ms."""
    text = {}
    c = http.client.HTTPConnection("127.0.0.1", relay.metrics_port, timeout=60)
    c.request("GET", "/metrics")
    for line in c.getresponse().read().decode().splitlines():
        if line.startswith("relay_control_loop_seconds_bucket"):
            name, value = line.rsplit(" ", 1)
            text[name.split('"')[1]] = int(value)
    c.close()
    return text["+Inf"] - text["0.05"]


def good_round(what, one):
    """One of the rounds has no slow scrape and no long turn of the loop."""
    seen = [one(n) for n in range(ROUNDS)] if os.environ.get("RELAY_MEASURE") else []
    for n in range(ROUNDS if not seen else 0):
        seen.append(one(n))
        if seen[-1][0] < SCRAPE and seen[-1][1] == 0:
            break
    print(f"{what}: (slowest scrape in s, long turns of the loop) by round: {seen}")
    assert any(took < SCRAPE and turns == 0 for took, turns in seen), (what, seen)


def test_bans_while_the_agent_is_stopped(fresh):
    """The keeper restarts the agent after a second; the bans wait for that."""
    s = fresh()

    def one(n):
        before = slow(s.relay)
        agent = s.relay.pid_of("agent")
        with stopped(agent), scraping(s.relay) as took, concurrent.futures.ThreadPoolExecutor(25) as pool:
            runs = list(pool.map(lambda i: s.relay.adm_run("bans", "add", f"192.0.2.{i}/32"), range(25)))
        # 1: stored, but the agent has not answered yet
        assert {run.returncode for run in runs} <= {0, 1} and len(s.relay.adm("bans", "list")["items"]) == 25
        wait_until("another agent", lambda: s.relay.pid_of("agent") not in (0, agent))
        for i in range(25):
            s.relay.adm("bans", "del", f"192.0.2.{i}/32")
        return max(took), slow(s.relay) - before

    good_round("25 bans", one)


def test_a_slow_check_holds_up_only_its_own_change(fresh):
    s = fresh()
    slow_haproxy = s.dir / "slow-haproxy"
    slow_haproxy.write_text(f"#!/bin/sh\nsleep 3\nexec {shutil.which(s.relay.haproxy_binary)} \"$@\"\n")
    slow_haproxy.chmod(0o755)
    good = s.relay.config.read_text()
    s.relay.config.write_text(good.replace(f"binary = {shutil.which(s.relay.haproxy_binary)}",
                                           f"binary = {slow_haproxy}"))
    s.relay.stop()
    s.relay.start()

    def one(n):
        before = slow(s.relay)
        with scraping(s.relay) as took:
            change = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "egress", "add", f"e{n}",
                                       "--source", f"127.0.0.{n + 2}"], stdout=subprocess.DEVNULL)
            s.relay.adm("accounts", "list")
            render = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "accounts", "set", "demo",
                                       "--egress", f"e{n}"], stdout=subprocess.DEVNULL)
            begun = time.monotonic()
            s.relay.adm("bans", "add", "192.0.2.1/32")
            banned = time.monotonic() - begun
            assert render.poll() is None or banned < 3
            assert change.wait(60) == 0 and render.wait(60) == 0
        s.relay.adm("bans", "del", "192.0.2.1/32")
        assert banned < 2.5, banned
        return max(took), slow(s.relay) - before

    good_round("a check of 3 s", one)


def test_a_haproxy_that_hangs_holds_up_nothing(fresh):
    s = fresh()
    children = subprocess.run(["pgrep", "-P", str(s.haproxy.pid)], capture_output=True, text=True).stdout.split()

    def one(n):
        before = slow(s.relay)
        with stopped(s.haproxy.pid, *map(int, children)), scraping(s.relay) as took:
            status = s.relay.adm("status")
            run = s.relay.adm_run("haproxy", "reload")
        assert status["haproxy"]["reachable"] is False and run.returncode == 1
        wait_until("HAProxy is back", lambda: s.relay.adm("status")["haproxy"]["reachable"])
        return max(took), slow(s.relay) - before

    good_round("a HAProxy that hangs", one)


def document(accounts, tenants):
    return {"version": 1, "upstreams": [{"name": "many", "url": "http://127.0.0.1:1", "provider": "openai"}],
            "accounts": [{"name": f"a{i}", "upstream": "many"} for i in range(accounts)],
            "pools": [{"name": "many", "accounts": ["a0", "a1"]}],
            "tenants": [{"name": f"t{i}", "pool": "many", "rpm": i} for i in range(tenants)]}


def test_commands_of_many_parts(fresh, tmp_path):
    """CPU time of each turn of the loop: other processes of the machine make turns longer than they work."""
    s = fresh(extra="[log]\nlevel = debug\n")
    path = tmp_path / "many.json"
    path.write_text(json.dumps(document(1000, 1500)))
    longest = {}

    def step(name, *words):
        begun = len(s.relay.process.text())
        with scraping(s.relay) as took:
            run = s.relay.adm_run(*words)
        assert run.returncode == 0, run.stderr
        turns = re.findall(r"busy for long.*?cpu_ms\W+(\d+)", s.relay.process.text()[begun:])
        longest[name] = (max(map(int, turns), default=0), round(max(took), 3))
        return json.loads(run.stdout)

    keys = step("issue", "tokens", "issue", "--tenant", "demo", "--count", "10000")["items"]
    assert len({key["token"] for key in keys}) == len({key["id"] for key in keys}) == 10000
    assert s.get("/v1/models", key=keys[-1]["token"]).status == 200
    assert len(step("apply", "apply", path, "--no-reload")["changes"]) == 2502
    assert step("apply nothing", "apply", path, "--no-reload")["changes"] == []
    s.relay.adm("tenants", "add", "short", "--pool", "demo")
    step("issue short", "tokens", "issue", "--tenant", "short", "--ttl", "1ms", "--count", "10000")
    step("delete", "tenants", "del", "short")
    listed = step("list", "tokens", "list")["items"]
    assert {key["id"] for key in keys} < {key["id"] for key in listed}
    assert len({key["id"] for key in listed}) == len(listed)
    assert len(step("tenants", "tenants", "list")["items"]) == 1501
    print(f"(ms of CPU of the longest turn, slowest scrape in s): {longest}")
    assert all(cpu < TURN_MS for cpu, _ in longest.values()), longest


def test_a_change_of_many_parts_is_made_whole_or_not_at_all(fresh, tmp_path):
    s = fresh()
    wrong = document(1000, 1500)
    wrong["tenants"][-1]["pool"] = "nowhere"
    path = tmp_path / "many.json"

    def tenants():
        return [t["name"] for t in s.relay.adm("tenants", "list")["items"]]

    before = tenants()
    path.write_text(json.dumps(wrong))
    run = s.relay.adm_run("apply", path, "--no-reload")
    assert run.returncode == 1 and "tenants t1499" in run.stderr and "nowhere" in run.stderr
    assert tenants() == before
    path.write_text(json.dumps(document(1000, 1500)))
    for wait in (0.05, 0.1, 0.2):
        control = s.relay.pid_of("control")
        change = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "apply", path, "--no-reload"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(control, signal.SIGKILL)
        change.wait(60)
        wait_until("another control process", lambda: s.relay.adm_run("status").returncode == 0)
        assert len(tenants()) in (len(before), len(before) + 1500)
    run = s.relay.adm_run("apply", path, "--no-reload")
    assert run.returncode == 0 and len(tenants()) == len(before) + 1500


def test_other_changes_beside_one_of_many_parts(fresh, tmp_path):
    """They wait for it, and none is undone with it. A refreshed token does not wait: the change begins again."""
    s = fresh(extra=FAST + "[log]\nlevel = debug\n")
    l = Logins(s)
    l.upstream()
    path = tmp_path / "many.json"
    path.write_text(json.dumps(document(1500, 4000)))
    try:
        family = l.account("login", lifetime=3600)
        refreshed = len(l.idp.outcomes(family))
        change = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "--json", "apply", path,
                                   "--no-reload"], stdout=subprocess.PIPE)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            bans = [pool.submit(s.relay.adm_run, "bans", "add", f"192.0.2.{i}/32") for i in range(40)]
            asked = 0
            while "begins again" not in s.relay.process.text() and change.poll() is None:
                s.relay.adm("accounts", "refresh", "login")
                asked += 1
        applied = json.loads(change.communicate(timeout=60)[0])
        assert change.returncode == 0 and len(applied["changes"]) == 5502
        assert {ban.result().returncode for ban in bans} == {0}
        assert len(s.relay.adm("bans", "list")["items"]) == 40
        assert len(s.relay.adm("tenants", "list")["items"]) > 4000
        assert l.idp.outcomes(family)[refreshed:] == ["granted"] * asked and l.idp.state()["violations"] == []
        assert l.notices() == {}
        assert "begins again" in s.relay.process.text()
    finally:
        l.idp.stop()
