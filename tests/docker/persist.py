#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What is kept of a sandbox: commit, stop, idle timeout, reset, restore, and
administrators who do things behind our back.  On a real Engine.

usage: persist.py BUILDDIR [test ...]
"""
import io
import json
import os
import re
import signal
import sys
import tarfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), HERE]

from debian import image_of_debian, package
from dockerd import BUSYBOX, Engine
from sandboxes import (IMAGE, Sandboxes, container, image, images, root_of)
from xbot import ROOT, Tap, tests_of, verdict, wait_for

ODD = "xbot-test/odd:1"
DEBIAN = "xbot-test/debian:1"
# file capabilities as a tar has them: cap_net_bind_service+ep
CAPS = b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
METADATA = (
    'ENV A="x y" B="\\$HOME \\"q\\" \\\\b" EMPTY=', 'ENV PATH="/bin:/opt/x y"',
    'WORKDIR "/a b"', "USER joe", 'LABEL "k.l"="v \\$w" m="\'n\' # o"',
    "EXPOSE 80/tcp", "EXPOSE 1000-1002/udp", 'VOLUME ["/vol","/v w"]',
    'ENTRYPOINT ["/bin/sh","-c"]',
    'CMD ["sleep $X\\n \\"1000\\"; exec sleep 1000","x"]')


def build_odd(engine):
    """An image of which all that an image can say is said."""
    with open(BUSYBOX, "rb") as f:
        busybox = f.read()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def put(name, kind, mode, data=b"", link="", caps=None):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size = kind, mode, len(data)
            info.linkname = link
            if caps:
                info.pax_headers["SCHILY.xattr.security.capability"] = (
                    caps.decode("latin-1"))
            tar.addfile(info, io.BytesIO(data))
        for name in ("bin", "etc", "root", "tmp"):
            put(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        put("etc/passwd", tarfile.REGTYPE, 0o644,
            b"root:x:0:0::/root:/bin/sh\njoe:x:1000:1000::/:/bin/sh\n")
        put("bin/busybox", tarfile.REGTYPE, 0o4755, busybox)
        put("bin/capped", tarfile.REGTYPE, 0o755, b"caps", caps=CAPS)
        for name in ("sh", "sleep", "mkdir", "mknod", "mkfifo", "ln", "cp",
                     "mv", "chmod", "chown", "touch", "printf", "cat", "dd",
                     "id", "env", "rm", "su", "true", "head", "sync", "ls"):
            put(f"bin/{name}", tarfile.SYMTYPE, 0o777, link="busybox")
    words = [w for c in METADATA for w in ("-c", c)]
    engine.docker("import", *words, "-", ODD, stdin=out.getvalue())


ODD_FILES = r"""
mkdir /x; cd /x
cp /bin/busybox setuid; chmod 4755 setuid; ln setuid hard; ln setuid hard2
cp /bin/busybox setgid; chown 0:1000 setgid; chmod 2755 setgid
mkdir -m 1777 sticky; mkdir -m 2770 sgid; mkdir -m 0 nothing
mv /bin/capped capped
mknod c c 1 3; mknod b b 7 1; mkfifo -m 600 fifo; chown 1000:2000 fifo
ln -s /nowhere dangling; ln -s "$(printf 'a\nb')" oddlink
touch "$(printf 'new\nline')" ' blank ' -- -dash "$(printf 'bin\377ary')"
touch '"quote' 'back\slash' 'tab	' "$(printf '\033[31m')"
printf x > sparse; dd if=/dev/zero of=sparse bs=1 count=1 seek=5000000
rm -rf /root; printf '' > empty; touch -d '1999-12-31 23:59:59' empty
head -c 100000 /dev/urandom > random
sync
"""


def test_commit(t, s):
    s.sh("alice", "echo one > /state; mkdir -p /opt/a; echo w > file")
    before = container(s.engine, "xbot-alice")
    a = s.commit("alice")
    t.eq((a.status, a.json), (200, {"image": "xbot-alice:latest",
                                    "changed": True}), "a commit is told")
    after = container(s.engine, "xbot-alice")
    t.eq((after["Id"], after["State"]["Pid"], after["State"]["Paused"]),
         (before["Id"], before["State"]["Pid"], False),
         "the container runs on, as it was")
    t.eq(s.sh("alice", "cat /state"), "one\n", "and serves")
    got = root_of(s.engine, "xbot-alice:latest", True)
    t.ok("state" in got and "opt/a" in got, "the image has what was new",
         sorted(got)[:50])
    t.eq([n for n in got if n.startswith("workspace/")], [],
         "not the workspace, which is the host's")
    s.sh("alice", "echo two > /state")
    first = image(s.engine, "xbot-alice:latest")["Id"]
    t.eq(s.commit("alice").json["changed"], True, "again")
    t.ok(image(s.engine, "xbot-alice:latest")["Id"] != first, "a newer one")
    t.eq(images(s.engine, "xbot-alice")[1], [], "and the older is gone")


def test_stop(t, s):
    s.sh("alice", "echo three > /state")
    a = s.stop_("alice")
    t.eq(a.status, 204, "a stop")
    t.eq(container(s.engine, "xbot-alice"), None, "takes the container away")
    t.eq(s.sandbox("alice").json,
         {"backend": "docker", "state": "absent", "container": "",
          "image": "xbot-alice:latest", "idle_seconds": 0, "dirty": False},
         "which is shown")
    t.eq(s.stop_("alice").status, 204, "once more is no error")
    t.eq(s.sh("alice", "cat /state file"), "three\nw\n",
         "the next command finds everything again")
    t.eq(s.sandbox("alice").json["dirty"], False, "nothing changed since")
    newest = image(s.engine, "xbot-alice:latest")["Id"]
    t.eq(s.stop_("alice").status, 204, "stopped without a change")
    t.eq(image(s.engine, "xbot-alice:latest")["Id"], newest,
         "no image is made for that")
    s.sh("alice", "true")
    a = s.commit("alice")
    t.eq(a.json, {"image": "xbot-alice:latest", "changed": False},
         "nor by a commit")
    t.eq(images(s.engine, "xbot-alice")[1], [], "no image is left over")
    s.stop_("alice")


def test_stuck(t, s):
    """What a killed Engine leaves behind at times (moby's issue 50040)."""
    s.sh("stan", "echo kept > /state")
    ident = container(s.engine, "xbot-stan")["Id"]
    s.engine.docker("stop", "-t", "5", "xbot-stan")
    os.mkdir(f"{s.engine.dir}/exec/containerd/daemon/io.containerd.runtime.v2"
             f".task/moby/{ident}")
    a = s.client.exec("stan", "cat /state")
    t.eq(a.code, "EIO", "a container that the Engine cannot start any more")
    t.match("file exists", a.json["error"]["message"], "and why")
    wait_for("its end", lambda: s.state_of("stan") == "absent")
    t.eq(s.sh("stan", "cat /state"), "kept\n", "is saved and made anew")
    t.eq(s.reset("stan").status, 204, "reset")


def test_identical(t, s):
    with Sandboxes(s.build, s.engine, image=ODD) as odd:
        a = odd.client.exec("odd", "id -u; pwd; env")
        t.match(r"^1000\n/workspace\n", a.json["stdout"], "USER is honoured")
        name = "xbot-odd"
        s.engine.docker("exec", "-u", "0", name, "sh", "-c", ODD_FILES)
        want = root_of(s.engine, name)
        t.ok(len([n for n in want if n.startswith("x/")]) > 20,
             "odd files are there", sorted(want))
        t.ok(any("capability" in str(v[9]) for v in want.values()),
             "one with capabilities")
        t.eq(odd.stop_("odd").status, 204, "stopped")
        got = root_of(s.engine, f"{name}:latest", True)
        t.eq({k: (want.get(k), got.get(k)) for k in set(want) | set(got)
              if want.get(k) != got.get(k)}, {},
             f"{len(want)} files are the same in every byte and bit")
        base = image(s.engine, ODD)["Config"]
        kept = image(s.engine, f"{name}:latest")["Config"]
        labels = kept["Labels"]
        ours = {k: labels.pop(k) for k in list(labels)
                if k.startswith("xbot.image.")}
        t.eq((ours["xbot.image.name"], ours["xbot.image.user"]),
             (name, "odd"), "our labels say whose it is")
        for key in sorted(set(base) | set(kept)):
            t.eq(kept.get(key), base.get(key), f"{key} is kept")
        odd.sh("odd", "true")
        t.eq(odd.sh("odd", "cat /x/random | head -c 5 | ls -l /x/setuid "
                    "| head -c 10"), "-rwsr-xr-x", "and restored")
        s.engine.docker("exec", "-u", "0", name, "touch", "/more")
        odd.stop_("odd")
        again = image(s.engine, f"{name}:latest")["Config"]
        t.eq(again["Labels"]["xbot.image.commit"] !=
             ours["xbot.image.commit"], True, "a second generation")
        for key in sorted(set(base) - {"Labels"}):
            t.eq(again.get(key), base.get(key), f"{key} is kept once more")
        odd.reset("odd")


def test_reset(t, s):
    s.sh("bob", "echo x > /state")
    s.commit("bob")
    t.eq(s.reset("bob").status, 204, "a reset")
    t.eq((container(s.engine, "xbot-bob"), images(s.engine, "xbot-bob")),
         (None, ([], [])), "leaves neither container nor image")
    t.eq(s.client.exec("bob", "cat /state").json["exit_code"], 1,
         "the next one is new")
    t.eq(s.reset("bob").status, 204, "one without an image")
    t.eq(s.reset("bob").status, 204, "one of nothing")
    t.eq(s.commit("bob").code, "ENOENT", "there is nothing to commit then")


def test_events(t, s):
    got = []
    with s.connect() as c:
        answer = c.open("GET", "/v1/users/eve/events")

        def read():
            for line in answer:
                if line.startswith(b"data: "):
                    got.append(json.loads(line[6:]).get("state"))
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        s.sh("eve", "touch /x")
        s.commit("eve")
        s.stop_("eve")
        states = lambda: [x for x in got if x]
        wait_for("events", lambda: states()[-1:] == ["absent"])
        t.eq(states(), ["creating", "running", "committing", "running",
                        "committing", "absent"], "the states, in order")
        c.conn.sock.shutdown(2)
    s.reset("eve")


def test_busy(t, s):
    """While one is being saved, nobody else is bothered."""
    s.sh("alice", "head -c 60000000 /dev/urandom > /big")
    s.sh("bob", "true")
    done = []
    with s.connect() as c, s.connect() as other:
        thread = threading.Thread(
            target=lambda: done.append(s.commit("alice", client=c)))
        thread.start()
        wait_for("committing", lambda: s.state_of("alice") == "committing"
                 or done)
        t.eq(s.commit("alice", client=other).code if not done else "EBUSY",
             "EBUSY", "a second commit is refused")
        t.eq(s.sh("bob", "echo bob"), "bob\n", "another user works")
        t.eq(s.sh("alice", "echo alice"), "alice\n",
             "the user himself waits and is served")
        thread.join()
    t.eq(done[0].status, 200, "and the commit ends")
    s.sh("alice", "rm /big")
    s.reset("bob")


def test_foreign(t, s):
    e = s.engine
    e.docker("create", "--name", "xbot-carl", "--network=none", IMAGE, "sh")
    ident = container(e, "xbot-carl")["Id"]
    for verb, call in (("commit", s.commit), ("stop", s.stop_),
                       ("reset", s.reset)):
        t.eq(call("carl").code, "EPERM", f"{verb}: a container of that name "
             "without our label is not ours")
    t.eq(container(e, "xbot-carl")["Id"], ident, "it is left alone")
    e.docker("rm", "xbot-carl")
    e.docker("tag", IMAGE, "xbot-carl:latest")
    base = image(e, IMAGE)["Id"]
    t.eq(s.reset("carl").code, "EPERM", "nor is an image")
    t.eq(image(e, "xbot-carl:latest")["Id"], base, "it is left alone")
    s.sh("carl", "echo x > /state")
    s.stop_("carl")
    t.ok(image(e, "xbot-carl:latest")["Id"] != base and image(e, base),
         "a newer one takes its name, and it stays")
    t.eq(s.sh("carl", "cat /state"), "x\n", "and is used")
    t.eq(s.reset("carl").status, 204, "that one can be reset")
    e.docker("create", "--name", "somebody", "--network=none", "--label",
             "xbot.sandbox.user=dora", IMAGE, "sh")
    s.sh("dora", "true")
    t.ok(container(e, "somebody"), "a label alone makes nothing ours")
    s.reset("dora")
    t.ok(container(e, "somebody"), "not even in a reset")
    e.docker("rm", "somebody")


def test_behind_our_back(t, s):
    e = s.engine
    s.sh("fred", "echo kept > /state")
    s.commit("fred")
    s.sh("fred", "echo lost > /state")
    e.docker("rm", "-f", "xbot-fred")
    wait_for("seen", lambda: s.state_of("fred") == "absent")
    t.eq(s.sh("fred", "cat /state"), "kept\n", "docker rm -f: the newest "
         "image is what there is")
    # clean, and the name of its image is taken away
    e.docker("rmi", "-f", "xbot-fred:latest")
    t.eq(s.stop_("fred").status, 204, "docker rmi of his image, then a stop")
    t.eq(s.sh("fred", "cat /state"), "kept\n", "loses nothing")
    e.docker("kill", "xbot-fred")
    wait_for("seen", lambda: s.state_of("fred") == "stopped")
    s.stop_("fred")
    t.eq(s.sh("fred", "cat /state"), "kept\n", "nor does a docker kill")
    s.sh("fred", "echo four > /state")
    e.docker("stop", "-t", "1", "xbot-fred")
    e.docker("rmi", "-f", "xbot-fred:latest")
    t.eq(s.stop_("fred").status, 204, "stopped, its image removed by force")
    t.eq(s.sh("fred", "cat /state; echo $FOO"), "four\nbar baz\n",
         "its metadata are those of the configured one")
    e.docker("pause", "xbot-fred")
    t.eq(s.stop_("fred").status, 204, "docker pause, then a stop")
    t.eq(s.sh("fred", "cat /state"), "four\n", "is no obstacle")
    s.reset("fred")


def test_adopted(t, s):
    """The ledger has forgotten; what carries our label is as good as known."""
    s.sh("gina", "echo old > /state")
    s.stop()
    for name in ("data.mdb", "lock.mdb", "service.token"):
        os.unlink(os.path.join(s.state, name))
    old, young, other = (f"/tmp/xbot-export-{os.getpid()}-{n}.tar"
                         for n in range(3))
    for path in (old, young):
        with open(path, "wb"):
            pass
    os.utime(old, (1, 1))
    os.mkdir(other)
    s.start()
    s.log.wait("sandbox of gina: .*adopted")
    t.ok(True, "a container that the ledger does not know is adopted")
    t.eq(s.state_of("gina"), "running", "with its state")
    t.eq(s.sh("gina", "cat /state"), "old\n", "it goes on")
    s.stop_("gina")
    t.eq(s.sh("gina", "cat /state"), "old\n", "and is never removed unsaved")
    t.eq([os.path.exists(path) for path in (old, young, other)],
         [False, True, True], "stale exports go, young ones and other things "
         "stay")
    os.unlink(young)
    os.rmdir(other)
    s.reset("gina")


def test_admin(t, s):
    s.sh("hank", "touch /x")
    out = s.admin("sandbox", "list").stdout.decode()
    t.match(r"(?m)^hank +running +\d+ +xbot-hank +sha256:", out, "list")
    out = s.admin("sandbox", "show", "-u", "hank").stdout.decode()
    t.match(r"(?m)^state +running\n", out, "show")
    t.match(r"(?m)^dirty +yes\n", out, "with what has changed")
    p = s.admin("-j", "sandbox", "commit", "-u", "hank")
    t.eq(json.loads(p.stdout), {"image": "xbot-hank:latest",
                                "changed": True}, "commit, as JSON")
    p = s.admin("sandbox", "stop", "-u", "hank")
    t.eq((p.returncode, p.stdout), (0, b""), "stop is silent")
    p = s.admin("sandbox", "reset", "-u", "hank")
    t.eq((p.returncode, images(s.engine, "xbot-hank")), (0, ([], [])),
         "reset")
    p = s.admin("sandbox", "commit", "-u", "hank")
    t.eq(p.returncode, 1, "what fails has status 1")
    t.match("ENOENT: there is no sandbox", p.stderr.decode(), "and says why")
    t.eq(s.admin("sandbox", "show").returncode, 2, "whose?")
    a = s.sandbox("web-x")
    t.eq(a.code, "EPERM", "web users have none")
    token = s.admin("token", "create", "-u", "ida").stdout.decode().strip()
    a = s.client.call("POST", "/v1/users/hank/sandbox/stop", token=token)
    t.eq(a.code, "EPERM", "nor anybody another one's")
    a = s.client.call("GET", "/v1/admin/sandboxes")
    t.eq(a.status, 404, "the list is the administrator's")


def test_package(t, s):
    image_of_debian(s.engine, DEBIAN)
    with Sandboxes(s.build, s.engine, image=DEBIAN) as deb:
        deb.sh("kim", "true")
        package(os.path.join(deb.hostwork, "kim"), "xbot-tested")
        a = deb.client.exec("kim", "apt-get install -y --no-install-recommends"
                            " ./xbot-tested.deb 2>&1")
        t.eq((a.status, a.json.get("exit_code")), (200, 0),
             "apt-get install of a local package")
        if a.status != 200 or a.json["exit_code"] != 0:
            t.note(a)
        t.eq(deb.stop_("kim").status, 204, "then a stop")
        t.eq(deb.sh("kim", "xbot-tested; dpkg -s xbot-tested | cat; "
                    "ls /var/lib/from-postinst").split("\n")[:3],
             ["xbot-tested works", "Package: xbot-tested",
              "Status: install ok installed"], "it is installed afterwards")
        deb.reset("kim")
        verdict(t, deb)


def test_disk_full(t, s):
    """The Engine's disk fills up while it imports."""
    with Engine(group="nogroup", disk_mb=60) as e:
        e.build(IMAGE)
        with Sandboxes(s.build, e) as full:
            full.sh("alice", "head -c 36000000 /dev/urandom > /big")
            a = full.commit("alice")
            t.eq(a.code, "EIO", "a commit: EIO")
            t.match("no space left", a.json["error"]["message"],
                    "with the Engine's words")
            t.eq(full.sh("alice", "head -c 3 /dev/zero | cat > /dev/null; "
                         "echo on"), "on\n", "the sandbox goes on")
            t.eq(images(e), ([], []), "no image is left")
            a = full.stop_("alice")
            t.eq(a.code, "EIO", "a stop: EIO")
            t.ok(container(e, "xbot-alice"), "the container stays")
            t.eq(full.sh("alice", "rm /big; echo small > /state; "
                         "cat /state"), "small\n", "and is started again")
            t.eq(full.stop_("alice").status, 204, "there is room again")
            t.eq(full.sh("alice", "cat /state"), "small\n", "it is kept")
            verdict(t, full)


def test_idle(t, s):
    with Sandboxes(s.build, s.engine, more="idle timeout 2s") as idle:
        idle.sh("jo", "echo idle > /state")
        start = time.monotonic()
        a = idle.client.exec("jo", "sleep 5; echo slept")
        t.eq(a.json["stdout"], "slept\n", "what runs is not idle")
        wait_for("stopped", lambda: idle.state_of("jo") == "absent")
        t.ok(time.monotonic() - start > 6, "only afterwards it is")
        t.eq(container(s.engine, "xbot-jo"), None, "and its container goes")
        t.eq(idle.sh("jo", "cat /state"), "idle\n", "saved")
        a = idle.client.call("POST", "/v1/users/jo/tasks",
                             {"command": "sleep 5; echo end > /task"})
        t.eq(a.status, 201, "a task of which nobody waits for the end")
        wait_for("stopped", lambda: idle.state_of("jo") == "absent")
        t.eq(idle.sh("jo", "cat /task"), "end\n", "is activity as well")
        done = []
        with idle.connect() as c:
            thread = threading.Thread(target=lambda: done.append(c.exec(
                "jo", "touch /workspace/on; sleep 8; echo slept")))
            thread.start()
            mark = os.path.join(idle.hostwork, "jo/on")
            wait_for("the command", lambda: os.path.exists(mark))
            os.kill(idle.roles()["docker"], signal.SIGKILL)
            thread.join()
        t.eq(done[0].json.get("stdout"), "slept\n", "a docker that comes "
             "again learns what is busy")
        idle.reset("jo")
        verdict(t, idle)


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    if not ROOT:
        t.skip("an Engine of one's own needs root")
        return t.done()
    with Engine(group="nogroup") as engine:
        engine.build(IMAGE, "ENV FOO='bar baz'", 'CMD ["false"]')
        build_odd(engine)
        with Sandboxes(build, engine) as s:
            for test in tests_of(sys.modules[__name__]):
                if not wanted or any(w in test.__name__ for w in wanted):
                    t.run(test, s)
            s.reset("alice")
            left = engine.docker("ps", "-a", "--format", "{{.Names}}")
            t.eq((re.findall(r"xbot-\S+", left), images(engine)),
                 ([], ([], [])), "no container and no image is left over")
            verdict(t, s)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
