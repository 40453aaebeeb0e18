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
 * One file: stat, get, put.  Runs in: executor.  Input is hostile, see
 * path.c.  Disk I/O blocks, in slices of at most one frame.
 * Owns: open transfers; a put that does not end leaves nothing behind.
 */

#include <sys/random.h>
#include <sys/statfs.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"

#define PUT_WINDOW	(2 * 1024 * 1024)	/* in flight towards us */
#define PUT_STEP	(256 * 1024)	/* credit is renewed in such steps */
#define LINKS_MAX	40
#define SYSFS		0x62656572u	/* statfs(2) */

struct get {
	struct op	op;		/* first */
	int		fd;
	uint64_t	pos, left;	/* in the file */
	bool		unsized;	/* to its end, wherever that is */
	uint64_t	sent, credit;	/* in the stream */
};

struct put {
	struct op	op;		/* first */
	int		dir, fd;
	char		name[NAME_MAX + 1];
	char		temp[16];	/* "" once renamed */
	uint32_t	mode;
	bool		as_open;	/* MODE_AS_OPEN */
	uint64_t	limit, got, granted;
};

static void	get_credit(struct op *, uint8_t, uint64_t);
static bool	get_pump(struct op *);
static void	get_clear(struct op *);
static void	put_data(struct op *, uint8_t, uint64_t, struct slice);
static void	put_eof(struct op *, uint8_t, uint64_t);
static void	put_clear(struct op *);
static void	file_cancel(struct op *);

static const struct op_class get_class = {
	.name = "get", .on_credit = get_credit, .on_cancel = file_cancel,
	.pump = get_pump, .clear = get_clear
};

static const struct op_class put_class = {
	.name = "put", .on_data = put_data, .on_eof = put_eof,
	.on_cancel = file_cancel, .clear = put_clear
};

static void
file_cancel(struct op *op)
{
	op_refuse(op, XERR_EIO, "cancelled");
}

bool
file_in_use(const struct id16 *id)
{
	if (op_find(id) == NULL)
		return false;
	refuse(id, XERR_EEXIST, "this job id is in use");
	return true;
}

static enum xerr
file_error(char *text, size_t len, int error, struct slice path)
{
	snprintf(text, len, "%.*s: %s", path.len < 400 ? (int)path.len : 400,
	    path.len > 0 ? (const char *)path.p : "", error == EXDEV ?
	    "outside the workspace" : strerror(error));
	op_printable(text);
	return start_error(error);
}

void
file_refuse(const struct id16 *id, int error, struct slice path)
{
	char		text[512];
	enum xerr	code = file_error(text, sizeof(text), error, path);

	refuse(id, code, text);
}

void
file_fail(struct op *op, int error, struct slice path)
{
	char		text[512];
	enum xerr	code = file_error(text, sizeof(text), error, path);

	op_refuse(op, code, text);
}

static void
info_send(const struct id16 *id, const char *name, const struct stat *st)
{
	struct exec_file_info m = { .job = *id };

	m.name = slice_str(name);
	m.size = (uint64_t)st->st_size;
	m.mode = st->st_mode;
	m.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
	    st->st_mtim.tv_nsec;
	link_send(EXEC_FILE_INFO, &m);
}

void
on_file_stat(const struct exec_file_stat *m)
{
	struct path	p;
	struct stat	st;
	int		fd, error;

	if (file_in_use(&m->job))
		return;
	if ((error = -path_parse(m->path, &p)) == 0) {
		if ((fd = path_open(&p, O_PATH)) < 0)
			error = -fd;
		else {
			error = fstat(fd, &st) == -1 ? errno : 0;
			close(fd);
		}
	}
	if (error != 0)
		file_refuse(&m->job, error, m->path);
	else {
		struct exec_job_done done = { .job = m->job };

		info_send(&m->job, path_name(&p), &st);
		link_send(EXEC_JOB_DONE, &done);
	}
}

/* ---- get */

static int
kind_error(const struct stat *st)
{
	return S_ISREG(st->st_mode) ? 0 : S_ISDIR(st->st_mode) ? EISDIR :
	    EINVAL;
}

/*
 * Look before opening: to open a device may already do something, a fifo
 * would wait.  The second look is at what was opened.
 */
static int
get_open(const struct path *p, struct stat *st, int *fdp)
{
	int fd, error;

	if ((fd = path_open(p, O_PATH)) < 0)
		return -fd;
	error = fstat(fd, st) == -1 ? errno : kind_error(st);
	close(fd);
	if (error != 0)
		return error;
	if ((fd = path_open(p, O_RDONLY | O_NONBLOCK | O_NOCTTY)) < 0)
		return -fd;
	error = fstat(fd, st) == -1 ? errno : kind_error(st);
	if (error != 0) {
		close(fd);
		return error;
	}
	*fdp = fd;
	return 0;
}

/* Files of /proc say that they have nothing, and those of /sys a page, whatever
 * there is to read. */
static bool
is_unsized(int fd, const struct stat *st)
{
	struct statfs	 fs;
	char		 c;

	return (st->st_size == 0 && pread(fd, &c, 1, 0) == 1) ||
	    (fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == SYSFS);
}

void
on_file_get(const struct exec_file_get *m)
{
	struct path	 p;
	struct stat	 st;
	struct get	*g;
	uint64_t	 size;
	int		 error, fd = -1;

	if ((error = -path_parse(m->path, &p)) == 0)
		error = get_open(&p, &st, &fd);
	if (error != 0) {
		if (!file_in_use(&m->job))
			file_refuse(&m->job, error, m->path);
		return;
	}
	if ((g = calloc(1, sizeof(*g))) == NULL)
		die("out of memory");
	if (!op_enter(&g->op, &m->job, &get_class)) {
		close(fd);
		free(g);
		return;
	}
	g->fd = fd;
	g->unsized = is_unsized(fd, &st);
	if (g->unsized)
		st.st_size = 0;
	size = g->unsized ? INT64_MAX : (uint64_t)st.st_size;
	g->pos = m->offset < size ? m->offset : size;
	g->left = size - g->pos;
	if (m->length > 0 && m->length < g->left)
		g->left = m->length;
	info_send(&m->job, path_name(&p), &st);
	op_ready(&g->op);
}

static void
get_credit(struct op *op, uint8_t stream, uint64_t upto)
{
	struct get *g = (struct get *)op;

	if (stream != STREAM_FILE || upto <= g->credit)
		return;
	g->credit = upto;
	op_ready(op);
}

static bool
get_pump(struct op *op)
{
	struct get		*g = (struct get *)op;
	struct exec_job_eof	 eof = { .job = op->id, .stream = STREAM_FILE };
	ssize_t			 n;
	size_t			 max = SIZE_MAX;
	void			*p;

	if (g->left == 0) {
		eof.offset = g->sent;
		link_send_last(op, EXEC_JOB_EOF, &eof);
		op_done(op);
		return false;
	}
	if (g->credit <= g->sent)
		return false;
	if (max > g->left)
		max = (size_t)g->left;
	if (max > g->credit - g->sent)
		max = (size_t)(g->credit - g->sent);
	if ((p = link_data(op, STREAM_FILE, g->sent, &max)) == NULL)
		return true;
	n = pread(g->fd, p, max, (off_t)g->pos);
	if (n == -1 && errno == EINTR)
		return true;
	if (n == 0 && g->unsized) {
		g->left = 0;
		return true;
	}
	if (n <= 0) {
		op_refuse(op, XERR_EIO, n == 0 ?
		    "the file became shorter while it was read" :
		    strerror(errno));
		return false;
	}
	link_commit(op, (size_t)n);
	g->pos += (size_t)n;
	g->sent += (size_t)n;
	g->left -= (size_t)n;
	return g->left == 0 || g->credit > g->sent;
}

static void
get_clear(struct op *op)
{
	struct get *g = (struct get *)op;

	close(g->fd);
}

/* ---- put */

/*
 * The link that stands in a new file's place is followed, as open would, but
 * not out of the workspace.  0: *p is now where it leads.
 */
static int
put_follow(struct path *p, int dir, const char *name)
{
	char	target[PATH_MAX], rel[2 * PATH_MAX], *slash;
	ssize_t	n;
	int	len;

	if ((n = readlinkat(dir, name, target, sizeof(target) - 1)) == -1)
		return errno == EINVAL ? 0 : errno;	/* no link now */
	while (n > 1 && target[n - 1] == '/')
		n--;
	target[n] = '\0';
	if (target[0] == '/')
		return -path_parse(slice_str(target), p);
	snprintf(rel, sizeof(rel), "%s", p->rel);
	slash = strrchr(rel, '/');
	len = snprintf(slash != NULL ? slash + 1 : rel, PATH_MAX, "%s",
	    target);
	if (len < 0 || strlen(rel) >= sizeof(p->rel))
		return ENAMETOOLONG;
	memcpy(p->rel, rel, strlen(rel) + 1);
	return 0;
}

/* The directory and name of the file to be; 0 or an errno. */
static int
put_target(struct path *p, bool parents, int *dirp, const char **name)
{
	struct stat	st;
	int		dir, error, i;

	for (i = 0; i < LINKS_MAX; i++) {
		if (strcmp(p->rel, ".") == 0)
			return EISDIR;
		if ((dir = path_parent(p, parents, name)) < 0)
			return -dir;
		error = EISDIR;
		if (strcmp(*name, "..") == 0 || strcmp(*name, ".") == 0)
			goto fail;
		if (fstatat(dir, *name, &st, AT_SYMLINK_NOFOLLOW) == -1) {
			if ((error = errno) != ENOENT)
				goto fail;
			*dirp = dir;
			return 0;
		}
		if (S_ISDIR(st.st_mode))
			goto fail;
		if (!S_ISLNK(st.st_mode)) {
			*dirp = dir;
			return 0;
		}
		if ((error = put_follow(p, dir, *name)) != 0)
			goto fail;
		close(dir);
	}
	return ELOOP;
fail:
	close(dir);
	return error;
}

static int
put_temp(struct put *f)
{
	static const char	digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char		r[8];
	int			tries, i;

	for (tries = 0; tries < 16; tries++) {
		if (getrandom(r, sizeof(r), 0) != sizeof(r))
			return errno;
		memcpy(f->temp, ".xbot-", 6);
		for (i = 0; i < 8; i++)
			f->temp[6 + i] = digits[r[i] % 32];
		f->temp[14] = '\0';
		f->fd = openat(f->dir, f->temp, O_WRONLY | O_CREAT | O_EXCL |
		    O_NOFOLLOW | O_CLOEXEC, 0600);
		if (f->fd != -1)
			return 0;
		if (errno != EEXIST)
			break;
	}
	f->temp[0] = '\0';
	return errno;
}

static void
put_grant(struct put *f)
{
	struct exec_job_credit	m = { .job = f->op.id,
				    .stream = STREAM_FILE };

	if (f->got + PUT_WINDOW - f->granted < PUT_STEP)
		return;
	m.upto = f->granted = f->got + PUT_WINDOW;
	link_send(EXEC_JOB_CREDIT, &m);
}

void
on_file_put(const struct exec_file_put *m)
{
	struct path	 p;
	struct put	*f;
	const char	*name;
	int		 error;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		die("out of memory");
	f->dir = f->fd = -1;
	if (!op_enter(&f->op, &m->job, &put_class)) {
		free(f);
		return;
	}
	if ((error = -path_parse(m->path, &p)) == 0 &&
	    (error = put_target(&p, m->parents, &f->dir, &name)) == 0) {
		snprintf(f->name, sizeof(f->name), "%s", name);
		error = put_temp(f);
	}
	if (error != 0) {
		file_fail(&f->op, error, m->path);
		return;
	}
	f->mode = m->mode & 07777;
	if (f->mode == 0)
		f->mode = 0644;
	f->as_open = (m->mode & MODE_AS_OPEN) != 0;
	f->limit = m->limit;
	put_grant(f);
}

static void
put_data(struct op *op, uint8_t stream, uint64_t offset, struct slice bytes)
{
	struct put	*f = (struct put *)op;
	const uint8_t	*p = bytes.p;
	size_t		 left = bytes.len;
	ssize_t		 n;

	if (stream != STREAM_FILE)
		return;
	if (offset != f->got || bytes.len > f->granted - f->got)
		link_breach("file data beyond its credit or out of order");
	if (f->limit > 0 && bytes.len > f->limit - f->got) {
		op_refuse(op, XERR_E2BIG, "the file is over its limit");
		return;
	}
	while (left > 0) {
		n = write(f->fd, p, left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			op_fail(op, errno, f->name);
			return;
		}
		p += n;
		left -= (size_t)n;
	}
	f->got += bytes.len;
	put_grant(f);
}

uint32_t
file_umasked(uint32_t mode)
{
	mode_t	 mask = umask(0);

	umask(mask);
	return mode & ~mask;
}

static uint32_t
put_mode(const struct put *f)
{
	struct stat	 st;

	if (!f->as_open)
		return f->mode;
	if (fstatat(f->dir, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode))
		return st.st_mode & 0777;
	return file_umasked(f->mode);
}

static void
put_eof(struct op *op, uint8_t stream, uint64_t offset)
{
	struct put	*f = (struct put *)op;
	int		 fd = f->fd;

	if (stream != STREAM_FILE)
		return;
	if (offset != f->got)
		link_breach("end of a file out of order");
	f->fd = -1;
	/* close may be the one to say that the quota is used up. */
	if (fchmod(fd, put_mode(f)) == -1 || close(fd) == -1 ||
	    renameat(f->dir, f->temp, f->dir, f->name) == -1) {
		op_fail(op, errno, f->name);
		return;
	}
	f->temp[0] = '\0';
	op_done(op);
}

static void
put_clear(struct op *op)
{
	struct put *f = (struct put *)op;

	if (f->fd != -1)
		close(f->fd);
	if (f->temp[0] != '\0')
		unlinkat(f->dir, f->temp, 0);
	if (f->dir != -1)
		close(f->dir);
}
