#!/usr/bin/env python3
"""A second decoder of SPOP, written from SPOE.txt alone, which makes expected/ from frames/.

Run it after adding a capture and read the difference: it is what the C library has to find.
"""

import ipaddress
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
HELLO, DISCONNECT, NOTIFY = 1, 2, 3


class Cursor:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        part = self.data[self.at:self.at + n]
        if len(part) != n:
            raise ValueError("cut")
        self.at += n
        return part

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value = self.byte()
        shift = 4
        more = value >= 240
        while more:
            byte = self.byte()
            value += byte << shift
            shift += 7
            more = byte >= 128
        return value

    def string(self):
        return self.take(self.varint())

    def left(self):
        return len(self.data) - self.at


def text(raw):
    return "".join(chr(c) if 32 < c < 127 and c != 92 else f"\\x{c:02x}" for c in raw)


def signed(number):
    return number - (1 << 64) if number >> 63 else number


def value(cursor):
    head = cursor.byte()
    kind = head & 15
    if kind == 0:
        return "null"
    if kind == 1:
        return f"bool:{head >> 4 & 1}"
    if kind in (2, 4):
        return f"int{16 * kind}:{signed(cursor.varint())}"
    if kind in (3, 5):
        return f"uint{32 if kind == 3 else 64}:{cursor.varint()}"
    if kind in (6, 7):
        return f"ipv{4 if kind == 6 else 6}:{ipaddress.ip_address(cursor.take(4 if kind == 6 else 16))}"
    if kind in (8, 9):
        return f"{'string' if kind == 8 else 'binary'}:{text(cursor.string())}"
    raise ValueError(f"type {kind}")


def pairs(cursor):
    found = {}
    while cursor.left():
        name = text(cursor.string())
        found[name] = value(cursor)
    return found


def hello(cursor):
    said = pairs(cursor)
    offered = said["capabilities"].removeprefix("string:").split(",")
    return "hello max-frame-size={} pipelining={} async={} healthcheck={} engine-id={}\n".format(
        said["max-frame-size"].removeprefix("uint32:"),
        int("pipelining" in offered),
        int("async" in offered),
        said.get("healthcheck", "bool:0").removeprefix("bool:"),
        said.get("engine-id", "string:").removeprefix("string:"),
    )


def disconnect(cursor):
    said = pairs(cursor)
    return f"disconnect {said['status-code'].removeprefix('uint32:')} {said['message'].removeprefix('string:')}\n"


def notify(cursor, ids):
    lines = "notify {}/{}\n".format(*ids)
    while cursor.left():
        lines += "\t" + text(cursor.string())
        for _ in range(cursor.byte()):
            lines += f" {text(cursor.string())}={value(cursor)}"
        lines += "\n"
    return lines


def frame(data):
    cursor = Cursor(data)
    kind = cursor.byte()
    if cursor.take(4) != b"\0\0\0\1":
        raise ValueError("flags")
    ids = cursor.varint(), cursor.varint()
    if kind == NOTIFY:
        return notify(cursor, ids)
    return {HELLO: hello, DISCONNECT: disconnect}[kind](cursor)


def stream(data):
    cursor = Cursor(data)
    lines = ""
    while cursor.left():
        lines += frame(cursor.take(int.from_bytes(cursor.take(4), "big")))
    return lines


def main():
    for path in sorted((HERE / "frames").glob("*/*.from-haproxy.bin")):
        target = HERE / "expected" / path.parent.name / path.name.replace(".from-haproxy.bin", ".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(stream(path.read_bytes()), encoding="ascii")


if __name__ == "__main__":
    main()
