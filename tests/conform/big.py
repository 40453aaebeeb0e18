# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A gigabyte in and out, and what everything of ours holds meanwhile."""
import hashlib
import os

from xbot import Client, OldServer

SIZE = int(os.environ.get("XBOT_BIG", str(1 << 30)))
PIECE = 1 << 20
MOST = 64 << 10     # kB resident, of each process of ours


def pieces(size):
    """Not all the same, and cheap."""
    block = hashlib.sha512(b"block").digest() * (PIECE // 64)
    for n in range(size // PIECE):
        yield n.to_bytes(8, "big") + block[8:]


class Body:
    """As http.client reads a file."""

    def __init__(self, size):
        self.source = pieces(size)

    def read(self, _):
        return next(self.source, b"")


def put_and_get(t, sup, user, size):
    expect = hashlib.sha1()
    for piece in pieces(size):
        expect.update(piece)
    with Client(sup.port, sup.token, timeout=300) as c:
        a = c.call("PUT", f"/v1/users/{user}/files?path=giant", Body(size),
                   {"Content-Length": str(size)})
        t.ok(a.status == 204, f"PUT of {size >> 20} MiB", a)
        head = c.open("GET", f"/v1/users/{user}/files?path=giant")
        got, n = hashlib.sha1(), 0
        while True:
            piece = head.read(PIECE)
            if not piece:
                break
            got.update(piece)
            n += len(piece)
        t.eq((head.status, n, got.hexdigest()),
             (200, size, expect.hexdigest()), "GET of it: the same bytes")
        c.call("DELETE", f"/v1/users/{user}/files?path=giant")


def large(t, sup):
    memory = sup.memory()
    t.note("kB at most: " + ", ".join(f"{k} {v}" for k, v in
                                      sorted(memory.items())))
    return {k: v for k, v in memory.items() if v >= MOST}


def test_host(t, sup):
    put_and_get(t, sup, "bob", SIZE)
    found = large(t, sup)
    t.ok(not found, "every process of ours stays under 64 MiB", found)


def test_runner(t, sup):
    sup.runner("alice")
    put_and_get(t, sup, "alice", SIZE)
    found = large(t, sup)
    t.ok(not found, "every process of ours stays under 64 MiB", found)


def test_old_runner(t, sup):
    """Protocol v1 carries a file whole, in base64, in one message."""
    sup.runner("olga", port=OldServer(sup.port).port)
    put_and_get(t, sup, "olga", SIZE >> 4)
    t.note(f"above 64 MiB: {large(t, sup)}")


def test_much_output(t, sup):
    """20 MB to a limit of 16 MiB: cut, and the command runs on."""
    a = sup.client.exec("bob", "yes | head -c 20000000; echo done >after")
    got = a.json
    t.eq((a.status, got.get("exit_code"), got.get("truncated"),
          len(got.get("stdout", ""))), (200, 0, True, 16 << 20),
         "truncated at 16 MiB")
    t.eq(sup.client.file("GET", "bob", "after").body, b"done\n",
         "and it ran to its end")
    t.note(f"above 64 MiB: {large(t, sup)}")
