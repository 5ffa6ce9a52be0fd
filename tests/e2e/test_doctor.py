"""`relayadm doctor` calls a good installation good, and finds each fault of a bad one."""
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

import pytest

from relay import BUILD, ROOT, VERSIONS, Relay, haproxy_command, wait_until

SHIPPED = (ROOT / "agent/keeper/spoa-relay.service", ROOT / "agent/keeper/spoa-relay.socket",
           ROOT / "haproxy/spoa-relay.conf")
# of a test machine, whatever the installation is like: space, NTP, descriptors
OF_THE_MACHINE = ("disk", "clock", "descriptors")


def advice(*options):
    """What to do, as words of a shell."""
    run = subprocess.run([BUILD / "relayadm", "--json", "doctor", *map(str, options)], capture_output=True, text=True,
                         timeout=60)
    return [shlex.split(f["do"]) for f in json.loads(run.stdout) if f["do"] and f["check"] != "relay"]


def doctor(*options, user=None):
    """exit code, {(level, check): texts}"""
    run = subprocess.run([BUILD / "relayadm", "--json", "doctor", *map(str, options)], capture_output=True, text=True,
                         timeout=60, user=user, group=user, extra_groups=[] if user else None,
                         env={k: v for k, v in os.environ.items() if k != "RELAYADM_SOCKET"})
    assert run.returncode in (0, 1), run.stderr
    found = {}
    for f in json.loads(run.stdout):
        assert f["level"] in ("ok", "note", "problem") and f["found"]
        assert f["level"] != "problem" or f["do"], f
        found.setdefault((f["level"], f["check"]), []).append(f["found"])
    has_problem = any(level == "problem" for level, _ in found)
    assert run.returncode == int(has_problem), found
    return run.returncode, found


def problems(found):
    return {check for level, check in found if level == "problem" and check not in OF_THE_MACHINE}


class Units:
    """The shipped units, with the paths of one relay."""

    def __init__(self, relay):
        self.dir = relay.dir / "units"
        (self.dir / "haproxy.service.d").mkdir(parents=True)
        group = "daemon" if os.geteuid() == 0 else "spoa-relay"
        changes = [("/usr/local/bin/spoa-relay", str(BUILD / "spoa-relay")),
                   ("/etc/spoa-relay/spoa-relay.conf", str(relay.config)),
                   ("/var/lib/haproxy/relay/agent.sock", f"{relay.dir}/run/agent.sock"),
                   ("127.0.0.1:8811", f"127.0.0.1:{relay.events_port}"),
                   ("/run/haproxy-master.sock", f"{relay.dir}/master.sock"),
                   ("group,spoa-relay", f"group,{group}"),
                   ("/etc/haproxy/relay/relay.cfg", f"{relay.dir}/haproxy/relay.cfg")]
        for shipped in SHIPPED:
            text = shipped.read_text()
            for old, new in changes:
                text = text.replace(old, new)
            self.path(shipped.name).write_text(text)

    def path(self, name):
        return self.dir / ("haproxy.service.d" if name == "spoa-relay.conf" else "") / name


@pytest.mark.takes(30)
@pytest.mark.parametrize("version", VERSIONS)
def test_good_installation(fresh, version):
    s = fresh(version)
    units = Units(s.relay)
    looks = ("--config", s.relay.config, "--units", units.dir)
    wait_until("there is no problem", lambda: not problems(doctor(*looks)[1]))
    found = doctor(*looks)[1]
    assert problems(found) == set(), found
    for check in ("configuration", "state_dir", "key file", "sockets", "haproxy", "rendered files", "version", "status"):
        assert ("ok", check) in found, (check, found)
    assert len(found["ok", "units"]) == 3, found
    assert any(s.version in text and "runs" in text for text in found["ok", "haproxy"])

    if os.geteuid() == 0:  # another user is told what was not checked
        found = doctor(*looks, user="games")[1]
        assert problems(found) == set() and ("ok", "status") not in found, found
        for check in ("relay", "key file", "rendered files", "egress"):
            assert any("not checked" in text for text in found["note", check]), (check, found)

    # while it runs
    s.relay.adm("egress", "add", "nowhere", "--source", "203.0.113.77")
    (s.relay.dir / "state" / "vault.key").chmod(0o444)
    found = doctor(*looks)[1]
    assert {"egress", "key file"} <= problems(found), found
    (s.relay.dir / "state" / "vault.key").chmod(0o400)
    (s.dir / "haproxy" / "relay.cfg").write_text("# Rendered by spoa-relay, generation 999. Do not edit\n")
    found = doctor(*looks)[1]
    assert "rendered files" in problems(found), found

    # the command works, and says so, when nothing runs
    s.haproxy.stop()
    s.haproxy = None
    s.relay.stop()
    found = doctor(*looks)[1]
    assert "relay" in problems(found) and "sockets" in problems(found), found
    assert any("not checked" in text for text in found["note", "egress"])


FAULTS = [
    ("spoa-relay.service", "relay.conf", "other.conf", "--config"),
    ("spoa-relay.service", "TimeoutStopSec=60", "TimeoutStopSec=55", "TimeoutStopSec"),
    ("spoa-relay.service", "ExecStart=", "ExecStart=/nowhere", "cannot run"),
    ("spoa-relay.socket", "agent.sock", "agent", "ListenStream"),
    ("spoa-relay.socket", "ListenDatagram=127.0.0.1:", "ListenDatagram=127.0.0.2:", "ListenDatagram"),
    ("spoa-relay.socket", "SocketUser=haproxy", "SocketUser=games", "SocketUser"),
    ("spoa-relay.conf", "haproxy/relay.cfg", "relay.cfg", "relay.cfg"),
    ("spoa-relay.conf", "master.sock", "master", "master.sock"),
    ("spoa-relay.conf", "group,", "group,no", "group"),
]


def test_a_control_process_that_hangs(fresh):
    """doctor says what every command says, and does not advise to start what runs."""
    s = fresh()
    units = Units(s.relay)
    control = s.relay.pid_of("control")

    def advised():
        run = subprocess.run([BUILD / "relayadm", "--json", "doctor", "--config", s.relay.config, "--units", units.dir],
                             capture_output=True, text=True, timeout=60)
        [finding] = [f for f in json.loads(run.stdout) if f["check"] == "relay"]
        assert run.returncode == 1 and finding["level"] == "problem", finding
        assert "relayadm status" in finding["do"] and "start" not in finding["do"], finding
        return finding["found"]

    os.kill(control, signal.SIGSTOP)
    try:
        found = advised()
        assert found.startswith("the control process is not running: it has not answered for "), found
        said = s.relay.adm_run("status").stderr
        assert "the control process is not running: it has not answered for " in said
        os.kill(s.relay.process.pid, signal.SIGSTOP)
        try:
            assert "to continue it: kill -CONT" in advised()
        finally:
            os.kill(s.relay.process.pid, signal.SIGCONT)
    finally:
        os.kill(control, signal.SIGCONT)


@pytest.fixture
def stopped(fresh):
    """A relay that was never started, with its configuration."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="relay-e2e-"))
    yield Relay(directory, haproxy_command(VERSIONS[0]))
    shutil.rmtree(directory)


def test_faults_of_units(stopped):
    units = Units(stopped)
    found = doctor("--config", stopped.config, "--units", units.dir)[1]
    assert len(found["ok", "units"]) == 3 and "units" not in problems(found), found
    for name, old, new, said in FAULTS:
        path = units.path(name)
        good = path.read_text()
        assert old in good
        path.write_text(good.replace(old, new))
        found = doctor("--config", stopped.config, "--units", units.dir)[1]
        assert len(found["ok", "units"]) == 2, (name, new, found)
        assert any(name in text and said in text for text in found["problem", "units"]), (name, new, found)
        path.write_text(good)
        path.rename(path.with_suffix(".away"))
        found = doctor("--config", stopped.config, "--units", units.dir)[1]
        assert len(found["note", "units"]) == 1 and "not checked" in found["note", "units"][0], found
        path.with_suffix(".away").rename(path)


def test_faults_of_the_configuration(stopped):
    code, found = doctor("--config", stopped.dir / "none.conf")
    assert code == 1 and list(found) == [("problem", "configuration")]
    good = stopped.config.read_text()
    stopped.config.write_text(good + "[relay]\nno_such_option = 1\n")
    code, found = doctor("--config", stopped.config)
    assert code == 1 and "no_such_option" in found["problem", "configuration"][0]
    stopped.config.write_text(good.replace("binary = ", "binary = /nowhere"))
    found = doctor("--config", stopped.config)[1]
    assert {"haproxy", "state_dir", "relay", "sockets", "rendered files"} <= problems(found), found
    (stopped.dir / "state").mkdir(mode=0o777)
    (stopped.dir / "state").chmod(0o777)
    assert "state_dir" in problems(doctor("--config", stopped.config)[1])
    if os.geteuid() == 0:
        stopped.config.write_text(good.replace("user = daemon", "user = no-such-user"))
        assert "users" in problems(doctor("--config", stopped.config)[1])
        stopped.config.write_text(good.replace("agent_user = nobody", "agent_user = daemon"))
        assert "configuration" in problems(doctor("--config", stopped.config)[1])
        stopped.config.write_text(good.replace("group = daemon", "group = no-such-group"))
        assert "users" in problems(doctor("--config", stopped.config)[1])


def test_advice_can_be_pasted(stopped):
    """With odd names and paths in it."""
    good = stopped.config.read_text()
    user, group, state = "o'user; id", "a group", stopped.dir / "the $HOME's state"
    odd = stopped.dir / "odd 'name'.conf"
    odd.write_text(re.sub(r"(?m)^state_dir = .*$", f"state_dir = {state}", good))
    state.mkdir()
    state.chmod(0o777)
    (state / "vault.key").touch(mode=0o644)
    told = advice("--config", odd)
    assert any(words[:1] == ["chown"] and words[2:] == [str(state), "&&", "chmod", "700", str(state)] for words in told), told
    assert ["chmod", "400", str(state / "vault.key")] in told
    odd.write_text(odd.read_text() + "[relay]\nno_such_option = 1\n")
    assert advice("--config", odd) == [["correct", "it,", "then:", "spoa-relay", "--check-config", "--config", str(odd)]]
    if os.geteuid() == 0:
        odd.write_text(good.replace("user = daemon", f"user = {user}").replace("group = daemon", f"group = {group}"))
        told = advice("--config", odd)
        assert ["useradd", "--system", user] in told and ["groupadd", "--system", group] in told, told


def lines_of(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines()
                if "=" in line and not line.startswith("#"))


def test_shipped_units_agree(stopped):
    """With each other, with the README's configuration, and with what the relay needs of systemd."""
    service, unit = lines_of(SHIPPED[0]), lines_of(SHIPPED[1])
    readme = (ROOT / "README.md").read_text()
    start = readme.index("    [haproxy]\n")
    stopped.config.write_text("".join(line.strip() + "\n" for line in readme[start:].split("\n\n")[0].splitlines()))
    directory = stopped.dir / "shipped"
    (directory / "haproxy.service.d").mkdir(parents=True)
    shutil.copy(SHIPPED[2], directory / "haproxy.service.d")
    for path in SHIPPED[:2]:
        text = path.read_text().replace("/usr/local/bin/spoa-relay", str(BUILD / "spoa-relay"))
        assert "--config /etc/spoa-relay/spoa-relay.conf" in text or path == SHIPPED[1]
        (directory / path.name).write_text(text.replace("/etc/spoa-relay/spoa-relay.conf", str(stopped.config)))
    found = doctor("--config", stopped.config, "--units", directory)[1]
    assert len(found["ok", "units"]) == 3, found
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID" and service["Restart"] == "always"
    # only the keeper gets SIGTERM; it ends its children in order
    assert service["KillMode"] == "mixed" and service.get("Type", "simple") == "simple"
    assert service["Before"] == unit["Before"] == "haproxy.service"
    assert int(service["LimitNOFILE"]) >= 65536
    if shutil.which("systemd-analyze"):  # not on every machine that builds
        run = subprocess.run(["systemd-analyze", "verify", "--man=no", *(directory / p.name for p in SHIPPED[:2])],
                             capture_output=True, text=True, timeout=60)
        assert run.returncode == 0 and "spoa-relay" not in run.stderr, run.stderr
