# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Which modules skill code may import: the contract's two lists.

A name counts with everything below it.  The denied list has precedence.
"""
import importlib.util

DENIED = frozenset("""
    atexit cffi ctypes importlib inspect logging mailbox marshal mmap
    modulefinder msvcrt multiprocessing os pdb pickle pkgutil platform runpy
    sched shelve signal sqlite3 stat struct subprocess symtable sys sysconfig
    syslog threading venv warnings webbrowser winreg winsound
""".split())

# Denied as well, because they are a denied module under another name, or
# hand one out; and ourselves, and the program that we run in.
DENIED_TOO = frozenset("""
    _ctypes _frozen_importlib _frozen_importlib_external _imp
    _multiprocessing _pickle _posixsubprocess _signal _thread imp nt posix
    zipimport __main__ _xbot_near xbot_skill
""".split())

ALLOWED = frozenset("""
    PyYAML abc argparse array ast asyncio azure base64 binascii binhex bisect
    boto3 bs4 calendar cmath collections colorsys contextlib copy copyreg
    cryptography csv dataclasses datetime decimal difflib dns ecdsa email
    enum errno fractions functools getopt gettext glob google graphlib grpc
    hashlib heapq hmac html http io ipaddress isodate itertools jmespath json
    jsonpickle keyword kubernetes locale math mimetypes msal mysql mysqlx
    netrc nltk nludb numbers numpy octokit octokit_routes pandas pandas_gbq
    pathlib plistlib pprint pyarrow queue quopri random re regex reprlib
    requests requests_oauthlib rsa secrets soupsieve sqlalchemy statistics
    string stringprep textwrap time timeit toml twilio types typing
    unicodedata urllib uuid websocket xml zoneinfo
""".split())

# What C functions of allowed modules import by way of their caller: strptime,
# and long numbers since Python 3.12.  Skill code cannot write such a name.
ASKED_BY_C = frozenset(("_strptime", "_pylong"))

REFUSED = ("Module '{}' is not allowed in skill code. Use a self-hosted "
           "runner (https://docs.ab.bot/chatops/custom-runner/) if you need "
           "this module.")


def listed(name, names):
    """Is the module, or one above it, among names?"""
    parts = name.split(".")
    return any(".".join(parts[:count]) in names
               for count in range(1, len(parts) + 1))


def denied(name):
    return listed(name, DENIED) or listed(name, DENIED_TOO)


def permissive(name):
    """May skill code have this module under permissive?"""
    return not denied(name)


def restrictive(name):
    """May skill code have this module under restrictive?  The compiler's
    own pseudo-module is no module."""
    return name == "__future__" or name in ASKED_BY_C or \
        not denied(name) and listed(name, ALLOWED)


def refusal(name):
    """Why skill code does not get a module: it may not, or there is none."""
    top = name.partition(".")[0]
    if not denied(name) and importlib.util.find_spec(top) is None:
        return ModuleNotFoundError(f"No module named {top!r}", name=top)
    return PermissionError(REFUSED.format(name))
