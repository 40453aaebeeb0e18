# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What depends on the configuration: a supervisor for each test."""
import asyncio
import contextlib
import http.client
import json
import os
import pwd
import re
import socket
import subprocess
import tempfile
import threading
import time

import websockets

from execs import bad, good
from xbot import (DEADLINE, ROOT, SAN, Client, Supervisor, free_port, raw,
                  sanitized, verdict, wait_for)


@contextlib.contextmanager
def running(t, build, *args, **more):
    with Supervisor(build, *args, **more) as sup:
        yield sup
        where = t.where
        verdict(t, sup)
        t.where = where


def test_quota(t, build):
    """A user's fifth command at once is refused, another's first is not."""
    with running(t, build, limits="user limit exec 4") as sup:
        sup.client.exec("bob", "mkfifo gate")
        clients, heads = [], []
        for _ in range(4):
            c = Client(sup.port, sup.token)
            thread = threading.Thread(target=lambda c=c: heads.append(
                c.exec("bob", "echo >>started; cat gate >/dev/null; "
                       "echo ok")))
            thread.start()
            clients.append((c, thread))
        wait_for("four commands", lambda: sup.client.file(
            "GET", "bob", "started").body.count(b"\n") == 4)
        a = sup.client.exec("bob", "echo fifth")
        bad(t, a, "EBUSY", "one more")
        t.ok(int(a.headers.get("Retry-After", 0)) > 0, "Retry-After",
             dict(a.headers))
        good(t, sup.client.exec("carol", "echo mine"), "another user",
             stdout="mine\n")
        with open(os.path.join(sup.work, "bob", "gate"), "wb"):
            pass
        for c, thread in clients:
            thread.join()
            c.close()
        for a in heads:
            good(t, a, "one of the four", stdout="ok\n")
        good(t, sup.client.exec("bob", "echo now"), "and now", stdout="now\n")


def test_rate(t, build):
    with running(t, build, limits="user limit rate 5/s") as sup:
        answers = [sup.client.exec("bob", "true") for _ in range(40)]
        busy = [a for a in answers if a.code == "EBUSY"]
        t.ok(busy and all(a.headers.get("Retry-After") for a in busy),
             "over the rate: EBUSY with Retry-After", len(busy))
        t.ok(all(a.status == 200 or a.code == "EBUSY" for a in answers),
             "and nothing else")
        good(t, sup.client.exec("carol", "true"), "another user")


def test_limits(t, build):
    with running(t, build, "limit file 1M\nlimit output 64K\n"
                 "limit json 8K") as sup:
        c = sup.client
        bad(t, c.file("PUT", "bob", "f", b"x" * (1 << 20) + b"x"), "E2BIG",
            "a file over its limit")
        a = c.file("PUT", "bob", "f", iter([b"x" * 65536] * 20))
        bad(t, a, "E2BIG", "one of unknown length")
        bad(t, c.file("GET", "bob", "f"), "ENOENT", "nothing is kept")
        a = c.exec("bob", "ls -A | wc -l")
        t.eq(a.json["stdout"].strip(), "0", "nor any litter")
        a = c.file("PUT", "bob", "f", b"x" * (1 << 20))
        t.eq(a.status, 204, "just the limit")
        a = c.exec("bob", "head -c 200000 /dev/zero | tr '\\0' x")
        got = a.json
        t.eq((got["truncated"], len(got["stdout"]), got["exit_code"]),
             (True, 65536, 0), "output over its limit is cut")
        a = c.exec("bob", "head -c 65536 /dev/zero | tr '\\0' x")
        t.eq((a.json["truncated"], len(a.json["stdout"])), (False, 65536),
             "just the limit is not")
        bad(t, c.exec("bob", "true", stdin="x" * 9000), "E2BIG",
            "a JSON body over its limit")


def test_rlimits(t, build):
    with running(t, build, none="rlimit nofile 100\n\trlimit fsize 1M\n\t"
                 "rlimit cpu 2\n\trlimit nproc 64") as sup:
        c = sup.client
        a = c.exec("bob", "ulimit -n; ulimit -t")
        t.eq(a.json["stdout"], "100\n2\n", "files and cpu time")
        a = c.exec("bob", "head -c 3000000 /dev/zero >big; wc -c <big")
        t.match(r"^10\d\d\d\d\d\n$", a.json["stdout"], "size of a file")
        a = c.exec("bob", "while :; do :; done", timeout=30)
        got = a.json
        t.ok(got.get("exit_code", 0) != 0 and got["duration_ms"] < 25000,
             "cpu time ends it", a)
        if ROOT:
            a = c.exec("bob", "for i in $(seq 200); do sleep 5 & done; "
                       "wait", timeout=20)
            t.ok(a.status == 200 and (a.json["exit_code"] != 0 or
                                      a.json["stderr"]),
                 "200 processes are too many", a)


def test_remote_only(t, build):
    """SANDBOX_MODE=none with remote: commands never reach the host."""
    with running(t, build, modes="", env={"SANDBOX_MODE": "none",
                                          "SANDBOX_REMOTE_MODE": "remote"}
                 ) as sup:
        bad(t, sup.client.exec("bob", "id"), "EOFFLINE", "no runner")
        a = sup.client.call("GET", "/v1/users/bob/route")
        bad(t, a, "EOFFLINE", "and no route")
        t.ok(a.headers.get("Retry-After"), "Retry-After")
        sup.runner("bob")
        good(t, sup.client.exec("bob", "echo mine"), "with one",
             stdout="mine\n", backend="remote")


def test_host_only(t, build):
    with running(t, build, modes="sandbox mode none\n") as sup:
        good(t, sup.client.exec("bob", "echo host"), "the host",
             stdout="host\n")
        got = raw(sup.port, b"GET /ws/bob HTTP/1.1\r\nHost: x\r\n"
                  b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
                  shut=True)
        t.match(rb"^HTTP/1.1 [45]\d\d ", got[:100], "runners are refused")
        t.ok("remote" not in sup.roles(), "no process for them")


def test_web_users(t, build):
    with running(t, build, "web user server runner yes") as sup:
        good(t, sup.client.exec("web-1", "echo web"), "allowed",
             stdout="web\n")


def test_runner_listener(t, build):
    """A listener that serves runners alone (SANDBOX_WS_PORT)."""
    port = free_port()
    with Supervisor(build, modes="", start=False,
                    env={"SANDBOX_REMOTE_MODE": "remote",
                         "SANDBOX_WS_PORT": str(port)}) as sup:
        # without `listen': the API stays on loopback
        with open(sup.conf, encoding="utf-8") as f:
            text = f.read().split("\n", 1)[1]
        with open(sup.conf, "w", encoding="utf-8") as f:
            f.write(text)
        got = subprocess.run([f"{build}/xbot-supervisor", "-nv", "-f",
                              sup.conf], env={**sup.env, **SAN},
                             stdout=subprocess.PIPE, check=False)
        t.ok(got.returncode == 0 and str(port).encode() in got.stdout,
             "is in the configuration", got)
        sup.process = None


def test_connect_command(t, build):
    """It names the listener that a user's machine can reach."""
    port = free_port()
    with running(t, build, f"listen on 0.0.0.0 port {port} runners") as sup:
        a = sup.client.call("POST", "/v1/users/bob/runners", {"name": "x"})
        t.ok(f"--server ws://{socket.gethostname()}:{port}/ws/bob " in
             a.json["command"], "not the one on loopback", a)


def test_global_token(t, build):
    """The global runner token lets any user's runner in, as `default'."""
    with running(t, build, 'auth token "global-secret-0123456789"') as sup:
        r = sup.runner("bob", "default", token="global-secret-0123456789",
                       wait=False)
        wait_for("the route", lambda: sup.client.call(
            "GET", "/v1/users/bob/route").json.get("backend") == "remote")
        good(t, sup.client.exec("bob", "pwd"), "and it works",
             stdout=r.workspace + "\n", runner="default")
        with Client(sup.port, "global-secret-0123456789") as c:
            bad(t, c.exec("bob", "id"), "EAUTH", "no token of the API")


def test_api_token(t, build):
    with tempfile.NamedTemporaryFile("w", suffix=".token") as f:
        f.write("configured-service-token-0123456789abcdef\n")
        f.flush()
        with Supervisor(build, f'api token file "{f.name}"',
                        start=False) as sup:
            sup.start(ready=False)
            sup.wait_ready()
            c = Client(sup.port, "configured-service-token-0123456789abcdef")
            sup.clients.append(c)
            good(t, c.exec("bob", "echo x"), "the configured token",
                 stdout="x\n")
            t.ok(not os.path.exists(sup.state + "/service.token"),
                 "and no other was made")
            where = t.where
            verdict(t, sup)
            t.where = where


def test_audit(t, build):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "audit.jsonl")
        with running(t, build, f'audit log "{path}"') as sup:
            sup.client.exec("bob", "echo audited",
                            headers={"X-Request-Id": "audit-me"})
            with open(path, encoding="utf-8") as f:
                lines = wait_for("the line", lambda: [
                    json.loads(x) for x in f if "audit-me" in x])
            t.ok(any(x.get("user") == "bob" for x in lines),
                 "has the request's id and user", lines)
            os.rename(path, path + ".1")
            sup.process.send_signal(10)     # SIGUSR1
            wait_for("a new file", lambda: os.path.exists(path))
            t.ok(True, "SIGUSR1 opens it again")


def test_not_root(t, build):
    """Started by anybody: all runs as the caller, who is told once."""
    if not ROOT:
        t.skip("is what every test does")
        return
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as d:
        os.chown(d, nobody.pw_uid, nobody.pw_gid)
        port = free_port()
        conf = os.path.join(d, "xbot.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f'listen on 127.0.0.1 port {port}\n'
                    f'state directory "{d}/state"\n'
                    f'control socket "{d}/sock"\n'
                    f'none {{ workspace "{d}/work/%u" }}\n')
        for name in os.listdir(build):
            path = os.path.join(build, name)
            if name.startswith("xbot-") and os.path.isfile(path):
                subprocess.run(["cp", path, d], check=True)
        p = subprocess.Popen(
            [f"{d}/xbot-supervisor", "-d", "-f", conf],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={"PATH": "/bin:/usr/bin", **SAN}, cwd="/",
            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])

        def ready():
            if p.poll() is not None:
                raise RuntimeError(p.stderr.read().decode())
            with contextlib.suppress(OSError, http.client.HTTPException):
                with Client(port, timeout=5) as c:
                    return c.call("GET", "/readyz").status == 200
            return False
        wait_for("readiness", ready)
        with open(f"{d}/state/service.token", encoding="ascii") as f:
            token = f.read().strip()
        with Client(port, token) as c:
            good(t, c.exec("bob", "id -u"), "a command",
                 stdout=f"{nobody.pw_uid}\n")
        p.terminate()
        log = p.stderr.read().decode()
        t.eq(p.wait(DEADLINE), 0, "ends in order")
        t.eq(log.count("not root"), 1, "the caller is told once")


async def silent_runner(port, token, user, ready, done):
    """Registers as protocol v1 wants it, then answers nothing."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws/{user}") as ws:
        await ws.send(json.dumps({"type": "register", "user_id": user,
                                  "body": {"user_id": user,
                                           "auth_token": token,
                                           "workspace": "/w",
                                           "shell": "/bin/sh"}}))
        answer = json.loads(await ws.recv())
        assert answer["type"] == "register_ok", answer
        ready.set()
        while not done.is_set():
            await asyncio.sleep(0.05)


def test_silent_runner(t, build):
    """A runner that does not answer: 504 after the command's time."""
    with running(t, build) as sup:
        a = sup.client.call("POST", "/v1/users/bob/runners",
                            {"name": "mute"})
        ready, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(silent_runner(
            sup.port, a.json["token"], "bob", ready, done)))
        thread.start()
        t.ok(ready.wait(DEADLINE), "is registered")
        wait_for("the route", lambda: sup.client.call(
            "GET", "/v1/users/bob/route").json.get("backend") == "remote")
        start = time.monotonic()
        a = sup.client.exec("bob", "echo x", timeout=1)
        t.ok(a.code == "ETIMEDOUT" and a.status == 504, "ETIMEDOUT", a)
        t.note(f"after {time.monotonic() - start:.1f} s")
        good(t, sup.client.exec("carol", "echo x"), "others do not notice",
             stdout="x\n")
        done.set()
        thread.join()


async def deaf_runner(port, token, user, ready, done):
    """Registers, then does not read."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws/{user}",
                                  max_queue=1, read_limit=1024,
                                  ping_interval=None,
                                  close_timeout=0.1) as ws:
        await ws.send(json.dumps({"type": "register", "user_id": user,
                                  "body": {"user_id": user,
                                           "auth_token": token,
                                           "workspace": "/w",
                                           "shell": "/bin/sh"}}))
        assert json.loads(await ws.recv())["type"] == "register_ok"
        ready.set()
        ws.transport.pause_reading()
        while not done.is_set():
            await asyncio.sleep(0.05)
        ws.transport.abort()


def test_deaf_runner(t, build):
    """A runner that stops reading holds up its user alone, bounded."""
    with running(t, build) as sup:
        a = sup.client.call("POST", "/v1/users/bob/runners",
                            {"name": "deaf"})
        ready, done = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(deaf_runner(
            sup.port, a.json["token"], "bob", ready, done)))
        thread.start()
        t.ok(ready.wait(DEADLINE), "is registered")
        wait_for("the route", lambda: sup.client.call(
            "GET", "/v1/users/bob/route").json.get("backend") == "remote")
        answers = []

        def put(n):
            with Client(sup.port, sup.token, timeout=200) as c:
                with contextlib.suppress(OSError,
                                         http.client.HTTPException):
                    answers.append(c.file("PUT", "bob", f"f{n}",
                                          b"x" * (32 << 20)))
        puts = [threading.Thread(target=put, args=(n,)) for n in range(3)]
        for p in puts:
            p.start()
        for n in range(20):
            a = sup.client.exec("carol", f"echo {n}")
        good(t, a, "others do not notice", stdout="19\n")
        done.set()
        thread.join()
        for p in puts:
            p.join()
        t.ok(all(a.status >= 400 for a in answers),
             "its requests fail when it is gone", answers)
        t.ok(sup.ready(), "and all is well")
        t.note(f"kB at most: {sup.memory()}")


def test_daemon(t, build):
    """Without -d: leaves the terminal, logs to syslog, stops when told."""
    with Supervisor(build, start=False) as sup:
        def begin():
            return subprocess.run(
                [f"{sup.build}/xbot-supervisor", "-f", "xbot.conf"],
                cwd=sup.dir, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                env={"PATH": "/bin", **SAN}, timeout=DEADLINE, check=False)
        with socket.create_server(("127.0.0.1", sup.port)):
            got = begin()
        t.eq(got.returncode, 1, "a port in use is a start error")
        t.match("in use", got.stderr.decode(), "which is told here")
        got = begin()
        t.eq(got.returncode, 0, "goes into the background")
        wait_for("readiness", sup.ready)
        with Client(sup.port, sup.token) as c:
            good(t, c.exec("bob", "echo daemon"), "serves",
                 stdout="daemon\n")
        row = json.loads(sup.admin("-j", "status").stdout)
        t.ok(row, "is there for xbot-admin", row)
        got = sup.admin("reload")
        t.eq(got.returncode, 0, "reads the same file again, from /")
        t.eq(sup.admin("stop").returncode, 0, "stop")
        wait_for("the end", lambda: not os.path.exists(sup.socket))
        t.ok(True, "has ended")


def test_unix_socket(t, build):
    """What xbot-admin speaks, curl can."""
    with running(t, build) as sup:
        got = subprocess.run(
            ["curl", "-sS", "--unix-socket", sup.socket, "-d",
             '{"command": "echo control"}',
             "http://localhost/v1/users/bob/exec"],
            stdout=subprocess.PIPE, check=False)
        t.match(r'"stdout":"control\\n"', got.stdout.decode(), "exec")
        if ROOT:
            got = subprocess.run(
                ["setpriv", "--reuid", "nobody", "--regid", "65534",
                 "--clear-groups", "curl", "-sS", "--unix-socket",
                 sup.socket, "http://localhost/v1/users/bob/route"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                check=False)
            t.ok(got.returncode != 0, "not for everybody", got)


def test_bad_starts(t, build):
    """What cannot start says why and starts nothing."""
    with Supervisor(build) as sup:
        for name, words in (
                ("a port in use", "control socket \"{d}/s2\"\n"
                 "state directory \"{d}/st2\"\n"
                 f"listen on 127.0.0.1 port {sup.port}\n"),
                ("no such directory above the socket",
                 "control socket \"{d}/no/such/s\"\n"
                 "state directory \"{d}/st3\"\n"
                 f"listen on 127.0.0.1 port {free_port()}\n")):
            conf = os.path.join(sup.dir, "bad.conf")
            with open(conf, "w", encoding="utf-8") as f:
                f.write(words.replace("{d}", sup.dir) + "none { workspace "
                        f"\"{sup.dir}/w/%u\" }}\n")
            got = subprocess.run(
                [f"{sup.build}/xbot-supervisor", "-d", "-f", conf],
                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                env={"PATH": "/bin", **SAN}, timeout=DEADLINE, check=False)
            t.ok(got.returncode == 1 and got.stderr, f"{name}: status 1",
                 got)
        t.ok(sup.ready(), "the one that runs is unharmed")


def test_require(t, build):
    """What sandbox prefer goes on with is a start error with require."""
    if not ROOT or sanitized(build):
        t.skip("needs root, and a build that enters its sandbox")
        return
    with Supervisor(build, "sandbox require") as sup, \
            tempfile.TemporaryDirectory() as d:
        t.ok(sup.ready(), "all there is needed is there")
        sup.stop()
        less = os.path.join(d, "passwd")
        with open("/etc/passwd", encoding="utf-8") as a, \
                open(less, "w", encoding="utf-8") as b:
            b.writelines(x for x in a if not x.startswith("_xbotremote:"))
        os.chmod(less, 0o644)
        program = f"{sup.build}/xbot-supervisor -d -f {sup.conf}"
        for name, before, words in (
                ("without a user", f"mount --bind {less} /etc/passwd",
                 "sandbox require: user _xbotremote"),
                ("without the empty directory",
                 "mount -t tmpfs none /var/empty && chmod 777 /var/empty",
                 "sandbox require: [a-z]+ cannot be started")):
            got = subprocess.run(
                ["unshare", "-m", "sh", "-c", f"{before} || exit 99; "
                 f"exec {program}"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin", **SAN}, timeout=DEADLINE,
                check=False)
            if got.returncode == 99:
                t.skip(f"{name}: mounts are not allowed here")
                continue
            t.eq(got.returncode, 1, f"{name}: status 1")
            t.match(words, got.stderr.decode(), f"{name}: which one")
        sup.none = 'user "no-such-user" #'
        sup.configure()
        with open(sup.conf, encoding="utf-8") as f:
            text = re.sub(r"\tuid range .*\n", "", f.read())
        with open(sup.conf, "w", encoding="utf-8") as f:
            f.write(text)
        got = subprocess.run(program.split(), stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, check=False,
                             env={"PATH": "/bin", **SAN}, timeout=DEADLINE)
        t.eq(got.returncode, 1, "a user of none who is not there: status 1")
        t.match("no such user", got.stderr.decode(), "which is told")
