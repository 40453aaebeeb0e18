# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The answer to a run, as the contract's JSON.

Members and their order are the contract's.  Whatever the skill left in its
outputs or its response, an answer comes out: what cannot be written becomes
the error.
"""
import collections.abc
import json

# The file name of the code of skills; CPython puts it in its own texts.
SKILL_FILE = "<string>"
DEPTH = 50	# of a stack in an error; more is a recursion
# What is being written: a container within itself has no end.
within = {}
# The encoder itself, without the layers above it (see lazy.py).
encode = json.encoder.c_make_encoder(
    within, json.JSONEncoder().default, json.encoder.encode_basestring_ascii,
    None, ": ", ", ", False, False, True)


def write_json(value):
    """JSON text: ASCII, NaN and infinities bare."""
    try:
        return "".join(encode(value, 0))
    except BaseException:
        within.clear()
        raise


class Failure:
    """Why a run failed: the one entry of errors."""

    def __init__(self, error_id, description, place=None):
        self.error_id = error_id
        self.description = description
        self.place = place

    def members(self):
        found = {"errorId": self.error_id, "description": self.description}
        if self.place is not None:
            found.update(self.place)
        return found


def describe(error):
    """A Failure from what the skill raised: its class and its text, and
    nothing more, as the contract has it."""
    try:
        name = str(type(error).__name__)
    except BaseException:
        name = "Exception"
    try:
        text = str(error)
    except BaseException as worse:
        text = f"The text of this error raised {type(worse).__name__}."
    return Failure(name, text)


def place_of(error):
    """Where in the skill's code an error of ours struck: lines, and the
    stack as text.  For failures of the run itself (time, memory)."""
    lines, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename == SKILL_FILE:
            lines.append((step.tb_lineno, code.co_name))
        step = step.tb_next
    if not lines:
        return None
    return {"lineStart": lines[-1][0], "lineEnd": lines[-1][0],
            "stackTrace": "\n".join(f"line {number}, in {name}"
                                    for number, name in lines[-DEPTH:])}


def trigger_members(response):
    """The members that only an answer to an HTTP trigger has."""
    return {"Content": response.raw_content,
            "ContentType": response.content_type,
            "Headers": {name: [value]
                        for name, value in response.headers.items()}}


def outputs_of(bot):
    outputs = bot.outputs
    if type(outputs) is dict:
        return outputs
    if not isinstance(outputs, collections.abc.Mapping):
        raise TypeError("bot.outputs must be a mapping, "
                        f"not {type(outputs).__name__}")
    return dict(outputs)


def render(failure, replies, outputs, trigger):
    return write_json({
        "contentType": None,
        "content": None,
        "success": failure is None,
        "errors": [] if failure is None else [failure.members()],
        "replies": replies,
        "headers": None,
        "outputs": outputs,
        **trigger,
    }).encode("ascii")


def attempt(part):
    """What part gives, if it can be written; else None."""
    try:
        value = part()
        write_json(value)
        return value
    except BaseException:
        return None


def answer(bot, is_request, failure):
    """The answer's bytes."""
    replies = ()
    try:
        replies = list(bot.responses)
        return render(failure, replies, outputs_of(bot),
                      trigger_members(bot.response) if is_request else {})
    except BaseException as error:
        return salvage(bot, is_request, replies, failure or describe(error))


def salvage(bot, is_request, replies, failure):
    """The answer when some part of it cannot be written: the other parts."""
    texts = attempt(lambda: [one if isinstance(one, str) else str(one)
                             for one in replies])
    outputs = attempt(lambda: outputs_of(bot))
    trigger = {}
    if is_request:
        trigger = attempt(lambda: trigger_members(bot.response)) or \
            {"Content": None, "ContentType": None, "Headers": {}}
    return render(failure, texts or [], outputs or {}, trigger)
