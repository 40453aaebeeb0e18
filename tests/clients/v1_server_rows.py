#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""The rest of the catalogue of protocol v1 against our xbot-runner: tasks,
stdio and PTY streams, downloads.

usage: v1_server_rows.py RUNNER [NAME...]

The same output as v1_server_peer.py.  Contract: xbot-runner-v1.md.
"""
import asyncio
import base64
import hashlib
import http.server
import os
import random
import threading
import time

import v1_server_peer as v1
from v1_server_peer import b64, children, test, until, want

v1.TESTS.clear()


def hasty(p):
    """The same runner with 3 seconds of grace instead of 300."""
    path = os.path.join(os.path.dirname(p.runner), 'tests/xbot-runner-hasty')
    if not os.path.exists(path):
        raise v1.Skip('no such build')
    return path


# -- background tasks ---------------------------------------------------------

async def bg(conn, task, text, **more):
    answer = await conn.ask('bg_exec', {'task_id': task, 'command': text, 'shell': True, **more})
    want((answer['type'], answer.get('body')), ('bg_started', {'task_id': task}), 'answer')


async def status(conn, task):
    answer = await conn.ask('bg_status', {'task_id': task})
    want(answer['type'], 'bg_output', f'answer ({answer})')
    body = answer['body']
    want(set(body) <= {'task_id', 'status', 'exit_code', 'stdout', 'stderr'}, True, f'{body}')
    want(body['task_id'], task, 'task_id')
    want(isinstance(body['stdout'], str) and isinstance(body['stderr'], str), True, 'output')
    return body


async def ended(conn, task, wait=15):
    end = time.monotonic() + wait
    while (body := await status(conn, task))['status'] == 'running':
        want(time.monotonic() < end, True, f'{task} ends')
        await asyncio.sleep(0.05)
    return body['status'], body.get('exit_code', 0), body['stdout'], body['stderr']


@test
async def bg_tasks(p):
    conn = await p.started()
    await bg(conn, 'remote-1', 'echo out; echo err >&2; exit 0')
    want(await ended(conn, 'remote-1'), ('completed', 0, 'out\n', 'err\n'), 'task')
    await bg(conn, 'remote-2', 'exit 7')
    want(await ended(conn, 'remote-2'), ('failed', 7, '', ''), 'exit 7')
    await bg(conn, 'remote-3', 'kill -9 $$')
    want(await ended(conn, 'remote-3'), ('failed', -1, '', ''), 'signal')
    await bg(conn, 'remote-4', '', shell=False, args=['/bin/echo', 'a b', 'c'])
    want(await ended(conn, 'remote-4'), ('completed', 0, 'a b c\n', ''), 'args')
    await bg(conn, 'remote-5', 'sleep 300')
    body = await status(conn, 'remote-5')
    want((body['status'], 'exit_code' in body), ('running', False), 'running')
    # The same again, everything since the start.
    want(await ended(conn, 'remote-1'), ('completed', 0, 'out\n', 'err\n'), 'again')


@test
async def bg_start_failures(p):
    conn = await p.started()
    for task, args in (('a', ['/nonexistent/x']), ('b', ['no-such-program-7'])):
        await bg(conn, task, '', shell=False, args=args)
        got = await ended(conn, task)
        want(got[:3], ('failed', -1, ''), f'{args}')
        want(got[3] != '', True, 'a text')
    await bg(conn, 'c', 'x', shell=False)
    want((await ended(conn, 'c'))[:2], ('failed', -1), 'no args')
    await conn.error('EIO', 'bg_kill', {'task_id': 'c'})


@test
async def bg_errors(p):
    conn = await p.started()
    for kind in ('bg_status', 'bg_kill'):
        text = await conn.error('EIO', kind, {'task_id': 'nobody'})
        want('task ID not found' in text, True, text)
        await conn.error('EINVAL', kind)
        await conn.error('EINVAL', kind, {'task_id': 5})
    await conn.error('EINVAL', 'bg_exec')
    await conn.error('EINVAL', 'bg_exec', {'task_id': '', 'command': 'x', 'shell': True})
    await conn.error('EINVAL', 'bg_exec', {'command': 'x', 'shell': True})
    await conn.error('EINVAL', 'bg_exec', {'task_id': 'a', 'shell': 'yes'})
    await bg(conn, 'twice', 'sleep 300')
    await conn.error('EEXIST', 'bg_exec', {'task_id': 'twice', 'command': 'x', 'shell': True})
    await bg(conn, 'done', 'true')
    await ended(conn, 'done')
    text = await conn.error('EIO', 'bg_kill', {'task_id': 'done'})
    want('is not running (status=completed)' in text, True, text)
    await conn.error('EEXIST', 'bg_exec', {'task_id': 'done', 'command': 'x', 'shell': True})


@test
async def bg_kill_is_final(p):
    conn = await p.started()
    # D26, and the tree goes with its leader.
    await bg(conn, 'k', 'trap "" TERM; sleep 301 & sleep 302')
    await asyncio.sleep(0.3)
    answer = await conn.ask('bg_kill', {'task_id': 'k'})
    want((answer['type'], 'body' in answer), ('ok', False), 'answer')
    await until(lambda: len(children(p.process.pid)) == 1, 5, 'tree gone')
    want((await ended(conn, 'k'))[0], 'killed', 'status')
    text = await conn.error('EIO', 'bg_kill', {'task_id': 'k'})
    want('is not running (status=killed)' in text, True, text)
    # Before it has started: the two in one breath.
    for i in range(20):
        await conn.send('bg_exec', {'task_id': f'b{i}', 'command': 'sleep 303', 'shell': True},
                        f's{i}')
        answer = await conn.ask('bg_kill', {'task_id': f'b{i}'})
        want(answer['type'], 'ok', f'{answer}')
        await conn.send('bg_exec', {'task_id': f'c{i}', 'command': 'sleep 303', 'shell': True},
                        f't{i}')
        await conn.send('bg_kill', {'task_id': f'c{i}'}, f'k{i}')
        for task in (f'b{i}', f'c{i}'):
            body = await status(conn, task)
            # Absent it would be 0.
            want((body['status'], body.get('exit_code')), ('killed', -1), 'status')
    await until(lambda: len(children(p.process.pid)) == 1, 5, 'nothing runs')


@test
async def bg_env_dir_and_stdin(p):
    os.mkdir(os.path.join(p.ws, 'sub'))
    conn = await p.started(env={'OF_THE_RUNNER': 'yes'})
    await bg(conn, 'a', 'echo $OF_THE_RUNNER $MINE; pwd; cat', dir='sub',
             env=['MINE=too'], stdin='typed\n')
    ws = os.path.realpath(p.ws)
    want(await ended(conn, 'a'), ('completed', 0, f'yes too\n{ws}/sub\ntyped\n', ''), 'D22')
    await bg(conn, 'b', 'pwd; cat', dir='/etc')
    want(await ended(conn, 'b'), ('completed', 0, f'{ws}\n', ''), 'dir outside')
    data = 'x' * 3_000_000
    await bg(conn, 'c', 'wc -c', stdin=data)
    want(await ended(conn, 'c'), ('completed', 0, '3000000\n', ''), 'much input')
    await bg(conn, 'd', 'exec <&-; sleep 0.2', stdin=data)
    want((await ended(conn, 'd'))[0], 'completed', 'input nobody reads')


@test
async def bg_much_output(p):
    conn = await p.started()
    await bg(conn, 'a', 'seq 1 1000000; echo done >&2')     # 6888896 bytes
    state, code, out, err = await ended(conn, 'a')
    want((state, code, err), ('completed', 0, 'done\n'), 'end')
    mark, rest = out.split('\n', 1)
    want(mark.startswith('[… ') and mark.endswith(' bytes dropped …]'), True, mark[:100])
    dropped = int(mark.split()[1])
    everything = ''.join(f'{i}\n' for i in range(1, 1000001))
    want(rest == everything[dropped:], True, 'the rest')
    want(len(rest) >= 1 << 20, True, 'what is kept')
    await bg(conn, 'b', 'while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done')
    for _ in range(10):
        body = await status(conn, 'b')
        want(len(body['stdout']) < 3 << 20, True, 'length')
        await asyncio.sleep(0.1)
    want((await conn.ask('bg_kill', {'task_id': 'b'}))['type'], 'ok', 'kill')


@test
async def bg_outlives_the_connection(p):
    conn = await p.started()
    await bg(conn, 'a', 'sleep 1; echo late')
    await bg(conn, 'b', 'sleep 300')
    await conn.ws.close()
    conn = await p.conn()
    want((await status(conn, 'b'))['status'], 'running', 'after a reconnect')
    want(await ended(conn, 'a'), ('completed', 0, 'late\n', ''), 'output')
    want((await conn.ask('bg_kill', {'task_id': 'b'}))['type'], 'ok', 'kill')


@test
async def bg_grace(p):
    conn = await p.started(binary=hasty(p))
    await bg(conn, 'a', 'exec sleep 300')
    await bg(conn, 'b', 'exit 3')
    await ended(conn, 'b')
    p.server.close()
    await p.server.wait_closed()
    await conn.ws.close()
    await asyncio.sleep(1.5)
    want(len(children(p.process.pid)), 2, 'it runs within the grace')
    await until(lambda: len(children(p.process.pid)) == 1, 4, 'then it is killed')
    p.server = await v1.websockets.serve(p.on_connection, '127.0.0.1', p.port, max_size=None,
                                         ping_interval=None)
    conn = await p.conn(30)
    want((await status(conn, 'a'))['status'], 'killed', 'status')
    want((await status(conn, 'b'))['status'], 'failed', 'status of the one that had ended')


@test
async def bg_many(p):
    conn = await p.started()
    await asyncio.gather(*(bg(conn, f't{i}', f'echo {i}') for i in range(60)))
    for i in range(60):
        want((await ended(conn, f't{i}'))[2], f'{i}\n', 'output')


@test
async def bg_executor_dies(p):
    conn = await p.started()
    await bg(conn, 'a', 'sleep 300')
    await status(conn, 'a')
    pid = next(c for c in children(p.process.pid)
               if os.readlink(f'/proc/{c}/exe').startswith('/memfd'))
    os.kill(pid, 9)
    await until(lambda: b'restarting' in p.log, 5, 'restart')
    got = await ended(conn, 'a')
    want(got[:2], ('failed', -1), 'status')
    want('executor' in got[3], True, got[3])


# -- stdio streams ------------------------------------------------------------

class Stream:
    """The server's side of one stdio or PTY stream."""

    def __init__(self, conn, kind, ident):
        self.conn, self.kind, self.id = conn, kind, ident
        self.at = 0

    async def start(self, **body):
        first = {'stdio': 'stdio_start', 'pty': 'pty_create'}[self.kind]
        return await self.conn.ask(first, {'stream_id': self.id, **body})

    async def started(self, **body):
        answer = await self.start(**body)
        want((answer['type'], answer.get('body')), ('ok', {'stream_id': self.id}), f'{answer}')
        return self

    async def write(self, data):
        if self.kind == 'stdio':
            await self.conn.send('stdio_write', {'stream_id': self.id, 'data': b64(data)})
        else:
            await self.conn.send('pty_stdin', {'stream_id': self.id, 'data': b64(data)}, 'pty-1')

    async def close(self, wait=15):
        return await self.conn.ask(f'{self.kind}_close', {'stream_id': self.id}, wait)

    def messages(self):
        return [m for m in self.conn.pushes if isinstance(m, dict) and
                m.get('body', {}).get('stream_id') == self.id]

    def data(self):
        out = b''
        for m in self.messages():
            want('id' in m, False, 'id of a push')
            if m['type'] == f'{self.kind}_data':
                piece = base64.b64decode(m['body']['data'], validate=True)
                want(0 < len(piece) <= 32768, True, f'{len(piece)} bytes in a message')
                out += piece
        return out

    def exit(self):
        """The exit message once it is there, which must be the last."""
        found = [m for m in self.messages() if m['type'] == f'{self.kind}_exit']
        if not found:
            return None
        want(len(found), 1, 'exits')
        want(self.messages()[-1], found[0], 'last message')
        return found[0]['body']

    async def exited(self, wait=10):
        await until(lambda: self.exit() is not None, wait, f'exit of {self.id}')
        return self.exit()


async def stdio(conn, ident, command, *args, **more):
    return await Stream(conn, 'stdio', ident).started(command=command, args=list(args), **more)


@test
async def stdio_row(p):
    conn = await p.started()
    s = await stdio(conn, 's1', 'cat')
    await s.write(b'hello \0\xff\n')
    await until(lambda: s.data() == b'hello \0\xff\n', 5, 'echo')
    answer = await s.close()
    want((answer['type'], 'body' in answer), ('ok', False), 'close')
    want(await s.exited(), {'stream_id': 's1', 'exit_code': 0}, 'exit')
    await conn.error('ENOENT', 'stdio_close', {'stream_id': 's1'})
    # The id is free again.
    s = await stdio(conn, 's2', '/bin/sh', '-c', 'echo out; exit 4')
    want((await s.exited(), s.data()),
         ({'stream_id': 's2', 'exit_code': 4}, b'out\n'), 'exit 4')
    s = await stdio(conn, 's3', '/bin/sh', '-c', 'kill -9 $$')
    want((await s.exited())['exit_code'], -1, 'signal')


@test
async def stdio_errors(p):
    conn = await p.started()
    await conn.error('EINVAL', 'stdio_start')
    await conn.error('EINVAL', 'stdio_start', {'stream_id': '', 'command': 'cat'})
    await conn.error('EINVAL', 'stdio_start', {'stream_id': 'a'})
    await conn.error('EINVAL', 'stdio_start', {'stream_id': 'a', 'command': 5})
    await conn.error('EINVAL', 'stdio_start', {'stream_id': 'a', 'command': 'x', 'args': 'y'})
    text = await conn.error('EIO', 'stdio_start', {'stream_id': 'a', 'command': '/no/such'})
    want('exec error' in text, True, text)
    await stdio(conn, 'a', 'cat')
    await conn.error('EEXIST', 'stdio_start', {'stream_id': 'a', 'command': 'cat'})
    await conn.error('EINVAL', 'stdio_close')
    await conn.error('ENOENT', 'stdio_close', {'stream_id': 'b'})
    before = len(conn.pushes)
    for body in (None, 5, {}, {'stream_id': 'none', 'data': b64(b'x')},
                 {'stream_id': 'a', 'data': 'x'}, {'stream_id': 'a', 'data': 5}):
        await conn.send('stdio_write', body)
    await conn.sh('true')
    want(conn.pushes[before:], [], 'answers to stdio_write')
    # Who gives an id waits for an answer.
    want((await conn.ask('stdio_write', {'stream_id': 'a', 'data': b64(b'x')}))['type'],
         'ok', 'with an id')
    await conn.error('ENOENT', 'stdio_write', {'stream_id': 'b', 'data': b64(b'x')})
    await conn.error('EINVAL', 'stdio_write', {'stream_id': 'a', 'data': '!'})
    for kind in ('stdio_close', 'pty_close'):
        await conn.error('EINVAL', kind, {})
        await conn.error('EINVAL', kind, {'stream_id': ''})


@test
async def stdio_race_for_an_id(p):
    conn = await p.started()
    answers = await asyncio.gather(*(conn.ask(
        'stdio_start', {'stream_id': 'same', 'command': 'cat'}) for _ in range(20)))
    want(sorted(a['type'] for a in answers), ['error'] * 19 + ['ok'], 'answers')
    await asyncio.sleep(0.2)
    want(len(children(p.process.pid)), 2, 'one cat')


@test
async def stdio_order_of_input(p):
    # D27: sent without waiting, they arrive in order.
    conn = await p.started()
    s = await stdio(conn, 's', 'cat')
    expect = b''
    for i in range(3000):
        line = b'%d %s\n' % (i, b'x' * (i % 400))
        expect += line
        await s.write(line)
    await until(lambda: len(s.data()) >= len(expect), 20, 'all of it')
    want(s.data() == expect, True, 'order')


@test
async def stdio_ok_before_data(p):
    # D28, and the exit behind all data.
    conn = await p.started()
    for i in range(30):
        seen = len(conn.pushes)
        s = Stream(conn, 'stdio', f's{i}')
        answer = await s.start(command='/bin/sh', args=['-c', f'echo {i}'])
        want(answer['type'], 'ok', f'{answer}')
        await s.exited()
        want(s.data(), b'%d\n' % i, 'data')
        want(len(conn.pushes) >= seen + 2, True, 'pushes')


@test
async def stdio_dir_env_stderr(p):
    os.mkdir(os.path.join(p.ws, 'sub'))
    conn = await p.started('--v', env={'OF_THE_RUNNER': 'yes'})
    ws = os.path.realpath(p.ws).encode()
    s = await stdio(conn, 's', '/bin/sh', '-c', 'pwd; echo $OF_THE_RUNNER $MINE; echo noise >&2',
                    dir='sub', env=['MINE=too'])
    await s.exited()
    want(s.data(), ws + b'/sub\nyes too\n', 'D12, without stderr')
    await until(lambda: b'noise' in p.log, 3, 'stderr in the log')
    s = await stdio(conn, 't', 'pwd', dir='/etc')
    await s.exited()
    want(s.data(), ws + b'\n', 'dir outside')
    s = await stdio(conn, 'u', '/bin/sh', '-c', 'head -c 3000000 /dev/zero >&2; echo on')
    await s.exited()
    want(s.data(), b'on\n', 'stderr is drained')


@test
async def stdio_close_sequence(p):
    conn = await p.started()
    # One that ends with its input, one that ends with TERM, one with neither.
    polite = await stdio(conn, 'a', '/bin/sh', '-c', 'cat; echo bye; exit 3')
    want((await polite.close())['type'], 'ok', 'close')
    want((await polite.exited(), polite.data()),
         ({'stream_id': 'a', 'exit_code': 3}, b'bye\n'), 'polite')
    term = await stdio(conn, 'b', '/bin/sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.1; done')
    kill = await stdio(conn, 'c', '/bin/sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done')
    await asyncio.sleep(0.2)
    start = time.monotonic()
    answers = await asyncio.gather(term.close(), kill.close())
    want([a['type'] for a in answers], ['ok', 'ok'], 'answers')
    took = time.monotonic() - start
    want(7 < took < 10, True, f'{took:.1f} s')
    want((await term.exited())['exit_code'], 5, 'TERM')
    want((await kill.exited())['exit_code'], -1, 'KILL')
    await until(lambda: len(children(p.process.pid)) == 1, 5, 'nothing runs')


@test
async def closed_in_one_breath(p):
    """Start, input and close before anything was answered."""
    conn = await p.started()
    for kind, start in (('stdio', 'stdio_start'), ('pty', 'pty_create')):
        for i in range(5):
            s = Stream(conn, kind, f'{kind}{i}')
            started = asyncio.create_task(conn.ask(
                start, {'stream_id': s.id, 'command': 'cat'}))
            await asyncio.sleep(0)
            if kind == 'stdio':
                await s.write(b'one')
                await s.write(b'two')
            closed = asyncio.create_task(s.close())
            want((await started)['body'], {'stream_id': s.id}, 'start')
            want((await closed)['type'], 'ok', 'close')
            code = (await s.exited())['exit_code']
            if kind == 'stdio':
                want((s.data(), code), (b'onetwo', 0), 'output')
    started = asyncio.create_task(conn.error(
        'EIO', 'stdio_start', {'stream_id': 'none', 'command': '/no/such'}))
    await asyncio.sleep(0)
    answer = await conn.ask('stdio_close', {'stream_id': 'none'})
    await started
    want(answer['type'] in ('ok', 'error'), True, 'close of what never was')


@test
async def stdio_close_after_input(p):
    conn = await p.started()
    data = os.urandom(2_000_000)
    s = await stdio(conn, 's', 'sha256sum')
    for at in range(0, len(data), 50_000):
        await s.write(data[at:at + 50_000])
    want((await s.close())['type'], 'ok', 'close')
    await s.exited()
    want(s.data()[:64].decode(), hashlib.sha256(data).hexdigest(), 'all of the input')


@test
async def stdio_whole_tree(p):
    conn = await p.started()
    s = await stdio(conn, 's', '/bin/sh', '-c', 'trap "" TERM HUP; sleep 301 & sleep 302')
    await asyncio.sleep(0.3)
    want((await s.close())['type'], 'ok', 'close')
    await until(lambda: len(children(p.process.pid)) == 1, 5, 'children gone')


@test
async def stdio_much_output(p):
    conn = await p.started()
    s = await stdio(conn, 's', '/bin/sh', '-c', 'seq 1 500000')
    await s.exited(30)
    want(s.data() == b''.join(b'%d\n' % i for i in range(1, 500001)), True, 'content')


@test
async def stdio_back_pressure(p):
    if p.sanitized():
        raise v1.Skip('memory test')
    # A server that does not read: the program waits, nothing is dropped.
    conn = await p.started()
    s = await stdio(conn, 's', '/bin/sh', '-c', 'seq 1 6000000')
    want((await conn.sh('echo between'))['stdout'], 'between\n', 'other requests')
    conn.ws.transport.pause_reading()
    await asyncio.sleep(3)
    want(p.resident() < 40000, True, f'{p.resident()} kB resident while nobody reads')
    conn.ws.transport.resume_reading()
    await s.exited(60)
    digest = hashlib.sha256()
    for first in range(1, 6000001, 10000):
        digest.update(b''.join(b'%d\n' % i for i in range(first, first + 10000)))
    want(hashlib.sha256(s.data()).hexdigest(), digest.hexdigest(), 'sha256')


@test
async def stdio_slow_reader_of_input(p):
    # One slow program does not stall the link.
    conn = await p.started()
    s = await stdio(conn, 's', '/bin/sh', '-c', 'sleep 2; cat | wc -c')
    for _ in range(100):
        await s.write(bytes(60_000))
    start = time.monotonic()
    want((await conn.sh('echo x'))['stdout'], 'x\n', 'meanwhile')
    want(time.monotonic() - start < 1.5, True, 'at once')
    want((await s.close())['type'], 'ok', 'close')
    await s.exited()
    want(s.data().strip(), b'6000000', 'all of it arrives')


@test
async def stdio_input_limit(p):
    if p.sanitized():
        raise v1.Skip('memory test')
    conn = await p.started()
    s = await stdio(conn, 's', 'sleep', '300')
    piece = bytes(1 << 20)
    for _ in range(70):
        await s.write(piece)
    body = await s.exited(20)
    want('input' in body.get('error', ''), True, f'{body}')
    want((await conn.sh('echo x'))['stdout'], 'x\n', 'afterwards')
    await asyncio.sleep(0.2)
    want(p.resident() < 40000, True, f'{p.resident()} kB resident')


@test
async def streams_end_with_the_connection(p):
    conn = await p.started()
    await stdio(conn, 's', 'cat')
    await Stream(conn, 'pty', 't').started(command='cat')
    want(len(children(p.process.pid)), 3, 'both run')
    await conn.ws.close()
    conn = await p.conn()
    await until(lambda: len(children(p.process.pid)) == 1, 10, 'both gone')
    await conn.error('ENOENT', 'stdio_close', {'stream_id': 's'})
    await stdio(conn, 's', 'cat')


@test
async def many_streams(p):
    conn = await p.started()
    chance = random.Random(3)
    streams = await asyncio.gather(*(stdio(conn, f's{i}', 'cat') for i in range(60)))
    expect = {s.id: b'' for s in streams}
    for _ in range(2000):
        s = chance.choice(streams)
        data = chance.randbytes(chance.randint(1, 500))
        expect[s.id] += data
        await s.write(data)
    for s in streams:
        await until(lambda s=s: len(s.data()) >= len(expect[s.id]), 10, s.id)
        want(s.data() == expect[s.id], True, 'content')
    answers = await asyncio.gather(*(s.close() for s in streams))
    want({a['type'] for a in answers}, {'ok'}, 'closes')


# -- terminals ----------------------------------------------------------------

async def pty(conn, ident, **more):
    body = {'command': '', 'env': ['TERM=xterm-256color'], 'cols': 80, 'rows': 24, **more}
    return await Stream(conn, 'pty', ident).started(**body)


@test
async def pty_row(p):
    conn = await p.started()
    s = await pty(conn, 't-1', command='/bin/sh')
    await s.write(b'stty size; tty; echo $TERM; pwd\n')
    ws = os.path.realpath(p.ws).encode()
    await until(lambda: ws in s.data(), 5, 'output')
    want(b'24 80' in s.data(), True, f'size in {s.data()}')
    want(b'xterm-256color' in s.data(), True, 'TERM')
    want(b'not a tty' in s.data(), False, 'tty')
    await conn.send('pty_resize', {'stream_id': 't-1', 'cols': 132, 'rows': 50}, 'r1')
    await s.write(b'stty size\n')
    await until(lambda: b'50 132' in s.data(), 5, 'resized (D30)')
    await s.write(b'sh -c "echo waiting; exec sleep 300"\n')
    await until(lambda: b'waiting\r\n' in s.data(), 30, 'a program')
    await s.write(b'\x03')
    await until(lambda: b'^C' in s.data(), 30, 'its echo')
    await s.write(b'echo af""ter\n')
    await until(lambda: b'after' in s.data(), 30, 'Ctrl-C')
    await s.write(b'exit 6\n')
    want(await s.exited(), {'stream_id': 't-1', 'exit_code': 6}, 'exit')
    want([m for m in conn.pushes if m.get('id')], [], 'replies to pty_stdin, pty_resize')


@test
async def pty_shell_and_defaults(p):
    conn = await p.started(env={'HOME': '/', 'SECRET_OF_MINE': 'x'})
    s = await Stream(conn, 'pty', 'a').started()
    await s.write(b'stty size; echo $0 $TERM\n')
    await until(lambda: b'24 80' in s.data() and b'xterm' in s.data(), 5, 'defaults')
    s = await pty(conn, 'b', dir='/nonexistent/dir', command='pwd')
    await s.exited()
    want(s.data().strip(), os.path.realpath(p.ws).encode(), 'D13: missing dir')
    s = await pty(conn, 'c', dir='/etc', command='pwd')
    await s.exited()
    want(s.data().strip(), os.path.realpath(p.ws).encode(), 'D13: dir outside')
    s = await pty(conn, 'v', command='env', env=['MINE=x'])
    await s.exited()
    names = {line.split(b'=')[0] for line in s.data().splitlines()}
    want(names - {b'PWD', b'XBOT_JOB'} <= {b'TERM', b'PATH', b'HOME', b'USER', b'SHELL',
                                          b'LANG', b'MINE'}, True, f'environment {names}')
    want({b'TERM', b'PATH', b'HOME', b'MINE'} <= names, True, f'environment {names}')
    s = await pty(conn, 'd', command='/bin/echo', args=['a b', 'c'])
    await s.exited()
    want(s.data().strip(), b'a b c', 'args')
    s = await pty(conn, 'e', cols=0, rows=0, command='stty', args=['size'])
    await s.exited()
    want(s.data().strip(), b'24 80', 'zero')


@test
async def pty_errors(p):
    conn = await p.started()
    await conn.error('EINVAL', 'pty_create')
    await conn.error('EINVAL', 'pty_create', {'stream_id': ''})
    await conn.error('EINVAL', 'pty_create', {'stream_id': 'a', 'cols': 70000})
    await conn.error('EINVAL', 'pty_create', {'stream_id': 'a', 'rows': -1})
    await conn.error('EIO', 'pty_create', {'stream_id': 'a', 'command': '/no/such'})
    await pty(conn, 'a', command='cat')
    await conn.error('EEXIST', 'pty_create', {'stream_id': 'a', 'command': 'cat'})
    await conn.error('ENOENT', 'pty_close', {'stream_id': 'b'})
    await conn.error('ENOENT', 'stdio_close', {'stream_id': 'a'})
    before = len(conn.pushes)
    for kind, body in (('pty_stdin', None), ('pty_stdin', {'stream_id': 'x', 'data': ''}),
                       ('pty_stdin', {'stream_id': 'a', 'data': '!'}),
                       ('pty_resize', {'stream_id': 'a', 'cols': 'x', 'rows': 1}),
                       ('pty_resize', {'stream_id': 'a', 'cols': -1, 'rows': 1})):
        await conn.send(kind, body, 'quiet')
    await conn.sh('true')
    want(conn.pushes[before:], [], 'answers')


@test
async def pty_close_sequence(p):
    conn = await p.started()
    s = await pty(conn, 'a', command='/bin/sh')
    want((await s.close())['type'], 'ok', 'close')
    await s.exited()
    s = await pty(conn, 'b', command='/bin/sh', args=['-c', 'trap "" HUP TERM; sleep 301 & '
                                                      'while :; do sleep 0.2; done'])
    await asyncio.sleep(0.3)
    start = time.monotonic()
    want((await s.close())['type'], 'ok', 'close')
    took = time.monotonic() - start
    want(4 < took < 9, True, f'{took:.1f} s')
    await until(lambda: len(children(p.process.pid)) == 1, 5, 'nothing runs')


@test
async def pty_much_output(p):
    # D29: nothing is dropped, the terminal is read as fast as the server is.
    conn = await p.started()
    s = await pty(conn, 'a', command='/bin/sh', args=['-c', 'seq 1 300000'])
    await s.exited(30)
    want(s.data() == b''.join(b'%d\r\n' % i for i in range(1, 300001)), True, 'content')
    s = await pty(conn, 'b', command='/bin/sh', args=['-c', 'stty raw -echo; echo go; head -c 300000 | sha256sum'])
    await until(lambda: b'go' in s.data(), 5, 'ready')
    data = b'0123456789' * 30000
    for at in range(0, len(data), 5000):
        await s.write(data[at:at + 5000])
    await s.exited(20)
    want(hashlib.sha256(data).hexdigest().encode() in s.data(), True, 'much input')


# -- downloads ----------------------------------------------------------------

LIMIT = 104857600


class Web(http.server.BaseHTTPRequestHandler):
    agents, asked = [], []

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.agents.append(self.headers.get('User-Agent'))
        if self.path.startswith('http://'):     # asked as a proxy
            self.asked.append(self.path)
            self.path = '/bytes/7'
        kind, _, n = self.path[1:].partition('/')
        n = int(n or 0)
        try:
            getattr(self, f'on_{kind}')(n)
        except OSError:
            pass

    def head(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), str(value))
        self.end_headers()

    def on_bytes(self, n):
        self.head(200, Content_Length=n)
        while n > 0:
            self.wfile.write(b'd' * min(n, 1 << 20))
            n -= min(n, 1 << 20)

    def on_unknown(self, n):
        """Without a length: only the limit itself stops it."""
        self.head(200)
        for _ in range(0, n, 1 << 20):
            self.wfile.write(b'u' * (1 << 20))

    def on_short(self, n):
        self.head(200, Content_Length=n * 2)
        self.wfile.write(b's' * n)

    def on_status(self, n):
        self.head(n, Content_Length=5)
        self.wfile.write(b'hello')

    def on_redirect(self, n):
        self.head(302, Location=f'/redirect/{n - 1}' if n > 1 else '/bytes/5', Content_Length=0)

    def on_away(self, n):
        self.head(302, Location=['file:///etc/passwd', 'ftp://127.0.0.1/x',
                                 'gopher://127.0.0.1:1/x'][n], Content_Length=0)


def web():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f'http://127.0.0.1:{server.server_address[1]}'


@test
async def download_row(p):
    base, conn = web(), await p.started(env={'no_proxy': '*'})
    answer = await conn.ask('download_file', {'url': f'{base}/bytes/5', 'output_path': 'a/b/f'})
    want((answer['type'], answer.get('body')), ('ok', {'size': 5}), f'{answer}')
    want(await conn.file('a/b/f'), b'ddddd', 'content')
    want(os.stat(os.path.join(p.ws, 'a')).st_mode & 0o777, 0o755, 'parent')
    want(os.stat(os.path.join(p.ws, 'a/b/f')).st_mode & 0o777, 0o644, 'mode')
    want(Web.agents[-1].startswith('xbot-runner'), True, 'user agent')
    answer = await conn.ask('download_file', {'url': f'{base}/bytes/0', 'output_path': 'a/b/f'})
    want(answer.get('body'), {'size': 0}, 'empty, over an old one')
    answer = await conn.ask('download_file', {'url': f'{base}/redirect/10', 'output_path': 'g'})
    want(answer.get('body'), {'size': 5}, f'ten redirects ({answer})')


@test
async def download_errors(p):
    base, conn = web(), await p.started(env={'no_proxy': '*'})
    await conn.okay('write_file', {'path': 'old', 'data': b64(b'old'), 'perm': 420})
    await conn.error('EINVAL', 'download_file')
    await conn.error('EINVAL', 'download_file', {'url': f'{base}/bytes/1'})
    await conn.error('EINVAL', 'download_file', {'output_path': 'f'})
    for url in ('/status/404', '/status/206', '/status/500', '/redirect/11', '/away/0',
                '/away/1', '/away/2', '/short/100000'):
        text = await conn.error('EIO', 'download_file',
                                {'url': base + url, 'output_path': 'old'})
        if 'status' in url:
            want(url[-3:] in text, True, text)
    for url in ('file:///etc/passwd', 'ftp://127.0.0.1/', 'http://127.0.0.1:1/', 'nonsense:x',
                'http://' + 'x' * 300 + '.invalid/'):
        await conn.error('EIO', 'download_file', {'url': url, 'output_path': 'old'})
    for path in ('/etc/xbot-x', '../x'):
        await conn.error('EPERM', 'download_file', {'url': f'{base}/bytes/5', 'output_path': path})
    os.mkdir(os.path.join(p.ws, 'd'))
    await conn.error('EISDIR', 'download_file', {'url': f'{base}/bytes/5', 'output_path': 'd'})
    want(await conn.file('old'), b'old', 'the old file stays')
    want(sorted(os.listdir(p.ws)), ['d', 'old'], 'nothing partial')


@test
async def download_limit(p):
    # D20: exactly 100 MiB is fine, a byte more is not, and nothing stays.
    base, conn = web(), await p.started(env={'no_proxy': '*'})
    before = p.resident()
    answer = await conn.ask('download_file', {'url': f'{base}/bytes/{LIMIT}', 'output_path': 'f'},
                            60)
    want(answer.get('body'), {'size': LIMIT}, f'{answer}')
    want(os.stat(os.path.join(p.ws, 'f')).st_size, LIMIT, 'size')
    if not p.sanitized():
        want(p.resident() - before < 16000, True, f'{before} to {p.resident()} kB resident')
    os.unlink(os.path.join(p.ws, 'f'))
    for url in (f'/bytes/{LIMIT + 1}', f'/unknown/{LIMIT + 1}'):
        text = await conn.error('EIO', 'download_file', {'url': base + url, 'output_path': 'f'},
                                wait=60)
        want(str(LIMIT) in text, True, text)
    want(os.listdir(p.ws), [], 'nothing partial')


@test
async def downloads_at_once(p):
    base, conn = web(), await p.started(env={'no_proxy': '*'})
    answers = await asyncio.gather(*(conn.ask('download_file', {
        'url': f'{base}/bytes/{i * 100000}', 'output_path': f'f{i}'}) for i in range(12)))
    want([a.get('body') for a in answers], [{'size': i * 100000} for i in range(12)], 'sizes')
    # A connection that ends takes its downloads along.
    await conn.send('download_file', {'url': f'{base}/bytes/100000000', 'output_path': 'g'}, 'x')
    await asyncio.sleep(0.05)
    await conn.ws.close()
    conn = await p.conn()
    await asyncio.sleep(0.3)
    want([n for n in os.listdir(p.ws) if not n.startswith('f')], [], 'nothing partial')


@test
async def download_through_proxy(p):
    base = web()
    conn = await p.started(env={'http_proxy': base, 'no_proxy': ''})
    answer = await conn.ask('download_file', {'url': 'http://nowhere.invalid/bytes/7',
                                              'output_path': 'f'})
    want(answer.get('body'), {'size': 7}, f'{answer}')
    want(Web.asked, ['http://nowhere.invalid/bytes/7'], 'what the proxy was asked')


# -- the rest -----------------------------------------------------------------

@test
async def no_language_model(p):
    conn = await p.started()
    await conn.error('ENOTSUP', 'llm_models')
    await conn.error('ENOTSUP', 'llm_generate', {'model': '', 'messages': []})


@test
async def fuzzed_rows(p):
    # Bodies of every type with members of every kind: one answer each, or none
    # where there is none, and the runner lives.
    conn = await p.started()
    chance = random.Random(11)
    keys = ('stream_id', 'task_id', 'command', 'args', 'shell', 'env', 'dir', 'stdin', 'data',
            'cols', 'rows', 'url', 'output_path')
    values = (None, True, 5, -1, 1.5, '', 'a', 'true', '\0', '/etc', 'aGk=', [], ['a'], [5],
              [None], {}, {'a': 1}, 'x' * 5000)
    kinds = ('bg_exec', 'bg_kill', 'bg_status', 'stdio_start', 'stdio_write', 'stdio_close',
             'pty_create', 'pty_stdin', 'pty_resize', 'pty_close', 'download_file')
    silent = ('stdio_write', 'pty_stdin', 'pty_resize')
    asked = []
    for i in range(3000):
        kind = chance.choice(kinds)
        body = {k: chance.choice(values) for k in chance.sample(keys, chance.randint(0, 8))}
        if kind in silent:
            await conn.send(kind, body)
        else:
            asked.append(asyncio.create_task(conn.ask(kind, body, 60)))
        if i % 50 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*asked)
    want((await conn.sh('echo alive'))['stdout'], 'alive\n', 'afterwards')
    want(b'restarting' in p.log, False, 'executor died')


if __name__ == '__main__':
    asyncio.run(v1.main())
