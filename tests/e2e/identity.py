"""tests/demo/idp.py as a test fixture, and accounts with its tokens."""
import base64
import http.client
import json
import os

from relay import ROOT, Process, header, wait_until

# Subscription accounts have default limits; these tests are about other things.
UNLIMITED = ("--rpm", "0", "--rph", "0", "--concurrency", "0", "--max-consecutive", "0")
FAST = "[health]\nrefresh_pause = 100ms\n"


SECRET = "secret-of-a-program"
# Of a login: provider of its upstream, what the identity provider makes of it, and how the relay calls it.
KINDS = {
    "codex": ("codex", {"kind": "codex"}, "codex"),
    "codex-flat": ("codex", {"kind": "codex", "flat": True}, "codex-flat"),
    "claude": ("anthropic", {"kind": "claude"}, "claude-code"),
    "gemini": ("gemini", {"kind": "gemini", "client_secret": SECRET}, "gemini-cli"),
    "oauth": ("generic", {"kind": "oauth"}, "oauth"),
}


class Idp(Process):
    def __init__(self, directory):
        super().__init__("idp", ["/usr/bin/python3", ROOT / "tests/demo/idp.py"], directory / "idp.log")
        lines = wait_until("the identity provider listens",
                           lambda: (t := self.text()).count("\n") >= 2 and t.splitlines())
        self.port, self.control = (int(line.split()[1]) for line in lines[:2])
        self.url = f"http://127.0.0.1:{self.port}/oauth/token"

    def ask(self, method, path, **body):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
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

    def rotate(self, family):
        """Renews the tokens of the family, as its owner does elsewhere."""
        return self.ask("POST", "/rotate", family=family)["auth"]

    def state(self):
        return self.ask("GET", "/state")

    def uses(self, family):
        return [use for use in self.state()["uses"] if use["family"] == family]

    def outcomes(self, family):
        return [use["outcome"] for use in self.uses(family)]

    def ended(self, family):
        """Finished uses, for which `delivered` is known."""
        return [use for use in self.uses(family) if use["ended_at"]]


def credential_of(row):
    """Of a request at the upstream."""
    return header(row, "authorization").removeprefix("Bearer ")


def claims(token):
    """Of a JWT, or of one that is made opaque."""
    payload = token.replace("~", ".").split(".")[-2]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class Logins:
    """An identity provider beside a stack: upstreams that refresh there, and accounts with logins there."""

    def __init__(self, stack):
        self.stack, self.relay, self.idp = stack, stack.relay, Idp(stack.dir)
        self.keys = {}

    def upstream(self, name="codex", *options, provider="codex"):
        self.relay.adm("upstreams", "add", name, "--url", self.stack.upstream.url, "--provider", provider,
                       "--token-url", self.idp.url, "--client-id", f"app-{name}", *options)

    def login(self, name, kind, client_id, **wishes):
        """(family, options of `accounts add`) of a new login of one of KINDS."""
        family, auth = self.idp.family(client_id=client_id, token_url=self.idp.url, **KINDS[kind][1], **wishes)
        options = ["--credentials", str(self.file(name, auth))]
        if kind == "gemini":
            secret = self.stack.dir / "client.secret"
            secret.write_text(SECRET + "\n")
            options += ["--client-secret-file", str(secret)]
        return family, options

    def file(self, name, auth):
        path = self.stack.dir / f"{name}.auth.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(auth))
        fresh.chmod(0o644)
        os.replace(fresh, path)
        return path

    def account(self, name, *options, upstream="codex", **wishes):
        """Adds an account with its own family, pool and key; returns the family."""
        family, auth = self.idp.family(client_id=f"app-{upstream}", **wishes)
        self.relay.adm("accounts", "add", name, "--upstream", upstream, "--auth-json", str(self.file(name, auth)),
                       *UNLIMITED, *options)
        self.relay.adm("pools", "set", name, name)
        self.keys[name] = self.relay.issue("demo", "--pool", name)
        return family

    def get(self, name, path="/v1/models", **options):
        return self.stack.get(path, key=self.keys[name], **options)

    def shown(self, name):
        return self.relay.adm("accounts", "show", name)

    def notices(self, *options):
        """{account: notices of a required login}"""
        found = {}
        for notice in self.relay.adm("notices", "list", *options)["items"]:
            if notice["kind"] == "needs_login":
                found.setdefault(notice["subject"].removeprefix("account/"), []).append(notice)
        return found

    def needs_login(self, name):
        return self.shown(name)["state"] == "needs_login" and name in self.notices()
