# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The policies: how the code of a skill is executed.

They keep honest skills to the documented rules.  A skill that wants to can
leave permissive easily, and nobody has proved that it cannot leave
restrictive: what holds then is the jail.
"""
import builtins
import sys
import types

from . import guards, modules, patches
from .arguments import Argument, MentionArgument, RoomArgument
from .compiler import compile_skill
from .customers import CustomerRequest
from .facade import Gate
from .kinds import PatternType
from .reply import Button

# What the module of restrictive skill code is called.
HOME = "__abbot_skill__"


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


def execute_none(bot):
    """No rules of language."""
    exec(bot.code, skill_globals(bot))


def make_permissive():
    """The denied modules are refused to skill code."""
    gate = Gate(modules.permissive, {}, lambda name: None, read_only=False)
    names = dict(vars(builtins), __import__=gate.import_module)

    def execute(bot):
        exec(bot.code, skill_globals(bot, __builtins__=names))

    return execute


def make_restrictive():
    """Only the allowed modules; no names that start with _."""
    gate = Gate(modules.restrictive, patches.replaced(), patches.Patcher(),
                read_only=True)
    names = guards.skill_builtins(gate.import_module)

    def execute(bot):
        code = compile_skill(bot.code)
        # the variables of a module: there annotations are looked up
        home = sys.modules[HOME] = types.ModuleType(HOME)
        vars(home).update(skill_globals(bot, __builtins__=names))
        exec(code, vars(home))

    return execute


# All are made in the zygote: a run only executes.
POLICIES = {
    "none": execute_none,
    "permissive": make_permissive(),
}
RESTRICTIVE = make_restrictive()


def executor(policy):
    """The function that executes the code of a bot.  A word that is not in
    the table is restrictive, as the contract has it."""
    return POLICIES.get(policy, RESTRICTIVE)
