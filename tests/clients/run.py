#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Clients that are not ours against a real supervisor.

usage: run.py BUILDDIR [test ...]
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))

import existing
import links
import manage
import sockets
from xbot import Supervisor, Tap, tests_of, verdict


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    t = Tap()
    with Supervisor(build) as sup:
        for test in tests_of(manage) + tests_of(sockets) + \
                tests_of(existing) + tests_of(links):
            if not wanted or any(w in test.__name__ for w in wanted):
                t.run(test, sup)
        verdict(t, sup)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
