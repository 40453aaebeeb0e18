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
 * One connection's life: idle, head, request, linger, dead.
 * Runs in: front, control.  Input is hostile.
 * Owns: struct http_req.  Only http_run() calls handlers and frees.
 */

#include <sys/socket.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/bevio.h"
#include "base/compat/compat.h"
#include "base/log.h"
#include "supervisor/front/http_int.h"

static void	conn_read(struct bufferevent *, void *);
static void	conn_write(struct bufferevent *, void *);
static void	conn_event(struct bufferevent *, short, void *);
static void	conn_die(struct http_req *, enum http_end);
static void	conn_state(struct http_req *, enum http_state);
static void	conn_begin(struct http_req *);
static void	conn_id(struct http_req *);
static void	conn_finish(struct http_req *);
static int	step_head(struct http_req *);
static int	step_request(struct http_req *);
static int	step_linger(struct http_req *);
static int	conn_step(struct http_req *);
static size_t	conn_high(const struct http_req *);
static int	window_stalled(struct http_window *, uint64_t, uint64_t,
		    const struct http_conf *);
static void	conn_cut(struct http_req *, const char *);
static void	tick_request(struct http_req *, uint64_t);

size_t
http_in_length(const struct http_req *c)
{
	return c->bev == NULL ? 0 :
	    evbuffer_get_length(bufferevent_get_input(c->bev));
}

/* So much is read ahead; beyond it the kernel pushes back. */
static size_t
conn_high(const struct http_req *c)
{
	return c->srv->conf.max_head + 4096;
}

void
http_conn_limit(struct http_req *c)
{
	if (c->raw && c->bev != NULL)	/* base/bevio.h */
		bufferevent_setwatermark(c->bev, EV_READ, 0, conn_high(c));
}

static void
conn_state(struct http_req *c, enum http_state state)
{
	c->state = state;
	c->since = bevio_now();
}

/* Takes fd and a count of peer, also on failure. */
int
http_conn_new(struct http_server *s, int fd, void *listener, void *tls,
    struct http_peer *peer, const char *name, uint64_t serial)
{
	struct http_req *c = calloc(1, sizeof(*c));

	if (c != NULL)
		c->bev = tls != NULL ? s->ops.on_tls(tls, s->base, fd) :
		    bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c == NULL || c->bev == NULL) {
		free(c);
		close(fd);
		http_peer_drop(s, peer);
		return -1;
	}
	c->srv = s;
	c->listener = listener;
	c->peer = peer;
	c->serial = serial;
	c->raw = c->greeted = tls == NULL;
	strlcpy(c->name, name, sizeof(c->name));
	conn_state(c, HS_IDLE);
	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->stats.conns++;
	bufferevent_setcb(c->bev, conn_read, conn_write, conn_event, c);
	bufferevent_setwatermark(c->bev, EV_WRITE, s->conf.low, 0);
	http_conn_limit(c);
	if (c->raw)			/* base/bevio.h */
		bufferevent_disable(c->bev, EV_WRITE);
	bufferevent_enable(c->bev, EV_READ);
	return 0;
}

void
http_conn_free(struct http_req *c)
{
	struct http_server *s = c->srv;

	TAILQ_REMOVE(&s->conns, c, all);
	if (c->queued)
		TAILQ_REMOVE(&s->work, c, work);
	if (c->bev != NULL) {
		s->stats.conns--;
		http_peer_drop(s, c->peer);
		bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
		bufferevent_free(c->bev);
	}
	http_body_clear(c);
	free(c->extra);
	free(c->head.buf);
	free(c);
}

/* Something is to be done; http_run() does it from the loop. */
void
http_schedule(struct http_req *c)
{
	if (c->running || c->queued)
		return;
	c->queued = 1;
	TAILQ_INSERT_TAIL(&c->srv->work, c, work);
	http_server_wake(c->srv);
}

/* Only what was there at the start: handlers may schedule more. */
void
http_work(struct http_server *s)
{
	struct http_req *c;
	unsigned int n = 0;

	TAILQ_FOREACH(c, &s->work, work)
		n++;
	for (; n > 0 && (c = TAILQ_FIRST(&s->work)) != NULL; n--) {
		TAILQ_REMOVE(&s->work, c, work);
		c->queued = 0;
		http_run(c);
	}
	if (!TAILQ_EMPTY(&s->work))
		http_server_wake(s);
}

void
http_run(struct http_req *c)
{
	if (c->running)
		return;
	c->running = 1;
	c->rx_turn = c->rx;
	while (c->state != HS_DEAD && conn_step(c))
		;
	c->running = 0;
	if (c->state == HS_DEAD)
		http_conn_free(c);
	else
		bevio_read_ahead(c->bev, conn_high(c));
}

static void
conn_read(struct bufferevent *bev, void *arg)
{
	http_run(arg);
}

static void
conn_write(struct bufferevent *bev, void *arg)
{
	struct http_req *c = arg;

	bevio_drained(bev, c->raw);
	http_run(c);
}

static void
conn_event(struct bufferevent *bev, short what, void *arg)
{
	struct http_req *c = arg;

	if (what & BEV_EVENT_CONNECTED)
		c->greeted = 1;
	else if (!c->greeted && what & BEV_EVENT_ERROR)
		log_info("request %llu: %s: TLS handshake: %s",
		    (unsigned long long)c->serial, c->name,
		    c->srv->ops.tls_why(bev));
	if (what & BEV_EVENT_ERROR)
		c->doomed = 1;
	else if (what & BEV_EVENT_EOF)
		c->eof = 1;
	http_run(c);
}

/* --- requests --- */

/* "5f3a9c12-41": ours, with the serial that stands in the log. */
static void
conn_id(struct http_req *c)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t v = c->serial;
	char num[24], *p = num + sizeof(num);
	int i;

	for (i = 0; i < 8; i++)
		c->id[i] = digits[c->srv->boot >> (28 - 4 * i) & 15];
	c->id[8] = '-';
	*--p = '\0';
	do
		*--p = digits[v % 10];
	while ((v /= 10) > 0);
	memcpy(c->id + 9, p, (size_t)(num + sizeof(num) - p));
}

static void
conn_begin(struct http_req *c)
{
	struct http_server *s = c->srv;
	struct http_req **slot = &s->hash[c->serial & (HTTP_HASH - 1)];

	s->stats.requests++;
	c->hnext = *slot;
	*slot = c;
	c->hashed = 1;
	c->scan = 0;
	http_body_start(c);
	conn_state(c, HS_REQUEST);
}

struct http_req *
http_req_find(struct http_server *s, uint64_t serial)
{
	struct http_req *c = s->hash[serial & (HTTP_HASH - 1)];

	while (c != NULL && c->serial != serial)
		c = c->hnext;
	if (c == NULL || c->doomed || c->upgraded || c->reply == HR_DONE)
		return NULL;
	return c;
}

/* The request is over, whatever becomes of the connection. */
void
http_conn_end(struct http_req *c, enum http_end how)
{
	const struct http_handler *h = c->handler;
	struct http_req **slot;

	if (c->hashed) {
		slot = &c->srv->hash[c->serial & (HTTP_HASH - 1)];
		while (*slot != c)
			slot = &(*slot)->hnext;
		*slot = c->hnext;
		c->hashed = 0;
	}
	c->handler = NULL;
	if (h != NULL && h->on_close != NULL)
		h->on_close(c, c->arg, how);
	c->arg = NULL;
}

static void
conn_die(struct http_req *c, enum http_end how)
{
	http_conn_end(c, how);
	c->state = HS_DEAD;
}

/* The answer is with the kernel. */
static void
conn_finish(struct http_req *c)
{
	int rest = c->head.length != 0 && c->mode != HB_DONE;
	int cut = c->doomed;

	http_conn_end(c, c->refused ? HTTP_GONE : HTTP_DONE);
	if (!cut && !(c->keepalive && http_in_length(c) == 0))
		bevio_bye(c->bev);
	if (c->doomed || c->eof) {
		c->state = HS_DEAD;
		return;
	}
	if (c->keepalive && http_in_length(c) == 0) {
		http_body_clear(c);
		http_head_clear(&c->head);
		http_out_reset(c);
		c->reused = 1;
		c->serial = ++c->srv->serial;
		conn_state(c, HS_IDLE);
		return;
	}
	if (!rest && !c->refused && http_in_length(c) == 0) {
		c->state = HS_DEAD;
		return;
	}
	/* Closing on unread bytes resets the connection, and the client would
	 * never see its answer. */
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	conn_state(c, HS_LINGER);
}

/* --- steps: each returns whether anything happened --- */

static int
step_head(struct http_req *c)
{
	const char *why = NULL;
	int status = 0;
	ssize_t n;

	if (c->srv->draining || (c->eof && http_in_length(c) == 0)) {
		c->state = HS_DEAD;
		return 0;
	}
	if (http_in_length(c) == 0)
		return 0;
	if (c->state == HS_IDLE) {
		conn_state(c, HS_HEAD);
		conn_id(c);
	}
	if ((n = http_head_read(c, &status, &why)) == 0) {
		if (c->eof)
			c->state = HS_DEAD;
		return 0;
	}
	conn_begin(c);
	if (n == -1)
		http_refuse(c, status, status == 501 ? XERR_ENOTSUP :
		    status == 503 ? XERR_EOFFLINE : XERR_EINVAL, why);
	else
		c->srv->ops.on_request(c, c->srv->arg);
	return 1;
}

static int
step_request(struct http_req *c)
{
	int did = http_body_step(c);

	if (c->doomed || c->upgraded)
		return 1;
	if (bevio_pending(c->bev) > 0 && bevio_flush(c->bev, c->raw) == -1) {
		c->doomed = 1;
		return 1;
	}
	if (c->reply == HR_DONE) {
		if (bevio_pending(c->bev) > 0)
			return 0;
		conn_finish(c);
		return 1;
	}
	if (c->eof) {
		/* A client that goes away takes its request with it. */
		c->doomed = 1;
		return 1;
	}
	if (c->high && bevio_pending(c->bev) <= c->srv->conf.low) {
		c->high = 0;
		if (c->handler != NULL && c->handler->on_writable != NULL)
			c->handler->on_writable(c, c->arg);
		return 1;
	}
	return did;
}

static int
step_linger(struct http_req *c)
{
	size_t n = http_in_length(c);

	c->lingered += n;
	evbuffer_drain(bufferevent_get_input(c->bev), n);
	if (c->eof || c->lingered > HTTP_LINGER_MAX)
		c->state = HS_DEAD;
	return 0;
}

static int
conn_step(struct http_req *c)
{
	if (c->upgraded) {
		conn_die(c, HTTP_UPGRADED);
		return 0;
	}
	if (c->doomed) {
		conn_die(c, HTTP_GONE);
		return 0;
	}
	switch (c->state) {
	case HS_IDLE:
	case HS_HEAD:
		return step_head(c);
	case HS_REQUEST:
		return step_request(c);
	case HS_LINGER:
		return step_linger(c);
	case HS_DEAD:
		break;
	}
	return 0;
}

/* --- time --- */

/* Did less move than must in a window of time?  Opens the next one. */
static int
window_stalled(struct http_window *w, uint64_t now, uint64_t moved,
    const struct http_conf *conf)
{
	int slow;

	if (now - w->start < conf->stall_ms)
		return 0;
	slow = moved - w->mark < conf->stall_bytes;
	w->start = now;
	w->mark = moved;
	return slow;
}

static void
conn_cut(struct http_req *c, const char *why)
{
	log_info("request %llu: %s cut: %s", (unsigned long long)c->serial,
	    c->name, why);
	c->srv->stats.timeouts++;
	c->doomed = 1;
}

static void
tick_request(struct http_req *c, uint64_t now)
{
	const struct http_conf *conf = &c->srv->conf;
	struct pollfd p = { .fd = bufferevent_getfd(c->bev),
	    .events = POLLRDHUP };
	size_t out = bevio_pending(c->bev);

	if (out == 0) {
		c->txw.start = now;
		c->txw.mark = c->tx;
	} else if (now - c->txw.start >= conf->stall_ms &&
	    window_stalled(&c->txw, now, c->tx - bevio_untaken(c->bev),
	    conf)) {
		conn_cut(c, "does not read its answer");
		return;
	}
	if (c->reply == HR_DONE)
		return;
	if ((c->mode == HB_STREAM || c->mode == HB_COLLECT) && !c->paused &&
	    window_stalled(&c->rxw, now, c->rx, conf)) {
		c->srv->stats.timeouts++;
		http_refuse(c, 408, XERR_EINVAL, "request body too slow");
		return;
	}
	/* Not reading, so nobody would tell us that the client is gone. */
	if (http_in_length(c) >= conn_high(c) && poll(&p, 1, 0) == 1)
		c->doomed = 1;
}

void
http_tick(struct http_req *c, uint64_t now)
{
	const struct http_conf *conf = &c->srv->conf;
	uint64_t age = now - c->since;

	/* The socket is a WebSocket's already; what is left goes this turn. */
	if (c->upgraded)
		return;
	switch (c->state) {
	case HS_IDLE:
		if (age >= conf->head_ms && !c->greeted)
			conn_cut(c, "TLS handshake too slow");
		else if (age >= (c->reused ? conf->idle_ms : conf->head_ms)) {
			bevio_bye(c->bev);
			c->doomed = 1;
		}
		break;
	case HS_HEAD:
		if (age < conf->head_ms)
			return;
		c->srv->stats.timeouts++;
		c->head.nhdr = 0;	/* counted lines until now */
		conn_begin(c);
		http_refuse(c, 408, XERR_EINVAL, "request head too slow");
		break;
	case HS_REQUEST:
		tick_request(c, now);
		break;
	case HS_LINGER:
		if (age >= HTTP_LINGER_MS)
			c->doomed = 1;
		break;
	case HS_DEAD:
		break;
	}
	if (c->doomed || c->refused)
		http_run(c);
}

/* --- questions --- */

uint64_t
http_req_serial(const struct http_req *c)
{
	return c->serial;
}

void *
http_req_listener(const struct http_req *c)
{
	return c->listener;
}

int
http_req_fd(const struct http_req *c)
{
	return c->bev == NULL ? -1 : bufferevent_getfd(c->bev);
}

const char *
http_req_peer(const struct http_req *c)
{
	return c->name;
}

const char *
http_req_id(const struct http_req *c)
{
	return c->id;
}

void
http_set_handler(struct http_req *c, const struct http_handler *h, void *arg)
{
	c->handler = h;
	c->arg = arg;
}
