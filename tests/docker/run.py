#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-runner --mode docker with a real supervisor and a real Engine.

usage: run.py BUILDDIR [test ...]
"""
import http.server
import importlib.util
import json
import os
import pwd
import re
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))

import docker_v1
from dockerd import PASSWD, Engine, Registry
from xbot import (ROOT, SAN, Log, Runner, Supervisor, Tap, tests_of, verdict,
                  wait_for)

IMAGE = "xbot-test/busybox:1"
JOE = "xbot-test/joe:1"
NOBODY = pwd.getpwnam("nobody")


class DockerRunner(Runner):
    """Not root: the group of the Engine's socket is all it has."""

    def __init__(self, sup, engine, user, name, image=IMAGE, **more):
        self.engine, self.image = engine, image
        self.state = tempfile.mkdtemp(prefix="state-", dir=sup.dir)
        os.chown(self.state, NOBODY.pw_uid, NOBODY.pw_gid)
        self.container = f"xbot-runner-{user}-{name}"
        env = {"DOCKER_HOST": engine.host, "XDG_STATE_HOME": self.state,
               "XBOT_TEST_LEAK": "host", **more.pop("env", {})}
        super().__init__(sup, user, name, env=env, **more)
        os.chmod(self.workspace, 0o777)

    def start(self):
        self.args = ["--mode", "docker", "--docker-image", self.image,
                     "--name", self.name]
        super().start()

    def again(self):
        self.stop()
        self.start()
        self.wait_online()


def once(sup, engine, *args, env=None, root=False):
    """A runner that is to end by itself: its status and what it said."""
    base = tempfile.mkdtemp(prefix="once-", dir=sup.dir)
    os.chown(base, NOBODY.pw_uid, NOBODY.pw_gid)
    more = {} if root else {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid,
                            "extra_groups": []}
    words = {"--mode": "docker", "--docker-image": IMAGE, "--token": "t",
             "--server": f"ws://127.0.0.1:{sup.port}/ws/once",
             "--workspace": f"{base}/ws", "--name": "once"}
    words.update(zip(args[::2], args[1::2]))
    got = subprocess.run(
        [sup.shared_runner, *[w for pair in words.items() for w in pair]],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, timeout=120, cwd="/", check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": base,
             "XDG_STATE_HOME": f"{base}/state",
             "DOCKER_HOST": engine.host, **SAN, **(env or {})}, **more)
    return got.returncode, got.stderr.decode(errors="replace")


def out(answer):
    return answer.json["stdout"]


# --- one runner, as it serves ---

def test_exec(t, r):
    c = r.sup.client
    a = c.exec("alice", "hostname; pwd; id -u; echo $FOO; echo ok >&2")
    t.eq(a.status, 200, "answers")
    t.eq(out(a).split("\n"), [r.container, "/workspace", "0", "bar baz", ""],
         "runs in the container, in /workspace, with the image's variables")
    t.eq(a.json["stderr"], "ok\n", "stderr is apart")
    t.eq(a.json["exit_code"], 0, "and the status")
    a = c.exec("alice", "env; cat /proc/1/cmdline | tr '\\0' ' '")
    t.ok("XBOT_TEST_LEAK" not in out(a) and "TOKEN" not in out(a),
         "nothing of the runner's environment comes along", out(a))
    t.match("^/.xbot/executor ", out(a).split("\n")[-1],
            "the executor is the first process")
    t.eq(c.exec("alice", "exit 7").json["exit_code"], 7, "exit status")
    t.eq(c.exec("alice", "cat", stdin="in\n").json["stdout"], "in\n",
         "standard input")
    a = c.exec("alice", "pwd; echo $K", dir="/tmp", env=["K=v"])
    t.eq(out(a), "/tmp\nv\n", "dir and env are honoured")
    a = c.exec("alice", "true", run_as_user="joe")
    t.eq(a.code, "EINVAL", "the image says who runs, not the request")
    a = c.exec("alice", "head -c 3000000 /dev/zero | tr '\\0' x")
    t.eq(len(out(a)), 3000000, "much output")


def test_container(t, r):
    got = r.engine.inspect(r.container)
    host = got["HostConfig"]
    t.eq(sorted(host["CapDrop"]), ["AUDIT_WRITE", "NET_RAW"],
         "two capabilities less")
    t.eq(host["Privileged"], False, "not privileged")
    mounts = {m["Destination"]: m for m in got["Mounts"]}
    t.eq(sorted(mounts), ["/.xbot", "/workspace"], "two mounts")
    t.eq((mounts["/.xbot"]["RW"], mounts["/workspace"]["RW"]),
         (False, True), "ours cannot be written")
    t.eq(mounts["/workspace"]["Source"], r.workspace, "the workspace")
    t.eq(got["Config"]["Labels"]["xbot.runner.user"], "alice", "a label")
    a = r.sup.client.exec("alice", "touch /.xbot/x; ls /.xbot")
    t.eq(out(a), "executor\n", "the socket is gone once it is used")
    caps = out(r.sup.client.exec("alice", "grep CapEff /proc/self/status"))
    t.eq(int(caps.split()[1], 16) & (1 << 13 | 1 << 29), 0,
         "jobs have neither of the two")


def test_files(t, r):
    c = r.sup.client
    a = c.file("PUT", "alice", "sub/.dot", b"\0\1\2" * 100000, parents="1")
    t.ok(a.status in (200, 201, 204), "written", a)
    with open(f"{r.workspace}/sub/.dot", "rb") as f:
        t.eq(f.read(), b"\0\1\2" * 100000, "and is there on the host")
    a = c.file("GET", "alice", "/workspace/sub/.dot")
    t.eq(a.body, b"\0\1\2" * 100000, "read by its absolute path")
    c.exec("alice", "mkdir -m 1777 sub/dir; ln -s dir sub/link; "
           "touch 'sub/new\nline' -- 'sub/-dash'; mkfifo sub/pipe")
    a = c.file("GET", "alice", "sub", what="dir")
    names = {e["name"]: e for e in a.json["entries"]}
    t.eq(sorted(names), ["-dash", ".dot", "dir", "link", "new\nline",
                         "pipe"], "a listing has dot files and odd names")
    t.eq(names[".dot"]["size"], 300000, "with sizes")
    t.eq((names["dir"]["is_dir"], names["link"]["is_dir"]), (True, False),
         "and types")
    a = c.file("GET", "alice", "/etc/passwd")
    t.match("joe:x:1000", a.body.decode(), "the whole container is open")
    t.ok("xbot" not in a.body.decode(), "and it is the container's")
    a = c.file("GET", "alice", "/no/such/file")
    t.eq(a.code, "ENOENT", "what is not there")


def test_timeout(t, r):
    c = r.sup.client
    start = time.monotonic()
    a = c.exec("alice", "echo part; sleep 1000 & setsid sleep 1001 & "
               "sleep 1002", timeout=1)
    t.eq((a.json["timed_out"], a.json["exit_code"], out(a)),
         (True, -1, "part\n"), "timed out, with what it had said")
    t.ok(time.monotonic() - start < 20, "at its time")
    t.eq(out(c.exec("alice", "ps -o args | grep -c '[s]leep 100'")), "0\n",
         "and nothing of it is left in the container")


def test_persistence(t, r):
    c, engine = r.sup.client, r.engine
    c.exec("alice", "echo kept > /root/mark")
    ident = engine.inspect(r.container)["Id"]
    start = time.monotonic()
    r.stop()
    t.ok(time.monotonic() - start < 10, "ends soon")
    state = engine.inspect(r.container)
    t.eq((state["Id"], state["State"]["Running"]), (ident, False),
         "the container is stopped, not removed")
    r.start()
    r.wait_online()
    t.eq(out(c.exec("alice", "cat /root/mark")), "kept\n",
         "what it wrote is there again")
    t.eq(engine.inspect(r.container)["Id"], ident, "the same container")
    log = engine.docker("logs", r.container)
    t.match("started", log, "docker logs tells its story")


def test_killed(t, r):
    c, engine = r.sup.connect(), r.engine
    for how in (("kill",), ("stop", "-t", "5"), ("rm", "-f"),
                ("restart", "-t", "5")):
        answers = []
        other = r.sup.connect()
        thread = threading.Thread(target=lambda o=other: answers.append(
            o.exec("alice", "touch begun; sleep 600", timeout=600)))
        thread.start()
        wait_for("job", lambda: os.path.exists(f"{r.workspace}/begun"))
        os.unlink(f"{r.workspace}/begun")
        mark = r.log.mark()
        engine.docker(*how, r.container)
        thread.join(60)
        t.ok(answers and answers[0].code == "EIO",
             f"docker {how[0]}: what ran is answered with EIO", answers)
        r.log.wait("the executor is there", mark)
        a = c.exec("alice", "echo back")
        t.eq(a.json.get("stdout"), "back\n", f"docker {how[0]}: goes on")
    t.ok(r.process.poll() is None, "the runner did not end")


def test_runner_killed(t, r):
    engine = r.engine
    r.process.kill()
    r.process.wait()
    engine.wait_stopped(r.container)
    t.ok(True, "the container ends with its runner")
    r.start()
    r.wait_online()
    t.eq(out(r.sup.client.exec("alice", "echo 1")), "1\n", "and starts again")
    r.process.kill()
    r.process.wait()
    r.start()
    r.wait_online()
    t.eq(out(r.sup.client.exec("alice", "echo 2")), "2\n",
         "also when it is still ending")


def test_engine_restart(t, r):
    engine = r.engine
    mark = r.log.mark()
    engine.stop()
    try:
        r.log.wait("again in", mark)
    finally:
        engine.start()          # the other tests want one
    r.log.wait("the executor is there", mark)
    t.eq(out(r.sup.client.exec("alice", "echo 1")), "1\n",
         "the Engine may be restarted")


def test_second_runner(t, r):
    status, text = once(
        r.sup, r.engine, "--name", r.name, "--server",
        f"ws://127.0.0.1:{r.sup.port}/ws/alice",
        env={"XDG_STATE_HOME": r.state})
    t.eq(status, 1, "two in one container: refused")
    t.match("another xbot-runner uses container", text, "told why")


def test_other_image(t, r):
    engine, c = r.engine, r.sup.client
    ident = engine.inspect(r.container)["Id"]
    r.image = JOE
    r.again()
    fresh = engine.inspect(r.container)
    t.ok(fresh["Id"] != ident, "another image: another container")
    old = engine.inspect(ident)
    t.match(re.escape(r.container) + r"\.old-\d+$", old["Name"],
            "the old one is kept under another name")
    t.ok(not old["State"]["Running"], "and does not run")
    t.match("is kept as", "\n".join(r.log.since()), "and the log says so")
    a = c.exec("alice", "id -u; id -g; id -G; echo $HOME; touch mine")
    t.eq(out(a), "1000\n1000\n1000 2000\n/home/joe\n",
         "jobs are those of the image's USER")
    c.file("PUT", "alice", "put", b"x")
    owners = [os.stat(f"{r.workspace}/{n}").st_uid for n in ("mine", "put")]
    t.eq(owners, [1000, 1000], "files as well")
    a = c.file("PUT", "alice", "/root/put", b"x")
    t.eq(a.code, "EPERM", "with this user's rights")
    a = c.exec("alice", "grep -E '^(CapEff|Uid|Gid):' /proc/self/status")
    t.eq(out(a).split(), ["Uid:", *["1000"] * 4, "Gid:", *["1000"] * 4,
                          "CapEff:", "0" * 16], "no root is left in a job")
    start = time.monotonic()
    a = c.exec("alice", "sleep 1000 & sleep 1000", timeout=1)
    t.ok(a.json["timed_out"] and time.monotonic() - start < 20,
         "and they are killed in time")
    a = c.exec("alice", "ps -o args | grep -c '[s]leep 1000'")
    t.eq(out(a), "0\n", "all of them")


# --- the same as elsewhere ---

def test_wire(t, r):
    """Protocol v1, as an existing server would see it."""
    docker_v1.play(t, r.engine, IMAGE, os.path.join(r.sup.build, "xbot-runner"))


# A container has no path that is out of bounds, a shorter path of its
# workspace, no pgrep, a shell with another line editor, and other words.
NOT_HERE = ("test_escapes", "test_directory", "test_delete", "test_download",
            "test_environment", "test_kill_tree", "test_pty",
            "test_pty_hangup")


def conform():
    """The suite of that name, as a module."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "../conform")
    if path not in sys.path:
        sys.path.insert(0, path)
    spec = importlib.util.spec_from_file_location("conform",
                                                  f"{path}/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_terminal(t, r):
    module = conform()
    place = module.Place(r.sup, "alice", "remote", "box", "/workspace")
    with module.streams.opened(place, "pty", cols=91, rows=33) as s:
        s.send(b"stty size\n")
        s.expect(b"33 91\r\n")
        s.ask(type="resize", cols=120, rows=40)
        s.send(b"sleep 0.2; stty size\n")
        s.expect(b"40 120\r\n")
        t.ok(True, "a terminal, resized")
        s.send(b"sh -c 'echo waiting; exec sleep 996'\n")
        s.expect(b"waiting\r\n")
        s.send(b"\x03")
        s.expect(b"^C\r\n")
        s.send(b"echo code=$?\n")
        s.expect(b"code=130\r\n")
        t.ok(True, "Ctrl-C reaches the program")
        s.send(b"(sleep 997 & sleep 998)\n")
        wait_for("job", lambda: "sleep 998" in out(place.exec("ps -o args")))
    wait_for("hangup", lambda: "sleep 99" not in out(
        place.exec("ps -o args | grep '[s]leep'")))
    t.ok(True, "a client that goes hangs up")


def test_conform(t, r):
    """What none and a container answer to the same requests."""
    module = conform()
    places = [module.Place(r.sup, "carol", "none", "",
                           os.path.join(r.sup.work, "carol")),
              module.Place(r.sup, "alice", "remote", "box", "/workspace")]
    for test in (tests_of(module.execs) + tests_of(module.files) +
                 tests_of(module.tasks) + tests_of(module.streams)):
        if test.__name__ not in NOT_HERE:
            module.compare(t, test, places)


# --- runners that end by themselves ---

def test_no_docker(t, r):
    sup, engine = r.sup, r.engine
    status, text = once(sup, engine, env={"DOCKER_HOST": "unix:///no/sock"})
    t.eq(status, 1, "no Engine: status 1")
    t.match("no Docker Engine at /no/sock.*is Docker installed", text,
            "with advice")
    status, text = once(sup, engine,
                        env={"DOCKER_HOST": "tcp://127.0.0.1:2375"})
    t.eq(status, 1, "an Engine elsewhere: status 1")
    t.match("only unix:///PATH", text, "with the reason")
    os.chmod(engine.socket, 0o600)
    status, text = once(sup, engine)
    os.chmod(engine.socket, 0o660)
    t.eq(status, 1, "a socket without permission: status 1")
    t.match("Permission denied.*the group docker may", text, "with advice")
    with socket.socket(socket.AF_UNIX) as s:
        path = f"{sup.dir}/silent.sock"
        s.bind(path)
        s.listen()
        os.chmod(path, 0o666)
        status, text = once(sup, engine,
                            env={"DOCKER_HOST": f"unix://{path}"})
    t.eq(status, 1, "an Engine that says nothing: status 1")
    t.match("did not finish within 5 seconds", text, "after 5 seconds")


def fake_engine(sup, answer):
    """Somebody on the socket who always says the same."""
    path = f"{sup.dir}/fake.sock"
    if os.path.exists(path):
        os.unlink(path)
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    os.chmod(path, 0o666)

    def serve():
        while True:
            try:
                c, _ = s.accept()
            except OSError:
                return
            with c:
                try:
                    c.recv(65536)
                    c.sendall(answer)
                except OSError:
                    pass
    threading.Thread(target=serve, daemon=True).start()
    return s, f"unix://{path}"


def test_bad_engine(t, r):
    ok = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    deep = b"[" * 100000
    for what, answer, pattern in (
            ("no HTTP", b"SSH-2.0-x\r\n", "xbot-runner"),
            ("nothing", b"", "Docker Engine"),
            ("no JSON", ok + b"<html>", "no JSON"),
            ("not an object", ok + b"[1,2]", "no Docker Engine answers"),
            ("an old one", ok + json.dumps(
                {"ApiVersion": "1.24", "MinAPIVersion": "1.12"}).encode(),
             "speaks API 1.12 to 1.24"),
            ("a far newer one", ok + json.dumps(
                {"ApiVersion": "1.99", "MinAPIVersion": "1.90"}).encode(),
             "speaks API 1.90 to 1.99"),
            ("depth", ok + deep, "no JSON"),
            ("endless", ok + b"[" + b"1," * 3000000, "too long"),
            ("an error", b"HTTP/1.1 500 no\r\nConnection: close\r\n\r\n"
             b'{"message":"bad\\u001b[31m thing"}', r"bad \[31m thing")):
        s, host = fake_engine(r.sup, answer)
        status, text = once(r.sup, r.engine, env={"DOCKER_HOST": host})
        s.close()
        t.eq(status, 1, f"{what}: status 1")
        t.match(pattern, text, f"{what}: said so")
        t.ok("\x1b" not in text and "Sanitizer" not in text,
             f"{what}: in order", text)


def test_pull(t, r):
    with Registry(r.engine) as registry:
        name = f"127.0.0.1:{registry.port}/team/busybox"
        for tag in ("1", "latest"):
            r.engine.docker("tag", IMAGE, f"{name}:{tag}")
            r.engine.docker("push", f"{name}:{tag}")
            r.engine.docker("rmi", f"{name}:{tag}")
        pulled = DockerRunner(r.sup, r.engine, "paula", "p",
                              image=f"{name}:1")
        r.sup.runners.append(pulled)
        t.eq(out(r.sup.client.exec("paula", "echo $FOO")), "bar baz\n",
             "an image that is not there is pulled")
        t.match("pull: ", "\n".join(pulled.log.since()), "with progress")
        pulled.stop()
        digest = r.engine.inspect(f"{name}:1")["RepoDigests"][0]
        r.engine.docker("rm", "-f", pulled.container)
        r.engine.docker("rmi", f"{name}:1")
        for image in (name, digest):
            pulled.image = image
            pulled.start()
            pulled.wait_online()
            t.eq(out(r.sup.client.exec("paula", "echo 1")), "1\n",
                 "without a tag" if image == name else "by its digest")
            pulled.stop()
            r.engine.docker("rm", "-f", pulled.container)
        tags = [w for w in r.engine.docker("images", "--format", "{{.Tag}}",
                                           name).split() if w != "<none>"]
        t.eq(tags, ["latest"], "of many tags one is pulled")
        status, text = once(r.sup, r.engine, "--docker-image", f"{name}:no")
        t.eq(status, 1, "a tag that is not there: status 1")
        t.match("cannot pull.*(not found|unknown).*choose another", text,
                "told")


class Played(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """An Engine with the faults of a real one: path pattern, answer."""
    daemon_threads = True

    def __init__(self, sup, rows):
        self.rows = [(r"/_ping", (200, b"OK")), (r"/version", (200, json.dumps(
            {"ApiVersion": "1.43", "MinAPIVersion": "1.24"}).encode())),
            *rows, (r"/containers/json", (200, b"[]")),
            (r"", (404, b'{"message":"No such thing"}'))]
        self.path = f"{sup.dir}/played.sock"
        if os.path.exists(self.path):
            os.unlink(self.path)
        super().__init__(self.path, PlayedHandler)
        os.chmod(self.path, 0o666)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """It hung up on us: that is what we are here for."""


class PlayedHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, parts = next(a for pattern, a in self.server.rows
                             if re.search(pattern, self.path))
        self.send_response(status)
        if status == 204:       # has no body, not even an empty one
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in [parts] if isinstance(parts, bytes) else parts:
            if part:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = answer

def bytewise(*texts):
    return [b"%c" % c for c in b"\r\n".join(texts)]

def test_engine_faults(t, r):
    line = b'{"status":"Downloading","id":"abc","progressDetail":' \
        b'{"current":1000000,"total":30000000,"x":[{"error":"no"}]}}'
    image = (r"/images/.*/json", (200, b'{"Config":{"User":""}}'))
    create = (r"/containers/create", (201, b'{"Id":"%s"}' % (b"c" * 64)))
    pull = r"/images/create"
    found = (r"/containers/json", (200, b'[{"Id":"%s","Names":'
             b'["/xbot-runner-once-once"]}]' % (b"c" * 64)))
    for what, rows, pattern in (
            ("an error in a stream of status 200", [(pull, (200, bytewise(
                line, b'{"errorDetail":{"message":"x"},'
                b'"error":"toomanyrequests: slow down"}')))],
             "cannot pull.*toomanyrequests: slow down"),
            ("a stream that breaks off", [(pull, (200, [line, b'{"sta']))],
             "cannot pull.*broke off"),
            ("a stream of something else", [(pull, (200, b"<html>" * 99))],
             "cannot pull.*cannot be read"),
            ("a line without end", [(pull, (200, [b'{"status":"'] + [
                b"x" * 10000] * 40))], "cannot pull.*too long"),
            ("nested lines", [(pull, (200, b'{"a":' * 50))], "cannot be read"),
            ("a pull that brings nothing", [(pull, (200, bytewise(line)))],
             "--docker-image: No such thing"),
            ("no room", [image, (r"/containers/create", (
                500, b'{"message":"no space left on device"}'))],
             "cannot create the container: no space left on device"),
            ("an answer without an id", [image, (r"/containers/create", (
                201, b'{"Id":7}'))], "the answer has no id"),
            ("an id too long", [image, (r"/containers/create", (
                201, b'{"Id":"%s"}' % (b"d" * 500)))],
             "cannot create the container"),
            ("a name that is taken", [image, (r"/containers/create", (
                409, b'{"message":"Conflict"}'))], "exists and was not made"),
            ("no start", [image, create, (r"/start", (
                400, b'{"message":"exec: permission denied"}'))],
             "cannot start the container: exec: permission denied"),
            ("no pid", [image, create, (r"/start", (204, b"")), (
                r"/containers/c*/json", (200, b'{"State":{"Pid":"x"}}'))],
             "ended at once"),
            ("a foreign label", [found, (r"/containers/c*/json", (
                200, b'{"Config":{"Labels":{"xbot.runner":"x"}}}'))],
             "not made by this runner"),
            ("labels of another type", [found, (r"/containers/c*/json", (
                200, b'{"Config":[{"Labels":7}]}'))],
             "not made by this runner"),
            ("a list of another type", [(r"/containers/json", (
                200, b'[7,{"Names":[{}],"Id":[]},[],{"Names":7}]'))],
             "cannot pull")):
        with Played(r.sup, rows) as played:
            status, text = once(r.sup, r.engine, env={
                "DOCKER_HOST": f"unix://{played.path}"})
            played.shutdown()
        t.eq(status, 1, f"{what}: status 1")
        t.match(pattern, text, f"{what}: told")
        t.ok("Sanitizer" not in text, f"{what}: in order", text)

def test_bad_image(t, r):
    sup, engine = r.sup, r.engine
    for image, pattern in (
            ("localhost:1/no/such:1", "cannot pull --docker-image "
             "localhost:1/no/such:1: .*refused.*choose another"),
            ("../../info", "no name that the Docker Engine could know"),
            ("", "--docker-image is empty"),
            ("UPPER/case", "xbot-runner")):
        status, text = once(sup, engine, "--docker-image", image)
        t.eq(status, 1, f"image {image!r}: status 1")
        t.match(pattern, text, f"image {image!r}: told why")
    # It ends before its end is seen, or has called and still looks for him.
    for n, passwd in enumerate((PASSWD, PASSWD + "x:x:1:1:::\n" * 90000)):
        engine.build(f"xbot-test/nouser:{n}", "USER ghost", passwd=passwd)
        status, text = once(sup, engine, "--docker-image",
                            f"xbot-test/nouser:{n}")
        t.eq(status, 1, "a USER that the image does not have: status 1")
        t.match("ended at once, status 1: docker logs", text,
                "told where to look")
        t.match("no such USER", engine.docker(
            "logs", "xbot-runner-once-once"), "and there it stands")
        engine.docker("rm", "-f", "xbot-runner-once-once")

def test_foreign(t, r):
    sup, engine = r.sup, r.engine
    engine.docker("create", "--name", "xbot-runner-once-once", IMAGE, "sh")
    ident = engine.inspect("xbot-runner-once-once")["Id"]
    status, text = once(sup, engine)
    t.eq(status, 1, "a container of that name that is not ours: status 1")
    t.match("was not made by this runner", text, "told why")
    t.eq(engine.inspect("xbot-runner-once-once")["Id"], ident,
         "it is left alone")
    engine.docker("rm", "-f", "xbot-runner-once-once")

def test_names(t, r):
    sup, engine = r.sup, r.engine
    engine.docker("create", "--name", "xbot-runner-bob", IMAGE, "sh")
    ident = engine.inspect("xbot-runner-bob")["Id"]
    bob = DockerRunner(sup, engine, "bob", "den")
    sup.runners.append(bob)
    t.match("docker commit xbot-runner-bob", bob.log.wait("older runners"),
            "an older runner's container is seen")
    t.eq(engine.inspect("xbot-runner-bob")["Id"], ident, "and left alone")
    t.eq(out(sup.client.exec("bob", "hostname")), "xbot-runner-bob-den\n",
         "another user beside the first")
    bob.stop()
    odd = DockerRunner(sup, engine, "Odd.User@x", "Den_1")
    sup.runners.append(odd)
    name = out(sup.client.exec("Odd.User@x", "hostname")).strip()
    t.match(r"^xbot-runner-x--[a-z2-7]+-x--[a-z2-7]+$", name,
            "odd names are encoded")
    t.ok(engine.running(name), "and that is the container's")
    odd.stop()
    long = DockerRunner(sup, engine, "u" * 120, "n" * 60)
    sup.runners.append(long)
    name = out(sup.client.exec("u" * 120, "hostname")).strip()
    t.ok(len(name) <= 63, "a long name is cut for the host", name)
    long.stop()
    status, text = once(sup, engine, "--name", "a/b")
    t.eq(status, 1, "no name: status 1")
    t.match("--name: letters", text, "told why")

def test_stop_while_pulling(t, r):
    """A registry that never answers; and nobody waits for it."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        base = tempfile.mkdtemp(prefix="pull-", dir=r.sup.dir)
        os.chown(base, NOBODY.pw_uid, NOBODY.pw_gid)
        p = subprocess.Popen(
            [r.sup.shared_runner, "--mode", "docker", "--docker-image",
             f"127.0.0.1:{s.getsockname()[1]}/x:1", "--token", "t",
             "--server", "ws://127.0.0.1:1/ws/pull", "--workspace",
             f"{base}/ws"], stderr=subprocess.PIPE, cwd="/",
            user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[],
            env={"DOCKER_HOST": r.engine.host, "XDG_STATE_HOME": base,
                 **SAN})
        log = Log(p.stderr)
        log.wait("pulling it")
        s.accept()
        start = time.monotonic()
        p.send_signal(signal.SIGTERM)
        t.eq(p.wait(30), 0, "SIGTERM ends it in order")
        t.ok(time.monotonic() - start < 5, "at once")
        log.join(5)
        t.ok(not log.reports(), "without a report", log.reports())

def test_state_in_workspace(t, r):
    base = tempfile.mkdtemp(prefix="inside-", dir=r.sup.dir)
    os.chown(base, NOBODY.pw_uid, NOBODY.pw_gid)
    status, text = once(r.sup, r.engine, "--workspace", base,
                        env={"XDG_STATE_HOME": f"{base}/state"})
    t.eq(status, 1, "the executor's place within the workspace: refused")
    t.match("XDG_STATE_HOME", text, "with advice")

def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    if not ROOT:
        t.skip("an Engine of one's own needs root")
        return t.done()
    with Engine(group="nogroup") as engine, Supervisor(build) as sup:
        engine.build(IMAGE, "ENV FOO='bar baz'", 'CMD ["false"]')
        engine.build(JOE, "USER joe", 'ENTRYPOINT ["/bin/false"]')
        r = DockerRunner(sup, engine, "alice", "box")
        sup.runners.append(r)
        sup.shared_runner = r.program
        os.chmod(r.dir, 0o755)
        for test in tests_of(sys.modules[__name__]):
            if not wanted or any(w in test.__name__ for w in wanted):
                t.run(test, r)
        verdict(t, sup)
    return t.done()

if __name__ == "__main__":
    sys.exit(main())
