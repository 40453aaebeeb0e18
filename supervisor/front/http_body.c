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
 * Request bodies: framing, back-pressure, collecting small ones.
 * Runs in: front, control.  Input is hostile.
 * Chunked coding is decoded here, not by libhttp-parser, which lets bare LF
 * pass in extensions and trailers.
 */

#include <sys/socket.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/bevio.h"
#include "supervisor/front/http_int.h"

#define LINE_MAX_CHUNK	512		/* size and extensions */
#define TRAILER_MAX	8192
#define COLLECT_FIRST	4096		/* a promise is no allocation */
#define SLURP_TURN	(512 << 10)	/* then it is another client's turn */

unsigned char	http_scratch[HTTP_SCRATCH];

static int	body_wanted(const struct http_req *);
static void	body_ask(struct http_req *, enum http_body_mode);
static void	body_give(struct http_req *, const void *, size_t);
static int	body_take(struct http_req *);
static int	body_slurp(struct http_req *);
static void	body_finish(struct http_req *);
static void	body_bad(struct http_req *, const char *);
static int	collect_room(struct http_req *, size_t);
static void	collect_add(struct http_req *, const void *, size_t);
static int	collect_at_once(struct http_req *);
static int	chunk_step(struct http_req *);
static ssize_t	chunk_line(struct http_req *, char *);
static int	chunk_size(struct http_req *, const char *, size_t);

/* After the head: what is to come. */
void
http_body_start(struct http_req *c)
{
	c->mode = HB_UNASKED;
	c->left = c->head.length > 0 ? (uint64_t)c->head.length : 0;
	c->chunk = HC_SIZE;
	c->trailer = 0;
	c->paused = 0;
	c->expect = (unsigned int)c->head.expect & 1;
	c->rx = c->rx_turn = 0;
}

void
http_body_clear(struct http_req *c)
{
	c->srv->stats.collected -= c->collect_size;
	free(c->collect);
	c->collect = NULL;
	c->collect_cb = NULL;
	c->collect_len = c->collect_size = c->collect_max = 0;
}

static int
body_wanted(const struct http_req *c)
{
	return (c->mode == HB_STREAM || c->mode == HB_COLLECT) &&
	    !c->paused && !c->doomed && c->reply != HR_DONE;
}

/* The handler asked for the body: a polite client waits for our word. */
static void
body_ask(struct http_req *c, enum http_body_mode mode)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (c->reply == HR_DONE || c->doomed)
		return;
	c->mode = mode;
	c->rxw.start = bevio_now();
	c->rxw.mark = c->rx;
	if (c->expect && c->reply == HR_NONE && c->head.length != 0 &&
	    http_in_length(c) == 0)
		http_out_write(c, go_on, sizeof(go_on) - 1);
	c->expect = 0;
	http_schedule(c);
}

void
http_body_stream(struct http_req *c)
{
	if (c->mode == HB_UNASKED)
		body_ask(c, HB_STREAM);
}

void
http_body_collect(struct http_req *c, size_t limit, http_collect_cb cb)
{
	if (c->mode != HB_UNASKED)
		return;
	c->collect_cb = cb;
	c->collect_max = limit;
	if (c->head.length > 0 && (uint64_t)c->head.length > limit) {
		http_refuse(c, 413, XERR_E2BIG, "request body too large");
		return;
	}
	body_ask(c, HB_COLLECT);
}

void
http_req_pause(struct http_req *c)
{
	c->paused = 1;
}

void
http_req_resume(struct http_req *c)
{
	if (!c->paused)
		return;
	c->paused = 0;
	c->rxw.start = bevio_now();
	c->rxw.mark = c->rx;
	http_schedule(c);
}

static void
body_bad(struct http_req *c, const char *why)
{
	http_refuse(c, 400, XERR_EINVAL, why);
}

static void
body_give(struct http_req *c, const void *data, size_t len)
{
	c->rx += len;
	if (c->mode == HB_COLLECT)
		collect_add(c, data, len);
	else if (c->handler != NULL && c->handler->on_body != NULL)
		c->handler->on_body(c, c->arg, data, len);
}

static void
body_finish(struct http_req *c)
{
	enum http_body_mode mode = c->mode;

	c->mode = HB_DONE;
	if (mode == HB_STREAM) {
		if (c->handler != NULL && c->handler->on_body_end != NULL)
			c->handler->on_body_end(c, c->arg);
		return;
	}
	if (c->collect_cb == NULL)
		return;
	if (c->collect == NULL)
		c->collect_cb(c, c->arg, "", 0);
	else {
		c->collect[c->collect_len] = '\0';
		c->collect_cb(c, c->arg, c->collect, c->collect_len);
	}
	http_body_clear(c);
}

/* --- collecting --- */

/* Room for len more bytes and a NUL, grown as bytes come, not as promised. */
static int
collect_room(struct http_req *c, size_t len)
{
	struct http_server *s = c->srv;
	size_t need, size = c->collect_size;
	char *p;

	if (len > c->collect_max - c->collect_len) {
		http_refuse(c, 413, XERR_E2BIG, "request body too large");
		return -1;
	}
	need = c->collect_len + len + 1;
	if (need <= size)
		return 0;
	size = size * 2 > need ? size * 2 : need;
	if (size < COLLECT_FIRST)
		size = COLLECT_FIRST;
	if (size - c->collect_size > s->conf.collect_budget -
	    s->stats.collected) {
		http_refuse(c, 429, XERR_EBUSY, "too many requests at once");
		return -1;
	}
	if ((p = realloc(c->collect, size)) == NULL) {
		http_refuse(c, 503, XERR_EOFFLINE, "out of memory");
		return -1;
	}
	s->stats.collected += size - c->collect_size;
	c->collect = p;
	c->collect_size = size;
	return 0;
}

static void
collect_add(struct http_req *c, const void *data, size_t len)
{
	if (collect_room(c, len) == -1)
		return;
	memcpy(c->collect + c->collect_len, data, len);
	c->collect_len += len;
}

/* The usual case: the whole small body came with its head. */
static int
collect_at_once(struct http_req *c)
{
	size_t n = (size_t)c->left;

	if (c->head.length <= 0 || c->collect != NULL ||
	    (uint64_t)c->head.length != c->left || n >= HTTP_SCRATCH ||
	    http_in_length(c) < n)
		return 0;
	evbuffer_remove(bufferevent_get_input(c->bev), http_scratch, n);
	http_scratch[n] = '\0';
	c->rx += n;
	c->left = 0;
	c->mode = HB_DONE;
	c->collect_cb(c, c->arg, (const char *)http_scratch, n);
	return 1;
}

/* --- reading --- */

/* Hands on what the input buffer has of body or chunk; 1 if anything. */
static int
body_take(struct http_req *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_iovec v;
	size_t n;

	if (c->left == 0 || evbuffer_peek(in, -1, NULL, &v, 1) < 1 ||
	    v.iov_len == 0)
		return 0;
	n = v.iov_len > c->left ? (size_t)c->left : v.iov_len;
	body_give(c, v.iov_base, n);
	evbuffer_drain(in, n);
	c->left -= n;
	return 1;
}

/*
 * Reads a long body past libevent, which takes 4 KiB at a time and asks the
 * kernel each time how much there is.
 */
static int
body_slurp(struct http_req *c)
{
	ssize_t n;

	if (!c->raw || c->eof || c->left < 4096 ||
	    c->rx - c->rx_turn >= SLURP_TURN)
		return 0;
	n = recv(bufferevent_getfd(c->bev), http_scratch,
	    c->left > sizeof(http_scratch) ? sizeof(http_scratch) :
	    (size_t)c->left, MSG_DONTWAIT);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			c->doomed = 1;
		return 0;
	}
	if (n == 0) {
		c->eof = 1;
		return 0;
	}
	c->left -= (uint64_t)n;
	body_give(c, http_scratch, (size_t)n);
	return 1;
}

/* Moves the body as far as it goes; 1 when anything happened. */
int
http_body_step(struct http_req *c)
{
	int did = 0;

	if (c->mode == HB_COLLECT && body_wanted(c) && collect_at_once(c))
		return 1;
	while (body_wanted(c)) {
		if (c->head.length >= 0 && c->left == 0) {
			body_finish(c);
			return 1;
		}
		if (c->head.length < 0) {
			if (!chunk_step(c))
				break;
		} else if (!body_take(c) && !body_slurp(c))
			break;
		did = 1;
	}
	return did;
}

/* Before an answer: drop a body that is here already, to keep the line. */
void
http_body_discard(struct http_req *c)
{
	if (c->mode != HB_UNASKED || c->head.length < 0 ||
	    http_in_length(c) < c->left)
		return;
	evbuffer_drain(bufferevent_get_input(c->bev), (size_t)c->left);
	c->left = 0;
	c->mode = HB_DONE;
}

/* --- chunked --- */

/*
 * Copies a line without its CRLF into line[LINE_MAX_CHUNK] and drains it.
 * -1: not there yet, or refused.
 */
static ssize_t
chunk_line(struct http_req *c, char *line)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	ssize_t i, n;

	n = evbuffer_copyout(in, line, LINE_MAX_CHUNK);
	for (i = 0; i < n; i++) {
		if (line[i] == '\r') {
			if (i + 1 == n)
				break;
			if (line[i + 1] == '\n') {
				evbuffer_drain(in, (size_t)i + 2);
				line[i] = '\0';
				return i;
			}
		}
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') ||
		    line[i] == 0x7f) {
			body_bad(c, "control character in chunk line");
			return -1;
		}
	}
	if (n == LINE_MAX_CHUNK)
		body_bad(c, "chunk line too long");
	return -1;
}

static int
chunk_size(struct http_req *c, const char *line, size_t len)
{
	size_t n = strspn(line, "0123456789abcdefABCDEF");

	if (n == 0 || n > 15 || (n < len && line[n] != ';')) {
		body_bad(c, "chunk size");
		return -1;
	}
	c->left = strtoull(line, NULL, 16);
	c->chunk = c->left > 0 ? HC_DATA : HC_TRAILER;
	return 0;
}

static int
chunk_step(struct http_req *c)
{
	char line[LINE_MAX_CHUNK];
	ssize_t n;

	switch (c->chunk) {
	case HC_DATA:
		if (!body_take(c) && !body_slurp(c))
			return 0;
		if (c->left == 0)
			c->chunk = HC_DATA_END;
		return 1;
	case HC_SIZE:
		if ((n = chunk_line(c, line)) == -1)
			return 0;
		return chunk_size(c, line, (size_t)n) == 0;
	case HC_DATA_END:
		if ((n = chunk_line(c, line)) == -1)
			return 0;
		c->chunk = HC_SIZE;
		if (n != 0)
			body_bad(c, "chunk longer than its size");
		return n == 0;
	case HC_TRAILER:
		if ((n = chunk_line(c, line)) == -1)
			return 0;
		c->trailer += (size_t)n + 2;
		if (n == 0)
			body_finish(c);
		else if (c->trailer > TRAILER_MAX)
			body_bad(c, "trailer too large");
		return 1;
	}
	return 0;
}
