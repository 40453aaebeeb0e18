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
 * Pipes and terminals of runners that speak version 1: stdio_* and pty_*.
 * Runs in: remote.  A runner pushes as it likes; what is over the mark stops
 * the credit of its whole connection, and nothing is dropped.
 */

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/frame.h"
#include "workers/remote/remote.h"

#define OUT_MAX		(4 * 1024 * 1024)	/* held for front */
#define IN_WINDOW	(256 * 1024)
#define WRITE_MAX	(192 * 1024)	/* bytes of one message */
/*
 * Existing runners do each message in a thread of its own, may turn two
 * writes around when they come together (D27), and confirm none.  What comes
 * behind a write therefore waits until the runner has answered something
 * that was sent after it, and a moment longer.
 */
#define QUIET_US	250000	/* so much later it is not behind it */
#define PACE_US		5000
#define EXIT_WAIT	5	/* s between a close's answer and the exit */

static void	on_pace(evutil_socket_t, short, void *);
static void	stream_room(struct op *);
static void	stream_write(struct op *);

void
stream_start(struct op *op, const struct exec_job_start *start)
{
	struct stream *st;

	if (start->kind == JOB_STDIO && start->argv.n == 0) {
		op_refuse(op, XERR_EINVAL, "no command");
		return;
	}
	if ((op->stream = st = calloc(1, sizeof(*st))) == NULL ||
	    (st->pace = evtimer_new(child_base(), on_pace, op)) == NULL) {
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	if ((op->path = request_path(op->link, (struct slice){ "", 0 })) ==
	    NULL) {
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	st->pty = start->kind == JOB_PTY;
	request_id(st->id);
	request_id(st->input_id);
	op->outputs[0].stream = STREAM_STDOUT;
	op->step = OP_STREAM;
	if (!request_stream(op, start))
		op_refuse(op, XERR_EBUSY, "out of memory");
	else
		op_ask(op, st->pty ? V1_PTY_CREATE : V1_STDIO_START);
}

/* Out of its link's count, and on with the link. */
static void
stream_not_full(struct op *op)
{
	if (!op->stream->full)
		return;
	op->stream->full = false;
	if (--op->link->nfull == 0)
		link_grant(op->link);
}

void
stream_free(struct op *op)
{
	struct stream	*st = op->stream;
	struct buf	 text = { 0 };
	char		 id[24];

	/* Nobody waits for it any more: the runner ends it, too. */
	if (op->handed && !st->ended && !st->closing &&
	    request_simple(op, st->pty ? V1_PTY_CLOSE : V1_STDIO_CLOSE,
	    &text, id))
		link_queue(op->link, NULL, &text);
	buf_clear(&text);
	stream_not_full(op);
	budget_give(st->out.len);
	buf_clear(&st->out);
	if (st->pace != NULL)
		event_free(st->pace);
	free(st);
	op->stream = NULL;
}

/* --- to front --- */

static void
stream_exit(struct op *op)
{
	struct stream *st = op->stream;

	if (st->cancelled) {
		op->how = JOB_KILLED;
		op->code = 0;
	}
	op->duration_us = clock_us() - op->at_us;
	op_exit(op);
}

/* false: that was all, the op is gone. */
static bool
stream_send(struct op *op)
{
	struct stream		*st = op->stream;
	struct output		*o = &op->outputs[0];
	struct exec_job_data	 data = { .job = op->job,
				    .stream = STREAM_STDOUT };
	size_t			 n;

	if (!st->started)
		return true;
	while (st->out.len > 0 && o->sent < o->upto &&
	    !peer_is_full(op->s->peer)) {
		n = st->out.len < FRAME_CHUNK ? st->out.len : FRAME_CHUNK;
		if (n > o->upto - o->sent)
			n = (size_t)(o->upto - o->sent);
		data.offset = o->sent;
		data.bytes = (struct slice){ buf_data(&st->out), n };
		op_send(op, EXEC_JOB_DATA, &data);
		o->sent += n;
		buf_drain(&st->out, n);
		budget_give(n);
	}
	if (st->out.len < OUT_MAX / 2)
		stream_not_full(op);
	if (!st->ended || st->out.len > 0)
		return true;
	stream_exit(op);
	return false;
}

void
stream_pump(struct op *op)
{
	stream_send(op);
}

/* --- from the runner --- */

static struct op *
stream_find(struct link *l, struct slice id)
{
	struct op *op;

	TAILQ_FOREACH(op, &l->ops, of_link)
		if (op->stream != NULL && slice_is(id, op->stream->id))
			return op;
	return NULL;
}

void
stream_take_started(struct op *op, struct v1_value *body)
{
	struct exec_job_started started = { op->job, 0 };

	op->stream->started = true;
	op->at_us = clock_us();
	op_send(op, EXEC_JOB_STARTED, &started);
	op_grant(op, STREAM_STDIN, IN_WINDOW);
	/* Data, and even the end, may have come before this (D28). */
	if (stream_send(op))
		stream_write(op);
}

/*
 * All of it has ended; how, and its last words, may be behind this answer.  A
 * process whose input ended ends by itself: nothing is made up for it.
 */
void
stream_take_closed(struct op *op, struct v1_value *body)
{
	const struct timeval	 tv = { .tv_sec = EXIT_WAIT };
	struct stream		*st = op->stream;

	st->closed = true;
	if (st->cancelled)
		st->ended = true;
	if (!st->ended)
		evtimer_add(st->pace, &tv);
	stream_pump(op);
}

static void
stream_late(struct op *op)
{
	const struct timeval	 tv = { .tv_sec = EXIT_WAIT };
	struct stream		*st = op->stream;

	/* We do not read what it says. */
	if (op->link->nfull > 0) {
		evtimer_add(st->pace, &tv);
		return;
	}
	st->ended = true;
	op->how = JOB_LOST;
	op->code = 0;
	stream_pump(op);
}

static bool
push_data(struct op *op, struct v1_value *v)
{
	struct stream		*st = op->stream;
	struct base64_dec	 dec = { 0 };
	size_t			 len = v1_string(v).len;
	char			*p = v->p;
	ssize_t			 n;

	/* Go leaves out what is empty, here and there. */
	if (v->kind > V1_NULL && v->kind != V1_STRING)
		return false;
	if (st->ended || len == 0)
		return true;
	len = reply_strip_breaks(p, len);
	if (len % 4 != 0 || (n = base64_dec_add(&dec, p, p, len)) < 0 ||
	    buf_add(&st->out, p, (size_t)n) == -1)
		return false;
	budget_force((size_t)n);
	if (st->out.len >= OUT_MAX && !st->full) {
		st->full = true;
		op->link->nfull++;
	}
	stream_pump(op);
	return true;
}

/* With an error it did not exit, or nobody saw how. */
static bool
push_exit(struct op *op, struct v1_value *v, struct v1_value *error)
{
	int64_t code;

	if (!v1_int(v, &code) || code < INT32_MIN || code > INT32_MAX)
		return false;
	if (op->stream->ended)
		return true;
	op->stream->ended = true;
	op->how = v1_string(error).len > 0 ? JOB_LOST :
	    code < 0 ? JOB_SIGNALLED : JOB_EXITED;
	op->code = op->how == JOB_EXITED ? (int32_t)code : 0;
	stream_pump(op);
	return true;
}

bool
stream_push(struct link *l, struct v1_message *msg)
{
	struct v1_member	 m[] = { { .key = "stream_id" },
				    { .key = "data" }, { .key = "exit_code" },
				    { .key = "error" } };
	bool			 data = msg->type == V1_STDIO_DATA ||
				    msg->type == V1_PTY_DATA;
	struct op		*op;

	if (!data && msg->type != V1_STDIO_EXIT && msg->type != V1_PTY_EXIT)
		return false;
	/* What was given up here may still be talking there. */
	if (!v1_members(&msg->body, m, 4) ||
	    (op = stream_find(l, v1_string(&m[0].value))) == NULL)
		return true;
	if (data ? push_data(op, &m[1].value) : push_exit(op, &m[2].value,
	    &m[3].value))
		return true;
	log_info("connection %llu: malformed data of a stream",
	    (unsigned long long)l->serial);
	op_refuse(op, XERR_EIO, "the runner sent malformed data");
	return true;
}

/* --- to the runner --- */

static void
stream_close(struct op *op)
{
	struct stream *st = op->stream;

	if (st->closing || st->ended)
		return;
	st->closing = true;
	op_ask(op, st->pty ? V1_PTY_CLOSE : V1_STDIO_CLOSE);
}

/* As much as there is in one message, and the next one a while later. */
static void
stream_write(struct op *op)
{
	struct stream	*st = op->stream;
	struct buf	 text = { 0 };
	struct jsonw	 w;
	size_t		 n = op->input.len < WRITE_MAX ? op->input.len :
			    WRITE_MAX;
	/* There is no other way to close its input. */
	bool		 close = n == 0 && (st->cancelled ||
			    (st->eof && !st->pty));

	if (!st->started || st->closing || st->ended || op->out != NULL ||
	    op->asked != V1_UNKNOWN || evtimer_pending(st->pace, NULL) ||
	    (n == 0 && !close))
		return;
	if (!st->clear && !st->cancelled && st->wrote_us != 0 &&
	    clock_us() - st->wrote_us < QUIET_US) {
		op_ask(op, V1_STAT);
		return;
	}
	st->clear = false;
	if (close) {
		stream_close(op);
		return;
	}
	request_open(op, &w, &text, st->pty ? V1_PTY_STDIN : V1_STDIO_WRITE,
	    st->pty ? st->input_id : NULL);
	jsonw_text(&w, "stream_id", st->id);
	jsonw_base64(&w, "data", buf_data(&op->input), n);
	if (!request_end(&w)) {
		buf_clear(&text);
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	buf_drain(&op->input, n);
	budget_give(n);
	op->held -= n;
	stream_room(op);
	/* asked is V1_UNKNOWN: op_handed comes to stream_handed. */
	if (!link_queue(op->link, op, &text))
		op_refuse(op, XERR_EBUSY, "out of memory");
}

void
stream_handed(struct op *op)
{
	op->stream->wrote_us = clock_us();
	stream_write(op);
}

void
stream_clear(struct op *op)
{
	const struct timeval tv = { .tv_usec = PACE_US };

	op->stream->clear = true;
	evtimer_add(op->stream->pace, &tv);
}

static void
stream_room(struct op *op)
{
	if (op->input.len < IN_WINDOW / 2)
		op_grant(op, STREAM_STDIN, IN_WINDOW);
}

static void
on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct op *op = arg;

	if (!op->stream->closed)
		stream_write(op);
	else if (!op->stream->ended)
		stream_late(op);
}

void
stream_input(struct op *op, const struct exec_job_data *data)
{
	struct stream *st = op->stream;

	op->taken += data->bytes.len;
	if (st->eof || st->cancelled || st->closing || st->ended) {
		op_grant(op, STREAM_STDIN, IN_WINDOW);
		return;
	}
	if (buf_add(&op->input, data->bytes.p, data->bytes.len) == -1) {
		op_refuse(op, XERR_EBUSY, "out of memory");
		return;
	}
	budget_force(data->bytes.len);
	op->held += data->bytes.len;
	stream_write(op);
}

void
stream_eof(struct op *op)
{
	op->stream->eof = true;
	stream_write(op);
}

void
stream_resize(struct op *op, const struct exec_job_resize *resize)
{
	struct stream	*st = op->stream;
	struct buf	 text = { 0 };
	struct jsonw	 w;
	char		 id[24];

	if (!st->pty || !st->started || st->closing || st->ended)
		return;
	request_id(id);
	request_open(op, &w, &text, V1_PTY_RESIZE, id);
	jsonw_text(&w, "stream_id", st->id);
	jsonw_uint(&w, "cols", resize->cols);
	jsonw_uint(&w, "rows", resize->rows);
	if (request_end(&w))
		link_queue(op->link, NULL, &text);
	buf_clear(&text);
}

/* The runner's own sequence: input closed, 5 s, TERM, 3 s, KILL. */
void
stream_cancel(struct op *op)
{
	struct stream *st = op->stream;

	st->cancelled = true;
	if (st->ended || st->closed || !op->handed) {
		stream_exit(op);
		return;
	}
	budget_give(op->held);
	op->held = 0;
	buf_clear(&op->input);
	/* At once, or when it has started, or what was written has left. */
	stream_write(op);
}

bool
stream_input_answer(struct link *l, struct v1_message *msg)
{
	char		 text[REPLY_TEXT_MAX + 1];
	struct op	*op;

	TAILQ_FOREACH(op, &l->ops, of_link)
		if (op->stream != NULL && op->stream->pty &&
		    slice_is(msg->id, op->stream->input_id))
			break;
	if (op == NULL)
		return false;
	/* Existing runners route no input at all (D30). */
	if (msg->type == V1_ERROR &&
	    reply_error(&msg->body, text) == XERR_EINVAL)
		op_refuse(op, XERR_ENOTSUP, "terminal input unsupported by "
		    "this runner");
	return true;
}
