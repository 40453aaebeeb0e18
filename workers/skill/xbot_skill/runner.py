# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""One run: from the body of the request to the bytes of the answer."""
import gc
import os
import random
import signal
import sys
import tempfile

from . import request, response
from .bot import Bot
from .policy import executor

OK, MALFORMED, INCOMPLETE = 200, 400, 500
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
    gc.collect()


def run(body, policy, api_url, api_token, traceparent, timeout,
        testing=False):
    """(status, answer) of one request; 400 and 500 have no answer of ours.
    Never raises."""
    try:
        random.seed()
        tempfile.tempdir = os.getcwd()
        message = request.parse(body)
        bot = Bot(message, api_url, api_token, traceparent, testing,
                  executor(policy))
    except request.Malformed:
        return MALFORMED, b""
    except Exception:
        return INCOMPLETE, b""
    is_request = bool(bot.is_request)
    try:
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
    """Calls, and raises SkillTimeout inside the call when its time is over.
    The jail's deadline comes a little later, and does not ask."""
    def expire(number, frame):
        raise SkillTimeout

    signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, timeout)
        call()
    finally:
        # first, so that a signal which is already here is not raised later
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)


def flush():
    """What the skill printed: the process ends without any finaliser."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass	# closed or replaced by the skill: its own loss
