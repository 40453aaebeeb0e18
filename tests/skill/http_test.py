#!/usr/bin/env python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The skill runner over HTTP: every recorded case, and what no case shows.

usage: http_test.py BUILDDIR
"""
import json
import os
import signal
import subprocess
import sys
import threading

import abbot
import lines
from runner import MEDIA, SkillRunner, verdict
from xbot import (DEADLINE, ROOT, Tap, children, cmdline, sanitized, tests_of,
                  wait_for)

HERE = os.path.dirname(os.path.abspath(__file__))
build = os.path.abspath(sys.argv[1])


# --- the recorded cases ---

def groups():
    """Cases by the variables that their runner is started with."""
    found = {}
    for case in abbot.load():
        if case.get("kind") != "startup":
            env = json.dumps(case["env"], sort_keys=True)
            found.setdefault(env, []).append(case)
    return found


def test_cases(t):
    with abbot.fake_abbot() as fake:
        for text, cases in groups().items():
            env = {k: v.replace("{api_port}", str(fake.port))
                   for k, v in json.loads(text).items()}
            policy = env.pop("ABBOT_SANDBOX_POLICY", None)
            env.pop("PORT", None)
            with SkillRunner(build, policy, env=env, start=False) as s:
                if policy is None:
                    del s.env["ABBOT_SANDBOX_POLICY"]
                s.start()
                for case in cases:
                    case_replay(t, s, fake, case)
                verdict(t, s)


def test_contract(t):
    """What the contract says and no recorded case shows."""
    with abbot.fake_abbot() as fake:
        for policy in ("none", "permissive", "restrictive"):
            with SkillRunner(build, policy, fake.url) as s:
                for line in lines.LINES:
                    if policy in line.policies and not line.more:
                        line_replay(t, s, fake, policy, line)


def line_replay(t, s, fake, policy, line):
    body = abbot.base_body()
    body["RunnerInfo"]["Code"] = line.code
    if line.change is not None:
        line.change(body)
    fake.script(line.answers)
    a = s.post(body)
    found = lines.differences(line, a.json if a.status == 200 else a.status,
                              fake.calls)
    t.ok(not found, f"{policy}: {line.name}", "\n".join(found))


def case_replay(t, s, fake, case):
    def send(*request):
        a = s.send(*request)
        return a.status, a.headers, a.body
    found = abbot.replay(case, fake, send)
    t.ok(not found, case["name"], "\n".join(found))


def test_startup(t):
    for case in abbot.load():
        if case.get("kind") != "startup":
            continue
        env = {"PATH": "/usr/bin:/bin", "HOME": "/", **case["env"],
               "HOST": "127.0.0.1"}
        want = case["startup"]
        if want["stays_up"]:
            with SkillRunner(build, env={**case["env"], "PORT": "0"},
                             start=False) as s:
                s.env["PORT"] = str(s.port)
                s.start()
                t.ok(True, case["name"])
            continue
        p = subprocess.run([f"{build}/xbot-supervisor", "-d"], env=env,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=DEADLINE)
        t.eq(p.returncode, want["exit_code"], case["name"])
        text = want["last_line"].split(": ", 1)[1]
        if "invalid literal" not in text:    # Python's own words
            t.ok(text in p.stderr, case["name"] + ": the message", p.stderr)
    for name, more, env in (
            ("skill only", ["-f", "/dev/stdin"], {}),
            ("a policy", [], {"ABBOT_SANDBOX_POLICY": "none"}),
            ("an API", [], {"AbbotApiBaseUrl": "http://127.0.0.1:9/api"})):
        p = subprocess.run([f"{build}/xbot-supervisor", "-d", *more],
                           env={"PATH": "/usr/bin:/bin", "HOME": "/", **env},
                           input="skill only\n", capture_output=True,
                           text=True, timeout=DEADLINE)
        t.eq(p.returncode, 1, f"{name} and no token")
        t.ok("ABBOT_SKILL_RUNNER_TOKEN environment variable not set" in
             p.stderr, f"{name} and no token: the message", p.stderr)


# --- HTTP ---

def test_routes(t, s):
    a = s.send("GET", "/", {})
    t.eq((a.status, a.headers["location"]), (302, "/api/v1/status"), "/")
    t.eq(s.send("GET", "/api/v1/status", {}).json["status"], "ok", "status")
    for path in ("/api/v1/execute/", "/x", "/v1/users", "/readyz", "/metrics",
                 "/ws/alice"):
        a = s.send("GET", path, {})
        t.eq((a.status, a.headers["content-type"]),
             (404, "text/html; charset=utf-8"), path)
    for path in ("/", "/api/v1/status", "/api/v1/execute"):
        a = s.send("OPTIONS", path, {})
        t.eq((a.status, a.body), (200, b""), "OPTIONS " + path)
        t.ok("OPTIONS" in a.headers["allow"], "Allow of " + path)


def test_authentication(t, s):
    body = json.dumps(abbot.base_body()).encode()
    right = abbot.TOKEN
    rows = [
        ("", {"Authorization": "Bearer " + right}, 200),
        ("?code=" + right, {}, 200),
        ("?code=%30" + right[1:], {}, 200),
        ("?code=" + right, {"Authorization": "Bearer wrong"}, 401),
        ("?code=" + right, {"Authorization": "bearer wrong"}, 200),
        ("?code=" + right, {"Authorization": "Bearer  " + right}, 200),
        ("", {"Authorization": "Bearer  " + right}, 401),
        ("", {"Authorization": "Bearer " + right + " x"}, 401),
        ("", {"Authorization": "Basic " + right}, 401),
        ("", {"X-Functions-Key": right}, 401),
        ("", {"Authorization": "Bearer " + right[:-1]}, 401),
        ("", {"Authorization": "Bearer " + right + "0"}, 401),
        ("?code=", {}, 401),
        ("", {}, 401),
    ]
    for query, headers, status in rows:
        a = s.send("POST", "/api/v1/execute" + query,
                   {"Content-Type": "application/json", **headers}, body)
        t.eq(a.status, status, f"{query[:8]} {headers}")
        if status == 401:
            t.eq((a.body, "www-authenticate" in a.headers),
                 (b"Access Denied", False), "and its body")


def test_content_types(t, s):
    for ctype, status in (
            ("application/json", 200), ("APPLICATION/JSON ; charset=x", 200),
            ("application/vnd.abbot.v1+json", 200), ("text/json", 400),
            ("application/x-www-form-urlencoded", 400), ("", 400),
            ("application/jsonp", 400), ("application/+json", 200)):
        a = s.post(abbot.base_body(), {"Content-Type": ctype})
        t.eq(a.status, status, ctype or "empty")


def test_bodies(t, s):
    small = b'{"SkillInfo":{"Bot":{},"From":null},"RunnerInfo":{"Code":"%s"}}'
    rows = [(b"", 400), (b"{", 400), (b"[]", 500), (b"{}", 500), (b"x", 400),
            (b'{"a":"\xff"}', 400), (b"\xef\xbb\xbf" + small % b"", 200),
            (small % b"" + b"x", 400), (b"[" * 100000, 500)]
    for body, status in rows:
        a = s.post(body)
        t.eq(a.status, status, repr(body[:30]))


def test_large(t, s):
    """Past every window on its way there and back."""
    text = "x" * 3000000
    a = s.run(f"# {text}\nbot.reply('y' * 2000000)")
    t.eq(a.replies, ["y" * 2000000], "3 MB there, 2 MB back")
    a = s.run("bot.reply('y' * 17000000)")
    t.eq(a.error[0], "AnswerTooLarge", "17 MB back")
    a = s.run("#" + "x" * (16 << 20))
    t.eq((a.headers["content-type"], a.error[0]), (MEDIA, "RequestTooLarge"),
         "more than 16 MiB there")


def test_chunked(t, s):
    body = json.dumps(abbot.base_body()).encode()
    a = s.send("POST", "/api/v1/execute", {
        "Authorization": "Bearer " + abbot.TOKEN,
        "Transfer-Encoding": "chunked", "Content-Type": "application/json"},
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in
                 (body[:7], body[7:])) + b"0\r\n\r\n")
    t.eq(a.status, 200, "a chunked body")


# --- our own failures are answers ---

def test_failures(t, s):
    a = s.run("bot.reply('a')\nwhile True:\n    pass\n")
    t.eq((a.status, a.headers["content-type"]), (200, MEDIA), "timeout")
    t.eq(a.error[0], "TimeoutError", "its errorId")
    t.eq(a.replies, ["a"], "its replies are kept")
    t.eq(a.json["errors"][0].get("lineStart"), 2, "and it says where")
    rows = [
        ("deaf to its deadline", "TimeoutError",
         "while True:\n    try:\n        while True: pass\n"
         "    except BaseException: pass\n"),
        ("memory", "MemoryError", "x = bytearray(1 << 40)"),
        ("memory, in pieces", "MemoryError",
         "x = []\nwhile True: x.append(bytearray(1 << 20))"),
        ("recursion in C", None, "import re\n"
         "x = []\nfor i in range(100000): x = [x]\nrepr(x)"),
    ]
    for name, wanted, code in rows:
        if wanted == "MemoryError" and sanitized(build):
            t.skip(name + ": such a build has no limit of memory")
            continue
        a = s.run(code)
        t.eq((a.status, a.headers["content-type"]), (200, MEDIA), name)
        if wanted is not None:
            t.eq(a.error and a.error[0], wanted, name + ": errorId")
    t.eq(s.run("bot.reply('well')").replies, ["well"], "the next is well")


def test_crash(t, s):
    a = s.run("import os\nos._exit(3)")
    t.eq(a.error, ("Crash", "The skill ended its process with status 3."),
         "a process that ends itself")
    if not sanitized(build):
        a = s.run("import ctypes\nctypes.string_at(1)")
        t.match("signal 11", str(a.error), "a crash")
    a = s.run("import os\nos.fork()\nbot.reply('a')")
    t.eq(a.replies, ["a"], "one that forks answers once")
    a = s.run("import os\nif os.fork() == 0: raise SystemExit\n"
              "os.wait()\nbot.reply('parent')")
    t.eq(a.replies, ["parent"], "its child's end is no answer")
    a = s.run("import os\nos.close(3)\nwhile True: pass")
    t.eq(a.status, 200, "a closed socket")
    a = s.run("import os, struct\nos.write(3, struct.pack('=II', 200, 2) + "
              "b'{}')\nwhile True: pass")
    t.eq((a.status, a.body), (200, b"{}"), "an answer of its own making")
    a = s.run("import os, struct\n"
              "os.write(3, struct.pack('=II', 302, 0xffffffff))")
    t.eq(a.error[0], "Crash", "an answer that cannot be")
    t.eq(s.run("bot.reply('well')").replies, ["well"], "the next is well")


def test_output(t, s):
    mark = len(s.log.since())
    s.run("print('seen\\x1b[31m')\nfor i in range(1000): print('line', i)")
    wait_for("output", lambda: any("more output is dropped" in line
                                   for line in s.log.since(mark)))
    lines = s.log.since(mark)
    t.ok(any(": seen" in line for line in lines) and not any(
        "\x1b" in line for line in lines), "print is a log line, escaped")


def test_requests(t, s):
    """The module that skills use most, against a local server."""
    with abbot.fake_abbot() as fake:
        fake.script([{"status": 200, "body": {"hello": "there"}}])
        a = s.run("import requests\n"
                  f"r = requests.get('{fake.url}/x', timeout=60)\n"
                  "bot.reply(r.json()['hello'])")
        t.eq(a.replies, ["there"], "requests.get", )


def test_verification(t, s):
    a = s.run("import ssl\nc = ssl.create_default_context()\n"
              "bot.reply(c.verify_mode == ssl.CERT_REQUIRED)\n"
              "bot.reply(len(c.get_ca_certs()) > 10)")
    t.eq(a.replies, ["True", "True"], "TLS verifies, with the system's CAs")


def test_many(t, s):
    """More at once than there are places: each gets its own answer."""
    got = {}

    def one(n):
        got[n] = s.run(f"import time\ntime.sleep(0.05)\nbot.reply({n})")
    threads = [threading.Thread(target=one, args=(n,)) for n in range(80)]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    wrong = [n for n in range(80) if got[n].replies != [str(n)]]
    t.eq(wrong, [], "80 at once")


def test_threads(t, s):
    """Twelve that wait at the same time, in memory as it is usually given."""
    with SkillRunner(build) as other:
        a = other.run("import queue\n"
                      "from concurrent.futures import ThreadPoolExecutor\n"
                      "q = queue.Queue()\n"
                      "with ThreadPoolExecutor(12) as pool:\n"
                      "    got = [pool.submit(q.get) for _ in range(12)]\n"
                      "    for n in range(12): q.put(n)\n"
                      "bot.reply(sum(g.result() for g in got))")
        t.eq((a.replies, a.error), (["66"], None), "threads")
        verdict(t, other)


def test_client_gone(t, s):
    """Nobody waits: its run ends."""
    try:
        s.run("import time\ntime.sleep(3600)", timeout=1)
    except OSError:
        pass
    wait_for("the run to end", lambda: not s.busy())
    t.ok(True, "the run of a client that went away is ended")


def test_worker_killed(t, s):
    for name in ("worker", "zygote"):
        ups = s.ups()
        base = os.path.dirname(wait_for("a spare", s.spare_directory))
        os.kill(getattr(s, name), 9)
        a = s.run("bot.reply(1)")
        t.eq((a.status, a.headers["content-type"]), (200, MEDIA),
             name + ": meanwhile")
        wait_for("restart", lambda: s.ups() > ups)
        t.eq(s.run("bot.reply(1)").replies, ["1"], name + ": comes back")
        # /tmp: in a mount namespace of its own
        wait_for(name + ": its directories to go", lambda:
                 base == "/tmp" or not os.path.exists(base))


def test_reload(t, s):
    """What counts is what the file says now; nothing is restarted."""
    with SkillRunner(build, start=False, config="skill {\n\tpolicy none\n}\n"
                     ) as other:
        del other.env["ABBOT_SANDBOX_POLICY"]
        other.start()
        t.eq(other.run("import os").error, None, "policy none")
        worker = other.worker
        other.configure("skill {\n\tpolicy restrictive\n}\n")
        other.process.send_signal(signal.SIGHUP)
        wait_for("the new policy", lambda: other.run("import os").error)
        t.eq(other.run("bot._x").error[0], "SyntaxError",
             "policy restrictive")
        t.eq(other.worker, worker, "the same worker")
        other.configure("skill {\n\tpolicy wat\n}\n")
        other.process.send_signal(signal.SIGHUP)
        wait_for("the fault", lambda: any(
            "not reloaded" in line for line in other.log.since()))
        t.eq(other.run("bot._x").error[0], "SyntaxError",
             "a fault changes nothing")
        verdict(t, other)


def test_processes(t, s):
    """Nothing but what a skill runner needs."""
    found = [" ".join(cmdline(p)) for p in children(s.process.pid)]
    t.eq(sorted(found), ["xbot-front front", "xbot-skill skill"],
         "front and skill")


def test_live(t, s):
    """tests/priv/live.py looks at front and skill."""
    if not ROOT or sanitized(build):
        t.skip("users and fences need root and a build that has them")
        return
    got = subprocess.run(
        [sys.executable, os.path.join(HERE, "../priv/live.py"), "--probe",
         f"{build}/tests/priv_probe", "--expect", "front,skill", "--stderr",
         str(s.process.pid)], stdout=subprocess.PIPE, text=True, check=False)
    said = got.stdout.splitlines()
    t.ok(got.returncode == 0, f"live.py: {said[-1] if said else ''}",
         "\n".join(x for x in said if x.startswith("not ok")))


def main():
    t = Tap()
    t.run(test_cases)
    t.run(test_contract)
    t.run(test_startup)
    slow = 30 if sanitized(build) else 3
    conf = f"skill {{\n\ttimeout {slow}s\n\tmemory 128M\n}}\n"
    with SkillRunner(build, "none", config=conf) as s:
        for test in tests_of(sys.modules[__name__]):
            if test not in (test_cases, test_contract, test_startup):
                t.run(test, s)
        verdict(t, s)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
