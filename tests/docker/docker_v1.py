# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Docker mode as an existing server (protocol v1) sees it."""
import asyncio
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../clients"))

from v1_server_peer import Peer, b64


async def story(t, engine, image, runner):
    async with Peer(runner) as p:
        c = await p.started(
            "--mode=docker", "--docker-image", image, env={
                "DOCKER_HOST": engine.host,
                "XDG_STATE_HOME": os.path.join(p.top, "state")})
        body = c.register["body"]
        t.eq((body["workspace"], body["shell"]), ("/workspace", "/bin/sh"),
             "registers with the container's workspace and shell")
        await c.okay("mkdir_all", {"path": "/workspace/a", "perm": 0o755})
        await c.sh("mkdir -m 1777 a/tmp; touch a/.dot 'a/-x'; "
                   "printf 12345 > a/five; chmod 4755 a/five; "
                   "ln -s five a/link")
        modes = {}
        for name in ("tmp", "five", "link", ".dot"):
            answer = await c.ask("stat", {"path": f"a/{name}"})
            modes[name] = answer["body"]["mode"]
        t.eq((modes["tmp"], modes["five"], modes["link"]),
             (0x801001ff, 0x8001ed, 0x8001ed), "modes are Go's, with types")
        answer = await c.ask("read_dir", {"path": "a"})
        t.eq([(e["name"], e["is_dir"], e["size"]) for e in
              answer["body"]["entries"] if e["name"] != "tmp"],
             [("-x", False, 0), (".dot", False, 0), ("five", False, 5),
              ("link", False, 4)], "listings have dot files and sizes")
        await c.okay("write_file", {"path": "a/w", "perm": 420,
                                    "data": b64(b"w" * 100000)})
        t.eq(await c.file("/workspace/a/w"), b"w" * 100000, "a file")
        t.eq(os.path.getsize(f"{p.ws}/a/w"), 100000, "on the host as well")
        got = await c.exec(args=["/bin/sh", "-l", "-c", "sleep 600 & "
                                 "sleep 600"], timeout=1)
        t.eq((got["exit_code"], got["timed_out"]), (-1, True), "times out")
        got = await c.sh("ps -o args | grep -c '[s]leep 600'")
        t.eq(got["stdout"], "0\n", "and is gone from the container")
        await c.error("ENOENT", "read_file", {"path": "/nothing"})
        await c.error("ENOENT", "remove", {"path": "a/nothing"})
        await c.error("EPERM", "remove_all", {"path": "/workspace"})
        t.ok(True, "errors have their codes")
        await tasks(t, c)
        p.process.send_signal(signal.SIGTERM)
        t.eq(await p.ended(), 0, "SIGTERM: status 0")
        t.ok(b"Sanitizer" not in p.log, "no report", p.log.decode())


async def tasks(t, c):
    body = {"task_id": "one", "command": "pwd; echo $K; echo $FOO",
            "shell": True, "dir": "/tmp", "env": ["K=v"]}
    answer = await c.ask("bg_exec", body)
    t.eq(answer["type"], "bg_started", "a task")
    for _ in range(100):
        answer = await c.ask("bg_status", {"task_id": "one"})
        if answer["body"]["status"] != "running":
            break
        await asyncio.sleep(0.1)
    t.eq((answer["body"]["status"], answer["body"]["stdout"]),
         ("completed", "/tmp\nv\nbar baz\n"), "has its dir and env")
    await c.error("EEXIST", "bg_exec", body)
    await c.ask("bg_exec", {"task_id": "two", "shell": True,
                            "command": "sleep 700 & sleep 700"})
    await c.okay("bg_kill", {"task_id": "two"})
    answer = await c.ask("bg_status", {"task_id": "two"})
    t.eq(answer["body"]["status"], "killed", "killed is final")
    for _ in range(100):
        got = await c.sh("ps -o args | grep -c '[s]leep 700'")
        if got["stdout"] == "0\n":
            break
        await asyncio.sleep(0.1)
    t.eq(got["stdout"], "0\n", "its processes end in the container")
    start = len(c.pushes)
    answer = await c.ask("stdio_start", {
        "stream_id": "s", "command": "sh", "args": [
            "-c", "pwd; cat; exit 3"]})
    t.eq(answer["type"], "ok", "a stdio stream")
    await c.send("stdio_write", {"stream_id": "s", "data": b64(b"in\n")})
    await c.ask("stdio_close", {"stream_id": "s"})
    for _ in range(100):
        if any(m["type"] == "stdio_exit" for m in c.pushes[start:]):
            break
        await asyncio.sleep(0.1)
    t.ok(any(m["type"] == "stdio_data" for m in c.pushes[start:]),
         "that answers", c.pushes[start:])


def play(t, engine, image, runner):
    asyncio.run(asyncio.wait_for(story(t, engine, image, runner), 120))
