# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Speak exec.def to a real xbot-executor over a socketpair.

The messages are read from proto/exec.def itself; the codec is our own, so that
a mistake of the C one cannot hide.
"""
import os
import select
import socket
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BYTES = ('path', 'bin', 'id', 'paths', 'ids')


def load_table(path=os.path.join(ROOT, 'proto', 'exec.def')):
    by_name, by_id, current = {}, {}, None
    with open(path, encoding='utf-8') as table:
        for line in table:
            words = line.split('#')[0].split()
            if not words or words[0] == 'protocol':
                continue
            if words[0] == 'message':
                current = []
                by_name[words[1]] = (int(words[2]), current)
                by_id[int(words[2])] = (words[1], current)
            else:
                current.append((words[0], words[1]))
    return by_name, by_id


MESSAGES, BY_ID = load_table()
DEFAULT = {'bool': False, 'str': '', 'path': b'', 'bin': b'', 'id': bytes(16)}


def pack(value):
    if value is True or value is False:
        return b'\xc3' if value else b'\xc2'
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes((value,))
        for most, head, form in ((8, b'\xcc', '>B'), (16, b'\xcd', '>H'), (32, b'\xce', '>I')):
            if 0 <= value < 1 << most:
                return head + struct.pack(form, value)
        if value >= 0:
            return b'\xcf' + struct.pack('>Q', value)
        return b'\xd3' + struct.pack('>q', value)
    if isinstance(value, str):
        raw = value.encode()
        return b'\xdb' + struct.pack('>I', len(raw)) + raw
    if isinstance(value, (bytes, bytearray, memoryview)):
        return b'\xc6' + struct.pack('>I', len(value)) + bytes(value)
    return b'\xdc' + struct.pack('>H', len(value)) + b''.join(map(pack, value))


def unpack(data, at=0):
    """-> value, next offset"""
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xe0:
        return first - 256, at
    if 0x90 <= first < 0xa0:
        return unpack_list(data, at, first & 15)
    if 0xa0 <= first < 0xc0:
        return data[at:at + (first & 31)].decode(), at + (first & 31)
    if first in (0xc2, 0xc3):
        return first == 0xc3, at
    numbers = {0xcc: '>B', 0xcd: '>H', 0xce: '>I', 0xcf: '>Q',
               0xd0: '>b', 0xd1: '>h', 0xd2: '>i', 0xd3: '>q'}
    if first in numbers:
        size = struct.calcsize(numbers[first])
        return struct.unpack_from(numbers[first], data, at)[0], at + size
    lengths = {0xc4: '>B', 0xc5: '>H', 0xc6: '>I', 0xd9: '>B', 0xda: '>H',
               0xdb: '>I', 0xdc: '>H', 0xdd: '>I'}
    size = struct.calcsize(lengths[first])
    count = struct.unpack_from(lengths[first], data, at)[0]
    at += size
    if first >= 0xdc:
        return unpack_list(data, at, count)
    raw = data[at:at + count]
    assert len(raw) == count
    return (raw if first <= 0xc6 else raw.decode()), at + count


def unpack_list(data, at, count):
    out = []
    for _ in range(count):
        value, at = unpack(data, at)
        out.append(value)
    return out, at


def encode(name, **fields):
    ident, table = MESSAGES[name]
    out = [ident, 0]
    for kind, field in table:
        default = DEFAULT.get(kind, [] if kind.endswith('s') else 0)
        value = fields.pop(field, default)
        if kind in BYTES and isinstance(value, str):
            value = value.encode()
        out.append(value)
    assert not fields, fields
    raw = pack(out)
    return struct.pack('>I', len(raw)) + raw


class Message(dict):
    __getattr__ = dict.__getitem__


class Gone(Exception):
    pass


class Executor:
    """One executor and the host's end of its channel."""

    def __init__(self, binary, workspace, *args, env=None, uid=None, namespace=False):
        self.sock, theirs = socket.socketpair()
        argv = [binary, '-w', workspace, *args]
        if namespace:
            argv = ['unshare', '-pf', '--kill-child', '--mount-proc', *argv]
        spare = theirs.fileno()

        def child():
            if spare == 3:
                os.set_inheritable(3, True)
            else:
                os.dup2(spare, 3)
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)

        self.proc = subprocess.Popen(argv, preexec_fn=child, pass_fds=(3,),
                                     env=env if env is not None else {},
                                     stdin=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE)
        theirs.close()
        self.pid = self.proc.pid
        self.raw = bytearray()
        self.queue = []
        self.auto = True            # grant credit by ourselves
        self.window = 1 << 20

    def send(self, name, **fields):
        self.sock.sendall(encode(name, **fields))

    def send_raw(self, data):
        self.sock.sendall(data)

    def recv(self, timeout=10):
        """The next message; Gone at the end, TimeoutError."""
        until = time.monotonic() + timeout
        while True:
            if len(self.raw) >= 4:
                size = struct.unpack_from('>I', self.raw)[0]
                if len(self.raw) >= 4 + size:
                    value, end = unpack(bytes(memoryview(self.raw)[4:4 + size]))
                    assert end == size, 'trailing bytes'
                    del self.raw[:4 + size]
                    name, table = BY_ID[value[0]]
                    assert len(value) == len(table) + 2
                    out = Message(zip((f for _, f in table), value[2:]))
                    out['name' if 'name' not in out else 'type'] = name
                    out['kind_'] = name
                    return out
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError
            try:
                data = self.sock.recv(1 << 20)
            except ConnectionResetError:
                data = b''
            if not data:
                raise Gone
            self.raw += data

    def expect(self, kind, timeout=10):
        message = self.recv(timeout)
        assert message.kind_ == kind, message
        return message

    # -- operations

    def start(self, command=None, argv=(), stdin=b'', job=None, credit=1 << 20, **fields):
        job = job or os.urandom(16)
        out = encode('job_start', job=job, command=command or '', argv=list(argv), **fields)
        if credit:
            out += encode('job_credit', job=job, stream=1, upto=credit)
            out += encode('job_credit', job=job, stream=2, upto=credit)
        if stdin == b'':
            out += encode('job_eof', job=job, stream=0, offset=0)
        self.sock.sendall(out)
        return job

    def collect(self, job, timeout=20, stdin=b'', limit=None, sink=None):
        """Everything about one job until it ended."""
        out = Message(stdout=bytearray(), stderr=bytearray(), file=bytearray(), started=None)
        names = {1: 'stdout', 2: 'stderr', 3: 'file'}
        counts = {1: 0, 2: 0, 3: 0}
        credit = {1: self.window, 2: self.window, 3: self.window}
        sent, allowed, eof = 0, 0, stdin == b''
        until = time.monotonic() + timeout
        while True:
            if not eof and allowed > sent:
                piece = stdin[sent:min(allowed, sent + 65536)]
                if piece:
                    self.send('job_data', job=job, stream=0, offset=sent, bytes=piece)
                    sent += len(piece)
                if sent == len(stdin):
                    self.send('job_eof', job=job, stream=0, offset=sent)
                    eof = True
                continue
            message = self.recv(max(0.01, until - time.monotonic()))
            if message.get('job') != job:
                self.queue.append(message)
                continue
            kind = message.kind_
            if kind == 'job_started':
                out['started'] = message.pid
            elif kind == 'job_credit':
                assert message.stream in (0, 3)
                allowed = message.upto
            elif kind == 'job_data':
                stream = message.stream
                assert message.offset == counts[stream], (message.offset, counts)
                counts[stream] += len(message.bytes)
                if sink is not None:
                    sink(stream, message.bytes)
                else:
                    out[names[stream]] += message.bytes
                if self.auto and counts[stream] > credit[stream] - self.window // 2:
                    credit[stream] = counts[stream] + self.window
                    self.send('job_credit', job=job, stream=stream, upto=credit[stream])
            elif kind == 'file_entries':
                assert message.offset == counts[3]
                counts[3] += len(message.names)
                out.setdefault('entries', []).extend(
                    zip(message.names, message.modes, message.sizes))
                self.send('job_credit', job=job, stream=3, upto=counts[3] + 4096)
            elif kind == 'job_eof':
                assert message.offset == counts[message.stream]
                out['eof'] = True
            elif kind == 'file_info':
                out['info'] = message
            elif kind in ('job_exit', 'job_done', 'job_refused'):
                out['end'] = message
                out['kind'] = kind
                out['counts'] = counts
                return out
            else:
                raise AssertionError(message)

    def run(self, command=None, argv=(), stdin=b'', timeout=20, **fields):
        return self.collect(self.start(command, argv, stdin, **fields), timeout, stdin)

    def file(self, what, path, timeout=20, credit=1 << 20, **fields):
        job = os.urandom(16)
        out = encode('file_' + what, job=job, path=path, **fields)
        if what in ('get', 'list') and credit:
            out += encode('job_credit', job=job, stream=3, upto=credit)
        self.sock.sendall(out)
        if what == 'put':
            return job
        return self.collect(job, timeout)

    def put(self, path, data, mode=0o644, **fields):
        job = self.file('put', path, mode=mode, **fields)
        return self.put_data(job, data)

    def put_data(self, job, data, piece=262144):
        sent, allowed, done = 0, 0, False
        view = memoryview(data)
        while True:
            while sent < len(view) and sent < allowed:
                part = view[sent:min(allowed, sent + piece)]
                self.send('job_data', job=job, stream=3, offset=sent, bytes=part)
                sent += len(part)
            if sent == len(view) and not done:
                self.send('job_eof', job=job, stream=3, offset=sent)
                done = True
            message = self.recv(20)
            if message.get('job') != job:
                self.queue.append(message)
            elif message.kind_ == 'job_credit':
                allowed = message.upto
            else:
                return message

    def close(self, timeout=10):
        """Close the channel; the exit status."""
        self.sock.close()
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            raise
        finally:
            self.proc.stderr.close()
