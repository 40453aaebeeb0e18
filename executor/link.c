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
 * The channel: frames in, frames out.  Runs in: executor.
 * Input: the host's frames; one that does not parse ends the executor.
 * Owns: fd 3, what was read, and two queues: `ctl` overtakes `data`, so that
 * a credit or an exit does not wait behind another job's output.
 */

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executor/executor.h"
#include "proto/fnv.h"
#include "proto/frame.h"

/* Data queued at most: what a kill's answer may wait behind. */
#define DATA_HIGH	(1024 * 1024)
/* Answers queued while the host does not read: then we do not read either. */
#define CTL_HIGH	(1024 * 1024)
#define READ_MIN	(64 * 1024)
#define KEEP		(64 * 1024)

static void	on_link(struct watch *, uint32_t);
static void	link_read(void);
static void	link_lost(void);

static struct watch		 chan = { .fd = -1, .on = on_link };
static struct msg_reader	*reader;
static struct buf		 in, ctl, data;
static size_t			 partial;	/* rest of data's first frame */
static uint64_t			 data_in, data_out;	/* ever */
static size_t			 open_frame;	/* of link_data: its header */
static bool			 leaving;

void
link_init(void)
{
	if ((reader = msg_reader_new()) == NULL)
		die("out of memory");
}

void
link_up(int fd)
{
	struct exec_hello m = { .min = 1, .max = 1 };

	chan.fd = fd;
	loop_want(&chan, EPOLLIN);
	m.build = slice_str(XBOT_VERSION);
	m.workspace = slice_str(opt.workspace);
	m.shell = slice_str(spawn_shell());
	link_send(EXEC_HELLO, &m);
}

/* Like buf_drain, but keeps the memory while there is work. */
static void
drain(struct buf *b, size_t n)
{
	b->off += n;
	b->len -= n;
	if (b->len > 0)
		return;
	b->off = 0;
	if (b->cap > KEEP && op_count() == task_history())
		buf_clear(b);
}

static void
encode(struct buf *b, uint16_t type, const void *body)
{
	/* Between two connections nobody is told: what he had asked is over. */
	if (chan.fd == -1)
		return;
	if (msg_encode(&exec_schema, b, type, 0, body) == -1)
		die(errno == ENOMEM ? "out of memory" : "bad message");
}

void
link_send(uint16_t type, const void *body)
{
	encode(&ctl, type, body);
}

void
link_send_last(struct op *op, uint16_t type, const void *body)
{
	if (op->mark > data_out) {
		data_in -= data.len;
		encode(&data, type, body);
		data_in += data.len;
	} else
		encode(&ctl, type, body);
}

bool
link_room(void)
{
	return chan.fd != -1 && data.len < DATA_HIGH && !leaving;
}

bool
link_send_data(struct op *op, uint16_t type, const void *body)
{
	if (!link_room())
		return false;
	data_in -= data.len;
	encode(&data, type, body);
	data_in += data.len;
	op->mark = data_in;
	return true;
}

static uint8_t *
put_be(uint8_t *p, uint64_t v, int width)
{
	while (width-- > 0)
		*p++ = (uint8_t)(v >> (8 * width));
	return p;
}

/*
 * [19, 0, job, stream, offset, bytes] with every number in its widest form,
 * so that the head has one size and the bytes can be read in behind it.
 */
#define DATA_HEAD	(4 + 1 + 1 + 1 + 18 + 1 + 9 + 5)

void *
link_data(struct op *op, uint8_t stream, uint64_t offset, size_t *max)
{
	uint8_t *p;

	if (!link_room())
		return NULL;
	if (*max > FRAME_CHUNK)
		*max = FRAME_CHUNK;
	if ((p = buf_reserve(&data, DATA_HEAD + *max)) == NULL)
		die("out of memory");
	open_frame = data.len;
	p = put_be(p, 0, 4);
	*p++ = 0x96;
	*p++ = EXEC_JOB_DATA;
	*p++ = 0;
	*p++ = 0xc4;
	*p++ = sizeof(op->id.b);
	memcpy(p, op->id.b, sizeof(op->id.b));
	p += sizeof(op->id.b);
	*p++ = stream;
	*p++ = 0xcf;
	p = put_be(p, offset, 8);
	*p++ = 0xc6;
	return p + 4;
}

void
link_commit(struct op *op, size_t n)
{
	uint8_t *head = buf_data(&data) + open_frame;

	put_be(head, DATA_HEAD - 4 + n, 4);
	put_be(head + DATA_HEAD - 4, n, 4);
	data.len += DATA_HEAD + n;
	data_in += DATA_HEAD + n;
	op->mark = data_in;
}

/* n bytes of data went out: count off whole frames. */
static void
data_sent(size_t n)
{
	const uint8_t	*p;
	size_t		 len;

	data_out += n;
	while (n > 0) {
		if (partial == 0) {
			p = buf_data(&data);
			partial = 4 + frame_length(p);
		}
		len = n < partial ? n : partial;
		drain(&data, len);
		partial -= len;
		n -= len;
	}
}

static size_t
take(size_t *n, size_t most)
{
	size_t k = *n < most ? *n : most;

	*n -= k;
	return k;
}

void
link_flush(void)
{
	struct iovec	iov[3];
	struct msghdr	mh = { .msg_iov = iov };
	ssize_t		sent;
	size_t		n;

	while (ctl.len + data.len > 0 && chan.fd != -1) {
		/* A frame that was begun is finished first. */
		iov[0] = (struct iovec){ buf_data(&data), partial };
		iov[1] = (struct iovec){ buf_data(&ctl), ctl.len };
		iov[2] = (struct iovec){ buf_data(&data) + partial,
		    data.len - partial };
		mh.msg_iovlen = 3;
		sent = sendmsg(chan.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent == -1 && errno == EINTR)
			continue;
		if (sent == -1 && errno == EAGAIN) {
			loop_want(&chan, (ctl.len < CTL_HIGH ? EPOLLIN : 0) |
			    EPOLLOUT);
			return;
		}
		if (sent == -1) {
			link_lost();
			return;
		}
		n = (size_t)sent;
		data_sent(take(&n, partial));
		if ((sent = (ssize_t)take(&n, ctl.len)) > 0)
			drain(&ctl, (size_t)sent);
		data_sent(n);
	}
	loop_want(&chan, EPOLLIN);
}

/*
 * The host is gone.  With -r it comes again: what it had asked for is
 * cancelled, its tasks run on, and their output waits for it.
 */
static void
link_lost(void)
{
	loop_close(&chan);
	if (!opt.stay || leaving)
		die(NULL);
	buf_clear(&in);
	buf_clear(&ctl);
	buf_clear(&data);
	partial = 0;
	data_out = data_in;
	op_cancel_all();
	warn_log("the other side has gone: it is waited for");
	connect_start();
}

static void
on_link(struct watch *w, uint32_t events)
{
	if (events & EPOLLOUT)
		link_flush();
	if (chan.fd != -1 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		link_read();
}

static void
on_hello(const void *body, uint64_t print)
{
	const struct exec_hello *m = body;

	if (m->min > 1 || m->max < 1)
		link_breach("no version in common");
}

static void
on_ping(const void *body, uint64_t print)
{
	const struct exec_ping	*m = body;
	struct exec_pong	 answer = { .cookie = m->cookie };

	link_send(EXEC_PONG, &answer);
}

static void
on_bye(const void *body, uint64_t print)
{
	die("the host said bye");
}

/* PID 1's standard error is what `docker logs` shows. */
static void
on_note(const void *body, uint64_t print)
{
	const struct exec_note	*m = body;

	warn_log("%.*s", (int)m->text.len, (const char *)m->text.p);
}

static void
on_job_data(const void *body, uint64_t print)
{
	const struct exec_job_data	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL && op->class->on_data != NULL)
		op->class->on_data(op, m->stream, m->offset, m->bytes);
}

static void
on_job_eof(const void *body, uint64_t print)
{
	const struct exec_job_eof	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL && op->class->on_eof != NULL)
		op->class->on_eof(op, m->stream, m->offset);
}

static void
on_job_credit(const void *body, uint64_t print)
{
	const struct exec_job_credit	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL && op->class->on_credit != NULL)
		op->class->on_credit(op, m->stream, m->upto);
}

static void
on_job_signal(const void *body, uint64_t print)
{
	const struct exec_job_signal	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL && op->class->on_signal != NULL)
		op->class->on_signal(op, m->signal);
}

static void
on_job_cancel(const void *body, uint64_t print)
{
	const struct exec_job_cancel	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL)
		op->class->on_cancel(op);
}

static void
on_job_resize(const void *body, uint64_t print)
{
	const struct exec_job_resize	*m = body;
	struct op			*op = op_find(&m->job);

	if (op != NULL && op->class->on_resize != NULL)
		op->class->on_resize(op, m->cols, m->rows);
}

static void
on_ignored(const void *body, uint64_t print)
{
}

static void
on_start(const void *body, uint64_t print)
{
	on_job_start(body, print);
}

#define HANDLER(name)					\
static void							\
on_##name##_body(const void *body, uint64_t print)		\
{								\
	on_##name(body);					\
}
HANDLER(file_stat)
HANDLER(file_list)
HANDLER(file_mkdir)
HANDLER(file_remove)
HANDLER(file_get)
HANDLER(file_put)
HANDLER(file_hash)
HANDLER(task_list)
HANDLER(task_read)
HANDLER(task_kill)

static const struct {
	uint16_t	 type;
	void		(*on)(const void *, uint64_t);
} handlers[] = {
	{ EXEC_HELLO,		on_hello },
	{ EXEC_UNSUPPORTED,	on_ignored },
	{ EXEC_BYE,		on_bye },
	{ EXEC_PING,		on_ping },
	{ EXEC_PONG,		on_ignored },
	{ EXEC_NOTE,		on_note },
	{ EXEC_JOB_START,	on_start },
	{ EXEC_JOB_DATA,	on_job_data },
	{ EXEC_JOB_CREDIT,	on_job_credit },
	{ EXEC_JOB_EOF,		on_job_eof },
	{ EXEC_JOB_SIGNAL,	on_job_signal },
	{ EXEC_JOB_RESIZE,	on_job_resize },
	{ EXEC_JOB_CANCEL,	on_job_cancel },
	{ EXEC_FILE_STAT,	on_file_stat_body },
	{ EXEC_FILE_LIST,	on_file_list_body },
	{ EXEC_FILE_MKDIR,	on_file_mkdir_body },
	{ EXEC_FILE_REMOVE,	on_file_remove_body },
	{ EXEC_FILE_GET,	on_file_get_body },
	{ EXEC_FILE_PUT,	on_file_put_body },
	{ EXEC_FILE_HASH,	on_file_hash_body },
	{ EXEC_TASK_LIST,	on_task_list_body },
	{ EXEC_TASK_READ,	on_task_read_body },
	{ EXEC_TASK_KILL,	on_task_kill_body },
};

static void
link_dispatch(const uint8_t *frame, size_t len)
{
	struct exec_unsupported	 sorry;
	struct msg		 m;
	const char		*why;
	size_t			 i;

	if (msg_decode(reader, &exec_schema, FROM_H, frame, len, &m, &why) ==
	    -1) {
		if (why != NULL)
			link_breach(why);
	} else
		for (i = 0; i < NELEM(handlers); i++)
			if (handlers[i].type == m.type) {
				handlers[i].on(m.body, m.type ==
				    EXEC_JOB_START ?
				    fnv1a(FNV1A_START, frame, len) : 0);
				return;
			}
	sorry.type = m.type;
	link_send(EXEC_UNSUPPORTED, &sorry);
}

/* How much to ask for: the rest of the frame that was begun. */
static size_t
read_size(void)
{
	size_t n = frame_missing(&in);

	return n < READ_MIN ? READ_MIN : n;
}

/*
 * Everything one read brought is handled before jobs are started: a job whose
 * stdin ended in the same batch needs no pipe for it.
 */
static void
link_read(void)
{
	const uint8_t	*frame;
	size_t		 len, want = read_size();
	ssize_t		 n;
	void		*p;
	int		 rc;

	if ((p = buf_reserve(&in, want)) == NULL)
		die("out of memory");
	n = recv(chan.fd, p, in.cap - in.off - in.len, MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		link_lost();
		return;
	}
	in.len += (size_t)n;
	while ((rc = frame_next(&in, &frame, &len)) == 1) {
		if (!leaving)
			link_dispatch(frame, len);
		drain(&in, 4 + len);
	}
	if (rc == -1)
		link_breach("a frame of impossible length");
	if (!leaving)
		job_start_pending();
}

/*
 * The last words.  Bounded: a host that does not read cannot hold us.
 */
void
link_bye(const char *reason, unsigned int wait_ms, bool until_closed)
{
	struct exec_bye	m = { .reason = slice_str(reason) };
	uint64_t	until = now_us() + wait_ms * 1000u, now;
	struct pollfd	pfd;
	char		scrap[4096];

	if (chan.fd == -1)
		return;
	leaving = true;
	link_send(EXEC_BYE, &m);
	for (now = now_us(); now < until; now = now_us()) {
		pfd = (struct pollfd){ .fd = chan.fd, .events = POLLIN };
		if (ctl.len + data.len > 0) {
			pfd.events |= POLLOUT;
			link_flush();
		} else if (!until_closed)
			break;
		if (chan.fd == -1 ||
		    poll(&pfd, 1, (int)((until - now) / 1000) + 1) <= 0)
			break;
		if ((pfd.revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
		    recv(chan.fd, scrap, sizeof(scrap), MSG_DONTWAIT) == 0)
			break;
	}
	loop_close(&chan);
}

void
link_breach(const char *reason)
{
	warn_log("protocol: %s", reason);
	die(reason);
}
