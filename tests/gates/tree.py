"""The tree for the gates: its files, and the report of a gate.

Every gate is a separate program that takes --top DIR, prints one line per finding as
"path:line: what" and exits 1 if there was any.
"""

import argparse
import os
import pathlib
import subprocess
import sys

IGNORED = {".git", "build", ".cache", "run", "node_modules", "__pycache__", ".pytest_cache"}
FOLDERS = ("common", "spoe", "agent", "haproxy", "admin")


def parser(description):
    result = argparse.ArgumentParser(description=description)
    default = pathlib.Path(__file__).resolve().parents[2]
    result.add_argument("--top", type=pathlib.Path, default=default)
    return result


def walk(top):
    for base, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in names:
            yield (pathlib.Path(base) / name).relative_to(top)


def files(top):
    """All files git tracks or would track, relative to top; without a git, all files."""
    listed = subprocess.run(
        ["git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0 or not (top / ".git").exists():
        found = walk(top)
    else:
        found = (pathlib.Path(os.fsdecode(name)) for name in listed.stdout.split(b"\0") if name)
    return sorted(path for path in set(found) if (top / path).is_file())


def sources(top, *suffixes):
    return [path for path in files(top) if path.suffix in suffixes]


def text(top, path):
    """The text of a file, or None for a binary one."""
    data = (top / path).read_bytes()
    return None if b"\0" in data else data.decode("utf-8", "replace")


def report(name, findings, checked):
    for finding in findings:
        print(finding)
    print(f"{name}: {checked} checked, {len(findings)} found")
    sys.exit(1 if findings else 0)
