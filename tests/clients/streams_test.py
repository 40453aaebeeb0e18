#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The streams of the HTTP API under load and under fire, with clients that
are not ours: http.client, curl, python3-websockets, npm's ws.

usage: streams_test.py BUILDDIR [test ...]

XBOT_LINES (2000000) numbered lines come from the task whose front is killed
XBOT_KILLS (4) times, XBOT_MB (50) megabytes go through cat.
"""
import asyncio
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))

import websockets

from ws import Refused, WebSocket
from xbot import (DEADLINE, Client, Skip, Supervisor, Tap, quote,
                  sanitized, tests_of, verdict, wait_for)

LINES = int(os.environ.get("XBOT_LINES", "2000000"))
KILLS = int(os.environ.get("XBOT_KILLS", "4"))
SIZE = int(os.environ.get("XBOT_MB", "50")) << 20
USER = "bob"
TASKS = f"/v1/users/{USER}/tasks"


def task(sup, command, **more):
    with Client(sup.port, sup.token) as c:
        a = c.call("POST", TASKS, {"command": command, **more})
    if a.status != 201:
        raise RuntimeError(f"task: {a}")
    return a.json["task_id"]


def shown(sup, ident):
    with Client(sup.port, sup.token) as c:
        return c.call("GET", f"{TASKS}/{ident}").json


def expected(lines):
    return hashlib.sha256("".join(f"{i}\n" for i in range(1, lines + 1))
                          .encode()).hexdigest()


class Reader:
    """A client that comes back after every interruption."""

    def __init__(self, sup, ident):
        self.sup, self.ident = sup, ident
        self.next = {"stdout": 0, "stderr": 0}
        self.sum, self.bytes, self.opened = hashlib.sha256(), 0, 0
        self.last, self.receive = None, 16384

    def take(self, line):
        for name in self.next:
            if name in line:
                if line["offset"] != self.next[name]:
                    raise RuntimeError(f"{line['offset']} after "
                                       f"{self.next[name]}")
                self.next[name] = line["next"]
                if name == "stdout":
                    data = line[name].encode()
                    self.sum.update(data)
                    self.bytes += len(data)
                return
        # EOFFLINE: nothing is lost, it can be asked again
        if line.get("error", {}).get("code") != "EOFFLINE":
            self.last = line

    def once(self, pause=None):
        """Until the end or an interruption"""
        query = "&".join(f"{k}={v}" for k, v in self.next.items())
        self.opened += 1
        with Client(self.sup.port, self.sup.token) as c, socket.socket() as s:
            # little of it is under way when we are interrupted
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive)
            s.settimeout(DEADLINE)
            try:
                s.connect(("127.0.0.1", self.sup.port))
                c.conn.sock = s
                r = c.open("GET", f"{TASKS}/{self.ident}/stream?{query}")
                if r.status == 503:
                    raise OSError("not yet there again")
                if r.status != 200:
                    raise RuntimeError(f"{r.status} {r.read()!r}")
                while self.last is None:
                    line = r.readline()
                    if not line.endswith(b"\n"):
                        return
                    self.take(json.loads(line))
                    if pause:
                        pause(self)
            except (http.client.HTTPException, OSError):
                time.sleep(0.02)

    def run(self, pause=None):
        end = time.monotonic() + DEADLINE
        while self.last is None:
            if time.monotonic() > end:
                raise TimeoutError(f"at {self.next}")
            self.once(pause)


def test_resume(t, sup):
    """Front is killed again and again while a client reads."""
    ident = task(sup, f"sleep 3; seq 1 {LINES}; echo end >&2; exit 5")
    reader, killed = Reader(sup, ident), 0
    total = sum(len(f"{i}\n") for i in (1, LINES)) * LINES // 2
    step = total // (KILLS + 4)

    def kill(r):
        nonlocal killed
        if killed < KILLS and r.bytes > step * (killed + 1):
            killed += 1
            sup.restart("front")
    reader.run(kill)
    t.note(f"front was killed {killed} times, the stream opened "
           f"{reader.opened} times")
    t.ok(killed == KILLS and reader.opened > KILLS // 2, "front was killed",
         (killed, reader.opened))
    t.eq(reader.sum.hexdigest(), expected(LINES),
         "every line once, in order")
    t.eq((reader.last.get("exit_code"), reader.last.get("status"),
          reader.last.get("truncated"), reader.next["stderr"]),
         (5, "failed", False, 4), "the real exit code")


def test_cut(t, sup):
    """The client breaks off and comes back, with what it had not read lost;
    now and then two of it overlap."""
    ident = task(sup, f"sleep 3; seq 1 {LINES}; exit 5")
    reader = Reader(sup, ident)
    reader.receive = 128 << 10
    step, total = 0, sum(len(f"{i}\n") for i in (1, LINES)) * LINES // 2

    def cut(r):
        nonlocal step
        if step < 40 and r.bytes > (step + 1) * (total // 50):
            step += 1
            raise OSError("cut")
    reader.run(cut)
    t.note(f"the stream was opened {reader.opened} times")
    t.eq((reader.opened > 30, reader.sum.hexdigest(),
          reader.last.get("exit_code"), reader.last.get("truncated")),
         (True, expected(LINES), 5, False), "every line once, in order")


def test_two_readers(t, sup):
    """At once, one of them slow: both get all of it."""
    n = LINES // 10
    ident = task(sup, f"sleep 0.3; seq 1 {n}")
    fast, slow = Reader(sup, ident), Reader(sup, ident)

    def dawdle(r):
        if r.bytes < 200000:
            time.sleep(0.05)
    threads = [threading.Thread(target=fast.run),
               threading.Thread(target=slow.run, args=(dawdle,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    t.eq([r.sum.hexdigest() for r in (fast, slow)], [expected(n)] * 2,
         "the same lines")


def test_none_dies(t, sup):
    """What cannot survive by design is said to be lost."""
    ident = task(sup, "echo first; sleep 1000")
    reader = Reader(sup, ident)
    thread = threading.Thread(target=reader.run)
    thread.start()
    wait_for("its output", lambda: reader.bytes)
    pid = sup.roles()["none"]
    os.kill(pid, signal.SIGKILL)
    thread.join()
    error = reader.last.get("error", {})
    t.ok(error.get("code") == "EIO" and "lost" in error.get("message", ""),
         "an open stream says so", reader.last)
    sup.wait_ready()
    with Client(sup.port, sup.token) as c:
        a = wait_for("none", lambda: (lambda a: a if a.status != 503 else
                     None)(c.call("GET", f"{TASKS}/{ident}")))
        t.eq((a.status, a.code), (404, "ENOENT"), "and then it is unknown")


def test_curl(t, sup):
    ident = task(sup, "for i in 1 2 3; do echo line $i; sleep 0.1; done")
    base = ["curl", "-sS", "-N", "-H", f"Authorization: Bearer {sup.token}"]
    url = f"http://127.0.0.1:{sup.port}"
    got = subprocess.run([*base, f"{url}{TASKS}/{ident}/stream"],
                         stdout=subprocess.PIPE, timeout=DEADLINE,
                         check=False)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    t.eq("".join(x.get("stdout", "") for x in lines),
         "line 1\nline 2\nline 3\n", "curl -N reads the stream")
    curl = subprocess.Popen([*base, f"{url}/v1/users/{USER}/events"],
                            stdout=subprocess.PIPE)
    try:
        t.eq(curl.stdout.readline(), b":\n", "curl -N listens to events")
        sup.client.exec(USER, "exit 3", headers={"X-Request-Id": "from-us"})
        while True:
            line = curl.stdout.readline()
            if line == b"event: exec\n":
                break
        data = json.loads(curl.stdout.readline().removeprefix(b"data: "))
        t.eq((data["user"], data["request_id"], data["exit_code"]),
             (USER, "from-us", 3), "a command's end is one")
    finally:
        curl.kill()
        curl.wait()


def test_events_admin(t, sup):
    """Who listens at the control socket hears of front's commands, also
    after a ledger that was killed, and the other way round."""
    got = []

    def listen(*where):
        curl = subprocess.Popen(
            ["curl", "-sS", "-N", *where], stdout=subprocess.PIPE)

        def read():
            for line in curl.stdout:
                if line.startswith(b"data: ") and b"request_id" in line:
                    got.append(json.loads(line[6:])["request_id"])
        threading.Thread(target=read, daemon=True).start()
        return curl
    curls = [listen("--unix-socket", sup.socket, "http://x/v1/events")]
    number = 0

    def heard():
        nonlocal number
        number += 1
        with Client(sup.port, sup.token) as c:
            c.exec(USER, "true", headers={"X-Request-Id": f"n{number}"})
        return any(x.startswith("n") for x in got)
    try:
        wait_for("an event", heard)
        t.ok(True, "the administrator hears of it")
        sup.restart("ledger")
        got.clear()
        wait_for("an event", heard)
        t.ok(True, "with a new ledger as well")
        curls.append(listen("-H", f"Authorization: Bearer {sup.token}",
                            f"http://127.0.0.1:{sup.port}/v1/events"))

        def other():
            sup.admin("exec", "-u", USER, "--", "true")
            return any(not x.startswith("n") for x in got)
        got.clear()
        wait_for("an event", other)
        t.ok(True, "and a client of the administrator's")
    finally:
        for curl in curls:
            curl.kill()
            curl.wait()


def test_events_runner(t, sup):
    seen, status = [], []

    def listen():
        with Client(sup.port, sup.token) as c:
            r = c.open("GET", "/v1/events")
            status.append(r.status)
            while len(seen) < 2:
                line = r.readline()
                if line == b"event: runner\n":
                    seen.append(json.loads(
                        r.readline().removeprefix(b"data: ")))
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    wait_for("the listener", lambda: status)
    r = sup.runner("carol")
    r.stop()
    sup.runners.remove(r)
    thread.join(DEADLINE)
    t.eq(seen, [{"user": "carol", "runner": "laptop", "online": True},
                {"user": "carol", "runner": "laptop", "online": False}],
         "a runner comes and goes")


def test_limits(t, sup):
    idents = [task(sup, "sleep 1000") for _ in range(32)]
    a = sup.client.call("POST", TASKS, {"command": "true"})
    t.eq((a.status, a.code), (429, "EBUSY"), "the 33rd task is refused")
    t.ok(a.headers.get("Retry-After"), "with Retry-After")
    for ident in idents:
        sup.client.call("DELETE", f"{TASKS}/{ident}")
    ident = task(sup, "true")
    wait_for("its end", lambda: shown(sup, ident)["status"] == "completed")
    t.ok(True, "when they are gone another starts")
    path = f"/v1/users/{USER}/stdio?command=cat"
    open_ = [WebSocket(sup.port, path, sup.token) for _ in range(8)]
    try:
        WebSocket(sup.port, path, sup.token)
        got = 101
    except Refused as e:
        got = e.status
    t.eq(got, 429, "the ninth stream is refused")
    for s in open_:
        s.close()

    def again():
        try:
            WebSocket(sup.port, path, sup.token).close()
            return True
        except Refused:
            return False
    wait_for("room", again)
    t.ok(True, "when they are gone another starts")


async def through(sup, size, reader_ms=0):
    """size bytes to cat and back -> both sums"""
    uri = f"ws://127.0.0.1:{sup.port}/v1/users/{USER}/stdio?command=cat"
    sent, got = hashlib.sha256(), hashlib.sha256()
    block = os.urandom(1 << 16)
    async with websockets.connect(
            uri, extra_headers={"Authorization": f"Bearer {sup.token}"},
            max_size=None, max_queue=4, ping_interval=None) as ws:
        async def send():
            for n in range(size >> 16):
                piece = n.to_bytes(8, "big") + block[8:]
                sent.update(piece)
                await ws.send(piece)
            await ws.send(json.dumps({"type": "eof"}))
        task_ = asyncio.create_task(send())
        n, last = 0, None
        async for m in ws:
            if isinstance(m, bytes):
                got.update(m)
                n += len(m)
                if reader_ms and n < 4 << 20:
                    await asyncio.sleep(reader_ms / 1000)
            else:
                last = json.loads(m)
        await task_
        return (n, sent.hexdigest() == got.hexdigest(), last, ws.close_code)


def test_stdio_bulk(t, sup):
    before = sup.memory()
    began = time.monotonic()
    got = asyncio.run(through(sup, SIZE))
    took = time.monotonic() - began
    t.eq(got, (SIZE, True, {"type": "exit", "exit_code": 0}, 1000),
         f"{SIZE >> 20} MB through cat and back, the same bytes")
    grown = {k: v - before[k] for k, v in sup.memory().items()
             if k in before}
    t.note(f"{2 * (SIZE >> 20) / took:.0f} MB/s, both ways together; "
           f"kB more: {grown}")
    if not sanitized(sup.build):
        t.ok(max(grown.values()) < 32 << 10, "within 32 MiB each", grown)


def test_stdio_slow(t, sup):
    """Its reader dawdles: back-pressure, and nothing is lost."""
    size = 8 << 20
    got = asyncio.run(through(sup, size, 20))
    t.eq(got, (size, True, {"type": "exit", "exit_code": 0}, 1000),
         "all of it, and the end")


def test_stdio_late(t, sup):
    """The process has long ended when its client begins to read."""
    with WebSocket(sup.port, f"/v1/users/{USER}/stdio?command=sh&arg=-c&arg=" +
                   quote("head -c 3000000 /dev/zero; echo -n x >&2; exit 3"),
                   sup.token) as s:
        time.sleep(8)
        last, code = s.end()
        t.eq((len(s.got), last, code),
             (3000000, {"type": "exit", "exit_code": 3}, 1000),
             "and gets all of it")


def test_pty_bulk(t, sup):
    sup.client.exec(USER, "seq 1 1500000 >numbers")
    with WebSocket(sup.port, f"/v1/users/{USER}/pty?command=/bin/sh",
                   sup.token) as s:
        s.send(b"PS1=; stty -opost -echo; echo re''ady\n")
        s.expect(b"ready\n")
        s.send(b"cat numbers; exit\n")
        last, code = s.end()
        want = "".join(f"{i}\n" for i in range(1, 1500001)).encode()
        t.eq((len(s.got), hashlib.sha256(s.got).hexdigest(), code),
             (len(want), hashlib.sha256(want).hexdigest(), 1000),
             "10 MB of cat through a terminal")
        t.eq(last, {"type": "exit", "exit_code": 0}, "and its end")


def test_pty_flood(t, sup):
    """Ctrl-C gets through while the output is not read."""
    with WebSocket(sup.port, f"/v1/users/{USER}/pty?command=/bin/sh",
                   sup.token) as s:
        s.send(b"PS1=; echo go; yes; echo stop''ped $?\n")
        s.expect(b"go\r\n")
        time.sleep(1)
        s.send(b"\x03")
        s.send(b"echo stop''ped; exit 0\n")
        last, _ = s.end()
        t.ok(b"\nstopped" in s.got, "yes is stopped", s.got[-100:])
        t.eq(last["exit_code"], 0, "and the shell lives on")


def test_front_dies(t, sup):
    """With front its streams end; what ran in them does not stay."""
    with WebSocket(sup.port, f"/v1/users/{USER}/pty?command=/bin/sh",
                   sup.token) as s:
        s.send(b"PS1=; echo pid=$$.; sleep 994\n")
        s.until(lambda s: b".\r\n" in s.got.split(b"pid=")[-1] and
                s.got.split(b"pid=")[-1][:1].isdigit())
        os.kill(sup.roles()["front"], signal.SIGKILL)
        _, code = s.end()
        t.eq(code, 1006, "the connection breaks")
    sup.wait_ready()
    with Client(sup.port, sup.token) as c:
        def gone():
            a = c.exec(USER, "pgrep -u $(id -u) -f 'sleep 994$' | wc -l")
            return a.status == 200 and a.json["stdout"].strip() == "0"
        wait_for("its processes", gone)
        t.ok(True, "its processes are hung up")


def test_none_dies_under_streams(t, sup):
    with WebSocket(sup.port, f"/v1/users/{USER}/stdio?command=cat",
                   sup.token) as s:
        s.send(b"x")
        s.until(lambda s: s.got)
        pid = sup.roles()["none"]
        os.kill(pid, signal.SIGKILL)
        last, code = s.end()
        t.eq((last["type"], last["error"]["code"], code),
             ("error", "EIO", 1011), "an error, then 1011")
    sup.replaced("none", pid)


NODE = """
const WebSocket = require('ws');
const opts = {headers: {Authorization: 'Bearer ' + process.argv[3]}};
const ws = new WebSocket(process.argv[2], opts);
let got = Buffer.alloc(0);
ws.on('open', () => {
	ws.send(Buffer.alloc(1 << 20, 'x'));
	ws.send(JSON.stringify({type: 'eof'}));
});
ws.on('message', (data, binary) => {
	if (binary) got = Buffer.concat([got, data]);
	else console.log(data.toString());
});
ws.on('close', (code) => console.log(got.length, code));
ws.on('error', (e) => console.log(String(e)));
"""


def test_npm_ws(t, sup):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("npm's ws: no node here")
    where = os.path.join(sup.dir, "npm")
    os.mkdir(where)
    try:
        got = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund",
             "--prefix", where, "ws"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            check=False)
    except subprocess.TimeoutExpired:
        raise Skip("npm's ws: npm does not answer") from None
    if got.returncode != 0:
        raise Skip("npm's ws cannot be installed here")
    with open(os.path.join(where, "t.js"), "w", encoding="ascii") as f:
        f.write(NODE)
    got = subprocess.run(
        ["node", os.path.join(where, "t.js"),
         f"ws://127.0.0.1:{sup.port}/v1/users/{USER}/stdio?command=cat",
         sup.token], stdout=subprocess.PIPE, timeout=DEADLINE, check=False)
    first, *rest = got.stdout.decode().splitlines() or [""]
    t.eq((json.loads(first) if first[:1] == "{" else first, rest),
         ({"type": "exit", "exit_code": 0}, [f"{1 << 20} 1000"]),
         "npm's ws pipes a megabyte through cat")


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    with Supervisor(build) as sup:
        for test in tests_of(sys.modules[__name__]):
            if not wanted or any(w in test.__name__ for w in wanted):
                t.run(test, sup)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
