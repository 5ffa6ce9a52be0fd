"""A world whose agent and upstream follow a plan, attempt by attempt."""

import re
import socket

from rendered import FIELD_MARK, Answer, World, wait_until

DENIED = {"action": "deny", "status": 502, "code": "upstream_unreachable", "type": "api_error", "msg": "Some text",
          "retryable": True, "retry": 7, "shape": "openai"}


def answer(status, body=b"no", headers=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)


OK = answer(200, b"ok")


def allowed(attempt, bearer, backend="b1-demo-direct", alt=False, **more):
    return {"action": "allow", "be": backend, "bearer": bearer, "track": f"1|2|{attempt}", "alt": alt,
            "mark": f"{attempt}.0.0.0", "shape": "openai", **more}


class Attempts(World):
    """`decisions` are given in order, starting with decide; `replies` are the upstream's, by bearer."""

    def __init__(self, command, place, **options):
        super().__init__(command, place, admin=place / "admin.sock", **options)
        wait_until((place / "admin.sock").exists)

    def plan(self, decisions, replies):
        left = list(decisions)

        def say(message, args):
            if message == "respond":
                return {"watch": False}
            return left.pop(0) if left else DENIED

        self.say = say
        self.upstream.requests.clear()
        self.probe.asked.clear()

        def reply(sock):
            raw = replies.get(re.search("Bearer (.*)\r", self.sent()[0])[1], OK)
            if callable(raw):
                return raw(sock)
            if raw:
                sock.sendall(raw)
            return bool(raw)

        self.upstream.reply = reply

    def messages(self):
        return [message for message, _ in self.probe.asked]

    def records_of(self, answer, count):
        """Records by attempt; a denied attempt has no mark and comes first."""
        return sorted((self.record(answer) for _ in range(count)), key=lambda fields: fields[FIELD_MARK])

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.files / "admin.sock"))
            sock.sendall(text.encode() + b"\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode()

    def stat(self, backend, server, field):
        lines = self.command("show stat").splitlines()
        names = lines[0].split(",")
        return [line.split(",")[names.index(field)] for line in lines if line.startswith(f"{backend},{server},")][0]

    def ask_inside(self, path, headers, method="GET", body=b""):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(self.files / "internal.sock"))
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            sock.sendall(f"{head}{headers}\r\n".encode() + body)
            return Answer(b"".join(iter(lambda: sock.recv(65536), b"")))


def retries_429(haproxy):
    return sees(haproxy)


def sees(haproxy):
    """From 3.0 on HAProxy tells the agent what it has taken back."""
    return not haproxy[0].startswith("2.")


def last_server(haproxy):
    """The server of the last of several attempts, which uses a new connection."""
    return "out" if sees(haproxy) else "fresh"


def told(text):
    """A limits text without the keys that have no value."""
    text = text.decode("latin1") if isinstance(text, bytes) else text or ""
    return "".join(f"{field};" for field in text.split(";") if field.partition("=")[2])
