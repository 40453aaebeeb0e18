# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""ISO 8601 dates as the web app writes them.

datetime.fromisoformat reads Z, seven digits of a second and the rest only
since Python 3.11; the worker runs on 3.9 as well.
"""
import datetime
import re

FORM = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?)?")


def parse_zone(text):
    if not text:
        return None
    if text == "Z":
        return datetime.timezone.utc
    digits = text[1:].replace(":", "")
    offset = datetime.timedelta(hours=int(digits[:2]),
                                minutes=int(digits[2:] or 0))
    if not offset:
        return datetime.timezone.utc
    return datetime.timezone(-offset if text[0] == "-" else offset)


def parse_date(text):
    """None, or a datetime; ValueError when the text is no date."""
    if text is None:
        return None
    found = FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"not an ISO 8601 date: {text!r}")
    *numbers, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(n or 0) for n in numbers)
    return datetime.datetime(
        year, month, day, hour, minute, second,
        int((fraction or "0")[:6].ljust(6, "0")), parse_zone(zone))
