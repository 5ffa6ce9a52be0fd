"""The store's disk is full, or its file is gone: traffic goes on, everything says so, and the end of it is noticed."""
import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from identity import FAST, Logins
from relay import ANY, BUILD, Refused, Stack, header, wait_until

SECONDS = 10  # until everybody says so


@contextlib.contextmanager
def on_a_small_disk(extra=""):
    """A stack whose state directory is a separate disk."""
    assert os.geteuid() == 0, "a mount needs root"
    s = Stack(ANY, extra=extra)
    state = s.dir / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m,mode=700,uid=daemon,gid=daemon", "tmpfs", state], check=True)
    try:
        yield s.start()
    finally:
        (state / "fill").unlink(missing_ok=True)
        try:
            s.stop()
        finally:
            subprocess.run(["umount", "-l", state], check=True)
            state.rmdir()
            s.dir.rmdir()


def fill(s):
    subprocess.run(["dd", "if=/dev/zero", f"of={s.dir}/state/fill", "bs=4k"], stderr=subprocess.DEVNULL)
    disk = os.statvfs(s.dir / "state")
    assert disk.f_bavail == 0, disk


def make_room(s):
    (s.dir / "state" / "fill").unlink()


def kinds(s):
    return [n["kind"] for n in s.relay.adm("notices", "list")["items"]]


def all_say(s, up):
    """Metric, status, notice and health agree."""
    status = s.relay.adm("status")
    warned = any(w["code"] == "store_down" for w in status["warnings"])
    return (s.relay.metric("relay_store_up") == up and status["store"]["up"] is bool(up) and warned is not bool(up)
            and ("store_down" in kinds(s)) is not bool(up) and s.get("/relay/health").status == (200 if up else 503))


def wait_all_say(s, up):
    begun = time.monotonic()
    wait_until(f"everything says {up}", lambda: all_say(s, up))
    took = time.monotonic() - begun
    assert took < SECONDS, took


def served(s, count=20):
    return [s.post("/v1/x", key=s.key).status for _ in range(count)] == [200] * count


def restart_control(s):
    pid = s.relay.pid_of("control")
    os.kill(pid, signal.SIGKILL)

    def is_back():
        run = s.relay.adm_run("status")
        return run.returncode == 0 and json.loads(run.stdout)["processes"]["control"]["pid"] not in (None, pid)
    wait_until("another control process answers", is_back)


def log_of(s, message):
    lines = [json.loads(line) for line in (s.dir / "relay.log").read_text().splitlines()]
    return [line for line in lines if line["msg"].startswith(message)]


def test_a_stop_on_a_full_disk_tells_what_the_history_lacks():
    with on_a_small_disk(extra="[relay]\ndrain = 2s\n") as s:
        time.sleep(1.5)
        fill(s)
        assert served(s)
        s.relay.stop()
        told = log_of(s, "the history lacks finished requests: the store took no changes")
        assert [line["requests"] for line in told] == [20], told
        make_room(s)
        s.relay.start()
        assert s.relay.metric("relay_requests_unsaved_total") == 20
        run = s.relay.adm_run("requests", "why", "0" * 32)
        assert "may be missing" in run.stderr, run.stderr
        assert s.relay.adm("status")["ok"]


def test_a_stop_saves_all_if_the_disk_has_room_again_in_time():
    with on_a_small_disk(extra="[relay]\ndrain = 20s\n") as s:
        fill(s)
        assert served(s)
        os.kill(s.relay.process.pid, signal.SIGTERM)
        time.sleep(2)
        make_room(s)
        begun = time.monotonic()
        assert s.relay.process.popen.wait(15) == 0
        assert time.monotonic() - begun < 10
        s.relay.process = None
        s.relay.start()
        assert len(s.relay.adm("requests", "list")["items"]) == 20
        assert s.relay.metric("relay_requests_unsaved_total") == 0


def test_a_full_disk_is_told_and_traffic_goes_on():
    with on_a_small_disk() as s:
        assert all_say(s, 1)
        fill(s)
        wait_all_say(s, 0)
        assert served(s)
        why = s.relay.adm("status")["store"]["error"]
        assert "No space left" in why or "is full" in why
        with pytest.raises(Refused) as e:
            s.relay.adm("tenants", "add", "late")
        assert e.value.code == 1
        restart_control(s)
        wait_all_say(s, 0)
        assert served(s)
        s.relay.stop()
        s.relay.start()  # the keeper and the agent as well
        wait_until("HAProxy reaches the agent", lambda: s.post("/v1/x", key=s.key).status == 200)
        wait_all_say(s, 0)
        make_room(s)
        wait_all_say(s, 1)
        s.relay.adm("tenants", "add", "late")
        assert "store_down" in [n["kind"] for n in s.relay.adm("notices", "list", "--all")["items"]]
        assert served(s)


def test_a_store_whose_file_is_gone_takes_no_changes_and_can_be_saved(fresh):
    s = fresh()
    path = s.dir / "state" / "relay.db"
    path.rename(s.dir / "state" / "moved.db")
    wait_all_say(s, 0)
    with pytest.raises(Refused, match="removed or replaced"):
        s.relay.adm("tenants", "add", "lost")
    assert served(s)
    s.relay.process.popen.send_signal(signal.SIGUSR2)  # the program that takes over would not start
    wait_until("it is not replaced", lambda: "is missing or empty" in s.relay.process.text())
    assert served(s)
    saved = s.dir / "saved.db"
    s.relay.adm_run("backup", str(saved))
    assert saved.stat().st_size > 4096
    (s.dir / "state" / "moved.db").rename(path)
    wait_all_say(s, 1)
    s.relay.adm("tenants", "add", "kept")


def run_relay(s, *options):
    return subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config, *options], capture_output=True, text=True,
                          timeout=60)


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_lost_store_is_refused_until_a_new_one_is_wanted(fresh, how):
    s = fresh()
    assert run_relay(s, "--init").returncode == 1  # there is a store
    s.relay.stop()
    path = s.dir / "state" / "relay.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.unlink()
    if how == "empty":
        path.touch(mode=0o600)
        os.chown(path, *[getattr((s.dir / "state" / "vault.key").stat(), f"st_{k}") for k in ("uid", "gid")])
    run = run_relay(s)
    assert run.returncode == 1 and str(path) in run.stderr and "--init" in run.stderr, run.stderr
    assert not path.exists() or path.stat().st_size == 0
    run = run_relay(s, "--init")
    assert run.returncode == 0 and str(path) in run.stdout, run.stderr
    assert run_relay(s, "--init").returncode == 1
    s.relay.start()
    assert s.relay.adm("tenants", "list")["items"] == []


def test_control_makes_no_store_in_place_of_a_lost_one(fresh):
    """A control process that is started again finds none: the agent serves on."""
    s = fresh()
    path = s.dir / "state" / "relay.db"
    path.rename(s.dir / "state" / "moved.db")
    os.kill(s.relay.pid_of("control"), signal.SIGKILL)
    wait_until("control says so", lambda: "is missing or empty" in s.relay.process.text())
    assert served(s) and not path.exists()
    (s.dir / "state" / "moved.db").rename(path)
    wait_until("control serves again", lambda: s.relay.adm_run("status").returncode == 0, seconds=60)


def token(l, name):
    """The access token of a request now."""
    assert l.get(name).status == 200
    return header(l.stack.upstream.requests()[-1], "authorization")


def test_a_refreshed_token_that_cannot_be_saved_is_kept_and_told():
    with on_a_small_disk(extra=FAST) as s:
        l = Logins(s)
        try:
            l.upstream()
            family = l.account("a", first_lifetime=3600, lifetime=3600)
            before = token(l, "a")
            l.idp.faults(family, "late-after", seconds=6)
            ask = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "accounts", "refresh", "a"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until("the refresh token is used", lambda: l.idp.uses(family))
            fill(s)
            wait_until("it is told", lambda: kinds(s)[:1] == ["token_unsaved"], seconds=60)
            assert any(w["code"] == "tokens_unsaved" for w in s.relay.adm("status")["warnings"])
            assert "a refreshed token cannot be saved" in s.relay.process.text()
            assert token(l, "a") == before
            make_room(s)
            wait_until("it is saved", lambda: "token_unsaved" not in kinds(s))
            wait_until("and used", lambda: token(l, "a") != before)
            ask.wait(60)
            assert l.idp.state()["violations"] == [] and len(l.idp.uses(family)) == 1
        finally:
            l.idp.stop()


def test_holes_in_a_state_file_are_filled_at_the_start(fresh):
    """On a full disk, a write to a hole would end the agent."""
    s = fresh()
    s.relay.stop()
    path = s.dir / "state" / "state"
    subprocess.run(["fallocate", "--dig-holes", path], check=True)
    before = path.stat()
    assert before.st_blocks * 512 < before.st_size
    s.relay.start()
    after = path.stat()
    assert after.st_ino == before.st_ino and after.st_blocks * 512 >= after.st_size
