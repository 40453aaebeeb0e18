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
 * A model's answer on its way to the client.  Runs in: front, control.
 * Input is hostile: a provider's, a runner's.
 *
 * An answer that has begun and cannot be finished ends with the dialect's own
 * error event, or is cut; it is never completed by somebody else.
 */

#include <string.h>
#include <strings.h>

#include "base/llm_headers.h"
#include "base/log.h"
#include "supervisor/front/llm_call.h"

#define COLLECT_MAX	(16u * 1024 * 1024)	/* of an answer held whole */
#define LOOK_MAX	(256u * 1024)		/* of one looked at for usage */

static void	head_copy(struct llm_call *, struct req *,
		    const struct slices *);
static enum llm_mode mode_of(const struct llm_call *);
static bool	begin(struct llm_call *, struct req *, const char *);
static bool	give(struct llm_call *, struct req *, struct buf *);
static bool	on_event(void *, const struct sse_event *);
static void	pass(struct llm_call *, struct req *, struct slice);
static void	events(struct llm_call *, struct req *, struct slice);
static void	events_end(struct llm_call *, struct req *);
static void	kept_look(struct llm_call *);
static void	kept_answer(struct llm_call *, struct req *);
static bool	kept_make(struct llm_call *, const struct json_value *,
		    struct buf *, struct llm_why *);
static bool	is_sse(const struct llm_call *);
static const char *type_of(const struct llm_call *);

/* What on_event is given. */
struct turn {
	struct llm_call	*x;
	struct buf	 out;
	struct llm_why	 why;
};

static bool
is_sse(const struct llm_call *x)
{
	return strncasecmp(x->ctype, "text/event-stream", 17) == 0;
}

static enum llm_mode
mode_of(const struct llm_call *x)
{
	bool same = x->client == x->provider;
	bool good = x->status >= 200 && x->status < 300;

	if (x->whole)
		return same && (!good || !x->asked.stream) ? LLM_PASS :
		    LLM_COLLECT;
	if (good && x->what == LLM_CHAT && is_sse(x))
		return LLM_EVENTS;
	return same ? LLM_PASS : LLM_COLLECT;
}

/* A provider's page must not become one of ours in somebody's browser. */
static const char *
type_of(const struct llm_call *x)
{
	if (is_sse(x))
		return "text/event-stream";
	if (x->ctype[0] == '\0' ||
	    strncasecmp(x->ctype, "application/json", 16) == 0)
		return "application/json";
	return "text/plain; charset=utf-8";
}

/* A runner's headers are a stranger's: the list is asked here as well. */
static void
head_copy(struct llm_call *x, struct req *r, const struct slices *headers)
{
	struct http_req	*h = req_http(r);
	char		 text[2049], *value;
	uint32_t	 i;

	for (i = 0; h != NULL && i < headers->n; i++) {
		if (!llm_header_down(headers->v[i]) ||
		    !slice_copy(text, sizeof(text), headers->v[i]))
			continue;
		value = strchr(text, ':');
		*value++ = '\0';
		value += strspn(value, " \t");
		if (strcasecmp(text, "content-type") == 0)
			(void)slice_copy(x->ctype, sizeof(x->ctype),
			    slice_str(value));
		else
			http_reply_header(h, text, value);
	}
}

void
llm_on_head(struct llm_call *x, struct req *r, const struct exec_llm_head *m)
{
	if (x->headed || m->status < 200 || m->status > 599) {
		llm_fail(x, r, XERR_EIO, "no answer of a provider");
		return;
	}
	x->headed = true;
	x->status = m->status;
	head_copy(x, r, &m->headers);
	x->mode = mode_of(x);
	if (x->mode == LLM_COLLECT)
		return;
	if (x->mode == LLM_EVENTS) {
		x->stream = llm_stream_new(x->provider, x->client,
		    x->asked.usage);
		if (x->stream == NULL) {
			llm_fail(x, r, XERR_EBUSY, "no memory");
			return;
		}
	}
	(void)begin(x, r, x->mode == LLM_EVENTS ? NULL : type_of(x));
}

/* ctype NULL: that of events, or JSON. */
static bool
begin(struct llm_call *x, struct req *r, const char *ctype)
{
	struct http_req *h = req_http(r);

	if (h == NULL)
		return false;
	if (x->stream != NULL)
		http_reply_header(h, "Cache-Control", "no-cache");
	if (ctype == NULL)
		ctype = x->stream != NULL ? "text/event-stream" :
		    "application/json";
	return req_start(r, x->status, ctype, -1) != -1;
}

/* Takes the bytes; credit waits for a slow client. */
static bool
give(struct llm_call *x, struct req *r, struct buf *b)
{
	int rv = req_data(r, buf_data(b), b->len);

	buf_clear(b);
	if (rv == 0)
		llm_credit(x);
	return rv != -1;
}

void
llm_on_data(struct llm_call *x, struct req *r, const struct exec_job_data *d)
{
	if (!x->headed || d->stream != STREAM_FILE || d->offset != x->got ||
	    d->bytes.len > x->granted - x->got) {
		llm_fail(x, r, XERR_EIO, "the backend broke the protocol");
		return;
	}
	x->got += d->bytes.len;
	switch (x->mode) {
	case LLM_PASS:
		pass(x, r, d->bytes);
		return;
	case LLM_EVENTS:
		events(x, r, d->bytes);
		return;
	case LLM_COLLECT:
		if (d->bytes.len > COLLECT_MAX - x->kept.len)
			llm_fail(x, r, XERR_EIO,
			    "the provider's answer is too long");
		else if (buf_add(&x->kept, d->bytes.p, d->bytes.len) == -1)
			llm_fail(x, r, XERR_EBUSY, "no memory");
		else
			llm_credit(x);
		return;
	}
}

static void
pass(struct llm_call *x, struct req *r, struct slice s)
{
	if (x->got <= LOOK_MAX)
		(void)buf_add(&x->kept, s.p, s.len);
	else
		buf_clear(&x->kept);
	if (req_data(r, s.p, s.len) == 0)
		llm_credit(x);
}

static bool
on_event(void *arg, const struct sse_event *e)
{
	struct turn *t = arg;

	return llm_stream_event(t->x->stream, e, &t->out, &t->why);
}

/* What was good before the rubbish reaches the client. */
static void
events(struct llm_call *x, struct req *r, struct slice s)
{
	struct turn	 t = { .x = x };
	enum xerr	 code;

	code = sse_feed(&x->sse, s.p, s.len, on_event, &t);
	if (!give(x, r, &t.out) || code == XERR_NONE)
		return;
	llm_fail(x, r, XERR_EIO, t.why.text[0] != '\0' ? t.why.text :
	    code == XERR_E2BIG ? "an event of the provider's is too long" :
	    "no memory");
}

static void
events_end(struct llm_call *x, struct req *r)
{
	struct turn	 t = { .x = x };
	bool		 ok;

	ok = sse_end(&x->sse, on_event, &t) == XERR_NONE &&
	    llm_stream_end(x->stream, &t.out, &t.why);
	(void)give(x, r, &t.out);
	if (ok)
		req_end(r);
	else
		llm_fail(x, r, XERR_EIO, t.why.text);
}

/* Passed on already; only the usage is read. */
static void
kept_look(struct llm_call *x)
{
	struct json	*j;
	const char	*why;

	if (x->kept.len == 0 || x->status >= 300 || x->what != LLM_CHAT)
		return;
	j = json_parse_deep((char *)buf_data(&x->kept), x->kept.len,
	    LLM_VALUES, LLM_DEPTH, &why);
	llm_usage_read(x->provider, json_find(json_root(j), "usage"),
	    &x->usage);
	json_free(j);
}

/* The answer to give, as JSON or, where a stream was asked for, as events. */
static bool
kept_make(struct llm_call *x, const struct json_value *v, struct buf *out,
    struct llm_why *why)
{
	struct turn	 t = { .x = x };
	struct json	*j = NULL;
	struct buf	 chat = { 0 }, chunks = { 0 };
	struct sse	 sse = { 0 };
	const char	*bad;
	bool		 ok = true;

	if (!x->asked.stream || x->what != LLM_CHAT)
		return llm_answer_make(x->client, x->what, v, out, why);
	if (x->provider == LLM_ANTHROPIC) {
		ok = llm_answer_make(LLM_OPENAI, x->what, v, &chat, why);
		j = json_parse_deep((char *)buf_data(&chat), chat.len,
		    LLM_VALUES, LLM_DEPTH, &bad);
		v = json_root(j);
	}
	x->stream = llm_stream_new(LLM_OPENAI, x->client, x->asked.usage);
	ok = ok && x->stream != NULL && llm_answer_chunks(v,
	    x->client == LLM_ANTHROPIC || x->asked.usage, &chunks, why) &&
	    sse_feed(&sse, buf_data(&chunks), chunks.len, on_event, &t) ==
	    XERR_NONE;
	if (ok)
		*out = t.out;
	else {
		if (t.why.text[0] != '\0')
			*why = t.why;
		buf_clear(&t.out);
		llm_stream_free(x->stream);
		x->stream = NULL;
	}
	json_free(j);
	buf_clear(&chat);
	buf_clear(&chunks);
	buf_clear(&sse.wait);
	return ok;
}

static void
kept_answer(struct llm_call *x, struct req *r)
{
	struct buf	 out = { 0 };
	struct llm_why	 why = { "" };
	struct slice	 text = { buf_data(&x->kept), x->kept.len };
	struct json	*j = NULL;
	const char	*bad = "the provider streams unasked";
	bool		 ok = false;

	if (x->status < 200 || x->status > 299) {
		llm_error_make(x->client, x->status, text, &out);
		ok = true;
	} else if ((j = json_parse_deep(text.p, text.len, LLM_VALUES,
	    LLM_DEPTH, &bad)) == NULL)
		llm_refuse(&why, "the provider's answer is no JSON: %s", bad);
	else {
		llm_usage_read(x->provider, json_find(json_root(j), "usage"),
		    &x->usage);
		ok = kept_make(x, json_root(j), &out, &why);
	}
	json_free(j);
	if (!ok) {
		buf_clear(&out);
		llm_fail(x, r, XERR_EIO, why.text[0] != '\0' ? why.text :
		    "no memory");
	} else if (begin(x, r, NULL)) {
		(void)give(x, r, &out);
		req_end(r);
	}
	buf_clear(&out);
}

void
llm_on_done(struct llm_call *x, struct req *r)
{
	if (!x->headed) {
		llm_fail(x, r, XERR_EIO, "no answer of a provider");
		return;
	}
	switch (x->mode) {
	case LLM_PASS:
		kept_look(x);
		req_end(r);
		return;
	case LLM_EVENTS:
		events_end(x, r);
		return;
	case LLM_COLLECT:
		kept_answer(x, r);
		return;
	}
}

void
llm_fail(struct llm_call *x, struct req *r, enum xerr code, const char *text)
{
	struct http_req	*h = req_http(r);
	struct buf	 b = { 0 };

	session_drop(x->session);
	x->session = NULL;
	x->error = code;
	if (h == NULL)
		return;
	if (!http_reply_started(h)) {
		x->status = xerr_status(code);
		req_error(r, code, "%s", text);
	} else if (x->stream != NULL) {
		api_log_failure(r, xerr_status(code), text);
		llm_stream_error(x->client, code, text, &b);
		(void)req_data(r, buf_data(&b), b.len);
		buf_clear(&b);
		req_end(r);
	} else
		req_abort(r, text);
}
