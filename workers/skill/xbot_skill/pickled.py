# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""JSON of any value, in the form that callers of HTTP triggers know.

Instances carry a py/object member with the name of their class, and other
things that JSON has not are written in the same notation (py/tuple, py/set,
py/b64, py/type, py/reduce).  Repeated values are written out; only what
contains itself is cut, by a py/id that counts the containers from the top.
"""
import base64
import datetime
import enum
import json

PLAIN = (str, int, float, bool, type(None))
DATES = (datetime.datetime, datetime.date, datetime.time)


def name_of(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def flatten_dict(value, inner):
    return {key if isinstance(key, str) else
            "null" if key is None else str(key): inner(item)
            for key, item in value.items()}


def flatten_instance(value, inner):
    """An object of a class: its members, or how it is made again."""
    kind = type(value)
    if isinstance(value, DATES):
        state = base64.b64encode(value.__reduce__()[1][0]).decode("ascii")
        return {"py/object": name_of(kind),
                "__reduce__": [{"py/type": name_of(kind)}, [state]]}
    if hasattr(value, "__getstate__") and \
            kind.__getstate__ is not getattr(object, "__getstate__", None):
        return {"py/object": name_of(kind),
                "py/state": inner(value.__getstate__())}
    if hasattr(value, "__dict__") and not isinstance(value, enum.Enum):
        return {"py/object": name_of(kind), **flatten_dict(vars(value), inner)}
    made = list(value.__reduce_ex__(2))
    while made and made[-1] is None:
        made.pop()
    return {"py/reduce": [inner(part) for part in made]}


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
    if id(value) in open_ids:
        return {"py/id": open_ids[id(value)]}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"py/function": name_of(value)}
    open_ids = {**open_ids, id(value): len(open_ids) + 1}
    write = CONTAINERS.get(kind, flatten_instance)
    return write(value, lambda item: flatten(item, open_ids))


def encode(value):
    return json.dumps(flatten(value, {}))
