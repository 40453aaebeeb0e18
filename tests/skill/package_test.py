#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The Python half of the skill worker, called directly.

usage: package_test.py [test ...]
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]

import abbot
import package
from xbot import Tap


def replay_cases(t, wanted):
    with abbot.fake_abbot() as fake:
        for case in abbot.load():
            if not package.is_ours(case):
                continue
            if wanted and not any(w in case["name"] for w in wanted):
                continue
            wrong = abbot.replay(case, fake, package.sender(case, fake))
            t.ok(not wrong, "case " + case["name"], "\n".join(wrong))


def main():
    t = Tap()
    package.xbot_skill.prepare()
    replay_cases(t, sys.argv[1:])
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
