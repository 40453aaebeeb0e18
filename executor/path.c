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
 * Paths of clients: cleaned, held beneath the workspace, opened by the
 * kernel's own rule (openat2 RESOLVE_BENEATH).  Runs in: executor.
 * Input is hostile, and so is what stands in the file system: links may
 * change while we look.
 */

#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "executor/executor.h"

#ifndef SYS_openat2
#define SYS_openat2	437
#endif

/* linux/openat2.h, which musl's headers do not have */
#define BENEATH		0x08	/* RESOLVE_BENEATH */
#define NO_MAGICLINKS	0x02	/* RESOLVE_NO_MAGICLINKS */

struct how {
	uint64_t	flags, mode, resolve;
};

#define LINKS_MAX	40	/* as the kernel's */

static bool	have_openat2;

static int
openat2_call(int base, const char *rel, int flags)
{
	struct how	how = { .resolve = BENEATH | NO_MAGICLINKS };
	int		fd, tries = 0;

	how.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC);
	do	/* EAGAIN: a rename elsewhere on the way; again. */
		fd = (int)syscall(SYS_openat2, base, rel, &how, sizeof(how));
	while (fd == -1 && errno == EAGAIN && ++tries < 32);
	return fd;
}

/* Old kernels have none; old container filters say EPERM. */
void
path_init(void)
{
	int fd = openat2_call(opt.wsfd, ".", O_PATH | O_DIRECTORY);

	have_openat2 = fd != -1;
	if (fd != -1)
		close(fd);
}

/*
 * Lexically: no ".", "..", empty component.  Relative ones may not leave
 * where they start (EPERM); absolute ones cannot.  "" becomes ".".
 */
int
path_clean(const char *src, size_t len, char *dst, size_t dstlen)
{
	const char	*p = src, *end = src + len, *q;
	size_t		 root = len > 0 && *src == '/', n = root, c;

	if (dstlen < 2)
		return -ENAMETOOLONG;
	dst[0] = '/';
	for (; p < end; p = q + 1) {
		q = memchr(p, '/', (size_t)(end - p));
		if (q == NULL)
			q = end;
		c = (size_t)(q - p);
		if (c == 0 || (c == 1 && *p == '.'))
			continue;
		if (c == 2 && p[0] == '.' && p[1] == '.') {
			if (n == 0)
				return -EPERM;
			while (n > root && dst[n - 1] != '/')
				n--;
			if (n > root)
				n--;
			continue;
		}
		if (c > NAME_MAX)
			return -ENAMETOOLONG;
		if (c + 2 > dstlen - n)
			return -ENAMETOOLONG;
		if (n > root)
			dst[n++] = '/';
		memcpy(dst + n, p, c);
		n += c;
	}
	if (n == 0)
		dst[n++] = '.';
	dst[n] = '\0';
	return 0;
}

/* What follows `root` in `path`, by component; NULL when it is not beneath. */
static const char *
beneath(const char *path, const char *root)
{
	size_t n = strlen(root);

	if (n == 1)	/* "/" */
		return path[1] == '\0' ? "." : path + 1;
	if (strncmp(path, root, n) != 0)
		return NULL;
	if (path[n] == '\0')
		return ".";
	return path[n] == '/' ? path + n + 1 : NULL;
}

int
path_parse(struct slice s, struct path *p)
{
	char		 text[2 * PATH_MAX], full[PATH_MAX];
	const char	*rel;
	int		 rc, n;

	p->base = opt.wsfd;
	if (s.len > 0 && memchr(s.p, '\0', s.len) != NULL)
		return -EINVAL;
	if (s.len == 0 || *(const char *)s.p != '/') {
		rc = path_clean(s.p, s.len, p->rel, sizeof(p->rel));
		if (rc != -EPERM || !opt.full)
			return rc;
		n = snprintf(text, sizeof(text), "%s/%.*s", opt.workspace,
		    (int)s.len, (const char *)s.p);
		if (n < 0 || (size_t)n >= sizeof(text))
			return -ENAMETOOLONG;
		s = slice_str(text);
	}
	if ((rc = path_clean(s.p, s.len, full, sizeof(full))) != 0)
		return rc;
	if ((rel = beneath(full, opt.workspace)) == NULL)
		rel = beneath(full, opt.given);
	if (rel == NULL && !opt.full)
		return -EPERM;
	snprintf(p->rel, sizeof(p->rel), "%s", rel != NULL ? rel : full);
	return 0;
}

const char *
path_name(const struct path *p)
{
	const char *slash = strrchr(p->rel, '/');

	if (strcmp(p->rel, ".") == 0)
		slash = strrchr(opt.workspace, '/');
	if (slash == NULL)
		return p->rel;
	return slash[1] == '\0' ? "/" : slash + 1;
}

/* ---- the walk by hand: no openat2, or an absolute link that stays inside */

struct walk {
	char	done[PATH_MAX];		/* resolved, without links */
	char	rest[2 * PATH_MAX];	/* still to do */
	int	links;
};

/* Open `done` again, following nothing. */
static int
walk_reopen(int base, const struct walk *w)
{
	char	 name[NAME_MAX + 1];
	size_t	 n;
	int	 fd = openat(base, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), up;
	const char *p = w->done;

	while (fd != -1 && *p != '\0') {
		n = strcspn(p, "/");
		memcpy(name, p, n);
		name[n] = '\0';
		p += n + (p[n] == '/');
		up = fd;
		fd = openat(up, name, O_PATH | O_NOFOLLOW | O_DIRECTORY |
		    O_CLOEXEC);
		close(up);
	}
	return fd;
}

/* The next component's link, put before the rest; 0 or -errno. */
static int
walk_link(struct walk *w, int dir, const char *name, const char *rest)
{
	char		 target[PATH_MAX], full[PATH_MAX], tail[2 * PATH_MAX];
	const char	*to = target;
	ssize_t		 n;
	int		 rc;

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	n = readlinkat(dir, name, target, sizeof(target) - 1);
	if (n == -1)	/* no link any more, or gone: look again */
		return errno == EINVAL || errno == ENOENT ? 0 : -errno;
	target[n] = '\0';
	if (target[0] == '/') {
		if ((rc = path_clean(target, (size_t)n, full, sizeof(full)))
		    != 0)
			return rc;
		if ((to = beneath(full, opt.workspace)) == NULL &&
		    (to = beneath(full, opt.given)) == NULL)
			return -EPERM;
		w->done[0] = '\0';
	}
	rc = snprintf(tail, sizeof(tail), "%s%s%s", to, *rest != '\0' ? "/" :
	    "", rest);
	if (rc < 0 || (size_t)rc >= sizeof(tail))
		return -ENAMETOOLONG;
	memcpy(w->rest, tail, (size_t)rc + 1);
	return 0;
}

/* One component: 0 go on, 1 it was the last (and *fd is it), or -errno. */
static int
walk_step(int base, struct walk *w, int flags, int *fd)
{
	char		 name[NAME_MAX + 1], *slash;
	const char	*rest;
	struct stat	 st;
	size_t		 n = strcspn(w->rest, "/"), len;
	int		 dir, rc = 0;

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, w->rest, n);
	name[n] = '\0';
	for (rest = w->rest + n; *rest == '/'; rest++)
		;
	if (strcmp(name, "..") == 0) {
		if (w->done[0] == '\0')
			return -EPERM;
		slash = strrchr(w->done, '/');
		*(slash != NULL ? slash : w->done) = '\0';
		strcpy(name, ".");
	}
	if ((n == 0 || strcmp(name, ".") == 0) && *rest != '\0') {
		memmove(w->rest, rest, strlen(rest) + 1);
		return 0;
	}
	if ((dir = walk_reopen(base, w)) == -1)
		return -errno;
	if (name[0] != '\0' && strcmp(name, ".") != 0 &&
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode) && (*rest != '\0' || !(flags & O_NOFOLLOW)))
		rc = walk_link(w, dir, name, rest);
	else if (*rest == '\0') {
		*fd = openat(dir, n == 0 ? "." : name, flags | O_NOFOLLOW |
		    O_CLOEXEC);
		rc = *fd == -1 ? -errno : 1;
	} else {
		len = strlen(w->done);
		if (len + 1 + n + 1 > sizeof(w->done))
			rc = -ENAMETOOLONG;
		else
			snprintf(w->done + len, sizeof(w->done) - len, "%s%s",
			    len > 0 ? "/" : "", name);
		memmove(w->rest, rest, strlen(rest) + 1);
	}
	close(dir);
	return rc;
}

static int
walk_open(int base, const char *rel, int flags)
{
	struct walk	w = { .links = 0 };
	int		fd = -1, rc, steps = 0;

	snprintf(w.rest, sizeof(w.rest), "%s", rel);
	do
		rc = walk_step(base, &w, flags, &fd);
	while (rc == 0 && ++steps < PATH_MAX);
	return rc == 1 ? fd : rc == 0 ? -ELOOP : rc;
}

/* ---- opening */

static int
path_open_rel(const struct path *p, const char *rel, int flags)
{
	int fd;

	if (opt.full) {
		fd = openat(p->base, rel, flags | O_CLOEXEC);
		return fd == -1 ? -errno : fd;
	}
	if (have_openat2) {
		fd = openat2_call(p->base, rel, flags);
		if (fd != -1 || errno != EXDEV)
			return fd == -1 ? -errno : fd;
	}
	/* EXDEV: it leaves, or a link names the workspace by its full path. */
	return walk_open(p->base, rel, flags);
}

int
path_open(const struct path *p, int flags)
{
	return path_open_rel(p, p->rel, flags);
}

/*
 * One more component below `dir`, made if it is missing.  Links and ".." are
 * left to path_open_rel, which sees the way from the root.  A descriptor, or
 * -errno.
 */
static int
make_one(const struct path *p, const char *prefix, int dir, const char *name)
{
	const int	flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int		fd;

	if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
		return path_open_rel(p, prefix, O_PATH | O_DIRECTORY);
	fd = openat(dir, name, flags);
	if (fd == -1 && errno == ENOENT) {
		if (mkdirat(dir, name, 0755) == -1 && errno != EEXIST)
			return -errno;
		fd = openat(dir, name, flags);
	}
	if (fd != -1)
		return fd;
	if (errno != ENOTDIR && errno != ELOOP)
		return -errno;
	return path_open_rel(p, prefix, O_PATH | O_DIRECTORY);
}

/* mkdir -p of rel, 0755, from the front; the last one's descriptor. */
static int
make_parents(const struct path *p, const char *rel)
{
	char		 prefix[PATH_MAX], name[NAME_MAX + 1];
	const char	*end = rel;
	size_t		 n;
	int		 dir, up;

	dir = path_open_rel(p, *rel == '/' ? "/" : ".", O_PATH | O_DIRECTORY);
	for (;;) {
		end += strspn(end, "/");
		if (*end == '\0' || dir < 0)
			return dir;
		if ((n = strcspn(end, "/")) > NAME_MAX) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(name, end, n);
		name[n] = '\0';
		end += n;
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(end - rel),
		    rel);
		up = dir;
		dir = make_one(p, prefix, up, name);
		close(up);
	}
}

int
path_parent(const struct path *p, bool make, const char **name)
{
	char		 rel[PATH_MAX];
	const char	*slash = strrchr(p->rel, '/');
	int		 fd;

	if (strcmp(p->rel, ".") == 0 || strcmp(p->rel, "/") == 0)
		return -EPERM;		/* the root has no name here */
	*name = slash != NULL ? slash + 1 : p->rel;
	if (slash == NULL)
		snprintf(rel, sizeof(rel), ".");
	else
		snprintf(rel, sizeof(rel), "%.*s", slash == p->rel ? 1 :
		    (int)(slash - p->rel), p->rel);
	fd = path_open_rel(p, rel, O_PATH | O_DIRECTORY);
	return fd == -ENOENT && make ? make_parents(p, rel) : fd;
}
