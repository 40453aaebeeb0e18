#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Play a server of protocol xbot.exec.v2 against our xbot-runner.

usage: v2_server_peer.py RUNNER [NAME...]

The same output as v1_server_peer.py.  The messages are those of
proto/exec.def, read from there; the link is that of base/exlink.h.
"""
import asyncio
import hashlib
import http.server
import os
import re
import struct
import threading
import time

import msgpack
import websockets

import v1_server_peer as v1
from v1_server_peer import test, until, want

v1.TESTS.clear()
EXEC, TASK, STDIO, PTY = range(4)
EXITED, SIGNALLED, TIMED_OUT, KILLED, LIMIT, LOST = range(6)
EINVAL, EPERM, ENOENT, EEXIST, E2BIG, EIO = 1, 3, 4, 6, 8, 11
BARE = {'hello', 'unsupported', 'bye', 'ping', 'pong', 'ack', 'resume'}
EMPTY = {'id': bytes(16), 'str': '', 'secret': '', 'path': b'', 'bin': b'', 'bool': False}
WINDOW = 256 * 1024


def schema():
    """{name: (id, [(field, type)])} of exec.def."""
    here = os.path.dirname(os.path.abspath(__file__))
    found, fields = {}, None
    with open(os.path.join(here, '../../proto/exec.def'), encoding='ascii') as f:
        for line in f:
            words = line.split('#')[0].split()
            if words[:1] == ['message']:
                fields = []
                found[words[1]] = int(words[2]), fields
            elif words and fields is not None:
                fields.append((words[1], words[0]))
    return found


SCHEMA = schema()
NAMES = {number: name for name, (number, _) in SCHEMA.items()}


def frame(name, **values):
    number, fields = SCHEMA[name]
    body = [number, 0]
    for field, kind in fields:
        default = EMPTY.get(kind, [] if kind.endswith('s') and kind not in ('bool',) else 0)
        body.append(values.pop(field, default))
    assert not values, values
    packed = msgpack.packb(body, use_bin_type=True)
    return struct.pack('>I', len(packed)) + packed


def frames(data):
    while data:
        size = struct.unpack('>I', data[:4])[0]
        body = msgpack.unpackb(data[4:4 + size], raw=False, strict_map_key=False)
        assert len(data) >= 4 + size
        data = data[4 + size:]
        name = NAMES[body[0]]
        values = body[2:] + [None] * 32
        yield name, {field: values[i] for i, (field, _) in enumerate(SCHEMA[name][1])}


class Job:
    """An operation: what came of it."""

    def __init__(self, link, ident):
        self.link, self.id = link, ident
        self.out = {0: bytearray(), 1: bytearray(), 2: bytearray(), 3: bytearray()}
        self.skipped = {0: 0, 1: 0, 2: 0, 3: 0}
        self.upto, self.wants = {}, {}
        self.credit = {}                # the runner's, for our input
        self.messages, self.end = [], asyncio.get_running_loop().create_future()
        self.started = asyncio.Event()
        self.hash, self.bytes = hashlib.sha256(), 0
        self.keep = True

    def grant(self, stream, upto):
        self.upto[stream] = upto
        self.link.send('job_credit', job=self.id, stream=stream, upto=upto)

    def take(self, name, m):
        self.messages.append(name) if name != 'job_data' else None
        if name == 'job_started':
            self.started.set()
        elif name == 'job_data':
            self.data(m)
        elif name == 'job_credit':
            self.credit[m['stream']] = m['upto']
        elif name in ('job_exit', 'job_done', 'job_refused'):
            assert not self.end.done(), 'two ends'
            self.end.set_result((name, m))
        elif name in ('file_info', 'task_info', 'file_entries', 'file_hashes', 'llm_head'):
            self.last = m
        elif name != 'job_eof':
            raise AssertionError(f'unexpected {name}')

    def data(self, m):
        stream = m['stream']
        have = self.skipped[stream] + (len(self.out[stream]) if self.keep else self.bytes)
        assert m['offset'] == have, f'offset {m["offset"]}, not {have}'
        if self.keep:
            self.out[stream] += m['bytes']
        else:
            self.hash.update(m['bytes'])
            self.bytes += len(m['bytes'])
        end = m['offset'] + len(m['bytes'])
        assert end <= self.upto[stream], 'more than it was granted'
        if self.wants.get(stream, True) and self.upto[stream] - end < WINDOW // 2:
            self.grant(stream, end + WINDOW)


class Link:
    """The server's end of a link, over any number of connections."""

    def __init__(self):
        self.id = None
        self.kept, self.sent, self.acked, self.taken = [], 0, 0, 0
        self.ws, self.jobs, self.fault = None, {}, None
        self.hello = None
        self.resumes = 0
        self.last = None
        self.acking = True
        self.up = asyncio.Event()
        self.queue = asyncio.Queue()

    def send(self, name, **values):
        data = frame(name, **values)
        if name in BARE:
            self.queue.put_nowait(data)
            return
        self.kept.append(data)
        self.sent += 1
        if self.up.is_set():
            self.queue.put_nowait(data)

    def job(self, name='job_start', **values):
        job = Job(self, os.urandom(16))
        self.jobs[job.id] = job
        self.send(name, job=job.id, **values)
        return job

    async def sh(self, text, stdin=b'', kind=EXEC, **more):
        job = self.job(kind=kind, argv=['/bin/sh', '-c', text], **more)
        job.grant(1, WINDOW)
        job.grant(2, WINDOW)
        if kind == EXEC:
            if stdin:
                await until(lambda: 0 in job.credit, 10, 'credit')
                self.send('job_data', job=job.id, stream=0, offset=0, bytes=stdin)
            self.send('job_eof', job=job.id, stream=0, offset=len(stdin))
        return job

    async def run(self, text, wait=30, **more):
        job = await self.sh(text, **more)
        name, m = await asyncio.wait_for(job.end, wait)
        want(name, 'job_exit', f'end ({m})')
        return m['how'], m['code'], bytes(job.out[1]), bytes(job.out[2])

    async def ask(self, name, wait=30, **values):
        job = self.job(name, **values)
        return job, *await asyncio.wait_for(job.end, wait)

    def acks(self, taken):
        assert self.acked <= taken <= self.sent, f'ack of {taken}'
        del self.kept[:taken - self.acked]
        self.acked = taken

    async def connected(self, ws, know=True):
        """One connection, from register_ok on."""
        if self.ws is not None:
            await self.ws.close()
        self.ws, self.queue, ours = ws, asyncio.Queue(), self.queue
        self.up.clear()
        del ours
        writer = asyncio.create_task(self.write(ws, self.queue))
        try:
            await self.read(ws, know)
        except websockets.ConnectionClosed:
            pass
        except AssertionError as why:
            self.fault = why
            await ws.close(1002)
        finally:
            writer.cancel()
            if self.ws is ws:
                self.ws = None
                self.up.clear()

    async def write(self, ws, queue):
        try:
            while True:
                await ws.send(await queue.get())
        except websockets.ConnectionClosed:
            pass

    async def read(self, ws, know):
        self.queue.put_nowait(frame('hello', min=1, max=1, build='test'))
        counted = 0
        async for message in ws:
            assert isinstance(message, bytes), 'text'
            for name, m in frames(message):
                if name == 'hello':
                    self.hello = m
                elif name == 'resume':
                    self.resumed(m, know)
                elif name == 'ack':
                    self.acks(m['taken'])
                elif name == 'ping':
                    self.queue.put_nowait(frame('pong', cookie=m['cookie']))
                elif name in BARE:
                    self.last = name, m
                else:
                    assert self.up.is_set(), f'{name} before resume'
                    self.taken += 1
                    counted += 1
                    self.jobs[m['job']].take(name, m)
            if counted >= 64 and self.acking:
                counted = 0
                self.queue.put_nowait(frame('ack', taken=self.taken))

    def resumed(self, m, know):
        self.resumes += 1
        if know and m['link'] == self.id:
            self.acks(m['taken'])
            self.queue.put_nowait(frame('resume', link=self.id, taken=self.taken))
            for data in self.kept:
                self.queue.put_nowait(data)
        else:
            self.id = m['link']
            self.kept, self.sent, self.acked, self.taken = [], 0, 0, 0
            self.queue.put_nowait(frame('resume'))
        self.up.set()


class Proxy:
    """TCP in between, that can be cut."""

    def __init__(self, port):
        self.to, self.writers, self.cuts = port, [], 0
        self.closed = False

    async def start(self):
        self.server = await asyncio.start_server(self.on_client, '127.0.0.1', 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def on_client(self, reader, writer):
        if self.closed:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection('127.0.0.1', self.to)
        pair = [writer, far_writer]
        self.writers += pair
        await asyncio.gather(self.copy(reader, far_writer), self.copy(far_reader, writer))
        for w in pair:
            w.transport.abort()
            if w in self.writers:
                self.writers.remove(w)

    async def copy(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    def cut(self):
        self.cuts += 1
        for w in self.writers:
            w.transport.abort()
        self.writers.clear()


class Server:
    """Accepts a runner that offers v2, over a proxy."""

    def __init__(self, p):
        self.p, self.link, self.registers = p, Link(), []
        self.know = True
        self.codes = []

    async def __aenter__(self):
        self.ws = await websockets.serve(
            self.on_connection, '127.0.0.1', 0, max_size=None, compression=None,
            ping_interval=None, close_timeout=1, subprotocols=['xbot.exec.v2'])
        self.proxy = await Proxy(self.ws.sockets[0].getsockname()[1]).start()
        return self

    async def __aexit__(self, *_):
        self.proxy.closed = True
        self.proxy.cut()
        self.proxy.server.close()
        self.ws.close()
        await self.ws.wait_closed()

    async def on_connection(self, ws, _path):
        assert ws.subprotocol == 'xbot.exec.v2', ws.subprotocol
        self.registers.append(v1.json.loads(await ws.recv()))
        await ws.send('{"type":"register_ok","body":{"status":"ok"}}')
        await self.link.connected(ws, self.know)
        await ws.wait_closed()
        self.codes.append(ws.close_code)

    async def start(self, *flags, **more):
        await self.p.start(*flags, server=f'ws://127.0.0.1:{self.proxy.port}/ws/alice', **more)
        await asyncio.wait_for(self.link.up.wait(), 15)
        return self.link


def served(function):
    """A test that gets (p, server, link)."""
    async def with_server(p):
        async with Server(p) as server:
            await function(p, server, await server.start())
            if server.link.fault is not None:
                raise server.link.fault
    with_server.__name__ = function.__name__
    return test(with_server)


# -- the tests ----------------------------------------------------------------

@test
async def registration(p):
    async with Server(p) as server:
        link = await server.start('--name', 'laptop')
        body = server.registers[0]['body']
        want(body['name'], 'laptop', 'name')
        want(body['auth_token'], v1.TOKEN, 'token')
        want((link.hello['min'], link.hello['max']), (1, 1), 'versions')
        want(link.hello['workspace'], os.path.realpath(p.ws).encode(), 'workspace')
        want(link.hello['shell'][:1], b'/', 'shell')
        await until(lambda: b'registered, protocol 2' in p.log, 3, 'log line')


@test
async def no_name_in_v1(p):
    conn = await p.started('--name', 'laptop')
    want('name' in conn.register['body'], False, 'name')
    want((await conn.sh('echo x'))['stdout'], 'x\n', 'exec')


@served
async def commands(p, _server, link):
    want(await link.run('cat; echo err >&2; exit 3', stdin=b'in\n'),
         (EXITED, 3, b'in\n', b'err\n'), 'exec')
    want((await link.run('kill -9 $$'))[:2], (SIGNALLED, 9), 'signal')
    want((await link.run('sleep 60', timeout_ms=300))[0], TIMED_OUT, 'timeout')
    job, name, m = await link.ask('job_start', argv=['/nonexistent'])
    want((name, m['code']), ('job_refused', ENOENT), 'no such program')
    results = await asyncio.gather(*(link.run(f'echo {i}') for i in range(50)))
    want([r[2] for r in results], [f'{i}\n'.encode() for i in range(50)], 'many')


@served
async def cancel_overtakes_output(p, _server, link):
    job = await link.sh('yes')
    await job.started.wait()
    await asyncio.sleep(0.5)
    start = time.monotonic()
    link.send('job_cancel', job=job.id)
    name, m = await asyncio.wait_for(job.end, 10)
    want((name, m['how']), ('job_exit', KILLED), 'end')
    want(time.monotonic() - start < 3, True, 'time')


@served
async def files(p, _server, link):
    data = os.urandom(3_000_000)
    job = link.job('file_put', path=b'sub/f', mode=0o600, parents=True, limit=1 << 30)
    sent = 0
    while sent < len(data):
        await until(lambda: job.credit.get(3, 0) > sent, 5, 'credit')
        n = min(job.credit[3] - sent, 100_000, len(data) - sent)
        link.send('job_data', job=job.id, stream=3, offset=sent, bytes=data[sent:sent + n])
        sent += n
    link.send('job_eof', job=job.id, stream=3, offset=sent)
    want((await asyncio.wait_for(job.end, 10))[0], 'job_done', 'put')
    job = link.job('file_get', path=b'sub/f')
    job.grant(3, WINDOW)
    want((await asyncio.wait_for(job.end, 10))[0], 'job_done', 'get')
    want(bytes(job.out[3]) == data, True, 'content')
    job, name, m = await link.ask('file_stat', path=b'sub/f')
    want((name, job.last['size'], job.last['mode']), ('job_done', len(data), 0o100600), 'stat')
    for path, code in ((b'none', ENOENT), (b'/etc/passwd', EPERM), (b'../../etc', EPERM)):
        _, name, m = await link.ask('file_stat', path=path)
        want((name, m['code']), ('job_refused', code), f'{path}')
    job, name, m = await link.ask('file_hash', paths=[b'sub/f', b'none', b'sub'])
    want((name, job.last['sizes']), ('job_done', [len(data), (1 << 64) - 1, (1 << 64) - 1]),
         'hashes')
    _, name, m = await link.ask('file_remove', path=b'sub', recursive=True)
    want((name, os.listdir(p.ws)), ('job_done', []), 'remove')


LINES = 2_000_000


def expected_lines():
    digest = hashlib.sha256()
    for first in range(1, LINES + 1, 10000):
        digest.update(b''.join(b'%d\n' % i for i in range(first, first + 10000)))
    return digest.hexdigest()


@served
async def twenty_cuts(p, server, link):
    # Paced over all the cuts, which a reconnect makes a second apart.
    job = link.job(kind=EXEC, argv=[
        '/bin/sh', '-c', f'n=0; while [ $n -lt 40 ]; do seq $((n * {LINES // 40} + 1)) '
        f'$(((n + 1) * {LINES // 40})); n=$((n + 1)); sleep 0.7; done; exit 7'])
    job.keep = False
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    while server.proxy.cuts < 20:
        await asyncio.wait_for(link.up.wait(), 30)
        before = job.bytes
        await until(lambda: job.bytes > before or job.end.done(), 30, 'output')
        want(job.end.done(), False, 'ended before the cuts')
        await asyncio.sleep(0.05)
        server.proxy.cut()
        await until(lambda: not link.up.is_set(), 5, 'cut')
    name, m = await asyncio.wait_for(job.end, 60)
    want((name, m['how'], m['code']), ('job_exit', EXITED, 7), 'end')
    want(job.hash.hexdigest(), expected_lines(), 'sha256')
    want(link.resumes, 21, 'connections')


@served
async def fast_output_and_cuts(p, server, link):
    job = link.job(kind=EXEC, argv=['/bin/sh', '-c', f'seq 1 {LINES}'])
    job.keep = False
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    for mark in (1 << 20, 4 << 20, 9 << 20):
        await until(lambda: job.bytes > mark, 30, 'output')
        server.proxy.cut()
        await until(lambda: not link.up.is_set(), 5, 'cut')
        await asyncio.wait_for(link.up.wait(), 30)
    name, m = await asyncio.wait_for(job.end, 60)
    want((name, m['code']), ('job_exit', 0), 'end')
    want(job.hash.hexdigest(), expected_lines(), 'sha256')


@served
async def task_over_cuts(p, server, link):
    task = link.job(kind=TASK, argv=[
        '/bin/sh', '-c', f'n=0; while [ $n -lt 40 ]; do seq $((n * {LINES // 40} + 1)) '
        f'$(((n + 1) * {LINES // 40})); n=$((n + 1)); sleep 0.7; done; exit 9'])
    await asyncio.wait_for(task.started.wait(), 10)
    job = link.job('task_read', task=task.id, follow=True)
    job.keep = False
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    while server.proxy.cuts < 20:
        await asyncio.wait_for(link.up.wait(), 30)
        before = job.bytes
        await until(lambda: job.bytes > before or job.end.done(), 30, 'output')
        want(job.end.done(), False, 'ended before the cuts')
        await asyncio.sleep(0.05)
        server.proxy.cut()
        await until(lambda: not link.up.is_set(), 5, 'cut')
    name, m = await asyncio.wait_for(job.end, 60)
    want((name, m['how'], m['code']), ('job_exit', EXITED, 9), 'end')
    want(job.hash.hexdigest(), expected_lines(), 'sha256')
    want(link.resumes, 21, 'connections')


@served
async def tasks_survive_a_new_server(p, server, link):
    """kill -9 of the server's worker: it knows no link, but tasks go on."""
    task = link.job(kind=TASK, argv=['/bin/sh', '-c', 'echo one; sleep 2; echo two; exit 4'])
    await asyncio.wait_for(task.started.wait(), 10)
    reader = link.job('task_read', task=task.id, follow=True)
    reader.grant(1, WINDOW)
    reader.grant(2, WINDOW)
    await until(lambda: reader.out[1], 5, 'output')
    server.know = False
    server.proxy.cut()
    await until(lambda: link.resumes == 2, 15, 'new link')
    job = link.job('task_read', task=task.id, stdout_offset=4, follow=True)
    job.skipped[1] = 4
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    name, m = await asyncio.wait_for(job.end, 10)
    want((name, m['how'], m['code'], bytes(job.out[1])), ('job_exit', EXITED, 4, b'two\n'), 'end')
    listed, name, _ = await link.ask('task_list')
    want((name, listed.last['task'], listed.last['running']), ('job_done', task.id, False), 'list')


@served
async def conversations(p, server, link):
    """A pipe and a terminal, both ways over a cut."""
    pipe = link.job(kind=STDIO, argv=['cat'])
    tty = link.job(kind=PTY, argv=['/bin/sh'], env=['PS1=$ '], cols=80, rows=24)
    for job in (pipe, tty):
        job.grant(1, WINDOW)
        await asyncio.wait_for(job.started.wait(), 10)
        await until(lambda job=job: 0 in job.credit, 5, 'credit')
    sent = {pipe: 0, tty: 0}

    def write(job, data):
        link.send('job_data', job=job.id, stream=0, offset=sent[job], bytes=data)
        sent[job] += len(data)
    write(pipe, b'before\n')
    write(tty, b'stty size\n')
    await until(lambda: b'before' in pipe.out[1] and b'24 80' in tty.out[1], 5, 'before')
    server.proxy.closed = True
    server.proxy.cut()
    await asyncio.sleep(0.3)
    write(pipe, b'meanwhile\n')
    link.send('job_resize', job=tty.id, cols=100, rows=30)
    write(tty, b'stty size; exit 3\n')
    server.proxy.closed = False
    name, m = await asyncio.wait_for(tty.end, 20)
    want((name, m['how'], m['code']), ('job_exit', EXITED, 3), 'terminal')
    want(b'30 100' in tty.out[1], True, f'{tty.out[1]}')
    await until(lambda: bytes(pipe.out[1]) == b'before\nmeanwhile\n', 10, 'pipe')
    link.send('job_cancel', job=pipe.id)
    name, m = await asyncio.wait_for(pipe.end, 20)
    want((name, m['code']), ('job_exit', 0), 'pipe')


@served
async def input_over_cuts(p, server, link):
    job = link.job(kind=EXEC, argv=['/bin/sh', '-c', 'sha256sum'])
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    data, sent = os.urandom(6_000_000), 0
    while sent < len(data):
        await until(lambda: job.credit.get(0, 0) > sent, 30, 'credit')
        n = min(job.credit[0] - sent, 50_000, len(data) - sent)
        link.send('job_data', job=job.id, stream=0, offset=sent, bytes=data[sent:sent + n])
        if sent // 2_000_000 != (sent + n) // 2_000_000:
            server.proxy.cut()
        sent += n
    link.send('job_eof', job=job.id, stream=0, offset=sent)
    await asyncio.wait_for(job.end, 60)
    want(bytes(job.out[1])[:64].decode(), hashlib.sha256(data).hexdigest(), 'sha256')
    want(server.proxy.cuts, 3, 'cuts')


@served
async def commands_end_while_away(p, server, link):
    jobs = [await link.sh(f'sleep 0.5; echo {i}') for i in range(20)]
    await asyncio.gather(*(j.started.wait() for j in jobs))
    server.proxy.closed = True
    server.proxy.cut()
    await asyncio.sleep(1.5)
    more = await link.sh('echo later')      # kept on our side
    server.proxy.closed = False
    for i, job in enumerate(jobs):
        name, _ = await asyncio.wait_for(job.end, 30)
        want((name, bytes(job.out[1])), ('job_exit', b'%d\n' % i), 'end')
    await asyncio.wait_for(more.end, 30)
    want(bytes(more.out[1]), b'later\n', 'what was asked while it was away')


@served
async def server_that_forgot(p, server, link):
    job = await link.sh('echo begun; sleep 300')
    await until(lambda: job.out[1], 5, 'output')
    want(len(v1.children(p.process.pid)) >= 2, True, 'runs')
    server.know = False
    server.proxy.cut()
    await until(lambda: link.resumes == 2, 15, 'new link')
    await until(lambda: len(v1.children(p.process.pid)) == 1, 10, 'session job cancelled')
    link.jobs[job.id] = Job(link, job.id)       # late answers are no fault
    want((await link.run('echo anew'))[2], b'anew\n', 'new link')
    server.know = True
    server.proxy.cut()
    await until(lambda: link.resumes == 3, 15, 'again')
    want((await link.run('echo more'))[2], b'more\n', 'resumed')


@test
async def hostile_server(p):
    whole = frame('file_stat', job=os.urandom(16), path=b'')
    for data, text in ((b'{"type":"exec"}', 'JSON'),
                       (whole[:-1], 'half a frame'),
                       (b'\0\0\0\0', 'an empty frame'),
                       (b'\x00\xff\xff\xff' + whole, 'a length'),
                       (frame('job_exit', job=bytes(16)), 'an answer'),
                       (frame('job_done', job=bytes(16)), 'an answer'),
                       (frame('hello', min=1, max=1), 'hello again'),
                       (frame('resume', link=bytes(16)), 'resume again'),
                       (frame('ack', taken=1 << 40), 'an ack'),
                       (struct.pack('>I', 7) + b'\x93\x20\x00\xa4abcd', 'a field'),
                       (os.urandom(600_000), 'noise'),
                       ('text', 'a text message')):
        async with Server(p) as server:
            link = await server.start()
            job = await link.sh('sleep 300')
            await job.started.wait()
            link.queue.put_nowait(data)
            await until(lambda: server.codes, 10, f'close for {text}')
            want(server.codes, [1002], f'close code for {text}')
            want(link.last[0], 'bye', f'bye for {text}')
            # The link is given up, with what ran for it.
            await until(lambda: len(v1.children(p.process.pid)) == 1, 10, f'cancel for {text}')
            old = link.id
            await until(lambda: link.up.is_set(), 10, 'next connection')
            want(link.id != old, True, 'new link')
            want(b'restarting' in p.log, False, 'executor died')
            p.process.kill()
            await p.ended()


@test
async def input_out_of_order(p):
    for stream, offset, size, what in ((0, 1, 5, 'job_data'), (0, 0, 262144, 'job_data'),
                                       (3, 0, 5, 'job_data'), (0, 1, 0, 'job_eof')):
        async with Server(p) as server:
            link = await server.start()
            task = await link.sh('sleep 300', kind=TASK)
            job = await link.sh('sleep 300', kind=STDIO)
            await asyncio.gather(task.started.wait(), job.started.wait())
            for n in range(5):
                if what == 'job_data':
                    link.send(what, job=job.id, stream=stream, offset=offset + n * size,
                              bytes=bytes(size))
                else:
                    link.send(what, job=job.id, stream=stream, offset=offset)
            await until(lambda: server.codes, 10, 'close')
            want((server.codes, link.last[0]), ([1002], 'bye'), 'end')
            await asyncio.wait_for(link.up.wait(), 15)
            # Tasks are nobody's session's: they go on.
            _, name, m = await link.ask('task_kill', task=task.id)
            want(name, 'job_done', f'task_kill ({m})')
            want(b'restarting' in p.log, False, 'executor died')
            p.process.kill()
            await p.ended()


@served
async def server_that_does_not_ack(p, server, link):
    """What is kept for it is bounded: then the command waits."""
    link.acking = False
    job = link.job(kind=EXEC, argv=['/bin/sh', '-c', 'seq 1 6000000'])     # 46 MB
    job.keep = False
    job.grant(1, WINDOW)
    job.grant(2, WINDOW)
    await until(lambda: job.bytes > 15 << 20, 20, 'output')
    await asyncio.sleep(1)
    stopped = job.bytes
    await asyncio.sleep(0.5)
    want(job.bytes, stopped, 'waits')
    want(stopped < 18 << 20, True, f'{stopped} bytes')
    # Granted nothing more either, but this is cancelled all the same.
    other = await link.sh('sleep 300')
    link.send('job_cancel', job=other.id)
    want((await asyncio.wait_for(other.end, 10))[0], 'job_exit', 'cancel')
    link.acking = True
    link.queue.put_nowait(frame('ack', taken=link.taken))
    name, m = await asyncio.wait_for(job.end, 30)
    want((name, m['code'], job.bytes), ('job_exit', 0, 46888896), 'end')
    if not p.sanitized():
        want(p.resident() < 65536, True, f'{p.resident()} kB resident')


@served
async def unknown_messages(p, _server, link):
    packed = msgpack.packb([200, 0, 'from the future'])
    link.sent += 1
    data = struct.pack('>I', len(packed)) + packed
    link.kept.append(data)
    link.queue.put_nowait(data)
    await until(lambda: link.last is not None, 5, 'answer')
    want(link.last, ('unsupported', {'type': 200}), 'answer')
    link.send('ping', cookie=5)
    await until(lambda: link.last[0] == 'pong', 5, 'pong')
    want((await link.run('echo on'))[2], b'on\n', 'afterwards')


@served
async def several_frames_a_message(p, _server, link):
    jobs = []
    data = b''
    for i in range(100):
        job = Job(link, os.urandom(16))
        link.jobs[job.id] = job
        job.upto = {1: WINDOW, 2: WINDOW}
        part = [frame('job_start', job=job.id, argv=['/bin/echo', str(i)])]
        part += [frame('job_credit', job=job.id, stream=s, upto=WINDOW) for s in (1, 2)]
        part.append(frame('job_eof', job=job.id, stream=0))
        link.kept += part
        link.sent += len(part)
        data += b''.join(part)
        jobs.append(job)
    link.queue.put_nowait(data)
    for i, job in enumerate(jobs):
        await asyncio.wait_for(job.end, 20)
        want(bytes(job.out[1]), b'%d\n' % i, 'output')


@served
async def executor_dies(p, _server, link):
    job = await link.sh('echo begun; sleep 300')
    await until(lambda: job.out[1], 5, 'output')
    pids = [c for c in v1.children(p.process.pid)
            if 'xbot-executor' in open(f'/proc/{c}/comm', encoding='ascii').read()
            or os.readlink(f'/proc/{c}/exe').startswith('/memfd')]
    os.kill(pids[0], 9)
    name, m = await asyncio.wait_for(job.end, 10)
    want((name, m['how']), ('job_exit', LOST), 'end')
    for _ in range(50):
        job = await link.sh('echo new')
        name, m = await asyncio.wait_for(job.end, 10)
        if name == 'job_exit':
            break
        await asyncio.sleep(0.1)
    want(bytes(job.out[1]), b'new\n', 'the new one')


def hasty(p):
    """The same runner with 3 seconds of grace instead of 300."""
    path = os.path.join(os.path.dirname(p.runner), 'tests/xbot-runner-hasty')
    if not os.path.exists(path):
        raise v1.Skip('no such build')
    return path


@test
async def grace(p):
    async with Server(p) as server:
        link = await server.start(binary=hasty(p))
        job = await link.sh('exec sleep 300')
        task = link.job(kind=TASK, argv=['sleep', '301'])
        await asyncio.gather(job.started.wait(), task.started.wait())
        old = link.id
        server.proxy.closed = True
        server.proxy.cut()
        await asyncio.sleep(1.5)
        want(len(v1.children(p.process.pid)), 3, 'within the grace both run')
        await until(lambda: len(v1.children(p.process.pid)) == 2, 4, 'then the job is cancelled')
        server.proxy.closed = False
        await until(link.up.is_set, 20, 'back')
        want(link.id != old, True, 'another link')
        _, name, m = await link.ask('task_kill', task=task.id)
        want(name, 'job_done', f'the task went on ({m})')


class Web(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == '/file':
            self.send_response(302)
            self.send_header('Location', '/data')
            self.send_header('Content-Length', '0')
            self.end_headers()
        elif self.path == '/data':
            self.send_response(200)
            self.send_header('Content-Length', '1000000')
            self.end_headers()
            try:
                self.wfile.write(b'd' * 1000000)
            except OSError:
                pass
        else:
            self.send_error(404)


@served
async def fetch(p, _server, link):
    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    base = f'http://127.0.0.1:{web.server_address[1]}'
    job, name, _ = await link.ask('fetch', url=f'{base}/file', path=b'a/b', limit=1000000)
    want((name, job.last['size'], job.last['name']), ('job_done', 1000000, b'b'), 'fetch')
    with open(os.path.join(p.ws, 'a/b'), 'rb') as f:
        want(f.read() == b'd' * 1000000, True, 'content')
    for url, path, limit, code in ((f'{base}/none', b'c', 0, EIO),
                                   (f'{base}/data', b'c', 999999, E2BIG),
                                   ('file:///etc/passwd', b'c', 0, EIO),
                                   (f'{base}/data', b'/etc/x', 0, EPERM),
                                   ('', b'c', 0, EINVAL)):
        _, name, m = await link.ask('fetch', url=url, path=path, limit=limit)
        want((name, m['code']), ('job_refused', code), f'{url} {path} ({m["text"]})')
    want(os.listdir(p.ws), ['a'], 'nothing is left')
    web.shutdown()


async def operations(p, *flags):
    """Some of each kind, and their lines in the log; how many were announced."""
    async with Server(p) as server:
        link = await server.start(*flags)
        await link.run('echo kept-apart; echo err >&2; exit 7')
        await link.run('kill -9 $$')
        await link.ask('file_get', path=b'missing')
        job = await link.sh('exit 3', kind=STDIO)
        await asyncio.wait_for(job.end, 30)
        job = await link.sh('kept-apart', kind=TASK)
        await asyncio.wait_for(job.started.wait(), 30)
        for line in (rb'exec [0-9a-f]{8}: exit 7, stdout 11 stderr 4 bytes, \d+ ms',
                     rb'exec [0-9a-f]{8}: signal 9, stdout 0 stderr 0 bytes',
                     rb'reply ENOENT to file_get [0-9a-f]{8}: .*missing',
                     rb'stdio [0-9a-f]{8}: started', rb'stdio [0-9a-f]{8}: exit 3,',
                     rb'task [0-9a-f]{8}: started'):
            await until(lambda w=line: re.search(w, p.log), 5, f'{line} in the log')
        want(b'kept-apart' in p.log, False, 'output or command in the log')
        return len(re.findall(rb'request (exec|file_get|stdio|task) [0-9a-f]{8}\n', p.log))


@test
async def log_lines(p):
    want(await operations(p), 0, 'announced')


@test
async def verbose(p):
    want(await operations(p, '--v'), 5, 'announced')


@served
async def sigterm(p, server, link):
    await link.sh('sleep 300')
    await asyncio.sleep(0.3)
    p.process.send_signal(15)
    want(await p.ended(), 0, 'status')
    await until(lambda: server.codes, 3, 'close')
    want(server.codes, [1000], 'close code')


if __name__ == '__main__':
    asyncio.run(v1.main())
