#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What a trivial skill costs over HTTP, as a ratio of the bare jailed fork.

usage: skill.py BUILDDIR [blocks [runs]]

The bare fork is that of the same zygote, with the whole jail, without a request
(skill_bench).  Blocks of both alternate; a ratio is that of two medians of
one block, what is reported the median over the blocks.  Then the
throughput with 8 at a time, and what others notice of four endless skills.
Printed, never asserted: the machine is shared.  RESULTS keeps what was
measured once.
"""
import json
import os
import statistics
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../skill"))

import abbot
from runner import SkillRunner, verdict
from xbot import Tap

BODY = json.dumps({"SkillInfo": {"Bot": {}, "From": None},
                   "RunnerInfo": {"Code": "bot.reply('hi')"}})
REQUEST = (f"POST /api/v1/execute HTTP/1.1\r\nHost: 127.0.0.1\r\n"
           f"Authorization: Bearer {abbot.TOKEN}\r\n"
           f"Content-Type: application/json\r\n"
           f"Content-Length: {len(BODY)}\r\n\r\n{BODY}")
CLIENTS = 8
ENDLESS = 4


def numbers(build, program, *words):
    out = subprocess.run([f"{build}/tests/{program}", *map(str, words)],
                         input=REQUEST, text=True, check=True,
                         stdout=subprocess.PIPE)
    return sorted(int(line) for line in out.stdout.splitlines())


def say(t, name, medians, tails):
    t.note(f"{name:5} p50 {statistics.median(medians) / 1e6:.2f} ms, "
           f"p99 {statistics.median(tails) / 1e6:.2f} ms")


def test_latency(t, s, rounds, runs):
    ways = {"fork": ("skill_bench", runs),
            "http": ("bench", "http", s.port, "-", runs)}
    medians = {name: [] for name in ways}
    tails = {name: [] for name in ways}
    for n in range(rounds):
        for name in sorted(ways, reverse=bool(n % 2)):
            got = numbers(s.build, *ways[name])
            medians[name].append(statistics.median(got))
            tails[name].append(got[len(got) * 99 // 100])
    for name in ways:
        say(t, name, medians[name], tails[name])
    ratios = [a / b for a, b in zip(medians["http"], medians["fork"])]
    t.note(f"http is {statistics.median(ratios):.2f} times the fork "
           f"({min(ratios):.2f} to {max(ratios):.2f} in {rounds} blocks of "
           f"{runs}); aim 1.2")
    t.ok(True, "was measured")


def test_throughput(t, s, rounds, runs):
    count = runs * 2
    forks, posts = [], []
    for _ in range(rounds):
        forks.append(count * 1e9 / numbers(
            s.build, "skill_bench", count, CLIENTS)[0])
        posts.append(count * 1e9 / numbers(
            s.build, "bench", "load", s.port, "-", count, CLIENTS)[0])
    ratios = [a / b for a, b in zip(posts, forks)]
    t.note(f"{CLIENTS} at a time: {statistics.median(posts):.0f} runs/s, "
           f"{statistics.median(forks):.0f} forks/s: "
           f"{statistics.median(ratios):.2f} of it ({min(ratios):.2f} to "
           f"{max(ratios):.2f}); aim 0.8")
    t.ok(True, "was measured")


def test_endless(t, s, rounds, runs):
    """Four that never end, beside one client."""
    alone = numbers(s.build, "bench", "http", s.port, "-", runs)
    threads = [threading.Thread(target=s.run, args=("while True: pass",))
               for _ in range(ENDLESS)]
    for th in threads:
        th.start()
    beside = numbers(s.build, "bench", "http", s.port, "-", runs)
    for th in threads:
        th.join()
    t.note(f"beside {ENDLESS} endless skills on {os.cpu_count()} cores: p50 "
           f"{statistics.median(beside) / 1e6:.2f} ms, alone "
           f"{statistics.median(alone) / 1e6:.2f} ms")
    t.ok(True, "was measured")


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    t = Tap()
    with SkillRunner(os.path.abspath(sys.argv[1]),
                     config="skill {\n\ttimeout 20s\n}\n") as s:
        for test in (test_latency, test_throughput, test_endless):
            t.run(test, s, rounds, runs)
        verdict(t, s)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
