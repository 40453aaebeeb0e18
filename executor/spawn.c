/*
 * Copyright (c) 2026 The xbot-supervisor authors
 *
 * Permission to use, copy, modify, and distribute this software for any
 * purpose with or without fee is hereby granted, provided that the above
 * copyright notice and this permission notice appear in all copies.
 *
 * THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
 * WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
 * MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
 * ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
 * WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
 * ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
 * OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
 */

/*
 * Argument vector, environment and the way into a new process.
 * Runs in: executor, and between vfork and exec in the child, which shares
 * our memory: it calls nothing but system calls.
 */

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"

#ifndef SYS_close_range
#define SYS_close_range	436
#endif

#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define INHERIT_MAX	4096	/* variables of our own environment */

extern char	**environ;

static struct rlimit	nofile;		/* the launcher's, for the jobs */
static bool		nofile_raised;

/* Many jobs have many pipes; the jobs themselves get the old limit. */
void
spawn_init(void)
{
	struct rlimit more;

	if (getrlimit(RLIMIT_NOFILE, &nofile) == -1)
		return;
	more = nofile;
	more.rlim_cur = more.rlim_max < 16384 ? more.rlim_max : 16384;
	if (more.rlim_cur > nofile.rlim_cur)
		nofile_raised = setrlimit(RLIMIT_NOFILE, &more) == 0;
}

/* ---- building the vectors */

struct vec {
	char	**v;
	size_t	  n, names;	/* names: where the environment starts */
	char	 *text;		/* where the next string goes */
};

static void
vec_add(struct vec *x, struct slice s)
{
	x->v[x->n++] = x->text;
	memcpy(x->text, s.p, s.len);
	x->text += s.len;
	*x->text++ = '\0';
}

/* Last one wins, in its first one's place. */
static void
env_add(struct vec *x, struct slice s)
{
	const char	*eq = memchr(s.p, '=', s.len);
	size_t		 i, len = (size_t)(eq - (const char *)s.p) + 1;
	char		*text;

	for (i = x->names; i < x->n; i++)
		if (strncmp(x->v[i], s.p, len) == 0)
			break;
	if (i == x->n) {
		vec_add(x, s);
		return;
	}
	text = x->text;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	x->v[i] = text;
	x->text = text + s.len + 1;
}

static bool
is_ours(const char *var)
{
	return strncmp(var, "XBOT_", 5) == 0;
}

/* Of ours, what a terminal gets; the shell in it reads its own files. */
static const char *const	tty_names[] = {
	"PATH=", "HOME=", "USER=", "SHELL=", "LANG="
};

static bool
is_inherited(const char *var, bool tty)
{
	size_t	 i;

	if (!tty)
		return !is_ours(var) && strchr(var, '=') != NULL;
	for (i = 0; i < sizeof(tty_names) / sizeof(tty_names[0]); i++)
		if (strncmp(var, tty_names[i], strlen(tty_names[i])) == 0)
			return true;
	return false;
}

struct base {
	char		 text[6][2 * PATH_MAX + 64];
	struct slice	 v[INHERIT_MAX + 8];
	size_t		 n;
};

static void
base_set(struct base *b, size_t slot, const char *name, const char *value)
{
	snprintf(b->text[slot], sizeof(b->text[slot]), "%s=%s", name, value);
	b->v[b->n++] = slice_str(b->text[slot]);
}

/* What a job starts from: ours (runner) or a clean one. */
static void
base_build(struct base *b, const char *pwd, bool tty)
{
	char **e;

	b->n = 0;
	if (opt.inherit) {
		for (e = environ; *e != NULL && b->n < INHERIT_MAX; e++)
			if (is_inherited(*e, tty))
				b->v[b->n++] = slice_str(*e);
		if (opt.home != NULL)
			base_set(b, 0, "HOME", opt.home);
	} else {
		b->v[b->n++] = slice_str("PATH=" DEFAULT_PATH);
		base_set(b, 0, "HOME",
		    opt.home != NULL ? opt.home : opt.workspace);
		base_set(b, 1, "USER", opt.user);
		base_set(b, 2, "LOGNAME", opt.user);
		b->v[b->n++] = slice_str("SHELL=/bin/sh");
		b->v[b->n++] = slice_str("LANG=C.UTF-8");
	}
	base_set(b, 3, "PWD", pwd);
	if (tty)
		b->v[b->n++] = slice_str("TERM=xterm-256color");
}

static int
env_check(const struct exec_job_start *m)
{
	uint32_t	 i;
	const char	*eq;

	for (i = 0; i < m->env.n; i++) {
		eq = m->env.v[i].len == 0 ? NULL :
		    memchr(m->env.v[i].p, '=', m->env.v[i].len);
		if (eq == NULL || eq == m->env.v[i].p)
			return -1;
	}
	return 0;
}

/* What people get who ask for a shell. */
const char *
spawn_shell(void)
{
	static const char *const	shells[] =
	    { "/bin/bash", "/usr/bin/bash", "/bin/sh" };
	size_t				i;

	for (i = 0; i + 1 < NELEM(shells); i++)
		if (access(shells[i], X_OK) == 0)
			break;
	return shells[i];
}

/* The program's words, before the request's own. */
static size_t
prefix(const struct exec_job_start *m, struct slice *v)
{
	size_t n = 0;

	if (m->run_as_user.len > 0) {
		v[n++] = slice_str("sudo");
		v[n++] = slice_str("-n");
		v[n++] = slice_str("-H");
		v[n++] = slice_str("-u");
		v[n++] = m->run_as_user;
		v[n++] = slice_str("--");
	}
	if (m->argv.n == 0 && m->kind == JOB_PTY && m->command.len == 0)
		v[n++] = slice_str(spawn_shell());
	else if (m->argv.n == 0) {
		v[n++] = slice_str(m->run_as_user.len > 0 ? "/bin/sh" : "sh");
		v[n++] = slice_str("-c");
		v[n++] = m->command;
	}
	return n;
}

static size_t
total(const struct slice *v, size_t n)
{
	size_t bytes = 0;

	while (n-- > 0)
		bytes += (v++)->len + 1 + sizeof(char *);
	return bytes;
}

/* Finds what a tree's members left their parents for: see tree.c. */
static void
marker(const struct id16 *id, char dst[10 + 32])
{
	size_t i;

	memcpy(dst, "XBOT_JOB=", 10);
	for (i = 0; i < sizeof(id->b); i++)
		snprintf(dst + 9 + 2 * i, 3, "%02x", id->b[i]);
}

char **
spawn_args(const struct exec_job_start *m, const char *pwd, char ***envp)
{
	static struct base	 base;
	struct slice		 words[16];
	struct vec		 x = { NULL, 0, 0, NULL };
	char			 mark[10 + 32];
	size_t			 i, n = prefix(m, words), count;

	if (env_check(m) == -1 || (m->run_as_user.len > 0 &&
	    *(const char *)m->run_as_user.p == '-') ||
	    (m->argv.n > 0 && m->argv.v[0].len == 0)) {
		errno = EINVAL;
		return NULL;
	}
	base_build(&base, pwd, m->kind == JOB_PTY);
	marker(&m->job, mark);
	count = n + m->argv.n + base.n + m->env.n + 3;
	x.v = malloc(total(words, n) + total(m->argv.v, m->argv.n) +
	    total(base.v, base.n) + total(m->env.v, m->env.n) +
	    sizeof(mark) + 3 * sizeof(char *));
	if (x.v == NULL)
		return NULL;
	x.text = (char *)(x.v + count);
	for (i = 0; i < n; i++)
		vec_add(&x, words[i]);
	for (i = 0; i < m->argv.n; i++)
		vec_add(&x, m->argv.v[i]);
	x.v[x.n++] = NULL;
	x.names = x.n;
	for (i = 0; i < base.n; i++)
		env_add(&x, base.v[i]);
	for (i = 0; i < m->env.n; i++)
		env_add(&x, m->env.v[i]);
	env_add(&x, slice_str(mark));
	x.v[x.n] = NULL;
	*envp = x.v + x.names;
	return x.v;
}

/* ---- where it runs, and its pipes */

/* Directory of the job, guarded like a file; 0 or an errno. */
int
spawn_dir(struct spawn *s, struct slice dir, char *pwd, size_t pwdlen)
{
	struct path	p;
	int		rc;

	s->dirfd = -1;
	if (dir.len == 0) {
		snprintf(pwd, pwdlen, "%s", opt.workspace);
		return 0;
	}
	if ((rc = path_parse(dir, &p)) != 0)
		return -rc;
	rc = path_open(&p, O_PATH | O_DIRECTORY);
	if (rc < 0)
		return -rc;
	s->dirfd = rc;
	/* The shell's own idea of a logical PWD; it checks it. */
	if (p.rel[0] == '/')
		snprintf(pwd, pwdlen, "%s", p.rel);
	else if (strcmp(p.rel, ".") == 0)
		snprintf(pwd, pwdlen, "%s", opt.workspace);
	else
		snprintf(pwd, pwdlen, "%s/%s", strcmp(opt.workspace, "/") ==
		    0 ? "" : opt.workspace, p.rel);
	return 0;
}

/* Pipes for the three streams; ours in `ours`, the child's in fds. */
int
spawn_pipes(struct spawn *s, bool no_stdin, int ours[3])
{
	int i, p[2];

	for (i = 0; i < 3; i++)
		ours[i] = s->fds[i] = -1;
	if (no_stdin)
		s->fds[0] = opt.nullfd;
	for (i = no_stdin ? 1 : 0; i < 3; i++) {
		if (pipe2(p, O_CLOEXEC) == -1)
			return -1;
		ours[i] = p[i == 0];
		s->fds[i] = p[i != 0];
		/* Only our end: the job expects blocking pipes. */
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) == -1)
			return -1;
	}
	return 0;
}

void
spawn_close(int *fds, int n)
{
	for (; n > 0; n--, fds++)
		if (*fds != -1 && *fds != opt.nullfd)
			close(*fds);
}

/* ---- finding the program */

static const char *
env_get(char *const *envp, const char *name, size_t len)
{
	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, len) == 0)
			return *envp + len;
	return NULL;
}

/* Relative ones are relative to the job's directory. */
static int
try_program(const struct spawn *s, const char *path)
{
	struct stat	st;
	int		dir = s->dirfd != -1 ? s->dirfd : opt.wsfd;

	if (fstatat(dir, path, &st, 0) == -1)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return faccessat(dir, path, X_OK, AT_EACCESS) == -1 ? errno : 0;
}

int
spawn_find(const struct spawn *s, char *dst, size_t dstlen)
{
	const char	*name = s->argv[0], *path, *end;
	int		 error = ENOENT, rc;

	if (strchr(name, '/') != NULL)
		return (size_t)snprintf(dst, dstlen, "%s", name) < dstlen ?
		    0 : ENAMETOOLONG;
	/* The shell itself: save the search. */
	if (strcmp(name, "sh") == 0 && s->argv[1] != NULL &&
	    strcmp(s->argv[1], "-c") == 0) {
		snprintf(dst, dstlen, "/bin/sh");
		return 0;
	}
	if ((path = env_get(s->envp, "PATH=", 5)) == NULL)
		path = DEFAULT_PATH;
	for (;; path = end + 1) {
		end = path + strcspn(path, ":");
		if ((size_t)snprintf(dst, dstlen, "%.*s%s%s",
		    (int)(end - path), path, end == path ? "./" : "/", name)
		    < dstlen) {
			if ((rc = try_program(s, dst)) == 0)
				return 0;
			if (rc == EACCES)
				error = EACCES;
		}
		if (*end == '\0')
			return error;
	}
}

/* ---- the child */

static int	child_exec(const struct spawn *, volatile int *);

static int
child_exec(const struct spawn *s, volatile int *error)
{
	sigset_t	none;
	int		i;

	setsid();
	/* First: the wish for a signal does not outlive a change of user. */
	if ((i = user_become()) != 0) {
		*error = i;
		return 127;
	}
	/* Should the executor be killed, nobody else would end its jobs. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < 3; i++)
		if (dup2(s->fds[i], i) == -1)
			goto fail;
	if (s->tty && ioctl(STDIN_FILENO, TIOCSCTTY, 0) == -1)
		goto fail;
	syscall(SYS_close_range, 3u, ~0u, 0);
	if (nofile_raised)
		setrlimit(RLIMIT_NOFILE, &nofile);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(s->path, s->argv, s->envp);
fail:
	*error = errno;
	return 127;
}

/*
 * vfork: the parent's page tables are not copied and it is woken by exec or
 * exit, so the child's errno arrives through memory.  All signals are blocked
 * here (main.c), and no handler is ever installed.
 */
pid_t
spawn_run(const struct spawn *s)
{
	volatile int	error = 0;
	pid_t		pid;

	if ((pid = vfork()) == 0) {
		if (fchdir(s->dirfd != -1 ? s->dirfd : opt.wsfd) == -1) {
			error = errno;
			_exit(127);
		}
		_exit(child_exec(s, &error));
	}
	if (pid > 0 && error != 0) {
		waitpid(pid, NULL, 0);
		errno = error;
		return -1;
	}
	return pid;
}
