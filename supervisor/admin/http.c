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
 * HTTP on the control socket by libcurl, and on nothing else: no redirect, no
 * proxy, no name to look up.  Runs in: xbot-admin.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "supervisor/admin/admin.h"

#define ANSWER_MAX	(16u * 1024 * 1024)	/* of JSON, in memory */
#define CONNECT_SECONDS	10L

static size_t	 on_data(char *, size_t, size_t, void *);
static size_t	 on_read(char *, size_t, size_t, void *);
static bool	 options_set(struct call *, struct buf *url, char *why);
static bool	 body_set(struct call *, struct curl_slist **);
static void	 explain(struct call *, CURLcode, const char *);
static bool	 settle(struct call *, CURLcode, const char *);

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct call	*c = arg;

	n *= size;
	if (c->status == 0)
		(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE,
		    &c->status);
	if (c->sink != NULL && c->status / 100 == 2) {
		if (c->sink(c->arg, data, n))
			return n;
		c->stopped = true;
		return 0;
	}
	if (n > ANSWER_MAX - c->answer.len ||
	    buf_add(&c->answer, data, n) == -1) {
		c->too_long = true;
		return 0;
	}
	return n;
}

static size_t
on_read(char *dst, size_t size, size_t n, void *arg)
{
	struct call	*c = arg;
	ssize_t		 got;

	do
		got = read(c->in_fd, dst, size * n);
	while (got == -1 && errno == EINTR);
	if (got == -1) {
		c->in_errno = errno;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)got;
}

static bool
body_set(struct call *c, struct curl_slist **headers)
{
	struct curl_slist	*list;
	bool			 ok = true;

	if (c->upload) {
		ok = curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L) == CURLE_OK
		    && curl_easy_setopt(c->curl, CURLOPT_READFUNCTION,
		    on_read) == CURLE_OK && curl_easy_setopt(c->curl,
		    CURLOPT_READDATA, c) == CURLE_OK && curl_easy_setopt(
		    c->curl, CURLOPT_INFILESIZE_LARGE,
		    (curl_off_t)c->in_size) == CURLE_OK;
	} else if (c->body != NULL) {
		ok = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)c->body->len) == CURLE_OK &&
		    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
		    buf_data(c->body)) == CURLE_OK;
		if ((list = curl_slist_append(*headers,
		    "Content-Type: application/json")) == NULL)
			return false;
		*headers = list;
	} else if (strcmp(c->method, "POST") == 0)
		ok = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, "") ==
		    CURLE_OK;
	return ok && curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER,
	    *headers) == CURLE_OK;
}

#define SET(option, value)						\
	(curl_easy_setopt(c->curl, (option), (value)) == CURLE_OK)

static bool
options_set(struct call *c, struct buf *url, char *why)
{
	if (buf_add(url, "http://localhost", 16) == -1 ||
	    buf_add(url, c->path, strlen(c->path) + 1) == -1)
		return false;
	return SET(CURLOPT_UNIX_SOCKET_PATH, admin.socket) &&
	    SET(CURLOPT_URL, (char *)buf_data(url)) &&
	    SET(CURLOPT_PROTOCOLS_STR, "http") &&
	    SET(CURLOPT_PROXY, "") &&
	    SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	    SET(CURLOPT_NOSIGNAL, 1L) &&
	    SET(CURLOPT_PATH_AS_IS, 1L) &&
	    SET(CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) &&
	    SET(CURLOPT_TIMEOUT, c->seconds) &&
	    SET(CURLOPT_ERRORBUFFER, why) &&
	    SET(CURLOPT_WRITEFUNCTION, on_data) &&
	    SET(CURLOPT_WRITEDATA, c);
}

void
socket_explain(char *dst, size_t size, int error)
{
	(void)snprintf(dst, size, "%s: %s%s", admin.socket, strerror(error),
	    error == ENOENT || error == ECONNREFUSED ?
	    " (does xbot-supervisor run?)" : "");
}

/* Why there was no answer at all, or not the end of one. */
static void
explain(struct call *c, CURLcode code, const char *why)
{
	long	 sys = 0;

	if (*why == '\0')
		why = curl_easy_strerror(code);
	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &sys);
	if (c->too_long)
		why = "the answer is too long";
	if (code == CURLE_COULDNT_CONNECT && sys != 0)
		socket_explain(c->why, sizeof(c->why), (int)sys);
	else if (code == CURLE_COULDNT_CONNECT)
		(void)snprintf(c->why, sizeof(c->why), "%s: cannot connect",
		    admin.socket);
	else if (c->in_errno != 0)
		(void)snprintf(c->why, sizeof(c->why), "read: %s",
		    strerror(c->in_errno));
	else
		(void)snprintf(c->why, sizeof(c->why), "%s%s",
		    code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE ||
		    code == CURLE_RECV_ERROR ? "the answer broke off: " : "",
		    why);
	if (!c->stopped && !c->quiet)
		complain("%s", c->why);
}

/* Was it good, and if not, why?  A refusal while we still send is a reason. */
static bool
settle(struct call *c, CURLcode code, const char *why)
{
	bool	 refused = c->status >= 400 && c->answer.len > 0 &&
		    !c->too_long;

	if (code != CURLE_OK && !refused)
		explain(c, code, why);
	else if ((refused || c->status / 100 != 2) && !c->quiet)
		api_complain(refused ? buf_data(&c->answer) : NULL,
		    refused ? c->answer.len : 0, c->status);
	return code == CURLE_OK && !refused && c->status / 100 == 2;
}

bool
call_run(struct call *c)
{
	struct curl_slist	*headers = NULL, *list;
	struct buf		 url = { 0 };
	CURLcode		 code = CURLE_OUT_OF_MEMORY;
	char			 why[CURL_ERROR_SIZE] = "", accept[64];
	bool			 good;

	/* No TLS: nothing to initialise for it. */
	if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK ||
	    (c->curl = curl_easy_init()) == NULL) {
		complain("no memory");
		return false;
	}
	if (!options_set(c, &url, why) ||
	    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, c->method) !=
	    CURLE_OK)
		goto out;
	if (c->accept != NULL) {
		(void)snprintf(accept, sizeof(accept), "Accept: %s",
		    c->accept);
		if ((list = curl_slist_append(headers, accept)) == NULL)
			goto out;
		headers = list;
	}
	if (!body_set(c, &headers))
		goto out;
	code = curl_easy_perform(c->curl);
	if (c->status == 0)
		(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE,
		    &c->status);
out:
	good = settle(c, code, why);
	curl_easy_cleanup(c->curl);
	c->curl = NULL;
	curl_slist_free_all(headers);
	buf_clear(&url);
	return good;
}

void
call_clear(struct call *c)
{
	/* An answer may hold a token. */
	if (c->answer.cap > 0)
		explicit_bzero(c->answer.mem, c->answer.cap);
	buf_clear(&c->answer);
}
