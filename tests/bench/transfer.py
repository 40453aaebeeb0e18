#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""100 MiB up to and down from a runner: protocol v2, our own v1, and cat.

usage: transfer.py BUILDDIR [rounds [MiB]]

The rounds alternate; what is reported are ratios of medians.  "cat" is what
four cats move through a chain of five socketpairs.  The memory of each of our
processes is its high water mark above what it held idle.  Printed, never
asserted, but for the sha256 of what arrived: the machine is shared.  The
processor time (of ours, and of the cats with both ends) suffers less from it.
"""
import hashlib
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))

from xbot import OldServer, Supervisor, Tap, descendants, rss, verdict

AIM_V1, AIM_CAT, AIM_KIB = 5, 0.25, 32 * 1024
PIECE = 1 << 20


class OldServerApart:
    """An OldServer in a process of its own: it shall not wait for ours."""

    def __init__(self, port):
        here, there = multiprocessing.Pipe()
        self.process = multiprocessing.Process(
            target=self.serve, args=(port, there), daemon=True)
        self.process.start()
        self.port = here.recv()
        self.pipe = here

    @staticmethod
    def serve(port, pipe):
        pipe.send(OldServer(port).port)
        try:
            pipe.recv()
        except EOFError:
            pass

    def close(self):
        self.process.kill()
        self.process.join()


def processes_of(sup, runner):
    """name: pid of what a transfer passes"""
    roles = sup.roles()
    below = descendants(runner.pid)
    return {"front": roles["front"], "remote": roles["remote"],
            "runner": runner.pid,
            **{f"executor{n or ''}": p for n, p in enumerate(below)}}


class Memory:
    """High water marks above what was held when this began, in KiB."""

    def __init__(self, pids):
        self.pids, self.idle = pids, {}
        for name, pid in pids.items():
            # The mark falls back to what is held now.
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
                f.write("5")
            self.idle[name] = rss(pid, "VmHWM")

    def grown(self):
        return {name: rss(pid, "VmHWM") - self.idle[name]
                for name, pid in self.pids.items()}


def ticks(pids):
    """Seconds of processor time of these so far."""
    total = 0
    for pid in pids.values():
        with open(f"/proc/{pid}/stat", encoding="ascii",
                  errors="replace") as f:
            words = f.read().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / os.sysconf("SC_CLK_TCK")


def up(sup, user, data):
    start = time.monotonic()
    a = sup.client.file("PUT", user, "big", data)
    took = time.monotonic() - start
    if a.status not in (200, 201, 204):
        raise RuntimeError(f"put: {a}")
    return took


def down(sup, user, buf):
    view, got = memoryview(buf), 0
    start = time.monotonic()
    a = sup.client.open("GET", f"/v1/users/{user}/files?path=big")
    while True:
        n = a.readinto(view[got:got + PIECE])
        if n == 0:
            break
        got += n
    took = time.monotonic() - start
    if a.status != 200 or got != len(buf):
        raise RuntimeError(f"get: {a.status}, {got} of {len(buf)}")
    return took


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").digest()


def cat(sup, size, used):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([os.path.join(sup.build, "tests/bench"), "cat",
                          str(size)], check=True, stdout=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used["cat"].append(after.ru_utime + after.ru_stime - before.ru_utime -
                       before.ru_stime)
    return int(out.stdout) / 1e9


def one_round(t, sup, runner, size, times, grown, used):
    """Other bytes each time: what was there before cannot pass for them."""
    data = os.urandom(size)
    want = hashlib.sha256(data).digest()
    name, buf = runner.name, bytearray(size)
    pids = processes_of(sup, runner)
    memory, before = Memory(pids), ticks(pids)
    times[name, "up"].append(up(sup, runner.user, data))
    path = os.path.join(runner.workspace, "big")
    same = digest_of(path) == want
    times[name, "down"].append(down(sup, runner.user, buf))
    used[name].append((ticks(pids) - before) / 2)
    t.ok(same and hashlib.sha256(buf).digest() == want,
         f"{name}: sha256 of {size >> 20} MiB up and down")
    for process, kib in memory.grown().items():
        grown[name][process] = max(kib, grown[name].get(process, 0))
    os.unlink(path)


def report(t, times, cats, grown, used, size):
    mid = {key: statistics.median(v) for key, v in times.items()}
    floor = statistics.median(cats)
    t.note(f"cat     {size / floor / 2**20:.0f} MiB/s")
    for (name, way), s in mid.items():
        t.note(f"{name} {way:4} {size / s / 2**20:.0f} MiB/s")
    for way in ("up", "down"):
        t.note(f"{way:4} v2 is {mid['v1', way] / mid['v2', way]:.1f} times v1 "
               f"(aim {AIM_V1}), {floor / mid['v2', way]:.2f} of cat "
               f"(aim {AIM_CAT})")
    t.note("processor time: " + ", ".join(
        f"{name} {statistics.median(v):.2f} s" for name, v in used.items()))
    for name, aim in (("v2", AIM_KIB), ("v1", 4 * (size >> 10))):
        t.note(f"{name} KiB above idle: " + ", ".join(
            f"{p} {kib}" for p, kib in grown[name].items()) + f"; aim {aim}")


def test_transfer(t, sup, rounds, size):
    old = OldServerApart(sup.port)
    try:
        runners = [sup.runner("alice", "v2"),
                   sup.runner("carol", "v1", port=old.port)]
        for runner in runners:     # the executor is there, and all is warm
            sup.client.file("PUT", runner.user, "warm", b"x" * 100000)
            sup.client.file("GET", runner.user, "warm")
        times = {(r.name, way): [] for r in runners for way in ("up", "down")}
        grown = {r.name: {} for r in runners}
        cats, used = [], {"v2": [], "v1": [], "cat": []}
        for n in range(rounds):
            for runner in reversed(runners) if n % 2 else runners:
                one_round(t, sup, runner, size, times, grown, used)
            cats.append(cat(sup, size, used))
        report(t, times, cats, grown, used, size)
        for runner in runners:
            runner.stop()
    finally:
        old.close()


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    size = (int(sys.argv[3]) if len(sys.argv) > 3 else 100) << 20
    t = Tap()
    with Supervisor(sys.argv[1]) as sup:
        t.run(test_transfer, sup, rounds, size)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
