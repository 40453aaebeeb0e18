# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The body of a request: from bytes to a message that a bot can be made of.

Everything that can be wrong with a message as a whole is found here.
"""
import json

from .kinds import PatternType, PlatformType

# The parser itself, without the layers above it (see lazy.py).
scan = json.JSONDecoder().scan_once
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Malformed(Exception):
    """The body is no JSON in UTF-8."""


class Incomplete(Exception):
    """The message lacks a part without which no run can be set up."""


def parse(body):
    """The JSON value; of duplicate names the last counts."""
    if body.startswith(BYTE_ORDER_MARK):
        body = body[len(BYTE_ORDER_MARK):]
    try:
        text = str(body, "utf-8").strip(" \t\n\r")
        value, end = scan(text, 0)
    except (ValueError, StopIteration):
        raise Malformed from None
    except RecursionError:
        raise Incomplete("nested too deep") from None
    if end != len(text):
        raise Malformed
    return value


def check_object(holder, name):
    if type(holder) is not dict or type(holder.get(name)) is not dict:
        raise Incomplete(f"{name} must be an object")


def check(message):
    """Refuses a message that the contract does not let past set-up."""
    check_object(message, "SkillInfo")
    check_object(message, "RunnerInfo")
    skill = message["SkillInfo"]
    check_object(skill, "Bot")
    if "From" not in skill:
        raise Incomplete("From is required")
    if skill.get("TokenizedArguments", ()) is None:
        raise Incomplete("TokenizedArguments is null")
    if skill.get("IsRequest"):
        check_object(skill, "Request")
    check_kind(skill, PlatformType, "PlatformType")
    if type(skill.get("Room")) is dict:
        check_kind(skill["Room"], PlatformType, "PlatformType")
    if skill.get("Pattern") is not None:
        check_object(skill, "Pattern")
        check_kind(skill["Pattern"], PatternType, "PatternType")


def check_kind(holder, kind, name):
    """A number must be one of the kind's; any word may come."""
    value = holder.get(name)
    if value is not None and type(value) is not str:
        try:
            kind(value)
        except ValueError as error:
            raise Incomplete(str(error)) from None
