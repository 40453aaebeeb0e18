# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What shell_test.py plays: a daemon's side of a stream, terminals, tmux."""
import asyncio
import contextlib
import fcntl
import http
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import threading
import time
import urllib.parse

import websockets

from xbot import DEADLINE, SAN, wait_for

ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **SAN}


# --- a daemon that is played ---

class Daemon:
    """
    Each WebSocket is handed to `play`, a coroutine; what happens is in
    `heard`: the path first, then what the client sent.
    """

    def __init__(self, play, refuse=None):
        self.dir = tempfile.mkdtemp(prefix="xbot-played-")
        self.socket = os.path.join(self.dir, "sock")
        self.play, self.refuse = play, refuse
        self.heard, self.open, self.sent = [], 0, 0
        self.changed = threading.Condition()
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,),
                                       daemon=True)
        self.thread.start()
        if not started.wait(DEADLINE):
            raise TimeoutError("the played daemon")

    def run(self, started):
        asyncio.set_event_loop(self.loop)

        async def serve():
            self.server = await websockets.unix_serve(
                self.client, self.socket, process_request=self.request,
                max_size=None, max_queue=4, compression=None,
                ping_interval=None, subprotocols=None)
            started.set()
        self.loop.run_until_complete(serve())
        self.loop.run_forever()
        # what is left over would complain when Python ends
        self.loop.run_until_complete(self.leave())
        self.loop.close()

    async def leave(self):
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def request(self, path, headers):
        if self.refuse is None:
            return None
        return (http.HTTPStatus(self.refuse[0]), *self.refuse[1:])

    def note(self, what):
        with self.changed:
            self.heard.append(what)
            self.changed.notify_all()

    async def client(self, ws, path):
        self.open += 1
        self.note(path)
        try:
            await self.play(self, ws)
        except websockets.ConnectionClosed:
            pass
        finally:
            self.open -= 1
            self.note("closed")

    async def take(self, ws):
        """What the client says next, noted; text as JSON."""
        m = await ws.recv()
        m = json.loads(m) if isinstance(m, str) else m
        self.note(m)
        return m

    def wait(self, true, what):
        with self.changed:
            if not self.changed.wait_for(lambda: any(
                    true(m) for m in self.heard), DEADLINE):
                raise TimeoutError(f"{what}: {self.heard!r:.2000}")

    def wait_for(self, message):
        self.wait(lambda m: m == message, message)

    def typed(self):
        with self.changed:
            return b"".join(m for m in self.heard if isinstance(m, bytes))

    def query(self):
        url = urllib.parse.urlsplit(self.heard[0])
        return url.path, urllib.parse.parse_qs(url.query)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


async def leave(ws, code, close=1000):
    await ws.send(json.dumps({"type": "exit", "exit_code": code}))
    await ws.close(close)


async def listen(d, ws):
    """Takes all, for ever."""
    while True:
        await d.take(ws)


# --- a terminal ---

class Terminal:
    """xbot-admin under a terminal of its own, 100 by 30."""

    def __init__(self, build, d, *words):
        self.leader, follower = os.openpty()
        self.size(100, 30)
        self.before = termios.tcgetattr(self.leader)
        self.process = subprocess.Popen(
            [f"{build}/xbot-admin", "-s", d.socket, *words], env=ENV,
            stdin=follower, stdout=follower, stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(follower)
        self.shown = b""

    def size(self, cols, rows):
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))

    def mode(self):
        return termios.tcgetattr(self.leader)

    def raw(self):
        return not self.mode()[3] & (termios.ICANON | termios.ISIG |
                                     termios.ECHO)

    def type(self, data):
        os.write(self.leader, data)

    def see(self, data):
        """Until that was shown."""
        end = time.monotonic() + DEADLINE
        while data not in self.shown:
            if not select.select([self.leader], [], [],
                                 max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"{data!r} in {self.shown!r:.2000}")
            with contextlib.suppress(OSError):
                self.shown += os.read(self.leader, 65536)

    def end(self):
        code = self.process.wait(DEADLINE)
        self.err = self.process.stderr.read().decode()
        return code

    def same(self):
        """The terminal is as it was."""
        return self.mode() == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        with contextlib.suppress(OSError):
            os.close(self.leader)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# --- a terminal that shows what it would show ---

class Tmux:
    """xbot-admin in a tmux of its own, in front of a shell that stays."""

    def __init__(self, sup, cols=100, rows=30):
        self.sup = sup
        self.dir = tempfile.mkdtemp(prefix="xbot-tmux-")
        self.cmd = ["tmux", "-S", os.path.join(self.dir, "sock"), "-f",
                    "/dev/null"]
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "xterm",
                    "LANG": "C.UTF-8", "HOME": self.dir,
                    "X": f"{sup.build}/xbot-admin -s {sup.socket}", **SAN}
        self.run("new-session", "-d", "-x", str(cols), "-y", str(rows),
                 "/bin/sh")
        self.line("PS1='here''> '; clear")
        self.see("here>")

    def run(self, *words):
        return subprocess.run([*self.cmd, *words], env=self.env, check=True,
                              stdout=subprocess.PIPE, timeout=DEADLINE
                              ).stdout.decode()

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def line(self, text):
        self.run("send-keys", "-l", text)
        self.keys("Enter")

    def screen(self):
        return "\n".join(x.rstrip() for x in self.run(
            "capture-pane", "-p").splitlines() if x.strip())

    def see(self, *texts):
        """Until all of them stand on the screen."""
        try:
            wait_for("", lambda: all(x in self.screen() for x in texts))
        except TimeoutError:
            raise TimeoutError(f"{texts!r} on\n" + self.screen()) from None

    def see_line(self, text):
        """A line that is that, and not its echo."""
        try:
            wait_for("", lambda: text in self.screen().splitlines())
        except TimeoutError:
            raise TimeoutError(f"{text!r} on\n" + self.screen()) from None

    def resize(self, cols, rows):
        self.run("resize-window", "-x", str(cols), "-y", str(rows))

    def close(self):
        with contextlib.suppress(subprocess.SubprocessError):
            self.run("kill-server")
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
