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
 * A job's pipes.  Runs in: executor.  Output goes from the pipe straight into
 * the channel's queue while the host gives credit, else into a ring of at
 * most RING_MAX; a full ring leaves the pipe alone and so blocks the job.
 * Owns: the pipes' ends, the rings.
 */

#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <errno.h>
#include <unistd.h>

#include "executor/executor.h"

#define READ_CHUNK	(64 * 1024)	/* a pipe's usual capacity */
/* All rings together; beyond it each gets one chunk only. */
#define RINGS_MAX	(64 * 1024 * 1024)
/* A terminal's buffers do not say how much they hold; less than this. */
#define TTY_MAX		(256 * 1024)
/* Stdin credit is renewed in steps of this, not for every write. */
#define GRANT_STEP	(64 * 1024)

static void	on_readable(struct watch *, uint32_t);
static void	on_writable(struct watch *, uint32_t);

static size_t	rings;		/* bytes in all rings */

void
out_open(struct out_stream *s, struct op *op, uint8_t num, int fd)
{
	s->op = op;
	s->num = num;
	s->w.fd = fd;
	s->w.on = on_readable;
	loop_want(&s->w, EPOLLIN);
}

void
out_clear(struct out_stream *s)
{
	loop_close(&s->w);
	out_drop(s);
}

void
out_drop(struct out_stream *s)
{
	rings -= s->ring.len;
	buf_clear(&s->ring);
}

static size_t
ring_room(const struct out_stream *s)
{
	size_t limit = rings < RINGS_MAX ? RING_MAX : READ_CHUNK;

	if (s->keep != NULL)
		return keep_room(s->keep);
	return s->ring.len < limit ? limit - s->ring.len : 0;
}

/* One read; max is not 0.  Straight to the channel where that keeps order. */
static ssize_t
out_read_some(struct out_stream *s, size_t max)
{
	ssize_t	 n;
	size_t	 direct = max;
	void	*p = NULL;

	if (s->keep != NULL)
		return keep_read(s->keep, s->w.fd, max);
	if (s->ring.len == 0 && s->credit > s->sent) {
		if (direct > s->credit - s->sent)
			direct = (size_t)(s->credit - s->sent);
		p = link_data(s->op, s->num, s->sent, &direct);
	}
	if (p != NULL) {
		if ((n = read(s->w.fd, p, direct)) > 0) {
			link_commit(s->op, (size_t)n);
			s->sent += (size_t)n;
		}
		return n;
	}
	if ((p = buf_reserve(&s->ring, max)) == NULL)
		die("out of memory");
	if ((n = read(s->w.fd, p, max)) > 0) {
		s->ring.len += (size_t)n;
		rings += (size_t)n;
		op_ready(s->op);
	}
	return n;
}

/*
 * Up to one chunk, and the end of file that may stand right behind it.  A
 * terminal that nobody has open at the moment is in error, not at its end: to
 * close it would hang up on a process that is about to exit.
 */
void
out_read(struct out_stream *s)
{
	size_t	room, total = 0;
	ssize_t	n;

	while (s->w.fd != -1 && total < READ_CHUNK) {
		if ((room = ring_room(s)) == 0) {
			loop_want(&s->w, 0);
			return;
		}
		n = out_read_some(s, room < READ_CHUNK ? room : READ_CHUNK);
		if (n > 0) {
			total += (size_t)n;
			loop_want(&s->w, EPOLLIN);
		} else if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		else if (s->live) {
			loop_want(&s->w, EPOLLIN | EPOLLET);
			return;
		} else
			loop_close(&s->w);
	}
}

void
out_finish(struct out_stream *s)
{
	int	left = 0;
	ssize_t	n;

	if (s->w.fd == -1)
		return;
	/* At most a pipe's capacity; others may go on writing. */
	if (s->tty)
		left = TTY_MAX;
	else if (ioctl(s->w.fd, FIONREAD, &left) == -1)
		left = 0;
	while (left > 0) {
		n = out_read_some(s, (size_t)left < READ_CHUNK ?
		    (size_t)left : READ_CHUNK);
		if (n <= 0)
			break;
		left -= (int)n;
	}
	loop_close(&s->w);
}

static void
on_readable(struct watch *w, uint32_t events)
{
	struct out_stream *s = (struct out_stream *)w;

	out_read(s);
	if (s->w.fd == -1)
		job_advance(s->op);
}

bool
out_pump(struct out_stream *s)
{
	size_t	 n;
	void	*p;

	if (s->ring.len == 0 || s->credit <= s->sent)
		return false;
	n = s->ring.len;
	if (n > s->credit - s->sent)
		n = (size_t)(s->credit - s->sent);
	if ((p = link_data(s->op, s->num, s->sent, &n)) == NULL)
		return true;
	memcpy(p, buf_data(&s->ring), n);
	link_commit(s->op, n);
	buf_drain(&s->ring, n);
	rings -= n;
	s->sent += n;
	if (s->w.fd != -1)
		loop_want(&s->w, EPOLLIN);
	return s->ring.len > 0 && s->credit > s->sent;
}

void
out_resume(struct out_stream *s)
{
	if (s->w.fd != -1 && ring_room(s) > 0)
		loop_want(&s->w, EPOLLIN);
}

static void
in_grant(struct in_stream *s)
{
	struct exec_job_credit	m = { .stream = STREAM_STDIN };
	uint64_t		upto = s->got - s->buf.len + STDIN_WINDOW;

	/* Until it is open there is nobody to read it; then in_open does this. */
	if (!s->used || s->eof || upto - s->granted < GRANT_STEP)
		return;
	m.job = s->op->id;
	m.upto = s->granted = upto;
	link_send(EXEC_JOB_CREDIT, &m);
}

void
in_open(struct in_stream *s, struct op *op, int fd)
{
	s->op = op;
	s->w.fd = fd;
	s->w.on = on_writable;
	s->used = true;
	in_grant(s);
}

void
in_clear(struct in_stream *s)
{
	loop_close(&s->w);
	buf_clear(&s->buf);
}

static void
in_write(struct in_stream *s)
{
	ssize_t n;

	while (s->buf.len > 0 && s->w.fd != -1) {
		n = write(s->w.fd, buf_data(&s->buf), s->buf.len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			break;
		if (n == -1)
			loop_close(&s->w);	/* nobody reads: discard */
		else
			buf_drain(&s->buf, (size_t)n);
	}
	if (s->w.fd == -1)
		buf_drain(&s->buf, s->buf.len);
	else if (s->buf.len > 0)
		loop_want(&s->w, EPOLLOUT);
	else if (s->eof || s->last)
		loop_close(&s->w);
	else
		loop_want(&s->w, 0);
	if (!s->last)
		in_grant(s);
}

static void
on_writable(struct watch *w, uint32_t events)
{
	in_write((struct in_stream *)w);
}

void
in_data(struct in_stream *s, uint64_t offset, struct slice bytes)
{
	if (s->last)
		return;
	if (offset != s->got || s->eof || bytes.len > s->granted - s->got)
		link_breach("stdin beyond its credit or out of order");
	s->got += bytes.len;
	if (buf_add(&s->buf, bytes.p, bytes.len) == -1)
		die("out of memory");
	in_write(s);
}

void
in_eof(struct in_stream *s, uint64_t offset)
{
	if (s->last)
		return;
	if (offset != s->got || s->eof)
		link_breach("end of stdin out of order");
	/* A terminal has no end: it is typed. */
	if (s->tty && s->w.fd != -1 &&
	    buf_add(&s->buf, &(char){ pty_eof(s->w.fd) }, 1) == -1)
		die("out of memory");
	s->eof = true;
	in_write(s);
}

void
in_finish(struct in_stream *s)
{
	s->last = true;
	in_write(s);
}
