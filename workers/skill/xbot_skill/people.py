# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Users as a message mentions them, and where they are."""
import json

from .addresses import UserMessageTarget


class Value:
    """Compared by what it holds: subclasses name their fields."""

    fields = ()

    def __eq__(self, other):
        if not isinstance(other, type(self)):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name)
                   for name in self.fields)

    def __hash__(self):
        return hash(tuple(getattr(self, name) for name in self.fields))


class Coordinate(Value):
    fields = ("latitude", "longitude")

    def __init__(self, latitude, longitude):
        self.latitude = latitude
        self.longitude = longitude

    def __str__(self):
        return f"lat: {self.latitude}, lon: {self.longitude}"


class TimeZone(Value):
    fields = ("id", "min_offset", "max_offset")

    def __init__(self, id, min_offset=None, max_offset=None):
        self.id = id
        self.min_offset = min_offset
        self.max_offset = max_offset

    def __str__(self):
        return str(self.id)


class Location(Value):
    fields = ("coordinate", "formatted_address", "timezone")

    def __init__(self, coordinate, formatted_address, timezone=None):
        self.coordinate = coordinate
        self.formatted_address = formatted_address
        self.timezone = timezone

    def __str__(self):
        return (f"coordinate: {self.coordinate}, "
                f"address: {self.formatted_address}")


class Mention(Value, UserMessageTarget):
    """A user who was mentioned, or who wrote."""

    fields = ("id", "user_name", "name", "email", "location")

    def __init__(self, id, user_name, name, email, location):
        super().__init__(id)
        self.user_name = user_name
        self.name = name
        self.email = email
        self.location = location

    @property
    def timezone(self):
        return self.location.timezone if self.location is not None else None

    def toJSON(self):
        return json.dumps(self, default=vars, sort_keys=True, indent=4)

    def __repr__(self):
        return str(self)

    def __str__(self):
        return f"<@{self.id}>"


class UserProfileField:
    """One field of a profile that the organization defined."""

    def __init__(self, id, value, alt):
        self.id = id
        self.value = value
        self.alt = alt


class UserProfile(Mention):
    """A user as the users API tells of one."""

    def __init__(self, id, user_name, name, email, location, custom_fields):
        super().__init__(id, user_name, name, email, location)
        self.custom_fields = custom_fields


def load_timezone(wire):
    """A time zone from an id or an object; anything else is none."""
    if isinstance(wire, str):
        return TimeZone(wire)
    if isinstance(wire, dict):
        return TimeZone(wire.get("Id"), wire.get("MinOffset"),
                        wire.get("MaxOffset"))
    return None


def find_timezone(holder):
    """The zone of a user or a location: an object, or else a bare id."""
    zone = load_timezone(holder.get("TimeZone"))
    if zone is None and holder.get("TimeZoneId") is not None:
        zone = TimeZone(holder.get("TimeZoneId"))
    return zone


def load_location(user):
    """A user's location; one without has a location of nothing but a zone."""
    wire = user.get("Location")
    if wire is None:
        return Location(None, None, find_timezone(user))
    place = wire.get("Coordinate")
    if place is not None:
        place = Coordinate(place.get("Latitude"), place.get("Longitude"))
    return Location(place, wire.get("FormattedAddress"),
                    find_timezone(wire) or find_timezone(user))


def load_user(wire):
    if wire is None:
        return None
    return Mention(wire.get("Id"), wire.get("UserName"), wire.get("Name"),
                   wire.get("Email"), load_location(wire))


def load_users(wire):
    return [] if wire is None else [load_user(user) for user in wire]


def load_field(wire):
    if wire is None:
        return None
    return UserProfileField(wire.get("id"), wire.get("value"),
                            wire.get("alt"))


def load_profile(wire):
    """A profile.  The API answers in camelCase and the basic members are
    read in PascalCase, so they come out None: skills know it so."""
    user = load_user(wire)
    if user is None:
        return None
    fields = wire.get("customFields")
    fields = {name: load_field(fields[name]) for name in fields}
    return UserProfile(user.id, user.user_name, user.name, user.email,
                       user.location, fields)
