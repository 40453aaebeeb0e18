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
 * One call of the provider for each session of front's and control's: the
 * request's body comes in under our credit and leaves whole, the answer goes
 * out as it comes, under theirs.  Runs in: llm.  Owns: struct call.
 *
 * What names no session or call is dropped: it may have just ended.
 */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/ctl_msg.h"
#include "proto/exec_msg.h"
#include "proto/frame.h"
#include "workers/llm/llm.h"

#define CALLS_MAX	512			/* a descriptor each */
#define BODY_MAX	(64u * 1024 * 1024)	/* what limit llm may be */
#define BODIES_MAX	(128u * 1024 * 1024)	/* all requests together */
#define WINDOW		(256u * 1024)

struct call {
	struct table_node	 node;		/* first; key: the session's */
	struct client		*client;
	uint64_t		 serial;
	bool			 begun;		/* llm_call came */
	struct id16		 job;
	enum llm_what		 what;
	struct slice		 headers[16];	/* owned */
	uint32_t		 nheaders;
	struct buf		 body;
	size_t			 taken;		/* of the bodies' budget */
	uint64_t		 upto;		/* credit given for it */
	uint64_t		 credit, sent;	/* of the answer */
	struct http_call	*http;
};

static void	 on_session_open(struct chan *, const struct msg *);
static void	 on_session_close(struct chan *, const struct msg *);
static void	 on_llm_call(struct chan *, const struct msg *);
static void	 on_data(struct chan *, const struct msg *);
static void	 on_eof(struct chan *, const struct msg *);
static void	 on_credit(struct chan *, const struct msg *);
static void	 on_cancel(struct chan *, const struct msg *);
static void	 client_closed(struct chan *, const char *, bool);
static void	 on_head(void *, const struct http_head *);
static void	 on_body(void *, const void *, size_t);
static void	 on_done(void *, const struct http_end *);

static const struct rule rules_v[] = {
	{ CTL_SESSION_OPEN, STATES_ALL, on_session_open },
	{ CTL_SESSION_CLOSE, STATES_ALL, on_session_close },
	{ EXEC_LLM_CALL, STATES_ALL, on_llm_call },
	{ EXEC_JOB_DATA, STATES_ALL, on_data },
	{ EXEC_JOB_EOF, STATES_ALL, on_eof },
	{ EXEC_JOB_CREDIT, STATES_ALL, on_credit },
	{ EXEC_JOB_CANCEL, STATES_ALL, on_cancel },
};

const struct rules call_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_F | FROM_H,
	client_closed
};

static const struct http_ops	 http_ops = { on_head, on_body, on_done };
static struct http_client	*http;
static const struct llm_provider *provider;
static size_t			 ncalls, bodies;

void
call_init(struct http_client *hc, const struct llm_provider *p)
{
	http = hc;
	provider = p;
}

static struct call *
call_find(struct chan *c, uint64_t serial)
{
	struct client *client = chan_arg(c);

	return (struct call *)table_find(&client->calls, serial);
}

/* That of this job, which every message but the first begins with. */
static struct call *
call_of(struct chan *c, const struct msg *m)
{
	struct call *call = call_find(c, m->serial);

	if (call == NULL || !call->begun ||
	    memcmp(call->job.b, m->body, sizeof(call->job.b)) != 0)
		return NULL;
	return call;
}

/* The session stays, and may call again. */
static void
call_reset(struct call *call)
{
	uint32_t i;

	http_call_free(call->http);
	call->http = NULL;
	for (i = 0; i < call->nheaders; i++)
		free((void *)(uintptr_t)call->headers[i].p);
	call->nheaders = 0;
	buf_clear(&call->body);
	bodies -= call->taken;
	call->taken = 0;
	call->upto = call->credit = call->sent = 0;
	call->begun = false;
}

static void
call_free(struct call *call)
{
	call_reset(call);
	table_remove(&call->client->calls, &call->node);
	ncalls--;
	free(call);
}

static void
call_refuse(struct call *call, enum xerr code, const char *text)
{
	struct exec_job_refused no = { call->job, (uint8_t)code,
	    slice_str(text) };

	chan_send(call->client->chan, EXEC_JOB_REFUSED, call->serial, &no);
	log_info("session %llu: %s: %s", (unsigned long long)call->serial,
	    xerr_name(code), text);
	call_reset(call);
}

static void
on_session_open(struct chan *c, const struct msg *m)
{
	struct ctl_session_lost	 lost = { XERR_EBUSY,
				    slice_str("too many calls at once") };
	struct client		*client = chan_arg(c);
	struct call		*call;

	if (call_find(c, m->serial) != NULL) {
		chan_refuse(c, "a session that cannot be");
		return;
	}
	if (ncalls >= CALLS_MAX ||
	    (call = calloc(1, sizeof(*call))) == NULL) {
		chan_send(c, CTL_SESSION_LOST, m->serial, &lost);
		return;
	}
	if (!table_add(&client->calls, &call->node, m->serial)) {
		free(call);
		chan_send(c, CTL_SESSION_LOST, m->serial, &lost);
		return;
	}
	ncalls++;
	call->client = client;
	call->serial = m->serial;
}

static void
on_session_close(struct chan *c, const struct msg *m)
{
	struct call *call = call_find(c, m->serial);

	if (call != NULL)
		call_free(call);
}

static void
client_closed(struct chan *c, const char *why, bool protocol)
{
	struct client		*client = chan_arg(c);
	struct table_node	*node;

	client->chan = NULL;
	while ((node = table_any(&client->calls)) != NULL)
		call_free((struct call *)node);
}

static void
credit_give(struct call *call)
{
	struct exec_job_credit credit = { .job = call->job,
	    .stream = STREAM_STDIN };

	if (call->upto - call->body.len > WINDOW / 2)
		return;
	credit.upto = call->upto = call->body.len + WINDOW;
	chan_send(call->client->chan, EXEC_JOB_CREDIT, call->serial, &credit);
}

static void
on_llm_call(struct chan *c, const struct msg *m)
{
	const struct exec_llm_call	*q = m->body;
	struct call			*call = call_find(c, m->serial);
	struct slice			*h;
	char				*copy;
	uint32_t			 i;

	if (call == NULL)
		return;
	if (call->begun) {
		chan_refuse(c, "a second call in a session");
		return;
	}
	call->begun = true;
	call->job = q->job;
	call->what = (enum llm_what)q->what;
	for (i = 0; i < q->headers.n && i < 16; i++) {
		copy = strndup(q->headers.v[i].p, q->headers.v[i].len);
		if (copy == NULL) {
			call_refuse(call, XERR_EBUSY, "out of memory");
			return;
		}
		h = &call->headers[call->nheaders++];
		*h = slice_str(copy);
	}
	/* A reload may have come between front's look and this. */
	if (q->dialect != provider->dialect)
		call_refuse(call, XERR_EOFFLINE,
		    "the provider has just changed");
	else
		credit_give(call);
}

static void
on_data(struct chan *c, const struct msg *m)
{
	const struct exec_job_data	*d = m->body;
	struct call			*call = call_of(c, m);

	if (call == NULL || call->http != NULL || d->stream != STREAM_STDIN)
		return;
	if (d->offset != call->body.len ||
	    d->bytes.len > call->upto - call->body.len) {
		chan_refuse(c, "data without credit");
		return;
	}
	if (d->bytes.len > BODY_MAX - call->body.len ||
	    d->bytes.len > BODIES_MAX - bodies ||
	    buf_add(&call->body, d->bytes.p, d->bytes.len) == -1) {
		call_refuse(call, XERR_EBUSY,
		    "no memory for the request's body");
		return;
	}
	bodies += d->bytes.len;
	call->taken += d->bytes.len;
	credit_give(call);
}

static void
on_eof(struct chan *c, const struct msg *m)
{
	const struct exec_job_eof	*e = m->body;
	struct call			*call = call_of(c, m);
	struct slices			 headers;
	const char			*why;

	if (call == NULL || call->http != NULL || e->stream != STREAM_STDIN)
		return;
	headers = (struct slices){ call->headers, call->nheaders };
	call->http = llm_http_call(http, provider, call->what, &headers,
	    &call->body, &http_ops, call, &why);
	if (call->http == NULL)
		call_refuse(call, XERR_ENOTSUP, why);
	else
		http_call_credit(call->http, call->credit);
}

static void
on_credit(struct chan *c, const struct msg *m)
{
	const struct exec_job_credit	*q = m->body;
	struct call			*call = call_of(c, m);

	if (call == NULL || q->stream != STREAM_FILE ||
	    q->upto <= call->credit)
		return;
	call->credit = q->upto;
	if (call->http != NULL)
		http_call_credit(call->http, call->credit);
}

static void
on_cancel(struct chan *c, const struct msg *m)
{
	struct call *call = call_of(c, m);

	if (call != NULL)
		call_refuse(call, XERR_EIO, "cancelled");
}

/* ---- from the provider */

static void
on_head(void *arg, const struct http_head *head)
{
	struct call		*call = arg;
	struct slice		 v[LLM_HEADERS_MAX];
	struct exec_llm_head	 h = { .job = call->job,
				    .status = (uint16_t)head->status };

	h.headers = (struct slices){ v,
	    (uint32_t)llm_http_headers(head, v) };
	chan_send(call->client->chan, EXEC_LLM_HEAD, call->serial, &h);
}

static void
on_body(void *arg, const void *p, size_t n)
{
	struct call		*call = arg;
	struct exec_job_data	 d = { .job = call->job,
				    .stream = STREAM_FILE };
	const char		*at = p;
	size_t			 part;

	for (; n > 0; n -= part, at += part) {
		part = n < FRAME_CHUNK ? n : FRAME_CHUNK;
		d.offset = call->sent;
		d.bytes = (struct slice){ at, part };
		chan_send(call->client->chan, EXEC_JOB_DATA, call->serial,
		    &d);
		call->sent += part;
	}
}

static void
on_done(void *arg, const struct http_end *end)
{
	struct call		*call = arg;
	struct exec_job_eof	 eof = { .job = call->job,
				    .stream = STREAM_FILE,
				    .offset = call->sent };
	struct exec_job_done	 done = { .job = call->job };

	if (end->code != XERR_NONE) {
		call_refuse(call, end->code, end->text);
		return;
	}
	chan_send(call->client->chan, EXEC_JOB_EOF, call->serial, &eof);
	chan_send(call->client->chan, EXEC_JOB_DONE, call->serial, &done);
	call_reset(call);
}
