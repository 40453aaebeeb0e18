# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Where a message can be sent: chat addresses, and what has one."""
import enum


class ChatAddressType(enum.IntEnum):
    USER = 0
    ROOM = 1

    @property
    def name(self):
        return "User" if self.value == 0 else "Room"


class ChatAddress:
    """One destination: a user or a room, perhaps a thread of it."""

    def __init__(self, type, id, thread_id=None, ephemeral_user_id=None):
        self.type = type
        self.id = id
        self.thread_id = thread_id
        self.ephemeral_user_id = ephemeral_user_id

    def get_chat_address(self):
        return self

    def __eq__(self, other):
        if not isinstance(other, ChatAddress):
            return NotImplemented
        return (self.type, self.id, self.thread_id) == (
            other.type, other.id, other.thread_id)

    def __hash__(self):
        return hash((self.type, self.id, self.thread_id))

    def __repr__(self):
        if self.thread_id is None:
            return f"{self.type.name}:{self.id}"
        return f"{self.type.name}/{self.id}({self.thread_id})"

    def toJSON(self):
        """The form that the reply API takes."""
        wire = {"Type": self.type.value, "Id": self.id}
        if self.thread_id is not None:
            wire["ThreadId"] = self.thread_id
        if self.ephemeral_user_id is not None:
            wire["EphemeralUser"] = self.ephemeral_user_id
        return wire


class MessageTarget:
    """Something with an id of the chat platform that can be written to."""

    address_type = ChatAddressType.USER

    def __init__(self, id):
        self.id = id

    def get_chat_address(self):
        return ChatAddress(self.address_type, self.id)

    def get_thread(self, thread_id):
        return ChatAddress(self.address_type, self.id, thread_id)


class UserMessageTarget(MessageTarget):
    """A user by id; whether there is one is not checked."""


class RoomMessageTarget(MessageTarget):
    """A room by id; whether there is one is not checked."""

    address_type = ChatAddressType.ROOM
