#!/usr/bin/env python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Ways out of a skill, each of which must obtain nothing.

usage: escape_test.py BUILDDIR [plain]

A technique is a skill that tries, and replies "GOT ..." if it got anything:
another file's bytes, a secret, a process, a socket.  LANGUAGE is tried in
restrictive and in permissive, where the rules of the language come first; and
all of it, as far as it is Python, in none, where only the jail stands.
After each the runner must still serve, with the same zygote.  plain: without
namespaces, as in a container (the runner is started without the right to make
them).
"""
import os
import socket
import sys
import threading

import abbot
import escapes
from runner import SkillRunner, verdict
from xbot import ROOT, Tap, sanitized, tests_of, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
build = os.path.abspath(sys.argv[1])
PLAIN = len(sys.argv) > 2

# What a skill must not read: a file of root's, and one that anybody may read.
SECRET = "the quick brown secret"

# Finds a module through a chain of objects; each line of LANGUAGE is a skill
# that ends with `os` or a reader in its hands, if it gets there.
USE = """
try:
    bot.reply('GOT ' + os.popen('id').read())
except BaseException as e:
    bot.reply(type(e).__name__)
try:
    bot.reply('GOT ' + str(os.listdir('/root')))
except BaseException as e:
    bot.reply(type(e).__name__)
try:
    bot.reply('GOT ' + str(os.open('/etc/passwd', os.O_RDONLY)))
except BaseException as e:
    bot.reply(type(e).__name__)
"""

# name: code; after it USE, where it says os.
LANGUAGE = {
    "import os": "import os" + USE,
    "from os import": "from os import popen\nbot.reply('GOT ' + popen('id').read())",
    "os.path": "import os.path as p\nos = p.os" + USE,
    "__import__": "os = __import__('os')" + USE,
    "builtins": "import builtins\nos = builtins.__import__('os')" + USE,
    "subclasses": "for c in ().__class__.__base__.__subclasses__():\n"
                  "    if c.__name__ == '_wrap_close':\n"
                  "        os = c.__init__.__globals__['sys'].modules['os']"
                  + USE,
    "subclasses, computed": "n = '__sub' + 'classes__'\n"
                            "t = getattr(getattr((), '__cl' + 'ass__'), "
                            "'__ba' + 'se__')\n"
                            "for c in getattr(t, n)():\n"
                            "    if c.__name__ == 'Popen':\n"
                            "        bot.reply('GOT ' + str(c('id')))",
    "mro": "o = [].__class__.__mro__[-1]\nbot.reply(len(o.__subclasses__()))\n"
           "os = [c for c in o.__subclasses__() if c.__name__ == "
           "'_wrap_close'][0].__init__.__globals__['sys'].modules['os']" + USE,
    "frames of a generator": "def g(): yield 1\nx = g()\n"
                             "f = x.gi_frame\n"
                             "while f.f_back: f = f.f_back\n"
                             "os = f.f_globals['sys'].modules['os']" + USE,
    "frames of a coroutine": "async def g(): pass\nx = g()\n"
                             "os = x.cr_frame.f_builtins['__import__']('os')"
                             + USE,
    "frames of a traceback": "try:\n    1 / 0\nexcept Exception as e:\n"
                             "    f = e.__traceback__.tb_frame\n"
                             "    while f.f_back: f = f.f_back\n"
                             "    os = f.f_globals['sys'].modules['os']"
                             + USE,
    "frames, computed": "try:\n    1 / 0\nexcept Exception as e:\n"
                        "    f = getattr(getattr(e, '__trace' + 'back__'), "
                        "'tb_' + 'frame')\n"
                        "    os = getattr(f, 'f_' + 'builtins')"
                        "['__import__']('os')" + USE,
    "sys._getframe": "import sys\nos = sys._getframe(1).f_globals['os']"
                     + USE,
    "inspect": "import inspect\nos = inspect.os" + USE,
    "format string": "bot.reply('{0.__class__.__init__.__globals__}'"
                     ".format(bot))\nx = '{0.__init__.__globals__[os]}'"
                     ".format(bot)\nbot.reply('GOT ' + x)",
    "format_map": "'{b.__class__.__mro__}'.format_map({'b': bot})\n"
                  "import string\n"
                  "x = string.Formatter().get_field("
                  "'0.__init__.__globals__', [bot.reply], {})\n"
                  "os = x[0]['os']" + USE,
    "string.Formatter": "import string\nclass F(string.Formatter): pass\n"
                        "x, y = F().get_field('0.__globals__', [bot.reply], {})"
                        "\nos = x['sys'].modules['os']" + USE,
    "attrgetter": "import operator\n"
                  "g = operator.attrgetter('__class__.__mro__')\n"
                  "o = g(1)[-1]\n"
                  "n = operator.methodcaller('__subclasses__')(o)\n"
                  "os = [c for c in n if c.__name__ == '_wrap_close'][0]"
                  ".__init__.__globals__['sys'].modules['os']" + USE,
    "glob.os": "import glob\nos = glob.os" + USE,
    "random._os": "import random\nos = random._os" + USE,
    "typing.sys": "import typing\nos = typing.sys.modules['os']" + USE,
    "json.codecs": "import json\nos = json.codecs.sys.modules['os']" + USE,
    "re.enum.sys": "import re\nos = re.enum.sys.modules['os']" + USE,
    "collections._sys": "import collections\n"
                        "os = collections._sys.modules['os']" + USE,
    "datetime.sys": "import datetime\nos = datetime.sys.modules['os']" + USE,
    "pathlib.os": "import pathlib\nos = pathlib.os" + USE,
    "pathlib reads": "import pathlib\n"
                     "bot.reply('GOT ' + pathlib.Path('/etc/passwd')"
                     ".read_text())",
    "pathlib lists": "import pathlib\n"
                     "bot.reply('GOT ' + str(list(pathlib.Path('/root')"
                     ".iterdir())))",
    "io.open": "import io\nbot.reply('GOT ' + io.open('/etc/passwd').read())",
    "io.FileIO": "import io\n"
                 "bot.reply('GOT ' + str(io.FileIO('/etc/passwd').read()))",
    "codecs.open": "import codecs\n"
                   "bot.reply('GOT ' + codecs.open('/etc/passwd').read())",
    "open": "bot.reply('GOT ' + open('/etc/passwd').read())",
    "fileinput": "import fileinput\n"
                 "bot.reply('GOT ' + next(fileinput.input('/etc/passwd')))",
    "linecache": "import linecache\n"
                 "x = linecache.getline('/etc/passwd', 1)\n"
                 "if x: bot.reply('GOT ' + x)",
    "csv, netrc, configparser": "import netrc\n"
                                "netrc.netrc('/etc/passwd')\n"
                                "bot.reply('GOT it')",
    "mailbox": "import mailbox\n"
               "bot.reply('GOT ' + str(mailbox.mbox('/etc/passwd', "
               "create=False)._file.read()))",
    "numpy-like loaders": "import mimetypes\n"
                          "x = mimetypes.read_mime_types('/etc/passwd')\n"
                          "if x: bot.reply('GOT ' + str(x))",
    "gettext": "import gettext\n"
               "gettext.GNUTranslations(open('/etc/passwd', 'rb'))\n"
               "bot.reply('GOT it')",
    "timeit": "import timeit\n"
              "timeit.timeit('x.append(__import__(\"os\").popen(\"id\")"
              ".read())', globals={'x': (x := [])}, number=1)\n"
              "bot.reply('GOT ' + str(x))",
    "code": "import code\nx = []\n"
            "code.InteractiveInterpreter({'x': x}).runsource("
            "'x.append(__import__(\"os\").popen(\"id\").read())')\n"
            "if x: bot.reply('GOT ' + str(x))",
    "eval": "os = eval('__imp' + 'ort__(\"os\")')" + USE,
    "exec": "d = {}\nexec('import os', d)\nos = d['os']" + USE,
    "compile": "d = {}\nc = compile('import os', 'x', 'exec')\n"
               "exec(c, d)\nos = d['os']" + USE,
    "ast and types": "import ast, types\n"
                     "c = compile(ast.parse('import os'), 'x', 'exec')\n"
                     "d = {}\ntypes.FunctionType(c, d)()\nos = d['os']"
                     + USE,
    "code object": "def f(): pass\n"
                   "c = f.__code__.replace(co_names=('os',))\n"
                   "os = f.__globals__['__builtins__']['__import__']('os')"
                   + USE,
    "decorator": "@exec\n@input\nclass X: pass\nbot.reply('GOT it')",
    "decorator, eval": "@eval\n@'__import__(\"os\").popen(\"id\").read()'."
                       "format\ndef f(): pass\nbot.reply('GOT ' + str(f))",
    "class with __getattr__": "class X:\n"
                              "    def __getattr__(self, n): return n\n"
                              "os = bot.__class__.reply.__globals__['os']"
                              + USE,
    "setattr on a class": "setattr(type(bot), '__getattr__', "
                          "lambda s, n: __import__('os'))\nos = bot.zz"
                          + USE,
    "metaclass": "class M(type):\n"
                 "    def __prepare__(n, b): return Ns()\n"
                 "class Ns(dict):\n"
                 "    def __missing__(self, k): return __import__('os')\n"
                 "class X(metaclass=M):\n    got = os\nos = X.got" + USE,
    "lambda globals": "os = (lambda: 0).__globals__['__builtins__']"
                      "['__import__']('os')" + USE,
    "bot's globals": "os = bot.reply.__func__.__globals__['__builtins__']"
                     "['__import__']('os')" + USE,
    "functools.reduce": "import functools\n"
                        "f = functools.reduce(getattr, ['__class__', "
                        "'__base__', '__subclasses__'], ())\n"
                        "os = [c for c in f() if c.__name__ == "
                        "'_wrap_close'][0].__init__.__globals__['sys']"
                        ".modules['os']" + USE,
    "map getattr": "n = list(map(getattr, [()], ['__class__']))[0]\n"
                   "os = n.__base__.__subclasses__()[0].__init__"
                   ".__globals__['os']" + USE,
    "pickle": "import pickle\nclass X:\n    def __reduce__(self):\n"
              "        import os\n        return os.system, ('id',)\n"
              "if pickle.loads(pickle.dumps(X())) == 0: "
              "bot.reply('GOT it')",
    "pickle bytes": "import pickle\n"
                    "x = pickle.loads(b'cos\\npopen\\n(S\\'id\\'\\ntR.')\n"
                    "bot.reply('GOT ' + x.read())",
    "copy reduces": "import copy, copyreg\n"
                    "copyreg.pickle(int, lambda x: (eval, "
                    "('__import__(\"os\").getpid()',)))\n"
                    "x = copy.deepcopy(5)\n"
                    "bot.reply('GOT it' if x != 5 else 'five')",
    "jsonpickle": "import jsonpickle\n"
                  "x = jsonpickle.decode('{\"py/reduce\": [{\"py/function\":"
                  " \"os.popen\"}, {\"py/tuple\": [\"id\"]}]}')\n"
                  "bot.reply('GOT ' + x.read())",
    "yaml": "import yaml\n"
            "x = yaml.load('!!python/object/apply:os.popen [id]', "
            "Loader=yaml.UnsafeLoader)\nbot.reply('GOT ' + x.read())",
    "marshal": "import marshal, types\n"
               "f = marshal.loads(marshal.dumps(compile('import os', 'x', "
               "'exec')))\nd = {}\ntypes.FunctionType(f, d)()\n"
               "os = d['os']" + USE,
    "ctypes": "import ctypes\n"
              "l = ctypes.CDLL(None)\nl.system(b'id')\n"
              "bot.reply('GOT it' if l.open(b'/etc/passwd', 0) != -1 "
              "else 'no')",
    "importlib": "import importlib\nos = importlib.import_module('os')"
                 + USE,
    "loader": "l = bot.__class__.__module__\n"
              "os = __loader__.load_module('os')" + USE,
    "__spec__": "os = __spec__.loader.load_module('os')" + USE,
    "sys.modules": "import sys\nos = sys.modules['os']" + USE,
    "our own package": "import xbot_skill.runner\n"
                       "os = xbot_skill.runner.os" + USE,
    "logging": "import logging\nos = logging.os" + USE,
    "logging.config": "import logging.config\n"
                      "logging.config.dictConfig({'version': 1, "
                      "'formatters': {'x': {'()': 'os.popen', "
                      "'cmd': 'id'}}})\nbot.reply('GOT it')",
    "warnings": "import warnings\nos = warnings.sys.modules['os']" + USE,
    "asyncio subprocess": "import asyncio\n"
                          "async def f():\n"
                          "    p = await asyncio.create_subprocess_shell("
                          "'id', stdout=-1)\n"
                          "    return await p.communicate()\n"
                          "bot.reply('GOT ' + str(asyncio.run(f())))",
    "subprocess": "import subprocess\n"
                  "bot.reply('GOT ' + str(subprocess.run('id', "
                  "shell=True).returncode))",
    "multiprocessing": "import multiprocessing\n"
                       "p = multiprocessing.get_context('spawn').Process("
                       "target=print)\np.start()\np.join()\n"
                       "if p.exitcode == 0: bot.reply('GOT it')",
    "pty": "import pty\npty.spawn('/bin/sh')\nbot.reply('GOT it')",
    "webbrowser": "import webbrowser\n"
                  "if webbrowser.get('x-www-browser').open('file:///'): "
                  "bot.reply('GOT it')",
    "urllib file": "import urllib.request\n"
                   "bot.reply('GOT ' + str(urllib.request.urlopen("
                   "'file:///etc/passwd').read()))",
    "zipimport": "import zipimport\n"
                 "zipimport.zipimporter('/etc/passwd')\n"
                 "bot.reply('GOT it')",
    "walrus and match": "match bot:\n"
                        "    case object(__class__=c):\n"
                        "        os = c.__init__.__globals__['os']" + USE,
    "f-string": "x = f'{bot.__class__.__init__.__globals__}'\n"
                "bot.reply('GOT ' + x if 'SECRET' in x else 'no')",
    "name mangling": "class X:\n    def f(self): return self.__y\n"
                     "X._X__y = 1\nos = type(X().f).__self__" + USE,
    "star import": "from os import *\nbot.reply('GOT ' + popen('id').read())",
}

# What only a jail can refuse: all of it is tried in each policy, but it is
# written for none.
JAIL = {
    "exec": "import os\nos.execv('/bin/id', ['id'])\nbot.reply('GOT it')",
    "posix_spawn": "import os\nos.posix_spawn('/bin/id', ['id'], {})\n"
                   "os.wait()\nbot.reply('GOT it')",
    "passwd": "bot.reply('GOT ' + open('/etc/passwd').read())",
    "shadow": "bot.reply('GOT ' + open('/etc/shadow').read())",
    "readable secret": "bot.reply('GOT ' + open('{secret}').read())",
    "root": "import os\nbot.reply('GOT ' + str(os.listdir('/root')))",
    "listing /": "import os\nbot.reply('GOT ' + str(os.listdir('/')))",
    "listing /tmp": "import os\nbot.reply('GOT ' + str(os.listdir('/tmp')))",
    "own environ": "bot.reply('GOT ' + open('/proc/self/environ').read())",
    "own maps": "bot.reply('GOT ' + open('/proc/self/maps').read())",
    "parent's mem": "open('/proc/{zygote}/mem', 'rb')\nbot.reply('GOT it')",
    "parent's fds": "import os\n"
                    "bot.reply('GOT ' + str(os.listdir('/proc/{zygote}/fd')))",
    "worker's root": "import os\n"
                     "bot.reply('GOT ' + str(os.listdir("
                     "'/proc/{worker}/root')))",
    "cmdlines": "bot.reply('GOT ' + open('/proc/{supervisor}/cmdline')"
                ".read())",
    "token": "import os\nx = str(dict(os.environ))\n"
             "bot.reply('GOT ' + x if '{token}' in x else 'no')",
    "token in memory": "import gc\n"
                       "for o in gc.get_objects():\n"
                       "    if isinstance(o, dict):\n"
                       "        for v in list(o.values()):\n"
                       "            if v == '{token}': bot.reply('GOT it')",
    "environ": "import os\nif os.environ: "
               "bot.reply('GOT ' + str(dict(os.environ)))",
    "descriptors": "import os\n"
                   "for n in range(4, 1024):\n"
                   "    try:\n        os.fstat(n)\n"
                   "        bot.reply('GOT %d' % n)\n"
                   "    except OSError: pass",
    "write outside": "open('/tmp/x', 'w').write('x')\nbot.reply('GOT it')",
    "write to /var/tmp": "open('/var/tmp/x', 'w')\nbot.reply('GOT it')",
    "write to /dev/shm": "open('/dev/shm/x', 'w')\nbot.reply('GOT it')",
    "write to libraries": "import os, json\n"
                          "open(json.__file__, 'a')\nbot.reply('GOT it')",
    "chmod of libraries": "import os, json\n"
                          "os.chmod(json.__file__, 0o777)\n"
                          "bot.reply('GOT it')",
    "mkdir": "import os\nos.mkdir('/tmp/d')\nbot.reply('GOT it')",
    "unlink": "import os\nos.unlink('{secret}')\nbot.reply('GOT it')",
    "rename": "import os\nos.rename('{secret}', 'x')\nbot.reply('GOT it')",
    "hard link": "import os\nos.link('{secret}', 'x')\nbot.reply('GOT it')",
    "symbolic link": "import os\nos.symlink('/etc/passwd', 'x')\n"
                     "bot.reply('GOT ' + open('x').read())",
    "device": "import os\nos.mknod('d', 0o20666, os.makedev(1, 1))\n"
              "bot.reply('GOT it')",
    "control socket": "import socket\n"
                      "s = socket.socket(socket.AF_UNIX)\n"
                      "bot.reply('GOT it')",
    "abstract socket": "import socket\n"
                       "s = socket.socket(socket.AF_UNIX, "
                       "socket.SOCK_DGRAM)\ns.connect('\\0xbot')\n"
                       "bot.reply('GOT it')",
    "raw socket": "import socket\n"
                  "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\n"
                  "bot.reply('GOT it')",
    "packet socket": "import socket\nsocket.socket(socket.AF_PACKET, "
                     "socket.SOCK_RAW)\nbot.reply('GOT it')",
    "vsock": "import socket\nsocket.socket(40, socket.SOCK_STREAM)\n"
             "bot.reply('GOT it')",
    "listen": "import socket\ns = socket.socket()\n"
              "s.bind(('127.0.0.1', 0))\ns.listen()\nbot.reply('GOT it')",
    "ptrace": "import ctypes\n"
              "l = ctypes.CDLL(None, use_errno=True)\n"
              "if l.ptrace(16, {zygote}, 0, 0) == 0: bot.reply('GOT it')",
    "process_vm_readv": "import ctypes\n"
                        "l = ctypes.CDLL(None)\n"
                        "if l.process_vm_readv({zygote}, 0, 0, 0, 0, 0) "
                        "!= -1: bot.reply('GOT it')",
    "kill the zygote": "import os\nos.kill({zygote}, 9)\n"
                       "bot.reply('GOT it')",
    "kill the worker": "import os\nos.kill({worker}, 9)\nbot.reply('GOT it')",
    "kill the parent": "import os\nos.kill(os.getppid() or -1, 15)\n"
                       "os.kill({supervisor}, 15)\nbot.reply('GOT it')",
    "kill all": "import os\n"
                "for n in range(2, 40000):\n"
                "    try:\n        os.kill(n, 0)\n"
                "        bot.reply('GOT %d' % n)\n"
                "    except OSError: pass",
    "signal by F_SETOWN": "import fcntl, os\n"
                          "r, w = os.pipe()\n"
                          "fcntl.fcntl(r, fcntl.F_SETOWN, {zygote})\n"
                          "if {plain}: bot.reply('GOT it')",
    "priority of others": "import os\n"
                          "os.setpriority(os.PRIO_PROCESS, {zygote}, 19)\n"
                          "bot.reply('GOT it')",
    "limits of others": "import resource\n"
                        "resource.prlimit({zygote}, resource.RLIMIT_CPU, "
                        "(1, 1))\nbot.reply('GOT it')",
    "raising limits": "import resource\n"
                      "resource.setrlimit(resource.RLIMIT_DATA, "
                      "(1 << 40, 1 << 40))\nbot.reply('GOT it')",
    "setuid": "import os\nos.setuid(0)\nbot.reply('GOT it')",
    "setgroups": "import os\nos.setgroups([0])\nbot.reply('GOT it')",
    "user namespace": "import ctypes\n"
                      "if ctypes.CDLL(None).unshare(0x10000000) == 0: "
                      "bot.reply('GOT it')",
    "network namespace": "import ctypes\n"
                         "if ctypes.CDLL(None).unshare(0x40000000) == 0: "
                         "bot.reply('GOT it')",
    "clone into spaces": "import ctypes\n"
                         "if ctypes.CDLL(None).syscall(56, 0x10000000, 0, 0,"
                         " 0, 0) > 0: bot.reply('GOT it')",
    "clone3": "import ctypes\n"
              "l = ctypes.CDLL(None)\n"
              "if l.syscall(435, 0, 0) != -1: bot.reply('GOT it')",
    "setns": "import ctypes\n"
             "if ctypes.CDLL(None).setns(3, 0) == 0: bot.reply('GOT it')",
    "mount": "import ctypes\n"
             "if ctypes.CDLL(None).mount(b'none', b'.', b'tmpfs', 0, 0) "
             "== 0: bot.reply('GOT it')",
    "chroot": "import os\nos.chroot('.')\nbot.reply('GOT it')",
    "io_uring": "import ctypes\n"
                "if ctypes.CDLL(None).syscall(425, 1, 0) != -1: "
                "bot.reply('GOT it')",
    "bpf": "import ctypes\n"
           "if ctypes.CDLL(None).syscall(321, 0, 0, 0) == 0: "
           "bot.reply('GOT it')",
    "keyring": "import ctypes\n"
               "if ctypes.CDLL(None).syscall(250, 0, -3, 1) != -1: "
               "bot.reply('GOT it')",
    "userfaultfd": "import ctypes\n"
                   "if ctypes.CDLL(None).syscall(323, 0) != -1: "
                   "bot.reply('GOT it')",
    "perf": "import ctypes\n"
            "if ctypes.CDLL(None).syscall(298, 0, 0, 0, 0, 0) != -1: "
            "bot.reply('GOT it')",
    "shared memory": "import ctypes\n"
                     "if ctypes.CDLL(None).shmget(4711, 4096, 0o1666) "
                     "!= -1: bot.reply('GOT it')",
    "memfd exec": "import os\n"
                  "f = os.memfd_create('x')\n"
                  "os.write(f, b'#!/bin/sh\\n')\n"
                  "os.execve(f, ['x'], {})\nbot.reply('GOT it')",
    "core size": "import resource\n"
                 "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))\n"
                 "bot.reply('GOT it')",
    "dumpable": "import ctypes\n"
                "if ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0: "
                "bot.reply('GOT it')",
    "hostname": "import socket\nsocket.sethostname('x')\n"
                "bot.reply('GOT it')",
    "clock": "import time\ntime.clock_settime(0, 0)\nbot.reply('GOT it')",
    "big file": "with open('x', 'wb') as f:\n"
                "    for i in range(200): f.write(b'x' * (1 << 20))\n"
                "bot.reply('GOT it')",
}


def attempt(t, s, policy, name, code):
    facts = {"secret": s.secret, "zygote": str(s.zygote),
             "worker": str(s.worker), "supervisor": str(s.process.pid),
             "token": abbot.TOKEN, "plain": str(PLAIN)}
    for key, value in facts.items():
        code = code.replace("{%s}" % key, value)
    before = s.zygote
    a = s.run(code)
    got = [r for r in a.json.get("replies", ["no answer"])
           if str(r).startswith("GOT")]
    well = s.zygote == before and s.run("bot.reply(7)").replies == ["7"]
    t.ok(a.status == 200 and not got and well, f"{policy}: {name}",
         f"well: {well}; {a}")


def test_language(t, s, policy):
    for name, code in LANGUAGE.items():
        attempt(t, s, policy, name, code)


def test_jail(t, s, policy):
    for name, code in JAIL.items():
        attempt(t, s, policy, name, code)


def test_rows(t, s, policy):
    """The package's own list: what is left to the jail, and the rest."""
    before = s.zygote
    for row in escapes.escapes(policy):
        a = s.run(row.code)
        t.ok(a.status == 200 and not escapes.obtained(a.body.decode()) and
             s.zygote == before, f"{policy}: {row.name}", a)


# --- one run and the next ---

CHANGES = {
    "builtins": "import builtins\nbuiltins.len = lambda x: 'GOT'",
    "a module": "import json\njson.dumps = lambda *a, **k: 'GOT'",
    "sys.modules": "import sys\nsys.modules['re'] = None",
    "bot's class": "type(bot).reply = lambda *a: None",
    "recursion limit": "import sys\nsys.setrecursionlimit(20)",
    "an exit handler": "import atexit\natexit.register(print, 'GOT')",
    "a signal handler": "import signal\n"
                        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the directory": "import os\nos.makedirs('a/b/c')\n"
                     "open('a/b/c/f', 'w').write('x')\nos.chmod('a', 0)",
    "a deep directory": "import os\nfor n in range(300):\n"
                        "    os.mkdir('d')\n    os.chdir('d')",
    "many files": "for n in range(300): open(str(n), 'w')",
}


def test_next_run(t, s, policy):
    for name, code in CHANGES.items():
        for _ in range(40):     # every place has had it once, or more
            s.run(code)
            if policy != "none":
                break
        a = s.run("import json, re, sys, tempfile, pathlib\n"
                  "bot.reply(len('abc'))\nbot.reply(json.dumps([1]))\n"
                  "bot.reply(re.sub('a', 'b', 'a'))\n"
                  if policy == "none" else
                  "import json, re\nbot.reply(len('abc'))\n"
                  "bot.reply(json.dumps([1]))\n"
                  "bot.reply(re.sub('a', 'b', 'a'))")
        t.eq(a.replies, ["3", "[1]", "b"], f"{policy}: {name}")
        if policy == "none":
            a = s.run("import os\nbot.reply(os.listdir('.'))\n"
                      "open('f', 'w').write('mine')")
            t.eq(a.replies, ["[]"], f"{policy}: {name}: an empty directory")


def test_random(t, s, policy):
    seen = {s.run("import random\nbot.reply(random.random())").replies[0]
            for _ in range(12)}
    t.eq(len(seen), 12, f"{policy}: random is another one in each run")


# --- processes that stay, multiply, or eat ---

STAY = {
    "fork and exit": "import os\n"
                     "if os.fork() == 0:\n"
                     "    import time\n    time.sleep(3600)",
    "setsid": "import os\n"
              "if os.fork() == 0:\n    os.setsid()\n"
              "    if os.fork() == 0:\n        import time\n"
              "        time.sleep(3600)\n    os._exit(0)",
    "ignores all": "import os, signal\n"
                   "if os.fork() == 0:\n"
                   "    for n in range(1, 32):\n"
                   "        try: signal.signal(n, signal.SIG_IGN)\n"
                   "        except OSError: pass\n"
                   "    while True: pass",
    "a thread": "import threading, time\n"
                "threading.Thread(target=time.sleep, args=(3600,)).start()",
    "fork bomb": "import os\n"
                 "while True:\n    try: os.fork()\n    except OSError: pass",
    "fork bomb that dies": "import os\nwhile True:\n"
                           "    if os.fork(): os._exit(0)",
    "thread bomb": "import threading, time\n"
                   "while True:\n    try: threading.Thread("
                   "target=time.sleep, args=(3600,)).start()\n"
                   "    except RuntimeError: pass",
    "memory bomb": "x = []\nwhile True:\n    try: x.append(bytearray(1 << 20))"
                   "\n    except MemoryError: pass",
    "memory of children": "import os\nfor n in range(8): os.fork()\n"
                          "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "shared memory bomb": "import mmap\nx = []\n"
                          "while True: x.append(mmap.mmap(-1, 1 << 24))",
    "endless loop": "while True: pass",
    "endless, deaf": "while True:\n    try:\n        while True: pass\n"
                     "    except BaseException: pass",
    "a slow expression": "9 ** 9 ** 9 ** 9",
    "a slow match": "import re\nre.match('(a*)*b', 'a' * 60)",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n"
               "while True: pass",
    "descriptors": "import os\nwhile True: os.pipe()",
    "a large answer": "while True: bot.reply('x' * (1 << 20))",
    "much output": "while True: print('x' * 10000)",
}


def test_staying(t, s, policy):
    for name, code in STAY.items():
        before = s.zygote
        a = s.run(code)
        wait_for("its end", lambda: not s.busy())
        well = s.zygote == before and s.run("bot.reply(7)").replies == ["7"]
        t.ok(a.status == 200 and well, f"{policy}: {name}: gone, and the "
             "next is well", f"well: {well}; {a}")


def test_neighbours(t, s, policy):
    """A run that is under way is not touched by another."""
    got = {}

    def victim():
        got["a"] = s.run("import time\nfor i in range(12): time.sleep(0.1)\n"
                         "bot.reply('whole')")
    th = threading.Thread(target=victim)
    th.start()
    for _ in range(4):
        s.run("import os, signal\nfor n in range(1, 40000):\n"
              "    if n == os.getpid(): continue\n"
              "    try: os.kill(n, signal.SIGKILL)\n"
              "    except OSError: pass\n"
              "try: os.kill(-1, signal.SIGKILL)\n"
              "except OSError: pass" if policy == "none" else
              "import resource\nfor n in range(1, 40000):\n"
              "    try: resource.prlimit(n, resource.RLIMIT_CPU, (0, 0))\n"
              "    except OSError: pass")
    th.join()
    t.eq(got["a"].replies, ["whole"], f"{policy}: a neighbour lives")


def test_listeners(t, s, policy):
    """TCP is allowed; what listens here asks for a token."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        a = s.run("import urllib.request\n"
                  f"r = urllib.request.Request('http://127.0.0.1:{s.port}"
                  "/api/v1/execute', b'{}', {'Content-Type': "
                  "'application/json'})\nurllib.request.urlopen(r)")
        t.match("401", str(a.error), f"{policy}: our own port needs a token")
        t.ok(port, f"{policy}: another port is another server's")


def runner(policy):
    slow = 20 if sanitized(build) else 2
    s = SkillRunner(build, policy, start=False, config=f"skill {{\n"
                    f"\ttimeout {slow}s\n\tmemory 64M\n\tprocesses 16\n}}\n")
    s.secret = os.path.join(s.dir, "secret")
    with open(s.secret, "w", encoding="ascii") as f:
        f.write(SECRET)
    os.chmod(s.secret, 0o644)
    if PLAIN:
        s.wrap = ["/usr/bin/python3", os.path.join(HERE, "plain.py")]
    s.start()
    return s


def main():
    t = Tap()
    if not ROOT:
        t.skip("uids and namespaces need root")
        return t.done()
    for policy in ("restrictive", "permissive", "none"):
        with runner(policy) as s:
            for test in tests_of(sys.modules[__name__]):
                if policy != "restrictive" or test in (
                        test_language, test_rows, test_random):
                    t.run(test, s, policy)
            verdict(t, s)
    return t.done()


if __name__ == "__main__":
    sys.exit(main())
