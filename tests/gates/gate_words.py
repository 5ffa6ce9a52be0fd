#!/usr/bin/env python3
"""Retired words are not used, in any text file: each row has the word that is used instead.

A phrase may be wrapped over two lines of a comment, or written with underscores.
"""

import re

import tree

# Spelled in pieces, so that this file passes its own test.
GAP = r"(?:[\s*#/_\"-]|\\n)+"
RETIRED = (
    (("ways?", "out"), "egress"),
    (("of", "(?:its|their|our|control's)", "own"), "separate, or nothing"),
    ((r"\w+'s", "word"), "what the process says, or its answer"),
    (("who", "waits"), "a waiting request"),
    (("what", "is", "refused"), "a refused request"),
    (("comes?|came", "about"), "is made, was made"),
)
PATTERNS = [(re.compile(r"\b(?:" + (")" + GAP + "(?:").join(words) + r")(?![A-Za-z])", re.I), instead)
            for words, instead in RETIRED]


def findings_in(text):
    for pattern, instead in PATTERNS:
        for found in pattern.finditer(text):
            yield text.count("\n", 0, found.start()) + 1, f"{' '.join(found.group().split())!r}: write {instead}"


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    findings, paths = [], tree.files(top)
    for path in paths:
        findings += [f"{path}:{number}: {what}" for number, what in findings_in(tree.text(top, path) or "")]
    findings += [f"{path}:1: the name has {what}" for path in paths for _, what in findings_in(path.as_posix())]
    tree.report("words", findings, len(paths))


if __name__ == "__main__":
    main()
