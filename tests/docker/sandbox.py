#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The docker sandbox against a Docker Engine of the tests' own.

usage: sandbox.py BUILDDIR [test ...]

The conformance scripts run for a user on the host and for one in a container,
and what both were answered is compared; then what only containers do.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
sys.path.insert(0, os.path.join(HERE, "../conform"))

import dockerd
import execs
import files
import streams
import tasks
import life
import many
from run import Place, compare
from sandboxes import IMAGE, Sandboxes
from xbot import Supervisor, Tap, tests_of, verdict

HOST = "xbot-test/host:1"


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()

    def chosen(module):
        return tests_of(module, wanted)
    conform = [f for m in (execs, files, tasks, streams) for f in chosen(m)]
    with dockerd.Engine(group="docker") as engine:
        if conform:
            engine.build_host(HOST, "USER joe", "ENV LANG=C.UTF-8")
            with Supervisor(build) as host, Sandboxes(
                    build, engine, image=HOST, network="host") as sup:
                places = [Place(host, "bob", "none", "",
                                os.path.join(host.work, "bob")),
                          Place(sup, "dora", "docker", "__docker__",
                                "/workspace", guard=False)]
                for test in conform:
                    compare(t, test, places)
                verdict(t, sup)
        engine.build(IMAGE)
        for test in chosen(life) + chosen(many):
            t.run(test, build, engine)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
