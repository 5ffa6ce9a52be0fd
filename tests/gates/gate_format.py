#!/usr/bin/env python3
"""clang-format decides the layout of all C.

The rules are written for its version 14 (Debian 12); others differ in details, so with them the
differences are printed but do not fail.
"""

import re
import shutil
import subprocess

import tree

VERSION = 14


def find_tool():
    tool = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
    if not tool:
        raise SystemExit("format: clang-format is not installed")
    said = subprocess.run([tool, "--version"], text=True, capture_output=True, check=True).stdout
    return tool, int(re.search(r"version (\d+)", said).group(1))


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    tool, version = find_tool()
    paths = tree.sources(top, ".c", ".h")
    done = subprocess.run(
        [tool, "--dry-run", "--style=file", *map(str, paths)],
        cwd=top, text=True, capture_output=True, check=False,
    ) if paths else None
    wrong = sorted(set(re.findall(r"^(.+?):\d+:\d+: (?:warning|error)", done.stderr, re.M))) if done else []
    findings = [f"{path}: not as clang-format lays it out" for path in wrong]
    if done and done.returncode != 0 and not findings:
        findings = [done.stderr]
    if findings and version != VERSION:
        print(*findings, f"format: clang-format {version}, the rules are for {VERSION}", sep="\n")
        findings = []
    tree.report("format", findings, len(paths))


if __name__ == "__main__":
    main()
