# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Terminals, pipes and downloads: the same for every placement."""
import hashlib
import http.server
import os
import threading
import urllib.parse

from execs import bad
from ws import Refused, WebSocket


def opened(p, what, **query):
    args = urllib.parse.urlencode(query, doseq=True)
    return WebSocket(p.sup.port, f"/v1/users/{p.user}/{what}?{args}", p.token)


def refused(t, p, status, what, text, **query):
    try:
        with opened(p, what, **query):
            got = 101
    except Refused as e:
        got = e.status
    p.record.append(("refused", what, text, got))
    t.ok(got in status, f"{text}: HTTP {status}", got)


def test_stdio(t, p):
    with opened(p, "stdio", command="cat") as s:
        s.send(b"hello ")
        s.send(bytes(range(256)))
        s.until(lambda s: len(s.got) == 262)
        t.eq(s.got, b"hello " + bytes(range(256)), "bytes both ways")
        s.ask(type="eof")
        t.eq(s.end(), ({"type": "exit", "exit_code": 0}, 1000), "its end")
    with opened(p, "stdio", command="sh", arg=[
            "-c", 'echo "$0 $1"; pwd; exit 5', "a b", "*"]) as s:
        last, code = s.end()
        t.eq((s.got.decode(), last["exit_code"], code),
             (f"a b *\n{p.workspace}\n", 5, 1000), "arguments")
    p.record.append(("stdio", last, code))


def test_stdio_dir(t, p):
    p.exec("mkdir -p in/here")
    with opened(p, "stdio", command="pwd", dir="in/here") as s:
        s.end()
        t.eq(s.got.decode(), f"{p.workspace}/in/here\n", "a directory")


def test_stdio_stderr(t, p):
    """Protocol v1 has no stderr here."""
    if not p.exact:
        return
    with opened(p, "stdio", command="sh", arg=[
            "-c", "echo é >&2; kill -TERM $$"]) as s:
        last, code = s.end()
        said = "".join(m["data"] for m in s.texts if m["type"] == "stderr")
        t.eq((said, last, code), ("é\n", {"type": "exit", "exit_code": 143},
                                  1000), "stderr and a signal's end")


def test_stdio_signal(t, p):
    if not p.exact:
        return
    with opened(p, "stdio", command="sh", arg=[
            "-c", "trap 'echo got; exit 9' USR1; echo ready; "
            "while :; do sleep 0.1; done"]) as s:
        s.expect(b"ready\n")
        s.ask(type="signal", signal="USR1")
        t.eq((s.end(), s.got), (({"type": "exit", "exit_code": 9}, 1000),
                                b"got\n"), "a signal")


def test_stdio_ends(t, p):
    """A client that goes takes the process along, in its order."""
    p.exec("rm -f ended")
    s = opened(p, "stdio", command="sh", arg=["-c", "echo $$; cat >/dev/null;"
                                              " echo eof >ended"])
    s.until(lambda s: b"\n" in s.got)
    pid = s.got.decode().strip()
    s.close()
    a = p.exec(f"for i in $(seq 100); do test -s ended && break; sleep 0.1; "
               f"done; cat ended; ! kill -0 {pid} 2>/dev/null || sleep 1; "
               f"! kill -0 {pid} 2>/dev/null")
    t.eq((a.json["stdout"], a.json["exit_code"]), ("eof\n", 0),
         "end of file first, and then it is gone")


def test_pty(t, p):
    with opened(p, "pty", command="/bin/sh", cols=91, rows=33) as s:
        s.send(b"PS1=; stty size; echo T-$TERM; tty | cut -c1-9\n")
        s.expect(b"33 91\r\n")
        s.expect(b"T-xterm-256color\r\n")
        s.expect(b"/dev/pts/\r\n")
        t.ok(True, "is a terminal of that size")
        s.ask(type="resize", cols=120, rows=40)
        s.send(b"sleep 0.2; stty size\n")
        s.expect(b"40 120\r\n")
        t.ok(True, "is resized")
        # It speaks once it has the terminal: before, the shell would hear it.
        s.send(b"sh -c 'echo waiting; exec sleep 1000'\n")
        s.expect(b"waiting\r\n")
        s.send(b"\x03")
        s.send(b"echo code=$?\n")
        s.expect(b"code=130\r\n")
        t.ok(True, "Ctrl-C reaches the program")
        s.send(b"exit 7\n")
        t.eq(s.end(), ({"type": "exit", "exit_code": 7}, 1000), "its end")


def test_pty_shell(t, p):
    with opened(p, "pty") as s:
        s.send(b"echo $((6 * 7))x\n")
        s.expect(b"42x\r\n")
        t.ok(True, "without a command: a shell")
        s.send(b"pwd\n")
        s.expect(p.workspace.encode() + b"\r\n")
        t.ok(True, "in the workspace")
    with opened(p, "pty", command="pwd", dir="no/such") as s:
        s.end()
        t.eq(s.got.decode(), p.workspace + "\r\n",
             "a directory that is not there is the workspace")


def test_pty_hangup(t, p):
    s = opened(p, "pty", command="/bin/sh")
    s.send(b"PS1=; echo pid=$$.; sleep 995\n")
    s.until(lambda s: b".\r\n" in s.got.split(b"pid=")[-1] and
            s.got.split(b"pid=")[-1][:1].isdigit())
    s.close()
    a = p.exec("for i in $(seq 100); do pgrep -u $(id -u) -f 'sleep 995$' "
               ">/dev/null || break; sleep 0.1; done; "
               "pgrep -u $(id -u) -f 'sleep 995$' | wc -l")
    t.eq(a.json["stdout"].strip(), "0", "a client that goes hangs up")


def test_stream_errors(t, p):
    refused(t, p, (400,), "stdio", "no command")
    refused(t, p, (400,), "pty", "no columns", cols=0)
    refused(t, p, (400,), "pty", "letters", rows="x")
    refused(t, p.aside, (404, 502), "stdio", "no such program",
            command="no-such-program")
    bad(t, p.call("GET", f"/v1/users/{p.user}/pty?cols=x"), "EINVAL",
        "no WebSocket")
    t.eq(p.call("GET", f"/v1/users/{p.user}/pty").status, 426,
         "no WebSocket: 426")


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    data = os.urandom(1 << 20) * 8

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", size=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if size is None
                                               else size))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        name = self.path[1:]
        if name.isdigit():
            n = int(name)
            self.answer(302, Location=f"/{n - 1}" if n > 1 else "/data")
        elif name == "file":
            self.answer(302, Location="file:///etc/passwd")
        elif name == "short":
            self.answer(200, self.data[:100000], len(self.data))
            self.close_connection = True
        elif name == "data":
            self.answer(200, self.data)
        else:
            self.answer(404, b"not here")


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that had enough is none."""


def test_download(t, p):
    server = Server(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"

    def get(url, out):
        return p.call("POST", f"/v1/users/{p.user}/download",
                      {"url": url, "output_path": out})
    a = get(base + "/data", "new/dir/file")
    t.eq((a.status, a.json), (200, {"size": len(Files.data)}), "a download")
    a = p.file("GET", "new/dir/file")
    t.eq(hashlib.sha256(a.body).digest(),
         hashlib.sha256(Files.data).digest(), "the same bytes")
    t.eq(get(base + "/10", "ten").status, 200, "ten redirects")
    p.exec("echo old >kept")
    for url in ("/11", "/absent", "/short", "/file"):
        a = get(base + url, "kept")
        p.record.pop()
        t.ok(a.status in (400, 404, 502), f"{url}: fails", a)
    a = p.exec("cat kept; ls -A | grep -v -e new -e ten -e kept | grep tmp")
    t.eq(a.json["stdout"], "old\n", "and leaves what was there, no litter")
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "x", ""):
        bad(t, get(url, "kept"), "EINVAL", f"url {url!r}")
    if p.guard:
        bad(t, get(base + "/data", "../out"), "EPERM",
            "outside the workspace")
        p.record.pop()
    bad(t, get(base + "/data", "new/dir"), "EISDIR", "onto a directory")
    server.shutdown()
    server.server_close()
