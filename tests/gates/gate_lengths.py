#!/usr/bin/env python3
"""A ratchet on length: functions of at most 60 lines, files of at most 700.

What is longer must stand in lengths.baseline with its length, and may only shrink: growth fails, and
so does an entry that is longer than the truth or no longer needed.
"""

import subprocess

import tree

FUNCTION_MAX = 60
FILE_MAX = 700
SUFFIXES = (".c", ".h", ".py", ".js", ".mjs", ".sh", "")
BASELINE = "tests/gates/lengths.baseline"


def function_lengths(top, paths):
    """{"path:function": lines} by universal-ctags."""
    if not paths:
        return {}
    done = subprocess.run(
        ["ctags", "-o", "-", "--sort=no", "--fields=ne", "--languages=C,Python",
         "--map-C=+.h", "--kinds-C=f", "--kinds-Python=fm", "-L", "-"],
        input="\n".join(map(str, paths)), cwd=top, text=True, capture_output=True, check=True,
    )
    lengths = {}
    for line in done.stdout.splitlines():
        name, path, *rest = line.split("\t")
        fields = dict(part.split(":", 1) for part in rest if part.startswith(("line:", "end:")))
        if "end" in fields:
            key = f"{path}:{name}"
            length = int(fields["end"]) - int(fields["line"]) + 1
            lengths[key] = max(length, lengths.get(key, 0))
    return lengths


def file_lengths(top, paths):
    return {str(path): len((tree.text(top, path) or "").splitlines()) for path in paths}


def read_baseline(top):
    try:
        lines = (top / BASELINE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    rows = (line.split() for line in lines if line.strip() and not line.startswith("#"))
    return {key: int(length) for key, length in rows}


def compare(lengths, limit, baseline):
    for key, length in sorted(lengths.items()):
        listed = baseline.get(key)
        if listed is None and length > limit:
            yield f"{key}: {length} lines, the limit is {limit}"
        elif listed is not None and length > listed:
            yield f"{key}: grew from {listed} to {length} lines"
        elif listed is not None and length <= limit:
            yield f"{key}: {length} lines now: remove it from {BASELINE}"
        elif listed is not None and length < listed:
            yield f"{key}: {length} lines now: lower its entry ({listed}) in {BASELINE}"


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    paths = tree.sources(top, *SUFFIXES)
    functions = function_lengths(top, [path for path in paths if path.suffix in (".c", ".h", ".py")])
    whole = file_lengths(top, paths)
    baseline = read_baseline(top)
    findings = [*compare(functions, FUNCTION_MAX, baseline), *compare(whole, FILE_MAX, baseline)]
    for key in sorted(set(baseline) - set(functions) - set(whole)):
        findings.append(f"{key}: is gone: remove it from {BASELINE}")
    tree.report("lengths", findings, len(functions) + len(whole))


if __name__ == "__main__":
    main()
