"""tests/demo/idp.py under the hands of a test."""
import base64
import http.client
import json

from relay import ROOT, Process, wait_until


class Idp(Process):
    def __init__(self, directory):
        super().__init__("idp", ["/usr/bin/python3", ROOT / "tests/demo/idp.py"], directory / "idp.log")
        lines = wait_until("the identity provider listens",
                           lambda: (t := self.text()).count("\n") >= 2 and t.splitlines())
        self.port, self.control = (int(line.split()[1]) for line in lines[:2])
        self.url = f"http://127.0.0.1:{self.port}/oauth/token"

    def ask(self, method, path, **body):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=30)
        c.request(method, path, json.dumps(body))
        answer = c.getresponse()
        value = json.loads(answer.read())
        c.close()
        assert answer.status == 200, value
        return value

    def family(self, **wishes):
        made = self.ask("POST", "/family", **wishes)
        return made["family"], made["auth"]

    def faults(self, family, *kinds, seconds=1.0):
        self.ask("POST", "/faults", family=family, next=[{"kind": kind, "seconds": seconds} for kind in kinds])

    def state(self):
        return self.ask("GET", "/state")

    def uses(self, family):
        return [use for use in self.state()["uses"] if use["family"] == family]

    def ended(self, family):
        """Uses that are over, so that `delivered` says something."""
        return [use for use in self.uses(family) if use["ended_at"]]


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
