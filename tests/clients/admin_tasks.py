# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-admin task and events: against daemons that break off, then against
a supervisor.  Part of admin_test.py.
"""
import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from xbot import DEADLINE, SAN, alive, wait_for

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TZ": "UTC", **SAN}


# --- a daemon that is played ---

class Played:
    """
    Answers by path: a function gets the path and the number of times it was
    asked for, and gives the pieces of an answer.
    """

    def __init__(self, answer):
        self.dir = tempfile.mkdtemp(prefix="xbot-played-")
        self.path = os.path.join(self.dir, "sock")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(5)
        self.answer, self.asked = answer, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            with c:
                try:
                    path = c.recv(65536).split(b" ")[1].decode()
                    self.asked.append(path)
                    n = sum(x.split("?")[0] == path.split("?")[0]
                            for x in self.asked)
                    for piece in self.answer(path, n):
                        c.sendall(piece)
                except (OSError, IndexError):
                    pass

    def streams(self):
        return [x for x in self.asked if "/stream" in x]

    def close(self):
        self.sock.close()
        subprocess.run(["rm", "-rf", self.dir], check=True)


def played(sup, answer, *words, limit=DEADLINE):
    p = Played(answer)
    try:
        done = subprocess.run(
            [f"{sup.build}/xbot-admin", "-s", p.path, *words], env=ENV,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=limit)
    finally:
        p.close()
    return p, done.returncode, done.stdout, done.stderr.decode()


def http(body, code="200 OK"):
    return (f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n").encode() + body


def fault(code, status="500 X"):
    return http(json.dumps({"error": {"code": code,
                                      "message": "so"}}).encode(), status)


def broken(*lines):
    """An answer that breaks off behind these lines."""
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
            b"".join(b"%x\r\n%s\r\n" % (len(x), x) for x in lines if x))


def whole(*lines):
    return broken(*lines) + b"0\r\n\r\n"


def out(data, at, name="stdout"):
    return json.dumps({name: base64.b64encode(data).decode(), "offset": at,
                       "next": at + len(data)}).encode() + b"\n"


def end(code=0, **more):
    return json.dumps({"status": "completed", "exit_code": code,
                       **more}).encode() + b"\n"


def route(backend="none", runner=""):
    return http(json.dumps({"backend": backend, "runner": runner}).encode())


FOLLOW = ("task", "follow", "-u", "bob", "0" * 32)


def by_path(*streams, routes=(route(),)):
    def answer(path, n):
        if "/route" in path:
            return [routes[min(n, len(routes)) - 1]]
        return [streams[min(n, len(streams)) - 1]]
    return answer


def test_follow_broken(t, sup):
    """Cut at every place: nothing twice, nothing left out."""
    data = os.urandom(20000)
    lines = [out(data[i:i + 1000], i) for i in range(0, 20000, 1000)]
    for i, at in ((3, 10), (11, 20)):
        lines.insert(i, out(b"err%d" % i, at - 10, "stderr"))
    lines[11] = out(b"err11", 4, "stderr")

    def answer(path, n):
        if "/route" in path:
            return [route()]
        got = {k: int(v) for k, v in re.findall(r"(stdout|stderr)=(\d+)",
                                                path)}
        rest = []
        for line in lines:
            m = json.loads(line)
            name = "stdout" if "stdout" in m else "stderr"
            if m["next"] > got[name]:
                rest.append(line)
        if n == 1:
            return [broken(*rest[:5]), broken(rest[5])[:40]]
        if n == 2:
            # more than was asked for
            return [broken(*lines[3:10])]
        if n == 3:
            return [fault("EOFFLINE", "503 X")]
        if n == 4:
            return [b""]
        if n == 5:
            return [whole(*rest[:3])]
        if n == 6:
            return [whole(rest[0], b'{"error":{"code":"EIO","message":'
                          b'"the worker ended"}}\n')]
        return [whole(*rest, end(7))]

    p, code, stdout, err = played(sup, answer, *FOLLOW)
    t.eq(code, 7, "the task's status")
    t.ok(stdout == data, "its output, whole", len(stdout))
    t.eq(err.count("trying again"), 4, "each trouble is told once, in\n" +
         err)
    t.match("err3", err, "stderr")
    t.eq(err.count("err11"), 1, "once")
    t.eq(p.streams()[0], f"/v1/users/bob/tasks/{'0' * 32}/stream?"
         "stdout=0&stderr=0&encoding=base64", "from the beginning")


def test_follow_ends(t, sup):
    lost = (b'{"error":{"code":"EIO","message":"lost: nobody knows how the '
            b'task ended"}}\n')
    for what, answer, code, stdout, err in (
            ("none there", by_path(fault("ENOENT", "404 X")), 1, b"",
             r"^xbot-admin: ENOENT: so\n$"),
            ("offline from the start", by_path(fault("EOFFLINE", "503 X")),
             1, b"", r"^xbot-admin: EOFFLINE: so\n$"),
            ("lost by its sandbox", by_path(
                whole(out(b"x", 0), lost), fault("ENOENT", "404 X")), 1,
             b"x", "EIO: lost.*(?s:.*)ENOENT: so\n$"),
            ("its runner is late", by_path(
                broken(out(b"x", 0)), fault("ENOENT", "404 X"),
                whole(out(b"y", 1), end(3)),
                routes=(route("remote", "den"), route("none", ""))), 3,
             b"xy", "trying again\n$"),
            ("a gap", by_path(whole(out(b"x", 0), out(b"y", 10), end())), 0,
             b"xy", "9 bytes of standard output are gone"),
            ("a deadline", by_path(whole(end(-1, timed_out=True))), 124,
             b"", "timed out"),
            ("killed", by_path(whole(end(137))), 137, b"", "^$"),
            ("an unknown end", by_path(whole(end(-1))), 255, b"",
             "not known"),
            ("no offset", by_path(whole(b'{"stdout":"eA=="}\n')), 1, b"",
             "no offsets"),
            ("wrong offsets", by_path(whole(
                b'{"stdout":"eA==","offset":0,"next":5}\n')), 1, b"",
             "offsets that are wrong"),
            ("backwards", by_path(whole(
                b'{"stdout":"eA==","offset":5,"next":0}\n')), 1, b"",
             "no offsets"),
            ("no base64", by_path(whole(
                b'{"stdout":"*","offset":0,"next":1}\n')), 1, b"",
             "base64"),
            ("no JSON", by_path(whole(b"hello\n")), 1, b"",
             "cannot be read"),
            ("refused later", by_path(broken(out(b"x", 0)),
                                      fault("EPERM", "403 X")), 1, b"x",
             "EPERM: so\n$")):
        _, c, o, e = played(sup, answer, *FOLLOW)
        t.eq((c, o), (code, stdout), f"{what}: status {code}")
        t.match(err, e, f"{what}: is told")
    _, c, o, e = played(sup, by_path(broken(
        b'{"stdout":"a","offset":0,"next":1}\n'), whole(
            b'{"stdout":"a","offset":0,"next":1}\n',
            b'{"stdout":"\\u00e9","offset":1,"next":3}\n', end(4))),
        "-j", *FOLLOW)
    t.eq((c, [json.loads(x).get("stdout") for x in o.splitlines()]),
         (4, ["a", "é", None]), "-j: lines as they are, none twice")


def sse(*events):
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + \
        b"".join(b"%x\r\n%s\r\n" % (len(x), x) for x in events)


def test_events_played(t, sup):
    def answer(path, n):
        if n == 1:
            return [sse(b": hello\n\n", b'event: runner\ndata: {"user":"bob"'
                        b',"runner":"den","onl', b'ine":true}\n\n',
                        b'event:x\r\ndata:{"a":\r\ndata:"\\u001b[2J",'
                        b'"b":null,"c":[1],"d":-5}\r\n\r\nevent: y\n\n',
                        b'data: {"half')]
        if n == 2:
            return [fault("EOFFLINE", "503 X")]
        if n == 3:
            return [sse(b'id: 1\nretry: 5\nevent: exec\ndata: {"user":'
                        b'"bob","exit_code":7}\n\n')]
        return [fault("EPERM", "403 X")] if n == 4 else [b""]

    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "
    for words in ((), ("-j",)):
        p = Played(answer)
        q = subprocess.Popen(
            [f"{sup.build}/xbot-admin", "-s", p.path, *words, "events",
             "-u", "bob"], env=ENV, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        got = [q.stdout.readline().decode() for _ in range(3)]
        if words:
            t.eq([json.loads(x) for x in got],
                 [{"event": "runner", "data": {
                     "user": "bob", "runner": "den", "online": True}},
                  {"event": "x", "data": {"a": "\x1b[2J", "b": None,
                                          "c": [1], "d": -5}},
                  {"event": "exec", "data": {"user": "bob",
                                             "exit_code": 7}}], "-j")
        else:
            t.match(f"^{line}runner user=bob runner=den online=yes\n$",
                    got[0], "an event is a line")
            t.match(f"^{line}x a=[!-~]* b=- c=- d=-5\n$", got[1],
                    "without what steers a terminal")
            t.match(f"^{line}exec user=bob exit_code=7\n$", got[2],
                    "and they go on")
        q.kill()
        q.communicate()
        t.eq(p.asked[0], "/v1/users/bob/events", "of one user")
        p.close()
    _, code, stdout, err = played(sup, lambda path, n: [fault(
        "EPERM", "403 X")], "events")
    t.eq((code, stdout, err), (1, b"", "xbot-admin: EPERM: so\n"),
         "a refusal is the end")
    for text in (b"data: hello\n\n", b"data: " + b"x" * 70000 + b"\n\n"):
        _, code, stdout, err = played(sup, lambda path, n, text=text: [
            sse(text)], "events")
        t.eq((code, stdout), (1, b""), "what cannot be read is the end")


# --- a supervisor ---

def admin(t, sup, *words, code=0, **more):
    p = sup.admin(*words, **more)
    if p.returncode != code:
        t.ok(False, f"{' '.join(words)}: status {p.returncode}, not {code}",
             p.stdout + p.stderr)
    return p.stdout.decode(), p.stderr.decode()


def task(t, sup, user, *words, **more):
    out_, _ = admin(t, sup, "task", "start", "-u", user, *words, **more)
    if not re.fullmatch(r"[0-9a-f]{32}\n", out_):
        raise RuntimeError(f"no task: {out_!r}")
    return out_.strip()


def state(t, sup, user, ident):
    return json.loads(admin(t, sup, "-j", "task", "show", "-u", user,
                            ident)[0])


def test_tasks(t, sup):
    a = task(t, sup, "bob", "-e", "A=1", "--", "sh", "-c",
             'echo "$A $1"; echo oops >&2; printf "\\033[2J"; exit 3', "sh",
             "a b")
    t.ok(True, "start: prints the id")
    wait_for("its end", lambda: state(t, sup, "bob", a)["status"] ==
             "failed")
    o, e = admin(t, sup, "task", "show", "-u", "bob", a)
    t.match(rf"^task +{a}\ncommand +.*\nstarted +\S+.*\nstatus +failed\n"
            r"exit code +3\n\nstdout:\n1 a b\n[ -~]*\n\nstderr:\noops\n$",
            o, "show")
    o, e = admin(t, sup, "task", "list", "-u", "bob")
    row = next(x for x in o.splitlines() if a in x)
    t.match(rf"^{a}  failed +\d{{4}}-\S+ .*sh -c", row, "list")
    p = sup.admin("task", "follow", "-u", "bob", a)
    t.eq((p.returncode, p.stdout, p.stderr),
         (3, b"1 a b\n\x1b[2J", b"oops\n"), "follow, when it has ended")
    b = task(t, sup, "bob", "echo $$; sleep 1000; true")
    q = followed(sup, "bob", b)
    pid = int(q.stdout.readline())
    t.eq((state(t, sup, "bob", b)["status"], alive(pid)),
         ("running", True), "follow, while it runs")
    admin(t, sup, "task", "kill", "-u", "bob", b)
    o, e = q.communicate(timeout=DEADLINE)
    t.eq((q.returncode, o, e), (137, b"", b""), "kill: 128 and SIGKILL")
    t.ok(not alive(pid), "its process is gone")
    t.eq(state(t, sup, "bob", b)["status"], "killed", "and it is killed")
    with tempfile.TemporaryFile() as f:
        f.write(b"input")
        f.seek(0)
        c = task(t, sup, "bob", "-i", "cat", stdin=f)
    p = sup.admin("task", "follow", "-u", "bob", c)
    t.eq((p.returncode, p.stdout), (0, b"input"), "start -i")
    for words in (("show", "0" * 32), ("kill", "0" * 32),
                  ("follow", "0" * 32), ("show", "../../x"), ("show", ""),
                  ("kill", a[:-1])):
        o, e = admin(t, sup, "task", words[0], "-u", "bob", words[1], code=1)
        t.match("^xbot-admin: E[A-Z]+: ", e, f"{words}: none there")
    o, e = admin(t, sup, "task", "start", "-u", "bob", "no-such", "x",
                 code=1)
    t.match("^xbot-admin: ENOENT: ", e, "no such program")


NUMBERS = ('i=0; while [ $i -lt 40 ]; do seq $((i*5000)) $((i*5000+4999)); '
           'i=$((i+1)); sleep 0.1; done; exit 9')
NUMBERED = hashlib.sha256(b"".join(b"%d\n" % n for n in range(
    200000))).hexdigest()


def followed(sup, user, ident):
    return subprocess.Popen(
        [f"{sup.build}/xbot-admin", "-s", sup.socket, "task", "follow", "-u",
         user, ident], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=ENV)


def test_follow_restarts(t, sup):
    ident = task(t, sup, "bob", NUMBERS)
    p = followed(sup, "bob", ident)
    digest = hashlib.sha256()
    for part in range(4):
        digest.update(os.read(p.stdout.fileno(), 65536))
        pid = sup.roles()["control"]
        os.kill(pid, signal.SIGKILL)
        wait_for("another", lambda: sup.roles().get("control", pid) != pid)
    o, e = p.communicate(timeout=2 * DEADLINE)
    digest.update(o)
    t.eq(p.returncode, 9, "four times kill -9 of control: the task's status")
    t.eq(digest.hexdigest(), NUMBERED, "and output, nothing twice")
    t.note(e.decode())


def test_follow_runner(t, sup):
    r = sup.runner("erin", "den")
    ident = task(t, sup, "erin", NUMBERS)
    p = followed(sup, "erin", ident)
    digest = hashlib.sha256()
    for role in ("remote", "control"):
        digest.update(os.read(p.stdout.fileno(), 65536))
        pid = sup.roles()[role]
        os.kill(pid, signal.SIGKILL)
        wait_for("another", lambda: sup.roles().get(role, pid) != pid)
    o, e = p.communicate(timeout=3 * DEADLINE)
    digest.update(o)
    t.eq(p.returncode, 9, "kill -9 of remote and control: its status")
    t.eq(digest.hexdigest(), NUMBERED, "and output, nothing twice")
    t.note(e.decode())
    r.stop()


def test_follow_daemon(t, sup):
    """The whole supervisor: its runner comes back later than it does."""
    r = sup.runner("gina", "den")
    ident = task(t, sup, "gina", NUMBERS)
    p = followed(sup, "gina", ident)
    digest = hashlib.sha256(os.read(p.stdout.fileno(), 65536))
    admin(t, sup, "stop")
    t.eq(sup.process.wait(DEADLINE), 0, "it stops")
    sup.start()
    o, e = p.communicate(timeout=3 * DEADLINE)
    digest.update(o)
    t.eq(p.returncode, 9, "and is started again: the task's status")
    t.eq(digest.hexdigest(), NUMBERED, "and output, nothing twice")
    t.note(e.decode())
    r.stop()


def test_follow_lost(t, sup):
    ident = task(t, sup, "bob", "echo $$; sleep 1000; true")
    p = followed(sup, "bob", ident)
    pid = int(p.stdout.readline())
    none = sup.roles()["none"]
    os.kill(none, signal.SIGKILL)
    o, e = p.communicate(timeout=DEADLINE)
    t.eq(p.returncode, 1, "its sandbox is gone: status 1")
    t.match(b"ENOENT", e, "and it is told")
    wait_for("its end", lambda: not alive(pid))
    wait_for("commands run again", lambda: sup.admin(
        "exec", "-u", "bob", "true").returncode == 0)


def test_events(t, sup):
    p = subprocess.Popen(
        [f"{sup.build}/xbot-admin", "-s", sup.socket, "-j", "events"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=ENV)
    lines = []

    def read():
        for line in p.stdout:
            lines.append(json.loads(line))

    threading.Thread(target=read, daemon=True).start()

    def seen(kind, **data):
        return any(x["event"] == kind and all(
            x["data"].get(k) == v for k, v in data.items()) for x in lines)

    # The first may come before we listen.
    def ran():
        admin(t, sup, "exec", "-u", "bob", "exit 7", code=7)
        time.sleep(0.05)
        return seen("exec", user="bob", exit_code=7)

    wait_for("an exec event", ran)
    t.ok(True, "exec")
    r = sup.runner("fred", "den")
    wait_for("a runner event", lambda: seen("runner", user="fred",
                                            runner="den", online=True))
    r.stop()
    wait_for("a runner event", lambda: seen("runner", user="fred",
                                            runner="den", online=False))
    t.ok(True, "runner")
    p.send_signal(signal.SIGINT)
    p.wait(DEADLINE)
    t.eq(p.returncode, -signal.SIGINT, "until it is interrupted")
    p.stderr.close()
