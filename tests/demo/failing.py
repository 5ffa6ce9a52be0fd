#!/usr/bin/python3
"""An upstream that fails as configured, for each credential, and keeps a book: counts of all requests by credential and
source address, rows of the first requests only. It answers in the callbacks of the connections, so that tens of
thousands of requests take seconds.

--control: POST /behaviours {CREDENTIAL: BEHAVIOUR, ...}, GET /requests, GET /counts, DELETE /book, DELETE /behaviours.
A request whose path ends with /responses and whose body has encrypted reasoning of another credential gets 400
invalid_encrypted_content; the answer to any other one has reasoning of its credential.
A BEHAVIOUR is {"do": ACTION, ...}, or a list of behaviours from which each request takes one at random; the default is
ok.
  do      ok, answer, close (before any answer), half (in the middle of the head), cut (in the middle of the body),
          rubbish, hang, stall (the head of an answer and the beginning of its body), reused (closes a connection
          that has served a request, else ok)
  status, headers, body      of answer (code, headers: of stall); headers is a list of pairs, body any JSON
  times   for this number of requests, then ok; share: for this share, 0 to 1; method: for this method only
  early   before the request's body is read; delay: seconds before the answer
  pause   of answer: seconds between head and body
  type    of answer: the Content-Type of a body that is a text
  packed  of answer: with gzip, if the request accepts it
A request may ask for a behaviour itself, which goes before those of its credential: ?do=ACTION or ?do=STATUS, with
pause=SECONDS, retry=SECONDS (Retry-After) and only=CREDENTIAL (any other answers ok). ?do=error is a 200 whose stream
holds nothing but an error.
"""
import argparse
import asyncio
import collections
import gzip
import hashlib
import json
import random
import time
import urllib.parse

HEAD_END = b"\r\n\r\n"
HEAD_MAX = 65536
ROWS_MAX = 5000


class Book:
    def __init__(self):
        self.clear()

    def clear(self):
        self.rows, self.counts = [], {}

    def add(self, row):
        """By credential: total, sources, actions, peak of concurrent requests, time of the last one."""
        row["time"] = time.monotonic()
        count = self.counts.setdefault(row["token"], {
            "total": 0, "sources": {}, "did": {}, "methods": {}, "now": 0, "most": 0, "last": 0})
        count["total"] += 1
        count["now"] += 1
        count["most"] = max(count["most"], count["now"])
        count["last"] = row["time"]
        row["count"] = count
        for kind, value in (("sources", row["source_ip"]), ("did", row["did"]), ("methods", row["method"])):
            count[kind][value] = count[kind].get(value, 0) + 1
        if len(self.rows) < ROWS_MAX:
            row["n"] = len(self.rows)
            self.rows.append(row)

    def end(self, row, how):
        row.pop("count")["now"] -= 1
        row[how] = time.monotonic()

    def shown(self):
        return [{k: v for k, v in row.items() if k != "count"} for row in self.rows]


class Behaviours:
    def __init__(self, seed):
        self.of = collections.defaultdict(list)
        self.random = random.Random(seed)

    def set(self, wanted):
        for token, said in wanted.items():
            self.of[token] = said if isinstance(said, list) else [said]

    def choose(self, token, method):
        """The behaviour for this request."""
        some = [b for b in self.of.get(token, ()) if b.get("method", method) == method and b.get("times", 1) > 0]
        if not some:
            return {"do": "ok"}
        b = self.random.choice(some)
        if self.random.random() >= b.get("share", 1):
            return {"do": "ok"}
        if "times" in b:
            b["times"] -= 1
        return b


ERROR_EVENT = ('event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
               '"code":"server_is_overloaded","message":"Overloaded"}}\n\n')


def asked(args, token):
    """The behaviour that the request asks for, or None."""
    do = args.get("do")
    if not do or args.get("only", token) != token:
        return {"do": "ok"} if do else None
    if do == "error":
        return {"do": "answer", "status": 200, "type": "text/event-stream", "body": ERROR_EVENT}
    if not do.isdigit():
        return {"do": do}
    headers = [("Retry-After", args["retry"])] if "retry" in args else []
    return {"do": "answer", "status": int(do), "headers": headers, "pause": float(args.get("pause", 0))}


def parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    return method, target, [(k, v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])]


def credential_of(named):
    bearer = named.get("authorization", "")
    return bearer.removeprefix("Bearer ") if bearer else named.get("x-api-key") or named.get("x-goog-api-key", "")


def is_foreign(said, token):
    """Whether the body has reasoning that this credential cannot read."""
    try:
        items = json.loads(said)["input"]
        return any(i.get("type") == "reasoning" and i["encrypted_content"] != seal(token) for i in items)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def seal(token):
    return "gAAA-" + hashlib.sha256(token.encode()).hexdigest()


class Connection(asyncio.Protocol):
    def __init__(self, book, behaviours):
        self.book, self.behaviours = book, behaviours
        self.data, self.row, self.timer, self.left, self.served = b"", None, None, 0, 0

    def connection_made(self, transport):
        self.transport = transport
        self.source = transport.get_extra_info("peername")[0]

    def connection_lost(self, _):
        if self.timer:
            self.timer.cancel()
        if self.row:
            self.book.end(self.row, "closed_at")
            self.row = None

    def data_received(self, data):
        self.data += data
        while self.data and not self.transport.is_closing():
            if self.left:
                self.take()  # also the rest of a body that was answered early
            elif self.row or not self.begin():
                return  # the next request waits for the end of this one

    def begin(self):
        at = self.data.find(HEAD_END)
        if at < 0:
            if len(self.data) > HEAD_MAX:
                self.transport.abort()
            return False
        method, target, headers = parse_head(self.data[:at])
        self.data = self.data[at + len(HEAD_END):]
        named = {k.lower(): v for k, v in headers}
        path, _, query = target.partition("?")
        token = credential_of(named)
        self.left = int(named.get("content-length", 0))
        self.args = dict(urllib.parse.parse_qsl(query)) if query else {}
        self.does = asked(self.args, token) or self.behaviours.choose(token, method)
        self.hash, self.said = hashlib.sha256(), b""
        self.row = {"method": method, "path": path, "query": query, "headers": headers, "token": token,
                    "source_ip": self.source, "body_len": self.left, "body_sha256": None, "closed_at": None,
                    "answered_at": None, "did": self.does.get("status") or self.does["do"]}
        self.book.add(self.row)
        if self.left == 0 or self.does.get("early"):
            self.do_later()
        return True

    def take(self):
        piece, self.data = self.data[:self.left], self.data[self.left:]
        self.left -= len(piece)
        self.hash.update(piece)
        if self.row and self.row["path"].endswith("/responses"):
            self.said += piece
        if self.left == 0 and self.row and not self.does.get("early"):
            self.do_later()

    def do_later(self):
        self.row["body_sha256"] = self.hash.hexdigest()
        delay = float(self.does.get("delay", 0)) or float(self.args.get("ms", 0)) / 1000
        if delay:
            self.timer = asyncio.get_running_loop().call_later(delay, self.do)
        else:
            self.do()

    def do(self):
        self.timer = None
        getattr(self, "do_" + self.does["do"])()

    def end(self):
        self.book.end(self.row, "answered_at")
        self.row = None
        if self.data:
            self.data_received(b"")

    def write(self, status, headers, body, pause=0, kind="application/json"):
        self.served += 1
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers)
        if not pause:
            self.transport.write(head.encode() + b"\r\n" + body)
            return self.end()
        self.transport.write(head.encode() + b"\r\n")
        self.timer = asyncio.get_running_loop().call_later(pause, self.write_body, body)

    def write_body(self, body):
        self.timer = None
        self.transport.write(body)
        self.end()

    def do_ok(self):
        token = self.row["token"]
        said = {"token": token, "path": self.row["path"], "body_len": self.row["body_len"],
                "body_sha256": self.row["body_sha256"]}
        if not self.row["path"].endswith("/responses"):
            return self.write(200, (), json.dumps(said).encode())
        if is_foreign(self.said, token):
            self.row["did"] = "foreign"
            error = {"message": "The encrypted content could not be verified.", "type": "invalid_request_error",
                     "param": None, "code": "invalid_encrypted_content"}
            return self.write(400, (), json.dumps({"error": error}).encode())
        output = [{"type": "reasoning", "encrypted_content": seal(token)}, {"type": "message", "content": "done"}]
        return self.write(200, (), json.dumps({**said, "output": output}).encode())

    def do_answer(self):
        status = self.does["status"]
        said = self.does.get("body", {"error": {"message": f"status {status} as configured", "code": "as_told"}})
        kind, headers = self.does.get("type"), list(self.does.get("headers", ()))
        body = (said if kind else json.dumps(said)).encode()
        accepted = {k.lower(): v for k, v in self.row["headers"]}.get("accept-encoding", "")
        if self.does.get("packed") and "gzip" in accepted:
            body = gzip.compress(body)
            headers.append(("Content-Encoding", "gzip"))
        self.write(status, headers, body, self.does.get("pause", 0), kind or "application/json")

    def do_close(self):
        self.transport.abort()

    def do_half(self):
        self.transport.write(b"HTTP/1.1 200 X\r\nContent-Type: appli")
        self.transport.close()

    def do_cut(self):
        self.transport.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nthe first part")
        self.transport.close()

    def do_rubbish(self):
        self.transport.write(b"this is no HTTP at all\r\n\r\n")
        self.transport.close()

    def do_hang(self):
        pass

    def do_stall(self):
        head = "".join(f"{k}: {v}\r\n" for k, v in self.does.get("headers", ()))
        self.transport.write(f"HTTP/1.1 {self.does['code']} X\r\n{head}Content-Length: 500\r\n\r\n{{".encode())

    def do_reused(self):
        if self.served:
            self.transport.abort()
        else:
            self.do_ok()


async def control(reader, writer, book, behaviours):
    try:
        method, target, headers = parse_head((await reader.readuntil(HEAD_END))[:-len(HEAD_END)])
        length = int({k.lower(): v for k, v in headers}.get("content-length", 0))
        said = await reader.readexactly(length)
        answer = {}
        if (method, target) == ("POST", "/behaviours"):
            behaviours.set(json.loads(said))
        elif (method, target) == ("DELETE", "/behaviours"):
            behaviours.of.clear()
        elif (method, target) == ("DELETE", "/book"):
            book.clear()
        elif target == "/requests":
            answer = book.shown()
        elif target == "/counts":
            answer = book.counts
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main(connection=Connection):
    parser = argparse.ArgumentParser(description="an upstream that fails as configured")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--control", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    book, behaviours = Book(), Behaviours(options.seed)
    loop = asyncio.get_running_loop()
    host, _, port = options.listen.rpartition(":")
    server = await loop.create_server(lambda: connection(book, behaviours), host, int(port), backlog=4096)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    host, _, port = options.control.rpartition(":")
    asked = await asyncio.start_server(lambda r, w: control(r, w, book, behaviours), host, int(port))
    print("control", asked.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
