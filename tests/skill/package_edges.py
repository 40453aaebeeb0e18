# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The skill package at its edges: bodies, TLS, headers, memory, output."""
import importlib.util
import json
import os
import resource
import ssl
import sys
import tempfile
import types

import abbot
import package
from pki import Pki
from xbot import Skip
from xbot_skill import api, facade, modules

SMALL = (b'{"SkillInfo": {"Bot": {}, "From": null}, '
         b'"RunnerInfo": {"Code": "bot.reply(1)"}}')
NOWHERE = "http://127.0.0.1:1/api"
FAILED = "Failed to communicate with Abbot."
ASK = "bot.reply(bot.secrets.read('k'))"
SECRET = {"status": 200, "body": {"secret": "v"}}
MEMORY = 512 << 20


class Authority:
    """An authority that the package trusts, and servers' certificates."""

    def __init__(self, directory):
        self.pki = Pki(os.path.join(directory, "pki"))
        self.pki.root("ca")
        self.pki.leaf("good", "IP:127.0.0.1,DNS:localhost")
        self.pki.leaf("other", "DNS:elsewhere.example")
        self.pki.root("self", sans="IP:127.0.0.1,DNS:localhost")
        os.environ["SSL_CERT_FILE"] = self.pki.path("ca.crt")

    def server(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pki.path(name + ".crt"),
                                self.pki.path(name + ".key"))
        return context


def test_bodies(t, _authority):
    deep = b'{"a":' * 100000 + b"1" + b"}" * 100000
    for name, body, status in (
            ("empty", b"", 400), ("cut", SMALL[:-1], 400),
            ("with something behind", SMALL + b"x", 400),
            ("two values", SMALL + SMALL, 400),
            ("not UTF-8", SMALL.replace(b"reply", b"\xff"), 400),
            ("UTF-16", SMALL.decode().encode("utf-16"), 400),
            ("a byte order mark", b"\xef\xbb\xbf" + SMALL, 200),
            ("blanks around", b" \r\n\t" + SMALL + b"\n", 200),
            ("a list", b"[]", 500), ("a number", b"5", 500),
            ("null", b"null", 500), ("nested too deep", deep, 500),
            ("NaN for an id", SMALL.replace(b"null", b"{}"), 200)):
        got, answer = package.run(body, "none", NOWHERE)
        t.eq(got, status, f"{name} is {status}")
        t.eq(bool(answer), status == 200, f"{name}: an answer only with 200")


def test_tls(t, authority):
    for name, host, fine in (
            ("good", "127.0.0.1", True), ("self", "127.0.0.1", False),
            ("other", "127.0.0.1", False), ("self", "localhost", True),
            ("other", "localhost", True)):
        with abbot.fake_abbot(authority.server(name)) as fake:
            fake.script([SECRET])
            answer = package.call(ASK, "none",
                                  f"https://{host}:{fake.port}/api")
            t.eq(answer["replies"], ["v"] if fine else [],
                 f"certificate {name} at {host}")
            t.eq(len(fake.calls), int(fine), "asked only when verified")


def test_redirect_from_development(t, authority):
    """The exception ends where the redirect leads."""
    with abbot.fake_abbot(authority.server("self")) as away, \
            abbot.fake_abbot(authority.server("self")) as fake:
        fake.script([{"status": 307, "body": None, "headers": {
            "Location": f"https://127.0.0.1:{away.port}/x"}}])
        answer = package.call(ASK, "none",
                              f"https://localhost:{fake.port}/api")
        t.eq(answer["errors"][0]["description"], FAILED, "fails")
        t.eq([len(fake.calls), len(away.calls)], [1, 0], "asked only here")


def test_headers(t, _authority):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with abbot.fake_abbot() as away, abbot.fake_abbot() as fake:
        for token, given, want in (
                ("abc", None, {"Authorization": "Bearer abc"}),
                (None, None, {"Authorization": "Bearer None"}),
                ("abc", parent, {"Authorization": "Bearer abc",
                                 "Traceparent": parent})):
            fake.script([SECRET])
            package.call(ASK, "none", fake.url, token=token,
                         traceparent=given)
            got = {k.title(): v for k, v in fake.calls[0]["headers"].items()}
            t.eq(got, {"Content-Type": "application/json", **want},
                 f"with token {token}, traceparent {bool(given)}")
        fake.script([{"status": 302, "body": None, "headers": {
            "Location": f"http://127.0.0.1:{away.port}/x"}}])
        away.script([SECRET])
        package.call(ASK, "none", fake.url)
        t.ok("authorization" not in away.calls[0]["headers"],
             "another host is not told the token", away.calls)
        fake.script([])
        answer = package.call(ASK, "none", fake.url, token="a\nb")
        t.eq(answer["errors"][0]["description"], FAILED,
             "a token that is no header sends nothing")
        t.eq(fake.calls, [], "nothing was sent")


def test_servers_that_may_know_the_token(t, _authority):
    for old, new, may in (
            ("http://h/a", "http://h:80/b", True),
            ("http://h/a", "https://h/b", True),
            ("https://h/a", "http://h/b", False),
            ("http://h:81/a", "https://h/b", False),
            ("http://h/a", "http://g/a", False),
            ("https://h/a", "https://h:444/a", False),
            ("http://h/a", "https://h:444/a", False)):
        t.eq(api.may_know(old, new), may, f"from {old} to {new}")


def test_token_is_not_in_the_bot(t, _authority):
    def trigger(body):
        body["SkillInfo"].update(IsRequest=True, Request={})

    answer = package.call(
        "bot.brain, bot.secrets, bot.rooms, bot.customers\n"
        "bot.response.content = bot", "restrictive", NOWHERE, trigger,
        token="the-token-of-this-run")
    t.ok(answer["success"], "a bot can be answered", answer["errors"])
    t.ok("the-token-of-this-run" not in json.dumps(answer), "without it")


def test_memory(t, _authority):
    def jail():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    for name, code in (("at once", "x = 'a' * (1 << 40)"),
                       ("bit by bit", "x = []\nwhile True:\n"
                        "    x.append(bytearray(1 << 20))"),
                       ("in small pieces", "x = []\nwhile True:\n"
                        "    x = [x, [1.5 * len(x)]]")):
        answer = package.call("bot.reply('r')\n" + code, "none", NOWHERE,
                              jail=jail)
        t.eq(answer["success"], False, f"{name}: told")
        t.eq(answer["errors"][0]["errorId"], "MemoryError",
             f"{name}: by its name")
        t.eq(answer["replies"], ["r"], f"{name}: replies are kept")
        if name != "in small pieces":	# then a traceback costs too much
            t.ok("lineStart" in answer["errors"][0],
                 f"{name}: with its line", answer["errors"])


def test_swallowed_timeout(t, _authority):
    answer = package.call(
        "def spin():\n    while True: pass\ntry:\n    spin()\n"
        "except BaseException:\n    bot.reply('swallowed')\nspin()", "none",
        NOWHERE, timeout=0.2)
    t.eq(answer["replies"], ["swallowed"], "is swallowed")
    t.eq(answer["errors"][0]["errorId"], "TimeoutError", "comes again")
    t.eq(answer["errors"][0]["stackTrace"],
         "line 7, in <module>\nline 2, in spin", "where it struck")


def test_output(t, _authority):
    with tempfile.NamedTemporaryFile() as file:
        for policy, want in (("none", b"x\n"), ("permissive", b"x\n"),
                             ("restrictive", b"")):
            os.truncate(file.name, 0)
            package.call("print('x')", policy, NOWHERE, output=file.name)
            with open(file.name, "rb") as f:
                t.eq(f.read(), want, f"printed under {policy}")


def test_facades_show_everything(t, _authority):
    """Of each allowed module: all that is no module, and the very same."""
    names = sorted(name for name in modules.ALLOWED
                   if name in sys.stdlib_module_names) \
        if sys.version_info >= (3, 10) else ["json", "math", "re"]
    gate = facade.Gate(modules.restrictive, {}, lambda name: None, True)
    for name in names:
        if importlib.util.find_spec(name) is None:
            continue
        seen = gate.import_module(name)
        module = importlib.import_module(name)
        wrong = [one for one, value in vars(module).items()
                 if not isinstance(value, types.ModuleType)
                 and not one.startswith("__")
                 and getattr(seen, one) is not value]
        hidden = [one for one in dir(seen)
                  if isinstance(getattr(seen, one), types.ModuleType)
                  and not modules.restrictive(getattr(seen, one).__name__)]
        t.eq([wrong, hidden], [[], []], f"{name} is as it is")


def test_requests(t, authority):
    """The library that skills import most, through the facades."""
    if importlib.util.find_spec("requests") is None:
        raise Skip("no requests here")
    with abbot.fake_abbot() as plain, \
            abbot.fake_abbot(authority.server("self")) as fake:
        for policy in ("none", "permissive", "restrictive"):
            plain.script([SECRET, {"status": 500, "body": {}}])
            answer = package.call(
                "import requests\n"
                "from requests.exceptions import HTTPError, SSLError\n"
                f"a = requests.get('{plain.url}/x', params={{'q': 1}})\n"
                "bot.reply([a.status_code, a.json(), a.url[-6:]])\n"
                "try:\n"
                f"    requests.Session().post('{plain.url}', json=[1])"
                ".raise_for_status()\n"
                "except HTTPError as e:\n"
                "    bot.reply(e.response.status_code)\n"
                "try:\n"
                f"    requests.get('https://127.0.0.1:{fake.port}')\n"
                "except SSLError:\n"
                "    bot.reply('verified')\n", policy, NOWHERE)
            t.eq(answer["replies"],
                 ["[200, {'secret': 'v'}, '/x?q=1']", "500", "verified"],
                 f"under {policy}")
