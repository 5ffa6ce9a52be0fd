#!/usr/bin/env python3
"""No file may contain deferred work, this machine's paths, package hosts or private keys."""

import json
import os
import re
import subprocess
import urllib.parse

import tree

# Spelled in pieces, so that this file passes its own test.
DEFERRED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")) + r")\b")
PRIVATE_KEY = re.compile("-----BEGIN [A-Z ]*PRIVATE" + " KEY-----")
COMMON_PLACES = {"/", "/tmp", "/home", "/root", "/usr", "/usr/src", "/opt", "/srv", "/var", "/build",
                 "/src", "/mnt", "/workspace"}


def output_of(*command):
    try:
        return subprocess.run(command, text=True, capture_output=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL).stdout
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""


def package_hosts():
    """The hosts from which this machine takes packages, according to the package managers."""
    uris = output_of("apt-get", "indextargets", "--format", "$(REPO_URI)").split()
    uris += output_of("npm", "config", "get", "registry").split()
    uris += [value for key, value in os.environ.items() if key.lower() in ("http_proxy", "https_proxy")]
    hosts = {urllib.parse.urlsplit(uri).hostname for uri in uris}
    return {host for host in hosts if host and not host.startswith("127.") and host != "localhost"}


def machine_paths(top):
    """The path of this checkout and of the folder around it, except names that any machine has."""
    here = {str(top), str(top.parent), os.path.expanduser("~")}
    return here - COMMON_PLACES


def is_path_in(line, place):
    return re.search(r"(?<![\w.-])" + re.escape(place) + r"(?![\w.-])", line) is not None


def findings_in(lines, places, hosts):
    for number, line in enumerate(lines, 1):
        deferred = DEFERRED.search(line)
        if deferred:
            yield number, f"{deferred.group(1)}: do it or file an issue"
        if PRIVATE_KEY.search(line):
            yield number, "a private key"
        for place in places:
            if is_path_in(line, place):
                yield number, f"a path of this machine: {place}"
        for host in hosts:
            if host in line:
                yield number, f"a package host: {host}"


def main():
    parser = tree.parser(__doc__)
    parser.add_argument("--hosts", type=json.loads, help="package hosts, in place of asking")
    parser.add_argument("--places", type=json.loads, help="this machine's paths, in place of looking")
    arguments = parser.parse_args()
    top = arguments.top.resolve()
    hosts = package_hosts() if arguments.hosts is None else arguments.hosts
    places = machine_paths(top) if arguments.places is None else arguments.places
    findings, paths = [], tree.files(top)
    for path in paths:
        lines = (tree.text(top, path) or "").splitlines()
        findings += [f"{path}:{number}: {what}" for number, what in findings_in(lines, places, hosts)]
    tree.report("text", findings, len(paths))


if __name__ == "__main__":
    main()
