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
 * The LLM proxy: one base URL a user, behind it the model of his own active
 * runner, else the server's own.  Runs in: front, control.  Input is hostile
 * on both sides.  Owns: struct llm_call, one a request.
 *
 * Who serves is decided once a request.  The client that goes away takes the
 * provider's request with it.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/llm_headers.h"
#include "base/log.h"
#include "supervisor/front/events.h"
#include "supervisor/front/llm_call.h"

#define CHUNK		(64u * 1024)
#define BODIES_MAX	(512u * 1024 * 1024)	/* held here, all together */
/* The worker and the runner have the deadlines; this is for one that hangs. */
#define PATIENCE_MS	(3700u * 1000)

static void	 on_openai_chat(struct req *);
static void	 on_anthropic_chat(struct req *);
static void	 on_count(struct req *);
static void	 on_models(struct req *);
static void	 call_begin(struct req *, enum llm_dialect, enum llm_what);
static void	 call_close(struct req *, void *);
static bool	 call_select(struct req *, struct llm_call *,
		    struct route_decision *);
static bool	 call_body(struct req *, struct llm_call *);
static void	 call_send(struct req *, struct llm_call *,
		    const struct route_decision *);
static uint32_t	 headers_up(struct req *, const struct llm_call *,
		    struct slice *, char (*)[1025]);
static void	 body_send(struct llm_call *);
static void	 account(struct req *, const struct llm_call *);
static void	 on_msg(struct session *, struct req *, const struct msg *);
static void	 on_lost(struct session *, struct req *, enum xerr,
		    const char *);
static void	 on_writable(struct http_req *, void *);

#define BASE	"/v1/users/{user}/llm/v1"

const struct api_route llm_routes[] = {
	{ HV_POST, BASE "/chat/completions", RIGHT_USER, ON_API, BODY_LLM,
	    on_openai_chat },
	{ HV_POST, BASE "/messages", RIGHT_USER, ON_API, BODY_LLM,
	    on_anthropic_chat },
	{ HV_POST, BASE "/messages/count_tokens", RIGHT_USER, ON_API,
	    BODY_LLM, on_count },
	{ HV_GET, BASE "/models", RIGHT_USER, ON_API, BODY_NONE, on_models },
	{ .pattern = NULL }
};

static const struct session_ops		 session_ops = { on_msg, on_lost };
static const struct http_handler	 http_ops = {
	.on_writable = on_writable
};

static size_t		 bodies;	/* bytes of BODIES_MAX */
static unsigned int	 active;
static TAILQ_HEAD(, llm_call) calls = TAILQ_HEAD_INITIALIZER(calls);
static struct {
	uint64_t	answers[600];	/* by status; 0: none was given */
	uint64_t	in, out;	/* tokens */
} totals[2];				/* server, runner */

/* ---- whose dialect */

bool
llm_is_route(const struct api_route *t)
{
	return t >= llm_routes && t < llm_routes + sizeof(llm_routes) /
	    sizeof(llm_routes[0]);
}

/* Both have /models; only Anthropic's clients say a version. */
static enum llm_dialect
dialect_of(const struct req *r)
{
	struct http_req *h = req_http(r);

	if (r->route->start == on_openai_chat)
		return LLM_OPENAI;
	if (r->route->start == on_models && (h == NULL ||
	    http_req_header(h, "anthropic-version") == NULL))
		return LLM_OPENAI;
	return LLM_ANTHROPIC;
}

bool
llm_error_body(const struct req *r, enum xerr code, const char *text,
    struct buf *b)
{
	if (!llm_is_route(r->route))
		return false;
	llm_error_own(dialect_of(r), code, text, b);
	return true;
}

/* ---- the request */

static void
on_openai_chat(struct req *r)
{
	call_begin(r, LLM_OPENAI, LLM_CHAT);
}

static void
on_anthropic_chat(struct req *r)
{
	call_begin(r, LLM_ANTHROPIC, LLM_CHAT);
}

static void
on_count(struct req *r)
{
	call_begin(r, LLM_ANTHROPIC, LLM_COUNT);
}

static void
on_models(struct req *r)
{
	call_begin(r, dialect_of(r), LLM_MODELS);
}

static void
call_begin(struct req *r, enum llm_dialect client, enum llm_what what)
{
	struct route_decision	 d;
	struct http_req		*h = req_http(r);
	struct llm_call		*x;

	if (h == NULL)
		return;
	if ((x = calloc(1, sizeof(*x))) == NULL) {
		req_error(r, XERR_EBUSY, "no memory");
		return;
	}
	r->data = x;
	r->close = call_close;
	active++;
	x->req = r->serial;
	TAILQ_INSERT_TAIL(&calls, x, entry);
	x->client = client;
	x->what = what;
	x->start_ms = clock_ms();
	(void)slice_copy(x->id, sizeof(x->id), slice_str(http_req_id(h)));
	if (!limit_llm(r))
		return;
	x->counted = true;
	if (!call_select(r, x, &d))
		return;
	http_reply_header(h, "X-Xbot-LLM", x->by_runner ? "runner" :
	    "server");
	if (call_body(r, x))
		call_send(r, x, &d);
}

/* The user's active runner when it is there and has a model; else ours. */
static bool
call_select(struct req *r, struct llm_call *x, struct route_decision *d)
{
	const struct route_user		*u = routes_user(r->user);
	const char			*name = routes_active(u);
	const struct route_runner	*n = NULL;
	const char			*model = front.conf.llm_model;

	if (!routes_ready()) {
		req_error(r, XERR_EOFFLINE,
		    "the routing table is not there yet");
		return false;
	}
	if (front.conf.remote && name != NULL)
		n = routes_runner(r->user, name);
	if (n != NULL && n->online && n->llm[0] != '\0') {
		*d = (struct route_decision){ XERR_NONE, BACKEND_REMOTE,
		    n->name, "the active runner's model" };
		x->by_runner = true;
		x->whole = !n->v2;
		x->provider = n->v2 && strcmp(n->llm, "anthropic") == 0 ?
		    LLM_ANTHROPIC : LLM_OPENAI;
		(void)slice_copy(x->runner, sizeof(x->runner),
		    slice_str(n->name));
		model = n->llm_model;
	} else if (front.conf.llm) {
		*d = (struct route_decision){ XERR_NONE, BACKEND_LLM, "",
		    "the server's own model" };
		x->provider = front.conf.llm_dialect;
	} else {
		req_error(r, XERR_ENOTSUP, "neither the active runner nor "
		    "this server has a language model");
		return false;
	}
	if (x->what == LLM_COUNT && x->provider != LLM_ANTHROPIC) {
		req_error(r, XERR_ENOTSUP, "the provider does not count "
		    "tokens");
		return false;
	}
	(void)slice_copy(x->model, sizeof(x->model), slice_str(model));
	return true;
}

/* What the provider gets; the model's name is whoever named one's. */
static bool
call_body(struct req *r, struct llm_call *x)
{
	struct llm_why	 why = { "" };
	const char	*model = x->model;

	if (x->what == LLM_MODELS)
		return true;
	if (!llm_asked_read(r->body, &x->asked, &why)) {
		req_error(r, XERR_EINVAL, "%s", why.text);
		return false;
	}
	if (x->asked.model.len > 0) {
		model = "";
		(void)slice_copy(x->model, sizeof(x->model), x->asked.model);
	}
	x->asked.model = slice_str("");
	if (!llm_request_make(x->client, x->provider, r->body, r->text,
	    model, &x->body, &why)) {
		if (why.text[0] == '\0' || strcmp(why.text, "no memory") == 0)
			req_error(r, XERR_EBUSY, "no memory");
		else
			req_error(r, XERR_EINVAL, "%s", why.text);
		return false;
	}
	if (x->body.len > BODIES_MAX - bodies) {
		req_error(r, XERR_EBUSY, "too many calls at once");
		return false;
	}
	x->held = x->body.len;
	bodies += x->held;
	return true;
}

/* What the provider may know of it; in another dialect it means nothing. */
static uint32_t
headers_up(struct req *r, const struct llm_call *x, struct slice *v,
    char (*mem)[1025])
{
	static const char *const names[] = {
		"anthropic-version", "anthropic-beta", "openai-beta"
	};
	struct http_req	*h = req_http(r);
	const char	*value;
	uint32_t	 n = 0;
	size_t		 i;

	if (x->client != x->provider || h == NULL)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		value = http_req_header(h, names[i]);
		if (value == NULL || strlen(names[i]) + strlen(value) > 1020)
			continue;
		(void)strcpy(mem[n], names[i]);
		(void)strcat(strcat(mem[n], ": "), value);
		v[n] = slice_str(mem[n]);
		if (llm_header_up(v[n]))
			n++;
	}
	return n;
}

static void
call_send(struct req *r, struct llm_call *x, const struct route_decision *d)
{
	char			 mem[4][1025];
	struct slice		 v[4];
	struct exec_llm_call	 q = { .dialect = x->provider,
				    .what = x->what };
	struct jsonw		 w;
	struct buf		 b = { 0 };

	if ((x->session = session_open(r, d, &session_ops)) == NULL)
		return;
	q.job = x->job = session_job(x->session);
	q.headers = (struct slices){ v, headers_up(r, x, v, mem) };
	(void)session_send(x->session, EXEC_LLM_CALL, &q);
	session_deadline(x->session, PATIENCE_MS);
	llm_credit(x);
	body_send(x);
	req_stream(r, &http_ops);
	if (audit_begin(&w, &b, r, "llm")) {
		jsonw_text(&w, "via", x->by_runner ? "runner" : "server");
		jsonw_text(&w, "runner", x->runner);
		jsonw_text(&w, "model", x->model);
		audit_end(&w, &b);
	}
}

static void
body_send(struct llm_call *x)
{
	struct exec_job_data	 d = { .job = x->job, .stream = STREAM_STDIN };
	struct exec_job_eof	 e = { .job = x->job, .stream = STREAM_STDIN };
	size_t			 n;

	while (x->body.len > 0 && x->off < x->upto) {
		n = x->body.len < CHUNK ? x->body.len : CHUNK;
		if (n > x->upto - x->off)
			n = (size_t)(x->upto - x->off);
		d.offset = x->off;
		d.bytes = (struct slice){ buf_data(&x->body), n };
		if (!session_send(x->session, EXEC_JOB_DATA, &d))
			return;
		x->off += n;
		buf_drain(&x->body, n);
	}
	if (x->body.len > 0 || x->sent)
		return;
	x->sent = true;
	buf_clear(&x->body);
	e.offset = x->off;
	(void)session_send(x->session, EXEC_JOB_EOF, &e);
}

void
llm_credit(struct llm_call *x)
{
	struct exec_job_credit c = { .job = x->job, .stream = STREAM_FILE };

	if (x->session == NULL || x->granted - x->got > LLM_WINDOW / 2)
		return;
	c.upto = x->granted = x->got + LLM_WINDOW;
	(void)session_send(x->session, EXEC_JOB_CREDIT, &c);
}

/* ---- the answer */

static void
on_msg(struct session *s, struct req *r, const struct msg *m)
{
	const struct exec_job_credit	*c = m->body;
	const struct exec_job_refused	*no = m->body;
	struct llm_call			*x = r->data;
	char				 text[1025];

	session_deadline(s, PATIENCE_MS);
	if (m->type == EXEC_LLM_HEAD) {
		session_started(s);
		llm_on_head(x, r, m->body);
	} else if (m->type == EXEC_JOB_DATA)
		llm_on_data(x, r, m->body);
	else if (m->type == EXEC_JOB_CREDIT && c->stream == STREAM_STDIN &&
	    c->upto > x->upto) {
		x->upto = c->upto;
		body_send(x);
	} else if (m->type == EXEC_JOB_DONE) {
		session_drop(x->session);
		x->session = NULL;
		llm_on_done(x, r);
	} else if (m->type == EXEC_JOB_REFUSED) {
		if (!slice_copy(text, sizeof(text), no->text))
			text[0] = '\0';
		llm_fail(x, r, no->code == XERR_NONE ? XERR_EIO : no->code,
		    text);
	}
}

static void
on_lost(struct session *s, struct req *r, enum xerr code, const char *text)
{
	struct llm_call *x = r->data;

	x->session = NULL;	/* freed behind this */
	llm_fail(x, r, code, text);
}

static void
on_writable(struct http_req *h, void *arg)
{
	struct req *r = arg;

	llm_credit(r->data);
}

/*
 * Its commands wait for the link to be taken up again; a person who waits for
 * the next word of an answer would rather ask again.
 */
void
llm_runner_gone(const char *user, const char *runner)
{
	struct llm_call	*x;
	struct req	*r;

	TAILQ_FOREACH(x, &calls, entry)
		if (x->session != NULL && x->by_runner &&
		    strcmp(x->runner, runner) == 0 &&
		    (r = req_find(x->req)) != NULL &&
		    strcmp(r->user, user) == 0)
			llm_fail(x, r, x->headed ? XERR_EIO : XERR_EOFFLINE,
			    "the runner went away");
}

/* ---- the end */

static void
account(struct req *r, const struct llm_call *x)
{
	struct jsonw	 w;
	struct buf	 b = { 0 };

	totals[x->by_runner].answers[x->status]++;
	totals[x->by_runner].in += x->usage.input + x->usage.cache_read +
	    x->usage.cache_written;
	totals[x->by_runner].out += x->usage.output;
	if (!events_wanted())
		return;
	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_text(&w, "user", r->user);
	jsonw_text(&w, "request_id", x->id);
	jsonw_text(&w, "via", x->by_runner ? "runner" : "server");
	jsonw_text(&w, "runner", x->runner);
	jsonw_text(&w, "model", x->model);
	jsonw_int(&w, "status", x->status);
	if (x->error != XERR_NONE)
		jsonw_text(&w, "error", xerr_name(x->error));
	if (x->usage.known) {
		jsonw_uint(&w, "input_tokens", x->usage.input +
		    x->usage.cache_read + x->usage.cache_written);
		jsonw_uint(&w, "output_tokens", x->usage.output);
	}
	jsonw_uint(&w, "duration_ms", clock_ms() - x->start_ms);
	jsonw_end(&w);
	if (jsonw_ok(&w)) {
		events_emit("llm", r->user, &b);
		events_relay("llm", r->user, &b);
	}
	buf_clear(&b);
}

static void
call_close(struct req *r, void *data)
{
	struct llm_call *x = data;

	if (x->stream != NULL && llm_stream_usage(x->stream)->known)
		x->usage = *llm_stream_usage(x->stream);
	/* What no provider was asked is no call. */
	if (x->granted > 0)
		account(r, x);
	session_drop(x->session);
	if (x->counted)
		limit_llm_release(r->user);
	llm_stream_free(x->stream);
	bodies -= x->held;
	buf_clear(&x->body);
	buf_clear(&x->kept);
	buf_clear(&x->sse.wait);
	active--;
	TAILQ_REMOVE(&calls, x, entry);
	free(x);
}

void
llm_metrics(struct buf *b)
{
	static const char *const via[] = { "server", "runner" };
	size_t			 i, code;

	metric(b, "# HELP xbot_llm_calls Calls of models in progress.\n"
	    "# TYPE xbot_llm_calls gauge\nxbot_llm_calls %u\n", active);
	metric(b, "# HELP xbot_llm_calls_total Ended ones, by status.\n"
	    "# TYPE xbot_llm_calls_total counter\n");
	for (i = 0; i < 2; i++)
		for (code = 0; code < 600; code++)
			if (totals[i].answers[code] != 0)
				metric(b, "xbot_llm_calls_total{via=\"%s\","
				    "code=\"%zu\"} %llu\n", via[i], code,
				    (unsigned long long)
				    totals[i].answers[code]);
	metric(b, "# HELP xbot_llm_tokens_total Tokens, as providers count.\n"
	    "# TYPE xbot_llm_tokens_total counter\n");
	for (i = 0; i < 2; i++)
		metric(b, "xbot_llm_tokens_total{via=\"%s\",kind=\"input\"} "
		    "%llu\nxbot_llm_tokens_total{via=\"%s\",kind="
		    "\"output\"} %llu\n", via[i],
		    (unsigned long long)totals[i].in, via[i],
		    (unsigned long long)totals[i].out);
}
