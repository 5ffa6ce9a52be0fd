#!/usr/bin/env python3
"""The generated pages of docs/ are what the program prints from the rows of the code today."""

import pathlib
import subprocess

import tree

PAGES = {"docs/CONFIG.md": "config", "docs/ERRORS.md": "errors", "docs/METRICS.md": "metrics"}
REFRESH = "run: cmake --build --preset release --target docs"


def refuse(top, program, page, what):
    """Why the page is not fresh, or None."""
    done = subprocess.run([program, "--generate", what], capture_output=True, check=False, timeout=30,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return f"{program.name} --generate {what} exited {done.returncode}"
    if not (top / page).is_file():
        return f"is missing; {REFRESH}"
    here, there = (top / page).read_bytes().splitlines(), done.stdout.splitlines()
    if here == there:
        return None
    line = next((i for i, (a, b) in enumerate(zip(here, there), 1) if a != b), min(len(here), len(there)) + 1)
    return f"differs from the rows of the code at line {line}; {REFRESH}"


def main():
    parser = tree.parser(__doc__)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="the spoa-relay of a build")
    arguments = parser.parse_args()
    top, program = arguments.top.resolve(), arguments.program.resolve()
    reasons = ((page, refuse(top, program, page, what)) for page, what in PAGES.items())
    tree.report("docs", [f"{page}:1: {why}" for page, why in reasons if why], len(PAGES))


if __name__ == "__main__":
    main()
