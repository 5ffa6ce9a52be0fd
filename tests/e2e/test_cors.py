"""[cors] origins: what pages of other origins may do, seen by a browser, and what HAProxy writes."""
import http.server
import json
import signal
import threading

import pytest

from browser import Browser
from relay import VERSIONS, Stack, wait_until

# The page asks the relay and puts what it may see into its title.
PAGE = b"<!doctype html><title>idle</title><p>page</p>"
ASK = """(async () => {{ try {{
 const r = await fetch("{url}", {{method: "{method}", body: {body}, headers: {headers}, credentials: "{credentials}"}});
 let seen = {{}}; for (const [k, v] of r.headers) seen[k] = v;
 let parts = 0, text = "", reader = r.body.getReader(), d = new TextDecoder();
 for (;;) {{ const {{done, value}} = await reader.read(); if (done) break; parts++; text += d.decode(value, {{stream: true}}); }}
 return JSON.stringify({{status: r.status, seen, parts, text}});
}} catch (e) {{ return JSON.stringify({{error: String(e)}}) }} }})()"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Talkative(http.server.BaseHTTPRequestHandler):
    """An upstream that answers pages itself, with an event stream on /v1/stream."""
    protocol_version = "HTTP/1.1"
    heads = []

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.heads.append({k.lower(): v for k, v in self.headers.items()})
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "https://evil.example")
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Vary", "Accept-Encoding")
        if self.path.startswith("/v1/stream"):
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for i in range(5):
                data = f"data: {i}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
                threading.Event().wait(0.1)
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST

    def log_message(self, *_):
        pass


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def pages():
    """Two origins, of which one is listed."""
    servers = [serve(Page), serve(Page)]
    yield [f"http://127.0.0.1:{s.server_address[1]}" for s in servers]
    for s in servers:
        s.shutdown()


@pytest.fixture(scope="module", params=VERSIONS)
def site(request, pages):
    talkative = serve(Talkative)
    s = Stack(request.param, f"[cors]\norigins = https://app.example, {pages[0]}\n")
    try:
        s.start()
        s.relay.adm("upstreams", "add", "talkative", "--url", f"http://127.0.0.1:{talkative.server_address[1]}", "--provider", "generic")
        s.account("page", "talkative", "token")
        s.relay.adm("pools", "set", "page", "page")
        s.relay.adm("tenants", "add", "page", "--pool", "page", "--rpm", "1000")
        s.key = s.relay.issue("page")
        wait_until("HAProxy knows the pool", lambda: s.get("/v1/x", key=s.key).status == 200)
        yield s
    finally:
        s.stop()
        talkative.shutdown()


@pytest.fixture(scope="module")
def browser():
    b = Browser()
    try:
        yield b
    finally:
        b.close()


def ask(browser, page, s, path, method="POST", body='"{}"', headers=None, credentials="omit"):
    browser.open(page)
    headers = {"X-API-Key": s.key, "Content-Type": "application/json"} if headers is None else headers
    answer = browser.call("Runtime.evaluate", awaitPromise=True, returnByValue=True, expression=ASK.format(
        url=f"http://127.0.0.1:{s.port}{path}", method=method, body=body, headers=json.dumps(headers), credentials=credentials))
    return json.loads(answer["result"]["value"])


def test_a_listed_page_reads_answer_stream_and_headers(site, browser, pages):
    answer = ask(browser, pages[0], site, "/v1/x")
    assert (answer["status"], answer["text"]) == (200, "{}")
    assert {"x-request-id", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} <= set(answer["seen"])
    stream = ask(browser, pages[0], site, "/v1/stream")
    assert stream["text"] == "".join(f"data: {i}\n\n" for i in range(5)) and stream["parts"] > 1
    head = Talkative.heads[-1]
    assert head["authorization"] == "Bearer token"
    assert not {"origin", "referer", "x-api-key", "sec-fetch-mode", "sec-fetch-site"} & set(head)


def test_a_listed_page_reads_the_errors_of_the_relay(site, browser, pages):
    answer = ask(browser, pages[0], site, "/v1/x", headers={"X-API-Key": "rk_wrong"})
    assert answer["status"] == 401 and json.loads(answer["text"])["error"]["code"] == "invalid_api_key"
    assert answer["seen"]["x-relay-error"] == "invalid_api_key" and answer["seen"]["x-should-retry"] == "false"
    site.relay.adm("tenants", "add", "slow", "--pool", "page", "--rpm", "1")
    key = site.relay.issue("slow")
    answers = [ask(browser, pages[0], site, "/v1/x", headers={"X-API-Key": key}) for _ in range(2)]
    assert answers[1]["status"] == 429 and int(answers[1]["seen"]["retry-after"]) >= 1


def test_another_page_is_refused_by_the_browser(site, browser, pages):
    before = len(Talkative.heads)
    assert "error" in ask(browser, pages[1], site, "/v1/x")
    assert len(Talkative.heads) == before
    # without a preflight the request is made, but its page reads nothing; and cookies are never allowed
    assert "error" in ask(browser, pages[1], site, "/relay/health", "GET", "undefined", {})
    assert ask(browser, pages[0], site, "/relay/health", "GET", "undefined", {})["status"] == 200
    assert "error" in ask(browser, pages[0], site, "/v1/x", credentials="include")


def named(answer, name):
    return answer.headers.get_all(name) or []


def test_a_preflight_request_is_answered_without_a_decision(site):
    before = site.relay.metric("relay_spop_frames_total", type="notify")
    asked = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST"),
             ("Access-Control-Request-Headers", "x-api-key,content-type")]
    answer = site.request("OPTIONS", "/v1/responses", headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert named(answer, "Access-Control-Allow-Origin") == ["https://app.example"]
    assert named(answer, "Access-Control-Allow-Headers") == ["x-api-key,content-type"]
    assert "POST" in named(answer, "Access-Control-Allow-Methods")[0] and named(answer, "Access-Control-Max-Age") == ["7200"]
    assert named(answer, "Vary") == ["Origin"] and not named(answer, "Access-Control-Allow-Credentials")
    assert len(named(answer, "X-Request-Id")) == 1
    # what is no list of names is not repeated
    answer = site.request("OPTIONS", "/", headers=[*asked[:2], ("Access-Control-Request-Headers", 'x"<y>')])
    assert (answer.status, named(answer, "Access-Control-Allow-Headers")) == (204, ["x-api-key"])
    # neither another origin nor a part of one
    for origin in ("https://evil.example", "https://app.example.evil", "https://app.exampl", "null", "HTTPS://APP.EXAMPLE", ""):
        answer = site.request("OPTIONS", "/v1/responses", headers=[("Origin", origin), *asked[1:]])
        assert (answer.status, named(answer, "Access-Control-Allow-Origin")) == (401, []) and named(answer, "Vary") == ["Origin"]
    assert site.relay.metric("relay_spop_frames_total", type="notify") == before + 6


def test_only_the_relay_says_which_pages_may_read(site):
    for origin, allowed in (("https://app.example", ["https://app.example"]), ("https://evil.example", []), (None, [])):
        answer = site.post("/v1/x", key=site.key, headers=[("Origin", origin)] if origin else ())
        assert answer.status == 200
        assert named(answer, "Access-Control-Allow-Origin") == allowed
        assert not named(answer, "Access-Control-Allow-Credentials")
        assert named(answer, "Vary") == ["Accept-Encoding", "Origin"]
    # of two lines the last counts: no line is echoed that is not listed
    answer = site.post("/v1/x", key=site.key, headers=[("Origin", "https://app.example"), ("Origin", "https://evil.example")])
    assert named(answer, "Access-Control-Allow-Origin") == []
    answer = site.request("TRACE", "/", headers=[("Origin", "https://app.example")])
    assert (answer.status, named(answer, "Access-Control-Allow-Origin")) == (400, ["https://app.example"])


@pytest.mark.parametrize("version", VERSIONS)
def test_all_origins_and_none(fresh, version):
    s = fresh(version, extra="[cors]\norigins = *\n")
    asked = [("Origin", "https://any.example"), ("Access-Control-Request-Method", "GET")]
    answer = s.request("OPTIONS", "/relay/health", headers=asked)
    assert (answer.status, named(answer, "Access-Control-Allow-Origin"), named(answer, "Vary")) == (204, ["*"], [])
    assert not named(answer, "Access-Control-Allow-Credentials")
    s.relay.write_config("[cors]\norigins =\n")
    s.relay.process.popen.send_signal(signal.SIGHUP)
    wait_until("HAProxy has new files", lambda: s.request("OPTIONS", "/relay/health", headers=asked).status != 204)
    answer = s.get("/relay/health", headers=asked[:1])
    assert (answer.status, named(answer, "Access-Control-Allow-Origin"), named(answer, "Vary")) == (200, [], [])
