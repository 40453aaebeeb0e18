# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Rooms and conversations of the message."""
import json

from .addresses import ChatAddress, ChatAddressType, RoomMessageTarget
from .isodate import parse_date
from .kinds import PlatformType
from .people import load_user


class Room(RoomMessageTarget):
    def __init__(self, id, name, platform_type=None, topic=None, purpose=None):
        super().__init__(id)
        self.name = name
        self.cache_key = id if id else name
        self.topic = topic
        self.purpose = purpose
        self._platform_type = platform_type

    def __eq__(self, other):
        return vars(self) == vars(other) if isinstance(other, Room) \
            else NotImplemented

    def __hash__(self):
        return hash((self.id, self.name))

    def __str__(self):
        if self._platform_type == PlatformType.SLACK:
            return f"<#{self.id}|{self.name}>"
        if self._platform_type == PlatformType.DISCORD:
            return f"<@{self.id}>"
        return f"#{self.name}"


class RoomIdentifier(RoomMessageTarget):
    """A room of a customer; it can be written to."""

    def __init__(self, id, name):
        super().__init__(id)
        self.name = name


class Conversation:
    def __init__(self, id, first_message_id, title, web_url, room, started_by,
                 created, last_message_posted_on, members):
        self.id = id
        self.title = title
        self.web_url = web_url
        self.room = room
        self.started_by = started_by
        self.created = created
        self.last_message_posted_on = last_message_posted_on
        self.members = members
        # two underscores: so its member of toJSON() is called what it was
        self.__first_message_id = first_message_id

    def get_chat_address(self):
        return ChatAddress(ChatAddressType.ROOM, self.room.id,
                           self.__first_message_id)

    def toJSON(self):
        return json.dumps(self, default=plain, sort_keys=True, indent=4)


def plain(value):
    """What json cannot write by itself: dates as ISO 8601, else members."""
    return value.isoformat() if hasattr(value, "isoformat") else vars(value)


def load_room(wire, platform_type=None):
    """A room object.  Without a platform of the message or one of its own it
    counts as unit test, so that its text is #name: skills know it so."""
    if platform_type is None:
        platform_type = PlatformType.parse(wire.get("PlatformType"))
    return Room(wire.get("Id"), wire.get("Name"), platform_type)


def load_message_room(skill):
    """The room of the message: an object, or a name beside a RoomId."""
    room = skill.get("Room")
    if isinstance(room, dict):
        return load_room(room)
    return Room(skill.get("RoomId"), room,
                PlatformType.parse(skill.get("PlatformType")))


def load_created_room(wire, platform_type):
    """A room as the rooms API tells of a new one.  Topic and purpose are
    looked up by a name that the API does not send: skills know them None."""
    topic, purpose = wire.get("topic") or {}, wire.get("purpose") or {}
    return Room(wire.get("id"), wire.get("name"), platform_type,
                topic.get("Value"), purpose.get("Value"))


def load_conversation(wire, platform_type):
    if wire is None:
        return None
    room, members = wire.get("Room"), wire.get("Members")
    return Conversation(
        wire.get("Id"), wire.get("FirstMessageId"), wire.get("Title"),
        wire.get("WebUrl"),
        None if room is None else load_room(room, platform_type),
        load_user(wire.get("StartedBy")), parse_date(wire.get("Created")),
        parse_date(wire.get("LastMessagePostedOn")),
        None if members is None else [load_user(user) for user in members])
