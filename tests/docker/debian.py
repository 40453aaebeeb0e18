# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""The least of a Debian in which apt-get installs a package: this machine's
own programs, what they are linked with, and empty lists of packages."""
import io
import os
import re
import subprocess
import tarfile
import tempfile

PROGRAMS = ("apt-get", "apt-config", "dpkg", "dpkg-deb", "dpkg-query",
            "dpkg-split", "tar",
            "rm", "sh", "diff", "cat", "ls", "mkdir", "ldconfig",
            "start-stop-daemon", "env", "touch", "sync", "true")
TREES = ("/usr/lib/apt", "/usr/share/dpkg")
EMPTY = ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
         "etc/dpkg", "tmp", "root", "var/lib/dpkg/info",
         "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log/apt",
         "var/lib/dpkg/parts", "var/lib/apt/lists/partial",
         "var/cache/apt/archives/partial", "var/lib/apt/periodic")


def which(name):
    for place in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        if os.path.exists(f"{place}/{name}"):
            return f"{place}/{name}"
    raise FileNotFoundError(name)


def libraries(path):
    got = subprocess.run(["ldd", path], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=False)
    return re.findall(r"(/\S+) \(0x", got.stdout.decode())


def image_of_debian(engine, tag):
    files = {which(n) for n in PROGRAMS}
    for tree in TREES:
        for top, _, names in os.walk(tree):
            files.update(os.path.join(top, n) for n in names)
    for path in list(files):
        if os.access(path, os.X_OK):
            files.update(libraries(path))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", dereference=True) as tar:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name in EMPTY:
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o1777 if (
                name == "tmp") else 0o755
            tar.addfile(made)
        for name, text in (("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
                           ("etc/group", "root:x:0:\n"),
                           ("etc/apt/sources.list", ""),
                           ("var/lib/dpkg/status", ""),
                           ("var/lib/dpkg/available", "")):
            made = tarfile.TarInfo(name)
            made.size, made.mode = len(text), 0o644
            tar.addfile(made, io.BytesIO(text.encode()))
        for path in sorted(files):
            # /lib and /bin are links, as Debian has them
            name = path if path.startswith("/usr/") else f"/usr{path}"
            tar.add(path, name.lstrip("/"), recursive=False)
    engine.docker("import", "-c", "ENV PATH=/usr/sbin:/usr/bin", "-", tag,
                  stdin=out.getvalue())


def package(directory, name):
    """A package NAME of one program NAME; its file."""
    with tempfile.TemporaryDirectory() as top:
        os.makedirs(f"{top}/DEBIAN")
        os.makedirs(f"{top}/usr/bin")
        with open(f"{top}/DEBIAN/control", "w", encoding="ascii") as f:
            f.write(f"Package: {name}\nVersion: 1\nArchitecture: all\n"
                    "Maintainer: tests <tests@localhost>\n"
                    "Description: a package of the tests\n")
        with open(f"{top}/DEBIAN/postinst", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\ntouch /var/lib/from-postinst\n")
        with open(f"{top}/usr/bin/{name}", "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\necho {name} works\n")
        os.chmod(f"{top}/DEBIAN", 0o755)
        os.chmod(f"{top}/DEBIAN/postinst", 0o755)
        os.chmod(f"{top}/usr/bin/{name}", 0o755)
        path = f"{directory}/{name}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", top, path],
                       stdout=subprocess.DEVNULL, check=True)
    return path
