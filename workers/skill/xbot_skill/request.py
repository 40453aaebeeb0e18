# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The body of a request: from bytes to the dictionaries of the message."""
import json


class Malformed(Exception):
    """The body is no JSON."""


class Incomplete(Exception):
    """The body lacks a part without which no run can be set up."""


def parse(body):
    """The message; UTF-8 with or without a byte order mark, of duplicate
    names the last."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise Malformed(str(error)) from None
    except RecursionError:
        raise Incomplete("nested too deep") from None
