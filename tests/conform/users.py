# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Tokens, users, runners and routing over HTTP."""
import json
import os
import stat

from execs import bad, good
from xbot import ROOT, Client, wait_for


def create(sup, *words):
    got = sup.admin("-j", "token", "create", *words)
    if got.returncode != 0:
        raise RuntimeError(f"token create: {got.stderr!r} {got.stdout!r}")
    return json.loads(got.stdout)


def token_of(made):
    return made["token"]


def test_no_token(t, sup):
    with Client(sup.port) as c:
        for header in (None, "", "Bearer", "Bearer ", "Basic YTpi",
                       "Bearer " + "x" * 43, "Bearer " + "x" * 1000,
                       sup.token, "Bearer\t" + sup.token + "x"):
            a = c.call("POST", "/v1/users/bob/exec", {"command": "id"},
                       {"Authorization": header} if header is not None
                       else {})
            bad(t, a, "EAUTH", f"Authorization {header and header[:12]!r}")
        a = c.call("POST", "/v1/users/bob/exec", {"command": "echo x"},
                   {"Authorization": "bearer " + sup.token})
        good(t, a, "the scheme in small letters", stdout="x\n")


def test_service_token(t, sup):
    path = os.path.join(sup.state, "service.token")
    st = os.stat(path)
    t.eq(stat.S_IMODE(st.st_mode), 0o600, "its file is 0600")
    t.ok(len(sup.token) >= 43, "it is long")
    t.ok(not any(sup.token in line for line in sup.log.since()),
         "and stands in no log line")


def test_user_tokens(t, sup):
    mine = token_of(create(sup, "-u", "carol", "-n", "laptop"))
    with Client(sup.port, mine) as c:
        good(t, c.exec("carol", "echo mine"), "a user's own", stdout="mine\n")
        bad(t, c.exec("bob", "id"), "EPERM", "somebody else's")
        bad(t, c.call("GET", "/v1/users/bob/runners"), "EPERM", "runners")
        bad(t, c.file("GET", "bob", "x"), "EPERM", "files")
        bad(t, c.call("GET", "/metrics"), "EPERM", "what is the service's")
        listed = sup.admin("-j", "token", "list").stdout.decode()
        t.ok("carol" in listed and mine not in listed,
             "listed without its text", listed)
        row = [r for r in rows(listed) if r.get("user") == "carol"][0]
        got = sup.admin("token", "revoke", str(row["id"]))
        t.eq(got.returncode, 0, "revoked")
        bad(t, c.exec("carol", "id"), "EAUTH", "and at once unknown")


def rows(text):
    got = json.loads(text)
    while isinstance(got, dict):
        got = next(v for v in got.values() if isinstance(v, (list, dict)))
    return got


def test_service_tokens_made(t, sup):
    made = token_of(create(sup, "-s", "-n", "agents"))
    with Client(sup.port, made) as c:
        good(t, c.exec("any", "echo any"), "acts for every user",
             stdout="any\n")


def test_users_apart(t, sup):
    """Two users' commands run under different uids and see nothing."""
    c = sup.client
    ids = {u: c.exec(u, "id -u; umask; pwd; echo secret >mine; chmod 644 "
                     "mine").json["stdout"].split("\n")
           for u in ("dave", "erin")}
    if not ROOT:
        t.skip("without root everybody is the caller")
        return
    t.ok(ids["dave"][0] != ids["erin"][0] != "0", "different uids", ids)
    for pid in sup.executors():
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            uids = [line for line in f if line.startswith("Uid")][0]
        t.ok(int(uids.split()[1]) >= 62000, f"executor {pid}: a slot's uid",
             uids)
    a = c.exec("erin", f"cat {ids['dave'][2]}/mine; ls {ids['dave'][2]}; "
               f"echo x >{ids['dave'][2]}/x; ls {sup.work}")
    t.ok(a.json["stdout"] == "" and a.json["stderr"].count(
        "Permission denied") == 4, "no look at another's workspace", a)
    a = c.exec("erin", "kill -9 -1; echo killed")
    b = c.exec("dave", "cat mine")
    good(t, b, "nor a signal to another's", stdout="secret\n")
    for path in (sup.state, sup.state + "/service.token", sup.conf + "x",
                 "/etc/shadow"):
        a = c.exec("dave", f"cat {path}")
        t.ok(a.status == 200 and a.json["exit_code"] != 0, f"not {path}",
             a)
    a = c.exec("dave", "id -un; id -G; grep -E 'Cap(Prm|Eff)|NoNewPrivs' "
               "/proc/self/status")
    t.match(r"CapPrm:\s0+\nCapEff:\s0+\n", a.json["stdout"],
            "no capability")


def test_runners(t, sup):
    c = sup.client
    base = "/v1/users/frank/runners"
    a = c.call("GET", base)
    t.ok(a.status == 200 and a.json["runners"] == [], "none yet", a)
    a = c.call("POST", base, {"name": "one", "mode": "native",
                              "workspace": "/home/f", "llm_provider": "openai",
                              "llm_model": "m", "llm_api_key": "sk-secret"})
    t.ok(a.status == 201 and a.json["name"] == "one" and
         len(a.json["token"]) >= 43 and "--server" in a.json["command"],
         "created: name, token, command", a)
    t.ok("sk-secret" in a.json["command"], "the command has the key", a)
    bad(t, c.call("POST", base, {"name": "one"}), "EEXIST", "the same again")
    for body in ({}, {"name": ""}, {"name": "a/b"}, {"name": 1},
                 {"name": "x" * 200}, {"name": "__docker__"},
                 {"name": "ok", "mode": "vm"}):
        bad(t, c.call("POST", base, body), "EINVAL", f"create {body!r:.40}")
    a = c.call("POST", base, {"name": "two"})
    t.ok(a.status == 201, "another", a)
    a = c.call("GET", base)
    got = a.json["runners"]
    t.eq([(r["name"], r["online"], r["active"]) for r in got],
         [("one", False, True), ("two", False, False)],
         "listed; the first is active")
    t.eq(set(got[0]), {"name", "mode", "docker_image", "workspace", "shell",
                       "online", "active", "created_at", "llm_provider",
                       "llm_model"}, "the fields of the contract")
    t.ok(b"sk-secret" not in a.body, "no key is listed")
    a = c.call("GET", base + "/active")
    t.ok(a.status == 200 and a.json == {"name": "one"}, "active", a)
    a = c.call("PUT", base + "/active", {"name": "two"})
    t.ok(a.status == 204, "set", a)
    t.eq(c.call("GET", base + "/active").json, {"name": "two"}, "is set")
    bad(t, c.call("PUT", base + "/active", {"name": "none"}), "ENOENT",
        "an unknown one")
    bad(t, c.call("PUT", base + "/active", {"name": 5}), "EINVAL", "a number")
    a = c.call("DELETE", base + "/two")
    t.ok(a.status == 204, "deleted", a)
    bad(t, c.call("DELETE", base + "/two"), "ENOENT", "only once")
    t.eq([r["name"] for r in c.call("GET", base).json["runners"]], ["one"],
         "and gone")
    c.call("DELETE", base + "/one")


def test_routing(t, sup):
    c = sup.client

    def route(user, query=""):
        a = c.call("GET", f"/v1/users/{user}/route{query}")
        return (a.json.get("backend"), a.json.get("runner"), a.code)
    t.eq(route("grace"), ("none", "", ""), "without a runner: the host")
    r = sup.runner("grace", "first")
    t.eq(route("grace"), ("remote", "first", ""), "with one: that")
    a = c.exec("grace", "pwd")
    good(t, a, "where commands run", stdout=r.workspace + "\n",
         backend="remote", runner="first")
    s = sup.runner("grace", "second")
    t.eq(route("grace"), ("remote", "first", ""), "the first is active")
    c.call("PUT", "/v1/users/grace/runners/active", {"name": "second"})
    t.eq(route("grace"), ("remote", "second", ""), "then the other")
    good(t, c.exec("grace", "pwd"), "which answers",
         stdout=s.workspace + "\n")
    a = c.call("PUT", "/v1/users/grace/sessions/web:1/runner",
               {"name": "first"})
    t.ok(a.status == 204, "a session is bound", a)
    good(t, c.exec("grace", "pwd", session="web:1"), "and runs there",
         stdout=r.workspace + "\n", runner="first")
    good(t, c.exec("grace", "pwd", session="web:2"), "another does not",
         stdout=s.workspace + "\n")
    s.stop()
    s.wait_online(False)
    t.eq(route("grace"), ("remote", "first", ""),
         "the active one gone: another that is connected")
    r.stop()
    r.wait_online(False)
    bad(t, c.exec("grace", "id", session="web:1"), "EOFFLINE",
        "a bound session never falls through")
    t.eq(route("grace"), ("none", "", ""), "none connected: the host")
    a = c.exec("web-1", "id")
    bad(t, a, "EPERM", "a web user, denied the host")
    t.match("connect a runner of your own", a.json["error"]["message"],
            "who is told what to do")


def test_runner_tokens(t, sup):
    """A runner's token is none for the API, and the other way round."""
    r = sup.runner("heidi", "laptop")
    with Client(sup.port, r.token) as c:
        bad(t, c.exec("heidi", "id"), "EAUTH", "a runner's token")
    r.stop()
    r.wait_online(False)
    for token in ("", "x" * 43, sup.token):
        mark = sup.log.mark()
        with open(r.token_file, "w", encoding="ascii") as f:
            f.write(token + "\n")
        r.start()
        if token:
            sup.log.wait(r"(?i)auth|token|refus", mark)
            t.ok(not r.online(), f"not with {token[:4]!r}…")
        r.stop()
    sup.runners.remove(r)


def test_delete_disconnects(t, sup):
    r = sup.runner("ivan", "laptop")
    a = sup.client.call("DELETE", "/v1/users/ivan/runners/laptop")
    t.ok(a.status == 204, "an online runner is deleted", a)
    wait_for("host", lambda: sup.client.call(
        "GET", "/v1/users/ivan/route").json.get("backend") == "none")
    t.ok(True, "and is no route any more")
    r.stop()
    sup.runners.remove(r)


def test_admin(t, sup):
    got = sup.admin("status")
    t.ok(got.returncode == 0 and all(
        role in got.stdout.decode() for role in
        ("front", "control", "ledger", "none", "remote")), "status", got)
    got = sup.admin("-j", "status")
    t.ok(got.returncode == 0 and json.loads(got.stdout), "as JSON", got)
    got = sup.admin("exec", "-u", "judy", "echo", "a b", "$HOME")
    t.eq((got.returncode, got.stdout, got.stderr), (0, b"a b $HOME\n", b""),
         "exec")
    got = sup.admin("exec", "-u", "judy", "--", "sh", "-c",
                    "echo err >&2; exit 7")
    t.eq((got.returncode, got.stdout, got.stderr), (7, b"", b"err\n"),
         "its exit status and streams")
    got = sup.admin("route", "-u", "judy")
    t.ok(got.returncode == 0 and b"none" in got.stdout, "route", got)
    got = sup.admin("runner", "create", "-u", "judy", "box")
    t.ok(got.returncode == 0, "runner create", got)
    got = sup.admin("runner", "list", "-u", "judy")
    t.ok(got.returncode == 0 and b"box" in got.stdout, "runner list", got)
    got = sup.admin("runner", "delete", "-u", "judy", "box")
    t.ok(got.returncode == 0, "runner delete", got)
    got = sup.admin("nonsense")
    t.eq(got.returncode, 2, "an unknown verb: 2")
    got = sup.admin("route", "-u", "-bad")
    t.ok(got.returncode in (1, 2) and got.stderr, "an error: 1 and text",
         got)
    if ROOT:
        st = os.stat(sup.socket)
        t.eq(stat.S_IMODE(st.st_mode) & 0o7, 0, "nobody else's socket")
