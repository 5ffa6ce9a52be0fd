"""Hostile requests and answers on raw sockets: what the client gets, and what the upstream sees of it. A row is bytes
and what must come of them; some things are checked for every row (see Upstream and check)."""
import collections
import concurrent.futures
import dataclasses
import functools
import socket
import threading
import zlib

import pytest

from relay import VERSIONS, Stack, wait_until


def well_formed(random):
    """A relay key with a right checksum."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    crc, checksum = zlib.crc32(f"rk_{random}".encode()), ""
    for _ in range(6):
        crc, checksum = crc // 62, alphabet[crc % 62] + checksum
    return f"rk_{random}{checksum}".encode()


QUIET_S = 0.25  # a client with its answer waits so long for more
LATE_S = 10
TOKEN = b"sk-token-of-abuse"
UNKNOWN = well_formed("a" * 30)
NEW = ("3.2", "3.4")  # HAProxy can drop trailers
OLDER = ("2.6", "3.0", "3.2")  # HAProxy deletes no header whose name comes with the request


@dataclasses.dataclass
class Row:
    """`{P}` in the request is its path, `{K}` a good key, `{U}` a well-formed key that nobody has."""
    name: str
    request: bytes
    status: tuple  # any of these; 0 = closed without an answer
    code: str = None
    seen: int = 0  # requests of this path that the upstream gets
    hidden: tuple = ()  # texts that the upstream must not see
    passed: tuple = ()  # texts that it must see
    more: tuple = ()  # statuses of further answers
    answer: bytes = None  # of the upstream
    given: tuple = ()  # texts that the client must get
    kept: tuple = ()  # texts that the client must not get
    versions: tuple = VERSIONS


def req(*headers, method="GET", path="{P}", version="HTTP/1.1", key="X-API-Key: {K}", host="Host: relay", body=""):
    lines = [f"{method} {path} {version}", *(h for h in (host, key) if h), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body if isinstance(body, bytes) else body.encode())


def post(*headers, body="", **more):
    return req(*headers, method="POST", body=body, **more)


OK, BAD = (200,), (400,)
ANY_BAD = (0, 400)


def bad(name, request, **more):
    """HAProxy refuses it, with or without an answer of ours."""
    return Row(name, request, more.pop("status", ANY_BAD), **more)


def good(name, request, **more):
    return Row(name, request, OK, seen=1, **more)


def refused(name, request, status, code, **more):
    return Row(name, request, (status,), code, **more)


def either(name, request, **more):
    """Refused or forwarded whole: never half of it, never two."""
    return Row(name, request, (0, 200, 400, 411, 501), seen=-1, **more)


# --- messages ---

CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = "GET {P}-smuggled HTTP/1.1\r\nHost: relay\r\nX-API-Key: {K}\r\n\r\n"
END = "0\r\n\r\n"

FRAMING = [
    either("length and chunks", post("Content-Length: 5", CHUNKED, body=END), hidden=(b"content-length: 5",)),
    either("chunks and length", post(CHUNKED, "Content-Length: 5", body=END), hidden=(b"content-length: 5",)),
    either("chunks and a length of what follows", post("Content-Length: 6", CHUNKED, body=END + "X")),
    either("length hides a request", post("Content-Length: 200", CHUNKED, body=END + SMUGGLED), more=(200, 400, 401)),
    bad("two lengths", post("Content-Length: 5", "Content-Length: 6", body="hello!")),
    bad("a list of lengths", post("Content-Length: 5, 6", body="hello!")),
    either("the same length twice", post("Content-Length: 5", "Content-Length: 5", body="hello")),
    *[bad(f"length {value!r}", post(f"Content-Length: {value}", body="hello")) for value in (
        "-5", "+5", "0x5", "5 5", "5a", "", "99999999999999999999", "5;6")],
    *[either(f"encoding {value!r}", post(f"Transfer-Encoding: {value}", body=END)) for value in (
        "Chunked", " chunked", "chunked ")],
    *[bad(f"encoding {value!r}", post(f"Transfer-Encoding: {value}", body=END), status=(0, 400, 408, 501)) for value in (
        "chunked, chunked", "chunked, identity", "identity, chunked, gzip")],
    *[either(f"encoding {value!r} and a length", post(f"Transfer-Encoding: {value}", "Content-Length: 5", body=END))
      for value in ("xchunked", "chunked\x0b", "identity", "\tchunked", "chunked,", '"chunked"')],
    bad("encoding twice", post(CHUNKED, "Transfer-Encoding: identity", "Content-Length: 5", body=END),
        status=(0, 400, 408, 501)),
    bad("blank before the colon", post("Content-Length : 5", body="hello")),
    bad("blank before the colon of the encoding", post("Transfer-Encoding : chunked", body=END)),
    either("chunks in HTTP/1.0", post(CHUNKED, "Connection: keep-alive", version="HTTP/1.0", body=END + SMUGGLED),
           more=(200, 400, 401)),
    *[Row(f"chunk of {text[:12]!r}", post(CHUNKED, body=text), (0, 200, 400, 502), seen=-1) for text in (
        "G\r\nhello\r\n" + END, "-1\r\nhello\r\n" + END, "0x5\r\nhello\r\n" + END, " 5\r\nhello\r\n" + END,
        "FFFFFFFFFFFFFFFFF\r\nhello", "5\r\nhelloXX" + END, "5\r\nhello" + END, "\r\n" + END, "5 5\r\nhello\r\n" + END)],
    either("a chunk with an extension", post(CHUNKED, body="5;a=b\r\nhello\r\n" + END), hidden=(b"a=b",)),
    either("chunks with bare LF", post(CHUNKED, body="5\nhello\n0\n\n")),
    either("bare LF in the head", req().replace(b"\r\n", b"\n")),
    either("bare LF before a smuggled header", req("X-A: a\nX-Relay-Backend: relay-internal"),
           hidden=(b"x-relay-backend",)),
    bad("bare CR in a value", req("X-A: a\rX-B: b")),
    bad("bare CR as the end of a line", req("X-A: a\r\rX-B: b")),
    bad("NUL in a value", req("X-A: a\0b")),
    bad("NUL in a name", req("X-\0A: b")),
    bad("NUL in the target", req(path="{P}\0x")),
    bad("a line without a colon", req("nothing")),
    bad("an empty name", req(": value")),
    bad("a blank in a name", req("X A: b")),
    bad("a name in brackets", req("X(A): b")),
    bad("a first line that is folded", b"GET {P} HTTP/1.1\r\n X-A: b\r\nHost: relay\r\nX-API-Key: {K}\r\n\r\n"),
    either("a folded value", req("X-A: a\r\n b"), hidden=(b"\r\n b",)),
    either("a folded key", req(key="X-API-Key:\r\n {K}")),
    bad("HTTP/0.9", b"GET {P}\r\n\r\n"),
    either("HTTP/0.9 with a version", req(version="HTTP/0.9")),
    either("HTTP/3.0", req(version="HTTP/3.0")),
    bad("http in small letters", req(version="http/1.1")),
    bad("two blanks behind the version", req(version="HTTP/1.1  x")),
    either("a version of the future", req(version="HTTP/1.9")),
    bad("no target", b"GET  HTTP/1.1\r\nHost: relay\r\nX-API-Key: {K}\r\n\r\n"),
    bad("a blank in the target", req(path="{P} x")),
    bad("a method with a bracket", req(method="GE(T")),
    refused("a method of 40 letters", req(method="G" * 40), 400, "bad_request"),
    either("a method in small letters", req(method="get")),
    refused("TRACE", req(method="TRACE"), 400, "bad_request"),
    Row("CONNECT", req(method="CONNECT", path="evil.example:443", host="Host: evil.example:443"), BAD),
    bad("OPTIONS of the server", req(method="OPTIONS", path="*"), status=BAD),
    either("an absolute target", req(path="http://evil.example{P}"), hidden=(b"evil.example",)),
    either("an absolute target with a user", req(path="http://a:b@evil.example{P}"), hidden=(b"evil.example", b"a:b@")),
    either("an absolute target of another scheme", req(path="https://evil.example{P}", host="Host: evil.example"),
           hidden=(b"evil.example",)),
    bad("no slash", req(path="v1/x"), status=BAD),
    bad("two hosts", req("Host: evil.example"), status=(0, 400)),
    either("no host", req(host="")),
    good("a wrong host", req(host="Host: evil.example"), hidden=(b"evil.example",)),
    refused("a host of 300 bytes", req(host="Host: " + "h" * 300), 400, "bad_request"),
    either("a host with a path", req(host="Host: relay/../x")),
    good("h2c", req("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
         hidden=(b"h2c", b"http2-settings")),
    refused("a WebSocket", req("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                               "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 426, "websocket_unsupported"),
    refused("a WebSocket in capitals", req("Connection: upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13",
                                           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 426, "websocket_unsupported"),
    bad("a PROXY line", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + req()),
    bad("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 80),
    bad("rubbish behind the body", post("Content-Length: 2", body="{}rubbish\r\n\r\n"), status=OK, seen=1, more=(400,)),
    Row("two requests at once", req() + req(path="{P}-two"), OK, seen=2, more=(200,)),
    Row("a key does not count for the next request", req() + req(key="", path="{P}-two"), OK, seen=1, more=(401,)),
    good("Expect", post("Content-Length: 2", "Expect: 100-continue", body="{}"), hidden=(b"expect",)),
    Row("an Expect of something else", post("Content-Length: 2", "Expect: 200-ok", body="{}"), (200, 400, 417), seen=-1,
        hidden=(b"200-ok",)),
    good("Expect without a body", req("Expect: 100-continue"), hidden=(b"expect",)),
    good("a GET with a body", req("Content-Length: 2", body="{}")),
]

# --- keys ---

NOTHING = dict(key="")


def misplaced(where, request):
    return refused(f"a key in {where}", request, 400, "misplaced_api_key")


KEYS = [
    refused("no key", req(**NOTHING), 401, "missing_api_key"),
    refused("an unknown key", req(key="X-API-Key: {U}"), 401, "invalid_api_key"),
    refused("a key with a wrong checksum", req(key="X-API-Key: rk_" + "a" * 36), 401, "invalid_api_key"),
    refused("a key of another kind", req(key="X-API-Key: sk-proj-abc"), 401, "invalid_api_key"),
    refused("a key of 300 bytes", req(key="X-API-Key: rk_" + "a" * 300), 400, "bad_request"),
    refused("a list of keys", req(key="X-API-Key: {K}, {K}"), 401, "invalid_api_key"),
    refused("a key with something behind it", req(key="X-API-Key: {K}x"), 401, "invalid_api_key"),
    refused("the same key twice", req("X-API-Key: {K}"), 400, "bad_request"),
    refused("two keys", req("X-API-Key: {U}"), 400, "bad_request"),
    refused("two keys, the good one last", req("X-API-Key: {K}", key="X-API-Key: {U}"), 400, "bad_request"),
    refused("two bearers", req("Authorization: Bearer {K}", key="Authorization: Bearer {K}"), 400, "bad_request"),
    good("a key and another bearer", req("Authorization: Bearer sk-clients-own"), hidden=(b"sk-clients-own",)),
    good("a key and a basic password", req("Authorization: Basic YTpi"), hidden=(b"YTpi",)),
    good("a key as bearer", req(key="Authorization: Bearer {K}")),
    good("a bearer in small letters", req(key="authorization: bearer {K}")),
    refused("a key without its scheme", req(key="Authorization: {K}"), 401, "missing_api_key"),
    refused("a key under Basic", req(key="Authorization: Basic {K}"), 401, "missing_api_key"),
    refused("a key with an underscore in the name", req(key="X_API_Key: {K}"), 400, "misplaced_api_key"),
    good("blanks around a key", req(key="X-API-Key:  \t{K} \t")),
    *[misplaced(where, req(path=path, **more)) for where, path, more in (
        ("the query", "{P}?key={K}", NOTHING), ("the query, beside a good one", "{P}?key={K}", {}),
        ("another parameter", "{P}?a=b&token={K}&c=d", {}), ("an encoded query", "{P}?key=%72%6b%5f{k}", {}),
        ("a query with one encoded letter", "{P}?key=r%6B_{k}", {}), ("the path", "{P}/{K}", {}),
        ("the end of a path", "{P}/{K}/models", NOTHING), ("an unknown key's query", "{P}?{U}", NOTHING))],
    *[misplaced(name, req(f"{name}: {value}", **more)) for name, value, more in (
        ("User-Agent", "x {K}", {}), ("Referer", "http://relay/?key={K}", {}), ("Cookie", "key={K}", {}),
        ("X-Custom", "{K}", {}), ("Proxy-Authorization", "Bearer {K}", {}), ("X-Auth-Token", "{K}", NOTHING),
        ("X-Request-Id", "{K}", {}), ("X-Forwarded-For", "{K}", {}), ("Connection", "{K}", {}),
        ("Accept", "a/b;{K}", {}), ("session-id", "{K}", {}), ("Origin", "http://{K}.example", NOTHING))],
    misplaced("Host", req(host="Host: {K}")),
    good("other headers for keys", req("api-key: abc", "x-goog-api-key: abcd"), hidden=(b"abc",)),
    good("a key in x-goog-api-key", req(key="x-goog-api-key: {K}")),
    good("a key in api-key", req(key="api-key: {K}")),
    good("others twice behind it", req("api-key: abc", "api-key: abcd", key="x-goog-api-key: {K}"), hidden=(b"abc",)),
    *[refused(f"two lines of {name}", req(f"{name}: {{K}}", key=f"{name}: {{K}}"), 400, "bad_request")
      for name in ("x-goog-api-key", "api-key")],
    refused("a key in a trailer", post(CHUNKED, body="0\r\nX-API-Key: {K}\r\n\r\n", **NOTHING), 401, "missing_api_key"),
    refused("a key in the body", post("Content-Length: 39", body="{K}", **NOTHING), 401, "missing_api_key"),
]

# --- paths ---

CLIMBS = ("/..", "/../admin", "/%2e%2e/x", "/.%2e/x", "/%2E./x", "/%2e%2E", "/..%2fx", "/..%2Fx", "/..%5cx", "/..\\x",
          "/..;/x", "/..;a=b/x", "/..%3bx", "/..%00x", "/%252e%252e/x", "/%25252e%25252e/x", "%2f..%2fx", "%5c..%5cx",
          "\\..\\x", "/x%2f%2e%2e", "/./../x")
PLAIN = ("/...", "/a..b", "/..a", "/a..", "/.a", "/%2Fx", "/x%2Fy", "/x;..b", "/x%2e", "?q=../..", "/.well-known/x",
         "/a%20b", "//x", "/x/", "/%e4%bd%a0", "?a=%2e%2e%2f")

PATHS = [
    *[Row(f"climbing {text}", req(path="{P}" + text), BAD) for text in CLIMBS],
    refused("climbing at the start", req(path="/../v1/x"), 400, "bad_request"),
    *[good(f"path {text}", req(path="{P}" + text), passed=(b"{P}" + text.encode() + b" ",)) for text in PLAIN],
    refused("a path of 2 KB", req(path="{P}/" + "a" * 2048), 400, "bad_request"),
    refused("a query of 9 KB", req(path="{P}?" + "a" * 9216), 400, "bad_request"),
    refused("a path of the relay's", req(path="/relay/internal"), 404, "no_route"),
    refused("the path of the limits without a key", req(path="/relay/me", **NOTHING), 401, "missing_api_key"),
    either("a fragment", req(path="{P}#/../x")),
    either("bytes above 127", req(path="{P}/\xe4")),
]

# --- sizes ---

SIZES = [
    refused("a head of 34 KB", req("X-Long: " + "a" * 34000), 431, "headers_too_large"),
    refused("a head of 34 KB in many lines", req(*(f"X-{i}: " + "a" * 600 for i in range(56))), 431,
            "headers_too_large"),
    bad("a head of 200 KB", req("X-Long: " + "a" * 200000), status=(0, 400, 431)),
    bad("150 lines", req(*(f"X-{i}: a" for i in range(150))), status=(0, 400, 431)),
    good("a head of 20 KB", req(*(f"X-{i}: " + "a" * 400 for i in range(50)))),
    either("a name of 3 KB", req("X-" + "a" * 3000 + ": b")),
    refused("a body above the limit", post("Content-Length: 2000001"), 413, "request_too_large"),
    refused("a bad key whose body never comes", post("Content-Length: 150000", key="X-API-Key: {U}"), 401,
            "invalid_api_key"),
    refused("a bad key that expects to be asked for its body", post("Content-Length: 150000", "Expect: 100-continue",
                                                                    key="X-API-Key: {U}"), 401, "invalid_api_key"),
    refused("a misplaced key whose body never comes", post("Content-Length: 40", path="{P}?a={K}"), 400,
            "misplaced_api_key"),
    good("a label that is too long", req("X-Request-Id: " + "a" * 65), kept=(b"a" * 65,)),
    good("a conversation of 10 KB", req("session-id: " + "a" * 10000)),
]

# --- names of the relay's ---

SPOOFED = ("X-Relay-Account: 1", "X-Relay-Backend: relay-internal", "X-Relay-Error: no_account", "X-Relay-Upstream: 1",
           "x-relay-anything: a", "X-RELAY-Id: 0")
HIDDEN = ("Cookie: a=b", "Proxy-Authorization: Basic YTpi", "Proxy-Connection: keep-alive", "Keep-Alive: timeout=5",
          "TE: trailers", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Host: evil", "X-Real-IP: 9.9.9.9",
          "Forwarded: for=9.9.9.9", "Via: 1.1 evil", "CF-Connecting-IP: 9.9.9.9", "True-Client-IP: 9.9.9.9",
          "Openai-Organization: org-theirs", "Openai-Project: theirs", "X-Goog-Api-Key: theirs", "Api-Key: theirs",
          "My-Api-Key: theirs", "X-Auth-Token: theirs")
NAMED = ("X-Secret", "X-API-Key", "Authorization", "Host", "Content-Length", "X-Request-Id", "Transfer-Encoding")


def named(name):
    return f"Connection: {name}"


SPOOFS = [
    *[good(f"header {line}", req(line), hidden=(line.split(":")[0].lower().encode(), )) for line in SPOOFED],
    *[good(f"header {line}", req(line), hidden=(b"\n" + line.split(":")[0].lower().encode() + b":",))
      for line in HIDDEN],
    *[Row(f"Connection names {name}", post(named(name), "X-Secret: theirs", "Content-Length: 2", body="{}"),
          (200, 400), seen=-1, hidden=(b"connection: " + name.lower().encode(),)) for name in NAMED],
    good("Connection removes what it names", req("Connection: close, X-Secret", "X-Secret: theirs", "X-End: a"),
         hidden=(b"theirs",), passed=(b"x-end: a",)),
    refused("Connection names what cannot be told apart",
            req("Connection: close, X-Secret", "X-Secret: theirs", "Other-X-Secret: b"), 400, "bad_request", versions=OLDER),
    good("Connection names what is not there", req("Connection: close, X-Secret")),
    refused("Connection names many headers", req("Connection: " + ", ".join(f"x-{i}" for i in range(17))), 400,
            "bad_request"),
    good("a label is no id of ours", req("X-Request-Id: mine"), kept=(b"x-request-id: mine",)),
    good("a label that breaks a line", req("X-Request-Id: a%0d%0aX-Relay-Error: b")),
    good("a host of an internal name", req(host="Host: relay-internal")),
    good("trailers", post(CHUNKED, body="0\r\nX-Relay-Account: 1\r\nX-Trailer: theirs\r\n\r\n"),
         hidden=(b"x-trailer", b"x-relay"), versions=NEW),
]

# --- answers of an upstream ---


def answered(name, head, status=OK, body="{}", code=None, first="HTTP/1.1 200 OK", length=True, **more):
    lines = [first, *head, *([f"Content-Length: {len(body)}"] if length else [])]
    answer = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body.encode()
    return Row(f"answer: {name}", req(), status, code, seen=more.pop("seen", 1), answer=answer, **more)


def broken(name, head, **more):
    """The client learns that the upstream's answer was none."""
    return answered(name, head, status=(502, 503), seen=-1, **more)


ANSWERS = [
    answered("an error of ours", ["X-Relay-Error: quota_exceeded"], kept=(b"x-relay-error",), given=(b"x-relay-upstream: 1",)),
    answered("headers of ours", ["X-Relay-Upstream: 0", "X-Relay-Other: a"], kept=(b"x-relay-other", b"upstream: 0")),
    answered("limits of ours", ["RateLimit-Limit: 99", "RateLimit-Remaining: 98", "RateLimit-Reset: 9"],
             kept=(b"ratelimit-limit: 99", b"ratelimit-remaining: 98")),
    answered("limits in one line", ["RateLimit: limit=99", "RateLimit-Policy: 99;w=9"], kept=(b"limit=99", b"99;w=9")),
    answered("a breaker of ours", ["X-Circuit-Breaker: open"], kept=(b"x-circuit-breaker",)),
    answered("an id of ours", ["X-Request-Id: theirs"], kept=(b"theirs",), given=(b"x-request-id: ",)),
    answered("a session", ["Set-Cookie: a=b"], kept=(b"set-cookie",)),
    answered("hop by hop", ["Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Connection: close"],
             kept=(b"proxy-authenticate", b"timeout=5")),
    answered("statements about its host", ["Strict-Transport-Security: max-age=1", "Alt-Svc: h3"],
             kept=(b"strict-transport", b"alt-svc")),
    answered("a provider's limits", ["x-ratelimit-remaining-requests: 7"], given=(b"x-ratelimit-remaining-requests: 7",)),
    answered("an error of the upstream", ["X-Relay-Error: bad_request"], first="HTTP/1.1 400 Bad", status=BAD,
             kept=(b"x-relay-error",), given=(b"x-relay-upstream: 1",)),
    answered("a redirect", ["Location: http://evil.example/"], first="HTTP/1.1 302 Found", status=(302,)),
    answered("103", [], first="HTTP/1.1 103 Early\r\nX-Relay-Error: a\r\n\r\nHTTP/1.1 200 OK", kept=(b"x-relay-error",)),
    Row("answer: trailers", req(), OK, seen=1, kept=(b"x-trailer",), versions=NEW, answer=(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Relay-Error: a\r\nX-Trailer: a\r\n\r\n")),
    broken("two lengths", ["Content-Length: 5"]),
    broken("a line without a colon", ["nothing"]),
    broken("NUL", ["X-A: a\0b"], versions=VERSIONS[1:]),  # 2.6 passes it on
    broken("a blank before the colon", ["X-Relay-Error : a"]),
    broken("no HTTP", [], first="this is no HTTP"),
    broken("a status of letters", [], first="HTTP/1.1 abc OK"),
    broken("a head of 200 KB", ["X-Long: " + "a" * 200000]),
    broken("300 lines", [f"X-{i}: a" for i in range(300)]),
    Row("an answer to a request that never was", req(), OK, seen=1,
        answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond",
        kept=(b"second",)),
]

ROWS = [*FRAMING, *KEYS, *PATHS, *SIZES, *SPOOFS]


# --- the upstream ---

class Upstream:
    """Keeps the bytes of each request by its path, and answers as told."""

    def __init__(self):
        self.seen, self.answers, self.lock = [], {}, threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        with c, c.makefile("rb") as f:
            while True:
                try:
                    raw = self.read(f)
                    if not raw:
                        return
                    answer, close = self.answer(raw)
                    c.sendall(answer)
                except (OSError, ValueError):
                    return
                if close:
                    return

    def read(self, f):
        raw = b""
        while not raw.endswith(b"\r\n\r\n"):
            line = f.readline(1 << 20)
            if not line:
                if raw:
                    self.note(raw)
                return None
            raw += line
        named = dict(line.split(b":", 1) for line in raw.lower().split(b"\r\n")[1:] if b":" in line)
        try:
            if b"chunked" in named.get(b"transfer-encoding", b""):
                raw += self.read_chunks(f)
            else:
                raw += f.read(int(named.get(b"content-length", 0)))
        finally:
            self.note(raw)
        return raw

    @staticmethod
    def read_chunks(f):
        raw = b""
        while True:
            line = f.readline()
            size = int(line.split(b";")[0], 16)
            raw += line + (f.read(size + 2) if size else b"")
            if size == 0:
                while True:
                    line = f.readline()
                    raw += line
                    if line in (b"\r\n", b""):
                        return raw

    def note(self, raw):
        with self.lock:
            self.seen.append(raw)

    def answer(self, raw):
        path = raw.split(b" ", 2)[1].decode("latin-1").split("?")[0]
        told = self.answers.get(path)
        return told or b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", bool(told)

    def of(self, path):
        """Requests of a row: its path, or a longer one that is none of another row."""
        with self.lock:
            return [raw for raw in self.seen if path.encode() in raw.split(b"\r\n", 1)[0]]

    def stop(self):
        self.socket.close()


class Abused(Stack):
    """A stack with an account for the rows, and one for bad answers that no row of the others meets."""

    def __init__(self, version):
        super().__init__(version, "[limits]\nbad_keys = 0\n[requests]\nmax_body = 2000000\n")
        self.raw = Upstream()

    def start(self):
        super().start()
        self.relay.adm("upstreams", "add", "abuse", "--url", self.raw.url, "--provider", "openai", "--probe", "none")
        self.keys = {}
        for name in ("abuse", "answers"):
            self.account(name, "abuse", TOKEN.decode())
            self.relay.adm("pools", "set", name, name)
            self.relay.adm("tenants", "add", name, "--pool", name, "--daily", "0", "--monthly", "0", "--rpm", "100000")
            self.keys[name] = self.relay.issue(name)
        wait_until("HAProxy knows the accounts", lambda: all(
            self.get("/v1/x", key=k).status == 200 for k in self.keys.values()))
        return self

    def stop(self):
        self.raw.stop()
        super().stop()


@pytest.fixture(scope="module", params=VERSIONS)
def site(request):
    s = Abused(request.param)
    try:
        yield s.start()
    finally:
        s.stop()


# --- the client ---

def read_all(s):
    """All bytes until the end, or until nothing came for a while behind a whole answer."""
    got = b""
    while True:
        s.settimeout(QUIET_S if split(got)[0] else LATE_S)
        try:
            data = s.recv(65536)
        except (TimeoutError, ConnectionError):
            return got
        if not data:
            return got
        got += data


def split(got):
    """(status, head, body) of each whole answer but interim ones, and what is left."""
    answers = []
    while b"\r\n\r\n" in got:
        head, rest = got.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        if status < 200:
            got = rest
            continue
        named = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        if b"transfer-encoding" in named:
            body, mark, got = rest.partition(b"0\r\n")
            trailers, end, got = (b"\r\n" + got).partition(b"\r\n\r\n")
            if not mark or not end:
                break
            answers.append((status, head.lower(), body + trailers))
            continue
        length = int(named.get(b"content-length", 0))
        if len(rest) < length:
            break
        answers.append((status, head.lower(), rest[:length]))
        got = rest[length:]
    return answers, got


def send(site, request):
    with socket.create_connection(("127.0.0.1", site.port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            s.sendall(request)
        except ConnectionError:
            pass
        return read_all(s)


def check_seen(row, path, raw, key):
    """What holds for everything that the upstream gets."""
    head = raw.split(b"\r\n\r\n", 1)[0].lower()
    lines = head.split(b"\r\n")
    told = (row.name, raw[:600])
    assert key.lower() not in raw.lower() and b"\nx-relay-" not in head, told
    assert lines[0].split(b" ")[1].startswith(b"/v1/"), told
    assert [l for l in lines if l.startswith(b"authorization:")] == [b"authorization: bearer " + TOKEN.lower()], told
    assert len([l for l in lines if l.startswith(b"host:")]) == 1 and b"host: 127.0.0.1" in head, told
    assert not any(l.startswith((b"x-api-key", b"proxy-", b"upgrade", b"te:", b"expect")) for l in lines), told
    framing = [l for l in lines if l.startswith((b"content-length:", b"transfer-encoding:"))]
    assert len(framing) <= 1, told
    for text in row.hidden:
        assert text.lower() not in raw.lower(), told
    for text in row.passed:
        assert text.replace(b"{P}", path) in raw, told


def check(site, row, path, got):
    answers, rest = split(got)
    seen = site.raw.of(path.decode())
    told = (row.name, got[:800], seen)
    assert (answers[0][0] if answers else 0) in row.status, told
    assert rest == b"", told
    if row.code:
        assert b"x-relay-error: " + row.code.encode() in answers[0][1], told
    assert all(status in row.more for status, _, _ in answers[1:]), told
    accepted = [a for a in answers if a[0] < 400]
    if row.seen >= 0:
        assert len(seen) == row.seen, told
    elif not row.answer:
        assert len(seen) == len(accepted), told
    assert TOKEN not in got, told
    final = b"\r\n".join(head + b"\r\n\r\n" + body.lower() for _, head, body in answers)
    for text in row.kept:
        assert text.lower() not in final, told
    for text in row.given:
        assert text.lower() in final, told
    for raw in seen:
        check_seen(row, path, raw, site.keys["abuse"].encode()[3:])


def play(site, numbered, key="abuse"):
    n, row = numbered
    path = f"/v1/{key}-{n}-end".encode()
    if row.answer:
        site.raw.answers[path.decode()] = row.answer
    good_key = site.keys[key].encode()
    request = row.request.replace(b"{P}", path).replace(b"{K}", good_key).replace(b"{k}", good_key[3:])
    got = send(site, request.replace(b"{U}", UNKNOWN))
    try:
        check(site, row, path, got)
    except AssertionError as e:
        return f"{row.name}: {e}"
    return None


def rows_of(site, rows):
    return [(n, row) for n, row in enumerate(rows) if site.version in row.versions]


def test_requests(site):
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        failures = list(filter(None, threads.map(functools.partial(play, site), rows_of(site, ROWS))))
    print(len(ROWS), "rows")
    assert not failures, f"{len(failures)} rows:\n" + "\n".join(f[:900] for f in failures)


def test_answers(site):
    """One after the other, because the account gives up after some failures."""
    failures = []
    for numbered in rows_of(site, ANSWERS):
        failures.append(play(site, numbered, "answers"))
        site.relay.adm("accounts", "reset", "answers")
    failures = list(filter(None, failures))
    assert not failures, f"{len(failures)} rows:\n" + "\n".join(f[:900] for f in failures)


def test_the_table_is_large():
    names = collections.Counter(row.name for row in [*ROWS, *ANSWERS])
    assert len(names) >= 120 and max(names.values()) == 1, names.most_common(9)


def test_the_relay_is_as_before(site):
    """After all that, a good request is served, and no slot is lost."""
    assert site.get("/v1/x", key=site.keys["abuse"]).status == 200
    wait_until("all slots are free", lambda: site.relay.metric("relay_leases_outstanding") == 0)
