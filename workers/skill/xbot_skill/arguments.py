# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The arguments of a skill, cut into tokens."""
import collections.abc

from .people import load_user
from .places import load_room


class Argument:
    """One token: a word, or what stood between quotes."""

    def __init__(self, value, original_text):
        self.value = value
        self.original_text = original_text

    def __repr__(self):
        return self.value

    def __str__(self):
        return self.value


class MentionArgument(Argument):
    """A token that mentions a user."""

    def __init__(self, value, original_text, mentioned):
        super().__init__(value, original_text)
        self.mentioned = mentioned

    def __str__(self):
        return f"mentioned: {self.mentioned}"


class RoomArgument(Argument):
    """A token that mentions a room."""

    def __init__(self, value, original_text, room):
        super().__init__(value, original_text)
        self.room = room

    def __str__(self):
        return str(self.room)


class Arguments(collections.abc.Sequence):
    """The tokens, and the text they were cut from."""

    def __init__(self, tokens, value):
        self.value = value
        self._tokens = list(tokens)

    def __len__(self):
        return len(self._tokens)

    def __getitem__(self, index):
        found = self._tokens[index]
        if isinstance(index, slice):
            return Arguments(found, " ".join(
                token.original_text for token in found))
        return found


def load_token(wire, platform_type):
    value, text = wire.get("Value"), wire.get("OriginalText")
    mentioned, room = wire.get("Mentioned"), wire.get("Room")
    if mentioned is not None:
        return MentionArgument(value, text, load_user(mentioned))
    if room:
        return RoomArgument(value, text, load_room(room, platform_type))
    return Argument(value, text)


def load_arguments(wire, value, platform_type):
    return Arguments([load_token(token, platform_type) for token in wire],
                     value)
