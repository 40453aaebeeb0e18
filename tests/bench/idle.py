#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What an idle runner costs: anonymous memory of each process of ours.

usage: idle.py BUILDDIR [runners]

Simulated runners of protocol v1, a user each, with the global token, over
plain sockets.  Printed, never asserted but for being connected.
"""
import base64
import json
import os
import resource
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))

from xbot import Supervisor, Tap, Skip, verdict, wait_for

TOKEN = "a-global-runner-token-for-many-simulated-runners"
AIM_KIB = 6


def read_until(sock, mark, user):
    got = b""
    while mark not in got:
        more = sock.recv(4096)
        if not more:
            raise OSError(f"{user}: closed after {got[-200:]!r}")
        got += more


def connect(port, user):
    """A registered runner, or an error."""
    key = base64.b64encode(os.urandom(16)).decode()
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(f"GET /ws/{user} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
    read_until(sock, b"\r\n\r\n", user)
    text = (f'{{"type":"register","user_id":"{user}","body":{{"user_id":'
            f'"{user}","auth_token":"{TOKEN}","shell":"/bin/sh"}}}}').encode()
    # A mask of zero is a mask.
    head = bytes([0x81]) + (bytes([0x80 | len(text)]) if len(text) < 126 else
                            bytes([0xfe]) + struct.pack(">H", len(text)))
    sock.sendall(head + bytes(4) + text)
    read_until(sock, b"register_ok", user)
    return sock


def anonymous(pid):
    """KiB that are this process's own."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Anonymous:"):
                return int(line.split()[1])
    return 0


def test_idle(t, sup, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 100:
        raise Skip(f"this machine allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, hard))
    ours = sup.roles()
    before = {role: anonymous(pid) for role, pid in ours.items()}
    runners = [connect(sup.port, f"user{n}") for n in range(count)]
    wait_for("all to be online", lambda: json.loads(
        sup.admin("-j", "status").stdout)["runners_online"] == count)
    total = 0
    for role, pid in ours.items():
        grown = anonymous(pid) - before[role]
        total += grown
        t.note(f"{role:8} grew by {grown} KiB")
    t.ok(True, f"{count} idle runners: {total / count:.2f} KiB each in all "
         f"processes together; aim {AIM_KIB}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for sock in runners:
        sock.close()


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    t = Tap()
    with Supervisor(sys.argv[1], config=f'auth token "{TOKEN}"\n') as sup:
        t.run(test_idle, sup, count)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
