# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A Debian root for an Engine without network: this host's own packages.

What etc/deps.sh wants is put into a tar as dpkg installed it here, with
everything that it depends on, and with a dpkg that knows of it.
"""
import io
import os
import re
import subprocess
import tarfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
STATUS = "/var/lib/dpkg/status"
MERGED = ("bin", "lib", "lib64", "sbin")
ACCOUNTS = "/usr/share/base-passwd/{}.master"
SKIPPED = re.compile(r"^/usr/share/(doc|man|locale|info|lintian)/|/__pycache__/")


def wanted(*purposes):
    """Package names of etc/deps.sh."""
    with open(f"{TOP}/etc/deps.sh", encoding="ascii") as f:
        text = f.read()
    names = []
    for purpose in purposes:
        names += re.search(rf"^{purpose}='(.*?)'", text,
                           re.M | re.S)[1].split()
    return names


def installed():
    """name: (its paragraph of dpkg's status, names it depends on)"""
    found, provided = {}, {}
    with open(STATUS, encoding="utf-8") as f:
        paragraphs = f.read().split("\n\n")
    for text in paragraphs:
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", text, re.M))
        if fields.get("Status") != "install ok installed":
            continue
        depends = fields.get("Pre-Depends", "") + "," + fields.get(
            "Depends", "")
        names = [[re.sub(r"[ (:].*", "", one.strip())
                  for one in group.split("|")]
                 for group in depends.split(",") if group.strip()]
        found[fields["Package"]] = (
            text, names, fields.get("Essential") == "yes")
        for other in fields.get("Provides", "").split(","):
            provided[re.sub(r"[ (].*", "", other.strip())] = fields["Package"]
    return found, provided


def closure(names):
    have, provided = installed()
    names = list(names) + ["apt"] + [n for n, p in have.items() if p[2]]
    chosen = {}
    while names:
        name = names.pop()
        name = name if name in have else provided.get(name)
        if name is None or name in chosen:
            continue
        chosen[name] = have[name][0]
        for group in have[name][1]:
            names += [n for n in group if n in have or n in provided]
    return chosen


def files(packages):
    listed = subprocess.run(["dpkg", "-L", *packages], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    paths = {real(p) for p in listed.splitlines() if p.startswith("/")}
    paths |= {f"/etc/alternatives/{n}" for n in os.listdir(
        "/etc/alternatives")}
    for directory in ("/usr/bin", "/usr/sbin"):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.islink(path) and os.readlink(path).startswith(
                    "/etc/alternatives/"):
                paths.add(path)
    return sorted(p for p in paths if p != "/" and not SKIPPED.search(p))


def real(path):
    """/bin/sh as /usr/bin/sh: those are links in a merged root."""
    part = path.split("/")[1] if path != "/" else ""
    return "/usr" + path if part in MERGED else path


def write(path, *purposes):
    """The root's tar, in path; one that is there is good."""
    if os.path.exists(path):
        return
    packages = closure(wanted(*purposes))
    with tarfile.open(path + ".new", "w") as tar:
        def put(name, text):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(text))
        for name in MERGED:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "usr/" + name
            tar.addfile(info)
        for name in ("tmp", "var/tmp"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(info)
        for name in files(packages):
            if os.path.lexists(name) and name not in ("/tmp", "/var/tmp"):
                tar.add(name, recursive=False)
        for name in ("passwd", "group"):
            with open(ACCOUNTS.format(name), "rb") as f:
                put(f"etc/{name}", f.read())
        put(STATUS, "\n\n".join(packages.values()).encode() + b"\n")
        for name in os.listdir("/etc/ssl/certs"):
            tar.add(f"/etc/ssl/certs/{name}", recursive=False)
        tar.add("/etc/ld.so.cache")
    os.rename(path + ".new", path)
