# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A Docker Engine of the tests' own, with images made from busybox.

It keeps everything below one temporary directory, has no network, and ends
with close(): an Engine that runs on the machine already is not touched.
"""
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile

from xbot import (Log, alive, children, cmdline, descendants, free_port,
                  processes, wait_for)

REGISTRY = """version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {dir}/registry}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
BUSYBOX = "/bin/busybox"
LOCALE = "/usr/lib/locale/C.utf8"
TOOLS = """sh bash dash ls cat echo printf pwd env true false sleep sort tr wc
head tail seq grep sed kill setsid mkfifo ln chmod touch mkdir rm cp mv id stty
tty cut base64 pgrep ps curl stat test expr dd od yes tee xargs find date uname
readlink mknod truncate md5sum""".split()
PASSWD = ("root:x:0:0:root:/root:/bin/sh\n"
          "joe:x:1000:1000::/home/joe:/bin/sh\n")
GROUP = "root:x:0:\njoe:x:1000:\nextra:x:2000:joe\n"


class Adder:
    """Files that are made up, into an archive."""

    def __init__(self, tar):
        self.tar = tar

    def __call__(self, name, kind, mode, data=b"", uid=0, link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size = kind, mode, len(data)
        info.uid = info.gid = uid
        info.linkname = link
        self.tar.addfile(info, io.BytesIO(data))


class Registry:
    """Debian's, on a port of loopback."""

    def __init__(self, engine):
        self.port = free_port()
        config = f"{engine.dir}/registry.yml"
        with open(config, "w", encoding="ascii") as f:
            f.write(REGISTRY.format(dir=engine.dir, port=self.port))
        self.process = subprocess.Popen(
            ["/usr/bin/docker-registry", "serve", config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/")
        wait_for("registry", self.ready)

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Engine:
    def __init__(self, group="root", disk_mb=None, apart=False):
        """disk_mb: its disk is no larger; apart: it has its own process ids
        and its own view of the disk."""
        self.apart = ["unshare", "-m", "-p", "-f", "--mount-proc",
                      "--kill-child"] if apart else []
        self.dir = tempfile.mkdtemp(prefix="xbot-dockerd-")
        os.chmod(self.dir, 0o711)
        if disk_mb:
            os.mkdir(f"{self.dir}/data")
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m",
                            "tmpfs", f"{self.dir}/data"], check=True)
        self.socket = os.path.join(self.dir, "docker.sock")
        self.host = f"unix://{self.socket}"
        self.group = group
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self.apart + ["dockerd", "--data-root", f"{self.dir}/data",
             "--exec-root", f"{self.dir}/exec", "-H", self.host,
             "--pidfile", f"{self.dir}/pid", "--group", self.group,
             "--bridge=none", "--iptables=false", "--ip6tables=false"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, cwd="/")
        self.log = Log(self.process.stderr)
        self.log.wait("API listen on")

    def pid(self):
        """dockerd's, as it is here"""
        pid = self.process.pid
        return children(pid)[0] if self.apart else pid

    def stop(self, sig=signal.SIGTERM):
        pid = self.pid()
        below = [p for p in children(pid) if cmdline(p)[:1] == ["containerd"]]
        os.kill(pid, sig)
        self.process.wait(60)
        # It dies with dockerd; the next one must not take it for its own, nor
        # its zombie where nobody reaps.
        for pid in below:
            wait_for("end of containerd", lambda p=pid: not alive(p))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.dir}/exec/containerd/containerd.pid")
        self.log.join(5)

    def kill(self):
        """Its containerd goes along, containers go on without anybody; the
        next start wants nothing of either in its way."""
        self.stop(signal.SIGKILL)
        there = f"{self.dir}/exec/containerd"
        for name in os.listdir(there):
            if name.startswith("containerd") and name != "containerd.toml":
                os.unlink(f"{there}/{name}")

    def end_shims(self):
        """Those that a killed Engine left behind, with their containers."""
        for pid in processes():
            words = cmdline(pid)
            if "containerd-shim" in (words or [""])[0] and any(
                    w.startswith(self.dir + "/") for w in words):
                for one in descendants(pid) + [pid]:
                    with contextlib.suppress(OSError):
                        os.kill(one, signal.SIGKILL)

    def close(self):
        for line in self.docker("ps", "-aq").splitlines():
            self.docker("rm", "-f", line)
        self.stop()
        self.end_shims()
        with open("/proc/mounts", encoding="utf-8") as f:
            mounts = [line.split()[1] for line in f]
        for path in reversed(mounts):
            if path.startswith(self.dir + "/"):
                subprocess.run(["umount", path], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def docker(self, *words, stdin=b"", ok=True):
        """What it printed."""
        got = subprocess.run(["/usr/bin/docker", "-H", self.host, *words],
                             input=stdin, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=120,
                             check=False)
        text = got.stdout.decode(errors="replace").strip()
        if ok and got.returncode != 0:
            raise RuntimeError(f"docker {words}: {text}")
        return text

    def inspect(self, name):
        got = self.docker("inspect", name, ok=False)
        try:
            return json.loads(got)[0]
        except (ValueError, IndexError):
            return None

    def running(self, name):
        got = self.inspect(name)
        return got is not None and got["State"]["Running"]

    def wait_stopped(self, name):
        wait_for(f"{name} stopped", lambda: not self.running(name))

    def build_host(self, tag, *changes):
        """A root with this machine's own programs, for equal answers."""
        wanted = [p for p in map(shutil.which, TOOLS) if p]
        libs = subprocess.run(["ldd", *wanted], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        files = set(wanted) | set(re.findall(r"(/\S+) \(0x",
                                             libs.stdout.decode()))
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", dereference=True) as tar:
            add = Adder(tar)
            for name in ("root", "usr", "etc", "home"):
                add(name, tarfile.DIRTYPE, 0o755)
            add("tmp", tarfile.DIRTYPE, 0o1777)
            add("home/joe", tarfile.DIRTYPE, 0o755, uid=1000)
            for name in ("bin", "sbin", "lib", "lib64"):
                add("usr/" + name, tarfile.DIRTYPE, 0o755)
                add(name, tarfile.SYMTYPE, 0o777, link="usr/" + name)
            add("etc/passwd", tarfile.REGTYPE, 0o644, PASSWD.encode())
            add("etc/group", tarfile.REGTYPE, 0o644, GROUP.encode())
            if os.path.isdir(LOCALE):
                tar.add(LOCALE, LOCALE.lstrip("/"))
            inside = {p if p.startswith("/usr/") else "/usr" + p: p
                      for p in files}
            for name, path in sorted(inside.items()):
                tar.add(os.path.realpath(path), name.lstrip("/"))
        words = [w for c in changes for w in ("-c", c)]
        self.docker("import", *words, "-", tag, stdin=out.getvalue())

    def build(self, tag, *changes, passwd=PASSWD):
        """A root with every applet of busybox."""
        names = subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE,
                               check=True).stdout.decode().split()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            put = Adder(tar)
            for name in ("bin", "etc", "home", "root", "usr", "usr/bin"):
                put(name, tarfile.DIRTYPE, 0o755)
            put("tmp", tarfile.DIRTYPE, 0o1777)
            put("home/joe", tarfile.DIRTYPE, 0o755, uid=1000)
            put("etc/passwd", tarfile.REGTYPE, 0o644, passwd.encode())
            put("etc/group", tarfile.REGTYPE, 0o644, GROUP.encode())
            with open(BUSYBOX, "rb") as f:
                put("bin/busybox", tarfile.REGTYPE, 0o755, f.read())
            for name in names:
                if name != "busybox":
                    put(f"bin/{name}", tarfile.SYMTYPE, 0o777, link="busybox")
        words = [w for c in changes for w in ("-c", c)]
        self.docker("import", *words, "-", tag, stdin=out.getvalue())
