# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Signals: the one that called the skill, and those it raises."""
from .message import load_pattern, load_request
from .people import load_users
from .pickled import encode


class SignalEvent:
    """A signal that another skill raised."""

    def __init__(self, wire):
        self.name = wire.get("Name")
        self.arguments = self.args = wire.get("Arguments")
        self._wire = wire

    @property
    def source(self):
        """Who raised this signal."""
        return SourceSkill(self._wire.get("Source"))

    @property
    def root_source(self):
        """Who raised the first signal of the chain."""
        source = self._wire.get("Source")
        while source.get("SignalEvent") is not None:
            source = source.get("SignalEvent").get("Source")
        return RootSourceSkill(source)


class SignalSource:
    """What every source of a signal tells."""

    def __init__(self, wire):
        self.skill_name = wire.get("SkillName")
        self.skill_url = wire.get("SkillUrl")
        self.arguments = self.args = wire.get("Arguments")
        self.mentions = load_users(wire.get("Mentions"))
        self._wire = wire


class SourceSkill(SignalSource):
    @property
    def signal_event(self):
        """The signal that called the source, if one did."""
        return load_signal(self._wire.get("SignalEvent"))


class RootSourceSkill(SignalSource):
    def __init__(self, wire):
        super().__init__(wire)
        self.request = load_request(wire.get("Request"))
        self.is_request = wire.get("IsRequest")
        self.is_interaction = wire.get("IsInteraction")
        self.is_chat = wire.get("IsChat")
        self.is_pattern_match = wire.get("IsPatternMatch")
        self.pattern = load_pattern(wire.get("Pattern"))


class ApiResult:
    """What the API said of a call that gives nothing else."""

    def __init__(self, answer):
        answer = answer or {}
        self.ok = answer.get("ok", False)
        self.error = answer.get("error")


class Signaler:
    """Raises signals in the name of the skill that runs."""

    def __init__(self, api, skill, runner):
        self._api = api
        self._skill = skill
        self._runner = runner

    def signal(self, name, args):
        """SignalEvent is null and the root's flags are sent always, also
        when a signal called: the web app has never known it otherwise."""
        skill, runner = self._skill, self._runner
        reference = runner.get("ConversationReference")
        return ApiResult(self._api.post("/signal", {
            "Name": name,
            "Arguments": args,
            "ConversationReference": encode(reference) if reference else None,
            "Room": skill.get("Room"),
            "RoomId": skill.get("RoomId"),
            "SenderId": runner.get("MemberId"),
            "Source": {
                "AuditIdentifier": runner.get("AuditIdentifier"),
                "SkillName": skill.get("SkillName"),
                "SkillUrl": skill.get("SkillUrl"),
                "Arguments": skill.get("Arguments"),
                "Mentions": skill.get("Mentions"),
                "SignalEvent": None,
                "IsChat": skill.get("IsChat"),
                "IsInteraction": skill.get("IsInteraction"),
                "IsPatternMatch": skill.get("Pattern") is not None,
                "IsRequest": skill.get("IsRequest"),
                "Pattern": skill.get("Pattern"),
                "Request": skill.get("Request"),
            },
        }))


def load_signal(wire):
    return None if wire is None else SignalEvent(wire)
