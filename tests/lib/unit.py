#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Runs the unit tests of a build (meson test) and adds them up.

usage: unit.py BUILDDIR

A test whose output ends in "N passed, N failed, N skipped" counts so many,
another counts one.
"""
import json
import os
import re
import subprocess
import sys

LINE = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


def counts(record):
    lines = (record.get("stdout") or "").rstrip().splitlines()
    match = LINE.match(lines[-1]) if lines else None
    bad = record["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")
    if match:
        n = [int(x or 0) for x in match.groups()]
        n[1] += bad and n[1] == 0
        return n
    if record["result"] == "SKIP":
        return [0, 0, 1]
    return [int(not bad), int(bad), 0]


def main():
    build = sys.argv[1]
    built = subprocess.run(["ninja", "-C", build, "meson-test-prereq"],
                           stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        print(built.stdout)
        print("0 passed, 1 failed, 0 skipped")
        return 1
    env = dict(os.environ, MSAN_OPTIONS="", UBSAN_OPTIONS=(
        "halt_on_error=1:print_stacktrace=1"))
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild"], env=env,
                   stdout=subprocess.DEVNULL)
    total = [0, 0, 0]
    with open(os.path.join(build, "meson-logs/testlog.json"),
              encoding="utf-8") as log:
        for line in log:
            record = json.loads(line)
            n = counts(record)
            total = [a + b for a, b in zip(total, n)]
            word = "not ok" if n[1] else "ok"
            print(f"{word} {record['name']} ({n[0]}, {n[1]}, {n[2]}) "
                  f"{record['duration']:.1f} s")
            if n[1]:
                text = (record.get("stdout") or "") + (
                    record.get("stderr") or "")
                for said in text.splitlines()[-60:]:
                    print("#   " + said)
    if not any(total):
        total[1] = 1
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return int(total[1] > 0)


if __name__ == "__main__":
    sys.exit(main())
