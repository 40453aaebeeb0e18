# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""One run: from the body of the request to the bytes of the answer."""
import os
import signal
import sys
import tempfile
from signal import setitimer

from . import request, response
from .api import ApiClient, tls_context
from .bot import Bot
from .forks import no_hooks
from .near import near
from .policy import HOME, executor

OK, MALFORMED, INCOMPLETE = 200, 400, 500
REMINDER = 0.2	# seconds: between one SkillTimeout and the next
# When even the answer to a failure fails: no memory, most likely.
LAST_WORDS = (
    b'{"contentType": null, "content": null, "success": false, "errors": '
    b'[{"errorId": "MemoryError", "description": "The skill left no memory '
    b'to answer with."}], "replies": [], "headers": null, "outputs": {}}')
# A message for trying out, in the zygote.
REHEARSAL = (b'{"SkillInfo": {"Bot": {}, "From": null}, '
             b'"RunnerInfo": {"Code": "bot.reply(1)"}}')
REHEARSALS = 20	# CPython has tuned a function after some calls


class SkillTimeout(BaseException):
    """Raised inside a skill whose time is over; no Exception, so that an
    ordinary handler of the skill does not take it for its own."""


# They hold nothing back (see python.c), unless the skill puts in others.
STREAMS = {"stdout": sys.stdout, "stderr": sys.stderr}
# Is a skill running, that a SIGALRM may interrupt?
running = [False]


def expire(number, frame):
    """On SIGALRM."""
    if running[0]:
        raise SkillTimeout


@no_hooks()
def prepare():
    """In the zygote, once: what every run would otherwise do itself.

    Each run is a fork, and each page that it changes is copied: so nothing
    is made in a run that can be made here, and some rehearsals leave the
    interpreter's own caches filled.
    """
    tls_context(verify=True)
    tempfile.tempdir = os.curdir	# a run's own directory
    signal.signal(signal.SIGALRM, expire)
    policies = ("none", "permissive", "restrictive")
    with near():
        for policy in policies:
            rehearse(policy)	# what is made once, by whoever comes first
    for policy in policies * REHEARSALS:
        rehearse(policy)


def rehearse(policy):
    """A run of our own.  In a child that waits for its request, it has the
    pages copied before there is anybody who waits for them."""
    run(REHEARSAL, policy, "", None, None, 0.0)
    sys.modules.pop(HOME, None)


def run(body, policy, api_url, api_token, traceparent, timeout,
        testing=False):
    """(status, answer) of one request; 400 and 500 have no answer of ours.
    Never raises."""
    def connect(skill_id):
        return ApiClient(api_url, skill_id, api_token, traceparent, testing)

    try:
        message = request.parse(body)
        request.check(message)
        bot = Bot(message, executor(policy), connect)
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
    """Runs the skill: None, or the Failure.  When its time is over, a
    SkillTimeout is raised inside of it, and again, should it be swallowed;
    the jail's deadline comes a little later and does not ask.  A timeout of
    0 is none."""
    try:
        try:
            running[0] = True
            setitimer(signal.ITIMER_REAL, timeout, REMINDER)
            bot.run_user_script()
        finally:
            running[0] = False
            setitimer(signal.ITIMER_REAL, 0)
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
    skill holds is let go, for the answer needs memory itself."""
    try:
        place = response.place_of(error)
    except MemoryError:
        place = None
    text = str(error) or "The skill ran out of memory."
    error.__traceback__ = None
    return response.Failure("MemoryError", text, place)


def flush():
    """What the skill printed: the process ends without any finaliser."""
    for name, ours in STREAMS.items():
        stream = getattr(sys, name, None)
        if stream is not ours:
            try:
                stream.flush()
            except BaseException:
                pass	# closed, or no stream at all: the skill's own loss
