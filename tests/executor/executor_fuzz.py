#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""Live fuzzer: broken and random messages to a running xbot-executor's fd 3.

executor_fuzz.py BINARY [SECONDS [SEED]]

Each round is one executor with jobs and transfers in flight.  It must either
say bye and end with status 1, or still answer a ping; never die of a signal,
never hang, leave no process behind.
"""
import os
import random
import shutil
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import MESSAGES, Executor, Gone, encode  # noqa: E402

# Of this run alone: others may run at the same time.
UID = 64200 + os.getpid() % 1000
COMMANDS = ('true', 'echo hi', 'cat', 'sleep 9', 'yes', 'exit 3', 'sleep 5 & echo x', 'setsid sleep 9 & sleep 9')
PATHS = ('', '.', 'f', 'd', 'd/e', '../x', '/', 'd/../../x', 'f/x', 'link/x', 'link', 'x' * 300, 'fifo', 'd/' * 500)
FROM_HOST = ('hello', 'ping', 'pong', 'unsupported', 'job_start', 'job_data', 'job_credit', 'job_eof', 'job_signal',
             'job_resize', 'job_cancel', 'file_stat', 'file_list', 'file_mkdir', 'file_remove',
             'file_get', 'file_put', 'task_list', 'task_read', 'task_kill')


def number(rng, bits):
    return min((1 << bits) - 1, rng.choice((0, 1, 2, 3, 5, 100, 1000, 65536, 262144, 1 << 20, rng.getrandbits(bits),
                                            (1 << bits) - 1)))


def value(rng, kind, field, jobs):
    if kind == 'id':
        return rng.choice(jobs)
    if kind == 'bool':
        return rng.random() < 0.5
    if field == 'command':
        return rng.choice(COMMANDS)
    if field in ('path', 'dir'):
        return rng.choice(PATHS) if field == 'path' or rng.random() < 0.2 else ''
    if field == 'argv':
        return [] if rng.random() < 0.6 else rng.choice((['true'], ['nosuch'], ['/bin/cat'], ['']))
    if field == 'env':
        return [] if rng.random() < 0.7 else rng.choice((['A=1', 'A=2'], ['A'], ['=']))
    if field == 'run_as_user':
        return '' if rng.random() < 0.9 else 'root'
    if field == 'kind':
        return rng.choice((0, 0, 1, 1, 2, 3)) if rng.random() < 0.95 else rng.randrange(256)
    if field == 'signal':
        return rng.randrange(70)
    if field == 'stream':
        return rng.randrange(5)
    if field in ('min', 'max'):
        return 1
    if field == 'offset' and rng.random() < 0.7:
        return 0
    if kind == 'bin':
        return bytes(rng.choice((0, 1, 10, 5000)))
    if kind in ('str', 'path'):
        return ''
    if kind.endswith('s'):
        return []
    return number(rng, int(kind[1:]))


def message(rng, jobs):
    name = rng.choice(FROM_HOST)
    return encode(name, **{f: value(rng, k, f, jobs) for k, f in MESSAGES[name][1]})


def broken(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(4, len(data))
        what = rng.randrange(5)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 2:
            del data[at:at + rng.randrange(1, 9)]
        elif what == 3:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        else:
            data[at:at] = b'\xdd\xff\xff\xff\xff'
        if len(data) < 6:
            break
    if rng.random() < 0.97:     # mostly a right length, or nothing else is tried
        data[:4] = struct.pack('>I', len(data) - 4)
    return bytes(data)


def one(rng, binary, base):
    ws = os.path.join(base, 'ws')
    os.mkdir(ws)
    os.mkfifo(ws + '/fifo')
    os.symlink('/tmp', ws + '/link')
    root = os.getuid() == 0
    if root:
        os.chown(ws, UID, UID)
    e = Executor(binary, ws, uid=UID if root else None)
    sent = []
    try:
        e.expect('hello')
        jobs = [os.urandom(16) for _ in range(6)]
        e.sock.settimeout(5)
        said, lost = '', False
        try:
            for _ in range(rng.randrange(1, 60)):
                data = message(rng, jobs)
                if rng.random() < 0.05:
                    data = broken(rng, data)
                    lost |= struct.unpack('>I', data[:4])[0] != len(data) - 4
                sent.append(data)
                e.send_raw(data if rng.random() < 0.9 else data + message(rng, jobs))
                while rng.random() < 0.3:
                    try:
                        said = e.recv(0.001).kind_
                    except TimeoutError:
                        break
            sent.append(b'ping')
            e.send('ping', cookie=0xfeed)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    m = e.recv(10)
                except TimeoutError:    # a wrong length swallowed the ping
                    assert lost, 'no answer'
                    break
                said = m.kind_
                if said == 'pong' and m.cookie == 0xfeed:
                    break
            ok = 0
        except (Gone, BrokenPipeError, ConnectionResetError):
            ok = 1
        e.sock.close()
        status = e.proc.wait(10)
        errors = e.proc.stderr.read()
        assert status == ok or (ok == 1 and status == 0), (status, ok, said, errors)
        assert b'Sanitizer' not in errors and b'runtime error' not in errors, errors
        return ok
    except Exception:
        print('# sent:', [s.hex() for s in sent])
        raise
    finally:
        e.sock.close()
        e.proc.stderr.close()
        if e.proc.poll() is None:
            e.proc.kill()
            e.proc.wait()


def left_behind():
    """Processes of our uid: none may be left (root only)."""
    out = []
    for pid in os.listdir('/proc'):
        try:
            if pid.isdigit() and os.stat('/proc/' + pid).st_uid == UID:
                out.append(pid)
        except FileNotFoundError:
            pass
    return out


def main():
    binary = os.path.abspath(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    print(f'# seed {seed}')
    rng = random.Random(seed)
    until, rounds, ended = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        base = tempfile.mkdtemp(prefix='xbot-fuzz-')
        os.chmod(base, 0o755)
        try:
            ended += one(rng, binary, base)
        except Exception as why:
            print(f'not ok round {rounds}: {why!r}\n0 passed, 1 failed, 0 skipped')
            raise
        finally:
            shutil.rmtree(base, ignore_errors=True)
        rounds += 1
    if os.getuid() == 0 and left_behind():
        print(f'not ok left behind: {left_behind()}\n0 passed, 1 failed, 0 skipped')
        return 1
    print(f'ok {rounds} rounds, {ended} ended with bye\n1 passed, 0 failed, 0 skipped')
    return 0


sys.exit(main())
