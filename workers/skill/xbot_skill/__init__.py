# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What runs inside a skill's process: the Python half of the skill worker.

prepare() is called once, in the zygote, before any request was seen: what
is imported there costs the runs nothing.  run() is called once in a child
that is already jailed (workers/skill, in C), answers one request and never
raises; rehearse() may come before it, while the child waits.

Nothing here protects anybody from the skill: the jail does.  The policies
(policy.py) keep honest skills to the documented rules.
"""
from .near import load_codes, modules_near, near

load_codes(__name__, __path__[0])
from .forks import no_hooks

with no_hooks():
    import enum	# signal's; every run uses signal, and hardly any enum
    with near():
        import signal
    from . import libraries

    with modules_near(__path__[0]):
        from .runner import prepare, rehearse, run

__all__ = ["prepare", "rehearse", "run"]
