# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""/ws/{user}: what front and remote do with runners' connections."""
import asyncio
import os
import signal
import socket
import threading

import websockets

from v1 import Closed, Refused, Socket, run, runner
from xbot import Client, rss, sanitized, wait_for


def listed(sup, user, name="laptop"):
    with Client(sup.port, sup.token) as c:
        a = c.call("GET", f"/v1/users/{user}/runners")
        for r in a.json.get("runners", []):
            if r["name"] == name:
                return r
    return {"online": None}


def wait_online(sup, user, name="laptop", online=True):
    wait_for(f"{name} of {user} online {online}",
             lambda: listed(sup, user, name)["online"] == online)


def in_background(function, *args):
    """A result that is waited for: call what is returned."""
    got = []
    thread = threading.Thread(target=lambda: got.append(function(*args)),
                              daemon=True)
    thread.start()

    def wait():
        thread.join(90)
        return got[0]
    return wait


def test_paths(t, sup):
    with Client(sup.port) as c:
        for path in ("/ws/", "/ws/a%2Fb", "/ws/..%2f", "/ws/-a", "/ws/a/b",
                     "/ws/a%00b", "/ws/" + "x" * 129, "/ws/%zz"):
            a = c.call("GET", path)
            t.ok(a.status == 400, f"{path:.20} is 400", a)
        a = c.call("GET", "/ws/nora")
        t.eq(a.status, 426, "no upgrade asked")
        t.eq(c.call("POST", "/ws/nora", b"").status, 405, "POST")
        a = c.call("GET", "/ws/nora", headers={
            "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"})
        t.eq(a.status, 400, "a bad key")
    try:
        Socket(sup.port, "", path="/ws/")
        t.ok(False, "an empty user connects")
    except Refused as e:
        t.eq(e.status, 400, "an empty user")


def test_register(t, sup):
    with runner(sup, "nora", llm_provider="openai", llm_model="gpt") as s:
        wait_online(sup, "nora")
        r = listed(sup, "nora")
        t.eq((r["workspace"], r["shell"], r["llm_provider"], r["llm_model"]),
             ("/ws", "/bin/sh", "openai", "gpt"), "what it says is listed")
        done = in_background(sup.connect().exec, "nora", "echo hi")
        m = s.answer("exec_result", stdout="hi\n", stderr="", exit_code=0,
                     timed_out=False)
        t.eq(m["type"], "exec", "it is asked")
        a = done()
        t.ok(a.status == 200 and a.json["stdout"] == "hi\n", "and answers",
             a)
    wait_online(sup, "nora", online=False)
    t.eq(listed(sup, "nora")["llm_model"], "gpt", "the model is remembered")


def test_register_at_once(t, sup):
    """Who is told that it is registered is where commands go."""
    got = []
    for i in range(10):
        with runner(sup, f"once{i}", llm_provider="openai",
                    llm_model=f"m{i}"):
            got.append(sup.client.call("GET",
                                       f"/v1/users/once{i}/route").json)
    t.eq([r["runner"] for r in got], ["laptop"] * 10, "at once")


def test_fragments(t, sup):
    sup.client.call("POST", "/v1/users/olga/runners", {"name": "a"})
    token = sup.client.call("POST",
                            "/v1/users/olga/runners/a/token").json["token"]
    with Socket(sup.port, "olga") as s:
        text = ('{"type":"register","user_id":"olga","body":{"user_id":'
                f'"olga","auth_token":"{token}"}}}}')
        run(s.ws.send([c for c in text]))
        t.eq(s.recv()["type"], "register_ok", "a letter a frame")
        wait_online(sup, "olga", "a")
        done = in_background(sup.connect().exec, "olga", "x")
        big = "y" * 6_000_000
        s.answer("exec_result", stdout=big, stderr="", exit_code=0,
                 timed_out=False)
        a = done()
        t.ok(a.status == 200 and a.json["stdout"] == big, "6 MB in a frame",
             a.status)
    with Socket(sup.port, "olga") as s:
        run(s.ws.send(text.encode()))
        t.eq(s.recv()["type"], "register_ok", "as binary")
        s.send("no json")
        s.send("[1]")
        wait_online(sup, "olga", "a")
        done = in_background(sup.connect().exec, "olga", "x")
        s.answer("exec_result", stdout="", stderr="", exit_code=3,
                 timed_out=False)
        t.eq(done().json["exit_code"], 3, "malformed messages are skipped")


def test_refused(t, sup):
    made = sup.client.call("POST", "/v1/users/paul/runners", {"name": "a"})
    token = made.json["token"]
    for what, user, body, code in (
            ("a wrong token", "paul", {"auth_token": "x" * 43},
             "AUTH_FAILED"),
            ("no token", "paul", {"auth_token": ""}, "AUTH_FAILED"),
            ("the API's token", "paul", {"auth_token": sup.token},
             "AUTH_FAILED"),
            ("another user's", "rosa", {"auth_token": token}, "AUTH_FAILED"),
            ("no user", "paul", {"auth_token": token, "user_id": ""},
             "INVALID"),
            ("another user", "paul", {"auth_token": token,
                                      "user_id": "rosa"}, "FORBIDDEN")):
        with Socket(sup.port, user) as s:
            got = s.register("", **body)
            t.eq((got["type"], got["body"].get("code")), ("error", code),
                 what)
            t.ok(s.wait_closed() is not None, "and is closed")
    for what, message, codes in (
            ("no register", {"type": "exec", "id": "1"}, (1002, 1008)),
            ("no JSON", "hello", (1002, 1003, 1007, 1008)),
            ("64 KiB and more", "x" * 65537, (1009, 1008))):
        with Socket(sup.port, "paul") as s:
            s.send(message)
            got = s.wait_closed()
            t.ok(got in codes, f"{what} is closed", got)
    t.eq(listed(sup, "paul", "a")["online"], False, "nobody is online")


def test_silent(t, sup):
    with Socket(sup.port, "sara") as s:
        t.ok(s.wait_closed(30) in (1002, 1008), "10 s to register")


def test_pings(t, sup):
    seen = asyncio.Event()

    class Watch(websockets.WebSocketClientProtocol):
        async def read_frame(self, max_size):
            frame = await super().read_frame(max_size)
            if frame.opcode == 9:
                seen.set()
            return frame
    s = runner(sup, "tina", "x")
    s.close()
    with Socket(sup.port, "tina", create_protocol=Watch) as s:
        t.ok(run(_pong(s.ws)), "a ping is answered")
        token = sup.client.call(
            "POST", "/v1/users/tina/runners/x/token").json["token"]
        s.register(token)
        try:
            run(seen.wait(), 40)
            t.ok(True, "the server pings")
        except (asyncio.TimeoutError, TimeoutError):
            t.ok(False, "the server pings")


async def _pong(ws):
    await (await ws.ping())
    return True


def test_duplicate(t, sup):
    """The new connection of a name wins, and the old one's end is no end."""
    old = runner(sup, "uma")
    with Socket(sup.port, "uma") as new:
        t.eq(new.register(old.token)["type"], "register_ok", "again")
        t.ok(old.wait_closed() is not None, "the old one is closed")
        wait_online(sup, "uma")
        done = in_background(sup.connect().exec, "uma", "x")
        new.answer("exec_result", stdout="new", stderr="", exit_code=0,
                   timed_out=False)
        t.eq(done().json["stdout"], "new", "the new one is asked")
    wait_online(sup, "uma", online=False)


def test_rotate(t, sup):
    c = sup.client
    s = runner(sup, "vera")
    wait_online(sup, "vera")
    a = c.call("POST", "/v1/users/vera/runners/laptop/token")
    t.ok(a.status == 200 and set(a.json) == {"token", "command"} and
         a.json["token"] in a.json["command"], "a new token", a)
    t.ok(s.wait_closed() is not None, "the old connection is closed")
    with Socket(sup.port, "vera") as s2:
        t.eq(s2.register(s.token)["body"].get("code"), "AUTH_FAILED",
             "the old token is void")
    with Socket(sup.port, "vera") as s2:
        t.eq(s2.register(a.json["token"])["type"], "register_ok",
             "the new one is good")
        wait_online(sup, "vera")
        a = c.call("DELETE", "/v1/users/vera/runners/laptop")
        t.eq(a.status, 204, "deleted")
        t.ok(s2.wait_closed() is not None, "which closes it")


def test_rename(t, sup):
    c = sup.client
    with runner(sup, "wilma") as s:
        wait_online(sup, "wilma")
        c.call("PUT", "/v1/users/wilma/runners/active", {"name": "laptop"})
        c.call("PUT", "/v1/users/wilma/sessions/s/runner",
               {"name": "laptop"})
        a = c.call("PATCH", "/v1/users/wilma/runners/laptop",
                   {"name": "desk", "llm_model": "m2"})
        t.ok(a.status == 204, "renamed", a)
        r = listed(sup, "wilma", "desk")
        t.eq((r["online"], r["active"], r["llm_model"]), (True, True, "m2"),
             "still connected, active")
        for session in ("s", ""):
            done = in_background(lambda query: sup.connect().exec(
                "wilma", "x", session=query), session)
            s.answer("exec_result", stdout="", stderr="", exit_code=0,
                     timed_out=False)
            a = done()
            t.ok(a.status == 200 and a.json["runner"] == "desk",
                 f"asked under the new name, session {session!r}", a)
        a = c.call("PATCH", "/v1/users/wilma/runners/desk",
                   {"llm_api_key": "k"})
        t.eq((a.status, a.code), (501, "ENOTSUP"), "no new key for v1")
    wait_online(sup, "wilma", "desk", False)


def test_worker_dies(t, sup):
    """kill -9 of remote, ledger, front: told, and everybody comes back."""
    s = runner(sup, "xena")
    wait_online(sup, "xena")
    done = in_background(sup.connect().exec, "xena", "x")
    s.recv()
    os.kill(sup.roles()["remote"], signal.SIGKILL)
    t.eq(s.wait_closed(), 1012, "remote: its runners get 1012")
    a = done()
    t.ok(a.code in ("EIO", "EOFFLINE"), "a started command is lost", a)
    sup.wait_ready()
    wait_online(sup, "xena", online=False)

    def again():
        try:
            s2 = Socket(sup.port, "xena")
            s2.register(s.token)
            return s2
        except (Refused, Closed, OSError):
            return None
    s2 = wait_for("remote", again)
    wait_online(sup, "xena")
    sup.restart("ledger")
    wait_online(sup, "xena")
    t.ok(True, "ledger: runners stay connected and are known again")
    done = in_background(sup.connect().exec, "xena", "x")
    s2.answer("exec_result", stdout="", stderr="", exit_code=4,
              timed_out=False)
    t.eq(done().json["exit_code"], 4, "and work")
    os.kill(sup.roles()["front"], signal.SIGKILL)
    t.eq(s2.wait_closed(), 1006, "front: connections are gone")
    sup.wait_ready()
    sup.client.close()
    wait_online(sup, "xena", online=False)
    with wait_for("front", again):
        wait_online(sup, "xena")
        t.ok(True, "and the runner is back")


def test_does_not_read(t, sup):
    """A runner that takes nothing: bounded memory, then it is dropped."""
    c = sup.client
    made = c.call("POST", "/v1/users/yoko/runners", {"name": "a"})
    s = Socket(sup.port, "yoko", max_queue=1, read_limit=1024)
    s.register(made.json["token"])
    wait_online(sup, "yoko", "a")
    s.ws.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    loop_pause(s)
    size = 40 * 1000 * 1000
    done = in_background(lambda: sup.connect().file(
        "PUT", "yoko", "big", b"z" * size))
    a = done()
    t.ok(a.status in (502, 503, 504), "the upload fails", a)
    wait_online(sup, "yoko", "a", False)
    t.ok(True, "the runner is dropped")
    if not sanitized(sup.build):
        t.ok(rss(sup.roles()["front"], "VmHWM") < 64 * 1024,
             "front stays under 64 MiB",
             rss(sup.roles()["front"], "VmHWM"))
    run(loop_abort(s))
    s.wait_closed()


async def loop_abort(s):
    s.ws.transport.abort()


def loop_pause(s):
    async def pause():
        s.ws.transport.pause_reading()
        # websockets resumes by itself when its buffer drains
        s.ws.transport.resume_reading = lambda: None
    run(pause())


def test_many_pending(t, sup):
    socks, refused = [], 0
    request = (b"GET /ws/zoe HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
               b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    for _ in range(300):
        s = socket.create_connection(("127.0.0.1", sup.port), timeout=20)
        s.sendall(request)
        line = s.recv(4096).split(b"\r\n")[0]
        if b" 101 " in line:
            socks.append(s)
        else:
            refused += b" 429 " in line
            s.close()
    t.eq((len(socks), refused), (256, 44), "256 of an address may wait")
    for s in socks:
        s.close()

    def free():
        try:
            runner(sup, "zoe").close()
            return True
        except (Refused, RuntimeError):
            return False
    sup.client.call("DELETE", "/v1/users/zoe/runners/laptop")
    wait_for("room", lambda: free() or sup.client.call(
        "DELETE", "/v1/users/zoe/runners/laptop") is None)
    t.ok(True, "when they are gone there is room")
