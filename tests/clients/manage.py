# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Management of runners and tokens, beyond what tests/conform looks at."""
import http.client
import os
import re
import socket
import stat
import subprocess

from xbot import Answer, Client

HOSTILE = "it's; rm -rf $HOME `id` \"x\" \\ | & > < ! * ?"


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def admin(sup):
    c = Client(sup.port)
    c.conn = Unix(sup.socket)
    return c


def words(sup, command):
    """What a shell makes of a command: the words, by its own parser."""
    place = os.path.join(sup.dir, "shell")
    os.makedirs(place, exist_ok=True)
    fake = os.path.join(place, "xbot-runner")
    with open(fake, "w", encoding="ascii") as f:
        f.write('#!/bin/sh\nfor a; do printf "%s\\0" "$a"; done\n')
    os.chmod(fake, stat.S_IRWXU)
    out = subprocess.run(["/bin/sh", "-c", command], cwd=place, timeout=60,
                         stdout=subprocess.PIPE, check=True).stdout
    return out.decode().split("\0")[:-1]


def test_commands(t, sup):
    c = sup.client
    base = "/v1/users/a.b@c:d/runners"
    server = f"ws://127.0.0.1:{sup.port}/ws/a.b@c:d"
    a = c.call("POST", base, {"name": "plain"})
    t.eq(a.json["command"], f"./xbot-runner --server {server} --token "
         f"{a.json['token']}", "nothing given, nothing said")
    a = c.call("POST", base, {"name": "dock", "mode": "docker"})
    t.eq(a.json["command"].split(" ")[5:], ["--mode", "docker",
         "--docker-image", "ubuntu:22.04"], "docker, the usual image")
    a = c.call("POST", base, {
        "name": "all", "mode": "docker", "docker_image": "img:1",
        "workspace": HOSTILE, "llm_provider": "anthropic",
        "llm_api_key": "sk'" + HOSTILE, "llm_model": HOSTILE + "é",
        "llm_base_url": "https://x/v1?a=b&c"})
    token = a.json["token"]
    t.match(r"^[A-Za-z0-9_-]{43}$", token, "a token")
    t.eq(words(sup, a.json["command"]),
         ["--server", server, "--token", token, "--mode", "docker",
          "--docker-image", "img:1", "--workspace", HOSTILE,
          "--llm-provider", "anthropic", "--llm-api-key", "sk'" + HOSTILE,
          "--llm-model", HOSTILE + "é", "--llm-base-url",
          "https://x/v1?a=b&c"], "a shell reads what was given")
    a = c.call("POST", base + "/all/token")
    t.eq(words(sup, a.json["command"])[2:],
         ["--token", a.json["token"], "--mode", "docker",
          "--docker-image", "img:1", "--workspace", HOSTILE,
          "--llm-provider", "anthropic", "--llm-model", HOSTILE + "é",
          "--llm-base-url", "https://x/v1?a=b&c"],
         "after rotation the same without the key, which nobody kept")
    t.ok(a.json["token"] != token, "and with another token")
    a = c.call("POST", base, {"name": "n", "llm_model": "m",
                              "llm_api_key": "k"})
    t.ok("llm" not in a.json["command"], "no provider, no LLM", a)
    for field in ("workspace", "docker_image", "llm_model", "llm_api_key",
                  "llm_base_url"):
        a = c.call("POST", base, {"name": "bad", field: "a\nb"})
        t.eq((a.status, a.code), (400, "EINVAL"), f"a newline in {field}")
    with open(os.path.join(sup.state, "data.mdb"), "rb") as f:
        data = f.read()
    t.ok(token.encode() not in data and b"sk'" not in data,
         "neither token nor key is on the disk")
    t.ok(not any(token in line or "sk'" in line for line in sup.log.since()),
         "nor in the log")


def test_list(t, sup):
    c = sup.client
    base = "/v1/users/lea/runners"
    for name in "cab":
        c.call("POST", base, {"name": name, "workspace": "/w"})
    a = c.call("GET", base)
    t.eq([r["name"] for r in a.json["runners"]], list("cab"),
         "in the order of their making")
    r = a.json["runners"][0]
    t.match(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$", r["created_at"],
            "when it was made")
    t.eq((r["mode"], r["workspace"], r["online"]), ("native", "/w", False),
         "how")
    t.ok("token" not in str(a.body) and "hash" not in str(a.body),
         "no token is listed")
    with Client(sup.port, sup.token) as other:
        a = other.call("PATCH", base + "/a", {"llm_provider": "openai",
                                              "llm_base_url": "https://u"})
        t.eq(a.status, 204, "PATCH")
    r = c.call("GET", base).json["runners"][1]
    t.eq((r["llm_provider"], r["llm_model"]), ("openai", ""), "is listed")
    for body, code in (({"llm_provider": "me"}, "EINVAL"),
                       ({"name": "c"}, "EEXIST"), ({"name": ""}, "EINVAL"),
                       ({"name": "a b"}, "EINVAL"),
                       ({"name": "__docker__"}, "EINVAL"),
                       ({"name": 1}, "EINVAL"),
                       ({"llm_api_key": "k"}, "EOFFLINE")):
        a = c.call("PATCH", base + "/a", body)
        t.eq(a.code, code, f"PATCH {body}")
    t.eq(c.call("PATCH", base + "/nil", {"name": "x"}).code, "ENOENT",
         "of none")
    t.eq(c.call("PATCH", base + "/a", {}).status, 204, "of nothing")
    t.eq(c.call("POST", base + "/nil/token").code, "ENOENT", "token of none")
    # The active one goes: the oldest that is left.
    t.eq(c.call("GET", base + "/active").json, {"name": "c"}, "active")
    c.call("DELETE", base + "/c")
    t.eq(c.call("GET", base + "/active").json, {"name": "a"}, "then the next")
    for name in "ab":
        c.call("DELETE", base + "/" + name)
    t.eq(c.call("GET", base + "/active").code, "ENOENT", "then none")


def test_choices(t, sup):
    c = sup.client
    c.call("POST", "/v1/users/mia/runners", {"name": "one"})
    active = "/v1/users/mia/runners/active"
    for body, code in (({"name": "__docker__"}, "ENOENT"), ({}, "EINVAL"),
                       ({"name": "x" * 500}, "EINVAL"),
                       ({"name": "plain"}, "ENOENT")):
        t.eq(c.call("PUT", active, body).code, code, f"active {body!r:.30}")
    t.eq(c.call("PUT", active, {"name": ""}).status, 204, "cleared")
    t.eq(c.call("GET", active).json, {"name": "one"}, "the oldest counts")
    a = c.call("PUT", "/v1/users/web-7/runners/active",
               {"name": "__docker__"})
    t.eq((a.status, a.code), (403, "EPERM"), "a web user's __docker__")
    a = c.call("PUT", "/v1/users/web-7/sessions/s/runner",
               {"name": "__docker__"})
    t.eq((a.status, a.code), (403, "EPERM"), "nor for a session")
    for session, want in (("web%3A1", 204), ("a%0Ab", 400),
                          ("x" * 257, 400), ("%C3%A9", 204), ("%FF", 400)):
        a = c.call("PUT", f"/v1/users/mia/sessions/{session}/runner",
                   {"name": "one"})
        t.eq(a.status, want, f"session {session:.10}")
    t.eq(c.call("PUT", "/v1/users/mia/sessions/s/runner",
                {"name": "nil"}).code, "ENOENT", "bound to none")
    a = c.call("GET", "/v1/users/mia/route?session=web:1")
    t.eq(a.code, "EOFFLINE", "bound and offline")
    c.call("PUT", "/v1/users/mia/sessions/web%3A1/runner", {"name": ""})
    a = c.call("GET", "/v1/users/mia/route?session=web:1")
    t.eq(a.status, 200, "no longer bound")


def test_tokens(t, sup):
    a = sup.client.call("GET", "/v1/admin/tokens")
    t.eq(a.status, 404, "not over TCP")
    with admin(sup) as c:
        a = c.call("POST", "/v1/admin/tokens", {"user": "nia", "name": "n"})
        t.ok(a.status == 201 and set(a.json) == {"id", "token", "kind",
             "user", "name"} and a.json["kind"] == "user", "made", a)
        mine = a.json
        t.match(r"^[0-9a-f]{16}$", mine["id"], "its id")
        a = c.call("POST", "/v1/admin/tokens", {"kind": "service"})
        t.ok(a.status == 201 and a.json["user"] == "", "a service token", a)
        for body in ({}, {"kind": "x"}, {"kind": "user"}, {"user": "../a"},
                     {"kind": "service", "user": "a"}, {"user": 1},
                     {"user": "a", "name": "x" * 200}):
            t.eq(c.call("POST", "/v1/admin/tokens", body).code, "EINVAL",
                 f"{body!r:.40}")
        a = c.call("GET", "/v1/admin/tokens")
        rows = a.json["tokens"]
        t.ok(len(rows) == 3 and mine["token"] not in str(a.body),
             "listed without texts", a)
        row = [r for r in rows if r["id"] == mine["id"]][0]
        t.ok(row["user"] == "nia" and row["name"] == "n" and
             re.match("20..-", row["created_at"]), "one of them", row)
        with Client(sup.port, mine["token"]) as n:
            a = n.call("GET", "/v1/users/nia/runners")
            t.eq(a.status, 200, "it opens")
            a = c.call("DELETE", f"/v1/admin/tokens/{mine['id']}")
            t.eq(a.status, 204, "revoked")
            a = n.call("GET", "/v1/users/nia/runners")
            t.eq(a.status, 401, "and is void when that was answered")
        for made, code in ((mine["id"], "ENOENT"), ("x", "EINVAL"),
                           ("0" * 40, "EINVAL")):
            t.eq(c.call("DELETE", f"/v1/admin/tokens/{made}").code, code,
                 f"revoke {made:.10}")
        assert isinstance(a, Answer)
