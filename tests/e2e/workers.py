"""Tests in parallel (pytest -n N): each worker has a network namespace, tests that share a stack run in one worker, and
the longest start first."""
import collections
import json
import os
import pathlib
import re
import tempfile

import netns

VERSION = re.compile(r"\d+\.\d+")


def is_worker(config):
    return hasattr(config, "workerinput")


def isolate():
    """Gives this worker its own network. Without root, only the port ranges of free_port() separate the workers."""
    if os.geteuid() == 0:
        os.environ["RELAY_NETWORK"] = f"/proc/{os.getppid()}/ns/net"
        netns.enter()
        for server in name_servers():
            netns.ip("address", "replace", server, "dev", "lo")  # it refuses at once, so that no name takes a timeout


def name_servers():
    path = pathlib.Path("/etc/resolv.conf")
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    addresses = [words[1] for words in lines if words[:1] == ["nameserver"]]
    return [address for address in addresses if "%" not in address and not address.startswith("127.")]


def with_network(*command):
    """The command, in the machine's network."""
    outside = os.environ.get("RELAY_NETWORK")
    return ["nsenter", f"--net={outside}", "--", *command] if outside else list(command)


def version_of(item):
    """The HAProxy version among the parameters of a test, or an empty string."""
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if isinstance(first, str) and VERSION.match(first):
            return VERSION.match(first)[0]
    return ""


def group_of(item):
    """Tests with a common fixture belong together; otherwise each worker would make that fixture."""
    definitions = [d[-1] for d in item._fixtureinfo.name2fixturedefs.values()]
    scopes = {d.scope for d in definitions if d.baseid.startswith("tests/e2e")}
    if "module" in scopes:
        return f"{item.path.name} {version_of(item)}"
    return f"stack {version_of(item)}" if "session" in scopes else item.nodeid


def seconds_of(item):
    mark = item.get_closest_marker("takes")
    return mark.args[0] if mark else 1.0


def order(config, items):
    """Groups in order of duration, longest first; each group stays in one piece. The same in every worker."""
    groups = {item.nodeid: group_of(item) for item in items}
    seconds = collections.Counter()
    for item in items:
        seconds[groups[item.nodeid]] += seconds_of(item)
    items.sort(key=lambda item: (-seconds[groups[item.nodeid]], groups[item.nodeid]))
    if config.workerinput["workerid"] == "gw0":
        pathlib.Path(config.workerinput["relay_groups"]).write_text(json.dumps(groups))


def make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        """Called for the first test only after all workers have collected, so the file is complete."""

        groups = None

        def _split_scope(self, nodeid):
            if self.groups is None:
                self.groups = json.loads(pathlib.Path(config.relay_groups).read_text())
            return self.groups[nodeid]

    return Scheduler(config, log)


def start(config):
    """Runs in the process that starts the workers."""
    handle, config.relay_groups = tempfile.mkstemp(prefix="relay-groups-")
    os.close(handle)


def end(config):
    if hasattr(config, "relay_groups"):
        os.unlink(config.relay_groups)
