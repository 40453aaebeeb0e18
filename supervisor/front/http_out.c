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
 * Answers: whole, in pieces, refusals.  Runs in: front, control.
 * Nothing here calls a handler; trouble is marked for http_run().
 */

#include <sys/uio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/bevio.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "supervisor/front/error.h"
#include "supervisor/front/http_int.h"

#define HEAD_OUT_MAX	1024	/* ours; what a handler adds is apart */

static const struct {
	int		 status;
	const char	*reason;
} reasons[] = {
	{ 200, "OK" },			{ 201, "Created" },
	{ 202, "Accepted" },		{ 204, "No Content" },
	{ 206, "Partial Content" },	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 304, "Not Modified" },	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },		{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },	{ 409, "Conflict" },
	{ 412, "Precondition Failed" },	{ 413, "Payload Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 422, "Unprocessable Content" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
	{ 502, "Bad Gateway" },		{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },	{ 505, "HTTP Version Not Supported" },
};

static void	out_broken(struct http_req *);
static int	out_send(struct http_req *, struct iovec *, int);
static size_t	out_head(struct http_req *, char *, int, const char *,
		    int64_t);
static const char *out_date(struct http_server *);
static void	out_decide(struct http_req *, int, int64_t);
static void	out_verror(struct http_req *, int, enum xerr, const char *,
		    va_list) __attribute__((__format__(printf, 4, 0)));

const char *
http_out_reason(int status)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

void
http_out_reset(struct http_req *c)
{
	c->reply = HR_NONE;
	c->keepalive = c->chunked = c->bodyless = c->high = 0;
	c->until_close = 0;
	c->reply_left = 0;
	free(c->extra);
	c->extra = NULL;
	c->extra_len = 0;
}

static void
out_broken(struct http_req *c)
{
	c->doomed = 1;
	http_schedule(c);
}

static int
out_send(struct http_req *c, struct iovec *iov, int n)
{
	size_t len = 0;
	int i;

	if (c->doomed)
		return -1;
	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (bevio_pending(c->bev) == 0) {
		c->txw.start = bevio_now();
		c->txw.mark = c->tx;
	}
	c->tx += len;
	if (bevio_writev(c->bev, c->raw, iov, n) == -1) {
		out_broken(c);
		return -1;
	}
	return 0;
}

int
http_out_write(struct http_req *c, const void *data, size_t len)
{
	struct iovec iov;

	memcpy(&iov.iov_base, &data, sizeof(data));
	iov.iov_len = len;
	return out_send(c, &iov, 1);
}

static const char *
out_date(struct http_server *s)
{
	struct tm tm;
	time_t now = time(NULL);

	if (now != s->date_at && gmtime_r(&now, &tm) != NULL) {
		strftime(s->date, sizeof(s->date),
		    "%a, %d %b %Y %H:%M:%S GMT", &tm);
		s->date_at = now;
	}
	return s->date;
}

void
http_reply_header(struct http_req *c, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value), i;

	if (c->reply != HR_NONE)
		return;
	for (i = 0; i < v; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return;
	if (n > HTTP_EXTRA_MAX || v > HTTP_EXTRA_MAX ||
	    n + v + 5 > HTTP_EXTRA_MAX - c->extra_len)
		return;
	if (c->extra == NULL && (c->extra = malloc(HTTP_EXTRA_MAX)) == NULL)
		return;
	c->extra_len += (size_t)snprintf(c->extra + c->extra_len,
	    HTTP_EXTRA_MAX - c->extra_len, "%s: %s\r\n", name, value);
}

/* Is there a body, how does it end, does the connection live on? */
static void
out_decide(struct http_req *c, int status, int64_t length)
{
	http_body_discard(c);
	c->bodyless = c->head.verb == HV_HEAD || status == 204 ||
	    status == 304 || status < 200;
	c->chunked = length < 0 && c->head.minor > 0;
	c->until_close = length < 0 && c->head.minor == 0;
	c->reply_left = length < 0 ? 0 : (uint64_t)length;
	c->keepalive = c->head.keepalive && !c->until_close && !c->refused &&
	    !c->eof && !c->srv->draining &&
	    (c->mode == HB_DONE || c->head.length == 0) &&
	    /* Bytes behind the request: pipelining, which we do not do. */
	    http_in_length(c) == 0;
}

static size_t
out_head(struct http_req *c, char *dst, int status, const char *ctype,
    int64_t length)
{
	char line[64] = "";
	int n;

	out_decide(c, status, length);
	if (c->chunked && status != 204 && status != 304)
		strlcpy(line, "Transfer-Encoding: chunked\r\n", sizeof(line));
	else if (length >= 0 && status != 204 && status >= 200)
		snprintf(line, sizeof(line), "Content-Length: %lld\r\n",
		    (long long)length);
	n = snprintf(dst, HEAD_OUT_MAX, "HTTP/1.1 %d %s\r\n"
	    "Date: %s\r\nX-Request-Id: %s\r\n%s%.128s%s%s%s",
	    status, http_out_reason(status), out_date(c->srv), c->id,
	    ctype != NULL ? "Content-Type: " : "", ctype != NULL ? ctype : "",
	    ctype != NULL ? "\r\n" : "", line,
	    !c->keepalive ? "Connection: close\r\n" :
	    c->head.minor == 0 ? "Connection: keep-alive\r\n" : "");
	return n < 0 || n >= HEAD_OUT_MAX ? 0 : (size_t)n;
}

/* Head, added headers, empty line: into three pieces. */
static void
out_iov(struct http_req *c, struct iovec *iov, char *head, size_t len)
{
	static char end[] = "\r\n";

	iov[0].iov_base = head;
	iov[0].iov_len = len;
	iov[1].iov_base = c->extra;
	iov[1].iov_len = c->extra_len;
	iov[2].iov_base = end;
	iov[2].iov_len = 2;
}

void
http_reply(struct http_req *c, int status, const char *ctype,
    const void *body, size_t len)
{
	char head[HEAD_OUT_MAX];
	struct iovec iov[4];
	size_t n;

	if (c->reply != HR_NONE || c->upgraded)
		return;
	n = out_head(c, head, status, ctype, (int64_t)len);
	out_iov(c, iov, head, n);
	memcpy(&iov[3].iov_base, &body, sizeof(body));
	iov[3].iov_len = c->bodyless ? 0 : len;
	c->reply = HR_DONE;
	out_send(c, iov, 4);
	http_schedule(c);
}

int
http_reply_start(struct http_req *c, int status, const char *ctype,
    int64_t length)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char head[HEAD_OUT_MAX];
	struct iovec iov[3];
	size_t n;
	int i;

	if (c->doomed || c->reply != HR_NONE || c->upgraded)
		return -1;
	n = out_head(c, head, status, ctype, length);
	out_iov(c, iov, head, n);
	c->reply = HR_STREAM;
	c->txw.start = bevio_now();
	c->txw.mark = c->tx;
	/* Only buffered: it goes out with the first data, or when http_run()
	 * comes by. */
	for (i = 0; i < 3; i++) {
		if (evbuffer_add(out, iov[i].iov_base, iov[i].iov_len) == -1) {
			out_broken(c);
			return -1;
		}
		c->tx += iov[i].iov_len;
	}
	http_schedule(c);
	return 0;
}

int
http_reply_data(struct http_req *c, const void *data, size_t len)
{
	static char end[] = "\r\n";
	char size[20];
	struct iovec iov[3];

	if (c->doomed || c->reply != HR_STREAM)
		return -1;
	if (!c->bodyless && len > 0) {
		if (!c->chunked && !c->until_close) {
			if (len > c->reply_left) {
				log_warnx("request %llu: handler gives more "
				    "than it announced",
				    (unsigned long long)c->serial);
				http_reply_abort(c);
				return -1;
			}
			c->reply_left -= len;
		}
		iov[0].iov_base = size;
		iov[0].iov_len = c->chunked ?
		    (size_t)snprintf(size, sizeof(size), "%zx\r\n", len) : 0;
		memcpy(&iov[1].iov_base, &data, sizeof(data));
		iov[1].iov_len = len;
		iov[2].iov_base = end;
		iov[2].iov_len = c->chunked ? 2 : 0;
		if (out_send(c, iov, 3) == -1)
			return -1;
	}
	if (bevio_pending(c->bev) > c->srv->conf.high)
		c->high = 1;
	return c->high;
}

void
http_reply_end(struct http_req *c)
{
	if (c->reply != HR_STREAM)
		return;
	if (!c->bodyless && !c->chunked && c->reply_left > 0) {
		http_reply_abort(c);
		return;
	}
	c->reply = HR_DONE;
	if (c->chunked && !c->bodyless)
		http_out_write(c, "0\r\n\r\n", 5);
	http_schedule(c);
}

void
http_reply_abort(struct http_req *c)
{
	c->doomed = 1;
	http_schedule(c);
}

int
http_reply_started(const struct http_req *c)
{
	return c->reply != HR_NONE;
}

size_t
http_reply_pending(const struct http_req *c)
{
	return c->bev == NULL ? 0 : bevio_pending(c->bev);
}

/* --- errors --- */

static void
out_verror(struct http_req *c, int status, enum xerr code, const char *fmt,
    va_list ap)
{
	char msg[ERROR_BODY_MAX], body[ERROR_BODY_MAX], num[12];
	int after = error_retry_after(code);

	if (c->reply != HR_NONE)
		return;
	vsnprintf(msg, sizeof(msg), fmt, ap);
	if (after > 0) {
		snprintf(num, sizeof(num), "%d", after);
		http_reply_header(c, "Retry-After", num);
	}
	http_reply(c, status, "application/json", body,
	    error_body(body, sizeof(body), code, msg));
}

void
http_reply_error(struct http_req *c, enum xerr code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_verror(c, xerr_status(code), code, fmt, ap);
	va_end(ap);
}

void
http_reply_error_status(struct http_req *c, int status, enum xerr code,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_verror(c, status, code, fmt, ap);
	va_end(ap);
}

void
http_reply_405(struct http_req *c, unsigned int allowed)
{
	static const struct {
		unsigned int	 verb;
		const char	*name;
	} names[] = {
		{ HV_GET, "GET" },	{ HV_GET | HV_HEAD, "HEAD" },
		{ HV_POST, "POST" },	{ HV_PUT, "PUT" },
		{ HV_DELETE, "DELETE" }, { HV_PATCH, "PATCH" },
		{ HV_OPTIONS, "OPTIONS" },
	};
	char allow[64] = "";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(allowed & names[i].verb))
			continue;
		if (*allow != '\0')
			strlcat(allow, ", ", sizeof(allow));
		strlcat(allow, names[i].name, sizeof(allow));
	}
	http_reply_header(c, "Allow", allow);
	http_reply_error_status(c, 405, XERR_EINVAL, "method not allowed");
}

/*
 * The layer's own refusal: an answer if none was begun, and then the end of
 * this connection.  on_close says HTTP_GONE.
 */
void
http_refuse(struct http_req *c, int status, enum xerr code, const char *why)
{
	char peer[64];

	if (c->refused || c->doomed)
		return;
	log_vis(peer, sizeof(peer), http_req_peer(c),
	    strlen(http_req_peer(c)));
	log_info("request %llu: %s refused with %d: %s",
	    (unsigned long long)c->serial, peer, status, why);
	c->refused = 1;
	c->srv->stats.refused++;
	if (c->reply != HR_NONE) {
		http_reply_abort(c);
		return;
	}
	http_reply_error_status(c, status, code, "%s", why);
}
