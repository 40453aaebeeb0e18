# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Plays the parent, the ledger and the workers of one xbot-front, and its
clients."""
import hashlib
import http.client
import json
import os
import select
import socket
import struct
import subprocess
import threading
import time

from remote_peer import EXITED, MIB, ROLES, Chan, version

KIB = 1024
API, WS, METRICS = 1, 2, 4
SERVICE, USER = 1, 2
OUTPUT_MAX = 600 * KIB
FILE_MAX = 3 * MIB
CONF = dict(json_max=MIB, header_max=16384, output_max=OUTPUT_MAX,
            file_max=FILE_MAX, user_exec=3, user_rate=1000, host=True,
            remote=True)


def eq(got, want):
    assert got == want, f'got {got!r:.600}, want {want!r:.600}'


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.error = r.status, r.headers, None
        try:
            self.body = r.read()
        except (http.client.HTTPException, OSError) as e:
            self.body, self.error = b'', e

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.status, self.json['error']['code']


class Call(threading.Thread):
    """A request of its own thread and connection."""

    def __init__(self, w, method, path, body=None, token='service', port=None,
                 **headers):
        super().__init__(daemon=True)
        self.answer = self.fault = None
        head = {k.replace('_', '-'): v for k, v in headers.items()}
        if token:
            head['Authorization'] = 'Bearer ' + token
        if isinstance(body, dict):
            body = json.dumps(body)
        self.args = method, path, body, head
        self.c = http.client.HTTPConnection('127.0.0.1', port or w.port,
                                            timeout=30)
        self.start()

    def run(self):
        try:
            self.c.request(*self.args)
            self.answer = Answer(self.c.getresponse())
        except (http.client.HTTPException, OSError) as e:
            self.fault = e

    def end(self, timeout=20):
        self.join(timeout)
        assert not self.is_alive(), 'no answer'
        if self.answer is None:
            raise self.fault
        return self.answer


class World:
    def __init__(self, binary, conf=None):
        self.tokens = {'service': (SERVICE, ''), 'alice': (USER, 'alice')}
        self.lines, self.chans, self.queue = [], {}, {}
        ours, theirs = socket.socketpair()

        def fd3():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
        self.proc = subprocess.Popen([binary, 'front'], preexec_fn=fd3,
                                     pass_fds=[3, theirs.fileno()])
        theirs.close()
        self.generation, self.faults = 0, []
        self.parent = self.add('parent', Chan(ours))
        self.parent.send('start', role=ROLES.index('front'), level=3,
                         build=version())
        self.parent.send('conf_front', **{**CONF, **(conf or {})})
        self.parent.send('conf_commit')
        self.port, self.ws_port, self.metrics_port = (
            self.listen(f) for f in (API, WS, METRICS))
        self.ledger = self.peer('ledger')
        self.none = self.peer('none')
        self.remote = self.peer('remote')
        self.parent.send('go')
        self.wait('parent', 'ready')
        self.ledger.send('route_synced')

    def add(self, name, chan):
        self.chans[name], self.queue[name] = chan, []
        return chan

    def listen(self, flags):
        with socket.create_server(('127.0.0.1', 0)) as s:
            s.setblocking(False)
            self.parent.send('listener', fd=s.fileno(), flags=flags)
            return s.getsockname()[1]

    def peer(self, role):
        ours, theirs = socket.socketpair()
        self.generation += 1
        self.parent.send('peer', fd=theirs.fileno(), role=ROLES.index(role),
                         generation=self.generation)
        theirs.close()
        return self.add(role, Chan(ours))

    def drop(self, role):
        self.chans.pop(role).sock.close()

    def turn(self, timeout):
        """Reads what is there; answers what needs no thought."""
        chans = {c.sock: n for n, c in self.chans.items()}
        for sock in select.select(list(chans), [], [], timeout)[0]:
            name = chans[sock]
            got = self.chans[name].read()
            if got is None:
                if name == 'parent':
                    raise AssertionError(f'front ended: {self.proc.wait()}')
                self.drop(name)
                continue
            for m in got:
                if m.name == 'log':
                    self.lines.append(m.text)
                elif m.name == 'peer_fault':
                    self.faults.append(ROLES[m.role])
                else:
                    self.queue[name].append(m)

    def wait(self, who, *names, timeout=10, auto=True):
        """The next of these from that peer; earlier ones are dropped."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if auto:
                self.tell_tokens()
            while self.queue[who]:
                m = self.queue[who].pop(0)
                if m.name in names:
                    return m
            self.turn(0.05)
        raise TimeoutError(f'no {names} from {who}')

    def tell_tokens(self):
        known = {hashlib.sha256(t.encode()).digest(): v
                 for t, v in self.tokens.items()}
        for m in list(self.queue.get('ledger', ())):
            if m.name == 'token_query':
                self.queue['ledger'].remove(m)
                kind, user = known.get(m.hash, (0, ''))
                self.ledger.send('token_answer', m.serial, hash=m.hash,
                                 kind=kind, user=user)

    def serve(self, call, timeout=20):
        """The answer of a call that needs no worker."""
        end = time.monotonic() + timeout
        while call.is_alive() and time.monotonic() < end:
            self.turn(0.02)
            self.tell_tokens()
        return call.end(1)

    def get(self, path, **more):
        return self.serve(Call(self, 'GET', path, **more))

    def settle(self, seconds=0.15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(0.02)
            self.tell_tokens()

    def readable(self, sock, timeout=20):
        """Plays the peers until something comes from that client's socket:
        its answer may wait for what only they know."""
        end = time.monotonic() + timeout
        while not select.select([sock], [], [], 0)[0]:
            if time.monotonic() > end:
                raise TimeoutError('no answer')
            self.settle(0.02)

    def stop(self):
        self.parent.send('stop')
        end = time.monotonic() + 8
        while self.proc.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        return self.proc.wait(1)


class Frames:
    """WebSocket frames from a socket s of World w, past no library; buf is
    what was read already."""

    def take(self, n):
        while len(self.buf) < n:
            self.w.turn(0)
            data = self.s.recv(1 << 18)
            if not data:
                raise EOFError
            self.buf += data
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def frame(self):
        first, n = self.take(2)
        if n == 126:
            n, = struct.unpack('>H', self.take(2))
        elif n == 127:
            n, = struct.unpack('>Q', self.take(8))
        return first & 15, self.take(n)


class Job:
    """The worker's side of one session."""

    def __init__(self, w, what, role='none'):
        self.w, self.role, self.got = w, role, []
        self.open = w.wait(role, 'session_open')
        self.serial = self.open.serial
        self.start = w.wait(role, what)
        eq(self.start.serial, self.serial)
        self.id = self.start.job

    @property
    def chan(self):
        return self.w.chans[self.role]

    def say(self, name, /, **fields):
        fields.setdefault('job', self.id)
        self.chan.send(name, self.serial, **fields)

    def wait(self, *names, **more):
        while True:
            m = self.w.wait(self.role, *names, **more)
            if m.serial == self.serial:
                return m

    def out(self, data, stream=1, offset=0):
        self.say('job_data', stream=stream, offset=offset, bytes=data)

    def credit(self, stream, upto, timeout=5):
        """Waits until so much may be sent."""
        got = 0
        while got < upto:
            m = self.wait('job_credit', timeout=timeout)
            if m.stream == stream:
                got = m.upto
        return got

    def exit(self, how=EXITED, code=0):
        self.say('job_exit', how=how, code=code, duration_us=4200)

    def closed(self):
        eq(self.wait('session_close').serial, self.serial)
