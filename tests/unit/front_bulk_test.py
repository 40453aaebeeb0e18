#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Bytes that stay in front: xbot-front between a runner, a client and a played
remote that decides about them, or lies.

usage: front_bulk_test.py XBOT-FRONT [test ...]
"""
import os
import random
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import front_test
from front_peer import FILE_MAX, KIB, Call, Frames, Job, eq
from front_test import FILES, TESTS, main, test
from remote_peer import MIB, encode

TESTS.clear()       # those of front_test

JOB = b'j' * 16
BINARY, TEXT = 2, 1


class Runner(Frames):
    """Its WebSocket, and what remote knows of it."""

    def __init__(self, w, credit=8 * MIB, bulk=True):
        self.w = w
        self.s = socket.create_connection(('127.0.0.1', w.ws_port), 20)
        self.s.sendall(b'GET /ws/alice HTTP/1.1\r\nHost: x\r\n'
                       b'Upgrade: websocket\r\nConnection: Upgrade\r\n'
                       b'Sec-WebSocket-Version: 13\r\n'
                       b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
                       b'Sec-WebSocket-Protocol: xbot.exec.v2\r\n\r\n')
        m = w.wait('remote', 'ws_open')
        eq((m.user, m.protocol), ('alice', 'xbot.exec.v2'))
        self.serial, self.buf = m.serial, b''
        self.say('ws_credit', upto=credit)
        if bulk:
            self.say('bulk_link', on=True)
        # All of that was read when this comes back.
        self.say('ws_send', opcode=TEXT, first=True, fin=True, bytes=b'up')
        while b'\r\n\r\n' not in self.buf:
            self.buf += self.s.recv(4096)
        self.buf = self.buf.split(b'\r\n\r\n', 1)[1]
        eq(self.frame(), (TEXT, b'up'))

    def say(self, name, /, **fields):
        self.w.chans['remote'].send(name, self.serial, **fields)

    def send(self, data, parts=1, opcode=BINARY, pause=False):
        """A masked message, of so many fragments"""
        size = len(data) // parts + 1
        for i in range(parts):
            part, key = data[i * size:(i + 1) * size], os.urandom(4)
            n = len(part)
            head = bytes([0x80 * (i == parts - 1) | (0 if i else opcode)])
            head += (bytes([0x80 | n]) if n < 126 else
                     b'\xfe' + struct.pack('>H', n) if n < 65536 else
                     b'\xff' + struct.pack('>Q', n))
            mask = (key * (n // 4 + 1))[:n]
            masked = (int.from_bytes(part, 'big') ^ int.from_bytes(
                mask, 'big')).to_bytes(n, 'big')
            self.s.sendall(head + key + masked)
            if pause:
                self.w.settle(0.02)

    def came(self, length):
        """The bytes of a message, once there are so many, all by ws_data"""
        got = b''
        while len(got) < length:
            m = self.w.wait('remote', 'ws_data', 'bulk_ws_data')
            eq((m.name, m.serial, m.first), ('ws_data', self.serial, not got))
            got += m.bytes
            eq(m.fin, len(got) == length)
        return got


def data_frame(data, job=JOB, **fields):
    return encode('job_data', 0, {'job': job, 'stream': 3, 'bytes': data,
                                  **fields})


def online(w):
    w.ledger.send('route_runner', 5, user='alice', name='lap', online=True)
    w.wait('ledger', 'route_ack')


def put(w, data):
    """A PUT whose session may leave its bytes in front"""
    call = Call(w, 'PUT', FILES, data)
    job = Job(w, 'file_put', 'remote')
    job.chan.send('bulk_session', job.serial)
    return call, job


@test()
def from_runner(w):
    """From a runner to a client, whatever remote says about it in between."""
    online(w)
    r = Runner(w)
    rng = random.Random(4)
    data = rng.randbytes(2 * MIB + 5)
    call = Call(w, 'GET', FILES)
    job = Job(w, 'file_get', 'remote')
    job.say('file_info', name=b'f', size=len(data), mode=0o100644)
    sent = room = 0

    def wait(*names):
        """The next of these; the client's credit comes whenever it does."""
        nonlocal room
        while True:
            m = w.wait('remote', 'job_credit', *names)
            if m.name != 'job_credit':
                return m
            room = m.upto
            if not names:
                return m
    while sent < len(data):
        while room <= sent:
            wait()
        n = min(rng.choice((17 * KIB, 64 * KIB, 256 * KIB)), room - sent,
                len(data) - sent)
        frame = data_frame(data[sent:sent + n], offset=sent)
        r.send(frame, rng.choice((1, 1, 2, 7)))
        if n < 16 * KIB:
            came = b''
            while len(came) < len(frame):
                m = wait('bulk_ws_data', 'ws_data')
                eq(m.name, 'ws_data')
                came += m.bytes
            eq(came == frame, True)
            job.out(data[sent:sent + n], 3, sent)
        else:
            m = wait('bulk_ws_data', 'ws_data')
            eq((m.name, m.serial, m.len), ('bulk_ws_data', r.serial, n))
            eq(m.head + data[sent:sent + n] == frame, True)
            job.say('bulk_data', stream=3, offset=sent, bulk=m.bulk, len=n)
            job.chan.send('bulk_free', bulk=m.bulk)
        sent += n
    job.say('job_done')
    a = call.end()
    eq((a.status, a.body == data), (200, True))
    eq(w.faults, [])


@test()
def in_pieces(w):
    """A message that comes slowly, with pings in between, stays as well."""
    r = Runner(w)
    frame = data_frame(os.urandom(100000))
    for _ in range(3):
        for parts in (1, 2, 5, 40):
            r.send(frame, parts, pause=True)
            m = w.wait('remote', 'bulk_ws_data', 'ws_data')
            eq((m.name, m.head + frame[len(m.head):]), ('bulk_ws_data', frame))
            w.chans['remote'].send('bulk_free', bulk=m.bulk)
        r.send(b'', opcode=9)
    eq(r.frame(), (10, b''))


@test()
def of_another_kind(w):
    """What is not one frame of job_data is remote's, and all of it."""
    r = Runner(w)
    data = os.urandom(100000)
    frame = data_frame(data)
    wide = struct.unpack('>I', frame[:4])[0]
    for message in (
            frame + data_frame(b'more'),
            frame + frame,
            data_frame(b'small') + frame,
            data_frame(data[:16 * KIB - 1]),
            struct.pack('>I', wide + 1) + frame[4:],
            struct.pack('>I', wide - 1) + frame[4:],
            struct.pack('>I', 1 << 30) + frame[4:],
            frame[:-1], frame[1:], frame + b'\0',
            frame[:4] + b'\xdd\xff\xff\xff\xff' + frame[7:],
            frame[:4] + b'\xc0' + frame[5:],
            encode('file_hashes', 0, {'job': JOB, 'hashes': data}),
            os.urandom(50000), bytes(70000)):
        for parts in (1, 3):
            r.send(message, parts)
            eq(r.came(len(message)) == message, True)
    r.send(frame, opcode=TEXT)
    eq(r.came(len(frame)) == frame, True)
    r.say('bulk_link', on=False)
    r.say('ws_send', opcode=TEXT, first=True, fin=True, bytes=b'off')
    eq(r.frame(), (TEXT, b'off'))
    r.send(frame)
    eq(r.came(len(frame)) == frame, True)
    eq(w.faults, [])


@test()
def without_credit(w):
    """What remote has no room for waits as it always did."""
    r = Runner(w, credit=60000)
    frame = data_frame(os.urandom(100000))
    r.send(frame)
    m = w.wait('remote', 'ws_data', 'bulk_ws_data')
    eq((m.name, m.first), ('ws_data', True))
    got = m.bytes
    w.settle()
    r.say('ws_credit', upto=1 << 30)
    while len(got) < len(frame):
        got += w.wait('remote', 'ws_data').bytes
    eq(got == frame, True)
    r.send(frame)
    eq(w.wait('remote', 'ws_data', 'bulk_ws_data').name, 'bulk_ws_data')


@test()
def to_runner(w):
    """From a client to a runner; its bytes live until remote lets go."""
    online(w)
    r = Runner(w)
    data = os.urandom(2 * MIB + 7)
    call, job = put(w, data)
    job.say('job_credit', stream=3, upto=len(data))
    got, kept = 0, []
    while got < len(data):
        m = job.wait('bulk_data', 'job_data')
        eq((m.stream, m.offset), (3, got))
        if m.name == 'job_data':
            got += len(m.bytes)
            continue
        for _ in range(2):          # once more: its connection was cut
            frame = data_frame(data[got:got + m.len], job.id, offset=got)
            head = frame[:len(frame) - m.len]
            r.say('bulk_ws_send', head=head, bulk=m.bulk)
            eq(r.frame() == (BINARY, frame), True)
        kept.append(m.bulk)
        got += m.len
    assert len(kept) > 5, kept
    for number in kept:
        job.chan.send('bulk_free', bulk=number)
    job.wait('job_eof')
    job.say('job_done')
    eq(call.end().status, 204)
    eq(w.faults, [])


@test()
def not_asked_for(w):
    """A session that remote said nothing about sends its bytes."""
    online(w)
    data = os.urandom(MIB)
    call = Call(w, 'PUT', FILES, data)
    job = Job(w, 'file_put', 'remote')
    job.say('job_credit', stream=3, upto=len(data))
    got = b''
    while len(got) < len(data):
        m = job.wait('bulk_data', 'job_data')
        eq(m.name, 'job_data')
        got += m.bytes
    eq(got == data, True)
    job.say('job_done')
    call.end()


@test()
def remote_lies(w):
    def lie(name, serial=0, /, **fields):
        w.faults.clear()
        w.chans['remote'].send(name, serial, **fields)
        for _ in range(100):
            if w.faults:
                break
            w.turn(0.1)
        eq(w.faults, ['remote'])
        w.remote = w.peer('remote')
    online(w)
    lie('bulk_free', bulk=1 << 40)
    r = Runner(w)
    lie('bulk_ws_send', r.serial, head=b'x', bulk=1 << 40)
    r = Runner(w)
    r.send(data_frame(bytes(20000)))
    m = w.wait('remote', 'bulk_ws_data')
    w.remote.send('bulk_free', bulk=m.bulk)
    lie('bulk_free', bulk=m.bulk)
    r = Runner(w)
    r.send(data_frame(bytes(20000)))
    m = w.wait('remote', 'bulk_ws_data')
    lie('bulk_data', 77, job=JOB, bulk=m.bulk, len=19999)
    # More than the runner may be sent at the moment.
    r = Runner(w)
    r.send(data_frame(bytes(200000)))
    m = w.wait('remote', 'bulk_ws_data')
    w.faults.clear()
    for _ in range(400):
        try:
            r.say('bulk_ws_send', head=b'x', bulk=m.bulk)
        except ConnectionError:
            break
    w.settle()
    eq(w.faults, ['remote'])
    w.remote = w.peer('remote')
    eq(w.get('/healthz').status, 200)


@test()
def remote_dies(w):
    """Nobody else would give back what it had: soon nothing more would stay
    here (see too_much)."""
    online(w)
    for _ in range(30):
        call, job = put(w, bytes(FILE_MAX - 1))
        job.say('job_credit', stream=3, upto=FILE_MAX)
        got = 0
        while got < FILE_MAX - 200 * KIB:
            m = job.wait('bulk_data')
            got += m.len
        r = Runner(w)
        r.send(data_frame(bytes(100000))[:50000])   # half of one
        w.drop('remote')
        eq(call.end().code, (503, 'EOFFLINE'))
        w.remote = w.peer('remote')


@test()
def too_much(w):
    """A remote that lets nothing go: then the bytes are its own again."""
    online(w)
    kept, plain = [], 0
    for _ in range(30):
        call, job = put(w, bytes(FILE_MAX - 1))
        job.say('job_credit', stream=3, upto=FILE_MAX)
        got = 0
        while got < FILE_MAX - 1:
            m = job.wait('bulk_data', 'job_data')
            if m.name == 'bulk_data':
                got += m.len
                kept.append((m.bulk, m.len))
            else:
                got += len(m.bytes)
                plain += len(m.bytes)
        job.say('job_done')
        eq(call.end().status, 204)
    held = sum(n for _, n in kept)
    assert 60 * MIB < held <= 64 * MIB, held
    assert plain > 10 * MIB, plain
    for number, _ in kept:
        w.remote.send('bulk_free', bulk=number)
    call, job = put(w, bytes(MIB))
    job.say('job_credit', stream=3, upto=FILE_MAX)
    job.wait('bulk_data')
    eq(w.faults, [])


if __name__ == '__main__':
    sys.exit(main())
