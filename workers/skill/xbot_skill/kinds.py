# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The two enumerations of the wire: chat platforms and pattern types.

On the wire they are words without spaces in any case, or numbers.  A word
that is not known reads as None; a number that is not known is refused with
a ValueError, which ends the set-up.
"""
import enum


def parse(kind, names, value):
    """A member of kind from the wire; names: words in lower case."""
    if value is None:
        return kind(0)
    if isinstance(value, str):
        return names.get(value.lower())
    return kind(value)


def words(kind):
    """The wire's words of a kind, in lower case: its constants' names."""
    return {constant.replace("_", "").lower(): member
            for constant, member in kind.__members__.items()}


class PlatformType(enum.IntEnum):
    UNIT_TEST = 0
    SLACK = 1
    DISCORD = 2
    MS_TEAMS = 3
    DIRECT_LINE = 4
    BOT_CONSOLE = 5

    @property
    def name(self):
        return PLATFORM_NAMES[self.value]

    @classmethod
    def parse(cls, value):
        return parse(cls, PLATFORM_WORDS, value)


PLATFORM_NAMES = ("Unit Test", "Slack", "Discord", "Microsoft Teams",
                  "Direct Line", "Bot Console")
PLATFORM_WORDS = words(PlatformType)


class PatternType(enum.IntEnum):
    NONE = 0
    STARTS_WITH = 1
    ENDS_WITH = 2
    CONTAINS = 3
    REGULAR_EXPRESSION = 4
    EXACT_MATCH = 5

    @property
    def name(self):
        return PATTERN_NAMES[self.value]

    @classmethod
    def parse(cls, value):
        return parse(cls, PATTERN_WORDS, value)


PATTERN_NAMES = ("None", "Starts With", "Ends With", "Contains",
                 "Regular Expression", "Exact Match")
PATTERN_WORDS = words(PatternType)
