# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""HTTP/1.1 as bytes: what is refused, what is kept alive, what is limited."""
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile

from execs import bad, good
from xbot import DEADLINE, Client, raw, readable, wait_for


def auth(sup):
    return f"Host: x\r\nAuthorization: Bearer {sup.token}\r\n"


def codes(got):
    """The statuses of the answers in a stream of bytes."""
    return [int(x) for x in re.findall(rb"(?:^|\r\n\r\n|\})HTTP/1\.1 (\d+)",
                                       got)]


def read_answer(s):
    """One answer off a socket: status, headers, body."""
    f = s.makefile("rb")
    line = f.readline()
    headers = {}
    while True:
        h = f.readline()
        if h in (b"\r\n", b""):
            break
        name, _, value = h.partition(b":")
        headers[name.strip().lower().decode()] = value.strip().decode()
    body = f.read(int(headers.get("content-length", 0)))
    return int(line.split()[1]) if line else 0, headers, body


def test_health(t, sup):
    with Client(sup.port) as c:
        a = c.call("GET", "/healthz")
        t.ok(a.status == 200 and a.json == {"status": "ok"}, "healthz", a)
        a = c.call("GET", "/readyz")
        t.ok(a.status == 200 and a.json["status"] == "ready", "readyz", a)
        a = c.call("HEAD", "/healthz")
        t.ok(a.status == 200 and a.body == b"", "HEAD", a)
        bad(t, c.call("GET", "/metrics"), "EAUTH", "metrics, no token")
    a = sup.client.call("GET", "/metrics")
    t.ok(a.status == 200 and b"xbot_worker_up{role=\"none\"} 1" in a.body,
         "metrics", a)


def test_keep_alive(t, sup):
    with socket.create_connection(("127.0.0.1", sup.port), DEADLINE) as s:
        for n in range(100):
            body = json.dumps({"args": ["echo", str(n)]}).encode()
            s.sendall((f"POST /v1/users/keep/exec HTTP/1.1\r\n{auth(sup)}"
                       f"Content-Length: {len(body)}\r\n\r\n").encode() +
                      body)
            status, headers, answer = read_answer(s)
            if status != 200 or json.loads(answer)["stdout"] != f"{n}\n":
                t.ok(False, f"request {n}", (status, answer))
                return
        t.ok(True, "100 requests on one connection")
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
                  b"Connection: close\r\n\r\n")
        status, headers, _ = read_answer(s)
        t.eq((status, headers.get("connection"), s.recv(1)),
             (200, "close", b""), "and closed when asked for")
    got = raw(sup.port, b"GET /healthz HTTP/1.0\r\n\r\n")
    t.ok(got.startswith(b"HTTP/1."), "HTTP/1.0 is answered and closed", got)
    with Client(sup.port, sup.token) as c:
        bad(t, c.call("GET", "/v1/users/keep/files?path=absent"), "ENOENT",
            "an error")
        sock = c.conn.sock
        good(t, c.exec("keep", "echo x"), "keeps the connection",
             stdout="x\n")
        t.ok(sock is c.conn.sock, "the same one")


def test_fragmented(t, sup):
    """A request may come byte by byte."""
    body = b'{"command": "echo slow"}'
    whole = (f"POST /v1/users/bob/exec HTTP/1.1\r\n{auth(sup)}"
             f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
             ).encode() + body
    with socket.create_connection(("127.0.0.1", sup.port), DEADLINE) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(whole)):
            s.sendall(whole[n:n + 1])
        status, _, answer = read_answer(s)
        t.ok(status == 200 and json.loads(answer)["stdout"] == "slow\n",
             "in single bytes", (status, answer))


def test_bad_requests(t, sup):
    a = auth(sup)
    post = "POST /v1/users/bob/exec HTTP/1.1\r\n"
    rows = {
        "no HTTP": "hello\r\n\r\n",
        "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "no version": "GET /healthz\r\nHost: x\r\n\r\n",
        "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/9.9": "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
        "no Host": "GET /healthz HTTP/1.1\r\n\r\n",
        "two Hosts": "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "bare LF": "GET /healthz HTTP/1.1\nHost: x\n\n",
        "space before the colon": "GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        "a folded header":
            "GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        "a NUL in a header":
            "GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        "length and chunks": f"{post}{a}Content-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "two lengths": f"{post}{a}Content-Length: 5\r\n"
            "Content-Length: 6\r\n\r\nhello",
        "a negative length": f"{post}{a}Content-Length: -5\r\n\r\n",
        "a length that is none": f"{post}{a}Content-Length: 5x\r\n\r\n",
        "a huge length": f"{post}{a}Content-Length: "
            "99999999999999999999999\r\n\r\n",
        "an unknown coding": f"{post}{a}Transfer-Encoding: gzip\r\n\r\n",
        "chunked twice": f"{post}{a}Transfer-Encoding: chunked, chunked"
            "\r\n\r\n0\r\n\r\n",
        "a bad chunk size": f"{post}{a}Transfer-Encoding: chunked\r\n\r\n"
            "xyz\r\n",
        "a huge chunk size": f"{post}{a}Transfer-Encoding: chunked\r\n\r\n"
            "fffffffffffffffff\r\n",
        "a chunk without its end": f"{post}{a}Transfer-Encoding: chunked"
            "\r\n\r\n5\r\nhelloXX\r\n",
        "a tab in the path": "GET /heal\tthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "a method of junk": "G@T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    for name, text in rows.items():
        got = raw(sup.port, text.encode("latin1"), shut=True)
        status = codes(got)
        t.ok(not status or (len(status) == 1 and 400 <= status[0] < 600),
             f"{name}: refused and closed", got[:300])
    t.ok(sup.ready(), "and all is well")


def test_pipelining(t, sup):
    """Is refused: the second request is not executed."""
    body = b'{"command": "echo one >>pipelined"}'
    one = (f"POST /v1/users/pipe/exec HTTP/1.1\r\n{auth(sup)}"
           f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    got = raw(sup.port, one + one, shut=True)
    a = sup.client.exec("pipe", "cat pipelined | wc -l")
    t.ok(len(codes(got)) <= 2 and a.json["stdout"].strip() in ("0", "1"),
         "never more than the first", (got[:300], a))


def test_limits(t, sup):
    long = "x" * 20000
    for text, name in ((f"GET /healthz?{long} HTTP/1.1\r\nHost: x\r\n\r\n",
                        "request line"),
                       (f"GET /healthz HTTP/1.1\r\nHost: x\r\nA: {long}"
                        "\r\n\r\n", "header"),
                       ("GET /healthz HTTP/1.1\r\nHost: x\r\n" + "".join(
                           f"A{n}: b\r\n" for n in range(3000)) + "\r\n",
                        "headers")):
        got = raw(sup.port, text.encode())
        t.match(rb"^HTTP/1.1 (400|413|414|431) ", got[:200],
                f"a long {name}")
    a = sup.client.exec("bob", "true", stdin="x" * (1 << 20))
    bad(t, a, "E2BIG", "a JSON body over 1 MiB")
    with Client(sup.port, sup.token) as c:
        a = c.call("POST", "/v1/users/bob/exec",
                   iter([b'{"command": "true", "stdin": "'] +
                        [b"x" * 65536] * 20))
        bad(t, a, "E2BIG", "the same in chunks")
    a = sup.client.exec("bob", "echo fine")
    good(t, a, "the next is served", stdout="fine\n")


def test_methods_and_routes(t, sup):
    c = sup.client
    for path in ("/", "/v1", "/v1/users", "/v1/users/bob", "/nothing",
                 "/v1/users/bob/exec/", "/v1/users/bob/exec/x",
                 "/v1/users/bob//exec", "/v2/users/bob/exec",
                 "/v1/admin/status", "/v1/tokens"):
        a = c.call("GET", path)
        t.ok(a.status in (404, 405), f"GET {path}: not there", a)
    a = c.call("DELETE", "/v1/users/bob/exec")
    t.ok(a.status == 405 and "POST" in a.headers.get("Allow", ""),
         "a wrong method: 405 and Allow", (a, dict(a.headers)))
    a = c.call("PROPFIND", "/v1/users/bob/files?path=x")
    t.ok(a.status in (405, 501), "an unknown method", a)
    for user in ("-x", ".x", "a b", "a%2fb", "%2e%2e", "x" * 129, "%00",
                 "a%0ab", "%c3%a9", "%", "%4", "a%"):
        a = c.call("GET", f"/v1/users/{user.replace(' ', '%20')}/route")
        t.ok(a.status in (400, 404), f"user {user[:20]!r}", a)
    for user in ("a", "A.b_c@d:e-f", "x" * 128, "%62ob"):
        a = c.call("GET", f"/v1/users/{user}/route")
        t.ok(a.status == 200, f"user {user[:20]!r} is one", a)


def test_json(t, sup):
    for body in (b"", b"{", b"[]", b'"x"', b"null", b"1", b"{} {}",
                 b'{"command": "x"', b"{'command': 'x'}", b"\xff\xfe",
                 b'{"command": "\xff"}', b'{"command": "x",}',
                 b'{"command": "\\ud800"} x', b"[" * 100000,
                 b'{"a":' * 100000, b'{"command": 1e999999}',
                 b'{"timeout": 99999999999999999999, "command": "x"}'):
        a = sup.client.call("POST", "/v1/users/bob/exec", body)
        bad(t, a, "EINVAL", f"body {body[:30]!r}")
    a = sup.client.call("POST", "/v1/users/bob/exec",
                        b'{"command": "echo one", "command": "echo two"}')
    t.ok(a.status in (200, 400), "a key twice", a)


def test_expect(t, sup):
    body = b'{"command": "echo expected"}'
    with socket.create_connection(("127.0.0.1", sup.port), DEADLINE) as s:
        s.sendall((f"POST /v1/users/bob/exec HTTP/1.1\r\n{auth(sup)}"
                   f"Expect: 100-continue\r\nContent-Length: {len(body)}"
                   "\r\n\r\n").encode())
        got = s.recv(1000)
        t.match(rb"^HTTP/1.1 100 ", got, "100 Continue")
        s.sendall(body)
        status, _, answer = read_answer(s)
        t.ok(status == 200 and b"expected" in answer, "then the answer",
             answer)
    with socket.create_connection(("127.0.0.1", sup.port), DEADLINE) as s:
        s.sendall(b"POST /v1/users/bob/exec HTTP/1.1\r\nHost: x\r\n"
                  b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        t.match(rb"^HTTP/1.1 401 ", s.recv(1000),
                "refused before the body is sent")


def test_curl(t, sup):
    """The client that README shows."""
    with tempfile.TemporaryDirectory() as d:
        base = f"http://127.0.0.1:{sup.port}/v1/users/curl"
        head = os.path.join(d, "auth")
        with open(head, "w", encoding="ascii") as f:
            f.write(f"Authorization: Bearer {sup.token}\n")

        def curl(*args):
            return subprocess.run(
                ["curl", "-sS", "-m", str(DEADLINE), "-H", f"@{head}",
                 *args], stdout=subprocess.PIPE, check=False).stdout
        got = json.loads(curl("-d", '{"command": "echo curl"}',
                              base + "/exec"))
        t.eq(got["stdout"], "curl\n", "exec")
        data = os.urandom(3000000)
        path = os.path.join(d, "data")
        with open(path, "wb") as f:
            f.write(data)
        got = curl("-T", path, "-w", "%{http_code}",
                   base + "/files?path=up")
        t.eq(got, b"204", "PUT of a file (-T, with Expect)")
        t.ok(curl(base + "/files?path=up") == data, "GET of it")
        t.eq(curl("-r", "5-9", base + "/files?path=up"), data[5:10],
             "a range")
        with open(path, "rb") as f:
            got = subprocess.run(
                ["curl", "-sS", "-m", str(DEADLINE), "-H", f"@{head}",
                 "-T", "-", "-w", "%{http_code}",
                 base + "/files?path=stdin"], stdin=f,
                stdout=subprocess.PIPE, check=False).stdout
        t.eq(got, b"204", "PUT from a pipe (chunked)")
        t.ok(curl(base + "/files?path=stdin") == data, "GET of that")


def test_slow_clients(t, sup):
    """
    Clients that dawdle are cut off in their time, none is waited for: they
    are all opened first, and the others are served meanwhile.
    """
    slow = []
    for text in (b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost"):
        s = socket.create_connection(("127.0.0.1", sup.port), DEADLINE)
        s.sendall(text)
        slow.append((text, s))
    good(t, sup.client.exec("bob", "echo served"), "others are served",
         stdout="served\n")
    for text, s in slow:
        got = None
        # A fresh connection may idle for longer than half a header.
        if text and t.ok(readable(s, 40), f"{text!r} is cut off"):
            with contextlib.suppress(OSError):
                got = s.recv(1000)
            t.ok(not got or got.startswith(b"HTTP/1.1 4"), "with 408", got)
        s.close()


class Dawdlers:
    """
    Clients that begin something and go no further.  They are opened before
    the other tests and looked at behind them: their minute passes meanwhile.
    """
    LATE = ("a PUT of one byte", "an exec without its body")

    def __init__(self, sup):
        a = auth(sup)
        key = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
        sup.client.file("PUT", "slow", "large", b"x" * 8000000)
        self.rows = {
            "a PUT of one byte": f"PUT /v1/users/slow/files?path=p HTTP/1.1"
                f"\r\n{a}Content-Length: 100000\r\n\r\nx",
            "an exec without its body": "POST /v1/users/slow/exec HTTP/1.1"
                f"\r\n{a}Content-Length: 100\r\n\r\n{{",
            "a GET that is not read": "GET /v1/users/slow/files?path=large "
                f"HTTP/1.1\r\n{a}\r\n",
            "a WebSocket that says nothing": "GET /ws/slow HTTP/1.1\r\n"
                "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\n{key}\r\n\r\n",
            "a connection that idles": "GET /healthz HTTP/1.1\r\nHost: x"
                "\r\n\r\n",
            "a connection that says nothing": "",
        }
        self.socks = {}
        for name, text in self.rows.items():
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", sup.port))
            s.sendall(text.encode())
            self.socks[name] = s


def ended(s, port):
    """
    Has the server closed it?  A peer that does not read never learns of it:
    what nobody holds any more has no inode.
    """
    mine = f":{s.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in f:
            part = line.split()
            if part[1].endswith(f":{port:04X}") and part[2].endswith(mine):
                return part[9] == "0"
    return True


def test_dawdlers(t, sup, dawdlers):
    for name, s in dawdlers.socks.items():
        try:
            wait_for(name, lambda s=s: ended(s, sup.port), 200)
            t.ok(True, f"{name} is cut off")
        except TimeoutError:
            t.ok(False, f"{name} is cut off")
        if name in dawdlers.LATE:
            t.match("HTTP/1.1 408 ", s.recv(100).decode(), "and told why")
        s.close()
    sup.client = sup.connect()      # ours idled, too
    a = sup.client.exec("slow", "ls -A")
    good(t, a, "nothing is left of them", stdout="large\n")


def test_log_lines(t, sup):
    """A client's fault is one line, with the request's serial and id."""
    for n, (body, path) in enumerate((
            (b"{", "/v1/users/log/exec"), (b"", "/v1/users/log/exec"),
            (b'{"command": 1}', "/v1/users/log/exec"),
            (b"", "/v1/nothing"))):
        mark, name = sup.log.mark(), f"log-{n}\x7e"
        a = sup.client.call("POST", path, body, {"X-Request-Id": name})
        t.ok(a.status in (400, 404), f"request {n} is refused", a)
        sup.client.call("GET", "/nothing", None, {"X-Request-Id": "end"})
        sup.log.wait("end", mark)
        lines = [x for x in sup.log.since(mark) if name in x]
        t.ok(len(lines) == 1 and re.search(r"request \d+", lines[0]),
             "one line", lines)
    mark = sup.log.mark()
    raw(sup.port, b"GET /\x1b[31mred HTTP/1.1\r\nHost: x\r\n"
        b"X-Request-Id: \x1b[2J\r\n\r\n", shut=True)
    sup.client.call("GET", "/%1b%5b31m%0ainfo:%20forged")
    sup.client.call("GET", "/nothing", None, {"X-Request-Id": "end2"})
    sup.log.wait("end2", mark)
    text = "\n".join(sup.log.since(mark))
    t.ok("\x1b" not in text and "\ninfo: forged" not in text,
         "untrusted text is escaped", text)


def test_reader_stops(t, sup):
    """A client that does not read its answer holds nobody up."""
    body = b'{"command": "yes | head -c 12000000"}'
    s = socket.create_connection(("127.0.0.1", sup.port), DEADLINE)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall((f"POST /v1/users/stop/exec HTTP/1.1\r\n{auth(sup)}"
               "Accept: application/x-ndjson\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    t.ok(readable(s, DEADLINE), "its answer begins")
    for n in range(20):
        good(t, sup.client.exec("other", f"echo {n}"), f"another user {n}",
             stdout=f"{n}\n") if n == 19 else sup.client.exec(
                 "other", f"echo {n}")
    good(t, sup.client.exec("stop", "echo same"), "and the same user",
         stdout="same\n")
    s.close()
