# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Input that means harm, in quantity: all is afterwards as it was before."""
import base64
import contextlib
import hashlib
import os
import random
import socket
import struct

from execs import good
from wire import auth
from xbot import (DEADLINE, descriptor_count, raw, rss, sanitized,
                  wait_for)


def state(sup):
    """
    Pid, descriptors and kB of each process of ours; less what each executor
    takes (a mutated path may name a user who was not there before).
    """
    pids = {"supervisor": sup.pid, **sup.roles()}
    users = {"none": len(sup.executors())}
    return {name: (pid, descriptor_count(pid) - users.get(name, 0), rss(pid))
            for name, pid in pids.items()}


def settle(t, sup, before, text):
    """Waits until every process holds as much as before."""
    slack = 1 << 30 if sanitized(sup.build) else 4096

    def back(after):
        return {n: (before[n], after.get(n)) for n in before
                if n not in after or after[n][1] > before[n][1] or
                after[n][2] > before[n][2] + slack}
    # Memory is given back by timers of some seconds.
    with contextlib.suppress(TimeoutError):
        wait_for("all back", lambda: not back(state(sup)), 40)
    after = state(sup)
    t.eq({n: after[n][0] for n in after}, {n: before[n][0] for n in before},
         f"{text}: no process of ours ended")
    t.ok(not back(after), f"{text}: descriptors are back, and memory within "
         "4 MiB", back(after))


def warm(sup, rounds=30):
    for n in range(rounds):
        sup.client.exec("bob", f"echo {n}")
        sup.client.file("PUT", "bob", "f", b"x" * 100000)
        sup.client.file("GET", "bob", "f")


def swarm(sup, rng, requests):
    for request in requests:
        with socket.create_connection(("127.0.0.1", sup.port),
                                      DEADLINE) as s:
            with contextlib.suppress(OSError):
                s.sendall(request)
                if rng.random() < 0.5:
                    s.shutdown(socket.SHUT_WR)
                    s.settimeout(0.05)
                    s.recv(1000)


def requests_of(sup, rng, count):
    """Good requests with bytes changed, dropped, doubled; and noise."""
    body = b'{"command": "true", "env": ["A=b"], "timeout": 5}'
    seeds = [
        (f"POST /v1/users/bob/exec HTTP/1.1\r\n{auth(sup)}Content-Length: "
         f"{len(body)}\r\n\r\n").encode() + body,
        (f"PUT /v1/users/bob/files?path=f&mode=0644 HTTP/1.1\r\n{auth(sup)}"
         "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
         ).encode(),
        f"GET /v1/users/bob/dir?path=. HTTP/1.1\r\n{auth(sup)}\r\n".encode(),
        f"GET /v1/users/bob/files?path=f HTTP/1.1\r\n{auth(sup)}"
        "Range: bytes=0-9\r\n\r\n".encode(),
        upgrade("bob")]
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data))
            what = rng.randrange(4)
            if what == 0:
                data[at] = rng.randrange(256)
            elif what == 1:
                del data[at:at + rng.randrange(1, 20)]
            elif what == 2:
                data[at:at] = data[at:at + rng.randrange(1, 40)]
            else:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            if not data:
                data = bytearray(b"\0")
        yield bytes(data)
        if rng.random() < 0.1:
            yield rng.randbytes(rng.randrange(1, 3000))


def test_mutations(t, sup):
    seed = int(os.environ.get("XBOT_SEED", "0")) or random.randrange(1 << 30)
    t.note(f"XBOT_SEED={seed}")
    rng = random.Random(seed)
    warm(sup)
    swarm(sup, rng, requests_of(sup, rng, 300))
    before = state(sup)
    swarm(sup, rng, requests_of(sup, rng, 1500))
    settle(t, sup, before, "1500 mutated requests")
    good(t, sup.client.exec("bob", "echo fine"), "and it serves",
         stdout="fine\n")


def test_disappearing(t, sup):
    """Clients that go away at every stage of a request."""
    body = b'{"command": "sleep 0.01; echo x"}'
    whole = (f"POST /v1/users/gone/exec HTTP/1.1\r\n{auth(sup)}"
             f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    put = (f"PUT /v1/users/gone/files?path=gone HTTP/1.1\r\n{auth(sup)}"
           "Content-Length: 200000\r\n\r\n").encode() + b"x" * 100000
    get = (f"GET /v1/users/gone/files?path=large HTTP/1.1\r\n{auth(sup)}"
           "\r\n").encode()
    sup.client.file("PUT", "gone", "large", b"y" * 3000000)
    before = state(sup)
    for n in range(300):
        data = (whole, put, get)[n % 3]
        s = socket.create_connection(("127.0.0.1", sup.port), DEADLINE)
        cut = len(data) if n % 2 or data is get else n % len(data)
        with contextlib.suppress(OSError):
            s.sendall(data[:cut])
            if n % 5 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        s.close()
    settle(t, sup, before, "300 that disappear")
    a = sup.client.exec("gone", "ls -A | grep -vx -e large -e gone")
    t.ok(a.status == 200 and a.json["stdout"] == "", "no litter", a)


def test_many_connections(t, sup):
    before = state(sup)
    some = []
    with contextlib.suppress(OSError):
        for _ in range(900):
            some.append(socket.create_connection(("127.0.0.1", sup.port), 5))
    t.ok(len(some) == 900, "900 idle connections", len(some))
    good(t, sup.client.exec("bob", "echo still"), "the next is served",
         stdout="still\n")
    for s in some:
        s.close()
    settle(t, sup, before, "900 connections")


def upgrade(user, key=b"0123456789abcdef"):
    return (f"GET /ws/{user} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(key).decode()}\r\n\r\n"
            ).encode()


def frame(opcode, data, fin=True, masked=True, length=None):
    n = len(data) if length is None else length
    head = bytes([(0x80 if fin else 0) | opcode])
    flag = 0x80 if masked else 0
    if n < 126:
        head += bytes([flag | n])
    elif n < 65536:
        head += bytes([flag | 126]) + struct.pack(">H", n)
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", n)
    if not masked:
        return head + data
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def websocket(sup, user="bob"):
    s = socket.create_connection(("127.0.0.1", sup.port), DEADLINE)
    s.sendall(upgrade(user))
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(4096)
        if not more:
            break
        got += more
    return s, got


def closes(s):
    """The close code, None for a bare end, False for silence."""
    s.settimeout(DEADLINE)
    got = b""
    with contextlib.suppress(ConnectionError):
        try:
            while True:
                more = s.recv(65536)
                if not more:
                    break
                got += more
        except TimeoutError:
            return False, got
    s.close()
    at = got.rfind(b"\x88")
    if at >= 0 and len(got) >= at + 4:
        return struct.unpack(">H", got[at + 2:at + 4])[0], got
    return None, got


def test_upgrade(t, sup):
    s, got = websocket(sup)
    accept = base64.b64encode(hashlib.sha1(
        base64.b64encode(b"0123456789abcdef") +
        b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    t.ok(got.startswith(b"HTTP/1.1 101 ") and accept in got,
         "a WebSocket opens", got)
    s.close()
    key = "Sec-WebSocket-Key: " + base64.b64encode(
        b"0123456789abcdef").decode()
    for text, name in (
            (f"GET /ws/bob HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n",
             "no Upgrade"),
            ("GET /ws/bob HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
             "no key"),
            ("GET /ws/bob HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
             f"{key}\r\n\r\n", "another version"),
            ("POST /ws/bob HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             f"{key}\r\n\r\n", "POST"),
            (upgrade("..").decode(), "a user that is none"),
            (upgrade("").decode(), "no user")):
        got = raw(sup.port, text.encode(), shut=True)
        t.match(rb"^HTTP/1.1 4\d\d ", got[:100], f"{name}: refused")


def test_websocket_frames(t, sup):
    """What is no register message, or no frame at all, ends the thing."""
    before = state(sup)
    rows = {
        "an unmasked frame": (frame(1, b"{}", masked=False), 1002),
        "an unknown opcode": (frame(3, b"x"), 1002),
        "reserved bits": (b"\xf1\x80\0\0\0\0", 1002),
        "a long ping": (frame(9, b"x" * 126), 1002),
        "a ping in pieces": (frame(9, b"x", fin=False), 1002),
        "a continuation of nothing": (frame(0, b"x"), 1002),
        "two beginnings": (frame(1, b"a", fin=False) +
                           frame(1, b"b", fin=False), 1002),
        "a close of one byte": (frame(8, b"x"), 1002),
        "a close code that is none": (frame(8, b"\x00\x01"), 1002),
        "100 kB before registration": (frame(1, b"x" * 100000), 1009),
        "a length of 2^63": (frame(1, b"", length=1 << 63), (1002, 1009)),
        "a length of 2^40": (frame(1, b"x" * 100000, length=1 << 40), 1009),
        "a close": (frame(8, b"\x03\xe8"), 1000),
    }
    for name, (data, want) in rows.items():
        s, _ = websocket(sup)
        with contextlib.suppress(OSError):
            s.sendall(data)
        code, got = closes(s)
        want = want if isinstance(want, tuple) else (want,)
        t.ok(code in want, f"{name}: {want[0]}", (code, got[:200]))
    for text in (b"{", b"[]", b'{"type": "exec"}', b"\xff\xfe",
                 b'{"type": "register"}', b'{"type": "register","body":5}',
                 b'{"type":"register","body":{"user_id":"bob",'
                 b'"auth_token":"wrong"}}',
                 b'{"type":"register","body":{"user_id":"eve",'
                 b'"auth_token":""}}', b"[" * 60000):
        s, _ = websocket(sup)
        s.sendall(frame(1, text))
        code, got = closes(s)
        t.ok(code is not False and b"register_ok" not in got,
             f"register {text[:40]!r}: closed", (code, got[:200]))
    settle(t, sup, before, "all of these")


def test_websocket_floods(t, sup):
    """Before registration: pieces of nothing, pings, half frames."""
    before = state(sup)
    rng = random.Random(7)
    for n in range(60):
        s, _ = websocket(sup)
        with contextlib.suppress(OSError):
            if n % 3 == 0:
                for _ in range(300):
                    s.sendall(frame(0 if _ else 1, b"", fin=False))
            elif n % 3 == 1:
                for _ in range(300):
                    s.sendall(frame(9, b"ping"))
            else:
                s.sendall(rng.randbytes(rng.randrange(1, 2000)))
        s.close()
    settle(t, sup, before, "60 floods")
