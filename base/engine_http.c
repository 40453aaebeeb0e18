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
 * The Engine's calls as curl's transfers.  Runs in: runner, docker.
 * Owns: an easy handle a running call.
 * curl is told to speak HTTP to one unix socket and to read no environment.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/engine_int.h"

/* A pull holds one for minutes; others must not wait behind a few of them. */
#define CONNECTIONS_MAX	64
#define PIPE_CHUNK	(128 * 1024)	/* a read or write of a pipe's */

static void	multi_check(struct engine *);
static void	multi_act(void *, curl_socket_t, int);
static size_t	curl_body(char *, size_t, size_t, void *);
static size_t	curl_upload(char *, size_t, size_t, void *);
static bool	easy_set(struct engine_call *, const char *);
static bool	easy_set_body(struct engine_call *);

/* Calls that ended: their owner may start, cancel or free in his callback. */
static void
multi_check(struct engine *e)
{
	struct engine_call	*call;
	CURLMsg			*m;
	CURLcode		 rc;
	char			*p;
	long			 status;
	int			 left;

	while (!e->dead && (m = curl_multi_info_read(e->loop.multi, &left)) !=
	    NULL) {
		if (m->msg != CURLMSG_DONE)
			continue;
		rc = m->data.result;
		status = 0;
		p = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p);
		curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE,
		    &status);
		call = (void *)p;
		engine_http_stop(call);
		engine_finish(call, rc, status);
	}
}

static void
multi_act(void *arg, curl_socket_t fd, int what)
{
	struct engine	*e = arg;
	int		 running;

	e->busy++;
	curl_multi_socket_action(e->loop.multi, fd, what, &running);
	multi_check(e);
	if (--e->busy == 0 && e->dead)
		engine_free(e);
}

/* Errors come as one JSON text, whatever a good answer looks like. */
static size_t
curl_body(char *p, size_t size, size_t n, void *arg)
{
	struct engine_call	*call = arg;
	long			 status = 0;

	if (call->done == NULL)
		return 0;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if ((call->row->flags & ROW_SOURCE) && status < 300)
		return engine_pipe_write(call->pipe, p, n);
	if (call->stream != NULL && status < 300)
		call->why = engine_stream_feed(call->stream, p, n);
	else if (call->list != NULL && status < 300)
		call->why = engine_list_feed(call->list, p, n);
	else if (n > ENGINE_ANSWER_MAX - call->in.len)
		call->why = XERR_E2BIG;
	else if (buf_add(&call->in, p, n) == -1)
		call->why = XERR_EIO;
	/* The progress callback may have cancelled it. */
	return call->why == XERR_NONE && call->done != NULL ? n : 0;
}

static size_t
curl_upload(char *p, size_t size, size_t n, void *arg)
{
	struct engine_call	*call = arg;

	return call->done == NULL ? CURL_READFUNC_ABORT :
	    engine_pipe_read(call->pipe, p, size * n);
}

#define SET(o, v)	(curl_easy_setopt(call->easy, (o), (v)) == CURLE_OK)

static bool
easy_set_body(struct engine_call *call)
{
	const bool	 body = call->body.len > 0;

	if (call->row->flags & ROW_SINK)
		return SET(CURLOPT_POST, 1L) &&
		    curl_slist_append(call->headers,
		    "Content-Type: application/x-tar") != NULL &&
		    curl_slist_append(call->headers,
		    "Transfer-Encoding: chunked") != NULL &&
		    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)PIPE_CHUNK) &&
		    SET(CURLOPT_READFUNCTION, curl_upload) &&
		    SET(CURLOPT_READDATA, call);
	return (!body || curl_slist_append(call->headers,
	    call->row->flags & ROW_TAR ? "Content-Type: application/x-tar" :
	    "Content-Type: application/json") != NULL) &&
	    SET(CURLOPT_POST, 1L) &&
	    SET(CURLOPT_POSTFIELDSIZE, (long)call->body.len) &&
	    SET(CURLOPT_POSTFIELDS, body ? (char *)buf_data(&call->body) :
	    "");
}

static bool
easy_set(struct engine_call *call, const char *url)
{
	call->headers = curl_slist_append(NULL, "Expect:");
	if (call->headers == NULL)
		return false;
	return SET(CURLOPT_UNIX_SOCKET_PATH, call->engine->path) &&
	    SET(CURLOPT_URL, url) && SET(CURLOPT_PROXY, "") &&
	    SET(CURLOPT_PROTOCOLS_STR, "http") &&
	    SET(CURLOPT_PATH_AS_IS, 1L) &&
	    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	    SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_NOPROGRESS, 1L) &&
	    (call->row->method[0] != 'P' || easy_set_body(call)) &&
	    SET(CURLOPT_HTTPHEADER, call->headers) &&
	    (!(call->row->flags & ROW_SOURCE) ||
	    SET(CURLOPT_BUFFERSIZE, (long)PIPE_CHUNK)) &&
	    (strcmp(call->row->method, "GET") == 0 ||
	    SET(CURLOPT_CUSTOMREQUEST, call->row->method)) &&
	    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms) &&
	    SET(CURLOPT_ERRORBUFFER, call->error) &&
	    SET(CURLOPT_WRITEFUNCTION, curl_body) &&
	    SET(CURLOPT_WRITEDATA, call) && SET(CURLOPT_PRIVATE, call);
}

#undef SET

bool
engine_http_start(struct engine_call *call)
{
	struct engine	*e = call->engine;
	char		*url = NULL;
	int		 n;

	n = asprintf(&url, "http://docker%s%s%s",
	    call->row->flags & ROW_UNVERSIONED ? "" : "/v",
	    call->row->flags & ROW_UNVERSIONED ? "" : e->api, call->path);
	if (n == -1 || (call->easy = curl_easy_init()) == NULL ||
	    ((call->row->flags & ROW_STREAM) &&
	    (call->stream = engine_stream_new(call)) == NULL) ||
	    (call->element != NULL &&
	    (call->list = engine_list_new(call)) == NULL) ||
	    !easy_set(call, url) ||
	    curl_multi_add_handle(e->loop.multi, call->easy) != CURLM_OK) {
		if (call->easy != NULL)
			curl_easy_cleanup(call->easy);
		call->easy = NULL;
		if (n != -1)
			free(url);
		return false;
	}
	free(url);
	TAILQ_INSERT_TAIL(&e->running, call, entry);
	return true;
}

/* Off the wire; the call itself stays. */
void
engine_http_stop(struct engine_call *call)
{
	if (call->easy == NULL)
		return;
	TAILQ_REMOVE(&call->engine->running, call, entry);
	curl_multi_remove_handle(call->engine->loop.multi, call->easy);
	curl_easy_cleanup(call->easy);
	call->easy = NULL;
}

bool
engine_http_init(struct engine *e)
{
	return curl_loop_init(&e->loop, e->base, multi_act, e) &&
	    curl_multi_setopt(e->loop.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
	    (long)CONNECTIONS_MAX) == CURLM_OK;
}

void
engine_http_clear(struct engine *e)
{
	curl_loop_clear(&e->loop);
}
