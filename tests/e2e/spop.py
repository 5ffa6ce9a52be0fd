"""SPOP in the role of HAProxy (SPOE.txt 3): frames are bytes, so that tests can truncate and change them."""
import socket
import struct

HELLO, DISCONNECT, NOTIFY = 1, 2, 3
AGENT_HELLO, AGENT_DISCONNECT, ACK = 101, 102, 103


def varint(n):
    if n < 240:
        return bytes([n])
    out = [(n | 240) & 255]
    n = (n - 240) >> 4
    while n >= 128:
        out.append((n | 128) & 255)
        n = (n - 128) >> 7
    return bytes([*out, n])


def read_varint(data, at):
    value, at = data[at], at + 1
    if value < 240:
        return value, at
    shift = 4
    while True:
        byte, at = data[at], at + 1
        value += byte << shift
        shift += 7
        if byte < 128:
            return value, at


def text(s):
    return varint(len(s)) + s.encode()


def value(v):
    if v is None:
        return b"\x00"
    if isinstance(v, bool):
        return b"\x11" if v else b"\x01"
    if isinstance(v, int):
        return b"\x04" + varint(v)
    if isinstance(v, bytes):
        return b"\x06" + v
    return b"\x08" + text(v)


def pairs(fields):
    return b"".join(text(k) + value(v) for k, v in fields.items())


def frame(kind, stream, number, payload, flags=1):
    body = bytes([kind]) + struct.pack(">I", flags) + varint(stream) + varint(number) + payload
    return struct.pack(">I", len(body)) + body


def hello(frame_size=163836, capabilities="pipelining,async", **more):
    return frame(HELLO, 0, 0, pairs({"supported-versions": "2.0", "max-frame-size": frame_size,
                                     "capabilities": capabilities, **more}))


def notify(stream, number, message, args):
    return frame(NOTIFY, stream, number, text(message) + bytes([len(args)]) + pairs(args))


def head(*lines):
    return "".join(f"{line}\r\n" for line in ("host: relay", *lines, ""))


def decide(number, request_id, key, message="decide", gen=1, **more):
    args = {"gen": gen, "id": request_id, "h": head(f"x-api-key: {key}"), "method": "POST", "path": "/v1/x",
            "src": b"\x7f\x00\x00\x01", **more}
    return notify(number, number, message, args)


class Connection:
    """`name` is an abstract name, or (HOST, PORT)."""

    def __init__(self, name, timeout=60):
        if isinstance(name, tuple):
            self.s = socket.create_connection(name, timeout)
            return
        self.s = socket.socket(socket.AF_UNIX)
        # a non-blocking connect fails at once when the queue of the listener is full: this one waits
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout, 0))
        self.s.connect(b"\0" + name.encode().ljust(107, b"\0"))
        self.s.settimeout(timeout)

    def send(self, data):
        self.s.sendall(data)

    def frame(self):
        """(type, payload after the ids), or None at the end."""
        head = self._exactly(4)
        if head is None:
            return None
        body = self._exactly(struct.unpack(">I", head)[0])
        at = 5
        for _ in range(2):
            _, at = read_varint(body, at)
        return body[0], body[at:]

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            try:
                more = self.s.recv(n - len(data))
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        return data

    def open(self):
        self.send(hello())
        kind, payload = self.frame()
        assert kind == AGENT_HELLO and b"version" in payload and b"max-frame-size" in payload
        assert b"capabilities" in payload and b"async" not in payload and b"fragmentation" not in payload
        return self

    def close(self):
        self.s.close()
