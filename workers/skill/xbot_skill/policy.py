# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The policies: how the code of a skill is executed.

A word that is not in the table is restrictive, as the contract has it.
"""
from .arguments import Argument, MentionArgument, RoomArgument
from .customers import CustomerRequest
from .kinds import PatternType
from .reply import Button


def skill_globals(bot):
    """What a skill sees, afresh for each execution."""
    return {
        "bot": bot,
        "args": bot.args,
        "Button": Button,
        "CustomerRequest": CustomerRequest,
        "PatternType": PatternType,
        "Argument": Argument,
        "MentionArgument": MentionArgument,
        "RoomArgument": RoomArgument,
    }


def execute_none(bot):
    """No rules of language."""
    exec(bot.code, skill_globals(bot))


POLICIES = {
    "none": execute_none,
}


def executor(policy):
    return POLICIES.get(policy, execute_none)
