#!/usr/bin/env python3
# Copyright (c) 2026 The xbot-supervisor authors.  Licence: ISC, see COPYING.
"""Golden tests of the configuration: run.py [--update] path/to/xbot-supervisor

good/NAME.conf is printed with -nv and must equal NAME.out (or NAME.root.out
and NAME.user.out where the defaults differ), and what was printed must parse
to the same.  bad/NAME.conf must be refused with exactly the lines of
NAME.err.  Lines that steer a case stand at the top of its file:
  # env: NAME=value       a variable of the process environment
  # args: -D a=b          more arguments; @DIR@ is the case's directory
  # mode: NAME 0644       the mode of a file of the case
  # make: NAME text       a file (0600) with that text; \\n, \\0 as in C
  # size: NAME 2000000    a file of so many newlines
  # nofile                started without -f (skipped if /etc has one)
"""
import os, re, shlex, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOBODY = 65534
END = '# end of configuration'
UPDATE = '--update' in sys.argv
ARGS = [a for a in sys.argv[1:] if a != '--update']
if len(ARGS) != 1:
    sys.exit('usage: run.py [--update] path/to/xbot-supervisor')
BINARY = os.path.abspath(ARGS[0])
count = {'ok': 0, 'not ok': 0, 'skip': 0}


def tell(result, name, why=''):
    count[result] += 1
    if result == 'skip':
        print('ok conf/%s # skip %s' % (name, why))
    else:
        print('%s conf/%s' % (result, name))
        for line in why.splitlines():
            print('# ' + line)


class Case:
    def __init__(self, path, user):
        self.path = path
        self.kind = os.path.basename(os.path.dirname(path))
        self.name = '%s/%s' % (self.kind, os.path.basename(path)[:-5])
        self.user = user
        self.env, self.args, self.nofile = {}, [], False
        self.dir = tempfile.mkdtemp(prefix='xbot-conf-')
        os.chmod(self.dir, 0o755)
        shutil.copytree(os.path.dirname(path), self.dir, dirs_exist_ok=True)
        for line in open(path, errors='surrogateescape'):
            m = re.match(r'# (env|args|mode|make|size|nofile)(?:: *(.*))?$',
                         line.rstrip('\n'))
            if not m:
                break
            getattr(self, 'do_' + m[1])((m[2] or '').replace('@DIR@',
                                                             self.dir))
        if user:
            for root, dirs, files in os.walk(self.dir):
                for f in dirs + files:
                    os.chown(os.path.join(root, f), NOBODY, NOBODY)
            os.chown(self.dir, NOBODY, NOBODY)

    def do_env(self, rest):
        k, v = rest.split('=', 1)
        self.env[k] = v

    def do_args(self, rest):
        self.args += shlex.split(rest)

    def do_mode(self, rest):
        name, mode = rest.split()
        os.chmod(os.path.join(self.dir, name), int(mode, 8))

    def do_make(self, rest):
        name, text = (rest.split(' ', 1) + [''])[:2]
        text = text.encode().decode('unicode_escape')
        with open(os.path.join(self.dir, name), 'w') as f:
            f.write(text)
        os.chmod(f.name, 0o600)

    def do_size(self, rest):
        name, n = rest.split()
        with open(os.path.join(self.dir, name), 'w') as f:
            f.write('\n' * int(n))

    def do_nofile(self, rest):
        self.nofile = True

    def run(self, conf, args):
        env = {'PATH': os.environ['PATH'], 'HOME': '/home/someone'}
        for k in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LD_LIBRARY_PATH'):
            if k in os.environ:
                env[k] = os.environ[k]
        env.update(self.env)
        cmd = [BINARY, '-nv'] + args + (['-f', conf] if conf else [])
        extra = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []} \
            if self.user else {}
        p = subprocess.run(cmd, cwd=self.dir, env=env, timeout=60,
                           stdin=subprocess.DEVNULL, **extra,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return (p.returncode, self.clean(p.stdout), self.clean(p.stderr))

    def clean(self, raw):
        return raw.decode(errors='backslashreplace').replace(self.dir, '@DIR@')

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def until_end(text):
    """What -nv prints after the configuration is another test's matter."""
    lines = text.splitlines()
    return lines[:lines.index(END) + 1] if END in lines else lines


def told(stderr):
    """The lines about the configuration, without the program's name."""
    out = []
    for line in stderr.splitlines():
        line = re.sub(r'^xbot-supervisor(\[\d+\])?: ', '', line)
        if re.match(r'(warning: )?(\S*\.conf|\S*\.env|@DIR@\S*|environment|'
                    r'default configuration|-D)(:\d+)?: ', line):
            out.append(line)
    return out


def compare(path, got):
    if UPDATE:
        with open(path, 'w') as f:
            f.write(''.join(l + '\n' for l in got))
        return ''
    try:
        want = open(path).read().splitlines()
    except FileNotFoundError:
        want = ['(no %s)' % os.path.basename(path)]
    if want == got:
        return ''
    return '\n'.join(['want:'] + ['  ' + l for l in want if l not in got] +
                     ['got:'] + ['  ' + l for l in got if l not in want] +
                     ([] if set(want) != set(got) else ['order differs']))


def values(lines):
    return [re.sub(r'\t# .*', '', l) for l in lines
            if not re.match(r'\t?# ', l)]


def good(c):
    base = c.path[:-5]
    for kind in ('root', 'user'):
        if os.path.exists('%s.%s.out' % (base, kind)):
            if kind == ('user' if c.user or os.geteuid() else 'root'):
                out = '%s.%s.out' % (base, kind)
                break
    else:
        out = base + '.out'
    conf = None if c.nofile else os.path.basename(c.path)
    code, stdout, stderr = c.run(conf, c.args)
    lines, warn = until_end(stdout), told(stderr)
    if code != 0:
        return 'exit status %d\n%s' % (code, stderr)
    why = compare(out, lines + ['# warns: ' + w for w in warn])
    if why:
        return why
    again = os.path.join(c.dir, 'again.conf')
    with open(again, 'w') as f:
        f.write(stdout.replace('@DIR@', c.dir))
    args = c.args[:]
    while '-D' in args:
        i = args.index('-D')
        del args[i:i + 2]
    code, stdout, stderr = c.run('again.conf', args)
    if code != 0:
        return 'what was printed is refused:\n' + stderr
    if values(until_end(stdout)) != values(lines):
        return 'what was printed parses to something else:\n' + '\n'.join(
            sorted(set(values(until_end(stdout))) ^ set(values(lines))))
    return ''


def bad(c):
    conf = None if c.nofile else os.path.basename(c.path)
    code, stdout, stderr = c.run(conf, c.args)
    if code <= 0 or code > 2:
        return 'exit status %d\n%s' % (code, stderr)
    return compare(c.path[:-5] + '.err', told(stderr))


def one(path, user):
    c = Case(path, user)
    name = c.name + (' (user)' if user else '')
    try:
        if c.nofile and any(os.path.exists(p)
                            for p in ('/etc/xbot.conf', '/etc/.env')):
            return tell('skip', name, 'there is a configuration in /etc')
        why = good(c) if c.kind == 'good' else bad(c)
        tell('not ok' if why else 'ok', name, why)
    except PermissionError as e:
        tell('skip', name, str(e))
    except subprocess.TimeoutExpired:
        tell('not ok', name, 'does not end')
    finally:
        c.close()


for kind in ('good', 'bad'):
    for f in sorted(os.listdir(os.path.join(HERE, kind))):
        if not f.endswith('.conf'):
            continue
        path = os.path.join(HERE, kind, f)
        two = os.path.exists(path[:-5] + '.user.out')
        if not two or os.geteuid() == 0:
            one(path, False)
            if two:
                one(path, True)
        else:
            one(path, False)


def example():
    """etc/xbot.conf says the defaults; every keyword is in xbot.conf(5)."""
    top = os.path.dirname(os.path.dirname(HERE))
    shown = {}
    for name, path in (('etc', os.path.join(top, 'etc', 'xbot.conf')),
                       ('empty', os.path.join(HERE, 'good', 'empty.conf'))):
        p = subprocess.run([BINARY, '-nv', '-f', path], text=True,
                           env={'PATH': os.environ['PATH'], 'HOME': '/h'},
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        shown[name] = values(until_end(p.stdout))
        if p.returncode != 0:
            return tell('not ok', 'etc/xbot.conf', p.stdout)
    differ = set(shown['etc']) ^ set(shown['empty'])
    if os.geteuid() != 0:
        differ = ''
    tell('not ok' if differ else 'ok', 'etc/xbot.conf', '\n'.join(differ))
    grammar = open(os.path.join(top, 'supervisor', 'parse.y')).read()
    man = open(os.path.join(top, 'man', 'xbot.conf.5')).read()
    words = re.findall(r'\{ "([a-z]+)", [A-Z_]+ \}', grammar)
    missing = [w for w in words if not re.search(r'\b%s\b' % w, man)]
    tell('not ok' if missing or len(words) < 50 else 'ok',
         'every keyword in xbot.conf(5)', ' '.join(missing))


example()
print('%d passed, %d failed, %d skipped' %
      (count['ok'], count['not ok'], count['skip']))
sys.exit(1 if count['not ok'] else 0)
