"""A SPOP agent that answers what a test tells it and keeps what HAProxy asked.

It stands in for the agent only where a test must choose the answer byte by byte: the rules of the
rendered files have to hold whatever an agent says.
"""

import ipaddress
import socket
import struct
import threading

HELLO, DISCONNECT, NOTIFY = 1, 2, 3
AGENT_HELLO, AGENT_DISCONNECT, ACK = 101, 102, 103
FRAME_MAX = 1 << 20


def varint(n):
    if n < 240:
        return bytes((n,))
    out = bytearray(((n & 15) | 240,))
    n = (n - 240) >> 4
    while n >= 128:
        out.append((n & 127) | 128)
        n = (n - 128) >> 7
    out.append(n)
    return bytes(out)


def text(s):
    raw = s.encode() if isinstance(s, str) else s
    return varint(len(raw)) + raw


def value(v):
    if v is None:
        return b"\0"
    if isinstance(v, bool):
        return b"\x11" if v else b"\x01"
    if isinstance(v, int):
        return b"\x04" + varint(v)
    return b"\x08" + text(v)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, n):
        if n > len(self.data) - self.at:
            raise ValueError("frame cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        n = self.bytes(1)[0]
        if n < 240:
            return n
        shift = 4
        while True:
            byte = self.bytes(1)[0]
            n += byte << shift
            shift += 7
            if byte < 128:
                return n

    def text(self):
        return self.bytes(self.varint())

    def value(self):
        kind = self.bytes(1)[0]
        if kind & 15 == 0:
            return None
        if kind & 15 == 1:
            return bool(kind & 16)
        if kind & 15 in (2, 3, 4, 5):
            n = self.varint()
            return n - (1 << 64) if n >> 63 else n
        if kind & 15 in (6, 7):
            return ipaddress.ip_address(self.bytes(4 if kind & 15 == 6 else 16))
        if kind & 15 in (8, 9):
            return self.text()
        raise ValueError(f"unknown type {kind & 15}")

    def left(self):
        return len(self.data) - self.at


def receive(sock, n):
    data = b""
    while len(data) < n:
        part = sock.recv(n - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def read_frame(sock):
    size = struct.unpack(">I", receive(sock, 4))[0]
    if size > FRAME_MAX:
        raise ValueError("frame too large")
    reader = Reader(receive(sock, size))
    kind = reader.bytes(1)[0]
    reader.bytes(4)
    return kind, reader.varint(), reader.varint(), reader


def frame(kind, stream, number, payload):
    body = bytes((kind,)) + b"\0\0\0\x01" + varint(stream) + varint(number) + payload
    return struct.pack(">I", len(body)) + body


def key_values(pairs):
    return b"".join(text(k) + value(v) for k, v in pairs.items())


class Probe:
    """`decide(message, args)` returns the variables to set, or None for no answer."""

    def __init__(self, listener, decide):
        self.listener, self.decide = listener, decide
        self.asked = []
        self.connections = set()
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            while self.answer(sock):
                pass
        except (EOFError, OSError):
            pass
        finally:
            self.connections.discard(sock)
            sock.close()

    def answer(self, sock):
        kind, stream, number, reader = read_frame(sock)
        if kind == HELLO:
            hello = {}
            while reader.left():
                name = reader.text().decode()
                hello[name] = reader.value()
            sock.sendall(frame(AGENT_HELLO, 0, 0, key_values(
                {"version": "2.0", "max-frame-size": hello["max-frame-size"],
                 "capabilities": ""})))
            return not hello.get("healthcheck")
        if kind == NOTIFY:
            return self.decide_frame(sock, stream, number, reader)
        return False

    def decide_frame(self, sock, stream, number, reader):
        message = reader.text().decode()
        count = reader.bytes(1)[0]
        args = {}
        for _ in range(count):
            name = reader.text().decode()
            args[name] = reader.value()
        self.asked.append((message, args))
        variables = self.decide(message, args)
        if variables is None:
            return True
        actions = b"".join(b"\x01\x03\x02" + text(k) + value(v) for k, v in variables.items())
        sock.sendall(frame(ACK, stream, number, actions))
        return True

    def close(self):
        stop_accepting(self.listener, self.acceptor)
        for sock in list(self.connections):
            sock.close()


def stop_accepting(listener, thread):
    """Wakes the thread before another listener can get the same descriptor number."""
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def listen_abns(name):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(("\0" + name).ljust(108, "\0"))
    sock.listen(64)
    return sock
