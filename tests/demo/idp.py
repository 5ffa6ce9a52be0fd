#!/usr/bin/python3
"""A fake identity provider: POST /oauth/token with rotating single-use refresh tokens, revocation of a family when a
spent token is used again, an optional grace, and faults. Its book has the outcome of every use of every token.
On --control: GET /state, GET /count, POST /family, /faults, /off, /revoke, /rotate; bodies and answers are JSON.
Standard library only."""
import argparse
import asyncio
import base64
import fcntl
import json
import random
import secrets
import socket
import struct
import sys
import termios
import time
import urllib.parse

import replies
from upstream import HEAD_MAX, Answer, Gone, listen, read_body, read_head, wants_close

# Faults of a use. "before" and "after" refer to the exchange, which cannot be undone.
FAULTS = ("lost", "reset", "cut", "cut-chunked", "error-before", "error-after", "late-before", "late-after", "rubbish",
          "slow", "off", "refused-before", *replies.KINDS)
TIDY_S = 5.0  # longest time until the peer's kernel acknowledges a reply
USES_MAX = 200000


def jwt(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.{secrets.token_urlsafe(12)}"


class Kind:
    """What the token host of a provider expects and answers. `prefixes`: of its access and refresh tokens; None: JWTs."""

    def __init__(self, form="json", errors="codex", rotates=True, prefixes=None, needs_secret=False, extra=None):
        self.form, self.errors, self.rotates, self.prefixes = form, errors, rotates, prefixes
        self.needs_secret, self.extra = needs_secret, extra or {}


KINDS = {
    "codex": Kind(),
    "claude": Kind(errors="claude", prefixes=("sk-ant-oat01-", "sk-ant-ort01-"), extra={
        "token_type": "Bearer", "scope": "user:inference user:profile", "organization": {"uuid": "o", "name": "Org"},
        "account": {"uuid": "a", "email_address": "a@example.com"}}),
    "gemini": Kind(form="form", errors="google", rotates=False, prefixes=("ya29.", "1//"), needs_secret=True, extra={
        "token_type": "Bearer", "scope": "openid https://www.googleapis.com/auth/cloud-platform"}),
    "oauth": Kind(form="form", errors="rfc", prefixes=("at-", "rt-"), extra={"token_type": "Bearer"}),
}
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


class Family:
    """The tokens of one login. Only tokens[-1] is unspent."""

    def __init__(self, number, wishes):
        self.name = f"f{number}"
        self.kind = KINDS[wishes.get("kind", "codex")]
        self.lifetime = float(wishes.get("lifetime", 3600))
        self.grace = float(wishes.get("grace", 0))
        self.rotates = bool(wishes.get("rotates", self.kind.rotates))
        self.errors = wishes.get("errors", self.kind.errors)
        self.client_secret, self.token_url = wishes.get("client_secret"), wishes.get("token_url")
        self.flat, self.account_id = wishes.get("flat", False), f"acct-{self.name}"
        self.client_id = wishes.get("client_id")
        self.revoked = None  # the reason
        self.next_faults = []
        self.tokens, self.spent_at, self.replies = [], [], []
        self.reply = self.mint(float(wishes.get("first_lifetime", self.lifetime)))

    def mint(self, lifetime, rotates=True):
        """A reply with an access token and, if tokens rotate, the next refresh token."""
        now = time.time()
        claims = {"sub": self.name, "n": len(self.tokens), "iat": int(now), "exp": int(now + lifetime)}
        access, refresh = self.kind.prefixes or ("", "rt.")
        reply = {"access_token": jwt(claims), **self.kind.extra}
        if self.kind.prefixes:  # opaque to a client; the tests read the claims in it
            reply |= {"access_token": access + reply["access_token"].replace(".", "~"), "expires_in": int(claims["exp"] - now)}
        if self.kind is KINDS["codex"]:
            reply["access_token"] = jwt({**claims, "https://api.openai.com/auth": {"chatgpt_account_id": self.account_id}})
        if self.kind.errors in ("codex", "google"):
            reply["id_token"] = jwt({**claims, "aud": "id"})
        if (rotates and self.rotates) or not self.tokens:
            self.tokens.append(f"{refresh}{self.name}.{len(self.tokens)}.{secrets.token_urlsafe(16)}")
            self.spent_at.append(None)
            self.replies.append(None)
            reply["refresh_token"] = self.tokens[-1]
        return reply

    def credentials(self):
        """The file that the program of this provider writes."""
        access, refresh = self.reply["access_token"], self.tokens[-1]
        expires = claims_of(access)["exp"]
        if self.kind is KINDS["claude"]:
            return {"claudeAiOauth": {"accessToken": access, "refreshToken": refresh, "expiresAt": expires * 1000,
                                      "scopes": ["user:inference", "user:profile"], "subscriptionType": "max"}}
        if self.kind is KINDS["gemini"]:
            return {"access_token": access, "refresh_token": refresh, "scope": "openid", "token_type": "Bearer",
                    "id_token": self.reply["id_token"], "expiry_date": expires * 1000}
        if self.kind is KINDS["oauth"]:
            return {"access_token": access, "refresh_token": refresh, "expires_at": expires,
                    "token_url": self.token_url, "client_id": self.client_id}
        if self.flat:  # without the account id, which is in the access token
            return {"type": "codex", "id_token": self.reply["id_token"], "access_token": access,
                    "refresh_token": refresh, "last_refresh": "2026-01-01T00:00:00Z"}
        return self.auth_json()

    def auth_json(self):
        tokens = {**self.reply, "refresh_token": self.tokens[-1], "account_id": self.account_id}
        return {"OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": "2026-01-01T00:00:00Z"}

    def exchange(self, number, rotates=True):
        """(outcome, reply): "granted", "again" (the same refresh token within the grace), "reused", "revoked"."""
        if self.revoked:
            return "revoked", None
        if self.spent_at[number] is None:
            rotates = rotates and self.rotates
            reply = self.reply = self.mint(self.lifetime, rotates)
            if rotates:
                self.spent_at[number], self.replies[number] = time.time(), reply
            return "granted", reply
        in_time = time.time() - self.spent_at[number] <= self.grace
        if in_time and number == len(self.tokens) - 2:
            return "again", self.repeated(self.replies[number])
        self.revoked = "reused"
        return "reused", None

    def repeated(self, reply):
        """The same refresh token. An access token whose end only `expires_in` tells is new: the first one may have ended."""
        fresh = self.mint(self.lifetime, rotates=False) if "expires_in" in reply else {}
        return {**reply, **{name: fresh[name] for name in ("access_token", "expires_in") if name in fresh}}

    def describe(self):
        return {"tokens": len(self.tokens), "revoked": self.revoked, "grace": self.grace, "lifetime": self.lifetime,
                "client_id": self.client_id, "exp": claims_of(self.reply["access_token"])["exp"]}


def claims_of(token):
    """Of a JWT, or of one that is made opaque."""
    payload = token.replace("~", ".").split(".")[-2]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Book:
    """Families, uses in order of arrival, and planned faults."""

    def __init__(self):
        self.families, self.by_token, self.uses = {}, {}, []
        self.schedule, self.seed, self.seconds, self.granted = {}, 0, 1.0, 0

    def add_family(self, wishes):
        family = Family(len(self.families), wishes)
        self.families[family.name] = family
        self.learn(family)
        return family

    def learn(self, family):
        number = len(family.tokens) - 1
        self.by_token[family.tokens[number]] = (family, number)

    def is_refused(self, family, body, content_type):
        """A request in another form than the provider's, of another client, or without its secret."""
        if body.get("grant_type") != "refresh_token" or family.client_id not in (None, body.get("client_id")):
            return True
        return content_type != TYPES[family.kind.form] or \
            (family.kind.needs_secret and body.get("client_secret") != family.client_secret)

    def begin_use(self, body, source):
        family, number = self.by_token.get(body.get("refresh_token"), (None, None))
        use = {"n": len(self.uses), "family": family and family.name, "token": number, "time": time.time(),
               "source_ip": source, "client_id": body.get("client_id"), "fault": None, "outcome": None,
               "status": None, "committed_at": None, "written_at": None, "left_at": None, "ended_at": None,
               "delivered": None}
        if len(self.uses) < USES_MAX:
            self.uses.append(use)
        return use, family, number

    def choose_fault(self, use, family):
        if family and family.next_faults:
            return family.next_faults.pop(0)
        draw = random.Random(f"{self.seed}.{use['n']}")
        x = draw.random()
        for kind, share in self.schedule.items():
            x -= share
            if x < 0:
                return {"kind": kind, "seconds": self.seconds * draw.uniform(0.3, 1)}
        return {"kind": None}

    def exchange(self, use, family, number, body, content_type):
        if not family or self.is_refused(family, body, content_type):
            use["outcome"] = "unknown"
            return None
        use["outcome"], reply = family.exchange(number, use["fault"] not in replies.STAYS)
        use["committed_at"] = time.time()
        self.granted += use["outcome"] == "granted"
        self.learn(family)
        return reply

    def violations(self):
        """Uses of a token that an earlier use had settled, or that was in use at the same time."""
        settled, last, found = {}, {}, []
        for use in self.uses:
            key = (use["family"], use["token"])
            if key in settled and settled[key]["written_at"] < use["time"]:
                found.append({"n": use["n"], "first": settled[key]["n"], "kind": "settled"})
            elif key in last and (last[key]["ended_at"] or use["time"] + 1) > use["time"]:
                found.append({"n": use["n"], "first": last[key]["n"], "kind": "overlap"})
            last[key] = use
            renewed = use["outcome"] == "granted" and (
                not self.families[use["family"]].rotates or use["fault"] in replies.STAYS)
            if use["delivered"] and not renewed:
                settled.setdefault(key, use)
        return found

    def count(self):
        return {"uses": len(self.uses), "granted": self.granted}

    def state(self):
        families = {name: f.describe() for name, f in self.families.items()}
        return {"now": time.time(), "families": families, "uses": self.uses, "violations": self.violations()}


REFUSALS = {
    "codex": {"reused": (401, "refresh_token_reused"), "revoked": (401, "refresh_token_invalidated")},
    "rfc": {"reused": (400, "invalid_grant"), "revoked": (400, "invalid_grant")},
}
DESCRIPTIONS = {"rfc": "The refresh token is not valid.", "claude": "Refresh token not found or invalid",
                "google": "Token has been expired or revoked."}


def refusal(use, family):
    """In the form of Codex's provider, or of RFC 6749 section 5.2."""
    shape = family.errors if family else "rfc"
    status, code = REFUSALS.get(shape, REFUSALS["rfc"]).get(use["outcome"], (400, "invalid_grant"))
    if shape in DESCRIPTIONS:
        return status, {"error": code, "error_description": DESCRIPTIONS[shape]}
    return status, {"error": {"message": "Please log in again.", "type": "invalid_request_error", "code": code}}


def fields_of(request):
    if (request.header("content-type") or "").startswith(TYPES["form"]):
        return dict(urllib.parse.parse_qsl(request.body.decode()))
    return request.json()


class Peer:
    """The client of a connection, watched during the answer."""

    def __init__(self, reader, writer, use):
        self.writer, self.answer, self.use = writer, Answer(writer), use
        self.watch = asyncio.ensure_future(reader.read(1))

    def gone(self):
        if self.watch.done() and (self.watch.exception() or not self.watch.result()):
            self.use["left_at"] = self.use["left_at"] or time.time()
            return True
        return False

    async def pause(self, seconds):
        """Pauses for the whole time, even if the client leaves: the exchange still happens."""
        until = time.monotonic() + seconds
        await asyncio.wait({self.watch}, timeout=seconds)
        self.gone()
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def acknowledged(self):
        """True if the client's kernel has received all data (SIOCOUTQ)."""
        transport, sock = self.writer.transport, self.writer.get_extra_info("socket")
        deadline = time.monotonic() + TIDY_S
        while not self.use["left_at"] and not transport.is_closing() and time.monotonic() < deadline:
            unsent = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4)
            if transport.get_write_buffer_size() == 0 and struct.unpack("i", unsent)[0] == 0:
                return True
            await asyncio.sleep(0.002)
        return False

    def abort(self):
        self.writer.transport.abort()
        raise Gone


async def send_whole(peer, fault, status, body):
    await peer.answer.whole(status, body)


async def send_slowly(peer, fault, status, body):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    data, steps = head + body, 20
    for i in range(steps):
        await peer.pause(fault["seconds"] / steps)
        await peer.answer.send(data[len(data) * i // steps:len(data) * (i + 1) // steps])


async def send_cut(peer, fault, status, body):
    cut = random.Random(body).randrange(len(body))
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    await peer.answer.send(head + body[:cut])
    raise Gone


async def send_cut_chunks(peer, fault, status, body):
    await peer.answer.start("application/json")
    await peer.answer.chunk(body[:random.Random(body).randrange(1, len(body))])
    raise Gone


async def send_rubbish(peer, fault, status, body):
    await peer.answer.whole(200, b"<html><body>Please come back later.</body></html>", "text/html")


async def send_error(peer, fault, status, body):
    await peer.answer.json(500, {"error": {"message": "The server had an error.", "type": "server_error"}})


async def send_odd(peer, fault, status, body):
    """One of the replies of replies.py; "close" ends the connection."""
    reply = replies.KINDS[fault["kind"]](json.loads(body))
    peer.use["status"] = reply.status
    head, pieces = reply.pieces()
    for data in (head.encode(), *pieces):
        await peer.answer.send(data)
    if reply.framing == "close":
        await peer.acknowledged()
        peer.use["written_at"], peer.use["delivered"] = time.time(), True
        raise Gone


async def send_late(peer, fault, status, body):
    await peer.pause(fault["seconds"])
    await peer.answer.whole(status, body)


async def send_nothing(peer, fault, status, body):
    raise Gone


async def send_reset(peer, fault, status, body):
    linger = struct.pack("ii", 1, 0)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    peer.abort()


SENDERS = {"lost": send_nothing, "reset": send_reset, "cut": send_cut, "cut-chunked": send_cut_chunks,
           "error-after": send_error, "late-after": send_late, "rubbish": send_rubbish, "slow": send_slowly,
           **dict.fromkeys(replies.KINDS, send_odd)}
# The reply arrives, perhaps late.
HARMLESS = (None, "late-before", "late-after", "slow", "off", *replies.KEPT, *replies.STAYS)


class Provider:
    def __init__(self, book):
        self.book, self.server, self.port, self.host = book, None, 0, ""
        self.tasks = set()

    async def token(self, request, peer, use, family, number):
        fault = self.book.choose_fault(use, family)
        use["fault"] = kind = fault["kind"]
        fault.setdefault("seconds", self.book.seconds)
        if kind == "error-before":
            use["outcome"], use["status"] = "not tried", 503
            return await peer.answer.json(503, {"error": {"message": "Overloaded.", "type": "server_error"}})
        if kind in ("late-before", "refused-before"):
            await peer.pause(fault["seconds"])
        if kind == "refused-before":
            use["outcome"] = "refused"
            return await self.send_refusal(peer, use, family)
        if kind in replies.KINDS and kind not in replies.EXCHANGED:
            use["outcome"] = "odd"
            return await self.send(peer, use, fault, {})
        reply = self.book.exchange(use, family, number, fields_of(request), request.header("content-type"))
        if not reply:
            return await self.send_refusal(peer, use, family, fault)
        use["status"] = 200
        if kind == "off":
            self.later(self.off(fault["seconds"]))
        await self.send(peer, use, fault, reply)

    async def send_refusal(self, peer, use, family, fault=None):
        use["status"], value = refusal(use, family)
        await self.send(peer, use, fault or {"kind": None}, value)

    async def send(self, peer, use, fault, value):
        kind = fault["kind"]
        await SENDERS.get(kind, send_whole)(peer, fault, use["status"], json.dumps(value).encode())
        use["written_at"] = time.time()
        use["delivered"] = kind in HARMLESS and await peer.acknowledged()

    def later(self, work):
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def one(self, request, reader, writer):
        """Answers one request; the returned task reads the first byte of the next request."""
        if (request.method, request.path) != ("POST", "/oauth/token"):
            await Answer(writer).json(404, {"error": "not_found"})
            return asyncio.ensure_future(reader.read(1))
        use, family, number = self.book.begin_use(fields_of(request), writer.get_extra_info("peername")[0])
        peer = Peer(reader, writer, use)
        try:
            await self.token(request, peer, use, family, number)
            return peer.watch
        except (ConnectionError, Gone):
            peer.watch.cancel()
            await asyncio.gather(peer.watch, return_exceptions=True)
            raise Gone from None
        finally:
            use["delivered"], use["ended_at"] = bool(use["delivered"]), time.time()

    async def serve(self, reader, writer):
        first = b""
        try:
            while True:
                request = await read_head(reader, first)
                await read_body(reader, request)
                watch = await self.one(request, reader, writer)
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

    # --- the listening socket; a second socket, which never listens, reserves the port while it is closed ---

    async def open(self, address):
        self.host, _, port = address.rpartition(":")
        self.keeper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.keeper.bind((self.host, int(port)))
        self.port = self.keeper.getsockname()[1]
        await self.on()

    async def on(self):
        self.server = await asyncio.start_server(self.serve, self.host, self.port, limit=HEAD_MAX, backlog=1024,
                                                 reuse_port=True)

    async def off(self, seconds):
        if self.server is None:
            return
        self.server.close()
        self.server = None
        await asyncio.sleep(seconds)
        await self.on()


class Control:
    def __init__(self, provider):
        self.provider, self.book = provider, provider.book

    def add_family(self, wishes):
        family = self.book.add_family(wishes)
        return {"family": family.name, "auth": family.credentials()}

    def set_faults(self, wishes):
        """`schedule`: kind -> share of the uses; `next`: faults of the next uses of `family`, in order."""
        asked = [*wishes.get("schedule", {}), *(fault["kind"] for fault in wishes.get("next", []))]
        if any(kind not in (None, *FAULTS) for kind in asked):
            raise KeyError(f"unknown fault in {asked}")
        if "family" in wishes:
            self.book.families[wishes["family"]].next_faults = list(wishes["next"])
        for name in ("schedule", "seed", "seconds"):
            if name in wishes:
                setattr(self.book, name, wishes[name])
        return {}

    def revoke(self, wishes):
        self.book.families[wishes["family"]].revoked = "by hand"
        return {}

    def rotate(self, wishes):
        """The owner of the login refreshes it elsewhere."""
        family = self.book.families[wishes["family"]]
        family.exchange(len(family.tokens) - 1)
        self.book.learn(family)
        return {"auth": family.credentials()}

    def off(self, wishes):
        self.provider.later(self.provider.off(float(wishes["seconds"])))
        return {}

    def answer(self, request):
        routes = {("GET", "/state"): lambda _: self.book.state(), ("GET", "/count"): lambda _: self.book.count(),
                  ("POST", "/family"): self.add_family, ("POST", "/faults"): self.set_faults,
                  ("POST", "/revoke"): self.revoke, ("POST", "/rotate"): self.rotate, ("POST", "/off"): self.off}
        return routes[request.method, request.path](request.json())

    async def serve(self, reader, writer):
        try:
            request = await read_head(reader)
            await read_body(reader, request)
            try:
                status, value = 200, self.answer(request)
            except (KeyError, TypeError, ValueError) as e:
                status, value = 400, {"error": repr(e)}
            await Answer(writer).whole(status, json.dumps(value).encode(), headers=[("Connection", "close")])
        except (Gone, ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()


async def main():
    parser = argparse.ArgumentParser(description="fake identity provider of spoa-relay's tests")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--control", default="127.0.0.1:0", metavar="HOST:PORT")
    options = parser.parse_args()
    provider = Provider(Book())
    await provider.open(options.listen)
    print(f"listening {provider.port}", flush=True)
    server, port = await listen(options.control, Control(provider).serve)
    print(f"control {port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
