#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A commit against docker export | docker import of the same container.

usage: commit.py BUILDDIR [rounds]

The rounds alternate; what is reported are medians and their ratios.  The root
has 200 MB, 50 MB of it new.  Printed, never asserted, but for the memory of
docker: the machine is shared.
"""
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../docker")]

from dockerd import Engine
from sandboxes import IMAGE, Sandboxes
from xbot import ROOT, Tap, rss, sanitized, verdict

BIG = "xbot-test/big:1"
AIM_KIB = 32 * 1024


def timed(what):
    start = time.monotonic()
    what()
    return (time.monotonic() - start) * 1000


def random_files(n, where):
    return (f"mkdir {where}; for i in $(seq {n}); do head -c 100000 "
            f"/dev/urandom > {where}/$i; done; sync")


def build_big(engine):
    engine.build(IMAGE)
    engine.docker("run", "--name", "big", "--network=none", IMAGE, "sh", "-c",
                  random_files(1500, "/base"))
    engine.docker("commit", "big", BIG)
    engine.docker("rm", "big")


def pipe_of_docker(engine, name):
    """docker export | docker import, of the same container"""
    words = ["/usr/bin/docker", "-H", engine.host]
    with subprocess.Popen([*words, "export", name],
                          stdout=subprocess.PIPE) as out:
        got = subprocess.run([*words, "import", "-"], stdin=out.stdout,
                             stdout=subprocess.PIPE, check=True)
    return got.stdout.decode().strip()


def commits(t, s, rounds):
    s.sh("alice", random_files(500, "/new"), timeout=600)
    ours, theirs = [], []
    for n in range(rounds):
        s.sh("alice", f"echo {n} > /n")
        ours.append(timed(lambda: s.commit("alice")))
        made = []
        theirs.append(timed(
            lambda: made.append(pipe_of_docker(s.engine, "xbot-alice"))))
        s.engine.docker("rmi", made[0])
    a, b = statistics.median(ours), statistics.median(theirs)
    t.note(f"commit of 200 MB: {a:.0f} ms; docker export | docker import "
           f"{b:.0f} ms: {a / b:.2f} times (aim 1.0)")
    kib = rss(s.roles()["docker"], "VmHWM")
    t.note(f"docker: {kib} KiB at most")
    if not sanitized(s.build):
        t.ok(kib < AIM_KIB, "a commit keeps docker under 32 MiB", kib)


def main():
    build, rounds = sys.argv[1], int((sys.argv[2:] or ["5"])[0])
    t = Tap()
    if not ROOT:
        t.skip("an Engine of one's own needs root")
        return t.done()
    with Engine(group="nogroup") as engine:
        build_big(engine)
        with Sandboxes(build, engine, image=BIG) as s:
            t.run(commits, s, rounds)
            s.reset("alice")
            verdict(t, s)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
