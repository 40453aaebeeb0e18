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


def send(bot, response, options, attachment=None, delay=0):
    """One reply.

    Passive: the caller reads it from the answer, as text and nothing else.
    Active: it is posted, with options, attachment and delay.
    attachment: called only when the reply is sent; its JSON.
    """
    text = str(response)
    if bot._passive:
        bot.responses.append(text)
        return
    bot._api_client.post("/reply", {
        "SkillId": bot.skill_id,
        "Message": text,
        "ConversationReference": bot._runner.get("ConversationReference"),
        "Options": wire_options(bot, options),
        "Attachments": [] if attachment is None else [attachment()],
        "Schedule": delay,
        "MessagePlatformType": "Slack",
    })


def wire_options(bot, given):
    """Who gets a reply, when it is not simply the conversation."""
    to = address_of(given.get("to"))
    if given.get("ephemeral") is True:
        # without a reader it must fail: the whole room would see it
        reader = to or bot.from_user.get_chat_address()
        to = ChatAddress(ChatAddressType.ROOM, bot.room.id,
                         ephemeral_user_id=reader.id)
    return {} if to is None else {"to": to.toJSON()}


def address_of(to):
    """The address of anything that has one; other values are ignored."""
    get = getattr(to, "get_chat_address", None)
    return get() if callable(get) else None
