#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Skills and agents on their way to runners, existing ones and ours.

usage: sync_test.py BUILDDIR [test ...]
"""
import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, HERE)

from v1_runner_peer import V1Error, V1Runner
from xbot import (DEADLINE, ROOT, Supervisor, Tap, quote, tests_of, verdict,
                  wait_for)

FRESH = 5.2     # remote asks the parent again after 5 s


class Source:
    """The administrator's two directories; written as a tree of bytes."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="xbot-sync-")
        os.chmod(self.dir, 0o711)
        self.config = (f'remote {{\n\tskills "{self.dir}/skills"\n'
                       f'\tagents "{self.dir}/agents"\n}}\n')

    def set(self, files):
        """All of it; what was copied before is read again."""
        for name in ("skills", "agents"):
            shutil.rmtree(self.path(name), ignore_errors=True)
            os.mkdir(self.path(name))
        for name, data in files.items():
            self.put(name, data)
        time.sleep(FRESH)

    def path(self, name):
        return os.path.join(os.fsencode(self.dir), os.fsencode(name))

    def put(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def tree(top):
    """name: content of the regular files below skills and agents"""
    found = {}
    top = os.fsencode(top)
    for sub in (b"skills", b"agents"):
        for path, _, names in os.walk(os.path.join(top, sub)):
            for name in names:
                with open(os.path.join(path, name), "rb") as f:
                    found[os.path.relpath(os.path.join(path, name), top)] = \
                        f.read()
    return found


class Events(threading.Thread):
    """/v1/events; the sync events by runner."""

    def __init__(self, sup):
        super().__init__(daemon=True)
        self.sup, self.got = sup, []
        self.changed = threading.Condition()
        self.conn = http.client.HTTPConnection("127.0.0.1", sup.port)
        self.conn.request("GET", "/v1/events", headers={
            "Authorization": f"Bearer {sup.token}"})
        self.answer = self.conn.getresponse()
        self.start()

    def run(self):
        name = ""
        try:
            for line in self.answer:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == "sync":
                    with self.changed:
                        self.got.append(json.loads(line[6:]))
                        self.changed.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass

    def wait(self, user, phase, nth=1, deadline=DEADLINE):
        """The nth such event's message."""
        end = time.monotonic() + deadline
        with self.changed:
            while True:
                hits = [e["message"] for e in self.got
                        if (e["user"], e["phase"]) == (user, phase)]
                if len(hits) >= nth:
                    return hits[nth - 1]
                if not self.changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"no {phase} of {user}: {self.got}")

    def of(self, user):
        with self.changed:
            return [e for e in self.got if e["user"] == user]


class Peer(threading.Thread):
    """An existing runner in a thread, which notes what it is asked."""

    def __init__(self, sup, user, workspace=None, name="old", token=None):
        super().__init__(daemon=True)
        if token is None:
            a = sup.client.call("POST", f"/v1/users/{quote(user)}/runners",
                                {"name": name})
            token = a.json["token"]
        self.sup, self.user, self.token = sup, user, token
        self.home = tempfile.mkdtemp(prefix="peer-", dir=sup.dir)
        self.asked, self.refuse = [], {}
        self.gate = None        # a file's name: waits for go
        self.go, self.waits = threading.Event(), threading.Event()
        self.runner = V1Runner(f"ws://127.0.0.1:{sup.port}/ws/{quote(user)}",
                               token, self.home)
        if workspace is not None:
            self.runner.register["workspace"] = workspace
        for kind in ("mkdir_all", "write_file", "stat"):
            self.runner.on[kind] = self.note
        self.error = None

    async def note(self, runner, message):
        body = message["body"]
        path = os.path.relpath(body["path"], runner.workspace)
        self.asked.append((message["type"], path, body.get("perm")))
        if path == self.gate:
            self.waits.set()
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        if path in self.refuse:
            raise V1Error(*self.refuse[path])
        return await getattr(runner, "do_" + message["type"])(body)

    def run(self):
        async def main():
            self.loop = asyncio.get_running_loop()
            await self.runner.run()
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                asyncio.run(main())
                return
            except Exception as e:      # remote is not back yet
                self.error = e
                if self.runner.registered.is_set():
                    return
            time.sleep(0.2)

    def stop(self):
        if self.is_alive():
            asyncio.run_coroutine_threadsafe(self.runner.close(), self.loop)
        self.join(DEADLINE)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.go.set()
        self.stop()


def counts(message):
    """(copied, kept, failed)"""
    m = re.match(r"(\d+) copied, (\d+) there already, (\d+) failed", message)
    return tuple(int(n) for n in m.groups()) if m else message


BASIC = {"skills/b/SKILL.md": b"b", "skills/a/SKILL.md": b"# a\n",
         "skills/a/lib/x.py": b"x" * 70000, "skills/a/lib/deep/y": b"",
         "skills/a/z.bin": bytes(range(256)),
         "skills/none/README": b"no skill", "skills/file": b"no directory",
         "agents/one.md": b"one", "agents/two.md": b"two",
         "agents/three.txt": b"no agent", "agents/sub/four.md": b"too deep"}
SENT = {k.encode(): v for k, v in BASIC.items() if k.split("/")[1] in
        ("a", "b", "one.md", "two.md")}


def links(source):
    """What must not leave the server."""
    os.symlink("/etc/passwd", source.path("skills/a/passwd"))
    os.symlink("/etc", source.path("skills/a/etc"))
    os.symlink("/etc/passwd", source.path("agents/passwd.md"))
    os.symlink("a", source.path("skills/alias"))
    os.mkfifo(source.path("skills/a/pipe"))
    os.mkfifo(source.path("agents/pipe.md"))
    os.makedirs(source.path("skills/linked"))
    os.symlink("/etc/passwd", source.path("skills/linked/SKILL.md"))


def test_existing_order(t, sup, source, events):
    source.set(BASIC)
    links(source)
    with Peer(sup, "olga") as p:
        t.eq(counts(events.wait("olga", "done")), (7, 0, 0), "done, all sent")
        t.eq([e["phase"] for e in events.of("olga")], ["start", "done"],
             "one start, one done")
        t.eq(events.of("olga")[0]["runner"], "old", "which runner")
        t.eq(p.asked, [
            ("mkdir_all", "skills/a", 493),
            ("write_file", "skills/a/SKILL.md", 420),
            ("mkdir_all", "skills/a/lib/deep", 493),
            ("write_file", "skills/a/lib/deep/y", 420),
            ("write_file", "skills/a/lib/x.py", 420),
            ("write_file", "skills/a/z.bin", 420),
            ("mkdir_all", "skills/b", 493),
            ("write_file", "skills/b/SKILL.md", 420),
            ("mkdir_all", "agents", 493),
            ("write_file", "agents/one.md", 420),
            ("write_file", "agents/two.md", 420)], "the requests")
        t.eq(tree(p.home), SENT, "the content; nothing behind a link")


def test_no_workspace(t, sup, source, events):
    with Peer(sup, "nora", workspace="") as p:
        wait_for("it", p.runner.registered.is_set)
        with Peer(sup, "olga2"):
            events.wait("olga2", "done")
        t.eq((p.asked, events.of("nora")), ([], []),
             "nothing without a workspace")


def test_refused(t, sup, source, events):
    p = Peer(sup, "rita")
    p.refuse = {"skills/a/SKILL.md": ("EPERM", "read-only\x1b[2J"),
                "skills/b": ("EIO", "no directories")}
    with p:
        t.eq(counts(events.wait("rita", "done")), (5, 0, 2),
             "what was refused is counted, the rest is done")
        t.eq(len(tree(p.home)), 5, "the others are there")


def test_goes_away(t, sup, source, events):
    p = Peer(sup, "gina")
    p.gate = "skills/a/SKILL.md"
    with p:
        t.ok(p.waits.wait(DEADLINE), "in the middle of a copy")
        p.stop()
    t.match("gone", events.wait("gina", "done"), "the runner has gone")


def test_two_at_once(t, sup, source, events):
    """And the source changes while the first of them copies."""
    one, two, three = (Peer(sup, f"twin{n}") for n in (1, 2, 3))
    one.gate = two.gate = "skills/a/SKILL.md"
    with one, two:
        t.ok(one.waits.wait(DEADLINE) and two.waits.wait(DEADLINE),
             "both copy at the same time")
        source.put("skills/b/SKILL.md", b"changed")
        time.sleep(FRESH)
        with three:
            t.eq(counts(events.wait("twin3", "done")), (7, 0, 0),
                 "a third passes them")
            t.eq(tree(three.home)[b"skills/b/SKILL.md"], b"changed",
                 "with what is new")
        one.go.set()
        two.go.set()
        for n, p in ((1, one), (2, two)):
            t.eq(counts(events.wait(f"twin{n}", "done")), (7, 0, 0),
                 f"number {n} is done")
            t.eq(tree(p.home), SENT, "with what it began with")
    source.put("skills/b/SKILL.md", BASIC["skills/b/SKILL.md"])
    time.sleep(FRESH)


def test_turns(t, sup, source, events):
    """A user's slow runners keep nobody else waiting."""
    slow = [Peer(sup, "slow", name=f"r{n}") for n in range(10)]
    try:
        for p in slow:
            p.gate = "skills/a"
            p.start()
        wait_for("two of them", lambda: sum(
            p.waits.is_set() for p in slow) >= 2)
        with Peer(sup, "quick"):
            t.eq(counts(events.wait("quick", "done", deadline=20)),
                 (7, 0, 0), "another user's is served meanwhile")
        t.eq(sum(p.waits.is_set() for p in slow), 2, "two of them at a time")
    finally:
        for p in slow:
            p.go.set()
    for n in range(10):
        events.wait("slow", "done", n + 1)
    t.eq({counts(e["message"]) for e in events.of("slow")
          if e["phase"] == "done"}, {(7, 0, 0)}, "then all of them")
    for p in slow:
        p.stop()


def test_ours(t, sup, source, events):
    r = sup.runner("vera")
    t.eq(counts(events.wait("vera", "done")), (7, 0, 0), "all to a new one")
    t.eq(tree(r.workspace), SENT, "the content; nothing behind a link")
    t.eq(os.stat(r.workspace + "/skills/a").st_mode & 0o777, 0o755,
         "a directory's mode")
    t.eq(os.stat(r.workspace + "/skills/a/z.bin").st_mode & 0o777, 0o644,
         "a file's")
    r.stop()
    r.start()
    t.eq(counts(events.wait("vera", "done", 2)), (0, 7, 0),
         "none the second time")
    r.stop()
    source.put("skills/a/z.bin", bytes(reversed(range(256))))
    time.sleep(FRESH)
    r.start()
    t.eq(counts(events.wait("vera", "done", 3)), (1, 6, 0),
         "of the same size, but other: that one")
    t.eq(tree(r.workspace)[b"skills/a/z.bin"], bytes(reversed(range(256))),
         "it is there")
    r.stop()
    with open(r.workspace + "/agents/one.md", "wb") as f:
        f.write(b"spoilt")
    os.remove(r.workspace + "/agents/two.md")
    r.start()
    t.eq(counts(events.wait("vera", "done", 4)), (2, 5, 0),
         "what was changed there, or went")
    r.stop()
    # Where it may not write.
    target = r.workspace + "/skills/b"
    source.put("skills/b/SKILL.md", b"new")
    if ROOT:
        os.chown(target, 0, 0)
    else:
        os.chmod(target, 0o555)
    time.sleep(FRESH)
    mark = sup.log.mark()
    r.start()
    t.eq(counts(events.wait("vera", "done", 5)), (0, 6, 1),
         "a failure is counted")
    t.ok(sup.log.wait("sync vera laptop: 0 copied, 6 there already, 1 "
                      "failed", mark), "and said")
    os.chmod(target, 0o755)
    if ROOT:
        os.chown(target, r.account.pw_uid, r.account.pw_gid)
    r.stop()


def test_odd(t, sup, source, events):
    """Names of any bytes, content of many pieces, an empty source."""
    files = {b"skills/a/SKILL.md": b"a", b"skills/a/caf\xe9": b"latin",
             "skills/a/ä\n ü.md".encode(): b"utf", b"skills/a/-rf": b"dash",
             b"skills/a/large": os.urandom(3 << 20) + b"."}
    source.set(files)
    r = sup.runner("odette")
    t.eq(counts(events.wait("odette", "done")), (5, 0, 0), "to ours")
    t.eq(tree(r.workspace), files, "all are there")
    r.stop()
    with Peer(sup, "otto") as p:
        t.eq(counts(events.wait("otto", "done")), (4, 0, 1),
             "to an existing one, which has names in UTF-8 only")
        del files[b"skills/a/caf\xe9"]
        t.eq(tree(p.home), files, "the others are there")
    source.set({})
    with Peer(sup, "emma") as p:
        wait_for("it", p.runner.registered.is_set)
        time.sleep(1)
        t.eq((p.asked, events.of("emma")), ([], []), "nothing of nothing")


def test_many(t, sup, source, events):
    """As many as may be; kill -9 of remote in the middle."""
    files = {f"skills/s{n // 500}/{n:04d}-{'n' * 200}".encode(): b"%d" % n
             for n in range(3990)}
    for n in range(8):
        files[b"skills/s%d/SKILL.md" % n] = b"skill"
    source.set(files)
    r = sup.runner("mary")
    events.wait("mary", "start")
    wait_for("the first of them", lambda: os.path.exists(
        r.workspace + "/skills/s0"))
    os.kill(sup.roles()["remote"], signal.SIGKILL)
    done = counts(events.wait("mary", "done", deadline=2 * DEADLINE))
    t.ok(done[0] > 0 and sum(done) == len(files) and done[2] == 0,
         "the next remote does the rest", done)
    t.eq(tree(r.workspace) == files, True, "all are there")
    r.stop()
    r.start()
    t.eq(counts(events.wait("mary", "done", 2)), (0, len(files), 0),
         "none twice")
    r.stop()
    # The same with kill -9 of the runner.
    shutil.rmtree(r.workspace + "/skills")
    starts = len([e for e in events.of("mary") if e["phase"] == "start"])
    r.start()
    events.wait("mary", "start", starts + 1)
    wait_for("the first of them", lambda: os.path.exists(
        r.workspace + "/skills/s0"))
    r.stop(signal.SIGKILL)
    r.start()
    t.match("came again|gone", events.wait("mary", "done", 3),
            "a runner that was killed")
    done = counts(events.wait("mary", "done", 4))
    t.ok(sum(done) == len(files) and done[2] == 0, "gets the rest", done)
    t.eq(tree(r.workspace) == files, True, "all are there again")
    r.stop()
    p = Peer(sup, "pete")
    p.gate = "skills/s1/SKILL.md"
    with p:
        t.ok(p.waits.wait(DEADLINE), "an existing one, in the middle")
        os.kill(sup.roles()["remote"], signal.SIGKILL)
        p.join(DEADLINE)
        t.ok(not p.is_alive(), "is disconnected")
    wait_for("readiness", sup.ready)
    with Peer(sup, "pete", token=p.token) as p:
        done = counts(events.wait("pete", "done", deadline=2 * DEADLINE))
        t.eq(done, (len(files), 0, 0), "comes back and gets all")
    source.put("skills/s7/more", b"")
    for n in range(100):
        source.put(f"skills/s7/m{n}", b"")
    time.sleep(FRESH)
    mark = sup.log.mark()
    r.start()
    t.ok(sum(counts(events.wait("mary", "done", 5))) <= 4096,
         "no more than the limit")
    t.ok(sup.log.wait("too many files", mark), "which is said")
    r.stop()
    limit = 512     # descriptors
    t.ok(len(os.listdir(f"/proc/{sup.pid}/fd")) < limit,
         "the parent keeps none")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    tap, source = Tap(), Source()
    source.set({})
    try:
        with Supervisor(sys.argv[1], source.config) as sup:
            events = Events(sup)
            for test in tests_of(sys.modules[__name__]):
                if not sys.argv[2:] or any(w in test.__name__
                                           for w in sys.argv[2:]):
                    tap.run(test, sup, source, events)
            verdict(tap, sup)
    finally:
        source.close()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())
