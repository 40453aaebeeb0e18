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
 * Channels over real socket pairs: order, descriptors, large frames, a reader
 * that is late, every way to break the rules, and freeing inside handlers.
 */

#include <sys/socket.h>

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

static struct msg_reader	*reader;
static struct event_base *base;

struct side {
	struct chan	*chan;
	unsigned int	 data, logs, peers, closed;
	bool		 protocol;
	uint64_t	 offset;
	bool		 bad;
	int		 fd;
	bool		 free_in_handler;
	bool		 take_frames;
	unsigned int	 taken;
};

/* A frame that was taken is whole, and one's own. */
static void
take(struct chan *c, struct side *s, const struct exec_job_data *d)
{
	size_t		 n = d->bytes.len;
	uint64_t	 offset = d->offset;
	struct buf	 frame, other;
	struct msg	 m;
	const char	*why;

	if (!chan_take_frame(c, &frame))
		return;
	assert(!chan_take_frame(c, &other));
	assert(msg_decode(reader, &exec_schema, FROM_H, buf_data(&frame) + 4,
	    frame.len - 4, &m, &why) == 0);
	d = m.body;
	assert(d->offset == offset && d->bytes.len == n);
	buf_clear(&frame);
	s->taken++;
}

static void
on_data(struct chan *c, const struct msg *m)
{
	const struct exec_job_data	*d = m->body;
	struct side			*s = chan_arg(c);

	assert(d->offset == s->offset);
	s->offset += d->bytes.len;
	s->data++;
	if (s->take_frames)
		take(c, s, d);
	if (s->free_in_handler) {
		chan_free(c);
		s->chan = NULL;
	}
}

/* Other bytes at every place of the stream. */
static uint8_t
byte_at(uint64_t at)
{
	return (uint8_t)((at * 31) >> 5);
}

/* A message with a field behind the bytes. */
static void
on_ws_send(struct chan *c, const struct msg *m)
{
	const struct ctl_ws_send	*s = m->body;
	struct side			*side = chan_arg(c);
	const uint8_t			*p = s->bytes.p;
	size_t				 i;

	side->bad |= !s->secret || s->opcode != 2;
	for (i = 0; i < s->bytes.len; i++)
		side->bad |= p[i] != byte_at(side->offset + i);
	side->offset += s->bytes.len;
	side->data++;
}

static void
on_log(struct chan *c, const struct msg *m)
{
	((struct side *)chan_arg(c))->logs++;
}

static void
on_peer(struct chan *c, const struct msg *m)
{
	struct side *s = chan_arg(c);

	s->peers++;
	if (s->fd == -1)
		s->fd = chan_take_fd(c);
}

static void
closed(struct chan *c, const char *why, bool protocol)
{
	struct side *s = chan_arg(c);

	s->closed++;
	s->protocol = protocol;
	chan_free(c);
	s->chan = NULL;
}

static const struct rule rules_v[] = {
	{ EXEC_JOB_DATA, 1, on_data },
	{ CTL_LOG, 2, on_log },
	{ CTL_PEER, STATES_ALL, on_peer },
	{ CTL_WS_SEND, STATES_ALL, on_ws_send },
};
static const struct rules ours = { rules_v, 4,
    FROM_H | FROM_P | FROM_F | FROM_R, closed };
static const struct rules executors = { rules_v, 1, FROM_E, closed };

static void
turn(int n)
{
	while (n-- > 0)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
pair(struct side *a, struct side *b, const struct rules *rb)
{
	int sv[2];

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->fd = b->fd = -1;
	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	assert((a->chan = chan_new(base, sv[0], "a", &ours, a)) != NULL);
	assert((b->chan = chan_new(base, sv[1], "b", rb, b)) != NULL);
}

static void
pair_end(struct side *a, struct side *b)
{
	chan_free(a->chan);
	chan_free(b->chan);
	if (a->fd != -1)
		close(a->fd);
	if (b->fd != -1)
		close(b->fd);
	turn(3);
}

static void
test_bulk_and_descriptors(void)
{
	static uint8_t		chunk[FRAME_CHUNK];
	struct side		a, b;
	struct exec_job_data	d = { .bytes = { chunk, sizeof(chunk) } };
	struct ctl_peer		p = { .role = 1 };
	unsigned int		i;
	int			pipefd[2];
	char			byte;

	pair(&a, &b, &ours);
	assert(pipe(pipefd) == 0);
	for (i = 0; i < 20; i++) {
		assert(chan_send(a.chan, EXEC_JOB_DATA, i, &d));
		d.offset += d.bytes.len;
		if (i % 5 == 0)
			assert(chan_send_fd(a.chan, CTL_PEER, 0, &p,
			    fcntl(pipefd[1], F_DUPFD_CLOEXEC, 0)));
	}
	assert(chan_is_full(a.chan));
	turn(400);
	assert(b.data == 20 && b.peers == 4 && b.closed == 0);
	assert(!chan_is_full(a.chan));
	/* The first was taken, the others were closed behind the handler. */
	close(pipefd[1]);
	assert(write(b.fd, "x", 1) == 1 && read(pipefd[0], &byte, 1) == 1);
	close(b.fd);
	b.fd = -1;
	assert(read(pipefd[0], &byte, 1) == 0);
	close(pipefd[0]);
	pair_end(&a, &b);
}

/* What is lent to a send is not looked at afterwards, whatever became of it:
 * sent at once, in part, or behind what waits. */
static void
test_bulk_content(void)
{
	static const size_t	sizes[] = { MSG_BULK - 1, MSG_BULK, 1,
				    FRAME_CHUNK, MSG_BULK + 1, FRAME_CHUNK };
	static uint8_t		chunk[FRAME_CHUNK];
	struct side		a, b;
	struct ctl_ws_send	s = { .opcode = 2, .secret = true };
	uint64_t		at = 0;
	unsigned int		i;
	size_t			n;
	bool			waited = false;

	pair(&a, &b, &ours);
	for (i = 0; i < 60; i++) {
		s.bytes = (struct slice){ chunk, sizes[i % 6] };
		for (n = 0; n < s.bytes.len; n++)
			chunk[n] = byte_at(at++);
		assert(chan_send(a.chan, CTL_WS_SEND, i, &s));
		memset(chunk, 0, sizeof(chunk));
		turn(i % 20 == 19 ? 1 : 0);
		waited |= chan_is_full(a.chan);
	}
	turn(400);
	assert(waited && b.data == 60 && b.offset == at && !b.bad && b.closed == 0);
	pair_end(&a, &b);
}

/* Large frames among small ones, some of them taken out of the channel. */
static void
test_take_frame(void)
{
	static uint8_t		chunk[FRAME_CHUNK];
	struct side		a, b;
	struct exec_job_data	d = { 0 };
	unsigned int		i;
	int			sv[2];

	pair(&a, &b, &ours);
	b.take_frames = true;
	for (i = 0; i < 200; i++) {
		d.bytes = (struct slice){ chunk, i % 7 == 0 ? 10 : i % 3 == 0 ?
		    FRAME_CHUNK : 100000 };
		assert(chan_send(a.chan, EXEC_JOB_DATA, 0, &d));
		d.offset += d.bytes.len;
		turn(i % 5);
	}
	turn(400);
	assert(b.data == 200 && b.closed == 0 && b.taken > 100);
	assert(!chan_take_frame(b.chan, NULL));		/* in no handler */
	pair_end(&a, &b);
	assert(chan_pair(sv) == 0);
	assert(fcntl(sv[0], F_GETFD) == FD_CLOEXEC &&
	    fcntl(sv[1], F_GETFD) == FD_CLOEXEC);
	close(sv[0]);
	close(sv[1]);
}

/* Each row is one offence: the channel closes and says whose fault it was. */
static void
offence(const struct rules *rules, const void *bytes, size_t len)
{
	struct side	a, b;
	int		sv[2];

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	assert((b.chan = chan_new(base, sv[1], "b", rules, &b)) != NULL);
	assert(write(sv[0], bytes, len) == (ssize_t)len);
	turn(5);
	assert(b.closed == 1 && b.protocol && b.data == 0);
	close(sv[0]);
	turn(3);
}

static void
test_offences(void)
{
	struct buf		 good = { 0 };
	struct exec_job_data	 d = { .bytes = { "x", 1 } };
	struct ctl_log		 l = { .text = { "x", 1 } };
	struct ctl_peer		 p = { .role = 1 };

	offence(&ours, "\xff\xff\xff\xff", 4);
	offence(&ours, "\0\0\0\0", 4);
	offence(&ours, "\0\0\0\1\xc0", 5);
	offence(&ours, "\0\0\0\3\x92\x7f\x01", 7);	/* no such message */
	/* In a state that does not allow it. */
	assert(msg_encode(&ctl_schema, &good, CTL_LOG, 0, &l) == 0);
	offence(&ours, buf_data(&good), good.len);
	/* A descriptor is missing. */
	good.len = 0;
	assert(msg_encode(&ctl_schema, &good, CTL_PEER, 0, &p) == 0);
	offence(&ours, buf_data(&good), good.len);
	/* A message of the host from an executor. */
	good.len = 0;
	assert(msg_encode(&exec_schema, &good, EXEC_FILE_STAT, 0,
	    &(struct exec_file_stat){ .path = { "x", 1 } }) == 0);
	offence(&executors, buf_data(&good), good.len);
	/* A descriptor from an executor goes nowhere; its data counts. */
	buf_clear(&good);
	(void)d;
}

static void
test_free_and_gone(void)
{
	struct side		a, b;
	struct exec_job_data	d = { .bytes = { "x", 1 } };

	pair(&a, &b, &ours);
	b.free_in_handler = true;
	assert(chan_send(a.chan, EXEC_JOB_DATA, 0, &d));
	assert(chan_send(a.chan, EXEC_JOB_DATA, 0, &d));
	turn(5);
	assert(b.data == 1 && b.closed == 0 && a.closed == 1 && !a.protocol);
	assert(!chan_send(a.chan, EXEC_JOB_DATA, 0, &d));
	assert(!chan_send(NULL, EXEC_JOB_DATA, 0, &d));
	pair_end(&a, &b);
}

/* Nobody reads: the queue has a last bound, and it is told. */
static void
test_queue_full(void)
{
	static uint8_t		chunk[FRAME_CHUNK];
	struct side		a;
	struct exec_job_data	d = { .bytes = { chunk, sizeof(chunk) } };
	unsigned int		n = 0;
	int			sv[2];

	memset(&a, 0, sizeof(a));
	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	a.chan = chan_new(base, sv[0], "a", &ours, &a);
	while (chan_send(a.chan, EXEC_JOB_DATA, 0, &d) && n++ < 1000)
		continue;
	assert(n < 300);
	turn(3);
	assert(a.closed == 1 && !a.protocol);
	close(sv[1]);
}

int
main(void)
{
	log_init("chan_test", LOG_LEVEL_ERROR);
	base = event_base_new();
	reader = msg_reader_new();
	test_bulk_and_descriptors();
	test_bulk_content();
	test_take_frame();
	test_offences();
	test_free_and_gone();
	test_queue_full();
	msg_reader_free(reader);
	event_base_free(base);
	printf("ok\n");
	return 0;
}
