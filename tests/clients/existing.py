# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A runner that exists already, played by v1_runner_peer.py in a process of
its own: what conform asks of every placement, less what v1 cannot do."""
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../conform"))

import execs
import files
from run import Place
from xbot import ROOT, rss, sanitized, tests_of, wait_for

# It waits for pipes that others have inherited and kills no tree (D15); its
# guard compares prefixes (D10).
NOT_IN_V1 = ("test_whole_tree", "test_background", "test_escapes")


class Existing:
    def __init__(self, sup, user, *args):
        a = sup.client.call("POST", f"/v1/users/{user}/runners",
                            {"name": "old"})
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
            r["online"] for r in sup.client.call(
                "GET", f"/v1/users/{user}/runners").json["runners"]))
        self.place = Place(sup, user, "remote", "old", self.workspace)

    def stop(self):
        self.process.kill()
        self.process.wait()


def test_existing(t, sup):
    old = Existing(sup, "olga")
    try:
        for test in tests_of(execs) + tests_of(files):
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
