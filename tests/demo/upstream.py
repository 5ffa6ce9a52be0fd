#!/usr/bin/python3
"""The bundled demo upstream: an HTTP/1.1 server with enough of the OpenAI and Anthropic APIs to stream. With --control
it records its requests for tests. Standard library only."""
import argparse
import asyncio
import hashlib
import json
import socket
import ssl
import sys
import time
import urllib.parse

HEAD_MAX = 65536


class Recorder:
    """Requests as dicts, oldest first; `closed_at` is set if the client left before the answer was complete."""

    def __init__(self):
        self.rows = []

    def add(self, request, source):
        row = {
            "n": len(self.rows), "method": request.method, "path": request.path, "query": request.query,
            "headers": request.headers, "source_ip": source, "time": time.monotonic(),
            "body_len": request.body_len, "body_sha256": request.body_hash.hexdigest(), "closed_at": None,
        }
        self.rows.append(row)
        return row


class Request:
    def __init__(self, method, target, version, headers):
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.args = dict(urllib.parse.parse_qsl(self.query))
        self.version = version
        self.headers = headers
        self.body = b""
        self.body_len = 0
        self.body_hash = hashlib.sha256()

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    def json(self):
        try:
            body = json.loads(self.body)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


class Gone(Exception):
    """The client has left."""


class Answer:
    """An answer on a connection; all data is on the wire when a call returns."""

    def __init__(self, writer):
        self.writer = writer
        self.chunked = False

    async def send(self, data):
        if self.writer.is_closing():
            raise Gone
        self.writer.write(data)
        await self.writer.drain()

    async def whole(self, status, body, kind="application/json", headers=()):
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers)
        await self.send(head.encode() + b"\r\n" + body)

    async def json(self, status, value, headers=()):
        await self.whole(status, json.dumps(value).encode(), headers=headers)

    async def start(self, kind="text/event-stream", headers=()):
        self.chunked = True
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers)
        await self.send(head.encode() + b"\r\n")

    async def chunk(self, data):
        await self.send(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self):
        await self.send(b"0\r\n\r\n")

    async def event(self, value, name=None):
        text = f"event: {name}\n" if name else ""
        data = value if isinstance(value, str) else json.dumps(value)
        await self.chunk(f"{text}data: {data}\n\n".encode())


WORDS = ["Hello", " from", " the", " demo", " upstream", "."]


async def chat(request, answer):
    base = {"id": "chatcmpl-demo", "created": 1700000000, "model": request.json().get("model", "demo")}
    usage = {"prompt_tokens": 1, "completion_tokens": len(WORDS), "total_tokens": 1 + len(WORDS)}
    if not request.json().get("stream"):
        message = {"role": "assistant", "content": "".join(WORDS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return await answer.json(200, {**base, "object": "chat.completion", "choices": [choice], "usage": usage})
    await answer.start()
    for word in WORDS:
        choice = {"index": 0, "delta": {"role": "assistant", "content": word}, "finish_reason": None}
        await answer.event({**base, "object": "chat.completion.chunk", "choices": [choice]})
        await asyncio.sleep(0.02)
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await answer.event({**base, "object": "chat.completion.chunk", "choices": [last]})
    await answer.event("[DONE]")
    await answer.end()


def response_object(request, status, text):
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    item = {"id": "msg_demo", "type": "message", "role": "assistant", "status": status, "content": content}
    usage = {"input_tokens": 1, "output_tokens": len(WORDS), "total_tokens": 1 + len(WORDS)}
    return {"id": "resp_demo", "object": "response", "created_at": 1700000000, "status": status,
            "model": request.json().get("model", "demo"), "output": [item] if text else [], "usage": usage}


async def responses(request, answer):
    text = "".join(WORDS)
    if not request.json().get("stream"):
        return await answer.json(200, response_object(request, "completed", text))
    await answer.start()
    sequence = 0

    async def event(kind, **fields):
        nonlocal sequence
        await answer.event({"type": kind, "sequence_number": sequence, **fields}, kind)
        sequence += 1

    await event("response.created", response=response_object(request, "in_progress", ""))
    for word in WORDS:
        await event("response.output_text.delta", item_id="msg_demo", output_index=0, content_index=0, delta=word)
        await asyncio.sleep(0.02)
    await event("response.output_text.done", item_id="msg_demo", output_index=0, content_index=0, text=text)
    await event("response.completed", response=response_object(request, "completed", text))
    await answer.end()


async def messages(request, answer):
    message = {"id": "msg_demo", "type": "message", "role": "assistant", "model": request.json().get("model", "demo"),
               "content": [], "stop_reason": None, "stop_sequence": None,
               "usage": {"input_tokens": 1, "output_tokens": len(WORDS)}}
    if not request.json().get("stream"):
        content = [{"type": "text", "text": "".join(WORDS)}]
        return await answer.json(200, {**message, "content": content, "stop_reason": "end_turn"})
    await answer.start()

    async def event(kind, **fields):
        await answer.event({"type": kind, **fields}, kind)

    await event("message_start", message=message)
    await event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in WORDS:
        await event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        await asyncio.sleep(0.02)
    await event("content_block_stop", index=0)
    await event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": len(WORDS)})
    await event("message_stop")
    await answer.end()


async def models(request, answer):
    row = {"id": "demo", "object": "model", "created": 1700000000, "owned_by": "demo"}
    await answer.json(200, {"object": "list", "data": [row]})


async def sse(request, answer):
    """N events, MS apart, each with its number and its time (CLOCK_MONOTONIC, ns)."""
    await answer.start()
    for i in range(int(request.args.get("n", 50))):
        if i:
            await asyncio.sleep(float(request.args.get("ms", 20)) / 1000)
        await answer.event({"i": i, "t": time.monotonic_ns()})
    await answer.end()


def pattern(n):
    block = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(2048))
    return (block * (n // len(block) + 1))[:n]


async def octets(request, answer):
    await answer.whole(200, pattern(int(request.args.get("n", 5 << 20))), "application/octet-stream")


async def slow(request, answer):
    await asyncio.sleep(float(request.args.get("headers", 5)))
    await answer.json(200, {"slow": True})


async def silence(request, answer):
    await answer.start()
    await answer.event({"i": 0, "t": time.monotonic_ns()})
    await asyncio.sleep(float(request.args.get("before", 10)))
    await answer.event({"i": 1, "t": time.monotonic_ns()})
    await answer.end()


async def status(request, answer):
    code = int(request.args.get("code", 200))
    await answer.json(code, {"error": {"message": f"status {code} as asked", "type": "demo", "code": "demo"}},
                      headers=[("X-Upstream-Says", "hello"), ("X-Request-Id", "of-the-upstream"),
                               ("X-Relay-Error", "forged"), ("Set-Cookie", "session=secret")])


async def close(request, answer):
    answer.writer.transport.abort()
    raise Gone


async def rubbish(request, answer):
    await answer.send(b"this is no HTTP at all\r\n\r\n")
    raise Gone


async def echo(request, answer):
    hidden = ("authorization", "x-api-key")
    headers = [[k, v] for k, v in request.headers if k.lower() not in hidden]
    await answer.json(200, {"method": request.method, "path": request.path, "query": request.query,
                            "headers": headers, "body_len": request.body_len,
                            "body_sha256": request.body_hash.hexdigest()})


async def ip(request, answer):
    await answer.json(200, {"ip": answer.writer.get_extra_info("peername")[0]})


ROUTES = {
    ("ip",): ip,
    ("v1", "chat", "completions"): chat, ("chat", "completions"): chat, ("responses",): responses,
    ("messages",): messages, ("models",): models, ("sse",): sse, ("bytes",): octets, ("slow",): slow,
    ("silence",): silence, ("status",): status, ("close",): close, ("rubbish",): rubbish,
}


def route(path):
    """Uses the last parts of the path; any prefix before them is part of the relay's configuration."""
    parts = tuple(p for p in path.split("/") if p)
    return ROUTES.get(parts[-2:]) or ROUTES.get(parts[-1:]) or echo


async def read_head(reader, first=b""):
    head = first + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = lines[0].split(" ", 2)
    headers = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            headers.append([name, value.strip()])
    return Request(method, target, version, headers)


def take(request, data):
    request.body_hash.update(data)
    request.body_len += len(data)
    if request.body_len <= 1 << 20:
        request.body += data


async def read_body(reader, request):
    if (request.header("transfer-encoding") or "").lower() == "chunked":
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            if size:
                take(request, await reader.readexactly(size))
            await reader.readline()
            if size == 0:
                return
    left = int(request.header("content-length") or 0)
    while left:
        data = await reader.read(min(left, 65536))
        if not data:
            raise Gone
        take(request, data)
        left -= len(data)


def wants_close(request):
    said = (request.header("connection") or "").lower()
    return "close" in said or (request.version == "HTTP/1.0" and "keep-alive" not in said)


async def answer_one(request, reader, writer, recorder):
    """Answers while watching for the end of the connection, which cancels the work. If the client stays, the watch
    reads the first byte of the next request; the returned task holds it."""
    row = recorder.add(request, writer.get_extra_info("peername")[0]) if recorder else {}
    work = asyncio.ensure_future(route(request.path)(request, Answer(writer)))
    watch = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not watch.result():
            raise Gone
        await work
        return watch
    except (ConnectionError, Gone):
        row["closed_at"] = time.monotonic()
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)
        raise Gone from None


async def serve(reader, writer, recorder):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first = b""
    try:
        while True:
            request = await read_head(reader, first)
            if (request.header("expect") or "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await read_body(reader, request)
            watch = await answer_one(request, reader, writer, recorder)
            if wants_close(request):
                watch.cancel()
                return
            first = await watch
            if not first:
                return
    except (Gone, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    finally:
        writer.close()


async def control(reader, writer, recorder):
    try:
        request = await read_head(reader)
        if request.method == "DELETE":
            recorder.rows.clear()
        since = int(request.args.get("since", 0))
        await Answer(writer).whole(200, json.dumps(recorder.rows[since:]).encode(), headers=[("Connection", "close")])
    except (Gone, ConnectionError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def listen(address, handler, tls=None):
    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(handler, host.strip("[]"), int(port), limit=HEAD_MAX, backlog=1024, ssl=tls)
    return server, server.sockets[0].getsockname()[1]


async def main():
    parser = argparse.ArgumentParser(description="demo upstream of spoa-relay")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--control", metavar="HOST:PORT", help="record requests, and serve the records here")
    parser.add_argument("--cert", metavar="FILE", help="serve https with this certificate and key (PEM)")
    options = parser.parse_args()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if options.cert else None
    if tls:
        tls.load_cert_chain(options.cert)
    recorder = Recorder() if options.control else None
    server, port = await listen(options.listen, lambda r, w: serve(r, w, recorder), tls)
    print(f"listening {port}", flush=True)
    if options.control:
        _, port = await listen(options.control, lambda r, w: control(r, w, recorder))
        print(f"control {port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
