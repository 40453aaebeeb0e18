#!/usr/bin/env python3
"""Who may include whom (architecture, Layout): the arrows hold in the tree.

usage: arrows.py [ROOT].  A header that is not in the tree is generated from
proto's tables, or the system's.  TAP, then "N passed, N failed, N skipped".
"""

import os
import re
import sys

# Part of the tree, longest first: whose headers it may include, besides its
# own.  A worker is a folder or file of workers/ and knows no other.
ARROWS = {
    "base/compat": set(),
    "base": {"base/compat", "proto"},
    "proto": set(),
    "executor": {"proto"},
    "supervisor/front": {"base", "base/compat", "proto"},
    "supervisor/ledger": {"base", "base/compat", "proto"},
    "supervisor/reaper": {"base", "base/compat", "proto"},
    "supervisor/admin": {"base", "base/compat", "proto"},
    "supervisor": {"base", "base/compat", "proto"},
    "runner": {"base", "base/compat", "proto"},
    "workers": {"base", "base/compat", "proto"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def part(path):
    if path.startswith("workers/"):
        name = path.split("/")[1]
        return "workers/" + re.sub(r"\.[chy]$", "", name)
    for name in sorted(ARROWS, key=len, reverse=True):
        if path.startswith(name + "/"):
            return name
    return None


def sources(root):
    for top, dirs, files in os.walk(root):
        dirs[:] = [d for d in dirs if not d.startswith((".", "build"))]
        for name in files:
            if name.endswith((".c", ".h", ".y")):
                yield os.path.relpath(os.path.join(top, name), root)


def resolve(root, source, name):
    beside = os.path.normpath(os.path.join(os.path.dirname(source), name))
    for path in (beside, os.path.normpath(name)):
        if os.path.exists(os.path.join(root, path)):
            return path
    return None


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../..")
    wrong, seen = {}, {}
    for source in sorted(sources(root)):
        mine = part(source)
        if mine is None:
            continue
        seen[mine] = seen.get(mine, 0) + 1
        allowed = ARROWS.get(mine, ARROWS["workers"]) | {mine}
        with open(os.path.join(root, source), encoding="utf-8") as f:
            text = f.read()
        for name in INCLUDE.findall(text):
            target = resolve(root, source, name)
            theirs = part(target) if target else None
            if theirs is not None and theirs not in allowed:
                wrong.setdefault(mine, []).append(f"{source}: {target}")
    for number, mine in enumerate(sorted(seen), 1):
        bad = wrong.get(mine, [])
        print(f"{'not ok' if bad else 'ok'} {number} {mine}: its "
              f"{seen[mine]} files include only what they may")
        for line in bad:
            print(f"#   {line}")
    print(f"1..{len(seen)}")
    print(f"{len(seen) - len(wrong)} passed, {len(wrong)} failed, 0 skipped")
    return bool(wrong) or not seen


if __name__ == "__main__":
    sys.exit(main())
