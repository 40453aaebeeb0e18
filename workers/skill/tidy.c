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
 * Empties a directory that a skill had for itself.  Runs in: the zygote, and a
 * child of it for the work.  What lies there is hostile: no link is followed,
 * nothing recurses, and depth costs no descriptors: a directory's entries are
 * moved up until it is empty.
 */

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workers/skill/skill.h"

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* After each run, so without what opendir(3) allocates: the zygote writes to
 * few pages, for each that it shares with a child is copied. */
bool
tidy_needed(const char *dir)
{
	_Alignas(struct dirent64) char	 bytes[512];
	const struct dirent64		*e;
	ssize_t				 n, at;
	int				 fd;
	bool				 empty = true;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return true;
	while (empty && (n = getdents64(fd, bytes, sizeof(bytes))) > 0)
		for (at = 0; empty && at < n; at += e->d_reclen) {
			e = (const struct dirent64 *)(bytes + at);
			empty = is_dots(e->d_name);
		}
	(void)close(fd);
	return !empty || n == -1;
}

/* A directory may have been locked against us.  Links are unlinked before
 * this comes to them; when it fails, so does what follows. */
static void
unlock(int at, const char *name)
{
	int rv = fchmodat(at, name, 0700, 0);

	(void)rv;
}

static DIR *
dir_open(int at, const char *name)
{
	DIR	*d;
	int	 fd;

	unlock(at, name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || (d = fdopendir(fd)) == NULL) {
		if (fd != -1)
			(void)close(fd);
		return NULL;
	}
	return d;
}

/* Its files go; its directories come up beside it under new names. */
static bool
dir_flatten(int top, const char *name, unsigned long *serial)
{
	struct dirent	*e;
	char		 fresh[32];
	DIR		*d = dir_open(top, name);

	if (d == NULL)
		return false;
	while ((e = readdir(d)) != NULL) {
		if (is_dots(e->d_name) ||
		    unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		unlock(dirfd(d), e->d_name);
		do
			(void)snprintf(fresh, sizeof(fresh), ".%lu",
			    (*serial)++);
		while (renameat2(dirfd(d), e->d_name, top, fresh,
		    RENAME_NOREPLACE) == -1 && errno == EEXIST);
	}
	(void)closedir(d);
	return unlinkat(top, name, AT_REMOVEDIR) == 0;
}

/* One pass over the top; true while it got anywhere. */
static bool
pass(int top, unsigned long *serial, bool *empty)
{
	struct dirent	*e;
	DIR		*d = dir_open(top, ".");
	bool		 moved = false;

	*empty = true;
	if (d == NULL)
		return *empty = false;
	while ((e = readdir(d)) != NULL) {
		if (is_dots(e->d_name))
			continue;
		*empty = false;
		if (unlinkat(top, e->d_name, 0) == 0 ||
		    dir_flatten(top, e->d_name, serial))
			moved = true;
	}
	(void)closedir(d);
	return moved;
}

bool
tidy(const char *dir)
{
	unsigned long	 serial = 0;
	bool		 empty = false;
	int		 top;

	top = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top == -1 && chmod(dir, 0700) == 0)
		top = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		    O_CLOEXEC);
	if (top == -1)
		return false;
	while (pass(top, &serial, &empty))
		continue;
	(void)close(top);
	return empty;
}
