"""relayadm tells why control does not answer, within two seconds, whatever is broken."""
import contextlib
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from bare import compare
from relay import BUILD, wait_until

DOWN = "the control process is not running: "


def ask(socket):
    """Exit code, stderr, and how long it took."""
    began = time.monotonic()
    run = subprocess.run([BUILD / "relayadm", "--socket", socket, "status"], capture_output=True,
                         text=True, timeout=60)
    return run.returncode, run.stderr.strip(), time.monotonic() - began


def told(socket, *texts):
    """It exits with 3 and one of these texts, in less than 2 s at least once: a busy machine may be slow."""
    seen = []

    def one():
        code, stderr, took = ask(socket)
        seen.append(stderr)
        assert code == 3 and any(text in stderr for text in texts), (code, stderr, took)
        print(f"{took:.2f} s: {stderr}")
        return took,

    compare(one, lambda took: took < 2)
    return seen[-1]


def test_no_relay(tmp_path):
    told(tmp_path / "none.sock", DOWN + "nothing listens at")


def has_ended(pid):
    try:
        return "State:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_relay_that_was_killed_leaves_its_socket(fresh):
    s = fresh()
    children = [s.relay.pid_of(role) for role in ("control", "agent")]
    os.kill(s.relay.process.pid, signal.SIGKILL)
    s.relay.process.popen.wait()
    wait_until("its children have ended, too", lambda: all(has_ended(child) for child in children))
    assert s.relay.socket.exists()
    told(s.relay.socket, DOWN + "nothing listens at")
    s.relay.process.out.close()
    s.relay.process = None
    s.relay.start()


def test_hung(fresh):
    """The first command may come just before the keeper knows."""
    s = fresh()
    os.kill(s.relay.pid_of("control"), signal.SIGSTOP)
    assert "is restarted after 20 s" in told(s.relay.socket, DOWN + "it has not answered for ")
    wait_until("another control process answers", lambda: s.relay.adm_run("status").returncode == 0, seconds=60)


def test_a_command_that_hangs_with_control_ends_with_it(fresh):
    """Control has taken the command before it hangs; its end tells."""
    s = fresh()
    control = s.relay.pid_of("control")
    with s.relay.stopped("agent"):
        command = subprocess.Popen([BUILD / "relayadm", "--socket", s.relay.socket, "tenants", "add", "late"],
                                   stderr=subprocess.PIPE, text=True)
        wait_until("control has taken it", lambda: "late" in str(s.relay.adm("tenants", "list")))
        os.kill(control, signal.SIGKILL)
    stderr = command.communicate(timeout=60)[1]
    assert command.returncode == 3 and ("look whether the change is in force" in stderr or DOWN in stderr), stderr


def child_of(pid, name):
    """The keeper's child, although control cannot be asked for it; 0 = none."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == name:
                return int(child)
    return 0


def start_and_stop(keeper, old):
    """Another control process, stopped soon after its start."""
    os.kill(old, signal.SIGKILL)
    new = wait_until("another one", lambda: (p := child_of(keeper, "relay-control")) != old and p, step=0)
    os.kill(new, signal.SIGSTOP)
    return new


def test_starting(fresh):
    """A control process that is stopped before it serves; some tries come too late."""
    s = fresh()
    keeper = s.relay.process.pid
    os.setpriority(os.PRIO_PROCESS, keeper, 19)  # its next children start slowly
    for _ in range(20):
        control = start_and_stop(keeper, s.relay.pid_of("control"))
        if "it has been starting" in ask(s.relay.socket)[1]:
            break
        os.kill(control, signal.SIGCONT)
        wait_until("it serves", lambda: s.relay.adm_run("status").returncode == 0)
    text = told(s.relay.socket, DOWN + "it has been starting for ")
    assert "the one before: it ended by signal 9" in text
    os.kill(control, signal.SIGCONT)
    wait_until("it serves", lambda: s.relay.adm_run("status").returncode == 0)


def test_a_store_that_is_locked(fresh):
    s = fresh()
    control = s.relay.pid_of("control")
    with contextlib.closing(sqlite3.connect(s.dir / "state" / "relay.db", isolation_level=None, timeout=60)) as db:
        db.execute("BEGIN EXCLUSIVE")
        os.kill(control, signal.SIGKILL)
        told(s.relay.socket, "the one before: ", "; the next start is in ")
        wait_until("its reason", lambda: "database is locked" in ask(s.relay.socket)[1])
        db.execute("ROLLBACK")
    wait_until("it serves", lambda: s.relay.adm_run("status").returncode == 0, seconds=60)


def test_crashing(fresh):
    """Control cannot start any more: its reason is told."""
    s = fresh()
    database = s.dir / "state" / "relay.db"
    os.kill(control := s.relay.pid_of("control"), signal.SIGSTOP)
    good = {path: path.read_bytes() for path in (database, database.with_name("relay.db-wal"))}
    for path in database.parent.glob("relay.db-*"):
        path.unlink()
    database.write_bytes(b"no database" * 1000)
    os.kill(control, signal.SIGKILL)
    told(s.relay.socket, "relay.db", DOWN + "it has been starting")
    text = wait_until("its reason", lambda: (t := ask(s.relay.socket)[1]) and "the next start is in" in t and t)
    assert text.startswith("relayadm: " + DOWN) and str(database) in text
    for path, content in good.items():
        path.write_bytes(content)
        os.chown(path, database.stat().st_uid, database.stat().st_gid)
    wait_until("it serves", lambda: s.relay.adm_run("status").returncode == 0, seconds=60)


@pytest.mark.parametrize("words, advice", [(("status",), "nothing was changed, ask again"),
                                           (("tenants", "add", "late"), "look whether the change is in force")])
def test_an_answer_that_is_lost(tmp_path, words, advice):
    """Control has taken the command and ends. The advice fits what the command does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "admin.sock"))
        listener.listen()
        command = subprocess.Popen([BUILD / "relayadm", "--socket", tmp_path / "admin.sock", *words],
                                   stderr=subprocess.PIPE, text=True)
        control = listener.accept()[0]
        assert control.recv(65536)
        control.close()
        stderr = command.communicate(timeout=60)[1]
    assert command.returncode == 3 and stderr.rstrip().endswith(advice), stderr


def test_everything_stands_still(fresh):
    s = fresh()
    with s.relay.stopped("control"):
        assert f"kill -CONT {s.relay.process.pid}" in told(s.relay.socket, "is stopped and cannot restart it")
    assert s.relay.adm_run("status").returncode == 0
