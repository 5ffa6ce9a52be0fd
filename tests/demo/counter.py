#!/usr/bin/python3
"""An upstream that counts, for each credential, the requests in flight and their peak. It counts in the callbacks of
the connections, so that it sees the end of a request before a later arrival.
GET or POST anything?ms=N&parts=N: headers after `before` ms, then `parts` pieces `ms` apart. GET /counts: the
counts."""
import asyncio
import json
import urllib.parse

HEAD_END = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


class Counts:
    def __init__(self):
        self.now, self.most, self.total = {}, {}, {}

    def enter(self, who):
        self.now[who] = self.now.get(who, 0) + 1
        self.total[who] = self.total.get(who, 0) + 1
        self.most[who] = max(self.most.get(who, 0), self.now[who])

    def leave(self, who):
        self.now[who] -= 1


class Connection(asyncio.Protocol):
    def __init__(self, counts):
        self.counts, self.data, self.who, self.timer, self.missing = counts, b"", None, None, 0

    def connection_made(self, transport):
        self.transport = transport

    def eof_received(self):
        self.end()

    def connection_lost(self, _):
        self.end()

    def end(self):
        if self.timer:
            self.timer.cancel()
        if self.who is not None:
            self.counts.leave(self.who)
            self.who = None

    def data_received(self, data):
        if self.missing:
            self.missing -= min(len(data), self.missing)
            return
        self.data += data
        at = self.data.find(HEAD_END)
        if at < 0:
            return
        lines = self.data[:at].decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        body = self.data[at + len(HEAD_END):]
        self.data = b""
        self.missing = max(0, int(headers.get("content-length", 0)) - len(body))
        self.begin(lines[0].split()[1], headers)

    def begin(self, target, headers):
        path, _, query = target.partition("?")
        if path == "/counts":
            body = json.dumps({"now": self.counts.now, "most": self.counts.most, "total": self.counts.total}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        args = dict(urllib.parse.parse_qsl(query))
        self.who = headers.get("authorization", "")
        self.counts.enter(self.who)
        self.pause = float(args.get("ms", 0)) / 1000
        self.parts = int(args.get("parts", 1))
        self.later(float(args.get("before", 0)) / 1000, self.head)

    def later(self, seconds, what):
        if seconds:
            self.timer = asyncio.get_running_loop().call_later(seconds, what)
        else:
            what()

    def head(self):
        self.transport.write(HEAD)
        self.part()

    def part(self):
        if self.parts == 0:
            self.who, who = None, self.who
            self.counts.leave(who)
            self.transport.write(b"0\r\n\r\n")
            return
        self.parts -= 1
        self.transport.write(b"4\r\npart\r\n")
        self.later(self.pause if self.parts else 0, self.part)


async def main():
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), "127.0.0.1", 0, backlog=4096)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
