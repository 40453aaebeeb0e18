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
 * The administrator's skills and agents, as the parent opened them.
 * Runs in: remote, which may open nothing itself.  Owns: their content.
 */

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/fnv.h"
#include "workers/remote/remote.h"
#include "workers/remote/sync.h"

#define FRESH_US	(UINT64_C(5) * 1000000)	/* asked again after that */
#define SOURCE_MAX	(64 * 1024 * 1024)	/* all content together */
#define FILE_LIMIT	(16 * 1024 * 1024)

static struct source	*now;		/* for those who begin */
static struct source	*old;		/* some still copy from it */
static struct source	 next;		/* being received */
static uint64_t		 question;	/* open; 0: none */
static uint64_t		 received_at;

static void
source_clear(struct source *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		free(s->v[i].path);
		free(s->v[i].data);
	}
	free(s->v);
	*s = (struct source){ 0 };
}

static void
source_free(struct source *s)
{
	if (s == NULL)
		return;
	source_clear(s);
	free(s);
}

void
source_give(struct source *s)
{
	if (--s->holds > 0 || s != old)
		return;
	source_free(old);
	old = NULL;
}

struct source *
source_take(void)
{
	static uint64_t last;

	/* At most two are kept: a copy lasts no longer than a minute, and so
	 * does what is stale. */
	if (now != NULL && (old != NULL ||
	    clock_us() - received_at < FRESH_US)) {
		now->holds++;
		return now;
	}
	if (question == 0) {
		question = ++last;
		if (!chan_send(child_parent(), CTL_SYNC_GET, question, NULL))
			question = 0;
	}
	return NULL;
}

static bool
content_read(struct source_file *f, int fd)
{
	size_t	got = 0;
	ssize_t	n;

	if ((f->data = malloc(f->size + 1)) == NULL)
		return false;
	while (got < f->size) {
		n = read(fd, f->data + got, f->size - got);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)	/* half of it is worse than none */
			return false;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	/* It may have become shorter since the parent looked. */
	f->size = got;
	f->hash = fnv1a(FNV1A_START, f->data, got);
	return true;
}

static void
file_left_out(const struct ctl_sync_file *msg, const char *why)
{
	char text[300];

	log_warnx("sync: %s: %s, left out", log_vis(text, sizeof(text),
	    msg->path.p, msg->path.len), why);
}

void
on_sync_file(struct chan *c, const struct msg *m)
{
	const struct ctl_sync_file	*msg = m->body;
	struct source_file		 f = { 0 }, *more;
	int				 fd = chan_take_fd(c);

	if (m->serial != question)
		goto done;
	if (msg->size > FILE_LIMIT || next.bytes + msg->size > SOURCE_MAX) {
		file_left_out(msg, "too large");
		goto done;
	}
	f.size = (size_t)msg->size;
	if (next.n == next.cap) {
		more = reallocarray(next.v, next.cap * 2 + 64, sizeof(f));
		if (more == NULL)
			goto done;
		next.v = more;
		next.cap = next.cap * 2 + 64;
	}
	if (!content_read(&f, fd) ||
	    (f.path = strndup(msg->path.p, msg->path.len)) == NULL) {
		file_left_out(msg, "cannot be read");
		free(f.data);
		goto done;
	}
	next.v[next.n++] = f;
	next.bytes += f.size;
done:
	if (fd != -1)
		close(fd);
}

void
on_sync_end(struct chan *c, const struct msg *m)
{
	const struct ctl_sync_end	*end = m->body;
	struct source			*fresh;

	if (m->serial != question)
		return;
	question = 0;
	if (end->text.len > 0)
		log_warnx("sync: %.*s", (int)end->text.len,
		    (const char *)end->text.p);
	if ((fresh = malloc(sizeof(*fresh))) == NULL) {
		source_clear(&next);
		return;		/* whoever connects next asks again */
	}
	*fresh = next;
	next = (struct source){ 0 };
	if (now != NULL && now->holds > 0)
		old = now;	/* asked for when there was none */
	else
		source_free(now);
	now = fresh;
	received_at = clock_us();
	sync_ready();
}
