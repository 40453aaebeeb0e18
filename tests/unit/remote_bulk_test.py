#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Bytes that stay in front: xbot-remote against a played front that keeps them,
and against one that lies about them.

usage: remote_bulk_test.py XBOT-REMOTE [test ...]
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import remote_test
from remote_peer import EXITED, KILLED, MIB, Conn2, Link2, Session, encode
from remote_test import TESTS, echo, eq, main, refused, test

TESTS.clear()       # those of remote_test

KIB = 1024
CHUNK = 192 * KIB


def up(w, credit=None):
    link = Link2()
    c = Conn2(w, link, credit=credit)
    c.resume()
    return link, c


def got(link, job):
    """What job_data has brought, which is in order."""
    data = bytearray()
    for m in link.seen:
        if m.name == 'job_data' and m.job == job:
            eq(m.offset, len(data))
            data += m.bytes
    return bytes(data)


def none_left(w):
    assert w.until(lambda: not w.bulks), w.bulks.keys()


@test()
def towards_runner(w):
    """In its place among the others; kept until the runner has taken it."""
    link, c = up(w)
    s = Session(w)
    job = echo(c, s)
    rng, want = random.Random(1), bytearray()
    for n in range(60):
        data = rng.randbytes(rng.choice((1, 5000, 16 * KIB, 70000, CHUNK)))
        if len(data) >= 16 * KIB:
            s.send_bulk(data, stream=0, offset=len(want))
        else:
            s.send('job_data', stream=0, offset=len(want), bytes=data)
        want += data
        w.settle(0)
    s.send('job_eof', stream=0, offset=len(want))
    w.until(lambda: link.seen and link.seen[-1].name == 'job_eof')
    eq(got(link, job) == want, True)
    assert w.bulks, 'nothing stayed in front'
    c.ack()
    none_left(w)
    eq(w.faults, [])


@test()
def towards_runner_cut(w):
    """Its connection is cut again and again: nothing lost, nothing twice."""
    link, c = up(w)
    s = Session(w)
    job = echo(c, s)
    rng, want = random.Random(2), bytearray()
    for n in range(30):
        for _ in range(rng.randrange(4)):
            data = rng.randbytes(rng.randrange(16 * KIB, CHUNK))
            s.send_bulk(data, stream=0, offset=len(want))
            want += data
        s.send('job_data', stream=0, offset=len(want), bytes=b'small')
        want += b'small'
        w.settle(rng.choice((0, 0.01)))
        if rng.random() < 0.5:
            c.ack()
        c.gone()
        s.send_bulk(bytes(20000), stream=0, offset=len(want))
        want += bytes(20000)
        c = Conn2(w, link)
        assert c.resume()
    assert w.until(lambda: len(got(link, job)) == len(want))
    eq(got(link, job) == want, True)
    c.ack()
    none_left(w)


@test()
def waits_for_credit(w):
    """A message that stays in front goes as a whole or not at all."""
    link, c = up(w, 4096)
    s = Session(w)
    job = echo(c, s)
    c.credit(c.got + 50000)
    s.send_bulk(b'a' * 100000, stream=0, offset=0)
    s.send('job_eof', stream=0, offset=100000)
    w.settle()
    eq(got(link, job), b'')
    c.credit(c.got + 200000)
    assert c.seen('job_data').bytes == b'a' * 100000
    c.seen('job_eof')


@test()
def is_counted(w):
    """What a runner does not take is kept up to a mark."""
    link, c = up(w, 4096)
    s = Session(w)
    job = echo(c, s)
    at = upto = 0
    for _ in range(200):
        upto += CHUNK
        c.tell('job_credit', job=job, stream=0, upto=upto)
        if not w.until(lambda: s.queue, 0.3):
            break
        s.queue.clear()
        s.send_bulk(bytes(CHUNK), stream=0, offset=at)
        at += CHUNK
    assert 15 * MIB < at < 18 * MIB, at
    c.sliding = True
    c.slide()
    c.ack()
    w.settle(0.3)
    c.ack()
    eq(s.wait('job_credit').upto, upto)
    w.settle()
    c.ack()
    none_left(w)


@test()
def towards_front(w):
    link, c = up(w)
    w.until(lambda: c.bulk)
    s = Session(w)
    job = echo(c, s, credit=3 * MIB)
    rng, want, have = random.Random(3), bytearray(), bytearray()
    for _ in range(20):
        data = rng.randbytes(rng.choice((10, 16 * KIB, CHUNK)))
        tell = c.tell_bulk if len(data) > 10 else (
            lambda **fields: c.tell('job_data', **fields))
        tell(job=job, stream=1, offset=len(want), bytes=data)
        want += data
    c.tell('job_exit', job=job, how=EXITED)
    while (m := s.next()).name != 'job_exit':
        eq(m.offset, len(have))
        have += m.bytes
    eq(have == want, True)
    none_left(w)
    assert w.until(lambda: not link.kept), 'no ack'


@test()
def towards_control(w):
    """What somebody else than front is to have does not stay there, and front
    hears so before the runner hears of the job."""
    link, c = up(w)
    w.until(lambda: c.bulk)
    on_message, told = c.on_message, []

    def watch(opcode, data):
        told.append(c.bulk)
        on_message(opcode, data)
    c.on_message = watch
    first, second = Session(w, peer='control'), Session(w, peer='control')
    mine = Session(w)
    job = echo(c, first)
    eq(told[0], False)
    other = echo(c, second)
    echo(c, mine)
    c.tell('job_exit', job=job, how=EXITED)
    first.wait('job_exit')
    w.settle(0.05)
    eq(c.bulk, False)
    # Also where nobody waits any more, until the runner has ended it.
    second.close()
    c.seen('job_cancel')
    eq(c.bulk, False)
    c.gone()
    c = Conn2(w, link)
    assert c.resume()
    w.settle(0.05)
    eq(c.bulk, False)
    c.tell('job_exit', job=other, how=KILLED)
    assert w.until(lambda: c.bulk)
    # Should front not listen: not one byte goes to the wrong place.
    s = Session(w, peer='control')
    number = c.tell_bulk(job=echo(c, s), stream=1, bytes=bytes(20000))
    refused(s.wait('session_lost'), 'EIO')
    assert w.until(lambda: number not in w.bulks)


@test()
def front_dies(w):
    """Its bytes are gone: the runner is told that there will be no more."""
    link, c = up(w, 4096)
    s = Session(w)
    job = echo(c, s)
    c.credit(c.got + 150000)
    for n in range(5):
        s.send_bulk(bytes(100000), stream=0, offset=n * 100000)
    w.settle()
    eq(len(got(link, job)), 100000)
    w.edge('front')
    w.settle(0.05)
    w.conns.clear()
    c = Conn2(w, link)
    assert c.resume()
    cancels = 0
    while cancels < 5:              # four that were lost, and its session
        eq(c.seen('job_cancel').job, job)
        cancels += 1
    c.tell('job_exit', job=job, how=KILLED)
    c.ack()
    s = Session(w)
    job = echo(c, s)
    s.send_bulk(b'n' * 50000, stream=0, offset=0)
    eq(c.seen('job_data').bytes, b'n' * 50000)
    c.ack()
    none_left(w)


@test()
def for_nobody(w):
    """Whatever becomes of it, front hears that it is not needed."""
    link, c = up(w)
    w.until(lambda: c.bulk)
    s = Session(w)
    job = echo(c, s)
    s.send_bulk(bytes(20000), stream=0, job=b'x' * 16)     # no such job
    none_left(w)
    c.tell_bulk(job=b'y' * 16, stream=1, bytes=bytes(20000))
    none_left(w)
    s.close()
    c.seen('job_cancel')
    c.tell_bulk(job=job, stream=1, bytes=bytes(20000))      # it is late
    none_left(w)
    w.front.send('bulk_data', s.serial, bulk=w.bulk(bytes(20000)), len=20000)
    none_left(w)
    c.gone()
    c.tell_bulk(job=job, stream=1, bytes=bytes(20000))
    none_left(w)
    eq(w.faults, [])
    # The runner is restarted: what was kept for it is of no use.
    c = Conn2(w, link, credit=4096)
    c.resume()
    s = Session(w)
    echo(c, s)
    s.send_bulk(bytes(20000), stream=0)
    s.send_bulk(bytes(20000), stream=0, offset=20000)
    w.settle(0.05)
    eq(len(w.bulks), 2)
    c.gone()
    up(w)
    refused(s.wait('session_lost'), 'EIO')
    none_left(w)


@test()
def runner_lies(w):
    """The head is the runner's, and remote reads it."""
    data = bytes(20000)

    def head(**fields):
        return encode('job_data', 0, {'stream': 1, **fields})[:-len(data)]
    for make in (lambda job: head(job=job, stream=9, bytes=data),
                 lambda job: head(job=job, offset=MIB, bytes=data),
                 lambda job: head(job=job, bytes=data)[:-1],
                 lambda job: head(job=job, bytes=data)[1:],
                 lambda job: head(job=job, bytes=data) + b'\0',
                 lambda job: b'',
                 lambda job: os.urandom(60),
                 lambda job: encode('file_hashes', 0, {
                     'job': job, 'hashes': data})[:-len(data)],
                 lambda job: head(job=job, bytes=data)[:4] + b'\xdd' +
                 b'\xff' * 4 + head(job=job, bytes=data)[9:]):
        link, c = up(w)
        w.until(lambda: c.bulk)
        s = Session(w)
        job = echo(c, s, credit=30000)
        c.bulk_data(make(job), data)
        eq((c.wait_close() or (0,))[0], 1002)
        refused(s.wait('session_lost'), 'EIO')
        none_left(w)
        c.gone()
    # Before it has resumed anything.
    c = Conn2(w, Link2())
    c.bulk_data(head(job=b'j' * 16, bytes=data), data)
    eq((c.wait_close() or (0,))[0], 1002)
    none_left(w)
    eq(w.faults, [])


@test()
def front_lies(w):
    def fault(what):
        w.faults.clear()
        w.edge('front')
        w.settle(0.05)
        w.conns.clear()
        link, c = up(w)
        s = Session(w)
        job = echo(c, s)
        what(c, s, job)
        assert w.until(lambda: w.faults), what
        eq(w.faults[0][0], 'front')

    def old(c, s, job):
        w.token('old', 'bob', 'old')
        w.runner(user='bob', token='old')
        t = Session(w, user='bob', runner='old')
        w.front.send('bulk_data', t.serial, job=t.job, bulk=1, len=20000)

    def half(c, s, job):
        w.front.send('ws_data', c.serial, opcode=2, first=True, bytes=b'x')
        c.bulk_data(b'', bytes(20000))
    fault(lambda c, s, job: s.send('bulk_data', bulk=1, len=100))
    fault(lambda c, s, job: s.send('bulk_data', bulk=1, len=1 << 31))
    fault(lambda c, s, job: c.bulk_data(b'', b'', 2 * MIB))
    fault(half)
    fault(old)


if __name__ == '__main__':
    sys.exit(main())
