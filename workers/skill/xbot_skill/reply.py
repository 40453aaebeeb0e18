# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Replies: collected for the answer (passive), or sent at once (active)."""
from .addresses import ChatAddress, ChatAddressType


class Button:
    """A button under a reply; clicked, it calls the skill with args."""

    def __init__(self, title, args=None, style="default"):
        self.title = title
        self.arguments = args if args is not None else title
        self.style = style

    def toJSON(self):
        return {"Title": self.title, "Arguments": self.arguments,
                "Style": self.style}


class ReplyClient:
    """Sends the replies of one run.

    Passive: the caller reads them from the answer, as text and nothing else.
    Active: each is posted, with its options, attachments and delay.
    """

    def __init__(self, bot, api, passive, reference, responses):
        self._bot = bot
        self._api = api
        self._passive = bool(passive) or reference is None
        self._reference = reference
        self._responses = responses

    def send(self, response, options, attachment=None, delay=0):
        """attachment: called only when the reply is sent; its JSON."""
        text = str(response)
        if self._passive:
            self._responses.append(text)
            return
        self._api.post("/reply", {
            "SkillId": self._bot.skill_id,
            "Message": text,
            "ConversationReference": self._reference,
            "Options": self.options(options),
            "Attachments": [] if attachment is None else [attachment()],
            "Schedule": delay,
            "MessagePlatformType": "Slack",
        })

    def options(self, given):
        """Who gets a reply, when it is not simply the conversation."""
        to = address_of(given.get("to"))
        if given.get("ephemeral") is True:
            reader = to or address_of(self._bot.from_user)
            to = ChatAddress(ChatAddressType.ROOM, self._bot.room.id,
                             ephemeral_user_id=reader and reader.id)
        return {} if to is None else {"to": to.toJSON()}


def address_of(to):
    """The address of anything that has one; other values are ignored."""
    get = getattr(to, "get_chat_address", None)
    return get() if callable(get) else None
