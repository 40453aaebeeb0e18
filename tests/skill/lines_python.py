# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The contract's lines about the language that skills are written in."""
import sys

from line import error, line

# --- language: none and permissive ---

line("print is no reply", "print('x', flush=True)\nbot.reply('y')", ["y"])
line("import of a module below a denied one", "import logging.handlers",
     policies=("permissive", "restrictive"),
     want=error("PermissionError", "Module 'logging.handlers' is not allowed "
                "in skill code. Use a self-hosted runner (https://docs.ab.bot"
                "/chatops/custom-runner/) if you need this module."))
line("denied modules under none", "import os, subprocess\nbot.reply(os.sep)",
     ["/"], policies=("none",))
line("permissive is no more than that",
     "import operator, gc, codecs, tempfile, glob\n"
     "_x = ().__class__.__name__\n"
     "bot.reply([_x, operator.attrgetter('__class__')(1) is int, "
     "eval('1+1'), open(glob.__file__).readable()])",
     ["['tuple', True, 2, True]"], policies=("permissive",))
line("a module can be changed under permissive",
     "import json\njson.dumps = lambda v: 'x'\nimport json as j\n"
     "bot.reply([json.dumps(1), j.dumps(1)])", ["['x', 'x']"],
     policies=("permissive",))

# --- language: restrictive ---

R = ("restrictive",)


def fine(name, code, *replies):
    """Ordinary Python, that works under every policy."""
    line(name, code, list(replies))


def refused(name, code, *faults):
    """A text that restrictive does not compile."""
    line(name, code, policies=R, want=error("SyntaxError",
                                            str(tuple(faults))))


def variable(number, name):
    return (f'Line {number}: "{name}" is an invalid variable name because '
            'it starts with "_"')


def attribute(number, name):
    return (f'Line {number}: "{name}" is an invalid attribute name because '
            'it starts with "_".')


fine("augmented assignment",
     "x = 1\nx += 1\nd = {'a': [1]}\nd['a'] += [2]\n"
     "class C: pass\nc = C()\nc.n = 1\nc.n *= 5\nbot.reply([x, d, c.n])",
     "[2, {'a': [1, 2]}, 5]")
fine("stars", "def f(*a, k=1, **m):\n    return a, k, m\n"
     "bot.reply(f(*[1, 2], **{'k': 3, 'z': 4}))", "((1, 2), 3, {'z': 4})")
fine("classes",
     "class A:\n    n = 0\n    def __init__(self, v): self.v = v\n"
     "    def __add__(self, o): return A(self.v + o.v)\n"
     "    def __repr__(self): return f'A({self.v})'\n"
     "    def __len__(self): return 3\n    def __call__(self): return 'c'\n"
     "    def __getitem__(self, i): return i\n"
     "    def __enter__(self): return self\n"
     "    def __exit__(self, *a): return True\n"
     "    @property\n    def p(self): return 'p'\n"
     "    @classmethod\n    def k(cls): return cls(0)\n"
     "    @staticmethod\n    def s(): return 's'\n"
     "class B(A):\n    def p2(self): return super().p\n"
     "with A(1) as a:\n    1/0\n"
     "bot.reply([a + A(2), len(a), a(), a['x'], a.p, A.k(), A.s(), "
     "B(1).p2()])", "[A(3), 3, 'c', 'x', 'p', A(0), 's', 'p']")
fine("every kind of statement",
     "def f():\n    n = 1\n    def g():\n        nonlocal n\n        n += 1\n"
     "    g()\n    return n\n"
     "x: int = ...\n"
     "for i in range(3):\n    if i == 1: continue\nelse:\n    e = 'e'\n"
     "try:\n    raise KeyError('k')\nexcept (KeyError, ValueError) as err:\n"
     "    k = err.args\nfinally:\n    z = 1\n"
     "l = [y := 5, *[1], *{2}]\ndel l[0]\nassert l\n"
     "bot.reply([f(), x, e, k, l, y, [a for a in l if a], "
     "{a: 1 for a in l}, (lambda *a: a)(1)])",
     "[2, Ellipsis, 'e', ('k',), [1, 2], 5, [1, 2], {1: 1, 2: 1}, (1,)]")
fine("async",
     "import asyncio\nasync def g():\n    yield 1\n"
     "async def f():\n    await asyncio.sleep(0)\n"
     "    return [v async for v in g()]\nbot.reply(asyncio.run(f()))", "[1]")
if sys.version_info >= (3, 10):
    fine("match",
         "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\n"
         "    y: int = 2\n"
         "def f(v):\n    match v:\n        case P(1, y): return y\n"
         "        case P(x=a): return a\n        case {'k': k, **rest}: "
         "return k, rest\n        case [a, *b]: return a, b\n"
         "        case int(n) | float(n): return n\n        case str(): "
         "return 's'\n        case _: return None\n"
         "bot.reply([f(P(1)), f(P(9)), f({'k': 1, 'z': 2}), f([1, 2]), f(7), "
         "f('x'), f(None)])", "[2, 9, (1, {'z': 2}), (1, [2]), 7, 's', None]")
fine("metaclass and type",
     "class M(type):\n    def hello(cls): return 'h'\n"
     "class A(metaclass=M): pass\n"
     "bot.reply([A.hello(), type(1) is int, type('T', (A,), {'n': 1}).n, "
     "issubclass(A, object)])", "['h', True, 1, True]")
fine("builtins",
     "bot.reply([list(map(str, [1])), sum([1, 2]), max(1, 2), "
     "list(enumerate('a')), list(zip([1], [2])), all([]), any([]), "
     "dict(a=1), set([1]), frozenset(), sorted([2, 1]), "
     "next(iter([7])), list(filter(None, [0, 1])), list(reversed([1, 2])), "
     "abs(-1), round(1.5), bytes(1), bytearray(1), memoryview(b'a')[0], "
     "ascii('\u00e9'), format(1.5, '.2f'), object is not None, hash(1), "
     "divmod(5, 2), pow(2, 3), chr(65), ord('A')])",
     "[['1'], 3, 2, [(0, 'a')], [(1, 2)], True, False, {'a': 1}, {1}, "
     "frozenset(), [1, 2], 7, [1], [2, 1], 1, 2, b'\\x00', "
     "bytearray(b'\\x00'), 97, \"'\\\\xe9'\", '1.50', True, 1, (2, 1), 8, "
     "'A', 65]")
fine("attributes by name",
     "class A: pass\na = A()\nsetattr(a, 'x', 1)\n"
     "r = [getattr(a, 'x'), getattr(a, 'y', 'd'), hasattr(a, 'x'), "
     "hasattr(a, 'y')]\ndelattr(a, 'x')\nbot.reply(r + [hasattr(a, 'x')])",
     "[1, 'd', True, False, False]")
fine("formats",
     "p = '{}-{:>4}-{a[k]}-{!r}'\n"
     "bot.reply(p.format('x', 1, 'x', a={'k': 2}) + 'a{b}'.format_map({'b': 3}) "
     "+ '%s' % 4 + f'{5:03}' + str.format('{}', 6))",
     "x-   1-2-'x'a340056")
fine("a format that is a method of the skill's",
     "class A:\n    def format(self, v): return v * 2\n"
     "import datetime\nbot.reply([A().format(2), "
     "format(datetime.date(2023, 1, 2), '%d')])", "[4, '02']")
fine("modules",
     "import json, re, math, datetime as dt\nfrom collections import "
     "Counter, OrderedDict as OD\nimport xml.etree.ElementTree as ET\n"
     "from urllib.parse import quote\nimport urllib.parse\n"
     "from math import *\n"
     "bot.reply([json.loads('[1]'), re.sub('a', 'b', 'a'), math.floor(1.5), "
     "dt.date(2023, 1, 2).isoformat(), Counter('aa')['a'], "
     "ET.fromstring('<a b=\"1\"/>').get('b'), quote('\u00e9'), "
     "urllib.parse.urlsplit('http://a/b').path, ceil(1.5), str(json)[:13]])",
     "[[1], 'b', 1, '2023-01-02', 2, '1', '%C3%A9', '/b', 2, "
     "\"<module 'json\"]")
fine("library that takes names",
     "import functools, dataclasses, argparse, timeit, typing\n"
     "@functools.wraps(len)\ndef f(): pass\n"
     "@functools.singledispatch\ndef g(v): return 'o'\n"
     "@g.register\ndef g_int(v: int): return 'i'\n"
     "@dataclasses.dataclass\nclass D:\n    a: int = 1\n"
     "    b: 'int' = None\n"
     "p = argparse.ArgumentParser()\np.add_argument('--n', type=int)\n"
     "bot.reply([g(1), dataclasses.asdict(D()), "
     "p.parse_args(['--n', '3']).n, timeit.timeit(lambda: 1, number=1) >= 0,"
     " typing.get_type_hints(D)['a'] is int])",
     "['i', {'a': 1, 'b': None}, 3, True, True]")
fine("what C functions import for themselves",
     "import datetime, time\n"
     "bot.reply([datetime.datetime.strptime('2023', '%Y').year, "
     "time.strptime('7', '%d').tm_mday])", "[2023, 7]")
fine("help of argparse tells types",
     "import argparse\np = argparse.ArgumentParser(prog='x')\n"
     "p.add_argument('a', type=int, help='an %(type)s')\n"
     "bot.reply('an int' in p.format_help())", "True")
line("argparse sets no hidden name", policies=R, code="import argparse\n"
     "class N: pass\np = argparse.ArgumentParser(prog='x')\n"
     "p.add_argument('--a', dest='__name__')\n"
     "p.parse_args(['--a', '1'], N())", want=error(
         "PermissionError",
         'Cannot access "__name__" because it starts with "_"'))
refused("the modules that C functions import", "import _strptime",
        variable(1, "_strptime"))
line("print to a file of the skill", policies=R,
     code="import io\nf = io.StringIO()\nprint('x', 1, sep='-', file=f)\n"
     "bot.reply(f.getvalue().strip())", replies=["x-1"])
line("a missing attribute", "bot.nothing", policies=R,
     want=error("AttributeError", "'Bot' object has no attribute 'nothing'"))
for name in ("open", "input", "compile", "globals", "locals", "vars"):
    line(f"no builtin {name}", f"{name}('x')", policies=R,
         want=error("NameError", f"name '{name}' is not defined"))
for number, call in enumerate((
        "getattr(1, '_x')", "setattr(bot, '_x', 1)", "delattr(bot, '_x')",
        "'{0._x}'.format(1)", "'{a._x}'.format_map({'a': 1})")):
    line(f"computed name {number}", call, policies=R,
         want=error("PermissionError",
                    'Cannot access "_x" because it starts with "_"'))
refused("names", "_x = 1\nfor _y in []: pass\ndel _x",
        variable(1, "_x"), variable(2, "_y"), variable(3, "_x"))
refused("attributes", "a._b._c = 1\na.__d__",
        attribute(1, "_c"), attribute(1, "_b"), attribute(2, "__d__"))
refused("definitions", "def _f(_a, *_b, c=_d, **_e): pass\nclass _G: pass",
        variable(1, "_f"), variable(1, "_a"), variable(1, "_b"),
        variable(1, "_e"), variable(1, "_d"), variable(2, "_G"))
refused("special methods outside of a class", "def __init__(): pass",
        variable(1, "__init__"))
refused("methods that are not special",
        "class A:\n    def __match_args__(self): pass\n"
        "    def _x(self): pass", variable(2, "__match_args__"),
        variable(3, "_x"))
refused("imports", "import _thread\nfrom x import _y\nimport z as _z\n"
        "import a._b", variable(1, "_thread"), variable(2, "_y"),
        variable(3, "_z"), variable(4, "_b"))
refused("keyword arguments", "f(a=1, _b=2)", variable(1, "_b"))
refused("lambda parameters", "lambda _a: _a", variable(1, "_a"),
        variable(1, "_a"))
refused("exception names", "try:\n    pass\nexcept E as _e:\n    pass",
        variable(3, "_e"))
refused("calls of exec and eval", "exec('')\neval('')",
        "Line 1: Exec calls are not allowed.",
        "Line 2: Eval calls are not allowed.")
refused("global names", "def f():\n    global _x", variable(2, "_x"))
refused("frames", "x.gi_frame", 'Line 1: "gi_frame" is a restricted name, '
        'that is forbidden to access in RestrictedPython.')
refused("indentation", "if 1:\npass", "Line 2: IndentationError: expected an "
        "indented block after 'if' statement on line 1 at statement: 'pass'")
refused("return outside of a function", "return 1",
        "Line 1: SyntaxError: 'return' outside function at statement: "
        "'return 1'")
line("a module of no list", "import operator", policies=R,
     want=error("PermissionError", "Module 'operator' is not allowed in skill "
                "code. Use a self-hosted runner (https://docs.ab.bot/chatops/"
                "custom-runner/) if you need this module."))
for name in ("nope", "nope.sub"):
    line(f"no module {name}", f"import {name}",
         want=error("ModuleNotFoundError", "No module named 'nope'"))
fine("a name that a module has not",
     "import json\ntry:\n    from json import nope\n"
     "except ImportError as e:\n    bot.reply([e.name, e.path[-16:], "
     "e.path in str(e)])", "['json', 'json/__init__.py', True]")
line("a denied module that is not here", "import winreg",
     policies=("permissive", "restrictive"),
     want=error("PermissionError", "Module 'winreg' is not allowed in skill "
                "code. Use a self-hosted runner (https://docs.ab.bot/chatops/"
                "custom-runner/) if you need this module."))
line("code with lines of its own ends",
     "x = 1\r\nif x:\r\n\tbot.reply('\u00e9')\r\n", ["\u00e9"])
