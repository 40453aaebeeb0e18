#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A runner's language model through the whole of it, and where its key is: on
the runner's machine, at the provider, and nowhere else.

usage: llm_keys.py BUILDDIR
"""
import base64
import contextlib
import http.server
import json
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))
from xbot import Supervisor, Tap, cmdline, descendants, wait_for  # noqa: E402

KEY = "sk-own-" + base64.b16encode(os.urandom(12)).decode()
ADMINS = "sk-admin-" + base64.b16encode(os.urandom(12)).decode()
PUSHED = "sk-push-" + base64.b16encode(os.urandom(12)).decode()
TEXT = "what the client says " + base64.b16encode(os.urandom(12)).decode()


class Provider(http.server.ThreadingHTTPServer):
    """Says yes to everybody, in the dialect of the path."""
    daemon_threads = True

    def __init__(self):
        self.asks = []
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.server.asks.append((self.path, dict(self.headers), None))
        self.reply({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asks.append((self.path, dict(self.headers), body))
        if self.path.endswith("/messages"):
            self.reply({"id": "x", "type": "message", "role": "assistant", "model": "m",
                        "content": [{"type": "text", "text": "yes"}],
                        "stop_reason": "end_turn", "stop_sequence": None,
                        "usage": {"input_tokens": 1, "output_tokens": 2}})
        else:
            self.reply({"id": "x", "object": "chat.completion", "created": 1, "model": "m",
                        "choices": [{"index": 0, "finish_reason": "stop", "message": {
                            "role": "assistant", "content": "yes"}}],
                        "usage": {"prompt_tokens": 1, "completion_tokens": 2,
                                  "total_tokens": 3}})

    def log_message(self, *_):
        pass


class Wire:
    """TCP to a port on this machine.  Keeps what the runner says, unmasked;
    v1: the server is not told that the runner speaks version 2."""

    def __init__(self, port, v1=False):
        self.target, self.v1, self.said = port, v1, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for pump in self.up, self.down:
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def up(self, client, server):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := client.recv(16384)):
                return
            head += data
        if self.v1:
            head = re.sub(rb"(?i)sec-websocket-protocol: [^\r]*\r\n", b"", head)
        self.said += head
        server.sendall(head)
        frames = b""
        try:
            while data := client.recv(16384):
                server.sendall(data)
                frames = self.unmask(frames + data)
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def unmask(self, data):
        """What is left of it: half a frame."""
        while len(data) >= 2:
            n, at = data[1] & 127, 2
            if n >= 126:
                size = 2 if n == 126 else 8
                n, at = int.from_bytes(data[2:2 + size], "big"), 2 + size
            if len(data) < at + 4 + n:
                break
            mask, body = data[at:at + 4], data[at + 4:at + 4 + n]
            whole = (mask * (n // 4 + 1))[:n]
            self.said += (int.from_bytes(body, "big") ^
                          int.from_bytes(whole, "big")).to_bytes(n, "big") if n else b""
            data = data[at + 4 + n:]
        return data

    @staticmethod
    def down(client, server):
        try:
            while data := server.recv(16384):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def memory_of(pid):
    """All of a process's writable memory."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        maps = [line.split() for line in f]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for fields in maps:
            first, last = (int(x, 16) for x in fields[0].split("-"))
            if "w" not in fields[1] or last - first > 1 << 32:
                continue        # a sanitizer's shadow is no place for text
            at = first
            while at < last:
                try:
                    mem.seek(at)
                    data = mem.read(min(last - at, 1 << 24))
                except (OSError, ValueError):
                    break
                if not data:
                    break
                yield data
                at += len(data)


def found_in(pid, secret):
    tail = b""
    for data in memory_of(pid):
        if secret in tail + data:
            return True
        tail = data[-len(secret):]
    return False


def servers(sup, runners):
    """Of the server's machine: all but the runners' own."""
    theirs = {pid for r in runners for pid in [r.pid] + descendants(r.pid)}
    return [p for p in [sup.pid] + descendants(sup.pid) if p not in theirs]


def holders(sup, runners, secret):
    out = []
    for pid in servers(sup, runners):
        try:
            if found_in(pid, secret.encode()):
                out.append(cmdline(pid)[:2])
        except OSError:
            pass
    return out


def forgotten(t, sup, secret):
    """A link keeps what it sent until the runner has acknowledged it, a fifth
    of a second later at most; then nothing of it is left."""
    with contextlib.suppress(TimeoutError):
        wait_for("its last copy to go", lambda: not holders(sup, sup.runners, secret))
    t.eq(holders(sup, sup.runners, secret), [], "no server remembers it")


def llm_runner(sup, user, wire, provider, name="openai", **more):
    base = provider.url + ("/v1" if name == "openai" else "")
    return sup.runner(user, port=wire.port, env={"XBOT_LLM_API_KEY": KEY},
                      args=["--llm-provider", name, "--llm-model", "m",
                            "--llm-base-url", base], **more)


def chat(sup, user):
    return sup.client.call("POST", f"/v1/users/{user}/llm/v1/chat/completions", {
        "model": "m", "messages": [{"role": "user", "content": TEXT}]})


def test_own_key(t, sup):
    for user, v1 in (("ann", False), ("bob", True)):
        for name in "openai", "anthropic":
            provider, wire = Provider(), Wire(sup.port, v1)
            who = f"{user}-{name}"
            r = llm_runner(sup, who, wire, provider, name)
            what = f"protocol {1 if v1 else 2}, {name}: "
            r.log.wait(r"registered, protocol %d" % (1 if v1 else 2))
            a = chat(sup, who)
            t.eq((a.status, a.headers.get("x-xbot-llm")), (200, "runner"), what + "a call")
            t.eq(a.json and a.json["choices"][0]["message"]["content"], "yes", what + "answer")
            path, headers, body = [x for x in provider.asks if x[2]][-1]
            headers = {k.lower(): v for k, v in headers.items()}
            t.eq(headers.get("authorization", headers.get("x-api-key", "")).split()[-1], KEY,
                 what + "the provider gets the key")
            t.ok(TEXT in json.dumps(body), what + "and the text")
            a = sup.client.call("GET", f"/v1/users/{who}/llm/v1/models")
            t.eq([m["id"] for m in a.json["data"]], ["m"], what + "models")
            t.ok(KEY.encode() not in wire.said, what + "the key is not on the wire")
            t.ok(b"llm_provider" in wire.said, what + "where there is something to be seen")
            for pid in [r.pid] + descendants(r.pid):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    t.ok(KEY.encode() not in f.read(), what + "nor in an argument")
                with open(f"/proc/{pid}/environ", "rb") as f:
                    t.ok(KEY.encode() not in f.read(), what + "nor in an environment")
            t.eq(holders(sup, sup.runners, KEY), [], what + "nor in a server's memory")
            t.ok(holders(sup, sup.runners, who), what + "where a name is")
            lines = sup.log.since() + r.log.since()
            t.ok(not any(KEY in line or TEXT in line for line in lines),
                 what + "neither it nor the text is in a log")
            r.stop()
            sup.runners.remove(r)
    t.ok(not on_disk(sup, KEY), "nor on the disk")


def on_disk(sup, secret):
    for top, _, names in os.walk(sup.state):
        for name in names:
            with open(os.path.join(top, name), "rb") as f:
                if secret.encode() in f.read():
                    return True
    return False


def info(sup, user):
    return sup.client.call("GET", f"/v1/users/{user}/runners").json["runners"][0]


def test_pushed_key(t, sup):
    ours, theirs, wire = Provider(), Provider(), Wire(sup.port)
    r = llm_runner(sup, "carl", wire, ours)
    base = "/v1/users/carl/runners/laptop"
    a = sup.client.call("PATCH", base, {"llm_base_url": theirs.url})
    t.eq(a.code, "EPERM", "the runner's own key goes nowhere else")
    t.eq((info(sup, "carl")["llm_provider"], info(sup, "carl")["llm_model"]),
         ("openai", "m"), "and nothing is stored")
    a = sup.client.call("PATCH", base, {"llm_model": "m2"})
    t.eq(a.status, 204, "the model may change")
    t.eq(info(sup, "carl")["llm_model"], "m2", "and is stored")
    a = sup.client.call("PATCH", base, {
        "llm_provider": "anthropic", "llm_api_key": PUSHED, "llm_model": "m3",
        "llm_base_url": theirs.url})
    t.eq(a.status, 204, "with a key all of it may change")
    t.eq((info(sup, "carl")["llm_provider"], info(sup, "carl")["llm_model"]),
         ("anthropic", "m3"), "and is stored")
    a = chat(sup, "carl")
    t.eq((a.status, a.headers.get("x-xbot-llm")), (200, "runner"), "a call")
    headers = {k.lower(): v for k, v in theirs.asks[-1][1].items()}
    t.eq(headers.get("x-api-key"), PUSHED, "goes there, with that key")
    t.ok(not ours.asks or ours.asks[-1][2] is None, "and not to the old place")
    forgotten(t, sup, PUSHED)
    t.ok(not on_disk(sup, PUSHED), "nor the disk")
    t.ok(not any(PUSHED in line for line in sup.log.since() + r.log.since()), "nor a log")
    file = os.path.join(sup.dir, "admins.key")
    with open(file, "w", encoding="ascii") as f:
        os.fchmod(f.fileno(), 0o600)
        f.write(ADMINS + "\n")
    got = sup.admin("runner", "llm", "-u", "carl", "--llm-api-key-file", file,
                    "laptop")
    t.eq((got.returncode, got.stderr), (0, b"" if isinstance(got.stderr, bytes) else ""),
         "xbot-admin gives another one")
    chat(sup, "carl")
    headers = {k.lower(): v for k, v in theirs.asks[-1][1].items()}
    t.eq(headers.get("x-api-key"), ADMINS, "which counts")
    forgotten(t, sup, ADMINS)
    a = sup.client.call("PATCH", base, {"llm_provider": "openai", "llm_api_key": PUSHED})
    t.eq((a.status, info(sup, "carl")["llm_model"]), (204, ""),
         "another provider has nothing of the old one's")
    a = sup.client.call("PATCH", base, {"llm_provider": ""})
    t.eq(a.status, 204, "it can be switched off")
    a = chat(sup, "carl")
    t.ok(a.headers.get("x-xbot-llm") != "runner", "and is not asked any more", a)
    r.stop()
    sup.runners.remove(r)
    a = sup.client.call("PATCH", base, {"llm_provider": "openai", "llm_api_key": PUSHED})
    t.eq(a.code, "EOFFLINE", "nobody there, no key")


def test_v1_takes_none(t, sup):
    provider, wire = Provider(), Wire(sup.port, True)
    r = llm_runner(sup, "dora", wire, provider)
    base = "/v1/users/dora/runners/laptop"
    a = sup.client.call("PATCH", base, {"llm_api_key": PUSHED})
    t.eq(a.code, "ENOTSUP", "protocol 1 has no message for a key")
    a = sup.client.call("PATCH", base, {"llm_model": "other"})
    t.eq(a.status, 204, "a model is asked for with each call")
    a = sup.client.call("POST", "/v1/users/dora/llm/v1/chat/completions", {
        "model": "default", "messages": [{"role": "user", "content": "x"}]})
    t.eq((a.status, provider.asks[-1][2]["model"]), (200, "other"), "and so it is")
    r.stop()
    sup.runners.remove(r)


def test_gone(t, sup):
    """What the runner had goes with it, and comes back with it."""
    provider, wire = Provider(), Wire(sup.port)
    r = llm_runner(sup, "ed", wire, provider)
    t.eq(chat(sup, "ed").headers.get("x-xbot-llm"), "runner", "there")
    r.stop()
    wait_for("offline", lambda: not info(sup, "ed")["online"])
    t.ok(chat(sup, "ed").headers.get("x-xbot-llm") != "runner", "gone")
    t.eq(info(sup, "ed")["llm_provider"], "openai", "the record remembers what it was")
    r.start()
    r.wait_online()
    t.eq(chat(sup, "ed").headers.get("x-xbot-llm"), "runner", "there again")
    r.stop()
    r.args, r.env = [], {}
    r.start()
    r.wait_online()
    t.ok(chat(sup, "ed").headers.get("x-xbot-llm") != "runner", "there without a model")
    r.stop()
    sup.runners.remove(r)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    t = Tap()
    with Supervisor(sys.argv[1]) as sup:
        for test in test_own_key, test_pushed_key, test_v1_takes_none, test_gone:
            t.run(test, sup)
    t.eq(sup.problems, [], "nothing was left, nothing was reported")
    sys.exit(t.done())


if __name__ == "__main__":
    main()
