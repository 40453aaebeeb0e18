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
 * Channels between processes.  Runs in: every process.
 * A peer of ours is trusted to be what it is, not to be intact: each frame is
 * checked for sender, type, state and form before a handler sees it.
 */

#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/chan.h"
#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"

#define READ_SIZE	(64 * 1024)
/* Room for a few bulk frames, so that a transfer does not stop at each. */
#define SNDBUF		(1024 * 1024)
#define FDS_MAX		8	/* received, not yet claimed by a message */

/* A descriptor to send: it rides on the first byte of its frame. */
struct outfd {
	struct outfd	*next;
	uint64_t	 at;		/* position in the stream */
	uint64_t	 end;		/* of its frame */
	int		 fd;
};

struct chan {
	const char		*name;
	const struct rules	*rules;
	void			*arg;
	uint32_t		 state;
	int			 fd;
	struct event		*ev_read;
	struct event		*ev_write;
	struct event		*ev_turn;	/* flush, fail and free */
	struct buf		 in, out;
	struct msg_reader	*reader;
	uint64_t		 sent;		/* position of out's first byte */
	struct outfd		*outfds, **outfds_tail;
	int			 infds[FDS_MAX];
	unsigned int		 ninfds;
	int			 curfd;		/* of the message in hand */
	size_t			 frame;		/* its bytes; 0: taken, none */
	bool			 large;		/* the last one was */
	const char		*why;		/* it failed */
	bool			 protocol;	/* by the peer's fault */
	bool			 closed;	/* closed() was called */
	bool			 freed;		/* by the owner */
};

static void	on_readable(evutil_socket_t, short, void *);
static void	on_writable(evutil_socket_t, short, void *);
static void	on_turn(evutil_socket_t, short, void *);
static void	chan_fail(struct chan *, const char *, bool);
static bool	chan_recv(struct chan *);
static void	chan_dispatch(struct chan *);
static bool	chan_handle(struct chan *, const uint8_t *, size_t);
static void	chan_write(struct chan *);

static const struct schema *
schema_of(uint16_t type)
{
	/* exec.def has the numbers below 256, ctl.def those above. */
	return type < 256 ? &exec_schema : &ctl_schema;
}

int
chan_pair(int sv[2])
{
	int size = SNDBUF, i;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		return -1;
	/* FORCE needs root; without it the system's limit stands. */
	for (i = 0; i < 2; i++)
		if (setsockopt(sv[i], SOL_SOCKET, SO_SNDBUFFORCE, &size,
		    sizeof(size)) == -1)
			(void)setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size,
			    sizeof(size));
	return 0;
}

struct chan *
chan_new(struct event_base *base, int fd, const char *name,
    const struct rules *rules, void *arg)
{
	struct chan *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return NULL;
	}
	c->name = name;
	c->rules = rules;
	c->arg = arg;
	c->state = 1;
	c->fd = fd;
	c->curfd = -1;
	c->outfds_tail = &c->outfds;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	c->reader = msg_reader_new();
	c->ev_read = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->ev_write = event_new(base, fd, EV_WRITE, on_writable, c);
	c->ev_turn = event_new(base, -1, 0, on_turn, c);
	if (c->reader == NULL || c->ev_read == NULL || c->ev_write == NULL ||
	    c->ev_turn == NULL || event_add(c->ev_read, NULL) == -1) {
		c->freed = true;
		on_turn(-1, 0, c);
		errno = ENOMEM;
		return NULL;
	}
	return c;
}

void
chan_free(struct chan *c)
{
	if (c == NULL || c->freed)
		return;
	c->freed = true;
	event_del(c->ev_read);
	event_active(c->ev_turn, 0, 0);
}

void *
chan_arg(const struct chan *c)
{
	return c->arg;
}

const char *
chan_name(const struct chan *c)
{
	return c->name;
}

void
chan_set_rules(struct chan *c, const struct rules *rules)
{
	c->rules = rules;
}

void
chan_set_state(struct chan *c, uint32_t state)
{
	c->state = state;
}

void
chan_pause(struct chan *c)
{
	event_del(c->ev_read);
}

void
chan_resume(struct chan *c)
{
	if (c->why == NULL && !c->freed)
		event_add(c->ev_read, NULL);
}

void
chan_secret(struct chan *c)
{
	if (c != NULL && c->out.len > 0)
		c->out.secret = true;
}

bool
chan_is_full(const struct chan *c)
{
	return c != NULL && c->out.len >= CHAN_HIGH;
}

int
chan_take_fd(struct chan *c)
{
	int fd = c->curfd;

	c->curfd = -1;
	return fd;
}

bool
chan_take_frame(struct chan *c, struct buf *frame)
{
	if (c->frame == 0 || c->in.len != c->frame)
		return false;
	*frame = c->in;
	memset(&c->in, 0, sizeof(c->in));
	c->frame = 0;
	return true;
}

void
chan_refuse(struct chan *c, const char *why)
{
	chan_fail(c, why, true);
}

/* Only marks it: closed() comes from the loop, never from inside a send. */
static void
chan_fail(struct chan *c, const char *why, bool protocol)
{
	if (c->why != NULL || c->freed)
		return;
	c->why = why;
	c->protocol = protocol;
	event_del(c->ev_read);
	event_active(c->ev_turn, 0, 0);
}

static void
trace(const struct chan *c, const char *arrow, uint16_t type, uint64_t serial,
    const void *body)
{
	char		text[256];
	struct msg	m = { type, serial,
			    schema_find(schema_of(type), type), body };

	if (m.desc == NULL || type == CTL_LOG)
		return;
	msg_print(&m, text, sizeof(text));
	log_trace("%s %s %s", c->name, arrow, text);
}

/*
 * The frame that out ends with lacks these bytes.  What the socket takes of
 * them at once is never copied; false: no memory for the rest.
 */
static bool
chan_write_bulk(struct chan *c, const struct msg_bulk *b)
{
	struct iovec	 iov[3] = {
		{ buf_data(&c->out), b->at },
		{ (void *)(uintptr_t)b->bytes.p, b->bytes.len },
		{ buf_data(&c->out) + b->at, c->out.len - b->at }
	};
	struct msghdr	 mh = { .msg_iov = iov, .msg_iovlen = 3 };
	struct buf	 rest = { .secret = c->out.secret };
	ssize_t		 rc = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
	size_t		 n = rc > 0 ? (size_t)rc : 0, skip, i;

	c->sent += n;
	if (n == c->out.len + b->bytes.len) {
		buf_drain(&c->out, c->out.len);
		return true;
	}
	for (i = 0; i < 3; i++) {
		skip = n < iov[i].iov_len ? n : iov[i].iov_len;
		n -= skip;
		if (buf_add(&rest, (uint8_t *)iov[i].iov_base + skip,
		    iov[i].iov_len - skip) == -1) {
			buf_clear(&rest);
			chan_fail(c, "out of memory", false);
			return false;
		}
	}
	buf_clear(&c->out);
	c->out = rest;
	/* It says as well whether the peer is gone. */
	event_add(c->ev_write, NULL);
	return true;
}

/* In order: behind what waits, and a descriptor goes with its own frame. */
static bool
chan_append(struct chan *c, uint16_t type, uint64_t serial, const void *body,
    bool fd)
{
	const struct schema	*schema = schema_of(type);
	struct msg_bulk		 bulk;

	if (fd || c->outfds != NULL ||
	    event_pending(c->ev_write, EV_WRITE, NULL))
		return msg_encode(schema, &c->out, type, serial, body) == 0;
	return msg_encode_bulk(schema, &c->out, type, serial, body,
	    &bulk) == 0 &&
	    (bulk.bytes.len == 0 || chan_write_bulk(c, &bulk));
}

bool
chan_send_fd(struct chan *c, uint16_t type, uint64_t serial, const void *body,
    int fd)
{
	struct outfd	*o = NULL;
	size_t		 before;

	if (c == NULL || c->why != NULL || c->freed)
		goto fail;
	if (c->out.len > CHAN_OUT_MAX) {
		chan_fail(c, "it does not read: queue full", false);
		goto fail;
	}
	if (fd != -1 && (o = calloc(1, sizeof(*o))) == NULL)
		goto fail;
	before = c->out.len;
	if (!chan_append(c, type, serial, body, o != NULL))
		goto fail;
	if (o != NULL) {
		o->fd = fd;
		o->at = c->sent + before;
		o->end = c->sent + c->out.len;
		*c->outfds_tail = o;
		c->outfds_tail = &o->next;
	}
	if (log_wants(LOG_LEVEL_TRACE))
		trace(c, "<-", type, serial, body);
	if (c->out.len > 0 && !event_pending(c->ev_write, EV_WRITE, NULL))
		event_active(c->ev_turn, 0, 0);
	return true;
fail:
	free(o);
	if (fd != -1)
		close(fd);
	return false;
}

bool
chan_send(struct chan *c, uint16_t type, uint64_t serial, const void *body)
{
	return chan_send_fd(c, type, serial, body, -1);
}

bool
chan_forward(struct chan *c, const struct msg *m, uint64_t serial)
{
	return chan_send(c, m->type, serial, m->body);
}

void
chan_send_frames(struct chan *c, struct buf *frames)
{
	if (c != NULL && c->why == NULL && !c->freed && frames->len > 0) {
		if (buf_add(&c->out, buf_data(frames), frames->len) == -1)
			chan_fail(c, "out of memory", false);
		event_active(c->ev_turn, 0, 0);
	}
	buf_clear(frames);
}

static void
chan_destroy(struct chan *c)
{
	struct outfd *o;

	while ((o = c->outfds) != NULL) {
		c->outfds = o->next;
		close(o->fd);
		free(o);
	}
	while (c->ninfds > 0)
		close(c->infds[--c->ninfds]);
	if (c->curfd != -1)
		close(c->curfd);
	if (c->ev_read != NULL)
		event_free(c->ev_read);
	if (c->ev_write != NULL)
		event_free(c->ev_write);
	if (c->ev_turn != NULL)
		event_free(c->ev_turn);
	if (c->fd != -1)
		close(c->fd);
	buf_clear(&c->in);
	buf_clear(&c->out);
	msg_reader_free(c->reader);
	free(c);
}

/* The end of this turn: what was put off to be outside of every handler. */
static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct chan *c = arg;

	if (!c->freed && c->why == NULL)
		chan_write(c);
	if (c->why != NULL && !c->closed && !c->freed) {
		c->closed = true;
		event_del(c->ev_write);
		close(c->fd);
		c->fd = -1;
		c->rules->closed(c, c->why, c->protocol);
	}
	if (c->freed)
		chan_destroy(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	chan_write(arg);
}

/* One sendmsg: up to the next frame with a descriptor, or just that frame. */
static ssize_t
chan_sendmsg(struct chan *c)
{
	union {
		struct cmsghdr	hdr;
		char		space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec	 iov = { buf_data(&c->out), c->out.len };
	struct msghdr	 mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct outfd	*o = c->outfds;

	if (o != NULL && o->at > c->sent)
		iov.iov_len = (size_t)(o->at - c->sent);
	else if (o != NULL) {
		iov.iov_len = (size_t)(o->end - c->sent);
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.hdr), &o->fd, sizeof(int));
	}
	return sendmsg(c->fd, &mh, MSG_NOSIGNAL);
}

static void
chan_write(struct chan *c)
{
	struct outfd	*o;
	ssize_t		 n;

	while (c->out.len > 0 && c->why == NULL) {
		if ((n = chan_sendmsg(c)) == -1) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == ENOBUFS)
				event_add(c->ev_write, NULL);
			else
				chan_fail(c, "gone", false);
			return;
		}
		if ((o = c->outfds) != NULL && o->at == c->sent) {
			/* Its descriptor has left with the first byte. */
			if ((c->outfds = o->next) == NULL)
				c->outfds_tail = &c->outfds;
			close(o->fd);
			free(o);
		}
		c->sent += (uint64_t)n;
		buf_drain(&c->out, (size_t)n);
	}
}

void
chan_flush(struct chan *c, int ms)
{
	struct pollfd pfd;

	if (c == NULL)
		return;
	pfd = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
	for (chan_write(c); c->out.len > 0 && c->why == NULL; chan_write(c))
		if (poll(&pfd, 1, ms) <= 0)
			return;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct chan *c = arg;

	if (chan_recv(c))
		chan_dispatch(c);
}

static void
fds_keep(struct chan *c, struct msghdr *mh)
{
	struct cmsghdr	*cm;
	int		 fds[FDS_MAX];
	size_t		 i, n;

	for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > FDS_MAX)
			n = FDS_MAX;	/* the control buffer holds no more */
		memcpy(fds, CMSG_DATA(cm), n * sizeof(int));
		for (i = 0; i < n; i++) {
			if (c->ninfds < FDS_MAX)
				c->infds[c->ninfds++] = fds[i];
			else {
				close(fds[i]);
				chan_fail(c, "too many descriptors", true);
			}
		}
	}
}

static bool
chan_recv(struct chan *c)
{
	union {
		struct cmsghdr	hdr;
		char		space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec	iov = { .iov_len = READ_SIZE };
	struct msghdr	mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t		n;

	/* Once a large frame has begun, take it in one go and nothing else:
	 * see chan_take_frame.  There is room for one where it is likely. */
	if (frame_missing(&c->in) > READ_SIZE)
		iov.iov_len = frame_missing(&c->in);
	if ((iov.iov_base = buf_reserve(&c->in, c->large && c->in.len == 0 ?
	    FRAME_MAX : iov.iov_len)) == NULL) {
		chan_fail(c, "out of memory", false);
		return false;
	}
	/* An executor has no business passing descriptors: the kernel drops
	 * them when there is no room for control data. */
	if (c->rules->from != FROM_E) {
		mh.msg_control = control.space;
		mh.msg_controllen = sizeof(control.space);
	}
	n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			chan_fail(c, "gone", false);
		return false;
	}
	if (mh.msg_control != NULL)
		fds_keep(c, &mh);
	if (n == 0) {
		chan_fail(c, "gone", false);
		return false;
	}
	c->in.len += (size_t)n;
	return true;
}

static void
chan_dispatch(struct chan *c)
{
	const uint8_t	*frame;
	size_t		 len;
	int		 rc = 0;

	while (c->why == NULL && !c->freed &&
	    (rc = frame_next(&c->in, &frame, &len)) == 1) {
		c->frame = len + 4;
		c->large = len > READ_SIZE;
		if (!chan_handle(c, frame, len))
			return;
		buf_drain(&c->in, c->frame);
		c->frame = 0;
	}
	if (rc == -1)
		chan_fail(c, "a frame of impossible length", true);
}

static const struct rule *
rule_find(const struct rules *rules, uint16_t type)
{
	size_t i;

	for (i = 0; i < rules->n; i++)
		if (rules->v[i].type == type)
			return &rules->v[i];
	return NULL;
}

/* A secret does not wait here for the next message to overwrite it. */
static void
frame_wipe(const struct message *desc, const uint8_t *frame, size_t len)
{
	uint16_t i;

	for (i = 0; i < desc->nfields; i++)
		if (desc->fields[i].type == FIELD_SECRET) {
			explicit_bzero((void *)(uintptr_t)frame, len);
			return;
		}
}

/* Type, state, sender and form, in this order; then the handler. */
static bool
chan_handle(struct chan *c, const uint8_t *frame, size_t len)
{
	const struct rule	*rule;
	struct msg		 m;
	const char		*why = "no such message here";

	if (guard_check(frame, len, &why) == -1 ||
	    (rule = rule_find(c->rules, msg_peek(frame, len))) == NULL)
		goto refuse;
	why = "a message out of turn";
	if ((rule->states & c->state) == 0)
		goto refuse;
	if (msg_decode(c->reader, schema_of(rule->type), c->rules->from, frame,
	    len, &m, &why) == -1)
		goto refuse;
	if (m.desc->carries_fd) {
		why = "a descriptor is missing";
		if (c->ninfds == 0)
			goto refuse;
		c->curfd = c->infds[0];
		memmove(c->infds, c->infds + 1, --c->ninfds * sizeof(int));
	}
	if (log_wants(LOG_LEVEL_TRACE))
		trace(c, "->", m.type, m.serial, m.body);
	rule->handler(c, &m);
	if (c->curfd != -1)
		close(chan_take_fd(c));
	if (c->frame > 0)
		frame_wipe(m.desc, frame, len);
	return true;
refuse:
	log_warnx("%s: message %u refused: %s", c->name,
	    msg_peek(frame, len), why);
	chan_fail(c, why, true);
	return false;
}
