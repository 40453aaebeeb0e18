# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A runner that exists already, played by v1_runner_peer.py in a process of
its own: what conform asks of every placement, less what v1 cannot do."""
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../conform"))

import execs
import files
import streams
import tasks
from run import Place
from xbot import ROOT, rss, sanitized, tests_of, wait_for

# It waits for pipes that others have inherited and kills no tree (D15); its
# guard compares prefixes (D10).
NOT_IN_V1 = ("test_whole_tree", "test_background", "test_escapes",
             # Its group is killed, not its tree; all output is kept (D25).
             "test_kill_tree", "test_last",
             # It writes to the target itself (D20).
             "test_download",
             # A directory that is not there is an error (D13).
             "test_pty_shell")


class Existing:
    def __init__(self, sup, user, *args):
        with sup.connect() as c:
            a = c.call("POST", f"/v1/users/{user}/runners", {"name": "old"})
            self.dir = tempfile.mkdtemp(prefix="existing-", dir=sup.dir)
            self.workspace = os.path.join(self.dir, "home")
            os.mkdir(self.workspace)
            peer = os.path.join(self.dir, "peer.py")
            shutil.copy(os.path.join(HERE, "v1_runner_peer.py"), peer)
            who = {}
            if ROOT:
                account = pwd.getpwnam("nobody")
                os.chown(self.workspace, account.pw_uid, account.pw_gid)
                os.chmod(self.dir, 0o755)
                who = {"user": account.pw_uid, "group": account.pw_gid,
                       "extra_groups": []}
            self.process = subprocess.Popen(
                ["/usr/bin/python3", peer, "--server",
                 f"ws://127.0.0.1:{sup.port}/ws/{user}", "--token",
                 a.json["token"], "--workspace", self.workspace, *args],
                env={"PATH": "/usr/local/bin:/usr/bin:/bin",
                     "HOME": self.workspace, "LANG": "C.UTF-8"}, **who)
            wait_for("the existing runner", lambda: any(
                r["online"] for r in c.call(
                    "GET", f"/v1/users/{user}/runners").json["runners"]))
        self.place = Place(sup, user, "remote", "old", self.workspace,
                           exact=False)

    def stop(self):
        self.process.kill()
        self.process.wait()


def test_existing(t, sup):
    old = Existing(sup, "olga", "--pty", "whole")
    try:
        for test in tests_of(execs) + tests_of(files) + \
                tests_of(tasks) + tests_of(streams):
            if test.__name__ not in NOT_IN_V1:
                t.run(test, old.place)
    finally:
        old.stop()
    t.where = "existing: "


def test_existing_large(t, sup):
    """A file of 100 MiB there and back: v1 holds a message whole, once."""
    old = Existing(sup, "oscar")
    data = os.urandom(1 << 20) * 100
    try:
        a = old.place.file("PUT", "large", data)
        t.eq(a.status, 204, "PUT of 100 MiB")
        a = old.place.file("GET", "large")
        t.ok(a.status == 200 and a.body == data, "GET of it", a.status)
        a = old.place.file("GET", "large", headers={"Range": "bytes=-5"})
        t.eq((a.status, a.body), (206, data[-5:]), "its end")
        if not sanitized(sup.build):
            most = rss(sup.roles()["remote"], "VmHWM")
            t.ok(most < 2 * len(data) >> 10, "under twice its size", most)
            now = rss(sup.roles()["remote"])
            t.ok(now < 32 << 10, "which is given back", now)
    finally:
        old.stop()


def test_existing_task(t, sup):
    """Its snapshots repeat; a reader sees each line once, as it comes."""
    old = Existing(sup, "otto")
    try:
        ident = tasks.start(t, old.place, "a task",
                            "for i in 1 2 3 4; do echo line $i; sleep 1; "
                            "done; exit 4")
        a = old.place.client.open("GET",
                                  tasks.path(old.place, ident, "stream"))
        lines = [json.loads(line) for line in a]
        t.eq(("".join(x.get("stdout", "") for x in lines),
              lines[-1]["exit_code"]),
             ("".join(f"line {i}\n" for i in (1, 2, 3, 4)), 4), "its lines")
        t.ok(len(lines) > 2, "not all at once", lines)
        ident = tasks.start(t, old.place, "a long one", "sleep 1000")
        with sup.connect() as c:
            a = c.open("GET", tasks.path(old.place, ident, "stream"))
            old.process.kill()
            last = json.loads(list(a)[-1])
        t.eq(last["error"]["code"], "EIO", "lost with its runner")
    finally:
        old.stop()


def test_existing_pty(t, sup):
    """Older ones have no terminals, newer ones take no input (D30)."""
    old = Existing(sup, "oda", "--pty", "none")
    try:
        streams.refused(t, old.place, (501,), "pty", "no terminals")
    finally:
        old.stop()
    old = Existing(sup, "odo", "--pty", "deaf")
    try:
        with streams.opened(old.place, "pty", command="sh", arg=[
                "-c", "echo one; sleep 1000"]) as s:
            s.expect(b"one\r\n")
            s.ask(type="resize", cols=120, rows=40)
            s.send(b"x")
            last, _ = s.end()
            t.eq((last["error"]["code"], last["error"]["message"]),
                 ("ENOTSUP", "terminal input unsupported by this runner"),
                 "input is refused, with a reason")
    finally:
        old.stop()


def test_existing_stdio(t, sup):
    """10 MB through cat, in order, though its writes overtake (D27)."""
    old = Existing(sup, "olaf")
    data = os.urandom(10 << 20)
    try:
        with streams.opened(old.place, "stdio", command="cat") as s:
            for at in range(0, len(data), 50000):
                s.send(data[at:at + 50000])
                s.until(lambda s: len(s.got) >= at - 300000)
            s.until(lambda s: len(s.got) >= len(data))
            t.ok(s.got == data, "the same bytes")
            s.ask(type="eof")
            t.eq(s.end()[0]["exit_code"], 0, "its end")
    finally:
        old.stop()


def test_existing_download(t, sup):
    old = Existing(sup, "omar")
    server = streams.Server(("127.0.0.1", 0), streams.Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    try:
        def get(url, out):
            return old.place.call("POST", "/v1/users/omar/download",
                                  {"url": url, "output_path": out})
        a = get(base + "/data", "new/dir/file")
        t.eq((a.status, a.json), (200, {"size": len(streams.Files.data)}),
             "a download")
        t.ok(old.place.file("GET", "new/dir/file").body ==
             streams.Files.data, "the same bytes")
        a = get(base + "/absent", "kept")
        t.eq((a.status, a.code), (502, "EIO"), "404 is an error")
        a = get("file:///etc/passwd", "kept")
        t.eq((a.status, a.code), (400, "EINVAL"), "http and https alone")
    finally:
        server.shutdown()
        server.server_close()
        old.stop()
