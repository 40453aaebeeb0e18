# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What the tests share: a supervisor, a runner, an HTTP client, counting.

Nothing here sleeps where it could wait for an event, and no deadline is an
assertion: they are generous and only end what hangs.  Processes are ended
by the pids that were started here, or that stood below them.
"""
import contextlib
import fcntl
import http.client
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

DEADLINE = 60
ROOT = os.geteuid() == 0
REPORT = re.compile(r"ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|"
                    r"runtime error:|WARNING: \w+Sanitizer")
ROLES = ("front", "control", "ledger", "none", "remote")
SAN = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
       "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


# --- counting ---

class Tap:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.where = ""

    def say(self, ok, text, why=""):
        self.passed += bool(ok)
        self.failed += not ok
        number = self.passed + self.failed + self.skipped
        print(f"{'ok' if ok else 'not ok'} {number} {self.where}{text}")
        if not ok and why != "":
            for line in str(why)[:4000].splitlines():
                print("#   " + line)
        sys.stdout.flush()
        return bool(ok)

    def ok(self, ok, text, why=""):
        return self.say(ok, text, why)

    def eq(self, got, want, text):
        return self.say(got == want, text,
                        f"got  {got!r:.1500}\nwant {want!r:.1500}")

    def match(self, pattern, got, text):
        return self.say(re.search(pattern, got), text,
                        f"got  {got!r:.1500}\nwant /{pattern}/")

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line)
        sys.stdout.flush()

    def skip(self, text):
        self.skipped += 1
        number = self.passed + self.failed + self.skipped
        print(f"ok {number} # skip {self.where}{text}")
        sys.stdout.flush()

    def run(self, function, *args):
        """One test; an exception is its failure and ends only it."""
        name = function.__name__.replace("test_", "").replace("_", " ")
        self.where = name + ": "
        try:
            function(self, *args)
        except Skip as e:
            self.skip(str(e))
        except Exception:
            self.say(False, "ends without an exception",
                     traceback.format_exc())
        self.where = ""

    def done(self):
        total = self.passed + self.failed + self.skipped
        if total == 0:
            self.failed = 1
        print(f"1..{total}")
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.skipped} skipped")
        return 1 if self.failed else 0


class Skip(Exception):
    pass


def tests_of(module, wanted=()):
    """The test functions of a module in the order of its text.
    wanted: only with one of these in their names, or of that module."""
    found = [f for n, f in vars(module).items() if n.startswith("test_") and
             (not wanted or any(w in f.__name__ or w == module.__name__
                                for w in wanted))]
    return sorted(found, key=lambda f: f.__code__.co_firstlineno)


def sanitized(build):
    """Such a build needs much more memory and time."""
    with open(os.path.join(build, "xbot-front"), "rb") as f:
        return b"__asan_init" in f.read()


# --- waiting ---

def wait_for(what, true, deadline=DEADLINE):
    """For what gives no event: asks until it is so."""
    end = time.monotonic() + deadline
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.01)


# --- processes, by /proc ---

def status(pid):
    fields = {}
    with open(f"/proc/{pid}/status", encoding="utf-8",
              errors="replace") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields[key] = value.strip()
    return fields


def processes():
    return [int(n) for n in os.listdir("/proc") if n.isdigit()]


def alive(pid):
    try:
        return status(pid).get("State", "Z")[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    found = []
    for other in processes():
        try:
            if status(other)["PPid"] == str(pid):
                found.append(other)
        except (OSError, KeyError):
            continue
    return found


def descendants(pid):
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return [a.decode(errors="replace")
                    for a in f.read().split(b"\0")[:-1]]
    except OSError:
        return []


def ours_below(pid):
    """Those of its descendants that are programs of ours.  Asked while they
    run: one that ends has no name any more, but may still hold a port."""
    return [p for p in descendants(pid)
            if (cmdline(p)[:1] or [""])[0].startswith("xbot-")]


def marked(mark):
    """Pids whose environment holds the mark (zombies have none)."""
    found = []
    for pid in processes():
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark.encode() in f.read() and pid != os.getpid():
                    found.append(pid)
        except OSError:
            continue
    return found


def descriptor_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def rss(pid, field="VmRSS"):
    """kB"""
    return int(status(pid)[field].split()[0])


# --- HTTP ---

class Answer:
    def __init__(self, status_, headers, body):
        self.status, self.headers, self.body = status_, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The contract's error code, or the empty string."""
        try:
            return self.json["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return ""

    @property
    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]

    def __repr__(self):
        return f"<{self.status} {self.body[:600]!r}>"


class Client:
    """One keep-alive connection; opened again when it was closed."""

    def __init__(self, port, token=None, timeout=DEADLINE):
        self.token = token
        self.conn = http.client.HTTPConnection("127.0.0.1", port,
                                               timeout=timeout)

    def open(self, method, path, body=None, headers=None, token=None):
        """The answer's head; the body is read by the caller."""
        if self.conn.sock is not None and readable(self.conn.sock, 0):
            self.conn.close()       # it idled, and the server ended it
        send = dict(headers or {})
        token = self.token if token is None else token
        if token:
            send.setdefault("Authorization", f"Bearer {token}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            send.setdefault("Content-Type", "application/json")
        chunked = body is not None and hasattr(body, "__next__")
        # Closed by the daemon while it was idle: http.client would not see it.
        if self.conn.sock is not None and readable(self.conn.sock, 0):
            self.conn.close()
        self.conn.request(method, path, body=body, headers=send,
                          encode_chunked=chunked)
        return self.conn.getresponse()

    def call(self, method, path, body=None, headers=None, token=None):
        try:
            answer = self.open(method, path, body, headers, token)
            return Answer(answer.status, answer.headers, answer.read())
        except Exception:
            self.conn.close()
            raise

    def exec(self, user, command=None, headers=None, query="", **fields):
        if command is not None:
            fields["command"] = command
        return self.call("POST", f"/v1/users/{quote(user)}/exec{query}",
                         fields, headers)

    def file(self, method, user, path, body=None, what="files", headers=None,
             **query):
        query["path"] = path
        return self.call(method, f"/v1/users/{quote(user)}/{what}?" +
                         urllib.parse.urlencode(query), body, headers)

    def close(self):
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def quote(text):
    return urllib.parse.quote(text, safe="")


# --- what tests that run at the same time must not share ---

def own_block(kind, blocks):
    """(descriptor that holds it, number) of a block of something."""
    for block in range(blocks):
        path = f"/tmp/.xbot-tests-{kind}-{block}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC |
                     os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            continue
        return fd, block
    raise RuntimeError(f"every block of {kind} is in use")


class Ports:
    """
    Below those that the kernel gives to others: one that a server will
    listen on, or has left for a moment, stays ours.
    """
    FIRST, SIZE, BLOCKS = 15000, 200, 80

    def __init__(self):
        self.fd, block = own_block("ports", self.BLOCKS)
        self.first, self.n = self.FIRST + block * self.SIZE, 0

    def next(self):
        for _ in range(self.SIZE):
            port = self.first + self.n % self.SIZE
            self.n += 1
            with contextlib.suppress(OSError), \
                    socket.create_server(("127.0.0.1", port)):
                return port
        raise RuntimeError("no free port")


ports = []


def free_port():
    if not ports:
        ports.append(Ports())
    return ports[0].next()


# --- lines of a process's stderr, as events ---

class Log(threading.Thread):
    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.lines, self.ended = pipe, [], False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        for line in self.pipe:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def mark(self):
        with self.changed:
            return len(self.lines)

    def since(self, mark=0):
        with self.changed:
            return self.lines[mark:]

    def wait(self, pattern, mark=0, deadline=DEADLINE):
        """The first line from mark on that has the pattern."""
        end = time.monotonic() + deadline
        with self.changed:
            while True:
                for line in self.lines[mark:]:
                    if re.search(pattern, line):
                        return line
                if self.ended or not self.changed.wait(
                        end - time.monotonic()):
                    raise TimeoutError(f"no log line with {pattern!r}:\n" +
                                       "\n".join(self.lines[-20:]))

    def has(self, text):
        return any(text in line for line in self.since())

    def reports(self):
        with self.changed:
            hits = [i for i, l in enumerate(self.lines) if REPORT.search(l)]
            return ["\n".join(self.lines[i:i + 40]) for i in hits[:3]]


# --- a supervisor ---

class Slots:
    """
    A range of uids that no other test uses, and not the default one (a
    supervisor may be at work here): when an executor ends, its
    parent sweeps everything that runs under its uid.
    """
    SIZE = 20

    def __init__(self):
        self.fd, block = own_block("slots", 50)
        self.first = 63000 + block * self.SIZE
        self.last = self.first + self.SIZE - 1

    def running(self):
        found = []
        for pid in processes():
            try:
                uid = int(status(pid)["Uid"].split()[1])
            except (OSError, KeyError):
                continue
            if self.first <= uid <= self.last and alive(pid):
                found.append(pid)
        return found

    def close(self):
        os.close(self.fd)


class Supervisor:
    """xbot-supervisor in a directory of its own, on a port of its own."""

    LIMITS = "user limit exec 64 task 32 pty 8 rate 100000/s"

    def __init__(self, build, config="", none="", modes=None, env=None,
                 start=True, args=(), limits=LIMITS):
        self.build = os.path.abspath(build)
        self.dir = tempfile.mkdtemp(prefix="xbot-test-")
        os.chmod(self.dir, 0o711)
        self.port = free_port()
        self.state = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "sock")
        self.work = os.path.join(self.dir, "work")
        self.conf = os.path.join(self.dir, "xbot.conf")
        self.slots = Slots() if ROOT else None
        self.modes = ("sandbox mode none\nsandbox remote\n"
                      "sandbox host yes\n") if modes is None else modes
        self.extra, self.none = config, none
        self.env, self.args = dict(env or {}), list(args)
        self.limits = limits
        self.process = self.log = None
        self.runners, self.clients = [], []
        self.problems = []
        self.configure()
        if start:
            self.start()

    def configure(self, config=None):
        """Writes the file again, with other additions when given."""
        if config is not None:
            self.extra = config
        uids = (f"uid range {self.slots.first}-{self.slots.last}\n\t"
                if self.slots else "")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(f'listen on 127.0.0.1 port {self.port}\n'
                    f'control socket "{self.socket}"\n'
                    f'state directory "{self.state}"\n'
                    f'{self.modes}{self.limits}\n'
                    f'none {{\n\t{uids}workspace "{self.work}/%u"\n'
                    f'\t{self.none}\n}}\n{self.extra}\n')

    def start(self, ready=True):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", **SAN}
        env.update(self.env)
        self.process = subprocess.Popen(
            [f"{self.build}/xbot-supervisor", "-d", "-f", self.conf,
             *self.args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL, env=env, cwd="/")
        self.log = Log(self.process.stderr)
        if ready:
            self.wait_ready()
            self.client = self.connect()

    @property
    def pid(self):
        return self.process.pid

    @property
    def token(self):
        with open(os.path.join(self.state, "service.token"),
                  encoding="ascii") as f:
            return f.read().strip()

    def connect(self, token=None, timeout=DEADLINE):
        client = Client(self.port, self.token if token is None else token,
                        timeout)
        self.clients.append(client)
        return client

    def ready(self):
        try:
            with Client(self.port, timeout=5) as c:
                return c.call("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_ready(self):
        def now():
            if self.process.poll() is not None:
                raise RuntimeError("the supervisor ended: " + "\n".join(
                    self.log.since()[-20:]))
            return self.ready()
        try:
            wait_for("readiness", now)
        except TimeoutError:
            raise TimeoutError("not ready:\n" + "\n".join(
                self.log.since()[-40:])) from None

    def roles(self):
        """name: pid of the processes of the table"""
        found = {}
        for pid in children(self.pid):
            words = cmdline(pid)
            if len(words) == 2 and words[0].startswith("xbot-") and alive(
                    pid):
                found[words[1]] = pid
        return found

    def restart(self, role, sig=signal.SIGKILL):
        """That process dies; until there is another one, and all is well."""
        pid = self.roles()[role]
        os.kill(pid, sig)
        self.replaced(role, pid)

    def replaced(self, role, pid):
        """Ready alone says little: whoever asks may miss that it was not."""
        wait_for(f"another {role}", lambda: self.roles().get(role) not in (
            None, pid) and self.ready())

    def executors(self):
        return [p for p in children(self.pid)
                if cmdline(p)[:1] == ["xbot-executor"] and alive(p)]

    def memory(self):
        """name: kB resident at most, of everything of ours"""
        pids = {"supervisor": self.pid, **self.roles()}
        for n, pid in enumerate(self.executors()):
            pids[f"executor{n}"] = pid
        for r in self.runners:
            for n, pid in enumerate([r.pid] + descendants(r.pid)):
                if alive(pid):
                    pids[f"runner {r.name} {n}"] = pid
        return {name: rss(pid, "VmHWM") for name, pid in pids.items()}

    def runner(self, user, name="laptop", **more):
        r = Runner(self, user, name, **more)
        self.runners.append(r)
        return r

    def admin(self, *words, **more):
        return subprocess.run(
            [f"{self.build}/xbot-admin", "-s", self.socket, *words],
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=DEADLINE, env={"PATH": "/usr/bin:/bin", **SAN}, **more)

    def stop(self):
        """In order; what is wrong with that is in problems."""
        if self.process is None:
            return
        for c in self.clients:
            c.close()
        for r in self.runners:
            r.stop()
        below = ours_below(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        else:
            self.problems.append(f"had ended with {self.process.returncode}")
        try:
            code = self.process.wait(DEADLINE)
            if code != 0:
                self.problems.append(f"ended with {code}")
        except subprocess.TimeoutExpired:
            self.problems.append("does not stop")
            self.process.kill()
            self.process.wait()
        try:
            wait_for("no process left", lambda: not self.left(below), 10)
        except TimeoutError:
            for pid in self.left(below):
                self.problems.append(f"left over: {pid} {cmdline(pid)}")
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.log.join(5)
        self.problems += self.log.reports()
        self.process = None

    def left(self, below):
        """Of these, and of all in our slots, those that still run."""
        return sorted({p for p in below if alive(p)} | set(
            self.slots.running() if self.slots else []))

    def close(self):
        self.stop()
        if self.slots:
            self.slots.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Runner:
    """xbot-runner for a user; as root under an account without rights."""

    def __init__(self, sup, user, name, args=(), wait=True, token=None,
                 env=None, port=None, program="xbot-runner"):
        self.sup, self.user, self.name = sup, user, name
        self.port = port or sup.port
        self.args, self.env = list(args), dict(env or {})
        self.dir = tempfile.mkdtemp(prefix=f"runner-{name}-", dir=sup.dir)
        self.workspace = os.path.join(self.dir, "home")
        os.mkdir(self.workspace)
        self.program = os.path.join(self.dir, "xbot-runner")
        shutil.copy(os.path.join(sup.build, program), self.program)
        if token is None:
            a = sup.client.call("POST", f"/v1/users/{quote(user)}/runners",
                                {"name": name, "mode": "native"})
            if a.status != 201:
                raise RuntimeError(f"runner create: {a}")
            token = a.json["token"]
        self.token = token
        self.token_file = os.path.join(self.dir, "token")
        with open(self.token_file, "w", encoding="ascii") as f:
            f.write(token + "\n")
        os.chmod(self.token_file, 0o600)
        self.account = pwd.getpwnam("nobody") if ROOT else None
        if ROOT:
            for path in (self.dir, self.workspace, self.token_file):
                os.chown(path, self.account.pw_uid, self.account.pw_gid)
        self.process = self.log = None
        self.problems = []
        self.start()
        if wait:
            self.wait_online()

    def start(self):
        more = {}
        if ROOT:
            more = {"user": self.account.pw_uid,
                    "group": self.account.pw_gid, "extra_groups": []}
        self.process = subprocess.Popen(
            [self.program, "--server",
             f"ws://127.0.0.1:{self.port}/ws/{quote(self.user)}",
             "--token-file", self.token_file, "--workspace", self.workspace,
             *self.args], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
            env={"PATH": "/usr/local/bin:/usr/bin:/bin",
                 "HOME": self.workspace, "LANG": "C.UTF-8", **SAN, **self.env}, **more)
        self.log = Log(self.process.stderr)

    @property
    def pid(self):
        return self.process.pid

    def online(self):
        try:
            with Client(self.sup.port, self.sup.token, timeout=5) as c:
                a = c.call("GET", f"/v1/users/{quote(self.user)}/runners")
                return any(r["name"] == self.name and r["online"]
                           for r in a.json["runners"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False

    def wait_online(self, online=True):
        """This process: the server may not know yet that another one, which
        was killed, is gone."""
        def now():
            if online and self.process.poll() is not None:
                raise RuntimeError("the runner ended: " + "\n".join(
                    self.log.since()[-20:]))
            if online and not self.log.has("registered, protocol"):
                return False
            return self.online() == online
        try:
            wait_for("runner", now)
        except TimeoutError:
            raise TimeoutError("runner:\n" + "\n".join(
                self.log.since()[-20:] + self.sup.log.since()[-20:])
                ) from None

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return
        below = ours_below(self.pid)
        self.process.send_signal(sig)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.sup.problems.append(f"runner {self.name} does not stop")
            self.process.kill()
            self.process.wait()
        try:
            wait_for("runner's executor",
                     lambda: not any(alive(p) for p in below), 10)
        except TimeoutError:
            self.sup.problems.append(f"runner {self.name} left " + str(
                [cmdline(p) for p in below if alive(p)]))
        self.log.join(5)
        self.sup.problems += self.log.reports()
        self.process = None


class OldServer:
    """
    A proxy that makes a runner speak protocol v1: it takes the offer of the
    newer one out of the handshake.
    """

    def __init__(self, port):
        self.behind = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                threading.Thread(target=self.relay, args=(s,),
                                 daemon=True).start()

    def relay(self, s):
        with s, socket.create_connection(("127.0.0.1", self.behind)) as b:
            head = b""
            while b"\r\n\r\n" not in head:
                more = s.recv(65536)
                if not more:
                    return
                head += more
            b.sendall(re.sub(rb"(?i)sec-websocket-protocol:.*\r\n", b"",
                             head))
            other = {s: b, b: s}
            with contextlib.suppress(OSError):
                while True:
                    for one in select.select([s, b], [], [])[0]:
                        data = one.recv(1 << 18)
                        if not data:
                            return
                        other[one].sendall(data)

    def close(self):
        self.listener.close()


# --- raw bytes ---

def raw(port, data, timeout=DEADLINE, shut=False):
    """Sends bytes and returns all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionError):
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        return got


def readable(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])


def verdict(tap, sup):
    """The last test of a supervisor: it ends in order and said nothing bad."""
    sup.stop()
    tap.where = "stop: "
    tap.ok(not sup.problems, "in order, nothing left, no report",
           "\n".join(sup.problems))
    tap.where = ""
