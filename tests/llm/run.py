#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The LLM proxy: npm's openai and @anthropic-ai/sdk, and plain HTTP, against a
scripted provider (provider.py), called directly and through us: by the server's
own worker, by a runner of protocol 2, by one of protocol 1, in each pair of
dialects.  What a client sees must be what it sees when it calls directly.

usage: run.py BUILDDIR [test ...]
"""
import base64
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, HERE)

from pki import Pki
from provider import KEY, Provider
from xbot import (DEADLINE, Client, OldServer, Skip, Supervisor, Tap, rss,
                  sanitized, tests_of, verdict, wait_for)

NPM = os.path.join(HERE, "../../build/npm-llm")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(60))).decode()
DIALECTS = ("openai", "anthropic")
SECRET = "sk-runners-secret-key-0815-nowhere-else"


# --- npm's clients ---

def npm_install():
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            return f"no {tool} here"
    os.makedirs(NPM, exist_ok=True)
    # the suite and its twin may run at the same time
    lock = open(os.path.join(NPM, ".lock"), "w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.path.isdir(os.path.join(NPM, "node_modules/@anthropic-ai/sdk")):
        return None
    try:
        got = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund",
             "--prefer-offline", "--prefix", NPM, "openai@6",
             "@anthropic-ai/sdk"], stdin=subprocess.DEVNULL, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except subprocess.TimeoutExpired:
        return "npm does not answer"
    return None if got.returncode == 0 else "npm cannot install them"


class Node:
    """The clients' process; many calls at once, each with its transcript."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", os.path.join(HERE, "clients.mjs"), NPM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.changed, self.answers, self.n = threading.Condition(), {}, 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            got = json.loads(line)
            with self.changed:
                self.answers[got.pop("n")] = got
                self.changed.notify_all()

    def ask(self, client, way, body=None, **more):
        self.n += 1
        base, key = way.base(client)
        q = {"n": self.n, "client": client, "base": base, "key": key,
             "body": body or {}, **more}
        self.process.stdin.write(json.dumps(q).encode() + b"\n")
        self.process.stdin.flush()
        return self.n

    def wait(self, n):
        with self.changed:
            if not self.changed.wait_for(lambda: n in self.answers,
                                         DEADLINE):
                raise TimeoutError("no transcript")
            return self.answers.pop(n)

    def call(self, *args, **more):
        return self.wait(self.ask(*args, **more))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()     # it waits for an answer; told already
            self.process.wait()


class Way:
    """How a client reaches a provider."""

    def __init__(self, name, provider, dialect, sup=None, user=None):
        self.name, self.provider, self.dialect = name, provider, dialect
        self.sup, self.user = sup, user
        self.via = name.split("-")[0].rstrip("12")

    def base(self, client):
        if self.sup is None:
            return self.provider.base(client), KEY
        return (f"http://127.0.0.1:{self.sup.port}/v1/users/{self.user}"
                "/llm/v1", self.sup.token)


class World:
    def __init__(self, build):
        self.provider = Provider()
        self.slow = sanitized(build)
        self.sups, self.ways = {}, []
        self.direct = Way("direct", self.provider, None)
        self.node = None
        for d in DIALECTS:
            self.sups[d] = self.supervisor(build, d)
            self.ways.append(Way(f"server-{d}", self.provider, d,
                                 self.sups[d], "sam"))
        self.old = OldServer(self.sups["openai"].port)
        for d in DIALECTS:
            self.ways += self.runners(d)

    def supervisor(self, build, dialect):
        key = os.path.join("/tmp", f"xbot-llm-test-{os.getpid()}.key")
        with open(key, "w", encoding="ascii") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(KEY + "\n")
        self.key = key
        self.conf = (f'llm {{\n\tprovider {dialect}\n'
                     f'\tbase url "{self.provider.base(dialect)}"\n'
                     f'\tmodel "default-one"\n\tapi key file "{key}"\n'
                     '\ttimeout 30s\n\tidle timeout 30s\n}\n')
        return Supervisor(build, self.conf, limits=Supervisor.LIMITS +
                          " llm 300")

    def runner(self, name, dialect, **more):
        sup, user = self.sups["openai"], name
        key = os.path.join(sup.dir, "runner.key")
        with open(key, "w", encoding="ascii") as f:
            f.write(SECRET + "\n")
        os.chmod(key, 0o644)
        sup.runner(user, args=[
            "--llm-provider", dialect, "--llm-api-key-file", key,
            "--llm-base-url", self.provider.base(dialect),
            "--llm-model", "default-one"], **more)
        return Way(name, self.provider, dialect, sup, user)

    def runners(self, dialect, kind="", **more):
        """One of each protocol"""
        return [self.runner(f"runner2-{dialect}{kind}", dialect, **more),
                self.runner(f"runner1-{dialect}{kind}", dialect,
                            port=self.old.port, **more)]

    def way(self, name):
        return next(w for w in self.ways if w.name == name)

    def quick(self):
        """Those that carry all of a dialect"""
        return [w for w in self.ways if not w.name.startswith("runner1")]

    def close(self):
        if self.node:
            self.node.close()
        self.old.close()
        for sup in self.sups.values():
            sup.close()
        os.unlink(self.key)


# --- what counts in a transcript ---

def calls_of(message):
    return [[c["id"], c["function"]["name"],
             json.loads(c["function"]["arguments"])]
            for c in message.get("tool_calls") or []]


def essence(got):
    """The fields that both ways must show, in the client's dialect"""
    a = got.get("answer")
    if a is None:
        return got
    if "choices" in a:
        c = a["choices"][0]
        u = got.get("usage") or a.get("usage") or {}
        return {"id": a["id"], "model": a["model"], "text":
                c["message"]["content"] or "", "object": a["object"],
                "calls": calls_of(c["message"]), "role":
                c["message"]["role"], "finish": c["finish_reason"],
                "usage": {k: u.get(k) for k in (
                    "prompt_tokens", "completion_tokens", "total_tokens",
                    "prompt_tokens_details")}}
    u = a["usage"]
    return {"id": a["id"], "model": a["model"], "type": a["type"],
            "role": a["role"], "stop": a["stop_reason"],
            "content": [{k: b[k] for k in ("type", "text", "id", "name",
                                           "input") if k in b}
                        for b in a["content"]],
            "usage": [u["input_tokens"], u["output_tokens"],
                      u["cache_read_input_tokens"]]}


def failure_of(got):
    e = got["error"]
    body = e["body"] or {}
    body = body.get("error", body)
    return {k: v for k, v in
            (("name", e["name"]), ("status", e["status"]),
             ("retry", e["retry"]), ("type", body.get("type")),
             ("message", body.get("message")))}


def body_of(client, model, text="Hello", stream=False, **more):
    body = {"model": model, "messages": [{"role": "user", "content": text}],
            "max_tokens": 100, **more}
    if stream:
        body["stream"] = True
        if client == "openai":
            body["stream_options"] = {"include_usage": True}
    return body


# --- the tests ---

def test_whole_and_streamed(t, w):
    for client in DIALECTS:
        for script in ("plain", "other", "tools", "calls", "filter"):
            for stream in (False, True):
                body = body_of(client, script, stream=stream)
                want = w.node.call(client, w.direct, body)
                asked = [(way, w.node.ask(client, way, body))
                         for way in w.ways]
                for way, n in asked:
                    got = w.node.wait(n)
                    a, b = essence(got), essence(want)
                    what = (f"{client} client, {way.name}, {script}"
                            f"{', streamed' * stream}")
                    if way.name.startswith("runner1"):
                        a.pop("id", 0), b.pop("id", 0)
                        a.pop("model", 0), b.pop("model", 0)
                    t.eq(a, b, what)
                    if stream and not way.name.startswith("runner1"):
                        t.eq(got.get("pieces"), want.get("pieces"),
                             what + ": pieces")
                    if not stream:
                        t.eq((got.get("via"), got.get("cookie")),
                             (way.via, None), what + ": headers")


OPENAI_REQUEST = {
    "messages": [
        {"role": "system", "content": "Be brief. "},
        {"role": "user", "content": [
            {"type": "text", "text": "What is \u201cthis\u201d?"},
            {"type": "image_url", "image_url": {
                "url": "data:image/png;base64," + PNG}},
            {"type": "image_url", "image_url": {
                "url": "https://example.org/a.png"}}]},
        {"role": "assistant", "content": "I look.", "refusal": None,
         "tool_calls": [
             {"id": "c1", "type": "function", "function": {
                 "name": "look", "arguments": '{"a": [1, 2.5, null]}'}},
             {"id": "c2", "type": "function", "function": {
                 "name": "now", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": [
            {"type": "text", "text": "noon"}]},
        {"role": "user", "content": "And?"}],
    "tools": [{"type": "function", "function": {
        "name": "look", "description": "Looks.", "parameters": {
            "type": "object", "properties": {"a": {"type": "array", "items": {
                "anyOf": [{"type": "number"}, {"type": "null"}]}}}}}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False, "temperature": 0.25, "top_p": 0.5,
    "stop": ["END", "\n\n"], "user": "u-1", "max_completion_tokens": 77,
    "n": 1, "store": False}
ANTHROPIC_REQUEST = {
    "system": [{"type": "text", "text": "Be brief. ",
                "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is \u201cthis\u201d?"},
            {"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "image", "source": {
                "type": "url", "url": "https://example.org/a.png"}}]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "c1", "name": "look",
             "input": {"a": [1, 2.5, None]}},
            {"type": "tool_use", "id": "c2", "name": "now", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "a cat"},
            {"type": "tool_result", "tool_use_id": "c2", "content": [
                {"type": "text", "text": "noon"}]},
            {"type": "text", "text": "And?"}]}],
    "tools": [{"name": "look", "description": "Looks.", "input_schema":
               OPENAI_REQUEST["tools"][0]["function"]["parameters"]}],
    "tool_choice": {"type": "tool", "name": "look",
                    "disable_parallel_tool_use": True},
    "temperature": 0.25, "top_p": 0.5, "stop_sequences": ["END", "\n\n"],
    "metadata": {"user_id": "u-1"}, "max_tokens": 77}


def test_requests(t, w):
    """What reaches the provider is what it says, in either dialect."""
    for client, body in (("openai", OPENAI_REQUEST),
                         ("anthropic", ANTHROPIC_REQUEST)):
        body = {"model": "echo", **body}
        want = essence(w.node.call(client, w.direct, body))
        for way in w.quick():
            got = essence(w.node.call(client, way, body))
            t.eq(got, want, f"{client} client, {way.name}")


def test_large_request(t, w):
    """Three megabytes of an image, under credit all the way."""
    data = base64.b64encode(os.urandom(3 << 20)).decode()
    parts = {"openai": {"type": "image_url", "image_url": {
                 "url": "data:image/png;base64," + data}},
             "anthropic": {"type": "image", "source": {
                 "type": "base64", "media_type": "image/png",
                 "data": data}}}
    for client in DIALECTS:
        body = body_of(client, "echo", [{"type": "text", "text": "see"},
                                        parts[client]])
        for way in w.ways:
            got = json.dumps(w.node.call(client, way, body))
            t.ok(f"{3 << 20}" in got, f"{client} client, {way.name}",
                 got[:600])


def test_models(t, w):
    for client in DIALECTS:
        want = w.node.call(client, w.direct, op="models")
        for way in w.quick():
            t.eq(w.node.call(client, way, op="models"), want,
                 f"{client} client, {way.name}")
    for way in w.quick():
        got = w.node.call("anthropic", way, body_of("anthropic", "plain"),
                          op="count")
        if way.dialect == "anthropic":
            t.eq(got.get("answer"), {"input_tokens": 42},
                 f"{way.name} counts tokens")
        else:
            t.eq(failure_of(got)["status"], 501,
                 f"{way.name} counts no tokens")


def test_default_model(t, w):
    for way in w.quick():
        for given in ({}, {"model": "default"}):
            body = body_of("openai", "x")
            body.pop("model")
            base, key = way.base("openai")
            got = post(base + "/chat/completions", {**body, **given}, key)
            t.eq((got.status, got.json.get("model")), (200, "default-one"),
                 f"{way.name}, {given}")


def test_errors(t, w):
    for client in DIALECTS:
        for status in (400, 401, 429, 500):
            for stream in (False, True):
                body = body_of(client, f"error-{status}", stream=stream)
                want = failure_of(w.node.call(client, w.direct, body))
                for way in w.ways:
                    got = w.node.call(client, way, body)
                    a, b = failure_of(got), dict(want)
                    if way.name.startswith("runner1"):
                        # the type's word may be the provider's own
                        a.pop("type"), b.pop("type")
                    t.eq((a, got["error"]["via"]), (b, way.via),
                         f"{client} client, {way.name}, "
                         f"{status}{', streamed' * stream}")


def test_broken_answers(t, w):
    """A provider that ends early, or sends rubbish, is an honest error."""
    for client in DIALECTS:
        for way in w.quick():
            for script, stream in (
                    ("early", False), ("early", True), ("closed", False),
                    ("closed", True), ("noise", False),
                    ("rubbish", False), ("rubbish", True)):
                if script == "rubbish" and client == way.dialect:
                    continue        # passed on as it is
                got = w.node.call(client, way, body_of(
                    client, script, stream=stream))
                what = f"{client} client, {way.name}, {script}"
                t.ok("error" in got, what + ", streamed" * stream, got)
                if script in ("closed", "noise"):
                    t.eq(got["error"]["status"], 502, what + ": 502")
                if script == "early" and stream:
                    pieces = got.get("pieces") or []
                    t.eq(pieces, ["Hel", "lo "][:len(pieces)], what +
                         ": what came before is kept")


def test_refusals(t, w):
    """What has no counterpart is refused with its name."""
    pairs = (("openai", "server-anthropic", (
                 ("logit_bias", {"1": 1}), ("n", 2), ("seed", 3),
                 ("response_format", {"type": "json_object"}),
                 ("temperature", 1.5), ("frequency_penalty", 0.5),
                 ("functions", [{}]), ("logprobs", True),
                 ("reasoning_effort", "high"), ("modalities", ["audio"]),
                 ("messages", [{"role": "user", "content": [
                     {"type": "input_audio", "input_audio": {}}]}]),
                 ("tools", [{"type": "web_search"}]))),
             ("anthropic", "server-openai", (
                 ("top_k", 5), ("thinking", {"type": "enabled",
                                             "budget_tokens": 2000}),
                 ("container", "x"), ("mcp_servers", [{}]),
                 ("tools", [{"type": "web_search_20250305",
                             "name": "web_search"}]),
                 ("messages", [{"role": "user", "content": [
                     {"type": "document", "source": {}}]}]))))
    for client, way, rows in pairs:
        way = w.way(way)
        seen = len(w.provider.requests)
        for key, value in rows:
            got = failure_of(w.node.call(client, way, {
                **body_of(client, "plain"), key: value}))
            word = {"messages": "content"}.get(key, key)
            t.ok(got["status"] == 400 and word in got["message"] and
                 got["type"] == "invalid_request_error",
                 f"{client} client: {key} is refused", got)
        t.eq(len(w.provider.requests), seen, f"{client}: nothing was sent")


def test_lock_step(t, w):
    """The provider sends a piece when the client has told of the last."""
    count = 12
    asked = []
    for client in DIALECTS:
        for way in w.quick():
            model = f"lockstep-{count}-{client}-{way.name}"
            asked.append((client, way, w.node.ask(
                client, way, body_of(client, model, stream=True),
                report=w.provider.url)))
    for client, way, n in asked:
        got = w.node.wait(n)
        t.eq(got.get("pieces"), [f"<{i}>" for i in range(count)],
             f"{client} client, {way.name}")


def test_client_goes(t, w):
    """The provider sees the close."""
    for client in DIALECTS:
        for way in w.quick():
            model = f"stall-2-{client}-{way.name}"
            got = w.node.call(client, way, body_of(client, model,
                                                   stream=True), stop=1)
            t.ok("error" in got, f"{client} client, {way.name}: went", got)
            t.ok(w.provider.wait_closed(model),
                 f"{client} client, {way.name}: the provider sees it")
    # before the first byte
    for way in w.quick():
        model = f"stall-0-{way.name}"
        base, key = way.base("openai")
        with socket.create_connection(("127.0.0.1", way.sup.port)) as s:
            body = json.dumps(body_of("openai", model)).encode()
            s.sendall(b"POST %s/chat/completions HTTP/1.1\r\nHost: x\r\n"
                      b"Authorization: Bearer %s\r\nContent-Length: %d\r\n"
                      b"\r\n%s" % (base.split("/", 3)[3].join(
                          ("/", "")).encode(), key.encode(), len(body),
                          body))
            t.ok(w.provider.wait(lambda: any(
                b and b.get("model") == model
                for _, _, b in w.provider.requests)),
                f"{way.name}: is asked")
        t.ok(w.provider.wait_closed(model),
             f"{way.name}: gone before the first byte")


def post(url, body, key, **headers):
    host, path = url.split("/", 3)[2:]
    with Client(int(host.split(":")[1]), key) as c:
        return c.call("POST", "/" + path, body, headers)


def test_access(t, w):
    sup = w.sups["openai"]
    base = f"http://127.0.0.1:{sup.port}/v1/users/sam/llm/v1"
    a = post(base + "/messages", body_of("anthropic", "plain"), "wrong")
    t.eq((a.status, a.json["type"], a.json["error"]["type"]),
         (401, "error", "authentication_error"), "a wrong token, Anthropic")
    a = post(base + "/chat/completions", body_of("openai", "plain"), "wrong")
    t.eq((a.status, a.json["error"]["type"]), (401, "authentication_error"),
         "a wrong token, OpenAI")
    a = post(base + "/messages", body_of("anthropic", "plain"), "",
             **{"X-Api-Key": sup.token})
    t.eq(a.status, 200, "x-api-key")
    with Client(sup.port) as c:
        a = c.call("GET", "/v1/users/sam/runners",
                   headers={"X-Api-Key": sup.token})
    t.eq(a.status, 401, "which counts nowhere else")
    a = post(base + "/messages", b"{", sup.token)
    t.eq((a.status, a.json["error"]["type"]), (400, "invalid_request_error"),
         "no JSON")
    a = post(base + "/chat/completions", body_of("openai", "plain"),
             sup.token, **{"X-Request-Id": "my-id-1", "Cookie": "x=y",
                           "OpenAI-Organization": "org"})
    t.eq((a.status, a.headers["X-Request-Id"]), (200, "my-id-1"),
         "X-Request-Id")
    headers = [h for p, h, _ in w.provider.requests
               if p == "/openai/v1/chat/completions"][-1]
    low = {k.lower(): v for k, v in headers.items()}
    t.eq((low.get("authorization"), low.get("cookie"),
          low.get("openai-organization")), (f"Bearer {KEY}", None, None),
         "the provider gets our key and nothing of the client's")


def test_reuse(t, w):
    """One connection for calls that follow each other"""
    for way in w.quick():
        base, key = way.base("openai")
        mark = len(w.provider.peers)
        for _ in range(4):
            post(base + "/chat/completions", body_of("openai", "plain"), key)
        peers = w.provider.peers[mark:]
        t.eq((len(peers), len(set(peers))), (4, 1), way.name)


def test_selection(t, w):
    """The active runner's model, else the server's; never both in one."""
    sup = w.sups["openai"]
    key = os.path.join(sup.dir, "runner.key")
    r = sup.runner("eve", args=[
        "--llm-provider", "anthropic", "--llm-api-key-file", key,
        "--llm-base-url", w.provider.base("anthropic"),
        "--llm-model", "plain"])
    way = Way("runner-x", w.provider, "anthropic", sup, "eve")
    n = w.node.ask("openai", way, body_of("openai", "hold-1", stream=True))
    if not w.provider.wait(lambda: w.provider.holding > 0):
        raise TimeoutError("nothing is held")
    r.stop(signal.SIGKILL)
    got = w.node.wait(n)
    t.ok("error" in got and got.get("pieces"), "a runner that dies in the "
         "middle is an error", got)
    r.wait_online(False)
    got = w.node.call("openai", way, body_of("openai", "plain"))
    t.eq(got.get("via"), "server", "the next one is the server's")
    sup.runner("eve", "other")
    got = w.node.call("openai", way, body_of("openai", "plain"))
    t.eq(got.get("via"), "server", "a runner without a model changes nothing")
    w.provider.report({"model": "release", "n": "0"})


def test_events_and_metrics(t, w):
    sup = w.sups["openai"]
    way = w.way("server-openai")
    with Client(sup.port, sup.token) as c:
        r = c.open("GET", "/v1/users/sam/events")
        base, key = way.base("openai")
        post(base + "/chat/completions", body_of("openai", "plain"), key,
             **{"X-Request-Id": "ev-1"})
        name = None
        while True:
            line = r.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            if line.startswith("data: ") and name == "llm":
                break
        e = json.loads(line[6:])
        c.close()
    t.ok(e.pop("duration_ms") >= 0, "how long")
    t.eq(e, {"user": "sam", "request_id": "ev-1", "via": "server",
             "runner": "", "model": "plain", "status": 200,
             "input_tokens": 16, "output_tokens": 7}, "the event")
    with Client(sup.port, sup.token) as c:
        text = c.call("GET", "/metrics").body.decode()
    for want in ('xbot_llm_calls_total{via="server",code="200"}',
                 'xbot_llm_calls_total{via="runner",code="200"}',
                 'xbot_llm_tokens_total{via="server",kind="input"}',
                 "xbot_llm_calls "):
        t.ok(want in text, f"metric {want}")


def test_many_streams(t, w):
    """200 at once, all open, and front stays small."""
    way = w.way("server-openai")
    sup, count = way.sup, 200
    base, key = way.base("openai")
    w.provider.holding = 0
    w.provider.reports.discard(("release", 0))
    done, fault = [], []

    def one():
        try:
            a = post(base + "/chat/completions",
                     body_of("openai", "hold-many", stream=True), key)
            done.append(b"[DONE]" in a.body)
        except Exception as e:
            fault.append(e)
    threads = [threading.Thread(target=one, daemon=True)
               for _ in range(count)]
    for th in threads:
        th.start()
    t.ok(w.provider.wait(lambda: w.provider.holding == count),
         f"{count} streams are open", w.provider.holding)
    size = rss(sup.roles()["front"])
    t.note(f"front holds {size} kB with {count} streams")
    if not w.slow:
        t.ok(size < 64 * 1024, "front under 64 MiB", size)
    w.provider.report({"model": "release", "n": "0"})
    for th in threads:
        th.join(DEADLINE)
    t.eq((sum(done), len(done), fault), (count, count, []),
         "all of them end well")


def test_slow_reader(t, w):
    """Back-pressure reaches the provider; nothing piles up here."""
    way = w.way("server-openai")
    base, key = way.base("openai")
    before = rss(way.sup.roles()["front"])
    for client in DIALECTS:
        with Client(way.sup.port, key) as c:
            path = ("/chat/completions" if client == "openai" else
                    "/messages")
            r = c.open("POST", "/" + base.split("/", 3)[3] + path,
                       body_of(client, "big-20000", stream=True))
            first = r.read(1000)
            grown = max(rss(p) for n, p in way.sup.roles().items()
                        if n in ("front", "llm"))
            body = first + r.read()
        t.ok(body.count(b"x" * 1000) == 20000,
             f"{client} client: all of 20 MB arrives", len(body))
        if not w.slow:
            t.ok(grown < before + 64 * 1024, f"{client} client: and little "
                 "of it at a time", grown)


def memory_has(pid, what):
    """Does this process's memory contain it?"""
    with open(f"/proc/{pid}/maps", encoding="ascii",
              errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            fields = line.split()
            if "r" not in fields[1] or fields[-1] in ("[vvar]",
                                                      "[vsyscall]"):
                continue
            begin, end = (int(x, 16) for x in fields[0].split("-"))
            if end - begin > 1 << 30:
                continue
            try:
                mem.seek(begin)
                if what in mem.read(end - begin):
                    return True
            except (OSError, ValueError):
                continue
    return False


def test_secrets(t, w):
    """Keys and bodies are in no log; a runner's key is on its machine."""
    for d, sup in w.sups.items():
        text = "\n".join(sup.log.since())
        for secret in (KEY, SECRET, "Hello", "Be brief"):
            t.ok(secret not in text, f"{d}: the log has no {secret[:9]}")
    for r in w.sups["openai"].runners:
        if r.process is not None:
            t.ok(SECRET not in "\n".join(r.log.since()),
                 f"{r.user}: nor has its runner's")
    if os.geteuid() != 0 or w.slow:
        raise Skip("memory is searched by root, in the release build")
    sup = w.sups["openai"]
    for name, pid in {"supervisor": sup.pid, **sup.roles()}.items():
        t.ok(not memory_has(pid, SECRET.encode()),
             f"{name} does not hold the runner's key")
        if name not in ("supervisor", "llm"):
            t.ok(not memory_has(pid, KEY.encode()),
                 f"{name} does not hold the provider's")
        with open(f"/proc/{pid}/environ", "rb") as f:
            t.ok(KEY.encode() not in f.read(), f"{name}: environment")
    t.ok(memory_has(sup.roles()["llm"], KEY.encode()), "only llm has it")


def test_stalls(t, w):
    """Limits to the first byte and between two."""
    for d, sup in w.sups.items():
        conf = sup.extra.replace("30s", "1s")
        mark = sup.log.mark()
        sup.configure(conf)
        sup.process.send_signal(signal.SIGHUP)
        sup.log.wait("reloaded", mark)
        way = w.way(f"server-{d}")
        for client in DIALECTS:
            got = w.node.call(client, way, body_of(client, "stall-0"))
            t.eq(failure_of(got)["status"], 504,
                 f"{client} client, {d} provider: no first byte")
            got = w.node.call(client, way, body_of(client, "stall-2",
                                                   stream=True))
            t.ok("error" in got and "silent" in json.dumps(got),
                 f"{client} client, {d} provider: silence in the middle",
                 got)


def test_stalls_behind_runners(t, w):
    """The runner's own limits; its seconds are short ones."""
    sup, asked = w.sups["openai"], []
    mark = sup.log.mark()
    ways = [way for d in DIALECTS for way in w.runners(
        d, "-hasty", program="tests/xbot-runner-hasty")]
    for way in ways:
        for client in DIALECTS:
            for after, stream in ((0, False), (0, True), (2, True)):
                model = f"stall-{after}-{stream}-{client}-{way.name}"
                asked.append((way, client, after, model, w.node.ask(
                    client, way, body_of(client, model, stream=stream))))
    for way, client, after, model, n in asked:
        got, what = w.node.wait(n), f"{client} client, {model}"
        stall_told(t, way, after, got, what)
        t.ok(w.provider.wait_closed(model), what + ": the provider is left",
             w.provider.closes)
    # who fails is told by what speaks HTTP: front, or protocol 1 in remote
    for line in (r"front.*: 504 the server did not answer in time",
                 r"front.*: 504 the server fell silent in the middle",
                 r"remote.*: llm_generate: EIO"):
        t.ok(sup.log.wait(line, mark), "a log line: " + line)
    for way in ways:
        for client in DIALECTS:
            got = w.node.call(client, way, body_of(client, "plain"))
            t.eq(got.get("via"), "runner",
                 f"{client} client, {way.name}: the next one is served")


def stall_told(t, way, after, got, what):
    """An error, and nothing that looks like an answer's end."""
    if way.name.startswith("runner1"):
        # it gives whole answers or none, and has one word for a failure
        t.eq(failure_of(got)["status"], 502, what + ": 502")
        t.match("did not answer in time", json.dumps(got), what + ": why")
    elif after == 0:
        t.eq(failure_of(got)["status"], 504, what + ": 504")
    else:
        t.match("fell silent", json.dumps(got), what + ": an error event")
        t.eq(got.get("pieces"), ["Hel", "lo "], what + ": and what came")


def test_limits(t, w):
    sup = w.sups["anthropic"]
    mark = sup.log.mark()
    sup.limits = "user limit llm 1\nlimit llm 64K"
    sup.configure(sup.extra.replace("1s", "30s"))
    sup.process.send_signal(signal.SIGHUP)
    sup.log.wait("reloaded", mark)
    way = w.way("server-anthropic")
    w.provider.holding = 0
    w.provider.reports.discard(("release", 0))
    n = w.node.ask("anthropic", way, body_of("anthropic", "hold-2",
                                             stream=True))
    w.provider.wait(lambda: w.provider.holding == 1)

    def second():
        got = w.node.call("anthropic", way, body_of("anthropic", "plain"))
        return failure_of(got) if "error" in got else None
    got = wait_for("front to hear of it", second)
    t.eq((got["status"], got["type"]), (429, "rate_limit_error"),
         "one at a time")
    t.ok(got["retry"], "and when to come again")
    w.provider.report({"model": "release", "n": "0"})
    t.ok("error" not in w.node.wait(n), "the first one ends")
    base, key = way.base("anthropic")
    a = post(base + "/messages", body_of("anthropic", "plain",
                                         "x" * 70000), key)
    t.eq(a.status, 413, "a body over its limit")


def test_https(t, w):
    """Verified, by name, from inside the sandbox."""
    way = w.way("server-openai")
    pki = Pki(os.path.join(way.sup.dir, "pki"))
    pki.root("ca")
    pki.leaf("server", "DNS:localhost")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki.path("server.crt"), pki.path("server.key"))
    provider = Provider(tls)
    port = provider.server_address[1]

    def conf(host, ca=""):
        return (f'llm {{\n\tbase url "https://{host}:{port}/openai/v1"\n'
                f'\tapi key file "{w.key}"\n{ca}}}\n')
    ca = f'\tca file "{pki.path("ca.crt")}"\n'
    def refused(a):
        return a if a.status != 200 else None
    with Supervisor(way.sup.build, conf("localhost", ca)) as sup:
        url = f"http://127.0.0.1:{sup.port}/v1/users/x/llm/v1"

        def ask():
            return post(url + "/chat/completions",
                        body_of("openai", "plain"), sup.token)
        a = ask()
        t.eq(a.status, 200, "a certificate of the right name")
        for text, why in ((conf("127.0.0.1", ca), "of another name"),
                          (conf("localhost"), "of an unknown authority")):
            mark = sup.log.mark()
            sup.configure(text)
            sup.process.send_signal(signal.SIGHUP)
            sup.log.wait("reloaded", mark)
            # the log speaks for the parent; llm hears of it a little later
            a = wait_for("a refusal", lambda: refused(ask()))
            t.ok(a.status == 502 and b"SSL" in a.body, f"one {why}", a)
        sup.stop()
        t.eq(sup.problems, [], "stops in order")


def test_curl(t, w):
    way = w.way("server-openai")
    base, key = way.base("openai")
    got = subprocess.run(
        ["curl", "-sN", "-H", f"Authorization: Bearer {key}", "-d",
         json.dumps(body_of("openai", "plain", stream=True)),
         base + "/chat/completions"], stdout=subprocess.PIPE,
        timeout=DEADLINE, check=False).stdout.decode()
    want = subprocess.run(
        ["curl", "-sN", "-d",
         json.dumps(body_of("openai", "plain", stream=True)),
         w.provider.base("openai") + "/chat/completions"],
        stdout=subprocess.PIPE, timeout=DEADLINE,
        check=False).stdout.decode()
    t.eq(got, want, "curl sees byte for byte what the provider sends")
    for client in DIALECTS:
        want = curl_says(w.direct, client)
        for way in w.ways:
            t.eq(curl_says(way, client), want,
                 f"curl, {client} dialect, {way.name}")


def curl_says(way, client):
    """The text of a whole answer, and how a stream of it ends."""
    base, key = way.base(client)
    path, end = {"openai": ("/chat/completions", "data: [DONE]"),
                 "anthropic": ("/messages", "event: message_stop")}[client]
    out = [subprocess.run(
        ["curl", "-sN", "-H", f"Authorization: Bearer {key}", "-d",
         json.dumps(body_of(client, "plain", stream=stream)), base + path],
        stdout=subprocess.PIPE, timeout=DEADLINE, check=False).stdout.decode()
        for stream in (False, True)]
    whole = json.loads(out[0])
    text = whole["choices"][0]["message"]["content"] \
        if client == "openai" else whole["content"][0]["text"]
    return text, end in out[1].splitlines()


def test_worker_dies(t, w):
    """An error for those in the middle; then it is there again."""
    sup = w.sups["openai"]
    way = w.way("server-openai")
    w.provider.holding = 0
    w.provider.reports.discard(("release", 0))
    n = w.node.ask("anthropic", way, body_of("anthropic", "hold-3",
                                             stream=True))
    w.provider.wait(lambda: w.provider.holding == 1)
    pid = sup.roles()["llm"]
    os.kill(pid, signal.SIGKILL)
    got = w.node.wait(n)
    t.ok("error" in got and got.get("pieces"), "the one in the middle", got)
    wait_for("another llm", lambda: sup.roles().get("llm", pid) != pid)
    sup.wait_ready()
    got = w.node.call("anthropic", way, body_of("anthropic", "plain"))
    t.ok("answer" in got, "the next one", got)
    w.provider.report({"model": "release", "n": "0"})


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    why = npm_install()
    if why:
        t.skip(f"npm's openai and @anthropic-ai/sdk: {why}")
        return t.done()
    w = World(build)
    try:
        w.node = Node()
        for test in tests_of(sys.modules[__name__]):
            if not wanted or any(x in test.__name__ for x in wanted):
                t.run(test, w)
    finally:
        if w.node:
            w.node.close()
        w.node = None
        for sup in w.sups.values():
            verdict(t, sup)
        w.close()
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
