"""What other users, members of the admin group and the relay's own processes cannot do. As root: the relay then runs its
processes as `daemon` and `nobody`, and the admin group is `games`.
"""
import json
import os
import pathlib
import pwd
import shutil
import stat
import subprocess

import pytest

import relay as stack_of
from relay import ANY, BUILD, Refused, Relay, Stack, wait_until

ADMINS = "games"


def as_user(user, command, groups=()):
    """Runs a command as another user with these groups only."""
    uid = pwd.getpwnam(user).pw_uid
    group = ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
    run = ["setpriv", "--reuid", str(uid), "--regid", "nogroup", *group, *map(str, command)]
    return subprocess.run(run, capture_output=True, text=True, timeout=60)


@pytest.fixture
def locked(monkeypatch):
    """A stack with an admin group that is not control's own."""
    assert os.geteuid() == 0, "these tests need root"
    write = Relay.write_config

    def write_config(self, extra=""):
        write(self, extra)
        self.config.write_text(self.config.read_text().replace("group = daemon", f"group = {ADMINS}"))

    monkeypatch.setattr(Relay, "write_config", write_config)
    made = []

    def make(version=ANY, start=True, **options):
        s = Stack(version, **options)
        made.append(s)
        return s.start() if start else s

    yield make
    for s in made:
        s.stop()


def owner(path):
    s = os.lstat(path)
    return pwd.getpwuid(s.st_uid).pw_name, stat.S_IMODE(s.st_mode)


@pytest.mark.parametrize("version", stack_of.VERSIONS)
def test_haproxy_reads_only_what_the_keeper_wrote(locked, version):
    s = locked(version)
    out = s.dir / "haproxy"
    assert owner(out) == ("root", 0o755)
    for name in ("relay.cfg", "relay-spoe.conf"):
        assert owner(out / name) == ("root", 0o640)
    before = (out / "relay.cfg").read_text()
    for command in (["cp", "/etc/hostname", out / "relay.cfg"], ["rm", "-f", out / "relay.cfg"],
                    ["touch", out / "a"], ["mv", out / "relay.cfg", out / "b"]):
        assert as_user("daemon", command).returncode != 0
    # the relay itself still changes the files
    s.relay.adm("egress", "add", "near", "--source", "127.0.0.9")
    s.relay.adm("accounts", "set", "demo", "--egress", "near")
    after = (out / "relay.cfg").read_text()
    assert "near" in after and "near" not in before
    assert owner(out / "relay.cfg") == ("root", 0o640)
    assert s.post("/v1/responses", key=s.key).status == 200
    assert s.relay.adm("haproxy", "check")["check"] == "good"


def test_a_directory_of_controls_is_taken_over(locked):
    s = locked(start=False)
    out = s.dir / "haproxy"
    out.mkdir()
    (out / "relay.cfg").write_text("global\n\tuser root\nprogram evil\n\tcommand /bin/sh\n")
    for path in (out, out / "relay.cfg"):
        shutil.chown(path, "daemon", "daemon")
    s.start()
    assert owner(out) == ("root", 0o755)
    assert "program" not in (out / "relay.cfg").read_text()


def test_the_umask_of_the_start_changes_nothing(locked):
    s = locked(start=False)
    old = os.umask(0o077)
    try:
        s.start()
    finally:
        os.umask(old)
    assert owner(s.dir / "haproxy") == ("root", 0o755)
    before = s.relay.adm("haproxy", "status")["generation"]
    change = s.relay.adm("egress", "add", "spare", "--source", "127.0.0.9")
    assert change["haproxy"] == "unchanged", change
    assert s.relay.adm("haproxy", "check")["check"] == "good"
    assert s.relay.adm("haproxy", "status")["generation"] == before


def test_a_directory_that_control_cannot_read_is_refused(locked):
    s = locked(start=False)
    (s.dir / "haproxy").mkdir(mode=0o750)
    run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "chmod 0755" in run.stderr


def test_a_directory_that_everybody_may_write_is_refused(locked):
    s = locked(start=False)
    out = s.dir / "haproxy"
    out.mkdir()
    out.chmod(0o777)
    run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "chmod go-w" in run.stderr


def test_an_admin_reads_no_secret(locked):
    s = locked()
    adm = [BUILD / "relayadm", "--socket", s.relay.socket, "--json"]
    admin = lambda *words: as_user("nobody", [*adm, *words], [ADMINS])  # noqa: E731
    assert admin("status").returncode == 0
    assert as_user("nobody", [*adm, "status"]).returncode != 0
    state = s.dir / "state"
    files = [*state.iterdir(), s.dir / "haproxy" / "relay.cfg"]
    assert {"relay.db", "vault.key", "state"} <= {f.name for f in files}
    for path in files:
        for groups in ([ADMINS], []):
            assert as_user("nobody", ["cat", path], groups).returncode != 0, path
    assert as_user("nobody", ["ls", state], [ADMINS]).returncode != 0
    # nothing that an admin sends names a program, or a place to write to
    for words in (["--haproxy", "/bin/sh", "--out", s.dir / "haproxy"], ["--out", "/tmp"], ["--out", state]):
        run = admin("haproxy", "render", *words)
        assert run.returncode in (1, 2), run.stderr
    assert not list(pathlib.Path("/tmp").glob("relay.cfg"))


def test_a_request_cannot_name_a_program(locked):
    """Past relayadm, straight over the socket."""
    s = locked()
    proof = pathlib.Path("/tmp") / f"relay-proof-{os.getpid()}"
    program = pathlib.Path("/tmp") / f"relay-program-{os.getpid()}"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o755)
    try:
        body = json.dumps({"out": str(s.dir / "haproxy"), "haproxy": str(program), "bind": [f"127.0.0.1:{s.port}"]})
        run = as_user("nobody", ["curl", "-s", "--unix-socket", s.relay.socket, "-H", "Content-Type: application/json",
                                 "-d", body, "http://relay/v1/haproxy/render"], [ADMINS])
        assert "unknown field" in run.stdout, run.stdout
        assert not proof.exists()
    finally:
        program.unlink()
        proof.unlink(missing_ok=True)


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_each_process_has_given_up_what_it_does_not_need(locked):
    s = locked()
    pids = {role: s.relay.pid_of(role) for role in ("keeper", "control", "agent")}
    for role, pid in pids.items():
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1", role
        assert "Max core file size        0                    0" in pathlib.Path(f"/proc/{pid}/limits").read_text()
        kept = {"CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7} if role == "keeper" else {}
        mask = sum(1 << bit for bit in kept.values())
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) & ~mask == 0, (role, name)
        if BUILD.name == "release":
            assert status["Seccomp"] == ("0" if role == "keeper" else "2"), role
    # neither child looks into the other, or into itself from outside: not dumpable, so /proc belongs to root
    for user in ("daemon", "nobody"):
        for role in ("control", "agent"):
            assert as_user(user, ["cat", f"/proc/{pids[role]}/environ"]).returncode != 0, (user, role)


def test_the_filters_refuse_nothing_that_the_relay_does(locked):
    """Requests, a change, a reload of the configuration, another agent, another control, a stop."""
    s = locked()
    for role in ("agent", "control"):
        old = s.relay.pid_of(role)
        os.kill(old, 9)
        wait_until(f"another {role}", lambda: s.relay.adm_run("status").returncode == 0
                   and s.relay.pid_of(role) not in (0, old))  # noqa: B023
    s.relay.config.write_text(s.relay.config.read_text() + "[health]\nthreshold = 7\n")
    s.relay.process.popen.send_signal(1)
    wait_until("both have the configuration", lambda: "configuration reloaded" in s.relay.process.text())
    s.relay.adm("egress", "add", "near", "--source", "127.0.0.9")
    s.relay.adm("accounts", "set", "demo", "--egress", "near")
    wait_until("a request", lambda: s.post("/v1/responses", key=s.key).status == 200)
    s.haproxy.stop()
    s.haproxy = None
    relay = s.relay.process
    s.relay.stop()
    for word in ("Operation not permitted", "not reloaded", "unreadable", "no filter"):
        assert word not in relay.text(), relay.text()


def test_a_state_directory_that_others_may_write_is_refused(locked):
    s = locked(start=False)
    state = s.dir / "state"
    state.mkdir()
    shutil.chown(state, "daemon", "daemon")
    state.chmod(0o770)
    run = subprocess.run([BUILD / "spoa-relay", "--config", s.relay.config], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and "chmod 0700" in run.stderr
