"""The rendered files in a real HAProxy, with an agent that answers as the test requires, and an upstream that keeps its
requests. The files come from the sample of tests/unit/haproxy/test_load.c.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time

import spoa_probe
from relay import BUILD, free_port

ACCOUNT_SLOT, EXTRA_SLOT = "h_04383a50", "h_869294f4"  # ChatGPT-Account-ID, X-Extra
FIELD_ENDS, FIELD_CODE, FIELD_LABEL, FIELD_MARK, FIELD_LIMITS = 16, 18, 19, 20, 25  # of a record
OPENAI, ANTHROPIC, GEMINI = "/v1/responses", "/v1/messages/count_tokens", "/v1beta/models/demo:generateContent"
GOOGLE_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
                 408: "DEADLINE_EXCEEDED", 413: "INVALID_ARGUMENT", 426: "FAILED_PRECONDITION",
                 429: "RESOURCE_EXHAUSTED", 431: "INVALID_ARGUMENT", 502: "UNAVAILABLE", 503: "UNAVAILABLE",
                 504: "DEADLINE_EXCEEDED"}


def wait_until(condition, seconds=25):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Upstream:
    """Keeps every request it receives; `reply` is bytes, or is called with the connection."""

    def __init__(self, tls=None):
        self.requests, self.heads, self.connections, self.tls = [], [], 0, tls
        self.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, peer = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self.serve, args=(sock, peer[0]), daemon=True).start()

    def serve(self, sock, source):
        with contextlib.suppress(OSError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            stream = sock.makefile("rb")
            while self.answer(sock, stream, source):
                pass
        sock.close()

    def answer(self, sock, stream, source):
        head = b"".join(iter(stream.readline, b"\r\n")) if stream.peek(1) else b""
        if not head:
            return False
        self.heads.append(head)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = stream.read(int(length[1])) if length else b""
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            body = b"".join(iter(lambda: read_chunk(stream), b""))
        self.requests.append((head.decode("latin1"), body, source))
        if callable(self.reply):
            return self.reply(sock)
        sock.sendall(self.reply)
        return True

    def close(self):
        spoa_probe.stop_accepting(self.listener, self.acceptor)


def read_chunk(stream):
    data = stream.read(int(stream.readline(), 16))
    stream.readline()
    return data


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:]]

    def header(self, name):
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) < 2, f"{name} twice"
        return found[0] if found else None


class World:
    """One HAProxy with the sample of test_load, a scripted agent, an upstream and the records."""

    def __init__(self, command, place, agent=True, tls=None, **options):
        self.upstream, self.secure = Upstream(), Upstream(tls) if tls else None
        self.records = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.records.bind(("127.0.0.1", 0))
        self.records.settimeout(60)
        self.name = f"relay-e2e-{os.getpid()}-{id(self)}"
        self.say, self.probe = (lambda message, args: None), None
        self.shape = "openai"
        if agent:
            self.start_agent()
        self.port = free_port()
        self.files = place
        self.write(options)
        self.log = open(place / "haproxy.log", "wb")
        self.process = subprocess.Popen([command, "-W", "-f", place / "relay.cfg"],
                                        stdout=self.log, stderr=self.log)
        wait_until(self.is_listening)

    def start_agent(self):
        self.probe = spoa_probe.Probe(spoa_probe.listen_abns(self.name),
                                      lambda message, args: self.say(message, args))

    def write(self, options):
        records = f"udp:127.0.0.1:{self.records.getsockname()[1]}"
        command = [BUILD / "tests" / "haproxy_test_load", "--write", self.files,
                   f"127.0.0.1:{self.port}", f"abns:{self.name}", records, str(self.upstream.port)]
        if self.secure:
            command += [str(self.secure.port), self.files / "cert.pem"]
        subprocess.run(command, check=True, timeout=60, env={**os.environ, **{
            f"SAMPLE_{key.upper()}": str(value) for key, value in options.items()}})

    def is_listening(self):
        assert self.process.poll() is None, (self.files / "haproxy.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def allow(self, **more):
        variables = {"action": "allow", "be": "b1-demo-direct", "track": "1|2|3",
                     "bearer": "account-token", **more}
        kept = {key: value for key, value in variables.items() if value is not None}
        # Later attempts find no account, as the agent answers for the last one.
        nobody = {"action": "deny", "status": 502, "code": "upstream_unreachable", "type": "api_error",
                  "msg": "Some text", "retryable": True, "shape": self.shape}
        self.say = lambda message, args: nobody if message.startswith("again") else kept

    def deny(self, status, code, **more):
        variables = {"action": "deny", "status": status, "code": code, "type": "some_error",
                     "msg": "Some text", "retryable": False, **more}
        self.say = lambda message, args: variables

    def ask(self, path=OPENAI, headers="", method="GET", body=b"", first=b""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        request = f"{method} {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n{length}{headers}\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(first + request.encode("latin1") + body)
            return Answer(b"".join(iter(lambda: sock.recv(65536), b"")))

    def record(self, answer):
        """The record of the request with this answer; skips other records."""
        while True:
            fields = self.records.recv(8192).decode().split()
            if len(fields) > 3 and fields[3] == answer.header("x-request-id"):
                return fields

    def sent(self):
        return self.upstream.requests[-1]

    def asked(self):
        return self.probe.asked[-1][1]

    def close(self):
        self.process.terminate()
        self.process.wait(60)
        for part in (self.probe, self.upstream, self.secure, self.records, self.log):
            if part:
                part.close()


def google_fields(body, status, code, identity):
    """The fields of Google's error shape, as those of the other shapes."""
    assert set(body) == {"error"} and set(body["error"]) == {"code", "message", "status", "details"}
    assert (body["error"]["code"], body["error"]["status"]) == (status, GOOGLE_STATUS[status])
    detail, = body["error"]["details"]
    assert set(detail) == {"code", "type", "retryable", "request_id", "resets_at"}
    assert (detail["code"], detail["request_id"]) == (code, identity)
    return {**detail, "message": body["error"]["message"]}


def assert_error(answer, status, code, path):
    """The uniform error of docs/INTERFACE.md, in the shape of the path."""
    assert (answer.status, answer.header("x-relay-error")) == (status, code)
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-relay-upstream") is None
    identity, body = answer.header("x-request-id"), json.loads(answer.body)
    assert answer.header("x-should-retry") == ("true" if b'"retryable":true' in answer.body else "false")
    common = {"type", "code", "message", "retryable", "resets_at"}
    if path.startswith("/v1/messages"):
        assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
        assert set(body["error"]) == common and body["request_id"] == identity
    elif path.startswith("/v1beta/"):
        return google_fields(body, status, code, identity)
    else:
        assert set(body) == {"error"} and set(body["error"]) == common | {"param", "request_id"}
        assert body["error"]["request_id"] == identity and body["error"]["param"] is None
    assert re.fullmatch("[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identity)
    assert body["error"]["code"] == code
    return body["error"]
