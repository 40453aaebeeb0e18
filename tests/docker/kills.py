#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""kill -9 of each process of ours, and of dockerd, while a sandbox is saved.

usage: kills.py BUILDDIR [rounds [seed]]

Without rounds: each of them at each step of the journal, once the step is on
the disk, and docker before it is told to the ledger as well; commit, stop and
reset side by side, each with an Engine and a supervisor of its own.  With
rounds: at random moments.  After each kill the newest state that the sandbox
had must be what is found next, and nothing else may be left over.
"""
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), HERE]

from dockerd import Engine
from sandboxes import IMAGE, Sandboxes, container, images
from xbot import ROOT, Tap, alive, descendants, verdict, wait_for

STEPS = {1: "INTENT", 2: "IMPORTED", 3: "TAGGED", 4: "REMOVED", 5: "DONE"}
VERBS = {"commit": (1, 2, 3, 5), "stop": (1, 2, 3, 4, 5), "reset": (1, 4, 5)}
OURS = ("docker", "ledger", "box", "reaper", "supervisor")
SETTLED = 90            # s until all is put right, at most


class SharedTap(Tap):
    """One for several threads"""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def say(self, ok, text, why=""):
        with self.lock:
            return super().say(ok, text, why)


class Rounds:
    def __init__(self, engine, sup):
        self.engine, self.sup = engine, sup
        self.n = self.lost = 0      # states written, and not found again
        self.commits = 0            # that were told to be done
        self.stuck = 0              # see sh
        self.counts, self.since = {}, {}

    def box(self, name):
        return os.path.join(self.sup.state, "box", name)

    def go_on(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.box("halt"))

    def sh(self, command):
        """Once more where the Engine cannot start again what it had when it
        was killed: that is saved then, and made anew."""
        a = self.sup.client.exec("u", command)
        if a.status != 200 and "file exists" in a.json["error"]["message"]:
            self.stuck += 1
            wait_for("settled", self.settled, SETTLED)
            return self.sup.sh("u", command)
        if a.status != 200 or a.json["exit_code"] != 0:
            raise RuntimeError(f"{command}: {a}")
        return a.json["stdout"]

    def write(self):
        """The newest state, acknowledged by its command's end."""
        self.n += 1
        self.sh(f"echo {self.n} > /state.new && mv /state.new /state && "
                "sync")

    def begin(self, verb):
        return subprocess.Popen(
            [f"{self.sup.build}/xbot-admin", "-s", self.sup.socket,
             "sandbox", verb, "-u", "u"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self, victim):
        self.counts[victim] = self.counts.get(victim, 0) + 1
        if victim == "dockerd":
            self.engine.stop(signal.SIGKILL)
        elif victim == "supervisor":
            below = descendants(self.sup.pid)
            self.sup.process.kill()
            self.sup.process.wait()
            self.go_on()        # else docker does not see it
            for pid in below:
                wait_for(f"end of {pid}", lambda p=pid: not alive(p))
        else:
            os.kill(self.sup.roles()[victim], signal.SIGKILL)

    def again(self, victim):
        if victim == "dockerd":
            self.engine.start()
        elif victim == "supervisor":
            self.sup.start()
            self.since = {}

    def settled(self):
        try:
            return self.sup.ready() and self.sup.state_of("u") in (
                "absent", "running", "stopped")
        except OSError:
            return False

    def there(self):
        """container, images with a name and without"""
        c = container(self.engine, "xbot-u")
        named, left = images(self.engine)
        # the one that the container is made of goes with it
        return c, named, [i for i in left if not c or c["Image"] != i]

    def find(self, wrong, what):
        """The user finds the newest state."""
        try:
            got = self.sh("cat /state")
        except RuntimeError as error:
            got = str(error)
        if got != f"{self.n}\n":
            self.lost += 1
            wrong.append(f"found {got!r} in {what}, not {self.n}")

    def check(self, t, text, committed):
        """What there is, and then what the user finds; committed: he was
        told so, and finds it without that container as well."""
        wait_for("settled", self.settled, SETTLED)
        with contextlib.suppress(TimeoutError):
            wait_for("a sweep", lambda: not self.there()[2], SETTLED)
        c, named, left = self.there()
        wrong = []
        if c is None and not named:
            wrong.append("neither container nor image")
        if c and c["State"]["Paused"]:
            wrong.append("paused")
        if len(named) > 1:
            wrong.append(f"images {named}")
        if left:
            wrong.append(f"images without a name {left}")
        self.find(wrong, "his sandbox")
        if committed:
            self.commits += 1
            self.engine.docker("rm", "-f", "xbot-u")
            self.find(wrong, "his image")
        t.eq(wrong, [], text)

    def fresh(self, victim):
        """The supervisor waits longer before each restart of one that ends
        again and again; a new one does not."""
        self.since[victim] = self.since.get(victim, 0) + 1
        if self.since[victim] > 1 and victim not in ("dockerd", "supervisor"):
            self.sup.stop()
            self.sup.start()
            self.since = {victim: 1}

    def at_step(self, t, verb, step, stored, victim):
        self.fresh(victim)
        self.write()
        if verb == "reset":
            self.sup.commit("u")        # an image is to go as well
        with open(self.box("halt"), "w", encoding="ascii") as f:
            f.write(f"{step} {int(stored)}")
        asked = self.begin(verb)
        wait_for("the step", lambda: os.path.exists(self.box("halted")), 60)
        self.kill(victim)
        self.go_on()
        if victim == "docker":
            os.unlink(self.box("halted"))
        self.again(victim)
        told = asked.wait(SETTLED) == 0
        text = (f"{verb}, kill -9 of {victim} "
                f"{'after' if stored else 'before'} {STEPS[step]}")
        if verb == "reset" and (step > 1 or stored):
            self.check_gone(t, text)
        else:
            self.check(t, text, told and verb == "commit")

    def check_gone(self, t, text):
        """What a reset has begun is gone afterwards."""
        nothing = (None, [], [])
        wait_for("settled", self.settled, SETTLED)
        with contextlib.suppress(TimeoutError):
            wait_for("a sweep", lambda: self.there() == nothing, SETTLED)
        t.eq(self.there(), nothing, text)

    def at_random(self, t, rng):
        verb = rng.choice(("commit", "stop", "stop"))
        victim = rng.choice(OURS + ("docker", "docker", "dockerd"))
        wait = rng.random() * (0.25 if verb == "commit" else 0.6)
        self.fresh(victim)
        self.write()
        asked = self.begin(verb)
        time.sleep(wait)        # the moment is what is random here
        self.kill(victim)
        self.again(victim)
        told = asked.wait(SETTLED) == 0
        self.check(t, f"{verb}, kill -9 of {victim} after "
                   f"{wait * 1000:.0f} ms", told and verb == "commit")


def steps(t, r, verb):
    for step in VERBS[verb]:
        for victim in OURS + ("dockerd",):
            r.at_step(t, verb, step, True, victim)
        r.at_step(t, verb, step, False, "docker")


def at_random(t, r, rounds, seed):
    rng = random.Random(seed)
    for _ in range(rounds):
        r.at_random(t, rng)


def lane(t, build, halting, results, work, *args):
    """An Engine and a supervisor of its own, in a thread of its own."""
    with Engine(group="nogroup") as engine:
        engine.build(IMAGE)
        with Sandboxes(build, engine, halting=halting) as sup:
            r = Rounds(engine, sup)
            try:
                work(t, r, *args)
                t.eq(sup.reset("u").status, 204, "a reset at the end")
            except Exception:
                t.ok(False, "no exception", traceback.format_exc())
            named, left = images(engine)
            results.append((sup, r, len(engine.docker("ps", "-aq").split()),
                            len(named + left), len(os.listdir(r.box("")))))
            if t.failed:
                t.note("\n".join(sup.log.since()[-60:]))
            sup.stop()


def tell(t, results, lanes):
    """The counts, and that each supervisor ended in order."""
    killed = {}
    for _, r, *_ in results:
        for victim, n in r.counts.items():
            killed[victim] = killed.get(victim, 0) + n
    states, lost, commits, stuck = (
        sum(getattr(r, name) for _, r, *_ in results)
        for name in ("n", "lost", "commits", "stuck"))
    over = [sum(n) for n in zip(*(left for _, _, *left in results))]
    t.note("killed: " + ", ".join(f"{k} {v}" for k, v in sorted(
        killed.items())) + f"; states written {states}, lost {lost}; commits "
        f"told to be done {commits}; saved because the Engine could not start "
        f"them again {stuck}; left over: containers {over[0]}, images "
        f"{over[1]}, files {over[2]}")
    t.eq((len(results), lost, over), (lanes, 0, [0, 0, 0]), "nothing was "
         "lost, no container, no image and no file is left over")
    for sup, *_ in results:
        verdict(t, sup)


def main():
    build = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.getrandbits(32)
    t, results = SharedTap(), []
    if not ROOT:
        t.skip("an Engine of one's own needs root")
        return t.done()
    if rounds:
        t.note(f"seed {seed}")
        work = [(at_random, rounds, seed)]
    else:
        work = [(steps, verb) for verb in VERBS]
    threads = [threading.Thread(target=lane, args=(
        t, build, not rounds, results, *w)) for w in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(t, results, len(work))
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
