#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Play the existing server of runner protocol v1 against our xbot-runner.

usage: v1_server_peer.py RUNNER [NAME...]

Prints "ok NAME" or "not ok NAME: why" for each test and last
"N passed, N failed, N skipped".  With NAMEs only the tests whose names
contain one of them run.  Contract: xbot-runner-v1.md.
"""
import asyncio
import base64
import itertools
import json
import os
import random
import re
import shutil
import signal
import stat
import sys
import tempfile
import time

import websockets

TOKEN = 'tok_5f2c9a0b_never_in_a_log'
TESTS = []


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def want(got, expected, what=''):
    if got != expected:
        raise AssertionError(f'{what} is {got!r:.300}, not {expected!r:.300}')


def b64(data):
    return base64.b64encode(data).decode()


class Conn:
    """One registered (or not) connection of the runner, as the server sees it."""

    def __init__(self, socket, path):
        self.ws, self.path = socket, path
        self.waiting, self.pushes, self.register = {}, [], None
        self.pings = 0
        self.closed = asyncio.Event()
        self.numbers = itertools.count(1)

    async def read_all(self):
        try:
            async for text in self.ws:
                if not isinstance(text, str):
                    self.pushes.append(text)
                    continue
                message = json.loads(text)
                future = self.waiting.pop(message.get('id'), None)
                if future is None:
                    self.pushes.append(message)
                elif not future.done():
                    future.set_result(message)
        except websockets.ConnectionClosed:
            pass
        self.closed.set()

    async def send(self, kind, body=None, ident=None, **extra):
        message = {'id': ident, 'type': kind, 'user_id': 'alice'}
        if ident is None:
            del message['id']
        if body is not None:
            message['body'] = body
        message.update(extra)
        await self.ws.send(json.dumps(message))

    async def ask(self, kind, body=None, wait=30, ident=None, raw=None):
        if ident is None:
            ident = f'req_{next(self.numbers):016x}'
        future = asyncio.get_running_loop().create_future()
        self.waiting[ident] = future
        if raw is None:
            await self.send(kind, body, ident)
        else:
            await self.ws.send(raw.replace('@ID@', ident))
        return await asyncio.wait_for(future, wait)

    async def error(self, code, kind, body=None, **more):
        answer = await self.ask(kind, body, **more)
        want(answer['type'], 'error', f'reply to {kind} {body!r:.80}')
        want(answer['body'].get('code'), code, f'code for {kind} ({answer["body"]})')
        if not answer['body']['message']:
            raise AssertionError('empty error message')
        return answer['body']['message']

    async def okay(self, kind, body):
        answer = await self.ask(kind, body)
        want(answer['type'], 'ok', f'reply to {kind} ({answer.get("body")})')
        want('body' in answer, False, 'body of ok')

    async def exec(self, wait=30, **body):
        answer = await self.ask('exec', body, wait)
        want(answer['type'], 'exec_result', f'reply ({answer})')
        want(sorted(answer['body']), ['exit_code', 'stderr', 'stdout', 'timed_out'],
             'members of exec_result')
        want('user_id' in answer, False, 'user_id of a reply')
        return answer['body']

    async def sh(self, text, **more):
        return await self.exec(command=text, shell=True, **more)

    async def file(self, path):
        answer = await self.ask('read_file', {'path': path})
        want(answer['type'], 'file_content', f'reply ({answer})')
        return base64.b64decode(answer['body']['data'], validate=True)


class Peer:
    """The server, and one runner process connected to it."""

    def __init__(self, runner):
        self.runner = runner
        self.top = tempfile.mkdtemp(prefix='xbot-v1-')
        self.ws = os.path.join(self.top, 'ws')
        os.mkdir(self.ws)
        self.answers = []           # for the next registrations
        self.conns = asyncio.Queue()
        self.process, self.log = None, b''
        self.delay_answer = 0

    async def __aenter__(self):
        self.server = await websockets.serve(
            self.on_connection, '127.0.0.1', 0, max_size=None, compression=None,
            ping_interval=None, close_timeout=1)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        if self.process is not None:
            self.reader.cancel()
        self.server.close()
        await self.server.wait_closed()
        shutil.rmtree(self.top, ignore_errors=True)

    async def on_connection(self, socket, path):
        conn = Conn(socket, path)
        try:
            conn.register = json.loads(await asyncio.wait_for(socket.recv(), 60))
        except (websockets.ConnectionClosed, asyncio.TimeoutError):
            return
        answer = self.answers.pop(0) if self.answers else {
            'type': 'register_ok', 'body': {'status': 'ok'}}
        self.conns.put_nowait(conn)
        if answer is None:
            await conn.read_all()
            return
        await asyncio.sleep(self.delay_answer)
        await socket.send(answer if isinstance(answer, str) else json.dumps(answer))
        if isinstance(answer, dict) and answer['type'] == 'error':
            conn.closed_code = await self.closed_code(socket)
            conn.closed.set()
            return
        await conn.read_all()

    @staticmethod
    async def closed_code(socket):
        await asyncio.wait_for(socket.wait_closed(), 15)
        return socket.close_code

    def url(self, tail='/ws/alice'):
        return f'ws://127.0.0.1:{self.port}{tail}'

    async def read_log(self):
        while chunk := await self.process.stderr.read(65536):
            self.log += chunk

    def sanitized(self):
        with open(self.runner, 'rb') as f:
            return b'__asan_init' in f.read()

    def resident(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))

    async def start(self, *flags, server=None, workspace=None, token=True, env=None,
                    binary=None, user=None):
        args = ['--server', server or self.url(), '--workspace', workspace or self.ws]
        if token:
            args += ['--token', TOKEN]
        self.process = await asyncio.create_subprocess_exec(
            binary or self.runner, *args, *flags, stderr=asyncio.subprocess.PIPE, user=user,
            stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.reader = asyncio.create_task(self.read_log())

    async def conn(self, wait=15):
        return await asyncio.wait_for(self.conns.get(), wait)

    async def started(self, *flags, **more):
        await self.start(*flags, **more)
        return await self.conn()

    async def ended(self, wait=10):
        status = await asyncio.wait_for(self.process.wait(), wait)
        await self.reader
        return status


def children(pid):
    """All living descendants, as pids."""
    parents = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='latin-1') as f:
                    fields = f.read().rsplit(')', 1)[1].split()
            except OSError:
                continue
            if fields[0] != 'Z':
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


async def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {seconds} s')
        await asyncio.sleep(0.02)


async def run_program(path, *args, env=None):
    process = await asyncio.create_subprocess_exec(
        path, *args, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=env)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode, (out + err).decode()


# -- start --------------------------------------------------------------------

@test
async def flags_and_exit_codes(p):
    url = p.url()
    for status, text, args in (
            (1, '--server is required', ['--token', TOKEN]),
            (1, '--token is required', ['--server', url]),
            (1, '--token is required', ['--server', url, '--token', '']),
            (1, 'no user', ['--server', p.url('/ws/'), '--token', TOKEN]),
            (1, 'must begin with ws://', ['--server', 'http://h/ws/a', '-token', TOKEN]),
            (1, 'HOST', ['--server', 'ws:///ws/a', '-token', TOKEN]),
            (1, 'HOST', ['--server', 'ws://h:0/ws/a', '-token', TOKEN]),
            (1, 'HOST', ['--server', 'ws://h:65536/ws/a', '-token', TOKEN]),
            (1, '--ca-file /none: No such file',
             ['--server', 'wss://h/ws/a', '-token', TOKEN, '--ca-file', '/none']),
            (1, 'unknown LLM provider',
             ['--server', url, '-token', TOKEN, '--llm-provider', 'nobody', '--llm-api-key', 'k']),
            (1, 'choose another with --workspace',
             ['--server', url, '-token', TOKEN, '--workspace', '/proc/none']),
            (1, 'No such file', ['--server', url, '--token-file', '/nonexistent']),
            (2, 'not defined: -bogus', ['--bogus']),
            (2, 'needs an argument: -token', ['--token']),
            (2, 'invalid boolean value', ['-v=maybe']),
            (2, 'is no flag', ['word']),
            (0, 'usage:', ['--help']),
            (0, '--docker-image', ['-h'])):
        got, out = await run_program(p.runner, *args)
        want(got, status, f'status of {args}')
        if text not in out:
            raise AssertionError(f'{args} says {out!r}, nothing of {text!r}')
        want(TOKEN in out, False, 'token in the output')


@test
async def flag_forms(p):
    conn = await p.started('-v=false', '-full-control=1', '--mode', 'other',
                           '-name=x', '--docker-image=y', '-ca-file', '/none',
                           '--llm-provider=openai', '--llm-model', 'm',
                           '--llm-api-key', 'key_7d1', '-llm-base-url=http://x')
    want(sorted(conn.register['body']),
         ['auth_token', 'llm_model', 'llm_provider', 'shell', 'user_id', 'workspace'],
         'registration')
    with open(f'/proc/{p.process.pid}/cmdline', 'rb') as f:
        argv = f.read()
    want(TOKEN.encode() in argv or b'key_7d1' in argv, False, 'secret in argv')


@test
async def register_message(p):
    link = os.path.join(p.top, 'link')
    os.symlink(p.ws, link)
    conn = await p.started(workspace=link)
    want(conn.path, '/ws/alice', 'path')
    want(conn.register['type'], 'register', 'type')
    want(conn.register['user_id'], 'alice', 'user_id')
    body = conn.register['body']
    want(body['user_id'], 'alice', 'body user_id')
    want(body['auth_token'], TOKEN, 'token')
    want(body['workspace'], os.path.realpath(p.ws), 'workspace')
    shell = next(s for s in ('/bin/bash', '/usr/bin/bash', '/bin/sh') if os.path.exists(s))
    want(body['shell'], shell, 'shell')
    await until(lambda: b'registered' in p.log, 5, 'log line')


@test
async def user_of_the_url(p):
    conn = await p.started(server=p.url('/ws/%61l%C3%A9%2Bx?q=1/2#frag'))
    want(conn.path, '/ws/%61l%C3%A9%2Bx?q=1/2', 'request target')
    want(conn.register['user_id'], 'alé+x', 'user')


@test
async def user_id_flag_and_no_scheme(p):
    conn = await p.started('-user-id=bob', server=f'localhost:{p.port}/ws/carol')
    want(conn.register['user_id'], 'bob', 'user')


@test
async def token_from_file(p):
    name = os.path.join(p.top, 'token')
    with open(name, 'w', encoding='ascii') as f:
        f.write('from_file\n')
    conn = await p.started('--token-file', name, token=False)
    want(conn.register['body']['auth_token'], 'from_file', 'token')
    await until(lambda: b'chmod 600' in p.log, 3, 'warning of the mode')


@test
async def token_from_environment(p):
    conn = await p.started(token=False, env={'XBOT_RUNNER_TOKEN': 'from_env',
                                             'XBOT_LLM_API_KEY': 'key_9'})
    want(conn.register['body']['auth_token'], 'from_env', 'token')
    out = (await conn.sh('env'))['stdout']
    want('from_env' in out or 'key_9' in out, False, 'secret in a command\'s env')
    pid = p.process.pid
    out = (await conn.sh(
        f'tr "\\0" "\\n" < /proc/{pid}/environ; '
        'cat /proc/$PPID/environ | tr "\\0" "\\n"'))['stdout']
    want('from_env' in out or 'key_9' in out, False, 'secret in /proc/PID/environ')


@test
async def workspace_is_created(p):
    path = os.path.join(p.top, 'new', 'deep')
    conn = await p.started(workspace=path)
    want(conn.register['body']['workspace'], os.path.realpath(path), 'workspace')
    want(os.path.isdir(path), True, 'created')


@test
async def rejected_registration(p):
    p.answers = [{'type': 'error', 'body': {'message': 'authentication failed',
                                            'code': 'AUTH_FAILED'}}]
    conn = await p.started()
    await asyncio.wait_for(conn.closed.wait(), 10)
    await until(lambda: b'attempt' in p.log, 5, 'retry line')
    text = p.log.decode()
    want(text.count('AUTH_FAILED'), 1, 'lines with the code')
    if 'xbot-admin runner create' not in text:
        raise AssertionError('no advice: ' + text)
    seconds = float(re.search(r'in ([0-9.]+) s', text).group(1))
    want(60 <= seconds <= 75, True, f'delay {seconds}')
    want(TOKEN in text, False, 'token in the log')


@test
async def once_refused(p):
    p.answers = [{'type': 'error', 'body': {'message': 'no', 'code': 'FORBIDDEN'}}]
    await p.started('--once')
    want(await p.ended(), 1, 'status')


@test
async def once_closed_in_order(p):
    conn = await p.started('--once')
    await conn.sh('true')
    await conn.ws.close(1000)
    want(await p.ended(), 0, 'status')


@test
async def once_not_reachable(p):
    await p.start('--once', server='ws://127.0.0.1:1/ws/alice')
    want(await p.ended(), 1, 'status')


@test
async def odd_first_answer_is_acceptance(p):
    p.answers = [{'type': 'whatever'}]
    conn = await p.started()
    want((await conn.sh('echo hi'))['stdout'], 'hi\n', 'stdout')


@test
async def unreadable_first_answer(p):
    p.answers = ['{"type":']
    conn = await p.started()
    await asyncio.wait_for(conn.closed.wait(), 10)
    await p.conn()      # tries again after a second


@test
async def silent_server(p):
    p.answers = [None]
    began = time.monotonic()
    conn = await p.started()
    await asyncio.wait_for(conn.closed.wait(), 15)
    want(9 < time.monotonic() - began < 13, True, 'about 10 s')


@test
async def huge_first_answer(p):
    p.answers = ['{"type":"register_ok","body":"' + 'x' * 100000 + '"}']
    conn = await p.started()
    await asyncio.wait_for(conn.closed.wait(), 10)


@test
async def request_right_behind_register_ok(p):
    async def on(socket, path):
        conn = Conn(socket, path)
        await socket.recv()
        await socket.send('{"type":"register_ok","body":{"status":"ok"}}')
        await socket.send('{"id":"q","type":"stat","body":{"path":""}}')
        got.set_result(json.loads(await socket.recv()))
        await conn.read_all()
    got = asyncio.get_running_loop().create_future()
    async with websockets.serve(on, '127.0.0.1', 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        await p.start(server=f'ws://127.0.0.1:{port}/ws/alice')
        want((await asyncio.wait_for(got, 10))['type'], 'file_info', 'answer')
        p.process.terminate()
        await p.ended()


# -- exec ---------------------------------------------------------------------

@test
async def exec_shell(p):
    conn = await p.started()
    got = await conn.sh('echo out; echo err >&2; exit 7')
    want(got, {'stdout': 'out\n', 'stderr': 'err\n', 'exit_code': 7,
               'timed_out': False}, 'result')


@test
async def exec_args(p):
    conn = await p.started()
    got = await conn.exec(command='ignored', shell=False, args=['printf', '%s|', 'a b', '', "'"])
    want(got['stdout'], "a b||'|", 'stdout')
    shell = conn.register['body']['shell']
    got = await conn.exec(args=[shell, '-l', '-c', 'echo "$0" login'], timeout=120)
    want(got['stdout'].endswith('login\n'), True, f'stdout {got}')


@test
async def exec_without_args(p):
    conn = await p.started()
    text = await conn.error('EIO', 'exec', {'command': 'true', 'shell': False})
    want(text, 'exec error: non-shell exec requires args to be set', 'message')
    await conn.error('EIO', 'exec', {'args': []})


@test
async def exec_cannot_start(p):
    conn = await p.started()
    for body in ({'args': ['no-such-program-7']}, {'args': ['/etc/passwd']},
                 {'args': ['']}, {'args': ['/']},
                 {'args': ['true'], 'dir': os.path.join(p.ws, 'missing')},
                 {'args': ['true'], 'dir': 'missing'}):
        text = await conn.error('EIO', 'exec', body)
        want(text.startswith('exec error: ') and len(text) > 13, True, text)


@test
async def exec_dir(p):
    conn = await p.started()
    os.mkdir(os.path.join(p.ws, 'sub'))
    top = os.path.realpath(p.ws)
    for given, expected in (('', top), ('sub', top + '/sub'), ('./sub/../sub/', top + '/sub'),
                            (top + '/sub', top + '/sub'), (top + '/', top), ('.', top)):
        want((await conn.sh('pwd -P', dir=given))['stdout'], expected + '\n', f'dir {given!r}')


@test
async def exec_dir_outside_is_workspace(p):
    conn = await p.started()
    os.mkdir(p.ws + '-evil')
    os.symlink('/etc', os.path.join(p.ws, 'link'))
    for given in ('/etc', '..', '../ws-evil', p.ws + '-evil', 'link', '/nonexistent/x'):
        want((await conn.sh('pwd -P', dir=given))['stdout'],
             os.path.realpath(p.ws) + '\n', f'dir {given!r}')


@test
async def exec_dir_full_control(p):
    conn = await p.started('--full-control')
    want((await conn.sh('pwd -P', dir='/etc'))['stdout'], '/etc\n', 'dir')


@test
async def exec_env(p):
    conn = await p.started(env={'FROM_RUNNER': 'yes', 'TWICE': 'old'})
    got = await conn.sh('echo $FROM_RUNNER $TWICE $E; [ -n "$PATH" ]',
                        env=['TWICE=1', 'TWICE=2', 'E=a=b c'])
    want(got['stdout'], 'yes 2 a=b c\n', 'stdout')
    want(got['exit_code'], 0, 'PATH')


@test
async def exec_env_odd(p):
    """What is no KEY=VALUE sets nothing, and harms nothing."""
    conn = await p.started()
    got = await conn.sh('echo $A', env=['A=1', 'NO', '', '=x', 'B=', 'A=2'])
    want((got['exit_code'], got['stdout']), (0, '2\n'), 'result')


@test
async def exec_stdin(p):
    conn = await p.started()
    want((await conn.sh('cat', stdin='täxt\n\0x'))['stdout'], 'täxt\n\0x', 'echo')
    want((await conn.sh('cat; echo end'))['stdout'], 'end\n', 'no stdin')
    big = 'x' * 5_000_000
    want((await conn.sh('cat | wc -c', stdin=big))['stdout'].strip(), '5000000', 'big')
    want((await conn.sh('cat', stdin=big))['stdout'] == big, True, 'big echo')
    want((await conn.sh('exec 0<&-; sleep 0.1; echo x', stdin=big))['stdout'], 'x\n', 'unread')


@test
async def exec_output(p):
    conn = await p.started()
    got = await conn.sh(r'''printf 'a\377b\303\050\342\202\254"\\\001\n<>&' ''')
    want(got['stdout'], 'a\ufffdb\ufffd(€"\\\x01\n<>&', 'repair')
    got = await conn.sh('head -c 10000000 /dev/zero | tr "\\0" y; echo e >&2')
    want(len(got['stdout']), 10000000, 'length')
    want(set(got['stdout']), {'y'}, 'content')
    got = await conn.sh("yes 'ä€😀' | head -c 3000000")
    want(got['stdout'][:30].startswith('ä€😀\n'), True, 'start')
    want('\ufffd' in got['stdout'][:-1], False, 'a character was cut in two')


@test
async def exec_killed_by_signal(p):
    conn = await p.started()
    got = await conn.exec(args=['sh', '-c', 'kill -9 $$'])
    want((got['exit_code'], got['timed_out']), (-1, False), 'result')
    got = await conn.sh('sh -c "kill -9 \\$\\$"; exit $?')
    want(got['exit_code'], 137, 'inside a shell')


@test
async def exec_timeout_d14(p):
    conn = await p.started()
    began = time.monotonic()
    got = await conn.sh('echo partial; sleep 100', timeout=1)
    want(got, {'stdout': 'partial\n', 'stderr': '', 'exit_code': -1,
               'timed_out': True}, 'result')
    want(0.9 < time.monotonic() - began < 3, True, 'about 1 s')


@test
async def exec_timeout_kills_the_tree_d15(p):
    conn = await p.started()
    began = time.monotonic()
    got = await conn.sh('echo a; sleep 101 & setsid sleep 102 & sleep 103', timeout=1)
    want((got['stdout'], got['exit_code'], got['timed_out']), ('a\n', -1, True), 'result')
    want(time.monotonic() - began < 4, True, 'within the slack')
    below = [open(f'/proc/{c}/cmdline', 'rb').read() for c in children(p.process.pid)]
    want([c for c in below if b'sleep' in c], [], 'left behind')


@test
async def exec_background_child_d15(p):
    conn = await p.started()
    began = time.monotonic()
    got = await conn.sh('sleep 100 & echo ok', timeout=30)
    want(got, {'stdout': 'ok\n', 'stderr': '', 'exit_code': 0, 'timed_out': False}, 'result')
    want(time.monotonic() - began < 2, True, 'at once')


@test
async def exec_timeout_values(p):
    conn = await p.started()
    for timeout in (0, -5, 3601, 10**12, None):
        want((await conn.sh('echo x', timeout=timeout))['stdout'], 'x\n', f'timeout {timeout}')
    await conn.error('EINVAL', 'exec', None,
                     raw='{"id":"@ID@","type":"exec","body":{"command":"true",'
                         '"shell":true,"timeout":1.5}}')
    await conn.error('EINVAL', 'exec', {'command': 'x', 'shell': True, 'timeout': '5'})


@test
async def exec_bad_bodies(p):
    conn = await p.started()
    for body in (None, 5, 'x', [], True, {'command': 5, 'shell': True},
                 {'command': 'x', 'shell': 'yes'}, {'args': 'ls'}, {'args': [1]},
                 {'args': ['a\0b']}, {'command': 'a\0b', 'shell': True},
                 {'args': ['true'], 'env': {}}, {'args': ['true'], 'env': [None]},
                 {'args': ['true'], 'dir': 5}, {'args': ['true'], 'stdin': 5}):
        await conn.error('EINVAL', 'exec', body)
    want((await conn.sh('echo alive'))['stdout'], 'alive\n', 'afterwards')


@test
async def exec_large_arguments(p):
    conn = await p.started()
    text = 'x' * 100_000
    want(len((await conn.exec(args=['echo', '-n', text]))['stdout']), 100_000, 'one')
    await conn.error('EIO', 'exec', {'args': ['echo', 'x' * 300_000]})
    await conn.error('EIO', 'exec', {'args': ['echo'] * 5000})
    want((await conn.sh('echo alive'))['stdout'], 'alive\n', 'afterwards')


@test
async def exec_concurrent(p):
    conn = await p.started()
    began = time.monotonic()
    slow = asyncio.create_task(conn.sh('sleep 2; echo slow'))
    results = await asyncio.gather(*(conn.sh(f'echo {n}; echo e{n} >&2') for n in range(40)))
    want([(r['stdout'], r['stderr']) for r in results],
         [(f'{n}\n', f'e{n}\n') for n in range(40)], 'results')
    want(slow.done(), False, 'the slow one finished first')
    want((await slow)['stdout'], 'slow\n', 'slow')
    want(time.monotonic() - began < 8, True, 'side by side')


# -- files --------------------------------------------------------------------

@test
async def files_write_and_read(p):
    conn = await p.started()
    await conn.okay('write_file', {'path': 'a.bin', 'data': b64(bytes(range(256))), 'perm': 0o600})
    want(await conn.file('a.bin'), bytes(range(256)), 'content')
    full = os.path.join(p.ws, 'a.bin')
    want(await conn.file(full), bytes(range(256)), 'absolute')
    want(stat.S_IMODE(os.stat(full).st_mode), 0o600, 'mode')
    for n in (0, 1, 2, 3, 4, 65535, 65536, 65537):
        data = os.urandom(n)
        await conn.okay('write_file', {'path': 'n', 'data': b64(data), 'perm': 420})
        want(await conn.file('n') == data, True, f'{n} bytes')
    want(sorted(os.listdir(p.ws)), ['a.bin', 'n'], 'no temporary files')


@test
async def files_large(p):
    conn = await p.started()
    data = os.urandom(1 << 20) * 50 + b'tail'
    await conn.okay('write_file', {'path': 'big', 'data': b64(data), 'perm': 420})
    want(await conn.file('big') == data, True, 'content')
    want(p.sanitized() or p.resident() < 65536, True, f'{p.resident()} kB resident afterwards')


@test
async def files_perm_zero_d17(p):
    conn = await p.started()
    await conn.okay('write_file', {'path': 'f', 'data': '', 'perm': 0})
    await conn.okay('write_file', {'path': 'g', 'data': ''})
    await conn.okay('mkdir_all', {'path': 'd/e', 'perm': 0})
    await conn.okay('mkdir_all', {'path': 'h'})
    umask = os.umask(0)
    os.umask(umask)
    for name, mode in (('f', 0o644), ('g', 0o644), ('d', 0o755), ('d/e', 0o755), ('h', 0o755)):
        want(stat.S_IMODE(os.stat(os.path.join(p.ws, name)).st_mode), mode & ~umask, name)


@test
async def files_perm_at_creation(p):
    """A file that exists keeps its mode, the umask counts for a new one."""
    umask = os.umask(0o027)
    try:
        conn = await p.started()
    finally:
        os.umask(umask)

    def mode(name):
        return stat.S_IMODE(os.stat(os.path.join(p.ws, name)).st_mode)
    await conn.okay('write_file', {'path': 'new', 'data': '', 'perm': 0o666})
    want(mode('new'), 0o640, 'new')
    await conn.okay('mkdir_all', {'path': 'dir', 'perm': 0o777})
    want(mode('dir'), 0o750, 'dir')
    os.chmod(os.path.join(p.ws, 'new'), 0o751)
    os.symlink('new', os.path.join(p.ws, 'link'))
    for name in ('new', 'link'):
        await conn.okay('write_file', {'path': name, 'data': b64(b'x'), 'perm': 420})
        want(mode(name), 0o751, name)


@test
async def files_bad_base64(p):
    conn = await p.started()
    await conn.okay('write_file', {'path': 'f', 'data': b64(b'old'), 'perm': 420})
    good = b64(os.urandom(300000))
    for data in ('!', 'QQ', 'QQ=', 'QQ==QQ==', 'Q Q=', good[:-4] + '*AAA', good + 'A'):
        text = await conn.error('EINVAL', 'write_file', {'path': 'f', 'data': data, 'perm': 420})
        want('base64' in text, True, text)
    want(await conn.file('f'), b'old', 'atomic')
    want(os.listdir(p.ws), ['f'], 'left behind')
    await conn.okay('write_file', {'path': 'f', 'data': 'b2\r\ns=\n', 'perm': 420})
    want(await conn.file('f'), b'ok', 'line breaks inside')
    await conn.ask('write_file', raw='{"id":"@ID@","type":"write_file","body":'
                   '{"path":"f","data":"\\u0062\\/\\/\\/","perm":420}}')
    want(await conn.file('f'), base64.b64decode('b///'), 'JSON escapes inside')


@test
async def files_errors(p):
    conn = await p.started()
    os.mkdir(os.path.join(p.ws, 'd'))
    with open(os.path.join(p.ws, 'd', 'f'), 'w', encoding='ascii') as f:
        f.write('x')
    data = b64(b'y')
    for code, kind, body in (
            ('ENOENT', 'read_file', {'path': 'none'}),
            ('ENOENT', 'read_file', {'path': 'none/x'}),
            ('EISDIR', 'read_file', {'path': 'd'}),
            ('EISDIR', 'read_file', {'path': ''}),
            ('ENOTDIR', 'read_file', {'path': 'd/f/x'}),
            ('ENOENT', 'write_file', {'path': 'none/x', 'data': data, 'perm': 420}),
            ('EISDIR', 'write_file', {'path': 'd', 'data': data, 'perm': 420}),
            ('ENOTDIR', 'write_file', {'path': 'd/f/x', 'data': data, 'perm': 420}),
            ('ENOENT', 'stat', {'path': 'none'}),
            ('ENOTDIR', 'stat', {'path': 'd/f/x'}),
            ('ENOENT', 'read_dir', {'path': 'none'}),
            ('ENOTDIR', 'read_dir', {'path': 'd/f'}),
            ('ENOENT', 'remove', {'path': 'none'}),
            ('EEXIST', 'remove', {'path': 'd'}),
            ('ENOTDIR', 'mkdir_all', {'path': 'd/f/x'}),
            ('EINVAL', 'read_file', {'path': 5}),
            ('EINVAL', 'read_file', {'path': 'a\0b'}),
            ('EINVAL', 'read_file', None),
            ('EINVAL', 'write_file', {'path': 'f', 'data': 5}),
            ('EINVAL', 'write_file', {'path': 'f', 'data': '', 'perm': -1}),
            ('EINVAL', 'write_file', {'path': 'f', 'data': '', 'perm': '420'}),
            ('EINVAL', 'stat', {'path': 'x' * 5000})):
        await conn.error(code, kind, body)
    want(os.listdir(os.path.join(p.ws, 'd')), ['f'], 'untouched')


@test
async def files_mkdir_over_file(p):
    conn = await p.started()
    await conn.okay('write_file', {'path': 'f', 'data': '', 'perm': 420})
    answer = await conn.ask('mkdir_all', {'path': 'f', 'perm': 493})
    want(answer['type'], 'error', 'mkdir_all of a file')
    want(answer['body']['code'] in ('ENOTDIR', 'EEXIST'), True, str(answer))


@test
async def files_guard_d10(p):
    conn = await p.started()
    secret = os.path.join(p.top, 'secret')
    with open(secret, 'w', encoding='ascii') as f:
        f.write('secret')
    os.mkdir(p.ws + '-evil')
    with open(p.ws + '-evil/f', 'w', encoding='ascii') as f:
        f.write('secret')
    os.symlink(secret, os.path.join(p.ws, 'flink'))
    os.symlink(p.top, os.path.join(p.ws, 'dlink'))
    os.symlink(os.path.join(p.top, 'made'), os.path.join(p.ws, 'dangling'))
    data = {'data': b64(b'x'), 'perm': 420}
    for kind, path, more in (
            ('read_file', '../secret', {}), ('read_file', secret, {}),
            ('read_file', 'flink', {}), ('read_file', 'dlink/secret', {}),
            ('read_file', p.ws + '-evil/f', {}), ('read_file', '/etc/passwd', {}),
            ('stat', '..', {}), ('stat', 'dlink', {}), ('read_dir', '/', {}),
            ('read_dir', 'dlink', {}), ('write_file', '../new', data),
            ('write_file', 'dlink/new', data), ('write_file', p.ws + '-evil/new', data),
            ('mkdir_all', '../made', {'perm': 493}), ('mkdir_all', 'dlink/made/x', {'perm': 493}),
            ('remove', '../secret', {}), ('remove', 'dlink/secret', {}),
            ('remove_all', p.ws + '-evil', {}), ('remove_all', 'dlink/ws-evil', {}),
            ('remove_all', '..', {})):
        await conn.error('EPERM', kind, {'path': path, **more})
    want(sorted(os.listdir(p.top)), ['secret', 'ws', 'ws-evil'], 'outside')
    # A link to nowhere outside: replaced or refused, never followed.
    await conn.ask('write_file', {'path': 'dangling', **data})
    want(os.path.exists(os.path.join(p.top, 'made')), False, 'written through a link')


@test
async def files_links_inside(p):
    conn = await p.started()
    os.mkdir(os.path.join(p.ws, 'd'))
    os.symlink('d', os.path.join(p.ws, 'l'))
    os.symlink(os.path.join(os.path.realpath(p.ws), 'd'), os.path.join(p.ws, 'abs'))
    await conn.okay('write_file', {'path': 'l/f', 'data': b64(b'in'), 'perm': 420})
    want(await conn.file('d/f'), b'in', 'through a relative link')
    want(await conn.file('abs/f'), b'in', 'through an absolute link')
    await conn.okay('remove', {'path': 'l'})
    want(sorted(os.listdir(p.ws)), ['abs', 'd'], 'the link itself went')


@test
async def files_full_control(p):
    conn = await p.started('--full-control')
    path = os.path.join(p.top, 'outside')
    await conn.okay('write_file', {'path': path, 'data': b64(b'x'), 'perm': 420})
    want(await conn.file('../outside'), b'x', 'content')
    await conn.error('EPERM', 'remove_all', {'path': p.ws})


@test
async def files_remove_all_d18(p):
    conn = await p.started()
    os.makedirs(os.path.join(p.ws, 'a/b/c'))
    with open(os.path.join(p.ws, 'a/b/f'), 'w', encoding='ascii') as f:
        f.write('x')
    keep = os.path.join(p.top, 'keep')
    os.mkdir(keep)
    os.symlink(keep, os.path.join(p.ws, 'a/link'))
    with open(os.path.join(keep, 'f'), 'w', encoding='ascii') as f:
        f.write('x')
    for path in ('', '.', '/', p.ws, p.ws + '/', 'a/..'):
        await conn.error('EPERM', 'remove_all', {'path': path})
    want(os.path.exists(os.path.join(p.ws, 'a/b/f')), True, 'untouched')
    await conn.okay('remove_all', {'path': 'a'})
    await conn.okay('remove_all', {'path': 'a'})
    want(os.listdir(p.ws), [], 'all gone')
    want(os.listdir(keep), ['f'], 'not through links')


@test
async def files_stat(p):
    conn = await p.started()
    path = os.path.join(p.ws, 'f')
    with open(path, 'w', encoding='ascii') as f:
        f.write('12345')
    os.chmod(path, 0o640)
    os.utime(path, (1787418546, 1787418546))
    os.mkdir(os.path.join(p.ws, 'd'))
    os.chmod(os.path.join(p.ws, 'd'), 0o1777)
    os.symlink('d', os.path.join(p.ws, 'l'))
    os.mkfifo(os.path.join(p.ws, 'p'))
    os.chmod(os.path.join(p.ws, 'p'), 0o600)

    async def info(name):
        answer = await conn.ask('stat', {'path': name})
        want(answer['type'], 'file_info', f'{answer}')
        return answer['body']
    got = await info('f')
    when = got.pop('mod_time')
    want(got, {'name': 'f', 'size': 5, 'mode': 0o640, 'is_dir': False}, 'file')
    want(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)', when) is not None,
         True, when)
    want(time.strptime(when[:19], '%Y-%m-%dT%H:%M:%S')[:6] if when.endswith('Z') else None,
         time.gmtime(1787418546)[:6], 'mod_time')
    got = await info('d')
    want((got['mode'], got['is_dir']), (0x801001ff, True), 'directory with sticky bit')
    want((await info('l'))['is_dir'], True, 'link is followed')
    want((await info('p'))['mode'], 1 << 25 | 0o600, 'fifo')
    want((await info(''))['is_dir'], True, 'the root')


@test
async def files_read_dir_d16(p):
    conn = await p.started()

    async def entries(path):
        answer = await conn.ask('read_dir', {'path': path})
        want(answer['type'], 'dir_entries', f'{answer}')
        return answer['body']['entries']
    want(await entries(''), [], 'empty, not null')
    os.mkdir(os.path.join(p.ws, 'd'))
    os.symlink('d', os.path.join(p.ws, 'l'))
    for name in ('.hidden', 'a\nb', '-rf', 'Z', 'ä', 'a"\\'):
        with open(os.path.join(p.ws, name), 'w', encoding='ascii') as f:
            f.write('123')
    with open(os.path.join(os.fsencode(p.ws), b'x\xff'), 'w', encoding='ascii') as f:
        f.write('')
    got = await entries('.')
    want([e['name'] for e in got],
         ['-rf', '.hidden', 'Z', 'a\nb', 'a"\\', 'd', 'l', 'x\ufffd', 'ä'], 'names')
    by_name = {e['name']: e for e in got}
    want(by_name['d']['is_dir'], True, 'd')
    want(by_name['l']['is_dir'], False, 'link to a directory')
    want(by_name['l']['size'], 1, 'size of a link')
    want(by_name['.hidden'], {'name': '.hidden', 'is_dir': False, 'size': 3}, 'file')


@test
async def files_read_dir_large(p):
    conn = await p.started()
    names = sorted(f'file-{n:05d}-{"x" * 100}' for n in range(6000))
    os.mkdir(os.path.join(p.ws, 'd'))
    for name in names:
        os.mknod(os.path.join(p.ws, 'd', name))
    answer = await conn.ask('read_dir', {'path': 'd'})
    want([e['name'] for e in answer['body']['entries']] == names, True, 'names')


@test
async def files_special(p):
    conn = await p.started('--full-control')
    os.mkfifo(os.path.join(p.ws, 'p'))
    answer = await conn.ask('read_file', {'path': 'p'}, wait=5)
    want(answer['type'], 'error', 'reading a fifo')


@test
async def files_concurrent(p):
    conn = await p.started()
    data = {n: os.urandom(100000 + n) for n in range(30)}
    await asyncio.gather(*(conn.okay('write_file', {
        'path': f'f{n}', 'data': b64(d), 'perm': 420}) for n, d in data.items()))
    got = await asyncio.gather(*(conn.file(f'f{n}') for n in data))
    want(got == list(data.values()), True, 'contents')


# -- other messages -----------------------------------------------------------

@test
async def unknown_type(p):
    conn = await p.started()
    want(await conn.error('EINVAL', 'frobnicate', {}), 'unknown request type: frobnicate', 'text')
    want(await conn.error('EINVAL', 'register_ok', {}), 'unknown request type: register_ok', 'text')
    await conn.error('EINVAL', 'x' * 100000, {})
    await conn.error('EINVAL', '', {})


@test
async def no_type(p):
    conn = await p.started()
    for raw in ('{"id":"@ID@"}', '{"id":"@ID@","type":null,"body":{}}'):
        answer = await conn.ask('', raw=raw)
        want((answer['type'], answer['body']['code']), ('error', 'EINVAL'), raw)
    for text in ('{}', '{"type":""}', '{"body":{}}'):
        await conn.ws.send(text)
    await conn.sh('true')
    want(conn.pushes, [], 'answers to nothing')


@test
async def odd_ids(p):
    conn = await p.started()
    for ident in ('x', 'a"b\\c\n', 'ü€😀', '<&>', '0' * 4000):
        answer = await conn.ask('stat', {'path': ''}, ident=ident)
        want(answer['id'], ident, 'id')


@test
async def malformed_messages_are_skipped(p):
    conn = await p.started()
    for text in ('', '{', '[]', '5', 'null', '{"id":5,"type":"exec"}', '{"type":[]}',
                 '{"id":"a","type":"exec","body":{}', '{}{}', '{"id":"\\ud800', 'x' * 70000,
                 '[' * 100000, '{"a":' * 50000, b'\xff\xfe', b'{"id":"b","type":"st\xff"}'):
        await conn.ws.send(text)
    want((await conn.sh('echo alive'))['stdout'], 'alive\n', 'afterwards')
    want([m for m in conn.pushes if m.get('id') not in ('b',)], [], 'answers')


@test
async def binary_opcode_is_json_too(p):
    conn = await p.started()
    answer = await conn.ask('stat', raw='{"id":"@ID@","type":"stat","body":{"path":""}}')
    want(answer['type'], 'file_info', 'text')
    future = asyncio.get_running_loop().create_future()
    conn.waiting['bin'] = future
    await conn.ws.send(b'{"id":"bin","type":"stat","body":{"path":""}}')
    want((await asyncio.wait_for(future, 5))['type'], 'file_info', 'binary')


@test
async def fragmented_input(p):
    conn = await p.started()
    future = asyncio.get_running_loop().create_future()
    conn.waiting['fr'] = future

    async def pieces():
        for c in '{"id":"fr","type":"exec","body":{"command":"echo fr","shell":true}}':
            yield c
            await asyncio.sleep(0)
    await conn.ws.send(pieces())
    want((await asyncio.wait_for(future, 5))['body']['stdout'], 'fr\n', 'stdout')


@test
async def unknown_keys_and_order(p):
    conn = await p.started()
    answer = await conn.ask('stat', raw='{"zzz":{"a":[1,{}]},"body":{"x":1,"path":"","path":"."},'
                            '"type":"stat","id":"@ID@"}')
    want(answer['type'], 'file_info', 'answer')


@test
async def pings_are_answered_when_busy(p):
    conn = await p.started()
    task = asyncio.create_task(conn.sh('head -c 40000000 /dev/zero | tr "\\0" y'))
    for n in range(10):
        waiter = await conn.ws.ping(b'ping%d' % n)
        await asyncio.wait_for(waiter, 5)
        await asyncio.sleep(0.02)
    want(len((await task)['stdout']), 40000000, 'length')


# -- robustness ---------------------------------------------------------------

@test
async def reconnects(p):
    conn = await p.started()
    began = time.monotonic()
    conn.ws.transport.abort()
    conn = await p.conn()
    want(0.9 < time.monotonic() - began < 2.5, True, 'after 1 to 1.25 s')
    want((await conn.sh('echo again'))['stdout'], 'again\n', 'afterwards')
    conn.ws.transport.abort()
    began = time.monotonic()
    conn = await p.conn()
    want(1.9 < time.monotonic() - began < 4, True, 'the second after 2 to 2.5 s')


@test
async def jobs_of_a_lost_connection_go_on(p):
    """What was asked for is done; nobody hears of it."""
    conn = await p.started()
    os.mkfifo(os.path.join(p.ws, 'fifo'))
    # More output, and input, than is under way at once.
    await conn.send('exec', {'command': 'echo up >up; read x <fifo; head -c 9000000 /dev/zero; '
                             'wc -c >done', 'shell': True, 'stdin': 'x' * 5_000_000}, 'x')
    await conn.send('exec', {'command': 'sleep 1000', 'shell': True, 'timeout': 2}, 'y')

    def read(name):
        try:
            with open(os.path.join(p.ws, name), encoding='ascii') as f:
                return f.read()
        except FileNotFoundError:
            return ''
    await until(lambda: read('up') == 'up\n', 5, 'start')
    data = os.urandom(3_000_000)
    await conn.send('write_file', {'path': 'big', 'data': b64(data), 'perm': 420}, 'z')
    await conn.send('read_file', {'path': 'up'}, 'r')
    await conn.ask('stat', {'path': ''})
    conn.ws.transport.abort()
    conn = await p.conn()
    want((await conn.sh('echo go >fifo'))['exit_code'], 0, 'it waits')
    await until(lambda: read('done').strip() == '5000000', 10, 'its end')
    want(await conn.file('big') == data, True, 'the file')
    await until(lambda: len(children(p.process.pid)) == 1, 10, 'the end at its limit')
    await conn.sh('true')
    want(conn.pushes, [], 'replies to the old connection')
    # Those of an executor that died are forgotten.
    await conn.send('exec', {'command': 'echo >up2; sleep 1000', 'shell': True}, 'x')
    await until(lambda: read('up2') != '', 5, 'start')
    conn.ws.transport.abort()
    conn = await p.conn()
    os.kill(children(p.process.pid)[0], signal.SIGKILL)
    await until(lambda: b'restarting' in p.log, 5, 'restart')
    for _ in range(100):
        answer = await conn.ask('exec', {'command': 'true', 'shell': True})
        if answer['type'] == 'exec_result':
            break
        await asyncio.sleep(0.1)
    want(answer['type'], 'exec_result', 'afterwards')
    want(conn.pushes, [], 'replies to the old connection')


@test
async def executor_death(p):
    conn = await p.started()
    executor = children(p.process.pid)[0]
    pending = asyncio.create_task(conn.error('EIO', 'exec', {
        'command': 'sleep 50', 'shell': True}))
    await conn.sh('true')
    os.kill(executor, signal.SIGKILL)
    await asyncio.wait_for(pending, 5)
    await asyncio.sleep(1.5)
    want((await conn.sh('echo back'))['stdout'], 'back\n', 'restarted')


@test
async def sigterm_while_connected_d58(p):
    conn = await p.started()
    await conn.send('exec', {'command': 'sleep 1000', 'shell': True}, 'x')
    await asyncio.sleep(0.3)
    below = children(p.process.pid)
    want(len(below) >= 2, True, 'executor and job')
    began = time.monotonic()
    p.process.terminate()
    want(await p.ended(), 0, 'status')
    want(time.monotonic() - began < 3, True, 'quick')
    await asyncio.wait_for(conn.closed.wait(), 5)
    want(conn.ws.close_code, 1000, 'close code')
    await until(lambda: not any(os.path.exists(f'/proc/{c}') for c in below), 3, 'children gone')


@test
async def sigint_while_waiting(p):
    await p.start(server='ws://127.0.0.1:1/ws/alice')
    await until(lambda: b'attempt 2' in p.log, 5, 'first failure')
    p.process.send_signal(signal.SIGINT)
    want(await p.ended(3), 0, 'status')


@test
async def second_signal_exits_at_once(p):
    conn = await p.started()
    await conn.sh('trap "" TERM; (trap "" TERM; exec sleep 1000) >/dev/null 2>&1 & true')
    p.process.terminate()
    await asyncio.sleep(0.05)
    if p.process.returncode is None:
        p.process.terminate()
    want(await p.ended(1), 0, 'status')


@test
async def killed_runner_leaves_nothing(p):
    conn = await p.started()
    await conn.send('exec', {'command': 'sleep 1000', 'shell': True}, 'x')
    await asyncio.sleep(0.3)
    below = children(p.process.pid)
    p.process.kill()
    await p.ended()
    await until(lambda: not any(os.path.exists(f'/proc/{c}') for c in below), 3, 'children gone')


@test
async def server_that_does_not_read(p):
    conn = await p.started()
    conn.ws.transport.pause_reading()
    for n in range(4):
        await conn.send('exec', {'command': 'head -c 30000000 /dev/zero | tr "\\0" y',
                                 'shell': True}, f'n{n}')
    conn2 = await p.conn(25)        # dropped after 10 s, and back
    want((await conn2.sh('echo x'))['stdout'], 'x\n', 'afterwards')


@test
async def server_that_asks_and_does_not_read(p):
    conn = await p.started()
    conn.ws.transport.pause_reading()

    async def flood():
        for n in range(40000):
            await conn.send('stat', {'path': ''}, f'{n:04000}')
    task = asyncio.create_task(flood())
    conn2 = await p.conn(30)
    task.cancel()
    with open(f'/proc/{p.process.pid}/status', encoding='ascii') as f:
        kb = int(re.search(r'VmHWM:\s+(\d+)', f.read()).group(1))
    want(kb < (300000 if p.sanitized() else 65536), True, f'{kb} kB at most')
    want((await conn2.sh('echo x'))['stdout'], 'x\n', 'afterwards')


@test
async def mutated_messages(p):
    conn = await p.started()
    seeds = [json.dumps({'id': 'm', 'type': kind, 'user_id': 'alice', 'body': body}) for kind, body in (
        ('exec', {'command': 'true', 'shell': True, 'timeout': 1, 'env': ['A=b']}),
        ('exec', {'args': ['true', 'x'], 'stdin': 'in\n', 'dir': 'd'}),
        ('write_file', {'path': 'f', 'data': b64(b'0123456789'), 'perm': 420}),
        ('read_dir', {'path': ''}), ('stat', {'path': 'f'}), ('read_file', {'path': 'f'}))]
    chance = random.Random(7)
    for _ in range(3000):
        text = bytearray(chance.choice(seeds).encode())
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            what = chance.randrange(4)
            if what == 0:
                text[at] = chance.randrange(256)
            elif what == 1:
                del text[at:at + chance.randint(1, 9)]
            elif what == 2:
                text[at:at] = chance.choice((b'"', b'\\', b'{', b']', b'\\u0000', b'null', b'\xff',
                                             b'1e9', b'-', b'9' * 30, b'\\ud800'))
            else:
                text[at:at] = text[at:at + chance.randint(1, 20)]
            text = text or bytearray(b' ')
        await conn.ws.send(bytes(text))
    want((await conn.sh('echo alive'))['stdout'], 'alive\n', 'afterwards')
    want(b'restarting' in p.log, False, 'executor died')


@test
async def message_too_large(p):
    if p.sanitized():
        raise Skip('memory test')
    conn = await p.started()
    future = asyncio.get_running_loop().create_future()
    conn.waiting['big'] = future
    piece = 'A' * (16 << 20)

    async def pieces():
        yield '{"id":"big","type":"write_file","user_id":"alice","body":{"path":"f","data":"'
        for _ in range(45):
            yield piece
        yield '"}}'
    await conn.ws.send(pieces())
    answer = await asyncio.wait_for(future, 30)
    want(answer['type'], 'error', 'answer')
    want('700 MiB' in answer['body']['message'], True, str(answer))
    want((await conn.sh('echo x'))['stdout'], 'x\n', 'afterwards')
    want(os.listdir(p.ws), [], 'nothing written')
    want(p.resident() < 65536, True, f'{p.resident()} kB resident afterwards')


@test
async def file_too_large(p):
    conn = await p.started()
    with open(os.path.join(p.ws, 'f'), 'wb') as f:
        f.truncate(501 << 20)
    text = await conn.error('EIO', 'read_file', {'path': 'f'})
    want('too large' in text, True, text)


@test
async def output_beyond_its_limit(p):
    if p.sanitized():
        raise Skip('memory test')
    conn = await p.started()
    got = await conn.sh('head -c 80000000 /dev/zero | tr "\\0" y; echo err >&2; exit 3')
    want((got['stderr'], got['exit_code']), ('err\n', 3), 'ran to its end')
    out, mark = got['stdout'].split('\n', 1)
    want(60_000_000 < len(out) <= 64 << 20, True, f'{len(out)} bytes')
    want(mark, f'[\u2026 {80_000_000 - len(out)} bytes dropped \u2026]\n', 'mark')
    await until(lambda: b'dropped' in p.log, 3, 'log line')
    await asyncio.sleep(0.2)
    want(p.resident() < 65536, True, f'{p.resident()} kB resident afterwards')


@test
async def unprivileged(p):
    if os.getuid() != 0:
        raise Skip('not root')
    os.chmod(p.top, 0o755)
    os.chown(p.ws, 65534, 65534)
    binary = os.path.join(p.top, 'xbot-runner')
    shutil.copy(p.runner, binary)
    await p.start(binary=binary, user=65534)
    conn = await p.conn()
    want((await conn.sh('id -u'))['stdout'], '65534\n', 'uid')
    await conn.okay('write_file', {'path': 'f', 'data': b64(b'x'), 'perm': 420})
    want(await conn.file('f'), b'x', 'content')
    got = await conn.sh(f'cat /proc/{p.process.pid}/environ; kill -0 {p.process.pid}')
    want(p.sanitized() or 'Permission' in got['stderr'], True, f'environment of the runner: {got}')
    want(b'as root' in p.log, False, 'warning of root')


@test
async def refused_workspace(p):
    if os.getuid() != 0:
        raise Skip('not root')
    binary = os.path.join(p.top, 'xbot-runner')
    shutil.copy(p.runner, binary)
    os.chmod(p.top, 0o755)
    await p.start(binary=binary, user=65534, workspace='/xbot-nowhere/x')
    want(await p.ended(), 1, 'status')
    want(b'cannot create /xbot-nowhere/x: choose another with --workspace' in p.log, True,
         p.log.decode())


@test
async def no_leak(p):
    conn = await p.started()

    def held():
        return len(os.listdir(f'/proc/{p.process.pid}/fd')), p.resident()
    for _ in range(5):
        await conn.sh('echo x')
    fds, before = held()
    for _ in range(30):
        await asyncio.gather(*(conn.sh('head -c 20000 /dev/zero') for _ in range(10)))
        await conn.error('ENOENT', 'read_file', {'path': 'none'})
        await conn.error('EINVAL', 'exec', 5)
    for _ in range(3):
        await conn.sh('head -c 30000000 /dev/zero')
    await until(lambda: held()[0] == fds, 60, f'{held()[0]} descriptors, not {fds}')
    await until(lambda: p.sanitized() or held()[1] - before < 12000, 60,
                f'{before} to {held()[1]} kB resident')


@test
async def descriptors_of_a_job(p):
    conn = await p.started()
    got = await conn.sh('ls -l /proc/self/fd')
    names = [line.split()[8] for line in got['stdout'].splitlines()[1:]]
    want(set(names) <= {'0', '1', '2', '3'}, True, got['stdout'])


@test
async def token_is_nowhere(p):
    conn = await p.started('--v')
    await conn.sh('echo x')
    await conn.error('ENOENT', 'stat', {'path': 'none'})
    await until(lambda: b'request exec' in p.log, 3, 'verbose lines')
    want(TOKEN.encode() in p.log, False, 'token in the log')
    got = await conn.sh(f'cat /proc/{p.process.pid}/cmdline /proc/{p.process.pid}/environ; '
                        'ps axww -o args 2>/dev/null')
    # This command's own text has no token in it either.
    want(TOKEN in got['stdout'], False, 'token in ps or /proc')


@test
async def log_lines(p):
    conn = await p.started()
    await conn.sh('echo x')
    await conn.error('ENOENT', 'stat', {'path': 'none'}, ident='evil\x1b[31m\nline')
    await until(lambda: b'ENOENT' in p.log, 3, 'error line')
    text = p.log.decode()
    for part in ('mode native', 'connecting to', 'registered', 'exit 0', 'ENOENT'):
        want(part in text, True, f'{part!r} in the log')
    want('\x1b' in text, False, 'escape characters in the log')


async def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    runner, names = os.path.abspath(sys.argv[1]), sys.argv[2:]
    passed = failed = skipped = 0
    for function in TESTS:
        name = function.__name__
        if names and not any(n in name for n in names):
            continue
        try:
            async with Peer(runner) as peer:
                try:
                    await asyncio.wait_for(function(peer), 90)
                except BaseException:
                    sys.stderr.write(peer.log.decode(errors='replace')[-3000:])
                    raise
            print(f'ok {name}', flush=True)
            passed += 1
        except Skip as why:
            print(f'ok {name} # skip {why}', flush=True)
            skipped += 1
        except Exception as why:        # pylint: disable=broad-except
            print(f'not ok {name}: {type(why).__name__} {why}', flush=True)
            failed += 1
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    asyncio.run(main())
