"""Many relay keys: what a change costs, the memory of the agent, and that each key has its windows."""
import os
import re
import time
import uuid

import pytest

import spop
from relay import ANY, Stack, is_full, wait_until

KEYS = 1_000_000 if is_full() else 200_000
USED = 200_000 if is_full() else 125_000  # more than the first part of the state file has room for
AT_ONCE = 10_000  # keys of one command
FRAMES = 100


@pytest.fixture(scope="module")
def many():
    s = Stack(ANY, extra=f"[spop]\nlisten = abns:relay-many-{os.getpid()}\n")
    try:
        s.start()
        s.relay.adm("tenants", "add", "many", "--pool", "demo")
        s.many = []
        while len(s.many) < KEYS:
            made = s.relay.adm("tokens", "issue", "--tenant", "many", "--count", str(AT_ONCE), "--monthly", "5")
            s.many += [item["token"] for item in made["items"]]
        yield s
    finally:
        s.stop()


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e6


def memory_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def status(stack, key):
    return stack.get("/v1/models", key=key).status


@pytest.mark.takes(60)
def test_a_change_costs_what_it_changes(many):
    """The least of several: other processes of the machine cost time, too."""
    pids = [many.relay.pid_of(role) for role in ("agent", "control")]
    costs, times = [], []
    for _ in range(10):
        before, began = [cpu_ms(pid) for pid in pids], time.monotonic()
        made = many.relay.adm("tokens", "issue", "--tenant", "many")
        times.append(time.monotonic() - began)
        costs.append([cpu_ms(pid) - b for pid, b in zip(pids, before)])
        assert status(many, made["token"]) == 200
        many.relay.adm("tokens", "revoke", str(made["id"]))
        assert status(many, made["token"]) == 401
    agent, control = (min(column) for column in zip(*costs))
    print(f"{KEYS} keys: a change costs the agent {agent:.1f} ms and control {control:.1f} ms, "
          f"and takes {min(times) * 1000:.0f} ms")
    assert agent < 2, costs
    assert control < 10, costs
    assert [status(many, many.many[n]) for n in (0, KEYS // 2, KEYS - 1)] == [200] * 3


def answers(c, count):
    """The payloads of so many frames."""
    found = []
    while len(found) < count:
        kind, payload = c.frame()
        assert kind == spop.ACK
        found.append(payload)
    return found


def use_each_once(c, keys, first):
    for at in range(0, len(keys), FRAMES):
        part = keys[at:at + FRAMES]
        c.send(b"".join(spop.decide(first + at + n, str(uuid.uuid4()), key) for n, key in enumerate(part)))
        yield from answers(c, len(part))


@pytest.mark.takes(30)
def test_each_of_many_keys_has_its_windows(many):
    """The only account is suspended, so that no lease is left; the windows are looked up before that."""
    name = re.search(r"abns@([^\s']+)", (many.dir / "haproxy/relay.cfg").read_text()).group(1)
    c = spop.Connection(name).open()
    many.relay.adm("accounts", "suspend", "demo")
    size = (many.dir / "state/state").stat().st_size
    try:
        for at in range(0, USED, USED // 5):
            keys = many.many[at:at + USED // 5]
            for payload in use_each_once(c, keys, at):
                assert b"accounts_exhausted" in payload or b"no_account" in payload, payload
            # new keys come in faster here than any HAProxy can send them
            wait_until("the file grows", lambda: many.relay.metric("relay_usage_rows_max") >=
                       many.relay.metric("relay_usage_rows") + 50_000)
    finally:
        many.relay.adm("accounts", "resume", "demo")
        c.close()
    assert many.relay.metric("relay_usage_rows") > USED
    assert many.relay.metric("relay_usage_refused_total") == 0
    assert (many.dir / "state/state").stat().st_size > size
    memory = memory_mb(many.relay.pid_of("agent"))
    print(f"{KEYS} keys, {USED} used: the agent has {memory:.0f} MB")
    assert memory < 200


@pytest.mark.takes(20)
def test_windows_survive_growth_and_restart(many):
    """Those of a key in the first and in the last part of the file."""
    early, late = many.many[10], many.many[USED - 10]
    assert [status(many, key) for key in (early, late) for _ in range(3)] == [200] * 6
    many.relay.stop()
    began = time.monotonic()
    many.relay.start()
    wait_until("a decision", lambda: status(many, early) == 200)
    print(f"{KEYS} keys: the first decision after {time.monotonic() - began:.1f} s")
    assert [status(many, key) for key in (early, late, late)] == [200] * 3
    assert [status(many, key) for key in (early, late)] == [429] * 2
