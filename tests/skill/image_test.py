#!/usr/bin/env python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The image: built by its Dockerfile on a real Engine, derived from as the
seeds say, run with the documented variables alone.

usage: image_test.py BUILDDIR
"""
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile

import abbot
import base_image
from runner import SkillRunner, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../docker"))

from dockerd import Engine
from xbot import DEADLINE, ROOT, Tap, tests_of, wait_for

TOP = os.path.realpath(os.path.join(HERE, "../.."))
BASE = "xbot-test/debian:1"
NAMES = ("abbotpublic.azurecr.io/runner/python",
         "abbotpublic.azurecr.io/runners/python")
DERIVED = "xbot-test/derived:1"


def docker(engine, *words, seconds=1500, ok=True):
    """As Engine.docker, for what takes long."""
    got = subprocess.run(
        ["/usr/bin/docker", "-H", engine.host, *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=seconds, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "DOCKER_BUILDKIT": "0"})
    text = got.stdout.decode(errors="replace")
    if ok and got.returncode != 0:
        raise RuntimeError(f"docker {words}: {text[-3000:]}")
    return text


def wheel(directory):
    """A module that no index has to be asked for."""
    name = os.path.join(directory, "cuddle-1.0-py3-none-any.whl")
    info = "cuddle-1.0.dist-info/"
    with zipfile.ZipFile(name, "w") as z:
        z.writestr("cuddle.py", "def loads(text):\n    return text[::-1]\n")
        z.writestr(info + "METADATA",
                   "Metadata-Version: 2.1\nName: cuddle\nVersion: 1.0\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\n"
                   "Root-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "RECORD", "cuddle.py,,\n" + "".join(
            f"{info}{f},,\n" for f in ("METADATA", "WHEEL", "RECORD")))


class Container(SkillRunner):
    """A skill runner that somebody else has started."""

    def __init__(self, engine, image, *words, **variables):
        self.port = free_port()
        self.engine = engine
        env = {"ABBOT_SKILL_RUNNER_TOKEN": abbot.TOKEN, "HOST": "127.0.0.1",
               "PORT": str(self.port), **variables}
        args = [w for k, v in env.items() if v is not None
                for w in ("-e", f"{k}={v}")]
        self.id = engine.docker("run", "-d", "--network", "host", *args,
                                *words, image)
        try:
            wait_for("the container's runner", self.up, DEADLINE * 4)
        except BaseException:
            print(self.logs())
            self.close()
            raise

    def logs(self):
        return self.engine.docker("logs", self.id)

    def up(self):
        if "skill is up" in self.logs():
            return True
        if not self.engine.running(self.id):
            raise RuntimeError("ended: " + self.logs())
        return False

    def close(self):
        self.engine.docker("rm", "-f", self.id)


def test_build(t, engine):
    root = os.path.join(TOP, "build", "skill-base.tar")
    base_image.write(root, "build", "skill")
    docker(engine, "import", root, BASE)
    said = docker(engine, "build", "--network", "none", "--build-arg",
                  "BASE=" + BASE, *[w for n in NAMES for w in ("-t", n)], TOP)
    t.match("Successfully tagged", said, "the Dockerfile builds")
    for name in NAMES:
        t.ok(engine.inspect(name + ":latest"), f"tagged {name}:latest")


def test_derive(t, engine):
    """The seeds' own lines, with a wheel instead of an index."""
    with tempfile.TemporaryDirectory() as d:
        wheel(d)
        with open(f"{d}/Dockerfile", "w", encoding="ascii") as f:
            f.write(textwrap.dedent("""\
                FROM abbotpublic.azurecr.io/runners/python:latest
                ENV ABBOT_SANDBOX_POLICY=none
                COPY *.whl /wheels/
                ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels

                RUN pip install cuddle
                """))
        said = docker(engine, "build", "--network", "none", "-t", DERIVED, d)
    t.match("Successfully installed cuddle", said, "RUN pip install works")


def test_default(t, engine):
    with Container(engine, NAMES[0]) as s:
        t.eq(s.run("bot.reply('hi')").replies, ["hi"], "a reply")
        a = s.run("import os")
        t.eq(a.error[0], "PermissionError", "the policy is permissive")
        a = s.run("import requests\nbot.reply(requests.__name__)")
        t.eq(a.replies, ["requests"], "requests is there")
        a = s.run("import cuddle")
        t.eq(a.error[0], "ModuleNotFoundError", "cuddle is not")
        t.ok("landlock" in s.logs() and "(no landlock)" not in s.logs(),
             "with Landlock", s.logs())


def test_derived(t, engine):
    with Container(engine, DERIVED) as s:
        a = s.run("import cuddle\nbot.reply(cuddle.loads('ldk'))")
        t.eq(a.replies, ["kdl"], "the installed module")
        a = s.run("import os\nbot.reply(os.getpid() > 0)")
        t.eq(a.replies, ["True"], "the policy is none")
        for name, code in (
                ("/etc/passwd", "open('/etc/passwd')"),
                ("another uid", "import os\nos.setuid(0)"),
                ("fork", "import os\nos.fork()"),
                ("exec", "import os\nos.execv('/bin/sh', ['sh'])"),
                ("kill", "import os\nos.kill(1, 9)"),
                ("the modules", "open('/opt/xbot/venv/x', 'w')")):
            a = s.run(code)
            t.eq(a.error and a.error[0], "PermissionError", name)
        env = engine.docker("exec", s.id, "cat", "/proc/1/environ")
        t.ok("ABBOT_SANDBOX_POLICY=none" in env and abbot.TOKEN not in env,
             "the token is taken out of the environment", env)


def test_policies(t, engine):
    with Container(engine, NAMES[1],
                   ABBOT_SANDBOX_POLICY="restrictive") as s:
        t.eq(s.run("bot.__class__").error[0], "SyntaxError", "restrictive")


def test_no_token(t, engine):
    for token, text in ((None, "environment variable not set"),
                        ("short", "is too short")):
        env = [] if token is None else [
            "-e", "ABBOT_SKILL_RUNNER_TOKEN=" + token]
        name = f"xbot-test-{os.getpid()}"
        engine.docker("run", "--name", name, "--network", "host", *env,
                      NAMES[0], ok=False)
        state = engine.inspect(name)["State"]
        logs = engine.docker("logs", name)
        engine.docker("rm", "-f", name)
        t.eq(state["ExitCode"], 1, f"token {token}: exit status")
        t.match("ABBOT_SKILL_RUNNER_TOKEN " + text, logs,
                f"token {token}: the message")


def test_port(t, engine):
    """Port 80 by default; and docker stop is quick and in order."""
    id = engine.docker("run", "-d", "--network", "none", "-e",
                       "ABBOT_SKILL_RUNNER_TOKEN=" + abbot.TOKEN, NAMES[0])
    wait_for("runner", lambda: "skill is up" in engine.docker("logs", id),
             DEADLINE * 4)
    a = engine.docker("exec", id, "python3", "-c",
                      "import urllib.request as u\nprint(u.urlopen("
                      "'http://127.0.0.1/').read().decode())")
    t.match('"status": ?"ok"', a, "port 80, and / leads to the status")
    engine.docker("stop", id)
    t.eq(engine.inspect(id)["State"]["ExitCode"], 0, "docker stop")
    engine.docker("rm", "-f", id)


def main():
    t = Tap()
    if not ROOT:
        t.skip("an Engine needs root")
        return t.done()
    with Engine() as engine:
        for test in tests_of(sys.modules[__name__]):
            t.run(test, engine)
            if t.failed and test is test_build:
                break
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
