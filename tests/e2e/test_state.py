"""The state file: other formats are converted, flipped bits are flipped back, and damage costs only its row."""
import contextlib
import json
import os
import random
import signal
import subprocess

import pytest

from relay import BUILD, VERSIONS, wait_until
from statefile import DAY, PAGE, TENANT, StateFile
from test_limits import me, tenant, window
from test_store_down import fill, make_room, on_a_small_disk
from test_upgrade import replace

ROUNDS = 5


def used(s, key, name="day"):
    return window(me(s, key)["tenant"], name)["used"]


def started(s):
    s.relay.start()
    wait_until("it answers again", lambda: s.get("/relay/health").status == 200)


def kill_relay(s):
    children = [s.relay.pid_of(role) for role in ("control", "agent")]
    s.relay.process.popen.kill()
    s.relay.process.popen.wait()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until("all have ended", lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in children))


def state_file(s):
    return StateFile(s.dir / "state" / "state")


def spend(s, key, n, **options):
    assert [s.get("/echo", key=key, **options).status for _ in range(n)] == [200] * n


def damage_seen(s):
    return s.relay.metric("relay_state_rows_mended_total"), s.relay.metric("relay_state_rows_dropped_total")


def notices(s):
    return [n for n in s.relay.adm("notices", "list")["items"] if n["kind"] == "state_damaged"]


@pytest.mark.parametrize("version", VERSIONS)
def test_an_upgrade_from_format_3_resets_nothing(fresh, version):
    s = fresh(version)
    s.account("other", "demo", "token-of-other", "--header", "X-Which: other")
    s.relay.adm("pools", "set", "demo", "demo", "other")
    key = tenant(s, "counted", "--daily", "20", "--monthly", "30")
    wait_until("HAProxy knows the header", lambda: s.get("/echo", key=s.key).status == 200)

    def account(n):
        answer = s.get("/echo", key=key, headers=[("session-id", f"c{n}")])
        assert answer.status == 200
        return [v for k, v in json.loads(answer.body)["headers"] if k.lower() == "x-which"]
    accounts = [account(n) for n in range(12)]
    assert used(s, key) == 12
    stream = s.connect()
    s.send(stream, "GET", "/sse?n=10000&ms=50", key=key)
    wait_until("the stream is counted", lambda: used(s, key) == 13)
    kill_relay(s)
    state_file(s).to_format_3()
    assert state_file(s).format == 3
    started(s)
    assert state_file(s).format == 4
    assert "state file converted" in s.relay.process.text()
    assert (used(s, key), used(s, key, "month")) == (13, 13)
    assert me(s, key)["tenant"]["concurrency"]["in_use"] == 1
    assert damage_seen(s) == (0, 0) and not notices(s)
    # conversations are where they were
    assert [account(n) for n in range(7)] == accounts[:7]
    assert s.get("/echo", key=key).status == 429
    stream.close()
    wait_until("the stream's slot is free", lambda: me(s, key)["tenant"]["concurrency"]["in_use"] == 0)


def test_a_program_that_takes_over_converts(fresh):
    """Its keeper has fewer rights than at a start."""
    s = fresh()
    key = tenant(s, "counted", "--daily", "10")
    spend(s, key, 4)
    f = state_file(s)
    owner = os.stat(f.path)
    f.path.unlink()  # what the running program maps
    f.to_format_3()
    os.chown(f.path, owner.st_uid, owner.st_gid)
    f.path.chmod(0o600)
    replace(s)
    assert "state file converted" in s.relay.process.text()
    now = os.stat(f.path)
    assert (state_file(s).format, now.st_uid, now.st_gid, now.st_mode & 0o777) == (4, owner.st_uid, owner.st_gid, 0o600)
    assert used(s, key) == 4
    spend(s, key, 6)
    assert s.get("/echo", key=key).status == 429


def test_a_conversion_on_a_full_disk_changes_nothing():
    with on_a_small_disk() as s:
        key = tenant(s, "counted", "--daily", "10")
        spend(s, key, 4)
        s.relay.stop()
        state_file(s).to_format_3()
        fill(s)
        old = state_file(s).bytes
        run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
        assert run.returncode not in (0, None)
        assert "cannot be converted from format 3 to 4: No space left on device; it is unchanged" in run.stderr
        assert state_file(s).bytes == old and not (s.dir / "state" / "state.new").exists()
        make_room(s)
        started(s)
        assert used(s, key) == 4


def test_without_room_for_a_conversion_no_program_takes_over():
    with on_a_small_disk() as s:
        key = tenant(s, "counted", "--daily", "10")
        spend(s, key, 4)
        f = state_file(s)
        f.path.unlink()
        f.to_format_3()
        pids = [s.relay.pid_of(role) for role in ("agent", "control")]
        s.relay.process.popen.send_signal(signal.SIGUSR2)
        wait_until("it says so", lambda: "program not replaced" in s.relay.process.text())
        assert "no room for its conversion from format 3 to 4" in s.relay.process.text()
        assert [s.relay.pid_of(role) for role in ("agent", "control")] == pids
        spend(s, key, 6)
        assert s.get("/echo", key=key).status == 429


def test_a_flipped_bit_of_a_count_is_flipped_back(fresh):
    s = fresh()
    key, other = tenant(s, "flipped", "--daily", "10"), tenant(s, "other", "--daily", "10")
    spend(s, key, 7)
    spend(s, other, 3)
    for bit in (0, 1, 2, 31):  # to 6, 5, 3, and past all limits
        s.relay.stop()
        f = state_file(s)
        f.flip(f.usage(TENANT, 7) + 8 + 8 * DAY + 4 + bit // 8, bit % 8)
        f.save()
        started(s)
        assert (used(s, key), used(s, other)) == (7, 3)
        assert damage_seen(s) == (1, 0)  # counters begin with the relay
        wait_until("a notice tells", lambda: notices(s))
    spend(s, key, 3)
    assert s.get("/echo", key=key).status == 429


def test_a_flipped_bit_is_flipped_back_while_the_relay_runs(fresh):
    s = fresh()
    key = tenant(s, "flipped", "--daily", "10")
    spend(s, key, 7)
    at = state_file(s).usage(TENANT, 7) + 8 + 8 * DAY + 4
    with open(s.dir / "state" / "state", "r+b") as f:
        f.seek(at)
        f.write(b"\x03")  # 7 ^ 4
    spend(s, key, 3)
    assert s.get("/echo", key=key).status == 429
    assert used(s, key) == 10
    wait_until("it is counted", lambda: damage_seen(s) == (1, 0))
    wait_until("a notice tells", lambda: notices(s))


def test_a_destroyed_row_is_dropped_and_no_other(fresh):
    s = fresh()
    key, other = tenant(s, "destroyed", "--daily", "9"), tenant(s, "other", "--daily", "9")
    spend(s, key, 7)
    spend(s, other, 9)
    s.relay.stop()
    f = state_file(s)
    at = f.usage(TENANT, 7)
    f.bytes[at + 8:at + 64] = b"\xa5" * 56
    f.save()
    started(s)
    assert damage_seen(s) == (0, 1)
    assert (used(s, key), used(s, other)) == (0, 9)
    assert s.get("/echo", key=other).status == 429
    spend(s, key, 1)
    log = [json.loads(line) for line in s.relay.process.text().splitlines() if "state file was damaged" in line]
    assert [(e["table"], e["rows_dropped"]) for e in log] == [("usage", 1)]
    notice = wait_until("a notice tells", lambda: notices(s))[0]
    assert (notice["subject"], notice["count"]) == ("state", 1)
    assert notice["message"].startswith("the state file was damaged: 1 rows were dropped")


def test_hundreds_of_flipped_bits(fresh):
    """A hundred in each round: one in each of 30 rows in use, and 70 where no row is."""
    s = fresh()
    dice = random.Random(12)
    keys = {n: tenant(s, f"t{n}", "--daily", "100") for n in range(1, 21)}
    for n, key in keys.items():
        spend(s, key, n, headers=[("session-id", f"conversation of {n}")])
    for _ in range(ROUNDS):
        s.relay.stop()
        f = state_file(s)
        rows = f.all_rows()
        assert len(rows) > 40
        for at, size in dice.sample(rows, 30):
            f.flip(at + dice.randrange(size), dice.randrange(8))
        used_pages = {at // PAGE for at, _ in rows} | {0}
        empty = [page for page in range(len(f.bytes) // PAGE) if page not in used_pages]
        for page in dice.sample(empty, 70):
            f.flip(page * PAGE + dice.randrange(PAGE), dice.randrange(8))
        f.save()
        started(s)
        for n, key in keys.items():
            assert used(s, key) == n, f"tenant t{n}"


def codes(s):
    return {w["code"] for w in s.relay.adm("status")["warnings"]}


@pytest.mark.parametrize("how", ("removed", "empty", "cut"))
def test_a_start_without_the_state_file_is_told_until_it_is_acknowledged(fresh, how):
    s = fresh(VERSIONS[-1])
    assert "state_lost" not in codes(s)
    s.relay.stop()
    path = s.dir / "state" / "state"
    if how == "removed":
        path.unlink()
    else:
        os.truncate(path, 0 if how == "empty" else 5000)
    started(s)
    status = s.relay.adm("status")
    assert not status["ok"] and "state_lost" in codes(s)
    lost = [n for n in s.relay.adm("notices", "list")["items"] if n["kind"] == "state_lost"]
    assert len(lost) == 1 and '"the state file is lost' in (s.dir / "relay.log").read_text()
    s.relay.adm("notices", "ack", str(lost[0]["id"]))
    assert "state_lost" not in codes(s)
    s.relay.stop()
    started(s)
    assert "state_lost" not in codes(s)


def test_a_state_file_that_is_removed_while_the_relay_runs_is_told(fresh):
    s = fresh(VERSIONS[-1])
    path = s.dir / "state" / "state"
    path.rename(s.dir / "state" / "elsewhere")
    wait_until("status says so", lambda: "state_removed" in codes(s))
    assert any(n["kind"] == "state_removed" for n in s.relay.adm("notices", "list")["items"])
    (s.dir / "state" / "elsewhere").rename(path)
    wait_until("it is over", lambda: "state_removed" not in codes(s))
    assert not any(n["kind"] == "state_removed" for n in s.relay.adm("notices", "list")["items"])


def test_an_end_without_a_stop_is_told(fresh):
    s = fresh(VERSIONS[-1])
    unknown = "0" * 32

    def why():
        return s.relay.adm_run("requests", "why", unknown).stderr

    s.relay.stop()
    started(s)
    assert "may be missing" not in why()
    kill_relay(s)
    started(s)
    assert "may be missing" in why()
    assert "the relay ended without a stop" in (s.dir / "relay.log").read_text()
