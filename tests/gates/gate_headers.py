#!/usr/bin/env python3
"""Every header starts with a comment that explains its noun, and has an include guard."""

import re

import tree

COMMENT = re.compile(r"\s*/\*(.*?)\*/", re.S)
GUARD = re.compile(r"\s*(#ifndef\s+(\w+)\s+#define\s+\2\b|#pragma once\b)")
WORDS_MIN = 4


def refuse(content):
    comment = COMMENT.match(content)
    if not comment or len(re.findall(r"\w+", comment.group(1))) < WORDS_MIN:
        return "does not start with a comment that says what it is"
    if not GUARD.match(content, comment.end()):
        return "has no include guard after its first comment"
    return None


def main():
    top = tree.parser(__doc__).parse_args().top.resolve()
    paths = [path for path in tree.sources(top, ".h") if path.parts[0] in tree.FOLDERS]
    reasons = ((path, refuse(tree.text(top, path) or "")) for path in paths)
    tree.report("headers", [f"{path}:1: {why}" for path, why in reasons if why], len(paths))


if __name__ == "__main__":
    main()
