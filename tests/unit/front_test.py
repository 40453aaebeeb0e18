#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-front against a played parent, ledger and workers: what they say when
they are well, and what an executor behind them may say when it is not.

usage: front_test.py XBOT-FRONT [test ...]
"""
import base64
import hashlib
import http.client
import json
import os
import random
import socket
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from front_peer import FILE_MAX, KIB, OUTPUT_MAX, SERVICE, Call, Job, World, eq
from remote_peer import (EXITED, KILLED, LOST, MIB, ROLES, SIGNALLED, TABLE,
                         TIMED_OUT)

TESTS = []


def test(**options):
    def add(f):
        TESTS.append((f, options))
        return f
    return add


EXEC = '/v1/users/alice/exec'
FILES = '/v1/users/alice/files?path=f'


def start(w, body=None, **more):
    """An exec that has begun -> the call, the job"""
    path = more.pop('path', EXEC)
    call = Call(w, 'POST', path, body or {'command': 'true'}, **more)
    job = Job(w, 'job_start')
    job.say('job_started', pid=1)
    return call, job


def works(w):
    call, job = start(w)
    job.out(b'fine')
    job.exit()
    a = call.end()
    eq((a.status, a.json['stdout']), (200, 'fine'))
    job.closed()


# --- tokens ---

@test()
def tokens(w):
    eq(w.get('/v1/users/alice/route', token=None).code, (401, 'EAUTH'))
    a = w.get('/v1/users/alice/route', token='bad')
    eq(a.code, (401, 'EAUTH'))
    eq(a.headers['WWW-Authenticate'], 'Bearer')
    eq(w.get('/v1/users/alice/route', token='alice').status, 200)
    eq(w.get('/v1/users/bob/route', token='alice').code, (403, 'EPERM'))
    eq(w.get('/v1/users/bob/route').status, 200)
    eq(w.get('/metrics', token='alice').code, (403, 'EPERM'))
    eq(w.get('/metrics').status, 200)


@test()
def token_asked_once(w):
    calls = [Call(w, 'GET', '/v1/users/alice/route') for _ in range(5)]
    q = w.wait('ledger', 'token_query', auto=False)
    time.sleep(0.2)
    w.turn(0)
    assert not any(m.name == 'token_query' for m in w.queue['ledger'])
    w.ledger.send('token_answer', q.serial, hash=q.hash, kind=SERVICE)
    eq([c.end().status for c in calls], [200] * 5)
    # refused ones are remembered for a moment as well
    eq(w.get('/v1/users/alice/route', token='bad').status, 401)
    call = Call(w, 'GET', '/v1/users/alice/route', token='bad')
    eq(call.end().status, 401)


@test()
def token_flushed(w):
    eq(w.get('/v1/users/alice/route', token='alice').status, 200)
    del w.tokens['alice']
    eq(w.get('/v1/users/alice/route', token='alice').status, 200)
    w.ledger.send('token_flush', 77, hash=hashlib.sha256(b'alice').digest())
    eq(w.wait('ledger', 'route_ack').serial, 77)
    eq(w.get('/v1/users/alice/route', token='alice').code, (401, 'EAUTH'))


@test()
def ledger_gone(w):
    eq(w.get('/v1/users/alice/route').status, 200)
    call = Call(w, 'GET', '/v1/users/alice/route', token='alice')
    w.wait('ledger', 'token_query', auto=False)
    w.drop('ledger')
    a = call.end()
    eq(a.code, (503, 'EOFFLINE'))
    assert a.headers['Retry-After']
    # what is known counts on, what is not cannot be looked up
    eq(Call(w, 'GET', '/v1/users/alice/route').end().status, 200)
    eq(Call(w, 'GET', '/v1/users/alice/route', token='x').end().code,
       (503, 'EOFFLINE'))
    # the new one is asked again: it may have revoked in between
    w.ledger = w.peer('ledger')
    w.ledger.send('route_synced')
    del w.tokens['service']
    time.sleep(0.2)
    eq(w.get('/v1/users/alice/route').code, (401, 'EAUTH'))


# --- listeners, names ---

@test()
def listeners(w):
    for port in (w.port, w.ws_port, w.metrics_port):
        eq(w.get('/healthz', port=port, token=None).json, {'status': 'ok'})
    eq(w.get('/v1/users/alice/route', port=w.ws_port).code, (404, 'ENOENT'))
    eq(w.get('/readyz', port=w.ws_port).code, (404, 'ENOENT'))
    eq(w.get('/v1/users/alice/route', port=w.metrics_port).status, 404)
    a = w.get('/metrics', port=w.metrics_port, token=None)
    assert b'xbot_http_requests_total{code="404"} 3' in a.body, a.body
    for path in ('/v1/admin/status', '/v1/admin/users', '/nope', '/v1'):
        eq(w.get(path).code, (404, 'ENOENT'))
    a = w.serve(Call(w, 'PATCH', FILES))
    eq((a.status, sorted(a.headers['Allow'].split(', '))),
       (405, ['DELETE', 'GET', 'HEAD', 'PUT']))
    for user in ('.x', '%20', 'a%2Fb', 'a' * 129, '', '%ff', 'a%00'):
        eq(w.get(f'/v1/users/{user}/route').code, (400, 'EINVAL'))
    eq(w.get('/v1/users/' + 'a' * 128 + '/route').status, 200)
    eq(w.get('/v1/users/a%40b:c/route').status, 200)


@test()
def ready(w):
    def push(role, up, wanted=True):
        w.parent.send('worker', role=ROLES.index(role), wanted=wanted, up=up,
                      pid=5)
        w.settle()
    push('ledger', True)
    push('none', True)
    eq(w.get('/readyz', token=None).status, 200)
    push('none', False)
    a = w.get('/readyz', token=None)
    eq((a.status, a.json['workers']['none']), (503, 'down'))
    # A reload took its work away: nobody waits for it.
    push('none', False, False)
    a = w.get('/readyz', token=None)
    eq((a.status, 'none' in a.json['workers']), (200, False))


# --- routing ---

@test()
def routes(w):
    def where(query=''):
        a = w.get('/v1/users/alice/route' + query)
        return (a.json['backend'], a.json['runner']) if a.status == 200 \
            else a.code[1]

    def runner(name, **more):
        w.ledger.send('route_runner', 5, user='alice', name=name, **more)
        eq(w.wait('ledger', 'route_ack').serial, 5)
    eq(where(), ('none', ''))
    runner('one', created=1, online=True)
    runner('two', created=2, online=True)
    eq(where(), ('remote', 'one'))
    runner('one', created=1)
    eq(where(), ('remote', 'two'))
    w.ledger.send('route_bind', user='alice', session='s:1', name='one')
    eq(where('?session=s%3A1'), 'EOFFLINE')
    eq(where('?session=s%3A2'), ('remote', 'two'))
    a = w.get('/v1/users/alice/route', X_Xbot_Session='s:1')
    eq(a.code, (503, 'EOFFLINE'))
    w.ledger.send('route_bind', user='alice', session='s:1')
    eq(where('?session=s%3A1'), ('remote', 'two'))
    w.ledger.send('route_active', user='alice', name='two')
    w.ledger.send('route_gone', 6, user='alice', name='two')
    eq(w.wait('ledger', 'route_ack').serial, 6)
    eq(where(), ('none', ''))
    runner('two', created=2, online=True)
    # another ledger knows nothing of it
    w.drop('ledger')
    w.ledger = w.peer('ledger')
    eq(where(), ('remote', 'two'))
    w.ledger.send('route_synced', 7)
    eq(w.wait('ledger', 'route_ack').serial, 7)
    eq(where(), ('none', ''))


@test()
def remote_session(w):
    w.ledger.send('route_runner', 5, user='alice', name='lap', online=True)
    w.wait('ledger', 'route_ack')
    call = Call(w, 'POST', EXEC, {'command': 'id'})
    job = Job(w, 'job_start', 'remote')
    eq((job.open.user, job.open.runner), ('alice', 'lap'))
    job.exit()
    a = call.end()
    eq((a.json['backend'], a.json['runner']), ('remote', 'lap'))


# --- exec ---

@test()
def exec_start(w):
    call = Call(w, 'POST', EXEC, {
        'args': ['a', 'b c', ''], 'env': ['X=1', 'Y='], 'dir': 'sub',
        'timeout': 7, 'run_as_user': 'joe', 'command': 'ignored'})
    job = Job(w, 'job_start')
    s = job.start
    eq((job.open.user, job.open.runner), ('alice', ''))
    eq((s.kind, s.argv, s.env, s.dir, s.timeout_ms, s.run_as_user),
       (0, ['a', 'b c', ''], ['X=1', 'Y='], b'sub', 7000, 'joe'))
    eq([(m.stream, m.upto) for m in (job.wait('job_credit'),
                                     job.wait('job_credit'))],
       [(1, 256 * KIB), (2, 256 * KIB)])
    m = job.wait('job_eof')
    eq((m.stream, m.offset), (0, 0))
    job.exit(SIGNALLED, 15)
    eq(call.end().json, {
        'stdout': '', 'stderr': '', 'exit_code': 143, 'timed_out': False,
        'truncated': False, 'duration_ms': 4, 'backend': 'none',
        'runner': ''})
    job.closed()
    for fields, argv, command in (
            ({'command': 'x'}, [], 'x'),
            ({'command': 'x', 'shell': False}, ['x'], ''),
            ({'command': 'x', 'args': []}, ['x'], ''),
            ({'command': 'x', 'args': None}, [], 'x'),
            ({'command': 'x', 'args': ['y'], 'shell': True}, [], 'x')):
        call, job = start(w, fields)
        eq((job.start.argv, job.start.command), (argv, command))
        job.exit()
        eq(call.end().status, 200)


@test()
def exec_ends(w):
    for how, code, want, timed_out in (
            (EXITED, 0, 0, False), (EXITED, 255, 255, False),
            (SIGNALLED, 9, 137, False), (SIGNALLED, 0, -1, False),
            (SIGNALLED, 99999, -1, False), (TIMED_OUT, 0, -1, True),
            (KILLED, 0, 137, False)):
        call, job = start(w)
        job.exit(how, code)
        a = call.end().json
        eq((a['exit_code'], a['timed_out']), (want, timed_out))
    call, job = start(w)
    job.exit(LOST)
    eq(call.end().code, (502, 'EIO'))
    for code, want in ((4, (404, 'ENOENT')), (0, (502, 'EIO')),
                       (200, (502, 'EIO')), (9, (429, 'EBUSY'))):
        call = Call(w, 'POST', EXEC, {'command': 'x'})
        job = Job(w, 'job_start')
        job.say('job_refused', code=code, text='no "such"\n')
        a = call.end()
        eq(a.code[0], want[0])
        if code != 200:
            eq(a.code[1], want[1])
        job.closed()


@test()
def exec_output(w):
    data = b'caf\xc3\xa9 \xff \xe2\x82'
    call, job = start(w)
    for i in range(len(data)):
        job.out(data[i:i + 1], 1 + i % 1, i)
    job.out(b'\x00\x1b"\\', 2)
    job.exit()
    a = call.end().json
    eq((a['stdout'], a['stderr']), ('caf\u00e9 \ufffd \ufffd', '\0\x1b"\\'))
    call, job = start(w, path=EXEC + '?encoding=base64')
    job.out(data)
    job.exit()
    eq(base64.b64decode(call.end().json['stdout']), data)
    call, job = start(w, Accept='application/x-ndjson')
    job.out(data[:4])
    job.out(data[4:], 1, 4)
    job.out(b'e', 2)
    job.exit(EXITED, 3)
    a = call.end()
    eq(a.headers['Content-Type'], 'application/x-ndjson')
    lines = [json.loads(x) for x in a.body.splitlines()]
    eq(''.join(x.get('stdout', '') for x in lines),
       'caf\u00e9 \ufffd \ufffd')
    eq([x['stderr'] for x in lines if 'stderr' in x], ['e'])
    eq(lines[-1]['exit_code'], 3)


@test()
def exec_input(w):
    data = os.urandom(300 * KIB)
    call = Call(w, 'POST', EXEC, {
        'command': 'x', 'stdin': base64.b64encode(data).decode(),
        'stdin_encoding': 'base64'})
    job = Job(w, 'job_start')
    got, upto = b'', 0
    while len(got) < len(data):
        w.settle(0.02)
        assert not any(m.name == 'job_data' for m in w.queue['none']), \
            'more than the credit'
        upto += 100 * KIB
        job.say('job_credit', stream=0, upto=upto)
        while len(got) < min(upto, len(data)):
            m = job.wait('job_data')
            eq((m.stream, m.offset), (0, len(got)))
            got += m.bytes
    eq(got, data)
    eq(job.wait('job_eof').offset, len(data))
    job.exit()
    eq(call.end().status, 200)


@test()
def exec_truncated(w):
    call, job = start(w)
    sent, room = 0, 0
    while sent < 3 * OUTPUT_MAX:
        while room - sent < 64 * KIB:
            room = job.credit(1, room + 1)
        job.out(b'x' * (64 * KIB), 1, sent)
        sent += 64 * KIB
    job.exit()
    a = call.end().json
    eq((len(a['stdout']), a['truncated'], a['exit_code']),
       (OUTPUT_MAX, True, 0))


@test()
def exec_slow_reader(w):
    """Who does not read gets no more than marks and a window."""
    s = socket.create_connection(('127.0.0.1', w.port))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
    body = b'{"command":"yes"}'
    s.sendall(b'POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer service'
              b'\r\nAccept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n'
              b'%s' % (EXEC.encode(), len(body), body))
    job = Job(w, 'job_start')
    job.say('job_started')
    sent = 0

    def pump(rounds):
        nonlocal sent
        room = sent
        try:
            while rounds > 0:
                room = max(room, job.credit(1, sent + 1, timeout=1))
                while sent < room:
                    n = min(room - sent, 64 * KIB)
                    job.out(b'y' * n, 1, sent)
                    sent += n
                rounds -= 1
        except TimeoutError:
            return False
        return True
    assert not pump(500), 'never stopped'
    assert sent < 16 * MIB, sent
    works(w)
    taken = 0
    while taken < sent // 2:
        taken += len(s.recv(MIB))
    assert pump(1), 'no more credit'
    s.close()
    job.closed()


@test()
def exec_bad_bodies(w):
    for body in ('', '{', '[]', '"x"', '{}', '{"command":""}', '{"args":[]}',
                 '{"command":5}', '{"command":"a\\u0000"}',
                 '{"command":"x","args":[1]}', '{"command":"x","env":["=y"]}',
                 '{"command":"x","env":["y"]}', '{"command":"x","env":{}}',
                 '{"command":"x","timeout":0}', '{"command":"x","timeout":1.5}',
                 '{"command":"x","timeout":3601}', '{"command":"x","shell":1}',
                 '{"command":"x","stdin":5}', '{"command":"x","dir":[]}',
                 '{"command":"x","stdin":"!","stdin_encoding":"base64"}',
                 '{"command":"x","stdin_encoding":"rot13"}',
                 '{"command":"x","session":""'
                 ',"timeout":"9"}', '{"command":"x","session":7}',
                 '{"command":"\\udc00"}', '[' * 40, '{"command":"x"}}',
                 b'{"command":"\xff"}'):
        eq(w.serve(Call(w, 'POST', EXEC, body)).code, (400, 'EINVAL'))
    eq(w.serve(Call(w, 'POST', EXEC + '?encoding=x',
                    {'command': 'x'})).code, (400, 'EINVAL'))
    for body in ({'command': 'x' * 140000}, {'args': ['x'] * 5000},
                 {'command': 'x', 'env': ['A=b'] * 1025},
                 {'args': ['x' * 90000] * 3},
                 {'command': 'x', 'stdin': 'y' * MIB}):
        eq(w.serve(Call(w, 'POST', EXEC, body)).code, (413, 'E2BIG'))
    works(w)


@test()
def exec_limit(w):
    running = [start(w) for _ in range(3)]
    a = w.serve(Call(w, 'POST', EXEC, {'command': 'x'}))
    eq(a.code, (429, 'EBUSY'))
    assert a.headers['Retry-After']
    call, job = start(w, path='/v1/users/bob/exec')
    job.exit()
    eq(call.end().status, 200)
    for call, job in running:
        job.exit()
        eq(call.end().status, 200)
    works(w)


@test(conf=dict(user_rate=5))
def rate(w):
    codes = [w.get('/v1/users/alice/route').status for _ in range(9)]
    assert codes[:5] == [200] * 5 and 429 in codes, codes
    eq(w.get('/v1/users/bob/route').status, 200)


# --- ends that nobody wanted ---

@test()
def client_gone(w):
    call, job = start(w)
    call.c.sock.shutdown(socket.SHUT_RDWR)
    job.closed()
    works(w)


@test()
def worker_gone(w):
    reads = Call(w, 'GET', '/v1/users/bob/stat?path=x')
    Job(w, 'file_stat')
    before = Call(w, 'POST', EXEC, {'command': 'x'})
    Job(w, 'job_start')
    after, _ = start(w)
    lines, job = start(w, Accept='application/x-ndjson')
    job.out(b'some')
    w.settle()
    w.drop('none')
    eq(reads.end().code, (503, 'EOFFLINE'))
    # it may have started, and nobody is left to tell
    eq(before.end().code, (502, 'EIO'))
    a = after.end()
    eq(a.code, (502, 'EIO'))
    assert 'lost' in a.json['error']['message']
    got = [json.loads(x) for x in lines.end().body.splitlines()]
    eq(got[0], {'stdout': 'some'})
    eq(got[-1]['error']['code'], 'EIO')
    eq(Call(w, 'POST', EXEC, {'command': 'x'}).end().code, (503, 'EOFFLINE'))
    w.none = w.peer('none')
    time.sleep(0.1)
    works(w)


@test()
def session_lost(w):
    call, job = start(w)
    w.none.send('session_lost', job.serial, code=12, text='the runner left')
    a = call.end()
    eq(a.code, (503, 'EOFFLINE'))
    # the same once more, and another of nobody
    w.none.send('session_lost', job.serial, code=12)
    w.none.send('session_lost', 999999, code=12)
    works(w)


@test()
def no_answer(w):
    call, job = start(w, {'command': 'x', 'timeout': 1})
    eq(call.end().code, (504, 'ETIMEDOUT'))
    job.closed()


# --- an executor that lies ---

@test()
def executor_lies(w):
    for lie in (dict(offset=1), dict(bytes=b'x' * (256 * KIB)),
                dict(offset=2**64 - 1)):
        call, job = start(w)
        if len(lie.get('bytes', b'')) == 256 * KIB:
            job.out(b'y')
            lie['offset'] = 1
        job.say('job_data', **{'stream': 1, 'bytes': b'z', **lie})
        eq(call.end().code, (502, 'EIO'))
        job.closed()
    call, job = start(w)
    job.say('job_data', stream=7, bytes=b'?')
    job.say('job_data', stream=0, bytes=b'?')
    job.say('job_exit', job=bytes(16), how=EXITED, code=1)
    job.say('file_info', name=b'x', size=1)
    job.say('job_done')
    job.say('job_credit', stream=0, upto=2**64 - 1)
    job.say('job_credit', stream=9, upto=5)
    job.exit(EXITED, 2)
    eq(call.end().json['exit_code'], 2)
    job.exit(EXITED, 3)
    job.out(b'late')
    works(w)


@test()
def frame_of_nonsense(w):
    call, job = start(w)
    w.none.sock.sendall(b'\0\0\0\5\xc1\xc1\xc1\xc1\xc1')
    eq(call.end().code, (502, 'EIO'))
    w.settle()
    eq(w.faults, ['none'])
    w.none = w.peer('none')
    time.sleep(0.1)
    works(w)


@test()
def random_messages(w):
    """Whatever comes, front lives and serves the next."""
    rng = random.Random(5)
    names = ('job_started job_refused job_data job_credit job_eof job_exit '
             'job_done file_info file_entries').split()
    kinds = {
        'bool': lambda: rng.random() < .5,
        'id': lambda: bytes(16), 'str': lambda: rng.choice(('', 'x', 'y' * 60)),
        'path': lambda: rng.choice((b'', b'x', b'\xff')),
        'bin': lambda: rng.choice((b'', b'x', b'z' * 5000)),
        'paths': lambda: [b'a'] * rng.choice((0, 1, 2, 200)),
        'u32s': lambda: [1] * rng.choice((0, 1, 2, 200)),
        'u64s': lambda: [1] * rng.choice((0, 1, 2, 200))}
    for _ in range(150):
        what = rng.choice((('POST', EXEC, {'command': 'x'}, 'job_start'),
                           ('GET', FILES, None, 'file_get'),
                           ('PUT', FILES, 'abc', 'file_put'),
                           ('DELETE', FILES, None, 'file_remove'),
                           ('GET', FILES.replace('files', 'stat'), None,
                            'file_stat'),
                           ('GET', FILES.replace('files', 'dir'), None,
                            'file_list')))
        call = Call(w, *what[:3], Accept=rng.choice(
            ('*/*', 'application/x-ndjson')))
        job = Job(w, what[3])
        for _ in range(rng.randrange(1, 12)):
            name, fields = rng.choice(names), {}
            for kind, field in TABLE[name][1]:
                if field == 'job':
                    continue
                fields[field] = kinds.get(kind, lambda: rng.choice(
                    (0, 0, 1, 2, 3, 100)))()
            try:
                job.say(name, **fields)
            except KeyError:
                break
        w.settle(0.01)
        if 'none' in w.chans:
            job.chan.send('session_lost', job.serial, code=11)
        try:
            call.end(5)
        except (http.client.HTTPException, OSError):
            pass
        if 'none' not in w.chans:
            w.none = w.peer('none')
            time.sleep(0.05)
    w.settle()
    eq(w.faults, [])
    works(w)


# --- files ---

@test()
def get(w):
    data = os.urandom(2 * MIB + 5)
    call = Call(w, 'GET', FILES)
    job = Job(w, 'file_get')
    eq((job.start.path, job.start.offset, job.start.length), (b'f', 0, 0))
    job.say('file_info', name=b'f', size=len(data), mode=0o100644)
    sent = room = 0
    while sent < len(data):
        while room <= sent:
            room = job.credit(3, sent + 1)
        n = min(room - sent, 128 * KIB, len(data) - sent)
        job.out(data[sent:sent + n], 3, sent)
        sent += n
    job.say('job_eof', stream=3, offset=sent)
    job.say('job_done')
    a = call.end()
    eq((a.status, a.headers['Content-Length'], a.body == data),
       (200, str(len(data)), True))
    job.closed()


@test()
def get_odd(w):
    def one(info, data, end='job_done'):
        call = Call(w, 'GET', FILES)
        job = Job(w, 'file_get')
        if info is not None:
            job.say('file_info', name=b'f', **info)
        if data:
            job.out(data, 3)
        if end is None:
            w.settle()
            w.none.send('session_lost', job.serial, code=11, text='x')
        elif end:
            job.say(end, **({'code': 4} if end == 'job_refused' else {}))
        return call.end()
    eq(one(dict(size=0, mode=0o100644), b'').body, b'')
    eq(one(dict(size=0, mode=0o100444), b'proc').body, b'proc')
    eq(one(dict(size=5, mode=0o40755), b'', '').code, (409, 'EISDIR'))
    eq(one(dict(size=FILE_MAX + 1, mode=0o100644), b'', '').code,
       (413, 'E2BIG'))
    eq(one(None, b'', 'job_refused').code, (404, 'ENOENT'))
    eq(one(None, b'', None).code, (502, 'EIO'))
    # shorter than it said, or broken off: no client takes it for whole
    for end in ('job_done', 'job_refused', None):
        a = one(dict(size=10, mode=0o100644), b'abc', end)
        assert isinstance(a.error, http.client.IncompleteRead), a.error
    # it grew while it was read
    eq(one(dict(size=2, mode=0o100644), b'abc').body, b'ab')
    works(w)


@test()
def ranges(w):
    def one(spec, want, status=206, size=100, **more):
        call = Call(w, 'GET', FILES, Range=spec, **more)
        if want is None or status == 206:
            job = Job(w, 'file_stat')
            job.say('file_info', name=b'f', size=size, mode=0o100644)
            job.say('job_done')
            if want is None:
                a = call.end()
                eq((a.status, a.headers['Content-Range']),
                   (416, f'bytes */{size}'))
                return
            get = job.wait('file_get')
            eq((get.offset, get.length), want)
            job.id = get.job
        else:
            job = Job(w, 'file_get' if more else 'file_stat')
            if not more:
                job.say('file_info', name=b'f', size=size, mode=0o100644)
                job.id = job.wait('file_get').job
            want = 0, size
        job.say('file_info', name=b'f', size=size, mode=0o100644)
        job.out(b'z' * want[1], 3)
        job.say('job_done')
        a = call.end()
        eq((a.status, len(a.body)), (status, want[1]))
        if status == 206:
            eq(a.headers['Content-Range'],
               f'bytes {want[0]}-{want[0] + want[1] - 1}/{size}')
    one('bytes=0-9', (0, 10))
    one('bytes=90-', (90, 10))
    one('bytes=-1', (99, 1))
    one('bytes=-500', (0, 100))
    one('bytes=50-99999999999999999999999', (50, 50))
    one('bytes=100-', None)
    one('bytes=-0', None)
    one('bytes=0-', None, size=0)
    one('bytes=5-2', (0, 0), 200)
    one('bytes=1-2,4-5', (0, 0), 200)
    one('lines=1-2', (0, 0), 200)
    one('bytes=0-9', (0, 0), 200, If_Range='"x"')


@test()
def head(w):
    call = Call(w, 'HEAD', FILES)
    job = Job(w, 'file_stat')
    job.say('file_info', name=b'f', size=77, mode=0o100644)
    a = call.end()
    eq((a.status, a.headers['Content-Length'], a.body), (200, '77', b''))


@test()
def put(w):
    data = os.urandom(MIB)
    call = Call(w, 'PUT', FILES + '&mode=0600&parents=1', data)
    job = Job(w, 'file_put')
    s = job.start
    eq((s.path, s.mode, s.parents, s.limit), (b'f', 0o600, True, FILE_MAX))
    got, upto = b'', 0
    while len(got) < len(data):
        upto += 200 * KIB
        job.say('job_credit', stream=3, upto=upto)
        while len(got) < min(upto, len(data)):
            m = job.wait('job_data')
            eq((m.stream, m.offset), (3, len(got)))
            got += m.bytes
        assert len(got) <= upto
    eq(got == data, True)
    eq(job.wait('job_eof').offset, len(data))
    job.say('job_done')
    eq(call.end().status, 204)
    job.closed()


@test()
def put_odd(w):
    for query in ('&mode=9', '&mode=17777', '&mode=x', '&parents=2', '&mode='):
        eq(w.serve(Call(w, 'PUT', FILES + query, 'x')).code, (400, 'EINVAL'))
    eq(w.serve(Call(w, 'PUT', '/v1/users/alice/files', 'x')).code,
       (400, 'EINVAL'))
    eq(w.serve(Call(w, 'PUT', FILES + '%00', 'x')).code, (400, 'EINVAL'))
    eq(w.serve(Call(w, 'PUT', FILES + 'f' * 4100, 'x')).code, (400, 'EINVAL'))
    eq(w.serve(Call(w, 'PUT', FILES, b'x' * (FILE_MAX + 1))).code,
       (413, 'E2BIG'))
    # chunked: the limit is met on the way
    call = Call(w, 'PUT', FILES, (b'x' * MIB for _ in range(4)))
    job = Job(w, 'file_put')
    job.say('job_credit', stream=3, upto=2**40)
    eq(call.end().code, (413, 'E2BIG'))
    job.closed()
    # refused before and in the middle
    call = Call(w, 'PUT', FILES, b'x' * 1000)
    job = Job(w, 'file_put')
    job.say('job_refused', code=3, text='outside')
    eq(call.end().code, (403, 'EPERM'))
    call = Call(w, 'PUT', FILES, b'x' * 1000)
    job = Job(w, 'file_put')
    job.say('job_credit', stream=3, upto=500)
    job.wait('job_data')
    job.say('job_refused', code=8, text='disk')
    eq(call.end().code, (413, 'E2BIG'))
    # done before the end
    call = Call(w, 'PUT', FILES, b'x' * 1000)
    job = Job(w, 'file_put')
    job.say('job_done')
    eq(call.end().code, (502, 'EIO'))
    works(w)


@test()
def names(w):
    call = Call(w, 'GET', FILES.replace('files', 'stat'))
    job = Job(w, 'file_stat')
    job.say('file_info', name=b'f\xff', size=5, mode=0o41777,
            mtime_ns=1700000000123456789)
    eq(call.end().json, {
        'name': 'f\ufffd', 'size': 5, 'mode': 0x801001ff,
        'mod_time': '2023-11-14T22:13:20Z', 'is_dir': True})
    call = Call(w, 'GET', '/v1/users/alice/dir')
    job = Job(w, 'file_list')
    eq(job.start.path, b'.')
    job.say('file_entries', names=[b'a', b'\xfe'], modes=[0o40755, 0o100644],
            sizes=[1, 2])
    job.say('file_entries', offset=2, names=[b'c'], modes=[0o120777],
            sizes=[3])
    job.say('job_done')
    eq(call.end().json, {'entries': [
        {'name': 'a', 'is_dir': True, 'size': 1},
        {'name': '\ufffd', 'is_dir': False, 'size': 2},
        {'name': 'c', 'is_dir': False, 'size': 3}]})
    call = Call(w, 'GET', '/v1/users/alice/dir?path=e')
    job = Job(w, 'file_list')
    job.say('job_done')
    eq(call.end().json, {'entries': []})
    for lie in (dict(offset=1), dict(modes=[]), dict(sizes=[1, 2])):
        call = Call(w, 'GET', '/v1/users/alice/dir?path=e')
        job = Job(w, 'file_list')
        job.say('file_entries', **{'names': [b'a'], 'modes': [1],
                                   'sizes': [1], **lie})
        eq(call.end().code, (502, 'EIO'))
    for method, path, what, fields in (
            ('PUT', '/v1/users/alice/dir?path=d&mode=0700', 'file_mkdir',
             dict(path=b'd', mode=0o700, parents=True)),
            ('DELETE', FILES + '&recursive=1', 'file_remove',
             dict(path=b'f', recursive=True, missing_ok=False))):
        call = Call(w, method, path)
        job = Job(w, what)
        eq({k: getattr(job.start, k) for k in fields}, fields)
        job.say('job_done')
        eq(call.end().status, 204)


@test()
def leaks(w):
    """Descriptors and sessions return to where they were."""
    works(w)
    fds = len(os.listdir(f'/proc/{w.proc.pid}/fd'))
    for i in range(60):
        call, job = start(w)
        if i % 3 == 0:
            call.c.sock.shutdown(socket.SHUT_RDWR)
            job.closed()
        elif i % 3 == 1:
            w.none.send('session_lost', job.serial, code=11)
            call.end()
        else:
            job.exit()
            call.end()
        call.c.close()
    w.settle(0.5)
    eq(len(os.listdir(f'/proc/{w.proc.pid}/fd')) - fds <= 1, True)
    a = w.get('/metrics')
    assert b'\nxbot_sessions 0\n' in a.body, a.body


def main():
    passed = failed = 0
    for f, options in TESTS:
        if len(sys.argv) > 2 and f.__name__ not in sys.argv[2:]:
            continue
        w = None
        began = time.monotonic()
        try:
            w = World(sys.argv[1], **options)
            f(w)
            w.settle(0.02)
            eq(w.stop(), 0)
            passed += 1
            print(f'ok {f.__name__} ({time.monotonic() - began:.1f} s)')
        except Exception:
            failed += 1
            print(f'not ok {f.__name__}')
            for line in traceback.format_exc().splitlines():
                print('# ' + line)
            if w is not None:
                for line in w.lines[-8:]:
                    print('# log: ' + line)
                w.proc.kill()
                w.proc.wait()
        sys.stdout.flush()
    print(f'{passed} passed, {failed} failed, 0 skipped')
    return int(failed > 0)


if __name__ == '__main__':
    sys.exit(main())
