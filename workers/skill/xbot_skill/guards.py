# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What skill code gets for the builtins that compute names (restrictive).

No guard has defaults or attributes that skill code could set to another
effect, and none trusts a str to be one.
"""
import _string
import builtins
import types

from . import modules
from .facade import Facade
from .names import (FORMATS, check_attribute, check_unwatched, is_hidden,
                    plain_text)

# Refused by the contract, and site's: they are for a terminal.
REFUSED = frozenset("""
    open input exec eval compile breakpoint globals locals vars __import__
    copyright credits help license
""".split())
bare_str_format = {"format": str.format, "format_map": str.format_map}
builtin_method = type("".format)
HARMLESS = 1000	# format texts that are remembered: a skill has a handful
harmless = set()
bare_print = print


# --- str.format ---

def check_field(field):
    """Refuses a field of a format text that names a hidden attribute."""
    for is_attribute, name in _string.formatter_field_name_split(field)[1]:
        if is_attribute:
            check_unwatched(name)


def check_format(text):
    """Refuses a format text with such a field, also in the format of one."""
    for _, field, spec, _ in _string.formatter_parser(text):
        if field is not None:
            check_field(field)
        if spec:
            check_format(spec)


def safe_format(name):
    bare = bare_str_format[name]

    def guarded(*arguments, **named):
        if arguments and isinstance(arguments[0], str):
            text = plain_text(arguments[0])
            if text not in harmless:
                check_format(text)
                if len(harmless) < HARMLESS:
                    harmless.add(text)
        return bare(*arguments, **named)

    guarded.__name__ = guarded.__qualname__ = name
    return guarded


SAFE_FORMATS = {name: safe_format(name) for name in FORMATS}


def guard_value(value):
    """An attribute's value.  str.format and its bound methods are guarded
    wherever they were found, and a bare module is not for skill code."""
    if isinstance(value, types.ModuleType) and not isinstance(value, Facade):
        raise PermissionError(modules.REFUSED.format(value.__name__))
    for name, bare in bare_str_format.items():
        if value is bare:
            return SAFE_FORMATS[name]
    if type(value) is builtin_method and isinstance(value.__self__, str) \
            and value.__name__ in FORMATS:
        safe, text = SAFE_FORMATS[value.__name__], value.__self__
        return lambda *arguments, **named: safe(text, *arguments, **named)
    return value


def read_attribute(thing, name):
    """An attribute that is written in the code, one of names.WATCHED."""
    return guard_value(getattr(thing, name))


# --- builtins ---

def guarded_getattr(thing, name, *default):
    """As getattr."""
    if isinstance(name, str):
        name = check_attribute(name)
    return guard_value(getattr(thing, name, *default))


def guarded_setattr(thing, name, value):
    """As setattr."""
    if isinstance(name, str):
        name = check_attribute(name)
    setattr(thing, name, value)


def guarded_delattr(thing, name):
    """As delattr."""
    if isinstance(name, str):
        name = check_attribute(name)
    delattr(thing, name)


def guarded_hasattr(thing, name):
    """As hasattr; what is hidden is not there."""
    if isinstance(name, str):
        name = plain_text(name)
        if is_hidden(name):
            return False
    return hasattr(thing, name)


def guarded_print(*values, **options):
    """Discarded, unless it goes to a file of the skill's own."""
    if options.get("file") is not None:
        bare_print(*values, **options)


# --- names by way of the library ---

def guarded_attrgetter(*names):
    """As operator.attrgetter."""
    for name in names:
        if not isinstance(name, str):
            raise TypeError("attribute name must be a string")
    paths = [[check_attribute(part) for part in plain_text(name).split(".")]
             for name in names]

    def follow(thing, path):
        for part in path:
            thing = guard_value(getattr(thing, part))
        return thing

    if len(paths) == 1:
        return lambda thing: follow(thing, paths[0])
    return lambda thing: tuple(follow(thing, path) for path in paths)


def guarded_methodcaller(name, *arguments, **named):
    """As operator.methodcaller."""
    name = check_attribute(name)
    return lambda thing: guard_value(getattr(thing, name))(*arguments,
                                                           **named)


# --- patterns ---

SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list,
                 set, str, tuple)
proxies = {}


def pattern_class(kind):
    """A class for a pattern with positional parts: one that matches as the
    given does, with the attribute names it had when they were checked."""
    if not isinstance(kind, type) or any(kind is one
                                         for one in SELF_MATCHING):
        return kind
    names = getattr(kind, "__match_args__", None)
    if type(names) is tuple:
        names = tuple(check_unwatched(name) if isinstance(name, str)
                      else name for name in names)
    key = (id(kind), names)
    if key not in proxies:
        proxies[key] = (kind, pattern_proxy(kind, names))
    return proxies[key][1]


def pattern_proxy(kind, names):
    meta = type("PatternClass", (type,), {
        "__instancecheck__": lambda proxy, value: isinstance(value, kind)})
    # a subclass of int matches itself, as int does
    base = () if names is not None or not issubclass(kind, SELF_MATCHING) \
        else (int,)
    members = {} if names is None else {"__match_args__": names}
    return meta(kind.__name__, base, members)


def skill_builtins(import_module):
    """The builtins of skill code."""
    found = {name: value for name, value in vars(builtins).items()
             if not name.startswith("_") and name not in REFUSED}
    found.update({
        "__build_class__": builtins.__build_class__,
        "__import__": import_module,
        "getattr": guarded_getattr,
        "setattr": guarded_setattr,
        "delattr": guarded_delattr,
        "hasattr": guarded_hasattr,
        "print": guarded_print,
        "$attribute": read_attribute,
        "$pattern_class": pattern_class,
    })
    return found
