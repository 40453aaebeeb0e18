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
 * cp: one file into a sandbox or out of it, streamed.  Runs in: xbot-admin.
 * A file that arrives here gets its name when it is whole, as one there does.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/admin/admin.h"

/* The file that is being written; removed when a signal ends us. */
static char	 temporary[PATH_MAX + 16];

/* Where a download goes. */
struct target {
	char	 path[PATH_MAX];
	int	 fd;
	bool	 atomic;		/* to temporary first */
};

static int	 get(const struct args *, const char *, const char *);
static int	 put(const struct args *, const char *, const char *);
static bool	 sandbox_path(struct buf *, const struct args *, const char *,
		    const char *);
static bool	 mode_ask(const struct args *, const char *, mode_t *);
static bool	 target_open(struct target *, const char *, const char *);
static bool	 target_close(struct target *, mode_t, bool);
static bool	 on_bytes(void *, const void *, size_t);
static void	 on_signal(int);
static const char *last_part(const char *);

static void
on_signal(int sig)
{
	(void)unlink(temporary);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

static const char *
last_part(const char *path)
{
	const char	*slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static bool
on_bytes(void *arg, const void *data, size_t len)
{
	struct target	*t = arg;

	if (write_all(t->fd, data, len) == 0)
		return true;
	complain("%s: %s", t->path, strerror(errno));
	return false;
}

/* "/v1/users/U/WHAT?path=P", and the session. */
static bool
sandbox_path(struct buf *b, const struct args *a, const char *what,
    const char *path)
{
	if (!path_make(b, "/v1/users/%/%?path=%", a->user, what, path))
		return false;
	if (a->opt['S'] == NULL)
		return true;
	b->len--;			/* the NUL */
	return path_make(b, "&session=%", a->opt['S']);
}

/* Permissions there; also: is it a file at all. */
static bool
mode_ask(const struct args *a, const char *path, mode_t *mode)
{
	struct buf	 url = { 0 };
	struct call	 c = { .method = "GET", .seconds = 120 };
	struct json	*j = NULL;
	const char	*why;
	int64_t		 m = 0644;
	bool		 ok, dir = false;

	ok = sandbox_path(&url, a, "stat", path);
	c.path = (char *)buf_data(&url);
	if ((ok = ok && call_run(&c))) {
		j = json_parse((char *)buf_data(&c.answer), c.answer.len, 64,
		    &why);
		if (json_bool(json_find(json_root(j), "is_dir"), &dir) &&
		    dir) {
			complain(":%s: is a directory", path);
			ok = false;
		}
		(void)json_int(json_find(json_root(j), "mode"), &m);
		*mode = (mode_t)m & 0777;
		json_free(j);
	}
	call_clear(&c);
	buf_clear(&url);
	return ok;
}

static bool
target_open(struct target *t, const char *dst, const char *src)
{
	struct stat	 st;
	int		 n;

	t->fd = STDOUT_FILENO;
	t->atomic = false;
	n = snprintf(t->path, sizeof(t->path), "%s", dst);
	if (strcmp(dst, "-") == 0)
		return true;
	if (stat(dst, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (*last_part(src) == '\0') {
			complain(":%s: which name is it to get?", src);
			return false;
		}
		n = snprintf(t->path, sizeof(t->path), "%s/%s", dst,
		    last_part(src));
	}
	if (n < 0 || (size_t)n >= sizeof(t->path)) {
		complain("%s: %s", dst, strerror(ENAMETOOLONG));
		return false;
	}
	if (stat(t->path, &st) == 0 && !S_ISREG(st.st_mode))
		t->fd = open(t->path, O_WRONLY | O_CLOEXEC);
	else {
		t->atomic = true;
		(void)snprintf(temporary, sizeof(temporary), "%s.XXXXXXXXXX",
		    t->path);
		t->fd = mkostemp(temporary, O_CLOEXEC);
	}
	if (t->fd == -1)
		complain("%s: %s", t->path, strerror(errno));
	return t->fd != -1;
}

static bool
target_close(struct target *t, mode_t mode, bool ok)
{
	mode_t	 mask = umask(0);

	if (!t->atomic) {
		if (t->fd != STDOUT_FILENO)
			close(t->fd);
		return ok;
	}
	if (ok && (fchmod(t->fd, mode & ~mask) == -1 || fsync(t->fd) == -1 ||
	    rename(temporary, t->path) == -1)) {
		complain("%s: %s", t->path, strerror(errno));
		ok = false;
	}
	if (!ok)
		(void)unlink(temporary);
	close(t->fd);
	return ok;
}

static int
get(const struct args *a, const char *src, const char *dst)
{
	static const int	 ends[] = { SIGHUP, SIGINT, SIGPIPE, SIGTERM };
	static struct target	 t;
	struct buf		 url = { 0 };
	struct call		 c = { .method = "GET", .sink = on_bytes,
				    .arg = &t };
	mode_t			 mode = 0644;
	size_t			 i;
	bool			 ok;

	if (!mode_ask(a, src, &mode) || !sandbox_path(&url, a, "files", src)
	    || !target_open(&t, dst, src)) {
		buf_clear(&url);
		return STATUS_FAILED;
	}
	for (i = 0; t.atomic && i < NITEMS(ends); i++)
		(void)signal(ends[i], on_signal);
	c.path = (char *)buf_data(&url);
	ok = call_run(&c);
	ok = target_close(&t, mode, ok);
	call_clear(&c);
	buf_clear(&url);
	return ok ? 0 : STATUS_FAILED;
}

static int
put(const struct args *a, const char *src, const char *dst)
{
	struct buf	 url = { 0 }, path = { 0 };
	struct call	 c = { .method = "PUT", .upload = true,
			    .in_fd = STDIN_FILENO, .in_size = -1 };
	struct stat	 st;
	mode_t		 mode = 0644;
	char		 octal[8];
	bool		 ok = false;

	if (strcmp(src, "-") != 0 &&
	    ((c.in_fd = open(src, O_RDONLY | O_CLOEXEC)) == -1 ||
	    fstat(c.in_fd, &st) == -1)) {
		complain("%s: %s", src, strerror(errno));
		goto out;
	}
	if (c.in_fd != STDIN_FILENO && S_ISDIR(st.st_mode)) {
		complain("%s: is a directory", src);
		goto out;
	}
	if (c.in_fd != STDIN_FILENO && S_ISREG(st.st_mode)) {
		mode = st.st_mode & 0777;
		/* There 0 means everybody's; here it was nobody's. */
		if (mode == 0)
			mode = 0400;
		c.in_size = st.st_size;
	}
	ok = buf_add(&path, dst, strlen(dst)) == 0;
	if (*last_part(dst) == '\0' && c.in_fd != STDIN_FILENO)
		ok = ok && buf_add(&path, last_part(src),
		    strlen(last_part(src))) == 0;
	ok = ok && buf_add(&path, "", 1) == 0 &&
	    sandbox_path(&url, a, "files", (char *)buf_data(&path));
	(void)snprintf(octal, sizeof(octal), "%04o", (unsigned int)mode);
	if (ok) {
		url.len--;		/* the NUL */
		ok = path_make(&url, a->opt['p'] != NULL ?
		    "&parents=1&mode=%" : "&mode=%", octal);
	}
	c.path = (char *)buf_data(&url);
	ok = ok && call_run(&c);
out:
	if (c.in_fd > STDIN_FILENO)
		close(c.in_fd);
	call_clear(&c);
	buf_clear(&url);
	buf_clear(&path);
	return ok ? 0 : STATUS_FAILED;
}

int
verb_cp(const struct args *a)
{
	const char	*src = a->argv[0], *dst = a->argv[1];

	if ((*src == ':') == (*dst == ':'))
		return verb_wrong("one side is :PATH, the other one is here");
	return *src == ':' ? get(a, src + 1, dst) : put(a, src, dst + 1);
}
