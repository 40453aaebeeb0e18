# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Files over HTTP: the same for every placement."""
import os
import random

from execs import bad, good


def done(t, a, text):
    return t.ok(a.status == 204 and a.body == b"", text, a)


def test_put_and_get(t, p):
    for name, data in (("plain", b"hello\n"), ("empty", b""),
                       ("binary", bytes(range(256)) * 1000),
                       ("with space é", b"x")):
        done(t, p.file("PUT", name, data), f"PUT {name}")
        a = p.file("GET", name)
        t.ok(a.status == 200 and a.body == data, f"GET {name}",
             (a.status, len(a.body), a.body[:100]))
        t.eq(a.headers.get("Content-Length"), str(len(data)),
             f"its length, {name}")
    good(t, p.exec("cat plain"), "a command sees it", stdout="hello\n")
    done(t, p.file("PUT", "plain", b"new"), "PUT over it")
    t.eq(p.file("GET", "plain").body, b"new", "is the new one")
    a = p.aside.file("GET", p.workspace + "/plain")
    t.eq(a.body, b"new", "by its whole path")
    done(t, p.file("PUT", "./x/../plain2", b"1"), "dots that stay inside")


def test_chunked(t, p):
    pieces = [b"a" * 1000, b"b" * 70000, b"c"]
    a = p.file("PUT", "chunked", iter(pieces))
    done(t, a, "PUT with a chunked body")
    t.eq(p.file("GET", "chunked").body, b"".join(pieces), "arrives whole")


def test_modes(t, p):
    done(t, p.file("PUT", "m640", b"", mode="0640"), "a mode")
    done(t, p.file("PUT", "m755", b"", mode="755"), "without a zero")
    good(t, p.exec("stat -c %a m640 m755"), "as asked",
         stdout="640\n755\n")
    done(t, p.file("PUT", "mdef", b""), "no mode")
    good(t, p.exec("stat -c %a mdef"), "is 0644", stdout="644\n")
    for mode in ("9", "-1", "abc", "77777777", "0x1ff", ""):
        bad(t, p.file("PUT", "mbad", b"", mode=mode), "EINVAL",
            f"mode {mode!r}")
    bad(t, p.file("GET", "mbad"), "ENOENT", "and nothing was made")


def test_parents(t, p):
    bad(t, p.file("PUT", "no/such/dir/f", b"x"), "ENOENT",
        "a parent that is not there")
    done(t, p.file("PUT", "new/deep/f", b"x", parents="1"), "with parents")
    t.eq(p.file("GET", "new/deep/f").body, b"x", "is there")
    p.file("PUT", "afile", b"x")
    a = p.aside.file("PUT", "afile/below", b"x", parents="1")
    t.ok(a.code in ("ENOTDIR", "EEXIST"), "beneath a file", a)


def test_not_there(t, p):
    bad(t, p.file("GET", "absent"), "ENOENT", "GET")
    bad(t, p.file("DELETE", "absent"), "ENOENT", "DELETE")
    bad(t, p.file("GET", "absent", what="stat"), "ENOENT", "stat")
    bad(t, p.file("GET", "absent", what="dir"), "ENOENT", "dir")


def test_wrong_kind(t, p):
    p.exec("mkdir -p adir; echo x >adir/f; echo x >plain; mkfifo pipe")
    want = ("EISDIR",) if p.exact else ("EISDIR", "EIO")
    for a, text in ((p.aside.file("GET", "adir"), "GET of a directory"),
                    (p.aside.file("PUT", "adir", b"x"), "PUT over a directory")):
        t.ok(a.code in want, text + ": EISDIR", a)
    want = ("ENOTDIR",) if p.exact else ("ENOTDIR", "EIO")
    for a, text in ((p.aside.file("GET", "plain/x"), "GET below a file"),
                    (p.aside.file("GET", "plain", what="dir"), "dir of a file")):
        t.ok(a.code in want, text + ": ENOTDIR", a)
    a = p.aside.file("DELETE", "adir")
    t.ok(a.code in ("EEXIST", "EISDIR"), "DELETE of a full directory", a)
    a = p.aside.file("GET", "pipe")
    t.ok(a.status >= 400, "a pipe is no file, and nobody waits", a.status)
    good(t, p.exec("ls adir"), "nothing is lost", stdout="f\n")


def test_stat(t, p):
    p.exec("printf 12345 >five; chmod 600 five; mkdir -p d; chmod 700 d; "
           "touch -d @1600000000 five; ln -sf five link")
    a = p.file("GET", "five", what="stat")
    if t.ok(a.status == 200, "stat of a file", a):
        got = a.json
        t.eq((got["name"], got["size"], got["is_dir"]),
             ("five", 5, False), "name, size, is_dir")
        t.ok(str(got["mod_time"]).startswith(("2020-09-13T12:26:40",
                                              "1600000000")),
             "mod_time", got)
        t.ok("mode" in got, "mode", got)
    a = p.aside.file("GET", "d", what="stat")
    t.ok(a.status == 200 and a.json["is_dir"] is True, "of a directory", a)
    a = p.aside.file("GET", "link", what="stat")
    t.ok(a.status == 200 and a.json["size"] == 5, "follows a link", a)
    a = p.aside.file("GET", ".", what="stat")
    t.ok(a.status == 200 and a.json["is_dir"], "of the workspace", a)


def test_dir(t, p):
    p.exec("mkdir -p list/sub; printf 123 >list/b; : >list/.hidden; "
           "ln -s /etc list/link; touch 'list/é x'")
    a = p.aside.file("GET", "list", what="dir")
    if t.ok(a.status == 200, "dir", a):
        got = sorted((e["name"], e["is_dir"]) for e in a.json["entries"])
        t.eq(got, [(".hidden", False), ("b", False), ("link", False),
                   ("sub", True), ("é x", False)], "its entries")
        sizes = {e["name"]: e["size"] for e in a.json["entries"]}
        t.eq((sizes["b"], sizes[".hidden"]), (3, 0), "and sizes")
    p.exec("mkdir -p many; cd many; seq 3000 | xargs touch")
    a = p.aside.file("GET", "many", what="dir")
    t.ok(a.status == 200 and len({e["name"] for e in a.json["entries"]}) ==
         3000, "3000 entries", a.status)


def test_mkdir(t, p):
    done(t, p.file("PUT", "made/deep", what="dir"), "mkdir -p")
    done(t, p.file("PUT", "made/deep", what="dir"), "again")
    done(t, p.file("PUT", "made/mode", what="dir", mode="0700"), "a mode")
    good(t, p.exec("stat -c %a made/mode made/deep"), "as asked",
         stdout="700\n755\n")
    p.file("PUT", "plain", b"x")
    a = p.aside.file("PUT", "plain", what="dir")
    t.ok(a.code in ("EEXIST", "ENOTDIR", "EIO"), "over a file", a)
    a = p.aside.file("PUT", "plain/x", what="dir")
    t.ok(a.code in ("ENOTDIR", "EIO"), "below a file", a)


def test_delete(t, p):
    p.exec("mkdir -p gone/a/b empty; echo x >gone/a/f; echo keep >kept; "
           "ln -s $PWD/kept gone/link; mkdir keepdir; echo x >keepdir/f; "
           "ln -s $PWD/keepdir gone/a/dirlink; ln -s kept alink")
    done(t, p.file("DELETE", "empty"), "an empty directory")
    done(t, p.file("DELETE", "alink"), "a link")
    done(t, p.file("DELETE", "gone", recursive="1"), "a tree")
    good(t, p.exec("ls -d gone 2>&1; cat kept keepdir/f"),
         "what links named is still there",
         stdout="ls: cannot access 'gone': No such file or directory\n"
         "keep\nx\n")
    a = p.aside.file("DELETE", ".", recursive="1")
    t.ok(a.status >= 400, "not the workspace itself", a)
    good(t, p.exec("cat kept"), "which is still there", stdout="keep\n")


def outside(p):
    return os.path.dirname(p.workspace) + "/" + os.path.basename(
        p.workspace) + "-sibling"


def test_escapes(t, p):
    """No path leaves the workspace, whatever it looks like."""
    if not p.guard:
        return
    p = p.aside
    sibling = outside(p)
    os.makedirs(sibling, exist_ok=True)
    os.chmod(sibling, 0o777)
    with open(sibling + "/secret", "w", encoding="ascii") as f:
        f.write("secret")
    os.chmod(sibling + "/secret", 0o666)
    p.exec(f"ln -sfn {sibling} out; ln -sf {sibling}/secret leak; "
           f"ln -sfn ../{os.path.basename(sibling)} rel; mkdir -p in; "
           f"ln -sf {sibling}/fresh dangling; ln -s loop loop")
    up = "../" + os.path.basename(sibling)
    for path in (sibling + "/secret", up + "/secret", "out/secret", "leak",
                 "rel/secret", "in/../" + up + "/secret",
                 "in/../../" + os.path.basename(sibling) + "/secret",
                 "/etc/passwd", "../../../../../../etc/passwd", "..",
                 "/", "/proc/self/environ"):
        for what in ("files", "stat"):
            a = p.file("GET", path, what=what)
            t.ok(a.code in ("EPERM", "EINVAL"),
                 f"GET {what} {os.path.basename(path) or path}", a)
    for path in (sibling + "/new", up + "/new", "out/new", "rel/new",
                 "dangling", "out/a/b", "leak"):
        a = p.file("PUT", path, b"overwritten", parents="1")
        t.ok(a.code in ("EPERM", "EINVAL") or (path in ("leak", "dangling")
                                               and a.status == 204),
             f"PUT {os.path.basename(path)}", a)
    for path in (sibling, up, "out/secret", "rel/secret", ".."):
        a = p.file("DELETE", path, recursive="1")
        t.ok(a.code in ("EPERM", "EINVAL"),
             f"DELETE {os.path.basename(path)}", a)
    for path in (sibling + "/d", "out/d", up + "/d"):
        a = p.file("PUT", path, what="dir")
        t.ok(a.code in ("EPERM", "EINVAL"),
             f"mkdir {os.path.basename(path)}", a)
        a = p.file("GET", os.path.dirname(path), what="dir")
        t.ok(a.code in ("EPERM", "EINVAL"), "and dir", a)
    t.eq(sorted(os.listdir(sibling)), ["secret"], "nothing came of it")
    with open(sibling + "/secret", encoding="ascii") as f:
        t.eq(f.read(), "secret", "and nothing was written")
    a = p.file("GET", "loop")
    t.ok(a.status >= 400, "a link to itself", a)


def test_bad_paths(t, p):
    p = p.aside
    bad(t, p.file("GET", "a\0b"), "EINVAL", "a NUL")
    bad(t, p.file("PUT", "", b"x"), "EINVAL", "an empty path")
    a = p.call("GET", f"/v1/users/{p.user}/files")
    bad(t, a, "EINVAL", "no path")
    a = p.file("GET", "x" * 300)
    t.ok(a.status in (400, 404), "a name too long", a)
    a = p.file("GET", "x/" * 3000)
    t.ok(a.status in (400, 404), "a path too long", a)
    a = p.call("GET", f"/v1/users/{p.user}/files?path=%ff%fe")
    t.ok(a.status in (400, 404), "bytes that are not UTF-8", a)
    a = p.call("GET", f"/v1/users/{p.user}/files?path=%zz")
    bad(t, a, "EINVAL", "a bad escape")


def test_ranges(t, p):
    p.file("PUT", "range", b"0123456789")
    for header, want in (("bytes=0-3", b"0123"), ("bytes=4-", b"456789"),
                         ("bytes=-3", b"789"), ("bytes=9-9", b"9"),
                         ("bytes=5-100", b"56789"), ("Bytes=0-1", b"01"),
                         ("bytes=-100", b"0123456789")):
        a = p.file("GET", "range", headers={"Range": header})
        t.ok(a.status == 206 and a.body == want, header, a)
        last = 10 - 1 if header == "bytes=-100" else None
        if a.status == 206:
            start = b"0123456789".index(want)
            t.eq(a.headers["Content-Range"],
                 f"bytes {start}-{last or start + len(want) - 1}/10",
                 f"Content-Range of {header}")
    a = p.file("GET", "range", headers={"Range": "bytes=10-"})
    t.ok(a.status == 416 and a.headers.get("Content-Range") == "bytes */10",
         "past the end: 416", (a, a.headers.get("Content-Range")))
    p = p.aside
    for header in ("lines=1-2", "bytes=a-b", "bytes=5-2", "bytes=",
                   "bytes=0-1,4-5"):
        a = p.file("GET", "range", headers={"Range": header})
        t.ok(a.status in (200, 206, 400, 416),
             f"{header}: whole, or refused", a)


def test_resumed_put(t, p):
    p.file("PUT", "part", b"0123456789")
    a = p.aside.file("PUT", "part", b"6789",
                     headers={"Content-Range": "bytes 6-9/10"})
    bad(t, a, "EINVAL", "a part of a file")
    t.eq(p.file("GET", "part").body, b"0123456789", "leaves the whole")


def test_atomic(t, p):
    """A PUT that breaks off leaves the old file and no litter."""
    p.file("PUT", "atom/f", b"old", parents="1")
    c = p.fresh()
    c.conn.connect()
    c.conn.sock.sendall(
        (f"PUT /v1/users/{p.user}/files?path=atom/f HTTP/1.1\r\nHost: x\r\n"
         f"Authorization: Bearer {p.token}\r\nContent-Length: 1000000\r\n"
         "\r\n").encode() + b"n" * 300000)
    c.close()
    for _ in range(20):
        a = p.aside.exec("ls -A atom; cat atom/f")
        if a.status == 200 and a.json["stdout"] == "f\nold":
            break
    t.eq(a.json["stdout"], "f\nold", "the old file, and only that")


def test_megabytes(t, p):
    data = random.Random(1).randbytes(1 << 20) * 24
    done(t, p.file("PUT", "big", data), "PUT of 24 MiB")
    t.ok(p.file("GET", "big").body == data, "GET of it")
    a = p.aside.file("GET", "big", headers={"Range": "bytes=10000000-10000099"})
    t.eq(a.body, data[10000000:10000100], "a piece of it")
