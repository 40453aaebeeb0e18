# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The recorded cases of the Abbot contract, and a fake Abbot to record by.

A case is replayed through a function send(method, path, headers, body) that
returns (status, headers with lower-case names, body): over HTTP, or by a
direct call in package_test.py.
"""
import contextlib
import glob
import http.server
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TOKEN = "0123456789abcdef" * 4
RECORDED_HEADERS = ("content-type", "authorization", "traceparent")
# Texts of CPython itself: its version may change them, nothing else.
SAME_TEXTS = sys.version_info[:2] == (3, 11)


def load():
    """Every case, in the order of its number."""
    cases = []
    for path in sorted(glob.glob(os.path.join(HERE, "cases/abbot/*.json"))):
        with open(path, encoding="utf-8") as f:
            cases.append(json.load(f))
    return cases


def policy_of(env):
    """The policy that these variables choose."""
    word = env.get("ABBOT_SANDBOX_POLICY")
    if word is None:
        loose = env.get("ABBOT_SANDBOXED") in (None, "false")
        return "permissive" if loose else "restrictive"
    return word if word in ("none", "permissive") else "restrictive"


def base_body():
    """A message as the web app sends it, whose code replies ok."""
    with open(os.path.join(
            HERE, "cases/abbot/016-auth-basic-falls-back-to-code.json"),
            encoding="utf-8") as f:
        return json.load(f)["request"]["body"]


class FakeAbbot(http.server.ThreadingHTTPServer):
    """The Abbot API on loopback: answers what it was told to, in order, and
    keeps what it was asked.  Out of answers it says 404."""

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.answers = []
        self.port = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def script(self, answers):
        """answers: {status, body, headers}; body: JSON, or bytes as is."""
        self.calls.clear()
        self.answers[:] = answers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.calls.append({
            "method": self.command, "path": self.path,
            "headers": {name: self.headers[name] for name in RECORDED_HEADERS
                        if self.headers[name] is not None},
            "body": json.loads(body) if body else None})
        said = self.server.answers.pop(0) if self.server.answers else {
            "status": 404, "body": {"status": 404, "title": "Not Found"}}
        content = said.get("body")
        if not isinstance(content, bytes):
            content = b"" if content is None else json.dumps(content).encode()
        self.send_response(said["status"])
        for name, value in said.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer


@contextlib.contextmanager
def fake_abbot(tls=None):
    """tls: the SSLContext of an https server."""
    server = FakeAbbot(tls)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def request_bytes(case):
    body = case["request"]["body"]
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return json.dumps(body).encode()


def replay(case, fake, send):
    """Replays a case: the list of what was different, empty when nothing."""
    request = case["request"]
    fake.script([call["answer"] for call in case["api_calls"]])
    status, headers, body = send(request["method"], request["path"],
                                 request["headers"], request_bytes(case))
    return (differences(case["response"], status, headers, body) +
            call_differences(case["api_calls"], fake.calls))


def differences(want, status, headers, body):
    found = []
    if status != want["status"]:
        found.append(f"status {status}, not {want['status']}")
    for name, value in want["headers"].items():
        got = headers.get(name)
        if name == "allow":
            got, value = (sorted((text or "").replace(" ", "").split(","))
                          for text in (got, value))
        if got != value:
            found.append(f"{name}: {got!r}, not {value!r}")
    if "body" in want:
        found += body_differences(want["body"], body)
    return found


def body_differences(want, body):
    if isinstance(want, str):
        got = body.decode("utf-8", "replace")
        return [] if got == want else [f"body {got!r}, not {want!r}"]
    try:
        got = json.loads(body.decode("ascii"))
    except ValueError as error:
        return [f"body {body[:200]!r}: {error}"]
    if not SAME_TEXTS:
        for answer in (got, want):
            answer["errors"] = len(answer["errors"])
    # as text: the order of members counts, and NaN equals itself
    if json.dumps(got) == json.dumps(want):
        return []
    return [f"body {json.dumps(got)}\n not {json.dumps(want)}"]


def call_differences(want, calls):
    found = [] if len(want) == len(calls) else [
        f"{len(calls)} API calls, not {len(want)}"]
    for one, call in zip(want, calls):
        for part in ("method", "path", "headers", "body"):
            got, expected = call[part], one[part]
            if part == "headers":
                got = {k.lower(): v for k, v in got.items()}
                expected = {k.lower(): v for k, v in expected.items()}
            if json.dumps(got, sort_keys=part == "headers") != \
                    json.dumps(expected, sort_keys=part == "headers"):
                found.append(f"call {part} {got!r}\n not {expected!r}")
    return found
