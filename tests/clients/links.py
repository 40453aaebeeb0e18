# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Our runner behind a line that is cut, and servers that die: protocol v2."""
import hashlib
import http.client
import json
import os
import signal
import socket
import struct
import threading
import time

from xbot import Client, Runner, cmdline, descendants, wait_for

LINES = 2000000


class Proxy:
    """TCP to a port on this machine; cut() resets what goes through."""

    def __init__(self, port):
        self.target, self.pairs, self.lock = port, set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.accepted += 1
            with self.lock:
                self.pairs.add((client, server))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(a, b),
                                 daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(16384):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, set()
        for pair in pairs:
            for s in pair:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()

    def close(self):
        self.listener.close()
        self.cut()


class Behind:
    """The supervisor as it is seen through a proxy."""

    def __init__(self, sup, port):
        self.sup, self.port = sup, port

    def __getattr__(self, name):
        return getattr(self.sup, name)


class Cut:
    def __init__(self, sup, user):
        self.sup, self.user = sup, user
        self.proxy = Proxy(sup.port)
        self.runner = Runner(Behind(sup, self.proxy.port), user, "cut")
        self.runner.sup = sup       # who is online is asked directly
        sup.runners.append(self.runner)

    def close(self):
        self.runner.stop()
        self.sup.runners.remove(self.runner)
        self.proxy.close()


# Tasks sleep first: what nobody follows yet goes when a MiB is full.
def start(sup, user, command):
    a = sup.client.call("POST", f"/v1/users/{user}/tasks",
                        {"command": command})
    assert a.status == 201, a
    return a.json["task_id"]


class Follower:
    """A client that reads a task's stream to its end, whatever happens."""

    def __init__(self, sup, user, task, on_bytes):
        self.sup, self.on_bytes = sup, on_bytes
        self.path = f"/v1/users/{user}/tasks/{task}/stream"
        self.sum, self.got, self.last = hashlib.sha256(), 0, None
        self.opened, self.errors = 0, []

    def read(self, deadline=300):
        end = time.monotonic() + deadline
        while self.last is None:
            assert time.monotonic() < end, (self.got, self.errors[-5:])
            try:
                with Client(self.sup.port, self.sup.token, 60) as c:
                    self.once(c)
            except (OSError, http.client.HTTPException) as e:
                self.errors.append(repr(e))
            if self.last is None:
                time.sleep(0.05)
        return self

    def once(self, c):
        answer = c.open("GET", f"{self.path}?stdout={self.got}")
        if answer.status != 200:
            self.errors.append(answer.read())
            return
        self.opened += 1
        for line in answer:
            if not line.endswith(b"\n"):
                return
            m = json.loads(line)
            if "stdout" in m:
                assert m["offset"] == self.got, (m["offset"], self.got)
                data = m["stdout"].encode()
                assert m["next"] == self.got + len(data), m["next"]
                self.sum.update(data)
                self.got = m["next"]
                self.on_bytes(self.got)
            elif "error" in m:
                self.errors.append(m)
            elif "status" in m:
                self.last = m


def lines():
    whole = hashlib.sha256()
    size = 0
    for at in range(1, LINES, 10000):
        part = "".join(f"{n}\n" for n in range(at, at + 10000)).encode()
        whole.update(part)
        size += len(part)
    return whole.hexdigest(), size


def test_line_cut(t, sup):
    """Twenty times while a task prints; its client notices nothing."""
    user, (want, size) = "lena", lines()
    cut = Cut(sup, user)
    cuts = []

    def on_bytes(got):
        if len(cuts) < 20 and got > (len(cuts) + 1) * size // 22:
            cuts.append(got)
            cut.proxy.cut()
    try:
        before = cut.proxy.accepted
        task = start(sup, user, f"sleep 3; seq 1 {LINES}; exit 7")
        f = Follower(sup, user, task, on_bytes).read()
        t.eq((len(cuts), f.opened, f.errors), (20, 1, []),
             "cut 20 times, one stream")
        t.ok(cut.proxy.accepted - before >= 20, "as many connections",
             cut.proxy.accepted - before)
        t.eq((f.got, f.sum.hexdigest()), (size, want), "each line once")
        t.eq((f.last["status"], f.last["exit_code"], f.last["truncated"]),
             ("failed", 7, False), "its end")
    finally:
        cut.close()


def test_line_cut_exec(t, sup):
    """A command that runs while the line is cut; input and a file as well."""
    user = "lars"
    cut = Cut(sup, user)
    stop = threading.Event()

    def saw():
        while not stop.wait(0.7):
            cut.proxy.cut()
    thread = threading.Thread(target=saw)
    try:
        with sup.connect() as c:
            data = os.urandom(1 << 20) * 20
            answers = []
            # Bound, it never falls through to the host while it is away.
            a = c.call("PUT", f"/v1/users/{user}/sessions/cut/runner",
                       {"name": cut.runner.name})
            t.eq(a.status, 204, "bound")
            thread.start()
            for n in range(3):
                # Away it is offline for what is new: then again.
                def ask(what):
                    def once():
                        a = what()
                        return a if a.status not in (502, 503) else None
                    return wait_for("an answer", once)
                a = ask(lambda: c.exec(user, "cat; sleep 2; seq 1 100000; "
                                       "exit 3", stdin="in", session="cut"))
                answers.append((a.json["exit_code"],
                                hash(a.json["stdout"])))
            want = "in" + "".join(f"{n}\n" for n in range(1, 100001))
            t.eq(answers, [(3, hash(want))] * 3, "three commands")
            a = ask(lambda: c.file("PUT", user, "big", data, session="cut"))
            t.eq(a.status, 204, "a file up")
            a = ask(lambda: c.file("GET", user, "big", session="cut"))
            t.ok(a.status == 200 and a.body == data, "and down", a.status)
    finally:
        stop.set()
        thread.join()
        cut.close()


def pieces(data, at, do, size=1 << 20):
    """The body in pieces; do() once so many bytes of it have been taken."""
    for n in range(0, len(data), size):
        if at and n >= at[0]:
            at.pop(0)
            do()
        yield data[n:n + size]


def test_line_cut_files(t, sup):
    """In the midst of a file, both ways; an administrator copies meanwhile."""
    user, size = "livia", 40 << 20
    cut = Cut(sup, user)
    data, other = os.urandom(size), os.urandom(size)
    want = hashlib.sha256(data).digest()
    local = os.path.join(sup.dir, "copy")
    with open(local, "wb") as f:
        f.write(other)
    done = []

    def copy():
        # While the line is down there is nobody to begin with.
        for words in (local, ":other"), (":other", local):
            wait_for("a copy", lambda w=words: sup.admin(
                "cp", "-u", user, *w).returncode == 0)
            done.append(words)
    thread = threading.Thread(target=copy)
    try:
        thread.start()
        with sup.connect() as c:
            at = [size // 4, size // 2, size * 3 // 4]
            before = cut.proxy.accepted
            a = c.file("PUT", user, "big", pieces(data, at, cut.proxy.cut))
            t.eq((a.status, at), (204, []), "up, cut three times")
            got = hashlib.sha256()
            at = [size // 4, size // 2, size * 3 // 4]
            answer = c.open("GET", f"/v1/users/{user}/files?path=big")
            n = 0
            while part := answer.read(1 << 20):
                got.update(part)
                n += len(part)
                if at and n >= at[0]:
                    at.pop(0)
                    cut.proxy.cut()
            t.eq((answer.status, got.digest(), at), (200, want, []),
                 "down, cut three times")
            t.ok(cut.proxy.accepted - before >= 4, "other connections",
                 cut.proxy.accepted - before)
        thread.join()
        with open(local, "rb") as f:
            t.ok(len(done) == 2 and f.read() == other,
                 "an administrator's file at the same time", done)
    finally:
        cut.close()


def test_servers_die_files(t, sup):
    """In the midst of a file: who asked is told, the next one works."""
    user, size = "lukas", 40 << 20
    cut = Cut(sup, user)
    data = os.urandom(size)

    def again(c, method, body=None):
        return wait_for("an answer", lambda: (
            a if (a := c.file(method, user, "big", body)).status < 500
            else None))
    try:
        for role in ("remote", "front") * 2:
            def kill(role=role):
                pid = sup.roles()[role]
                os.kill(pid, signal.SIGKILL)
                sup.replaced(role, pid)
            with sup.connect() as c:
                try:
                    a = c.file("PUT", user, "big", pieces(data, [size // 2],
                                                          kill))
                    told = a.status
                except (OSError, http.client.HTTPException):
                    told = "broken"
                t.ok(told in ((502, 503) if role == "remote" else
                              ("broken",)), f"{role} dies: told", told)
            cut.runner.wait_online()
            with sup.connect() as c:
                t.eq(again(c, "PUT", data).status, 204, "again, up")
                a = again(c, "GET")
                t.ok(a.status == 200 and a.body == data, "and down", a.status)
    finally:
        sup.client.close()      # of the front that was killed
        cut.close()


def test_servers_die(t, sup):
    """front, remote and the line in turn: the task's stream goes on."""
    user, (want, size) = "lutz", lines()
    cut = Cut(sup, user)
    steps = []

    def on_bytes(got):
        if len(steps) >= 6 or got < (len(steps) + 1) * size // 8:
            return
        what = ("front", "remote", "line")[len(steps) % 3]
        steps.append(what)
        if what == "line":
            cut.proxy.cut()
        else:
            os.kill(sup.roles()[what], signal.SIGKILL)
    try:
        task = start(sup, user, f"sleep 3; seq 1 {LINES}; exit 9")
        f = Follower(sup, user, task, on_bytes).read()
        t.eq(steps, ["front", "remote", "line"] * 2, "killed and cut")
        t.eq((f.got, f.sum.hexdigest()), (size, want), "each line once")
        t.eq((f.last["exit_code"], f.last["truncated"]), (9, False),
             "its end")
        t.ok(f.opened >= 5, "the stream was opened again", f.opened)
    finally:
        sup.client.close()      # of the front that was killed
        cut.close()


def test_server_dies_exec(t, sup):
    """remote dies under a command: it is lost, and says so; its tree ends."""
    user = "lola"
    cut = Cut(sup, user)
    try:
        mark = f"31415.{os.getpid() % 1000}"

        def kill():
            wait_for("sleep", lambda: running(cut.runner.pid, mark))
            os.kill(sup.roles()["remote"], signal.SIGKILL)
        thread = threading.Thread(target=kill)
        thread.start()
        with sup.connect() as c:
            a = c.exec(user, f"sleep {mark}")
            thread.join()
            t.eq((a.status, a.code), (502, "EIO"), "the command is lost")
            cut.runner.wait_online()
            wait_for("its end", lambda: not running(cut.runner.pid, mark))
            t.ok(True, "nothing of it is left")
            a = wait_for("an answer", lambda: (
                x if (x := c.exec(user, "echo 1")).status == 200 else None))
            t.eq(a.json["stdout"], "1\n", "the next one runs")
    finally:
        cut.close()


def running(pid, mark):
    return any(mark in cmdline(p) for p in descendants(pid))
