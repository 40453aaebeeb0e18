# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""An Engine that is played: what it is asked is answered from a list that a
test makes up, for sizes that a real Engine takes too long to come to."""
import contextlib
import http.server
import json
import os
import shutil
import socketserver
import tempfile
import threading

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


def entry(n, user, name, labels=None, running=True):
    """One of a list of containers, with all that Docker 20.10 says of it."""
    network = {"IPAMConfig": None, "Links": None, "Aliases": None,
               "NetworkID": "a" * 64, "EndpointID": "e" * 64,
               "Gateway": "172.17.0.1", "IPAddress": "172.17.200.200",
               "IPPrefixLen": 16, "IPv6Gateway": "",
               "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
               "MacAddress": "02:42:ac:11:00:02", "DriverOpts": None}
    commit = {"xbot.image.name": name, "xbot.image.user": user,
              "xbot.image.commit": "c" * 32} if name else {}
    return {"Id": f"{n:064x}", "Names": [f"/{name}"],
            "Image": f"{name}:latest", "ImageID": f"sha256:{n:064x}",
            "Command": "/.xbot/executor -c /.xbot/sock -w /workspace -e -F "
                       "-i 0 -r",
            "Created": 1796074945, "Ports": [{"PrivatePort": 80,
                                              "Type": "tcp"}],
            "Labels": ({"xbot.sandbox.user": user, **commit}
                       if labels is None else labels),
            "State": "running" if running else "exited",
            "Status": "Up 3 weeks" if running else "Exited (0) 3 weeks ago",
            "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": network}},
            "Mounts": [{"Type": "bind", "Source": source, "Destination": to,
                        "Mode": "", "RW": True, "Propagation": "rprivate"}
                       for source, to in (
                           (f"/var/lib/xbot/box/{user}", "/.xbot"),
                           (f"/srv/xbot/workspaces/{user}", "/workspace"))]}


class Played:
    """socket, as an Engine's; asked: "GET /path" of each request but pings."""

    def __init__(self, gid):
        self.dir = tempfile.mkdtemp(prefix="xbot-played-")
        os.chmod(self.dir, 0o711)
        self.socket = f"{self.dir}/docker.sock"
        self.containers, self.asked = [], []
        self.body = None                # the list's bytes instead
        self.go = threading.Event()     # else the list stops in its middle
        self.half = threading.Event()   # it has come there
        self.changed = threading.Condition()
        self.events = 0                 # streams of events that were ended
        self.go.set()
        self.server = socketserver.ThreadingUnixStreamServer(
            self.socket, type("Handler", (Handler,), {"engine": self}))
        self.server.daemon_threads = True
        # who is told too much goes away, in the middle of the answer
        self.server.handle_error = lambda *_: None
        os.chown(self.socket, 0, gid)
        os.chmod(self.socket, 0o660)
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def end_events(self):
        """Who listens has to come again, and looks at the list then."""
        with self.changed:
            self.events += 1
            self.changed.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go.set()
        self.end_events()
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine = None

    def address_string(self):
        return "worker"

    def log_message(self, *_):
        pass

    def do_GET(self):
        what = self.path.split("?")[0]
        if what != "/_ping":
            self.engine.asked.append(f"{self.command} {self.path}")
        if what == "/_ping":
            self.answer(b"OK", "text/plain")
        elif what == "/version":
            self.answer(json.dumps(VERSION).encode())
        elif what.endswith("/containers/json"):
            self.answer(self.engine.body or
                        json.dumps(self.engine.containers).encode())
        elif what.endswith("/images/json"):
            self.answer(b"[]")
        elif what.endswith("/events"):
            self.stream_events()
        else:
            self.answer(b'{"message": "no such thing"}', status=404)

    do_POST = do_DELETE = do_GET

    def answer(self, body, kind="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        if half > 10000:
            self.engine.half.set()
            self.engine.go.wait()
        self.wfile.write(body[half:])

    def stream_events(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.engine.changed:
            before = self.engine.events
            self.engine.changed.wait_for(
                lambda: self.engine.events > before)
        with contextlib.suppress(OSError):      # nobody listens any more
            self.wfile.write(b"0\r\n\r\n")
