#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""What an exec of /bin/true costs through xbot-executor, as a ratio.

executor_bench.py BINARY [BLOCKS [EXECS]]: alternating blocks of posix_spawn
with stdout and stderr pipes (read to their end, then waitpid) and of job_start
to job_exit over the channel.  Medians of the blocks' medians.
"""
import os
import statistics
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'executor'))
from client import Executor, encode  # noqa: E402

TRUE = '/bin/true'


def spawn_block(n):
    times = []
    null = os.open('/dev/null', os.O_RDWR)
    for _ in range(n):
        start = time.perf_counter()
        out, err = os.pipe(), os.pipe()
        pid = os.posix_spawn(TRUE, [TRUE], {}, file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, out[1], 1),
            (os.POSIX_SPAWN_DUP2, err[1], 2)])
        os.close(out[1])
        os.close(err[1])
        os.read(out[0], 1)
        os.read(err[0], 1)
        os.waitpid(pid, 0)
        os.close(out[0])
        os.close(err[0])
        times.append(time.perf_counter() - start)
    os.close(null)
    return statistics.median(times)


def executor_block(e, n, path=TRUE):
    """Only as much decoding as it takes to see the end."""
    times = []
    for _ in range(n):
        job = os.urandom(16)
        request = (encode('job_start', job=job, argv=[path]) +
                   encode('job_credit', job=job, stream=1, upto=1 << 20) +
                   encode('job_credit', job=job, stream=2, upto=1 << 20) +
                   encode('job_eof', job=job, stream=0, offset=0))
        start = time.perf_counter()
        e.sock.sendall(request)
        raw, done = b'', False
        while not done:
            raw += e.sock.recv(65536)
            while len(raw) >= 4:
                size = struct.unpack_from('>I', raw)[0]
                if len(raw) < 4 + size:
                    break
                done = raw[5] in (18, 24) or raw[6] in (18, 24)
                raw = raw[4 + size:]
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    binary = os.path.abspath(sys.argv[1])
    blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    n = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    with tempfile.TemporaryDirectory() as workspace:
        e = Executor(binary, workspace)
        e.expect('hello')
        spawn_block(20)
        executor_block(e, 20)
        spawned, executed, refused = [], [], []
        for _ in range(blocks):
            spawned.append(spawn_block(n))
            executed.append(executor_block(e, n))
            refused.append(executor_block(e, n, '/nonexistent'))
        ratio = statistics.median(b / a for a, b in zip(spawned, executed))
        print(f'posix_spawn {statistics.median(spawned) * 1e6:.0f} us, '
              f'executor {statistics.median(executed) * 1e6:.0f} us, '
              f'refused {statistics.median(refused) * 1e6:.0f} us: ratio {ratio:.2f}')
        e.close()


main()
