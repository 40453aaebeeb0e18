# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""bot.customers."""
from urllib.parse import quote, quote_plus

from .places import RoomIdentifier


class CustomerRequest:
    """A customer to create, or what one is changed to; rooms are ids."""

    def __init__(self, name, rooms, tags=None):
        self.name = name
        self.rooms = rooms
        self.tags = tags

    def to_json(self):
        return {"Name": self.name, "Rooms": self.rooms,
                "Tags": [] if self.tags is None else self.tags}


class Customer(CustomerRequest):
    """A customer as the API tells of one; rooms are objects."""

    def __init__(self, id, name, rooms, tags=None):
        super().__init__(name, rooms, tags)
        self.id = id


class CustomersClient:
    def __init__(self, api):
        self._api = api

    def get_all(self):
        return [load_customer(one) for one in self._api.get("/customers")]

    def get(self, id):
        return load_customer(self._api.get(customer_path(id)))

    def get_by_name(self, name):
        return load_customer(self._api.get("/customers/name/" + quote(name)))

    def create(self, customer):
        return load_customer(self._api.post("/customers", customer.to_json()))

    def update(self, id, customer):
        return load_customer(self._api.put(customer_path(id),
                                           customer.to_json()))


def customer_path(id):
    return "/customers/" + quote_plus(str(id))


def load_customer(wire):
    return Customer(wire.get("id"), wire.get("name"),
                    [RoomIdentifier(room.get("id"), room.get("name"))
                     for room in wire.get("rooms")], wire.get("tags"))
