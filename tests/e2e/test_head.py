"""The head of a request as the agent reads it, through a real HAProxy: size, HTTP/2, reused connections; paths that climb;
relay keys in the wrong place."""
import json
import subprocess

import pytest

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
