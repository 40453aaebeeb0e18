#!/usr/bin/env python3
"""A running supervisor, looked at from outside through /proc.

usage: live.py [--probe priv_probe] [--state DIR] [--expect ROLE,...]
    [--stderr] PID

PID is the parent's.  Every child has to be what the policy table (printed by
priv_probe -t) says: its own user, no capability, no_new_privs, seccomp, its
root, and no descriptor but sockets, pipes, event queues and /dev/null (the
ledger: its database).  A parent that does not run as root is held to the
part that is left.  --stderr: children may share the parent's descriptor 2
(a supervisor in the foreground).  TAP, then "N passed, N failed, N skipped".
"""

import argparse
import os
import pwd
import re
import subprocess
import sys

SLOTS = range(62000, 64000)    # the default, and that of tests
SECRET = re.compile(r"TOKEN|SECRET|PASSW|APIKEY|API_KEY|PRIVATE", re.I)
ANON = ("anon_inode:[eventpoll]", "anon_inode:[eventfd]",
        "anon_inode:[timerfd]", "anon_inode:[signalfd]")

counts = {"passed": 0, "failed": 0, "skipped": 0}


def say(ok, text, why=""):
    counts["passed" if ok else "failed"] += 1
    number = sum(counts.values())
    tail = "" if ok or why == "" else ": " + str(why)
    print(f"{'ok' if ok else 'not ok'} {number} {text}{tail}")


def skip(text):
    counts["skipped"] += 1
    print(f"ok {sum(counts.values())} # skip {text}")


def table(probe):
    rows = {}
    out = subprocess.run([probe, "-t"], check=True, capture_output=True,
                         text=True).stdout
    for line in out.splitlines():
        name, binary, user, root, rights, nofile = line.split("\t")
        rows[name] = {"name": name, "binary": binary, "user": user,
                      "root": root, "rights": rights.split(),
                      "nofile": int(nofile)}
    return rows


def status(pid):
    fields = {}
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        for line in f:
            key, _, value = line.partition(":")
            fields[key] = value.split()
    return fields


def children(pid):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if status(name)["PPid"] == [str(pid)]:
                found.append(int(name))
        except (OSError, KeyError):
            continue
    return sorted(found)


def cmdline(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return [a.decode(errors="replace") for a in f.read().split(b"\0")[:-1]]


def executable(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as f:
        comm = f.read().strip()
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).split()[0]
    except OSError:
        return comm


def role_of(pid, rows, as_root):
    """By user where there are users, else by binary and arguments."""
    if as_root:
        uid = int(status(pid)["Uid"][1])
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            return None
        for row in rows.values():
            if row["user"] == user:
                return row
        return None
    words = re.split(r"[\s:/]+", " ".join(cmdline(pid)))
    binary = executable(pid)
    fits = [r for r in rows.values() if r["binary"] == binary]
    named = [r for r in fits if r["name"] in words]
    return (named or fits or [None])[0]


def inodes(path):
    """Socket inode to state (or, for unix, flags) of a /proc/net table."""
    found = {}
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            for line in f.readlines()[1:]:
                part = line.split()
                if path.endswith("unix"):
                    found[part[6]] = (part[3], part[5])
                else:
                    found[part[9]] = part[3]
    except OSError:
        pass
    return found


def descriptors(pid):
    links = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links[int(fd)] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except OSError:
            continue
    return links


def fd_allowed(link, row, state):
    if link.startswith(("socket:", "pipe:")) or link in ANON:
        return True
    if link == "/dev/null":
        return True
    if row["name"] == "docker" and state is not None:
        box = os.path.realpath(state) + "/box"
        return link == box or link.startswith(box + "/")
    # Inside its root a ledger's files have short names for itself only.
    return row["root"] == "state" and (
        state is None or link == os.path.realpath(state) or
        link.startswith(os.path.realpath(state) + "/"))


def check_fds(pid, row, state, stderr):
    links = descriptors(pid)
    if stderr is not None and links.get(2) == stderr:
        del links[2]
    odd = {fd: l for fd, l in links.items() if not fd_allowed(l, row, state)}
    say(not odd, f"{row['name']}: descriptors are of the kinds it needs", odd)
    socks = {l[8:-1] for l in links.values() if l.startswith("socket:[")}
    tcp = {**inodes(f"/proc/{pid}/net/tcp"), **inodes(f"/proc/{pid}/net/tcp6")}
    held = [i for i in socks if i in tcp]
    if row["name"] == "front" or "connect-tcp" in row["rights"]:
        say(True, f"{row['name']}: may hold TCP sockets ({len(held)})")
    else:
        say(not held, f"{row['name']}: holds no TCP socket", held)
    unix = inodes(f"/proc/{pid}/net/unix")
    # __SO_ACCEPTCON: it listens.
    listening = [i for i in socks
                 if i in unix and int(unix[i][0], 16) & 0x10000]
    if row["name"] in ("control", "docker"):
        say(True, f"{row['name']}: may listen on unix sockets "
            f"({len(listening)})")
    else:
        say(not listening, f"{row['name']}: listens on no unix socket")


def check_ids(pid, row, st):
    name = row["name"]
    user = pwd.getpwnam(row["user"])
    say(set(st["Uid"]) == {str(user.pw_uid)}, f"{name}: runs as {row['user']}",
        st["Uid"])
    say(set(st["Gid"]) == {str(user.pw_gid)}, f"{name}: group of its own",
        st["Gid"])
    extra = set(st["Groups"]) - {str(user.pw_gid)}
    if name == "docker":
        say(len(extra) <= 1, f"{name}: one group more, the Engine's", extra)
    else:
        say(not extra, f"{name}: no other group", extra)


def check_root(pid, row, state):
    name = row["name"]
    root = os.readlink(f"/proc/{pid}/root")
    if row["root"] == "host":
        say(root == "/", f"{name}: its root is /", root)
    elif row["root"] == "empty":
        say(root == "/var/empty", f"{name}: its root is /var/empty", root)
        say(os.listdir(f"/proc/{pid}/root") == [], f"{name}: and it is empty")
    elif state is None:
        say(root != "/", f"{name}: its root is not /", root)
    else:
        say(root.startswith(os.path.realpath(state)),
            f"{name}: its root is its state directory", root)
    say(os.readlink(f"/proc/{pid}/cwd") == root, f"{name}: and works there")


def check_limits(pid, row):
    name = row["name"]
    limits = {}
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        for line in f:
            m = re.match(r"(Max [a-z ]+?)\s{2,}(\S+)\s+(\S+)", line)
            if m:
                limits[m[1]] = m[3]
    say(limits["Max core file size"] == "0", f"{name}: dumps no core")
    files = limits["Max open files"]
    say(files != "unlimited" and int(files) <= row["nofile"],
        f"{name}: open files are limited", files)
    if not {"fork", "thread"} & set(row["rights"]):
        say(limits["Max processes"] == "0", f"{name}: may have no process",
            limits["Max processes"])


def check_secrets(pid, name):
    with open(f"/proc/{pid}/environ", "rb") as f:
        env = [e.split(b"=")[0].decode(errors="replace")
               for e in f.read().split(b"\0") if e]
    bad = [e for e in env if SECRET.search(e)]
    say(not bad, f"{name}: no secret in its environment", bad)
    bad = [a for a in cmdline(pid) if re.search(r"[A-Za-z0-9_-]{40,}", a)]
    say(not bad, f"{name}: no secret in its arguments", bad)


def check_maps(pid, name):
    both = []
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        for line in f:
            if "w" in line.split()[1] and "x" in line.split()[1]:
                both.append(line.strip())
    say(not both, f"{name}: no memory both writable and executable", both)


def check_child(pid, row, as_root, state, stderr):
    name = row["name"]
    st = status(pid)
    if as_root:
        check_ids(pid, row, st)
        check_root(pid, row, state)
    else:
        skip(f"{name}: user and root, the parent is not root")
    for field in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        say(int(st[field][0], 16) == 0, f"{name}: {field} is empty", st[field])
    say(st["NoNewPrivs"] == ["1"], f"{name}: no_new_privs")
    say(st["Seccomp"] == ["2"], f"{name}: seccomp filters", st["Seccomp"])
    say(st["TracerPid"] == ["0"], f"{name}: is not traced")
    if "thread" not in row["rights"]:
        say(st["Threads"] == ["1"], f"{name}: one thread", st["Threads"])
    # The zygote was started before the row was entered.
    if not {"fork"} & set(row["rights"]) and name != "skill":
        say(children(pid) == [], f"{name}: has no child", children(pid))
    check_fds(pid, row, state, stderr)
    check_limits(pid, row)
    check_secrets(pid, name)
    check_maps(pid, name)


def check_executor(pid, parent_uid, seen):
    st = status(pid)
    uid = int(st["Uid"][0])
    name = f"executor {pid}"
    if parent_uid != 0:
        skip(f"{name}: uid, the parent is not root")
    else:
        say(uid in SLOTS and len(set(st["Uid"])) == 1,
            f"{name}: runs as a slot", st["Uid"])
        say(uid not in seen, f"{name}: has its slot alone", uid)
        say(int(st["CapEff"][0], 16) == 0 and int(st["CapPrm"][0], 16) == 0,
            f"{name}: no capability")
        extra = set(st["Groups"]) - {st["Gid"][0]}
        say(not extra, f"{name}: no other group", extra)
    seen.add(uid)
    odd = {fd: link for fd, link in descriptors(pid).items()
           if not link.startswith(("socket:", "pipe:"))
           and link not in ANON and link != "/dev/null"
           and not os.path.isdir(f"/proc/{pid}/fd/{fd}")}
    # Files of its user may be open for a transfer; ours may not.
    odd = {fd: l for fd, l in odd.items() if ".mdb" in l or "xbot.conf" in l
           or l.startswith("/proc")}
    say(not odd, f"{name}: holds nothing of ours", odd)
    check_secrets(pid, name)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--probe", default="priv_probe")
    ap.add_argument("--state")
    ap.add_argument("--expect", default="front,control,ledger,none,remote")
    ap.add_argument("--stderr", action="store_true")
    ap.add_argument("pid", type=int)
    args = ap.parse_args()
    rows = table(args.probe)
    parent = status(args.pid)
    parent_uid = int(parent["Uid"][1])
    as_root = parent_uid == 0
    if os.geteuid() not in (0, parent_uid):
        sys.exit("live.py: run as root or as the parent's user")
    stderr = descriptors(args.pid).get(2) if args.stderr else None
    seen_roles, seen_uids, slots = {}, {}, set()
    for pid in children(args.pid):
        try:
            if executable(pid).startswith("xbot-executor") or int(
                    status(pid)["Uid"][1]) in SLOTS:
                check_executor(pid, parent_uid, slots)
                continue
            row = role_of(pid, rows, as_root)
            if row is None:
                say(False, f"child {pid} ({cmdline(pid)}) is of the table")
                continue
            say(row["name"] not in seen_roles, f"{row['name']}: is there once")
            seen_roles[row["name"]] = pid
            uid = status(pid)["Uid"][1]
            if as_root:
                say(uid not in seen_uids,
                    f"{row['name']}: shares its uid with nobody",
                    seen_uids.get(uid))
            seen_uids[uid] = row["name"]
            check_child(pid, row, as_root, args.state, stderr)
        except (OSError, KeyError) as e:
            # Without root a process that is not dumpable cannot be read.
            if isinstance(e, PermissionError) and os.geteuid() != 0:
                skip(f"child {pid}: cannot be looked at: {e}")
            else:
                say(False, f"child {pid} can be looked at", e)
    for name in filter(None, args.expect.split(",")):
        say(name in seen_roles, f"{name}: runs")
    print(f"1..{sum(counts.values())}")
    print("{passed} passed, {failed} failed, {skipped} skipped"
          .format(**counts))
    return counts["failed"] != 0


if __name__ == "__main__":
    sys.exit(main())
