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
 * Walks two directories of the administrator's and passes on descriptors; reads
 * no content.  Symbolic links are not followed: what lies elsewhere was not
 * put here to be copied to users' machines.
 */

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "supervisor/conf.h"
#include "supervisor/reload.h"
#include "supervisor/sync.h"

#define SYNC_FILES_MAX	4096	/* of both directories, with theirs */
#define SYNC_QUEUE	32	/* descriptors of ours at a time */
#define SYNC_REST_MS	60000	/* after one that did not */
#define SYNC_STALL_MS	1000	/* remote is ours, and takes them at once */
#define SYNC_DEPTH_MAX	16
#define SYNC_PATH_MAX	1024

struct walk {
	struct chan	*to;
	uint64_t	 serial;
	size_t		 files;		/* and directories */
	const char	*fault;
	char		 path[SYNC_PATH_MAX];	/* "skills/NAME/FILE" */
};

static uint64_t	stalled_ms;	/* when that last happened */

static int
dir_open(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
}

/* A tree must not cost us all our descriptors: some at a time. */
static void
queue_flush(struct walk *w)
{
	uint64_t start = clock_ms();

	chan_flush(w->to, SYNC_STALL_MS);
	if (clock_ms() - start >= SYNC_STALL_MS) {
		w->fault = "they were not taken in time";
		stalled_ms = clock_ms();
	}
}

/* One more file or directory. */
static bool
walk_count(struct walk *w)
{
	if (w->files < SYNC_FILES_MAX) {
		w->files++;
		return true;
	}
	w->fault = "too many files";
	return false;
}

static void
file_send(struct walk *w, int dir, const char *name)
{
	struct ctl_sync_file	f = { .path = slice_str(w->path) };
	struct stat		st;
	char			text[300];
	int			fd;

	/* NONBLOCK: a pipe put there must not stop the parent. */
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1) {
		if (errno != ELOOP && errno != ENOENT)
			log_warn("sync: %s", log_vis(text, sizeof(text),
			    w->path, strlen(w->path)));
		return;
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || !walk_count(w)) {
		close(fd);
		return;
	}
	f.size = (uint64_t)st.st_size;
	chan_send_fd(w->to, CTL_SYNC_FILE, w->serial, &f, fd);
	if (w->files % SYNC_QUEUE == 0)
		queue_flush(w);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted by byte; a list ended by NULL, to be freed
 * with its strings.  NULL when it cannot be read. */
static char **
names_read(int dir)
{
	DIR		 *d;
	struct dirent	 *de;
	char		**names = NULL, **more;
	size_t		  n = 0;
	int		  fd;

	if ((fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return NULL;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return NULL;
	}
	while (n < SYNC_FILES_MAX && (de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 ||
		    strcmp(de->d_name, "..") == 0)
			continue;
		if ((more = reallocarray(names, n + 2, sizeof(*names))) ==
		    NULL)
			break;
		names = more;
		if ((names[n] = strdup(de->d_name)) == NULL)
			break;
		names[++n] = NULL;
	}
	closedir(d);
	if (n > 0)
		qsort(names, n, sizeof(*names), by_name);
	return names;
}

static void
names_free(char **names)
{
	char **n;

	for (n = names; n != NULL && *n != NULL; n++)
		free(*n);
	free(names);
}

/* Append "/name" to the path; what was there before, 0 when too long. */
static size_t
path_push(struct walk *w, const char *name)
{
	size_t before = strlen(w->path), n = strlen(name);

	if (before + n + 2 > sizeof(w->path))
		return 0;
	snprintf(w->path + before, sizeof(w->path) - before, "/%s", name);
	return before;
}

static void
tree_send(struct walk *w, int dir, unsigned int depth)
{
	char	**names = names_read(dir), **n, text[300];
	size_t	  before;
	int	  sub;

	for (n = names; n != NULL && *n != NULL && w->fault == NULL; n++) {
		if ((before = path_push(w, *n)) == 0)
			continue;
		if ((sub = dir_open(dir, *n)) != -1) {
			if (depth >= SYNC_DEPTH_MAX)
				log_warnx("sync: %s is too deep", log_vis(text,
				    sizeof(text), w->path, strlen(w->path)));
			else if (walk_count(w))
				tree_send(w, sub, depth + 1);
			close(sub);
		} else
			file_send(w, dir, *n);
		w->path[before] = '\0';
	}
	names_free(names);
}

/* A skill is a directory with a SKILL.md in it. */
static void
skills_send(struct walk *w, int dir)
{
	char		**names = names_read(dir), **n;
	struct stat	  st;
	size_t		  before;
	int		  sub;

	for (n = names; n != NULL && *n != NULL && w->fault == NULL; n++) {
		if ((sub = dir_open(dir, *n)) == -1)
			continue;
		if (fstatat(sub, "SKILL.md", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && walk_count(w) &&
		    (before = path_push(w, *n)) > 0) {
			tree_send(w, sub, 0);
			w->path[before] = '\0';
		}
		close(sub);
	}
	names_free(names);
}

static void
agents_send(struct walk *w, int dir)
{
	char	**names = names_read(dir), **n;
	size_t	  before, len;

	for (n = names; n != NULL && *n != NULL && w->fault == NULL; n++) {
		len = strlen(*n);
		if (len < 4 || strcmp(*n + len - 3, ".md") != 0 ||
		    (before = path_push(w, *n)) == 0)
			continue;
		file_send(w, dir, *n);
		w->path[before] = '\0';
	}
	names_free(names);
}

void
on_sync_get(struct chan *c, const struct msg *m)
{
	const struct conf	*conf = reload_conf();
	const struct {
		const char	*name, *path;
		void		(*send)(struct walk *, int);
	} rows[] = {
		{ "skills", conf->rem.skills, skills_send },
		{ "agents", conf->rem.agents, agents_send },
	};
	struct walk		 w = { .to = c, .serial = m->serial };
	struct ctl_sync_end	 end;
	size_t			 i;
	int			 dir;

	/* It has stopped us once; not again and again. */
	if (stalled_ms != 0 && clock_ms() - stalled_ms < SYNC_REST_MS)
		w.fault = "they were not taken in time a moment ago";
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]) &&
	    w.fault == NULL; i++) {
		/* The directory itself may be a link: the administrator's. */
		dir = rows[i].path == NULL ? -1 : open(rows[i].path,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir == -1) {
			if (rows[i].path != NULL && errno != ENOENT)
				log_warn("%s", rows[i].path);
			continue;
		}
		snprintf(w.path, sizeof(w.path), "%s", rows[i].name);
		rows[i].send(&w, dir);
		close(dir);
	}
	end.text = slice_str(w.fault == NULL ? "" : w.fault);
	chan_send(c, CTL_SYNC_END, m->serial, &end);
}
