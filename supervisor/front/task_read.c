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
 * The output of background tasks: what there is, or live from an offset on.
 * Runs in: front, control.  Input is hostile on both sides.
 * Owns: struct reading, one a request.
 *
 * The client keeps the offset that a line calls next and comes back with it
 * after any interruption; a character is never cut between two lines, so it
 * is not repaired there either.
 */

#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include "proto/jobs.h"
#include "supervisor/front/tasks.h"

#define SHOWN		(1024u * 1024)	/* of each stream, at most */

/*
 * The executor keeps half a mebibyte behind what it sent, and behind what
 * credit says was taken nothing.  So credit follows the client: it counts
 * from what cannot be lost any more, whoever of us is killed.  The window is
 * wider than all that may be unsafe without http's high mark being hit, or
 * nothing would ever wake us.
 */
#define WINDOW		(512u * 1024)
#define WINDOW_STEP	(32u * 1024)
#define SNDBUF		(64 * 1024)	/* the kernel's queue; it doubles */
#define MARKS		16

/* When so many bytes of the answer are safe, so is the output before got. */
struct mark {
	uint64_t	 tx;
	uint64_t	 got[2];
};

struct reading {
	struct session		*session;	/* NULL: over */
	struct id16		 job, task;
	bool			 follow, base64;
	bool			 known;		/* task_info came */
	bool			 truncated;	/* bytes asked for were gone */
	struct exec_stream	 out[2];
	uint64_t		 safe[2];
	uint64_t		 tx;		/* bytes of lines */
	uint64_t		 queue;		/* of them the kernel may hold */
	struct mark		 marks[MARKS];
	unsigned int		 first, nmarks;
	enum backend		 backend;
	char			 runner[ID_USER_MAX + 1];
	/* of the task */
	bool			 running;
	uint8_t			 how;
	int32_t			 code;
	uint64_t		 started_ms;
	char			*command;
	unsigned int		 phase;		/* of the answer in pieces */
};

static void	 reading_begin(struct req *, bool);
static void	 reading_credit(struct reading *, int);
static void	 queue_small(struct reading *, struct req *);
static void	 mark_add(struct reading *);
static void	 mark_pass(struct reading *, struct req *);
static void	 on_msg(struct session *, struct req *, const struct msg *);
static void	 on_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 on_info(struct reading *, struct req *,
		    const struct exec_task_info *);
static void	 on_data(struct reading *, struct req *,
		    const struct exec_job_data *);
static void	 on_job_exit(struct reading *, struct req *,
		    const struct exec_job_exit *);
static void	 on_writable(struct http_req *, void *);
static void	 reading_close(struct req *, void *);
static void	 reading_broken(struct reading *, struct req *);
static bool	 stream_skip(struct reading *, int, uint64_t);
static int	 line(struct reading *, struct req *, int, struct slice,
		    uint64_t, uint64_t);
static int	 line_data(struct reading *, struct req *, int, struct slice);
static int	 lines(struct reading *, struct req *, int, struct slice);
static void	 line_rest(struct reading *, struct req *, int);
static void	 show_head(void *, struct jsonw *);
static void	 show_tail(void *, struct jsonw *);
static void	 show_pump(struct reading *, struct req *);

static const struct session_ops session_ops = { on_msg, on_lost };
static const struct http_handler http_ops = { .on_writable = on_writable };
static const char *const names[] = { "stdout", "stderr" };
static const struct req_range offsets = { 10, 0, INT64_MAX,
    "not an offset" };

void
task_on_show(struct req *r)
{
	reading_begin(r, false);
}

void
task_on_stream(struct req *r)
{
	reading_begin(r, true);
}

static void
reading_begin(struct req *r, bool follow)
{
	struct exec_task_read	 read = { .follow = follow };
	struct reading		*t;
	char			 session[SESSION_MAX + 1];

	if (!req_session(r, session, sizeof(session)) ||
	    !task_named(r, &read.task))
		return;
	if ((t = calloc(1, sizeof(*t))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = t;
	r->close = reading_close;
	t->follow = follow;
	t->task = read.task;
	if (!req_base64(r, &t->base64) || (follow &&
	    (!req_number(r, names[0], &offsets, &read.stdout_offset) ||
	    !req_number(r, names[1], &offsets, &read.stderr_offset))) ||
	    (t->session = task_session(r, &session_ops, session)) == NULL)
		return;
	t->out[0].got = read.stdout_offset;
	t->out[1].got = read.stderr_offset;
	t->backend = session_where(t->session)->backend;
	(void)slice_copy(t->runner, sizeof(t->runner),
	    slice_str(session_where(t->session)->runner));
	t->job = read.job = session_job(t->session);
	req_stream(r, &http_ops);
	(void)session_send(t->session, EXEC_TASK_READ, &read);
}

static void
reading_credit(struct reading *t, int i)
{
	struct exec_stream	*s = &t->out[i];
	struct exec_job_credit	 c = {
		.job = t->job, .stream = (uint8_t)(STREAM_STDOUT + i)
	};

	c.upto = t->safe[i] + WINDOW;
	if (t->session == NULL || c.upto < s->upto + WINDOW_STEP)
		return;
	s->upto = c.upto;
	(void)session_send(t->session, EXEC_JOB_CREDIT, &c);
}

/* Little of it in the kernel, for a broken connection takes that along. */
static void
queue_small(struct reading *t, struct req *r)
{
	struct http_req	*h = req_http(r);
	int		 n = SNDBUF;
	socklen_t	 len = sizeof(n);

	if (h == NULL)
		return;
	(void)setsockopt(http_req_fd(h), SOL_SOCKET, SO_SNDBUF, &n, len);
	if (getsockopt(http_req_fd(h), SOL_SOCKET, SO_SNDBUF, &n, &len) == -1)
		n = 2 * SNDBUF;
	t->queue = (uint64_t)n;
}

/* Whole characters only: the client comes back with next. */
static void
mark_add(struct reading *t)
{
	struct mark *m = &t->marks[(t->first + t->nmarks) % MARKS];

	if (t->nmarks == MARKS || (t->nmarks > 0 && t->tx -
	    t->marks[(t->first + t->nmarks - 1) % MARKS].tx < WINDOW_STEP))
		return;
	m->tx = t->tx;
	m->got[0] = t->out[0].got - t->out[0].utf8.n;
	m->got[1] = t->out[1].got - t->out[1].utf8.n;
	t->nmarks++;
}

static void
mark_pass(struct reading *t, struct req *r)
{
	struct http_req		*h = req_http(r);
	const struct mark	*m;
	uint64_t		 unsafe;

	if (h == NULL || !t->follow)
		return;
	unsafe = http_reply_pending(h) + t->queue;
	while (t->nmarks > 0) {
		m = &t->marks[t->first];
		if (m->tx + unsafe > t->tx)
			break;
		t->safe[0] = m->got[0];
		t->safe[1] = m->got[1];
		t->first = (t->first + 1) % MARKS;
		t->nmarks--;
	}
}

static void
reading_broken(struct reading *t, struct req *r)
{
	session_drop(t->session);
	t->session = NULL;
	if (t->follow && t->known)
		req_error_line(r, XERR_EIO, "the sandbox broke the protocol");
	else
		req_error(r, XERR_EIO, "the sandbox broke the protocol");
}

/*
 * What was asked for begins there.  false: it goes back, which cannot be.
 */
static bool
stream_skip(struct reading *t, int i, uint64_t begin)
{
	struct exec_stream *s = &t->out[i];

	if (begin < s->got)
		return false;
	if (begin == s->got)
		return true;
	t->truncated = true;
	s->got = begin;
	return true;
}

/* It exists: the answer begins. */
static void
on_info(struct reading *t, struct req *r, const struct exec_task_info *i)
{
	uint64_t begin[2] = { i->stdout_begin, i->stderr_begin };
	int	 n;

	if (t->known || memcmp(i->task.b, t->task.b, sizeof(t->task.b)) !=
	    0) {
		reading_broken(t, r);
		return;
	}
	t->known = true;
	t->running = i->running;
	t->how = i->how;
	t->code = i->code;
	t->started_ms = i->started_ms;
	/* Elsewhere the task survives our worker, and can be read again. */
	if (t->backend == BACKEND_HOST)
		session_started(t->session);
	session_deadline(t->session, t->follow ? 0 : TASK_ANSWER_MS);
	if (t->follow && req_http(r) != NULL &&
	    http_req_verb(req_http(r)) == HV_HEAD) {
		session_drop(t->session);
		t->session = NULL;
		(void)req_start(r, 200, "application/x-ndjson", -1);
		req_end(r);
		return;
	}
	if (t->follow && req_start(r, 200, "application/x-ndjson", -1) == -1)
		return;
	if (!t->follow)
		t->command = strndup(i->command.p, i->command.len);
	else
		queue_small(t, r);
	for (n = 0; n < 2; n++) {
		if (begin[n] > t->out[n].got)
			(void)stream_skip(t, n, begin[n]);
		t->safe[n] = t->out[n].got;
		reading_credit(t, n);
	}
}

static void
on_data(struct reading *t, struct req *r, const struct exec_job_data *d)
{
	struct exec_stream	*s;
	int			 i = d->stream - STREAM_STDOUT, full = 0;

	if (i != 0 && i != 1)
		return;
	s = &t->out[i];
	if (!t->known || d->offset < s->got || d->offset > s->upto ||
	    d->bytes.len > s->upto - d->offset) {
		reading_broken(t, r);
		return;
	}
	if (d->offset > s->got) {
		line_rest(t, r, i);
		(void)stream_skip(t, i, d->offset);
	}
	if (t->follow)
		full = lines(t, r, i, d->bytes);
	else {
		s->got += d->bytes.len;
		t->safe[i] = s->got;
		session_deadline(t->session, TASK_ANSWER_MS);
		if (!exec_keep_last(s, d->bytes, SHOWN)) {
			session_drop(t->session);
			t->session = NULL;
			req_error(r, XERR_EBUSY, "no memory");
			return;
		}
	}
	if (full != 0)
		return;
	mark_pass(t, r);
	reading_credit(t, 0);
	reading_credit(t, 1);
}

static void
on_job_exit(struct reading *t, struct req *r, const struct exec_job_exit *e)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	session_drop(t->session);
	t->session = NULL;
	if (!t->follow || !t->known) {
		reading_broken(t, r);
		return;
	}
	line_rest(t, r, 0);
	line_rest(t, r, 1);
	if (e->how == JOB_LOST) {
		req_error_line(r, XERR_EIO, "lost: nobody knows how the task "
		    "ended");
		return;
	}
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "status", task_status(false, e->how, e->code));
	jsonw_int(&w, "exit_code", exec_code(e->how, e->code));
	jsonw_bool(&w, "timed_out", e->how == JOB_TIMED_OUT);
	exec_limit(&w, e->how);
	jsonw_bool(&w, "truncated", t->truncated);
	jsonw_uint(&w, "duration_ms", e->duration_us / 1000);
	jsonw_text(&w, "backend", backend_name(t->backend));
	jsonw_text(&w, "runner", t->runner);
	jsonw_end(&w);
	(void)buf_add(&b, "\n", 1);
	(void)req_data(r, buf_data(&b), b.len);
	buf_clear(&b);
	req_end(r);
}

static void
on_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct reading *t = r->data;

	if (m->type == EXEC_TASK_INFO)
		on_info(t, r, m->body);
	else if (m->type == EXEC_JOB_DATA)
		on_data(t, r, m->body);
	else if (m->type == EXEC_JOB_EXIT)
		on_job_exit(t, r, m->body);
	else if (m->type == EXEC_JOB_DONE && !t->follow && t->known) {
		session_drop(t->session);
		t->session = NULL;
		show_pump(t, r);
	} else if (m->type == EXEC_JOB_REFUSED && !t->known) {
		session_drop(t->session);
		t->session = NULL;
		task_refused(r, m->body);
	} else if (m->type == EXEC_JOB_REFUSED || m->type == EXEC_JOB_DONE)
		reading_broken(t, r);
}

static void
on_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct reading *t = r->data;

	t->session = NULL;
	if (t->follow && t->known) {
		line_rest(t, r, 0);
		line_rest(t, r, 1);
		req_error_line(r, code, text);
	} else
		req_error(r, code, "%s", text);
}

static void
on_writable(struct http_req *h, void *arg)
{
	struct req	*r = arg;
	struct reading	*t = r->data;

	if (!t->follow)
		show_pump(t, r);
	else if (t->session != NULL) {
		mark_pass(t, r);
		reading_credit(t, 0);
		reading_credit(t, 1);
	}
}

static void
reading_close(struct req *r, void *data)
{
	struct reading *t = data;

	session_drop(t->session);
	exec_stream_clear(&t->out[0]);
	exec_stream_clear(&t->out[1]);
	free(t->command);
	free(t);
}

/* --- lines --- */

static int
line(struct reading *t, struct req *r, int i, struct slice text,
    uint64_t from, uint64_t next)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;
	int		 full;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	if (t->base64)
		jsonw_base64(&w, names[i], text.p, text.len);
	else
		jsonw_str(&w, names[i], text);
	jsonw_uint(&w, "offset", from);
	jsonw_uint(&w, "next", next);
	jsonw_end(&w);
	(void)buf_add(&b, "\n", 1);
	if (!jsonw_ok(&w)) {
		req_abort(r, "no memory");
		full = -1;
	} else
		full = req_data(r, buf_data(&b), b.len);
	t->tx += b.len;
	buf_clear(&b);
	return full;
}

/* Text ends with a whole character; the rest of it comes with the next. */
static int
line_data(struct reading *t, struct req *r, int i, struct slice d)
{
	struct exec_stream	*s = &t->out[i];
	struct buf		 text = { 0 };
	uint64_t		 from = s->got - s->utf8.n;
	int			 full = 0;

	s->got += d.len;
	if (t->base64)
		return line(t, r, i, d, from, s->got);
	if (utf8_replace(&s->utf8, &text, d.p, d.len, false) == -1) {
		req_abort(r, "no memory");
		full = -1;
	} else if (text.len > 0)
		full = line(t, r, i, (struct slice){ buf_data(&text),
		    text.len }, from, s->got - s->utf8.n);
	buf_clear(&text);
	return full;
}

/* Short ones, so that the marks stand close enough for WINDOW. */
static int
lines(struct reading *t, struct req *r, int i, struct slice d)
{
	struct slice	 piece = d;
	int		 full = 0;

	for (; d.len > 0; d.len -= piece.len) {
		piece.len = d.len < WINDOW_STEP ? d.len : WINDOW_STEP;
		full = line_data(t, r, i, piece);
		mark_add(t);
		piece.p = (const uint8_t *)piece.p + piece.len;
	}
	return full;
}

/* A character that never became whole. */
static void
line_rest(struct reading *t, struct req *r, int i)
{
	struct exec_stream	*s = &t->out[i];
	struct buf		 text = { 0 };
	uint64_t		 from = s->got - s->utf8.n;

	if (!t->follow || t->base64 || s->utf8.n == 0)
		return;
	if (utf8_replace(&s->utf8, &text, NULL, 0, true) == 0 && text.len > 0)
		(void)line(t, r, i, (struct slice){ buf_data(&text),
		    text.len }, from, s->got);
	buf_clear(&text);
}

/* --- the last of it --- */

static void
show_head(void *arg, struct jsonw *w)
{
	const struct reading	*t = arg;
	char			 id[TASK_ID_LEN + 1], when[WHEN_LEN];

	task_id_text(t->task, id);
	when_text(t->started_ms, when);
	jsonw_text(w, "task_id", id);
	jsonw_text(w, "command", t->command != NULL ? t->command : "");
	jsonw_text(w, "started_at", when);
	jsonw_text(w, "status", task_status(t->running, t->how, t->code));
	if (t->running)
		jsonw_null(w, "exit_code");
	else
		jsonw_int(w, "exit_code", exec_code(t->how, t->code));
	if (!t->running)
		exec_limit(w, t->how);
}

static void
show_tail(void *arg, struct jsonw *w)
{
	const struct reading	*t = arg;

	jsonw_uint(w, "stdout_next", t->out[0].got);
	jsonw_uint(w, "stderr_next", t->out[1].got);
}

static void
show_pump(struct reading *t, struct req *r)
{
	static const struct exec_pieces	 pieces = { show_head, show_tail };

	exec_pump(r, &pieces, t, t->out, t->base64, &t->phase);
}
