# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A provider of language models on loopback that follows a script.

It speaks OpenAI's dialect below /openai/v1 and Anthropic's below /anthropic.
The model's name chooses the script; what it says is written here once and
put in the dialect of the path.  What came in and which connections closed
early is kept for the tests.
"""
import base64
import http.server
import json
import socket
import socketserver
import threading
import time
import urllib.parse

DEADLINE = 60
KEY = "sk-the-providers-own-key-41"
CALLS = [("call_a", "get_weather", ['{"city": "Pa', 'ris"}']),
         ("call_b", "get_time", ['{"zone":', '"CET","n":[1,2]}']),
         ("call_c", "nothing", [])]
USAGE = {"in": 12, "cached": 4, "out": 7}
SCRIPTS = {
    "plain": {"text": ["Hel", "lo ", "w\u00f6rld \U0001f44b", "\n\"x\"\\"]},
    "other": {"text": ["Bye"], "stop": "length"},
    "tools": {"text": ["Let me ", "see."], "calls": CALLS, "stop": "tools"},
    "calls": {"text": [], "calls": CALLS[:2], "stop": "tools"},
    "filter": {"text": ["no"], "stop": "filter"},
}
STOPS = {"end": ("stop", "end_turn"), "length": ("length", "max_tokens"),
         "tools": ("tool_calls", "tool_use"),
         "filter": ("content_filter", "refusal")}
ERRORS = {400: ("invalid_request_error", "invalid_request_error"),
          401: ("authentication_error", "authentication_error"),
          429: ("rate_limit_error", "rate_limit_error"),
          500: ("server_error", "api_error"),
          529: ("server_error", "overloaded_error")}


# --- what a request says, whatever its dialect ---

def neutral_openai(b):
    turns, system = [], []
    for m in b["messages"]:
        content = m.get("content")
        parts = []
        if isinstance(content, str):
            content = [{"type": "text", "text": content}] if content else []
        for p in content or []:
            if p["type"] == "text":
                parts.append(["text", p["text"]])
            else:
                url = p["image_url"]["url"]
                if url.startswith("data:"):
                    head, data = url[5:].split(",", 1)
                    url = [head.split(";")[0], len(base64.b64decode(data))]
                parts.append(["image", url])
        if m["role"] in ("system", "developer"):
            system += [p[1] for p in parts]
            continue
        if m["role"] == "tool":
            parts = [["result", m["tool_call_id"],
                      "".join(p[1] for p in parts)]]
        for c in m.get("tool_calls") or []:
            parts.append(["call", c["id"], c["function"]["name"],
                          json.loads(c["function"]["arguments"])])
        role = "user" if m["role"] == "tool" else m["role"]
        if turns and turns[-1][0] == role == "user":
            turns[-1][1].extend(parts)
        else:
            turns.append([role, parts])
    choice = b.get("tool_choice")
    if isinstance(choice, dict):
        choice = ["tool", choice["function"]["name"]]
    stop = b.get("stop")
    return {"system": "".join(system), "turns": turns, "choice": choice,
            "tools": [[t["function"]["name"],
                       t["function"].get("description"),
                       t["function"]["parameters"]]
                      for t in b.get("tools") or []],
            "parallel": b.get("parallel_tool_calls", True),
            "temperature": b.get("temperature"), "user": b.get("user"),
            "top_p": b.get("top_p"),
            "stop": [stop] if isinstance(stop, str) else stop,
            "max": b.get("max_tokens") or b.get("max_completion_tokens")}


def neutral_anthropic(b):
    turns = []
    for m in b["messages"]:
        content = m["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        parts = []
        for p in content:
            if p["type"] == "text":
                parts.append(["text", p["text"]])
            elif p["type"] == "image":
                s = p["source"]
                parts.append(["image", s["url"] if s["type"] == "url" else
                              [s["media_type"],
                               len(base64.b64decode(s["data"]))]])
            elif p["type"] == "tool_use":
                parts.append(["call", p["id"], p["name"], p["input"]])
            else:
                c = p["content"]
                c = c if isinstance(c, str) else "".join(
                    x["text"] for x in c)
                parts.append(["result", p["tool_use_id"], c])
        turns.append([m["role"], parts])
    system = b.get("system") or ""
    if isinstance(system, list):
        system = "".join(s["text"] for s in system)
    c = b.get("tool_choice") or {}
    choice = {"any": "required"}.get(c.get("type"), c.get("type"))
    if choice == "tool":
        choice = ["tool", c["name"]]
    return {"system": system, "turns": turns, "choice": choice,
            "tools": [[t["name"], t.get("description"), t["input_schema"]]
                      for t in b.get("tools") or []],
            "parallel": not c.get("disable_parallel_tool_use", False),
            "temperature": b.get("temperature"),
            "top_p": b.get("top_p"),
            "user": (b.get("metadata") or {}).get("user_id"),
            "stop": b.get("stop_sequences"), "max": b["max_tokens"]}


class Dialect:
    """How a script sounds."""

    def __init__(self, script, model):
        self.text = script["text"]
        self.calls = script.get("calls", [])
        self.stop = STOPS[script.get("stop", "end")]
        self.model = model


class OpenAI(Dialect):
    piece = b'"delta": {"content": "'

    def usage(self):
        total = USAGE["in"] + USAGE["cached"]
        return {"prompt_tokens": total, "completion_tokens": USAGE["out"],
                "total_tokens": total + USAGE["out"],
                "prompt_tokens_details": {"cached_tokens": USAGE["cached"]}}

    def whole(self):
        message = {"role": "assistant", "refusal": None,
                   "content": "".join(self.text) if self.text else None}
        if self.calls:
            message["tool_calls"] = [
                {"id": i, "type": "function",
                 "function": {"name": n, "arguments": "".join(a) or "{}"}}
                for i, n, a in self.calls]
        return {"id": "id-1", "object": "chat.completion", "created": 7,
                "model": self.model, "usage": self.usage(),
                "choices": [{"index": 0, "message": message,
                             "logprobs": None,
                             "finish_reason": self.stop[0]}]}

    def chunk(self, delta, finish=None, **more):
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return self.event({"id": "id-1", "object": "chat.completion.chunk",
                           "created": 7, "model": self.model,
                           "choices": choices, **more})

    @staticmethod
    def event(data):
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def events(self, body):
        yield self.chunk({"role": "assistant", "content": ""})
        for piece in self.text:
            yield self.chunk({"content": piece})
        for n, (ident, name, args) in enumerate(self.calls):
            yield self.chunk({"tool_calls": [
                {"index": n, "id": ident, "type": "function",
                 "function": {"name": name, "arguments": ""}}]})
            for piece in args or ["{}"]:
                yield self.chunk({"tool_calls": [
                    {"index": n, "function": {"arguments": piece}}]})
        yield self.chunk({}, self.stop[0])
        if (body.get("stream_options") or {}).get("include_usage"):
            yield self.event({"id": "id-1", "created": 7, "choices": [],
                              "object": "chat.completion.chunk",
                              "model": self.model, "usage": self.usage()})
        yield b"data: [DONE]\n\n"

    @staticmethod
    def error(status, text):
        return {"error": {"message": text, "param": None, "code": None,
                          "type": ERRORS[status][0]}}

    @staticmethod
    def models(names):
        return {"object": "list", "data": [
            {"id": n, "object": "model", "created": 86400, "owned_by": "us"}
            for n in names]}


class Anthropic(Dialect):
    piece = b"text_delta"

    def usage(self, out=None):
        return {"input_tokens": USAGE["in"],
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": USAGE["cached"],
                "output_tokens": USAGE["out"] if out is None else out}

    def message(self, content, stop, usage):
        return {"id": "id-1", "type": "message", "role": "assistant",
                "model": self.model, "content": content, "usage": usage,
                "stop_reason": stop, "stop_sequence": None}

    def whole(self):
        content = [{"type": "text", "text": "".join(self.text)}] * bool(
            self.text)
        content += [{"type": "tool_use", "id": i, "name": n,
                     "input": json.loads("".join(a) or "{}")}
                    for i, n, a in self.calls]
        return self.message(content, self.stop[1], self.usage())

    @staticmethod
    def event(data):
        return (f"event: {data['type']}\ndata: " + json.dumps(data) +
                "\n\n").encode()

    def events(self, body):
        yield self.event({"type": "message_start", "message":
                          self.message([], None, self.usage(1))})
        yield self.event({"type": "ping"})
        n = 0
        if self.text:
            yield self.event({"type": "content_block_start", "index": 0,
                              "content_block": {"type": "text", "text": ""}})
            for piece in self.text:
                yield self.event({"type": "content_block_delta", "index": 0,
                                  "delta": {"type": "text_delta",
                                            "text": piece}})
            yield self.event({"type": "content_block_stop", "index": 0})
            n = 1
        for ident, name, args in self.calls:
            yield self.event({"type": "content_block_start", "index": n,
                              "content_block": {
                                  "type": "tool_use", "id": ident,
                                  "name": name, "input": {}}})
            for piece in [""] + args:
                yield self.event({"type": "content_block_delta", "index": n,
                                  "delta": {"type": "input_json_delta",
                                            "partial_json": piece}})
            yield self.event({"type": "content_block_stop", "index": n})
            n += 1
        yield self.event({"type": "message_delta", "usage": self.usage(),
                          "delta": {"stop_reason": self.stop[1],
                                    "stop_sequence": None}})
        yield self.event({"type": "message_stop"})

    @staticmethod
    def error(status, text):
        return {"type": "error", "error": {"message": text,
                                           "type": ERRORS[status][1]}}

    @staticmethod
    def models(names):
        return {"data": [{"type": "model", "id": n, "display_name": n,
                          "created_at": "1970-01-02T00:00:00Z"}
                         for n in names], "has_more": False,
                "first_id": names[0], "last_id": names[-1]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    # --- answers ---

    def answer(self, status, body, **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "provider=1")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, ctype="text/event-stream"):
        self.send_response(200)
        self.send_header("Content-Type", ctype)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, data):
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        """Without the end that was promised"""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def stand(self):
        """Nothing more, until the other side goes"""
        self.connection.settimeout(DEADLINE)
        try:
            gone = self.connection.recv(1) == b""
        except OSError:
            gone = True
        self.server.closed(self.model, gone)
        self.close_connection = True

    # --- requests ---

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/report":
            self.server.report(dict(urllib.parse.parse_qsl(url.query)))
            self.answer(200, {})
            return
        self.server.note(self, None)
        dialect = Anthropic if "/anthropic/" in url.path else OpenAI
        self.answer(200, dialect.models(["plain", "tools", "default-one"]))

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(size))
        self.model = body.get("model")
        self.server.note(self, body)
        dialect = Anthropic if "/anthropic/" in self.path else OpenAI
        neutral = (neutral_anthropic if dialect is Anthropic else
                   neutral_openai)
        if self.path.endswith("/count_tokens"):
            self.answer(200, {"input_tokens": 42})
            return
        name = self.model or ""
        special = getattr(self, "script_" + name.split("-")[0], None)
        if special:
            special(dialect, body)
            return
        script = SCRIPTS.get(name, SCRIPTS["plain"])
        if name == "echo":
            script = {"text": [json.dumps(neutral(body), sort_keys=True)]}
        self.play(dialect(script, name), body)

    def play(self, d, body):
        if not body.get("stream"):
            self.answer(200, d.whole(), request_id="req-77",
                        x_ratelimit_remaining="5")
            return
        self.begin()
        for event in d.events(body):
            self.piece(event)
        self.end()

    def script_error(self, dialect, body):
        status = int(self.model.split("-")[1])
        more = {"Retry_After": "7"} if status == 429 else {}
        self.answer(status, dialect.error(status, f"said {status}"), **more)

    def script_lockstep(self, dialect, body):
        """Piece n + 1 only when the client has told of n"""
        count = int(self.model.split("-")[1])
        d = dialect({"text": [f"<{n}>" for n in range(count)]}, self.model)
        self.begin()
        said = 0
        for event in d.events(body):
            if b"<" in event:
                if said and not self.server.wait_report(self.model,
                                                        said - 1):
                    self.cut()
                    return
                said += 1
            self.piece(event)
        self.end()

    def script_stall(self, dialect, body):
        """stall-0: before the first byte; stall-2: after two pieces"""
        d = dialect(SCRIPTS["plain"], self.model)
        after = int(self.model.split("-")[1])
        if after:
            self.begin()
            for event in d.events(body):
                self.piece(event)
                after -= d.piece in event
                if not after:
                    break
        self.stand()

    def script_early(self, dialect, body):
        """Closes in the middle"""
        if not body.get("stream"):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "10000")
            self.end_headers()
            self.wfile.write(b'{"id": "x", ')
            self.cut()
            return
        d = dialect(SCRIPTS["plain"], self.model)
        self.begin()
        for event, _ in zip(d.events(body), range(3)):
            self.piece(event)
        self.cut()

    def script_closed(self, dialect, body):
        """Before any answer"""
        self.cut()

    def script_rubbish(self, dialect, body):
        if body.get("stream"):
            self.begin()
            self.piece(b"data: {\"this is\" no JSON\n\n")
            self.end()
        else:
            self.answer(200, b"<html>what?</html>")

    def script_noise(self, dialect, body):
        """No HTTP at all"""
        self.wfile.write(b"\x00\x01\x02 SSH-2.0-what\r\n\r\n")
        self.cut()

    def script_big(self, dialect, body):
        """big-N: N pieces of 1000 bytes"""
        count = int(self.model.split("-")[1])
        self.play(dialect({"text": ["x" * 1000] * count}, self.model), body)

    def script_hold(self, dialect, body):
        """One piece, then the rest when the test says so"""
        d = dialect(SCRIPTS["plain"], self.model)
        self.begin()
        first = True
        for event in d.events(body):
            self.piece(event)
            if d.piece in event and first:
                first = False
                self.server.held()
                if not self.server.wait_report("release", 0):
                    self.cut()
                    return
        self.end()


class Provider(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.changed = threading.Condition()
        self.requests, self.closes, self.reports = [], [], set()
        self.peers = []
        self.holding = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def base(self, name):
        return self.url + ("/openai/v1" if name == "openai" else
                           "/anthropic")

    def handle_error(self, request, client_address):
        pass

    def note(self, handler, body):
        with self.changed:
            self.requests.append((handler.path, dict(handler.headers), body))
            self.peers.append(handler.client_address)
            self.changed.notify_all()

    def closed(self, model, gone):
        with self.changed:
            self.closes.append((model, gone))
            self.changed.notify_all()

    def held(self):
        with self.changed:
            self.holding += 1
            self.changed.notify_all()

    def report(self, q):
        with self.changed:
            self.reports.add((q["model"], int(q["n"])))
            self.changed.notify_all()

    def wait(self, true, deadline=DEADLINE):
        end = time.monotonic() + deadline
        with self.changed:
            while not true():
                if not self.changed.wait(end - time.monotonic()):
                    return False
        return True

    def wait_report(self, model, n):
        return self.wait(lambda: (model, n) in self.reports)

    def wait_closed(self, model, mark=0):
        return self.wait(lambda: (model, True) in self.closes[mark:])
