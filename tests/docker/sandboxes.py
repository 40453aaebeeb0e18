# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""What the tests of server sandboxes share: a supervisor in docker mode on an
Engine of the tests' own, and what is asked of the Engine about both."""
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

from xbot import Supervisor, quote

IMAGE = "xbot-test/busybox:1"
BUSY = 60               # s that a test waits for something slow


class Sandboxes(Supervisor):
    """sandbox mode docker; halting: docker is the build that waits at the
    steps of the journal (see halt.c)."""

    def __init__(self, build, engine, more="", image=IMAGE, halting=False,
                 network="none", **args):
        self.engine = engine
        self.hostwork = tempfile.mkdtemp(prefix="xbot-work-")
        self.own = None
        if halting:
            build = self.own = halting_build(build)
        super().__init__(build, modes="sandbox mode docker\n",
                         config=f'docker {{\n\tsocket "{engine.socket}"\n'
                         f'\timage "{image}"\n\tnetwork {network}\n'
                         f'\thost workdir "{self.hostwork}"\n\t{more}\n}}\n',
                         **args)

    def close(self):
        super().close()
        shutil.rmtree(self.hostwork, ignore_errors=True)
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def sh(self, user, command, **fields):
        """stdout of a command that is to succeed"""
        a = self.client.exec(user, command, **fields)
        if a.status != 200 or a.json["exit_code"] != 0:
            raise RuntimeError(f"{command}: {a}")
        return a.json["stdout"]

    def sandbox(self, user, verb="GET", what="", client=None):
        path = f"/v1/users/{quote(user)}/sandbox{what}"
        return (client or self.client).call(verb, path)

    def commit(self, user, **more):
        return self.sandbox(user, "POST", "/commit", **more)

    def stop_(self, user, **more):
        return self.sandbox(user, "POST", "/stop", **more)

    def reset(self, user, **more):
        return self.sandbox(user, "DELETE", **more)

    def state_of(self, user):
        return self.sandbox(user).json.get("state")


def halting_build(build):
    """A directory of links in which docker is the halting one."""
    own = tempfile.mkdtemp(prefix="xbot-halting-")
    os.chmod(own, 0o755)
    for name in os.listdir(build):
        path = os.path.abspath(os.path.join(build, name))
        if not name.startswith("xbot-") or not os.path.isfile(path):
            continue
        if name == "xbot-docker":
            path = os.path.join(build, "tests/xbot-docker-halting")
        shutil.copy(path, os.path.join(own, name))
    return own


def images(engine, name=None):
    """ids of images of ours: (with a name, without)"""
    label = "label=xbot.image.name" + (f"={name}" if name else "")
    named, left = [], []
    for line in engine.docker("images", "--no-trunc", "--filter", label,
                              "--format", "{{.ID}} {{.Tag}}").splitlines():
        ident, tag = line.split()
        (left if tag == "<none>" else named).append(ident)
    return named, left


def container(engine, name):
    """Its inspection, None: there is none."""
    got = engine.docker("container", "inspect", name, ok=False)
    try:
        return json.loads(got)[0]
    except (ValueError, IndexError):
        return None


def image(engine, name):
    got = engine.docker("image", "inspect", name, ok=False)
    try:
        return json.loads(got)[0]
    except (ValueError, IndexError):
        return None


def root_of(engine, name, of_image=False):
    """Everything that a tar says of each file: {path: facts}.  A container's
    is its export; an image's its layer, as it was imported."""
    word = "save" if of_image else "export"
    with subprocess.Popen(["/usr/bin/docker", "-H", engine.host, word, name],
                          stdout=subprocess.PIPE) as p:
        if not of_image:
            return files_of(p.stdout)
        found = []
        with tarfile.open(fileobj=p.stdout, mode="r|") as tar:
            for m in tar:
                if m.name.endswith("/layer.tar"):
                    found.append(files_of(tar.extractfile(m)))
    if len(found) != 1:
        raise RuntimeError(f"{name} has {len(found)} layers")
    return found[0]


def files_of(stream):
    found = {}
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for m in tar:
            data = b"" if not m.isreg() else tar.extractfile(m).read()
            caps = sorted(i for i in m.pax_headers.items() if "xattr" in i[0])
            found[m.name] = (m.type, oct(m.mode), m.uid, m.gid, m.size,
                             m.mtime, m.linkname, m.devmajor, m.devminor,
                             caps, hashlib.sha256(data).hexdigest())
    return found
