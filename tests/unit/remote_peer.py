# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Plays parent, ledger, front and control of one xbot-remote, and the runners
behind front's sockets."""
import base64
import collections
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
sys.path.insert(0, os.path.join(TOP, 'tests/executor'))
from client import pack, unpack  # noqa: E402

ROLES = ('supervisor front control ledger none box docker remote reaper llm '
         'skill keys').split()
CODES = ('OK EINVAL EAUTH EPERM ENOENT ENOTDIR EEXIST EISDIR E2BIG EBUSY '
         'ENOTSUP EIO EOFFLINE ETIMEDOUT').split()
EXITED, SIGNALLED, TIMED_OUT, KILLED, LIMIT, LOST = range(6)
ZERO = {'bool': False, 'str': '', 'secret': '', 'path': b'', 'bin': b'',
        'id': bytes(16)}
MIB = 1 << 20


def load():
    table, current = {}, None
    for name in ('ctl', 'exec'):
        with open(f'{TOP}/proto/{name}.def', encoding='utf-8') as text:
            for line in text:
                words = line.split('#')[0].split()
                if words and words[0] == 'message':
                    current = table[words[1]] = (int(words[2]), [])
                elif words and words[0] != 'protocol':
                    current[1].append((words[0], words[1]))
    return table


TABLE = load()
NAMES = {ident: name for name, (ident, _) in TABLE.items()}


def version():
    with open(os.path.join(TOP, 'meson.build'), encoding='utf-8') as f:
        return f.read().split("version: '", 1)[1].split("'", 1)[0]


class Msg:
    def __init__(self, name, serial, fields):
        if 'name' in fields:
            fields['name_'] = fields.pop('name')
        self.name, self.serial = name, serial
        self.__dict__.update(fields)

    def __repr__(self):
        return f'{self.__dict__!r:.300}'


class Chan:
    def __init__(self, sock):
        self.sock, self.buf = sock, bytearray()

    def send(self, name, serial=0, /, fd=None, **fields):
        frame = encode(name, serial, fields)
        if fd is not None:
            socket.send_fds(self.sock, [frame], [fd])
            return
        self.sock.sendall(frame)

    def read(self):
        """One recv; the whole messages that are there; None: gone."""
        try:
            data = self.sock.recv(MIB)
        except ConnectionError:
            data = b''
        if not data:
            return None
        self.buf += data
        out, at = decode(self.buf)
        del self.buf[:at]
        return out


class Conn:
    """A runner's socket as front would relay it."""

    def __init__(self, world, user, credit=None, protocol=''):
        self.w, self.user = world, user
        self.serial = world.next()
        self.upto = self.sent = self.got = 0
        self.messages, self.part, self.closed = collections.deque(), [], None
        self.bulk = False           # may its bytes stay in front?
        world.conns[self.serial] = self
        world.front.send('ws_open', self.serial, user=user, address='test',
                         protocol=protocol)
        self.sliding = credit is None
        self.credit(MIB if credit is None else credit)

    def credit(self, upto):
        self.w.front.send('ws_credit', self.serial, upto=upto)

    def raw(self, data, frag=4096, opcode=1, wait=True):
        """A message in fragments, as far as credit goes; False: closed."""
        view, first = memoryview(data), True
        while first or view:
            n = min(frag, len(view))
            if wait and not self.w.until(
                    lambda: self.upto - self.sent >= n or self.closed):
                raise TimeoutError('no credit')
            if self.closed:
                return False
            self.w.front.send('ws_data', self.serial, opcode=opcode,
                              first=first, fin=n == len(view),
                              bytes=bytes(view[:n]))
            self.sent += n
            view, first = view[n:], False
        return True

    def send(self, frag=4096, **message):
        # Go escapes these and so do we.
        text = json.dumps(message, ensure_ascii=False)
        for c in '<>&\u2028\u2029':
            text = text.replace(c, f'\\u{ord(c):04x}')
        return self.raw(text.encode(), frag)

    def register(self, token='tok', user=None, **body):
        body = {'user_id': self.user if user is None else user,
                'auth_token': token, 'workspace': '/ws', 'shell': '/bin/bash',
                **body}
        self.send(type='register', user_id=self.user, body=body)
        return self

    def on_send(self, m):
        self.got += len(m.bytes)
        assert m.first == (not self.part), m
        self.part.append(m.bytes)
        self.slide()
        if m.fin:
            self.on_message(m.opcode, b''.join(self.part))
            self.part = []

    def slide(self):
        if self.sliding and self.w.front is not None:
            try:
                self.credit(self.got + MIB)
            except BrokenPipeError:     # remote gave this front up
                pass

    def on_bulk(self, m):
        data = m.head + self.w.bulks[m.bulk]
        self.got += len(data)
        assert not self.part, m
        self.slide()
        self.on_message(2, data)

    def on_message(self, opcode, data):
        assert opcode == 1, opcode
        self.messages.append(json.loads(data))

    def next(self, timeout=10):
        """The next message to this runner."""
        self.w.until(lambda: self.messages or self.closed, timeout)
        assert self.messages, f'no message; closed {self.closed}'
        return self.messages.popleft()

    def asked(self, kind):
        m = self.next()
        assert m['type'] == kind and m['user_id'] == self.user, m
        return m

    def asked_push(self, kind):
        m = self.next()
        assert m['type'] == kind and 'id' not in m, m
        return m

    def answer(self, request, kind='ok', body=None, **more):
        m = {'id': request['id'], 'type': kind}
        if body is not None:
            m['body'] = body
        return self.send(**m, **more)

    def wait_close(self, timeout=10):
        self.w.until(lambda: self.closed, timeout)
        return self.closed

    def gone(self):
        self.w.front.send('ws_gone', self.serial)
        self.w.conns.pop(self.serial, None)


def encode(name, serial, fields):
    ident, shape = TABLE[name]
    body = []
    for kind, field in shape:
        value = fields.pop(field, ZERO.get(kind, [] if kind.endswith('s')
                                           and kind != 'bool' else 0))
        if kind in ('path', 'bin') and isinstance(value, str):
            value = value.encode()
        body.append(value)
    assert not fields, fields
    # The type is looked at before decoding: as short as msgpack-c has it.
    num = bytes([ident]) if ident < 128 else b'\xcd' + struct.pack('>H', ident)
    frame = b''.join((b'\xdc', struct.pack('>H', len(body) + 2), num,
                      pack(serial), *map(pack, body)))
    return struct.pack('>I', len(frame)) + frame


def decode(data):
    """The whole messages in there, and how many bytes that was."""
    out, at = [], 0
    while len(data) - at >= 4:
        n = struct.unpack_from('>I', data, at)[0]
        if len(data) - at < 4 + n:
            break
        values = unpack(bytes(data[at + 4:at + 4 + n]), 0)[0]
        at += 4 + n
        name = NAMES[values[0]]
        fields = [f for _, f in TABLE[name][1]]
        out.append(Msg(name, values[1], dict(zip(fields, values[2:]))))
    return out, at


UNCOUNTED = ('hello', 'unsupported', 'bye', 'ping', 'pong', 'ack', 'resume')


class Link2:
    """What a runner of version 2 remembers between its connections."""

    def __init__(self):
        self.id, self.sent, self.taken, self.kept = os.urandom(16), 0, 0, []
        self.base = 0               # frames that the other has taken
        self.seen = []              # counted messages, in order


class Conn2(Conn):
    """A runner's connection of version 2."""

    def __init__(self, world, link, user='alice', token='tok', credit=None,
                 **body):
        super().__init__(world, user, credit, protocol='xbot.exec.v2')
        self.link, self.control = link, collections.deque()
        self.register(token, **body)
        m = self.next()
        assert m['type'] == 'register_ok', m

    def on_message(self, opcode, data):
        if opcode == 1:
            super().on_message(opcode, data)
            return
        messages, n = decode(data)
        assert n == len(data) <= 65536 + 266 * 1024, n
        for m in messages:
            if m.name in UNCOUNTED:
                self.control.append(m)
                if m.name == 'ack':
                    self.acked(m.taken)
            else:
                self.link.taken += 1
                self.link.seen.append(m)

    def acked(self, taken):
        link = self.link
        assert link.base <= taken <= link.sent, (link.base, taken, link.sent)
        del link.kept[:taken - link.base]
        link.base = taken

    def frames(self, *frames):
        return self.raw(b''.join(frames), 1 << 20, opcode=2)

    def say(self, name, **fields):
        """Not counted."""
        return self.frames(encode(name, 0, fields))

    def wait_control(self, name):
        self.w.until(lambda: self.control or self.closed)
        m = self.control.popleft()
        assert m.name == name, m
        return m

    def resume(self, ack=True):
        """True: it was known."""
        link = self.link
        self.say('hello', min=1, max=1)
        self.say('resume', link=link.id, taken=link.taken)
        self.wait_control('hello')
        m = self.wait_control('resume')
        if m.link == link.id:
            self.acked(m.taken)
            for frame in link.kept:
                self.frames(frame)
            return True
        assert m.link == bytes(16) and m.taken == 0, m
        link.sent = link.taken = link.base = 0
        link.kept, link.seen = [], []
        if ack:
            self.say('ack', taken=0)
        return False

    def tell(self, name, send=True, **fields):
        """Counted; kept until it is acknowledged."""
        frame = encode(name, 0, fields)
        self.link.sent += 1
        self.link.kept.append(frame)
        if send:
            self.frames(frame)

    def tell_bulk(self, **fields):
        """Counted job_data whose bytes stay in front -> their number"""
        data = fields['bytes']
        frame = encode('job_data', 0, fields)
        self.link.sent += 1
        self.link.kept.append(frame)
        return self.bulk_data(frame[:-len(data)], data)

    def bulk_data(self, head, data, size=None):
        self.w.until(lambda: self.closed or
                     self.upto - self.sent >= len(head) + len(data))
        number = self.w.bulk(data)
        self.sent += len(head) + len(data)
        self.w.front.send('bulk_ws_data', self.serial, head=head, bulk=number,
                          len=len(data) if size is None else size)
        return number

    def seen(self, name, timeout=10):
        """The next message of that name; those before it are dropped."""
        def there():
            while self.link.seen and self.link.seen[0].name != name:
                self.link.seen.pop(0)
            return self.link.seen or self.closed
        self.w.until(there, timeout)
        assert self.link.seen, f'no {name}; closed {self.closed}'
        return self.link.seen.pop(0)

    def ack(self):
        self.say('ack', taken=self.link.taken)


class Session:
    def __init__(self, world, user='alice', runner='laptop', peer='front'):
        self.w, self.serial, self.peer = world, world.next(), peer
        self.queue = collections.deque()
        self.job = os.urandom(16)
        self.bulk = False           # may its bytes stay in front?
        world.sessions[peer, self.serial] = self
        self.chan.send('session_open', self.serial, user=user, runner=runner)

    @property
    def chan(self):
        return getattr(self.w, self.peer)

    def send(self, name, **fields):
        self.chan.send(name, self.serial, job=fields.pop('job', self.job),
                       **fields)

    def send_bulk(self, data, **fields):
        """job_data whose bytes stay in front -> their number"""
        self.w.until(lambda: self.bulk)
        number = self.w.bulk(data)
        self.send('bulk_data', bulk=number, len=len(data), **fields)
        return number

    def next(self, timeout=10):
        self.w.until(lambda: self.queue, timeout)
        assert self.queue, 'nothing for this session'
        return self.queue.popleft()

    def wait(self, *names, timeout=10):
        while True:
            m = self.next(timeout)
            if m.name in names:
                return m

    def exec(self, stdin=b'', credit=1 << 30, **fields):
        fields.setdefault('argv', ['true'])
        self.send('job_start', timeout_ms=fields.pop('timeout_ms', 60000),
                  **fields)
        for at in range(0, len(stdin), 65536):
            self.send('job_data', stream=0, offset=at,
                      bytes=stdin[at:at + 65536])
        self.send('job_eof', stream=0, offset=len(stdin))
        for stream in (1, 2):
            if credit:
                self.send('job_credit', stream=stream, upto=credit)
        return self

    def end(self, timeout=20, stdout=b''):
        """(streams, terminal message) when the job is over."""
        streams = collections.defaultdict(bytearray)
        streams[1] += stdout
        while True:
            m = self.next(timeout)
            if m.name == 'job_data':
                assert m.offset == len(streams[m.stream]), m
                streams[m.stream] += m.bytes
            elif m.name in ('job_exit', 'job_done', 'job_refused',
                            'session_lost'):
                return streams, m

    def close(self):
        self.chan.send('session_close', self.serial)
        self.w.sessions.pop((self.peer, self.serial), None)


class World:
    def __init__(self, binary, limit=700 * MIB, budget=2048 * MIB, level=2,
                 edges=('ledger', 'front', 'control'), go=True):
        ours, theirs = socket.socketpair()

        def fd3():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
        self.proc = subprocess.Popen([binary, 'remote'], preexec_fn=fd3,
                                     pass_fds=[3, theirs.fileno()])
        theirs.close()
        self.parent = Chan(ours)
        self.lines, self.faults, self.statuses = [], [], []
        self.ready = self.gone = False
        self.serial, self.generation = 100, 0
        self.conns, self.sessions, self.tokens = {}, {}, {}
        self.front = self.control = self.ledger = None
        self.ledger_quiet = False
        self.bulks = {}             # what stays in front, by number
        self.parent.send('start', role=ROLES.index('remote'), level=level,
                         build=version())
        self.configure(limit, budget)
        for edge in edges:
            self.edge(edge)
        self.token('tok', 'alice', 'laptop')
        if go:
            self.go()

    def go(self):
        self.parent.send('go')
        assert self.until(lambda: self.ready), self.lines

    def configure(self, limit, budget):
        self.parent.send('conf_remote', message_limit=limit,
                         assembly_budget=budget)
        self.parent.send('conf_commit')

    def edge(self, role):
        ours, theirs = socket.socketpair()
        self.generation += 1
        self.parent.send('peer', fd=theirs.fileno(), role=ROLES.index(role),
                         generation=self.generation)
        theirs.close()
        if getattr(self, role) is not None:
            getattr(self, role).sock.close()
        if role == 'front':
            self.bulks.clear()
        setattr(self, role, Chan(ours))

    def token(self, text, user, name):
        self.tokens[user, hashlib.sha256(text.encode()).digest()] = name

    def next(self):
        self.serial += 1
        return self.serial

    def bulk(self, data):
        number = self.next()
        self.bulks[number] = data
        return number

    def runner(self, user='alice', token='tok', **body):
        c = Conn(self, user).register(token, **body)
        assert c.next() == {'type': 'register_ok', 'body': {'status': 'ok'}}
        return c

    # --- what comes from remote ---

    def on_parent(self, m):
        if m.name == 'ready':
            self.ready = True
        elif m.name == 'log':
            self.lines.append(m.text)
        elif m.name == 'peer_fault':
            self.faults.append((ROLES[m.role], m.why))

    def on_ledger(self, m):
        if m.name == 'runner_auth' and not self.ledger_quiet:
            name = self.tokens.get((m.user, m.hash), '')
            is_global = name.startswith('*')    # the global token's
            self.ledger.send('runner_authed', m.serial, user=m.user,
                             name=name.lstrip('*'), **{'global': is_global})
        elif m.name == 'runner_status':
            self.statuses.append(m)

    def on_front(self, m, peer='front'):
        conn = self.conns.get(m.serial)
        if m.name == 'ws_send' and conn:
            conn.on_send(m)
        elif m.name == 'bulk_ws_send' and conn:
            conn.on_bulk(m)
        elif m.name == 'bulk_link' and conn:
            conn.bulk = m.on
        elif m.name == 'bulk_session':
            assert peer == 'front', peer
            if (peer, m.serial) in self.sessions:       # not closed meanwhile
                self.sessions[peer, m.serial].bulk = True
        elif m.name == 'bulk_free':
            del self.bulks[m.bulk]
        elif m.name == 'ws_credit' and conn:
            conn.upto = m.upto
        elif m.name == 'ws_close' and conn:
            conn.closed = (m.code, m.reason)
        elif m.name == 'bulk_data' and (peer, m.serial) in self.sessions:
            m.bytes = self.bulks[m.bulk]
            self.sessions[peer, m.serial].queue.append(m)
        elif (peer, m.serial) in self.sessions:
            self.sessions[peer, m.serial].queue.append(m)

    def pump(self, timeout):
        chans = {c.sock: name for name in ('parent', 'ledger', 'front',
                                           'control')
                 if (c := getattr(self, name)) is not None}
        ready = select.select(list(chans), [], [], timeout)[0]
        for sock in ready:
            name = chans[sock]
            chan = getattr(self, name)
            if chan is None or chan.sock is not sock:
                continue
            for m in self.gone_edge(name, chan.read()):
                if name == 'control':
                    self.on_front(m, 'control')
                else:
                    getattr(self, 'on_' + name)(m)
        return bool(ready)

    def gone_edge(self, name, messages):
        if messages is None:
            if name == 'parent':
                self.gone = True
                raise EOFError(f'xbot-remote is gone: {self.lines[-5:]}')
            setattr(self, name, None)
        return messages or []

    def until(self, condition, timeout=10):
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.pump(left)
        return True

    def settle(self, quiet=0.15):
        while self.pump(quiet):
            pass

    def rss(self):
        with open(f'/proc/{self.proc.pid}/status', encoding='ascii') as f:
            for line in f:
                if line.startswith('VmRSS'):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.parent.send('stop')
        rc = self.proc.wait(timeout=10)
        return rc


def b64(data):
    return base64.b64encode(data).decode()
