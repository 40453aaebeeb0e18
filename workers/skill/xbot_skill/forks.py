# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What libraries do around a fork, as far as the zygote wants it."""
import _random
import contextlib
import functools
import os


@contextlib.contextmanager
def no_hooks():
    """Modules imported meanwhile do nothing when the zygote forks.

    What they would do is to take their locks before and make new ones
    after, for another thread may hold them.  The zygote has no other thread;
    and what is written in a fork is a page copied, in each of them.
    """
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: None
    try:
        yield
    finally:
        os.register_at_fork = register


with no_hooks():
    import random
# Runs must not share numbers.  As random's own hook does it, without its
# layers above the generator (see lazy.py).
os.register_at_fork(after_in_child=functools.partial(
    _random.Random.seed, random._inst))
