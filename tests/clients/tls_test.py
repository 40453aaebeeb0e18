#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""TLS of the server and of xbot-runner: protocols, certificates, reload,
other people's clients, hostile peers, what a connection costs.

usage: tls_test.py BUILDDIR [test ...]
"""
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, os.path.join(HERE, "../conform"))

import websockets

import big
from pki import LATER, OVER, Pki
from xbot import (DEADLINE, Client, Runner, Skip, Supervisor, Tap,
                  descriptor_count, free_port, quote, rss, sanitized, status,
                  tests_of, verdict, wait_for)

PEERS = min(int(os.environ.get("XBOT_TLS_PEERS", "800")), 1000)
LOCAL = "DNS:localhost,IP:127.0.0.1"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Secure(Client):
    """As Client, but over TLS."""

    def __init__(self, port, token=None, timeout=DEADLINE, context=None):
        super().__init__(port, token, timeout)
        self.conn = http.client.HTTPSConnection("localhost", port,
                                                timeout=timeout,
                                                context=context)


class Place:
    """A supervisor with certificates and TLS listeners."""

    def __init__(self, build):
        self.sup = Supervisor(build, start=False)
        self.pki = p = Pki(os.path.join(self.sup.dir, "pki"))
        p.root("ca", "Test CA")
        p.root("ca2", "Other CA")
        p.root("self", "self", LOCAL)
        p.leaf("good", LOCAL)
        p.leaf("renewed", LOCAL, key="rsa")
        p.leaf("live", LOCAL)
        p.leaf("b", "DNS:b.example,DNS:also.b.example")
        p.leaf("wild", "DNS:*.w.example")
        p.leaf("other", "DNS:other.example,DNS:x.example,IP:192.0.2.7")
        p.leaf("old", LOCAL, OVER)
        p.leaf("later", LOCAL, LATER)
        p.leaf("ipless", "DNS:localhost")
        p.leaf("client", LOCAL, extra="extendedKeyUsage=clientAuth\n")
        p.move("good", "broken")
        shutil.copy(p.path("b.key"), p.path("broken.key"))
        self.ports = {name: free_port() for name in (
            "main", "self", "other", "old", "later", "ipless", "client",
            "broken")}
        self.extra = ""
        self.configure()
        self.sup.start()

    @property
    def port(self):
        return self.ports["main"]

    def configure(self):
        lines = [f'listen on 127.0.0.1 port {self.port} tls '
                 f'{self.pki.pair("live")} {self.pki.pair("b")} '
                 f'{self.pki.pair("wild")}']
        lines += [f'listen on 127.0.0.1 port {port} tls '
                  f'{self.pki.pair(name)}'
                  for name, port in self.ports.items() if name != "main"]
        self.sup.configure("\n".join(lines) + "\n" + self.extra)

    def reload(self, expect="configuration reloaded"):
        mark = self.sup.log.mark()
        os.kill(self.sup.pid, signal.SIGHUP)
        self.sup.log.wait(expect, mark)
        return mark

    def context(self, ca="ca", low=None, high=None):
        c = ssl.create_default_context(cafile=self.pki.path(f"{ca}.crt"))
        if low:
            c.minimum_version = low
        if high:
            c.maximum_version = high
        return c

    def connect(self, name="localhost", context=None, port=None):
        s = socket.create_connection(("127.0.0.1", port or self.port),
                                     DEADLINE)
        try:
            return (context or self.context()).wrap_socket(
                s, server_hostname=name)
        except Exception:
            s.close()
            raise

    def serial(self, name="localhost", context=None):
        """Which certificate does a client see?"""
        c = context or self.context()
        c.check_hostname = False
        with self.connect(name, c) as s:
            return dict(x[0] for x in s.getpeercert()["subject"])[
                "commonName"]

    def secure(self):
        c = Secure(self.port, self.sup.token, context=self.context())
        self.sup.clients.append(c)
        return c

    def s_client(self, *words, text=""):
        p = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
             "-CAfile", self.pki.path("ca.crt"), "-servername", "localhost",
             *words], input=text.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
        return p.stdout.decode(errors="replace")

    def runner(self, user, name, url, *args, **more):
        r = Runner(self.sup, user, name,
                   ("--server", f"{url}/ws/{user}", *args), **more)
        self.sup.runners.append(r)
        return r

    @property
    def ca(self):
        return "--ca-file", self.pki.path("ca.crt")


def answer(s):
    """One answer of a keep-alive connection."""
    got = b""
    while b"}" not in got:
        piece = s.recv(4096)
        if not piece:
            break
        got += piece
    return got


# --- what is spoken ---

def test_protocols(t, p):
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                          (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with p.connect(context=p.context(low=version, high=version)) as s:
            s.sendall(HEALTH)
            t.ok(b'"ok"' in answer(s), f"{name} answers")
            t.eq(s.version(), name, f"{name} is what was agreed upon")
            t.match("GCM|CHACHA20", s.cipher()[0], f"{name}: AEAD")
    for old in ("-tls1_1", "-tls1"):
        out = p.s_client(old, "-cipher", "ALL:@SECLEVEL=0")
        t.match("alert protocol version", out, f"{old[1:]} is refused")
    for weak in ("ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256",
                 "DHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-CCM"):
        out = p.s_client("-tls1_2", "-cipher", weak + ":@SECLEVEL=0")
        t.match("alert handshake failure|no cipher match", out,
                f"{weak} is refused")
    out = p.s_client("-tls1_2", text="R\n")
    t.match("no renegotiation", out, "no renegotiation")
    t.match("Compression: NONE", p.s_client("-tls1_2", "-comp"),
            "no compression")


def test_alpn(t, p):
    t.match("ALPN protocol: http/1.1", p.s_client("-alpn", "h2,http/1.1"),
            "http/1.1 is chosen")
    t.match("alert no application protocol", p.s_client("-alpn", "h2"),
            "h2 alone is refused")


def test_tickets(t, p):
    kept = os.path.join(p.sup.dir, "session")
    for version in ("-tls1_2", "-tls1_3"):
        for when in ("at once", "after a reload"):
            text = HEALTH.decode().replace("\r\n\r\n",
                                           "\r\nConnection: close\r\n\r\n")
            p.s_client(version, "-sess_out", kept, "-ign_eof", text=text)
            if when != "at once":
                p.reload()
            out = p.s_client(version, "-sess_in", kept, "-ign_eof",
                             text=text)
            t.match("(?m)^Reused", out, f"{version[1:]} resumes {when}")
            t.match('"status":"ok"', out, "and is served")
            t.match("closed$", out.strip(), "and ends with close_notify")


def test_sni(t, p):
    for name, want in (("localhost", "live"), ("b.example", "b"),
                       ("B.EXAMPLE", "b"), ("also.b.example", "b"),
                       ("a.w.example", "wild"), ("w.example", "live"),
                       ("a.b.w.example", "live"), ("nobody", "live"),
                       (None, "live")):
        t.eq(p.serial(name), want, f"{name} gets {want}")


# --- other people's clients ---

def test_curl(t, p):
    url = f"https://localhost:{p.port}/healthz"
    run = lambda *a: subprocess.run(["curl", "-sS", *a, url],
                                    stdout=subprocess.PIPE, check=False,
                                    stderr=subprocess.STDOUT)
    t.match(b'"ok"', run("--cacert", p.pki.path("ca.crt")).stdout, "curl")
    t.eq(run().returncode, 60, "curl without our CA refuses")
    plain = run("--cacert", p.pki.path("ca.crt"), "--http0.9").returncode
    t.eq(plain, 0, "curl with other flags")


def register(p, user, name):
    a = p.sup.client.call("POST", f"/v1/users/{user}/runners",
                          {"name": name, "mode": "native"})
    return {"type": "register", "user_id": user, "body": {
        "user_id": user, "auth_token": a.json["token"],
        "workspace": "/w"}}


def test_python(t, p):
    first = register(p, "py", "websockets")

    async def talk():
        async with websockets.connect(f"wss://localhost:{p.port}/ws/py",
                                      ssl=p.context()) as ws:
            await ws.send(json.dumps(first))
            got = json.loads(await ws.recv())
            await (await ws.ping())
            return got
    t.eq(asyncio.run(talk()).get("type"), "register_ok",
         "python3-websockets registers")


NODE = """
const WebSocket = require('ws');
const ws = new WebSocket(process.argv[2], {
  ca: require('fs').readFileSync(process.argv[3]) });
ws.on('open', () => ws.send(process.argv[4]));
ws.on('message', m => { console.log(m.toString()); ws.close(1000); });
ws.on('close', c => console.log('closed ' + c));
ws.on('error', e => { console.log('error ' + e); process.exit(1); });
"""


def test_npm_ws(t, p):
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("npm's ws: no node here")
    where = os.path.join(p.sup.dir, "npm")
    os.mkdir(where)
    try:
        got = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund",
             "--prefix", where, "ws@8"], cwd=where, timeout=DEADLINE,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired:
        raise Skip("npm's ws: npm does not answer") from None
    if got.returncode != 0:
        raise Skip("npm's ws cannot be installed here")
    with open(os.path.join(where, "t.js"), "w", encoding="ascii") as f:
        f.write(NODE)
    out = subprocess.run(
        ["node", os.path.join(where, "t.js"),
         f"wss://localhost:{p.port}/ws/js", p.pki.path("ca.crt"),
         json.dumps(register(p, "js", "node"))], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=DEADLINE, check=False,
        stdin=subprocess.DEVNULL).stdout.decode()
    t.match("register_ok", out, "npm's ws registers")
    t.match("closed 1000", out, "and closes in order")


# --- xbot-runner ---

def test_runner(t, p):
    """End to end, by name and by address."""
    for n, host in enumerate(("localhost", "127.0.0.1")):
        user = f"alice{n}"
        p.runner(user, "laptop", f"wss://{host}:{p.port}", *p.ca)
        a = p.sup.client.exec(user, "echo $((6*7)); cat", stdin="in")
        t.eq((a.json.get("stdout"), a.json.get("exit_code")), ("42\nin", 0),
             f"a command through wss://{host}")
        body = os.urandom(3 << 20)
        p.sup.client.file("PUT", user, "f", body)
        t.eq(p.sup.client.file("GET", user, "f").body, body,
             "3 MiB there and back")


def refusal(p, name, *args, url=None, port="main", **more):
    url = url or f"wss://localhost:{p.ports[port]}"
    r = p.runner("mallory", name, url, "--once", *args, wait=False, **more)
    code = r.process.wait(DEADLINE)
    r.log.join(DEADLINE)
    return code, "\n".join(r.log.since())


def test_refusals(t, p):
    """Each says why, and what may be done."""
    ca2 = ("--ca-file", p.pki.path("ca2.crt"))
    cases = (
        ("wrong name", p.ca, "other",
         "the certificate of localhost is for other.example, x.example, "
         "192.0.2.7"),
        ("expired", p.ca, "old",
         "the certificate of localhost expired on 2026-02-01"),
        ("not yet", p.ca, "later",
         "is not valid yet, but on 2048-01-01 .is the clock"),
        ("self-signed", (), "self",
         "localhost has a self-signed certificate: give its CA with "
         "--ca-file"),
        ("self-signed, other CA", p.ca, "self",
         "self-signed certificate that is not in the --ca-file"),
        ("unknown CA", (), "main",
         "issued by Test CA, which this machine does not trust: give that "
         "CA with --ca-file"),
        ("wrong CA", ca2, "main",
         "issued by Test CA, which is not in the --ca-file"),
        ("a client's", p.ca, "client", "certificate purpose"),
    )
    for n, (what, args, port, text) in enumerate(cases):
        code, log = refusal(p, f"r{n}", *args, port=port)
        t.match(text, log, what)
        t.eq(code, 1, f"{what}: exit status")
        t.ok("registered" not in log, f"{what}: nothing was sent")
    code, log = refusal(p, "ip", *p.ca, port="ipless",
                        url=f"wss://127.0.0.1:{p.ports['ipless']}")
    t.match("certificate of 127.0.0.1 is for localhost", log,
            "an address is no name")
    code, log = refusal(p, "plain", *p.ca,
                        url=f"wss://localhost:{p.sup.port}")
    t.match("does that port speak TLS", log, "wss:// to a plain port")
    code, log = refusal(p, "tls", url=f"ws://localhost:{p.port}")
    t.match("does that port want wss://", log, "ws:// to a TLS port")
    for n, (path, text) in enumerate((
            ("/nonexistent", "No such file"),
            (p.sup.conf, "no PEM certificates|Permission denied"))):
        code, log = refusal(p, f"ca{n}", "--ca-file", path)
        t.match(f"--ca-file {path}: ({text})", log, f"--ca-file {path}")


def test_trusted_itself(t, p):
    """A self-signed one is right for those who name it."""
    p.runner("eve", "laptop", f"wss://localhost:{p.ports['self']}",
             "--ca-file", p.pki.path("self.crt"))
    t.eq(p.sup.client.exec("eve", "echo hi").json.get("stdout"), "hi\n",
         "--ca-file with the server's own certificate")


# --- reload ---

def test_reload(t, p):
    """New certificates for new connections; the old ones go on."""
    before = p.connect()
    p.runner("carol", "laptop", f"wss://localhost:{p.port}", *p.ca)
    pid = status(p.sup.roles()["front"])["Pid"]
    p.pki.move("renewed", "live")
    p.reload()
    wait_for("the new certificate", lambda: p.serial() == "renewed")
    t.ok(True, "a new connection sees the new certificate (RSA now)")
    before.sendall(HEALTH)
    t.ok(b'"ok"' in answer(before), "an old connection goes on")
    before.close()
    t.eq(p.sup.client.exec("carol", "echo hi").json.get("stdout"), "hi\n",
         "and so does a runner's")
    t.eq(status(p.sup.roles()["front"])["Pid"], pid, "front is the same")


def test_reload_faults(t, p):
    live = p.pki.path("live.key")
    with open(live, "rb") as f:
        key = f.read()
    seen = p.serial()

    def fault(what, text, expect):
        try:
            mark = p.reload(expect)
            t.ok(True, f"{what}: said so")
        except TimeoutError as e:
            t.ok(False, f"{what}: said so", e)
            mark = 0
        p.sup.log.wait(text, mark)
        t.eq(p.serial(), seen, f"{what}: the certificate is the old one")

    os.chmod(live, 0o644)
    fault("a key that all can read", "chmod o-rw",
          "configuration not reloaded: .*key .*live.key: everybody")
    os.chmod(live, 0o600)
    os.rename(live, live + ".away")
    fault("no key", "live.key", "not reloaded: .*No such file")
    os.mkfifo(live)
    fault("a fifo", "live.key", "not reloaded: .*not a regular file")
    os.unlink(live)
    for what, text, expect in (
            ("a key of another", open(p.pki.path("b.key"), "rb").read(),
             "live.crt: the key does not match"),
            ("rubbish", b"no key at all\n", "live.crt: the key file has no"),
            ("half a key", key[:120], "live.crt: the key file has no")):
        with open(live, "wb") as f:
            f.write(text)
        os.chmod(live, 0o600)
        fault(what, "certificates from before are kept", expect)
    for what, text, expect in (
            ("too large", b"x" * 65537, "live.key: larger than 64 KiB"),
            ("empty", b"", "live.key: empty"),
            ("not text", b"\0\xff\xfe", "live.key: not PEM")):
        with open(live, "wb") as f:
            f.write(text)
        fault(what, "not reloaded", expect)
    p.pki.openssl("pkey", "-in", live + ".away", "-out", live, "-aes256",
                  "-passout", "pass:secret")
    fault("a passphrase", "certificates from before are kept",
          "the key has a passphrase")
    os.rename(live + ".away", live)
    p.reload()
    t.eq(p.serial(), seen, "and in order again")


def test_first_fault(t, p):
    """A pair that was never right: that listener serves nobody, until."""
    log = "\n".join(p.sup.log.since())
    t.match("broken.crt: the key does not match the certificate", log,
            "told at the start")
    t.match("no usable certificate, so it serves nobody", log,
            "with the consequence")
    t.match("old.crt expired on 2026-02-01", log, "an old one is a warning")
    t.match("later.crt is not valid yet", log, "so is an early one")
    try:
        p.connect(port=p.ports["broken"]).close()
        t.ok(False, "no handshake")
    except OSError:
        t.ok(True, "no handshake")
    shutil.copy(p.pki.path("good.key"), p.pki.path("broken.key"))
    p.reload()

    def heals():
        with contextlib.suppress(OSError):
            p.connect(port=p.ports["broken"]).close()
            return True
        return False
    wait_for("the healed listener", heals)
    t.ok(True, "a reload heals it")


def test_start_fault(t, p):
    """The same on the first start, when a file is not there at all."""
    with Supervisor(p.sup.build, start=False) as other:
        other.configure(f'listen on 127.0.0.1 port {free_port()} tls '
                        f'certificate "/nonexistent" key "/nonexistent"')
        other.start(ready=False)
        t.eq(other.process.wait(DEADLINE), 1, "exit status")
        other.log.join(DEADLINE)
        t.match("certificate /nonexistent: No such file", "\n".join(
            other.log.since()), "says which")
        other.process = None


def test_change_kind(t, p):
    """A port may become plain, and TLS again, in place."""
    port = p.port
    conn = p.connect()
    p.sup.configure(f"listen on 127.0.0.1 port {port}")
    p.reload()

    def plain():
        with contextlib.suppress(OSError, http.client.HTTPException):
            with Client(port, timeout=5) as c:
                return c.call("GET", "/healthz").status == 200
        return False
    wait_for("plain HTTP", plain)
    t.ok(True, "it is plain now")
    conn.sendall(HEALTH)
    t.ok(b'"ok"' in answer(conn), "a TLS connection goes on")
    conn.close()
    p.configure()
    p.reload()

    def secure():
        with contextlib.suppress(OSError):
            p.connect().close()
            return True
        return False
    wait_for("TLS", secure)
    t.ok(True, "and TLS again")


# --- proxies ---

class Proxy(threading.Thread):
    """Answers CONNECT and leads every name to the same port of ours."""

    def __init__(self, port, answer_=b"HTTP/1.1 200 OK\r\n\r\n"):
        super().__init__(daemon=True)
        self.to, self.answer, self.heads = port, answer_, []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return client.close()
            head += piece
        self.heads.append(head.decode())
        client.sendall(self.answer)
        if b" 200 " not in self.answer:
            return client.close()
        server = socket.create_connection(("127.0.0.1", self.to))
        back = threading.Thread(target=self.pump, args=(server, client),
                                daemon=True)
        back.start()
        self.pump(client, server)

    @staticmethod
    def pump(source, target):
        with contextlib.suppress(OSError):
            while True:
                piece = source.recv(65536)
                if not piece:
                    break
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()


def test_proxy(t, p):
    """A server that only the proxy can find, with and without TLS."""
    p.pki.leaf("far", "DNS:far.example")
    far = free_port()
    p.extra = (f'listen on 127.0.0.1 port {far} tls {p.pki.pair("far")}\n')
    p.configure()
    p.reload()
    secure, plain = Proxy(far), Proxy(p.sup.port)
    env = {"HTTPS_PROXY": f"http://me:s%20cret@127.0.0.1:{secure.port}",
           "http_proxy": f"127.0.0.1:{plain.port}",
           "NO_PROXY": "else.example,.far.example"}
    for n, (url, proxy) in enumerate(((f"wss://far.example:{far}", secure),
                                      ("ws://far.example", plain))):
        user = f"zoe{n}"
        p.runner(user, "laptop", url, *(p.ca if n == 0 else ()), env=env)
        t.eq(p.sup.client.exec(user, "echo hi").json.get("stdout"), "hi\n",
             f"a command through {url} and a proxy")
        head = proxy.heads[0].splitlines()
        t.eq(head[0], f"CONNECT far.example:{80 if n else far} HTTP/1.1",
             "CONNECT names the server")
        t.eq("Proxy-Authorization: Basic bWU6cyBjcmV0" in head, n == 0,
             "with the password, if there is one")
    seen = len(secure.heads) + len(plain.heads)
    p.runner("near", "laptop", f"wss://localhost:{p.port}", *p.ca, env=env)
    code, log = refusal(p, "p0", *p.ca, url="wss://a.far.example", env=env)
    t.match("cannot find a.far.example", log, "NO_PROXY")
    t.eq(len(secure.heads) + len(plain.heads), seen,
         "neither loopback nor NO_PROXY go through it")
    code, log = refusal(p, "p1", *p.ca, url="wss://wrong.example", env=env)
    t.match("certificate of wrong.example is for far.example", log,
            "the certificate is the server's, not the proxy's")
    for n, (answer_, text) in enumerate((
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
             "407.*http://USER:PASSWORD@HOST:PORT"),
            (b"HTTP/1.1 403 Forbidden\x1b[2J\r\n\r\n",
             r"proxy refused: HTTP/1.1 403 Forbidden.x1b"),
            (b"SSH-2.0-x\r\n\r\n", "proxy refused: SSH-2.0-x"),
            (b"x" * 20000, "answer is too long"),
            (b"", "the proxy: closed"))):
        bad = Proxy(far, answer_)
        code, log = refusal(p, f"q{n}", *p.ca, url="wss://far.example",
                            env={"https_proxy": f"127.0.0.1:{bad.port}"})
        t.match(text, log, f"answer {answer_[:30]}")
        bad.close()
    for text in ("socks5://127.0.0.1:1", "https://127.0.0.1:1"):
        code, log = refusal(p, "s" + text[0], *p.ca, url="wss://far.example",
                            env={"HTTPS_PROXY": text})
        t.match("HTTPS_PROXY: only http:// proxies", log, text)
    code, log = refusal(p, "nobody", *p.ca, url="wss://far.example",
                        env={"HTTPS_PROXY": "127.0.0.1:1"})
    t.match("the proxy: Connection refused", log, "no proxy there")
    secure.close()
    plain.close()


# --- hostile peers, and what it costs ---

def test_rubbish(t, p):
    mark = p.sup.log.mark()
    for what, data in (("plain HTTP", HEALTH), ("noise", os.urandom(4096)),
                       ("zeros", bytes(4096)),
                       ("half a hello", b"\x16\x03\x01\x02\x00\x01\x00"),
                       ("a huge record", b"\x16\x03\x01\xff\xff" + bytes(70000)),
                       ("an alert", b"\x15\x03\x01\x00\x02\x02\x28"),
                       ("SSLv2", b"\x80\x2e\x01\x00\x02")):
        with socket.create_connection(("127.0.0.1", p.port), 30) as s:
            with contextlib.suppress(OSError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while s.recv(4096):
                    pass
    t.eq(p.secure().call("GET", "/healthz").status, 200,
         "the listener still serves")
    log = p.sup.log.since(mark)
    t.ok(any("TLS handshake: http request" in l for l in log),
         "plain HTTP is told in the log", "\n".join(log))
    t.ok(len([l for l in log if "TLS handshake" in l]) <= 7,
         "a line each at most")


def test_stalled(t, p):
    """Who says nothing, or a byte a second, has ten seconds."""
    front = p.sup.roles()["front"]
    before = descriptor_count(front)
    socks = [socket.create_connection(("127.0.0.1", p.port), 60)
             for _ in range(50)]
    start = time.monotonic()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40)
    for n, s in enumerate(socks):
        s.sendall(hello[:n])
    slow = socks[-1]
    gone = set()

    def over():
        with contextlib.suppress(OSError):
            slow.sendall(b"\0")
        time.sleep(0.5)
        for s in socks:
            if s not in gone:
                s.settimeout(0)
                try:
                    if s.recv(100) == b"":
                        gone.add(s)
                except BlockingIOError:
                    pass
                except OSError:
                    gone.add(s)
        return len(gone) == len(socks)
    wait_for("their end", over, 40)
    took = time.monotonic() - start
    t.ok(5 < took < 25, "they are cut after about ten seconds", took)
    for s in socks:
        s.close()
    wait_for("descriptors", lambda: descriptor_count(front) <= before + 2)
    t.ok(True, "the descriptors are free again")


def anonymous(pid):
    return rss(pid, "RssAnon")


def crowd(p, count, secure, upgraded):
    """Idle peers."""
    context = p.context()
    socks = []
    for n in range(count):
        s = socket.create_connection(
            ("127.0.0.1", p.port if secure else p.sup.port), 60)
        if secure:
            s = context.wrap_socket(s, server_hostname="localhost")
        if upgraded:
            s.sendall(f"GET /ws/u{n} HTTP/1.1\r\nHost: localhost\r\n"
                      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        else:
            s.sendall(HEALTH)
        socks.append(s)
        if not s.recv(4096):
            raise RuntimeError("closed at once")
    return socks


def fresh_front(p):
    """Its death; the next one gets sockets and certificates again."""
    old = p.sup.roles()["front"]
    os.kill(old, signal.SIGKILL)

    def back():
        with contextlib.suppress(OSError):
            if p.sup.roles().get("front", old) != old and p.sup.ready():
                p.connect().close()
                return True
        return False
    wait_for("a new front", back)
    return p.sup.roles()["front"]


def test_memory(t, p):
    """What an idle connection costs; what is left when a crowd has gone."""
    if sanitized(p.sup.build):
        raise Skip("memory of a sanitizer build")
    for upgraded, what in ((False, "HTTP"), (True, "WebSocket")):
        each = {}
        for secure in (False, True):
            front = fresh_front(p)
            # A first crowd warms the allocator up.
            for s in crowd(p, 20, secure, upgraded):
                s.close()
            time.sleep(1)
            fds, before = descriptor_count(front), anonymous(front)
            socks = crowd(p, PEERS, secure, upgraded)
            each[secure] = (anonymous(front) - before) * 1024 / PEERS
            for s in socks:
                s.close()
            wait_for("descriptors", lambda f=front, n=fds:
                     # runners of earlier tests may have come back
                     descriptor_count(f) <= n + 2 + len(p.sup.runners))
        t.note(f"idle {what}: plain {each[False]:.0f} bytes, "
               f"TLS {each[True]:.0f} bytes a connection")
        t.ok(each[True] < 30000, f"an idle {what} costs less than 30 kB",
             each)
    wait_for("memory", lambda: anonymous(front) < before + 4096, 100)
    t.note(f"front: {before} kB before, {anonymous(front)} kB after "
           f"{PEERS} WebSockets over TLS")
    t.ok(True, "descriptors and memory return")


def test_rates(t, p):
    """Of a kept connection and of new ones; for the record."""
    if sanitized(p.sup.build):
        raise Skip("speed of a sanitizer build")
    c = p.secure()
    start = time.monotonic()
    for _ in range(1000):
        c.call("GET", "/healthz")
    kept = 1000 / (time.monotonic() - start)
    context = p.context()
    start = time.monotonic()
    for _ in range(200):
        with p.connect(context=context) as s:
            s.sendall(HEALTH)
            answer(s)
    t.note(f"{kept:.0f} requests/s on one connection, "
           f"{200 / (time.monotonic() - start):.0f} handshakes/s, one client")
    t.ok(True, "measured")


def test_gigabyte(t, p):
    """In and out over TLS, every process of ours under 64 MiB."""
    size = big.SIZE
    if sanitized(p.sup.build):
        size = 64 << 20
    expect = big.hashlib.sha1()
    for piece in big.pieces(size):
        expect.update(piece)
    start = time.monotonic()
    with Secure(p.port, p.sup.token, 300, p.context()) as c:
        a = c.call("PUT", "/v1/users/bob/files?path=giant", big.Body(size),
                   {"Content-Length": str(size)})
        t.ok(a.status == 204, f"PUT of {size >> 20} MiB", a)
        middle = time.monotonic()
        head = c.open("GET", "/v1/users/bob/files?path=giant")
        got, n = big.hashlib.sha1(), 0
        while True:
            piece = head.read(big.PIECE)
            if not piece:
                break
            got.update(piece)
            n += len(piece)
        t.eq((head.status, n, got.hexdigest()),
             (200, size, expect.hexdigest()), "GET of it: the same bytes")
        end = time.monotonic()
        c.call("DELETE", "/v1/users/bob/files?path=giant")
    t.note(f"{size / (middle - start) / 2**20:.0f} MiB/s in, "
           f"{size / (end - middle) / 2**20:.0f} MiB/s out")
    if not sanitized(p.sup.build):
        found = big.large(t, p.sup)
        t.ok(not found, "every process of ours stays under 64 MiB", found)


def test_slow_reader(t, p):
    """Who does not read over TLS holds up nobody, and no memory of ours."""
    size = 32 << 20
    p.sup.connect().file("PUT", "dora", "f", bytes(size))
    front = p.sup.roles()["front"]
    before = anonymous(front)
    path = f"/v1/users/{quote('dora')}/files?path=f"
    s = p.connect()
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
              f"Bearer {p.sup.token}\r\n\r\n".encode())
    s.recv(100)
    t.eq(p.secure().call("GET", "/healthz").status, 200, "others are served")
    grown = anonymous(front) - before
    t.ok(grown < 4096 or sanitized(p.sup.build),
         "front does not collect the answer", grown)
    n = 0
    while n < size:
        piece = s.recv(1 << 20)
        if not piece:
            break
        n += len(piece)
    t.ok(n >= size, "and it arrives when it is read after all", n)
    s.close()


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    place = Place(build)
    try:
        for test in tests_of(sys.modules[__name__]):
            if not wanted or any(w in test.__name__ for w in wanted):
                t.run(test, place)
        verdict(t, place.sup)
    finally:
        place.sup.close()
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
