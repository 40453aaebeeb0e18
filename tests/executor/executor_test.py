#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors
# Licence: ISC, see COPYING.
"""The real xbot-executor over a socketpair.  executor_test.py BINARY [NAME...]

Each check prints `ok` or `not ok`; the last line counts them.
"""
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client import Executor, Gone, encode, pack  # noqa: E402

BINARY = ''
SANITIZED = False
TESTS = []
COUNT = {'ok': 0, 'not ok': 0, 'skip': 0}
EXITED, SIGNALLED, TIMED_OUT, KILLED = range(4)
NO_FILE = (1 << 64) - 1
EINVAL, EPERM, ENOENT, ENOTDIR, EEXIST, EISDIR, E2BIG, EBUSY, ENOTSUP, EIO = 1, 3, 4, 5, 6, 7, 8, 9, 10, 11


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


class Box:
    """A workspace with an executor in it; checks that nothing is left."""

    def __init__(self, *args, keep=False, **how):
        self.base = tempfile.mkdtemp(prefix='xbot-exec-')
        self.ws = os.path.join(self.base, 'ws')
        os.mkdir(self.ws)
        self.args, self.how = args, how
        if how.get('namespace') and os.getuid() != 0:
            raise Skip('not root')

    def __enter__(self):
        if self.how.get('uid') is not None:
            os.chmod(self.base, 0o755)
            os.chown(self.ws, self.how['uid'], self.how['uid'])
        self.e = Executor(BINARY, self.ws, *self.args, **self.how)
        try:
            self.hello = self.e.expect('hello')
        except Gone:
            raise AssertionError(self.e.proc.stderr.read())
        self.e.send('hello', min=1, max=1)
        self.e.box = self
        return self.e

    def __exit__(self, kind, value, trace):
        try:
            status = self.e.close()
            if kind is None:
                assert status == 0, f'exit status {status}'
        finally:
            shutil.rmtree(self.base, ignore_errors=True)


def equal(got, wanted):
    assert got == wanted, f'{got!r} is not {wanted!r}'


def ended(result, how=EXITED, code=0):
    equal(result.kind, 'job_exit')
    equal((result.end.how, result.end.code), (how, code))


def refused(result, code):
    equal(result.kind, 'job_refused')
    assert result.end.text, 'no text'
    equal(result.end.code, code)


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='latin1') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid):
    return os.path.exists(f'/proc/{pid}')


def wait_for(condition, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def fds(pid):
    return sorted(os.readlink(f'/proc/{pid}/fd/{n}') for n in os.listdir(f'/proc/{pid}/fd'))


def small(pid, limit, what='VmHWM'):
    if not SANITIZED:       # shadow memory counts there
        assert rss_kb(pid, what) < limit, rss_kb(pid, what)


def rss_kb(pid, what='VmHWM'):
    with open(f'/proc/{pid}/status', encoding='latin1') as f:
        return int(re.search(what + r':\s+(\d+)', f.read()).group(1))


# ---------------------------------------------------------------- exec

@test
def hello_says_who_it_is():
    with Box() as e:
        h = e.box.hello
        equal((h.min, h.max, h.features, h.jobs), (1, 1, 0, []))
        equal(h.workspace, os.path.realpath(e.box.ws).encode())
        assert h.shell in (b'/bin/bash', b'/usr/bin/bash', b'/bin/sh')


@test
def exec_shell_and_argv():
    with Box() as e:
        r = e.run('echo out; echo err >&2; exit 7')
        ended(r, EXITED, 7)
        equal((bytes(r.stdout), bytes(r.stderr)), (b'out\n', b'err\n'))
        assert r.started > 1
        r = e.run(argv=['printf', '%s|', 'a b', '', '$HOME'])
        ended(r)
        equal(bytes(r.stdout), b'a b||$HOME|')
        ended(e.run(argv=['/bin/true']))
        ended(e.run('kill -9 $$'), SIGNALLED, 9)


@test
def exit_tells_what_it_cost():
    with Box() as e:
        end = e.run('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.2').end
        assert 200000 <= end.duration_us < 5000000, end
        assert end.utime_us > 1000 and 100 < end.maxrss_kb < 100000, end


@test
def what_cannot_start_is_refused():
    with Box() as e:
        ws = e.box.ws
        r = e.run(argv=['nosuchprog'])
        refused(r, ENOENT)
        equal(r.end.text, 'nosuchprog: No such file or directory')
        refused(e.run(argv=['/no/such/prog']), ENOENT)
        with open(ws + '/plain', 'w') as f:
            f.write('echo hi\n')
        refused(e.run(argv=['./plain']), EPERM)
        os.chmod(ws + '/plain', 0o755)
        r = e.run(argv=['./plain'])
        refused(r, EINVAL)
        equal(r.end.text, './plain: Exec format error')
        refused(e.run(argv=[ws]), EPERM)
        refused(e.run(argv=['']), EINVAL)
        refused(e.run('x', kind=4), ENOTSUP)
        refused(e.run('x', kind=200), ENOTSUP)
        refused(e.run('x', run_as_user='root'), ENOTSUP)
        refused(e.run('x', env=['novalue']), EINVAL)
        refused(e.run('x', env=['=x']), EINVAL)
        refused(e.run('#' * 131072), E2BIG)
        ended(e.run('#' * 131000))


@test
def path_of_the_job_is_searched():
    with Box() as e:
        os.mkdir(e.box.ws + '/bin')
        with open(e.box.ws + '/bin/mine', 'w') as f:
            f.write('#!/bin/sh\necho mine $0\n')
        refused(e.run(argv=['mine'], env=['PATH=' + e.box.ws + '/bin']), EPERM)
        os.chmod(e.box.ws + '/bin/mine', 0o755)
        refused(e.run(argv=['mine']), ENOENT)
        ended(e.run(argv=['mine'], env=['PATH=/nowhere:' + e.box.ws + '/bin']))
        ended(e.run(argv=['mine'], env=['PATH=bin']))
        r = e.run(argv=['mine'], env=['PATH=:/x'], dir='bin')
        ended(r)
        refused(e.run(argv=['mine'], env=['PATH=']), ENOENT)


@test
def directory_of_the_job():
    with Box() as e:
        ws = os.path.realpath(e.box.ws)
        os.makedirs(ws + '/a/b')
        os.symlink('a/b', ws + '/link')
        os.symlink('/etc', ws + '/etc')
        os.mkdir(ws + '-evil')
        equal(e.run('pwd').stdout, ws.encode() + b'\n')
        equal(e.run('pwd', dir='a/b').stdout, ws.encode() + b'/a/b\n')
        equal(e.run('pwd', dir=ws + '/a').stdout, ws.encode() + b'/a\n')
        equal(e.run('/bin/pwd', dir='link').stdout, ws.encode() + b'/a/b\n')
        equal(e.run('pwd; echo $PWD', dir='link').stdout, (ws + '/link\n').encode() * 2)
        refused(e.run('pwd', dir='nothing'), ENOENT)
        for outside in ('..', '/', '/etc', 'etc', ws + '-evil', 'a/../../ws-evil'):
            refused(e.run('pwd', dir=outside), EPERM)


@test
def environment_is_clean_and_appended():
    with Box('-u', 'alice', '-H', '/home/x', env={'LEAK': '1', 'XBOT_TOKEN': 's'}) as e:
        r = e.run(argv=['/usr/bin/env'], env=['A=1', 'B=2', 'A=3', 'LANG=C', 'XBOT_JOB=fake'])
        env = dict(line.split('=', 1) for line in r.stdout.decode().splitlines())
        mark = env.pop('XBOT_JOB')
        assert re.fullmatch('[0-9a-f]{32}', mark), mark
        equal(env, {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
                    'HOME': '/home/x', 'USER': 'alice', 'LOGNAME': 'alice', 'SHELL': '/bin/sh',
                    'LANG': 'C', 'PWD': os.path.realpath(e.box.ws), 'A': '3', 'B': '2'})


@test
def environment_may_be_inherited():
    with Box('-e', env={'MINE': '1', 'PATH': '/bin:/usr/bin', 'XBOT_TOKEN': 'secret'}) as e:
        r = e.run(argv=['env'], env=['MINE=2'])
        assert b'secret' not in r.stdout and b'MINE=2\n' in r.stdout
        assert b'PATH=/bin:/usr/bin\n' in r.stdout


@test
def run_as_user_goes_through_sudo():
    with Box('-e', env={'PATH': '/nowhere'}) as e:
        fake = e.box.ws + '/sudo'
        with open(fake, 'w') as f:
            f.write('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        os.chmod(fake, 0o755)
        path = ['PATH=' + e.box.ws]
        r = e.run('echo hi', run_as_user='bob', env=path)
        equal(r.stdout, b'-n\n-H\n-u\nbob\n--\n/bin/sh\n-c\necho hi\n')
        r = e.run(argv=['id', '-u'], run_as_user='bob', env=path)
        equal(r.stdout, b'-n\n-H\n-u\nbob\n--\nid\n-u\n')
        refused(e.run('id', run_as_user='-s', env=path), EINVAL)


FAKE_SUDO = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int i = 1;
	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	if (i + 1 >= argc || setresgid(64125, 64125, 64125) ||
	    setresuid(64125, 64125, 64125))
		return 1;
	execvp(argv[i + 1], argv + i + 1);
	return 127;
}
"""


@test
def what_runs_as_somebody_else_is_killed_by_him():
    if os.getuid() != 0 or not shutil.which('gcc'):
        raise Skip('needs root and a compiler')
    tools = tempfile.mkdtemp()
    try:
        os.chmod(tools, 0o755)
        subprocess.run(['gcc', '-xc', '-', '-o', tools + '/sudo'], input=FAKE_SUDO.encode(), check=True)
        os.chmod(tools + '/sudo', 0o4755)
        if os.statvfs(tools).f_flag & os.ST_NOSUID:
            raise Skip('no set-user-ID programs here')
        with Box('-e', uid=64123, env={'PATH': tools + ':/usr/bin:/bin'}) as e:
            r = e.run('id -u; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; sleep 1000',
                      run_as_user='bob', timeout_ms=300)
            uid, *pids = r.stdout.split()
            equal((uid, r.end.how), (b'64125', TIMED_OUT))
            assert r.end.duration_us < 3000000, r.end
            assert not [p for p in pids if exists(int(p))]
            e.start('echo $$; sleep 1000', run_as_user='bob')
            e.expect('job_started')
            pid = int(e.expect('job_data').bytes)
        assert wait_for(lambda: not exists(pid))
    finally:
        shutil.rmtree(tools)


@test
def descriptors_and_signals_in_a_job():
    with Box() as e:
        r = e.run(argv=[sys.executable, '-c',
                        'import os\nfor n in os.listdir("/proc/self/fd"):\n'
                        ' try: print(n, os.readlink("/proc/self/fd/" + n))\n'
                        ' except OSError: pass'])
        names = {line.split()[0] for line in r.stdout.decode().splitlines()}
        equal(names - {'3'}, {'0', '1', '2'})     # 3: the listing itself, closed
        assert b'3 socket' not in r.stdout and b'eventpoll' not in r.stdout
        job = e.start('cat; grep -E "^(Sig(Blk|Ign)|ShdPnd)" /proc/self/status; ps -o sid=,pgid= -p $$; echo $$',
                      stdin=b'x')
        r = e.collect(job, stdin=b'x')
        for line in re.findall(rb'^Sig(?:Blk|Ign):\s+(\S+)', r.stdout, re.M):
            equal(int(line, 16), 0)
        sid, pgid, pid = r.stdout.split()[-3:]
        equal((sid, pgid), (pid, pid))


@test
def stdin_of_all_sorts():
    with Box() as e:
        equal(bytes(e.run('cat', stdin=b'hello').stdout), b'hello')
        equal(bytes(e.run('cat').stdout), b'')
        big = os.urandom(1 << 20) * 5
        r = e.run('cat', stdin=big)
        assert r.stdout == big
        ended(e.run('sleep 0.1; exit 3', stdin=big), EXITED, 3)    # never reads: EPIPE is fine
        ended(e.run('head -c 5 >/dev/null; exec 0<&-; sleep 0.3', stdin=big))
        # not ended yet: the job waits
        job = e.start('cat', stdin=None)
        time.sleep(0.2)
        e.send('job_eof', job=job, stream=0, offset=0)
        ended(e.collect(job))


@test
def stdin_before_it_is_open():
    """Nothing, said in one breath with the start: there is no process yet, and
    no credit, and no harm."""
    with Box() as e:
        for kind in (0, 2, 3):
            job = os.urandom(16)
            e.send_raw(encode('job_start', job=job, kind=kind, command='cat') +
                       encode('job_data', job=job) +
                       encode('job_credit', job=job, stream=1, upto=1000))
            e.expect('job_started')
            equal(e.expect('job_credit').job, job)
            e.send('job_data', job=job, bytes=b'a\n')
            equal(e.expect('job_data').bytes[:1], b'a')
            e.send('job_cancel', job=job)
            while e.recv().kind_ != 'job_exit':
                pass


@test
def stdin_credit_is_bounded():
    with Box() as e:
        job = e.start('sleep 0.6; wc -c', stdin=None)
        upto = 0
        until = time.monotonic() + 0.4
        sent = 0
        while time.monotonic() < until:
            try:
                m = e.recv(0.05)
                if m.kind_ == 'job_credit':
                    upto = m.upto
            except TimeoutError:
                pass
            if upto > sent:
                e.send('job_data', job=job, stream=0, offset=sent, bytes=b'x' * min(upto - sent, 262144))
                sent = min(upto, sent + 262144)
        assert 262144 <= upto <= 262144 + 65536 + 65536, upto    # window and the pipe
        e.send('job_eof', job=job, stream=0, offset=sent)
        equal(e.collect(job).stdout, b'%d\n' % sent)


@test
def eight_at_a_time_and_order_within():
    with Box() as e:
        jobs = [e.start(f'for i in 1 2 3; do echo {n} $i; done; exit {n}') for n in range(32)]
        got = {j: [bytearray(), None] for j in jobs}
        while any(v[1] is None for v in got.values()):
            m = e.recv()
            if m.kind_ == 'job_data':
                assert got[m.job][1] is None
                got[m.job][0] += m.bytes
            elif m.kind_ == 'job_exit':
                got[m.job][1] = m.code
        for n, j in enumerate(jobs):
            equal(got[j], [bytearray(f'{n} 1\n{n} 2\n{n} 3\n'.encode()), n])


@test
def a_repeated_start_is_the_same_job():
    with Box() as e:
        job = e.start('sleep 0.5; echo once', credit=0)
        first = e.expect('job_started')
        e.start('sleep 0.5; echo once', job=job, credit=0, stdin=None)
        equal(e.expect('job_started').pid, first.pid)
        e.send('job_credit', job=job, stream=1, upto=1000)
        e.send('job_start', job=job, command='other')
        m = e.expect('job_refused')
        equal(m.code, EEXIST)
        e.send('file_stat', job=job, path='.')
        equal(e.expect('job_refused').code, EEXIST)
        r = e.collect(job)
        ended(r)
        equal(r.stdout, b'once\n')


@test
def at_most_1024_jobs():
    with Box() as e:
        jobs = [os.urandom(16) for _ in range(1025)]
        e.send_raw(b''.join(encode('job_start', job=j, argv=['sleep', '30']) +
                            encode('job_eof', job=j, stream=0) for j in jobs))
        kinds = {'job_started': 0, 'job_refused': 0}
        for _ in range(1025):
            m = e.recv(30)
            kinds[m.kind_] += 1
            if m.kind_ == 'job_refused':
                equal(m.code, EBUSY)
        equal(kinds, {'job_started': 1024, 'job_refused': 1})
        for j in jobs:
            e.send('job_cancel', job=j)
        for _ in range(1024):
            m = e.recv(60)
            equal((m.kind_, m.how), ('job_exit', KILLED))
        ended(e.run('true'))


# ---------------------------------------------------------------- output and credit

@test
def no_credit_no_data():
    with Box() as e:
        job = e.start('echo hello', credit=0)
        e.expect('job_started')
        try:
            raise AssertionError(e.recv(0.5))
        except TimeoutError:
            pass
        e.send('job_credit', job=job, stream=1, upto=3)
        m = e.expect('job_data')
        equal((m.offset, m.bytes), (0, b'hel'))
        try:
            raise AssertionError(e.recv(0.3))
        except TimeoutError:
            pass
        e.send('job_credit', job=job, stream=1, upto=2)      # lower: no effect
        e.send('job_credit', job=job, stream=1, upto=100)
        m = e.expect('job_data')
        equal((m.offset, m.bytes), (3, b'lo\n'))
        ended(e.collect(job))


@test
def credit_stops_and_goes_exactly():
    with Box() as e:
        job = e.start('seq 1 2000000', credit=0)
        e.expect('job_started')
        got, upto = bytearray(), 0
        end = None
        while end is None:
            upto += 777777
            e.send('job_credit', job=job, stream=1, upto=upto)
            while True:
                try:
                    m = e.recv(0.3 if len(got) == upto else 5)
                except TimeoutError:
                    break
                if m.kind_ == 'job_exit':
                    end = m
                    break
                equal(m.offset, len(got))
                got += m.bytes
                assert len(got) <= upto
                if len(got) == upto:
                    break
        assert got == b''.join(b'%d\n' % i for i in range(1, 2000001))


@test
def a_full_ring_blocks_the_job():
    with Box() as e:
        job = e.start('head -c 100000000 /dev/zero; echo done >&2', credit=0)
        e.send('job_credit', job=job, stream=2, upto=1000)
        pid = e.expect('job_started').pid
        time.sleep(0.7)
        assert alive(pid)
        small(e.pid, 8000)
        e.window = 1 << 20
        count = [0]
        e.send('job_credit', job=job, stream=1, upto=1 << 20)
        e.collect(job, timeout=60, sink=lambda s, b: count.__setitem__(0, count[0] + len(b)))
        equal(count[0], 100000000 + 5)


@test
def two_hundred_megabytes_in_little_memory():
    with Box() as e:
        job = e.start('head -c 200000000 /dev/zero | tr "\\0" x')
        count = [0]

        def sink(stream, data):
            assert data.count(b'x') == len(data)
            count[0] += len(data)

        start = time.monotonic()
        ended(e.collect(job, timeout=120, sink=sink))
        took = time.monotonic() - start
        equal(count[0], 200000000)
        small(e.pid, 16000)
        print(f'# 200 MB in {took:.2f} s, {rss_kb(e.pid)} KB resident at most')


@test
def a_host_that_does_not_read_is_waited_for():
    with Box() as e:
        jobs = [e.start('yes', credit=1 << 40) for _ in range(4)]
        time.sleep(1)
        small(e.pid, 32000)
        for j in jobs:
            e.send('job_cancel', job=j)
        left = set(jobs)
        while left:
            m = e.recv(20)
            if m.kind_ == 'job_exit':
                equal(m.how, KILLED)
                left.remove(m.job)


@test
def control_overtakes_the_data_of_others():
    with Box() as e:
        e.start('yes', credit=1 << 40)
        time.sleep(0.5)                 # the queue is full now
        e.send('ping', cookie=5)
        before = 0
        while True:
            m = e.recv()
            if m.kind_ == 'pong':
                break
            before += len(m.get('bytes', b''))
        assert before < 600000, before    # the socket's buffer, not our queue


@test
def round_robin_between_jobs():
    with Box() as e:
        jobs = [e.start('yes', credit=1 << 40) for _ in range(3)]
        time.sleep(0.3)
        count = dict.fromkeys(jobs, 0)
        while sum(count.values()) < 60000000:
            m = e.recv()
            if m.kind_ == 'job_data':
                count[m.job] += len(m.bytes)
        assert min(count.values()) > 5000000, count.values()


# ---------------------------------------------------------------- the end of jobs

@test
def leader_ends_children_live_on():
    with Box(namespace=False) as e:
        start = time.monotonic()
        r = e.run('sleep 100 & echo $! ok')
        took = time.monotonic() - start
        ended(r)
        pid = int(r.stdout.split()[0])
        assert took < 0.4 and alive(pid), took
    assert wait_for(lambda: not exists(pid)), 'it ends with the executor'


@test
def drained_before_the_end():
    with Box() as e:
        r = e.run('(sleep 0.1; echo late) & echo early')
        equal(bytes(r.stdout), b'early\nlate\n')
        start = time.monotonic()
        r = e.run('(sleep 1; echo too late) & echo early')
        equal(bytes(r.stdout), b'early\n')
        assert 0.15 < time.monotonic() - start < 0.5
        r = e.run('head -c 1500000 /dev/zero & head -c 1500000 /dev/zero; wait')
        equal(len(r.stdout), 3000000)


@test
def full_pipe_at_exit_is_not_lost():
    with Box() as e:
        size = (1 << 20) + 60000
        job = e.start(f'head -c {size} /dev/zero; sleep 5 &', credit=0)
        e.expect('job_started')
        time.sleep(0.8)
        e.send('job_credit', job=job, stream=1, upto=1 << 30)
        r = e.collect(job)
        equal(len(r.stdout), size)
        ended(r)


@test
def timeout_ends_the_whole_tree():
    with Box() as e:
        script = ('echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; '
                  'echo partial >&2; sleep 1000')
        start = time.monotonic()
        job = e.start(script, timeout_ms=1000)
        pid = e.expect('job_started').pid
        r = e.collect(job)
        took = time.monotonic() - start
        pids = [int(p) for p in r.stdout.split()]
        assert not [p for p in pids + [pid] if exists(p)], pids
        equal(r.end.how, TIMED_OUT)
        equal(bytes(r.stderr), b'partial\n')
        assert 0.95 < took < 1.5, took


@test
def timeout_kills_what_ignores_term():
    with Box() as e:
        script = ('trap "" TERM; echo $$; (trap "" TERM; echo $BASHPID; while :; do sleep 0.05; done) & echo $!; '
                  'while :; do sleep 0.05; done')
        start = time.monotonic()
        r = e.run(script, timeout_ms=500)
        took = time.monotonic() - start
        equal(r.end.how, TIMED_OUT)
        equal(r.end.code, 9)
        assert 0.65 < took < 1.5, took
        assert not [p for p in r.stdout.split() if exists(int(p))]


@test
def timeout_lets_a_handler_finish():
    with Box() as e:
        r = e.run('trap "echo bye; exit 0" TERM; sleep 100 & wait', timeout_ms=300)
        equal((bytes(r.stdout), r.end.how), (b'bye\n', TIMED_OUT))


DAEMON = '''
import os, sys, time
def detach(depth):
    if os.fork():
        os._exit(0) if depth else None
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    %s
    open(sys.argv[1], 'a').write('%%d\\n' %% os.getpid())
    time.sleep(1000)
detach(0)
detach(0)
time.sleep(1000)
'''


@test
def double_forked_daemons_are_found():
    for extra in ('pass', 'os.execvp("sleep", ["sleep", "1000"]) if '
                  'open(sys.argv[1], "a").write("%d\\n" % os.getpid()) else 0'):
        with Box() as e:
            note = e.box.ws + '/pids'
            job = e.start(argv=[sys.executable, '-c', DAEMON % extra, note], timeout_ms=1500)
            pid = e.expect('job_started').pid
            assert wait_for(lambda: os.path.exists(note) and
                            len(open(note).read().split()) == 2)
            pids = [int(p) for p in open(note).read().split()]
            assert all(alive(p) for p in pids)
            other = e.start('setsid sleep 1000 & echo $!')       # of another job: stays
            kept = int(e.collect(other).stdout)
            r = e.collect(job)
            equal(r.end.how, TIMED_OUT)
            assert not [p for p in pids + [pid] if exists(p)], pids
            assert alive(kept)
        assert wait_for(lambda: not exists(kept))


@test
def fork_bomb_is_ended():
    # at most 300 at a time, should it not be ended
    bomb = ('import os, resource, time\nend = time.time() + 20\n'
            'resource.setrlimit(resource.RLIMIT_NPROC, (300, 300))\nos.setuid(64126)\n'
            'n = 0\nwhile time.time() < end:\n'
            ' try:\n  if os.fork() == 0: n += 1\n  if n > 5: time.sleep(20)\n'
            ' except OSError: time.sleep(0.01)\n'
            ' time.sleep(0.02)\n')
    with Box(namespace=True) as e:
        r = e.run(argv=[sys.executable, '-c', bomb], timeout_ms=700, timeout=30)
        equal(r.end.how, TIMED_OUT)
        equal(e.run('ps -e -o comm= | grep -c python').stdout, b'0\n')


@test
def cancel_kills_at_once():
    with Box() as e:
        job = e.start('trap "" TERM; echo $$; setsid sleep 1000 & echo $!; sleep 1000')
        time.sleep(0.3)
        start = time.monotonic()
        e.send('job_cancel', job=job)
        r = e.collect(job)
        took = time.monotonic() - start
        equal(r.end.how, KILLED)
        assert took < 0.15, took
        assert not [p for p in r.stdout.split() if exists(int(p))]
        # in the same batch as its start, and of nobody
        job = os.urandom(16)
        e.send_raw(encode('job_start', job=job, command='sleep 9') + encode('job_cancel', job=job))
        equal(e.collect(job).end.how, KILLED)
        e.send('job_cancel', job=os.urandom(16))
        # without credit: what cannot be delivered is dropped
        job = e.start('yes', credit=10)
        time.sleep(0.3)
        e.send('job_cancel', job=job)
        r = e.collect(job)
        equal((r.end.how, len(r.stdout)), (KILLED, 10))


@test
def stopped_and_traced_children_are_killed():
    with Box() as e:
        job = e.start('sleep 1000 & kill -STOP $!; echo $!; kill -STOP $$', timeout_ms=400)
        r = e.collect(job)
        equal(r.end.how, TIMED_OUT)
        assert not exists(int(r.stdout))


@test
def signals_reach_the_group():
    with Box() as e:
        job = e.start('trap "echo got; exit 5" USR1; sleep 100 & wait')
        e.expect('job_started')
        time.sleep(0.2)
        e.send('job_signal', job=job, signal=0)
        e.send('job_signal', job=job, signal=200)
        e.send('job_signal', job=job, signal=signal.SIGUSR1)
        r = e.collect(job)
        ended(r, EXITED, 5)
        equal(bytes(r.stdout), b'got\n')
        e.send('job_signal', job=job, signal=9)       # gone: nothing happens
        ended(e.run('true'))


@test
def end_of_channel_ends_everything():
    with Box() as e:
        r = e.run('setsid sleep 1000 >/dev/null 2>&1 & sleep 1000 >/dev/null 2>&1 & echo $!')
        old = int(r.stdout)
        e.start('setsid sleep 1000 & echo $!; sleep 1000')
        pid = e.expect('job_started').pid
        m = e.expect('job_data')
        start = time.monotonic()
        e.sock.close()
        equal(e.proc.wait(5), 0)
        assert time.monotonic() - start < 1
        assert not [p for p in (old, pid, int(m.bytes)) if exists(p)]


@test
def sigterm_ends_everything():
    with Box() as e:
        e.start('sleep 1000 & echo $!; sleep 1000')
        pid = e.expect('job_started').pid
        child = int(e.expect('job_data').bytes)
        e.proc.send_signal(signal.SIGTERM)
        while e.recv().kind_ != 'bye':
            pass
        equal(e.proc.wait(5), 0)
        assert not exists(pid) and not exists(child)


@test
def a_killed_executor_takes_its_jobs_along():
    with Box() as e:
        e.start('exec sleep 1000')
        pid = e.expect('job_started').pid
        os.kill(e.pid, signal.SIGKILL)
        e.proc.wait(5)
        assert wait_for(lambda: not alive(pid))
        e.proc.returncode = 0


@test
def idle_executors_leave():
    with Box('-i', '1') as e:
        e.run('sleep 3 >/dev/null 2>&1 &')
        start = time.monotonic()
        equal(e.recv(10).reason, 'idle')
        took = time.monotonic() - start
        assert 3 < took < 5.5, took     # not before its last child
        e.send('job_start', job=os.urandom(16), command='touch started')
        e.sock.shutdown(socket.SHUT_WR)
        equal(e.proc.wait(3), 0)
        assert not os.path.exists(e.box.ws + '/started')


@test
def as_pid_1_it_reaps_strangers():
    with Box(namespace=True) as e:
        r = e.run('for i in 1 2 3 4 5; do setsid sleep 0.2 & done; echo $PPID', dir='')
        equal(bytes(r.stdout), b'1\n')
        time.sleep(0.6)
        r = e.run('ps -e -o stat=,comm=')
        assert b'Z' not in r.stdout and b'sleep' not in r.stdout, r.stdout
        job = e.start('setsid sleep 1000 & sleep 1000', timeout_ms=300)
        equal(e.collect(job).end.how, TIMED_OUT)
        r = e.run('ps -e -o comm=')
        assert b'sleep' not in r.stdout


@test
def another_uid():
    if os.getuid() != 0:
        raise Skip('not root')
    with Box(uid=64123) as e:
        r = e.run('id -u; sleep 1000 & echo $!; sleep 1000', timeout_ms=300)
        equal(r.stdout.split()[0], b'64123')
        equal(r.end.how, TIMED_OUT)
        assert not exists(int(r.stdout.split()[1]))
        script = 'trap "" TERM; setsid sleep 1000 & echo $!; while :; do sleep 1; done'
        r = e.run(script, timeout_ms=300)
        equal(r.end.how, TIMED_OUT)
        assert not exists(int(r.stdout))
        # its memory and descriptors are not the jobs' to read
        r = e.run('ls /proc/$PPID/fd; cat /proc/$PPID/environ; head -c 1 /proc/$PPID/mem')
        if not SANITIZED:
            equal(bytes(r.stdout), b'')
        refused(e.file('get', '/etc/shadow'), EPERM)


# ---------------------------------------------------------------- many, leaks

@test
def a_thousand_rapid_jobs_and_no_leak():
    with Box() as e:
        e.run('true')
        before = fds(e.pid)
        pending, done, failed = set(), 0, 0
        started = time.monotonic()
        for n in range(1000):
            pending.add(e.start(argv=['/bin/true'] if n % 10 else ['nosuch']))
            while len(pending) >= 16:
                m = e.recv()
                if m.kind_ in ('job_exit', 'job_refused'):
                    pending.remove(m.job)
                    done += 1
                    failed += m.kind_ == 'job_refused'
        while pending:
            m = e.recv()
            if m.kind_ in ('job_exit', 'job_refused'):
                pending.remove(m.job)
                done += 1
                failed += m.kind_ == 'job_refused'
        equal((done, failed), (1000, 100))
        print(f'# {1000 / (time.monotonic() - started):.0f} jobs/s, 16 in flight')
        e.run('cat', stdin=b'x' * 100000)
        e.run('sleep 5', timeout_ms=100)
        e.run('x', dir='nothing')
        e.put('f', b'x' * 100000)
        e.put('nodir/f', b'')
        e.file('get', 'f')
        e.file('list', '.')
        e.file('mkdir', 'd/e', parents=True)
        e.file('remove', 'd', recursive=True)
        job = e.file('put', 'g', mode=0)
        e.send('job_cancel', job=job)
        e.collect(job)
        e.put('f/x', b'')
        e.file('stat', '../x')
        equal(fds(e.pid), before)
        small(e.pid, 8000, 'VmRSS')
        equal(e.run('ls -a').stdout, b'.\n..\nf\n')


# ---------------------------------------------------------------- files

@test
def put_get_stat():
    with Box() as e:
        data = os.urandom(700000)
        equal(e.put('a/b/c.bin', data, 0o640, parents=True).kind_, 'job_done')
        at = e.box.ws + '/a/b/c.bin'
        assert open(at, 'rb').read() == data
        equal(stat.S_IMODE(os.stat(at).st_mode), 0o640)
        equal(stat.S_IMODE(os.stat(e.box.ws + '/a').st_mode), 0o755)
        equal(os.listdir(e.box.ws + '/a/b'), ['c.bin'])
        r = e.file('get', 'a/b/c.bin')
        equal(r.kind, 'job_done')
        assert bytes(r.file) == data and r.eof
        i = r.info
        equal((i.name, i['size'], i.mode), (b'c.bin', 700000, os.stat(at).st_mode))
        equal(i.mtime_ns, os.stat(at).st_mtime_ns)
        r = e.file('stat', os.path.realpath(at))
        equal((r.kind, r.info['size'], r.info.mode), ('job_done', 700000, os.stat(at).st_mode))
        equal(e.put('empty', b'', 0).kind_, 'job_done')
        equal(stat.S_IMODE(os.stat(e.box.ws + '/empty').st_mode), 0o644)
        r = e.file('get', 'empty')
        equal((r.kind, bytes(r.file), r.eof), ('job_done', b'', True))
        # over an existing one; the old one stays whole until the end
        old = open(at, 'rb')
        equal(e.put('a/b/c.bin', b'new').kind_, 'job_done')
        equal((open(at, 'rb').read(), old.read()), (b'new', data))
        old.close()
        r = e.file('stat', '')
        assert stat.S_ISDIR(r.info.mode) and r.info.name == b'ws'
        equal(e.file('stat', 'a/').info.name, b'a')


@test
def get_of_a_range():
    with Box() as e:
        e.put('f', bytes(range(256)) * 10)
        r = e.file('get', 'f', offset=10, length=5)
        equal((bytes(r.file), r.info['size']), (bytes(range(10, 15)), 2560))
        equal(len(e.file('get', 'f', offset=2500).file), 60)
        equal(len(e.file('get', 'f', offset=2500, length=1000).file), 60)
        equal(len(e.file('get', 'f', offset=5000).file), 0)
        equal(len(e.file('get', 'f', offset=1 << 63, length=(1 << 64) - 1).file), 0)


@test
def get_waits_for_credit():
    with Box() as e:
        e.put('f', b'x' * 100000)
        job = os.urandom(16)
        e.send('file_get', job=job, path='f')
        e.expect('file_info')
        try:
            raise AssertionError(e.recv(0.3))
        except TimeoutError:
            pass
        e.send('job_credit', job=job, stream=3, upto=10)
        equal(e.expect('job_data').bytes, b'x' * 10)
        e.send('job_credit', job=job, stream=3, upto=100000)
        got = 10
        while got < 100000:
            got += len(e.expect('job_data').bytes)
        equal(e.expect('job_eof').offset, 100000)
        e.expect('job_done')


@test
def a_file_that_changes_while_read():
    with Box() as e:
        e.put('f', b'x' * 1000000)
        for change, kind in ((500, 'job_refused'), (2000000, 'job_done')):
            job = os.urandom(16)
            e.send('file_get', job=job, path='f')
            e.expect('file_info')
            e.send('job_credit', job=job, stream=3, upto=1000)
            got = len(e.expect('job_data').bytes)
            os.truncate(e.box.ws + '/f', change)
            e.send('job_credit', job=job, stream=3, upto=1 << 30)
            while True:
                m = e.recv()
                if m.kind_ == 'job_data':
                    got += len(m.bytes)
                elif m.kind_ != 'job_eof':
                    break
            equal(m.kind_, kind)
            if kind == 'job_done':
                equal(got, 500)      # the size when it was opened
            os.truncate(e.box.ws + '/f', 500)


@test
def only_regular_files_are_read():
    with Box() as e:
        ws = e.box.ws
        os.mkfifo(ws + '/fifo')
        os.mkdir(ws + '/dir')
        s = socket.socket(socket.AF_UNIX)
        s.bind(ws + '/sock')
        start = time.monotonic()
        refused(e.file('get', 'fifo'), EINVAL)
        refused(e.file('get', 'dir'), EISDIR)
        refused(e.file('get', '.'), EISDIR)
        refused(e.file('get', 'sock'), EINVAL)
        refused(e.file('get', 'none'), ENOENT)
        refused(e.file('get', 'fifo/x'), ENOTDIR)
        assert time.monotonic() - start < 1
        m = e.put('dir', b'x')
        equal(m.code, EISDIR)
        equal(e.put('', b'x').code, EISDIR)
        equal(e.put('nodir/x', b'x').code, ENOENT)
        equal(e.put('fifo/x', b'x').code, ENOTDIR)
        refused(e.file('list', 'fifo'), ENOTDIR)
        s.close()


@test
def put_limits_and_undo():
    with Box() as e:
        equal(e.put('f', b'x' * 1000, limit=1000).kind_, 'job_done')
        m = e.put('g', b'x' * 1001, limit=1000)
        equal((m.kind_, m.code), ('job_refused', E2BIG))
        job = e.file('put', 'h', mode=0o600)
        upto = e.expect('job_credit').upto
        assert 262144 <= upto <= 4 << 20
        e.send('job_data', job=job, stream=3, offset=0, bytes=b'half')
        e.send('ping', cookie=1)
        e.expect('pong')
        equal(len(os.listdir(e.box.ws)), 2)
        e.send('job_cancel', job=job)
        equal(e.expect('job_refused').job, job)
        equal(os.listdir(e.box.ws), ['f'])
        job = e.file('put', 'h', mode=0o600)
        e.expect('job_credit')
        e.send('job_data', job=job, stream=3, offset=0, bytes=b'half')
        e.send('ping', cookie=1)
        e.expect('pong')
        e.sock.close()
        equal(e.proc.wait(5), 0)
        equal(os.listdir(e.box.ws), ['f'])


@test
def big_files_in_little_memory():
    with Box() as e:
        size = 300 << 20
        piece = os.urandom(1 << 20)
        job = e.file('put', 'big', mode=0o600)
        sent, allowed = 0, 0
        start = time.monotonic()
        while sent < size:
            while allowed <= sent:
                allowed = e.expect('job_credit').upto
            n = min(allowed - sent, 262144, size - sent)
            at = sent % len(piece)
            n = min(n, len(piece) - at)
            e.send('job_data', job=job, stream=3, offset=sent, bytes=piece[at:at + n])
            sent += n
        e.send('job_eof', job=job, stream=3, offset=sent)
        while e.recv().kind_ != 'job_done':
            pass
        put = time.monotonic() - start
        equal(os.path.getsize(e.box.ws + '/big'), size)
        count = [0]

        def sink(stream, data):
            at = count[0] % len(piece)
            assert data == (piece + piece)[at:at + len(data)]
            count[0] += len(data)

        job = os.urandom(16)
        start = time.monotonic()
        e.send('file_get', job=job, path='big')
        e.send('job_credit', job=job, stream=3, upto=1 << 20)
        equal(e.collect(job, timeout=60, sink=sink).kind, 'job_done')
        get = time.monotonic() - start
        equal(count[0], size)
        small(e.pid, 16000)
        print(f'# 300 MB put {300 / put:.0f} MB/s, get {300 / get:.0f} MB/s, '
              f'{rss_kb(e.pid)} KB resident at most')


@test
def outside_is_refused():
    with Box() as e:
        ws = os.path.realpath(e.box.ws)
        base = os.path.realpath(e.box.base)
        os.mkdir(ws + '-evil')
        with open(ws + '-evil/secret', 'w') as f:
            f.write('secret')
        os.mkdir(ws + '/d')
        with open(ws + '/inside', 'w') as f:
            f.write('inside')
        for name, target in (('etc', '/etc'), ('passwd', '/etc/passwd'), ('up', '..'),
                             ('evil', '../ws-evil'), ('d/up2', '../..'), ('self', '/proc/self/root'),
                             ('loop', 'loop'), ('new', '../ws-evil/new'), ('abs', base + '/ws-evil')):
            os.symlink(target, ws + '/' + name)
        bad = ['..', '../ws-evil/secret', '/etc/passwd', ws + '-evil/secret', ws + '/../ws-evil/secret',
               'etc/passwd', 'passwd', 'up/ws-evil/secret', 'evil/secret', 'd/up2/ws-evil/secret',
               'self/etc/passwd', 'loop', 'loop/x', '/proc/self/root/etc/passwd', 'd/../../ws-evil/secret',
               'abs/secret', '/', '/dev/null', base]
        for path in bad:
            for what in ('stat', 'get', 'list'):
                refused(e.file(what, path), EPERM)
            m = e.put(path, b'owned')
            if path == 'passwd':
                equal((m.kind_, m.code), ('job_refused', EPERM))
            assert m.kind_ == 'job_refused' and m.code in (EPERM, EISDIR), (path, m)
        for path in ('evil/new', 'up/new', 'etc/xbot-new', 'd/up2/new', '../new', ws + '-evil/new', 'new'):
            m = e.put(path, b'owned', parents=True)
            equal((path, m.kind_, m.code), (path, 'job_refused', EPERM))
            if path != 'new':
                refused(e.file('mkdir', path, parents=True), EPERM)
                refused(e.file('mkdir', path + '/a/b', parents=True), EPERM)
                refused(e.file('remove', path, recursive=True), EPERM)
        for path in ('evil/secret', 'etc/passwd', '../ws-evil', ws + '-evil', '.', '', ws, ws + '/', 'd/..'):
            refused(e.file('remove', path, recursive=True, missing_ok=True), EPERM)
        equal(sorted(os.listdir(ws + '-evil')), ['secret'])
        equal(open(ws + '-evil/secret').read(), 'secret')
        # the links themselves may go
        equal(e.file('remove', 'evil', recursive=True).kind, 'job_done')
        equal(e.file('remove', 'etc').kind, 'job_done')
        assert os.path.exists('/etc/passwd')
        shutil.rmtree(ws + '-evil')


@test
def links_that_stay_inside_work():
    with Box() as e:
        ws = os.path.realpath(e.box.ws)
        os.makedirs(ws + '/real/sub')
        with open(ws + '/real/f', 'w') as f:
            f.write('hello')
        os.symlink('real', ws + '/rel')
        os.symlink(ws + '/real', ws + '/abs')
        os.symlink(ws + '/real/f', ws + '/absf')
        os.symlink('../../real/./f', ws + '/real/sub/up')
        os.symlink('real/fresh', ws + '/dangling')
        for path in ('rel/f', 'abs/f', 'absf', 'real/sub/up', 'abs/sub/up', 'abs/../real/f', ws + '/abs/f'):
            r = e.file('get', path)
            equal((path, r.kind, bytes(r.file)), (path, 'job_done', b'hello'))
        equal(e.file('stat', 'dangling').end.code, ENOENT)
        equal([n for n, _, _ in e.file('list', 'abs').entries], [b'f', b'sub'])
        equal(e.put('absf', b'two').kind_, 'job_done')
        assert os.path.islink(ws + '/absf')
        equal(open(ws + '/real/f').read(), 'two')
        equal(e.put('dangling', b'three').kind_, 'job_done')
        equal(open(ws + '/real/fresh').read(), 'three')
        assert os.path.islink(ws + '/dangling')
        equal(e.put('real/sub/up', b'four').kind_, 'job_done')
        equal(open(ws + '/real/f').read(), 'four')
        equal(e.put('abs/new/deep/file', b'x', parents=True).kind_, 'job_done')
        assert os.path.exists(ws + '/real/new/deep/file')
        equal(e.file('mkdir', 'rel', parents=True).kind, 'job_done')
        equal(e.run('pwd -P', dir='abs').stdout, ws.encode() + b'/real\n')


@test
def workspace_given_through_a_link():
    base = tempfile.mkdtemp()
    os.mkdir(base + '/real')
    os.symlink('real', base + '/link')
    e = Executor(BINARY, base + '/link/../link/')
    try:
        equal(e.expect('hello').workspace, os.path.realpath(base + '/real').encode())
        equal(e.put(base + '/link/f', b'x').kind_, 'job_done')
        equal(e.file('stat', base + '/real/f').kind, 'job_done')
        refused(e.file('stat', base), EPERM)
    finally:
        equal(e.close(), 0)
        shutil.rmtree(base)


@test
def full_control_has_no_guard():
    with Box('-F') as e:
        base = os.path.realpath(e.box.base)
        equal(e.file('stat', '/etc/passwd').kind, 'job_done')
        equal(e.put(base + '/new/x', b'x', parents=True).kind_, 'job_done')
        equal(e.put('../y', b'y').kind_, 'job_done')
        equal(open(base + '/y').read(), 'y')
        equal(bytes(e.file('get', '../y').file), b'y')
        equal(e.run('pwd', dir='/').stdout, b'/\n')
        equal(e.run('pwd', dir='..').stdout, base.encode() + b'\n')
        refused(e.file('remove', '.', recursive=True), EPERM)
        refused(e.file('remove', base, recursive=True), EPERM)      # holds the workspace
        assert os.path.isdir(e.box.ws)


@test
def list_sorts_and_pages():
    with Box() as e:
        ws = e.box.ws
        os.mkdir(ws + '/l')
        names = [b'n%d' % i for i in range(1000)] + [b'.dot', b'-dash', 'ü'.encode(), b'\xff\xfe', b'new\nline']
        for n in names:
            with open(os.path.join(ws.encode(), b'l', n), 'wb') as f:
                f.write(b'x' * (len(n) % 7))
        os.symlink('/etc', ws + '/l/link')
        os.mkdir(ws + '/l/sub')
        r = e.file('list', 'l', credit=100)
        equal(r.kind, 'job_done')
        equal([n for n, _, _ in r.entries], sorted(names + [b'link', b'sub']))
        kinds = {n: (m, s) for n, m, s in r.entries}
        assert stat.S_ISLNK(kinds[b'link'][0]) and stat.S_ISDIR(kinds[b'sub'][0])
        equal(kinds[b'\xff\xfe'][1], 2)
        equal(e.file('list', 'l/sub').kind, 'job_done')
        refused(e.file('list', 'none'), ENOENT)


@test
def list_of_too_many():
    with Box() as e:
        os.mkdir(e.box.ws + '/many')
        d = os.open(e.box.ws + '/many', os.O_RDONLY)
        for i in range(200001):
            os.close(os.open(f'f{i}', os.O_CREAT | os.O_WRONLY, dir_fd=d))
        refused(e.file('list', 'many'), E2BIG)
        os.unlink('f0', dir_fd=d)
        start = time.monotonic()
        r = e.file('list', 'many', timeout=60)
        equal(len(r.entries), 200000)
        print(f'# 200000 entries in {time.monotonic() - start:.2f} s')
        # removal in slices: others are served meanwhile
        job = os.urandom(16)
        e.send('file_remove', job=job, path='many', recursive=True)
        pings, done = [], False
        start = time.monotonic()
        while not done:
            at = time.monotonic()
            e.send('ping', cookie=1)
            while True:
                m = e.recv(30)
                if m.kind_ == 'pong':
                    break
                equal(m.kind_, 'job_done')
                done = True
            pings.append(time.monotonic() - at)
        pings.sort()
        print(f'# removed in {time.monotonic() - start:.2f} s, pings {pings[len(pings) // 2] * 1000:.1f} ms, '
              f'slowest {pings[-1] * 1000:.1f} ms')
        assert pings[len(pings) // 2] < 0.1, pings     # one unlink may take its time
        assert not os.path.exists(e.box.ws + '/many')
        os.close(d)


def fnv1a(data):
    h = 0xcbf29ce484222325
    for c in data:
        h = (h ^ c) * 0x100000001b3 % (1 << 64)
    return h


def hashes(e, paths, timeout=60):
    """(size, hash) of each; None: no file."""
    job = os.urandom(16)
    e.send('file_hash', job=job, paths=[os.fsencode(p) for p in paths])
    m = e.expect('file_hashes', timeout)
    equal(m.job, job)
    equal((len(m.sizes), len(m.hashes)), (len(paths), len(paths)))
    equal(e.expect('job_done').job, job)
    for size, hash_ in zip(m.sizes, m.hashes):
        assert size != NO_FILE or hash_ == 0
    return [None if s == NO_FILE else (s, h) for s, h in zip(m.sizes, m.hashes)]


@test
def hashes_of_files():
    with Box() as e:
        ws = e.box.ws
        contents = [b'', b'a', bytes(range(256)), os.urandom((256 << 10) - 1), os.urandom(256 << 10),
                    os.urandom((256 << 10) + 1)]
        names = [b'f%d' % i for i in range(len(contents) - 1)] + [b'caf\xe9 \n']
        os.mkdir(ws + '/sub')
        for name, data in zip(names, contents):
            with open(os.path.join(ws.encode(), b'sub', name), 'wb') as f:
                f.write(data)
        wanted = [(len(d), fnv1a(d)) for d in contents]
        equal(wanted[1][1], 0xaf63dc4c8601ec8c)     # of FNV's own table
        paths = [b'sub/' + n for n in names]
        equal(hashes(e, paths), wanted)
        equal(hashes(e, paths[::-1] + paths[:1]), wanted[::-1] + wanted[:1])
        equal(hashes(e, [os.path.join(ws.encode(), paths[1])]), [wanted[1]])
        equal(hashes(e, []), [])
        # what is none: missing, a directory, a pipe, a link to nowhere, unreadable
        os.mkfifo(ws + '/pipe')
        os.symlink('none', ws + '/dangling')
        os.symlink('sub/f1', ws + '/inside')
        bad = [b'none', b'sub', b'.', b'pipe', b'dangling', b'sub/f1/x', b'', b'x' * 300]
        equal(hashes(e, bad + [paths[1]] + bad), [None] * 8 + [wanted[1]] + [None] * 8)
        equal(hashes(e, ['inside']), [wanted[1]])
        with open(ws + '/huge', 'wb') as f:
            f.truncate((64 << 20) + 1)
        equal(hashes(e, ['huge']), [None])


@test
def hashes_stay_inside():
    with Box() as e:
        ws = e.box.ws
        with open(e.box.base + '/out', 'wb') as f:
            f.write(b'secret')
        os.symlink('../out', ws + '/link')
        os.symlink('..', ws + '/up')
        os.symlink('/etc/passwd', ws + '/passwd')
        os.symlink('/proc/self', ws + '/self')
        equal(hashes(e, ['../out', 'link', 'up/out', 'passwd', '/etc/passwd', e.box.base + '/out', 'self/maps',
                         'x/../../out', ws + '/../out']), [None] * 9)


@test
def hashes_of_a_thousand():
    with Box() as e:
        ws = e.box.ws
        for i in range(1024):
            with open(f'{ws}/f{i}', 'wb') as f:
                f.write(b'%d' % i)
        equal(hashes(e, [f'f{i}'.encode() for i in range(1024)]),
              [(len(b'%d' % i), fnv1a(b'%d' % i)) for i in range(1024)])
        # twice at a time; others are served meanwhile
        with open(ws + '/large', 'wb') as f:
            f.truncate(64 << 20)
        jobs = [os.urandom(16) for _ in range(2)]
        for job in jobs:
            e.send('file_hash', job=job, paths=[b'large'] * 8)
        e.send('ping', cookie=7)
        e.expect('pong')
        got = [e.recv(120) for _ in range(4)]
        equal(sorted(m.job for m in got), sorted(jobs * 2))
        assert all(len(set(m.hashes)) == 1 and m.sizes == [64 << 20] * 8
                   for m in got if m.kind_ == 'file_hashes')
        before = fds(e.pid)
        # cancelled in the middle
        job = os.urandom(16)
        e.send('file_hash', job=job, paths=[b'large'] * 1024)
        time.sleep(0.1)
        e.send('job_cancel', job=job)
        m = e.expect('job_refused')
        equal((m.job, m.code), (job, EIO))
        e.send('job_cancel', job=job)
        e.send('ping', cookie=8)
        e.expect('pong')
        equal(fds(e.pid), before)
        # the id of one that runs
        e.send('file_hash', job=job, paths=[b'large'] * 1024)
        e.send('file_hash', job=job, paths=[b'f1'])
        equal((m := e.expect('job_refused')).code, EEXIST)
        e.send('job_cancel', job=job)
        equal(e.expect('job_refused').code, EIO)
        small(e.pid, 8192)


@test
def hash_of_a_file_that_grows():
    with Box() as e:
        with open(e.box.ws + '/f', 'wb') as f:
            f.truncate(30 << 20)
            stop = threading.Event()

            def grow():
                at = 30 << 20
                while not stop.wait(0.0001):
                    f.truncate(at := at + 4096)
            writer = threading.Thread(target=grow)
            writer.start()
            try:
                got = hashes(e, ['f'])
            finally:
                stop.set()
                writer.join()
        assert got == [None], got


@test
def mkdir_rules():
    with Box() as e:
        ws = e.box.ws
        equal(e.file('mkdir', 'a').kind, 'job_done')
        equal(stat.S_IMODE(os.stat(ws + '/a').st_mode), 0o755)
        refused(e.file('mkdir', 'a'), EEXIST)
        equal(e.file('mkdir', 'a', parents=True).kind, 'job_done')
        refused(e.file('mkdir', 'x/y'), ENOENT)
        equal(e.file('mkdir', 'x/y/z', parents=True, mode=0o2770).kind, 'job_done')
        equal(stat.S_IMODE(os.stat(ws + '/x/y/z').st_mode), 0o2770)
        equal(stat.S_IMODE(os.stat(ws + '/x/y').st_mode), 0o755)
        e.put('f', b'')
        refused(e.file('mkdir', 'f', parents=True), EEXIST)
        refused(e.file('mkdir', 'f/x', parents=True), ENOTDIR)
        refused(e.file('mkdir', ''), EEXIST)
        equal(e.file('mkdir', '.', parents=True).kind, 'job_done')
        refused(e.file('mkdir', 'n' * 256), EINVAL)
        deep = '/'.join(['d'] * 1000)
        equal(e.file('mkdir', deep, parents=True).kind, 'job_done')
        equal(e.file('remove', 'd', recursive=True).kind, 'job_done')
        assert not os.path.exists(ws + '/d')


@test
def remove_rules():
    with Box() as e:
        ws = e.box.ws
        e.put('f', b'')
        equal(e.file('remove', 'f').kind, 'job_done')
        refused(e.file('remove', 'f'), ENOENT)
        refused(e.file('remove', 'f', recursive=True), ENOENT)
        equal(e.file('remove', 'f', missing_ok=True).kind, 'job_done')
        equal(e.file('remove', 'no/f', missing_ok=True).kind, 'job_done')
        os.makedirs(ws + '/d/e/f')
        os.makedirs(ws + '/keep')
        for n in range(300):
            open(f'{ws}/d/e/{n}', 'w').close()
        os.symlink('../keep', ws + '/d/link')
        os.symlink('/etc', ws + '/d/etc')
        open(ws + '/keep/me', 'w').close()
        refused(e.file('remove', 'd'), EEXIST)
        equal(e.file('remove', 'd', recursive=True).kind, 'job_done')
        equal(os.listdir(ws), ['keep'])
        equal(os.listdir(ws + '/keep'), ['me'])
        equal(e.file('remove', 'keep/me', recursive=True).kind, 'job_done')
        equal(e.file('remove', 'keep').kind, 'job_done')
        # a tree deeper than a path can say
        at = os.open(ws, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir('deeper-and-deeper', dir_fd=at)
            down = os.open('deeper-and-deeper', os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = down
        os.close(at)
        equal(e.file('remove', 'deeper-and-deeper', recursive=True).kind, 'job_done')
        equal(os.listdir(ws), [])


@test
def racing_links_never_lead_outside():
    with Box() as e:
        ws = os.path.realpath(e.box.ws)
        out = os.path.realpath(e.box.base) + '/out'
        os.mkdir(out)
        with open(out + '/f', 'w') as f:
            f.write('secret')
        os.mkdir(ws + '/a')
        with open(ws + '/a/f', 'w') as f:
            f.write('fine')
        stop = threading.Event()

        def swap():
            while not stop.is_set():
                os.rename(ws + '/a', ws + '/b')
                os.symlink(out, ws + '/a')
                os.unlink(ws + '/a')
                os.rename(ws + '/b', ws + '/a')

        t = threading.Thread(target=swap)
        t.start()
        try:
            for _ in range(1500):
                r = e.file('get', 'a/f')
                if r.kind == 'job_done':
                    equal(bytes(r.file), b'fine')
                else:
                    assert r.end.code in (EPERM, ENOENT, ENOTDIR), r.end
                e.put('a/g', b'x')
                e.file('remove', 'a/f2', recursive=True)
        finally:
            stop.set()
            t.join()
        equal(os.listdir(out), ['f'])
        shutil.rmtree(out)


# ---------------------------------------------------------------- tasks

class Reading:
    """One task_read; grants credit from where the output really begins."""

    def __init__(self, e, task, at=(0, 0), follow=True, window=262144):
        self.e, self.window, self.job = e, window, os.urandom(16)
        self.at, self.data, self.first = list(at), [bytearray(), bytearray()], [None, None]
        self.upto, self.eof, self.info, self.end = [0, 0], [None, None], None, None
        e.send('task_read', job=self.job, task=task, stdout_offset=at[0], stderr_offset=at[1], follow=follow)

    def credit(self, i):
        if self.window and self.upto[i] - self.at[i] <= self.window // 2:
            self.upto[i] = self.at[i] + self.window
            self.e.send('job_credit', job=self.job, stream=i + 1, upto=self.upto[i])

    def take(self, m):
        if m.kind_ == 'task_info':
            self.info = m
            self.at = [max(self.at[0], m.stdout_begin), max(self.at[1], m.stderr_begin)]
            self.credit(0)
            self.credit(1)
        elif m.kind_ == 'job_data':
            i = m.stream - 1
            assert self.info and self.eof[i] is None and m.offset >= self.at[i], m
            if self.first[i] is None:
                self.first[i] = m.offset
            else:
                equal(m.offset, self.at[i])
            assert m.offset + len(m.bytes) <= self.upto[i], 'beyond the credit'
            self.at[i] = m.offset + len(m.bytes)
            self.data[i] += m.bytes
            self.credit(i)
        elif m.kind_ == 'job_eof':
            equal(m.offset, self.at[m.stream - 1])
            self.eof[m.stream - 1] = m.offset
        else:
            self.end = m
        return self.end is None

    def run(self, until=None, timeout=20):
        """To the end, or until so much was read; others' messages too."""
        limit = time.monotonic() + timeout
        while self.end is None and (until is None or self.at[0] < until):
            m = self.e.recv(max(0.01, limit - time.monotonic()))
            if m.get('job') == self.job:
                self.take(m)
            else:
                self.e.queue.append(m)
        return self

    def cancel(self):
        self.e.send('job_cancel', job=self.job)
        self.window = 0
        self.run()
        equal((self.end.kind_, self.end.code), ('job_refused', EIO))


def task(e, command=None, argv=(), stdin=b'', **fields):
    job = e.start(command, argv, stdin, credit=0, kind=1, **fields)
    return job, e.expect('job_started').pid


def tasks(e):
    job, out = os.urandom(16), {}
    e.send('task_list', job=job)
    while True:
        m = e.recv()
        equal(m.job, job)
        if m.kind_ == 'job_done':
            return out
        equal(m.kind_, 'task_info')
        out[m.task] = m


def kill_task(e, task_id):
    job = os.urandom(16)
    e.send('task_kill', job=job, task=task_id)
    m = e.recv(20)
    equal(m.job, job)
    return m


def task_over(e, task_id, seconds=10):
    assert wait_for(lambda: not tasks(e)[task_id].running, seconds), 'still runs'
    return tasks(e)[task_id]


@test
def a_task_is_known_after_its_end():
    with Box() as e:
        before = time.time() * 1000
        t, pid = task(e, 'echo out; echo err >&2; exit 7')
        assert pid > 1
        info = task_over(e, t)
        equal((info.command, info.how, info.code), ('echo out; echo err >&2; exit 7', EXITED, 7))
        assert before - 1 <= info.started_ms <= info.ended_ms <= time.time() * 1000 + 1
        equal((info.stdout_begin, info.stdout_end, info.stderr_begin, info.stderr_end), (0, 4, 0, 4))
        r = Reading(e, t, follow=False).run()
        equal((r.end.kind_, r.data, r.eof), ('job_done', [b'out\n', b'err\n'], [4, 4]))
        r = Reading(e, t, (2, 4)).run()
        equal((r.end.kind_, r.data, r.eof, r.first), ('job_exit', [b't\n', b''], [4, 4], [2, None]))
        equal((r.end.how, r.end.code), (EXITED, 7))
        assert r.end.duration_us > 0
        r = Reading(e, t, (5, 0)).run()
        equal((r.end.kind_, r.end.code), ('job_refused', EINVAL))
        r = Reading(e, os.urandom(16)).run()
        equal((r.end.kind_, r.end.code), ('job_refused', ENOENT))
        equal(kill_task(e, os.urandom(16)).code, ENOENT)
        equal(kill_task(e, t).kind_, 'job_done')        # it is gone, and stays what it was
        equal(tasks(e)[t].how, EXITED)
        # its id is its own
        e.start('echo out; echo err >&2; exit 7', job=t, credit=0, kind=1, stdin=None)
        equal(e.expect('job_started').pid, pid)
        e.send('job_start', job=t, command='other', kind=1)
        equal(e.expect('job_refused').code, EEXIST)
        e.send('task_read', job=t, task=t)
        equal(e.expect('job_refused').code, EEXIST)
        ended(e.run('true'))


@test
def a_task_does_not_end_by_cancel():
    with Box() as e:
        t, pid = task(e, 'sleep 0.5; echo done')
        e.send('job_cancel', job=t)
        e.send('job_credit', job=t, stream=1, upto=1000)     # is for its readers only
        r = Reading(e, t).run()
        equal((r.end.how, r.end.code, r.data[0]), (EXITED, 0, b'done\n'))
        t, pid = task(e, 'kill -9 $$')
        equal((task_over(e, t).how, tasks(e)[t].code), (SIGNALLED, 9))
        e.send('job_start', job=os.urandom(16), kind=1, argv=['nosuchprog'])
        equal(e.expect('job_refused').code, ENOENT)
        equal(len(tasks(e)), 2)


@test
def commands_of_tasks_as_text():
    with Box() as e:
        t, _ = task(e, argv=['printf', '%s', 'a b'])
        equal(tasks(e)[t].command, 'printf %s a b')
        t, _ = task(e, 'true ' + '\u20ac' * 3000)
        equal(tasks(e)[t].command, 'true ' + '\u20ac' * ((4096 - 5) // 3))
        t, _ = task(e, argv=['true', 'x' * 4095, 'y'])
        equal(tasks(e)[t].command, 'true ' + 'x' * 4091)


@test
def stdin_of_a_task():
    with Box() as e:
        t, _ = task(e, 'cat; echo end', stdin=None)
        equal(e.expect('job_credit').upto, 262144)
        e.send('job_data', job=t, stream=0, offset=0, bytes=b'hello ')
        r = Reading(e, t).run(until=6)
        e.send('job_eof', job=t, stream=0, offset=6)
        equal(bytes(r.run().data[0]), b'hello end\n')


@test
def without_a_follower_the_oldest_goes():
    with Box() as e:
        t, _ = task(e, 'seq 1 1000000; seq 1 300000 >&2')
        info = task_over(e, t)
        both = [b''.join(b'%d\n' % i for i in range(1, n + 1)) for n in (1000000, 300000)]
        equal((info.stdout_end, info.stderr_end), (len(both[0]), len(both[1])))
        equal((info.stdout_begin, info.stderr_begin), (len(both[0]) - (1 << 20), len(both[1]) - (1 << 20)))
        for follow in (True, False):
            r = Reading(e, t, follow=follow).run()
            equal(r.first, [info.stdout_begin, info.stderr_begin])
            assert [bytes(d) for d in r.data] == [b[-(1 << 20):] for b in both]
        r = Reading(e, t, (info.stdout_end - 5, info.stderr_end), False).run()
        equal(r.data, [both[0][-5:], b''])
        small(e.pid, 12000)


LINES = 'i=0; while [ $i -lt 40000 ]; do echo "$i 0123456789012345678901234567890123456789"; i=$((i+1)); done'
WANTED = b''.join(b'%d 0123456789012345678901234567890123456789\n' % i for i in range(40000))


@test
def a_follower_that_is_behind_blocks_the_task():
    with Box() as e:
        t, pid = task(e, 'sleep 0.2; yes | head -c 5000000; echo x >&2')
        r = Reading(e, t, window=0)
        assert wait_for(lambda: tasks_end(e, r, t) >= 1 << 20)
        time.sleep(0.3)
        info = tasks_info(e, r, t)
        equal((info.stdout_begin, info.stdout_end, info.running), (0, 1 << 20, True))
        ticks = cpu_ticks(e.pid)
        time.sleep(0.5)
        assert cpu_ticks(e.pid) - ticks <= 3, 'spins'
        # another one, without following, may read what there is and changes nothing
        other = Reading(e, t, follow=False).run()
        equal((other.end.kind_, len(other.data[0])), ('job_done', 1 << 20))
        r.window = 100000
        r.credit(0)
        r.credit(1)
        r.run()
        equal((r.end.how, r.first, bytes(r.data[1])), (EXITED, [0, 0], b'x\n'))
        assert r.data[0] == b'y\n' * 2500000


def tasks_info(e, r, t):
    """task_list while a reading is open: its messages go where they belong."""
    job = os.urandom(16)
    e.send('task_list', job=job)
    found = None
    while True:
        m = e.recv()
        if m.job != job:
            r.take(m)
        elif m.kind_ == 'job_done':
            return found
        elif m.task == t:
            found = m


def tasks_end(e, r, t):
    return tasks_info(e, r, t).stdout_end


def cpu_ticks(pid):
    with open(f'/proc/{pid}/stat', encoding='latin1') as f:
        return sum(int(n) for n in f.read().rsplit(')', 1)[1].split()[11:13])


@test
def a_reader_that_is_cut_twenty_times():
    with Box() as e:
        wanted = b''.join(b'%d\n' % i for i in range(1, 2000001))
        t, _ = task(e, 'sleep 0.3; seq 1 2000000; exit 3')
        got = bytearray()
        for cut in range(20):
            r = Reading(e, t, (len(got), 0)).run(until=len(got) + 400000)
            r.cancel()
            # what was under way to a client within the window is lost to it
            lose = (cut * 37 * 1024) % 262144
            assert r.first[0] == len(got), (r.first, len(got))
            got += r.data[0][:max(1, len(r.data[0]) - lose)]
        r = Reading(e, t, (len(got), 0)).run()
        equal(r.first[0], len(got))
        got += r.data[0]
        equal((r.end.how, r.end.code, r.eof), (EXITED, 3, [len(wanted), 0]))
        equal(hashlib.sha256(got).digest(), hashlib.sha256(wanted).digest())


@test
def a_lost_follower_is_awaited_so_long():
    with Box('-g', '2') as e:
        t, _ = task(e, 'sleep 0.2; seq 1 1000000')
        r = Reading(e, t, window=1000).run(until=500)
        r.cancel()
        start = time.monotonic()
        time.sleep(1)
        info = tasks(e)[t]
        assert info.running and info.stdout_begin <= r.at[0] < 1 << 20 <= info.stdout_end, info
        ticks = cpu_ticks(e.pid)
        time.sleep(0.5)
        assert cpu_ticks(e.pid) - ticks <= 3, 'spins'
        info = task_over(e, t)
        assert 1.9 < time.monotonic() - start < 4, time.monotonic() - start
        equal((info.code, info.stdout_end - info.stdout_begin), (0, 1 << 20))
        # who comes back in time gets all; and a second one that only looks does not matter
        t, _ = task(e, 'sleep 0.2; ' + LINES)
        r = Reading(e, t, window=1000).run(until=500)
        r.cancel()
        time.sleep(1)
        Reading(e, t, follow=False).run()
        again = Reading(e, t, (r.at[0], 0))
        again.run()
        equal(again.first[0], r.at[0])
        assert r.data[0] + again.data[0] == WANTED
    with Box('-g', '0') as e:
        t, _ = task(e, 'sleep 0.2; seq 1 1000000')
        Reading(e, t, window=1000).run(until=500).cancel()
        task_over(e, t, 3)


@test
def several_readers_at_once():
    with Box() as e:
        t, _ = task(e, 'sleep 0.3; ' + LINES)
        readers = [Reading(e, t, window=w) for w in (5000, 70000, 262144, 1 << 20)]
        by_job = {r.job: r for r in readers}
        while any(r.end is None for r in readers):
            m = e.recv()
            by_job[m.job].take(m)
        for r in readers:
            equal((r.end.kind_, r.first[0]), ('job_exit', 0))
            assert r.data[0] == WANTED


@test
def a_window_larger_than_the_ring():
    with Box() as e:
        t, _ = task(e, 'sleep 0.2; yes | head -c 20000000')
        r = Reading(e, t, window=8 << 20).run()
        assert r.data[0] == b'y\n' * 10000000


@test
def the_rest_of_a_task_that_has_ended():
    # The leader ends while a follower is behind and somebody holds the pipe.
    with Box() as e:
        t, _ = task(e, 'sleep 30 & sleep 0.2; head -c 1100000 /dev/zero; exit 4')
        r = Reading(e, t, window=0)
        while tasks_info(e, r, t).running:
            time.sleep(0.05)
        r.window = 262144
        r.credit(0)
        r.run()
        equal((len(r.data[0]), r.end.how, r.end.code), (1100000, EXITED, 4))


@test
def tasks_are_killed_with_their_trees():
    with Box() as e:
        t, _ = task(e, 'sleep 1000 & echo $!; setsid sleep 1000 & echo $!; trap "" TERM; sleep 1000')
        r = Reading(e, t)
        while bytes(r.data[0]).count(b'\n') < 2:
            r.run(until=r.at[0] + 1)
        m = None
        job = os.urandom(16)
        e.send('task_kill', job=job, task=t)
        e.send('task_kill', job=bytes(16), task=t)
        done = 0
        while done < 2 or r.end is None:
            m = e.recv()
            if m.job == r.job:
                r.take(m)
            else:
                equal(m.kind_, 'job_done')
                done += 1
        equal((r.end.how, r.end.code), (KILLED, 9))
        assert not [p for p in r.data[0].split() if exists(int(p))]
        info = tasks(e)[t]
        equal((info.running, info.how, info.code), (False, KILLED, 9))
        # in one batch with its start, and while a follower blocks it
        t = os.urandom(16)
        e.send_raw(encode('job_start', job=t, kind=1, command='sleep 100') +
                   encode('task_kill', job=job, task=t))
        e.expect('job_started')
        equal(e.expect('job_credit').job, t)
        equal(e.expect('job_done', 10).job, job)
        t, _ = task(e, 'sleep 0.1; yes')
        r = Reading(e, t, window=0)
        assert wait_for(lambda: tasks_end(e, r, t) >= 1 << 20)
        e.send('task_kill', job=job, task=t)
        equal(e.expect('job_done').job, job)
        r.window = 262144
        r.credit(0)
        r.credit(1)
        r.run()
        equal((r.end.how, len(r.data[0]) >= 1 << 20), (KILLED, True))


@test
def tasks_have_limits():
    with Box() as e:
        gone = [task(e, 'true')[0] for _ in range(3)]
        for t in gone:
            task_over(e, t)
        late = []
        for _ in range(64):
            late.append(task(e, 'true')[0])
            task_over(e, late[-1])
        assert wait_for(lambda: set(tasks(e)) == set(late)), len(tasks(e))
        r = Reading(e, gone[0]).run()
        equal((r.end.kind_, r.end.code), ('job_refused', ENOENT))
        run = [task(e, argv=['sleep', '100'])[0] for _ in range(256)]
        e.send('job_start', job=os.urandom(16), kind=1, argv=['true'])
        equal(e.expect('job_refused').code, EBUSY)
        equal(len(tasks(e)), 64 + 256)
        equal(kill_task(e, run[0]).kind_, 'job_done')
        task(e, argv=['sleep', '100'])
        ended(e.run('true'))


@test
def a_forgotten_task_and_its_reader():
    with Box() as e:
        t, _ = task(e, 'echo x')
        task_over(e, t)
        r = Reading(e, t, window=0)
        others = [task_quiet(e, r) for _ in range(64)]
        assert wait_for(lambda: tasks_info(e, r, t) is None)
        equal((r.end.kind_, r.end.code, len(others)), ('job_refused', ENOENT, 64))


def task_quiet(e, r):
    job = e.start('true', credit=0, kind=1)
    while True:
        m = e.recv()
        if m.job == r.job:
            r.take(m)
        elif m.kind_ == 'job_started':
            break
    while tasks_info(e, r, job).running:
        time.sleep(0.002)
    return job


@test
def memory_of_many_tasks_is_bounded():
    with Box() as e:
        ids = [task(e, 'seq 1 400000; seq 1 400000 >&2')[0] for _ in range(100)]
        assert wait_for(lambda: not any(t.running for t in tasks(e).values()), 60)
        small(e.pid, 150 * 1024)
        known = tasks(e)
        assert len(known) == 64 and set(known) < set(ids)
        for t in known.values():
            equal(t.stdout_end, 2688895)
        ended(e.run('head -c 3000000 /dev/zero'))


@test
def tasks_keep_the_executor():
    with Box('-i', '1') as e:
        t, _ = task(e, 'sleep 2; echo x')
        time.sleep(3.5)
        equal((tasks(e)[t].running, tasks(e)[t].stdout_end), (False, 2))


# ---------------------------------------------------------------- pipes that stay

@test
def stdio_both_ways():
    with Box() as e:
        data = os.urandom(1 << 20) * 50
        r = e.collect(e.start(argv=['cat'], kind=2, stdin=data), 60, data)
        ended(r)
        equal(hashlib.sha256(r.stdout).digest(), hashlib.sha256(data).digest())
        small(e.pid, 8000)
        r = e.run('echo out; echo err >&2; exit 3', kind=2)
        ended(r, EXITED, 3)
        equal((r.stdout, r.stderr), (b'out\n', b'err\n'))
        # nothing is dropped, however slow the other side is
        job = e.start('seq 1 500000', kind=2, credit=0)
        e.expect('job_started')
        time.sleep(0.5)
        e.send('job_credit', job=job, stream=1, upto=1 << 20)
        assert e.collect(job).stdout == b''.join(b'%d\n' % i for i in range(1, 500001))


@test
def stdio_is_closed_politely():
    with Box() as e:
        def close(command):
            job = e.start(command, kind=2, stdin=None)
            e.expect('job_started')
            e.expect('job_credit')
            e.expect('job_data')
            start = time.monotonic()
            e.send('job_cancel', job=job)
            e.send('job_cancel', job=job)
            while True:
                m = e.recv(20)
                if m.kind_ == 'job_exit':
                    return m.how, m.code, time.monotonic() - start
        how, code, took = close('echo .; cat; exit 5')
        equal((how, code), (EXITED, 5))
        assert took < 1, took
        how, code, took = close('trap "exit 6" TERM; echo .; while :; do sleep 0.1; done')
        equal((how, code), (EXITED, 6))
        assert 4.9 < took < 6, took
        how, code, took = close('trap "" TERM; echo .; sleep 1000 & while :; do sleep 0.1; done')
        equal((how, code), (SIGNALLED, 9))
        assert 7.9 < took < 9.5, took


# ---------------------------------------------------------------- terminals

class Terminal:
    def __init__(self, e, command=None, argv=(), **fields):
        self.e, self.sent, self.got, self.end, self.seen = e, 0, bytearray(), None, 0
        self.job = e.start(command, argv, stdin=None, kind=3, **fields)
        self.pid = e.expect('job_started').pid
        self.upto = 1 << 20

    def type(self, text):
        self.e.send('job_data', job=self.job, stream=0, offset=self.sent, bytes=text)
        self.sent += len(text)

    def wait(self, text=None, timeout=10):
        """Until this was seen (behind what was seen before), or the end."""
        until = time.monotonic() + timeout
        while self.end is None and (text is None or text not in self.got[self.seen:]):
            m = self.e.recv(max(0.01, until - time.monotonic()))
            if m.kind_ == 'job_data':
                equal((m.stream, m.offset), (1, len(self.got)))
                self.got += m.bytes
                if self.upto - len(self.got) < 1 << 19:
                    self.upto = len(self.got) + (1 << 20)
                    self.e.send('job_credit', job=self.job, stream=1, upto=self.upto)
            elif m.kind_ != 'job_credit':
                self.end = m
        if text is not None:
            assert text in self.got[self.seen:], bytes(self.got[self.seen:])
            self.seen += self.got[self.seen:].index(text) + len(text)
        return self


@test
def a_terminal_is_one():
    with Box() as e:
        t = Terminal(e, 'tty; stty size; echo $TERM; ps -o sid=,pgid=,tpgid= -p $$; echo $$; exit 7').wait()
        lines = t.got.decode().split()
        assert lines[0].startswith('/dev/pts/'), lines
        equal(lines[1:4], ['24', '80', 'xterm-256color'])
        equal(set(lines[4:]), {str(t.pid)})
        equal((t.end.kind_, t.end.how, t.end.code), ('job_exit', EXITED, 7))
        t = Terminal(e, 'stty size; echo $TERM; pwd', env=['TERM=dumb'], cols=100, rows=30, dir='nothing').wait()
        equal(t.got.decode().split(), ['30', '100', 'dumb', os.path.realpath(e.box.ws)])
        refused(e.run(argv=['nosuchprog'], kind=3), ENOENT)
        open_fds = fds(e.pid)
        t = Terminal(e, argv=['cat'])
        t.type(b'hello\n')
        t.wait(b'hello\r\nhello\r\n')
        e.send('job_eof', job=t.job, stream=0, offset=t.sent)
        t.wait()
        equal((t.end.how, t.end.code), (EXITED, 0))
        equal(fds(e.pid), open_fds)


@test
def a_shell_in_a_terminal():
    with Box() as e:
        t = Terminal(e, env=['HISTFILE='], cols=90, rows=25)
        t.type(b"PS1='<''> '\n")
        t.wait(b'<> ')
        t.type(b'stty size\n')
        t.wait(b'25 90\r\n')
        e.send('job_resize', job=t.job, cols=120, rows=40)
        t.type(b'stty size\n')
        t.wait(b'40 120\r\n')
        for stop in (lambda: t.type(b'\x03'), lambda: e.send('job_signal', job=t.job, signal=signal.SIGINT)):
            t.type(b'sh -c "echo waiting; exec sleep 1000"\n')
            t.wait(b'waiting\r\n')
            stop()
            t.wait(b'<> ')
            t.type(b'echo "rc="$?\n')
            t.wait(b'rc=130\r\n')
        t.type(b'trap "echo winch" WINCH; sh -c "trap \'echo inner; exit\' WINCH; echo in\'\'side; while :; do sleep 0.1; done"\n')
        t.wait(b'inside\r\n')
        e.send('job_resize', job=t.job, cols=80, rows=24)
        t.wait(b'inner\r\n')
        t.wait(b'<> ')
        t.type(b'\x04')
        t.wait()
        equal(t.end.how, EXITED)


@test
def ten_megabytes_through_a_terminal():
    with Box() as e:
        with open(e.box.ws + '/big', 'wb') as f:
            for i in range(1000000):
                f.write(b'%09d\n' % i)
        with open(e.box.ws + '/big', 'rb') as f:
            wanted = f.read().replace(b'\n', b'\r\n')
        t = Terminal(e, argv=['cat', 'big']).wait(timeout=30)
        equal((t.end.how, t.end.code), (EXITED, 0))
        assert t.got == wanted
        # slowly: the program waits, and so do we, without work
        job = e.start(argv=['cat', 'big'], kind=3, stdin=None, credit=0)
        e.expect('job_started')
        e.expect('job_credit')
        time.sleep(0.5)
        ticks = cpu_ticks(e.pid)
        got = bytearray()
        upto = 0
        while True:
            if len(got) == upto:
                if upto < 8 * 65536:
                    time.sleep(0.1)
                upto += 65536
                e.send('job_credit', job=job, stream=1, upto=upto)
            m = e.recv()
            if m.kind_ == 'job_exit':
                break
            got += m.bytes
        assert got == wanted
        assert cpu_ticks(e.pid) - ticks < 100 or SANITIZED, cpu_ticks(e.pid) - ticks


@test
def the_end_of_a_terminal():
    with Box() as e:
        # hung up: the shell and what it runs in front get SIGHUP
        t = Terminal(e, 'echo $$; sleep 1000')
        t.wait(b'\r\n')
        start = time.monotonic()
        e.send('job_cancel', job=t.job)
        t.wait()
        equal((t.end.kind_, t.end.how, t.end.code), ('job_exit', SIGNALLED, 1))
        assert time.monotonic() - start < 1
        t = Terminal(e, 'trap "" HUP; sleep 1000 & echo $!; while :; do sleep 0.1; done')
        t.wait(b'\r\n')
        start = time.monotonic()
        e.send('job_cancel', job=t.job)
        t.wait()
        equal((t.end.how, t.end.code), (SIGNALLED, 9))
        assert 4.9 < time.monotonic() - start < 6.5
        assert not exists(int(t.got.split()[0]))
        # not at its end while nobody has it open
        t = Terminal(e, 'exec </dev/null >/dev/null 2>&1; sleep 0.3; echo again >/dev/tty; sleep 0.1; exit 9').wait()
        equal((t.end.how, t.end.code, bytes(t.got)), (EXITED, 9, b'again\r\n'))
        # a child that keeps it does not keep the job
        start = time.monotonic()
        t = Terminal(e, 'trap "" HUP; sleep 5 & echo x').wait()
        equal((t.end.how, bytes(t.got)), (EXITED, b'x\r\n'))
        assert time.monotonic() - start < 2
        t = Terminal(e, 'sleep 1000', timeout_ms=200).wait()
        equal(t.end.how, TIMED_OUT)


@test
def typing_has_a_window():
    with Box() as e:
        t = Terminal(e, 'stty raw -echo; echo go; sleep 0.5; head -c 500000 | sha256sum', credit=1 << 20)
        t.wait(b'go')
        data = bytes(range(256)) * 2000
        sent, upto = 0, 262144
        out = bytearray()
        while True:
            while sent < 500000 and sent < upto:
                n = min(upto - sent, 65536, 500000 - sent)
                e.send('job_data', job=t.job, stream=0, offset=sent, bytes=data[sent:sent + n])
                sent += n
            m = e.recv()
            if m.kind_ == 'job_credit':
                upto = m.upto
            elif m.kind_ == 'job_data':
                out += m.bytes
            else:
                break
        assert hashlib.sha256(data[:500000]).hexdigest().encode() in out, out


# ---------------------------------------------------------------- rubbish

def breach(data, answered=True):
    base = tempfile.mkdtemp()
    e = Executor(BINARY, base)
    try:
        e.expect('hello')
        e.start('sleep 1000')
        pid = e.expect('job_started').pid
        e.send_raw(data)
        m = e.expect('bye')
        assert m.reason
        assert not exists(pid), 'the job lives on'
        equal(e.proc.wait(5), 1)
        return m.reason
    finally:
        e.sock.close()
        e.proc.stderr.close()
        os.rmdir(base)


def frame(raw):
    return struct.pack('>I', len(raw)) + raw


@test
def rubbish_ends_the_executor():
    breach(b'\xff' * 100)
    breach(b'\0\0\0\0')
    breach(struct.pack('>I', 262144 + 8193))
    breach(frame(b'\xc1'))
    breach(frame(b'\x92\x10'))
    breach(frame(b'\xdd\xff\xff\xff\xff'))
    breach(frame(b'\x80'))
    breach(frame(pack([1, 0]) + b'\0'))
    breach(frame(pack([16, 0, b'short'])))
    breach(frame(pack([16, 0, bytes(16), 'text'])))
    breach(frame(pack([16, 0, bytes(16), 0, ['a\0b']])))
    breach(frame(b'\x91' * 10 + b'\0'))
    breach(encode('job_started', job=bytes(16), pid=1))          # only executors say that
    breach(encode('hello', min=2, max=3))
    equal(breach(encode('hello', min=0, max=0)), 'no version in common')


@test
def breaches_of_credit_end_it():
    for data in (('job_data', {'stream': 0, 'offset': 0, 'bytes': b'x' * 262144 + b''}),
                 ('job_data', {'stream': 0, 'offset': 5, 'bytes': b'x'}),
                 ('job_eof', {'stream': 0, 'offset': 5})):
        base = tempfile.mkdtemp()
        e = Executor(BINARY, base)
        e.expect('hello')
        job = e.start('sleep 1000', stdin=None)
        name, fields = data
        e.expect('job_started')
        for _ in range(3):
            try:
                e.send(name, job=job, **fields)
            except OSError:
                pass
        kinds = []
        try:
            while True:
                kinds.append(e.recv().kind_)
        except Gone:
            pass
        equal(kinds[-1], 'bye')
        equal(e.proc.wait(5), 1)
        e.sock.close()
        e.proc.stderr.close()
        os.rmdir(base)


@test
def unknown_messages_and_more_fields():
    with Box() as e:
        e.send_raw(frame(pack([999, 0, 1, 2])))
        equal(e.expect('unsupported').type, 999)
        e.send_raw(frame(pack([4, 0, 77, 'a field of later', [1]])))     # ping
        equal(e.expect('pong').cookie, 77)
        e.send_raw(frame(pack([4, 0])))
        equal(e.expect('pong').cookie, 0)
        e.send('ack', taken=0)
        equal(e.expect('unsupported').type, 6)
        for name in ('job_credit', 'job_data', 'job_eof', 'job_signal', 'job_resize', 'job_cancel'):
            e.send(name, job=os.urandom(16))
        ended(e.run('true'))


@test
def frames_byte_by_byte():
    with Box() as e:
        job = os.urandom(16)
        data = (encode('job_start', job=job, command='cat') + encode('job_credit', job=job, stream=1, upto=99) +
                encode('job_eof', job=job, stream=0))
        for byte in data:
            e.send_raw(bytes((byte,)))
        ended(e.collect(job))


@test
def a_truncated_frame_and_the_end():
    base = tempfile.mkdtemp()
    e = Executor(BINARY, base)
    e.expect('hello')
    e.send_raw(encode('job_start', job=bytes(16), command='touch x')[:-3])
    equal(e.close(), 0)
    equal(os.listdir(base), [])
    os.rmdir(base)


@test
def wrong_arguments():
    for args in ([], ['-w', 'relative'], ['-w', '/nonexistent/x'], ['-w', '/', 'more'], ['-w', '/', '-i', 'x'],
                 ['-w', '/', '-z'], ['-w', '/etc/passwd'], ['-w', '/']):
        r = subprocess.run([BINARY] + args, stdin=subprocess.DEVNULL, capture_output=True, close_fds=True,
                           check=False, timeout=10)
        assert r.returncode == 1 and b'xbot-executor' in r.stderr, (args, r)


def main():
    global BINARY, SANITIZED
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARY = os.path.abspath(sys.argv[1])
    with open(BINARY, 'rb') as program:
        SANITIZED = b'__asan_init' in program.read()
    wanted = sys.argv[2:]
    for function in TESTS:
        name = function.__name__
        if wanted and not any(w in name for w in wanted):
            continue
        start = time.monotonic()
        try:
            function()
            word = 'ok'
        except Skip as why:
            word, name = 'skip', f'{name}: {why}'
        except Exception:
            word = 'not ok'
            traceback.print_exc(file=sys.stdout)
        COUNT[word] += 1
        print(f'{"ok" if word == "skip" else word} {name}{" # SKIP" if word == "skip" else ""}'
              f' ({time.monotonic() - start:.2f} s)', flush=True)
    print(f'{COUNT["ok"]} passed, {COUNT["not ok"]} failed, {COUNT["skip"]} skipped')
    sys.exit(1 if COUNT['not ok'] else 0)


main()
