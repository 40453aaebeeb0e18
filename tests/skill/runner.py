# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A skill runner alone, started as its users start it: by variables."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))

import abbot
from xbot import (DEADLINE, SAN, Log, alive, children, cmdline, descendants,
                  free_port, wait_for)

SPARES = 4      # run.c
MEDIA = "application/vnd.abbot.v1+json"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def replies(self):
        return self.json["replies"]

    @property
    def error(self):
        """(errorId, description), or None"""
        errors = self.json["errors"]
        if not errors:
            return None
        return errors[0]["errorId"], errors[0]["description"]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:1000]!r}"


class SkillRunner:
    """config: lines of a configuration file; else there is none at all."""

    def __init__(self, build, policy="permissive", api="http://127.0.0.1:9/api",
                 env=None, config=None, start=True):
        self.build, self.port = build, free_port()
        self.dir = tempfile.mkdtemp(prefix="xbot-skill-test-")
        os.chmod(self.dir, 0o755)
        self.config = config
        self.conf = os.path.join(self.dir, "xbot.conf")
        self.env = {"PATH": "/usr/bin:/bin", "HOME": self.dir, **SAN,
                    "ABBOT_SKILL_RUNNER_TOKEN": abbot.TOKEN,
                    "ABBOT_SANDBOX_POLICY": policy,
                    "HOST": "127.0.0.1", "PORT": str(self.port),
                    "AbbotApiBaseUrl": api}
        self.env.update(env or {})
        self.process = self.log = None
        self.wrap = []      # a command to start it by
        self.problems = []
        if start:
            self.start()

    def configure(self, config):
        self.config = config
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("skill only\n" + config)

    def start(self):
        self.configure(self.config or "")
        self.process = subprocess.Popen(
            [*self.wrap, f"{self.build}/xbot-supervisor", "-d", "-f",
             self.conf],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, env=self.env, cwd="/")
        self.log = Log(self.process.stderr)
        wait_for("skill", self.ready, DEADLINE * 4)

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("ended: " + "\n".join(self.log.since()[-20:]))
        return self.ups() > 0

    def ups(self):
        """How often skill came up."""
        return sum("skill is up" in line for line in self.log.since())

    @property
    def worker(self):
        """pid of xbot-skill"""
        return next(p for p in children(self.process.pid)
                    if cmdline(p) == ["xbot-skill", "skill"] and alive(p))

    @property
    def zygote(self):
        return children(self.worker)[0]

    def spare_directory(self):
        """Where some child of the zygote waits, None while none does."""
        for pid in children(self.zygote):
            try:
                found = os.readlink(f"/proc/{pid}/cwd")
            except FileNotFoundError:
                continue    # it has just ended
            if found.startswith("/tmp/"):
                return found
        return None

    def send(self, method, path, headers, body=b"", timeout=DEADLINE * 4):
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=timeout)
        try:
            c.request(method, path, body or None, headers)
            r = c.getresponse()
            return Answer(r.status, {k.lower(): v for k, v in r.getheaders()},
                          r.read())
        finally:
            c.close()

    def post(self, body, headers=None, **more):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.send("POST", "/api/v1/execute", {
            "Authorization": "Bearer " + abbot.TOKEN,
            "Content-Type": "application/json",
            "X-Abbot-SkillApiToken": "skill-api-token-abc",
            **(headers or {})}, body, **more)

    def run(self, code, **more):
        """The answer to the smallest message with this code."""
        return self.post({"SkillInfo": {"Bot": {}, "From": None},
                          "RunnerInfo": {"Code": code}}, **more)

    def busy(self):
        """Is there more below the zygote than spares?"""
        return len([p for p in descendants(self.zygote) if alive(p)]) > SPARES

    def stop(self):
        if self.process is None:
            return
        below = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        else:
            self.problems.append(f"had ended: {self.process.returncode}")
        try:
            if self.process.wait(DEADLINE) != 0:
                self.problems.append("ended with a failure")
            wait_for("nothing left", lambda: not any(
                alive(p) for p in below), DEADLINE)
        except (subprocess.TimeoutExpired, TimeoutError):
            self.problems.append("left: " + str(
                [cmdline(p) for p in below if alive(p)]))
            self.process.kill()
            self.process.wait()
        self.log.join(5)
        self.problems += self.log.reports()
        self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def verdict(t, s):
    """The last test of a runner: it ends in order and said nothing bad."""
    s.stop()
    t.ok(not s.problems, "stop: in order, nothing left, no report",
         "\n".join(s.problems))
