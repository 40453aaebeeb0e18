# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""JSON of any value, in the form that callers of HTTP triggers know.

Instances carry a py/object member with the name of their class, and other
things that JSON has not are written in the same notation (py/tuple, py/set,
py/seq, py/b64, py/type, py/function, py/reduce).  Repeated values are written
out; only what contains itself is cut, by a py/id that counts the containers
from the top.
"""
import base64
import collections.abc
import datetime
import json
import re
import types
import uuid

PLAIN = (str, int, float, bool, type(None))
DATES = (datetime.datetime, datetime.date, datetime.time)
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
SEQUENCES = (list, tuple, set)
NO_REDUCTION = (object.__reduce__, object.__reduce_ex__)


def name_of(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def flatten_dict(value, inner):
    return {key if isinstance(key, str) else
            "null" if key is None else repr(key): inner(item)
            for key, item in value.items()}


def flatten_callable(value):
    """A function has a name to be found by; a method or a lambda has not."""
    if isinstance(value, FUNCTIONS) and value.__name__ != "<lambda>":
        return {"py/function": name_of(value)}
    return None


# --- instances ---

def flatten_date(value, inner):
    state, *zone = value.__reduce__()[1]
    return {"__reduce__": [
        {"py/type": name_of(type(value))},
        [base64.b64encode(state).decode("ascii"), *map(inner, zone)]]}


# class: the members besides py/object, where they are not the usual
SPECIAL = {
    **dict.fromkeys(DATES, flatten_date),
    re.Pattern: lambda value, inner: {"pattern": value.pattern},
    uuid.UUID: lambda value, inner: {"hex": value.hex},
}


def has_own_state(value):
    kind = type(value)
    return hasattr(kind, "__getstate__") and \
        kind.__getstate__ is not getattr(object, "__getstate__", None)


def reduction(value):
    """How a value is made again, when its class says so; else None."""
    kind = type(value)
    if isinstance(value, (dict, *SEQUENCES)) and (
            kind.__module__ != "collections" or
            isinstance(value, collections.defaultdict)):
        return None
    if (kind.__reduce__, kind.__reduce_ex__) == NO_REDUCTION:
        return None
    try:
        parts = value.__reduce_ex__(2)
    except TypeError:
        return None
    if isinstance(parts, str) or len(parts) > 2 and parts[2] and \
            has_own_state(value) and not hasattr(value, "__setstate__"):
        return None
    # items come as iterators
    parts = [*parts[:3], *(items and tuple(items) for items in parts[3:5])]
    while parts[-1] is None:
        parts.pop()
    return parts


def flatten_contents(value, inner):
    """What an instance holds: items and attributes."""
    attributes = flatten_dict(getattr(value, "__dict__", {}), inner)
    if isinstance(value, dict):
        found = flatten_dict(value, inner)
        if isinstance(value, collections.defaultdict):
            found["default_factory"] = inner(value.default_factory)
        if hasattr(value, "__dict__"):
            found["__dict__"] = attributes
        return found
    if isinstance(value, SEQUENCES):
        return {**attributes, "py/seq": [inner(item) for item in value]}
    if isinstance(value, collections.abc.Iterator):
        return {"py/iterator": [inner(item) for item in value]}
    for kind in () if hasattr(value, "__dict__") else type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                attributes[name] = inner(getattr(value, name))
    return attributes


def flatten_instance(value, inner):
    """An object of a class: what it holds, or how it is made again."""
    kind = type(value)
    found = {"py/object": name_of(kind)}
    if kind in SPECIAL:
        return {**found, **SPECIAL[kind](value, inner)}
    made = reduction(value)
    if made is not None:
        return {"py/reduce": [inner(part) for part in made]}
    if hasattr(kind, "__getnewargs__"):
        found["py/newargs"] = inner(value.__getnewargs__())
    state = has_own_state(value) and value.__getstate__()
    if state:
        return {**found, "py/state": inner(state)}
    return {**found, **flatten_contents(value, inner)}


# exact type: how it is written
CONTAINERS = {
    dict: flatten_dict,
    list: lambda value, inner: [inner(item) for item in value],
    tuple: lambda value, inner: {"py/tuple": [inner(i) for i in value]},
    set: lambda value, inner: {"py/set": [inner(i) for i in value]},
    bytes: lambda value, inner: {
        "py/b64": base64.b64encode(value).decode("ascii")},
}


def flatten(value, open_ids):
    """What json can write; open_ids: containers that are being written."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, type):
        return {"py/type": name_of(value)}
    if isinstance(value, types.ModuleType):
        return {"py/repr": f"{value.__name__}/{value.__name__}"}
    if isinstance(value, (*FUNCTIONS, types.MethodType)):
        return flatten_callable(value)
    if id(value) in open_ids:
        return {"py/id": open_ids[id(value)]}
    open_ids = {**open_ids, id(value): len(open_ids) + 1}
    write = CONTAINERS.get(kind, flatten_instance)
    return write(value, lambda item: flatten(item, open_ids))


def encode(value):
    return json.dumps(flatten(value, {}))
