# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""A runner of protocol v1 on python3-websockets: not our code, on purpose."""
import asyncio
import json
import threading
import urllib.parse

import websockets

DEADLINE = 60
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def run(coroutine, deadline=DEADLINE):
    return asyncio.run_coroutine_threadsafe(
        asyncio.wait_for(coroutine, deadline), loop).result(deadline + 5)


class Closed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"closed with {code} {reason}")
        self.code, self.reason = code, reason


class Refused(Exception):
    def __init__(self, status):
        super().__init__(f"refused with {status}")
        self.status = status


async def connect(url, more):
    return await websockets.connect(url, compression=None, open_timeout=None,
                                    close_timeout=5, **more)


class Socket:
    def __init__(self, port, user, path=None, **more):
        if path is None:
            path = "/ws/" + urllib.parse.quote(user, safe="")
        self.user = user
        more.setdefault("max_size", None)
        more.setdefault("ping_interval", None)
        try:
            self.ws = run(connect(f"ws://127.0.0.1:{port}{path}", more))
        except websockets.InvalidStatusCode as e:
            raise Refused(e.status_code) from None

    def send(self, message):
        if isinstance(message, dict):
            message = json.dumps(message)
        try:
            run(self.ws.send(message))
        except websockets.ConnectionClosed:
            raise self.closed() from None

    def recv(self, deadline=DEADLINE):
        try:
            return json.loads(run(self.ws.recv(), deadline))
        except websockets.ConnectionClosed:
            raise self.closed() from None

    def closed(self):
        return Closed(self.ws.close_code, self.ws.close_reason)

    def wait_closed(self, deadline=DEADLINE):
        """The close code, whatever comes before."""
        try:
            while True:
                self.recv(deadline)
        except Closed as e:
            return e.code

    def register(self, token, **more):
        body = {"user_id": self.user, "auth_token": token,
                "workspace": "/ws", "shell": "/bin/sh"}
        body.update(more)
        self.send({"type": "register", "user_id": self.user, "body": body})
        return self.recv()

    def answer(self, kind, **body):
        """Waits for a request and answers it; the request."""
        while True:
            m = self.recv()
            if "id" in m:
                break
        self.send({"id": m["id"], "type": kind, "body": body})
        return m

    def close(self):
        run(self.ws.close())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def runner(sup, user, name="laptop", **more):
    """Created, connected and registered; .token is its token."""
    a = sup.client.call("POST", f"/v1/users/{user}/runners", {"name": name})
    if a.status != 201:
        raise RuntimeError(f"runner create: {a}")
    s = Socket(sup.port, user)
    s.token = a.json["token"]
    got = s.register(s.token, **more)
    if got != {"type": "register_ok", "body": {"status": "ok"}}:
        raise RuntimeError(f"register: {got}")
    return s
