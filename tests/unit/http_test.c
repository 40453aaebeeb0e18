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
 * supervisor/front/http*: real sockets, the real event loop.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/times.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "supervisor/front/error.h"
#include "supervisor/front/http.h"
#include "supervisor/front/http_int.h"
#include "tests/unit/check.h"
#include "tests/unit/turns.h"

#define MIB	(1024 * 1024)

/* What the handlers saw. */
static struct {
	int		 begun, done, gone, shut, upgraded;
	uint64_t	 held, body, given, want;
	int		 pause_every, paused, body_end;
	int		 pattern;	/* the body's bytes tell their place */
} seen;

static struct http_server	*srv;
static char			 answer[4 * MIB];
static size_t			 answer_len;

static const char *const log_names[] = { "quiet" };

/* --- the application --- */

static void
app_close(struct http_req *r, void *arg, enum http_end how)
{
	free(arg);
	seen.done += how == HTTP_DONE;
	seen.gone += how == HTTP_GONE;
	seen.shut += how == HTTP_SHUTDOWN;
	seen.upgraded += how == HTTP_UPGRADED;
}

static void
app_body(struct http_req *r, void *arg, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t i;

	/* The client sends a pattern by position. */
	for (i = 0; seen.pattern && i < len; i += 997)
		if (p[i] != (unsigned char)((seen.body + i) % 251)) {
			CHECK(!"body out of order");
			break;
		}
	if (seen.pause_every > 0 && seen.body / (uint64_t)seen.pause_every !=
	    (seen.body + len) / (uint64_t)seen.pause_every) {
		http_req_pause(r);
		seen.paused++;
		seen.held = http_req_serial(r);
	}
	seen.body += len;
}

static void
app_body_end(struct http_req *r, void *arg)
{
	char text[64];

	seen.body_end++;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)seen.body);
	http_reply(r, 200, "text/plain", text, strlen(text));
}

static void
app_more(struct http_req *r, void *arg)
{
	static char block[10000];
	size_t n;

	while (seen.given < seen.want) {
		n = seen.want - seen.given > sizeof(block) ? sizeof(block) :
		    (size_t)(seen.want - seen.given);
		memset(block, 'x', n);
		seen.given += n;
		switch (http_reply_data(r, block, n)) {
		case 1:
			return;
		case -1:
			return;
		}
	}
	http_reply_end(r);
}

static const struct http_handler app_handler = {
	.on_body = app_body,
	.on_body_end = app_body_end,
	.on_writable = app_more,
	.on_close = app_close
};

static void
app_echo(struct http_req *r, void *arg, const char *data, size_t len)
{
	CHECK(data[len] == '\0');
	http_reply(r, 200, "text/plain", data, len);
}

static void
app_info(struct http_req *r)
{
	struct http_segs s;
	char text[2000], p[64];
	unsigned int i;
	int n;

	if (http_req_segs(r, &s) == -1) {
		http_reply_error(r, XERR_EINVAL, "bad path");
		return;
	}
	n = snprintf(text, sizeof(text), "%s", http_req_method(r));
	for (i = 0; i < s.n; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "|%s",
		    s.s[i]);
	for (i = 0; http_req_param(r, "a", i, p, sizeof(p)) >= 0; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "?%s", p);
	http_reply_header(r, "X-Extra", "one");
	http_reply_header(r, "X-Bad", "a\r\nb");
	http_reply(r, 200, "text/plain", text, (size_t)n);
}

static const struct ws_ops no_ws;

static void
app_request(struct http_req *r, void *arg)
{
	const char *path = http_req_path(r);

	seen.begun++;
	if (strncmp(path, "/info", 5) == 0) {
		app_info(r);
		return;
	}
	if (strcmp(path, "/fast") == 0) {
		http_reply(r, 200, "application/json", "{}", 2);
		return;
	}
	if (strcmp(path, "/405") == 0) {
		http_reply_405(r, HV_GET | HV_PUT);
		return;
	}
	http_set_handler(r, &app_handler, malloc(10));
	if (strcmp(path, "/echo") == 0)
		http_body_collect(r, 1000, app_echo);
	else if (strcmp(path, "/upload") == 0)
		http_body_stream(r);
	else if (strcmp(path, "/chunks") == 0) {
		http_reply_start(r, 200, "text/plain", -1);
		app_more(r, NULL);
	} else if (strcmp(path, "/sized") == 0) {
		http_reply_start(r, 200, "text/plain", (int64_t)seen.want);
		app_more(r, NULL);
	} else if (strcmp(path, "/short") == 0) {
		http_reply_start(r, 200, "text/plain", 100);
		http_reply_data(r, "abc", 3);
		http_reply_end(r);
	} else if (strcmp(path, "/abort") == 0) {
		http_reply_start(r, 200, "text/plain", -1);
		http_reply_data(r, "abc", 3);
		http_reply_abort(r);
	} else if (strcmp(path, "/ws") == 0) {
		if (http_upgrade_ws(r, NULL, 0, &no_ws, NULL) != NULL) {
			CHECK(http_req_find(srv, http_req_serial(r)) == NULL);
			/* The clock may strike before what is left goes. */
			http_tick(r, UINT64_MAX / 2);
		}
	} else if (strcmp(path, "/hold") == 0)
		seen.held = http_req_serial(r);
	else
		http_reply_error(r, XERR_ENOENT, "no \"route\" %s", path);
}

static const struct http_server_ops app_ops = { .on_request = app_request };

/* --- the client --- */

static int
client(void)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == -1)
		exit(1);
	http_serve_fd(srv, sv[0], NULL);
	return sv[1];
}

static void
put(int fd, const char *data, size_t len, size_t step)
{
	size_t n;
	ssize_t w;

	while (len > 0) {
		n = len < step ? len : step;
		w = send(fd, data, n, MSG_NOSIGNAL);
		if (w == -1 && errno != EAGAIN)
			return;
		if (w > 0) {
			data += w;
			len -= (size_t)w;
		}
		turn();
	}
}

static void
say(int fd, const char *text, size_t step)
{
	put(fd, text, strlen(text), step);
}

/* Reads until EOF (returns 1) or quiet for that long (returns 0). */
static int
get(int fd, unsigned int ms)
{
	struct quiet q = { 0 };
	ssize_t n = -1;
	bool eof = false;

	answer_len = 0;
	while (!eof && !is_quiet(&q, n > 0, ms)) {
		turn();
		n = recv(fd, answer + answer_len,
		    sizeof(answer) - 1 - answer_len, 0);
		if (n > 0)
			answer_len += (size_t)n;
		else
			eof = n == 0 || errno != EAGAIN;
	}
	answer[answer_len] = '\0';
	return eof;
}

static int
status_of(void)
{
	int status = 0;

	if (sscanf(answer, "HTTP/1.1 %d ", &status) != 1)
		return 0;
	return status;
}

/* One request on a connection of its own; the status. */
static int
ask(const char *req, size_t len, size_t step, int *closed)
{
	int c, fd = client();

	put(fd, req, len, step);
	c = get(fd, 15);
	if (closed != NULL)
		*closed = c;
	close(fd);
	turns_ms(2);
	return status_of();
}

static int
fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* 0 under a sanitizer, whose memory says nothing. */
static long
rss(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return 0;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	return 0;
#endif
#endif
	FILE *f = fopen("/proc/self/statm", "r");
	long all, pages = 0;

	if (f == NULL || fscanf(f, "%ld %ld", &all, &pages) != 2)
		return 0;
	fclose(f);
	return pages * 4096;
}

/* --- tests --- */

#define H	"Host: x\r\n"

static const struct {
	const char	*req;
	int		 status;
} refusals[] = {
	{ "GET / HTTP/1.1\nHost: x\n\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\n", 400 },
	{ "GET / HTTP/1.1\rHost: x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n : c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: b\x01" "c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: b\x7f" "c\r\n\r\n", 400 },
	{ "GET /\x80 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /a#b HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET nopath HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET * HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET http:///x HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET / HTTP/2.0\r\n" H "\r\n", 505 },
	{ "GET / HTTP/0.9\r\n" H "\r\n", 505 },
	{ "GET / HTTP/1.1 \r\n" H "\r\n", 505 },
	{ "GET  / HTTP/1.1\r\n" H "\r\n", 0 },
	{ "GET /\r\n\r\n", 505 },
	{ "get / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 },
	{ "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", 400 },
	{ "\r\nGET / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "\x16\x03\x01\x02", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n"
	    "Content-Length: 1\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length:\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: "
	    "99999999999999999999\r\n\r\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
	    400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n"
	    "\r\n", 501 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Expect: magic\r\n"
	    "Content-Length: 1\r\n\r\na", 417 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "x\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "1\na", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "1\r\nab\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "1;x\ny\r\na\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "1 \r\na\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "-1\r\na\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "10000000000000000\r\na\r\n0\r\n\r\n", 400 },
	{ "POST /echo HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
	    "fffff\r\n", 413 },
	{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n", 413 },
	{ "GET / HTTP/1.1\r\n" H "Authorization: a\r\nAuthorization: b\r\n\r\n",
	    400 },
};

static void
refuses(void)
{
	size_t i, k, len;
	int closed, st;
	static const size_t steps[] = { 100000, 1, 7 };

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		for (k = 0; k < 3; k++) {
			len = strlen(refusals[i].req);
			st = ask(refusals[i].req, len, steps[k], &closed);
			if (refusals[i].status == 0)
				continue;	/* only must not crash */
			/* 413 of "fffff" needs its bytes */
			if (refusals[i].status == 413 && st == 0)
				continue;
			if (!CHECK(st == refusals[i].status && closed &&
			    strstr(answer, "\r\nX-Request-Id: ") != NULL &&
			    strstr(answer, "\"error\":{\"code\":\"") != NULL &&
			    strstr(answer, "\r\nConnection: close") != NULL))
				printf("refusal %zu step %zu: %d not %d, "
				    "closed %d\n%s\n%s\n", i, steps[k], st,
				    refusals[i].status, closed,
				    refusals[i].req, answer);
		}
	}
	st = ask("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 35, 99, NULL);
	CHECK(st == 400);
}

static void
limits(void)
{
	static char req[40000];
	size_t n;
	int i, closed;

	/* a head of just the limit passes, one byte more does not */
	n = (size_t)sprintf(req, "GET /fast HTTP/1.1\r\n" H "A: ");
	memset(req + n, 'a', sizeof(req) - n);
	memcpy(req + 16384 - 4, "\r\n\r\n", 4);
	CHECK(ask(req, 16384, 100000, NULL) == 200);
	CHECK(ask(req, 16384, 1, NULL) == 200);
	memset(req + 16384 - 4, 'a', 4);
	memcpy(req + 16385 - 4, "\r\n\r\n", 4);
	CHECK(ask(req, 16385, 100000, &closed) == 431 && closed);
	memset(req + 16385 - 4, 'a', 4);
	CHECK(ask(req, sizeof(req), 100000, &closed) == 431 && closed);
	CHECK(ask(req, sizeof(req), 1000, &closed) == 431 && closed);

	n = (size_t)sprintf(req, "GET /fast HTTP/1.1\r\n" H);
	for (i = 1; i < 100; i++)
		n += (size_t)sprintf(req + n, "A%d: b\r\n", i);
	memcpy(req + n, "\r\n", 2);
	CHECK(ask(req, n + 2, 100000, NULL) == 200);
	n += (size_t)sprintf(req + n, "Z: b\r\n\r\n");
	CHECK(ask(req, n, 100000, &closed) == 431 && closed);
}

static void
answers(void)
{
	const char *r;
	int closed;

#define ASK(text) ask(text, strlen(text), 100000, &closed)
	CHECK(ASK("GET /info/a%2Fb/c%20d/?a=1&b=2&a=x+y%26&a HTTP/1.1\r\n" H
	    "\r\n") == 200 && !closed);
	CHECK(strstr(answer, "GET|info|a/b|c d|?1?x y&?") != NULL);
	CHECK(strstr(answer, "X-Extra: one\r\n") != NULL);
	CHECK(strstr(answer, "X-Bad") == NULL);
	CHECK(ASK("GET http://foo:80/info/x?a=%zz HTTP/1.1\r\n" H "\r\n")
	    == 200 && strstr(answer, "GET|info|x") != NULL);
	CHECK(ASK("GET http://foo?q HTTP/1.1\r\n" H "\r\n") == 404);
	CHECK(ASK("OPTIONS * HTTP/1.1\r\n" H "\r\n") == 404);
	CHECK(ASK("GET /info/%00 HTTP/1.1\r\n" H "\r\n") == 400);
	CHECK(ASK("GET /info/%4 HTTP/1.1\r\n" H "\r\n") == 400);
	CHECK(ASK("GET /info/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15 HTTP/1.1\r\n"
	    H "\r\n") == 200);
	CHECK(ASK("GET /info/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16 "
	    "HTTP/1.1\r\n" H "\r\n") == 400);
	CHECK(ASK("GET /nix HTTP/1.1\r\n" H "X-Request-Id: my-id\r\n\r\n")
	    == 404);
	CHECK(strstr(answer, "X-Request-Id: my-id\r\n") != NULL);
	CHECK(strstr(answer, "\r\n\r\n{\"error\":{\"code\":\"ENOENT\","
	    "\"message\":\"no \\\"route\\\" /nix\"}}") != NULL);
	CHECK(ASK("GET /nix HTTP/1.1\r\n" H "X-Request-Id: my id\r\n\r\n")
	    == 404 && strstr(answer, "my id") == NULL);
	CHECK(ASK("GET /nix HTTP/1.1\r\n" H "X-Request-Id: 0123456789012345678"
	    "9012345678901234567890123456789012345678901234\r\n\r\n") == 404 &&
	    strstr(answer, "01234567890123456789") == NULL);
	CHECK(ASK("DELETE /405 HTTP/1.1\r\n" H "\r\n") == 405 && !closed);
	CHECK(strstr(answer, "Allow: GET, HEAD, PUT\r\n") != NULL);
	CHECK(ASK("HEAD /fast HTTP/1.1\r\n" H "\r\n") == 200 && !closed);
	CHECK(strstr(answer, "Content-Length: 2\r\n") != NULL);
	CHECK((r = strstr(answer, "\r\n\r\n")) != NULL && r[4] == '\0');
	CHECK(ASK("GET /fast HTTP/1.0\r\n\r\n") == 200 && closed);
	CHECK(ASK("GET /fast HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") ==
	    200 && !closed &&
	    strstr(answer, "Connection: keep-alive") != NULL);
	CHECK(ASK("GET /fast HTTP/1.1\r\n" H "Connection: close\r\n\r\n") ==
	    200 && closed);
	CHECK(ASK("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n"
	    "hello") == 200 && strstr(answer, "\r\n\r\nhello") != NULL);
	CHECK(ASK("POST /echo HTTP/1.1\r\n" H "\r\n") == 200 && !closed);
	CHECK(ASK("POST /short HTTP/1.1\r\n" H "\r\n") == 200 && closed);
	CHECK(ASK("POST /abort HTTP/1.1\r\n" H "\r\n") == 200 && closed &&
	    strstr(answer, "\r\n\r\n3\r\nabc\r\n") != NULL &&
	    strstr(answer, "0\r\n\r\n") == NULL);
	seen.given = 0;
	seen.want = 25000;
	CHECK(ASK("GET /chunks HTTP/1.1\r\n" H "\r\n") == 200 && !closed &&
	    strcmp(answer + answer_len - 7, "\r\n0\r\n\r\n") == 0);
	seen.given = 0;
	CHECK(ASK("GET /chunks HTTP/1.0\r\n\r\n") == 200 && closed &&
	    answer_len > 25000 && strstr(answer, "chunked") == NULL &&
	    answer[answer_len - 1] == 'x');
	seen.given = 0;
	CHECK(ASK("HEAD /sized HTTP/1.1\r\n" H "\r\n") == 200 && !closed &&
	    strstr(answer, "Content-Length: 25000") != NULL &&
	    answer_len < 400);
	/* other upgrades are not taken, and hide no body */
	CHECK(ASK("POST /echo HTTP/1.1\r\n" H "Connection: Upgrade\r\n"
	    "Upgrade: h2c\r\nContent-Length: 2\r\n\r\nhi") == 200 &&
	    strstr(answer, "\r\n\r\nhi") != NULL);
	/* an unread body that is here does not cost the connection, ... */
	CHECK(ASK("POST /nix HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc") ==
	    404 && !closed);
	/* ... one that is still to come does */
	CHECK(ASK("POST /nix HTTP/1.1\r\n" H "Content-Length: 9\r\n\r\nabc") ==
	    404 && closed);
#undef ASK
}

static void
chunked_in(void)
{
	static const char req[] = "POST /echo HTTP/1.1\r\n" H
	    "Transfer-Encoding: Chunked\r\n\r\n"
	    "5\r\nhello\r\n0006;ext=\"a\"\r\n world\r\n00\r\n"
	    "Trailer: x\r\n\r\n";
	size_t step;
	int closed;

	for (step = 1; step < sizeof(req); step++) {
		CHECK(ask(req, sizeof(req) - 1, step, &closed) == 200);
		CHECK(!closed && strstr(answer, "\r\n\r\nhello world") != NULL);
	}
}

static void
keep_alive(void)
{
	static const char post[] = "POST /echo HTTP/1.1\r\n" H
	    "Content-Length: 3\r\n\r\nabc";
	int i, fd = client(), before = seen.begun;
	struct http_stats st;

	for (i = 0; i < 200; i++) {
		put(fd, post, sizeof(post) - 1, i % 2 ? 1000 : 5);
		/* some send a line end behind a body */
		get(fd, 3);
		CHECK(status_of() == 200);
	}
	say(fd, "\r\n", 2);
	put(fd, post, sizeof(post) - 1, 1000);
	CHECK(get(fd, 20) == 0 && status_of() == 200);
	CHECK(seen.begun == before + 201);
	http_stats_get(srv, &st);
	CHECK(st.conns == 1);
	close(fd);
	turns_ms(5);

	/* pipelined: the first is answered, the second is not */
	fd = client();
	say(fd, "GET /fast HTTP/1.1\r\n" H "\r\nGET /nix HTTP/1.1\r\n" H
	    "\r\n", 1000);
	before = seen.begun;
	CHECK(get(fd, 50) == 1 && status_of() == 200);
	CHECK(strstr(answer, "Connection: close") != NULL);
	CHECK(strstr(answer + 10, "HTTP/1.1") == NULL);
	close(fd);

	/* a POST smuggled behind a held request is not served either */
	fd = client();
	before = seen.begun;
	say(fd, "GET /hold HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(3);
	put(fd, post, sizeof(post) - 1, 10);
	turns_ms(3);
	CHECK(http_req_find(srv, seen.held) != NULL);
	http_reply(http_req_find(srv, seen.held), 200, NULL, "later", 5);
	CHECK(http_req_find(srv, seen.held) == NULL);
	CHECK(get(fd, 50) == 1 && strstr(answer, "\r\n\r\nlater") != NULL);
	CHECK(seen.begun == before + 1);
	close(fd);
	turns_ms(5);
}

static void
expects(void)
{
	static const char head[] = "POST /echo HTTP/1.1\r\n" H
	    "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
	static const char held[] = "POST /hold HTTP/1.1\r\n" H
	    "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n";
	int fd = client();

	put(fd, head, sizeof(head) - 1, 1000);
	get(fd, 20);
	CHECK(strcmp(answer, "HTTP/1.1 100 Continue\r\n\r\n") == 0);
	say(fd, "abc", 1);
	CHECK(get(fd, 20) == 0 && status_of() == 200);
	close(fd);

	/* not asked for: no 100 before the refusal */
	fd = client();
	put(fd, held, sizeof(held) - 1, 1000);
	get(fd, 10);
	CHECK(answer_len == 0);
	http_reply_error(http_req_find(srv, seen.held), XERR_EBUSY, "full");
	CHECK(get(fd, 50) == 1 && status_of() == 429);
	CHECK(strstr(answer, "Retry-After: ") != NULL);
	close(fd);
	turns_ms(5);
}

/* A long body with pauses: everything arrives, little is held. */
static void
uploads(int chunked, uint64_t total)
{
	static unsigned char block[251 * 1000];
	char head[200];
	int fd = client();
	uint64_t sent = 0;
	long before, most = 0;
	size_t i, n, off = 0, len = 0;
	ssize_t w;
	struct http_req *r;
	static unsigned char wire[sizeof(block) + 32];

	for (i = 0; i < sizeof(block); i++)
		block[i] = (unsigned char)(i % 251);
	memset(&seen, 0, sizeof(seen));
	seen.pause_every = MIB;
	seen.pattern = 1;
	n = (size_t)snprintf(head, sizeof(head), chunked ?
	    "PUT /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n" :
	    "PUT /upload HTTP/1.1\r\n" H "Content-Length: %llu\r\n\r\n",
	    (unsigned long long)total);
	put(fd, head, n, 1000);
	before = rss();
	while (sent < total || off < len) {
		if (off == len && sent < total) {
			n = total - sent > sizeof(block) ? sizeof(block) :
			    (size_t)(total - sent);
			len = off = 0;
			if (chunked)
				len = (size_t)sprintf((char *)wire, "%zx\r\n",
				    n);
			memcpy(wire + len, block, n);
			len += n;
			if (chunked) {
				memcpy(wire + len, "\r\n", 2);
				len += 2;
			}
			sent += n;
		}
		w = send(fd, wire + off, len - off, MSG_NOSIGNAL);
		if (w > 0)
			off += (size_t)w;
		else if (errno != EAGAIN)
			break;
		turn();
		if (seen.held != 0 && (r = http_req_find(srv, seen.held)) !=
		    NULL && w <= 0) {
			/* only when nothing more goes in */
			turn();
			if (rss() > most)
				most = rss();
			seen.held = 0;
			http_req_resume(r);
		}
	}
	CHECK(sent == total);
	if (chunked)
		say(fd, "0\r\n\r\n", 5);
	for (i = 0; i < 100 && seen.body_end == 0; i++) {
		turn();
		if (seen.held != 0 && (r = http_req_find(srv, seen.held)))
			http_req_resume(r);
	}
	CHECK(get(fd, 50) == 0 && status_of() == 200);
	CHECK(seen.body == total && seen.body_end == 1 && seen.done == 1);
	CHECK((uint64_t)seen.paused >= total / MIB - 1);
	CHECK(most - before < 4 * MIB);
	close(fd);
	turns_ms(5);
}

/* A long answer to a slow reader: the producer is held back. */
static void
downloads(void)
{
	int fd = client();
	uint64_t got = 0;
	long before = rss();
	static char buf[100000];
	ssize_t n;
	int i;

	memset(&seen, 0, sizeof(seen));
	seen.want = 100 * MIB;
	say(fd, "GET /sized HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(10);
	CHECK(seen.given < MIB);
	for (i = 0; i < 100000 && got < seen.want; i++) {
		turn();
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			got += (uint64_t)n;
		else if (n == 0)
			break;
	}
	CHECK(got > seen.want && got < seen.want + 1000);
	CHECK(rss() - before < 4 * MIB);
	turns_ms(5);
	CHECK(seen.done == 1 && seen.gone == 0);
	close(fd);
	turns_ms(5);
}

/* Clients that disappear at every stage. */
static void
vanishes(void)
{
	struct linger lin = { 1, 0 };
	int i, fd;

	memset(&seen, 0, sizeof(seen));
	for (i = 0; i < 2; i++) {		/* mid-head, mid-body */
		fd = client();
		put(fd, "PUT /upload HTTP/1.1\r\n" H "Content-Length: 9\r\n"
		    "\r\na", i == 0 ? 20 : 53, 1000);
		close(fd);
		turns_ms(5);
	}
	CHECK(seen.begun == 1 && seen.gone == 1);
	/* while its request is held; the answer comes too late */
	fd = client();
	say(fd, "GET /hold HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(3);
	CHECK(http_req_find(srv, seen.held) != NULL);
	close(fd);
	turns_ms(5);
	CHECK(http_req_find(srv, seen.held) == NULL && seen.gone == 2);
	/* mid-answer */
	fd = client();
	seen.given = 0;
	seen.want = 100 * MIB;
	say(fd, "GET /chunks HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(5);
	CHECK(seen.gone == 2);
	close(fd);
	turns_ms(5);
	CHECK(seen.gone == 3 && seen.given < 2 * MIB);
	/* while paused with more in the kernel than we read ahead */
	fd = client();
	seen.pause_every = 1000;
	seen.body = 0;
	say(fd, "PUT /upload HTTP/1.1\r\n" H
	    "Content-Length: 900000\r\n\r\n", 1000);
	{
		static unsigned char junk[150000];
		size_t k;

		for (k = 0; k < sizeof(junk); k++)
			junk[k] = (unsigned char)(k % 251);
		CHECK(send(fd, junk, sizeof(junk), 0) == sizeof(junk));
	}
	turns_ms(20);
	CHECK(seen.paused == 1 && seen.gone == 3);
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin));
	close(fd);
	turns_ms(150);
	CHECK(seen.gone == 4);
	/* half-closed after its request: gone as well */
	fd = client();
	say(fd, "GET /hold HTTP/1.1\r\n" H "\r\n", 1000);
	shutdown(fd, SHUT_WR);
	CHECK(get(fd, 50) == 1 && seen.gone == 5);
	close(fd);
	/* but not if the answer is there at once */
	fd = client();
	CHECK(send(fd, "GET /fast HTTP/1.1\r\n" H "\r\n", 31, 0) > 0);
	shutdown(fd, SHUT_WR);
	CHECK(get(fd, 50) == 1 && status_of() == 200);
	close(fd);
	turns_ms(5);
	seen.pause_every = 0;
}

/* Slow ones are cut, each by its own rule. */
static void
slow(void)
{
	struct http_conf conf = { .head_ms = 150, .idle_ms = 150,
	    .stall_ms = 150, .stall_bytes = 64, .tick_ms = 10,
	    .collect_budget = 3000 };
	struct http_server *old = srv;
	struct http_stats st;
	uint64_t t0;
	int fd, i;

	srv = http_server_new(base, &app_ops, NULL, &conf);
	memset(&seen, 0, sizeof(seen));
	fd = client();				/* says nothing */
	t0 = clock_ms();
	CHECK(get(fd, 1000) == 1 && answer_len == 0 && clock_ms() - t0 < 600);
	close(fd);
	fd = client();				/* half a head, in drips */
	t0 = clock_ms();
	for (i = 0; i < 100 && clock_ms() - t0 < 1000; i++) {
		if (send(fd, "G", 1, MSG_NOSIGNAL) != 1)
			break;
		turns_ms(20);
		if (recv(fd, answer, 12, MSG_PEEK) > 0)
			break;
	}
	CHECK(get(fd, 1000) == 1 && status_of() == 408);
	close(fd);
	fd = client();				/* idle after a request */
	say(fd, "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
	CHECK(get(fd, 20) == 0);
	CHECK(get(fd, 1000) == 1 && answer_len == 0);
	close(fd);
	fd = client();				/* a body in drips */
	say(fd, "PUT /upload HTTP/1.1\r\n" H
	    "Content-Length: 999\r\n\r\n", 1000);
	for (i = 0; i < 100; i++) {
		char ch = (char)i;

		if (send(fd, &ch, 1, MSG_NOSIGNAL) != 1)
			break;
		turns_ms(20);
		if (recv(fd, answer, 12, MSG_PEEK) > 0)
			break;
	}
	CHECK(i < 60);
	CHECK(get(fd, 1000) == 1 && status_of() == 408);
	close(fd);
	CHECK(seen.gone == 1);
	fd = client();				/* a held body is no stall */
	say(fd, "PUT /hold HTTP/1.1\r\n" H "Content-Length: 999\r\n\r\n", 1000);
	turns_ms(400);
	CHECK(http_req_find(srv, seen.held) != NULL);
	close(fd);
	turns_ms(20);
	CHECK(seen.gone == 2);
	fd = client();				/* does not read */
	seen.want = 100 * MIB;
	seen.given = 0;
	say(fd, "GET /chunks HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(500);
	CHECK(seen.gone == 3);
	close(fd);
	/* many promised bodies do not get memory together */
	{
		int many[6];

		for (i = 0; i < 6; i++) {
			many[i] = client();
			say(many[i], "PUT /echo HTTP/1.1\r\n" H
			    "Content-Length: 900\r\n\r\na", 1000);
		}
		http_stats_get(srv, &st);
		CHECK(st.collected <= 3000);
		get(many[5], 20);
		CHECK(status_of() == 429);
		for (i = 0; i < 6; i++)
			close(many[i]);
		turns_ms(20);
	}
	http_stats_get(srv, &st);
	CHECK(st.conns == 0 && st.collected == 0);
	http_server_free(srv);
	srv = old;
}

static int
tcp_pair(int *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 128) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1)
		exit(1);
	*port = ntohs(sin.sin_port);
	return fd;
}

static int
tcp_client(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return -1;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Over TCP: the limits of connections, and a 413 that arrives. */
static void
crowds(void)
{
	struct http_conf conf = { .max_conns = 6, .max_per_peer = 4,
	    .tick_ms = 10 };
	struct http_server *old = srv;
	static char junk[200000];
	int fd[8], i, port;

	srv = http_server_new(base, &app_ops, NULL, &conf);
	http_listen(srv, tcp_pair(&port), NULL);
	for (i = 0; i < 4; i++) {
		fd[i] = tcp_client(port);
		say(fd[i], "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
		CHECK(get(fd[i], 10) == 0 && status_of() == 200);
	}
	fd[4] = tcp_client(port);
	CHECK(get(fd[4], 100) == 1 && status_of() == 503);
	CHECK(strstr(answer, "Retry-After") != NULL &&
	    strstr(answer, "X-Request-Id") != NULL);
	close(fd[4]);
	close(fd[0]);
	turns_ms(10);
	fd[0] = tcp_client(port);
	say(fd[0], "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
	CHECK(get(fd[0], 10) == 0 && status_of() == 200);
	/* other peers: up to the total */
	for (i = 4; i < 6; i++)
		fd[i] = client();
	fd[6] = client();
	CHECK(get(fd[6], 50) == 1 && status_of() == 503);
	for (i = 0; i < 7; i++)
		close(fd[i]);
	turns_ms(20);

	/* a client that has sent half of what we refuse sees the refusal */
	for (i = 0; i < 20; i++) {
		fd[0] = tcp_client(port);
		say(fd[0], "POST /echo HTTP/1.1\r\n" H
		    "Content-Length: 200000\r\n\r\n", 1000);
		put(fd[0], junk, sizeof(junk), 65536);
		CHECK(get(fd[0], 100) == 1 && status_of() == 413);
		close(fd[0]);
	}
	turns_ms(20);
	http_server_free(srv);
	srv = old;
}

/* No descriptors: nobody spins, and it goes on when there are some again. */
static void
exhaustion(void)
{
	struct http_conf conf = { .tick_ms = 10, .fd_reserve = 4 };
	struct http_server *old = srv;
	struct rlimit rl, low;
	uint64_t t0;
	int fd[40], i, port, refused = 0;
	struct tms a, b;

	getrlimit(RLIMIT_NOFILE, &rl);
	low = rl;
	low.rlim_cur = (rlim_t)fds() + 20;
	setrlimit(RLIMIT_NOFILE, &low);
	srv = http_server_new(base, &app_ops, NULL, &conf);
	http_listen(srv, tcp_pair(&port), NULL);
	setrlimit(RLIMIT_NOFILE, &rl);
	for (i = 0; i < 15; i++) {		/* the reserve is kept */
		fd[i] = tcp_client(port);
		say(fd[i], "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
		get(fd[i], 3);
		refused += status_of() == 503;
	}
	CHECK(refused > 2 && refused < 12);
	for (i = 0; i < 15; i++)
		close(fd[i]);
	turns_ms(10);
	fd[0] = tcp_client(port);
	low.rlim_cur = (rlim_t)fd[0] + 1;	/* accept fails */
	setrlimit(RLIMIT_NOFILE, &low);
	say(fd[0], "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
	times(&a);
	get(fd[0], 300);
	times(&b);
	CHECK(answer_len == 0);
	CHECK(b.tms_utime - a.tms_utime + b.tms_stime - a.tms_stime < 20);
	setrlimit(RLIMIT_NOFILE, &rl);
	t0 = clock_ms();
	while (clock_ms() - t0 < 2000 && (get(fd[0], 20), answer_len == 0))
		;
	CHECK(status_of() == 200);
	close(fd[0]);
	turns_ms(10);
	http_server_free(srv);
	srv = old;
}

static int	admitted, *mark = &admitted;

static int
app_accept(void *arg, void *listener, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	CHECK(arg == &seen && listener == mark);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	    cred.pid == getpid());
	return admitted++ == 1;
}

/* A unix listener that looks at who comes. */
static void
unix_socket(void)
{
	static const struct http_server_ops uops = {
		.on_accept = app_accept, .on_request = app_request
	};
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct http_server *old = srv;
	int lfd = socket(AF_UNIX, SOCK_STREAM, 0), fd, i;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "/tmp/http_test.%d",
	    getpid());
	unlink(sun.sun_path);
	CHECK(bind(lfd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    listen(lfd, 5) == 0);
	srv = http_server_new(base, &uops, &seen, NULL);
	http_listen(srv, lfd, mark);
	for (i = 0; i < 3; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		say(fd, "GET /fast HTTP/1.1\r\n" H "\r\n", 1000);
		CHECK(get(fd, 20) == (i == 1) &&
		    status_of() == (i == 1 ? 0 : 200));
		close(fd);
	}
	unlink(sun.sun_path);
	turns_ms(5);
	http_server_free(srv);
	srv = old;
}

static void
shutdowns(void)
{
	struct http_server *old = srv;
	int a, b, c;

	memset(&seen, 0, sizeof(seen));
	srv = http_server_new(base, &app_ops, NULL, NULL);
	a = client();
	b = client();
	say(a, "GET /hold HTTP/1.1\r\n" H "\r\n", 1000);
	http_drain(srv);
	CHECK(get(b, 50) == 1);			/* idle ones go */
	c = client();
	CHECK(get(c, 50) == 1);
	CHECK(seen.shut == 0 && seen.gone == 0);
	http_reply(http_req_find(srv, seen.held), 200, NULL, "x", 1);
	CHECK(get(a, 50) == 1 && status_of() == 200 && seen.done == 1);
	close(a);
	close(b);
	close(c);
	http_server_free(srv);
	srv = http_server_new(base, &app_ops, NULL, NULL);
	a = client();
	say(a, "GET /hold HTTP/1.1\r\n" H "\r\n", 1000);
	turns_ms(3);
	http_server_free(srv);
	CHECK(seen.shut == 1);
	close(a);
	srv = old;
	turns_ms(5);
}

#define WSH	"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
#define KEY	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13	"Sec-WebSocket-Version: 13\r\n"

static void
upgrades(void)
{
	static const struct {
		const char	*req;
		int		 status;
		const char	*text;
	} tab[] = {
		{ "GET /ws HTTP/1.1\r\n" H WSH KEY V13 "\r\n", 101,
		    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" },
		{ "GET /ws HTTP/1.1\r\n" H "\r\n", 426,
		    "Upgrade: websocket\r\n" },
		{ "GET /ws HTTP/1.1\r\n" H WSH KEY
		    "Sec-WebSocket-Version: 8\r\n\r\n", 426,
		    "Sec-WebSocket-Version: 13\r\n" },
		{ "GET /ws HTTP/1.1\r\n" H WSH KEY "\r\n", 426, "EINVAL" },
		{ "GET /ws HTTP/1.1\r\n" H WSH V13 "\r\n", 400, "EINVAL" },
		{ "GET /ws HTTP/1.1\r\n" H WSH V13
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n\r\n", 400,
		    "EINVAL" },
		{ "GET /ws HTTP/1.1\r\n" H WSH V13 KEY KEY "\r\n", 400,
		    "EINVAL" },
		{ "POST /ws HTTP/1.1\r\n" H WSH KEY V13 "\r\n", 405,
		    "Allow: GET" },
		{ "GET /ws HTTP/1.0\r\n" H WSH KEY V13 "\r\n", 400, "EINVAL" },
		{ "GET /ws HTTP/1.1\r\n" H WSH KEY V13
		    "Content-Length: 1\r\n\r\nx", 400, "EINVAL" },
	};
	size_t i;
	int st;

	for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
		memset(&seen, 0, sizeof(seen));
		st = ask(tab[i].req, strlen(tab[i].req), i % 2 ? 1 : 1000,
		    NULL);
		if (!CHECK(st == tab[i].status &&
		    strstr(answer, tab[i].text) != NULL &&
		    strstr(answer, "X-Request-Id: ") != NULL))
			printf("upgrade %zu: %d\n%s\n", i, st, answer);
		CHECK(seen.upgraded == (st == 101) &&
		    seen.done == (st != 101 && seen.begun));
	}
}

static void
bodies(void)
{
	char buf[ERROR_BODY_MAX];
	size_t n;

	n = error_body(buf, sizeof(buf), XERR_EIO, "a\"b\\c\n\xff\xc3\xa9");
	CHECK(strcmp(buf, "{\"error\":{\"code\":\"EIO\",\"message\":"
	    "\"a\\\"b\\\\c\\u000a\\ufffd\xc3\xa9\"}}") == 0 &&
	    n == strlen(buf));
	n = error_body(buf, ERROR_BODY_MIN, XERR_ETIMEDOUT, "123456789 "
	    "123456789 123456789 123456789 123456789 123456789 123456789 ");
	CHECK(n < ERROR_BODY_MIN && strcmp(buf + n - 3, "\"}}") == 0);
	CHECK(error_retry_after(XERR_EBUSY) > 0);
	CHECK(error_retry_after(XERR_EOFFLINE) > 0);
	CHECK(error_retry_after(XERR_EIO) == 0);
}

int
main(void)
{
	struct http_conf conf = { .tick_ms = 20 };
	struct http_stats st;
	size_t heap, after;
	int before, i;

	log_init(log_names[0], LOG_LEVEL_ERROR);
	base = event_base_new();
	before = fds();
	srv = http_server_new(base, &app_ops, NULL, &conf);
	bodies();
	answers();
	refuses();
	limits();
	chunked_in();
	keep_alive();
	expects();
	uploads(0, 100 * MIB);
	uploads(1, 20 * MIB);
	downloads();
	upgrades();
	slow();
	crowds();
	exhaustion();
	unix_socket();
	shutdowns();
	vanishes();
	turns_ms(20);
	heap = mallinfo2().uordblks;
	for (i = 0; i < 4; i++) {
		vanishes();
		answers();
	}
	crowds();
	turns_ms(20);
	http_stats_get(srv, &st);
	CHECK(st.conns == 0 && st.upgraded == 0 && st.collected == 0);
	after = mallinfo2().uordblks;
	if (after > heap + 16384)
		printf("heap %zu, then %zu\n", heap, after);
	CHECK(after <= heap + 16384);
	http_server_free(srv);
	CHECK(fds() == before);
	event_base_free(base);
	return checks_end();
}
