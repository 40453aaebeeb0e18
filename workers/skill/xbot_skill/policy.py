# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The policies: how the code of a skill is executed.

They keep honest skills to the documented rules.  A skill that wants to can
leave permissive easily, and nobody has proved that it cannot leave
restrictive: what holds then is the jail.
"""
import builtins

from . import guards, modules, patches
from .arguments import Argument, MentionArgument, RoomArgument
from .compiler import compile_skill
from .customers import CustomerRequest
from .facade import Gate
from .kinds import PatternType
from .reply import Button

REPLACED = patches.replaced()


def skill_globals(bot, **more):
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
        **more,
    }


def none():
    """No rules of language."""
    return lambda bot: exec(bot.code, skill_globals(bot))


def permissive():
    """The denied modules are refused to skill code."""
    gate = Gate(modules.permissive, {}, lambda name: None, read_only=False)
    names = dict(vars(builtins), __import__=gate.import_module)
    return lambda bot: exec(bot.code, skill_globals(bot, __builtins__=names))


def restrictive():
    """Only the allowed modules; no names that start with _."""
    gate = Gate(modules.restrictive, REPLACED, patches.Patcher(),
                read_only=True)
    names = guards.skill_builtins(gate.import_module)
    return lambda bot: exec(compile_skill(bot.code),
                            skill_globals(bot, __builtins__=names))


# Read from the environment; a word that is not here is restrictive.
POLICIES = {
    "none": none,
    "permissive": permissive,
}


def executor(policy):
    """The function that executes the code of a bot, for one run."""
    return POLICIES.get(policy, restrictive)()
