#!/usr/bin/python3
"""Where the instructions of an ordinary request go in HAProxy: two accounts, a body of 100 bytes, one client with a kept
connection. Each group of rules is left out once; what the request saves is what the group costs. valgrind counts
instructions, so the figures are the same on a busy machine. It counts a copied byte as an instruction, which the processor
does not: copies have a separate column."""
import argparse
import pathlib
import re
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from figures import Site, set_malloc, write  # noqa: E402
from relay import Process, free_port, wait_until  # noqa: E402

CFG = "relay.cfg"
REQUESTS = 150


def without(*starts):
    """Deletes the lines that begin with one of these expressions."""
    return [(rf"^\t(?:{start}).*\n", "") for start in starts]


GROUPS = {
    "request id": [(r"unique-id-format %\[date.*$", "unique-id-format %[uuid()]")],
    "end record": without("log ", "log-format "),
    "second engine, for requests that wait": without("filter spoe engine relay-wait", "http-request send-spoe-group relay-wait"),
    "shape of errors": without(r"http-request set-var-fmt\(txn.rly.shape"),
    "gauge": without("http-request track-sc0"),
    "waits for a body": without("http-request wait-for-body"),
    "target and path": without("http-request set-uri", "http-request set-path"),
    "headers of a request removed": without(r"http-request del-header '\^\(x-api"),
    "credential and extra headers": without("http-request set-header (?!Host|Accept)", r"http-request set-var\(txn.rly.nbeta",
                                            "http-request add-header anthropic"),
    "Host and Accept-Encoding": without("http-request set-header (?:Host|Accept)"),
    "retry": without("retry-on ", "http-request disable-l7-retry"),
    "headers of a response": without(r"http-response del-header '\^", "http-response set-header X-Relay-Upstream"),
    "limits and errors of a response": without(r"http-response set-var-fmt\(txn.relay.lim", "http-response (?:allow|return|send)"),
    "X-Request-Id, RateLimit-*, the relay's errors": without("http-after-response"),
    "servers for failover": without("force-persist", "use-server fresh"),
}


class Profiled(Site):
    """The relay and the smallest SPOE exchange; HAProxy runs in valgrind, one after the other."""

    def start(self):
        s, r = self.stack, self.stack.relay
        s.start()
        self.upstream = self.start_upstream()
        r.adm("upstreams", "add", "static", "--url", f"http://127.0.0.1:{self.upstream}", "--provider", "openai")
        for name in ("s1", "s2"):
            s.account(name, "static", f"token-of-{name}")
        r.adm("pools", "set", "two", "s1", "s2")
        self.keys = {"two": self.issue("two", 1)}
        self.start_noop()

    def noop_files(self):
        text = (self.stack.dir / "noop.cfg").read_text().replace("nbthread 2", "nbthread 1")
        port = free_port()
        text = text.replace(f"127.0.0.1:{self.ports['no-op']}", f"127.0.0.1:{port}")
        self.ports["smallest"] = port
        return [write(self.stack.dir / "smallest.cfg", text)]

    def relay_files(self, name, edits):
        """The rendered files with other ports and sockets, changed."""
        s = self.stack
        directory = s.dir / f"profile-{len(self.ports)}"
        directory.mkdir()
        port = self.ports[name] = free_port()
        replaced = {f"127.0.0.1:{s.port}": f"127.0.0.1:{port}", f"127.0.0.1:{s.stats_port}": f"127.0.0.1:{free_port()}",
                    str(s.dir / "haproxy"): str(directory)}
        for file in (CFG, "relay-spoe.conf"):
            text = (s.dir / "haproxy" / file).read_text()
            for old, new in replaced.items():
                text = text.replace(old, new)
            write(directory / file, re.sub(r"[^/ ']+\.sock(?=['\s])", lambda m: own_socket(m.group(), directory.name), text))
        text = (directory / CFG).read_text()
        for pattern, new in edits:
            text, count = re.subn(pattern, new, text, flags=re.M)
            assert count, f"{name}: the files have no {pattern}"
        write(directory / CFG, text)
        return [write(directory / "own.cfg", "global\n    nbthread 1\n    maxconn 4000\n"), directory / CFG]


def own_socket(name, prefix):
    return name if name == "agent.sock" else f"{prefix}-{name}"


def send(site, name, count):
    body = b'{"prompt_cache_key":"k","input":"' + b"x" * 64 + b'"}'
    request = (f"POST /v1/responses HTTP/1.1\r\nHost: relay\r\nX-API-Key: {site.key(name, 0)}\r\nsession-id: c\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    with socket.create_connection(("127.0.0.1", site.ports[name]), timeout=60) as s:
        for _ in range(count):
            s.sendall(request)
            answer = b""
            while not answer.endswith(b'{"ok":true}'):
                more = s.recv(65536)
                assert more, f"{name}: {answer}"
                answer += more
            assert answer.startswith(b"HTTP/1.1 200"), answer


def control(haproxy, *words):
    subprocess.run(["callgrind_control", *words, str(haproxy.pid)], check=True, capture_output=True)


def count(site, name, files):
    """(instructions of a request without copies, copied bytes)"""
    out = site.stack.dir / f"callgrind-{site.ports[name]}"
    haproxy = Process(name, ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}",
                             *site.stack.command, "-db", *[w for f in files for w in ("-f", f)]], out.with_suffix(".log"))
    try:
        wait_until(f"{name} answers", lambda: site.answers(name), seconds=60)
        control(haproxy, "-i", "on")
        send(site, name, 20)
        control(haproxy, "-z")
        send(site, name, REQUESTS)
        control(haproxy, "-i", "off")
    finally:
        haproxy.stop()
    total = int(re.search(r"^totals: (\d+)", out.read_text(), re.M).group(1))
    lines = subprocess.run(["callgrind_annotate", "--threshold=100", out], capture_output=True, text=True).stdout
    copies = sum(int(n.replace(",", "")) for n in re.findall(r"^\s*([\d,]+) .*:__mem(?:cpy|move)\w+", lines, re.M))
    return (total - copies) / REQUESTS, copies / REQUESTS


def profile(version):
    site = Profiled(version, ())
    print(f"\nHAProxy {version}\n\n| what | instructions | bytes copied |\n|---|---|---|", flush=True)
    try:
        site.start()
        smallest = count(site, "smallest", site.noop_files())
        whole = count(site, "whole", site.relay_files("whole", []))
        for name, row in (("smallest SPOE exchange", smallest), ("the relay, two accounts", whole)):
            print(f"| {name} | {row[0]:,.0f} | {row[1]:,.0f} |", flush=True)
        for name, edits in GROUPS.items():
            row = count(site, name, site.relay_files(name, edits))
            print(f"| {name} | {whole[0] - row[0]:,.0f} | {whole[1] - row[1]:,.0f} |", flush=True)
    finally:
        site.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--haproxy-versions", default="2.6,3.4", metavar="V,...")
    set_malloc()
    for version in parser.parse_args().haproxy_versions.split(","):
        profile(version)


if __name__ == "__main__":
    main()
