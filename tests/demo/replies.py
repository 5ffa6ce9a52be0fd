"""Replies of a token host that are odd in one way each. A row makes the bytes of an answer from the good reply; it says
whether the exchange happened, and whether it rotated the refresh token. Standard library only."""
import gzip
import json
import zlib

LONG = "a" * 5000
HTML = b"<html><body>Please come back later.</body></html>"


class Reply:
    """What is sent. `body` may be a dict; `framing` is "length", "chunked" or "close"."""

    def __init__(self, body, status=200, kind="application/json", headers=(), framing="length"):
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.kind, self.headers, self.framing = status, kind, list(headers), framing

    def pieces(self):
        """(head, pieces of the body)"""
        head = f"HTTP/1.1 {self.status} X\r\n"
        head += f"Content-Type: {self.kind}\r\n" if self.kind else ""
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers)
        if self.framing == "length":
            return head + f"Content-Length: {len(self.body)}\r\n\r\n", [self.body]
        if self.framing == "close":
            return head + "Connection: close\r\n\r\n", [self.body]
        size = max(1, len(self.body) // 3)
        parts = [self.body[i:i + size] for i in range(0, len(self.body), size)]
        return (head + "Transfer-Encoding: chunked\r\n\r\n",
                [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"])


def with_fields(**fields):
    return lambda reply: Reply({**reply, **fields})


def without(*names):
    return lambda reply: Reply({k: v for k, v in reply.items() if k not in names})


def in_bytes(change):
    return lambda reply: Reply(change(json.dumps(reply).encode()))


def encoded(encoding, pack):
    def make(reply):
        headers = [("Content-Encoding", encoding)] if encoding else []
        return Reply(pack(json.dumps(reply).encode()), headers=headers)
    return make


def bare(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def first(reply, name, value):
    """The text with a field before all others, whatever they are called."""
    return b'{"%s":%s,' % (name.encode(), value) + json.dumps(reply).encode()[1:]


def opaque(reply):
    return Reply({**reply, "access_token": "opaque-" + reply["access_token"].replace(".", "_")})


def twice(reply):
    return Reply(b'{"refresh_token":"rt.old","access_token":"old",' + json.dumps(reply).encode()[1:])


def cut_behind(name):
    """The connection is fine, but the text ends behind this field."""
    def make(reply):
        ordered = {name: reply[name], **{k: v for k, v in reply.items() if k != name}}
        text = json.dumps(ordered)
        return Reply(text[:text.index('", "') + 6].encode())
    return make


def nested(depth):
    return b"[" * depth + b"]" * depth


# The exchange happens, and the reply has the next refresh token: it must never be lost.
KEPT = {
    # The access token cannot be used: the relay uses the new refresh token at once.
    "no-access-token": without("access_token"),
    "access-empty": with_fields(access_token=""),
    "access-null": with_fields(access_token=None),
    "access-number": with_fields(access_token=7),
    "access-object": with_fields(access_token={"value": "x"}),
    "access-long": with_fields(access_token=LONG),
    "access-huge-first": lambda reply: Reply({"access_token": "a" * 300000,
                                              "refresh_token": reply["refresh_token"]}),
    "access-line-break": with_fields(access_token="a\r\nX-Evil: y"),
    "access-control": with_fields(access_token="a\x01b"),
    "access-umlaut": with_fields(access_token="\u00e4"),
    "access-cut": cut_behind("refresh_token"),
    # Everything else is read, or does no harm.
    "access-opaque": opaque,
    "access-blanks": lambda reply: Reply({**reply, "access_token": f" {reply['access_token']}\n"}),
    "no-id-token": without("id_token"),
    "id-null": with_fields(id_token=None),
    "id-number": with_fields(id_token=7),
    "id-long": with_fields(id_token="i" * 200000),
    "id-malformed": with_fields(id_token="not a JWT\r\n"),
    "id-deep": lambda reply: Reply(first({k: v for k, v in reply.items() if k != "id_token"}, "id_token", nested(2000))),
    "lifetime-text": with_fields(expires_in="soon"),
    "lifetime-negative": with_fields(expires_in=-1),
    "lifetime-huge": with_fields(expires_in=1e300),
    "lifetime-object": with_fields(expires_in={"s": 1}),
    "token-type": with_fields(token_type=["mac"]),
    "scope-list": with_fields(scope=["a", {"b": "}"}]),
    "deep": lambda reply: Reply(first(reply, "extra", nested(5000))),
    "twice": twice,
    "trailing": in_bytes(lambda text: text + b"\r\n-- \r\nbye {}"),
    "bom": in_bytes(lambda text: b"\xef\xbb\xbf" + text),
    "blanks": in_bytes(lambda text: b" \r\n\t\n" + text + b"\n"),
    "guard": in_bytes(lambda text: b")]}'\n" + text),
    "no-utf-8": lambda reply: Reply(first(reply, "scope", b'"caf\xe9"')),
    "utf-16": lambda reply: Reply(json.dumps(reply).encode("utf-16"), kind="application/json; charset=utf-16"),
    "cut-json": in_bytes(lambda text: text[:-1]),
    "as-html": lambda reply: Reply(reply, kind="text/html; charset=iso-8859-1"),
    "no-type": lambda reply: Reply(reply, kind=None),
    "created": lambda reply: Reply(reply, status=201),
    "accepted": lambda reply: Reply(reply, status=202),
    "chunked": lambda reply: Reply(reply, framing="chunked"),
    "no-length": lambda reply: Reply(reply, framing="close"),
    "gzip": encoded("gzip", gzip.compress),
    "deflate": encoded("deflate", zlib.compress),
    "deflate-bare": encoded("deflate", bare),
    "gzip-unlabelled": encoded(None, gzip.compress),
    "gzip-mislabelled": encoded("br", gzip.compress),
    "gzip-label-only": encoded("gzip", bytes),
    "gzip-twice": encoded("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    "gzip-chunked": lambda reply: Reply(gzip.compress(json.dumps(reply).encode()), framing="chunked",
                                        headers=[("Content-Encoding", "gzip")]),
}
# The exchange happens, and nothing can be read from the reply: within a grace, the same token brings it again.
UNREADABLE = {
    "br": encoded("br", lambda data: b"\x0b\x02\x80" + bytes(range(100))),
    "bomb": lambda reply: Reply(gzip.compress(b'{"a":"' + b"0" * 30000000), headers=[("Content-Encoding", "gzip")]),
    "page": lambda reply: Reply(HTML, kind="text/html"),
    "empty": lambda reply: Reply(b""),
}
# The reply has a new access token; the refresh token stays.
STAYS = {
    "no-refresh-token": without("refresh_token"),
    "refresh-null": with_fields(refresh_token=None),
    "refresh-empty": with_fields(refresh_token=""),
    "refresh-number": with_fields(refresh_token=7),
}
# There is no exchange: the token is still good.
REFUSED = {
    "client": lambda reply: Reply({"error": "invalid_client"}, status=401),
    "client-200": lambda reply: Reply({"error": "invalid_client"}),
    "forbidden": lambda reply: Reply(HTML, status=403, kind="text/html"),
    "not-found": lambda reply: Reply(HTML, status=404, kind="text/html"),
    "too-many": lambda reply: Reply({"error": "slow_down"}, status=429, headers=[("Retry-After", "1")]),
    "moved": lambda reply: Reply(b"", status=302, headers=[("Location", "/login")]),
    "down": lambda reply: Reply(HTML, status=503, kind="text/html"),
}
# The token is used up: only a person helps.
ENDED = {
    "rejected": lambda reply: Reply({"error": "invalid_grant"}, status=400),
    "rejected-200": lambda reply: Reply({"error": "invalid_grant"}),
    "rejected-gzip": lambda reply: Reply(gzip.compress(b'{"error":{"code":"refresh_token_expired"}}'), status=401,
                                         headers=[("Content-Encoding", "gzip")]),
}
KINDS = {**KEPT, **UNREADABLE, **STAYS, **REFUSED, **ENDED}
EXCHANGED = {**KEPT, **UNREADABLE, **STAYS}
