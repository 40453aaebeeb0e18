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
 * POST exec: one command, its input and its output.  Runs in: front,
 * control.  Input is hostile on both sides: the client's JSON, and what an
 * executor in a container says.  Owns: struct exec, one a request.
 *
 * The client that goes away closes its session, and with it its command.
 */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/jobs.h"
#include "supervisor/front/exec.h"
#include "supervisor/front/wanted.h"

#define GRACE_MS	10000		/* the executor's own deadline first */
#define STDIN_CHUNK	(64u * 1024)
#define AUDIT_COMMAND	1024		/* bytes of a command in the trail */

static void	 on_exec(struct req *);
static void	 exec_close(struct req *, void *);
static void	 exec_writable_cb(struct http_req *, void *);
static bool	 how_to_answer(struct req *, struct exec *);
static void	 exec_begin(struct req *, struct exec *, struct wanted *);
static void	 input_send(struct exec *);
static void	 on_msg(struct session *, struct req *, const struct msg *);
static void	 on_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 on_data(struct exec *, struct req *,
		    const struct exec_job_data *);
static void	 on_job_exit(struct exec *, struct req *,
		    const struct exec_job_exit *);
static void	 on_refused(struct exec *, struct req *,
		    const struct exec_job_refused *);
static void	 on_credit(struct exec *, const struct exec_job_credit *);

const struct api_route exec_routes[] = {
	{ HV_POST, "/v1/users/{user}/exec", RIGHT_USER, ON_API, BODY_JSON,
	    on_exec },
	{ .pattern = NULL }
};

static const struct session_ops session_ops = { on_msg, on_lost };
static const struct http_handler http_ops = {
	.on_writable = exec_writable_cb
};

static bool
how_to_answer(struct req *r, struct exec *x)
{
	struct http_req	*h = req_http(r);

	if (h == NULL || !req_base64(r, &x->base64))
		return false;
	x->ndjson = http_req_header_has(h, "Accept", "application/x-ndjson");
	return true;
}

static void
on_exec(struct req *r)
{
	static struct wanted	 w;	/* 80 KB; used up before we return */
	struct exec		*x;

	if (!wanted_parse(r, &w, true))
		return;
	if ((x = calloc(1, sizeof(*x))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = x;
	r->close = exec_close;
	if (!how_to_answer(r, x) || !wanted_input(r, &w, &x->input))
		return;
	x->where = routes_decide(r->user, w.session);
	if (x->where.code != XERR_NONE) {
		req_error(r, x->where.code, "%s", x->where.reason);
		return;
	}
	if (limit_exec(r))
		exec_begin(r, x, &w);
}

/* All of it is queued before the loop turns: one write. */
static void
exec_begin(struct req *r, struct exec *x, struct wanted *w)
{
	const struct slice	*text;

	if ((x->session = session_open(r, &x->where, &session_ops)) == NULL)
		return;
	(void)slice_copy(x->runner, sizeof(x->runner),
	    slice_str(x->where.runner));
	x->where.runner = x->runner;
	if (front.conf.audit) {
		text = w->start.argv.n > 0 ? w->argv : &w->start.command;
		x->command = strndup(text->p, text->len < AUDIT_COMMAND ?
		    text->len : AUDIT_COMMAND);
	}
	x->start_ms = clock_ms();
	x->job = w->start.job = session_job(x->session);
	w->start.kind = JOB_EXEC;
	if (!session_send(x->session, EXEC_JOB_START, &w->start)) {
		session_drop(x->session);
		x->session = NULL;
		req_error(r, XERR_E2BIG, "the command does not fit");
		return;
	}
	exec_credit(x, 0);
	exec_credit(x, 1);
	input_send(x);
	x->end_ms = x->start_ms + w->start.timeout_ms + GRACE_MS;
	exec_deadline(x);
	req_stream(r, &http_ops);
}

void
exec_deadline(struct exec *x)
{
	uint64_t now = clock_ms(), ms = GRACE_MS;

	if (x->end_ms > now + ms)
		ms = x->end_ms - now;
	if (x->session != NULL)
		session_deadline(x->session, (unsigned int)ms);
}

void
exec_credit(struct exec *x, int i)
{
	struct exec_stream	*s = &x->out[i];
	struct exec_job_credit	 c = {
		.job = x->job, .stream = (uint8_t)(STREAM_STDOUT + i)
	};

	if (x->session == NULL || s->upto - s->got > EXEC_WINDOW / 2)
		return;
	c.upto = s->upto = s->got + EXEC_WINDOW;
	(void)session_send(x->session, EXEC_JOB_CREDIT, &c);
}

/* What the executor has room for; end of file right behind the last byte. */
static void
input_send(struct exec *x)
{
	struct exec_job_data	 d = { .job = x->job, .stream = STREAM_STDIN };
	struct exec_job_eof	 e = { .job = x->job, .stream = STREAM_STDIN };
	size_t			 n;

	while (x->input.len > 0 && x->in_off < x->in_upto) {
		n = x->input.len < STDIN_CHUNK ? x->input.len : STDIN_CHUNK;
		if (n > x->in_upto - x->in_off)
			n = (size_t)(x->in_upto - x->in_off);
		d.offset = x->in_off;
		d.bytes = (struct slice){ buf_data(&x->input), n };
		if (!session_send(x->session, EXEC_JOB_DATA, &d))
			return;
		x->in_off += n;
		buf_drain(&x->input, n);
	}
	if (x->input.len > 0 || x->in_eof)
		return;
	x->in_eof = true;
	e.offset = x->in_off;
	(void)session_send(x->session, EXEC_JOB_EOF, &e);
}

static void
on_data(struct exec *x, struct req *r, const struct exec_job_data *d)
{
	struct exec_stream	*s;
	int			 i = d->stream - STREAM_STDOUT;

	if (i != 0 && i != 1)
		return;
	s = &x->out[i];
	if (d->offset != s->got || d->bytes.len > s->upto - s->got) {
		session_drop(x->session);
		x->session = NULL;
		exec_fail(x, r, XERR_EIO, "the sandbox broke the protocol");
		return;
	}
	s->got += d->bytes.len;
	exec_output(x, r, i, d->bytes);
}

int
exec_code(uint8_t how, int32_t code)
{
	switch ((enum job_how)how) {
	case JOB_EXITED:
		return code;
	case JOB_SIGNALLED:
	case JOB_LIMIT:
		return code > 0 && code < 128 ? 128 + code : -1;
	case JOB_KILLED:
		return 128 + 9;
	case JOB_TIMED_OUT:
	case JOB_LOST:
		break;
	}
	return -1;
}

/* Memory is the only limit that ends a process. */
void
exec_limit(struct jsonw *w, uint8_t how)
{
	if (how == JOB_LIMIT)
		jsonw_text(w, "limit", "memory");
}

static void
on_job_exit(struct exec *x, struct req *r, const struct exec_job_exit *e)
{
	session_drop(x->session);
	x->session = NULL;
	if (e->how == JOB_LOST) {
		exec_fail(x, r, XERR_EIO, "lost: nobody knows how the "
		    "command ended");
		return;
	}
	x->exit_code = exec_code(e->how, e->code);
	x->how = e->how;
	x->duration_ms = e->duration_us / 1000;
	exec_answer(x, r);
}

static void
on_refused(struct exec *x, struct req *r, const struct exec_job_refused *m)
{
	char text[1025];

	if (!slice_copy(text, sizeof(text), m->text))
		text[0] = '\0';
	session_drop(x->session);
	x->session = NULL;
	exec_fail(x, r, m->code == XERR_NONE ? XERR_EIO : m->code, text);
}

static void
on_credit(struct exec *x, const struct exec_job_credit *c)
{
	if (c->stream != STREAM_STDIN || c->upto <= x->in_upto)
		return;
	x->in_upto = c->upto;
	input_send(x);
}

static void
on_msg(struct session *s, struct req *r, const struct msg *m)
{
	struct exec *x = r->data;

	if (m->type == EXEC_JOB_DATA)
		on_data(x, r, m->body);
	else if (m->type == EXEC_JOB_CREDIT)
		on_credit(x, m->body);
	else if (m->type == EXEC_JOB_REFUSED)
		on_refused(x, r, m->body);
	else if (m->type == EXEC_JOB_EXIT)
		on_job_exit(x, r, m->body);
}

static void
on_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct exec *x = r->data;

	x->session = NULL;
	exec_fail(x, r, code, text);
}

static void
exec_writable_cb(struct http_req *h, void *arg)
{
	struct req *r = arg;

	exec_writable(r->data, r);
}

static void
exec_close(struct req *r, void *data)
{
	struct exec	*x = data;

	session_drop(x->session);
	exec_discard(x);
	buf_clear(&x->input);
	free(x->command);
	free(x);
}
