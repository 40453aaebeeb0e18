# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""bot.skill_data: the message as attributes with snake-case names."""
import json
import re

CAPITALS = re.compile(r"(?<!^)([A-Z]+)")


class Node:
    """One object of the message; printing it gives its JSON."""

    def __init__(self, members):
        vars(self).update(members)

    def __str__(self):
        return json.dumps(self, default=vars)

    __repr__ = __str__


def grow(value):
    """The tree of a JSON value."""
    if isinstance(value, dict):
        return Node({CAPITALS.sub(r"_\1", name).lower(): grow(member)
                     for name, member in value.items()})
    if isinstance(value, list):
        return [grow(member) for member in value]
    return value
