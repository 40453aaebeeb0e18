# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Ways through the library that take names or code as text (restrictive).

Functions are replaced where skill code finds them in a module (REPLACED).
Classes are changed in place, in this process, which no other run shares.
"""
import argparse
import ast
import asyncio
import builtins
import dataclasses
import functools
import io
import operator
import string
import timeit
import types
import typing

from .compiler import check
from .facade import HIDDEN
from .guards import (REFUSED, check_field, guard_value, guarded_attrgetter,
                     guarded_methodcaller)
from .names import (FORMATS, check_attribute, check_unwatched,
                    plain_text)

bare_update_wrapper = functools.update_wrapper
# Builtins that an evaluated text would get unguarded.
UNGUARDED = REFUSED | {"getattr", "setattr", "delattr", "hasattr"}


def guarded_update_wrapper(wrapper, wrapped,
                           assigned=functools.WRAPPER_ASSIGNMENTS,
                           updated=functools.WRAPPER_UPDATES):
    """As functools.update_wrapper; copies what it usually does, and what is
    not hidden."""
    def check_all(names, usual):
        return tuple(name if any(name is one for one in usual)
                     else check_unwatched(name) for name in names)

    return bare_update_wrapper(
        wrapper, wrapped, check_all(assigned, functools.WRAPPER_ASSIGNMENTS),
        check_all(updated, functools.WRAPPER_UPDATES))


def guarded_wraps(wrapped, assigned=functools.WRAPPER_ASSIGNMENTS,
                  updated=functools.WRAPPER_UPDATES):
    """As functools.wraps."""
    return lambda wrapper: guarded_update_wrapper(wrapper, wrapped, assigned,
                                                  updated)


def replaced():
    """{id of a thing of some module: what skill code gets for it}"""
    found = {id(getattr(builtins, name)): HIDDEN for name in REFUSED
             if hasattr(builtins, name)}
    for thing in (io.FileIO, io.open_code, types.CodeType,
                  types.FunctionType, types.new_class,
                  asyncio.create_subprocess_exec,
                  asyncio.create_subprocess_shell):
        found[id(thing)] = HIDDEN
    for thing, safe in ((operator.attrgetter, guarded_attrgetter),
                        (operator.methodcaller, guarded_methodcaller),
                        (functools.update_wrapper, guarded_update_wrapper),
                        (functools.wraps, guarded_wraps)):
        found[id(thing)] = safe
    return found


# --- classes, in place ---

def patch_timeit():
    """Statements are compiled as text, with every builtin."""
    bare = timeit.Timer.__init__

    def init(self, stmt="pass", setup="pass", *more, **named):
        for code in (stmt, setup):
            if isinstance(code, str) and code != "pass":
                raise PermissionError("Cannot time a text in skill code: "
                                      "give a function")
        bare(self, stmt, setup, *more, **named)

    timeit.Timer.__init__ = init


def patch_string():
    """string.Formatter reads the attributes that its text names."""
    bare = string.Formatter.get_field

    def get_field(self, field_name, args, kwargs):
        check_field(field_name)
        return bare(self, field_name, args, kwargs)

    string.Formatter.get_field = get_field


def check_annotation(text):
    """An annotation that is a text is evaluated, with every builtin."""
    tree, faults = check(text, "eval")
    for node in () if faults else ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in UNGUARDED or \
                isinstance(node, ast.Attribute) and node.attr in FORMATS:
            faults = (text,)
    if faults:
        raise PermissionError(f"Cannot evaluate {text!r}")


def patch_typing():
    """Annotations are evaluated here."""
    bare = typing.ForwardRef.__init__

    def init(self, arg, *more, **named):
        if isinstance(arg, str):
            arg = plain_text(arg)
            check_annotation(arg)
        bare(self, arg, *more, **named)

    typing.ForwardRef.__init__ = init


def patch_argparse():
    """Arguments are kept in attributes of any name, of any object; its own
    objects it may look into.  Helps and errors tell the names of types."""
    own = {argparse._UNRECOGNIZED_ARGS_ATTR}

    def guarded(bare, free):
        def call(thing, name, *more):
            if type(thing).__module__ != "argparse" and name not in free:
                check_attribute(name)
            return guard_value(bare(thing, name, *more))
        return call

    for bare, free in ((getattr, own | {"__name__"}),
                       (hasattr, own | {"__name__"}),
                       (setattr, own), (delattr, own)):
        vars(argparse)[bare.__name__] = guarded(bare, free)


def patch_dataclasses():
    """Names of fields become code, and can be changed after the class was
    made; so any is looked at when it is set."""
    bare = dataclasses.Field.__setattr__

    def set_attribute(self, name, value):
        if name == "name" and value is not None and not (
                type(value) is str and value.isidentifier()):
            raise PermissionError(f"Cannot name a field {value!r}")
        bare(self, name, value)

    dataclasses.Field.__setattr__ = set_attribute
    vars(dataclasses)["getattr"] = \
        lambda *arguments: guard_value(getattr(*arguments))


# first module that skill code gets: what is changed then, once
PATCHES = {
    "argparse": patch_argparse,
    "dataclasses": patch_dataclasses,
    "functools": patch_typing,	# singledispatch evaluates annotations
    "string": patch_string,
    "timeit": patch_timeit,
    "typing": patch_typing,
}


class Patcher:
    """Applies patches, each once, as modules are reached."""

    def __init__(self):
        self.done = set()

    def __call__(self, name):
        patch = PATCHES.get(name)
        if patch is not None and patch not in self.done:
            self.done.add(patch)
            patch()
