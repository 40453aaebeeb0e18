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
 * Namespaces: the zygote has users, processes, mounts and System V names of
 * its own, so that each run can have a uid and a process tree of its own with
 * nobody being root anywhere.  Where the kernel or a container refuses
 * that, the zygote is the worker's user and so are its runs; then the jail
 * forbids them to fork and to signal.
 * Runs in: skill before its privileges (apart_fork), the zygote.
 */

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "workers/skill/skill.h"

#define SPACES	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)

/* Directories of a plain zygote, which holds its own by a lock. */
#define PLAIN_TOP	"/tmp"
#define PLAIN_NAME	"xbot-runs."

/* Of a place's directory: what all its files may hold, and how many. */
#define TMPFS_OPTS	"size=64m,nr_inodes=4096,mode=0700,uid=%u,gid=%u"

static bool
map_write(pid_t pid, const char *file)
{
	char	 path[64], text[64];
	int	 fd, n;
	bool	 ok;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	n = snprintf(text, sizeof(text), "0 %u %u\n", SKILL_UID,
	    SKILL_PLACES + 1);
	if ((fd = open(path, O_WRONLY | O_CLOEXEC)) == -1)
		return false;
	ok = write(fd, text, (size_t)n) == n;
	(void)close(fd);
	return ok;
}

/* -1: refused; the child is gone then. */
static pid_t
spaces_fork(void)
{
	int	 go[2];
	pid_t	 pid;
	char	 byte = 1;
	bool	 ok;

	if (pipe2(go, O_CLOEXEC) == -1)
		return -1;
	/* Raw: fork(3) takes no flags.  glibc's thread id is then wrong in the
	 * zygote, which never asks for it; its children are forked well. */
	pid = (pid_t)syscall(SYS_clone, SPACES | SIGCHLD, NULL, NULL, NULL,
	    NULL);
	if (pid == 0) {
		(void)close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		(void)close(go[0]);
		return 0;
	}
	(void)close(go[0]);
	ok = pid != -1 && map_write(pid, "uid_map") &&
	    map_write(pid, "gid_map") && write(go[1], &byte, 1) == 1;
	(void)close(go[1]);
	if (!ok && pid != -1) {
		(void)waitpid(pid, NULL, 0);
		pid = -1;
	}
	return pid;
}

pid_t
apart_fork(struct apart *a)
{
	pid_t pid;

	a->pid_space = -1;
	if (geteuid() == 0 && !PRIV_SANITIZED) {
		a->on = true;
		if ((pid = spaces_fork()) != -1)
			return pid;
	}
	a->on = false;
	return fork();
}

/* Once for all: a fork that wrote them would copy the pages of printf. */
static void
dirs_name(struct apart *a)
{
	uint32_t i;

	for (i = 0; i < SKILL_PLACES; i++)
		(void)snprintf(a->dirs[i], sizeof(a->dirs[i]), "%s/%u",
		    a->base, i);
}

/* A temporary file system for each place: bounded, and gone with us. */
static bool
spaces_mount(struct apart *a)
{
	char	 opts[80];
	uint32_t i;

	(void)snprintf(a->base, sizeof(a->base), "/tmp");
	dirs_name(a);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
	    mount("tmpfs", a->base, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
	    "size=1m,mode=0711") == -1)
		return false;
	for (i = 0; i < SKILL_PLACES; i++) {
		(void)snprintf(opts, sizeof(opts), TMPFS_OPTS, i + 1, i + 1);
		if (mkdir(a->dirs[i], 0700) == -1 ||
		    mount("tmpfs", a->dirs[i], "tmpfs",
		    MS_NOSUID | MS_NODEV | MS_NOEXEC, opts) == -1)
			return false;
	}
	return true;
}

/* A directory of ours that nobody holds: -1, or a descriptor that holds it. */
static int
plain_hold(const char *dir)
{
	struct stat	 st;
	int		 fd;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 &&
	    st.st_uid == geteuid() && st.st_nlink > 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* What zygotes left that were killed. */
static void
plain_sweep(void)
{
	struct dirent	*e;
	char		 dir[64];
	DIR		*d = opendir(PLAIN_TOP);
	int		 fd;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (fnmatch(PLAIN_NAME "??????", e->d_name, 0) != 0)
			continue;
		(void)snprintf(dir, sizeof(dir), PLAIN_TOP "/%.40s",
		    e->d_name);
		if ((fd = plain_hold(dir)) == -1)
			continue;
		(void)tidy(dir);
		(void)rmdir(dir);
		(void)close(fd);
	}
	if (d != NULL)
		(void)closedir(d);
}

/* Held until the zygote ends, however it does: a sweep that took it before we
 * did leaves it without a link, and there is another name. */
static bool
plain_base(struct apart *a)
{
	int tries = 10, fd = -1;

	while (fd == -1 && tries-- > 0) {
		(void)snprintf(a->base, sizeof(a->base), PLAIN_TOP "/"
		    PLAIN_NAME "XXXXXX");
		if (mkdtemp(a->base) == NULL)
			return false;
		fd = plain_hold(a->base);
	}
	return fd != -1 && chmod(a->base, 0711) == 0;
}

static bool
plain_dirs(struct apart *a)
{
	uint32_t i;

	plain_sweep();
	if (!plain_base(a))
		return false;
	dirs_name(a);
	for (i = 0; i < SKILL_PLACES; i++)
		if (mkdir(a->dirs[i], 0700) == -1)
			return false;
	return true;
}

bool
apart_enter(struct apart *a)
{
	if (a->on) {
		if (setgroups(0, NULL) == -1 || setresgid(0, 0, 0) == -1 ||
		    setresuid(0, 0, 0) == -1)
			return false;
		a->pid_space = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
		return spaces_mount(a);
	}
	if (geteuid() == 0 && (setgroups(1, &a->gid) == -1 ||
	    setresgid(a->gid, a->gid, a->gid) == -1 ||
	    setresuid(a->uid, a->uid, a->uid) == -1))
		return false;
	return plain_dirs(a);
}

bool
apart_next(const struct apart *a)
{
	return !a->on || unshare(CLONE_NEWPID) == 0;
}

/* Or else the next child would be born into the space of the last one; and a
 * space can only be asked for from within one's own. */
void
apart_back(const struct apart *a)
{
	if (a->on && setns(a->pid_space, CLONE_NEWPID) == -1)
		fatal("setns");
}

void
apart_leave(const struct apart *a)
{
	uint32_t i;

	if (a->on)
		return;
	for (i = 0; i < SKILL_PLACES; i++) {
		(void)tidy(a->dirs[i]);
		(void)rmdir(a->dirs[i]);
	}
	(void)rmdir(a->base);
}
