# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The bot object: what the global name bot is to a skill."""
import logging

from .arguments import load_arguments
from .brain import Brain, Secrets
from .customers import CustomersClient
from .kinds import PlatformType
from .lazy import lazy, runner, skill
from .message import (TriggerResponse, load_message, load_pattern,
                      load_request)
from .people import load_user, load_users
from .places import load_conversation, load_message_room
from .reply import send
from .rooms import Rooms, Users
from .signals import Signaler, load_signal
from .tree import grow
from .utilities import TicketsClient, Utilities


class Bot:
    """Made of a message that request.check() has seen."""

    # --- who called what ---
    id = lazy(lambda bot: bot._skill["Bot"].get("Id"))
    name = lazy(lambda bot: bot._skill["Bot"].get("Name"))
    skill_id = runner("SkillId")
    skill_name = skill("SkillName")
    skill_url = skill("SkillUrl")
    user_id = runner("UserId")
    timestamp = runner("Timestamp")
    platform_type = lazy(
        lambda bot: PlatformType.parse(bot._skill.get("PlatformType")))
    platform_id = skill("PlatformId")
    user_name = skill("UserName")
    from_user = lazy(lambda bot: load_user(bot._skill["from_name"]))

    # --- the message ---
    room = lazy(lambda bot: load_message_room(bot._skill))
    message_id = skill("MessageId")
    thread = lazy(lambda bot: bot.room.get_thread(
        bot._skill.get("ThreadId") or bot.message_id))
    message = lazy(lambda bot: load_message(bot._skill.get("Message")))
    arguments = skill("Arguments")
    tokenized_arguments = lazy(lambda bot: load_arguments(
        bot._skill.get("TokenizedArguments", ()),
        bot._skill.get("Arguments"), bot.platform_type))
    mentions = lazy(lambda bot: load_users(bot._skill.get("Mentions")))
    pattern = lazy(lambda bot: load_pattern(bot._skill.get("Pattern")))
    is_pattern_match = lazy(lambda bot: bot.pattern is not None)
    is_interaction = skill("IsInteraction")
    is_playbook = skill("IsPlaybook")
    is_chat = lazy(lambda bot: not bot.is_request)
    conversation = None
    request = None
    skill_data = lazy(lambda bot: grow(bot._skill))

    # --- what it can use ---
    logger = lazy(lambda bot: logging.getLogger("Bot"))
    brain = lazy(lambda bot: Brain(bot._api_client))
    secrets = lazy(lambda bot: Secrets(bot._api_client))
    rooms = lazy(lambda bot: Rooms(bot._api_client, bot.platform_type))
    users = lazy(lambda bot: Users(bot._api_client))
    utils = lazy(lambda bot: Utilities(bot._api_client))
    customers = lazy(lambda bot: CustomersClient(bot._api_client))
    _signaler = lazy(
        lambda bot: Signaler(bot._api_client, bot._skill, bot._runner))
    _tickets_client = lazy(lambda bot: TicketsClient())
    _api_client = lazy(lambda bot: bot._connect(bot.skill_id))
    _signal_event = lazy(lambda bot: load_signal(bot._signal))

    def __init__(self, message, execute, connect):
        """execute(bot): runs its code under the policy of the run.
        connect(skill_id): makes its ApiClient."""
        skill, runner = message["SkillInfo"], message["RunnerInfo"]
        # From becomes from_name, as the last: so skills know raw
        skill["from_name"] = skill.pop("From")
        self.raw = self._skill = skill
        self._runner = runner
        self._execute = execute
        self._connect = connect
        self._signal = message.get("SignalInfo")
        self._passive = message.get("PassiveReplies") or \
            runner.get("ConversationReference") is None
        self.code = runner.get("Code")
        self.args = skill.get("Arguments")
        self.is_request = skill.get("IsRequest")
        self.outputs = {}
        self.responses = []
        if self.is_request:
            self.request = load_request(skill["Request"])
            self.response = TriggerResponse()
        if message.get("ConversationInfo") is not None:
            self.conversation = load_conversation(
                message["ConversationInfo"], self.platform_type)

    @property
    def signal_event(self):
        """The signal that called the skill, if one did."""
        return self._signal_event

    def run_user_script(self):
        """Runs the skill's code, once more when the skill itself asks."""
        self._execute(self)
        return self.responses

    def reply(self, response, direct_message=False, **kwargs):
        """Replies; direct_message: to the sender alone."""
        if direct_message:
            kwargs["to"] = self.from_user
        send(self, response, kwargs)

    def reply_with_buttons(self, response, buttons, buttons_label=None,
                           image_url=None, title=None, color=None, **kwargs):
        """Replies with buttons that call the skill again."""
        send(self, response, kwargs, lambda: {
            "Buttons": [button.toJSON() for button in buttons],
            "ButtonsLabel": buttons_label, "ImageUrl": image_url,
            "Title": title, "Color": color})

    def reply_with_image(self, image, response=None, title=None,
                         title_url=None, color=None, **kwargs):
        """Replies with an image: its URL, or itself in base64."""
        send(self, response, kwargs, lambda: {
            "Buttons": [], "ImageUrl": image, "Title": title,
            "TitleUrl": title_url, "Color": color})

    def reply_later(self, response, delay_in_seconds, **kwargs):
        """Replies after a delay."""
        send(self, response, kwargs, delay=delay_in_seconds)

    def signal(self, name, args):
        """Raises a signal: skills that subscribed to it are called."""
        return self._signaler.signal(name, args)

    def __str__(self):
        if self.platform_type == PlatformType.SLACK:
            return f"<@{self.id}>"
        return f"@{self.name}"

    def __repr__(self):
        # a TypeError, always: skills have never seen anything else
        return "Abbot: " + self.args + self.raw
