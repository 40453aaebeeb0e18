# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""bot.brain and bot.secrets: what a skill keeps between its runs."""
import json
from urllib.parse import quote_plus


class Brain:
    """Values by key, kept as JSON."""

    def __init__(self, api):
        self._api = api

    def get(self, key):
        """The value of a key; None when there is none, or on any failure."""
        path = "/brain?key=" + quote_plus(key)
        try:
            answer = self._api.get(path)
            return json.loads(answer.get("value")) if answer else None
        except Exception:
            return None

    def read(self, key):
        return self.get(key)

    def list(self):
        """Every key with its value's JSON text."""
        return self._api.get("/brain?key=")

    def write(self, key, value):
        return self._api.post("/brain?key=" + quote_plus(key),
                              {"value": json.dumps(value)})

    def delete(self, key):
        return self._api.delete("/brain?key=" + quote_plus(key))

    def search(self, term):
        raise NotImplementedError

    def __repr__(self):
        return "Brain for the skill."


class Secrets:
    """The skill's secrets; they are set on its page and only read here."""

    def __init__(self, api):
        self._api = api

    def read(self, key):
        answer = self._api.get("/secret?key=" + quote_plus(key))
        return answer.get("secret") if answer else None

    def __repr__(self):
        return "Secret store for skills."
