#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What happens when something of ours dies, is reloaded or is stopped.

usage: run.py BUILDDIR [test ...]

Every request in flight gets a true answer or an honest error; afterwards all
is as it was before.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE,
                                                           "../conform")]

from execs import bad, good
from xbot import (ROLES, ROOT, Client, Supervisor, Tap, alive, children,
                  free_port, marked, ours_below, sanitized, tests_of, verdict,
                  wait_for)

HONEST = {"EOFFLINE", "EIO", "ETIMEDOUT"}


class Traffic:
    """Short commands of one user, one after the other, until told to end."""

    def __init__(self, sup, user):
        self.sup, self.user = sup, user
        self.right, self.errors, self.wrong = 0, {}, []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def one(self, client, n):
        try:
            a = client.exec(self.user, f"echo {n}")
        except (OSError, http.client.HTTPException):
            return "closed"
        if a.status == 200:
            got = a.json
            if got["stdout"] == f"{n}\n" and got["exit_code"] == 0:
                self.right += 1
                return ""
            self.wrong.append(repr(a))
            return "wrong"
        if a.code not in HONEST:
            self.wrong.append(repr(a))
        return a.code

    def run(self):
        n = 0
        client = Client(self.sup.port, self.sup.token)
        while not self.end.is_set():
            n += 1
            text = self.one(client, n)
            if text:
                self.errors[text] = self.errors.get(text, 0) + 1
                client.close()
                # nobody hammers a server that is not there
                self.end.wait(0.02)
        client.close()

    def stop(self):
        self.end.set()
        self.thread.join()


class Flight(threading.Thread):
    """One long command; its answer, or None when its connection ended."""

    def __init__(self, sup, user, streamed=False):
        super().__init__()
        self.sup, self.user, self.streamed = sup, user, streamed
        self.mark = f"XBOT_MARK={uuid.uuid4()}"
        self.answer = None
        self.start()
        wait_for("the command", lambda: marked(self.mark))

    def run(self):
        headers = {"Accept": "application/x-ndjson"} if self.streamed else {}
        with Client(self.sup.port, self.sup.token, timeout=300) as c:
            try:
                self.answer = c.exec(self.user, "echo begun; sleep 3; "
                                     "echo done", headers=headers,
                                     env=[self.mark])
            except (OSError, http.client.HTTPException):
                self.answer = None

    def true(self):
        """Was it answered as if nothing had happened?"""
        a = self.answer
        if a is None or a.status != 200 or not a.lines:
            return False
        return a.lines[-1].get("exit_code") == 0

    def check(self, t, may_close):
        self.join()
        a = self.answer
        text = f"in flight{' (streamed)' if self.streamed else ''}: "
        if a is None:
            t.ok(may_close, text + "its connection ended", "closed")
        elif a.status != 200:
            t.ok(a.code in HONEST, text + f"honest error {a.code}", a)
        elif self.streamed:
            last = a.lines[-1] if a.lines else {}
            code = last.get("error", {}).get("code")
            t.ok(code in HONEST or last.get("exit_code") == 0,
                 text + f"a true last line ({code or 'exit 0'})", a)
        else:
            got = a.json
            t.ok(got["exit_code"] == 0 and got["stdout"] == "begun\ndone\n",
                 text + "a true answer", a)


def table(sup):
    """What the ledger knows, less what changes by itself."""
    runners = sup.client.call("GET", "/v1/users/alice/runners").json
    tokens = json.loads(sup.admin("-j", "token", "list").stdout)
    return runners, tokens


def settled(t, sup, before, runner):
    sup.wait_ready()
    t.ok(True, "readyz recovers")
    t.eq(sorted(sup.roles()), sorted(ROLES), "every process runs")
    runner.wait_online()
    t.ok(True, "the runner is connected")
    sup.client.close()
    t.eq(table(sup), before, "tokens and runners are as before")
    good(t, sup.client.exec("bob", "echo host"), "bob's next command",
         stdout="host\n", backend="none")
    good(t, sup.client.exec("alice", "echo runner"), "alice's next command",
         stdout="runner\n", backend="remote")
    with Client(sup.port, sup.token[:-1]) as c:
        bad(t, c.exec("bob", "id"), "EAUTH", "a wrong token")


def test_kill_each(t, sup):
    runner = sup.runner("alice")
    sup.admin("-j", "token", "create", "-u", "carol")
    sup.client.exec("bob", "true")
    before = table(sup)
    for role in ROLES:
        t.where = f"kill {role}: "
        old = sup.roles()[role]
        flights = [Flight(sup, "bob"), Flight(sup, "bob", True),
                   Flight(sup, "alice")]
        traffic = [Traffic(sup, "bob"), Traffic(sup, "alice")]
        mark = sup.log.mark()
        os.kill(old, signal.SIGKILL)
        wait_for("another one", lambda: sup.roles().get(role, old) != old)
        t.ok(True, "is restarted")
        for flight in flights:
            flight.check(t, role == "front")
            hit = {"front": ("bob", "alice"), "none": ("bob",),
                   "remote": ("alice",)}.get(role, ())
            t.ok(flight.user in hit or flight.true(),
                 f"{flight.user}'s command did not notice",
                 f"{flight.answer}\n" + "\n".join(sup.log.since(mark)))
        settled(t, sup, before, runner)
        for stream in traffic:
            stream.stop()
            t.ok(not stream.wrong, f"{stream.user}: {stream.right} right "
                 f"answers, errors {stream.errors}, none wrong",
                 stream.wrong[:3])
            if role != "front":
                t.ok("closed" not in stream.errors,
                     f"{stream.user}: every request was answered")


def test_kill_again(t, sup):
    """Back-off grows and nothing is lost."""
    sup.client.exec("bob", "true")
    for n in range(3):
        old = sup.roles()["none"]
        os.kill(old, signal.SIGKILL)
        wait_for("another one", lambda: sup.roles().get("none", old) != old)
        sup.wait_ready()
        good(t, sup.client.exec("bob", f"echo {n}"), f"after kill {n}",
             stdout=f"{n}\n")


def test_parent_busy(t, sup):
    """A worker that died is told before the parent has noticed."""
    os.kill(sup.pid, signal.SIGSTOP)
    try:
        os.kill(sup.roles()["none"], signal.SIGKILL)
        wait_for("not ready", lambda: not sup.ready())
        with Client(sup.port) as c:
            workers = c.call("GET", "/readyz").json["workers"]
        t.eq([n for n, w in workers.items() if w != "up"], ["none"],
             "readyz names the one that is down")
        status = json.loads(sup.admin("-j", "status").stdout)
        t.eq([w["name"] for w in status["workers"] if not w["up"]],
             ["none"], "and so does xbot-admin status")
    finally:
        os.kill(sup.pid, signal.SIGCONT)
    sup.wait_ready()
    good(t, sup.client.exec("bob", "echo 1"), "and after it", stdout="1\n")


def test_kill_all_at_once(t, sup):
    runner = sup.runner("alice")
    before = table(sup)
    for pid in sup.roles().values():
        os.kill(pid, signal.SIGKILL)
    wait_for("all of them", lambda: sorted(sup.roles()) == sorted(ROLES))
    settled(t, sup, before, runner)


def test_kill_executor(t, sup):
    sup.client.exec("bob", "true")
    flight = Flight(sup, "bob")
    for pid in sup.executors():
        os.kill(pid, signal.SIGKILL)
    flight.join()
    a = flight.answer
    t.ok(a is not None and a.code in HONEST, "in flight: an honest error", a)
    wait_for("its end", lambda: not marked(flight.mark))
    t.ok(True, "and its command is gone")
    good(t, sup.client.exec("bob", "echo next"), "the next command",
         stdout="next\n")


def test_kill_runner(t, sup):
    runner = sup.runner("alice")
    flight = Flight(sup, "alice")
    below = ours_below(runner.pid)
    os.kill(runner.pid, signal.SIGKILL)
    runner.process.wait()
    wait_for("its executor's end",
             lambda: not any(alive(p) for p in below))
    t.ok(True, "its executor ends")
    runner.wait_online(False)
    a = sup.client.call("GET", "/v1/users/alice/route")
    t.eq(a.json.get("backend"), "none", "is no route any more")
    runner.start()
    runner.wait_online()
    good(t, sup.client.exec("alice", "echo back"), "and is again",
         stdout="back\n", backend="remote")
    # The line might only have been cut; the new one does not know the job.
    flight.join()
    t.ok(flight.answer is not None and flight.answer.code in HONEST,
         "in flight: an honest error", flight.answer)


def test_duplicate_runner(t, sup):
    """The same name connects twice: the newer one counts."""
    first = sup.runner("alice")
    second = sup.runner("alice", token=first.token, wait=False)
    wait_for("the newer", lambda: sup.client.exec(
        "alice", "pwd").json.get("stdout") == second.workspace + "\n")
    t.ok(True, "answers")
    runners = sup.client.call("GET", "/v1/users/alice/runners").json
    t.eq(len(runners["runners"]), 1, "one runner is listed")
    first.stop()
    second.stop()
    sup.runners.clear()


def test_reload(t, sup):
    pids = sup.roles()
    mark = sup.log.mark()
    sup.configure("limit json 64K")
    sup.process.send_signal(signal.SIGHUP)
    sup.log.wait(r"(?i)reload|configuration", mark)
    wait_for("the new limit", lambda: sup.connect().exec(
        "bob", "true", stdin="x" * 100000).code == "E2BIG")
    t.ok(True, "SIGHUP: a new limit holds")
    t.eq(sup.roles(), pids, "and no process was restarted")
    for text, name in (("no such keyword", "a bad word"),
                       ("limit json 5X", "a bad value")):
        mark = sup.log.mark()
        sup.configure(text)
        sup.process.send_signal(signal.SIGHUP)
        line = sup.log.wait(r"xbot\.conf:\d+", mark)
        t.ok(True, f"{name} is reported: {line.split('Z ')[-1]}")
        t.ok(sup.connect().exec("bob", "true", stdin="x" * 100000).code ==
             "E2BIG", "and changes nothing")
    sup.configure("")
    got = sup.admin("reload")
    t.eq(got.returncode, 0, "xbot-admin reload")
    wait_for("the old limit", lambda: sup.connect().exec(
        "bob", "true", stdin="x" * 100000).status == 200)
    t.ok(True, "the old limit holds again")
    sup.configure("no such keyword")
    got = sup.admin("reload")
    t.ok(got.returncode != 0 and got.stderr, "xbot-admin tells of a fault",
         got)
    sup.configure("")


def test_reload_workers(t, sup):
    """A process that has no work any more is not waited for."""
    def workers():
        a = sup.client.call("GET", "/readyz")
        return a.status, "remote" in a.json["workers"]
    modes = sup.modes
    sup.modes = "sandbox mode none\nsandbox host yes\n"
    sup.configure()
    t.eq(sup.admin("reload").returncode, 0, "no runners any more")
    wait_for("readiness without them", lambda: workers() == (200, False))
    t.ok(True, "it is ready")
    wait_for("its end", lambda: "remote" not in sup.roles())
    t.eq(workers(), (200, False), "when it has ended, too")
    t.ok("remote" not in sup.admin("status").stdout.decode(),
         "status has none")
    sup.modes = modes
    sup.configure()
    t.eq(sup.admin("reload").returncode, 0, "runners again")
    wait_for("readiness with them", lambda: workers() == (200, True))
    t.ok("remote" in sup.roles(), "it is up")


def test_reload_address(t, sup):
    """The same port on more addresses, or fewer, while the old one is open."""
    port = free_port()

    def reload(host, name):
        sup.configure(f"listen on {host} port {port}" if host else "")
        got = sup.admin("reload")
        t.eq((got.returncode, got.stderr), (0, b""), name)

    def answers(address):
        try:
            with socket.create_connection((address, port), 5) as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                return s.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    for host, name, other in (("127.0.0.1", "loopback", False),
                              ("0.0.0.0", "every address instead", True),
                              ("127.0.0.1", "loopback again", False)):
        reload(host, name)
        wait_for(name, lambda: answers("127.0.0.2") == other and
                 answers("127.0.0.1"))
        t.ok(True, f"{name}: it is served, and nothing else")
    reload("", "neither")
    t.ok(not answers("127.0.0.1"), "and nobody listens")


def test_reload_header(t, sup):
    """For connections that are open as well, in both directions."""
    client = sup.connect()

    def status(size):
        return client.call("GET", "/v1/users/bob/route", headers={
            "X-Long": "x" * size}).status
    t.eq(status(8000), 200, "8 KB fit into the default")
    for limit, small, large in (("60K", 55000, 62000), ("4K", 3000, 8000),
                                ("16K", 8000, 20000)):
        sup.configure(f"limit header {limit}")
        t.eq(sup.admin("reload").returncode, 0, f"limit header {limit}")
        wait_for("a header under it", lambda: status(small) == 200)
        t.eq(status(large), 431, "one over it is refused")
        t.eq(status(small), 200, "and one under it is not")
    sup.configure("")
    t.eq(sup.admin("reload").returncode, 0, "without it")


def test_reload_audit(t, sup):
    """A trail that cannot be written is a fault like the others."""
    first = os.path.join(sup.dir, "first.jsonl")
    sup.configure(f'audit log "{first}"')
    t.eq(sup.admin("reload").returncode, 0, "an audit log")
    sup.configure(f'limit json 64K\naudit log "{sup.conf}/trail"')
    got = sup.admin("reload")
    t.ok(got.returncode == 1 and b"audit log" in got.stderr,
         "one that cannot be opened is refused", got)
    t.eq(sup.connect().exec("bob", "true", stdin="x" * 100000).status, 200,
         "nothing has changed")
    def trail():
        with open(first, encoding="utf-8") as f:
            return '"what":"exec"' in f.read()
    wait_for("a line of the trail", trail)
    t.ok(True, "the old one is written on")
    sup.configure("")
    t.eq(sup.admin("reload").returncode, 0, "without it")


def test_stop_in_flight(t, sup):
    flights = [Flight(sup, "bob"), Flight(sup, "bob", True)]
    sup.process.send_signal(signal.SIGTERM)
    t.eq(sup.process.wait(60), 0, "ends with 0")
    for flight in flights:
        flight.check(t, True)
    wait_for("the commands' end", lambda: not any(
        marked(f.mark) for f in flights))
    t.ok(True, "and nothing of theirs is left")
    t.ok(not os.path.exists(sup.socket), "nor the control socket")
    sup.process = None
    sup.start()
    good(t, sup.client.exec("bob", "echo again"), "starts again",
         stdout="again\n")
    got = sup.admin("stop")
    t.eq(got.returncode, 0, "xbot-admin stop")
    t.eq(sup.process.wait(60), 0, "ends with 0")
    sup.process = None
    sup.start()


def test_kill_supervisor(t, sup):
    runner = sup.runner("alice")
    before = table(sup)
    token = sup.token
    flight = Flight(sup, "bob")
    below = ours_below(sup.pid)
    os.kill(sup.pid, signal.SIGKILL)
    sup.process.wait()
    flight.check(t, True)
    wait_for("the children's end", lambda: not any(alive(p) for p in below))
    t.ok(True, "its processes end with it")
    wait_for("the command's end", lambda: not marked(flight.mark))
    t.ok(True, "and so does the command")
    sup.process = None
    sup.start()
    t.eq(sup.token, token, "started again: the same token")
    runner.wait_online()
    t.ok(True, "the runner comes back by itself")
    t.eq(table(sup), before, "tokens and runners are as before")
    good(t, sup.client.exec("alice", "echo a"), "and works", stdout="a\n",
         backend="remote")


def test_two_of_them(t, sup):
    got = subprocess.run(
        [f"{sup.build}/xbot-supervisor", "-d", "-f", sup.conf],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=60, cwd="/", env={"PATH": "/bin"},
        check=False)
    t.ok(got.returncode == 1 and got.stderr, "a second one refuses", got)
    good(t, sup.client.exec("bob", "echo fine"), "the first is unharmed",
         stdout="fine\n")
    got = sup.admin("status")
    t.eq(got.returncode, 0, "and its control socket still answers")


def test_privileges(t, sup):
    """tests/priv/live.py looks at the running processes."""
    runner = sup.runner("alice")
    for user in ("bob", "carol", "alice"):
        sup.client.exec(user, "true")
    if sanitized(sup.build):
        t.skip("a sanitizer build has no sandbox")
        return
    got = subprocess.run(
        [sys.executable, os.path.join(HERE, "../priv/live.py"), "--probe",
         os.path.join(sup.build, "tests/priv_probe"), "--state", sup.state,
         "--stderr", str(sup.pid)], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    lines = got.stdout.splitlines()
    t.note("\n".join(x for x in lines if x.startswith("not ok")))
    t.ok(got.returncode == 0, f"live.py: {lines[-1] if lines else ''}",
         "")
    if ROOT:
        out = subprocess.run(["ps", "-o", "user:20=,args=", "-p", ",".join(
            map(str, children(sup.pid)))], stdout=subprocess.PIPE,
            text=True, check=True).stdout
        users = [line.split()[0] for line in out.splitlines()]
        t.eq(len(set(users)), len(users), "ps: everybody has a user alone")
        t.note(out)
    runner.stop()


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    for test in tests_of(sys.modules[__name__]):
        if wanted and not any(w in test.__name__ for w in wanted):
            continue
        with Supervisor(build) as sup:
            t.run(test, sup)
            verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
