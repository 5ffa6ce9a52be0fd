"""The head of a request as the agent reads it, through a real HAProxy: size, HTTP/2, reused connections; paths that climb;
relay keys in the wrong place."""
import contextlib
import http.client
import json
import subprocess

import pytest

from relay import VERSIONS

CLIMBING = ("/v1/../x", "/v1/x/..", "/v1/..;/x", "/v1/..;a/x", "/v1\\..\\x", "/v1/%2e%2e/x", "/v1/.%2E/x", "/v1/..%2fx",
            "/v1%2f..%2fx", "/v1%5c..%5cx", "/v1/..%3b/x", "/v1/..%00/x", "/v1/%252e%252e/x", "/v1/..%252fx",
            "/v1/%25252e%25252e%25252fx", "/v1/.%25%32%65/x", "/v1/%c0%ae%c0%ae/x", "/v1/..%c0%afx", "/v1/./../x", "/..")
PLAIN = ("/v1/...", "/v1/a..b", "/v1/..b", "/v1/a..", "/v1/./x", "/v1/.x", "/v1/x;..b", "/v1/files/a%2Fb", "/v1/files/a%2f.b",
         "/v1/%2e%2e%2e/x", "/v1/%41..%2Fx", "/v1/100%25", "/v1/a%20..%20b", "/v1/m/gpt-4.1..mini", "/v1//x", "/v1/caf%c3%a9",
         "/v1/x?a=../..&b=%2e%2e/")


def ask(stack, target, headers=(), key=None, version=()):
    """(status, error code) of a GET with exactly this target."""
    lines = [part for line in (f"X-API-Key: {key or stack.key}", *headers) for part in ("-H", line)]
    done = subprocess.run(["curl", "-s", "-m", "30", "--path-as-is", "--request-target", target, *version, *lines,
                           "-w", "\n%{http_code} %header{x-relay-error}", f"http://127.0.0.1:{stack.port}/"],
                          capture_output=True, check=True, timeout=60)
    status, _, code = done.stdout.rpartition(b"\n")[2].decode().partition(" ")
    return int(status), code


def refused(stack, code, status, *args, **options):
    before = len(stack.upstream.requests())
    assert ask(stack, *args, **options) == (status, code), args
    assert len(stack.upstream.requests()) == before


@pytest.mark.parametrize("target", CLIMBING)
def test_a_path_that_climbs_is_refused(stack, target):
    refused(stack, "bad_request", 400, target)


@pytest.mark.parametrize("target", PLAIN)
def test_other_dots_pass_byte_for_byte(stack, target):
    assert ask(stack, target) == (200, "")
    row = stack.upstream.requests()[-1]
    assert (row["path"] + "?" + row["query"]).rstrip("?") == target


def test_a_key_in_the_wrong_place_is_refused(stack):
    key, encoded = stack.key, stack.key.replace("_", "%5f")
    for target in (f"/v1/x?key={key}", f"/v1/x?a=b&key={encoded}", f"/v1/x?{key[:5]}%{ord(key[5]):02x}{key[6:]}", f"/v1/{key}/x",
                   f"/v1/{encoded}/x"):
        refused(stack, "misplaced_api_key", 400, target)
    for name in ("User-Agent", "Referer", "Cookie", "X-Own", "Proxy-Authorization", "X-Auth-Token"):
        refused(stack, "misplaced_api_key", 400, "/v1/x", headers=(f"{name}: a={key}; b",))
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    assert ask(stack, f"/v1/x?key={wrong}", headers=(f"Referer: https://x/?key={wrong}",)) == (200, "")
    for name in ("X-Goog-Api-Key", "Api-Key", "Authorization"):
        assert ask(stack, "/v1/x", headers=(f"{name}: {key}",)) == (200, "")
        assert key not in json.dumps(stack.upstream.requests()[-1])


@pytest.mark.parametrize("version", ((), ("--http2-prior-knowledge",)), ids=("h1", "h2"))
def test_a_large_head(stack, version):
    options = {"version": version}
    assert ask(stack, "/v1/x?" + "q" * 4000, headers=("Cookie: a=" + "a" * 10000, "X-Large: " + "b" * 10000), **options) == (200, "")
    assert ask(stack, "/v1/x", headers=[f"X-N{n}: {n}" for n in range(90)], **options) == (200, "")
    refused(stack, "headers_too_large", 431, "/v1/x", headers=[f"X-L{n}: {'b' * 4000}" for n in range(9)], **options)
    refused(stack, "bad_request", 400, "/v1/x?" + "q" * 8192, **options)
    refused(stack, "bad_request", 400, "/v1/../x", **options)
    refused(stack, "misplaced_api_key", 400, "/v1/x", headers=(f"X-Own: {stack.key}",), **options)


def test_a_head_beyond_the_buffer_is_refused_by_haproxy_itself(stack):
    s = stack.connect()
    with contextlib.suppress(OSError):
        s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: relay\r\nX-Large: " + b"x" * 200000)
    answer = http.client.HTTPResponse(s)
    answer.begin()
    assert answer.status == (431 if float(stack.version) >= 3.2 else 400)
    s.close()


def test_each_request_of_a_connection_counts_by_its_head(stack):
    s = stack.connect()
    answers = s.makefile("rb")

    def send(*lines):
        head = "".join(f"{line}\r\n" for line in ("GET /v1/x HTTP/1.1", "Host: relay", *lines))
        s.sendall(head.encode() + b"\r\n")
        status = int(answers.readline().split()[1])
        length = 0
        while (line := answers.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        answers.read(length)
        return status

    good = f"X-API-Key: {stack.key}"
    for _ in range(3):
        assert send(good) == 200
        assert send() == 401
        assert send("X-API-Key: rk_bad") == 401
        assert send(good, good) == 400
        assert send(f"Authorization: bearer {stack.key}", "A:", "B: \xe4") == 200
    s.close()


def sees(stack, key, *headers):
    """Whether the client counts as one of 203.0.113.0/24, the only network that the key may come from."""
    answer = ask(stack, "/v1/x", headers, key)
    assert answer in ((200, ""), (403, "ip_not_allowed")), answer
    return answer[0] == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_the_address_behind_a_chain_of_trusted_proxies(fresh, version):
    stack = fresh(version)
    adm = stack.relay.adm
    adm("tenants", "add", "near", "--pool", "demo", "--daily", "0", "--monthly", "0",
        "--allow-ip", "203.0.113.0/24,2001:db8:1::/48")
    key = stack.relay.issue("near")
    render = ("haproxy", "render", "--out", str(stack.dir / "haproxy"), "--bind", f"127.0.0.1:{stack.port}")
    assert not sees(stack, key, "X-Forwarded-For: 203.0.113.5")
    adm(*render, "--trust-forwarded", "127.0.0.0/8,198.51.100.0/24,2001:db8:2::/48")
    for headers, near in (
            (("X-Forwarded-For: 203.0.113.5",), True), (("X-Forwarded-For: 203.0.113.5:51234",), True),
            (("X-Forwarded-For: 6.6.6.6, 203.0.113.5, 198.51.100.9",), True),
            (("X-Forwarded-For: 6.6.6.6, 203.0.113.5", "X-Forwarded-For: [2001:db8:2::1]:443"), True),
            (("X-Forwarded-For: [2001:db8:1::1]:443",), True), (("X-Forwarded-For: 203.0.113.5, 6.6.6.6",), False),
            (("X-Forwarded-For: 203.0.113.5", "X-Forwarded-For: 6.6.6.6, 198.51.100.9"), False),
            (("X-Forwarded-For: 203.0.113.5, unknown",), False), (("X-Forwarded-For: 203.0.113.5.",), False), ((), False),
            (("Forwarded: for=203.0.113.5;proto=https, for=198.51.100.9",), True),
            (('Forwarded: For="[2001:db8:1::1]:443"',), True), (("Forwarded: for=203.0.113.5, for=_hidden",), False),
            (("Forwarded: for=203.0.113.5, proto=https",), False),
            (("Forwarded: for=203.0.113.5", "X-Forwarded-For: 6.6.6.6"), False),
            (("Forwarded: for=6.6.6.6", "X-Forwarded-For: 203.0.113.5"), True)):
        assert sees(stack, key, *headers) == near, headers
    names = {name.lower() for name, _ in stack.upstream.requests()[-1]["headers"]}
    assert not names & {"forwarded", "x-forwarded-for"}
    # HAProxy's files stay as they are: the agent knows the networks as soon as the command returns
    assert adm(*render)["haproxy"] == "unchanged"
    assert sees(stack, key, "X-Forwarded-For: 203.0.113.5")
    assert adm("haproxy", "options", "--trust-forwarded", "")["trust_forwarded"] == []
    assert not sees(stack, key, "X-Forwarded-For: 203.0.113.5")
