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
 * See http_client.h.  A call is an easy handle of curl's and a clock of our
 * own (curl's have no notion of a first byte, and go on while we pause it).
 * What curl hands over beyond the credit waits here, one piece at most.
 */

#include <sys/queue.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/curl_loop.h"
#include "base/http_client.h"

#define IDLE_CONNECTIONS	64L
#define RETRY_MS		250	/* doubled each time */

struct http_call {
	TAILQ_ENTRY(http_call)	 entry;
	struct http_client	*client;
	const struct http_ops	*ops;
	void			*arg;
	CURL			*easy;		/* NULL: ended */
	bool			 added;		/* easy is with multi */
	struct curl_slist	*send;
	struct buf		 out;		/* the request's body */
	struct event		*clock;		/* first_ms, idle_ms, retry */
	unsigned int		 first_ms, idle_ms;
	unsigned int		 retries, tried;
	struct buf		 lines;		/* of the head, NUL behind each */
	unsigned int		 nlines;
	bool			 told;		/* head was called */
	struct buf		 wait;		/* beyond the credit */
	uint64_t		 given, credit;
	bool			 paused;
	CURLcode		 result;
	bool			 over;		/* curl is through, done is due */
	bool			 dead;		/* free it when nobody is inside */
	enum xerr		 why;		/* we ended it: the reason */
	const char		*why_text;
	char			 error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(http_calls, http_call);

struct http_client {
	struct event_base	*base;
	const char		*agent;
	struct curl_loop	 loop;
	struct event		*kick;		/* something is due */
	struct http_calls	 calls;
	unsigned int		 busy;		/* within curl */
};

/* What curl calls what we call it; the rest is XERR_EIO. */
static const struct {
	CURLcode	 from;
	enum xerr	 to;
} codes[] = {
	{ CURLE_COULDNT_RESOLVE_HOST,	XERR_EOFFLINE },
	{ CURLE_COULDNT_RESOLVE_PROXY,	XERR_EOFFLINE },
	{ CURLE_COULDNT_CONNECT,	XERR_EOFFLINE },
	{ CURLE_OPERATION_TIMEDOUT,	XERR_ETIMEDOUT },
	{ CURLE_OUT_OF_MEMORY,		XERR_EBUSY },
	{ CURLE_URL_MALFORMAT,		XERR_EINVAL },
};

static void	client_kick(struct http_client *);
static void	multi_act(void *, curl_socket_t, int);
static bool	easy_set(struct http_call *, const struct http_request *);
static bool	easy_body(struct http_call *, const struct http_request *);
static bool	call_start(struct http_call *);
static void	call_stop(struct http_call *);
static void	call_destroy(struct http_call *);
static void	call_clock(struct http_call *, unsigned int);
static void	call_fail(struct http_call *, enum xerr, const char *);
static void	call_head(struct http_call *);
static void	call_give(struct http_call *);
static void	call_end(struct http_call *);
static bool	call_again(struct http_call *);
static void	call_step(struct http_call *);
static void	on_kick(evutil_socket_t, short, void *);
static void	on_clock(evutil_socket_t, short, void *);
static size_t	curl_header(char *, size_t, size_t, void *);
static size_t	curl_body(char *, size_t, size_t, void *);

/* ---- curl and the loop */

/* What callers ask for within a callback is done in the loop's next turn. */
static void
client_kick(struct http_client *hc)
{
	event_active(hc->kick, EV_TIMEOUT, 0);
}

static void
multi_act(void *arg, curl_socket_t fd, int what)
{
	struct http_client	*hc = arg;
	struct http_call	*call;
	CURLMsg			*m;
	char			*p;
	int			 n;

	hc->busy++;
	curl_multi_socket_action(hc->loop.multi, fd, what, &n);
	while ((m = curl_multi_info_read(hc->loop.multi, &n)) != NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		p = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		call = (void *)p;
		call->result = m->data.result;
		call->over = true;
		call_clock(call, 0);
	}
	hc->busy--;
	on_kick(-1, 0, hc);
}

/* ---- from curl */

/* One line; an empty one ends the head, a status line begins (another) one. */
static size_t
curl_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call	*call = arg;
	size_t			 len = n;

	while (len > 0 && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	if (call->dead || call->told)
		return call->dead ? 0 : n;	/* trailers */
	if (len == 0) {
		call_head(call);
		return call->dead ? 0 : n;
	}
	if (len >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		buf_drain(&call->lines, call->lines.len);
		call->nlines = 0;
		return n;
	}
	if (memchr(p, '\0', len) != NULL || memchr(p, ':', len) == NULL)
		return n;
	if (call->nlines >= HTTP_HEADERS_MAX ||
	    len + 1 > HTTP_HEAD_MAX - call->lines.len) {
		call->why = XERR_EIO;
		call->why_text = "the answer's head is too long";
		return 0;
	}
	if (buf_add(&call->lines, p, len) == -1 ||
	    buf_add(&call->lines, "", 1) == -1)
		return 0;
	call->nlines++;
	return n;
}

static size_t
curl_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call	*call = arg;

	if (call->dead || !call->told)
		return 0;
	if (call->wait.len > 0) {
		call->paused = true;
		call_clock(call, 0);
		return CURL_WRITEFUNC_PAUSE;
	}
	if (buf_add(&call->wait, p, n) == -1)
		return 0;
	call_clock(call, call->idle_ms);
	call_give(call);
	return call->dead ? 0 : n;
}

static void
call_head(struct http_call *call)
{
	const char		*v[HTTP_HEADERS_MAX], *p;
	struct http_head	 head = { .headers = v };
	long			 status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return;		/* 100 Continue: another head follows */
	p = (const char *)buf_data(&call->lines);
	for (; head.nheaders < call->nlines; p += strlen(p) + 1)
		v[head.nheaders++] = p;
	head.status = (int)status;
	call->told = true;
	call_clock(call, call->idle_ms);
	call->ops->head(call->arg, &head);
	buf_clear(&call->lines);
}

static void
call_give(struct http_call *call)
{
	size_t	 n = call->wait.len;

	if (n > call->credit - call->given)
		n = (size_t)(call->credit - call->given);
	if (n == 0)
		return;
	call->given += n;
	call->ops->body(call->arg, buf_data(&call->wait), n);
	buf_drain(&call->wait, n);
}

/* ---- a call's life */

/* 0: it stands. */
static void
call_clock(struct http_call *call, unsigned int ms)
{
	const struct timeval	 tv = { .tv_sec = ms / 1000,
				    .tv_usec = ms % 1000 * 1000 };

	if (ms == 0)
		evtimer_del(call->clock);
	else
		evtimer_add(call->clock, &tv);
}

static void
on_clock(evutil_socket_t fd, short what, void *arg)
{
	struct http_call	*call = arg;

	if (call->easy != NULL && !call->added) {
		if (!call_start(call))
			call_fail(call, XERR_EBUSY, "out of memory");
	} else
		call_fail(call, XERR_ETIMEDOUT, call->told ?
		    "the server fell silent in the middle of its answer" :
		    "the server did not answer in time");
}

static void
call_fail(struct http_call *call, enum xerr code, const char *text)
{
	call->why = code;
	call->why_text = text;
	call->over = true;
	client_kick(call->client);
}

#define SET(o, v)	(curl_easy_setopt(call->easy, (o), (v)) == CURLE_OK)

static bool
easy_body(struct http_call *call, const struct http_request *req)
{
	if (req->body != NULL) {
		call->out = *req->body;
		*req->body = (struct buf){ 0 };
	}
	if (strcmp(req->method, "POST") != 0)
		return SET(CURLOPT_CUSTOMREQUEST, req->method);
	return SET(CURLOPT_POST, 1L) &&
	    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->out.len) &&
	    SET(CURLOPT_POSTFIELDS, call->out.len > 0 ?
	    (char *)buf_data(&call->out) : "");
}

static bool
easy_set(struct http_call *call, const struct http_request *req)
{
	struct curl_slist	*more;
	size_t			 i;

	/* A server that wants no 100-continue costs a second otherwise. */
	if ((call->send = curl_slist_append(NULL, "Expect:")) == NULL)
		return false;
	for (i = 0; req->headers != NULL && req->headers[i] != NULL; i++) {
		more = curl_slist_append(call->send, req->headers[i]);
		if (more == NULL)
			return false;
	}
	return easy_body(call, req) && SET(CURLOPT_URL, req->url) &&
	    SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
	    /* One stream a connection: a pause then stops nobody else. */
	    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	    SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_NOPROGRESS, 1L) &&
	    SET(CURLOPT_USERAGENT, call->client->agent) &&
	    SET(CURLOPT_HTTPHEADER, call->send) &&
	    (req->proxy == NULL || SET(CURLOPT_PROXY, req->proxy)) &&
	    (req->ca_file == NULL || SET(CURLOPT_CAINFO, req->ca_file)) &&
	    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_ms) &&
	    SET(CURLOPT_ERRORBUFFER, call->error) &&
	    SET(CURLOPT_HEADERFUNCTION, curl_header) &&
	    SET(CURLOPT_HEADERDATA, call) &&
	    SET(CURLOPT_WRITEFUNCTION, curl_body) &&
	    SET(CURLOPT_WRITEDATA, call) && SET(CURLOPT_PRIVATE, call);
}

#undef SET

static bool
call_start(struct http_call *call)
{
	call->added = curl_multi_add_handle(call->client->loop.multi,
	    call->easy) == CURLM_OK;
	call_clock(call, call->first_ms);
	return call->added;
}

/* Off the wire.  Unless the answer is whole, curl closes the connection. */
static void
call_stop(struct http_call *call)
{
	if (call->added)
		curl_multi_remove_handle(call->client->loop.multi, call->easy);
	call->added = false;
	call_clock(call, 0);
}

static void
call_destroy(struct http_call *call)
{
	TAILQ_REMOVE(&call->client->calls, call, entry);
	if (call->clock != NULL)
		call_stop(call);
	if (call->easy != NULL)
		curl_easy_cleanup(call->easy);
	if (call->clock != NULL)
		event_free(call->clock);
	curl_slist_free_all(call->send);
	buf_clear(&call->out);
	buf_clear(&call->lines);
	buf_clear(&call->wait);
	free(call);
}

/* It cannot have begun to work on what it never got: once more, later. */
static bool
call_again(struct http_call *call)
{
	if (call->why != XERR_NONE || call->tried >= call->retries ||
	    (call->result != CURLE_COULDNT_CONNECT &&
	    call->result != CURLE_COULDNT_RESOLVE_HOST))
		return false;
	call_stop(call);
	call->over = false;
	call->error[0] = '\0';
	call_clock(call, RETRY_MS << call->tried++);
	return true;
}

static void
call_end(struct http_call *call)
{
	struct http_end	 end = { .code = call->why, .text = "" };
	char		 text[HTTP_TEXT_MAX];
	size_t		 i;

	call_stop(call);
	curl_easy_cleanup(call->easy);
	call->easy = NULL;
	if (end.code == XERR_NONE && call->result != CURLE_OK) {
		end.code = XERR_EIO;
		for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
			if (codes[i].from == call->result)
				end.code = codes[i].to;
		snprintf(text, sizeof(text), "%s", call->error[0] != '\0' ?
		    call->error : curl_easy_strerror(call->result));
		for (i = 0; text[i] != '\0'; i++)
			if (text[i] < ' ' || text[i] > '~')
				text[i] = '?';
		end.text = text;
	} else if (end.code != XERR_NONE)
		end.text = call->why_text;
	call->ops->done(call->arg, &end);
}

/* What is due for this one, with nobody inside curl. */
static void
call_step(struct http_call *call)
{
	bool	 whole;

	if (!call->dead && call->wait.len > 0)
		call_give(call);
	if (!call->dead && call->paused && call->wait.len == 0 &&
	    !call->over) {
		call->paused = false;
		call_clock(call, call->idle_ms);
		call->client->busy++;
		curl_easy_pause(call->easy, CURLPAUSE_CONT);
		call->client->busy--;
	}
	whole = call->why == XERR_NONE && call->wait.len > 0;
	if (!call->dead && call->over && call->easy != NULL && !whole &&
	    !call_again(call))
		call_end(call);
	if (call->dead)
		call_destroy(call);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct http_client	*hc = arg;
	struct http_call	*call, *next;

	if (hc->busy > 0)
		return;
	hc->busy++;
	for (call = TAILQ_FIRST(&hc->calls); call != NULL; call = next) {
		next = TAILQ_NEXT(call, entry);
		call_step(call);
	}
	hc->busy--;
}

/* ---- for the caller */

struct http_call *
http_call_new(struct http_client *hc, const struct http_request *req,
    const struct http_ops *ops, void *arg)
{
	struct http_call	*call;

	if ((call = calloc(1, sizeof(*call))) == NULL)
		return NULL;
	call->client = hc;
	call->ops = ops;
	call->arg = arg;
	call->first_ms = req->first_ms;
	call->idle_ms = req->idle_ms;
	call->retries = req->retries;
	TAILQ_INSERT_TAIL(&hc->calls, call, entry);
	if ((call->clock = evtimer_new(hc->base, on_clock, call)) == NULL ||
	    (call->easy = curl_easy_init()) == NULL ||
	    !easy_set(call, req) || !call_start(call)) {
		call_destroy(call);
		return NULL;
	}
	return call;
}

void
http_call_credit(struct http_call *call, uint64_t upto)
{
	if (upto <= call->credit)
		return;
	call->credit = upto;
	if (call->wait.len > 0 || call->paused)
		client_kick(call->client);
}

void
http_call_free(struct http_call *call)
{
	if (call == NULL)
		return;
	call->dead = true;
	client_kick(call->client);
}

struct http_client *
http_client_new(struct event_base *base, const char *agent)
{
	struct http_client	*hc;

	if ((hc = calloc(1, sizeof(*hc))) == NULL)
		return NULL;
	hc->base = base;
	hc->agent = agent;
	TAILQ_INIT(&hc->calls);
	hc->kick = evtimer_new(base, on_kick, hc);
	if (!curl_loop_init(&hc->loop, base, multi_act, hc) ||
	    hc->kick == NULL || curl_multi_setopt(hc->loop.multi,
	    CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) != CURLM_OK) {
		http_client_free(hc);
		return NULL;
	}
	return hc;
}

void
http_client_free(struct http_client *hc)
{
	struct http_call	*call;

	if (hc == NULL)
		return;
	while ((call = TAILQ_FIRST(&hc->calls)) != NULL)
		call_destroy(call);
	curl_loop_clear(&hc->loop);
	if (hc->kick != NULL)
		event_free(hc->kick);
	free(hc);
}
