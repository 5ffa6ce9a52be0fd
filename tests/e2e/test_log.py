"""The log: a line for each request as configured, priorities for the journal, and a reader that stops reading."""
import json
import os
import re
import signal
import socket
import subprocess
import uuid

from relay import BUILD, wait_until


def lines(text, msg):
    return [o for o in map(json.loads, filter(lambda line: line.startswith("{"), text.splitlines())) if o["msg"] == msg]


def access(s, request_id):
    return [o for o in lines(s.relay.process.text(), "access") if o["request_id"] == request_id]


def set_requests(s, which):
    text = s.relay.config.read_text()
    s.relay.config.write_text(re.sub(r"(?m)^requests = \w+$", f"requests = {which}", text))
    before = s.relay.metric("relay_snapshot_version")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("the reload", lambda: s.relay.metric("relay_snapshot_version") > before)


def test_each_request_has_a_line_with_names(fresh):
    secret = f"query-{uuid.uuid4().hex}"
    s = fresh(extra="[log]\nrequests = all\nlevel = error\n")
    served = s.post(f"/v1/chat/completions?key={secret}", key=s.key,
                    headers=[("session-id", "talk")]).getheader("X-Request-Id")
    refused = s.post("/v1/x", key="rk_bad").getheader("X-Request-Id")
    one = wait_until("its line", lambda: access(s, served))[0]
    names = {field: one[field] for field in ("tenant", "pool", "account", "egress", "upstream", "provider")}
    assert names == {"tenant": "demo", "pool": "demo", "account": "demo", "egress": "direct", "upstream": "demo",
                     "provider": "openai"}
    assert (one["role"], one["method"], one["path"], one["status"]) == ("control", "POST", "/v1/chat/completions", 200)
    assert (one["attempts"], one["retries"], one["circuit"], one["code"]) == (1, 0, "closed", None)
    assert one["concurrency"] >= 1 and re.fullmatch("[0-9a-f]{16}", one["conversation"])
    assert one["relay_ms"] >= 0 and one["upstream_ms"] >= 0 and one["duration_ms"] >= one["upstream_ms"]
    two = wait_until("the refusal's", lambda: access(s, refused))[0]
    assert (two["tenant"], two["account"], two["status"], two["code"]) == (None, None, 401, "invalid_api_key")
    odd = s.post('/v1/a"b\\c', key=s.key).getheader("X-Request-Id")
    assert wait_until("its line", lambda: access(s, odd))[0]["path"] == '/v1/a"b\\c'
    # a reload changes what is written
    set_requests(s, "errors")
    served, refused = (s.post("/v1/x", key=key).getheader("X-Request-Id") for key in (s.key, "rk_bad"))
    wait_until("the refusal's", lambda: access(s, refused))
    set_requests(s, "off")
    last = s.post("/v1/x", key=s.key).getheader("X-Request-Id")
    wait_until("it has ended", lambda: any(row["id"] == last for row in s.relay.adm("requests", "list")["items"]))
    text = s.relay.process.text()
    assert not access(s, served) and not access(s, last) and secret not in text and s.key not in text


class Unread:
    """A relay whose stderr nobody reads until the end."""

    def __init__(self, s, reader, writer, program=BUILD / "spoa-relay", **options):
        self.reader = reader
        s.relay.stop()
        self.popen = subprocess.Popen([program, "--config", s.relay.config], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=writer, start_new_session=True, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.terminate()
        try:
            assert self.popen.wait(60) == 0
        finally:
            if self.popen.poll() is None:
                os.killpg(self.popen.pid, signal.SIGKILL)
                self.popen.wait()

    def read(self):
        """Everything that waits in the pipe or socket."""
        text = b""
        os.set_blocking(self.reader, False)
        try:
            while piece := os.read(self.reader, 1 << 20):
                text += piece
        except BlockingIOError:
            pass
        return text.decode(errors="replace")


def fill(fd):
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(fd, True)


def test_a_start_that_fails_waits_for_no_reader(tmp_path):
    """And what it says is a line of the log."""
    reader, writer = os.pipe()
    command = [BUILD / "spoa-relay", "--config", tmp_path / "none.conf"]
    assert subprocess.run(command, stderr=writer, timeout=20).returncode == 1
    line = json.loads(os.read(reader, 10000))
    assert (line["level"], line["role"], line["msg"]) == ("error", "keeper", "cannot start")
    assert line["error"].endswith("none.conf: No such file or directory")
    fill(writer)
    assert subprocess.run(command, stderr=writer, timeout=20).returncode == 1
    os.close(writer)
    os.close(reader)


def test_a_full_pipe_stops_no_process(fresh):
    s = fresh(extra="[log]\nrequests = all\n")
    reader, writer = os.pipe()
    fill(writer)
    with Unread(s, reader, writer) as relay:
        wait_until("spoa-relay answers", lambda: s.relay.adm_run("status").returncode == 0)
        for _ in range(100):
            assert s.post("/v1/x", key=s.key).status == 200
        wait_until("lines are dropped", lambda: s.relay.metric("relay_log_lines_dropped_total") >= 100)
        relay.read()
        s.post("/v1/x", key=s.key)
        text = wait_until("the relay says so", relay.read)
        while '"msg":"access"' not in text:
            text += wait_until("the line", relay.read)
        told = lines(text, "log lines were dropped: nobody read them")
        assert told and all(o["level"] == "warning" and o["count"] > 0 for o in told)
        # the pipe's own flags are as they were: other programs may write to it
        assert os.get_blocking(writer)
    os.close(writer)
    os.close(reader)


def test_the_journal_gets_priorities(fresh):
    s = fresh(extra="[log]\nrequests = all\n")
    ours, journal = socket.socketpair()
    info = os.fstat(journal.fileno())
    with ours, journal, Unread(s, ours.fileno(), journal, env={**os.environ,
                                                                "JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"}) as relay:
        wait_until("spoa-relay answers", lambda: s.relay.adm_run("status").returncode == 0)
        s.post("/v1/x", key=s.key)
        text = wait_until("lines", relay.read)
        while '"msg":"access"' not in text:
            text += wait_until("the line", relay.read)
        rows = text.splitlines()
        levels = {"error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}
        assert rows and all(row.startswith(levels[json.loads(row[3:])["level"]]) for row in rows)
        assert {json.loads(row[3:])["role"] for row in rows} >= {"keeper", "control"}
