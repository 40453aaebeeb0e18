# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Attributes that are made when a skill first looks at them.

A run is a fork, and each object that it touches is a page that the kernel
copies: what a skill does not use must not be made.
"""


class lazy:
    """make(owner) gives the value; kept from then on, and free to be set."""

    def __init__(self, make):
        self.make = make

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, thing, owner):
        if thing is None:
            return self
        value = vars(thing)[self.name] = self.make(thing)
        return value


def skill(name):
    """A member of SkillInfo, as it is."""
    return lazy(lambda bot: bot._skill.get(name))


def runner(name):
    """A member of RunnerInfo, as it is."""
    return lazy(lambda bot: bot._runner.get(name))
