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
 * Workspace and working directories.  Runs in: xbot-runner.
 * dir comes from the server; the tree may be changed by commands meanwhile.
 */

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "runner/workdir.h"

static void	path_clean(char *);
static bool	path_beneath(const char *, const char *);
static bool	dir_make(const char *);

/* Makes one directory and those above it. */
static bool
dir_make(const char *path)
{
	char	 part[PATH_MAX];
	size_t	 i, len = strlen(path);

	if (len >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST &&
		    errno != EISDIR)
			return false;
	}
	return true;
}

char *
workdir_prepare(const char *path)
{
	struct stat	 st;
	char		*full;

	if (path[0] == '\0' || (stat(path, &st) == -1 && !dir_make(path))) {
		log_errorx("cannot create %s: choose another with --workspace",
		    path);
		return NULL;
	}
	if ((full = realpath(path, NULL)) == NULL || stat(full, &st) == -1) {
		log_error("workspace %s", path);
		free(full);
		return NULL;
	}
	if (!S_ISDIR(st.st_mode) || access(full, R_OK | X_OK) == -1) {
		log_errorx("workspace %s is no directory that may be read: "
		    "choose another with --workspace", full);
		free(full);
		return NULL;
	}
	if (access(full, W_OK) == -1)
		log_warn("workspace %s cannot be written", full);
	return full;
}

/* In place: an absolute path without ".", "..", "//" or a final slash. */
static void
path_clean(char *path)
{
	char	*from = path, *to = path;
	size_t	 len;

	while (*from != '\0') {
		from += strspn(from, "/");
		len = strcspn(from, "/");
		if (len == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (len > 0 && !(len == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, len);
			to += len;
		}
		from += len;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static bool
path_beneath(const char *path, const char *top)
{
	size_t	 len = strlen(top);

	if (len == 1)
		return true;
	return strncmp(path, top, len) == 0 &&
	    (path[len] == '/' || path[len] == '\0');
}

bool
workdir_inside(const char *workspace, struct slice dir)
{
	char		 path[2 * PATH_MAX], real[PATH_MAX], *cut;
	const char	*text = dir.p;
	size_t		 top = 0;

	if (dir.len == 0)
		return true;
	if (text[0] != '/') {
		top = strlen(workspace);
		memcpy(path, workspace, top);
		path[top++] = '/';
	}
	if (dir.len >= PATH_MAX)
		return false;
	memcpy(path + top, text, dir.len);
	path[top + dir.len] = '\0';
	path_clean(path);
	while (realpath(path, real) == NULL) {
		/* What does not exist cannot lead elsewhere. */
		if (errno != ENOENT || (cut = strrchr(path, '/')) == NULL ||
		    cut == path)
			return false;
		*cut = '\0';
	}
	return path_beneath(real, workspace);
}
