#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The Python half of the skill worker, called directly.

usage: package_test.py [test ...]
"""
import gc
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../lib")]

import abbot
import escapes
import lines
import package
import package_edges
from xbot import Tap, tests_of


def cases(t, wanted):
    """The recorded cases that the package answers."""
    with abbot.fake_abbot() as fake:
        for case in abbot.load():
            if package.is_ours(case) and wanted(case["name"]):
                wrong = abbot.replay(case, fake, package.sender(case, fake))
                t.ok(not wrong, "case " + case["name"], "\n".join(wrong))


def contract(t, wanted):
    """What the contract says and no recorded case shows."""
    with abbot.fake_abbot() as fake:
        for line in lines.LINES:
            if not wanted(line.name):
                continue
            for policy in line.policies:
                fake.script(line.answers)
                answer = package.call(line.code, policy, fake.url,
                                      line.change, **line.more)
                wrong = lines.differences(line, answer, fake.calls)
                t.ok(not wrong, f"{policy}: {line.name}", "\n".join(wrong))


def language(t, wanted):
    """Escapes that the rules of the language stop, without any jail."""
    for policy in ("restrictive", "permissive"):
        for one in escapes.escapes(policy):
            if policy in one.language and wanted(one.name):
                answer = json.dumps(package.call(one.code, policy))
                t.ok(not escapes.obtained(answer),
                     f"{policy} escape: {one.name}", answer)


def edges(t, wanted, authority):
    for test in tests_of(package_edges):
        if wanted(test.__name__):
            t.run(test, authority)


def main():
    def wanted(name):
        return not sys.argv[1:] or any(w in name for w in sys.argv[1:])

    t = Tap()
    with tempfile.TemporaryDirectory() as directory:
        # its authority must be known before prepare() reads the others
        authority = package_edges.Authority(directory)
        package.xbot_skill.prepare()
        gc.freeze()	# as the zygote: a child copies fewer pages
        edges(t, wanted, authority)
    for part in (cases, contract, language):
        part(t, wanted)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
