# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""python3-websockets for tests that do one thing after the other."""
import asyncio
import json

import websockets

from xbot import DEADLINE


class Refused(Exception):
    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status = status


class WebSocket:
    """/pty or /stdio of one user; the loop only runs while we wait."""

    def __init__(self, port, path, token, **more):
        self.loop = asyncio.new_event_loop()
        more = {"max_size": None, "ping_interval": None, "max_queue": 4,
                **more}
        try:
            self.ws = self.run(self.connect(
                f"ws://127.0.0.1:{port}{path}", extra_headers={
                    "Authorization": f"Bearer {token}"}, **more))
        except websockets.exceptions.InvalidStatusCode as e:
            self.loop.close()
            raise Refused(e.status_code) from None
        self.got = b""          # bytes of the process so far
        self.texts = []         # and messages

    @staticmethod
    async def connect(*args, **more):
        return await websockets.connect(*args, **more)

    def run(self, awaitable, timeout=DEADLINE):
        async def bounded():
            return await asyncio.wait_for(awaitable, timeout)
        return self.loop.run_until_complete(bounded())

    def send(self, data):
        self.run(self.ws.send(data))

    def ask(self, **fields):
        self.send(json.dumps(fields))

    def recv(self, timeout=DEADLINE):
        m = self.run(self.ws.recv(), timeout)
        if isinstance(m, bytes):
            self.got += m
        else:
            self.texts.append(json.loads(m))
        return m

    def until(self, true, timeout=DEADLINE):
        """Receives until true(self); its value."""
        while True:
            value = true(self)
            if value:
                return value
            self.recv(timeout)

    def expect(self, data, timeout=DEADLINE):
        """Receives until these bytes are there; what stood before them."""
        self.until(lambda s: data in s.got, timeout)
        before, self.got = self.got.split(data, 1)
        return before

    def end(self, timeout=DEADLINE):
        """To the end: the last text message, the close code"""
        try:
            while True:
                self.recv(timeout)
        except websockets.exceptions.ConnectionClosed:
            pass
        code = self.ws.close_code
        self.loop.close()
        return (self.texts[-1] if self.texts else None), code

    def close(self):
        if not self.loop.is_closed():
            self.run(self.ws.close())
            self.loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
