"""Programs that send requests at a steady pace, and a watch over the states of all accounts meanwhile."""
import asyncio
import collections
import random
import threading
import time

IN_FLIGHT = 64
PATIENCE = 60  # seconds for one answer
SAMPLE = 0.1


class Program:
    """One key's requests, spread evenly over some seconds. `target(random)` makes the path of each. Answers are
    counted by status and relay code."""

    def __init__(self, port, key, requests, seconds, target=lambda _: "/v1/x", conversations=0, seed=1):
        self.port, self.key, self.requests, self.seconds = port, key, requests, seconds
        self.target, self.conversations = target, conversations
        self.random = random.Random(seed)
        self.answers = collections.Counter()
        self.idle = []

    def request(self):
        """A half of the requests belongs to conversations: to one of some, or each to a new one."""
        session = ""
        if self.random.random() < 0.5:
            n = self.random.randrange(self.conversations or 1 << 30)
            session = f"session-id: {self.key[-6:]}-{n}\r\n"
        return (f"POST {self.target(self.random)} HTTP/1.1\r\nHost: relay\r\nX-API-Key: {self.key}\r\n{session}"
                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").encode()

    async def run(self):
        begin = time.monotonic()
        room = asyncio.Semaphore(IN_FLIGHT)
        tasks = []
        for n in range(self.requests):
            await asyncio.sleep(max(0, begin + n * self.seconds / self.requests - time.monotonic()))
            await room.acquire()
            tasks.append(asyncio.ensure_future(self.send(room)))
        await asyncio.gather(*tasks)
        for _, writer in self.idle:
            writer.close()

    async def send(self, room):
        try:
            self.answers[await asyncio.wait_for(self.exchange(), PATIENCE)] += 1
        except asyncio.TimeoutError:
            self.answers["no answer"] += 1
        finally:
            room.release()

    async def exchange(self):
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self.request())
            status, closes = await read_answer(reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()
            return "closed"
        if closes:
            writer.close()
        else:
            self.idle.append((reader, writer))
        return status

    @property
    def served(self):
        return self.answers[200] / self.requests


async def read_answer(reader):
    """The status, with the relay's code if it has one, and whether the connection ends."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    named = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(named["content-length"]))
    status, code = int(head.split(" ", 2)[1]), named.get("x-relay-error")
    return f"{status} {code}" if code else status, named.get("connection") == "close"


def run_together(programs):
    async def run():
        await asyncio.gather(*(program.run() for program in programs))
    asyncio.run(run())


class Watch(threading.Thread):
    """Asks for all accounts again and again; keeps each time that an account was out: its name, state, circuit, the
    longest rest seen and the end of it."""

    def __init__(self, relay):
        super().__init__()
        self.relay, self.over, self.looks = relay, threading.Event(), 0
        self.outs = {}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(SAMPLE):
            for account in self.relay.adm("accounts", "list")["items"]:
                if account["state"] != "ok" or account["circuit"] != "closed":
                    self.add(account)
            self.looks += 1

    def add(self, account):
        key = (account["name"], account["state"], account["circuit"], account["until"])
        self.outs[key] = max(self.outs.get(key, 0), account["until_s"] or 0)

    def of(self, names):
        """{(name, state, circuit, until): seconds} of these accounts."""
        return {key: seconds for key, seconds in self.outs.items() if key[0] in names}
