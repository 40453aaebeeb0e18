#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""An existing runner of protocol v1, played after the contract: the way it
frames, escapes and orders its messages, and the answers it gives.

usage: v1_runner_peer.py --server ws://HOST:PORT/ws/USER --token T
           [--workspace DIR] [--shell S] [--user-id U] [--once] [--v]
           [--pty none|deaf|whole]

As a library: V1Runner(url, token, workspace); run() serves until the
connection ends; on[TYPE] = coroutine(runner, message) replaces an answer.
"""
import argparse
import asyncio
import base64
import codecs
import datetime
import fcntl
import http.client
import json
import os
import random
import shutil
import signal
import stat
import struct
import sys
import termios
import urllib.error
import urllib.parse
import urllib.request

import websockets

FRAGMENT = 4096         # the Go client flushes its write buffer so often
QUEUE = 64


class V1Error(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def one_each(error):
    """Invalid UTF-8: U+FFFD for each byte, as Go does."""
    return '\ufffd', error.start + 1


codecs.register_error('go', one_each)


def go_json(value):
    text = json.dumps(value, ensure_ascii=False, separators=(',', ':'))
    for c in '<>&\u2028\u2029':
        text = text.replace(c, f'\\u{ord(c):04x}')
    return text.encode('utf-8', 'replace')


def go_error(error, verb):
    code = {FileNotFoundError: 'ENOENT', PermissionError: 'EPERM',
            FileExistsError: 'EEXIST'}.get(type(error), 'EIO')
    if error.errno == 39:               # ENOTEMPTY
        code = 'EEXIST'
    return V1Error(code, f'{verb} {error.filename}: '
                         f'{os.strerror(error.errno).lower()}')


def go_mode(mode):
    kinds = {stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27,
             stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25,
             stat.S_IFSOCK: 1 << 24, stat.S_IFCHR: 1 << 26 | 1 << 21}
    go = mode & 0o777 | kinds.get(stat.S_IFMT(mode), 0)
    for bit, flag in ((stat.S_ISUID, 23), (stat.S_ISGID, 22),
                      (stat.S_ISVTX, 20)):
        go |= 1 << flag if mode & bit else 0
    return go


def fragments(data):
    """What a text message of the library is sent in; characters whole."""
    text = data.decode()
    return [text[i:i + FRAGMENT] for i in range(0, len(text), FRAGMENT)]


class V1Runner:
    def __init__(self, url, token, workspace='/tmp', shell='/bin/bash',
                 user_id=None, verbose=False, pty='deaf', **register):
        self.url, self.token, self.shell = url, token, shell
        self.workspace = os.path.realpath(workspace)
        self.user_id = user_id or url.rsplit('/', 1)[1]
        self.register, self.verbose = register, verbose
        self.ws = self.queue = None
        self.pty = pty      # none: as older runners; deaf: as newer ones
        self.tasks, self.streams = {}, {}
        self.registered = asyncio.Event()
        self.seen = []                  # types of the requests
        self.on = {}
        self.groups = set()
        self.close_code = self.close_reason = None

    # --- the connection ---

    async def run(self, **options):
        """Until it ends; V1Error when the registration was refused."""
        self.registered.clear()
        self.queue = asyncio.Queue(QUEUE)
        async with websockets.connect(self.url, max_size=None,
                                      compression=None, ping_interval=30,
                                      ping_timeout=30, **options) as ws:
            self.ws = ws
            writer = asyncio.ensure_future(self.writer())
            tasks = set()
            try:
                await self.join()
                async for text in ws:
                    task = asyncio.ensure_future(self.handle(text))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            except websockets.ConnectionClosed:
                pass
            finally:
                self.close_code = ws.close_code
                self.close_reason = ws.close_reason
                self.say(f'closed: {ws.close_code} {ws.close_reason}')
                writer.cancel()
                for task in tasks:
                    task.cancel()
                self.forget()

    async def join(self):
        body = {'user_id': self.user_id, 'auth_token': self.token,
                'workspace': self.workspace, 'shell': self.shell,
                **self.register}
        await self.send({'type': 'register', 'user_id': self.user_id,
                         'body': body})
        first = json.loads(await asyncio.wait_for(self.ws.recv(), 10))
        if first['type'] == 'error':
            raise V1Error(first['body'].get('code'), first['body']['message'])
        self.registered.set()
        self.say(f'registered as {self.user_id}')

    async def writer(self):
        while True:
            parts = fragments(await self.queue.get())
            await self.ws.send(parts if len(parts) > 1 else
                               ''.join(parts))

    async def send(self, message):
        await self.queue.put(go_json(message))

    async def close(self):
        await self.ws.close()

    def say(self, text):
        if self.verbose:
            print(text, file=sys.stderr, flush=True)

    # --- requests ---

    async def handle(self, text):
        try:
            message = json.loads(text)
            kind, ident = message['type'], message.get('id', '')
        except (ValueError, KeyError, TypeError):
            return
        self.seen.append(kind)
        self.say(f'-> {kind} {ident}')
        try:
            if kind in self.on:
                answer = await self.on[kind](self, message)
            else:
                do = getattr(self, 'do_' + kind, None)
                if do is None:
                    raise V1Error('EINVAL', f'unknown request type: {kind}')
                answer = await do(message.get('body') or {})
        except V1Error as error:
            answer = 'error', {'message': str(error), 'code': error.code}
        except (KeyError, TypeError, ValueError) as error:
            answer = 'error', {'message': f'invalid body: {error}',
                               'code': 'EINVAL'}
        if answer is None:
            return
        reply = {'id': ident, 'type': answer[0]}
        if answer[1] is not None:
            reply['body'] = answer[1]
        self.say(f'<- {answer[0]} {ident}')
        await self.send(reply)

    def path(self, path):
        path = os.path.normpath(os.path.join(self.workspace, path))
        real = os.path.realpath(path) if os.path.lexists(path) else path
        if not real.startswith(self.workspace):
            raise V1Error('EPERM', f'path {path} is outside the workspace')
        return path

    async def do_exec(self, body):
        argv = body.get('args') or []
        if body.get('shell'):
            argv = ['/bin/sh', '-c', body['command']]
        if not argv:
            raise V1Error('EIO', 'exec error: non-shell exec requires args '
                                 'to be set')
        if '/' not in argv[0] and shutil.which(argv[0]) is None:
            raise V1Error('EIO', f'exec error: exec: "{argv[0]}": executable '
                                 'file not found in $PATH')
        try:
            cwd = self.path(body.get('dir', ''))
        except V1Error:
            cwd = self.workspace
        limit = body.get('timeout', 0)
        if not 0 < limit <= 3600:
            limit = 60
        env = dict(os.environ)
        env.update(item.split('=', 1) for item in body.get('env') or ()
                   if '=' in item)
        given = body.get('stdin', '').encode()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, cwd=cwd, env=env, start_new_session=True,
                stdin=asyncio.subprocess.PIPE if given else
                asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE)
        except OSError as error:
            raise V1Error('EIO', f'exec error: fork/exec {argv[0]}: '
                          f'{os.strerror(error.errno).lower()}') from error
        self.groups.add(process.pid)
        reading = asyncio.ensure_future(process.communicate(given or None))
        timed_out = False
        try:
            await asyncio.wait_for(asyncio.shield(reading), limit)
        except asyncio.TimeoutError:
            timed_out = True
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        out, err = await reading
        self.groups.discard(process.pid)
        code = process.returncode
        return 'exec_result', {
            'stdout': out.decode('utf-8', 'go'),
            'stderr': err.decode('utf-8', 'go'),
            'exit_code': -1 if timed_out or code < 0 else code,
            'timed_out': timed_out}

    async def do_read_file(self, body):
        try:
            with open(self.path(body['path']), 'rb') as f:
                return 'file_content', {
                    'data': base64.b64encode(f.read()).decode()}
        except OSError as error:
            raise go_error(error, 'open') from error

    async def do_write_file(self, body):
        try:
            data = base64.b64decode(body['data'], validate=True)
        except ValueError as error:
            raise V1Error('EIO', f'invalid base64: {error}') from error
        try:
            fd = os.open(self.path(body['path']),
                         os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                         body['perm'] & 0o777)
            with os.fdopen(fd, 'wb') as f:
                f.write(data)
        except OSError as error:
            raise go_error(error, 'open') from error
        return 'ok', None

    async def do_stat(self, body):
        path = self.path(body['path'])
        try:
            st = os.stat(path)
        except OSError as error:
            raise go_error(error, 'stat') from error
        when = datetime.datetime.fromtimestamp(
            int(st.st_mtime), datetime.timezone(datetime.timedelta(hours=8)))
        return 'file_info', {
            'name': os.path.basename(path), 'size': st.st_size,
            'mode': go_mode(st.st_mode), 'mod_time': when.isoformat(),
            'is_dir': stat.S_ISDIR(st.st_mode)}

    async def do_read_dir(self, body):
        path = self.path(body['path'])
        try:
            names = sorted(os.listdir(path), key=os.fsencode)
        except OSError as error:
            raise go_error(error, 'open') from error
        entries = []
        for name in names:
            st = os.lstat(os.path.join(path, name))
            entries.append({'name': name, 'is_dir': stat.S_ISDIR(st.st_mode),
                            'size': st.st_size})
        return 'dir_entries', {'entries': entries}

    async def do_mkdir_all(self, body):
        try:
            os.makedirs(self.path(body['path']), body.get('perm', 0) & 0o777,
                        exist_ok=True)
        except OSError as error:
            raise go_error(error, 'mkdir') from error
        return 'ok', None

    async def do_remove(self, body):
        path = self.path(body['path'])
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            else:
                os.remove(path)
        except OSError as error:
            raise go_error(error, 'remove') from error
        return 'ok', None

    async def do_remove_all(self, body):
        path = self.path(body['path'])
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.remove(path)
        except OSError as error:
            raise go_error(error, 'unlinkat') from error
        return 'ok', None


    async def do_download_file(self, body):
        out = self.path(body['output_path'])

        def fetch():
            os.makedirs(os.path.dirname(out), 0o755, exist_ok=True)
            n = 0
            with urllib.request.urlopen(body['url'], timeout=300) as answer, \
                    open(out, 'wb') as f:       # D20: not a temporary one
                while data := answer.read(65536):
                    n += len(data)
                    if n >= 104857600:
                        raise V1Error('EIO', 'download exceeds 100MB')
                    f.write(data)
            return n
        try:
            size = await asyncio.get_running_loop().run_in_executor(None,
                                                                    fetch)
        except urllib.error.HTTPError as error:
            raise V1Error('EIO', f'HTTP {error.code}') from error
        except (OSError, http.client.HTTPException) as error:
            raise V1Error('EIO', f'download: {error}') from error
        return 'ok', {'size': size}

    # --- background tasks ---

    async def do_bg_exec(self, body):
        task = self.tasks[body['task_id']] = Task()     # D21
        asyncio.ensure_future(self.bg_run(task, body))
        return 'bg_started', {'task_id': body['task_id']}

    async def bg_run(self, task, body):
        argv = body.get('args') or []
        if body.get('shell'):
            argv = ['sh', '-c', body['command']]
        try:
            cwd = self.path(body.get('dir', ''))
        except V1Error:
            cwd = self.workspace
        env = dict(os.environ)
        if body.get('env'):         # D22
            env = dict(item.split('=', 1) for item in body['env'])
        given = body.get('stdin', '').encode()
        try:
            task.process = await asyncio.create_subprocess_exec(
                *argv, cwd=cwd, env=env, start_new_session=True,
                stdin=asyncio.subprocess.PIPE if given else
                asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE)
        except OSError:
            task.status, task.code = 'failed', -1
            return

        async def collect(pipe, into):
            while data := await pipe.read(65536):
                into += data

        async def feed():
            try:
                task.process.stdin.write(given)
                await task.process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass
            task.process.stdin.close()
        await asyncio.gather(collect(task.process.stdout, task.out),
                             collect(task.process.stderr, task.err),
                             *([feed()] if given else []))
        code = await task.process.wait()
        task.status = 'completed' if code == 0 else 'failed'    # D26
        task.code = code if code >= 0 else -1

    async def do_bg_status(self, body):
        task = self.tasks.get(body['task_id'])
        if task is None:
            raise V1Error('EIO', 'bg_status: task ID not found')
        answer = {'task_id': body['task_id'], 'status': task.status,
                  'stdout': task.out.decode('utf-8', 'go'),
                  'stderr': task.err.decode('utf-8', 'go')}
        if task.code:
            answer['exit_code'] = task.code
        return 'bg_output', answer

    async def do_bg_kill(self, body):
        task = self.tasks.get(body['task_id'])
        if task is None:
            raise V1Error('EIO', 'bg_kill: task ID not found')
        if task.status != 'running':
            raise V1Error('EIO', f'task {body["task_id"]} is not running '
                                 f'(status={task.status})')
        task.status = 'killed'
        if task.process:
            os.killpg(task.process.pid, signal.SIGKILL)
        return 'ok', None

    # --- pipes and terminals ---

    async def push(self, kind, ident, **body):
        await self.send({'type': kind, 'body': {'stream_id': ident, **body}})

    async def do_stdio_start(self, body):
        ident = body['stream_id']
        if not ident:
            raise V1Error('EINVAL', 'stream_id is required')
        if ident in self.streams:
            raise V1Error('EEXIST', f'stream {ident} is in use')
        if '/' not in body['command'] and \
                shutil.which(body['command']) is None:
            raise V1Error('EIO', f'exec: "{body["command"]}": executable '
                                 'file not found in $PATH')
        env = dict(os.environ)
        env.update(item.split('=', 1) for item in body.get('env') or ())
        process = await asyncio.create_subprocess_exec(
            body['command'], *(body.get('args') or ()), env=env,
            cwd=body.get('dir') or self.workspace,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL)
        self.streams[ident] = process
        asyncio.ensure_future(self.stdio_pump(ident, process))
        return 'ok', {'stream_id': ident}

    async def stdio_pump(self, ident, process):
        while data := await process.stdout.read(32768):
            await self.push('stdio_data', ident,
                            data=base64.b64encode(data).decode())
        code = await process.wait()
        await self.push('stdio_exit', ident,
                        exit_code=code if code >= 0 else -1)
        self.streams.pop(ident, None)

    async def do_stdio_write(self, body):
        process = self.streams.get(body['stream_id'])
        if process:
            # Each in a thread of its own: they may overtake (D27).
            await asyncio.sleep(random.random() / 500)
            try:
                process.stdin.write(base64.b64decode(body['data']))
                await process.stdin.drain()
            except (BrokenPipeError, ConnectionResetError):
                pass

    async def do_stdio_close(self, body):
        process = self.streams.get(body['stream_id'])
        if process is None:
            raise V1Error('ENOENT', 'stream not found')
        process.stdin.close()
        for wait, sig in ((5, signal.SIGTERM), (3, signal.SIGKILL)):
            try:
                await asyncio.wait_for(process.wait(), wait)
                break
            except asyncio.TimeoutError:
                process.send_signal(sig)
        return 'ok', None

    def no_pty(self, kind, least):
        if ('none', 'deaf', 'whole').index(self.pty) < least:
            raise V1Error('EINVAL', f'unknown request type: {kind}')

    async def do_pty_create(self, body):
        self.no_pty('pty_create', 1)
        env = {k: v for k, v in os.environ.items()
               if k in ('PATH', 'HOME', 'USER', 'SHELL', 'LANG')}
        env['TERM'] = 'xterm-256color'
        env.update(item.split('=', 1) for item in body.get('env') or ())
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack(
            'HHHH', body['rows'] or 24, body['cols'] or 80, 0, 0))

        def controlling():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        process = await asyncio.create_subprocess_exec(
            body['command'] or 'bash', *(body.get('args') or ()), env=env,
            cwd=body.get('dir') or None, start_new_session=True,
            stdin=slave, stdout=slave, stderr=slave, preexec_fn=controlling)
        os.close(slave)
        ident = body['stream_id']
        self.streams[ident] = process
        process.master = master
        asyncio.ensure_future(self.pty_pump(ident, process))
        return 'ok', {'stream_id': ident}

    async def pty_pump(self, ident, process):
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.run_in_executor(None, os.read,
                                                  process.master, 32768)
            except OSError:
                break
            if not data:
                break
            await self.push('pty_data', ident,
                            data=base64.b64encode(data).decode())
        code = await process.wait()
        await self.push('pty_exit', ident,
                        exit_code=code if code >= 0 else -1)
        self.streams.pop(ident, None)

    async def do_pty_stdin(self, body):
        self.no_pty('pty_stdin', 2)
        os.write(self.streams[body['stream_id']].master,
                 base64.b64decode(body['data']))

    async def do_pty_resize(self, body):
        self.no_pty('pty_resize', 2)
        fcntl.ioctl(self.streams[body['stream_id']].master,
                    termios.TIOCSWINSZ, struct.pack(
                        'HHHH', body['rows'], body['cols'], 0, 0))

    async def do_pty_close(self, body):
        self.no_pty('pty_close', 1)
        process = self.streams.get(body['stream_id'])
        if process is None:
            raise V1Error('ENOENT', 'stream not found')
        # The reader holds the master: what its close would do.
        os.killpg(process.pid, signal.SIGHUP)
        try:
            await asyncio.wait_for(process.wait(), 5)
        except asyncio.TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
        return 'ok', None

    def forget(self):
        """As on every disconnection: what runs for the server is killed."""
        for group in [t.process.pid for t in self.tasks.values()
                      if t.process and t.status == 'running']:
            os.killpg(group, signal.SIGKILL)
        for process in self.streams.values():
            try:
                process.kill()
            except ProcessLookupError:
                pass
        self.tasks.clear()
        self.streams.clear()


class Task:
    def __init__(self):
        self.status, self.code, self.process = 'running', 0, None
        self.out, self.err = bytearray(), bytearray()


async def forever(runner, once):
    attempt = 0
    while True:
        try:
            await runner.run()
        except (OSError, V1Error, websockets.WebSocketException,
                asyncio.TimeoutError) as error:
            runner.say(f'{type(error).__name__}: {error}')
            if once:
                return 1
        if once:
            return 0
        attempt += 1
        await asyncio.sleep(min(2 ** (attempt - 1), 60))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--server', required=True)
    p.add_argument('--token', required=True)
    p.add_argument('--workspace', default='/tmp')
    p.add_argument('--shell', default='/bin/bash')
    p.add_argument('--user-id')
    p.add_argument('--pty', default='deaf')
    p.add_argument('--once', action='store_true')
    p.add_argument('--v', action='store_true')
    a = p.parse_args()
    url = a.server if '://' in a.server else 'ws://' + a.server
    if urllib.parse.urlsplit(url).scheme not in ('ws', 'wss'):
        p.error('the server is ws:// or wss://')
    runner = V1Runner(url, a.token, a.workspace, a.shell, a.user_id, a.v,
                      a.pty)
    try:
        sys.exit(asyncio.run(forever(runner, a.once)))
    except KeyboardInterrupt:
        pass


if __name__ == '__main__':
    main()
