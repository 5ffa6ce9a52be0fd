"""WebSockets for tests: the handshake of both sides, and bytes behind it, which no proxy reads."""
import base64
import contextlib
import hashlib
import os
import socket
import socketserver
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def read_head(s):
    """The lines of a head in small letters, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, rest


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def read_exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def read_frame(s):
    """Kind and content of a frame, RFC 6455 section 5.2."""
    first, second = read_exactly(s, 2)
    length = second & 127
    if length > 125:
        length = int.from_bytes(read_exactly(s, 2 if length == 126 else 8), "big")
    mask = read_exactly(s, 4) if second & 128 else bytes(4)
    data = read_exactly(s, length)
    return first & 15, bool(first & 128), bytes(c ^ mask[i % 4] for i, c in enumerate(data))


def write_frame(s, kind, data):
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big") if len(data) < 65536 else \
        b"\x7f" + len(data).to_bytes(8, "big")
    s.sendall(bytes([128 | kind]) + size + data)


class Server:
    """Echoes what it gets. `refuses` has the statuses for credentials that get no WebSocket; a connection to /hold stays
    open when its client has closed its side, one to /bye is half-closed by the server after the first byte."""

    def __init__(self, plain=lambda body: "{}"):
        outer = self
        self.plain, self.heads, self.refuses = plain, [], {}

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionError):
                    outer.serve(self.request)

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 256

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stopping = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, s):
        while True:
            first, headers, rest = read_head(s)
            if not first:
                return
            self.heads.append((first, headers))
            status = self.refuses.get(headers.get("authorization"))
            if headers.get("upgrade", "").lower() == "websocket" and not status:
                break
            body = rest + read_exactly(s, int(headers.get("content-length", 0)) - len(rest))
            answer = self.plain(body).encode()
            s.sendall(f"HTTP/1.1 {status or 200} X\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        s.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Relay-Own: 1\r\n"
                   f"Sec-WebSocket-Accept: {accept_of(headers['sec-websocket-key'])}\r\n\r\n").encode())
        self.talk(s, first.split(" ")[1])

    def talk(self, s, path):
        if path.endswith("/bye"):
            s.recv(1)
            s.sendall(b"bye")
            s.shutdown(socket.SHUT_WR)
        while data := s.recv(65536):
            s.sendall(data)
        if path.endswith("/hold"):
            self.stopping.wait()

    def stop(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


class Talker(Server):
    """Answers each text message with those that `answer` makes of it, and a plain request with the text `plain` makes of
    its body."""

    def __init__(self, answer, plain):
        self.answer, self.messages = answer, []
        super().__init__(plain)

    def talk(self, s, path):
        text = b""
        while True:
            kind, last, data = read_frame(s)
            if kind == 8:
                return write_frame(s, 8, data)
            if kind == 9:
                write_frame(s, 10, data)
            text += data if kind < 3 else b""
            if kind > 2 or not last:
                continue
            self.messages.append(text)
            for message in self.answer(text):
                write_frame(s, 1, message)
            text = b""


class Client:
    """A handshake; `status` tells whether it is a WebSocket (101)."""

    def __init__(self, stack, path="/v1/responses", key=None, headers=(), method="GET"):
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.s = stack.connect()
        stack.send(self.s, method, path, [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"),
                                          ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", nonce), *headers], key=key)
        first, self.headers, _ = read_head(self.s)
        self.status = int(first.split(" ")[1])
        self.code = self.headers.get("x-relay-error")
        self.id = self.headers.get("x-request-id")
        if self.status == 101:
            assert self.headers["sec-websocket-accept"] == accept_of(nonce), self.headers
            assert self.headers["upgrade"].lower() == "websocket", self.headers

    def echo(self, data=b"hello"):
        self.s.sendall(data)
        got = b""
        while len(got) < len(data):
            more = self.s.recv(65536)
            assert more, f"closed after {len(got)} bytes"
            got += more
        assert got == data

    def is_open(self):
        """Whether neither side has closed."""
        self.s.setblocking(False)
        try:
            return self.s.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.s.setblocking(True)
            self.s.settimeout(60)

    def close(self):
        self.s.close()
