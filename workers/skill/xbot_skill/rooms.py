# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""bot.rooms and bot.users: chat rooms and users by the API."""
from urllib.parse import quote_plus

from .addresses import RoomMessageTarget, UserMessageTarget
from .people import load_profile
from .places import load_created_room


class Result:
    """How a call went: value when it did, error when it did not.

    A failure without a text reads as success: skills know it so.
    """

    def __init__(self, answer, value=None):
        error = None if answer.get("ok") else answer.get("error")
        self.ok = error is None
        if self.ok:
            self.value = value
        else:
            self.error = error


class Rooms:
    def __init__(self, api, platform_type):
        self._api = api
        self._platform_type = platform_type

    def create(self, name, is_private=False):
        answer = self._api.put("/rooms", {"name": name,
                                          "is_private": is_private})
        channel = answer.get("channel") if answer.get("ok") else None
        return Result(answer, channel and load_created_room(
            channel, self._platform_type))

    def archive(self, room):
        return Result(self._api.put(room_path(room) + "/archive"))

    def invite_users(self, room, users):
        return Result(self._api.post(room_path(room),
                                     [user.id for user in users]))

    def set_topic(self, room, topic):
        return Result(self._api.post(room_path(room) + "/topic", topic))

    def set_purpose(self, room, purpose):
        return Result(self._api.post(room_path(room) + "/purpose", purpose))

    def get_target(self, room_id):
        return RoomMessageTarget(room_id)


class Users:
    def __init__(self, api):
        self._api = api

    def get_target(self, user_id):
        return UserMessageTarget(user_id)

    def get_user(self, user_id):
        return load_profile(self._api.get("/users/" + str(user_id)))


def room_path(room):
    return "/rooms/" + quote_plus(room.id)
