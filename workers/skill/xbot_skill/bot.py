# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The bot object: what the global name bot is to a skill.

Its constructor is the set-up: it reads the whole message, and whatever it
raises says that the message lacks a required part.
"""
import logging

from .api import ApiClient
from .arguments import load_arguments
from .brain import Brain, Secrets
from .customers import CustomersClient
from .kinds import PlatformType
from .message import (TriggerResponse, load_message, load_pattern,
                      load_request, TriggerEvent)
from .people import load_user, load_users
from .places import load_conversation, load_message_room
from .reply import ReplyClient
from .rooms import Rooms, Users
from .signals import Signaler, load_signal
from .tree import grow
from .utilities import TicketsClient, Utilities


class Bot:
    def __init__(self, request, api_url, api_token, traceparent, testing,
                 execute):
        """execute: runs code with this bot, under the policy of the run."""
        skill, runner = request["SkillInfo"], request["RunnerInfo"]
        self._execute = execute
        self.logger = logging.getLogger("Bot")
        self.outputs = {}
        self.responses = []
        self._load_runner(runner)
        self._load_skill(skill)
        self.conversation = load_conversation(
            request.get("ConversationInfo"), self.platform_type)
        self._signal_event = load_signal(request.get("SignalInfo"))
        api = ApiClient(api_url, self.skill_id, api_token, traceparent,
                        testing)
        self._load_clients(api, skill, runner, request.get("PassiveReplies"))
        # From becomes from_name, as the last: so skills know raw
        skill["from_name"] = skill.pop("From")
        self.raw = skill

    def _load_runner(self, runner):
        self.skill_id = runner.get("SkillId")
        self.user_id = runner.get("UserId")
        self.timestamp = runner.get("Timestamp")
        self.code = runner.get("Code")

    def _load_skill(self, skill):
        self.platform_type = PlatformType.parse(skill.get("PlatformType"))
        self.platform_id = skill.get("PlatformId")
        self.id = skill["Bot"].get("Id")
        self.name = skill["Bot"].get("Name")
        self.user_name = skill.get("UserName")
        self.from_user = load_user(skill["From"])
        self.room = load_message_room(skill)
        self.message_id = skill.get("MessageId")
        self.thread = self.room.get_thread(
            skill.get("ThreadId") or self.message_id)
        self.message = load_message(skill.get("Message"))
        self.args = self.arguments = skill.get("Arguments")
        self.tokenized_arguments = load_arguments(
            skill.get("TokenizedArguments", ()), self.args,
            self.platform_type)
        self.mentions = load_users(skill.get("Mentions"))
        self.pattern = load_pattern(skill.get("Pattern"))
        self.is_pattern_match = self.pattern is not None
        self.skill_name = skill.get("SkillName")
        self.skill_url = skill.get("SkillUrl")
        self.is_interaction = skill.get("IsInteraction")
        self.is_playbook = skill.get("IsPlaybook")
        self.is_request = skill.get("IsRequest")
        self.is_chat = not self.is_request
        self.request = None
        if self.is_request:
            self.request = TriggerEvent(skill.get("Request"))
            self.response = TriggerResponse()

    def _load_clients(self, api, skill, runner, passive):
        self.brain = Brain(api)
        self.secrets = Secrets(api)
        self.rooms = Rooms(api, self.platform_type)
        self.users = Users(api)
        self.utils = Utilities(api)
        self.customers = CustomersClient(api)
        self._api_client = api
        self._signaler = Signaler(api, skill, runner)
        self._tickets_client = TicketsClient()
        self._reply_client = ReplyClient(
            self, api, passive, runner.get("ConversationReference"),
            self.responses)

    @property
    def signal_event(self):
        """The signal that called the skill, if one did."""
        return self._signal_event

    @property
    def skill_data(self):
        """The message as attributes."""
        return grow(self.raw)

    def run_user_script(self):
        """Runs the skill's code, once more when the skill itself asks."""
        self._execute(self)
        return self.responses

    def reply(self, response, direct_message=False, **kwargs):
        """Replies; direct_message: to the sender alone."""
        if direct_message:
            kwargs["to"] = self.from_user
        self._reply_client.send(response, kwargs)

    def reply_with_buttons(self, response, buttons, buttons_label=None,
                           image_url=None, title=None, color=None, **kwargs):
        """Replies with buttons that call the skill again."""
        self._reply_client.send(response, kwargs, lambda: {
            "Buttons": [button.toJSON() for button in buttons],
            "ButtonsLabel": buttons_label, "ImageUrl": image_url,
            "Title": title, "Color": color})

    def reply_with_image(self, image, response=None, title=None,
                         title_url=None, color=None, **kwargs):
        """Replies with an image: its URL, or itself in base64."""
        self._reply_client.send(response, kwargs, lambda: {
            "Buttons": [], "ImageUrl": image, "Title": title,
            "TitleUrl": title_url, "Color": color})

    def reply_later(self, response, delay_in_seconds, **kwargs):
        """Replies after a delay."""
        self._reply_client.send(response, kwargs, delay=delay_in_seconds)

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
