#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-admin shell and exec -i, on terminals and pipes: first against a
daemon that is played here, then in tmux against a supervisor.

usage: shell_test.py BUILDDIR [test ...]
"""
import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))

from played import ENV, Daemon, Terminal, Tmux, leave, listen
from xbot import (DEADLINE, Skip, Supervisor, Tap, alive, sanitized, status,
                  tests_of, verdict, wait_for)

BUILD = ""


def say(kind, **more):
    return {"type": kind, **more}


SHELL = ("shell", "-u", "bob")
SIZE = say("resize", cols=100, rows=30)


def test_shell(t):
    async def play(d, ws):
        await d.take(ws)
        await ws.send(b"prompt\n$ \xff\x00\x1b[1m")
        while not d.typed().endswith(b"\r"):
            await d.take(ws)
        await ws.send(b"half")
        await ws.send(b"whole\n")
        await leave(ws, 7)

    with Daemon(play) as d, Terminal(BUILD, d, *SHELL, "-d", "a b", "-e", "A=1",
                                     "-S", "s/1") as term:
        term.see(b"prompt\n$ \xff\x00\x1b[1m")
        t.ok(True, "bytes come out as they are")
        t.eq(d.query(), ("/v1/users/bob/pty", {
            "cols": ["100"], "rows": ["30"], "dir": ["a b"],
            "env": ["A=1"], "session": ["s/1"]}), "what is asked for")
        d.wait_for(SIZE)
        t.ok(term.raw(), "the terminal is raw")
        keys = bytes(range(1, 13)) + b"\x1a\x1c\x7f\xc3\xa9\xff\r"
        term.type(keys)
        term.see(b"halfwhole\n")
        t.eq(d.typed(), keys, "every key is the process's, ^C and ^Z too")
        t.eq(term.end(), 7, "its exit status is ours")
        t.eq(term.err, "", "nothing else is said")
        t.ok(term.same(), "the terminal is as it was")


def test_resize(t):
    with Daemon(listen) as d, Terminal(BUILD, d, *SHELL) as term:
        d.wait_for(SIZE)
        for cols, rows in ((80, 24), (1, 1), (500, 200)):
            term.size(cols, rows)
            d.wait_for(say("resize", cols=cols, rows=rows))
            t.ok(True, f"{cols}x{rows}")
        term.size(0, 0)
        d.wait(lambda m: d.heard.count(say("resize", cols=80, rows=24)) == 2,
               "a terminal without a size")
        t.ok(True, "a terminal without a size has 80x24")


def test_signals(t):
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT,
                signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV):
        if sig in (signal.SIGABRT, signal.SIGSEGV) and sanitized(BUILD):
            continue
        with Daemon(listen) as d, Terminal(BUILD, d, *SHELL) as term:
            d.wait_for(SIZE)
            wait_for("raw", term.raw)
            term.process.send_signal(sig)
            t.eq(term.end(), -sig, f"{sig.name} ends us")
            t.ok(term.same(), "the terminal is as it was")
            d.wait_for("closed")
            t.ok(True, "and the connection is over")


def test_stop(t):
    with Daemon(listen) as d, Terminal(BUILD, d, *SHELL) as term:
        d.wait_for(SIZE)
        wait_for("raw", term.raw)
        term.process.send_signal(signal.SIGTSTP)
        wait_for("it stops", lambda: status(
            term.process.pid)["State"][0] == "T")
        t.ok(term.same(), "SIGTSTP: the terminal is as it was")
        term.size(90, 20)
        term.process.send_signal(signal.SIGCONT)
        d.wait_for(say("resize", cols=90, rows=20))
        wait_for("raw again", term.raw)
        t.ok(True, "SIGCONT: it is raw again, the new size is told")
        # SIGSTOP cannot be seen; another shell sets the terminal meanwhile
        term.process.send_signal(signal.SIGSTOP)
        wait_for("it stops", lambda: status(
            term.process.pid)["State"][0] == "T")
        termios.tcsetattr(term.leader, termios.TCSANOW, term.before)
        term.process.send_signal(signal.SIGCONT)
        wait_for("raw again", term.raw)
        term.type(b"x")
        d.wait_for(b"x")
        t.ok(True, "SIGSTOP, SIGCONT: it is raw again and goes on")
        term.process.send_signal(signal.SIGTERM)
        t.eq(term.end(), -signal.SIGTERM, "SIGTERM")
        t.ok(term.same(), "the terminal is as it was, not as it is raw")


def test_lost(t):
    async def cut(d, ws):
        await d.take(ws)
        ws.transport.close()

    async def error(d, ws):
        await d.take(ws)
        await ws.send(json.dumps({"type": "error", "error": {
            "code": "EIO", "message": "lost\x1b[2J"}}))
        await ws.close(1011, "EIO")

    async def unknown(d, ws):
        await d.take(ws)
        await leave(ws, -1)

    async def nonsense(d, ws):
        await d.take(ws)
        await ws.send("hello")
        await listen(d, ws)

    async def odd(d, ws):
        await d.take(ws)
        for text in ({}, [], 7, {"type": 1}, {"type": "new"},
                     {"type": "stderr"}, {"type": "stderr", "data": 1}):
            await ws.send(json.dumps(text))
        await leave(ws, 3)

    for what, play, code, err in (
            ("a cut connection", cut, 1, "broke off.*not known"),
            ("an error", error, 1, r"EIO: lost\\\^\[\[2J|EIO: lost\\"),
            ("an unknown end", unknown, 255, "not known how"),
            ("no JSON", nonsense, 1, "cannot be read"),
            ("unknown messages", odd, 3, "^$")):
        with Daemon(play) as d, Terminal(BUILD, d, *SHELL) as term:
            t.eq(term.end(), code, f"{what}: status {code}")
            t.match(err, term.err, "and is told")
            t.ok(term.same(), "the terminal is as it was")


def test_hangup(t):
    with Daemon(listen) as d, Terminal(BUILD, d, *SHELL) as term:
        d.wait_for(SIZE)
        os.close(term.leader)
        t.ok(term.end() in (1, -signal.SIGHUP), "nobody there any more",
             term.process.returncode)
        d.wait_for("closed")
        t.ok(True, "the connection is over")


def test_refused(t):
    body = json.dumps({"error": {"code": "EOFFLINE", "message":
                                 "the runner is not connected"}}).encode()
    head = [("Content-Type", "application/json")]
    for refusal, err in (
            ((503, head, body), "EOFFLINE: the runner is not connected"),
            ((404, [], b"nothing here"), "status 404"),
            ((500, [], b""), "status 500"),
            ((302, [("Location", "/x")], b""), "status 302")):
        with Daemon(listen, refusal) as d, Terminal(BUILD, d, *SHELL) as term:
            t.eq(term.end(), 1, f"{refusal[0]}: status 1")
            t.match(err, term.err, "the reason is told")
            t.ok(term.same(), "the terminal is as it was")
    for what, answer in (
            ("nothing", b""), ("no HTTP", b"hello\r\n\r\n"),
            ("half an answer", b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"),
            ("a wrong key", b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n"
             b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"),
            ("another protocol", b"HTTP/1.1 200 OK\r\n"
             b"Content-Length: 2\r\n\r\n{}"),
            ("an endless head", b"HTTP/1.1 101 X\r\nX: " + b"x" * 70000),
            ("an endless refusal", b"HTTP/1.1 500 X\r\n\r\n" +
             b"x" * 200000)):
        with tempfile.TemporaryDirectory() as place:
            path = os.path.join(place, "sock")
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            server.listen(1)

            def serve():
                c, _ = server.accept()
                with c, contextlib.suppress(OSError):
                    c.recv(65536)
                    c.sendall(answer)

            threading.Thread(target=serve, daemon=True).start()
            p = piped(path, "cat")
            out, err = p.communicate(timeout=DEADLINE)
            t.eq((p.returncode, out), (1, b""), f"{what}: status 1")
            t.match(b"^xbot-admin: .*\n$", err, "and is told")
            server.close()
    p = piped("/nonexistent/sock", "cat")
    out, err = p.communicate(timeout=DEADLINE)
    t.match(b"does xbot-supervisor run", err, "no daemon")
    p = piped("/x" * 100, "cat")
    out, err = p.communicate(timeout=DEADLINE)
    t.match(b"too long", err, "a socket's name that is too long")


def test_no_terminal(t):
    for words in (SHELL, ("exec", "-u", "bob", "-T", "ls")):
        p = subprocess.run([f"{BUILD}/xbot-admin", "-s", "/nonexistent",
                            *words], stdin=subprocess.DEVNULL, env=ENV,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        t.eq(p.returncode, 1, f"{words[0]}: needs a terminal")
        t.match(b"not a terminal", p.stderr, "and says so")
        p = subprocess.run([f"{BUILD}/xbot-admin", "-j", *words], env=ENV,
                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        t.eq(p.returncode, 2, "and has no JSON")


# --- pipes ---

def piped(path, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
          **more):
    path = getattr(path, "socket", path)
    return subprocess.Popen(
        [f"{BUILD}/xbot-admin", "-s", path, "exec", "-u", "bob", "-i",
         *words], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
        env=ENV, **more)


async def echo(d, ws):
    """cat"""
    n = 0
    while True:
        m = await ws.recv()
        if isinstance(m, bytes):
            n += len(m)
            await ws.send(m)
        elif json.loads(m) == say("eof"):
            d.sent = n
            await leave(ws, 0)
            return


def test_pipe(t):
    with Daemon(echo) as d:
        p = piped(d, "-d", "x", "-e", "A=b c", "-e", "B=", "-S", "s", "--",
                  "cat", "-", "a&b=c", "")
        out, err = p.communicate(timeout=DEADLINE)
        t.eq((p.returncode, out, err), (0, b"", b""), "nothing in")
        path, _ = d.query()
        got = urllib.parse.parse_qsl(urllib.parse.urlsplit(
            d.heard[0]).query, keep_blank_values=True)
        t.eq((path, [kv for kv in got if kv[0] != "encoding"]),
             ("/v1/users/bob/stdio", [
                 ("command", "cat"), ("arg", "-"), ("arg", "a&b=c"),
                 ("arg", ""), ("env", "A=b c"), ("env", "B="),
                 ("dir", "x"), ("session", "s")]), "what is asked for")
    with Daemon(echo) as d:
        piped(d, "cat | cat").communicate(timeout=DEADLINE)
        t.eq(d.query()[1]["arg"], ["-c", "cat | cat"],
             "one word is for the shell")
        t.eq(d.query()[1]["command"], ["sh"], "which is sh")
    data = os.urandom(20 << 20)
    with Daemon(echo) as d:
        p = piped(d, "cat", stdin=subprocess.PIPE)
        out, err = p.communicate(data, timeout=DEADLINE)
        t.eq((p.returncode, err), (0, b""), "20 MiB")
        t.ok(out == data, "there and back")
    with Daemon(echo) as d, tempfile.TemporaryFile() as here, \
            tempfile.TemporaryFile() as there:
        here.write(data)
        here.seek(0)
        p = piped(d, "cat", stdin=here, stdout=there)
        p.communicate(timeout=DEADLINE)
        there.seek(0)
        t.ok(p.returncode == 0 and there.read() == data, "from file to file")


def test_pipe_live(t):
    with Daemon(echo) as d:
        p = piped(d, "cat", stdin=subprocess.PIPE)
        for line in (b"one\n", b"\xff\x00\n", b"three\n"):
            p.stdin.write(line)
            p.stdin.flush()
            t.eq(p.stdout.readline(), line, "a line goes and comes")
        p.stdin.close()
        t.eq(p.wait(DEADLINE), 0, "eof ends it")
        p.stdout.close()
        p.stderr.close()


def test_pipe_errors(t):
    async def play(d, ws):
        await ws.send(b"out")
        await ws.send(json.dumps(say("stderr", data="é\n")))
        await ws.send(json.dumps(say(
            "stderr", data=base64.b64encode(b"\xff\x00").decode(),
            encoding="base64")))
        await leave(ws, 255)

    async def odd(d, ws):
        await ws.send(json.dumps(say("stderr", data="*", encoding="base64")))
        await leave(ws, 0)

    async def long(d, ws):
        await ws.send("x" * (5 << 20))
        await listen(d, ws)

    with Daemon(play) as d:
        p = piped(d, "x")
        out, err = p.communicate(timeout=DEADLINE)
        t.eq((p.returncode, out, err), (255, b"out", "é\n".encode() +
                                        b"\xff\x00"), "stderr, and 255")
    for play, text in ((odd, b"base64"), (long, b"too long")):
        with Daemon(play) as d:
            p = piped(d, "x")
            out, err = p.communicate(timeout=DEADLINE)
            t.eq(p.returncode, 1, "what cannot be read is status 1")
            t.match(text, err, "and is told")


def test_pipe_closed(t):
    async def play(d, ws):
        while (await d.take(ws)) != say("eof"):
            pass
        await ws.send(b"x" * 100)
        await leave(ws, 0)

    for close in ((0,), (1,), (2,), (0, 1, 2)):
        with Daemon(play) as d:
            p = piped(d, "x", stdin=None, preexec_fn=lambda: [
                os.close(fd) for fd in close])
            out, err = p.communicate(timeout=DEADLINE)
            want = b"" if 1 in close else b"x" * 100
            t.eq((p.returncode, out, d.typed()), (0, want, b""),
                 f"without descriptors {close}")


def test_pipe_ends(t):
    async def flood(d, ws):
        while True:
            await ws.send(b"x" * 65536)

    with Daemon(flood) as d:
        p = piped(d, "yes")
        p.stdout.read(10)
        p.stdout.close()
        t.eq(p.wait(DEADLINE), -signal.SIGPIPE, "nobody reads: SIGPIPE")
        p.stderr.close()
        d.wait_for("closed")
    with Daemon(flood) as d, open("/dev/full", "wb") as full:
        p = piped(d, "yes", stdout=full)
        t.eq(p.wait(DEADLINE), 1, "a full disk")
        t.match(b"standard output: No space", p.stderr.read(), "is told")
        p.stderr.close()
        d.wait_for("closed")
    with Daemon(listen) as d:
        p = piped(d, "-t", "1", "sleep 100")
        out, err = p.communicate(timeout=DEADLINE)
        t.eq(p.returncode, 124, "-t: status 124")
        t.match(b"timed out", err, "that it timed out is said")
        d.wait_for("closed")
        t.ok(True, "and the connection is over")


def test_interrupted(t):
    async def end(d, ws):
        while True:
            m = await d.take(ws)
            if m == say("signal", signal="INT"):
                await leave(ws, 130)
                return

    async def other(d, ws):
        while True:
            m = await d.take(ws)
            if m == say("signal", signal="INT"):
                await ws.send(b"caught")
                await leave(ws, 5)
                return

    r, w = os.pipe()
    for play, code, out in ((end, -signal.SIGINT, b""), (other, 5,
                                                         b"caught")):
        with Daemon(play) as d:
            p = piped(d, "x", stdin=r)
            d.wait(lambda m: isinstance(m, str), "it is open")
            os.write(w, b"x")
            d.wait_for(b"x")
            p.send_signal(signal.SIGINT)
            t.eq(p.communicate(timeout=DEADLINE)[0], out,
                 "SIGINT is for the process")
            t.eq(p.returncode, code, "which decides how we end")
    for sig in (signal.SIGINT, signal.SIGQUIT):
        with Daemon(listen) as d:
            p = piped(d, "x", stdin=r)
            os.write(w, b"x")
            d.wait_for(b"x")
            p.send_signal(sig)
            d.wait_for(say("signal", signal=sig.name[3:]))
            t.eq(p.poll(), None, f"{sig.name}: the process goes on")
            p.send_signal(sig)
            p.communicate(timeout=DEADLINE)
            t.eq(p.returncode, -sig, "the second one is ours")
            d.wait_for("closed")
    with Daemon(listen) as d:
        p = piped(d, "x", stdin=r)
        os.write(w, b"x")
        d.wait_for(b"x")
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=DEADLINE)
        t.eq(p.returncode, -signal.SIGTERM, "SIGTERM is ours")
    os.close(r)
    os.close(w)


def test_slow(t):
    """Who is slow makes the other side wait; nothing piles up here."""
    piece, go = b"0123456789abcdef" * 4096, threading.Event()
    size = 64 << 20

    async def flood(d, ws):
        for _ in range(size // len(piece)):
            await ws.send(piece)
            d.sent += len(piece)
        await leave(ws, 0)

    async def deaf(d, ws):
        await ws.send(b"x")
        while not go.is_set():
            await asyncio.sleep(0.05)
        await echo(d, ws)

    def rss(p):
        return int(status(p.pid)["VmHWM"].split()[0])

    def rests(d, what):
        """It does not move any more."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 0.5:
            time.sleep(0.05)
            if what() != seen:
                seen, since = what(), time.monotonic()
        return seen

    most = 500000 if sanitized(BUILD) else 20000
    with Daemon(flood) as d:
        p = piped(d, "x")
        n = rests(d, lambda: d.sent)
        t.ok(0 < n < 8 << 20, f"unread output: the daemon waits at {n}")
        t.ok(rss(p) < most, f"{rss(p)} kB resident")
        digest = hashlib.sha256()
        while True:
            data = p.stdout.read(1 << 20)
            if not data:
                break
            digest.update(data)
        p.communicate()
        t.eq(digest.hexdigest(), hashlib.sha256(
            piece * (size // len(piece))).hexdigest(), "then all of it")
        t.eq(p.returncode, 0, "and its status")
    r, w = os.pipe()
    fed = [0]

    def feed():
        for _ in range(size // len(piece)):
            fed[0] += os.write(w, piece)
        os.close(w)

    with Daemon(deaf) as d:
        p = piped(d, "x", stdin=r)
        os.close(r)
        threading.Thread(target=feed, daemon=True).start()
        n = rests(d, lambda: fed[0])
        t.ok(0 < n < 8 << 20, f"unread input: we wait at {n}")
        t.ok(rss(p) < most, f"{rss(p)} kB resident")
        go.set()
        out, err = p.communicate(timeout=DEADLINE)
        t.eq((p.returncode, d.sent, len(out)), (0, size, size + 1),
             "then all of it")


# --- a supervisor ---

def tmux(sup):
    if shutil.which("tmux") is None:
        raise Skip("no tmux")
    return Tmux(sup)


def session(t, sup, user):
    """A shell of that user, as he would use it."""
    with tmux(sup) as tm:
        tm.line(f"$X shell -u {user}; echo status-$?")
        tm.keys("Enter")
        tm.line("PS1='there> '; stty size; echo pid-$$")
        tm.see_line("30 100")
        t.ok(True, "a shell, with the size of the window")
        tm.resize(70, 20)
        tm.line('clear; until [ "$(stty size)" = "20 70" ]; do sleep 0.1; '
                "done; stty size")
        tm.see_line("20 70")
        t.ok(True, "resize reaches it")
        tm.line("clear; sh -c 'trap \"echo got-int; exit\" INT; echo ready; "
                "while :; do sleep 1; done'")
        tm.see_line("ready")
        tm.keys("C-c")
        tm.see("got-int")
        t.ok(True, "Ctrl-C reaches the program")
        tm.line("clear; cat > typed")
        tm.line("é ü €")
        tm.keys("C-d")
        tm.line("clear; od -An -tx1 typed; echo tty-$(tty | cut -c1-8)")
        tm.see("c3 a9 20 c3 bc 20 e2 82 ac 0a", "tty-/dev/pts")
        t.ok(True, "UTF-8, and the end of a file")
        if shutil.which("vim"):
            tm.line("clear; vim -u NONE -N edited")
            tm.see("~", "edited")
            tm.keys("i")
            tm.run("send-keys", "-l", "hello from vim")
            tm.see("hello from vim")
            tm.keys("Escape")
            tm.resize(90, 25)
            wait_for("more lines", lambda: tm.screen().count("~") > 20)
            tm.line(":set columns? lines?")
            tm.see("columns=90", "lines=25")
            tm.keys("Escape")
            tm.line(":wq")
            tm.see("there>")
            tm.line("clear; echo \"[$(cat edited)]\"")
            tm.see_line("[hello from vim]")
            t.ok(True, "vim: edits, knows a new size, and leaves")
        else:
            t.note("no vim here")
        tm.line("clear; top -d 1")
        tm.see("load average", "PID", "COMMAND")
        tm.keys("q")
        tm.see("there>")        # top forgets what was typed ahead
        tm.line("clear; echo after-top")
        tm.see_line("after-top")
        t.ok(True, "top")
        tm.line("clear; head -c 7500000 /dev/urandom | base64 > big; "
                "sha256sum < big; wc -c < big")
        tm.see("10131579")
        tm.line("clear; cat big; echo; echo end-of-$((1+1))")
        tm.see_line("end-of-2")
        t.ok(True, "a 10 MB cat comes to its end")
        tm.line("clear; yes")
        tm.see("y\ny\ny\n")
        tm.keys("C-c")
        tm.line("clear; echo after-yes")
        tm.see_line("after-yes")
        t.ok(True, "Ctrl-C ends a flood")
        tm.line("clear; exit 42")
        tm.see_line("status-42")
        t.ok(True, "its exit status is ours")
        tm.line("clear; stty -a; echo back")
        tm.see_line("back")
        screen = tm.screen()
        words = screen.replace(";", " ").split()
        t.ok("icanon" in words and "echo" in words and "isig" in words,
             "the terminal is as it was", screen)


def test_tmux_none(t):
    session(t, SUP, "bob")


def test_tmux_runner(t):
    r = SUP.runner("carol", "den")
    session(t, SUP, "carol")
    r.stop()


def test_exec_terminal(t):
    with tmux(SUP) as tm:
        tm.line("$X exec -u bob -T 'stty size; read x; echo got-$x; exit 9'; "
                "echo status-$?")
        tm.see_line("30 100")
        tm.line("this")
        tm.see_line("got-this")
        tm.see_line("status-9")
        t.ok(True, "exec -T: one word, for the shell")
        tm.line("clear; $X exec -u bob -T -e A=b -- sh -c "
                "'echo \"$A-$1\"' sh 'x  y'; echo status-$?")
        tm.see_line("b-x  y")
        tm.see_line("status-0")
        t.ok(True, "exec -T: words are an argument vector")
        tm.line("clear; $X exec -u bob -T no-such-program x; echo status-$?")
        tm.see("ENOENT: no-such-program")
        tm.see_line("status-1")
        t.ok(True, "no such program")


def test_exec_pipes(t):
    data = os.urandom(50 << 20)
    for user in ("bob", "dora"):
        if user == "dora":
            r = SUP.runner("dora", "den")
        began = time.monotonic()
        p = subprocess.run(
            [f"{BUILD}/xbot-admin", "-s", SUP.socket, "exec", "-u", user,
             "-i", "cat"], input=data, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=ENV, timeout=3 * DEADLINE)
        t.note(f"{user}: 50 MiB both ways in "
               f"{time.monotonic() - began:.1f} s")
        t.eq((p.returncode, p.stderr), (0, b""), f"{user}: cat")
        t.ok(p.stdout == data, "50 MiB there and back")
        p = subprocess.run(
            [f"{BUILD}/xbot-admin", "-s", SUP.socket, "exec", "-u", user,
             "-i", "-e", "A=1 2", "--", "sh", "-c",
             'cat >&2; echo "$A,$1"; kill -TERM $$', "sh", "a&b"],
            input=b"\xc3\xa9 in", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=ENV, timeout=DEADLINE)
        t.eq((p.returncode, p.stdout, p.stderr),
             (143, b"1 2,a&b\n", b"\xc3\xa9 in"), "words, stderr, a signal")
    p = subprocess.Popen(
        [f"{BUILD}/xbot-admin", "-s", SUP.socket, "exec", "-u", "bob", "-i",
         "echo $$; exec sleep 1000"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
    pid = int(p.stdout.readline())
    t.ok(alive(pid), "it runs")
    p.kill()
    p.communicate()
    wait_for("the command's end", lambda: not alive(pid))
    t.ok(True, "when we are gone it ends")
    p = subprocess.run(
        [f"{BUILD}/xbot-admin", "-s", SUP.socket, "exec", "-u", "bob", "-i",
         "no-such-program", "x"], stdin=subprocess.DEVNULL, env=ENV,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE)
    t.eq((p.returncode, p.stdout), (1, b""), "no such program")
    t.match(b"^xbot-admin: ENOENT: no-such-program", p.stderr, "is told")
    r.stop()


SUP = None


def main():
    global BUILD, SUP
    BUILD, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]
    t = Tap()
    tests = [f for f in tests_of(sys.modules[__name__])
             if not wanted or any(w in f.__name__ for w in wanted)]
    real = tests_of(sys.modules[__name__])
    real = real[real.index(test_tmux_none):]
    for test in tests:
        if test not in real:
            t.run(test)
    if any(test in real for test in tests):
        with Supervisor(BUILD) as SUP:
            for test in tests:
                if test in real:
                    t.run(test)
            verdict(t, SUP)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
