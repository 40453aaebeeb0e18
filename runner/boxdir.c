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
 * The directory behind /.xbot.  Runs in: xbot-runner.  Whoever reaches the
 * socket may call: everything in the container, and nobody else, because the
 * directory above it is closed.  The kernel says who it is.
 */

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/util.h>

#include "base/log.h"
#include "runner/boxdir.h"
#include "runner/image.h"

#define CALLERS_MAX	8	/* held while the container is asked after */

struct caller {
	int	 fd;
	pid_t	 pid;
};

static struct {
	struct event_base	*base;
	char			 path[PATH_MAX];
	int			 dir;		/* locked, until we end */
	int			 fd;		/* listens; -1 */
	struct event		*ev;
	struct caller		 callers[CALLERS_MAX];
	unsigned int		 ncallers;
	pid_t			 expected;	/* 0: not known yet */
	pid_t			 stranger;
	void			 (*on_peer)(int);
} box = { .dir = -1, .fd = -1, .stranger = -1 };

static bool	dirs_make(const char *, const char *);
static bool	outside(const char *, const char *);
static bool	executor_put(void);
static void	on_call(evutil_socket_t, short, void *);

/*
 * The deepest part that exists is asked first: nothing is made in a tree that
 * somebody else may fill with links.
 */
static bool
outside(const char *path, const char *workspace)
{
	char	 part[PATH_MAX], real[PATH_MAX], *cut;
	size_t	 len = strlen(workspace);

	snprintf(part, sizeof(part), "%s", path);
	while (realpath(part, real) == NULL) {
		if ((cut = strrchr(part, '/')) == NULL || cut == part)
			return true;
		*cut = '\0';
	}
	return strncmp(real, workspace, len) != 0 ||
	    (len > 1 && real[len] != '/' && real[len] != '\0');
}

/* Every component of the path, those that are missing for us alone. */
static bool
dirs_make(const char *name, const char *workspace)
{
	const char	*state = getenv("XDG_STATE_HOME");
	const char	*home = getenv("HOME");
	char		 parent[PATH_MAX];
	size_t		 i;
	int		 n;

	if (state != NULL && state[0] == '/')
		n = snprintf(parent, sizeof(parent), "%s/xbot-runner", state);
	else if (home != NULL && home[0] == '/')
		n = snprintf(parent, sizeof(parent),
		    "%s/.local/state/xbot-runner", home);
	else {
		log_errorx("--mode docker: no place for the executor: set "
		    "HOME or XDG_STATE_HOME");
		return false;
	}
	if (n >= (int)sizeof(parent) - NAME_MAX - 2) {
		log_errorx("%s: the path is too long", parent);
		return false;
	}
	if (!outside(parent, workspace)) {
		log_errorx("--workspace %s contains %s, where the executor "
		    "is kept: choose another with XDG_STATE_HOME", workspace,
		    parent);
		return false;
	}
	for (i = 1; i <= (size_t)n; i++) {
		if (parent[i] != '/' && parent[i] != '\0')
			continue;
		parent[i] = '\0';
		if (mkdir(parent, 0700) == -1 && errno != EEXIST) {
			log_error("cannot create %s", parent);
			return false;
		}
		parent[i] = i < (size_t)n ? '/' : '\0';
	}
	/* Above the socket nobody else may pass. */
	if (chmod(parent, 0700) == -1) {
		log_error("%s", parent);
		return false;
	}
	snprintf(box.path, sizeof(box.path), "%.*s/%.*s",
	    PATH_MAX - NAME_MAX - 2, parent, NAME_MAX, name);
	return true;
}

/* A program that runs cannot be written to, but it can be replaced. */
static bool
executor_put(void)
{
	size_t	 at = 0;
	ssize_t	 n;
	int	 fd;

	unlinkat(box.dir, "executor.new", 0);
	fd = openat(box.dir, "executor.new", O_WRONLY | O_CREAT | O_EXCL |
	    O_NOFOLLOW | O_CLOEXEC, 0700);
	if (fd == -1)
		return false;
	while (at < executor_static_len) {
		n = write(fd, executor_static + at, executor_static_len - at);
		if (n == -1 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	/* The container's root may be another uid of ours. */
	if (at < executor_static_len || fchmod(fd, 0555) == -1) {
		close(fd);
		return false;
	}
	return close(fd) == 0 && renameat(box.dir, "executor.new", box.dir,
	    "executor") == 0;
}

const char *
boxdir_open(struct event_base *base, const char *name,
    const char *workspace, void (*on_peer)(int))
{
	box.base = base;
	box.on_peer = on_peer;
	if (!dirs_make(name, workspace))
		return NULL;
	if ((mkdir(box.path, 0755) == -1 && errno != EEXIST) ||
	    (box.dir = open(box.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC)) == -1 || fchmod(box.dir, 0755) == -1) {
		log_error("%s", box.path);
		return NULL;
	}
	if (flock(box.dir, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			log_errorx("another xbot-runner uses container %s: "
			    "give this one another --name", name);
		else
			log_error("%s", box.path);
		return NULL;
	}
	if (!executor_put()) {
		log_error("%s/executor", box.path);
		return NULL;
	}
	return box.path;
}

bool
boxdir_listen(void)
{
	struct sockaddr_un	sun = { .sun_family = AF_UNIX };

	boxdir_close();
	/* The directory's own path may be longer than a socket's may be. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/sock",
	    box.dir);
	box.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (box.fd == -1 ||
	    bind(box.fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    fchmodat(box.dir, "sock", 0666, 0) == -1 ||
	    listen(box.fd, CALLERS_MAX) == -1) {
		log_error("%s/sock", box.path);
		boxdir_close();
		return false;
	}
	box.ev = event_new(box.base, box.fd, EV_READ | EV_PERSIST, on_call,
	    NULL);
	if (box.ev == NULL || event_add(box.ev, NULL) == -1)
		fatalx("out of memory");
	return true;
}

static void
on_call(evutil_socket_t fd, short what, void *arg)
{
	struct ucred	 peer;
	struct caller	 c;
	socklen_t	 len = sizeof(peer);

	c.fd = accept4(box.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (c.fd == -1)
		return;
	if (getsockopt(c.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1 ||
	    (box.expected == 0 && box.ncallers == CALLERS_MAX)) {
		close(c.fd);
		return;
	}
	c.pid = peer.pid;
	if (box.expected == 0) {
		box.callers[box.ncallers++] = c;
		return;
	}
	if (c.pid != box.expected) {
		box.stranger = c.pid;
		close(c.fd);
		return;
	}
	/* Closing comes first: on_peer may want to listen again. */
	boxdir_close();
	box.on_peer(c.fd);
}

void
boxdir_expect(pid_t pid)
{
	unsigned int	 i;
	int		 fd = -1;

	box.expected = pid;
	for (i = 0; i < box.ncallers; i++) {
		if (box.callers[i].pid == pid && fd == -1)
			fd = box.callers[i].fd;
		else {
			box.stranger = box.callers[i].pid;
			close(box.callers[i].fd);
		}
	}
	box.ncallers = 0;
	if (fd == -1)
		return;
	boxdir_close();
	box.on_peer(fd);
}

void
boxdir_close(void)
{
	unsigned int	 i;

	for (i = 0; i < box.ncallers; i++)
		close(box.callers[i].fd);
	box.ncallers = 0;
	box.expected = 0;
	box.stranger = -1;
	if (box.ev != NULL)
		event_free(box.ev);
	box.ev = NULL;
	if (box.fd != -1)
		close(box.fd);
	box.fd = -1;
	if (box.dir != -1)
		unlinkat(box.dir, "sock", 0);
}

pid_t
boxdir_stranger(void)
{
	return box.stranger;
}
