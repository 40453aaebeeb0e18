# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Known ways out of a Python sandbox, and that they obtain nothing.

Each row is a skill that tries one way and replies GOT with what it found.
Nothing of a row may come back with GOT in it, neither in a reply nor in an
error.  Under a policy that a row names in `language` it is already stopped
by the rules of the language, and package_test.py tries it without a jail.
Under the others the jail is what holds: the end-to-end suite tries every
row under every policy of `policies`.
"""
import collections

R, P, N = "restrictive", "permissive", "none"
ALL = (R, P, N)
MARK = "GOT"

Escape = collections.namedtuple("Escape", "name policies language code")

# What somebody who has the os module would do with it.  GOT is only said
# with something in hand.
PROVE = '''
def attempt(what, way):
    try:
        found = way()
    except BaseException as e:
        bot.reply('no ' + what)
    else:
        bot.reply('GOT ' + what + ' ' + str(found)[:80])
def read(os, path):
    fd = os.open(path, 0)
    try:
        return os.read(fd, 200)
    finally:
        os.close(fd)
def some(value):
    if not value:
        raise ValueError('nothing')
    return value
def prove(os):
    attempt('file', lambda: read(os, '/etc/passwd'))
    attempt('shadow', lambda: read(os, '/etc/shadow'))
    attempt('maps', lambda: read(os, '/proc/%d/maps' % os.getppid()))
    attempt('environment', lambda: some(read(os, '/proc/%d/environ' % os.getppid())))
    attempt('signal', lambda: os.kill(some(os.getppid()), 0))
    attempt('program', lambda: some(os.popen('id').read()))
    attempt('exec', lambda: some(os.spawnv(0, '/bin/true', ['true']) == 0))
    attempt('listing', lambda: some(os.listdir('/root') + os.listdir('/home')))
'''
# What somebody who has the real builtins would do.
PROVE_BUILTINS = PROVE + '''
def prove_builtins(all):
    imp = all['__import__'] if isinstance(all, dict) else getattr(all, '__import__')
    prove(imp('os'))
'''
PROVE_FILE = '''
def prove_text(text):
    bot.reply('GOT file ' + str(text)[:80] if 'root:' in str(text) else 'no file')
'''

ROWS = []


def row(name, code, policies=ALL, language=(R,), prelude=PROVE):
    ROWS.append(Escape(name, tuple(policies), tuple(language),
                       prelude + code))


# --- imports ---

row("import os", "import os\nprove(os)", language=(R, P))
row("import os.path and up", "import os.path\nprove(os)", language=(R, P))
row("import posix", "import posix as os\nprove(os)", language=(R, P))
row("from import", "from os import open as o\nimport os\nprove(os)",
    language=(R, P))
row("dunder import", "prove(__import__('os'))", language=(R, P))
row("builtins module",
    "import builtins\nprove(builtins.__import__('os'))", language=(R, P))
row("importlib", "import importlib\nprove(importlib.import_module('os'))",
    language=(R, P))
row("frozen importlib",
    "import _frozen_importlib as f\nprove(f.__import__('os'))",
    language=(R, P))
row("runpy", "import runpy\nprove(runpy.os)", language=(R, P))
row("imp", "import imp\nprove(imp.os)", language=(R, P))
row("our own package",
    "import xbot_skill.runner as r\nprove(r.os)", language=(R, P))
row("the program's module", "import __main__ as m\nprove(m.os)",
    language=(R, P))
row("modules of sys", "import sys\nprove(sys.modules['os'])",
    language=(R, P))
row("import of an exec",
    "exec('import os', {})\nexec('import os\\nprove(os)')",
    language=(R, P))
row("import inside a function of a class",
    "class A:\n    def f(self):\n        import subprocess\n"
    "        return subprocess.os\nprove(A().f())", language=(R, P))

# --- modules by way of modules ---

row("glob.os", "import glob\nprove(glob.os)", language=(R, P))
row("from glob import os", "from glob import os\nprove(os)",
    language=(R, P))
row("star import", "from glob import *\nfrom timeit import *\nprove(os)",
    language=(R, P))
row("typing.sys", "import typing\nprove(typing.sys.modules['os'])",
    language=(R, P))
row("random._os", "import random\nprove(random._os)", language=(R, P))
row("json.decoder chain",
    "import json\nprove(json.decoder.scanner.re.enum.sys.modules['os'])",
    language=(R, P))
row("collections._sys",
    "import collections\nprove(collections._sys.modules['os'])",
    language=(R, P))
row("pathlib.os", "import pathlib\nprove(pathlib.os)", language=(R, P))
row("tempfile by way of urllib",
    "import urllib.request as u\nprove(u.tempfile._os)", language=(R, P))
row("asyncio's selectors",
    "import asyncio\nprove(asyncio.base_events.os)", language=(R, P))
row("getattr of a module",
    "import glob\nprove(getattr(glob, 'os'))", language=(R, P))
row("a missing attribute's object", """
import glob
try:
    glob.nothing
except AttributeError as e:
    prove(e.obj.os)
""", language=(R, P))
row("vars of a module", "import glob\nprove(vars(glob)['os'])",
    language=(R, P))
row("dict of a module", "import glob\nprove(glob.__dict__['os'])",
    language=(R, P))
row("copy of a module",
    "import copy, glob\nprove(copy.copy(glob).os)", language=(R, P))
row("fork by timeit's module", "import timeit\nprove(timeit.gc.sys)",
    language=(R, P))

# --- classes, frames, generators, exceptions ---

row("subclass walk", """
for c in ().__class__.__base__.__subclasses__():
    if c.__name__ == '_wrap_close':
        prove(__builtins__['__import__']('os') if 0 else c.__init__.__globals__['sys'].modules['os'])
""")
row("compatibility characters",
    "prove(().__\uff43lass__.__b\uff41se__.__subclasses__()[0])\n"
    "bot.reply('GOT class ' + str(().__\uff43lass__))", policies=(R,))
row("mro", "prove(''.__class__.__mro__[1].__subclasses__()[0])")
row("computed subclass walk", """
o = getattr(getattr((), '__class__'), '__base__')
for c in getattr(o, '__subclasses__')():
    if getattr(c, '__name__') == '_wrap_close':
        prove(getattr(getattr(c, '__init__'), '__globals__')['sys'].modules['os'])
""")
row("a str that is not what it says", """
class S(str):
    def startswith(self, *a):
        return False
c = getattr((), S('__class__'))
prove(getattr(c, S('__base__')))
bot.reply('GOT class ' + str(c))
""", policies=(R,))
row("globals of a function",
    "import glob\nprove(glob.glob.__globals__['os'])")
row("globals of bot's methods",
    "f = bot.reply.__func__.__globals__\nprove(f['logging'].os)")
row("generator frame", """
def g():
    yield 1
f = g().gi_frame
prove_builtins(f.f_builtins)
prove_builtins(f.f_back.f_builtins)
""", prelude=PROVE_BUILTINS)
row("coroutine frame", """
async def c():
    pass
prove_builtins(c().cr_frame.f_builtins)
""", prelude=PROVE_BUILTINS)
row("async generator frame", """
async def c():
    yield 1
prove_builtins(c().ag_frame.f_builtins)
""", prelude=PROVE_BUILTINS)
row("traceback frame", """
try:
    1/0
except Exception as e:
    prove_builtins(e.__traceback__.tb_frame.f_back.f_globals)
""", prelude=PROVE_BUILTINS)
row("traceback of a with statement", """
class W:
    def __enter__(self):
        pass
    def __exit__(self, kind, value, tb):
        f = getattr(tb, 'tb_frame')
        while f:
            prove(getattr(f, 'f_globals').get('os'))
            f = getattr(f, 'f_back')
with W():
    1/0
""")
row("task stack", """
import asyncio
async def main():
    for f in asyncio.current_task().get_stack():
        prove(getattr(f, 'f_globals').get('os'))
        prove_builtins(getattr(f, 'f_builtins'))
asyncio.run(main())
""", prelude=PROVE_BUILTINS)
row("decorator instead of a call", """
@prove
@lambda f: __import__('os')
class A: pass
""", language=(R, P))
row("metaclass with item access", """
class M(type):
    def __getitem__(cls, name):
        return getattr(cls, '__' + name + '__')
class A(metaclass=M): pass
bot.reply('GOT class ' + str(A['base']))
""", policies=(R,))
row("three-argument type", """
T = type('T', (), {'__class__': property(lambda self: self.__subclasses__)})
prove(T().__class__)
""")
row("name of a nested class",
    "class A:\n    class __B: pass\nprove(A._A__B.__subclasses__)")
row("builtins name", "prove_builtins(__builtins__)",
    prelude=PROVE_BUILTINS, language=(R, P))
row("globals call", "prove_builtins(globals()['__builtins__'])",
    prelude=PROVE_BUILTINS, language=(R, P))
row("self of a builtin", "prove_builtins(print.__self__)",
    prelude=PROVE_BUILTINS)
row("unsafe compile", "exec(compile('import os\\nprove(os)', 'x', 'exec'))",
    language=(R, P))
row("code object", """
import types
def f(): pass
c = types.CodeType
bot.reply('GOT code ' + str(c))
""", policies=(R,))
row("code replace", """
def f(): pass
f.__code__ = f.__code__.replace(co_names=('os',))
bot.reply('GOT code ' + str(f.__code__))
""", policies=(R,))
row("keyword that starts with an underscore",
    "bot.reply('GOT ' + str(dict(__class__=1)))", policies=(R,))

# --- format texts and other readers of names ---

for name, expression in (
        ("format text", "'{0.__class__.__base__}'.format(())"),
        ("format text of a nested format", "'{0:{1.__class__}}'.format(1, 2)"),
        ("format_map", "'{a.__class__}'.format_map({'a': 1})"),
        ("unbound format", "str.format('{0.__class__}', 1)"),
        ("format by getattr", "getattr('{0.__class__}', 'format')(1)"),
        ("format by map", "list(map('{0.__class__}'.format, [1]))"),
        ("format of a subclass",
         "type('S', (str,), {})('{0.__class__}').format(1)"),
        ("format of a frame",
         "'{0.gi_frame.f_globals}'.format(i for i in ())"),
        ("f-string", "f'{().__class__}'"),
):
    row(name, f"bot.reply('GOT text ' + str({expression}))", policies=(R,))
row("format by super", """
class S(str):
    def leak(self, v):
        return super().format(v)
bot.reply('GOT text ' + S('{0.__class__}').leak(1))
""", policies=(R,))
row("format by a pattern", """
match '{0.__class__}':
    case str(format=f):
        bot.reply('GOT text ' + f(1))
""", policies=(R,))
row("string.Formatter", """
import string
bot.reply('GOT text ' + string.Formatter().format('{0.__class__}', 1))
""", policies=(R,))
row("string.Formatter by super", """
import string
class F(string.Formatter):
    def get_field(self, n, a, k):
        return super().get_field(n, a, k)
bot.reply('GOT text ' + F().format('{0.__class__}', 1))
""", policies=(R,))
row("string.Formatter's fields", """
import string
class F(string.Formatter):
    def format_field(self, v, spec):
        return v(1)
bot.reply('GOT text ' + F().format('{0.format}', '{0.__class__}'))
""", policies=(R,))
row("format copied by update_wrapper", """
import functools
class W:
    def __setattr__(self, name, value):
        if name == 'format':
            bot.reply('GOT text ' + value(1))
functools.update_wrapper(W(), '{0.__class__}', ('format',), ())
""", policies=(R,))
row("format of an exception's object", """
import xml.sax
try:
    xml.sax.make_parser(['os'])
except AttributeError as e:
    bot.reply('GOT environment ' + '{0.obj.environ}'.format(e))
""", policies=(R,))
row("attrgetter", """
import pathlib, statistics, operator
bot.reply('GOT ' + str(operator.attrgetter('__class__')(1)))
""", policies=(R,))
row("attrgetter by way of a module", """
import pathlib, functools, collections
for m in (pathlib, functools, collections):
    g = getattr(m, 'attrgetter', None)
    if g:
        bot.reply('GOT ' + str(g('__class__')(1)))
""", policies=(R,))
row("reduce over getattr", """
import functools
c = functools.reduce(getattr, ['__class__', '__base__'], ())
bot.reply('GOT class ' + str(c))
""", policies=(R,))
row("partial of getattr", """
import functools
bot.reply('GOT class ' + str(functools.partial(getattr, ())('__class__')))
""", policies=(R,))
row("a class pattern's keyword", """
match ():
    case tuple(__class__=c):
        bot.reply('GOT class ' + str(c))
""", policies=(R,))
row("match_args by a decorator", """
import abc, glob
class C(abc.ABC):
    @lambda f: ('__globals__',)
    def __match_args__(self): pass
C.register(type(prove))
match glob.glob:
    case C(g):
        prove(g['os'])
""", policies=(R,))
row("match_args by a metaclass", """
import abc, glob
class M(abc.ABCMeta):
    def __getattr__(cls, name):
        return ('__globals__',)
class C(metaclass=M): pass
C.register(type(prove))
match glob.glob:
    case C(g):
        prove(g['os'])
""", policies=(R,))
row("match_args by an enumeration", """
import enum, glob
class M(enum.EnumMeta):
    def __instancecheck__(cls, o):
        return True
class B(enum.Enum, metaclass=M): pass
C = B('C', [('__match_args__', ('__globals__',))])
match glob.glob:
    case C(g):
        prove(g['os'])
""", policies=(R,))
row("match_args by make_dataclass", """
import abc, dataclasses, glob
C = dataclasses.make_dataclass('C', [('__globals__', object)], bases=(abc.ABC,), init=False, repr=False, eq=False)
C.register(type(prove))
match glob.glob:
    case C(g):
        prove(g['os'])
""", policies=(R,))
row("update_wrapper", """
import functools, glob
class W:
    def __setattr__(self, name, value):
        if name == '__globals__':
            prove(value['os'])
functools.update_wrapper(W(), glob.glob, ('__globals__',), ())
""", policies=(R,))
row("wraps by way of a module", """
import contextlib, glob
class W:
    def __setattr__(self, name, value):
        if name == '__globals__':
            prove(value['os'])
contextlib.wraps(glob.glob, ('__globals__',), ())(W())
""", policies=(R,))
row("argparse namespace", """
import argparse, glob
p = argparse.ArgumentParser()
p.add_argument('--x', dest='__globals__', action='append')
try:
    p.parse_args(['--x', '1'], namespace=glob.glob)
except AttributeError as e:
    prove(e.obj['os'])
""", policies=(R,))
row("dataclass field renamed", """
import dataclasses
@dataclasses.dataclass
class S(str):
    x: int = 1
    def __init__(self, *a): pass
f = dataclasses.fields(S)[0]
f.name = 'format'
d = dataclasses.asdict(S('{0.__class__}'))
bot.reply('GOT text ' + d['format'](1))
""", policies=(R,))
row("dataclass field that is code", """
import dataclasses
@dataclasses.dataclass
class B:
    x: int = 1
f = dataclasses.fields(B)[0]
f.name = 'x=prove(__import__("os"))'
@dataclasses.dataclass
class D(B):
    y: int = 1
""", policies=(R,))
row("annotations that are code", """
import dataclasses
T = type('T', (), {'__annotations__': {
    'x: __import__("sys").modules["os"].kill(1, 0) = 1, y': int},
    '__module__': 'nothing'})
dataclasses.dataclass(T)
bot.reply('GOT code')
""", policies=(R,))
row("a parser that is a module", """
import xml.sax
try:
    xml.sax.make_parser(['os'])
except AttributeError as e:
    prove(e.obj)
""")
row("a parser that is a module, by getattr", """
import xml.sax
try:
    xml.sax.make_parser(['os'])
except AttributeError as e:
    prove(getattr(e, 'obj'))
""")
row("a parser that is a module, by a pattern", """
import xml.sax
try:
    xml.sax.make_parser(['os'])
except AttributeError as e:
    match e:
        case AttributeError(obj=m):
            prove(m)
""")
row("a document that is a module", """
import xml.dom.domreg
xml.dom.domreg.well_known_implementations['x'] = 'os'
try:
    xml.dom.getDOMImplementation('x')
except AttributeError as e:
    prove(e.obj)
""")
row("annotation evaluated", """
import typing
def f(x: "().__class__.__base__"): pass
bot.reply('GOT class ' + str(typing.get_type_hints(f)))
""", policies=(R,))
row("annotation with every builtin", """
import typing
def f(x: "open('/etc/passwd').read()"): pass
prove_text(typing.get_type_hints(f, globalns={}))
""", prelude=PROVE_FILE, policies=(R, P), language=(R,))
row("annotation of singledispatch", """
import functools
@functools.singledispatch
def f(x): pass
def g(x: "bot.reply('GO' + 'T class ' + str(().__class__))"): pass
f.register(g)
""", policies=(R,))
row("timeit of a text", """
import timeit
timeit.timeit("import os; prove(os)", globals={'prove': prove}, number=1)
""")
row("timeit set-up text", """
import timeit
timeit.Timer("pass", "import os; prove(os)", globals={'prove': prove}).timeit(1)
""")
row("types.new_class and FunctionType", """
import types
bot.reply('GOT ' + str(types.FunctionType) + str(types.new_class))
""", policies=(R,))
row("io.open", "import io\nprove_text(io.open('/etc/passwd').read())",
    prelude=PROVE_FILE)
row("io.FileIO", "import io\nprove_text(io.FileIO('/etc/passwd').read())",
    prelude=PROVE_FILE)
row("open", "prove_text(open('/etc/passwd').read())", prelude=PROVE_FILE)
row("breakpoint", "breakpoint()\nprove(1)", policies=(R,))
row("code module", "import code\ncode.InteractiveInterpreter().runsource("
    "'import os; prove(os)')", policies=(R, P))
row("pickle", """
import pickle
class E:
    def __reduce__(self):
        return (__import__('os').getppid, ())
pickle.loads(pickle.dumps(E()))
import os
prove(os)
""", language=(R, P))
row("pickle of C", """
import _pickle
prove(_pickle.loads(b'cos\\nsystem\\n.').__self__)
""", language=(R, P))
row("ctypes", """
import ctypes
bot.reply('GOT ctypes ' + str(ctypes.CDLL(None).getppid()))
""", policies=(R, P), language=(R, P))
row("reload", "from importlib import reload\nimport os\nprove(reload(os))",
    language=(R, P))
row("help and license", "help('os')\nlicense()\ncopyright.os\n",
    policies=(R,))
row("changing a guard", """
import copy, glob
class E:
    def __init__(self, t): self.t = t
    def __reduce_ex__(self, v):
        return (lambda: getattr, (), (None, {'__defaults__': ((),)}))
copy.copy(E(1))
bot.reply('GOT class ' + str(getattr((), '__class__')))
""", policies=(R,))
row("changing a module", """
import json, functools
def leak(*a, **k):
    bot.reply('GOT ' + str(a))
json.dumps = leak
""", policies=(R,))

# --- beyond Python: the jail's ---

row("pathlib read", "import pathlib\n"
    "prove_text(pathlib.Path('/etc/passwd').read_text())",
    prelude=PROVE_FILE, language=())
row("file URL", "import urllib.request as u\n"
    "prove_text(u.urlopen('file:///etc/passwd').read())",
    prelude=PROVE_FILE, language=())
row("glob of the file system", "import glob\n"
    "found = glob.glob('/root/*') + glob.glob('/home/*/*')\n"
    "bot.reply('GOT ' + str(found) if found else 'no')",
    prelude="", language=())
row("netrc's error", "import netrc\nnetrc.netrc('/etc/passwd')\n"
    "bot.reply('GOT file')", prelude="", language=())
row("arguments from a file", """
import argparse
p = argparse.ArgumentParser(fromfile_prefix_chars='@')
p.add_argument('x', nargs='*')
prove_text(p.parse_args(['@/etc/passwd']).x)
""", prelude=PROVE_FILE, language=())
row("XML that includes a file", """
import xml.etree.ElementTree as ET, xml.etree.ElementInclude as EI
e = ET.fromstring('<a xmlns:i="http://www.w3.org/2001/XInclude">'
    '<i:include href="/etc/passwd" parse="text"/></a>')
EI.include(e)
prove_text(e.text)
""", prelude=PROVE_FILE, language=())
row("memory of another process", """
import pathlib
for p in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        text = (p / 'environ').read_bytes()
    except OSError:
        continue
    if b'TOKEN' in text or b'KEY' in text:
        bot.reply('GOT environment ' + str(p))
    try:
        (p / 'mem').open('rb').read(1)
    except OSError:
        pass
""", prelude="", language=())
row("writing outside", """
import pathlib
for where in ('/tmp', '/var/tmp', '/dev/shm', '/', '/usr/lib/python3'):
    try:
        p = pathlib.Path(where) / 'xbot-escape-mark'
        p.write_text('x')
        bot.reply('GOT write ' + where)
        p.unlink()
    except OSError:
        pass
""", prelude="", language=())
row("another program by asyncio", """
import asyncio
async def main():
    p = await asyncio.create_subprocess_exec('/bin/true')
    bot.reply('GOT program ' + str(await p.wait()))
asyncio.run(main())
""", prelude="")
row("another program by the loop", """
import asyncio
async def main():
    loop = asyncio.get_event_loop()
    t, p = await loop.subprocess_exec(asyncio.SubprocessProtocol, '/bin/true')
    bot.reply('GOT program ' + str(t.get_pid()))
asyncio.run(main())
""", prelude="", language=())


def escapes(policy):
    """The rows of a policy."""
    return [one for one in ROWS if policy in one.policies]


def obtained(answer):
    """What of an answer (its JSON text) must not be: empty when nothing."""
    return answer if MARK in answer else ""
