# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What only containers do: made, found again, killed, full, hostile."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../clients"))

import dockerd
from streams_test import LINES, Reader, expected, task
from sandboxes import IMAGE, Sandboxes, container
from ws import WebSocket
from xbot import Client, alive, quote, sanitized, verdict, wait_for


@contextlib.contextmanager
def running(t, build, engine, *args, **more):
    """A supervisor whose containers go with it"""
    with Sandboxes(build, engine, *args, **more) as sup:
        try:
            yield sup
            where = t.where
            verdict(t, sup)
            t.where = where
        finally:
            with contextlib.suppress(RuntimeError):
                for line in engine.docker("ps", "-aq", "--filter",
                                          "label=xbot.sandbox.user").split():
                    engine.docker("rm", "-f", line, ok=False)


def later(function, *args):
    """-> a thread and the list that its answer comes into"""
    got = []
    thread = threading.Thread(target=lambda: got.append(function(*args)))
    thread.start()
    return thread, got


def sleeper(sup, user, command="echo there; sleep 1000"):
    """A command that runs -> thread, its NDJSON lines to come"""
    started = threading.Event()
    lines = []

    def run():
        with Client(sup.port, sup.token, timeout=120) as c:
            a = c.open("POST", f"/v1/users/{quote(user)}/exec",
                       {"command": command, "timeout": 600},
                       {"Accept": "application/x-ndjson"})
            for line in a:
                lines.append(json.loads(line))
                started.set()
        started.set()
    thread = threading.Thread(target=run)
    thread.start()
    started.wait(60)
    return thread, lines


def broken(t, lines, pattern, text):
    """The command ended with an error, and nobody made up an exit code"""
    last = lines[-1] if lines else {}
    t.ok("error" in last and "exit_code" not in last, f"{text}: an error",
         lines)
    t.match(pattern, last.get("error", {}).get("message", ""),
            f"{text}: why")


def test_made(t, build, engine):
    """Name, hostname, label, mounts, limits as they are configured."""
    with running(t, build, engine, "memory 256M\n\tcpus 1.5\n\tpids 100\n\t"
                 "capabilities drop NET_RAW CHOWN") as sup:
        t.eq(sup.sh("bob", "hostname; pwd; id -u"), "xbot-bob\n/workspace\n0\n",
             "a command")
        got = container(engine, "xbot-bob")
        h, c = got["HostConfig"], got["Config"]
        t.eq((c["Labels"].get("xbot.sandbox.user"), c["Image"]),
             ("bob", IMAGE), "label and image")
        t.eq((h["Memory"], h["MemorySwap"], h["CpuQuota"], h["PidsLimit"],
              sorted(c.replace("CAP_", "") for c in h["CapDrop"]),
              h["SecurityOpt"], h["NetworkMode"]),
             (256 << 20, 256 << 20, 150000, 100, ["CHOWN", "NET_RAW"], ["no-new-privileges"], "none"),
             "limits and hardening")
        mounts = {m["Destination"]: (m["Source"], m["RW"])
                  for m in got["Mounts"]}
        t.eq(mounts, {"/workspace": (f"{sup.hostwork}/bob", True),
                      "/.xbot": (f"{sup.state}/box/bob", False)}, "mounts")
        sup.sh("bob", "echo kept >f")
        with open(f"{sup.hostwork}/bob/f", encoding="ascii") as f:
            t.eq(f.read(), "kept\n", "the workspace is the host's")
        t.match("started", engine.docker("logs", "xbot-bob"),
                "docker logs tells of it")
        a = sup.client.exec("bob", "echo x >/.xbot/executor")
        t.ok(a.json["exit_code"] != 0, "what is ours cannot be written", a)
        for user, name in (("a.b-c_d", "xbot-a.b-c_d"),
                           ("Alice@x:1", "xbot-x--ifwgsy3fib4dumi"),
                           ("a..b", "xbot-x--mexc4yq")):
            sup.client.exec(user, "true")
            got = container(engine, name)
            t.eq(got and got["Config"]["Labels"]["xbot.sandbox.user"], user,
                 f"{user} is {name}")
        user = "L" * 128
        t.eq(len(sup.sh(user, "hostname").strip()), 63,
             "the longest of ids, a hostname cut")
        a = sup.client.call("GET", "/readyz").json["workers"]
        t.eq({a.get(r) for r in ("box", "docker", "reaper")}, {"up"},
             "readyz names the workers")
        a = sup.client.call("GET", "/v1/users/bob/runners").json["runners"]
        t.eq((a[0]["name"], a[0]["online"]), ("__docker__", True),
             "the runner __docker__ is online")


def test_found_again(t, build, engine):
    """Nothing of ours that ends ends a container, or a task in it."""
    with running(t, build, engine) as sup:
        ident = sup.client.call("POST", "/v1/users/bob/tasks",
                                {"command": "echo on; sleep 1000"}
                                ).json["task_id"]
        before = container(engine, "xbot-bob")["State"]["StartedAt"]

        def same(text):
            a = sup.client.exec("bob", "echo again")
            t.eq((a.status, a.json.get("stdout")), (200, "again\n"),
                 f"{text}: served again")
            t.eq(container(engine, "xbot-bob")["State"]["StartedAt"], before,
                 f"{text}: by the same container")
            a = sup.client.call("GET", f"/v1/users/bob/tasks/{ident}").json
            t.eq((a.get("status"), a.get("stdout")), ("running", "on\n"),
                 f"{text}: its task runs on")
        for role in ("docker", "box", "ledger", "front", "reaper"):
            sup.restart(role)
            same(f"kill -9 of {role}")
        thread, lines = sleeper(sup, "bob")
        sup.restart("box")
        thread.join()
        broken(t, lines, "lost|ended", "a command whose box was killed")
        below = sup.roles().values()
        sup.process.kill()
        sup.process.wait()
        wait_for("the end of its processes",
                 lambda: not any(alive(p) for p in below))
        for c in sup.clients:
            c.close()
        sup.start()
        same("kill -9 of the supervisor")
        sup.process.terminate()
        t.eq(sup.process.wait(60), 0, "SIGTERM ends it in order")
        t.ok(engine.running("xbot-bob"), "and leaves the container alone")
        sup.start()
        same("a new start")
        t.eq(sup.client.call("DELETE", f"/v1/users/bob/tasks/{ident}").status,
             204, "and the task can be ended")


def test_task_stream(t, build, engine):
    """A stream that is opened again after each kill misses nothing."""
    victims = ("box", "docker", "front") * 3
    with running(t, build, engine) as sup:
        ident = task(sup, f"sleep 3; seq 1 {LINES}; exit 5")
        reader, killed = Reader(sup, ident), 0
        total = sum(len(f"{i}\n") for i in (1, LINES)) * LINES // 2

        def kill(r):
            nonlocal killed
            if killed < len(victims) and \
                    r.bytes > total * (killed + 1) // (len(victims) + 3):
                sup.restart(victims[killed])
                killed += 1
        reader.run(kill)
        t.eq((killed, reader.opened > 3), (len(victims), True),
             "kill -9 of " + ", ".join(victims))
        t.eq(reader.sum.hexdigest(), expected(LINES),
             f"{LINES} lines, each once and in order")
        t.eq((reader.last.get("exit_code"), reader.last.get("truncated")),
             (5, False), "the real exit code")


def test_behind_our_back(t, build, engine):
    """docker kill, stop, rm, pause by an administrator."""
    with running(t, build, engine) as sup:
        sup.sh("carol", "true")
        for words, why in ((["kill", "xbot-bob"], "^killed: "),
                           (["stop", "-t", "5", "xbot-bob"], "^stopped: "),
                           (["rm", "-f", "xbot-bob"], "^killed: ")):
            thread, lines = sleeper(sup, "bob")
            engine.docker(*words)
            thread.join()
            broken(t, lines, why, f"docker {words[0]}")
            t.eq(sup.sh("bob", "echo back"), "back\n",
                 f"docker {words[0]}: the next is served")
            t.eq(sup.sh("carol", "echo here"), "here\n", "others always")
        engine.docker("kill", "xbot-bob")
        t.eq(sup.sh("bob", "echo at once"), "at once\n",
             "killed while nothing ran: nobody notices")
        thread, lines = sleeper(sup, "bob", "echo a; sleep 1; echo b")
        mark = sup.log.mark()
        engine.docker("pause", "xbot-bob")
        sup.log.wait("was paused", mark)
        second, got = later(sup.connect().exec, "bob", "echo waited")
        t.eq(sup.sh("carol", "echo here"), "here\n",
             "one is paused, others go on")
        engine.docker("unpause", "xbot-bob")
        second.join()
        thread.join()
        t.eq(got[0].json.get("stdout"), "waited\n", "unpaused: what came meanwhile is "
             "served")
        t.eq([x.get("stdout") for x in lines[:-1]], ["a\n", "b\n"],
             "and what ran goes on")
        engine.docker("rename", "xbot-bob", "xbot-moved")
        a = sup.client.exec("bob", "echo x")
        t.eq(a.status, 200, "renamed: its connection is still there")
        engine.docker("rename", "xbot-moved", "xbot-bob")


def test_images(t, build, engine):
    """Whatever an image asks for: it works, or the reason is said."""
    engine.build("xbot-test/joe:1", "USER joe", 'ENTRYPOINT ["/bin/false"]',
                 'CMD ["nothing"]', "WORKDIR /home/joe", "ENV A=from-image",
                 "VOLUME /data", "EXPOSE 80")
    with running(t, build, engine, image="xbot-test/joe:1") as sup:
        t.eq(sup.sh("bob", "id -un; pwd; echo $A; touch f && echo wrote"),
             "joe\n/workspace\nfrom-image\nwrote\n",
             "USER, ENTRYPOINT, CMD, WORKDIR, ENV")
        a = sup.client.file("PUT", "bob", "g", b"x")
        t.eq((a.status, sup.sh("bob", "stat -c %U g")), (204, "joe\n"),
             "files are USER's")
    engine.build("xbot-test/ghost:1", "USER ghost")
    with running(t, build, engine, image="xbot-test/ghost:1") as sup:
        a = sup.client.exec("bob", "id")
        t.eq(a.code, "EIO", "a USER that does not exist")
        t.match("ended at once", a.json["error"]["message"], "and why")
    engine.docker("import", "-", "xbot-test/bare:1", stdin=bare())
    with running(t, build, engine, image="xbot-test/bare:1") as sup:
        a = sup.client.exec("bob", "echo x")
        t.eq(a.code, "ENOENT", "an image without a shell: no command of one")
        t.eq(sup.sh("bob", None, args=["/busybox", "echo", "direct"]),
             "direct\n", "but programs")
        t.eq(sup.client.file("PUT", "bob", "f", b"abc").status, 204,
             "and files")
    with running(t, build, engine, "pull never",
                 image="127.0.0.1:1/no/such:1") as sup:
        a = sup.client.exec("bob", "id")
        t.eq(a.code, "EIO", "an image that is not here, pull never")
        t.match("not to be pulled", a.json["error"]["message"], "and why")
    with running(t, build, engine, image="127.0.0.1:1/no/such:1") as sup:
        a = sup.client.exec("bob", "id")
        t.eq(a.code, "EIO", "one that cannot be pulled")
        t.match("cannot pull", a.json["error"]["message"], "and why")
    with dockerd.Registry(engine) as registry:
        name = f"127.0.0.1:{registry.port}/xbot/pulled:1"
        engine.docker("tag", IMAGE, name)
        engine.docker("push", name)
        engine.docker("rmi", name)
        with running(t, build, engine, image=name) as sup:
            t.eq(sup.sh("bob", "echo pulled"), "pulled\n",
                 "one that is pulled")
        engine.docker("rmi", "-f", name, ok=False)


def test_odd_files(t, build, engine):
    """What only a container shows of itself, and tools that are none."""
    with running(t, build, engine) as sup:
        want = sup.sh("bob", "cat /proc/version /proc/filesystems")
        got = b"".join(sup.client.file("GET", "bob", f"/proc/{name}").body
                       for name in ("version", "filesystems"))
        t.eq(got.decode(), want, "files that say that they have 0 bytes")
        name = "/sys/kernel/mm/transparent_hugepage/enabled"
        t.eq(sup.client.file("GET", "bob", name).body.decode(),
             sup.sh("bob", "cat " + name), "one that says it has a page")
        a = sup.client.file("GET", "bob", "/proc/1/mem")
        t.eq((a.status, a.body), (200, b""), "and one that shows nothing")
        sup.sh("bob", "rm -f /bin/curl; cat >/bin/wget; chmod +x /bin/wget",
               stdin="#!/bin/sh\ncase $* in *max-redirect*) "
               "echo 'unrecognized option' >&2;; esac\nexit 1\n")
        a = sup.client.call("POST", "/v1/users/bob/download", {
            "url": "http://127.0.0.1:1/", "output_path": "x"})
        t.eq((a.code, a.json["error"]["message"]),
             ("EIO", "the download failed"),
             "a download that says nothing: nor do those before it")


def bare():
    """One program, no shell, nothing else"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(dockerd.BUSYBOX, "busybox")
    return out.getvalue()


def test_foreign(t, build, engine):
    """A container of that name that is not ours is not touched."""
    ident = engine.docker("run", "-d", "--name", "xbot-bob", "--network",
                          "none", IMAGE, "sleep", "1000")
    with running(t, build, engine) as sup:
        a = sup.client.exec("bob", "id")
        t.eq(a.code, "EIO", "is refused")
        t.match("not this user's sandbox", a.json["error"]["message"],
                "and why")
        t.eq(sup.sh("carol", "echo x"), "x\n", "others are served")
        t.eq(container(engine, "xbot-bob")["Id"], ident, "it is still there")
    t.ok(engine.running("xbot-bob"), "and runs")
    engine.docker("rm", "-f", ident)


def test_many(t, build, engine):
    """Users side by side: each is made once, none waits for another."""
    with running(t, build, engine) as sup:
        sup.sh("pat", "true")
        mark = sup.log.mark()
        engine.docker("pause", "xbot-pat")
        sup.log.wait("was paused", mark)
        paused, answer = later(sup.connect(timeout=120).exec, "pat", "true")
        users = [f"user{n}" for n in range(24)]
        threads = [later(lambda u: Client(sup.port, sup.token, 120).exec(
            u, "hostname"), user) for user in users + users]
        for thread, _ in threads:
            thread.join()
        answers = [got[0] for _, got in threads]
        t.eq({a.status for a in answers}, {200}, "all are served")
        t.eq([a.json["stdout"].strip() for a in answers],
             [f"xbot-{u}" for u in users + users], "each by its own")
        names = engine.docker("ps", "-a", "--format", "{{.Names}}").split()
        t.eq(sorted(n for n in names if n.startswith("xbot-user")),
             sorted(f"xbot-{u}" for u in users), "one container each")
        made = sum("was made from" in line for line in sup.log.since())
        t.eq(made, len(users) + 1, "made once each")
        t.note(f"kB at most: {sup.memory()}")
        paused.join()
        t.ok(answer[0].code == "EBUSY" and
             answer[0].headers.get("Retry-After"),
             "one that stays paused: EBUSY after half a minute", answer)
        t.eq(sup.client.exec("pat", "true").code, "EBUSY", "the next at once")
        engine.docker("unpause", "xbot-pat")
        wait_for("service", lambda: sup.client.exec(
            "pat", "true").status == 200)


def used_up(t, sup):
    """Who is killed because memory is used up is told so, and only he."""
    eater = "head -c 200000000 /dev/zero | tail"

    def told(a):
        return a.get("exit_code"), a.get("limit")
    a = sup.client.exec("bob", eater, timeout=60)
    t.eq(told(a.json), (137, "memory"), "memory: 137 and the limit, of a "
         "shell's last command")
    a = sup.client.exec("bob", "x", shell=False, timeout=60,
                        args=["awk", "BEGIN { s = \"0123456789abcdef\"; "
                              "while (1) s = s s }"])
    t.eq(told(a.json), (137, "memory"), "memory: and of a program")
    lines = list(sup.client.open("POST", "/v1/users/bob/exec",
                                 {"command": eater},
                                 {"Accept": "application/x-ndjson"}))
    t.eq(told(json.loads(lines[-1])), (137, "memory"),
         "memory: in the last of lines")
    task = sup.client.call("POST", "/v1/users/bob/tasks",
                           {"command": eater}).json["task_id"]
    path = f"/v1/users/bob/tasks/{task}"
    lines = list(sup.client.open("GET", path + "/stream"))
    t.eq(told(json.loads(lines[-1])), (137, "memory"),
         "memory: of a task that is followed")
    t.eq(told(sup.client.call("GET", path).json), (137, "memory"),
         "memory: of one that is looked at")
    with WebSocket(sup.port, "/v1/users/bob/stdio?command=sh&arg=-c&arg=" +
                   quote(eater), sup.token) as ws:
        t.eq(told(ws.end()[0]), (137, "memory"), "memory: at a stream's end")
    p = sup.admin("exec", "-u", "bob", "sh", "-c", eater)
    t.eq((p.returncode, p.stderr.count(b"ran out of memory")), (137, 1),
         "memory: xbot-admin exec exits so and says why")
    a = sup.client.exec("bob", "kill -9 $$")
    t.eq(told(a.json), (137, None), "memory: not of one that somebody killed")
    a = sup.client.exec("bob", f"{eater}; echo survived")
    t.eq((told(a.json), a.json["stdout"]), ((0, None), "survived\n"),
         "memory: nor of one that went on")


def test_memory(t, build, engine):
    """A container that uses up its memory or its processes."""
    with running(t, build, engine, "memory 64M\n\tpids 40") as sup:
        sup.sh("carol", "true")
        used_up(t, sup)
        t.eq(sup.sh("bob", "echo on"), "on\n", "memory: the next is served")
        a = sup.client.exec("bob", "for i in $(seq 100); do sleep 5 & done; "
                            "wait", timeout=30)
        t.ok(a.status == 200 and (a.json["exit_code"] != 0 or
                                  a.json["stderr"]) or a.code in
             ("EIO", "EBUSY"), "processes: its command fails", a)
        thread, lines = sleeper(sup, "bob")
        engine.docker("kill", "xbot-bob")
        thread.join()
        broken(t, lines, "^killed: ", "docker kill, after jobs used up memory")
        # the executor, a shell and these: 40
        thread, _ = sleeper(sup, "dan", "for i in $(seq 38); do sleep 1000 & "
                            "done; echo full; wait")
        a = sup.client.exec("dan", "true")
        t.eq(a.code, "EBUSY", "no process is left: busy")
        t.match("^pids: ", a.json["error"]["message"], "of type pids")
        t.eq(sup.sh("carol", "echo on"), "on\n", "others do not notice")
        engine.docker("rm", "-f", "xbot-dan")
        thread.join()


def test_engine_away(t, build, engine):
    """An Engine that is not there, comes, goes, is killed, comes again."""
    with dockerd.Engine(group="docker") as own:
        own.build(IMAGE)
        own.stop()
        with running(t, build, own) as sup:
            a = sup.client.exec("bob", "id")
            t.ok(a.code == "EOFFLINE" and a.headers.get("Retry-After"),
                 "not there: EOFFLINE, Retry-After", a)
            t.match("no Docker Engine", a.json["error"]["message"], "and why")
            t.ok(sup.ready(), "our own processes are ready")
            mark = sup.log.mark()
            own.start()
            t.eq(sup.sh("bob", "echo one"), "one\n", "it comes")
            sup.log.wait("Engine is there", mark)
            mark = sup.log.mark()
            own.kill()
            sup.log.wait("Engine has gone", mark)
            t.eq(sup.sh("bob", "echo two"), "two\n",
                 "killed: containers go on without it")
            a = sup.client.exec("carol", "id")
            t.eq(a.code, "EOFFLINE", "new ones have to wait")
            own.start()
            sup.log.wait("Engine is there", mark)
            wait_for("service", lambda: sup.client.exec(
                "bob", "echo three").status == 200)
            t.eq(sup.sh("carol", "echo four"), "four\n", "it comes again")
            users = [f"mid{n}" for n in range(6)]
            threads = [later(sup.connect().exec, user, "true")
                       for user in users]
            wait_for("a container", lambda: "mid" in own.docker(
                "ps", "-a", "--format", "{{.Names}}", ok=False))
            own.kill()
            for thread, _ in threads:
                thread.join()
            t.ok(all(got[0].status == 200 or got[0].code in
                     ("EOFFLINE", "EIO") for _, got in threads),
                 "killed in the middle: served, or an error",
                 [got for _, got in threads])
            own.start()
            for user in users:
                wait_for(f"service of {user}", lambda u=user:
                         sup.client.exec(u, "true").status == 200)
            names = [n for n in own.docker(
                "ps", "-a", "--format", "{{.Names}}").split() if "mid" in n]
            t.eq(sorted(names), [f"xbot-{u}" for u in users],
                 "then all are served, each by one container")
        os.chmod(own.socket, 0o600)
        with running(t, build, own) as sup:
            a = sup.client.exec("bob", "id")
            t.eq(a.code, "EOFFLINE", "a socket that may not be used")
            t.match("may not use it", a.json["error"]["message"], "and why")
        os.chmod(own.socket, 0o660)


def test_hostile(t, build, engine):
    """An executor that is none: a program that floods the socket."""
    source = os.path.join(engine.dir, "hostile.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(FLOOD)
    binary = source[:-2]
    subprocess.run(["musl-gcc", "-static", "-o", binary, source], check=True)
    with open(binary, "rb") as f:
        program = f.read()
    with running(t, build, engine) as sup:
        sup.sh("carol", "true")
        sup.sh("bob", "true")
        for what in ("garbage", "zeros", "huge"):
            engine.docker("stop", "-t", "1", "xbot-bob")
            replace(sup, "bob", program.replace(
                b"MODE=xxxxxxx", b"MODE=" + what.encode().ljust(7, b"\0")))
            engine.docker("start", "xbot-bob")
            mark = sup.log.mark()
            a = sup.client.exec("bob", "echo x", timeout=20)
            t.ok(a.code in ("EIO", "EOFFLINE"), f"{what}: an error", a)
            sup.log.wait("broke the protocol", mark)
            t.eq(sup.sh("carol", "echo on"), "on\n",
                 f"{what}: others do not notice")
            t.eq(sup.sh("bob", "echo new"), "new\n",
                 f"{what}: he gets another executor")
        t.ok(sup.ready(), "and all is well")


def replace(sup, user, program):
    path = f"{sup.state}/box/{user}/executor"
    os.unlink(path)
    with open(path, "wb") as f:
        f.write(program)
    os.chmod(path, 0o555)


FLOOD = r"""
#include <sys/socket.h>
#include <sys/un.h>
#include <string.h>
#include <unistd.h>
static char mode[] = "MODE=xxxxxxx";
int
main(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	unsigned char b[65536];
	volatile char *m = mode + 5;
	int fd, i;

	strcpy(sun.sun_path, "/.xbot/sock");
	for (i = 0; i < 3000; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
			break;
		close(fd);
		usleep(10000);
	}
	memset(b, *m == 'z' ? 0 : 0x5a, sizeof(b));
	if (*m == 'h')
		memset(b, 0xff, 4);
	while (write(fd, b, sizeof(b)) > 0)
		;
	for (;;)
		pause();
}
"""


def test_privileges(t, build, engine):
    """tests/priv/live.py looks at the running processes."""
    if sanitized(build):
        t.skip("a sanitizer build has no sandbox")
        return
    with running(t, build, engine) as sup:
        sup.sh("bob", "true")
        got = subprocess.run(
            [sys.executable, os.path.join(HERE, "../priv/live.py"), "--probe",
             os.path.join(sup.build, "tests/priv_probe"), "--state",
             sup.state, "--expect", "front,control,ledger,box,docker,reaper",
             "--stderr", str(sup.pid)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        lines = got.stdout.splitlines()
        t.note("\n".join(x for x in lines if x.startswith("not ok")))
        t.ok(got.returncode == 0, f"live.py: {lines[-1] if lines else ''}")
