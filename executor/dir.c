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
 * Directories: list, mkdir, remove.  Runs in: executor.  Input is hostile,
 * see path.c.  Long work is done in slices of SLICE_US, so that a huge tree
 * delays nobody's output.
 */

#include <sys/syscall.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"

#define SLICE_US	5000
#define LIST_MAX	200000		/* entries: what a client can use */
#define NAMES_MAX	(32 * 1024 * 1024)
#define LIST_CHUNK	256		/* as file_entries in exec.def */
#define DEPTH_MAX	4096		/* of a tree to be removed */

/* As getdents64(2) writes it; the C library's differs. */
struct entry {
	uint64_t	ino;
	int64_t		off;
	uint16_t	reclen;
	uint8_t		type;
	char		name[];
};

struct list {
	struct op	  op;		/* first */
	int		  fd;
	bool		  complete;
	struct buf	  text;		/* names with their NUL */
	uint32_t	 *at;		/* where they start */
	size_t		  n, cap;
	uint64_t	  sent, credit;
};

struct level {
	dev_t	dev;
	ino_t	ino;
	char	name[NAME_MAX + 1];
};

struct rm {
	struct op	 op;		/* first */
	int		 top;		/* holds the tree's root */
	int		 fd;		/* the directory being emptied */
	bool		 removed;	/* something, since the last rewind */
	struct level	*stack;
	size_t		 depth, cap;
};

static void	list_credit(struct op *, uint8_t, uint64_t);
static bool	list_pump(struct op *);
static void	list_clear(struct op *);
static bool	rm_pump(struct op *);
static void	rm_clear(struct op *);
static void	dir_cancel(struct op *);

static const struct op_class list_class = {
	.name = "list", .on_credit = list_credit, .on_cancel = dir_cancel,
	.pump = list_pump, .clear = list_clear
};

static const struct op_class rm_class = {
	.name = "remove", .on_cancel = dir_cancel, .pump = rm_pump,
	.clear = rm_clear
};

static void
dir_cancel(struct op *op)
{
	op_refuse(op, XERR_EIO, "cancelled");
}

static bool
is_dots(const char *s)
{
	return s[0] == '.' && (s[1] == '\0' || (s[1] == '.' && s[2] == '\0'));
}

/* ---- list */

void
on_file_list(const struct exec_file_list *m)
{
	struct path	 p;
	struct list	*l;
	int		 fd;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		die("out of memory");
	l->fd = -1;
	if (!op_enter(&l->op, &m->job, &list_class)) {
		free(l);
		return;
	}
	if ((fd = path_parse(m->path, &p)) == 0)
		fd = path_open(&p, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	if (fd < 0) {
		file_fail(&l->op, -fd, m->path);
		return;
	}
	l->fd = fd;
	op_ready(&l->op);
}

static void
list_credit(struct op *op, uint8_t stream, uint64_t upto)
{
	struct list *l = (struct list *)op;

	if (stream != STREAM_FILE || upto <= l->credit)
		return;
	l->credit = upto;
	op_ready(op);
}

static int
list_add(struct list *l, const char *name)
{
	size_t		 cap, len = strlen(name) + 1;
	uint32_t	*at;

	if (l->n == LIST_MAX || l->text.len + len > NAMES_MAX)
		return -1;
	if (l->n == l->cap) {
		cap = l->cap == 0 ? 256 : l->cap * 2;
		if ((at = realloc(l->at, cap * sizeof(*at))) == NULL)
			return -1;
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n] = (uint32_t)l->text.len;
	if (buf_add(&l->text, name, len) == -1)
		return -1;
	l->n++;
	return 0;
}

static const char	*sort_text;

static int
by_name(const void *a, const void *b)
{
	return strcmp(sort_text + *(const uint32_t *)a,
	    sort_text + *(const uint32_t *)b);
}

/* One bufferful of names; false: the op is gone. */
static bool
list_read(struct list *l)
{
	static _Alignas(8) char	 buf[32 * 1024];
	struct entry		*e;
	long			 n, i;

	if ((n = syscall(SYS_getdents64, l->fd, buf, sizeof(buf))) == -1) {
		op_fail(&l->op, errno, "directory");
		return false;
	}
	for (i = 0; i < n; i += e->reclen) {
		e = (struct entry *)(buf + i);
		if (is_dots(e->name) || list_add(l, e->name) == 0)
			continue;
		op_refuse(&l->op, XERR_E2BIG,
		    "the directory has too many entries");
		return false;
	}
	if (n > 0)
		return true;
	l->complete = true;
	sort_text = (const char *)buf_data(&l->text);
	if (l->n > 1)
		qsort(l->at, l->n, sizeof(*l->at), by_name);
	return true;
}

static bool
list_send(struct list *l)
{
	static struct slice	 names[LIST_CHUNK];
	static uint32_t		 modes[LIST_CHUNK];
	static uint64_t		 sizes[LIST_CHUNK];
	struct exec_file_entries m = { .job = l->op.id, .offset = l->sent };
	struct stat		 st;
	const char		*name;
	uint64_t		 n = l->n - l->sent;
	uint32_t		 i;

	if (n > LIST_CHUNK)
		n = LIST_CHUNK;
	if (n > l->credit - l->sent)
		n = l->credit - l->sent;
	for (i = 0; i < n; i++) {
		name = (const char *)buf_data(&l->text) + l->at[l->sent + i];
		if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			memset(&st, 0, sizeof(st));	/* gone meanwhile */
		names[i] = slice_str(name);
		modes[i] = st.st_mode;
		sizes[i] = (uint64_t)st.st_size;
	}
	m.names = (struct slices){ names, i };
	m.modes = (struct u32s){ modes, i };
	m.sizes = (struct u64s){ sizes, i };
	if (link_send_data(&l->op, EXEC_FILE_ENTRIES, &m))
		l->sent += i;
	return true;
}

static bool
list_pump(struct op *op)
{
	struct list *l = (struct list *)op;

	if (!l->complete)
		return list_read(l);
	if (l->sent == l->n) {
		op_done(op);
		return false;
	}
	return l->credit > l->sent && list_send(l);
}

static void
list_clear(struct op *op)
{
	struct list *l = (struct list *)op;

	if (l->fd != -1)
		close(l->fd);
	buf_clear(&l->text);
	free(l->at);
}

/* ---- mkdir */

/* The mode is as given, whatever the umask. */
static int
make_one(int dir, const char *name, uint32_t mode)
{
	int fd, error = 0;

	if (mkdirat(dir, name, 0700) == -1)
		return errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (fd == -1)
		return errno;
	if (fchmod(fd, mode) == -1)
		error = errno;
	close(fd);
	return error;
}

static int
mkdir_path(const struct exec_file_mkdir *m, struct path *p)
{
	const char	*name;
	uint32_t	 mode = m->mode & 07777;
	int		 dir, error = -path_parse(m->path, p), fd;

	if (error != 0)
		return error;
	if (strcmp(p->rel, ".") == 0 || strcmp(p->rel, "/") == 0)
		return m->parents ? 0 : EEXIST;
	if ((dir = path_parent(p, m->parents, &name)) < 0)
		return -dir;
	if (mode == 0)
		mode = 0755;
	if (m->mode & MODE_AS_OPEN)
		mode = file_umasked(mode);
	error = make_one(dir, name, mode);
	close(dir);
	if (error != EEXIST || !m->parents)
		return error;
	/* A link to a directory is one, if it stays inside. */
	if ((fd = path_open(p, O_PATH | O_DIRECTORY)) < 0)
		return fd == -ENOTDIR || fd == -ENOENT ? EEXIST : -fd;
	close(fd);
	return 0;
}

void
on_file_mkdir(const struct exec_file_mkdir *m)
{
	struct exec_job_done	done = { .job = m->job };
	struct path		p;
	int			error;

	if (file_in_use(&m->job))
		return;
	if ((error = mkdir_path(m, &p)) != 0)
		file_refuse(&m->job, error, m->path);
	else
		link_send(EXEC_JOB_DONE, &done);
}

/* ---- remove */

/* Enter a directory: it becomes the one being emptied; 0 or an errno. */
static int
rm_push(struct rm *r, int dir, const char *name)
{
	struct stat	 st, ws;
	struct level	*v;
	size_t		 cap;
	int		 fd, error;

	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_NONBLOCK | O_CLOEXEC);
	if (fd == -1)
		return errno;
	error = E2BIG;
	if (r->depth == DEPTH_MAX)
		goto fail;
	error = ENOMEM;
	if (r->depth == r->cap) {
		cap = r->cap == 0 ? 8 : r->cap * 2;
		if ((v = realloc(r->stack, cap * sizeof(*v))) == NULL)
			goto fail;
		r->stack = v;
		r->cap = cap;
	}
	error = EPERM;	/* never the workspace itself, by whatever name */
	if (fstat(fd, &st) == -1 || fstat(opt.wsfd, &ws) == -1 ||
	    (st.st_dev == ws.st_dev && st.st_ino == ws.st_ino))
		goto fail;
	v = &r->stack[r->depth++];
	v->dev = st.st_dev;
	v->ino = st.st_ino;
	snprintf(v->name, sizeof(v->name), "%s", name);
	if (r->fd != -1)
		close(r->fd);
	r->fd = fd;
	r->removed = false;
	return 0;
fail:
	close(fd);
	return error;
}

/* The directory is empty, remove it: 1 that was the root, 0, or -errno. */
static int
rm_pop(struct rm *r)
{
	struct level	*up;
	struct stat	 st;
	int		 fd;

	if (r->depth == 1)
		return unlinkat(r->top, r->stack[0].name, AT_REMOVEDIR) == -1 ?
		    -errno : 1;
	up = &r->stack[r->depth - 2];
	fd = openat(r->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	/* Somebody moved it: its ".." is not where we came from. */
	if (fstat(fd, &st) == -1 || st.st_dev != up->dev ||
	    st.st_ino != up->ino) {
		close(fd);
		return -EIO;
	}
	close(r->fd);
	r->fd = fd;
	r->depth--;
	if (unlinkat(fd, r->stack[r->depth].name, AT_REMOVEDIR) == -1 &&
	    errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	return 0;
}

/* One entry; 1: it was a directory, and was entered.  -errno. */
static int
rm_entry(struct rm *r, const struct entry *e)
{
	int error;

	if (e->type != DT_DIR) {
		if (unlinkat(r->fd, e->name, 0) == 0) {
			r->removed = true;
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return -errno;
	}
	error = rm_push(r, r->fd, e->name);
	return error == 0 ? 1 : error == ENOENT ? 0 : -error;
}

/* One bufferful of the current directory; 0 go on, 1 all done, -errno. */
static int
rm_step(struct rm *r, uint64_t until)
{
	static _Alignas(8) char	 buf[8 * 1024];
	struct entry		*e;
	long			 n, i;
	int			 rc;

	if ((n = syscall(SYS_getdents64, r->fd, buf, sizeof(buf))) == -1)
		return -errno;
	for (i = 0; i < n; i += e->reclen) {
		e = (struct entry *)(buf + i);
		if (is_dots(e->name))
			continue;
		if ((rc = rm_entry(r, e)) != 0)
			return rc < 0 ? rc : 0;
		if (now_us() > until) {
			r->removed = true;	/* the rest comes again */
			return 0;
		}
	}
	if (n > 0)
		return 0;
	if (!r->removed)
		return rm_pop(r);
	/* Removing while reading may hide entries: look again. */
	r->removed = false;
	return lseek(r->fd, 0, SEEK_SET) == -1 ? -errno : 0;
}

static bool
rm_pump(struct op *op)
{
	struct rm	*r = (struct rm *)op;
	uint64_t	 until = now_us() + SLICE_US;
	int		 rc;

	do
		rc = rm_step(r, until);
	while (rc == 0 && now_us() < until);
	if (rc < 0)
		op_fail(op, -rc, r->stack[r->depth - 1].name);
	else if (rc == 1)
		op_done(op);
	return rc == 0;
}

/* What is no directory, or not to be emptied; EISDIR: the long way. */
static int
rm_simple(const struct exec_file_remove *m, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno;
	if (S_ISDIR(st.st_mode) && m->recursive)
		return EISDIR;
	return unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) ==
	    -1 ? errno : 0;
}

static void
rm_begin(const struct exec_file_remove *m, int dir, const char *name)
{
	struct rm	*r;
	int		 error;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		die("out of memory");
	r->top = dir;
	r->fd = -1;
	if (!op_enter(&r->op, &m->job, &rm_class)) {
		close(dir);
		free(r);
	} else if ((error = rm_push(r, dir, name)) != 0)
		file_fail(&r->op, error, m->path);
	else
		op_ready(&r->op);
}

void
on_file_remove(const struct exec_file_remove *m)
{
	struct exec_job_done	 done = { .job = m->job };
	struct path		 p;
	const char		*name;
	int			 dir = -1, error;

	if (file_in_use(&m->job))
		return;
	if ((error = -path_parse(m->path, &p)) == 0 &&
	    (dir = path_parent(&p, false, &name)) < 0)
		error = -dir;
	if (error == 0)
		error = rm_simple(m, dir, name);
	if (error == EISDIR) {
		rm_begin(m, dir, name);
		return;
	}
	if (dir >= 0)
		close(dir);
	if (error == 0 || (error == ENOENT && m->missing_ok))
		link_send(EXEC_JOB_DONE, &done);
	else
		file_refuse(&m->job, error, m->path);
}

static void
rm_clear(struct op *op)
{
	struct rm *r = (struct rm *)op;

	if (r->fd != -1)
		close(r->fd);
	close(r->top);
	free(r->stack);
}
