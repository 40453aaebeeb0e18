#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Sandboxes on an Engine that sees neither our processes nor our directory.

usage: fallback.py BUILDDIR [test ...]

The Engine has process ids and a view of the disk of its own.  The conformance
scripts run as they do in sandbox.py, on an Engine that sees our directory and
not our processes; what follows is for one that sees neither.
"""
import contextlib
import hashlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, os.path.join(HERE, "../conform"))

import dockerd
import execs
import files
import streams
import tasks
from life import FLOOD, broken, sleeper
from run import Place, compare
from sandboxes import IMAGE, Sandboxes, container, images, root_of
from ws import WebSocket
from xbot import Supervisor, Tap, tests_of, verdict

HOST = "xbot-test/host:1"


def mounts(s, name):
    return sorted(m["Destination"] for m in container(s.engine, name)["Mounts"])


def test_made(t, s):
    """One without our directory; the log says which way is used."""
    t.eq(s.sh("bob", "hostname; id -u; echo $$ >/dev/null; pwd"),
         "xbot-bob\n0\n/workspace\n", "a command")
    t.eq(mounts(s, "xbot-bob"), ["/workspace"], "our directory is no mount")
    t.ok(s.log.since() and any("does not see" in x for x in s.log.since()),
         "the log says that")
    t.eq(s.sh("bob", "cat /proc/1/comm"), "executor\n", "the first process")
    a = s.client.exec("bob", "sleep 1000", timeout=1)
    t.eq(a.json.get("timed_out"), True, "a command that is too long")


def test_files(t, s):
    data = os.urandom(5 << 20)
    a = s.client.file("PUT", "bob", "big", data)
    t.ok(a.status in (200, 201, 204), "5 MB in", a)
    t.eq(s.sh("bob", "md5sum <big").split()[0],
         hashlib.md5(data).hexdigest(), "are there")
    a = s.client.file("GET", "bob", "big")
    t.ok(a.status == 200 and a.body == data, "and out again", a.status)
    t.eq(len(s.sh("bob", "head -c 3000000 /dev/zero | tr '\\0' x")), 3000000,
         "much output")


def test_pty(t, s):
    with WebSocket(s.port, "/v1/users/bob/pty?command=/bin/sh&cols=91&rows=33",
                   s.token) as w:
        w.send(b"PS1=; stty size\n")
        w.expect(b"33 91\r\n")
        w.send(b"exit 7\n")
        t.eq(w.end(), ({"type": "exit", "exit_code": 7}, 1000), "a terminal")


def test_kills(t, s):
    """What ends ends neither the container nor a task."""
    ident = s.client.call("POST", "/v1/users/bob/tasks", {
        "command": "echo on; sleep 1000"}).json["task_id"]
    before = container(s.engine, "xbot-bob")["State"]["StartedAt"]
    for role in ("docker", "box"):
        thread, lines = sleeper(s, "bob")
        s.restart(role)
        thread.join()
        broken(t, lines, "lost|ended", f"kill -9 of {role}: what ran")
        t.eq(s.sh("bob", "echo again"), "again\n", f"{role}: served again")
        t.eq(container(s.engine, "xbot-bob")["State"]["StartedAt"], before,
             f"{role}: by the same container")
        a = s.client.call("GET", f"/v1/users/bob/tasks/{ident}").json
        t.eq((a.get("status"), a.get("stdout")), ("running", "on\n"),
             f"{role}: its task runs on")
    thread, lines = sleeper(s, "bob")
    s.engine.docker("kill", "xbot-bob")
    thread.join()
    broken(t, lines, "^killed: ", "docker kill")
    t.eq(s.sh("bob", "echo back"), "back\n", "started again")
    left = s.sh("bob", "ps -o args | grep -c '[e]xecutor -b'").strip()
    t.eq(left, "1", "one bridge, none left over")


def test_hostile(t, s):
    """Who is not the first process does not get at the stream."""
    source = os.path.join(s.engine.dir, "flood.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(FLOOD)
    subprocess.run(["musl-gcc", "-static", "-o", source[:-2], source],
                   check=True)
    with open(source[:-2], "rb") as f:
        s.client.file("PUT", "bob", "flood", f.read())
    s.sh("bob", "chmod +x flood")
    ident = s.client.call("POST", "/v1/users/bob/tasks", {
        "command": "while :; do ./flood; echo cut; done"}).json["task_id"]
    mark = s.log.mark()
    before = container(s.engine, "xbot-bob")["State"]["StartedAt"]
    for role in ("box", "docker", "box"):
        s.restart(role)
        t.eq(s.sh("bob", "echo mine"), "mine\n", f"{role}: served")
    t.eq([x for x in s.log.since(mark) if "broke" in x], [],
         "nothing but frames has come")
    t.eq(container(s.engine, "xbot-bob")["State"]["StartedAt"], before,
         "all the time by the same container")
    s.client.call("DELETE", f"/v1/users/bob/tasks/{ident}")
    s.sh("bob", "rm /.xbot/executor; printf '#!/bin/sh\\nyes' >/.xbot/executor;"
         " chmod 755 /.xbot/executor")
    s.restart("box")
    t.eq(s.sh("bob", "echo mine"), "mine\n", "another program in the place of "
         "ours is replaced")


def test_kept(t, s):
    """Commit and restore"""
    s.sh("carol", "echo one >/state; mkdir -p /opt/a")
    t.eq(s.commit("carol").json.get("changed"), True, "a commit")
    t.eq(s.sh("carol", "cat /state"), "one\n", "serves on")
    got = root_of(s.engine, "xbot-carol:latest", True)
    t.ok("state" in got and "opt/a" in got, "the image has what was new")
    s.sh("carol", "echo two >/state")
    t.eq(s.stop_("carol").status, 204, "a stop")
    t.eq(container(s.engine, "xbot-carol"), None, "takes the container away")
    t.eq(s.sh("carol", "cat /state"), "two\n", "restored")
    t.eq(s.commit("carol").json.get("changed"), False,
         "what is ours is no change")
    t.eq(images(s.engine, "xbot-carol")[1], [], "no image is left over")


@contextlib.contextmanager
def blind(build, engine):
    """Over our state directory the Engine has something else."""
    with Sandboxes(build, engine) as s:
        subprocess.run(["nsenter", "-t", str(engine.pid()), "-m", "mount",
                        "-t", "tmpfs", "tmpfs", s.state], check=True)
        try:
            yield s
        finally:
            for line in engine.docker("ps", "-aq").split():
                engine.docker("rm", "-f", line, ok=False)


def conform(t, build, engine, chosen):
    engine.build_host(HOST, "USER joe", "ENV LANG=C.UTF-8")
    with Supervisor(build) as host, Sandboxes(
            build, engine, image=HOST, network="host") as sup:
        places = [Place(host, "bob", "none", "",
                        os.path.join(host.work, "bob")),
                  Place(sup, "dora", "docker", "__docker__", "/workspace",
                        guard=False)]
        for test in chosen:
            compare(t, test, places)
        t.eq(mounts(sup, "xbot-dora"), ["/workspace"],
             "all of that through the Engine")
        verdict(t, sup)


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()

    def chosen(module):
        return tests_of(module, wanted)
    with dockerd.Engine(group="docker", apart=True) as engine:
        engine.build(IMAGE)
        with blind(build, engine) as s:
            for test in chosen(sys.modules[__name__]):
                t.run(test, s)
            verdict(t, s)
        both = [f for m in (execs, files, tasks, streams) for f in chosen(m)]
        if both:
            conform(t, build, engine, both)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
