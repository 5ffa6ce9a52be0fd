"""Start, reload, stop, start again."""
import json
import os
import signal
import subprocess
import time

import pytest

from relay import ANY, BUILD, Process, Refused, Stack, wait_until


def test_a_restart_keeps_keys_and_a_stop_leaves_nothing(fresh):
    s = fresh()
    socket_path = s.relay.socket
    assert socket_path.exists()
    s.relay.stop()
    assert not socket_path.exists()
    s.relay.start()
    wait_until("the same key is served", lambda: s.post("/v1/x", key=s.key).status == 200)


def test_health_says_503_while_it_stops(fresh):
    s = fresh()
    s.relay.process.popen.send_signal(signal.SIGTERM)
    wait_until("health says 503", lambda: s.get("/relay/health").status == 503)
    s.relay.stop()


def test_sighup_takes_what_it_can_and_refuses_mistakes(fresh):
    s = fresh()
    s.relay.write_config("[requests]\nmax_body = 10\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("the new limit is in force", lambda: s.post("/v1/x", body=b"x" * 11, key=s.key).status == 413)
    good = s.relay.config.read_text()
    s.relay.config.write_text(good + "[relay]\nlog_levle = debug\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("the mistake is named", lambda: "log_levle" in s.relay.process.text())
    assert s.post("/v1/x", body=b"x", key=s.key).status == 200


def test_another_run_dir_waits_for_a_restart(fresh):
    """New files for HAProxy name the directory in use: HAProxy can load them."""
    s = fresh()
    s.relay.config.write_text(s.relay.config.read_text().replace(f"run_dir = {s.dir}/run\n", f"run_dir = {s.dir}/other\n"))
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("it is told", lambda: "changed options need a restart" in s.relay.process.text())
    assert s.relay.adm("accounts", "set", "demo", "--header", "X-New: 1")["haproxy"] == "reloaded"
    for name in ("relay.cfg", "relay-spoe.conf"):
        assert f"{s.dir}/other" not in (s.dir / "haproxy" / name).read_text()
    assert f"{s.dir}/run/" in (s.dir / "haproxy" / "relay.cfg").read_text()
    assert s.post("/v1/x", key=s.key).status == 200
    assert json.loads(s.relay.adm_run("status").stdout)["haproxy"]["pending"] is False


@pytest.mark.parametrize("closed", ["1>&-", "0<&- 1>&- 2>&-"])
def test_started_with_closed_descriptors(fresh, closed):
    """Nothing else takes their numbers: a replacement's trial would print into it."""
    s = fresh()
    s.relay.stop()
    s.relay.process = Process("spoa-relay", ["/bin/sh", "-c", f"exec {s.relay.program} --config {s.relay.config} {closed}"],
                              s.dir / "relay.log")
    wait_until("it serves", lambda: s.post("/v1/x", key=s.key).status == 200)
    wait_until("control serves", lambda: s.relay.adm_run("status").returncode == 0)

    def pids():
        run = s.relay.adm_run("status")
        return run.returncode == 0 and [p["pid"] for p in json.loads(run.stdout)["processes"].values()]

    before = pids()
    for pid in before:
        assert os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
    s.relay.process.popen.send_signal(signal.SIGUSR2)
    wait_until("it is replaced", lambda: (now := pids()) and now[0] == before[0] and now[1:] != before[1:] and all(now))
    assert not [n for n in s.relay.adm("notices", "list")["items"] if n["kind"] == "program_not_replaced"]
    assert os.readlink(f"/proc/{before[0]}/fd/1") == "/dev/null"


def test_a_result_that_nobody_gets_is_a_failure(fresh):
    s = fresh()
    for words, code in (("status", 1), ("--version", 1), ("tenants list", 1), ("tenants set demo --rpm 5 2>&-", 0)):
        run = subprocess.run(["/bin/sh", "-c", f"exec {BUILD}/relayadm --socket {s.relay.socket} {words} >&-"], timeout=60)
        assert run.returncode == code, words


def test_a_second_instance_is_refused(fresh):
    s = fresh()
    run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "another spoa-relay runs" in run.stderr
    assert s.post("/v1/x", key=s.key).status == 200


def test_occupied_sockets_are_named(fresh):
    s = fresh()
    other = s.dir / "other.conf"
    other.write_text(s.relay.config.read_text().replace(f"{s.dir}/state", f"{s.dir}/state2")
                     .replace(f"{s.dir}/run", f"{s.dir}/run2"))
    run = subprocess.run([BUILD / "spoa-relay", "--config", other], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and f"udp:127.0.0.1:{s.relay.events_port}: the address is in use" in run.stderr


@pytest.mark.parametrize("damage", ["database", "key file"])
def test_damage_is_named_and_nothing_is_changed(fresh, damage):
    s = fresh()
    s.relay.stop()
    path = s.dir / "state" / ("relay.db" if damage == "database" else "vault.key")
    good = path.read_bytes()
    if damage == "database":
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        bad = good[:4096] + b"\xff" * 4096 + good[8192:]
    else:
        bad = b"0" * 64 + b"\n"
    path.chmod(0o600)
    path.write_bytes(bad)
    path.chmod(0o600 if damage == "database" else 0o400)
    process = Process("spoa-relay", [BUILD / "spoa-relay", "--config", s.relay.config], s.dir / "damaged.log")
    try:
        assert process.popen.wait(60) == 1
    finally:
        process.stop()
    assert str(path) in process.text()
    assert path.read_bytes() == bad
    path.chmod(0o600)
    path.write_bytes(good)
    path.chmod(0o600 if damage == "database" else 0o400)
    s.relay.start()
    wait_until("repaired, it serves", lambda: s.post("/v1/x", key=s.key).status == 200)


def start_change(stack, name):
    """`tenants add` in the background, while the agent does not answer."""
    command = [BUILD / "relayadm", "--socket", stack.relay.socket, "--json", "tenants", "add", name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_change_that_waits_for_the_agent_holds_nobody_up(fresh):
    """Control serves other commands meanwhile; a slow machine may need a few tries to see it."""
    s = fresh()
    for n in range(10):
        with s.relay.stopped("agent"):
            changes = [start_change(s, f"first-{n}")]
            wait_until("the change is stored", lambda: f"first-{n}" in tenants(s))
            changes.append(start_change(s, f"second-{n}"))
            wait_until("another change is stored", lambda: f"second-{n}" in tenants(s))
            both_wait = all(change.poll() is None for change in changes)
        answers = [json.loads(change.communicate(timeout=20)[0]) for change in changes]
        assert [change.returncode for change in changes] == [int("warning" in answer) for answer in answers]
        if both_wait and not any("warning" in answer for answer in answers):
            break
    else:
        pytest.fail(f"a command waits for another one's change: {answers}")
    snapshot = s.relay.adm("status")["snapshot"]
    assert snapshot["published"] == snapshot["acknowledged"]


def test_a_change_is_answered_though_the_relay_stops(fresh):
    """The agent cannot acknowledge it. Its successor in the drain can, unless the time for it is over."""
    s = fresh()
    agent, keeper = s.relay.pid_of("agent"), s.relay.process.popen
    keeper.send_signal(signal.SIGSTOP)
    os.kill(agent, signal.SIGSTOP)
    change = start_change(s, "last")
    wait_until("the change is stored", lambda: "last" in tenants(s))
    keeper.send_signal(signal.SIGTERM)
    keeper.send_signal(signal.SIGCONT)
    answer = json.loads(change.communicate(timeout=30)[0])
    assert change.returncode == int("warning" in answer) and answer["name"] == "last"
    assert answer.get("warning") in (None, "the agent has not acknowledged the change yet",
                                     "the agent is not running; it will have the change when it is back")
    s.relay.stop()
    s.relay.start()
    assert "last" in tenants(s)


def tenants(stack):
    return [tenant["name"] for tenant in stack.relay.adm("tenants", "list")["items"]]


def test_a_haproxy_that_does_not_answer(fresh):
    s = fresh()
    s.relay.adm("egress", "add", "new", "--source", "127.0.0.88")
    subprocess.run(["kill", "-STOP", str(s.haproxy.pid)], check=True)
    try:
        run = s.relay.adm_run("accounts", "add", "late", "--upstream", "demo", "--egress", "new", "--token-stdin",
                              stdin="t")
        change = json.loads(run.stdout)
        assert change["haproxy"] == "pending reload" and change["haproxy_error"]
        assert run.returncode == 1 and "stored, but HAProxy has not loaded it" in run.stderr
        assert s.relay.adm_run("haproxy", "reload").returncode == 1
        # the agent alone needs this one: it is in force
        assert s.relay.adm("accounts", "set", "late", "--weight", "5")["weight"] == 5
    finally:
        subprocess.run(["kill", "-CONT", str(s.haproxy.pid)], check=True)
    assert s.relay.adm("haproxy", "reload")["haproxy"] in ("reloaded", "unchanged")
    with pytest.raises(Refused):
        s.relay.adm("egress", "add", "new", "--source", "127.0.0.88")


def test_changes_wait_for_a_haproxy_that_does_not_run(fresh):
    s = fresh()
    render = ("haproxy", "render", "--out", str(s.dir / "haproxy"), "--bind", f"127.0.0.1:{s.port}",
              "--stats", f"127.0.0.1:{s.stats_port}")
    s.haproxy.stop()
    s.relay.adm("egress", "add", "new", "--source", "127.0.0.88")
    run = s.relay.adm_run("accounts", "add", "late", "--upstream", "demo", "--token-stdin", "--egress", "new", stdin="t")
    assert run.returncode == 1 and "stored, but HAProxy has not loaded it" in run.stderr, run
    assert json.loads(run.stdout)["haproxy"] == "pending reload"
    assert s.relay.adm_run("haproxy", "reload").returncode == 1
    # the files are what this one asks for
    assert s.relay.adm(*render)["haproxy"] == "pending reload"
    s.start_haproxy()
    wait_until("HAProxy has the files", lambda: not s.relay.adm("haproxy", "status")["pending"])


def test_nothing_fails_before_haproxy_is_started_for_the_first_time():
    """The order of the README: HAProxy reads the files when it starts."""
    s = Stack(ANY)
    try:
        s.relay.start()
        s.relay.adm("upstreams", "add", "demo", "--url", s.upstream.url, "--provider", "openai", settle=False)
        s.relay.adm("haproxy", "render", "--out", str(s.dir / "haproxy"), "--bind", f"127.0.0.1:{s.port}")
        s.relay.adm("upstreams", "add", "next", "--url", s.upstream.url, "--provider", "openai", settle=False)
        change = s.relay.adm("accounts", "add", "next", "--upstream", "next", "--token-stdin", stdin="t", settle=False)
        assert change["haproxy"] == "pending reload"
        s.start_haproxy()
        wait_until("nothing is pending", lambda: not s.relay.adm("haproxy", "status")["pending"])
    finally:
        s.stop()
