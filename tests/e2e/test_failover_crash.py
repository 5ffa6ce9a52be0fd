"""Agent and control are killed during failovers: every request is served, and no slot is lost."""
import json
import os
import signal
import threading

import pytest

from bare import compare
from failures import NO_BUDGET, FailingStack, Steady, wait_for_no_leases
from relay import VERSIONS, wait_until


@pytest.fixture(params=VERSIONS)
def own(request):
    s = FailingStack(request.param, NO_BUDGET)
    try:
        yield s.start()
    finally:
        s.stop()


def pid_of(relay, role):
    """0 while control is down."""
    run = relay.adm_run("status")
    return json.loads(run.stdout)["processes"][role]["pid"] or 0 if run.returncode == 0 else 0


def kill_often(relay, stop, killed):
    """Kills agent and control in turn, if they run."""
    while not stop.wait(0.4):
        role = ("agent", "control")[len(killed) % 2]
        pid = pid_of(relay, role)
        if pid and (role, pid) not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.append((role, pid))


@pytest.mark.takes(12)
def test_killed_in_the_middle_of_failovers(own):
    pool = own.pool("killed", 6, options=[("--concurrency", "16")] * 6)
    own.relay.adm("pools", "set", "killed", *pool.accounts, "--wait", "20s")
    # the third attempt serves; two equal answers would mean that the request is at fault
    for token, status in zip(pool.tokens, (503, 401)):
        pool.failing.set(token, status, share=0.5, method="POST")
    killed = []

    def measure():
        stop = threading.Event()
        killer = threading.Thread(target=kill_often, args=(own.relay, stop, killed))
        killer.start()
        try:
            answers = Steady(pool, path="/v1/x?ms=20").send(5000)
        finally:
            stop.set()
            killer.join()
        print(f"HAProxy {own.version}, {len(killed)} killed: {answers}")
        # HAProxy waits two seconds for an agent: on a busy machine a new one can take longer
        assert set(answers) <= {200, "503 agent_unavailable"}
        return answers,

    compare(measure, lambda answers: answers == {200: 5000}, times=3)
    for role in ("agent", "control"):
        wait_until(f"a new {role}", lambda role=role: (role, pid_of(own.relay, role)) not in [(role, 0), *killed])
    assert len(killed) >= 4
    wait_for_no_leases(own)
    assert all(own.relay.adm("accounts", "show", a)["in_use"] == 0 for a in pool.accounts)
