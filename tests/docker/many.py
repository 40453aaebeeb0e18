# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Thousands of containers in the list of an Engine, which is played."""
import grp
import json

from played import Played, entry
from sandboxes import Sandboxes
from xbot import sanitized, verdict, wait_for

MANY = 5000             # 7 MB of JSON
MOST_KB = 32 * 1024     # of docker, whatever the list


def listed(sup):
    got = sup.admin("-j", "sandbox", "list")
    return {s["user"]: s["state"] for s in
            json.loads(got.stdout)["sandboxes"]}


def ours(n):
    return entry(n, f"user{n}", f"xbot-user{n}", running=n % 2 == 0)


def foreign():
    """With our label or our name, but never with what belongs together."""
    pairs = [("user1", "xbot-user2"), ("user3", "user3"), ("", "xbot-"),
             ("../x", "xbot-../x"), ("a" * 200, "xbot-" + "a" * 200),
             ("user4", "")]
    return [entry(MANY + n, *pair) for n, pair in enumerate(pairs)] + [
        entry(MANY + 10, "stranger", "xbot-stranger", labels={}),
        entry(MANY + 11, "stranger", "xbot-stranger", labels=None) | {
            "Labels": {"xbot.sandbox.user": 7}},
        {"Id": 7, "Names": "x", "Labels": [], "State": {}}, None, 7, []]


def lists_that_fail(t, sup, played):
    """What is not in a list that did not come whole is not gone."""
    before = listed(sup)
    whole = json.dumps(played.containers[:100]).encode()
    large = json.dumps([ours(0) | {"Command": "x" * 300000}]).encode()
    for what, played.body, why in (
            ("broken off", whole[:-1], "broke off"),
            ("no list", b'{"a": 1}', "cannot be read"),
            ("no JSON", whole[:-1] + b", nil]", "cannot be read"),
            ("a large element", large, "too long"),
            ("too many", b"[0" + b",0" * 65536 + b"]", "too long")):
        mark = sup.log.mark()
        played.end_events()
        t.ok(sup.log.wait("sweep: .*" + why, mark), what + ": is told")
        t.eq(listed(sup), before, what + ": nothing is forgotten")
    played.body = b" [ ] "
    played.end_events()
    wait_for("none", lambda: set(listed(sup).values()) <= {"absent"}, 60)
    t.ok(True, "an empty list: all are gone")


def test_thousands(t, build, engine):
    """All are adopted, what is not ours is left alone, memory is bounded."""
    with Played(grp.getgrnam("docker").gr_gid) as played:
        played.containers = foreign() + [ours(n) for n in range(MANY)]
        size = len(json.dumps(played.containers))
        played.go.clear()
        with Sandboxes(build, played) as sup:
            t.ok(played.half.wait(60), "the list is asked for")
            some = wait_for("the half that is here", lambda: listed(sup))
            t.ok(len(some) < MANY, "it is taken as it comes", len(some))
            played.go.set()
            wait_for("all", lambda: len(listed(sup)) >= MANY, 60)
            t.eq(listed(sup), {f"user{n}": "stopped" if n % 2 else "running"
                               for n in range(MANY)}, "all are adopted, and "
                 "nothing else")
            played.containers = played.containers[:-MANY // 2]
            played.end_events()
            wait_for("half", lambda: sum(s != "absent" for s in listed(
                sup).values()) <= MANY // 2, 60)
            t.eq(sum(s != "absent" for s in listed(sup).values()), MANY // 2,
                 "half are gone, half are known")
            lists_that_fail(t, sup, played)
            t.eq([a for a in played.asked if not a.startswith("GET ")], [],
                 "nothing was done to any")
            kb = {r: sup.memory()[r] for r in ("docker", "box", "ledger")}
            t.note(f"a list of {size} bytes; kB at most: {kb}")
            if not sanitized(build):
                t.ok(kb["docker"] <= MOST_KB, "docker's memory", kb)
            verdict(t, sup)
