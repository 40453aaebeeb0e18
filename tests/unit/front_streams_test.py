#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-front's tasks, terminals, pipes, events and downloads against played
workers, well-behaved ones and others.

usage: front_streams_test.py XBOT-FRONT [test ...]
"""
import base64
import http.client
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import front_test
from front_peer import FILE_MAX, KIB, Answer, Call, Frames, Job, eq
from front_test import TESTS, main, test
from remote_peer import EXITED, KILLED, LOST, MIB, SIGNALLED

TESTS.clear()       # those of front_test

TASKS = '/v1/users/alice/tasks'
USER = '/v1/users/alice/'


# --- tasks ---

def begin(w, body=None, running=0, **more):
    """A task that is about to start -> the call, the job of its start"""
    call = Call(w, 'POST', TASKS, body or {'command': 'true'}, **more)
    job = Job(w, 'task_list')
    for n in range(running):
        info(job, bytes([n]) * 16, running=True)
    job.say('job_done')
    return call, job


def starts(w, job):
    m = job.wait('job_start')
    eq((m.kind, m.timeout_ms), (1, 0))
    job.id = m.job
    return m


def info(job, task, **more):
    fields = dict(task=task, command='x', running=False, how=EXITED, code=0,
                  started_ms=1700000000000)
    fields.update(more)
    job.say('task_info', **fields)


@test(conf=dict(user_task=32))
def task_start(w):
    call, job = begin(w, {'command': 'echo', 'timeout': 'ignored',
                          'session': 's'})
    m = starts(w, job)
    eq(m.command, 'echo')
    eq(job.wait('job_eof').stream, 0)
    job.say('job_started', pid=3)
    a = call.end()
    eq((a.status, a.json), (201, {'task_id': m.job.hex()}))
    job.closed()


@test(conf=dict(user_task=32))
def task_refused(w):
    call, job = begin(w)
    starts(w, job)
    job.say('job_refused', code=4, text='no such program')
    eq(call.end().code, (404, 'ENOENT'))
    job.closed()
    call, job = begin(w)
    w.drop('none')
    # it may have started, and nobody is left to tell
    eq(call.end().code, (502, 'EIO'))


@test()
def task_bad(w):
    for body in ({}, {'command': 1}, {'command': 'x', 'env': ['y']},
                 {'command': 'x', 'stdin': 1}, {'command': 'x', 'args': {}}):
        eq(w.serve(Call(w, 'POST', TASKS, body)).code, (400, 'EINVAL'))
    for ident in ('x', '0' * 31, '0' * 33, 'A' * 32, '%2e' * 32):
        eq(w.get(TASKS + '/' + ident).code, (404, 'ENOENT'))
    for query in ('stdout=-1', 'stdout=x', 'stderr=1x', 'stderr=' + '9' * 20,
                  'encoding=rot13'):
        eq(w.get(TASKS + '/' + '0' * 32 + '/stream?' + query).code,
           (400, 'EINVAL'))


@test(conf=dict(user_task=3))
def task_limit(w):
    call, job = begin(w, running=3)
    eq(call.end().code, (429, 'EBUSY'))
    job.closed()
    call, job = begin(w, running=2)
    starts(w, job)
    # it counts while it starts
    other, again = begin(w, running=2)
    eq(other.end().code, (429, 'EBUSY'))
    job.say('job_started')
    eq(call.end().status, 201)
    job.closed()
    call, job = begin(w, running=2)
    starts(w, job)


@test(conf=dict(user_task=32))
def task_stdin(w):
    """More than it takes at once: the rest goes behind the answer."""
    data = 'é' * 100000
    call, job = begin(w, {'command': 'cat', 'stdin': data})
    starts(w, job)
    job.say('job_credit', stream=0, upto=10)
    eq(job.wait('job_data').bytes, data.encode()[:10])
    job.say('job_started')
    eq(call.end().status, 201)
    got = b''
    for upto in (100, 150000, 200000):
        job.say('job_credit', stream=0, upto=upto)
        while len(got) + 10 < upto:
            m = job.wait('job_data')
            eq(m.offset, 10 + len(got))
            got += m.bytes
    eq(got, data.encode()[10:])
    eq(job.wait('job_eof').offset, 200000)
    job.closed()
    # and when the worker dies meanwhile
    call, job = begin(w, {'command': 'cat', 'stdin': data})
    starts(w, job)
    job.say('job_started')
    eq(call.end().status, 201)
    w.drop('none')
    w.settle()
    assert b'\nxbot_sessions 0\n' in w.get('/metrics').body


@test()
def task_list(w):
    call = Call(w, 'GET', TASKS)
    job = Job(w, 'task_list')
    for n, (how, code, running) in enumerate((
            (0, 0, True), (EXITED, 0, False), (EXITED, 3, False),
            (SIGNALLED, 9, False), (KILLED, 0, False))):
        info(job, bytes([n]) * 16, how=how, code=code, running=running,
             command=f'c{n}')
    job.say('job_done')
    a = call.end()
    eq([t['status'] for t in a.json['tasks']],
       ['running', 'completed', 'failed', 'failed', 'killed'])
    eq(a.json['tasks'][1], {'task_id': '01' * 16, 'command': 'c1',
                            'status': 'completed',
                            'started_at': '2023-11-14T22:13:20Z'})
    job.closed()
    call = Call(w, 'GET', TASKS)
    job = Job(w, 'task_list')
    for n in range(1100):
        info(job, struct.pack('>4I', 0, 0, 0, n), command='c' * 4096)
    eq(call.end().code, (502, 'EIO'))
    job.closed()


@test()
def task_kill(w):
    call = Call(w, 'DELETE', TASKS + '/' + '07' * 16)
    job = Job(w, 'task_kill')
    eq(job.start.task, b'\7' * 16)
    job.say('job_done')
    eq(call.end().status, 204)
    job.closed()
    call = Call(w, 'DELETE', TASKS + '/' + '07' * 16)
    job = Job(w, 'task_kill')
    job.say('job_refused', code=4, text='no such task')
    eq(call.end().code, (404, 'ENOENT'))


class Lines:
    """An answer of lines, read as it comes."""

    def __init__(self, w, query='', path='/stream', task='05' * 16):
        self.w = w
        self.c = http.client.HTTPConnection('127.0.0.1', w.port, timeout=20)
        self.c.request('GET', f'{TASKS}/{task}{path}{query}',
                       headers={'Authorization': 'Bearer service'})
        self.job = Job(w, 'task_read')

    def info(self, **more):
        info(self.job, self.job.start.task, **more)

    def begin(self):
        self.w.readable(self.c.sock)
        self.r = self.c.getresponse()
        eq((self.r.status, self.r.getheader('Content-Type')),
           (200, 'application/x-ndjson'))

    def line(self):
        self.w.turn(0)
        return json.loads(self.r.readline())

    def end(self):
        eq(self.r.read(), b'')
        self.c.close()


@test()
def stream(w):
    s = Lines(w, '?stdout=5&stderr=7')
    job = s.job
    eq((job.start.stdout_offset, job.start.stderr_offset, job.start.follow),
       (5, 7, True))
    s.info(running=True, stdout_end=9)
    s.begin()
    eq(job.wait('job_credit').upto > 5, True)
    job.out(b'abcd', 1, 5)
    eq(s.line(), {'stdout': 'abcd', 'offset': 5, 'next': 9})
    # a character in two pieces is one in the second
    job.out(b'x\xe6\xbc', 1, 9)
    eq(s.line(), {'stdout': 'x', 'offset': 9, 'next': 10})
    job.out(b'\xa2y', 1, 12)
    eq(s.line(), {'stdout': '漢y', 'offset': 10, 'next': 14})
    # repaired, and the offsets are those of the bytes
    job.out(b'\xff\xfez', 2, 7)
    eq(s.line(), {'stderr': '\ufffd\ufffdz', 'offset': 7, 'next': 10})
    job.out(b'\xe6', 1, 14)
    job.out(b'!', 2, 10)
    eq(s.line(), {'stderr': '!', 'offset': 10, 'next': 11})
    job.say('job_eof', stream=1, offset=15)
    job.exit(EXITED, 3)
    eq(s.line(), {'stdout': '\ufffd', 'offset': 14, 'next': 15})
    eq(s.line(), {'status': 'failed', 'exit_code': 3, 'timed_out': False,
                  'truncated': False, 'duration_ms': 4, 'backend': 'none',
                  'runner': ''})
    s.end()
    job.closed()


@test()
def stream_base64(w):
    s = Lines(w, '?encoding=base64')
    s.info(running=True)
    s.begin()
    s.job.out(b'\xe6\xbc', 1, 0)
    eq(s.line(), {'stdout': base64.b64encode(b'\xe6\xbc').decode(),
                  'offset': 0, 'next': 2})
    s.job.exit(SIGNALLED, 15)
    eq((lambda m: (m['status'], m['exit_code']))(s.line()), ('failed', 143))
    s.end()


@test()
def stream_gap(w):
    """What is not kept any more is missing, and said to be."""
    s = Lines(w)
    s.info(running=True, stdout_begin=100, stdout_end=200)
    s.begin()
    m = s.job.wait('job_credit')
    eq(m.upto - 100 > 0, True)
    s.job.out(b'x', 1, 100)
    eq(s.line(), {'stdout': 'x', 'offset': 100, 'next': 101})
    s.job.exit(KILLED)
    m = s.line()
    eq((m['status'], m['exit_code'], m['truncated']), ('killed', 137, True))
    s.end()


@test()
def stream_errors(w):
    s = Lines(w)
    s.job.say('job_refused', code=4, text='no such task')
    a = Answer(s.c.getresponse())
    eq(a.code, (404, 'ENOENT'))
    for lie in (lambda j: j.out(b'x', 1, 0) or j.out(b'x', 1, 0),
                lambda j: j.say('job_data', stream=1, offset=1 << 40,
                                bytes=b'x'),
                lambda j: j.out(b'x' * 200 * KIB, 1, 400 * KIB),
                lambda j: j.say('job_done'),
                lambda j: j.say('task_info', task=b'\5' * 16),
                lambda j: j.say('job_refused', code=11)):
        s = Lines(w)
        s.info(running=True)
        s.begin()
        s.job.credit(1, 1)
        lie(s.job)
        s.job.closed()
        last = s.r.read().splitlines()[-1]
        eq(json.loads(last)['error']['code'], 'EIO')
    s = Lines(w)
    s.info(running=True)
    s.begin()
    s.job.exit(LOST)
    eq(s.line()['error']['code'], 'EIO')
    # the worker dies under it
    s = Lines(w)
    s.info(running=True)
    s.begin()
    s.job.out(b'x', 1, 0)
    eq(s.line()['stdout'], 'x')
    w.drop('none')
    m = s.line()
    eq(m['error']['code'], 'EIO')
    assert 'lost' in m['error']['message'], m
    s.end()


@test()
def stream_head(w):
    call = Call(w, 'HEAD', TASKS + '/' + '05' * 16 + '/stream')
    job = Job(w, 'task_read')
    info(job, job.start.task, running=True)
    a = call.end()
    eq((a.status, a.body, a.headers['Content-Type']),
       (200, b'', 'application/x-ndjson'))
    job.closed()


@test()
def stream_slow(w):
    """A reader that does not read gets no more than the window and what the
    kernel and the output hold; then everything, in order."""
    s = Lines(w, '?encoding=base64')
    s.info(running=True)
    s.begin()
    sent = upto = 0
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            m = s.job.wait('job_credit', timeout=0.5)
        except TimeoutError:
            break
        if m.stream == 1:
            upto = m.upto
        while sent < upto:
            n = min(64 * KIB, upto - sent)
            s.job.out(bytes([sent >> 16 & 255]) * n, 1, sent)
            sent += n
    eq(sent < 16 * MIB, True)
    at = 0
    while at < sent:
        m = s.line()
        eq(m['offset'], at)
        at = m['next']
    eq(s.job.wait('job_credit').upto > upto, True)
    s.c.close()
    s.job.closed()


@test()
def show(w):
    s = Lines(w, path='')
    eq(s.job.start.follow, False)
    s.info(running=False, how=EXITED, code=3, command='cmd')
    sent = upto = 0
    while sent < 1536 * KIB:
        if upto <= sent:
            upto = s.job.credit(1, sent + 1)
        n = min(upto - sent, 200 * KIB, 1536 * KIB - sent)
        s.job.out(b'a' * n if sent < 400 * KIB else b'b' * n, 1, sent)
        sent += n
    s.job.out(b'err', 2, 0)
    s.job.say('job_done')
    w.settle(0.1)
    a = Answer(s.c.getresponse())
    got = a.json
    eq((a.status, got['task_id'], got['status'], got['exit_code'],
        got['stderr'], got['command'], len(got['stdout']),
        got['stdout'][-5:], got['stdout_next']),
       (200, '05' * 16, 'failed', 3, 'err', 'cmd', MIB, 'bbbbb', 1536 * KIB))
    s = Lines(w, path='')
    s.info(running=True)
    s.job.say('job_done')
    w.settle(0.1)
    got = Answer(s.c.getresponse()).json
    eq((got['status'], got['exit_code'], got['stdout']),
       ('running', None, ''))
    s.job.closed()


# --- terminals and pipes ---

class Socket(Frames):
    """A WebSocket client that trusts nobody's library."""

    def __init__(self, w, path, token='service', protocol=None, user='alice'):
        self.w = w
        self.s = socket.create_connection(('127.0.0.1', w.port), 20)
        head = (f'GET /v1/users/{user}/{path} HTTP/1.1\r\nHost: x\r\n'
                'Upgrade: websocket\r\nConnection: Upgrade\r\n'
                'Sec-WebSocket-Version: 13\r\n'
                'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
                f'Authorization: Bearer {token}\r\n')
        if protocol:
            head += f'Sec-WebSocket-Protocol: {protocol}\r\n'
        self.s.sendall(head.encode() + b'\r\n')
        self.buf = b''

    def answer(self):
        """The answer's head"""
        self.w.readable(self.s)
        while b'\r\n\r\n' not in self.buf:
            data = self.s.recv(4096)
            assert data, self.buf
            self.buf += data
        head, self.buf = self.buf.split(b'\r\n\r\n', 1)
        return head.decode()

    def send(self, opcode, data, fin=True):
        if isinstance(data, str):
            data = data.encode()
        n = len(data)
        head = bytes([0x80 * fin | opcode])
        head += (bytes([0x80 | n]) if n < 126 else
                 b'\xfe' + struct.pack('>H', n) if n < 65536 else
                 b'\xff' + struct.pack('>Q', n))
        self.s.sendall(head + bytes(4) + data)

    def ask(self, **fields):
        self.send(1, json.dumps(fields))

    def text(self):
        opcode, data = self.frame()
        eq(opcode, 1)
        return json.loads(data)

    def close(self):
        """What the peer closes with"""
        opcode, data = self.frame()
        eq(opcode, 8)
        self.send(8, data[:2])
        return struct.unpack('>H', data[:2])[0]


def opened(w, path, kind, **more):
    s = Socket(w, path, **more)
    job = Job(w, 'job_start')
    eq(job.start.kind, kind)
    job.say('job_started', pid=9)
    head = s.answer()
    assert head.startswith('HTTP/1.1 101 '), head
    s.head = head
    return s, job


@test()
def stdio(w):
    s, job = opened(w, 'stdio?command=c%20at&arg=a%20b&arg=&dir=d&env=A%3D1',
                    2, protocol='xbot.bearer.x, xbot.v1')
    assert 'Sec-WebSocket-Protocol: xbot.v1\r\n' in s.head + '\r\n', s.head
    eq((job.start.argv, job.start.dir, job.start.env),
       (['c at', 'a b', ''], b'd', ['A=1']))
    job.credit(1, 1)
    job.out(b'\0\xff out')
    eq(s.frame(), (2, b'\0\xff out'))
    job.out(b'e\xc3', 2)
    eq(s.text(), {'type': 'stderr', 'data': 'e'})
    job.out(b'\xa9', 2, 2)
    eq(s.text(), {'type': 'stderr', 'data': 'é'})
    s.send(2, b'in')
    w.settle()
    job.say('job_credit', stream=0, upto=1)
    eq(job.wait('job_data').bytes, b'i')
    s.ask(type='eof')
    w.settle()
    job.say('job_credit', stream=0, upto=100)
    eq(job.wait('job_data', 'job_eof').bytes, b'n')
    eq(job.wait('job_eof').offset, 2)
    s.ask(type='signal', signal='SIGUSR1')
    eq(job.wait('job_signal').signal, 10)
    s.ask(type='signal', signal='INT')
    eq(job.wait('job_signal').signal, 2)
    s.ask(type='some day', more=1)
    job.out(b'\xe2', 2, 3)
    job.exit(SIGNALLED, 9)
    eq(s.text(), {'type': 'stderr', 'data': '\ufffd'})
    eq(s.text(), {'type': 'exit', 'exit_code': 137})
    eq(s.close(), 1000)
    job.closed()


@test()
def pty(w):
    s, job = opened(w, 'pty', 3)
    eq((job.start.argv, job.start.command, job.start.cols, job.start.rows),
       ([], '', 80, 24))
    s.ask(type='resize', cols=132, rows=50)
    m = job.wait('job_resize')
    eq((m.cols, m.rows), (132, 50))
    s.send(9, b'ping')
    eq(s.frame(), (10, b'ping'))
    # mistakes are told and cost nothing
    for bad in ({'type': 'resize'}, {'type': 'resize', 'cols': 0, 'rows': 1},
                {'type': 'resize', 'cols': '1', 'rows': 1}, {'type': 1}, {},
                {'type': 'signal'}, {'type': 'signal', 'signal': 'NONE'}):
        s.ask(**bad)
        m = s.text()
        eq((m['type'], m['error']['code']), ('error', 'EINVAL'))
    for bad in ('[1]', '{}', '{"type":1}'):
        s.send(1, bad)
        eq(s.text()['error'], {'code': 'EINVAL',
                               'message': 'not an object with a type'})
    s.send(1, '{')
    eq(s.text()['type'], 'error')
    # the client goes: the session with it
    s.s.close()
    job.closed()
    s, job = opened(w, 'pty?command=/bin/sh&cols=1&rows=65535', 3)
    eq((job.start.argv, job.start.cols, job.start.rows),
       (['/bin/sh'], 1, 65535))
    s.send(8, struct.pack('>H', 1000))
    eq(s.frame()[0], 8)
    job.closed()


@test()
def stream_refused(w):
    """What goes wrong before is an HTTP error."""
    for path in ('stdio', 'pty?cols=0', 'pty?rows=65536', 'pty?cols=x',
                 'pty?arg=x', 'stdio?command=x&env=y', 'stdio?command=%00',
                 'stdio?command=%ff', 'pty?dir=' + 'd' * 4097):
        s = Socket(w, path)
        eq(s.answer().split()[1], '400')
    eq(w.get(USER + 'pty').status, 426)
    s = Socket(w, 'pty', token='none')
    eq(s.answer().split()[1], '401')
    s = Socket(w, 'stdio?command=x')
    job = Job(w, 'job_start')
    job.say('job_refused', code=4, text='x: not there')
    eq(s.answer().split()[1], '404')
    job.closed()
    # output before the start is a lie
    s = Socket(w, 'stdio?command=x')
    job = Job(w, 'job_start')
    job.out(b'x')
    eq(s.answer().split()[1], '502')
    job.closed()
    s = Socket(w, 'stdio?command=x')
    job = Job(w, 'job_start')
    s.s.close()
    job.closed()
    w.drop('none')
    s = Socket(w, 'stdio?command=x')
    eq(s.answer().split()[1], '503')


@test(conf=dict(user_pty=2))
def stream_limit(w):
    a, first = opened(w, 'pty', 3)
    b, second = opened(w, 'stdio?command=x', 2)
    s = Socket(w, 'pty')
    eq(s.answer().split()[1], '429')
    opened(w, 'pty', 3, user='bob')
    second.exit()
    eq(b.text()['exit_code'], 0)
    eq(b.close(), 1000)
    w.settle()
    opened(w, 'pty', 3)


@test()
def stream_lies(w):
    for lie in (lambda j: j.out(b'x', 1, 1), lambda j: j.out(b'x', 3),
                lambda j: j.out(b'x', 0), lambda j: j.out(b'x', 1, 1 << 60)):
        s, job = opened(w, 'stdio?command=x', 2)
        lie(job)
        while True:
            opcode, data = s.frame()
            if opcode == 1:
                break
        eq(json.loads(data)['error']['code'], 'EIO')
        eq(s.close(), 1011)
        job.closed()
    s, job = opened(w, 'stdio?command=x', 2)
    job.exit(LOST)
    eq(s.text()['error']['code'], 'EIO')
    eq(s.close(), 1011)


@test()
def stream_worker_dies(w):
    s, job = opened(w, 'pty', 3)
    job.out(b'last words')
    w.drop('none')
    eq(s.frame(), (2, b'last words'))
    m = s.text()
    eq((m['type'], m['error']['code']), ('error', 'EIO'))
    eq(s.close(), 1011)
    w.settle()
    assert b'\nxbot_sessions 0\n' in w.get('/metrics').body


@test()
def stream_stop(w):
    s, job = opened(w, 'pty', 3)
    w.parent.send('stop')
    eq(s.close(), 1001)


@test()
def stream_hostile_client(w):
    s, job = opened(w, 'stdio?command=x', 2)
    for _ in range(80):
        s.send(1 if _ == 0 else 0, b'x' * 1000, fin=False)
    eq(s.close(), 1009)
    job.closed()
    s, job = opened(w, 'stdio?command=x', 2)
    s.send(1, b'{"type":"\xff"}')
    eq(s.close(), 1007)
    job.closed()
    # mistakes without end, and not a word of ours is read
    s, job = opened(w, 'stdio?command=x', 2)
    s.s.settimeout(0.5)
    try:
        for _ in range(400000):
            s.send(1, b'{}' * 1)
    except (TimeoutError, ConnectionError):
        pass
    s.s.close()
    job.closed()


@test()
def stream_in_paused(w):
    """A process that does not read: the client is not read either."""
    s, job = opened(w, 'stdio?command=x', 2)
    s.s.settimeout(0.5)
    data = os.urandom(64 * KIB)
    sent = b''
    try:
        while len(sent) < 64 * MIB:
            s.send(2, data)
            sent += data
    except TimeoutError:
        pass
    eq(len(sent) < 32 * MIB, True)
    got, upto = b'', 0
    while len(got) < len(sent):
        upto = len(got) + 256 * KIB
        job.say('job_credit', stream=0, upto=upto)
        while len(got) < min(upto, len(sent)):
            m = job.wait('job_data')
            eq(m.offset, len(got))
            got += m.bytes
            eq(len(got) <= upto, True)
    eq(got[:len(sent)] == sent, True)
    s.s.close()
    job.closed()


@test()
def stream_out_slow(w):
    """A client that does not read gets all of it later, the end as well."""
    s, job = opened(w, 'stdio?command=x', 2)
    sent = upto = 0
    while True:
        try:
            m = job.wait('job_credit', timeout=0.7)
        except TimeoutError:
            break
        upto = m.upto if m.stream == 1 else upto
        while sent < upto:
            n = min(64 * KIB, upto - sent)
            job.out(bytes([sent >> 16 & 255]) * n, 1, sent)
            sent += n
    eq(sent < 16 * MIB, True)
    job.exit(EXITED, 7)
    w.settle(0.5)
    got = 0
    while True:
        opcode, data = s.frame()
        if opcode != 2:
            break
        got += len(data)
    eq((got, json.loads(data)), (sent, {'type': 'exit', 'exit_code': 7}))
    eq(s.close(), 1000)


# --- events ---

class Listener:
    def __init__(self, w, path, token='service'):
        self.w = w
        self.c = http.client.HTTPConnection('127.0.0.1', w.port, timeout=20)
        self.c.request('GET', path,
                       headers={'Authorization': 'Bearer ' + token})
        w.readable(self.c.sock)
        self.r = self.c.getresponse()
        if self.r.status == 200:
            eq(self.r.getheader('Content-Type'), 'text/event-stream')
            eq((self.r.readline(), self.r.readline()), (b':\n', b'\n'))

    def next(self):
        name = self.r.readline()
        while name in (b':\n', b'\n'):
            name = self.r.readline()
        data = self.r.readline()
        eq(self.r.readline(), b'\n')
        return (name.decode().strip().removeprefix('event: '),
                json.loads(data.decode().removeprefix('data: ')))


@test()
def events(w):
    eq(Listener(w, '/v1/events', 'alice').r.status, 403)
    eq(Listener(w, '/v1/users/bob/events', 'alice').r.status, 403)
    a = Listener(w, USER + 'events', 'alice')
    b = Listener(w, '/v1/events')
    runner = dict(user='alice', name='r', created=1)
    w.ledger.send('route_runner', 5, online=True, **runner)
    eq(w.wait('ledger', 'route_ack').serial, 5)
    for who in (a, b):
        eq(who.next(), ('runner', {'user': 'alice', 'runner': 'r',
                                   'online': True}))
    # no news is no event
    w.ledger.send('route_runner', 6, online=True, **runner)
    w.ledger.send('route_runner', 7, online=False, **runner)
    eq(a.next()[1]['online'], False)
    w.remote.send('sync_event', user='bob', runner='r', phase='start',
                  message='é\n')
    eq([b.next()[0], b.next()], ['runner', (
        'sync', {'user': 'bob', 'runner': 'r', 'phase': 'start',
                 'message': 'é\n'})])
    call, job = front_test.start(w, {'command': 'x'}, X_Request_Id='mine')
    job.exit(EXITED, 4)
    call.end()
    name, data = a.next()
    duration = data.pop('duration_ms')
    eq((name, data, duration >= 0), ('exec', {
        'user': 'alice', 'request_id': 'mine', 'exit_code': 4}, True))
    w.parent.send('stop')
    eq(a.r.read(), b'')


@test()
def events_lost(w):
    a = Listener(w, '/v1/events')
    n, text = 12000, 'x' * 1000
    for i in range(n):
        w.remote.send('sync_event', user='u', runner='r', phase=str(i),
                      message=text)
    w.settle(0.5)
    expect, lost = 0, 0
    while expect < n:
        name, data = a.next()
        if name == 'lost':
            lost += data['lost']
            expect += data['lost']
        else:
            eq(data['phase'], str(expect))
            expect += 1
    eq(lost > 0, True)


# --- downloads ---

DOWNLOAD = USER + 'download'


def to_file(w, **more):
    call = Call(w, 'POST', DOWNLOAD, {'url': 'http://h/x', 'output_path': 'o',
                                      **more})
    put = Job(w, 'file_put')
    eq((put.start.path, put.start.parents, put.start.limit),
       (b'o', True, FILE_MAX))
    return call, put


@test()
def download(w):
    call, put = to_file(w)
    put.say('job_credit', stream=3, upto=4)
    tool = Job(w, 'job_start')
    eq((tool.start.kind, tool.start.argv[0], tool.start.argv[-1],
        tool.start.command), (0, 'curl', 'http://h/x', ''))
    tool.say('job_started')
    eq(tool.credit(1, 4), 4)
    tool.out(b'abcd')
    eq(put.wait('job_data').bytes, b'abcd')
    put.say('job_credit', stream=3, upto=100)
    eq(tool.credit(1, 100), 100)
    tool.out(b'ef', 1, 4)
    tool.exit()
    eq((put.wait('job_data').bytes, put.wait('job_eof').offset), (b'ef', 6))
    put.say('job_done')
    a = call.end()
    eq((a.status, a.json), (200, {'size': 6}))


@test()
def download_tools(w):
    call, put = to_file(w)
    put.say('job_credit', stream=3, upto=100)
    tool = Job(w, 'job_start')
    tool.say('job_refused', code=4)
    m = tool.wait('job_start')
    eq(m.argv[0], 'wget')
    tool.id = m.job
    tool.say('job_started')
    tool.out(b'wget: unrecognized option\n', 2)
    tool.exit(EXITED, 1)
    m = tool.wait('job_start')
    eq((m.argv[0], '--tries=1' in m.argv), ('wget', False))
    tool.id = m.job
    tool.exit()
    put.wait('job_eof')
    put.say('job_done')
    eq(call.end().json, {'size': 0})
    call, put = to_file(w)
    put.say('job_credit', stream=3, upto=100)
    tool = Job(w, 'job_start')
    tool.say('job_refused', code=4)
    tool.id = tool.wait('job_start').job
    tool.say('job_refused', code=4)
    eq(call.end().code, (501, 'ENOTSUP'))
    put.closed()


@test()
def download_fails(w):
    for url in ('ftp://x/', 'x', '', 'file:///x', 'http:/x', 'http://a b/',
                'http://a\n/', None, 1):
        a = w.serve(Call(w, 'POST', DOWNLOAD, {'url': url,
                                               'output_path': 'o'}))
        eq(a.code, (400, 'EINVAL'))
    call, put = to_file(w)
    put.say('job_refused', code=3, text='outside')
    eq(call.end().code, (403, 'EPERM'))
    for code, want in ((3, 400), (6, 502), (22, 502), (28, 504), (63, 413)):
        call, put = to_file(w)
        put.say('job_credit', stream=3, upto=100)
        tool = Job(w, 'job_start')
        tool.out(b'curl: (\xff)\nmore', 2)
        tool.exit(EXITED, code)
        a = call.end()
        eq((a.status, a.json['error']['message']), (want, 'curl: (?)'))
        put.closed()
    # more than there is room for
    call, put = to_file(w)
    put.say('job_credit', stream=3, upto=2)
    tool = Job(w, 'job_start')
    tool.out(b'abc')
    eq(call.end().code, (502, 'EIO'))
    # the worker dies in the middle
    call, put = to_file(w)
    put.say('job_credit', stream=3, upto=2)
    tool = Job(w, 'job_start')
    tool.say('job_started')
    w.drop('none')
    eq(call.end().status in (502, 503), True)
    w.settle()
    assert b'\nxbot_sessions 0\n' in w.get('/metrics').body


@test()
def download_runner(w):
    w.ledger.send('route_runner', 5, user='alice', name='r', created=1,
                  online=True)
    w.wait('ledger', 'route_ack')
    for last in ('job_done', 'job_refused'):
        call = Call(w, 'POST', DOWNLOAD, {'url': 'https://h/x',
                                          'output_path': 'o'})
        job = Job(w, 'fetch', role='remote')
        eq((job.start.url, job.start.path, job.start.limit),
           ('https://h/x', b'o', FILE_MAX))
        job.say('file_info', name='o', size=77)
        if last == 'job_done':
            job.say(last)
            eq(call.end().json, {'size': 77})
        else:
            job.say(last, code=11, text='no')
            eq(call.end().code, (502, 'EIO'))


@test()
def streams_leak(w):
    fds = len(os.listdir(f'/proc/{w.proc.pid}/fd'))
    for i in range(12):
        s, job = opened(w, 'pty', 3)
        if i % 2:
            s.s.close()
        else:
            job.exit()
            s.text()
            s.close()
        job.closed()
        s.s.close()
        r = Lines(w)
        r.info(running=True)
        r.begin()
        r.job.out(b'x' * 1000)
        r.line()
        r.r.close()
        r.c.close()
        r.job.closed()
        e = Listener(w, '/v1/events')
        e.r.close()
        e.c.close()
    w.settle(0.5)
    eq(len(os.listdir(f'/proc/{w.proc.pid}/fd')) - fds <= 1, True)
    a = w.get('/metrics')
    assert b'\nxbot_sessions 0\n' in a.body, a.body
    assert b'\nxbot_websockets 0\n' in a.body, a.body


if __name__ == '__main__':
    sys.exit(main())
