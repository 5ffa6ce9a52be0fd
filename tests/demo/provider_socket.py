"""The frames of a WebSocket (RFC 6455), for provider.py. What a client sends is masked."""
import base64
import hashlib
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def handshake(named):
    accept = base64.b64encode(hashlib.sha1(named["sec-websocket-key"].encode() + GUID).digest())
    return b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def frame(kind, data):
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data)) if len(data) < 65536 else (
        b"\x7f" + struct.pack(">Q", len(data)))
    return bytes([0x80 | kind]) + size + data


class Frames:
    """Messages out of bytes."""

    def __init__(self):
        self.data, self.message = b"", b""

    def feed(self, data):
        """Yields (kind, data) of each whole message."""
        self.data += data
        while (whole := self.cut()) is not None:
            final, kind, data = whole
            if kind >= CLOSE:
                yield kind, data
                continue
            self.message += data
            if final:
                yield TEXT, self.message
                self.message = b""

    def cut(self):
        if len(self.data) < 2:
            return None
        size, at = self.data[1] & 0x7f, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(self.data) < at:
                return None
            size = int.from_bytes(self.data[2:at], "big")
        if len(self.data) < at + 4 + size:
            return None
        mask, body = self.data[at:at + 4], self.data[at + 4:at + 4 + size]
        final, kind = self.data[0] & 0x80, self.data[0] & 0x0f
        self.data = self.data[at + 4 + size:]
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return final, kind, (int.from_bytes(body, "big") ^ key).to_bytes(size, "big")
