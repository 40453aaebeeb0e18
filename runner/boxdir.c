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
 * The directory behind /.xbot.  Runs in: xbot-runner.  Everything in the
 * container may call, and nobody else, because the directory above it is
 * closed.
 */

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/box.h"
#include "base/log.h"
#include "runner/boxdir.h"
#include "runner/image.h"

static struct {
	char		 path[PATH_MAX];
	int		 dir;		/* locked, until we end */
	struct box	*box;
	void		 (*on_peer)(int);
} dir = { .dir = -1 };

static bool	dirs_make(const char *, const char *);
static bool	outside(const char *, const char *);
static void	on_box_peer(void *, int);

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
	snprintf(dir.path, sizeof(dir.path), "%.*s/%.*s",
	    PATH_MAX - NAME_MAX - 2, parent, NAME_MAX, name);
	return true;
}

static void
on_box_peer(void *arg, int fd)
{
	dir.on_peer(fd);
}

const char *
boxdir_open(struct event_base *base, const char *name,
    const char *workspace, void (*on_peer)(int))
{
	dir.on_peer = on_peer;
	if (!dirs_make(name, workspace))
		return NULL;
	if ((mkdir(dir.path, 0755) == -1 && errno != EEXIST) ||
	    (dir.dir = open(dir.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC)) == -1 || fchmod(dir.dir, 0755) == -1) {
		log_error("%s", dir.path);
		return NULL;
	}
	if (flock(dir.dir, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			log_errorx("another xbot-runner uses container %s: "
			    "give this one another --name", name);
		else
			log_error("%s", dir.path);
		return NULL;
	}
	if ((dir.box = box_new(base, dir.dir, on_box_peer, NULL)) == NULL)
		fatalx("out of memory");
	if (!box_put(dir.box, executor_static, executor_static_len)) {
		log_error("%s/executor", dir.path);
		return NULL;
	}
	return dir.path;
}

bool
boxdir_listen(void)
{
	if (box_listen(dir.box))
		return true;
	log_error("%s/sock", dir.path);
	return false;
}

void
boxdir_expect(pid_t pid)
{
	box_expect(dir.box, pid);
}

void
boxdir_close(void)
{
	if (dir.box != NULL)
		box_close(dir.box);
}

pid_t
boxdir_stranger(void)
{
	return box_stranger(dir.box);
}
