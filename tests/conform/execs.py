# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Commands of every sort, asked for over HTTP: the same for every placement.

Each test takes a Place: a user whose commands run on the host or on a
runner.  What a Place answers is recorded, and the records are compared.
"""
import base64
import json
import os
import socket
import threading
import uuid

from xbot import alive, marked, wait_for


def good(t, a, text, **want):
    """An answer with status 200 whose fields are these."""
    if not t.ok(a.status == 200, f"{text}: is answered", a):
        return None
    got = a.json
    for key, value in {"exit_code": 0, "timed_out": False,
                       "truncated": False, **want}.items():
        if got.get(key) != value:
            t.eq(got.get(key), value, f"{text}: {key}")
            return None
    t.ok(True, text)
    return got


def bad(t, a, code, text):
    status = {"EINVAL": 400, "EAUTH": 401, "EPERM": 403, "ENOENT": 404,
              "ENOTDIR": 400, "EEXIST": 409, "EISDIR": 409, "E2BIG": 413,
              "EBUSY": 429, "ENOTSUP": 501, "EIO": 502, "EOFFLINE": 503,
              "ETIMEDOUT": 504}[code]
    t.ok((a.status, a.code) == (status, code) and
         a.json["error"].get("message"), f"{text}: {code}", a)


def test_shell(t, p):
    got = good(t, p.exec("echo hello"), "a shell command", stdout="hello\n",
               stderr="", backend=p.backend, runner=p.runner)
    if got:
        t.ok(isinstance(got["duration_ms"], int), "a duration")
        t.eq(set(got), {"stdout", "stderr", "exit_code", "timed_out",
                        "truncated", "duration_ms", "backend", "runner"},
             "the fields of the contract")
    good(t, p.exec("a=1; b=2; echo $((a + b)) | tr 3 x"), "a pipe",
         stdout="x\n")
    good(t, p.exec("exit 3"), "an exit status", exit_code=3, stdout="")
    good(t, p.exec("echo out; echo err >&2; exit 255"), "both streams",
         stdout="out\n", stderr="err\n", exit_code=255)
    good(t, p.exec("echo é ü 漢; printf '\\000'"), "text that is not ASCII",
         stdout="é ü 漢\n\0")


def test_arguments(t, p):
    good(t, p.exec(args=["printf", "%s|", "a b", "", "$HOME", "*"]),
         "arguments reach the program as they are", stdout="a b||$HOME|*|")
    good(t, p.exec("true", shell=False), "a program without arguments",
         stdout="")
    good(t, p.exec("false", shell=False, args=[]),
         "empty arguments are none", exit_code=1)
    good(t, p.exec("echo shell", shell=True, args=["ignored"]),
         "shell true wins over arguments", stdout="shell\n")
    good(t, p.exec(args=["/bin/sh", "-c", "echo $0 $1", "x", "y"]),
         "a path as the program", stdout="x y\n")
    good(t, p.exec(args=["sh", "-c", "echo " + "x" * 100000]),
         "100 kB of argument", stdout="x" * 100000 + "\n")


def test_signals(t, p):
    a = p.aside.exec("kill -TERM $$; sleep 100")
    got = a.json if a.status == 200 else {}
    t.ok(got.get("exit_code") in ((143,) if p.exact else (143, -1)),
         "killed by a signal is 128 and its number", a)
    t.eq(got.get("timed_out"), False, "and no timeout")


def test_stdin(t, p):
    good(t, p.exec("cat", stdin="text é\n"), "text on stdin",
         stdout="text é\n")
    good(t, p.exec("cat; echo end"), "no stdin is an empty one",
         stdout="end\n")
    data = bytes(range(256)) * 16
    if p.exact:
        # protocol v1 carries stdin as JSON text
        a = p.aside.exec("cat", query="?encoding=base64", stdin_encoding="base64",
                   stdin=base64.b64encode(data).decode())
        t.ok(a.status == 200 and
             base64.b64decode(a.json["stdout"]) == data,
             "all bytes both ways", a)
    big = "0123456789abcdef" * 40000
    good(t, p.exec("cat", stdin=big), "640 kB through cat", stdout=big)
    good(t, p.exec("exec <&-; sleep 0.01; echo done", stdin=big),
         "a command that does not read", stdout="done\n")
    bad(t, p.exec("cat", stdin="%%%", stdin_encoding="base64"), "EINVAL",
        "stdin that is not base64")
    bad(t, p.exec("cat", stdin="x", stdin_encoding="rot13"), "EINVAL",
        "an unknown encoding")


def test_environment(t, p):
    good(t, p.exec("echo $A-$B-$C", env=["A=1", "B=", "C=x=y z"]),
         "the environment asked for", stdout="1--x=y z\n")
    good(t, p.exec("echo $A", env=["A=1", "A=2"]), "the last one wins",
         stdout="2\n")
    for env in (["=x"], ["novalue"], [1], "A=1", {"A": "1"}, ["A=\0"]):
        bad(t, p.exec("true", env=env), "EINVAL", f"env {env!r}")
    a = p.aside.exec("env")
    names = [line.split("=")[0] for line in a.json["stdout"].splitlines()]
    odd = [n for n in names if n.startswith(("XBOT", "SANDBOX", "ABBOT"))
           and n != "XBOT_JOB" or "TOKEN" in n]
    t.eq(odd, [], "and nothing of ours")
    t.ok("PATH" in names, "there is a PATH", names)
    a = p.aside.exec("ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) ->.*/\\1/p'"
               " | sort -n | tr '\\n' ' '")
    t.match(r"^0 1 2 (3 )?$", a.json["stdout"], "descriptors are 0, 1, 2")


def test_directory(t, p):
    good(t, p.exec("pwd"), "starts in the workspace",
         stdout=p.workspace + "\n")
    p.exec("mkdir -p one/two; echo x >plain; ln -s /etc out")
    good(t, p.exec("pwd", dir="one/two"), "a directory beneath it",
         stdout=p.workspace + "/one/two\n")
    good(t, p.exec("pwd", dir=p.workspace + "/one"), "by its whole path",
         stdout=p.workspace + "/one\n")
    good(t, p.exec("pwd", dir="one/../one"), "dots that stay inside",
         stdout=p.workspace + "/one\n")
    if p.exact:
        bad(t, p.aside.exec("pwd", dir="absent"), "ENOENT", "none such")
        bad(t, p.aside.exec("pwd", dir="plain"), "ENOTDIR", "no directory")
        for where, text in (("../..", "outside"), ("out", "through a link"),
                            ("/etc", "outside, absolute")):
            a = p.aside.exec("pwd", dir=where)
            if p.guard:
                bad(t, a, "EPERM", text)
            else:
                t.eq(a.status, 200, f"{text}: the container is the boundary")
    else:
        # protocol v1 calls these EIO, or starts in the workspace
        for where in ("absent", "plain", "../..", "/etc", "out"):
            a = p.aside.exec("pwd", dir=where)
            t.ok(a.status >= 400 or
                 a.json["stdout"] == p.workspace + "\n",
                 f"dir {where} is not entered", a)
    bad(t, p.exec("pwd", dir="a\0b"), "EINVAL", "a NUL in it")


def test_cannot_start(t, p):
    p.exec("echo x >noexec; chmod 644 noexec; mkdir -p adir; "
           "printf '#!/no/such/program\\n' >lost; echo x >plain; "
           "chmod 755 lost plain")
    for args, code, text in (
            (["no-such-program"], "ENOENT", "no such program"),
            (["./noexec"], "EPERM", "a file without the x bit"),
            (["./adir"], "EPERM", "a directory"),
            (["./plain"], "EINVAL", "text that names no interpreter"),
            (["./lost"], "ENOENT", "an interpreter that is not there")):
        a = p.aside.exec(args=args)
        if p.exact:
            bad(t, a, code, text)
        else:
            t.ok(a.code in (code, "EIO"), f"{text}: {code} or EIO", a)
    a = p.exec("no-such-program 2>/dev/null")
    good(t, a, "the shell says 127", exit_code=127)


def test_timeout(t, p):
    got = good(t, p.exec("echo first; sleep 100", timeout=1), "a timeout",
               timed_out=True, exit_code=-1, stdout="first\n")
    if got:
        t.ok(got["duration_ms"] >= 1000, "after its time", got)
    for timeout in (0, -1, 3601, "60", 1.5, None, True, 1e30):
        if timeout is None:
            continue
        bad(t, p.exec("true", timeout=timeout), "EINVAL", f"timeout {timeout!r}")
    good(t, p.exec("trap '' TERM; sleep 100 & wait; sleep 100", timeout=1),
         "a command that ignores TERM", timed_out=True, exit_code=-1)


def test_whole_tree(t, p):
    mark = f"XBOT_MARK={uuid.uuid4()}"
    got = good(t, p.exec("sleep 100 & setsid sleep 100 & sleep 100",
                         timeout=1, env=[mark]),
               "a tree that times out", timed_out=True, exit_code=-1)
    left = [pid for pid in marked(mark) if alive(pid)]
    t.ok(got and left == [], "no process of it is left", left)
    mark = f"XBOT_MARK={uuid.uuid4()}"
    good(t, p.exec("setsid sh -c 'setsid sleep 100 & sleep 100' & "
                   "(sleep 100 & setsid sleep 100 &) & sleep 100",
                   timeout=1, env=[mark]),
         "a deeper one", timed_out=True, exit_code=-1)
    left = [pid for pid in marked(mark) if alive(pid)]
    t.eq(left, [], "none of that either")


def test_background(t, p):
    mark = f"XBOT_MARK={uuid.uuid4()}"
    good(t, p.exec("sleep 100 & echo ok", env=[mark]),
         "a command that leaves a child behind", stdout="ok\n")
    left = [pid for pid in marked(mark) if alive(pid)]
    t.ok(len(left) == 1, "whose sleep still runs", left)
    for pid in left:
        os.kill(pid, 9)


def test_encodings(t, p):
    good(t, p.aside.exec(r"printf 'a\377b\303('"), "bytes that are not UTF-8",
         stdout="a�b�(")
    good(t, p.aside.exec(r"printf '\303'; sleep 0.05; printf '\251'"),
         "a character in two pieces", stdout="é")
    if p.exact:
        a = p.aside.exec(r"printf 'a\377b'; printf '\200' >&2",
                   query="?encoding=base64")
        got = good(t, a, "as base64")
        if got:
            t.eq((base64.b64decode(got["stdout"]),
                  base64.b64decode(got["stderr"])), (b"a\xffb", b"\x80"),
                 "the bytes themselves")
    bad(t, p.exec("true", query="?encoding=rot13"), "EINVAL",
        "an unknown encoding of the answer")


def test_much_output(t, p):
    good(t, p.exec("yes 0123456789abcde | head -c 3000000"), "3 MB",
         stdout=("0123456789abcde\n" * 187500)[:3000000])
    a = p.aside.exec("(yes a | head -c 1000000) & (yes b | head -c 1000000 >&2);"
               " wait")
    got = good(t, a, "both streams at once")
    if got:
        t.eq((len(got["stdout"]), len(got["stderr"])), (1000000, 1000000),
             "nothing is lost")


def test_types(t, p):
    for body in ({"command": 1}, {"command": ["x"]}, {"command": None},
                 {"command": "x", "shell": "yes"},
                 {"command": "x", "args": "x"},
                 {"args": [1]}, {"args": [["x"]]}, {"args": {}},
                 {"command": "x", "dir": 1}, {"command": "x", "stdin": 1},
                 {"command": "x", "session": 1}, {}, {"args": []},
                 {"command": "a\0b"}, {"args": ["a\0b"]}):
        bad(t, p.exec(**body), "EINVAL", f"body {json.dumps(body)}")
    good(t, p.exec("echo ok", unknown={"deep": [1, 2, {}]}),
         "unknown fields are ignored", stdout="ok\n")


def test_request_ids(t, p):
    a = p.aside.exec("true", headers={"X-Request-Id": "abc-123.~"})
    t.eq(a.headers["X-Request-Id"], "abc-123.~", "a request's own id")
    for odd in ("x" * 65, "with space", "é".encode().decode("latin1"), ""):
        a = p.aside.exec("true", headers={"X-Request-Id": odd})
        t.ok(a.headers["X-Request-Id"] not in (odd, None, ""),
             f"not {odd[:10]!r}: one of ours", a.headers["X-Request-Id"])


def test_many_at_once(t, p):
    answers = [None] * 32

    def one(n):
        with p.fresh() as c:
            answers[n] = c.exec(p.user, f"echo {n}")
    threads = [threading.Thread(target=one, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [a for n, a in enumerate(answers) if a is None or
             a.status != 200 or a.json["stdout"] != f"{n}\n"]
    t.eq(wrong, [], "32 commands at once, each with its answer")


def test_stream(t, p):
    a = p.aside.exec("echo out; echo err >&2; exit 4",
               headers={"Accept": "application/x-ndjson"})
    if not t.ok(a.status == 200, "as NDJSON", a):
        return
    t.match("application/x-ndjson", a.headers["Content-Type"], "its type")
    lines = a.lines
    t.eq("".join(x.get("stdout", "") for x in lines), "out\n", "stdout")
    t.eq("".join(x.get("stderr", "") for x in lines), "err\n", "stderr")
    last = lines[-1]
    t.eq((last.get("exit_code"), last.get("timed_out"),
          last.get("backend")), (4, False, p.backend), "the last line")
    t.ok(not any("exit_code" in x for x in lines[:-1]), "is the only such")
    for accept in ("application/x-ndjson; charset=utf-8",
                   "text/html;q=0.1,APPLICATION/X-NDJSON;q=0.9"):
        a = p.aside.exec("true", headers={"Accept": accept})
        t.match("application/x-ndjson", a.headers["Content-Type"], accept)
    a = p.aside.exec("yes 0123456789abcde | head -c 3000000",
               headers={"Accept": "application/x-ndjson"})
    text = "".join(x.get("stdout", "") for x in a.lines)
    t.eq((len(text), a.lines[-1].get("exit_code")), (3000000, 0),
         "3 MB of it")
    a = p.aside.exec("x", args=["no-such-program"],
               headers={"Accept": "application/x-ndjson"})
    t.ok(a.code in ("ENOENT", "EIO") or
         a.lines[-1].get("error", {}).get("code") in ("ENOENT", "EIO"),
         "an error", a)


def test_live(t, p):
    """The first line comes while the command waits for the second."""
    if not p.exact:
        t.skip("protocol v1 brings the output whole")
        return
    p = p.aside
    p.exec("mkfifo gate")
    with p.fresh() as c:
        head = c.open("POST", f"/v1/users/{p.user}/exec",
                      {"command": "echo one; cat gate; echo two"},
                      {"Accept": "application/x-ndjson"})
        first = json.loads(head.readline())
        t.eq(first, {"stdout": "one\n"}, "a line before the end")
        p.exec("echo middle >gate")
        rest = [json.loads(x) for x in head.read().splitlines()]
        t.eq("".join(x.get("stdout", "") for x in rest), "middle\ntwo\n",
             "and the rest")
        t.eq(rest[-1].get("exit_code"), 0, "and the end")


def test_client_leaves(t, p):
    """A client that goes away takes its command with it."""
    for streamed in (False, True):
        mark = f"XBOT_MARK={uuid.uuid4()}"
        c = p.fresh()
        c.conn.connect()
        body = json.dumps({"command": "sleep 1000 & sleep 1000",
                           "env": [mark], "timeout": 3600}).encode()
        head = (f"POST /v1/users/{p.user}/exec HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {p.token}\r\n"
                f"Accept: {'application/x-ndjson' if streamed else '*/*'}"
                f"\r\nContent-Length: {len(body)}\r\n\r\n")
        c.conn.sock.sendall(head.encode() + body)
        wait_for("the command", lambda: len(marked(mark)) >= 2)
        c.conn.sock.shutdown(socket.SHUT_RDWR)
        c.close()
        if not p.exact:
            # protocol v1 has no message that ends an exec
            for pid in marked(mark):
                os.kill(pid, 9)
            continue
        wait_for("its end", lambda: not marked(mark))
        t.ok(True, f"is gone with its client (streamed {streamed})")
    good(t, p.exec("echo still here"), "and the next is served",
         stdout="still here\n")
