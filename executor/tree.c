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
 * Ending whole process trees.  Runs in: executor, which is a subreaper (or
 * PID 1), so an orphan of a job becomes its child.  Signals only processes
 * found by walking its own descendants, by pidfd after the identity (pid and
 * start time) was checked; never a pid below 2, never a group but a job's.
 */

#include <sys/syscall.h>
#include <sys/wait.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "executor/executor.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal	424
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open		434
#endif

#define TREE_MAX	65536	/* processes looked at in one walk */
#define AS_MAX		64	/* handed to one sudo */
#define ROUNDS		64	/* of STOP and re-read: a fork bomb's pace */

extern char	**environ;

/* A small file of /proc, NUL-terminated; its length or -1. */
static ssize_t
proc_read(pid_t pid, const char *name, char *dst, size_t dstlen)
{
	char	path[64];
	ssize_t	n;
	size_t	len = 0;
	int	fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return -1;
	while (len < dstlen - 1 &&
	    (n = read(fd, dst + len, dstlen - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	dst[len] = '\0';
	return (ssize_t)len;
}

static bool
proc_identify(pid_t pid, struct proc_id *p)
{
	char			 text[1024], *s;
	int			 ppid, pgrp, sid;
	unsigned long long	 start;

	if (proc_read(pid, "stat", text, sizeof(text)) <= 0 ||
	    (s = strrchr(text, ')')) == NULL)
		return false;
	/* state ppid pgrp session, 14 numbers, then the start time */
	if (sscanf(s + 1, " %*c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s "
	    "%*s %*s %*s %*s %*s %*s %*s %llu", &ppid, &pgrp, &sid, &start)
	    != 4)
		return false;
	*p = (struct proc_id){ pid, ppid, pgrp, sid, start };
	return true;
}

static bool
same(const struct proc_id *a, const struct proc_id *b)
{
	return a->pid == b->pid && a->start == b->start;
}

static bool
tree_has(const struct tree *t, const struct proc_id *p)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (same(&t->v[i], p))
			return true;
	return false;
}

static bool
tree_add(struct tree *t, const struct proc_id *p)
{
	struct proc_id	*v;
	size_t		 cap;

	if (t->n == t->cap) {
		cap = t->cap == 0 ? 64 : t->cap * 2;
		if (t->n >= TREE_MAX ||
		    (v = realloc(t->v, cap * sizeof(*v))) == NULL)
			return false;
		t->v = v;
		t->cap = cap;
	}
	t->v[t->n++] = *p;
	return true;
}

void
tree_clear(struct tree *t)
{
	free(t->v);
	memset(t, 0, sizeof(*t));
}

/* Does its environment carry this job's mark?  (exec kept it) */
static bool
marked(pid_t pid, const struct id16 *id)
{
	static char	 env[128 * 1024];
	char		 mark[10 + 32];
	size_t		 i;
	ssize_t		 n;
	const char	*p;

	memcpy(mark, "XBOT_JOB=", 10);
	for (i = 0; i < sizeof(id->b); i++)
		snprintf(mark + 9 + 2 * i, 3, "%02x", id->b[i]);
	if ((n = proc_read(pid, "environ", env, sizeof(env))) <= 0)
		return false;
	for (p = env; p < env + n; p += strlen(p) + 1)
		if (strcmp(p, mark) == 0)
			return true;
	return false;
}

/* The leader of another job is none of this tree: saves a look at it. */
static bool
is_other(const struct tree_of *of, pid_t pid)
{
	return of != NULL && of->leader != 0 && pid != of->leader &&
	    of->is_leader(pid);
}

/* Is this child of ours one of the tree's roots? */
static bool
is_root(const struct tree_of *of, const struct proc_id *p)
{
	if (of->leader == 0)
		return true;
	if (of->leader > 1 && (p->pid == of->leader ||
	    p->sid == of->leader || p->pgrp == of->leader))
		return true;
	return tree_has(of->known, p) || marked(p->pid, of->id);
}

/* The children that one thread forked, added when they belong. */
static void
children_read(struct tree *t, pid_t pid, const char *tid,
    const struct tree_of *of)
{
	char		 path[320], *line = NULL, *s, *end;
	size_t		 cap = 0;
	struct proc_id	 p;
	FILE		*f;
	long		 child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid,
	    tid);
	if ((f = fopen(path, "re")) == NULL)
		return;
	if (getline(&line, &cap, f) > 0)
		for (s = line; (child = strtol(s, &end, 10)) > 1 && end != s;
		    s = end)
			if (!is_other(of, (pid_t)child) &&
			    proc_identify((pid_t)child, &p) &&
			    p.ppid == pid && (of == NULL || is_root(of, &p)))
				tree_add(t, &p);
	free(line);
	fclose(f);
}

static void
children_add(struct tree *t, pid_t pid, const struct tree_of *of)
{
	char		 path[64];
	struct dirent	*d;
	DIR		*dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((d = readdir(dir)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]))
			children_read(t, pid, d->d_name, of);
	closedir(dir);
}

/* A kernel may be built without the lists of children. */
static bool
have_lists(void)
{
	static int	have = -1;
	char		path[64];

	if (have == -1) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		    (int)getpid());
		have = access(path, F_OK) == 0;
	}
	return have == 1;
}

/* Then all of /proc is looked at, once. */
static void
tree_scan(struct tree *all)
{
	struct proc_id	 p;
	struct dirent	*d;
	DIR		*dir;

	if ((dir = opendir("/proc")) == NULL)
		return;
	while ((d = readdir(dir)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]) &&
		    proc_identify(atoi(d->d_name), &p))
			tree_add(all, &p);
	closedir(dir);
}

static void
tree_select(struct tree *t, const struct tree *all, pid_t parent,
    const struct tree_of *of)
{
	size_t i;

	for (i = 0; i < all->n; i++)
		if (all->v[i].ppid == parent && (of == NULL ||
		    (!is_other(of, all->v[i].pid) &&
		    is_root(of, &all->v[i]))))
			tree_add(t, &all->v[i]);
}

void
tree_collect(struct tree *t, const struct tree_of *of)
{
	struct tree	 now = { NULL, 0, 0 }, all = { NULL, 0, 0 };
	bool		 lists = have_lists();
	size_t		 i;

	if (lists)
		children_add(&now, getpid(), of);
	else {
		tree_scan(&all);
		tree_select(&now, &all, getpid(), of);
	}
	for (i = 0; i < now.n; i++)
		if (lists)
			children_add(&now, now.v[i].pid, NULL);
		else
			tree_select(&now, &all, now.v[i].pid, NULL);
	tree_clear(&all);
	tree_clear(t);
	*t = now;
}

/*
 * Signal exactly this process.  The pidfd is opened first and the identity
 * checked after, so a pid that was used again in between is not hit.
 */
static void
proc_signal(const struct proc_id *p, int sig)
{
	struct proc_id	now;
	int		fd;

	if (p->pid <= 1 || p->pid == getpid())
		return;
	fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (fd == -1 && errno != ENOSYS && errno != EPERM)
		return;
	if (proc_identify(p->pid, &now) && same(p, &now)) {
		if (fd == -1)
			kill(p->pid, sig);
		else
			syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
	}
	if (fd != -1)
		close(fd);
}

void
tree_signal(const struct tree *t, int sig, pid_t but_not_pgrp)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (but_not_pgrp <= 1 || t->v[i].pgrp != but_not_pgrp)
			proc_signal(&t->v[i], sig);
}

/*
 * What is stopped forks no more.  A walk that finds nobody new means that
 * the whole tree stands still; then it can be killed without a race.
 */
size_t
tree_kill(struct tree *t, const struct tree_of *of)
{
	struct tree	 stopped = { NULL, 0, 0 };
	struct tree_of	 mine = *of;
	size_t		 i, before;
	int		 round;

	if (of->known != NULL)
		mine.known = &stopped;
	tree_collect(t, of);
	for (round = 0; round < ROUNDS; round++) {
		before = stopped.n;
		for (i = 0; i < t->n; i++)
			if (!tree_has(&stopped, &t->v[i])) {
				proc_signal(&t->v[i], SIGSTOP);
				tree_add(&stopped, &t->v[i]);
			}
		if (stopped.n == before)
			break;
		tree_collect(t, &mine);
	}
	tree_signal(&stopped, SIGKILL, 0);
	/* The caller's list stays the members that this walk knew. */
	tree_clear(t);
	*t = stopped;
	return t->n;
}

/*
 * An unprivileged runner may not signal what it started through sudo, but the
 * user whose processes they are may: at most AS_MAX at a time, the caller
 * repeats it.  The helper is reaped like any stranger.
 */
pid_t
tree_kill_as(const struct tree *t, const char *user)
{
	static char	 numbers[AS_MAX][12];
	static char	 path[PATH_MAX];
	const char	*head[] = { "sudo", "-n", "-u", user, "--", "/bin/sh",
			    "-c", "kill -KILL \"$@\" 2>/dev/null", "sh" };
	char		*argv[NELEM(head) + AS_MAX + 1];
	struct spawn	 s = { .argv = argv, .envp = environ, .path = path,
			    .dirfd = -1 };
	struct proc_id	 now;
	size_t		 i, n = 0;
	pid_t		 pid = -1;

	for (; n < NELEM(head); n++)
		argv[n] = (char *)(uintptr_t)head[n];
	for (i = 0; i < t->n && n < NELEM(head) + AS_MAX; i++)
		if (t->v[i].pid > 1 && proc_identify(t->v[i].pid, &now) &&
		    same(&now, &t->v[i])) {
			snprintf(numbers[n - NELEM(head)], 12, "%d",
			    (int)now.pid);
			argv[n] = numbers[n - NELEM(head)];
			n++;
		}
	argv[n] = NULL;
	for (i = 0; i < 3; i++)
		s.fds[i] = opt.nullfd;
	if (n > NELEM(head) && (spawn_find(&s, path, sizeof(path)) != 0 ||
	    (pid = spawn_run(&s)) == -1))
		warn_log("cannot end processes of %s", user);
	return pid;
}

bool
tree_children(void)
{
	siginfo_t si;

	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void
tree_kill_all(void)
{
	const struct tree_of	all = { .leader = 0 };
	const struct timespec	nap = { 0, 1000000 };
	struct tree		t = { NULL, 0, 0 };
	uint64_t		until = now_us() + 3000000;

	while (now_us() < until) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (tree_kill(&t, &all) == 0 && !tree_children())
			break;
		nanosleep(&nap, NULL);
	}
	tree_clear(&t);
}
