#!/usr/bin/env python3
"""clang-tidy over the product's sources, by the compile commands of a build.

A file that passed is not looked at again until something that clang-tidy saw changes: the file, the
project's headers below it, the command, the rules or the tool. The passes are kept in the build.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
JOBS = min(4, os.cpu_count() or 1)
FILE_SECONDS = 300


def closure(top, path, seen):
    """Adds path and all project headers it includes, directly or not, to seen."""
    if path in seen or not (top / path).is_file():
        return seen
    seen.add(path)
    for name in INCLUDE.findall(tree.text(top, path) or ""):
        closure(top, pathlib.Path(name), seen)
    return seen


def key_of(top, path, command, common):
    digest = hashlib.sha256(common)
    digest.update(command.encode())
    for seen in sorted(closure(top, path, set())):
        digest.update(str(seen).encode() + b"\0" + (top / seen).read_bytes())
    return digest.hexdigest()


def lint(tool, build, source):
    try:
        done = subprocess.run(
            [tool, "--quiet", "-p", build, "--extra-arg=-Wno-unknown-warning-option",
             "--extra-arg=-Wno-ignored-optimization-argument", source],
            text=True, capture_output=True, check=False, timeout=FILE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"{source}: clang-tidy took longer than {FILE_SECONDS} s"
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or done.stderr.strip() or f"{source}: clang-tidy exited {done.returncode}"


def read_commands(top, build):
    """{path from top: command} of the product's own sources."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["directory"], entry["file"]).resolve()
        if source.is_relative_to(top) and source.relative_to(top).parts[0] in tree.FOLDERS:
            commands.setdefault(source.relative_to(top), entry["command"])
    return commands


def main():
    parser = tree.parser(__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    top, build = arguments.top.resolve(), arguments.build.resolve()
    tool = shutil.which("clang-tidy")
    if not tool:
        raise SystemExit("tidy: clang-tidy is not installed")
    version = subprocess.run([tool, "--version"], capture_output=True, check=True).stdout
    common = version + (top / ".clang-tidy").read_bytes() + pathlib.Path(__file__).read_bytes()
    passed = build / "tidy-passed"
    passed.mkdir(exist_ok=True)

    commands = read_commands(top, build)
    keys = {path: key_of(top, path, command, common) for path, command in commands.items()}
    due = [path for path in sorted(keys) if not (passed / keys[path]).exists()]
    findings = []
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for path, found in zip(due, pool.map(lambda path: lint(tool, build, str(top / path)), due)):
            if found:
                findings.append(found)
            else:
                (passed / keys[path]).touch()
    for stale in set(passed.iterdir()) - {passed / key for key in keys.values()}:
        stale.unlink()
    print(f"tidy: {len(due)} of {len(commands)} files were due")
    tree.report("tidy", findings, len(commands))


if __name__ == "__main__":
    main()
