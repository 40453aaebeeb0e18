#!/usr/bin/python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""xbot-ledger as a real process, with us in the place of its parent and peers.

usage: ledger_test.py path/to/xbot-ledger
"""
import hashlib
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

from ctl import Child, owner_for

SERVICE, USER = 1, 2
BINARY = os.path.abspath(sys.argv[1])
NONE, EINVAL, EPERM, ENOENT, EEXIST, EBUSY = 0, 1, 3, 4, 6, 9
EIO = 11


def sha(text):
    return hashlib.sha256(text.encode()).digest()


class Skip(Exception):
    pass


class Ledger(Child):
    """The child with its peers; front and control acknowledge by themselves."""

    def __init__(self, path, peers='front control remote none', **conf):
        conf = dict({'dir': path.encode(), 'slots': 3, 'docker': True}, **conf)
        super().__init__(BINARY, 'ledger',
                         lambda p: p.send('conf_ledger', **conf))
        self.up = self.go()
        self.copy = {'front': {}, 'control': {}}
        if not self.up:
            return
        for role in peers.split():
            setattr(self, role, self.peer(role))
            if role in self.copy:
                self.sync(role)

    def sync(self, role):
        """Read a copy's table up to route_synced."""
        self.copy[role] = {}
        while True:
            m = getattr(self, role).recv()
            assert m is not None
            if m.name == 'route_synced':
                return self.copy[role]
            assert self.apply(role, m), m

    def apply(self, role, m):
        t = self.copy[role]
        if m.name == 'route_runner':
            t['r', m.user, m.name_] = m
        elif m.name == 'route_gone':
            t.pop(('r', m.user, m.name_), None)
        elif m.name == 'route_active':
            t['a', m.user] = m.name_
        elif m.name == 'route_bind':
            t['b', m.user, m.session] = m.name_
        elif m.name == 'token_flush':
            t.setdefault('flushed', []).append(m.hash)
        else:
            return False
        if m.serial:
            getattr(self, role).send('route_ack', m.serial)
        return True

    def ask(self, kind, role='front', /, **fields):
        """-> (messages of the answer, code); the last is ledger_done."""
        chan = getattr(self, role)
        serial = chan.next_serial()
        chan.send(kind, serial, **fields)
        got = []
        other = 'control' if role == 'front' else 'front'
        while True:
            self.drain(other)
            try:
                m = chan.recv(0.05)
            except TimeoutError:
                continue
            assert m is not None, 'ledger is gone'
            if self.apply(role, m):
                continue
            assert m.serial == serial, m
            got.append(m)
            if m.name == 'ledger_done':
                return got, m.code
            if m.name == 'token_answer':
                return m

    def drain(self, role, seconds=0.01):
        if not hasattr(self, role):
            return
        while True:
            try:
                m = getattr(self, role).recv(seconds)
            except TimeoutError:
                return
            if m is None:
                return
            assert self.apply(role, m), m

    def code(self, kind, role='front', /, **fields):
        return self.ask(kind, role, **fields)[1]

    def create(self, user, name, token=None, **fields):
        return self.code('runner_create', user=user, name=name,
                         hash=sha(token or user + name), **fields)

    def status(self, user, name, online=True, **fields):
        self.remote.send('runner_status', user=user, name=name, online=online,
                         **fields)
        for role in 'front', 'control':
            m = getattr(self, role).recv()
            self.apply(role, m)

    def auth(self, user, hash_):
        serial = self.remote.next_serial()
        self.remote.send('runner_auth', serial, user=user, hash=hash_)
        m = self.remote.wait('runner_authed')
        assert m.serial == serial and m.user == user
        return m.name_

    def slot(self, user):
        serial = self.none.next_serial()
        self.none.send('slot_get', serial, user=user)
        m = self.none.wait('slot')
        assert m.serial == serial
        return m.code or m.slot

    def runners(self, role='front', user='alice'):
        return {k[2]: v for k, v in self.copy[role].items()
                if k[0] == 'r' and k[1] == user}


def state_dir():
    path = tempfile.mkdtemp(prefix='ledger')
    if os.getuid() == 0:
        os.chown(path, *owner_for('ledger'))
    return path


def test_first_token(path):
    led = Ledger(path)
    token = led.first_token.token
    file = os.path.join(path, 'service.token')
    assert led.first_token.file == file.encode()
    assert len(token) == 43
    with open(file, encoding='ascii') as f:
        assert f.read() == token + '\n'
    for name in 'service.token', 'data.mdb', 'lock.mdb':
        mode = os.stat(os.path.join(path, name)).st_mode
        assert stat.S_IMODE(mode) == 0o600, (name, oct(mode))
    a = led.ask('token_query', hash=sha(token))
    assert (a.kind, a.user) == (SERVICE, ''), a
    assert led.stop() == 0
    led = Ledger(path)
    assert led.first_token is None
    assert led.ask('token_query', hash=sha(token)).kind == SERVICE
    with open(os.path.join(path, 'data.mdb'), 'rb') as f:
        assert token.encode() not in f.read()


def test_configured_token(path):
    led = Ledger(path, api_token='conf-secret', runner_token='global')
    assert led.first_token is None
    assert not os.path.exists(os.path.join(path, 'service.token'))
    a = led.ask('token_query', hash=sha('conf-secret'))
    assert (a.kind, a.name_) == (SERVICE, 'configuration')
    assert led.ask('token_query', hash=sha('global')).kind == 0
    rows, code = led.ask('token_list', 'control')
    assert code == NONE and len(rows) == 2 and rows[0].created == 0
    assert led.code('token_revoke', 'control', id=rows[0].id) == EPERM
    # A reload changes it: both copies forget both.
    led.parent.send('conf_ledger', dir=path.encode(), api_token='other')
    led.parent.send('conf_commit')
    for role in 'front', 'control':
        led.drain(role, 0.3)
        assert led.copy[role]['flushed'] == [sha('conf-secret'), sha('other')]
    assert led.ask('token_query', hash=sha('conf-secret')).kind == 0
    assert led.ask('token_query', hash=sha('other')).kind == SERVICE


def test_tokens(path):
    led = Ledger(path)
    make = dict(hash=sha('t1'), kind=USER, user='alice', name='laptop')
    assert led.code('token_create', 'control', **make) == NONE
    assert led.code('token_create', 'control', **make) == NONE
    assert led.code('token_create', 'control',
                    **dict(make, user='bob')) == EEXIST
    assert led.code('token_create', 'control',
                    **dict(make, hash=sha(''))) == EINVAL
    assert led.code('token_create', 'control',
                    **dict(make, hash=b'short')) == EINVAL
    assert led.code('token_create', 'control', **dict(make, kind=3)) == EINVAL
    assert led.code('token_create', 'control',
                    **dict(make, kind=SERVICE)) == EINVAL
    assert led.code('token_create', 'control',
                    **dict(make, user='../x')) == EINVAL
    a = led.ask('token_query', hash=sha('t1'))
    assert (a.kind, a.user, a.name_) == (USER, 'alice', 'laptop')
    assert led.ask('token_query', hash=sha('')).kind == 0
    assert led.ask('token_query', hash=b'').kind == 0
    rows, code = led.ask('token_list', 'control')
    assert code == NONE and len(rows) == 3
    mine = [r for r in rows[:-1] if r.user == 'alice'][0]
    assert mine.id == sha('t1').hex()[:16] and mine.created > 1.6e12
    assert led.code('token_revoke', 'control', id='0' * 16) == ENOENT
    assert led.code('token_revoke', 'control', id='x') == EINVAL
    assert led.code('token_revoke', 'control', id=mine.id) == NONE
    for role in 'front', 'control':
        assert led.copy[role]['flushed'] == [sha('t1')]
    assert led.ask('token_query', hash=sha('t1')).kind == 0


def test_revoke_waits(path):
    """Not answered before each copy has acknowledged, or is gone."""
    led = Ledger(path)
    for t in 'abc':
        led.code('token_create', 'control', hash=sha(t), kind=SERVICE)
    led.drain('front')
    c, f = led.control, led.front
    c.send('token_revoke', 7, id=sha('a').hex()[:16])
    m = c.wait('token_flush')
    c.send('route_ack', m.serial)
    assert c.quiet()
    f.send('route_ack', f.wait('token_flush').serial)
    m = c.wait('ledger_done')
    assert (m.serial, m.code) == (7, NONE)
    # Front goes instead.
    c.send('token_revoke', 8, id=sha('b').hex()[:16])
    c.send('route_ack', c.wait('token_flush').serial)
    assert c.quiet()
    f.close()
    assert c.wait('ledger_done').code == NONE
    # Front neither answers nor goes: an honest error after a while.
    led.front = led.peer('front')
    led.sync('front')
    c.send('token_revoke', 9, id=sha('c').hex()[:16])
    c.send('route_ack', c.wait('token_flush').serial)
    m = c.wait('ledger_done')
    assert (m.serial, m.code) == (9, EIO), m
    assert led.ask('token_query', 'control', hash=sha('c')).kind == 0


def test_runners(path):
    led = Ledger(path)
    assert led.create('alice', 'one', workspace=b'/w', mode='docker',
                      docker_image='img') == NONE
    assert led.copy['front']['a', 'alice'] == 'one'
    assert led.create('alice', 'one') == NONE       # the same token: repeated
    assert led.create('alice', 'one', 'other') == EEXIST
    assert led.create('alice', 'two') == NONE
    assert led.create('bob', 'one', 'aliceone') == EEXIST   # alice's token
    for name in ('', 'active', '__docker__', 'a b', '..', 'x' * 65, 'a/b'):
        assert led.create('alice', name) == EINVAL, name
    for fields in ({'mode': 'vm'}, {'llm_provider': 'me'},
                   {'workspace': b'/a\nb'}, {'docker_image': 'a\x1b'}):
        assert led.create('alice', 'bad', **fields) == EINVAL, fields
    assert led.create('-x', 'bad') == EINVAL
    assert led.code('runner_create', user='alice', name='bad',
                    hash=sha('')) == EINVAL
    for role in 'front', 'control':
        led.drain(role)
        rs = led.runners(role)
        assert set(rs) == {'one', 'two'}
        one = rs['one']
        assert (one.mode, one.docker_image, one.workspace, one.online) == (
            'docker', 'img', b'/w', False)
        assert rs['two'].mode == 'native'
        assert one.created < rs['two'].created
    assert led.code('runner_llm', user='alice', name='two',
                    llm_provider='openai', llm_model='m') == NONE
    assert led.runners()['two'].llm_model == 'm'
    assert led.code('runner_llm', user='alice', name='two',
                    llm_provider='x') == EINVAL
    assert led.code('runner_llm', user='alice', name='no') == ENOENT
    led.stop()
    led = Ledger(path)
    assert set(led.runners()) == {'one', 'two'}
    assert led.copy['control']['a', 'alice'] == 'one'
    assert led.runners()['two'].llm_provider == 'openai'


def test_choices(path):
    led = Ledger(path)
    for name in 'one', 'two', 'three':
        led.create('alice', name)
    led.create('bob', 'bobs')
    front = led.copy['front']
    for name, code in (('two', NONE), ('bobs', ENOENT), ('nil', ENOENT),
                       ('__docker__', NONE), ('', NONE), ('three', NONE)):
        assert led.code('active_set', user='alice', name=name) == code, name
        if code == NONE:
            assert front['a', 'alice'] == name
    for session, name, code in (('s:1', 'three', NONE), ('s:2', 'two', NONE),
                                ('s:3', 'bobs', ENOENT), ('', 'two', EINVAL),
                                ('a\nb', 'two', EINVAL),
                                ('x' * 256, 'three', NONE)):
        assert led.code('bind_set', user='alice', session=session,
                        name=name) == code, session
    # Rename moves everything; delete clears bindings, active is the oldest.
    assert led.code('runner_rename', user='alice', name='three',
                    new_name='two') == EEXIST
    assert led.code('runner_rename', user='alice', name='no',
                    new_name='x') == ENOENT
    assert led.code('runner_rename', user='alice', name='three',
                    new_name='active') == EINVAL
    assert led.code('runner_rename', user='alice', name='three',
                    new_name='three') == NONE
    assert led.code('runner_rename', user='alice', name='three',
                    new_name='drei') == NONE
    m = led.remote.wait('runner_renamed')
    assert (m.user, m.name_, m.new_name) == ('alice', 'three', 'drei')
    assert set(led.runners()) == {'one', 'two', 'drei'}
    assert front['a', 'alice'] == 'drei'
    assert front['b', 'alice', 's:1'] == 'drei'
    assert front['b', 'alice', 'x' * 256] == 'drei'
    assert led.auth('alice', sha('alicethree')) == 'drei'
    assert led.code('runner_delete', user='alice', name='drei') == NONE
    m = led.remote.wait('runner_kick')
    assert (m.user, m.name_, m.reason) == ('alice', 'drei', 'deleted')
    assert front['a', 'alice'] == 'one'
    assert front['b', 'alice', 's:1'] == ''
    assert front['b', 'alice', 's:2'] == 'two'
    assert led.auth('alice', sha('alicethree')) == ''
    assert led.code('runner_delete', user='alice', name='drei') == ENOENT
    led.stop()
    led = Ledger(path, docker=False)
    front = led.copy['front']
    assert front['b', 'alice', 's:2'] == 'two'
    assert ('b', 'alice', 's:1') not in front
    assert led.code('active_set', user='alice', name='__docker__') == ENOENT
    for name in 'one', 'two':
        assert led.code('runner_delete', user='alice', name=name) == NONE
    assert led.copy['front']['a', 'alice'] == ''
    led.stop()
    led = Ledger(path)
    assert not [k for k in led.copy['front'] if k[1] == 'alice']


def test_bind_bound(path):
    led = Ledger(path, peers='front')
    led.create('alice', 'one')
    for i in range(1001):
        assert led.code('bind_set', user='alice', session=f's{i}',
                        name='one') == NONE
    bound = [k for k, v in led.copy['front'].items() if k[0] == 'b' and v]
    assert len(bound) == 1000, len(bound)
    assert led.copy['front']['b', 'alice', 's1000'] == 'one'


def test_runner_tokens(path):
    led = Ledger(path, runner_token='global')
    led.create('alice', 'one', 'tok')
    assert led.auth('alice', sha('tok')) == 'one'
    assert led.auth('bob', sha('tok')) == ''
    assert led.auth('alice', sha('nope')) == ''
    assert led.auth('alice', sha('')) == ''
    assert led.auth('alice', b'') == ''
    assert led.auth('no/body', sha('global')) == ''
    assert led.auth('alice', sha('global')) == 'default'
    # A runner's token is none for clients.
    assert led.ask('token_query', hash=sha('tok')).kind == 0
    assert led.code('runner_token', user='alice', name='one',
                    hash=sha('new')) == NONE
    assert led.remote.wait('runner_kick').name_ == 'one'
    assert led.auth('alice', sha('tok')) == ''
    assert led.auth('alice', sha('new')) == 'one'
    # Asked again: no second kick.
    assert led.code('runner_token', user='alice', name='one',
                    hash=sha('new')) == NONE
    assert led.remote.quiet()
    assert led.code('runner_token', user='alice', name='no',
                    hash=sha('x')) == ENOENT
    assert led.code('runner_token', user='alice', name='one',
                    hash=sha('')) == EINVAL


def test_online(path):
    led = Ledger(path, runner_token='global')
    led.create('alice', 'one', workspace=b'/configured', llm_base_url='url')
    led.create('alice', 'two')
    led.status('alice', 'two', workspace=b'/w2', shell=b'/bin/bash')
    led.status('alice', 'one', workspace=b'/w1', llm_provider='openai',
               llm_model='gpt')
    rs = led.runners()
    assert rs['two'].online and rs['one'].online
    assert rs['one'].workspace == b'/configured'
    assert (rs['two'].workspace, rs['two'].shell) == (b'/w2', b'/bin/bash')
    # D34: provider and model, nothing else, and the token still counts.
    assert (rs['one'].llm_provider, rs['one'].llm_model,
            rs['one'].llm_base_url) == ('openai', 'gpt', 'url')
    assert led.auth('alice', sha('aliceone')) == 'one'
    # Said again: nothing changes.
    led.status('alice', 'two')
    assert led.runners()['two'].online
    led.status('alice', 'one', online=False)
    one = led.runners()['one']
    assert (one.online, one.workspace) == (False, b'/configured')
    led.status('alice', 'two', online=False)
    assert led.runners()['two'].workspace == b''
    led.status('alice', 'two')
    assert one.llm_model == 'gpt'
    # The record says what was, llm what is there now.
    led.status('alice', 'two', llm_provider='openai', llm_model='x', v2=True)
    two = led.runners()['two']
    assert (two.llm, two.v2, two.llm_provider) == ('openai', True, 'openai')
    led.status('alice', 'two', llm_provider='mine')
    two = led.runners()['two']
    assert (two.llm, two.v2, two.llm_provider) == ('', False, 'openai')
    led.status('alice', 'two', llm_provider='anthropic')
    led.status('alice', 'two', online=False)
    two = led.runners()['two']
    assert (two.llm, two.v2, two.llm_provider) == ('', False, 'anthropic')
    led.status('alice', 'two')
    # The global token's runner shows, and its record has no token.
    led.status('alice', 'default')
    assert led.runners()['default'].online
    assert led.auth('alice', sha('')) == '' and led.auth('alice', b'') == ''
    assert led.code('runner_rename', user='alice', name='two',
                    new_name='zwei') == NONE
    assert led.runners()['zwei'].online
    # Unknown: sent away.
    led.remote.send('runner_status', user='alice', name='two', online=True)
    assert led.remote.wait('runner_kick').name_ == 'two'
    # The first that somebody creates is active, not the one that came.
    led.status('bob', 'default')
    led.create('bob', 'bobs')
    assert led.copy['front']['a', 'bob'] == 'bobs'
    # Remote dies: all are offline; it comes back and tells again.
    led.remote.close()
    led.drain('front', 0.3)
    led.drain('control', 0.3)
    for role in 'front', 'control':
        assert not any(v.online for k, v in led.copy[role].items()
                       if k[0] == 'r')
    led.remote = led.peer('remote')
    led.status('alice', 'zwei')
    assert led.runners()['zwei'].online
    # The global token changes: who came with it goes.
    led.status('alice', 'default')
    led.parent.send('conf_ledger', dir=path.encode(), runner_token='g2')
    led.parent.send('conf_commit')
    m = led.remote.wait('runner_kick')
    assert (m.user, m.name_) == ('alice', 'default')
    assert led.auth('alice', sha('global')) == ''
    assert led.auth('alice', sha('g2')) == 'default'


def test_slots(path):
    led = Ledger(path)
    assert [led.slot(u) for u in ('a', 'b', 'a', 'c')] == [0, 1, 0, 2]
    assert led.slot('d') == EBUSY
    assert led.slot('../d') == EINVAL
    led.kill()
    led = Ledger(path, slots=4)
    assert [led.slot(u) for u in ('d', 'c', 'b', 'a')] == [3, 2, 1, 0]
    led.stop()
    led = Ledger(path, slots=2)
    assert [led.slot(u) for u in ('a', 'b', 'c')] == [0, 1, EBUSY]


def test_big_table(path):
    """Filled beyond the channel's high-water mark, while others change it."""
    led = Ledger(path, peers='front')
    users = [f'u{i}' for i in range(400)]
    for user in users:
        assert led.create(user, 'one', docker_image='i' * 256,
                          workspace=b'w' * 4096, llm_model='m' * 256) == NONE
    led.control = led.peer('control')
    led.front.send('token_query', 5, hash=sha('x'))
    assert led.front.recv().kind == 0
    # Now its channel is full, with most of the table still to come.
    for i, (user, name) in enumerate((('u0', 'late'), ('zz', 'late'))):
        led.front.send('runner_create', i, user=user, name=name,
                       hash=sha(user + name))
    led.front.send('runner_delete', 2, user='u399', name='one')
    led.sync('control')
    for i in range(3):
        while led.apply('front', m := led.front.recv()):
            led.drain('control')
        assert (m.name, m.serial, m.code) == ('ledger_done', i, NONE)
    both = [{k for k, v in led.copy[role].items() if k[0] == 'r'}
            for role in ('front', 'control')]
    assert both[0] == both[1] == (
        {('r', u, 'one') for u in users if u != 'u399'} |
        {('r', 'u0', 'late'), ('r', 'zz', 'late')})


def expect_fatal(path, text):
    led = Ledger(path)
    assert not led.up
    assert led.proc.wait(10) == 1
    assert any(text in line for line in led.lines), led.lines


def test_bad_databases(path):
    data = os.path.join(path, 'data.mdb')
    led = Ledger(path)
    led.create('alice', 'one')
    # In use.
    expect_fatal(path, 'in use by another supervisor')
    led.stop()
    with open(data, 'rb') as f:
        good = f.read()
    own = owner_for('ledger')

    def put(content):
        with open(data, 'wb') as f:
            f.write(content)
        if os.getuid() == 0:
            os.chown(data, *own)
        return content
    for content, text in ((b'garbage' * 2000, 'left as it is'),
                          (good[:-4096], 'cut short'),
                          (good[:9000], 'left as it is'),
                          (good.replace(b'xbot-ledger', b'not-ledger!'),
                           'not a database of xbot-ledger')):
        put(content)
        expect_fatal(path, text)
        with open(data, 'rb') as f:
            assert f.read() == content, text
    i = good.index(b'xbot-ledger')
    j = good.rindex(b'\x01', 0, i)
    put(good[:j] + b'\x02' + good[j + 1:])
    expect_fatal(path, 'has format')
    put(good)
    led = Ledger(path)
    assert set(led.runners()) == {'one'}


def mount_small(path, size):
    if os.getuid() != 0 or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', f'size={size},mode=700', 'none',
             path], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Skip('needs to mount a small file system')


def test_full_disk(path):
    """Refused with a reason; what was there stays, and is served."""
    mount_small(path, '400k')
    try:
        os.chown(path, *owner_for('ledger'))
        led = Ledger(path)
        created = []
        for i in range(300):
            code = led.create('alice', f'r{i}', workspace=b'w' * 4000)
            if code != NONE:
                break
            created.append(f'r{i}')
        assert code == EBUSY and len(created) > 20, (code, len(created))
        assert set(led.runners()) == set(created)
        assert led.auth('alice', sha('alicer0')) == 'r0'
        assert led.code('active_set', user='alice', name='nil') == ENOENT
        led.stop()
        led = Ledger(path)
        assert led.up and set(led.runners()) == set(created)
        led.stop()
    finally:
        subprocess.run(['umount', '-l', path], check=False)


def test_full_disk_midway(path):
    """A write that ends in the middle is no other error."""
    mount_small(path, '300k')
    try:
        os.chown(path, *owner_for('ledger'))
        led = Ledger(path)
        created, refused = set(), []
        for i in range(1000):
            code = led.create(f'u{i % 50}', f'r{i}', workspace=b'w' * 500)
            if code == NONE:
                created.add(f'r{i}')
            else:
                refused.append(code)
            if len(refused) == 8:
                break
        assert refused == [EBUSY] * 8, refused
        kept = {n for u in range(50) for n in led.runners(user=f'u{u}')}
        assert kept == created, kept ^ created
        led.stop()
    finally:
        subprocess.run(['umount', '-l', path], check=False)


def test_protocol(path):
    """What does not fit its edge closes that edge, and nothing else."""
    led = Ledger(path)
    for role, name, fields in (
            ('front', 'token_list', {}),             # control's
            ('front', 'token_create', {}),
            ('front', 'slot_get', {}),               # none's
            ('none', 'runner_auth', {}),
            ('remote', 'runner_create', {}),
            ('control', 'slot', {}),                 # ours
            ('remote', 'runner_status', {'user': '..'}),
            ('front', 'route_ack', {})):
        chan = getattr(led, role)
        chan.send(name, 999999, **fields)
        assert chan.wait() is None, (role, name)
        m = led.until('peer_fault')
        assert m is not None
        setattr(led, role, led.peer(role))
        if role in led.copy:
            led.sync(role)
    led.front.sock.sendall(struct.pack('>I', 5) + b'\xdd\xff\xff\xff\xff')
    assert led.front.wait() is None
    led.front = led.peer('front')
    led.sync('front')
    assert led.create('alice', 'one') == NONE


def test_kill(path):
    """kill -9 at random moments: what was answered is there afterwards."""
    rnd = random.Random(7)
    there, maybe = {}, {}
    token = None
    for round_ in range(12):
        led = Ledger(path, peers='front')
        assert led.up, led.lines
        token = token or led.first_token.token
        got = {k[2]: v for k, v in led.copy['front'].items() if k[0] == 'r'}
        for name, state in there.items():
            if name not in maybe:
                assert (name in got) == state, (round_, name, state)
        there = {name: True for name in got}
        maybe = {}
        assert led.ask('token_query', hash=sha(token)).kind == SERVICE
        timer = threading.Timer(rnd.uniform(0.005, 0.08), led.proc.kill)
        timer.start()
        name = None
        try:
            for i in range(10000):
                name = f'r{rnd.randrange(40)}'
                if there.get(name):
                    maybe[name] = True
                    assert led.code('runner_delete', user='alice',
                                    name=name) == NONE
                    there[name] = False
                else:
                    maybe[name] = True
                    assert led.create('alice', name) == NONE
                    there[name] = True
                del maybe[name]
        except (AssertionError, OSError) as e:
            assert isinstance(e, OSError) or 'is gone' in str(e), e
        timer.join()
        led.proc.wait()
    assert any(there.values())


def test_early_peer(path):
    """Questions before go are not lost: they are answered after it, and from
    the database."""
    child = Child(BINARY, 'ledger', lambda p: p.send(
        'conf_ledger', dir=path.encode(), slots=1))
    front = child.peer('front')
    front.send('token_query', 5, hash=sha('x'))
    assert child.go()
    assert front.recv().name == 'route_synced'
    m = front.recv()
    assert (m.name, m.serial, m.kind) == ('token_answer', 5, 0), m
    child.kill()


RECORD = {'user': 'alice', 'container': b'c' * 64, 'image': b'sha256:1',
          'state': 2, 'used': 1700000000, 'activity': 7, 'busy': True}
ENTRY = {'id': b'0123456789abcdef', 'user': 'alice', 'what': 1, 'step': 1,
         'container': b'c' * 64, 'image': b'', 'began': 1700000000123}


def fields(m, like):
    return {k: getattr(m, k) for k in like}


def text(values):
    return {k: v.decode() if isinstance(v, bytes) and k != 'id' else v
            for k, v in values.items()}


def docker_up(led):
    """-> (records, journal entries)"""
    led.docker = led.peer('docker')
    got = {'sandbox_record': [], 'journal_entry': []}
    while True:
        m = led.docker.recv()
        if m.name == 'sandboxes_synced':
            return got['sandbox_record'], got['journal_entry']
        got[m.name].append(m)


def stored(led, kind, **values):
    serial = led.docker.next_serial()
    led.docker.send(kind, serial, **values)
    m = led.docker.recv()
    assert (m.name, m.serial) == ('sandbox_stored', serial), m
    return m.code


def test_sandboxes(path):
    """docker's records and journal are there again after kill -9"""
    led = Ledger(path, peers='front')
    assert docker_up(led) == ([], [])
    assert stored(led, 'sandbox_record', **text(RECORD)) == NONE
    assert stored(led, 'journal_entry', **text(ENTRY)) == NONE
    second = dict(ENTRY, step=2, image=b'sha256:2')
    assert stored(led, 'journal_entry', **text(second)) == NONE
    assert stored(led, 'sandbox_record',
                  **text(dict(RECORD, user='bob', busy=False))) == NONE
    led.kill()
    led = Ledger(path, peers='front')
    records, entries = docker_up(led)
    assert [r.user for r in records] == ['alice', 'bob'], records
    assert fields(records[0], RECORD) == text(RECORD), records[0]
    assert [fields(e, second) for e in entries] == [text(second)], entries
    reaper = led.peer('reaper')
    reaper.send('sandbox_scan', 9)
    rows = [reaper.recv(), reaper.recv()]
    assert [(r.name, r.serial, r.user, r.activity, r.busy) for r in rows] == [
        ('sandbox_row', 9, 'alice', 7, True),
        ('sandbox_row', 9, 'bob', 7, False)], rows
    assert reaper.recv().name == 'sandbox_scanned'
    assert stored(led, 'journal_end', id=ENTRY['id']) == NONE
    assert stored(led, 'journal_end', id=ENTRY['id']) == NONE
    assert stored(led, 'sandbox_forget', user='alice') == NONE
    records, entries = docker_up(led)
    assert ([r.user for r in records], entries) == (['bob'], [])
    led.kill()


def main():
    passed = failed = skipped = 0
    for name, test in list(globals().items()):
        if not name.startswith('test_') or (
                len(sys.argv) > 2 and name[5:] not in sys.argv[2:]):
            continue
        path = state_dir()
        try:
            test(path)
            passed += 1
            print('ok', name, flush=True)
        except Skip as e:
            skipped += 1
            print('ok', name, '# skip', e, flush=True)
        except Exception:                   # each failure is told
            traceback.print_exc()
            failed += 1
            print('not ok', name, flush=True)
        shutil.rmtree(path)
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
