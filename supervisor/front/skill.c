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
 * The skill runner's HTTP: who may, what is a run, how it ends for the caller.
 * Runs in: front.  Input is hostile, and so is what a run answers: its bytes
 * are passed on as they are, its status is one of three.
 * Owns: runs that skill has been asked for.  Holds the token's hash only.
 *
 * The caller looks at the media type alone, so whatever we know to have failed
 * is told under it: status 200, success false.  The rest is HTML, word for
 * word what callers know.
 */

#include <sys/queue.h>
#include <openssl/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/skills.h"
#include "base/token.h"
#include "supervisor/front/front.h"
#include "supervisor/front/skill.h"

#define HTML		"text/html; charset=utf-8"
#define VENDOR		"application/vnd.abbot.v1+json"

#define TOKEN_MAX	4096u			/* of ?code= */
#define HELD_MAX	(64u * 1024 * 1024)	/* bodies that wait, together */
#define CALLS_MAX	1024u			/* runs that wait, or run */
#define WINDOW		(256u * 1024)		/* of an answer, unasked */
#define CHUNK		(128u * 1024)

struct call {
	TAILQ_ENTRY(call) entry;
	uint64_t	 serial;	/* of the request */
	struct buf	 body;		/* what was not sent yet */
	uint64_t	 sent;		/* bytes of the body */
	bool		 answering;	/* the head is out */
	uint64_t	 length, got;	/* bytes of the answer */
	uint64_t	 granted;
};

struct page {
	int		 status;
	const char	*title, *text;
};

static TAILQ_HEAD(, call) calls = TAILQ_HEAD_INITIALIZER(calls);
static unsigned int	 ncalls;
static size_t		 held;
static uint8_t		 hash[TOKEN_HASH], next_hash[TOKEN_HASH];
static bool		 have_hash, have_next;

static void	 on_root(struct req *);
static void	 on_status(struct req *);
static void	 on_execute(struct req *);
static void	 on_writable(struct http_req *, void *);
static void	 collected(struct http_req *, void *, const char *, size_t);
static void	 call_close(struct req *, void *);
static void	 call_lost(struct call *, const char *, const char *);

/* GET implies HEAD; OPTIONS is answered for all of them. */
static const struct {
	const char	*path;
	unsigned int	 verbs;
	const char	*allow;
	void		(*start)(struct req *);
} routes[] = {
	{ "/", HV_GET | HV_HEAD, "GET, HEAD, OPTIONS", on_root },
	{ "/api/v1/status", HV_GET | HV_HEAD, "GET, HEAD, OPTIONS",
	    on_status },
	{ "/api/v1/execute", HV_POST, "OPTIONS, POST", on_execute }
};

static const struct page pages[] = {
	{ 400, "Bad Request", "The browser (or proxy) sent a request that "
	    "this server could not understand." },
	{ 404, "Not Found", "The requested URL was not found on the server. "
	    "If you entered the URL manually please check your spelling and "
	    "try again." },
	{ 405, "Method Not Allowed", "The method is not allowed for the "
	    "requested URL." },
	{ 500, "Internal Server Error", "The server encountered an internal "
	    "error and was unable to complete your request. Either the server "
	    "is overloaded or there is an error in the application." }
};

static const struct http_handler answer_ops = {
	.on_writable = on_writable
};

/* --- answers --- */

static void
answer(struct req *r, int status, const char *ctype, const void *p, size_t len)
{
	struct http_req *h = req_http(r);

	if (h == NULL || r->answered)
		return;
	r->answered = true;
	front.answers[status]++;
	http_reply(h, status, ctype, p, len);
}

static void
answer_page(struct req *r, int status, const char *why)
{
	char	 text[512];
	size_t	 i = 0;
	int	 n;

	while (pages[i].status != status)
		i++;
	n = snprintf(text, sizeof(text), "<!doctype html>\n<html lang=en>\n"
	    "<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n", status,
	    pages[i].title, pages[i].title, pages[i].text);
	api_log_failure(r, status, why);
	answer(r, status, HTML, text, (size_t)n);
}

/* Our own failure, as a failure of the skill. */
static void
answer_failed(struct req *r, const char *id, const char *text)
{
	struct buf	 b = { 0 };
	struct jsonw	 w;

	jsonw_init(&w, &b);
	jsonw_object(&w, NULL);
	jsonw_null(&w, "contentType");
	jsonw_null(&w, "content");
	jsonw_bool(&w, "success", false);
	jsonw_array(&w, "errors");
	jsonw_object(&w, NULL);
	jsonw_text(&w, "errorId", id);
	jsonw_text(&w, "description", text);
	jsonw_end(&w);
	jsonw_end(&w);
	jsonw_array(&w, "replies");
	jsonw_end(&w);
	jsonw_null(&w, "headers");
	jsonw_object(&w, "outputs");
	jsonw_end(&w);
	jsonw_end(&w);
	api_log_failure(r, 200, text);
	answer(r, 200, VENDOR, buf_data(&b), b.len);
	buf_clear(&b);
}

static void
on_root(struct req *r)
{
	static const char text[] = "<!doctype html>\n<html lang=en>\n"
	    "<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
	    "<p>You should be redirected automatically to the target URL: "
	    "<a href=\"/api/v1/status\">/api/v1/status</a>. If not, click the "
	    "link.\n";

	http_reply_header(req_http(r), "Location", "/api/v1/status");
	answer(r, 302, HTML, text, sizeof(text) - 1);
}

/* Branch and sha have never been known to anybody. */
static void
on_status(struct req *r)
{
	static const char text[] = "{\"branch\":\"<unknown>\","
	    "\"sha\":\"<unknown>\",\"status\":\"ok\"}\n";

	answer(r, 200, "application/json", text, sizeof(text) - 1);
}

void
skill_dispatch(struct req *r, struct http_req *h)
{
	const char	*path = http_req_path(h);
	size_t		 i;

	for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (strcmp(path, routes[i].path) == 0)
			break;
	if (i == sizeof(routes) / sizeof(routes[0])) {
		answer_page(r, 404, "no such route");
		return;
	}
	if (http_req_verb(h) & routes[i].verbs) {
		routes[i].start(r);
		return;
	}
	http_reply_header(h, "Allow", routes[i].allow);
	if (http_req_verb(h) == HV_OPTIONS)
		answer(r, 200, HTML, "", 0);
	else
		answer_page(r, 405, "method not allowed");
}

/* --- who, and what --- */

static bool
token_right(struct slice token)
{
	uint8_t	 got[TOKEN_HASH];

	return have_hash && token_hash(got, token) &&
	    CRYPTO_memcmp(got, hash, sizeof(hash)) == 0;
}

/*
 * "Bearer TOKEN", in exactly this writing: then it counts, right or wrong.
 * Anything else, and ?code= counts.
 */
static bool
authorized(struct http_req *h)
{
	const char	*value = http_req_header(h, "Authorization");
	char		 code[TOKEN_MAX + 1];
	ssize_t		 n;

	if (value != NULL && strncmp(value, "Bearer ", 7) == 0 &&
	    strchr(value + 7, ' ') == NULL)
		return token_right(slice_str(value + 7));
	n = http_req_param(h, "code", 0, code, sizeof(code));
	return n > 0 && token_right((struct slice){ code, (size_t)n });
}

/* application/json or application/...+json, whatever parameters follow. */
static bool
is_json(struct http_req *h)
{
	const char	*type = http_req_header(h, "Content-Type");
	size_t		 n;

	if (type == NULL)
		return false;
	n = strcspn(type, ";");
	while (n > 0 && (type[n - 1] == ' ' || type[n - 1] == '\t'))
		n--;
	if (n < 12 || strncasecmp(type, "application/", 12) != 0)
		return false;
	return (n == 16 && strncasecmp(type + 12, "json", 4) == 0) ||
	    (n >= 17 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

static void
on_execute(struct req *r)
{
	static const char	 denied[] = "Access Denied";
	struct http_req		*h = req_http(r);

	if (!authorized(h)) {
		api_log_failure(r, 401, "token missing or wrong");
		answer(r, 401, HTML, denied, sizeof(denied) - 1);
	} else if (!is_json(h))
		answer_page(r, 400, "the content type is not JSON");
	else if (http_req_length(h) > (int64_t)SKILL_BODY_MAX)
		answer_failed(r, "RequestTooLarge",
		    "The request is larger than 16 MiB.");
	else
		http_body_collect(h, SKILL_BODY_MAX, collected);
}

/* --- a run --- */

static void
body_send(struct chan *c, struct call *call, const char *p, size_t len)
{
	struct ctl_skill_body	 b;
	size_t			 n;

	for (; len > 0; p += n, len -= n) {
		n = len < CHUNK ? len : CHUNK;
		b.bytes = (struct slice){ p, n };
		(void)chan_send(c, CTL_SKILL_BODY, call->serial, &b);
		call->sent += n;
	}
}

/* A header's value for a message; what is no text counts as absent. */
static struct slice
header(struct http_req *h, const char *name, size_t max)
{
	const char	*value = http_req_header(h, name);
	size_t		 n = value == NULL ? 0 : strlen(value);

	if (n > max || !utf8_valid(value, n))
		n = 0;
	return (struct slice){ n == 0 ? "" : value, n };
}

static bool
call_send(struct call *call, struct http_req *h, const char *p, size_t len)
{
	struct chan		*c = child_peer(ROLE_SKILL);
	struct ctl_skill_run	 run = {
		.length = len,
		.api_token = header(h, "X-Abbot-SkillApiToken", 8192),
		.traceparent = header(h, "traceparent", 512)
	};
	size_t			 first = len < SKILL_FIRST ? len : SKILL_FIRST;

	if (buf_add(&call->body, p + first, len - first) == -1)
		return false;
	held += call->body.len;
	if (!chan_send(c, CTL_SKILL_RUN, call->serial, &run))
		return false;
	body_send(c, call, p, first);
	return true;
}

static void
collected(struct http_req *h, void *arg, const char *data, size_t len)
{
	struct req	*r = arg;
	struct call	*call;

	if (len == 0) {
		answer_page(r, 400, "no body");
		return;
	}
	if (ncalls == CALLS_MAX || held + len > HELD_MAX) {
		answer_failed(r, "RunnerBusy",
		    "The skill runner has too many requests.");
		return;
	}
	if ((call = calloc(1, sizeof(*call))) == NULL) {
		answer_failed(r, "RunnerBusy", "No memory.");
		return;
	}
	call->serial = r->serial;
	call->granted = WINDOW;
	TAILQ_INSERT_TAIL(&calls, call, entry);
	ncalls++;
	r->data = call;
	r->close = call_close;
	req_stream(r, &answer_ops);
	if (!call_send(call, h, data, len))
		call_lost(call, "RunnerUnavailable",
		    "The skill runner is not there.");
}

/* The request is over; if its run is not, nobody waits for it any more. */
static void
call_close(struct req *r, void *data)
{
	struct call *call = data;

	if (!r->answered)
		(void)chan_send(child_peer(ROLE_SKILL), CTL_SKILL_CANCEL,
		    call->serial, NULL);
	held -= call->body.len;
	buf_clear(&call->body);
	TAILQ_REMOVE(&calls, call, entry);
	ncalls--;
	free(call);
}

/* Told under the caller's media type, or, in the middle of an answer, by
 * its end. */
static void
call_lost(struct call *call, const char *id, const char *why)
{
	struct req *r = req_find(call->serial);

	if (r == NULL || r->answered)
		return;
	if (call->answering)
		req_abort(r, why);
	else
		answer_failed(r, id, why);
}

/* NULL: it is over, and this came too late.  That is normal. */
static struct call *
call_find(uint64_t serial, struct req **r)
{
	if ((*r = req_find(serial)) == NULL || (*r)->answered ||
	    (*r)->close != call_close)
		return NULL;
	return (*r)->data;
}

static void
on_credit(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_credit	*p = m->body;
	struct req			*r;
	struct call			*call = call_find(m->serial, &r);
	size_t				 n;

	if (call == NULL || p->upto <= call->sent)
		return;
	n = p->upto - call->sent < call->body.len ?
	    (size_t)(p->upto - call->sent) : call->body.len;
	body_send(c, call, (const char *)buf_data(&call->body), n);
	buf_drain(&call->body, n);
	held -= n;
}

static void
on_answer(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_answer	*p = m->body;
	struct req			*r;
	struct call			*call = call_find(m->serial, &r);

	if (call == NULL || call->answering)
		return;
	if (p->status == 400)
		answer_page(r, 400, "the body is not JSON");
	else if (p->status != 200 || p->length > SKILL_ANSWER_MAX)
		answer_page(r, 500, "the body lacks a part");
	else if (req_start(r, 200, VENDOR, (int64_t)p->length) != -1) {
		call->answering = true;
		call->length = p->length;
		if (p->length == 0)
			req_end(r);
	}
}

static void
credit_give(struct call *call)
{
	struct ctl_skill_more more;

	if (call->granted >= call->length ||
	    call->granted - call->got > WINDOW / 2)
		return;
	more.upto = call->granted = call->got + WINDOW;
	(void)chan_send(child_peer(ROLE_SKILL), CTL_SKILL_MORE, call->serial,
	    &more);
}

static void
on_data(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_data	*p = m->body;
	struct req			*r;
	struct call			*call = call_find(m->serial, &r);
	int				 full;

	if (call == NULL || !call->answering)
		return;
	if (p->bytes.len > call->length - call->got) {
		chan_refuse(c, "more than was announced");
		return;
	}
	call->got += p->bytes.len;
	full = req_data(r, p->bytes.p, p->bytes.len);
	if (call->got == call->length)
		req_end(r);
	else if (full == 0)
		credit_give(call);
}

static void
on_writable(struct http_req *h, void *arg)
{
	struct req *r = arg;

	if (r->close == call_close)
		credit_give(r->data);
}

static void
on_failed(struct chan *c, const struct msg *m)
{
	const struct ctl_skill_failed	*p = m->body;
	struct req			*r;
	struct call			*call = call_find(m->serial, &r);
	char				 id[65], text[513];

	if (call == NULL)
		return;
	(void)slice_copy(id, sizeof(id), p->id);
	(void)slice_copy(text, sizeof(text), p->text);
	call_lost(call, id, text);
}

static void
on_closed(struct chan *c, const char *why, bool protocol)
{
	struct call *call;

	TAILQ_FOREACH(call, &calls, entry)
		call_lost(call, "RunnerUnavailable",
		    "The skill runner was restarted.");
}

static const struct rule rules_v[] = {
	{ CTL_SKILL_CREDIT, STATES_ALL, on_credit },
	{ CTL_SKILL_ANSWER, STATES_ALL, on_answer },
	{ CTL_SKILL_DATA, STATES_ALL, on_data },
	{ CTL_SKILL_FAILED, STATES_ALL, on_failed }
};

const struct rules skill_rules = {
	rules_v, sizeof(rules_v) / sizeof(rules_v[0]), FROM_K, on_closed
};

/* --- configuration --- */

void
skill_on_conf(struct chan *c, const struct msg *m)
{
	const struct ctl_conf_front_skill *p = m->body;

	have_next = token_hash(next_hash, p->token);
}

void
skill_commit(void)
{
	have_hash = have_next;
	memcpy(hash, next_hash, sizeof(hash));
}
