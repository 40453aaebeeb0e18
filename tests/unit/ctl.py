# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Speaks ctl.def and plays the parent and the peers of one child process."""
import os
import pwd
import select
import socket
import struct
import subprocess
import sys
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
ROLES = ('supervisor front control ledger none box docker remote reaper llm '
         'skill keys').split()
# Nothing of Python's own may sit where a child expects its parent.
while os.open(os.devnull, os.O_RDONLY) < 3:
    pass


def load(path):
    messages, current = {}, None
    with open(path, encoding='utf-8') as table:
        for line in table:
            words = line.split('#')[0].split()
            if words and words[0] == 'message':
                current = (int(words[2]), [])
                messages[words[1]] = current
            elif words and words[0] != 'protocol':
                current[1].append((words[0], words[1]))
    return messages


TABLE = load(os.path.join(TOP, 'proto/ctl.def'))
NAMES = {ident: name for name, (ident, _) in TABLE.items()}


def pack(value):
    if isinstance(value, bool):
        return b'\xc3' if value else b'\xc2'
    if isinstance(value, int):
        for code, shape in ((0xcc, '>B'), (0xcd, '>H'), (0xce, '>I')):
            if value < 256 ** struct.calcsize(shape):
                return bytes([code]) + struct.pack(shape, value)
        return b'\xcf' + struct.pack('>Q', value)
    if isinstance(value, str):
        data = value.encode('utf-8', 'surrogateescape')
        return b'\xdb' + struct.pack('>I', len(data)) + data
    if isinstance(value, bytes):
        return b'\xc6' + struct.pack('>I', len(value)) + value
    return b'\xdc' + struct.pack('>H', len(value)) + b''.join(map(pack, value))


def unpack(data, at):
    """-> value, next offset"""
    c = data[at]
    at += 1
    if c <= 0x7f:
        return c, at
    if 0x90 <= c <= 0x9f or c == 0xdc:
        n = c & 15
        if c == 0xdc:
            n, at = struct.unpack_from('>H', data, at)[0], at + 2
        out = []
        for _ in range(n):
            value, at = unpack(data, at)
            out.append(value)
        return out, at
    if 0xa0 <= c <= 0xbf:
        n = c & 31
        return data[at:at + n].decode(), at + n
    if c in (0xc2, 0xc3):
        return c == 0xc3, at
    size = {0xc4: 'B', 0xc5: 'H', 0xc6: 'I', 0xd9: 'B', 0xda: 'H', 0xdb: 'I',
            0xcc: 'B', 0xcd: 'H', 0xce: 'I', 0xcf: 'Q'}[c]
    n, at = struct.unpack_from('>' + size, data, at)[0], at + struct.calcsize(size)
    if 0xcc <= c <= 0xcf:
        return n, at
    raw = bytes(data[at:at + n])
    return (raw.decode() if c >= 0xd9 else raw), at + n


class Msg:
    """A message; a field that is called name is name_ here."""

    def __init__(self, name, serial, fields):
        if 'name' in fields:
            fields['name_'] = fields.pop('name')
        self.__dict__.update(fields)
        self.name, self.serial = name, serial

    def __repr__(self):
        return repr(self.__dict__)


class Chan:
    """One end of a channel.  send(name, serial, field=...); the rest is 0."""

    def __init__(self, sock):
        self.sock, self.buf, self.serial = sock, b'', 1000

    def send(self, kind, serial=0, /, *, fd=None, **fields):
        ident, shape = TABLE[kind]
        zero = {'bool': False, 'str': '', 'secret': '', 'path': b'', 'bin': b''}
        body = [fields.pop(field, zero.get(t, 0)) for t, field in shape]
        assert not fields, fields
        frame = pack([ident, serial] + body)
        frame = struct.pack('>I', len(frame)) + frame
        if fd is None:
            self.sock.sendall(frame)
        else:
            socket.send_fds(self.sock, [frame], [fd])

    def recv(self, timeout=10.0):
        """The next message; None when the other side is gone."""
        end = time.monotonic() + timeout
        while True:
            if len(self.buf) >= 4:
                n = struct.unpack('>I', self.buf[:4])[0]
                if len(self.buf) >= 4 + n:
                    values = unpack(self.buf[4:4 + n], 0)[0]
                    self.buf = self.buf[4 + n:]
                    name = NAMES[values[0]]
                    fields = [f for _, f in TABLE[name][1]]
                    return Msg(name, values[1], dict(zip(fields, values[2:])))
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError('no message')
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                data = b''
            if not data:
                return None
            self.buf += data

    def wait(self, *names, timeout=10.0):
        """The next message of these names (or the end); others are dropped."""
        while True:
            m = self.recv(timeout)
            if m is None or m.name in names:
                return m

    def quiet(self, seconds=0.2):
        try:
            return self.recv(seconds) is None
        except TimeoutError:
            return True

    def next_serial(self):
        self.serial += 1
        return self.serial

    def close(self):
        self.sock.close()


class Child:
    """A child process started as the parent does, up to ready."""

    def __init__(self, binary, role, configure, level=2):
        ours, theirs = socket.socketpair()
        self.role, self.generation = role, 0

        def fd3():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
        # close_fds would close 3 again: it runs behind preexec_fn.
        self.proc = subprocess.Popen([binary, role], preexec_fn=fd3,
                                     pass_fds=[3, theirs.fileno()])
        theirs.close()
        self.parent = Chan(ours)
        self.lines = []
        self.parent.send('start', role=ROLES.index(role), level=level,
                         build=version())
        configure(self.parent)
        self.parent.send('conf_commit')
        self.first_token = None

    def go(self):
        """True when ready; its log lines are in self.lines."""
        self.parent.send('go')
        return self.until('ready') is not None

    def until(self, name, timeout=10.0):
        while True:
            m = self.parent.recv(timeout)
            if m is None or m.name == name:
                return m
            if m.name == 'log':
                self.lines.append(m.text)
            elif m.name == 'first_token':
                self.first_token = m

    def peer(self, role):
        ours, theirs = socket.socketpair()
        self.generation += 1
        self.parent.send('peer', fd=theirs.fileno(), role=ROLES.index(role),
                         generation=self.generation)
        theirs.close()
        return Chan(ours)

    def kill(self):
        self.proc.kill()
        self.proc.wait()
        self.parent.close()

    def stop(self):
        self.parent.send('stop')
        rc = self.proc.wait(timeout=10)
        self.parent.close()
        return rc


def version():
    with open(os.path.join(TOP, 'meson.build'), encoding='utf-8') as f:
        return f.read().split("version: '", 1)[1].split("'", 1)[0]


def owner_for(role):
    """Who a child becomes when it is started by root."""
    for user in ('_xbot' + role, 'nobody'):
        try:
            p = pwd.getpwnam(user)
            return p.pw_uid, p.pw_gid
        except KeyError:
            pass
    sys.exit('no user for ' + role)
