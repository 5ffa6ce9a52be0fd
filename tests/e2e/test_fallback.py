"""A snapshot that crashes agents is given up: the agent returns to the one before, and control does not send it again."""
import os
import signal
import time

import pytest

from relay import VERSIONS, header, wait_until

READING, DECIDING, LOOPING = "901", "902", "903"  # weights that tests/faults/marked_agent.c knows
PROOF = 5.5  # seconds that an agent has to use a snapshot, before the keeper returns to it


def version_of(stack):
    """The version that the agent uses."""
    return stack.relay.metric("relay_snapshot_version")


def notice(stack):
    return next((n for n in stack.relay.adm("notices", "list")["items"] if n["kind"] == "snapshot_given_up"), None)


def prove(stack):
    """The present snapshot has been in use for long enough."""
    version = version_of(stack)
    time.sleep(PROOF)  # a span, not a condition
    assert version_of(stack) == version
    return version


def serves(stack):
    return stack.post("/v1/x", key=stack.key).status == 200


@pytest.fixture
def marked(fresh):
    return lambda version=VERSIONS[0]: fresh(version, program="tests/spoa-relay-marked")


@pytest.mark.takes(15)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_snapshot_that_crashes_the_agent_that_reads_it(marked, version):
    s = marked(version)
    good = prove(s)
    s.upstream.clear()
    change = s.relay.adm_run("accounts", "set", "demo", "--weight", READING)
    assert change.returncode == 1 and "it crashed the agent" in change.stderr, change
    wait_until("the one before serves", lambda: serves(s))
    assert version_of(s) == good
    row = notice(s)
    assert row["subject"] == "snapshot" and "crashed the agent" in row["message"], row
    crashes = s.relay.metric("relay_child_restarts_total", child="agent", reason="crash")
    assert crashes == 3
    # control does not send it again, neither by itself nor to a new agent
    pid = s.relay.pid_of("agent")
    os.kill(pid, signal.SIGKILL)
    wait_until("another agent", lambda: s.relay.pid_of("agent") not in (0, pid))
    wait_until("it serves", lambda: serves(s))
    assert version_of(s) == good
    # the next version is tried, bad or good
    assert s.relay.adm_run("accounts", "set", "demo", "--weight", READING).returncode == 1
    wait_until("the one before serves", lambda: serves(s))
    assert version_of(s) == good
    assert s.relay.adm("accounts", "set", "demo", "--weight", "5")["weight"] == 5
    assert version_of(s) > good and notice(s) is None and serves(s)
    for row in s.upstream.requests():
        assert header(row, "authorization") == "Bearer token-of-demo"


@pytest.mark.takes(15)
@pytest.mark.parametrize("mark", [DECIDING, LOOPING])
def test_a_snapshot_that_crashes_the_agent_that_uses_it(marked, mark):
    """Accepted, and bad all the same."""
    s = marked()
    good = prove(s)
    assert s.relay.adm("accounts", "set", "demo", "--weight", mark)["weight"] == int(mark)
    assert version_of(s) > good
    wait_until("the one before serves", lambda: serves(s), seconds=60)
    wait_until("the agent says so", lambda: version_of(s) == good)
    assert "crashed the agent" in notice(s)["message"]
    reason = {DECIDING: "crash", LOOPING: "hung"}[mark]
    assert s.relay.metric("relay_child_restarts_total", child="agent", reason=reason) == 3
    assert s.relay.adm("accounts", "set", "demo", "--weight", "5")["weight"] == 5
    assert notice(s) is None and serves(s)


@pytest.mark.takes(15)
def test_three_segmentation_faults_soon_after_the_start(fresh):
    s = fresh()
    good = prove(s)
    s.relay.adm("accounts", "set", "demo", "--weight", "7")
    newest = version_of(s)
    assert newest > good
    for _ in range(20):  # three within 5 s of their starts; a slow machine needs more
        kill(s)
        if version_of(s) == good:
            break
    wait_until("it serves", lambda: serves(s))
    assert version_of(s) == good and notice(s) and f'"given_up":{int(newest)}' in s.relay.process.text()
    # the fault was not the snapshot's: three more, and nothing is older
    for _ in range(3):
        kill(s)
    wait_until("it serves", lambda: serves(s))
    s.relay.adm("accounts", "set", "demo", "--weight", "8")
    assert version_of(s) > newest and notice(s) is None


def kill(stack):
    pid = stack.relay.pid_of("agent")
    os.kill(pid, signal.SIGSEGV)
    wait_until("another agent", lambda: stack.relay.pid_of("agent") not in (0, pid))
