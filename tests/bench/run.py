#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What an exec of /bin/true costs over HTTP, as a ratio of posix_spawn.

usage: run.py BUILDDIR [blocks [execs]]

Blocks of posix_spawn with pipes, of HTTP on the host and of HTTP through a
runner alternate; a ratio is that of two medians of one block, what is
reported the median over the blocks.  Printed, never asserted: the machine is
shared.  RESULTS keeps what was measured once.
"""
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))

from xbot import Supervisor, Tap, verdict

AIM = {"host": 1.5, "runner": 1.8}


def times(sup, *words):
    out = subprocess.run([os.path.join(sup.build, "tests/bench"),
                          *map(str, words)], input=sup.token + "\n",
                         text=True, check=True, stdout=subprocess.PIPE)
    return [int(line) for line in out.stdout.splitlines()]


def blocks(sup, ways, rounds):
    medians = {name: [] for name in ways}
    tails = {name: [] for name in ways}
    for way in ways.values():
        times(sup, *way[:-1], 50)
    for n in range(rounds):
        # The other way round each time: drift hits both ends alike.
        for name in sorted(ways, reverse=bool(n % 2)):
            got = sorted(times(sup, *ways[name]))
            medians[name].append(statistics.median(got))
            tails[name].append(got[len(got) * 99 // 100])
    return medians, tails


def test_bench(t, sup, rounds, execs):
    ways = {"spawn": ("spawn", execs),
            "host": ("http", sup.port, "bob", execs),
            "runner": ("http", sup.port, "alice", execs)}
    sup.runner("alice")
    medians, tails = blocks(sup, ways, rounds)
    for name, values in medians.items():
        t.note(f"{name:7} p50 {statistics.median(values) / 1e6:.3f} ms, "
               f"p99 {statistics.median(tails[name]) / 1e6:.3f} ms")
    for name in AIM:
        ratios = [a / b for a, b in zip(medians[name], medians["spawn"])]
        t.note(f"{name:7} {statistics.median(ratios):.2f} times posix_spawn "
               f"({min(ratios):.2f} to {max(ratios):.2f} in {rounds} blocks"
               f" of {execs}); aim {AIM[name]}")
    for user, name in (("bob", "host"), ("alice", "runner")):
        count = execs * 8
        ns = times(sup, "load", sup.port, user, count, 8)[0]
        t.note(f"{name:7} {count / ns * 1e9:.0f} requests/s, 8 clients")
    t.ok(True, "was measured")


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    execs = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    t = Tap()
    with Supervisor(sys.argv[1]) as sup:
        t.run(test_bench, sup, rounds, execs)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
