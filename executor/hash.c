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
 * Which files of a tree are there, and with what content: file_hash, one
 * question for many, so that copies of ours need not be sent again.
 * Runs in: executor.  Owns: the paths, and the file that is being read.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"
#include "proto/fnv.h"

#define HASH_SLICE	(256 * 1024)	/* of one turn */
#define HASH_FILE_MAX	(64 * 1024 * 1024)
#define NO_FILE		UINT64_MAX

struct hash {
	struct op	 op;	/* first */
	struct slice	*paths;	/* one allocation with their bytes */
	uint64_t	*sizes, *hashes;	/* one allocation */
	uint32_t	 n, at;
	uint64_t	 got;	/* bytes of that file */
	int		 fd;
};

static void	hash_cancel(struct op *);
static bool	hash_pump(struct op *);
static void	hash_clear(struct op *);

static const struct op_class hash_class = {
	.name = "hash", .on_cancel = hash_cancel, .pump = hash_pump,
	.clear = hash_clear
};

static bool
paths_copy(struct hash *h, const struct exec_file_hash *m)
{
	size_t		 bytes = 0;
	uint32_t	 i;
	char		*text;

	for (i = 0; i < m->paths.n; i++)
		bytes += m->paths.v[i].len;
	h->paths = malloc(m->paths.n * sizeof(*h->paths) + bytes + 1);
	h->sizes = calloc(2 * (size_t)m->paths.n + 1, sizeof(uint64_t));
	if (h->paths == NULL || h->sizes == NULL)
		return false;
	h->hashes = h->sizes + m->paths.n;
	text = (char *)(h->paths + m->paths.n);
	for (i = 0; i < m->paths.n; i++) {
		memcpy(text, m->paths.v[i].p, m->paths.v[i].len);
		h->paths[i] = (struct slice){ text, m->paths.v[i].len };
		text += m->paths.v[i].len;
	}
	h->n = m->paths.n;
	return true;
}

void
on_file_hash(const struct exec_file_hash *m)
{
	struct hash *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		die("out of memory");
	h->fd = -1;
	if (!op_enter(&h->op, &m->job, &hash_class)) {
		free(h);
		return;
	}
	if (!paths_copy(h, m))
		die("out of memory");
	op_ready(&h->op);
}

/* The next file; one that cannot be compared is passed over. */
static void
hash_open(struct hash *h)
{
	struct path	p;
	struct stat	st;
	int		fd = -1;

	if (path_parse(h->paths[h->at], &p) == 0)
		fd = path_open(&p, O_RDONLY | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= HASH_FILE_MAX) {
		h->fd = fd;
		h->sizes[h->at] = (uint64_t)st.st_size;
		h->hashes[h->at] = FNV1A_START;
		h->got = 0;
		return;
	}
	if (fd >= 0)
		close(fd);
	h->sizes[h->at++] = NO_FILE;
}

static void
hash_read(struct hash *h)
{
	static uint8_t	buf[HASH_SLICE];
	ssize_t		n = read(h->fd, buf, sizeof(buf));

	if (n == -1 && errno == EINTR)
		return;
	if (n > 0) {
		h->hashes[h->at] = fnv1a(h->hashes[h->at], buf, (size_t)n);
		h->got += (uint64_t)n;
		if (h->got <= h->sizes[h->at])
			return;
	}
	/* One that is being written has no hash, and perhaps no end. */
	if (h->got != h->sizes[h->at]) {
		h->sizes[h->at] = NO_FILE;
		h->hashes[h->at] = 0;
	}
	close(h->fd);
	h->fd = -1;
	h->at++;
}

static bool
hash_pump(struct op *op)
{
	struct hash			*h = (struct hash *)op;
	struct exec_file_hashes		 answer = { .job = op->id };

	if (h->at < h->n) {
		if (h->fd == -1)
			hash_open(h);
		else
			hash_read(h);
		return true;
	}
	answer.sizes = (struct u64s){ h->sizes, h->n };
	answer.hashes = (struct u64s){ h->hashes, h->n };
	link_send(EXEC_FILE_HASHES, &answer);
	op_done(op);
	return false;
}

static void
hash_cancel(struct op *op)
{
	op_refuse(op, XERR_EIO, "cancelled");
}

static void
hash_clear(struct op *op)
{
	struct hash *h = (struct hash *)op;

	if (h->fd != -1)
		close(h->fd);
	free(h->paths);
	free(h->sizes);
}
