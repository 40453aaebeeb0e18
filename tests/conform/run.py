#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The HTTP API against a real supervisor.

usage: run.py BUILDDIR [test ...]

execs.py, files.py, tasks.py and streams.py run for a user on the host and for one on a runner, and
what both were answered is compared; the other modules once.
"""
import copy
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lib"))

import big
import execs
import files
import hostile
import setups
import streams
import tasks
import users
import wire
from xbot import (Client, OldServer, Supervisor, Tap, sanitized, tests_of,
                  verdict)


class Place:
    """A user, and where the user's commands run."""

    def __init__(self, sup, user, backend, runner, workspace, exact=True,
                 guard=True):
        self.sup, self.user = sup, user
        self.exact = exact      # protocol v1 cannot say everything
        self.guard = guard      # a container is its own boundary
        self.backend, self.runner = backend, runner
        self.workspace, self.token = workspace, sup.token
        self.client = sup.connect()
        self.record = []

    def fresh(self):
        return Client(self.sup.port, self.token)

    def note(self, a):
        """What has to be equal in every placement."""
        text = a.body.decode(errors="replace")
        if a.body[:1] == b"{":
            try:
                got = json.loads(text)
            except ValueError:
                got = {}
            for key in ("duration_ms", "backend", "runner"):
                got.pop(key, None)
            if "error" in got:
                got["error"].pop("message", None)
            text = json.dumps(got, sort_keys=True)
        text = text.replace(self.workspace, "WORKSPACE")
        text = re.sub(r"\b[0-9a-f]{32}\b", "ID", text)
        text = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:]{8}Z", "WHEN", text)
        self.record.append((a.status, text[:2000], len(text)))
        return a

    @property
    def aside(self):
        """The same place for answers that may differ by contract."""
        twin = copy.copy(self)
        twin.record = []
        return twin

    def exec(self, command=None, headers=None, query="", **fields):
        return self.note(self.client.exec(self.user, command, headers,
                                          query, **fields))

    def file(self, method, path, body=None, what="files", headers=None,
             **query):
        return self.note(self.client.file(method, self.user, path, body,
                                          what, headers, **query))

    def call(self, *args, **more):
        return self.note(self.client.call(*args, **more))


def compare(t, test, places):
    records = []
    for place in places:
        place.record = []
        t.run(test, place)
        records.append(place.record)
    t.where = test.__name__[5:].replace("_", " ") + ": "
    first = records[0]
    for place, other in zip(places[1:], records[1:]):
        odd = [f"{place.user} {b}\n{places[0].user} {a}"
               for a, b in zip(first, other) if a != b]
        t.ok(not odd and len(first) == len(other),
             f"{place.user} is answered as {places[0].user}",
             "\n".join(odd) or f"{len(first)} and {len(other)} answers")
    t.where = ""


def test_connect(_, sup, places):
    runner = sup.runner("alice")
    places.append(Place(sup, "alice", "remote", "laptop", runner.workspace))
    old = OldServer(sup.port)
    runner = sup.runner("olga", "laptop", port=old.port)
    places.append(Place(sup, "olga", "remote", "laptop", runner.workspace,
                        exact=False))


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()

    def chosen(module):
        return tests_of(module, wanted)
    with Supervisor(build) as sup:
        places = [Place(sup, "bob", "none", "",
                        os.path.join(sup.work, "bob"))]
        t.run(test_connect, sup, places)
        for test in (chosen(execs) + chosen(files) + chosen(tasks) +
                     chosen(streams)):
            compare(t, test, places)
        slow = chosen(wire) and wire.Dawdlers(sup)
        for test in chosen(users) + chosen(wire) + chosen(hostile):
            if test is not wire.test_dawdlers:
                t.run(test, sup)
        if wire.test_dawdlers in chosen(wire):
            t.run(wire.test_dawdlers, sup, slow)
        verdict(t, sup)
    for test in chosen(setups):
        t.run(test, build)
    if chosen(big) and not sanitized(build):
        # of their own: the memory at most is counted from the start
        for test in chosen(big):
            with Supervisor(build) as sup:
                t.run(test, sup)
                verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
