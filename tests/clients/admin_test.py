#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-admin as its user runs it: against a supervisor, and against daemons
that lie.

usage: admin_test.py BUILDDIR [test ...]
"""
import base64
import grp
import hashlib
import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))

import admin_tasks
from xbot import (DEADLINE, ROOT, SAN, Skip, Supervisor, Tap, alive, status,
                  tests_of, verdict, wait_for)

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **SAN}


def run(t, sup, *words, code=0, **more):
    """stdout and stderr as text; the exit status is checked."""
    p = sup.admin(*words, **more)
    out, err = (b.decode(errors="backslashreplace")
                for b in (p.stdout, p.stderr))
    if p.returncode != code:
        t.ok(False, f"{' '.join(words)}: status {p.returncode}, not {code}",
             out + err)
    return out, err


def rows(text):
    """A table as a list of its rows."""
    return [line.split() for line in text.splitlines()]


def start(sup, *words, **more):
    return subprocess.Popen(
        [f"{sup.build}/xbot-admin", "-s", sup.socket, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=ENV, **more)


def path(sup, name, content=None):
    full = os.path.join(sup.dir, name)
    if content is not None:
        with open(full, "wb") as f:
            f.write(content)
    return full


def read(name):
    with open(name, "rb") as f:
        return f.read()


# --- the command line ---

USAGE = [
    [], ["nothing"], ["statu"], ["status", "x"], ["status", "-u", "bob"],
    ["-q"], ["-s"], ["runner"], ["runner", "lis"], ["token"],
    ["exec", "ls"], ["exec", "-u", "bob"], ["exec", "-u"],
    ["exec", "-u", ".bob", "ls"], ["exec", "-u", "", "ls"],
    ["exec", "-u", "b/b", "ls"], ["exec", "-u", "bob", "-t", "0", "ls"],
    ["exec", "-u", "bob", "-t", "3601", "ls"],
    ["exec", "-u", "bob", "-t", "-1", "ls"],
    ["exec", "-u", "bob", "-t", "1s", "ls"],
    ["exec", "-u", "bob", "-q", "ls"],
    ["exec", "-u", "bob", "--llm-model", "x", "ls"],
    ["cp", "-u", "bob", "a", "b"], ["cp", "-u", "bob", ":a", ":b"],
    ["cp", "-u", "bob", "a"], ["log"], ["log", "loud"], ["route"],
    ["runner", "rename", "-u", "bob", "a"],
    ["runner", "create", "-u", "bob", "--llm-api-key", "s3cret", "a"],
    ["runner", "create", "-u", "bob", "--llm-api-key=s3cret", "a"],
    ["token", "create"], ["token", "create", "-s", "-u", "bob"],
    ["token", "revoke"], ["token", "list", "x"], ["reload", "x"],
    ["shell"], ["shell", "-u", "bob", "x"], ["task"], ["task", "list"],
    ["task", "start", "-u", "bob"], ["task", "show", "-u", "bob"],
    ["task", "follow", "-u", "bob", "x", "y"], ["events", "x"],
    ["runner", "llm", "-u", "bob", "x"], ["runner", "llm", "-u", "bob"],
    ["sandbox"], ["sandbox", "list", "x"], ["sandbox", "show"],
    ["sandbox", "stop", "-u", "bob", "x"], ["sandbox", "drop", "-u", "bob"],
]


def test_usage(t, sup):
    for words in USAGE:
        out, err = run(t, sup, *words, code=2)
        t.ok(out == "" and "usage: xbot-admin" in err and "s3cret" not in err,
             f"{' '.join(words) or 'no word'}: usage on stderr", out + err)
    out, err = run(t, sup, "exec", "-u", "bob", code=2)
    t.match(r"\texec -u user .*\n.*\n$", err, "the usage is the verb's own")
    out, err = run(t, sup, "-V")
    t.match(r"^xbot-admin \d+\.\d+\n$", out, "-V prints the version")


# --- the supervisor ---

def test_status(t, sup):
    out, err = run(t, sup, "status")
    t.eq(err, "", "nothing on stderr")
    table = {r[0]: r for r in rows(out) if len(r) > 4}
    pids = sup.roles()
    for name in ("front", "control", "ledger", "none", "remote"):
        t.eq(table.get(name, [])[:4], [name, "up", str(pids.get(name)), "0"],
             f"{name} is up, with its pid")
    t.match(r"(?m)^sandbox +none, remote$", out, "the kinds of sandbox")
    out, err = run(t, sup, "-j", "status")
    a = json.loads(out)
    t.eq({w["name"]: w["pid"] for w in a["workers"]}, pids,
         "-j: the answer as it is")
    os.kill(pids["none"], signal.SIGKILL)
    wait_for("a restart", lambda: next(
        w["restarts"] for w in json.loads(run(t, sup, "-j", "status")[0])
        ["workers"] if w["name"] == "none") == 1)
    wait_for("none is up", lambda: ["none", "up"] in [
        r[:2] for r in rows(run(t, sup, "status")[0])])
    served(sup)
    t.ok(True, "a restart is counted")


def test_route_and_users(t, sup):
    out, err = run(t, sup, "route", "-u", "nobody-yet")
    t.match(r"^backend  none\nrunner   -\nreason   ", out, "on the host")
    out, err = run(t, sup, "-j", "route", "-u", "nobody-yet")
    t.eq(json.loads(out)["backend"], "none", "-j")
    out, err = run(t, sup, "users")
    t.eq(rows(out)[0], ["USER", "RUNNERS", "ONLINE", "ACTIVE"], "users' head")


def test_reload_and_log(t, sup):
    run(t, sup, "reload")
    sup.configure("sandbox wherever\n")
    out, err = run(t, sup, "reload", code=1)
    t.match(r"^xbot-admin: EINVAL: .*xbot.conf:\d+: ", err,
            "a fault is told with file and line")
    out, err = run(t, sup, "-j", "reload", code=1)
    t.eq(json.loads(err)["error"]["code"], "EINVAL", "-j: in JSON")
    sup.configure("")
    run(t, sup, "reload")
    run(t, sup, "log", "verbose")
    mark = sup.log.mark()
    run(t, sup, "exec", "-u", "verbose-1", "true")
    t.match("executor of verbose-1", sup.log.wait(" debug ", mark),
            "log verbose: more is said")
    run(t, sup, "log", "brief")
    mark = sup.log.mark()
    run(t, sup, "exec", "-u", "verbose-2", "true")
    t.ok(not any(" debug " in line for line in sup.log.since(mark)),
         "log brief: no more")


# --- exec ---

def test_exec_forms(t, sup):
    out, err = run(t, sup, "exec", "-u", "bob", "printf", "%s|", "a  b",
                   "$HOME", "*", "-n", "")
    t.eq(out, "a  b|$HOME|*|-n||", "words are an argument vector")
    out, err = run(t, sup, "exec", "-u", "bob", 'for i in 1 2; do echo $i; '
                   'done; echo oops >&2; exit 7', code=7)
    t.eq((out, err), ("1\n2\n", "oops\n"), "one word is for the shell")
    out, err = run(t, sup, "exec", "-u", "bob", "--", "printf", "--", "-x")
    t.eq(out, "-x", "-- ends our options")
    out, err = run(t, sup, "exec", "-u", "bob", "-e", "A=1 2", "-e", "B=",
                   "-d", ".", 'echo "$A,${B-none}"; pwd')
    t.eq(out, f"1 2,\n{sup.work}/bob\n", "-e and -d")
    out, err = run(t, sup, "exec", "-u", "bob", "-e", "NAME", "true", code=1)
    t.match("^xbot-admin: EINVAL: env", err, "-e without a value")
    out, err = run(t, sup, "exec", "-u", "bob", "printf é; printf ü >&2")
    t.eq((out, err), ("é", "ü"), "UTF-8")


def test_exec_not_utf8(t, sup):
    p = sup.admin("exec", "-u", "bob", "echo", b"\xff")
    t.eq((p.returncode, p.stdout), (1, b""), "a word that JSON cannot hold")


def test_exec_ends(t, sup):
    for command, code in (("exit 0", 0), ("exit 1", 1), ("exit 2", 2),
                          ("exit 255", 255), ("kill -TERM $$", 143),
                          ("kill -KILL $$", 137)):
        out, err = run(t, sup, "exec", "-u", "bob", command, code=code)
        t.eq((out, err), ("", ""), f"{command}: only the status")
    began = time.monotonic()
    out, err = run(t, sup, "exec", "-u", "bob", "-t", "1",
                   "echo early; sleep 100", code=124)
    t.eq(out, "early\n", "what came before the deadline is there")
    t.match("timed out", err, "that it timed out is said")
    t.ok(time.monotonic() - began < 30, "and not after 100 seconds")
    out, err = run(t, sup, "exec", "-u", "bob", "no-such-program", "x",
                   code=1)
    t.match("^xbot-admin: ENOENT: no-such-program", err, "no such program")
    out, err = run(t, sup, "exec", "-u", "bob", "-d", "../..", "true", code=1)
    t.match("^xbot-admin: EPERM: ", err, "outside of the workspace")


def test_exec_bytes(t, sup):
    data = os.urandom(3 << 20)
    run(t, sup, "cp", "-u", "bob", path(sup, "random", data), ":random")
    p = sup.admin("exec", "-u", "bob", "cat random; head -c 100000 random >&2")
    t.eq(hashlib.sha256(p.stdout).digest(), hashlib.sha256(data).digest(),
         "3 MiB of any bytes on stdout")
    t.ok(p.stderr == data[:100000], "and on stderr")
    p = sup.admin("exec", "-u", "bob", "printf 'a\\000b\\377'")
    t.eq(p.stdout, b"a\0b\xff", "NUL and 0xff")


def test_exec_live(t, sup):
    p = start(sup, "exec", "-u", "bob",
              "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two")
    t.eq(p.stdout.readline(), b"one\n", "a line comes while it still runs")
    t.eq(p.poll(), None, "it runs")
    run(t, sup, "exec", "-u", "bob", "touch go")
    out, err = p.communicate(timeout=DEADLINE)
    t.eq((out, p.returncode), (b"two\n", 0), "then the rest")
    run(t, sup, "exec", "-u", "bob", "rm go")


def served(sup):
    wait_for("commands run again", lambda: sup.admin(
        "exec", "-u", "bob", "true").returncode == 0)


def begun(sup, t, *words):
    """A command that told its pid, and would run on."""
    p = start(sup, *words, "echo $$; sleep 1000; true")
    return p, int(p.stdout.readline())


def test_exec_interrupted(t, sup):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        p, pid = begun(sup, t, "exec", "-u", "bob")
        t.ok(alive(pid), "it runs")
        p.send_signal(sig)
        t.eq(p.wait(DEADLINE), -sig, f"{sig.name} ends us")
        wait_for("the command's end", lambda: not alive(pid))
        t.ok(True, f"{sig.name}: and the command")
        p.communicate()
    p = start(sup, "exec", "-u", "bob", "echo $$; exec yes")
    pid = int(p.stdout.readline())
    p.stdout.close()
    t.eq(p.wait(DEADLINE), -signal.SIGPIPE, "nobody reads: SIGPIPE")
    p.stderr.close()
    wait_for("the command's end", lambda: not alive(pid))
    t.ok(True, "and the command ends")
    with open("/dev/full", "wb") as full:
        q = subprocess.run([f"{sup.build}/xbot-admin", "-s", sup.socket,
                            "exec", "-u", "bob", "echo x; sleep 1000"],
                           stdout=full, stderr=subprocess.PIPE, env=ENV,
                           stdin=subprocess.DEVNULL, timeout=DEADLINE)
    t.eq((q.returncode, q.stderr), (1, b"xbot-admin: standard output: "
         b"No space left on device\n"), "a full disk ends it")


def test_exec_input(t, sup):
    data = os.urandom(700000)
    with open(path(sup, "in", data), "rb") as f:
        out, err = run(t, sup, "exec", "-u", "bob", "-i", "sha256sum",
                       stdin=f)
    t.eq(out.split()[0], hashlib.sha256(data).hexdigest(), "-i: 700 kB")
    with open(path(sup, "in", b"secret"), "rb") as f:
        out, err = run(t, sup, "exec", "-u", "bob", "cat", stdin=f)
    t.eq(out, "", "without -i nothing")
    data = os.urandom(2 << 20)
    with open(path(sup, "in", data), "rb") as f:
        out, err = run(t, sup, "exec", "-u", "bob", "-i", "sha256sum",
                       stdin=f)
    t.eq(out.split()[0], hashlib.sha256(data).hexdigest(), "-i: 2 MiB")
    with open(path(sup, "in", b"text"), "rb") as f:
        out, err = run(t, sup, "-j", "exec", "-u", "bob", "-i", "cat",
                       stdin=f)
    t.eq(json.loads(out.splitlines()[0])["stdout"], "text", "-j -i")
    with open(path(sup, "in", b"x" * (768 * 1024 + 1)), "rb") as f:
        out, err = run(t, sup, "-j", "exec", "-u", "bob", "-i", "cat",
                       stdin=f, code=1)
    t.match("longer than 786432 bytes", err, "-j -i: more is refused")
    with open(path(sup, "in", b"x" * (768 * 1024)), "rb") as f:
        out, err = run(t, sup, "-j", "exec", "-u", "bob", "-i", "wc -c",
                       stdin=f, code=1)
    t.match("E2BIG", err, "the body's own limit is the daemon's")
    leader, follower = os.openpty()
    out, err = run(t, sup, "-j", "exec", "-u", "bob", "-i", "cat",
                   stdin=follower, code=1)
    t.match("is a terminal", err, "-j -i is not for terminals")
    os.close(leader)
    os.close(follower)


def test_exec_json(t, sup):
    out, err = run(t, sup, "-j", "exec", "-u", "bob",
                   "echo a; echo b >&2; exit 3", code=3)
    lines = [json.loads(line) for line in out.splitlines()]
    t.eq(lines[-1]["exit_code"], 3, "-j: the last line has the status")
    t.eq("".join(x.get("stdout", "") for x in lines), "a\n", "stdout")
    t.eq("".join(x.get("stderr", "") for x in lines), "b\n", "stderr")
    out, err = run(t, sup, "-j", "exec", "-u", "bob", "nope", "x", code=1)
    t.eq((out, json.loads(err)["error"]["code"]), ("", "ENOENT"),
         "-j: an error is JSON on stderr")


def test_exec_lost(t, sup):
    p, pid = begun(sup, t, "exec", "-u", "bob")
    os.kill(sup.roles()["none"], signal.SIGKILL)
    out, err = p.communicate(timeout=DEADLINE)
    t.eq(p.returncode, 1, "a lost sandbox is status 1")
    t.match(rb"^xbot-admin: EIO: ", err, "and a message")
    wait_for("the command's end", lambda: not alive(pid))
    served(sup)
    p, pid = begun(sup, t, "exec", "-u", "bob")
    os.kill(sup.roles()["control"], signal.SIGKILL)
    out, err = p.communicate(timeout=DEADLINE)
    t.eq(p.returncode, 1, "a lost daemon is status 1")
    t.match(rb"^xbot-admin: the answer broke off", err, "and a message")
    wait_for("the command's end", lambda: not alive(pid))
    served(sup)


def test_runner_exec(t, sup):
    r = sup.runner("carol", "den")
    out, err = run(t, sup, "route", "-u", "carol")
    t.match(r"^backend  remote\nrunner   den\n", out, "route: her runner")
    out, err = run(t, sup, "exec", "-u", "carol", "pwd; id -u; exit 5",
                   code=5)
    t.eq(out, f"{r.workspace}\n{r.account.pw_uid if ROOT else os.getuid()}\n",
         "a command on a runner")
    data = os.urandom(1 << 20)
    run(t, sup, "cp", "-u", "carol", path(sup, "up", data), ":up")
    t.eq(read(os.path.join(r.workspace, "up")), data, "cp to a runner")
    run(t, sup, "cp", "-u", "carol", ":up", path(sup, "down"))
    t.eq(read(path(sup, "down")), data, "cp from a runner")
    out, err = run(t, sup, "runner", "list", "-u", "carol")
    t.eq(rows(out)[1][:4], ["den", "native", "yes", "yes"], "runner list")
    run(t, sup, "runner", "use", "-u", "carol", "-S", "chat 1/ü", "den")
    run(t, sup, "exec", "-u", "carol", "-S", "chat 1/ü", "true")
    run(t, sup, "cp", "-u", "carol", "-S", "chat 1/ü", ":up", "-")
    r.stop()
    r.wait_online(False)
    out, err = run(t, sup, "exec", "-u", "carol", "-S", "chat 1/ü", "true",
                   code=1)
    t.match("^xbot-admin: EOFFLINE: ", err, "a bound session stays bound")
    out, err = run(t, sup, "route", "-u", "carol", "-S", "chat 1/ü", code=1)
    t.match("^xbot-admin: EOFFLINE: ", err, "and so says route")
    run(t, sup, "runner", "use", "-u", "carol", "-S", "chat 1/ü", "")
    run(t, sup, "exec", "-u", "carol", "-S", "chat 1/ü", "true")
    t.ok(True, "until it is taken back with an empty name")


# --- cp ---

def test_cp(t, sup):
    data = os.urandom(9 << 20)
    here = path(sup, "big", data)
    os.chmod(here, 0o751)
    run(t, sup, "cp", "-u", "bob", here, ":big")
    there = os.path.join(sup.work, "bob", "big")
    t.eq(stat.S_IMODE(os.stat(there).st_mode), 0o751, "mode goes along")
    if ROOT:
        secret = path(sup, "secret", b"s")
        os.chmod(secret, 0)
        run(t, sup, "cp", "-u", "bob", secret, ":secret")
        t.eq(stat.S_IMODE(os.stat(os.path.join(
            sup.work, "bob", "secret")).st_mode), 0o400,
            "what nobody may read is not everybody's there")
    place = path(sup, "place")
    os.mkdir(place)
    run(t, sup, "cp", "-u", "bob", ":big", place)
    back = os.path.join(place, "big")
    t.ok(read(back) == data, "9 MiB there and back, into a directory")
    t.eq(stat.S_IMODE(os.stat(back).st_mode), 0o751 & ~0o22, "its mode")
    t.eq(os.listdir(place), ["big"], "nothing else")
    run(t, sup, "cp", "-u", "bob", "-p", here, ":new/dir/")
    t.ok(os.path.exists(os.path.join(sup.work, "bob/new/dir/big")),
         "-p makes directories; a slash keeps the name")
    odd = path(sup, "ü %&?#+ x", b"odd")
    run(t, sup, "cp", "-u", "bob", odd, ":")
    run(t, sup, "cp", "-u", "bob", ":ü %&?#+ x", place)
    t.eq(read(os.path.join(place, "ü %&?#+ x")), b"odd", "an odd name")
    run(t, sup, "cp", "-u", "bob", path(sup, "empty", b""), ":empty")
    run(t, sup, "cp", "-u", "bob", ":empty", back)
    t.eq(read(back), b"", "an empty file; what was there is replaced")
    with open(here, "rb") as f:
        run(t, sup, "cp", "-u", "bob", "-", ":piped", stdin=f)
    p = sup.admin("cp", "-u", "bob", ":piped", "-")
    t.ok(p.stdout == data, "from stdin, to stdout")
    run(t, sup, "cp", "-u", "bob", ":big", "/dev/null")
    t.ok(stat.S_ISCHR(os.stat("/dev/null").st_mode), "a device stays one")


def test_cp_refused(t, sup):
    place = path(sup, "refused")
    os.mkdir(place)
    old = path(sup, "refused/old", b"old")
    run(t, sup, "exec", "-u", "bob", "mkdir -p d; ln -sf /etc/passwd l")
    for src, dst, code in (
            (":nope", old, "ENOENT"), (":../../secret", old, "EPERM"),
            (":/etc/passwd", old, "EPERM"), (":l", old, "EPERM"),
            (":d", old, "is a directory"), (old, ":d", "EISDIR"),
            (old, ":d/x/y", "ENOENT"), (old, ":../x", "EPERM"),
            (old, ":l/x", "EPERM|ENOTDIR"),
            (place, ":x", "is a directory"),
            (place + "/none", ":x", "No such file"),
            (":l", place + "/no/dir", "EPERM")):
        out, err = run(t, sup, "cp", "-u", "bob", src, dst, code=1)
        t.match(code, err, f"{os.path.basename(src)} to "
                f"{os.path.basename(dst)}: {code}")
    t.eq((os.listdir(place), read(old)), (["old"], b"old"),
         "nothing has changed here")
    out, err = run(t, sup, "cp", "-u", "bob", ":", place, code=1)
    t.ok(err != "", "the workspace is no file")


def test_cp_interrupted(t, sup):
    place = path(sup, "interrupted")
    os.mkdir(place)
    run(t, sup, "exec", "-u", "bob", "truncate -s 3G huge")
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = start(sup, "cp", "-u", "bob", ":huge", place)
        wait_for("its beginning", lambda: any(
            os.stat(os.path.join(place, n)).st_size > 0
            for n in os.listdir(place)))
        p.send_signal(sig)
        t.eq(p.wait(DEADLINE), -sig, f"{sig.name} ends us")
        t.eq(os.listdir(place), [], "nothing is left here")
        p.communicate()
    r, w = os.pipe()
    p = subprocess.Popen([f"{sup.build}/xbot-admin", "-s", sup.socket, "cp",
                          "-u", "bob", "-", ":half"], stdin=r, env=ENV,
                         stderr=subprocess.PIPE)
    os.close(r)
    os.write(w, b"x" * 60000)
    place = os.path.join(sup.work, "bob")
    wait_for("its beginning", lambda: any(
        n.startswith(".xbot-") for n in os.listdir(place)))
    p.send_signal(signal.SIGINT)
    p.wait(DEADLINE)
    p.stderr.close()
    os.close(w)
    wait_for("no rest there", lambda: not any(
        n.startswith(".xbot-") for n in os.listdir(place)))
    t.ok(not os.path.exists(os.path.join(place, "half")),
         "half an upload leaves nothing there")
    run(t, sup, "exec", "-u", "bob", "rm huge")


def test_cp_memory(t, sup):
    """A gigabyte is streamed: our own memory stays small."""
    run(t, sup, "exec", "-u", "bob", "truncate -s 1G gig")
    with open("/dev/null", "wb") as null:
        p = subprocess.Popen([f"{sup.build}/xbot-admin", "-s", sup.socket,
                              "cp", "-u", "bob", ":gig", "-"], env=ENV,
                             stdin=subprocess.DEVNULL, stdout=null)
        most = 0
        while p.poll() is None:
            try:
                most = max(most, int(status(p.pid)["VmHWM"].split()[0]))
            except (OSError, KeyError):
                pass
            time.sleep(0.02)
    t.eq(p.returncode, 0, "1 GiB")
    if "asan" in sup.build or most > 200000:
        t.note(f"{most} kB resident, with a sanitizer?")
    else:
        t.ok(0 < most < 20000, f"{most} kB resident at most")
    run(t, sup, "exec", "-u", "bob", "rm gig")


# --- runners and tokens ---

def test_runners(t, sup):
    out, err = run(t, sup, "runner", "create", "-u", "dave", "one")
    given = dict(line.split(None, 1) for line in out.splitlines())
    t.eq(given["name"], "one", "create: the name")
    t.match(r"^[A-Za-z0-9_-]{43}$", given["token"], "the token")
    t.ok("/ws/dave" in given["command"] and
         given["token"] in given["command"], "the command", given["command"])
    out, err = run(t, sup, "runner", "create", "-u", "dave", "one", code=1)
    t.match("^xbot-admin: EEXIST: ", err, "it exists")
    key = path(sup, "key", b"sk-it's $me\n")
    out, err = run(t, sup, "runner", "create", "-u", "dave", "-m", "docker",
                   "-i", "debian:12", "-w", "/w", "--llm-provider",
                   "openai", "--llm-model=m", "--llm-base-url",
                   "https://x/v1", "--llm-api-key-file", key, "two")
    t.ok("sk-it" in out and "$me" in out, "the key is in the command", out)
    for content in (b"", b"x" * 1025, b"a\0b", b"a\nb\n"):
        path(sup, "key", content)
        run(t, sup, "runner", "create", "-u", "dave", "--llm-api-key-file",
            key, "three", code=1)
    run(t, sup, "runner", "create", "-u", "dave", "--llm-api-key-file",
        key + ".none", "three", code=1)
    out, err = run(t, sup, "runner", "list", "-u", "dave")
    t.eq([r[:4] for r in rows(out)[1:]],
         [["one", "native", "no", "yes"], ["two", "docker", "no", "no"]],
         "list: in order, the first is active")
    t.ok("sk-" not in out, "and no key")
    run(t, sup, "runner", "use", "-u", "dave", "two")
    out, err = run(t, sup, "users")
    t.ok(["dave", "2", "0", "two"] in rows(out), "use; users", out)
    run(t, sup, "runner", "rename", "-u", "dave", "two", "zwei")
    out, err = run(t, sup, "runner", "rotate", "-u", "dave", "zwei")
    t.match(r"(?m)^token +[A-Za-z0-9_-]{43}$", out, "rotate: a new token")
    run(t, sup, "runner", "llm", "-u", "dave", "--llm-provider",
        "anthropic", "--llm-model", "m2", "zwei")
    out, err = run(t, sup, "-j", "runner", "list", "-u", "dave")
    t.eq([(r["llm_provider"], r["llm_model"]) for r in
          json.loads(out)["runners"] if r["name"] == "zwei"],
         [("anthropic", "m2")], "llm: other settings")
    path(sup, "key", b"sk-other\n")
    out, err = run(t, sup, "runner", "llm", "-u", "dave",
                   "--llm-api-key-file", key, "zwei", code=1)
    t.match("^xbot-admin: (ENOTSUP|EOFFLINE): ", err,
            "llm: a key is for a runner that is there")
    t.ok("sk-other" not in err, "and not shown")
    run(t, sup, "runner", "llm", "-u", "dave", "--llm-model", "m", "none",
        code=1)
    run(t, sup, "runner", "delete", "-u", "dave", "one")
    out, err = run(t, sup, "runner", "delete", "-u", "dave", "one", code=1)
    t.match("^xbot-admin: ENOENT: ", err, "delete: once")
    for words in (["rename", "zwei", "../x"], ["create", "a b"],
                  ["create", ""], ["delete", "a/b"], ["use", "none"],
                  ["rotate", "none"], ["create", "__docker__"]):
        run(t, sup, "runner", words[0], "-u", "dave", *words[1:], code=1)
    out, err = run(t, sup, "-j", "runner", "list", "-u", "dave")
    t.eq([r["name"] for r in json.loads(out)["runners"]], ["zwei"], "-j")


def test_tokens(t, sup):
    out, err = run(t, sup, "token", "create", "-s", "-n", "the agent")
    token = out.strip()
    t.match(r"^[A-Za-z0-9_-]{43}\n$", out, "a token, and nothing else")
    t.eq(err, "", "nothing on stderr")
    with sup.connect(token) as c:
        t.eq(c.exec("bob", "true").status, 200, "it is a service token")
        out, err = run(t, sup, "token", "list")
        ident = next(r[0] for r in rows(out) if r[3:5] == ["the", "agent"])
        t.ok(token not in out, "list does not know it")
        run(t, sup, "token", "revoke", ident)
        t.eq(c.exec("bob", "true").status, 401, "revoked: at once")
    out, err = run(t, sup, "-j", "token", "create", "-u", "bob")
    made = json.loads(out)
    with sup.connect(made["token"]) as c:
        t.eq(c.exec("bob", "true").status, 200, "a user's token, for him")
        t.eq(c.exec("alice", "true").status, 403, "and nobody else")
    run(t, sup, "token", "revoke", made["id"])
    for ident in (made["id"], "zzz", "../status", "", "0" * 17):
        run(t, sup, "token", "revoke", ident, code=1)
    log = "\n".join(sup.log.since())
    t.ok(token not in log and made["token"] not in log, "not in the log")


# --- who may ---

def test_strangers(t, sup):
    if not ROOT:
        raise Skip("not root")
    nobody = pwd.getpwnam("nobody")
    p = sup.admin("status", user=nobody.pw_uid, group=nobody.pw_gid,
                  extra_groups=[])
    t.eq(p.returncode, 1, "nobody is no administrator")
    t.match(b"Permission denied|EPERM", p.stderr, "and is told")
    t.eq(p.stdout, b"", "nothing else")


class Grouped(Supervisor):
    """Its control socket is for a group as well."""

    def configure(self, config=None):
        super().configure(config)
        with open(self.conf, encoding="utf-8") as f:
            text = f.read()
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text.replace(f'socket "{self.socket}"',
                                 f'socket "{self.socket}" group "games"'))


def test_group(t, sup):
    if not ROOT:
        raise Skip("not root")
    games, nobody = grp.getgrnam("games"), pwd.getpwnam("nobody")
    with Grouped(sup.build) as grouped:
        st = os.stat(grouped.socket)
        t.eq((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)),
             (0, games.gr_gid, 0o660), "the socket's owners and mode")
        for gid, extra, code in ((nobody.pw_gid, [games.gr_gid], 0),
                                 (games.gr_gid, [], 0),
                                 (nobody.pw_gid, [nobody.pw_gid], 1)):
            p = grouped.admin("status", user=nobody.pw_uid, group=gid,
                              extra_groups=extra)
            t.eq(p.returncode, code, f"nobody, groups {gid} {extra}")
        os.chmod(grouped.socket, 0o666)
        p = grouped.admin("exec", "-u", "bob", "id", user=nobody.pw_uid,
                          group=nobody.pw_gid, extra_groups=[])
        t.eq((p.returncode, p.stdout, p.stderr),
             (1, b"", b"xbot-admin: EPERM: not an administrator\n"),
             "the socket's mode is not the only fence")
        with open(grouped.conf, encoding="utf-8") as f:
            text = f.read()

        def group(name):
            with open(grouped.conf, "w", encoding="utf-8") as f:
                f.write(text.replace('"games"', f'"{name}"'))
            return grouped.admin("reload").returncode
        t.eq(group("no-such-group"), 1, "no reload to a group there is not")
        daemon = grp.getgrnam("daemon").gr_gid
        t.eq(group("daemon"), 0, "a reload with another group")
        st = os.stat(grouped.socket)
        t.eq((st.st_gid, stat.S_IMODE(st.st_mode)), (daemon, 0o660),
             "has the socket follow")
        for gid, code in ((daemon, 0), (games.gr_gid, 1)):
            p = grouped.admin("status", user=nobody.pw_uid, group=gid,
                              extra_groups=[])
            t.eq(p.returncode, code, f"nobody, group {gid} now")
        grouped.stop()
        t.eq(grouped.problems, [], "it stops")


# --- daemons that lie ---

class Liar:
    """Answers each connection with the same bytes."""

    def __init__(self, answer, name="sock", hold=False):
        self.dir = tempfile.mkdtemp(prefix="xbot-liar-")
        os.chmod(self.dir, 0o755)
        self.path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o777)
        self.sock.listen(5)
        self.answer, self.asked = answer, []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            try:
                self.asked.append(c.recv(65536))
                for piece in self.answer:
                    c.sendall(piece)
            except OSError:
                pass
            c.close()

    def close(self):
        self.sock.close()
        subprocess.run(["rm", "-rf", self.dir], check=True)


def http(body, code="200 OK", head="", length=None):
    length = len(body) if length is None else length
    return (f"HTTP/1.1 {code}\r\nContent-Length: {length}\r\n{head}"
            "Connection: close\r\n\r\n").encode() + body


def endless(head, piece):
    yield head
    while True:
        yield piece


def ndjson(*lines):
    return http(b"".join(json.dumps(x).encode() + b"\n" for x in lines))


EXEC = ["exec", "-u", "bob", "true"]
OUT = {"stdout": base64.b64encode(b"out").decode()}
END = {"exit_code": 0, "timed_out": False}

# what it answers, what is asked, status, on stdout, on stderr
LIES = [
    ("nothing", [], ["status"], 1, "^$", "broke off"),
    ("no HTTP", [b"hello\r\n\r\n"], ["status"], 1, "^$", "xbot-admin: "),
    ("half a body", [http(b"{}", length=100)], ["status"], 1, "^$",
     "broke off"),
    ("no JSON", [http(b"<html>")], ["status"], 1, "^$", "cannot be read"),
    ("deep JSON", [http(b"[" * 100000)], ["status"], 1, "^$",
     "cannot be read"),
    ("other JSON", [http(b'[1]')], ["users"], 0, "^USER .*\n$", "^$"),
    ("wrong types", [http(b'{"users":[{"user":1,"runners":[],"online":{}}'
                          b',7,null]}')], ["users"], 0, "USER", "^$"),
    ("control characters", [http(b'{"users":[{"user":"\\u001b[2J\\u009b'
                                 b'x\\u0000y"}]}')],
     ["users"], 0, r"^[ -~\n]*$", "^$"),
    ("an error with control characters",
     [http(b'{"error":{"code":"E\\u001b","message":"\\u001b[2J\\nx"}}',
           "500 X")], ["status"], 1, "^$", r"^[ -~]*\n$"),
    ("an error without text", [http(b"", "500 X")], ["status"], 1, "^$",
     "status 500"),
    ("another page", [http(b"<html>", "404 X")], ["status"], 1, "^$",
     "status 404"),
    ("a redirect", [http(b"", "302 X", "Location: http://127.0.0.1:1/\r\n")],
     ["status"], 1, "^$", "status 302"),
    ("a redirect to a file", [http(b"", "301 X",
                                   "Location: file:///etc/passwd\r\n")],
     ["status"], 1, "^$", "status 301"),
    ("17 MiB", [http(b"x" * (17 << 20))], ["status"], 1, "^$", "too long"),
    ("no token", [http(b"{}", "201 X")], ["token", "create", "-s"], 1, "^$",
     "no token"),
    ("no end", [ndjson(OUT)], EXEC, 1, "^out$", "not known how"),
    ("half a line", [http(b'{"exit_code": 0')], EXEC, 1, "^$",
     "not known how"),
    ("a cut connection", [http(b'{"stdout":"b3V0"}\n', length=1000)], EXEC,
     1, "^out$", "broke off"),
    ("an error at the end",
     [ndjson(OUT, {"error": {"code": "EIO", "message": "lost"}})], EXEC, 1,
     "^out$", "EIO: lost"),
    ("no base64", [ndjson({"stdout": "***"}, END)], EXEC, 1, "^$", "base64"),
    ("no JSON in a line", [http(b"hello\n")], EXEC, 1, "^$",
     "cannot be read"),
    ("a status of 256", [ndjson({"exit_code": 256})], EXEC, 255, "^$",
     "not known how"),
    ("a status of -1", [ndjson({"exit_code": -1})], EXEC, 255, "^$",
     "not known how"),
    ("a status of text", [ndjson({"exit_code": "0"})], EXEC, 255, "^$",
     "not known how"),
    ("unknown lines", [ndjson({"progress": 1}, OUT, END)], EXEC, 0, "^out$",
     "^$"),
    ("a short file", [http(b"abc", length=10)],
     ["cp", "-u", "bob", ":x", "-"], 1, "", "broke off|cannot be read"),
]


def test_liars(t, sup):
    for what, answer, words, code, out, err in LIES:
        liar = Liar(answer)
        p = subprocess.run([f"{sup.build}/xbot-admin", "-s", liar.path,
                            *words], stdin=subprocess.DEVNULL, env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=DEADLINE)
        good = t.eq(p.returncode, code, f"{what}: status {code}")
        good &= t.match(out, p.stdout.decode("latin-1"), f"{what}: stdout")
        t.match(err, p.stderr.decode("latin-1"), f"{what}: stderr")
        liar.close()


def test_endless(t, sup):
    """What never ends is not kept."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    for what, words, piece in (
            ("an answer", ["status"], b" " * 65536),
            ("a line", EXEC, b"x" * 65536),
            ("a header", ["status"], None)):
        answer = endless(head, piece)
        if piece is None:
            answer = endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536)
        liar = Liar(answer)
        p = subprocess.run([f"{sup.build}/xbot-admin", "-s", liar.path,
                            *words], stdin=subprocess.DEVNULL, env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=DEADLINE)
        t.ok(p.returncode == 1, f"{what} without end", p.stderr)
        liar.close()


def test_default_socket(t, sup):
    """Without -s: the place of a supervisor without a file."""
    if os.path.exists("/var/run/xbot.sock"):
        raise Skip("there is a supervisor on this machine")
    liar = Liar([http(b'{"version":"liar"}')], "state/xbot/xbot.sock")
    home = Liar([http(b'{"version":"home"}')], ".local/state/xbot/xbot.sock")
    # The build may be where nobody can go.
    program = os.path.join(liar.dir, "xbot-admin")
    subprocess.run(["cp", f"{sup.build}/xbot-admin", program], check=True)
    more = {}
    if ROOT:
        nobody = pwd.getpwnam("nobody")
        more = {"user": nobody.pw_uid, "group": nobody.pw_gid,
                "extra_groups": []}
    for env, want in (
            ({"XDG_STATE_HOME": os.path.join(liar.dir, "state"),
              "HOME": home.dir}, b"liar"),
            ({"HOME": home.dir}, b"home"),
            ({"XDG_STATE_HOME": "state", "HOME": home.dir}, b"home"),
            ({}, None)):
        p = subprocess.run([program, "status"], cwd=liar.dir,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=DEADLINE,
                           env={"PATH": "/usr/bin:/bin", **SAN, **env},
                           **more)
        if want is None:
            t.match(b"^xbot-admin: /var/run/xbot.sock: No such file",
                    p.stderr, "nowhere: the usual place is named")
        else:
            t.match(rb"^version  " + want, p.stdout, f"{env}")
    # No proxy, whatever the environment says.
    p = subprocess.run([program, "-s", liar.path, "status"],
                       stdout=subprocess.PIPE, timeout=DEADLINE,
                       env={"http_proxy": "http://127.0.0.1:1",
                            "ALL_PROXY": "http://127.0.0.1:1", **SAN})
    t.match(rb"^version  liar", p.stdout, "no proxy")
    t.ok(all(b"Authorization" not in a for a in liar.asked), "no token")
    liar.close()
    home.close()


# --- the end ---

def test_stop(t, sup):
    run(t, sup, "stop")
    t.eq(sup.process.wait(DEADLINE), 0, "it stops in order")
    out, err = run(t, sup, "status", code=1)
    t.match("does xbot-supervisor run", err, "and is gone")
    sup.start()
    out, err = run(t, sup, "status")
    t.ok("front" in out, "and may be started again")


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    with Supervisor(build) as sup:
        own = tests_of(sys.modules[__name__])
        for test in own[:-1] + tests_of(admin_tasks) + own[-1:]:
            if not wanted or any(w in test.__name__ for w in wanted):
                t.run(test, sup)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
