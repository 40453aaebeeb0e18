#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What the docker sandbox costs beside Docker's own ways.

usage: docker.py BUILDDIR [rounds]

A hot exec of /bin/true over HTTP, in a container and on the host, against the
Engine API's create, start and wait of the same image; a user's first exec
against `docker run` of the same.  Alternating; ratios of medians.  Printed,
never asserted.  RESULTS keeps what was measured once.
"""
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, os.path.join(HERE, "../docker"))

import dockerd
from sandboxes import IMAGE, Sandboxes
from xbot import Supervisor, Tap, rss, verdict


class Api(http.client.HTTPConnection):
    """The Engine's, over its unix socket"""

    def __init__(self, path):
        super().__init__("docker", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, "/v1.41" + path, json.dumps(body) if body else
                     None, {"Content-Type": "application/json"})
        a = self.getresponse()
        data = a.read()
        if a.status >= 400:
            raise RuntimeError(f"{path}: {data}")
        return json.loads(data) if data else None


def timed(function, *args):
    start = time.monotonic()
    function(*args)
    return time.monotonic() - start


def hot(sup, user):
    a = sup.client.exec(user, None, args=["/bin/true"])
    if a.status != 200 or a.json["exit_code"] != 0:
        raise RuntimeError(a)


def engine_way(api):
    ident = api.ask("POST", "/containers/create", {
        "Image": IMAGE, "Cmd": ["/bin/true"],
        "HostConfig": {"NetworkMode": "none"}})["Id"]
    api.ask("POST", f"/containers/{ident}/start")
    api.ask("POST", f"/containers/{ident}/wait")
    return ident


def docker_run(engine):
    subprocess.run(["/usr/bin/docker", "-H", engine.host, "run", "--rm",
                    "--network", "none", IMAGE, "/bin/true"], check=True,
                   stdout=subprocess.DEVNULL)


def test_hot(t, engine, sup, host, rounds):
    api, ours, api_s, none = Api(engine.socket), [], [], []
    for s, user in ((sup, "bob"), (host, "bob")):
        for _ in range(20):
            hot(s, user)
    for _ in range(rounds):
        ours += [timed(hot, sup, "bob") for _ in range(30)]
        none += [timed(hot, host, "bob") for _ in range(30)]
        start = time.monotonic()
        ident = engine_way(api)
        api_s.append(time.monotonic() - start)
        api.ask("DELETE", f"/containers/{ident}?force=1")
    a, b, c = map(statistics.median, (ours, api_s, none))
    t.note(f"hot exec in a container {a * 1e3:.2f} ms, on the host "
           f"{c * 1e3:.2f} ms, create+start+wait {b * 1e3:.1f} ms")
    t.note(f"hot exec: 1/{b / a:.0f} of create+start+wait (aim 1/25); "
           f"{a / c:.2f} times the host's")
    t.note(f"docker {rss(sup.roles()['docker'], 'VmHWM')} kB, "
           f"box {rss(sup.roles()['box'], 'VmHWM')} kB at most")
    t.ok(True, "was measured")


def test_first(t, engine, sup, rounds):
    first, run = [], []
    docker_run(engine)
    for n in range(rounds):
        first.append(timed(hot, sup, f"user{n}"))
        run.append(timed(docker_run, engine))
    a, b = statistics.median(first), statistics.median(run)
    t.note(f"first exec {a * 1e3:.0f} ms, docker run {b * 1e3:.0f} ms: "
           f"{a / b:.2f} times (aim 1.2)")
    t.ok(True, "was measured")


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    t = Tap()
    with dockerd.Engine(group="docker") as engine:
        engine.build(IMAGE)
        with Supervisor(sys.argv[1]) as host, Sandboxes(
                sys.argv[1], engine) as sup:
            t.run(test_hot, engine, sup, host, rounds)
            t.run(test_first, engine, sup, rounds)
            verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
