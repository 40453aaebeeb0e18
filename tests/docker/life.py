# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What only containers do: made, found again, killed, full, hostile."""
import contextlib
import os

from xbot import Supervisor, verdict

BUSY = "xbot-test/busy:1"


@contextlib.contextmanager
def supervisor(build, engine, image=BUSY, network="none", docker="",
               **more):
    """With the docker sandbox; its containers are removed with it."""
    sup = Supervisor(build, modes="sandbox mode docker\n", start=False, **more)
    sup.configure(f'docker {{\n\tsocket "{engine.socket}"\n'
                  f'\timage "{image}"\n\thost workdir "{sup.dir}/boxes"\n'
                  f'\tnetwork {network}\n\t{docker}\n}}\n')
    with sup:
        sup.start()
        try:
            yield sup
        finally:
            for line in engine.docker(
                    "ps", "-aq", "--filter",
                    "label=xbot.sandbox.user").splitlines():
                engine.docker("rm", "-f", line, ok=False)
