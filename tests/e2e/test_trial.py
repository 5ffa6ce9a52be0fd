"""SIGUSR2: which program may take over, and what the operator learns meanwhile. See docs/UPGRADE.md."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from relay import BUILD, wait_until
from test_log import Unread, fill, lines
from test_upgrade import NO_HANDOVERS, OTHER_FORMATS, install, notices, own, processes, replace  # noqa: F401

NOT_OURS = "is not spoa-relay: it ended with exit code {} and did not check the configuration"
CANNOT = "cannot take over (exit code {})"
NO_START = CANNOT.format(127)


def script(text):
    return lambda s, good: f"#!/bin/sh\n{text}\n".format(s.dir).encode()


def file(path):
    return lambda s, good: pathlib.Path(path).read_bytes()


# name: (content, mode, reason, in the output)
PROGRAMS = {
    "true": (file("/bin/true"), 0o755, NOT_OURS.format(0), ""),
    "false": (file("/bin/false"), 0o755, CANNOT.format(1), ""),
    "echo": (file("/bin/echo"), 0o755, NOT_OURS.format(0), "--check-config"),
    "relayadm": (file(BUILD / "relayadm"), 0o755, CANNOT.format(2), "relayadm"),
    "exit 0": (script("exit 0"), 0o755, NOT_OURS.format(0), ""),
    "exit 10": (script("exit 10"), 0o755, NOT_OURS.format(10), ""),
    "exit 3, with words": (script("echo first; echo second >&2; printf 'a \"b\" \\t\\033 c\\n'; exit 3"), 0o755,
                           CANNOT.format(3), "first\nsecond\na \"b\" ?? c"),
    "does not end well": (script("kill -SEGV $$"), 0o755, "cannot take over (signal 11)", ""),
    "a part of an ELF file": (lambda s, good: good[:len(good) // 8], 0o755, "cannot take over (", ""),  # half of it runs
    "the head of an ELF file": (lambda s, good: good[:1000], 0o755, "cannot take over (", ""),
    "an empty file": (lambda s, good: b"", 0o755, NO_START, "Exec format error"),
    "not executable": (lambda s, good: good, 0o644, NO_START, "Permission denied"),
    "10 MB of words": (script("head -c 10000000 /dev/zero | tr '\\0' x; exit 0"), 0o755, "was ended: it printed more than 16 KB",
                       "xxx"),
    "words without end": (script("yes"), 0o755, "was ended: it printed more than 16 KB", "y\ny"),
    "a script without exec": (script('{}/real "$@"; exit $?'), 0o755, CANNOT.format(1), "a script started this program without exec"),
}


def not_replaced(s):
    return lines(s.relay.process.text(), "program not replaced, going on as before")


def pids(s):
    return {role: p["pid"] for role, p in wait_until("control answers", lambda: processes(s)).items()}


def ask(s):
    s.relay.process.popen.send_signal(signal.SIGUSR2)


def refused(s, what=""):
    """Sends SIGUSR2; the record of the refusal."""
    before = len(not_replaced(s))
    ask(s)
    return wait_until(f"{what} is refused", lambda: not_replaced(s)[before:])[0]


def tried(s):
    """How many trials have begun."""
    return s.relay.process.text().count("checking the new one")


def hang(s):
    """A program whose processes never end."""
    return f"#!/bin/sh\ncp /bin/sleep {s.dir}/hang\n{s.dir}/hang 987 &\n{s.dir}/hang 987\n".encode()


def left(s):
    """Processes of hang()."""
    return subprocess.run(["pgrep", "-f", f"^{s.dir}/hang"], capture_output=True, text=True).stdout.split()


def starts(s):
    """How often control has begun to serve."""
    return len([o for o in lines(s.relay.process.text(), "child process ready") if o["child"] == "control"])


@contextlib.contextmanager
def ending(s):
    """The new program is accepted, and control cannot end yet."""
    control, seen = s.relay.pid_of("control"), accepted(s)
    os.kill(control, signal.SIGSTOP)
    try:
        ask(s)
        wait_until("it is accepted", lambda: accepted(s) > seen)
        yield
    finally:
        os.kill(control, signal.SIGCONT)


def accepted(s):
    return s.relay.process.text().count("the new one can take over")


def assert_only_json(s):
    assert [line for line in s.relay.process.text().splitlines() if not line.startswith("{")] == []
    for line in s.relay.process.text().splitlines():
        json.loads(line)


def test_only_spoa_relay_takes_over(own):  # noqa: F811
    good, before = own.relay.program.read_bytes(), pids(own)
    shutil.copy(own.relay.program, own.dir / "real")
    descriptors = os.listdir(f"/proc/{own.relay.process.pid}/fd")
    for name, (content, mode, reason, words) in PROGRAMS.items():
        install(own, content(own, good), mode)
        record = refused(own, name)
        assert reason in record["reason"] and words in record.get("output", ""), (name, record)
        assert record["program"] == str(own.relay.program)
        assert pids(own) == before, name
        wait_until("the notice", lambda: notices(own) and reason in notices(own)[0]["message"])
        assert (words.split("\n")[-1]) in notices(own)[0]["message"], name
    own.relay.program.unlink()
    assert "No such file or directory" in refused(own)["output"]
    own.relay.program.mkdir()
    assert "Permission denied" in refused(own)["output"]
    own.relay.program.rmdir()
    assert pids(own) == before
    assert len(os.listdir(f"/proc/{own.relay.process.pid}/fd")) == len(descriptors)
    assert own.post("/v1/x", key=own.key).status == 200
    assert_only_json(own)
    assert [n["count"] for n in notices(own)] == [len(PROGRAMS) + 2]
    install(own, good)
    replace(own)
    wait_until("the notice ends", lambda: not notices(own))
    assert_only_json(own)


def test_a_signal_during_a_check_begins_a_new_one(own):  # noqa: F811
    good = own.relay.program.read_bytes()
    assert processes(own)["keeper"]["replacing_since"] is None
    install(own, hang(own))
    began = time.monotonic()
    ask(own)
    wait_until("status says it", lambda: processes(own)["keeper"]["replacing_since"])
    since = processes(own)["keeper"]["replacing_since"]
    status = own.relay.adm("status")
    assert status["ok"] and [w["message"] for w in status["warnings"] if w["code"] == "replacing"] == [
        f"SIGUSR2: the program is being replaced since {since}"]
    wait_until("it hangs", lambda: len(left(own)) == 2)
    install(own, good)
    replace(own)
    assert tried(own) == 2 and not not_replaced(own)
    assert time.monotonic() - began < 19  # the limit of a check has not ended it
    wait_until("nothing of the first is left", lambda: not left(own))
    assert processes(own)["keeper"]["replacing_since"] is None


@pytest.mark.takes(25)
def test_a_check_has_a_limit(own):  # noqa: F811
    install(own, hang(own))
    record = refused(own)
    assert record["reason"] == "the check of the program on disk was ended: it did not end within 20 s"
    assert record["reason"] in wait_until("the notice", lambda: notices(own))[0]["message"]
    assert processes(own)["keeper"]["replacing_since"] is None
    assert not left(own)


def test_a_signal_during_a_replacement_is_remembered(own):  # noqa: F811
    before = starts(own)
    with ending(own):
        for _ in range(3):
            ask(own)
            wait_until("it is remembered", lambda: "once more afterwards" in own.relay.process.text())
    wait_until("control starts twice", lambda: starts(own) == before + 2)
    wait_until("control answers", lambda: processes(own))
    assert tried(own) == accepted(own) == 2 and not not_replaced(own)
    assert own.post("/v1/x", key=own.key).status == 200


def children(s):
    keeper = s.relay.process.pid
    return set(pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split())


def stop_a_start(s):
    """Control is killed, and the next one stands still before it serves."""
    old, before = s.relay.pid_of("control"), starts(s)
    known = children(s)
    os.kill(old, signal.SIGKILL)
    new = int(wait_until("it starts", lambda: children(s) - known, step=0.001).pop())
    os.kill(new, signal.SIGSTOP)
    assert starts(s) == before
    return new


def test_a_child_that_starts_is_not_ended(own):  # noqa: F811
    before = starts(own)
    control = stop_a_start(own)
    try:
        ask(own)
        wait_until("it is accepted", lambda: accepted(own))
        said = wait_until("relayadm knows why", lambda: own.relay.adm_run("status").stderr)
        assert "it has been starting for" in said
    finally:
        os.kill(control, signal.SIGCONT)
    wait_until("it serves, and the next one", lambda: starts(own) == before + 2)


def test_relayadm_knows_of_a_replacement_that_takes_long(own):  # noqa: F811
    with ending(own):
        def told():
            return "the program is being replaced, for 1 s so far" in own.relay.adm_run("status").stderr
        wait_until("relayadm says it", told)
    wait_until("control answers", lambda: processes(own))


def test_many_signals(own):  # noqa: F811
    for n in range(60):
        ask(own)
        time.sleep(n % 7 / 500)
    replace(own)
    assert own.post("/v1/x", key=own.key).status == 200
    assert not [line for line in own.relay.process.text().splitlines() if '"level":"error"' in line]


def test_a_program_that_changes_after_its_check_does_not_take_over(own):  # noqa: F811
    good = own.relay.program.read_bytes()
    for change in (lambda: install(own, pathlib.Path("/bin/true").read_bytes()), own.relay.config.touch,
                   lambda: own.relay.program.chmod(0o644), own.relay.program.unlink):
        before, seen = starts(own), len(not_replaced(own))
        with ending(own):
            change()
        record = wait_until("it is refused", lambda: not_replaced(own)[seen:])[0]
        assert record["reason"] == "the program or the configuration on disk has changed since its check"
        wait_until("control serves again", lambda: starts(own) == before + 1)
        install(own, good)
        replace(own)
        assert own.post("/v1/x", key=own.key).status == 200


def unread(s, kind):
    """Both ends of a log, of which nobody reads anything."""
    reader, writer = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    fill(writer)
    return reader, writer


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_nobody_reads_holds_nothing_up(own, kind):  # noqa: F811
    """A socket is what systemd gives."""
    good = own.relay.program.read_bytes()
    reader, writer = unread(own, kind)
    with Unread(own, reader, writer, program=own.relay.program) as relay:
        wait_until("spoa-relay answers", lambda: own.relay.adm_run("status").returncode == 0)
        before = pids(own)
        for n, (content, reason) in enumerate(((b"#!/bin/sh\nyes >&2\n", "more than 16 KB"),
                                               (b"#!/bin/sh\necho no >&2\nexit 1\n", "(exit code 1): no"),
                                               (b"\x7fELF", "Exec format error"))):
            install(own, content)
            relay.popen.send_signal(signal.SIGUSR2)
            wait_until("the notice", lambda: notices(own) and notices(own)[0]["count"] == n + 1)
            assert reason in notices(own)[0]["message"]
        assert pids(own) == before
        install(own, good)
        relay.popen.send_signal(signal.SIGUSR2)
        wait_until("it is replaced", lambda: (now := processes(own)) and not notices(own)
                   and now["agent"]["pid"] not in (None, before["agent"]))
        assert own.post("/v1/x", key=own.key).status == 200
    os.close(writer)
    os.close(reader)


def test_a_program_that_cannot_be_started_after_its_check(own):  # noqa: F811
    """Everything goes on, although the descriptors have other numbers by then."""
    reader, writer = os.pipe()
    with Unread(own, reader, writer, program=own.relay.program) as relay:
        wait_until("spoa-relay answers", lambda: own.relay.adm_run("status").returncode == 0)
        before = pids(own)
        shell = own.dir / "sh"
        shutil.copy("/bin/sh", shell)
        shutil.copy(own.relay.program, own.dir / "real")
        good = own.relay.program.read_bytes()
        # the shell is there for the check only
        install(own, f'#!{shell}\nrm {shell}\nexec {own.dir}/real "$@"\n'.encode())
        relay.popen.send_signal(signal.SIGUSR2)
        wait_until("the notice", lambda: processes(own) and notices(own))
        assert notices(own)[0]["message"].endswith("goes on: No such file or directory")
        wait_until("it serves", lambda: own.post("/v1/x", key=own.key).status == 200)
        after = pids(own)
        assert after["keeper"] == before["keeper"] and after["agent"] != before["agent"]
        text = relay.read()
        assert [o["reason"] for o in lines(text, "program not replaced, going on as before")] == ["No such file or directory"]
        install(own, good)
        relay.popen.send_signal(signal.SIGUSR2)
        wait_until("it is replaced", lambda: (now := processes(own)) and not notices(own)
                   and now["agent"]["pid"] not in (None, after["agent"]))
        assert own.post("/v1/x", key=own.key).status == 200
    os.close(writer)
    os.close(reader)


def wrapper(s, variable=""):
    """A script that notes each run."""
    real = s.dir / "real"
    if not real.exists():
        shutil.copy(BUILD / "spoa-relay", real)
    return f'#!/bin/sh\necho ran >> {s.dir}/runs\n{variable} exec {real} "$@"\n'.encode()


def runs(s):
    return (s.dir / "runs").read_text().count("ran")


def programs(s):
    return {o["program"] for o in lines(s.relay.process.text(), "replacing the program: checking the new one")}


def test_a_wrapper_may_take_the_place_of_the_program(own):  # noqa: F811
    install(own, wrapper(own))
    for n in range(1, 4):
        replace(own)
        assert runs(own) == 2 * n  # a check and a start
    assert programs(own) == {str(own.relay.program)}


@pytest.mark.parametrize("variable", ["", "SPOA_RELAY_PROGRAM=$0"], ids=["the program", "the wrapper"])
def test_a_relay_that_a_wrapper_starts(own, variable):  # noqa: F811
    install(own, wrapper(own, variable))
    own.relay.stop()
    own.relay.start()
    for _ in range(2):
        replace(own)
    assert runs(own) == (5 if variable else 1)
    assert programs(own) == {str(own.relay.program if variable else own.dir / "real")}
