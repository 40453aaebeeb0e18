# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What called the skill: a message, a pattern, an HTTP request."""
import json
import types

from .kinds import PatternType
from .people import load_user
from .pickled import encode


class SourceMessage:
    """The message that called, or that was reacted to."""

    def __init__(self, id, thread_id, text, url, author):
        self.id = id
        self.thread_id = thread_id
        self.text = text
        self.url = url
        self.author = author


class Pattern:
    """The pattern that a message matched."""

    def __init__(self, wire):
        self.name = wire.get("Name")
        self.description = wire.get("Description")
        self.pattern_type = PatternType.parse(wire.get("PatternType"))
        self.pattern = wire.get("Pattern")
        self.case_sensitive = wire.get("CaseSensitive")

    def __str__(self):
        kind = getattr(self.pattern_type, "name", None)
        return (f"{kind} `{self.pattern}` "
                f"(case sensitive: {self.case_sensitive})")


class TriggerEvent:
    """The HTTP request that called."""

    # the class by its name in JSON: whoever reads that knows it so
    __module__ = "SkillRunner.bot.trigger_event"

    def __init__(self, wire):
        self.content_type = wire.get("ContentType")
        self.http_method = wire.get("HttpMethod")
        self.is_form = wire.get("IsForm")
        self.is_json = wire.get("IsJson")
        self.headers = wire.get("Headers")
        self.form = wire.get("Form")
        self.query = wire.get("Query")
        self.url = wire.get("Url")
        self.raw_body = wire.get("RawBody")

    def json(self):
        """The body, its objects as attribute namespaces."""
        return json.loads(
            self.raw_body,
            object_hook=lambda members: types.SimpleNamespace(**members))

    def toJSON(self):
        return encode(self)


class TriggerResponse:
    """What the HTTP caller is answered."""

    def __init__(self):
        self.headers = {}
        self.content_type = None
        self._content = None
        self._raw_content = None

    @property
    def content(self):
        """A value that is answered as JSON."""
        return self._content

    @content.setter
    def content(self, value):
        self._content = value
        self._raw_content = encode(value)

    @property
    def raw_content(self):
        """The text that is answered; setting it clears content."""
        return self._raw_content

    @raw_content.setter
    def raw_content(self, value):
        self._content = None
        self._raw_content = value if type(value) is str else str(value)


def load_message(wire):
    if wire is None:
        return None
    return SourceMessage(wire.get("MessageId"), wire.get("ThreadId"),
                         wire.get("Text"), wire.get("MessageUrl"),
                         load_user(wire.get("Author")))


def load_pattern(wire):
    return None if wire is None else Pattern(wire)


def load_request(wire):
    return None if wire is None else TriggerEvent(wire)
