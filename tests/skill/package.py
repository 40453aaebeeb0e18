# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The skill package called directly, each run in a process of its own."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../workers/skill"))

import abbot
import xbot_skill

MEDIA = "application/vnd.abbot.v1+json"
TIMEOUT = 60.0


def run(body, policy, api_url, token="skill-api-token-abc", traceparent=None,
        timeout=TIMEOUT, testing=False, jail=lambda: None, output="/dev/null"):
    """(status, answer) from a forked child, as the worker calls it.
    jail: called in the child first; output: the file of what it prints."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.dup2(os.open(output, os.O_WRONLY), 1)
        jail()
        xbot_skill.rehearse(policy)
        status, answer = xbot_skill.run(body, policy, api_url, token,
                                        traceparent, timeout, testing)
        with open(writing, "wb") as f:
            f.write(b"%d " % status + answer)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as f:
        status, _, answer = f.read().partition(b" ")
    _, ended = os.waitpid(pid, 0)
    if ended != 0:
        raise AssertionError(f"the run ended with wait status {ended}")
    return int(status), answer


def sender(case, fake):
    """The send function of a case that the package answers by itself."""
    policy = abbot.policy_of(case["env"])

    def send(method, path, headers, body):
        status, answer = run(
            body, policy, fake.url, headers.get("X-Abbot-SkillApiToken"),
            headers.get("traceparent"),
            testing=case["env"].get("ABBOT_ENV") == "test")
        return status, {"content-type": MEDIA}, answer

    return send


def is_ours(case):
    """Not one of the front's: routes, authentication, body checks, start."""
    return case.get("kind") != "startup" and \
        case["response"]["status"] == 200 and \
        case["response"]["headers"].get("content-type") == MEDIA


def call(code, policy="none", api_url="http://127.0.0.1:1/api", change=None,
         **more):
    """Runs code in the usual message: the answer's members."""
    body = abbot.base_body()
    body["RunnerInfo"]["Code"] = code
    if change is not None:
        change(body)
    status, answer = run(json.dumps(body).encode(), policy, api_url, **more)
    return json.loads(answer) if status == 200 else status
