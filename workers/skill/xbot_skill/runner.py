# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""One run: from the body of the request to the bytes of the answer."""
import importlib
import os
import random
import signal
import sys
import tempfile

from . import request, response
from .api import tls_context
from .bot import Bot
from .policy import executor

# What skills are likely to import, and is not here anyway.
PRELOADED = """
    asyncio base64 calendar cmath collections contextlib copy csv dataclasses
    datetime decimal difflib email.message enum fractions functools glob
    hashlib heapq hmac html http.client io ipaddress itertools json math
    mimetypes operator pathlib pprint random re requests secrets statistics
    string textwrap time types typing unicodedata urllib.request uuid
    xml.etree.ElementTree zoneinfo
""".split()
OK, MALFORMED, INCOMPLETE = 200, 400, 500
REMINDER = 0.2	# seconds: between one SkillTimeout and the next
# When even the answer to a failure fails: no memory, most likely.
LAST_WORDS = (
    b'{"contentType": null, "content": null, "success": false, "errors": '
    b'[{"errorId": "MemoryError", "description": "The skill left no memory '
    b'to answer with."}], "replies": [], "headers": null, "outputs": {}}')


class SkillTimeout(BaseException):
    """Raised inside a skill whose time is over; no Exception, so that an
    ordinary handler of the skill does not take it for its own."""


def prepare():
    """In the zygote, once: what every run would otherwise do itself."""
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass	# not installed: then no skill can want it
    tls_context(verify=True)


def settle():
    """In the child: nothing random is the zygote's, temporary files go to
    the run's own directory, which is the current one."""
    random.seed()
    try:
        tempfile.tempdir = os.getcwd()
    except OSError:
        pass	# no directory, no temporary files


def run(body, policy, api_url, api_token, traceparent, timeout,
        testing=False):
    """(status, answer) of one request; 400 and 500 have no answer of ours.
    Never raises."""
    try:
        settle()
        message = request.parse(body)
        bot = Bot(message, api_url, api_token, traceparent, testing,
                  executor(policy))
    except request.Malformed:
        return MALFORMED, b""
    except Exception:
        return INCOMPLETE, b""
    try:
        is_request = bool(bot.is_request)
        failure = perform(bot, timeout)
        flush()
        return OK, response.answer(bot, is_request, failure)
    except BaseException:
        return OK, LAST_WORDS


def perform(bot, timeout):
    """Runs the skill: None, or the Failure."""
    try:
        with_deadline(bot.run_user_script, timeout)
    except SkillTimeout as error:
        return response.Failure(
            "TimeoutError", f"The skill ran longer than {timeout:g} seconds.",
            response.place_of(error))
    except MemoryError as error:
        return out_of_memory(error)
    except BaseException as error:
        return response.describe(error)
    return None


def out_of_memory(error):
    """A MemoryError: the text that it has not, and its place.  What the
    skill holds is let go first, for the answer needs memory itself."""
    place = response.place_of(error)
    text = str(error) or "The skill ran out of memory."
    error.__traceback__ = None
    return response.Failure("MemoryError", text, place)


def with_deadline(call, timeout):
    """Calls, and raises SkillTimeout inside the call when its time is over,
    and again, should it be swallowed.  The jail's deadline comes a little
    later, and does not ask."""
    running = True

    def expire(number, frame):
        if running:
            raise SkillTimeout

    signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, timeout, REMINDER)
        call()
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)


def flush():
    """What the skill printed: the process ends without any finaliser."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass	# closed or replaced by the skill: its own loss
