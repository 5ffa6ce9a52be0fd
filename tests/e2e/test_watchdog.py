"""The keeper restarts a child that does not answer it, and no other."""
import asyncio
import json
import os
import signal
import threading
import time

import pytest

from bare import compare
from relay import VERSIONS, header, wait_until
from traffic import Program


class Traffic(threading.Thread):
    """A program of requests that runs in the background."""

    def __init__(self, stack, rate, seconds):
        super().__init__()
        self.program = Program(stack.port, stack.key, rate * seconds, seconds)
        self.start()

    def run(self):
        asyncio.run(self.program.run())

    def answers(self):
        self.join()
        return dict(self.program.answers)


def processes(stack):
    return stack.relay.adm("status")["processes"]


def restarts(stack, child, reason):
    return stack.relay.metric("relay_child_restarts_total", child=child, reason=reason)


def stop_the_agent(stack, seconds):
    """How long requests are refused, and the answers of 200 requests a second meanwhile."""
    agent = stack.relay.pid_of("agent")
    traffic = Traffic(stack, 200, seconds)
    wait_until("requests run", lambda: traffic.program.answers[200] > 100)
    os.kill(agent, signal.SIGSTOP)
    began = time.monotonic()
    wait_until("no request is answered", lambda: stack.post("/v1/x", key=stack.key).status != 200 or
               stack.relay.pid_of("agent") not in (0, agent))
    wait_until("it serves again", lambda: stack.post("/v1/x", key=stack.key).status == 200)
    took = time.monotonic() - began
    assert stack.relay.pid_of("agent") != agent
    return took, traffic.answers()


@pytest.mark.takes(10)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_stopped_agent_is_replaced_within_two_seconds(fresh, version):
    s = fresh(version)
    s.upstream.clear()
    rounds = []

    def measure():
        took, answers = stop_the_agent(s, 6)
        print(f"HAProxy {version}: back after {took:.2f} s, answers {answers}")
        rounds.append(answers)
        # HAProxy answers a question that the agent never did with 503
        assert set(answers) <= {200, "503 agent_unavailable"}, answers
        return took,

    compare(measure, lambda took: took < 2, times=4)
    for row in s.upstream.requests():
        assert header(row, "authorization") == "Bearer token-of-demo"
    assert restarts(s, "agent", "hung") == len(rounds) and restarts(s, "agent", "killed") == 0
    agent = processes(s)["agent"]
    assert agent["state"] == "serving" and agent["restarts"] == len(rounds)
    assert agent["last_restart"] == "hung" and agent["last_restart_at"].endswith("Z")
    assert '"process_state":"T"' in s.relay.process.text()


def stop_control(stack):
    """How long it is away, and the answers of 50 requests a second meanwhile."""
    control = stack.relay.pid_of("control")
    traffic = Traffic(stack, 50, 27)
    os.kill(control, signal.SIGSTOP)
    began = time.monotonic()
    # relayadm does not wait for it
    wait_until("another control process", lambda: stack.relay.adm_run("status").returncode == 0, seconds=60)
    took = time.monotonic() - began
    assert stack.relay.pid_of("control") != control
    return took, traffic.answers()


@pytest.mark.takes(30)
def test_a_stopped_control_process_is_replaced_and_no_request_notices(fresh):
    s = fresh()
    rounds = []

    def measure():
        took, answers = stop_control(s)
        print(f"back after {took:.2f} s, answers {answers}")
        rounds.append(answers)
        assert took > 19 and set(answers) == {200}
        return took,

    compare(measure, lambda took: took < 25, times=3)
    assert restarts(s, "control", "hung") == len(rounds) and processes(s)["control"]["last_restart"] == "hung"
    assert s.relay.adm("tenants", "add", "later")["name"] == "later"


def test_a_stopped_keeper_is_told(fresh):
    s = fresh()
    wait_until("all is well", lambda: s.relay.adm_run("status", "--check").returncode == 0)
    os.kill(s.relay.process.pid, signal.SIGSTOP)
    try:
        run = wait_until("status tells", lambda: (r := s.relay.adm_run("status", "--check")).returncode == 1 and r, seconds=10)
        answer = json.loads(run.stdout)
        assert answer["processes"]["keeper"]["state"] == "hung" and answer["processes"]["keeper"]["silent_s"] >= 3
        assert f"the keeper, process {s.relay.process.pid}, has not answered for" in answer["summary"]
        assert s.post("/v1/x", key=s.key).status == 200
    finally:
        os.kill(s.relay.process.pid, signal.SIGCONT)
    wait_until("all is well again", lambda: s.relay.adm_run("status", "--check").returncode == 0)
    keeper = processes(s)["keeper"]
    assert keeper["state"] == "serving" and keeper["silent_s"] is None
    # control was stopped, not the keeper: a question waits, and is no silence
    control = s.relay.pid_of("control")
    os.kill(control, signal.SIGSTOP)
    time.sleep(5)  # longer than a keeper may be silent, shorter than control may
    os.kill(control, signal.SIGCONT)
    codes = [w["code"] for w in s.relay.adm("status")["warnings"]]
    assert "keeper_silent" not in codes and s.relay.pid_of("control") == control, codes


def test_a_stopped_relay_that_goes_on_kills_nobody(fresh):
    """Whatever stops the keeper may stop its children as well: a suspended machine, a container that is paused."""
    s = fresh()
    before = processes(s)
    with s.relay.stopped("agent"):
        time.sleep(3)  # the span in which the agent would have been killed
    time.sleep(1)  # the keeper looks at it four times
    after = processes(s)
    assert {name: p["pid"] for name, p in after.items()} == {name: p["pid"] for name, p in before.items()}
    assert after["agent"]["last_restart"] is None and after["agent"]["restarts"] == 0
