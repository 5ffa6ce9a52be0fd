"""Egresses: SOCKS4 servers, remote nodes (a second HAProxy), and certificates and a name server for them."""
import itertools
import socket
import struct
import subprocess
import threading

from relay import ROOT, Process, free_port, wait_until

NAME = "up.test"  # name of the demo upstream for https


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Authority:
    """A CA; `issue` makes PEM files with certificate and key."""

    def __init__(self, directory, name):
        self.dir, self.name = directory, name
        self.pem, self.key = directory / f"{name}-ca.pem", directory / f"{name}-ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.pem)

    def issue(self, host):
        base = self.dir / f"{self.name}-{host}"
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={host}", "-keyout", f"{base}.key", "-out", f"{base}.csr")
        (base.parent / f"{base.name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        run("openssl", "x509", "-req", "-days", "2", "-in", f"{base}.csr", "-CA", self.pem, "-CAkey", self.key,
            "-CAcreateserial", "-extfile", f"{base}.ext", "-out", f"{base}.crt")
        pem = base.parent / f"{base.name}.pem"
        pem.write_bytes(open(f"{base}.crt", "rb").read() + open(f"{base}.key", "rb").read())
        pem.chmod(0o644)
        return pem


class Names:
    """A name server: records every A question and gives the same answer to all."""

    def __init__(self, address="127.0.0.1"):
        self.address, self.asked = address, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self._answer(question), peer)
            except OSError:
                return

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        self.asked.append(".".join(labels))
        answers = 1 if kind == 1 else 0
        head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, answers, 0, 0)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(self.address)
        return head + question[12:at + 5] + answer * answers

    def close(self):
        self.socket.close()


class Socks4(Process):
    """tests/demo/socks4.py with `source` as its source address."""

    numbers = itertools.count()

    def __init__(self, directory, source, port=0):
        log = directory / f"socks4-{next(self.numbers)}.log"
        super().__init__(f"socks4-{source}", ["/usr/bin/python3", ROOT / "tests/demo/socks4.py",
                                              "--listen", f"127.0.0.1:{port}", "--source", source],
                         log)
        line = wait_until("the SOCKS4 server listens", lambda: (t := self.text()).endswith("\n") and t.splitlines()[-1])
        self.port = int(line.split()[1])


class Node(Process):
    """haproxy/egress-node.cfg in a separate HAProxy."""

    def __init__(self, directory, command, source, cert, ca, upstreams, names, port=None):
        self.port = port or free_port()
        lists = directory / f"upstreams-{self.port}.map"
        lists.write_text("".join(f"{name} {port}\n" for name, port in upstreams.items()))
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RELAY_NODE_BIND": f"127.0.0.1:{self.port}",
               "RELAY_NODE_SOURCE": source, "RELAY_NODE_CERT": str(cert), "RELAY_NODE_CA": str(ca),
               "RELAY_NODE_UPSTREAMS": str(lists), "RELAY_NODE_DNS": f"127.0.0.1:{names.port}"}
        super().__init__("egress-node", [*command, "-W", "-f", ROOT / "haproxy/egress-node.cfg"],
                         directory / f"node-{self.port}.log", env=env)
        wait_until("the node listens", self._listens)

    def _listens(self):
        assert self.popen.poll() is None, self.text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
            return True
        except OSError:
            return False
