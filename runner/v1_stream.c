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
 * stdio_* and pty_*: long-lived programs whose bytes travel both ways in order.
 * Runs in: xbot-runner.  Input is hostile.  Output is asked of the executor only
 * while the connection takes it, so a slow server stops the program and
 * nothing is dropped.  Protocol v1 knows no such thing the other way: input
 * waits here, up to a limit, and over it the stream ends with an error.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/base64.h"
#include "base/chan.h"
#include "base/log.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/launch.h"
#include "runner/reply.h"
#include "runner/v1_req.h"
#include "runner/v1_stream.h"

#define STREAMS_MAX	256
#define WINDOW		((uint64_t)256 * 1024)	/* output under way */
#define INPUT_MAX	((size_t)64 * 1024 * 1024)	/* waiting, of one */
#define CLOSE_DELAY	5	/* s for input that waits before a close */
#define COLS		80
#define ROWS		24

struct stream {
	LIST_ENTRY(stream)	 entry;
	char			*id;		/* the server's; owned */
	bool			 pty;
	bool			 started;
	bool			 closing;	/* cancelled, or about to be */
	bool			 cancelled;
	bool			 hungry;	/* credit when there is room */
	const char		*error;		/* of stdio_exit; a literal */
	struct op		*op;		/* owned; its id is the start's */
	char			*close_id;	/* to be answered; NULL: none */
	size_t			 close_len;
	struct evbuffer		*in;		/* owned, charged */
	uint64_t		 in_sent, in_credit;
	uint64_t		 got, credit;	/* of output */
	uint64_t		 err_got, err_credit;
	struct event		*late;		/* of a close */
};

static LIST_HEAD(, stream)	 streams = LIST_HEAD_INITIALIZER(streams);
static size_t			 nstreams;
static struct event_base	*event_base;

static struct stream	*stream_find(bool, struct slice);
static struct stream	*stream_new(struct request *, bool, struct slice);
static void		 stream_free(struct stream *);
static void		 stream_start(struct request *, struct stream *,
			    struct exec_job_start *);
static void		 stream_cancel(struct stream *);
static void		 stream_feed(struct stream *);
static void		 stream_grant(struct stream *);
static void		 stream_push(struct stream *, struct slice);
static void		 stream_ok(struct stream *, bool);
static void		 stream_exit(struct stream *, int, const char *);
static void		 stream_closed_by(struct stream *, struct slice);
static void		 stream_hurry(struct stream *);
static void		 on_answer(struct op *, struct chan *,
			    const struct msg *);
static void		 on_output(struct stream *, struct chan *,
			    const struct exec_job_data *);
static void		 on_refused(struct stream *,
			    const struct exec_job_refused *);
static void		 on_late(evutil_socket_t, short, void *);

void
v1_stream_init(struct event_base *base)
{
	event_base = base;
}

static struct stream *
stream_find(bool pty, struct slice id)
{
	struct stream	*s;

	LIST_FOREACH(s, &streams, entry)
		if (s->pty == pty && slice_is(id, s->id))
			return s;
	return NULL;
}

/* The id is taken at once: two requests for it cannot both start. */
static struct stream *
stream_new(struct request *r, bool pty, struct slice id)
{
	struct stream	*s;
	struct op	*op;

	if (id.len == 0 || id.len > OP_ID_MAX) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: stream_id is "
		    "missing or too long", v1_type_name(r->msg.type));
		return NULL;
	}
	if (stream_find(pty, id) != NULL) {
		req_refuse(r, XERR_EEXIST, "stream ID is in use");
		return NULL;
	}
	if (nstreams == STREAMS_MAX) {
		req_refuse(r, XERR_EBUSY, "%d streams are open", STREAMS_MAX);
		return NULL;
	}
	if ((op = req_begin(r)) == NULL)
		return NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    (s->id = strndup(id.p, id.len)) == NULL ||
	    (s->in = evbuffer_new()) == NULL ||
	    (s->late = evtimer_new(event_base, on_late, s)) == NULL)
		fatalx("out of memory");
	s->pty = pty;
	s->op = op;
	op->stays = true;
	op->stream = s;
	op->answer = on_answer;
	LIST_INSERT_HEAD(&streams, s, entry);
	nstreams++;
	return s;
}

static void
stream_free(struct stream *s)
{
	size_t	 n = evbuffer_get_length(s->in);

	LIST_REMOVE(s, entry);
	nstreams--;
	evbuffer_free(s->in);
	budget_give(n);
	event_free(s->late);
	op_free(s->op);
	free(s->close_id);
	free(s->id);
	free(s);
}

static void
stream_start(struct request *r, struct stream *s, struct exec_job_start *start)
{
	char	 vid[80];

	log_info("%s %s: starting", s->pty ? "pty" : "stdio",
	    log_vis(vid, sizeof(vid), s->id, strlen(s->id)));
	start->job = s->op->job;
	if (launch_send(EXEC_JOB_START, start))
		return;
	req_refuse(r, XERR_EIO, "exec error: the arguments are too long");
	stream_free(s);
}

/* command is argv[0] and args are the rest; the caller frees *argv. */
static bool
stream_argv(struct request *r, struct v1_member *command,
    struct v1_member *args, struct slice **argv, uint32_t *n)
{
	struct slice	 first;

	*argv = NULL;
	*n = 0;
	if (!req_text(r, command, &first) ||
	    !req_list(r, args, REQ_ARGS_MAX - 1, argv, n))
		return false;
	if (first.len == 0) {
		*n = 0;
		return true;
	}
	*argv = reallocarray(*argv, (size_t)*n + 1, sizeof(**argv));
	if (*argv == NULL)
		fatalx("out of memory");
	memmove(*argv + 1, *argv, *n * sizeof(**argv));
	(*argv)[0] = first;
	(*n)++;
	return true;
}

enum { S_ID, S_COMMAND, S_ARGS, S_ENV, S_DIR, S_COLS, S_ROWS, S_MAX };

static void
start_stream(struct request *r, bool pty)
{
	struct v1_member	 m[S_MAX] = {
		[S_ID] = { "stream_id" }, [S_COMMAND] = { "command" },
		[S_ARGS] = { "args" }, [S_ENV] = { "env" },
		[S_DIR] = { "dir" }, [S_COLS] = { "cols" },
		[S_ROWS] = { "rows" },
	};
	struct exec_job_start	 start = { .kind = pty ? JOB_PTY : JOB_STDIO };
	struct slice		 id, dir, *argv = NULL, *env = NULL;
	struct stream		*s;
	int64_t			 cols, rows;

	if (!req_members(r, m, S_MAX) || !req_text(r, &m[S_ID], &id) ||
	    !stream_argv(r, &m[S_COMMAND], &m[S_ARGS], &argv,
	    &start.argv.n) ||
	    !req_env(r, &m[S_ENV], &env, &start.env.n) ||
	    !req_text(r, &m[S_DIR], &dir) ||
	    !req_int(r, &m[S_COLS], &cols) || !req_int(r, &m[S_ROWS], &rows))
		goto out;
	if (cols < 0 || cols > UINT16_MAX || rows < 0 || rows > UINT16_MAX ||
	    (!pty && start.argv.n == 0)) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: %s",
		    v1_type_name(r->msg.type), pty ? "cols or rows" :
		    "command is empty");
		goto out;
	}
	if ((s = stream_new(r, pty, id)) == NULL)
		goto out;
	start.argv.v = argv;
	start.env.v = env;
	start.dir = exec_dir(dir);
	start.cols = cols != 0 ? (uint16_t)cols : COLS;
	start.rows = rows != 0 ? (uint16_t)rows : ROWS;
	stream_start(r, s, &start);
out:
	free(argv);
	free(env);
}

void
start_stdio(struct request *r)
{
	start_stream(r, false);
}

void
start_pty(struct request *r)
{
	start_stream(r, true);
}

/* -- to the program -- */

static enum xerr
input_take(struct request *r)
{
	struct v1_member	 m[] = { { .key = "stream_id" },
		{ .key = "data" } };
	struct slice		 data;
	struct stream		*s;
	ssize_t			 n;

	if (!v1_members(&r->msg.body, m, 2))
		return XERR_EINVAL;
	s = stream_find(r->msg.type == V1_PTY_STDIN, v1_string(&m[0].value));
	if (s == NULL || s->closing)
		return XERR_ENOENT;
	data = v1_string(&m[1].value);
	if (data.len == 0)
		return XERR_NONE;
	n = base64_decode((char *)(uintptr_t)data.p, data.p, data.len);
	if (n == -1) {
		log_warnx("%s: malformed base64, nothing is written",
		    v1_type_name(r->msg.type));
		return XERR_EINVAL;
	}
	/* Part of it would be worse than none. */
	if (evbuffer_get_length(s->in) + (size_t)n > INPUT_MAX ||
	    !budget_take((size_t)n)) {
		s->error = "it does not read its input: too much of it waits";
		log_warnx("%s: %s", v1_type_name(r->msg.type), s->error);
		s->closing = true;
		stream_cancel(s);
		return XERR_EIO;
	}
	if (evbuffer_add(s->in, data.p, (size_t)n) == -1)
		fatalx("out of memory");
	stream_feed(s);
	return XERR_NONE;
}

/* Silent, but whoever gives stdio_write an id waits for an answer to it. */
void
stream_input(struct request *r)
{
	enum xerr	 code = input_take(r);
	struct reply	*reply;

	if (r->msg.type != V1_STDIO_WRITE || r->msg.id.len == 0)
		return;
	if (code != XERR_NONE) {
		req_refuse(r, code, "%s", code == XERR_ENOENT ?
		    "stream not found" : "nothing was written");
		return;
	}
	reply = reply_new(r->msg.id, V1_OK);
	reply_json(reply, "}");
	reply_queue(reply);
}

static void
stream_feed(struct stream *s)
{
	struct exec_job_data	 data = { .job = s->op->job,
				    .stream = STREAM_STDIN };
	struct evbuffer_iovec	 v;
	size_t			 n;

	while (evbuffer_get_length(s->in) > 0 && s->in_sent < s->in_credit) {
		evbuffer_peek(s->in, FRAME_CHUNK, NULL, &v, 1);
		n = v.iov_len < FRAME_CHUNK ? v.iov_len : FRAME_CHUNK;
		if (n > s->in_credit - s->in_sent)
			n = (size_t)(s->in_credit - s->in_sent);
		data.offset = s->in_sent;
		data.bytes = (struct slice){ v.iov_base, n };
		if (!launch_send(EXEC_JOB_DATA, &data))
			return;
		s->in_sent += n;
		evbuffer_drain(s->in, n);
		budget_give(n);
	}
	if (s->started && s->closing && evbuffer_get_length(s->in) == 0)
		stream_cancel(s);
}

void
stream_resize(struct request *r)
{
	struct v1_member	 m[] = { { .key = "stream_id" },
		{ .key = "cols" }, { .key = "rows" } };
	struct exec_job_resize	 size;
	struct stream		*s;
	int64_t			 cols, rows;

	if (!v1_members(&r->msg.body, m, 3) ||
	    (s = stream_find(true, v1_string(&m[0].value))) == NULL ||
	    !v1_int(&m[1].value, &cols) || !v1_int(&m[2].value, &rows) ||
	    cols < 0 || cols > UINT16_MAX || rows < 0 || rows > UINT16_MAX)
		return;
	size.job = s->op->job;
	size.cols = cols != 0 ? (uint16_t)cols : COLS;
	size.rows = rows != 0 ? (uint16_t)rows : ROWS;
	launch_send(EXEC_JOB_RESIZE, &size);
}

/* The executor closes its input or its terminal, waits, and kills. */
static void
stream_cancel(struct stream *s)
{
	struct exec_job_cancel	 cancel = { .job = s->op->job };

	if (s->cancelled)
		return;
	s->cancelled = true;
	event_del(s->late);
	launch_send(EXEC_JOB_CANCEL, &cancel);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	stream_cancel(arg);
}

/* Answered when it has ended. */
void
stream_close(struct request *r)
{
	struct v1_member	 m[] = { { .key = "stream_id" } };
	struct slice		 id;
	struct stream		*s;

	if (!req_members(r, m, 1) || !req_text(r, &m[0], &id))
		return;
	s = stream_find(r->msg.type == V1_PTY_CLOSE, id);
	if (id.len == 0) {
		req_refuse(r, XERR_EINVAL, "invalid %s request: stream_id is "
		    "missing", v1_type_name(r->msg.type));
		return;
	}
	if (s == NULL || s->closing) {
		req_refuse(r, XERR_ENOENT, "stream not found");
		return;
	}
	s->closing = true;
	stream_closed_by(s, r->msg.id);
	if (s->started)
		stream_hurry(s);
}

/* Answered at its end; its start may still have to be answered. */
static void
stream_closed_by(struct stream *s, struct slice id)
{
	if ((s->close_id = malloc(id.len + 1)) == NULL)
		fatalx("out of memory");
	if (id.len > 0)
		memcpy(s->close_id, id.p, id.len);
	s->close_len = id.len;
}

/* To its end, when it has read what waits for it. */
static void
stream_hurry(struct stream *s)
{
	const struct timeval	 late = { .tv_sec = CLOSE_DELAY };

	if (s->pty || evbuffer_get_length(s->in) == 0)
		stream_cancel(s);
	else
		evtimer_add(s->late, &late);
}

/* -- from the program -- */

static void
on_answer(struct op *op, struct chan *c, const struct msg *m)
{
	const union exec_any	*b = m->body;
	struct stream		*s = op->stream;

	switch (m->type) {
	case EXEC_JOB_STARTED:
		s->started = true;
		stream_ok(s, false);
		stream_grant(s);
		if (s->closing)
			stream_hurry(s);
		return;
	case EXEC_JOB_REFUSED:
		on_refused(s, &b->job_refused);
		return;
	case EXEC_JOB_DATA:
		on_output(s, c, &b->job_data);
		return;
	case EXEC_JOB_CREDIT:
		if (b->job_credit.stream == STREAM_STDIN &&
		    b->job_credit.upto > s->in_credit)
			s->in_credit = b->job_credit.upto;
		stream_feed(s);
		return;
	case EXEC_JOB_EOF:
		return;
	case EXEC_JOB_EXIT:
		stream_exit(s, b->job_exit.how == JOB_EXITED ?
		    b->job_exit.code : -1, b->job_exit.how == JOB_LOST ?
		    "nobody knows how it ended" : s->error);
		return;
	default:
		chan_refuse(c, "an answer that no stream has");
	}
}

static void
on_refused(struct stream *s, const struct exec_job_refused *b)
{
	char	 text[1100];

	if (s->started) {
		stream_exit(s, -1, "the executor gave it up");
		return;
	}
	snprintf(text, sizeof(text), "exec error: %.*s", (int)b->text.len,
	    b->text.len > 0 ? (const char *)b->text.p : "");
	reply_error(op_id(s->op), slice_str(v1_type_name(s->op->type)),
	    XERR_EIO, slice_str(text));
	if (s->close_id != NULL)
		stream_ok(s, true);
	stream_free(s);
}

/* To its start, or to its close. */
static void
stream_ok(struct stream *s, bool closed)
{
	struct reply	*r;

	r = reply_new(closed ? (struct slice){ s->close_id, s->close_len } :
	    op_id(s->op), V1_OK);
	if (!closed) {
		reply_json(r, ",\"body\":{\"stream_id\":\"");
		reply_bytes(r, slice_str(s->id));
		reply_json(r, "\"}");
	}
	reply_json(r, "}");
	reply_queue(r);
}

/* Nothing more of the program while the connection has enough. */
static void
stream_grant(struct stream *s)
{
	struct exec_job_credit	 credit = { .job = s->op->job,
				    .stream = STREAM_STDOUT };

	if (!s->pty && s->err_credit - s->err_got <= WINDOW / 2) {
		s->err_credit = credit.upto = s->err_got + WINDOW;
		credit.stream = STREAM_STDERR;
		launch_send(EXEC_JOB_CREDIT, &credit);
		credit.stream = STREAM_STDOUT;
	}
	if (s->credit - s->got > WINDOW / 2)
		return;
	s->hungry = reply_busy();
	if (s->hungry)
		return;
	s->credit = credit.upto = s->got + WINDOW;
	launch_send(EXEC_JOB_CREDIT, &credit);
}

void
v1_stream_writable(void)
{
	struct stream	*s;

	LIST_FOREACH(s, &streams, entry)
		if (s->hungry)
			stream_grant(s);
}

static void
on_output(struct stream *s, struct chan *c, const struct exec_job_data *b)
{
	bool		 err = b->stream == STREAM_STDERR && !s->pty;
	uint64_t	*got = err ? &s->err_got : &s->got;
	uint64_t	 credit = err ? s->err_credit : s->credit;
	char		 vid[80], text[256];

	if ((b->stream != STREAM_STDOUT && !err) || b->offset != *got ||
	    b->bytes.len > credit - *got) {
		chan_refuse(c, "data out of place");
		return;
	}
	*got += b->bytes.len;
	if (err && log_wants(LOG_LEVEL_DEBUG))
		log_debug("stdio %s says: %s",
		    log_vis(vid, sizeof(vid), s->id, strlen(s->id)),
		    log_vis(text, sizeof(text), b->bytes.p, b->bytes.len));
	else if (!err)
		stream_push(s, b->bytes);
	stream_grant(s);
}

static void
stream_push(struct stream *s, struct slice bytes)
{
	const char	*p = bytes.p;
	struct reply	*r;
	size_t		 n, left = bytes.len;

	for (; left > 0; left -= n, p += n) {
		n = left < V1_PIECE_MAX ? left : V1_PIECE_MAX;
		r = reply_new((struct slice){ NULL, 0 },
		    s->pty ? V1_PTY_DATA : V1_STDIO_DATA);
		reply_json(r, ",\"body\":{\"stream_id\":\"");
		reply_bytes(r, slice_str(s->id));
		reply_json(r, "\",\"data\":\"");
		reply_base64_bytes(r, p, n);
		reply_json(r, "\"}}");
		reply_queue(r);
	}
}

/* Once, behind the last data; then whoever closed it hears so. */
static void
stream_exit(struct stream *s, int code, const char *error)
{
	struct reply	*r;
	char		 vid[80];

	log_info("%s %s: exit %d", s->pty ? "pty" : "stdio",
	    log_vis(vid, sizeof(vid), s->id, strlen(s->id)), code);
	r = reply_new((struct slice){ NULL, 0 },
	    s->pty ? V1_PTY_EXIT : V1_STDIO_EXIT);
	reply_json(r, ",\"body\":{\"stream_id\":\"");
	reply_bytes(r, slice_str(s->id));
	reply_json(r, "\",\"exit_code\":%d", code);
	if (error != NULL)
		reply_json(r, ",\"error\":\"%s\"", error);
	reply_json(r, "}}");
	reply_queue(r);
	if (s->close_id != NULL)
		stream_ok(s, true);
	stream_free(s);
}

void
v1_stream_abandon(void)
{
	struct stream	*s;

	while ((s = LIST_FIRST(&streams)) != NULL) {
		stream_cancel(s);
		stream_free(s);
	}
}

void
v1_stream_lost(void)
{
	struct stream		*s;
	struct exec_job_refused	 refused = { .text =
				    slice_str("the executor ended") };

	while ((s = LIST_FIRST(&streams)) != NULL) {
		if (s->started)
			stream_exit(s, -1, "the executor ended");
		else
			on_refused(s, &refused);
	}
}
