# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Background tasks: the same for every placement."""
import base64
import json

from execs import bad
from xbot import wait_for


def path(p, *more):
    return "/".join((f"/v1/users/{p.user}/tasks",) + more)


def start(t, p, text, command=None, **fields):
    if command is not None:
        fields["command"] = command
    a = p.call("POST", path(p), fields)
    ident = a.json.get("task_id", "") if a.status == 201 else ""
    if not t.ok(len(ident) == 32 and set(ident) <= set("0123456789abcdef"),
                f"{text}: 201 and an id", a):
        raise RuntimeError(f"{text}: {a}")
    return ident


def show(p, ident, query=""):
    return p.call("GET", path(p, ident) + query)


def ended(p, ident):
    """What it shows once it has ended"""
    aside = p.aside
    wait_for("the end of a task", lambda: show(aside, ident).json.get("status")
             not in (None, "running"))
    return show(p, ident).json


def stream(p, ident, query=""):
    """A task's stream to its end -> stdout, stderr, last line; what the
    offsets say is checked on the way."""
    a = p.aside.call("GET", path(p, ident, "stream") + query)
    if a.status != 200:
        return p.note(a)
    lines = [json.loads(line) for line in a.body.splitlines()]
    got, nexts = {"stdout": "", "stderr": ""}, {}
    for line in lines[:-1]:
        name = "stdout" if "stdout" in line else "stderr"
        if nexts.get(name, line["offset"]) != line["offset"]:
            raise RuntimeError(f"{name}: {line} after {nexts}")
        nexts[name] = line["next"]
        got[name] += line[name]
    text = got["stdout"].replace(p.workspace, "WORKSPACE")
    p.record.append(("stream", query, text[:500], len(text),
                     got["stderr"][:500]))
    return got["stdout"], got["stderr"], lines[-1]


def test_task(t, p):
    ident = start(t, p, "a task", "echo out; echo err >&2; exit 3")
    out, err, last = stream(p, ident)
    t.eq((out, err), ("out\n", "err\n"), "its stream")
    t.eq({k: last.get(k) for k in ("status", "exit_code", "timed_out",
                                   "truncated", "backend", "runner")},
         {"status": "failed", "exit_code": 3, "timed_out": False,
          "truncated": False, "backend": p.backend, "runner": p.runner},
         "its end")
    got = ended(p, ident)
    t.eq({k: got.get(k) for k in ("task_id", "status", "exit_code", "stdout",
                                  "stderr")},
         {"task_id": ident, "status": "failed", "exit_code": 3,
          "stdout": "out\n", "stderr": "err\n"}, "and shown afterwards")
    again = stream(p, ident, "?stdout=2&stderr=4")
    t.eq(again[:2], ("t\n", ""), "again, from offsets on")
    ident = start(t, p, "one that succeeds", args=["printf", "%s", "é 漢"])
    t.eq((stream(p, ident)[0], ended(p, ident)["status"]),
         ("é 漢", "completed"), "arguments, UTF-8")


def test_list(t, p):
    ident = start(t, p, "a task", "sleep 1000")
    listed = p.aside.call("GET", path(p)).json["tasks"]
    mine = [x for x in listed if x["task_id"] == ident]
    t.ok(len(mine) == 1 and mine[0]["status"] == "running" and
         mine[0]["command"] == "sleep 1000", "is listed as running", listed)
    t.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", mine[0]["started_at"],
            "since when")
    got = show(p, ident).json
    t.eq((got["status"], got["exit_code"]), ("running", None),
         "has no exit code yet")
    t.eq(p.call("DELETE", path(p, ident)).status, 204, "is killed")
    got = ended(p, ident)
    t.eq((got["status"], got["exit_code"]), ("killed", 137), "and so listed")


def test_kill_tree(t, p):
    ident = start(t, p, "a tree", "sleep 998 & (setsid sleep 997 &) ; "
                  "echo $$; sleep 996; wait")
    wait_for("its output", lambda: show(p.aside, ident).json["stdout"])
    t.eq(p.call("DELETE", path(p, ident)).status, 204, "is killed")
    a = p.exec("sleep 0.5; pgrep -u $(id -u) -f 'sleep 99[678]' | wc -l")
    t.eq(a.json["stdout"].strip(), "0", "nothing is left")


def test_input(t, p):
    ident = start(t, p, "with input", "cat; echo end", stdin="text é\n")
    t.eq(stream(p, ident)[0], "text é\nend\n", "reads it")
    ident = start(t, p, "without", "cat; echo end")
    t.eq(stream(p, ident)[0], "end\n", "has none")
    big = "0123456789abcdef" * 40000
    ident = start(t, p, "with 640 kB", "sleep 0.3; cat | wc -c", stdin=big)
    t.eq(stream(p, ident)[0].strip(), "640000", "reads it later")
    ident = start(t, p, "which does not read", "exec <&-; echo ok", stdin=big)
    t.eq(stream(p, ident)[0], "ok\n", "ends all the same")


def test_environment(t, p):
    ident = start(t, p, "a task", "echo $A-$PWD", env=["A=x y"], dir="sub") \
        if p.aside.exec("mkdir -p sub").status == 200 else ""
    t.eq(stream(p, ident)[0], f"x y-{p.workspace}/sub\n",
         "environment and directory")


def test_bytes(t, p):
    ident = start(t, p, "bytes", "printf '\\377\\376 a\\303'; sleep 0.2; "
                  "printf '\\251 \\303'")
    t.eq(stream(p, ident)[0], "\ufffd\ufffd aé \ufffd",
         "are repaired, not at the seams")
    if p.exact:
        # protocol v1 has text alone
        a = p.aside.call("GET", path(p, ident, "stream") +
                         "?encoding=base64")
        got = b"".join(base64.b64decode(line["stdout"])
                       for line in a.lines[:-1])
        t.eq(got, b"\377\376 a\303\251 \303", "in base64 they are themselves")


def test_last(t, p):
    """Of much output the last mebibyte is kept; nobody waits for a reader."""
    ident = start(t, p, "3 MB", "seq 1 450000; echo done")
    p = p.aside     # an old runner says so in another way
    got = ended(p, ident)
    t.ok(len(got["stdout"]) == 1 << 20 and
         got["stdout"].endswith("449999\n450000\ndone\n"),
         "its last mebibyte", (len(got["stdout"]), got["stdout"][-30:]))
    out, _, last = stream(p, ident)
    t.ok(out.endswith("450000\ndone\n") and (last["truncated"] or
                                              "dropped" in out[:100]),
         "the stream says that something is missing", last)


def test_errors(t, p):
    for body in ({}, {"command": 1}, {"command": "x", "args": "y"},
                 {"command": ""}, {"args": [1]}):
        bad(t, p.call("POST", path(p), body), "EINVAL", f"{body}")
    for ident in ("0" * 32, "x", "0" * 31):
        bad(t, show(p, ident), "ENOENT", f"show {ident}")
        bad(t, p.call("GET", path(p, ident, "stream")), "ENOENT",
            f"stream of {ident}")
        bad(t, p.call("DELETE", path(p, ident)), "ENOENT", f"kill {ident}")
    ident = start(t, p, "a task", "true")
    for query in ("?stdout=x", "?stderr=-1", "?encoding=no"):
        bad(t, p.call("GET", path(p, ident, "stream") + query), "EINVAL",
            query)
    ended(p.aside, ident)
    t.eq(p.call("DELETE", path(p, ident)).status, 204,
         "one that has ended may be killed")
