"""Many concurrent clients, some of which leave in the middle: one asyncio loop, raw sockets."""
import asyncio
import random
import socket
import struct

# Moments at which a client leaves. The last two need an answer that starts slowly.
MOMENTS = ("connected", "half a head", "head without body", "half a body", "sent", "after 1 ms", "after 5 ms",
           "at the head of the answer", "at the first part", "in the middle", "in a silence", "by a reset")


class Crowd:
    def __init__(self, port, key, clients, seed, leaving=0.0, until=600):
        self.port, self.key, self.clients, self.leaving, self.until = port, key, clients, leaving, until
        self.random = random.Random(seed)
        self.statuses = {}
        self.left = dict.fromkeys(MOMENTS, 0)
        self.broken = 0

    def request(self, moment):
        before = self.random.choice((0, 0, 0, 2, 20)) if moment != "in a silence" else 200
        parts, ms = self.random.choice(((1, 0), (1, 0), (3, 1), (5, 4), (2, 30)))
        if moment in ("in the middle", "at the first part"):
            parts, ms = 5, 20
        body = b"x" * self.random.choice((0, 10, 2000)) if moment not in ("head without body", "half a body") else b"x" * 3000
        head = (f"POST /w?before={before}&parts={parts}&ms={ms} HTTP/1.1\r\nHost: relay\r\nX-API-Key: {self.key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        return head, body

    async def read_answer(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        lines = head.lower()
        if b"transfer-encoding: chunked" in lines:
            while True:
                size = int(await reader.readline(), 16)
                await reader.readexactly(size + 2)
                if size == 0:
                    break
        else:
            length = int(lines.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        return status, b"connection: close" in lines

    async def leave(self, moment):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head, body = self.request(moment)
        if moment == "by a reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if moment == "half a head":
            writer.write(head[:len(head) // 2])
        elif moment == "head without body":
            writer.write(head)
        elif moment == "half a body":
            writer.write(head + body[:len(body) // 2])
        elif moment != "connected":
            writer.write(head + body)
        await self.stay_until(moment, reader)
        writer.close()
        self.left[moment] += 1

    async def stay_until(self, moment, reader):
        if moment in ("after 1 ms", "by a reset"):
            await asyncio.sleep(0.001)
        elif moment == "after 5 ms":
            await asyncio.sleep(0.005)
        elif moment == "in a silence":
            await asyncio.sleep(0.05)
        elif moment == "at the head of the answer":
            await reader.readuntil(b"\r\n\r\n")
        elif moment in ("at the first part", "in the middle"):
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(16)
            await asyncio.sleep(0.03 if moment == "in the middle" else 0)

    async def client(self, turns):
        reader = writer = None
        while turns.pop_one():
            if self.random.random() < self.leaving:
                try:
                    await asyncio.wait_for(self.leave(self.random.choice(MOMENTS)), 120)
                except (OSError, asyncio.IncompleteReadError):
                    self.broken += 1
                continue
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head, body = self.request(None)
            writer.write(head + body)
            status, closes = await asyncio.wait_for(self.read_answer(reader), 120)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if closes:
                writer.close()
                writer = None
        if writer:
            writer.close()

    async def run(self, requests):
        turns = Turns(requests)
        await asyncio.wait_for(asyncio.gather(*(self.client(turns) for _ in range(self.clients))), self.until)


class Turns:
    def __init__(self, n):
        self.n = n

    def pop_one(self):
        self.n -= 1
        return self.n >= 0
