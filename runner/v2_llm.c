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
 * See v2_llm.h.  A call is its body, collected and charged to the budget,
 * then one of libcurl's; what comes back goes on at once, within the credit.
 */

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/llm_http.h"
#include "base/log.h"
#include "proto/frame.h"
#include "proto/jobs.h"
#include "runner/budget.h"
#include "runner/llm.h"
#include "runner/v2_job.h"
#include "runner/v2_llm.h"

#define BODY_MAX	(64 * 1024 * 1024)	/* with its images */
#define FIRST_S		600	/* a model may think before it answers */
#define IDLE_S		300

struct v2_llm {
	struct id16		 job;
	enum llm_what		 what;
	void			(*ended)(void *);
	void			*arg;
	struct slices		 headers;	/* v and what it shows: owned */
	struct buf		 body;
	size_t			 charged;
	struct http_call	*call;		/* NULL: not begun */
	uint64_t		 sent, credit;
};

static void	on_head(void *, const struct http_head *);
static void	on_body(void *, const void *, size_t);
static void	on_done(void *, const struct http_end *);

static const struct http_ops ops = { on_head, on_body, on_done };

static const char *
call_wrong(const struct exec_llm_call *m, enum xerr *code)
{
	*code = XERR_ENOTSUP;
	if (!llm_on())
		return "no language model is configured on this runner";
	if (m->dialect != llm_dialect())
		return "this runner's provider does not speak that dialect";
	if (m->what > LLM_COUNT)
		return "this runner is too old for it";
	return NULL;
}

static void
headers_clear(struct slices *s)
{
	while (s->n > 0)
		free((void *)(uintptr_t)s->v[--s->n].p);
	free((void *)(uintptr_t)s->v);
	s->v = NULL;
}

static void
headers_copy(struct slices *dst, const struct slices *src)
{
	struct slice	*v = calloc(src->n + 1, sizeof(*v));

	if (v == NULL)
		fatalx("out of memory");
	for (dst->n = 0; dst->n < src->n; dst->n++) {
		v[dst->n].len = src->v[dst->n].len;
		if ((v[dst->n].p = strndup(src->v[dst->n].len > 0 ?
		    src->v[dst->n].p : "", src->v[dst->n].len)) == NULL)
			fatalx("out of memory");
	}
	dst->v = v;
}

struct v2_llm *
v2_llm_new(const struct exec_llm_call *m, void (*ended)(void *), void *arg,
    enum xerr *code, const char **why)
{
	struct v2_llm	*c;

	if ((*why = call_wrong(m, code)) != NULL)
		return NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatalx("out of memory");
	c->job = m->job;
	c->what = m->what;
	c->ended = ended;
	c->arg = arg;
	headers_copy(&c->headers, &m->headers);
	return c;
}

void
v2_llm_free(struct v2_llm *c)
{
	if (c == NULL)
		return;
	llm_free(c->call);
	headers_clear(&c->headers);
	buf_clear(&c->body);
	budget_give(c->charged);
	free(c);
}

static void
call_end(struct v2_llm *c)
{
	void	(*ended)(void *) = c->ended;
	void	*arg = c->arg;

	v2_llm_free(c);
	ended(arg);
}

static void
call_refuse(struct v2_llm *c, enum xerr code, const char *text)
{
	const struct exec_job_refused	 r = { c->job, (uint8_t)code,
					    slice_str(text) };

	/* A link that takes nothing ends its jobs: this one is none then. */
	call_end(c);
	v2_send(EXEC_JOB_REFUSED, &r);
}

bool
v2_llm_input(struct v2_llm *c, struct slice bytes)
{
	if (bytes.len > BODY_MAX - c->body.len || !budget_take(bytes.len))
		return false;
	c->charged += bytes.len;
	if (buf_add(&c->body, bytes.p, bytes.len) == -1)
		fatalx("out of memory");
	return true;
}

void
v2_llm_eof(struct v2_llm *c)
{
	const char	*why;

	if (c->call != NULL)
		return;
	/* The settings may have changed meanwhile. */
	if (!llm_on()) {
		call_refuse(c, XERR_ENOTSUP,
		    "no language model is configured on this runner");
		return;
	}
	c->call = llm_send(c->what, &c->headers, &c->body, FIRST_S, IDLE_S,
	    &ops, c, &why);
	if (c->call == NULL)
		call_refuse(c, c->what == LLM_CHAT ? XERR_EBUSY :
		    XERR_ENOTSUP, why);
	else
		http_call_credit(c->call, c->credit);
}

void
v2_llm_credit(struct v2_llm *c, uint64_t upto)
{
	if (upto <= c->credit)
		return;
	c->credit = upto;
	if (c->call != NULL)
		http_call_credit(c->call, upto);
}

/* --- from the provider --- */

static void
on_head(void *arg, const struct http_head *head)
{
	struct v2_llm		*c = arg;
	struct slice		 lines[LLM_HEADERS_MAX];
	struct exec_llm_head	 m = { .job = c->job,
				    .status = (uint16_t)head->status };

	m.headers.n = (uint32_t)llm_http_headers(head, lines);
	m.headers.v = lines;
	v2_send(EXEC_LLM_HEAD, &m);
}

static void
on_body(void *arg, const void *bytes, size_t len)
{
	struct v2_llm		*c = arg;
	struct exec_job_data	 m = { .job = c->job, .stream = STREAM_FILE };

	m.offset = c->sent;
	m.bytes = (struct slice){ bytes, len };
	c->sent += len;
	/* The call may be gone after this; libcurl's pieces fit. */
	v2_send(EXEC_JOB_DATA, &m);
}

_Static_assert(CURL_MAX_WRITE_SIZE <= FRAME_CHUNK, "on_body");

static void
on_done(void *arg, const struct http_end *end)
{
	struct v2_llm			*c = arg;
	const struct exec_job_eof	 eof = { c->job, STREAM_FILE, c->sent };
	const struct exec_job_done	 done = { c->job };

	if (end->code != XERR_NONE) {
		/* Offline is the runner, which it is not. */
		call_refuse(c, end->code == XERR_EOFFLINE ? XERR_EIO :
		    end->code, end->text);
		return;
	}
	call_end(c);
	v2_send(EXEC_JOB_EOF, &eof);
	v2_send(EXEC_JOB_DONE, &done);
}
