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
 * A WebSocket connection's life: events, timers, marks, the end.
 * Runs in: front, control, xbot-runner.
 * Owns: bufferevent and struct ws.  Only ws_run() calls back and frees; the
 * rest marks and wakes it.
 */

#include <sys/socket.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/bevio.h"
#include "base/log.h"
#include "base/ws_int.h"

#define WS_READ_HIGH	65536	/* read ahead while paused */
#define WS_STALL_BYTES	1024	/* what must move within the stall limit */
#define WS_LIMIT	(1 << 20)

static void	ws_run(struct ws *);
static void	ws_end(struct ws *);
static int	ws_step(struct ws *);
static int	step_linger(struct ws *);
static void	timer_alive(struct ws *, uint64_t);
static void	timer_stall(struct ws *, uint64_t);
static void	on_read(struct bufferevent *, void *);
static void	on_write(struct bufferevent *, void *);
static void	on_event(struct bufferevent *, short, void *);
static void	on_timer(evutil_socket_t, short, void *);

void
ws_accept(const char *key, char dst[WS_ACCEPT_LEN])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[128], sum[SHA_DIGEST_LENGTH];
	size_t n = strnlen(key, 64);

	memcpy(text, key, n);
	memcpy(text + n, guid, sizeof(guid) - 1);
	SHA1(text, n + sizeof(guid) - 1, sum);
	EVP_EncodeBlock((unsigned char *)dst, sum, sizeof(sum));
}

struct ws *
ws_new(struct event_base *base, struct bufferevent *bev, int flags,
    const struct ws_ops *ops, void *arg)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	if (ws == NULL || (ws->ev = event_new(base, -1, 0, on_timer, ws)) ==
	    NULL) {
		free(ws);
		bufferevent_free(bev);
		return NULL;
	}
	ws->base = base;
	ws->bev = bev;
	ws->flags = flags;
	ws->ops = ops;
	ws->arg = arg;
	ws->code = WS_ABNORMAL;
	ws->max_frame = ws->max_msg = WS_LIMIT;
	ws->high = 256 << 10;
	ws->low = 64 << 10;
	ws->stall_ms = 10000;
	ws->last_rx = bevio_now();
	ws->timer_at = UINT64_MAX;
	bufferevent_setcb(bev, on_read, on_write, on_event, ws);
	/* See bevio_read_ahead(): TLS must not have one. */
	bufferevent_setwatermark(bev, EV_READ, 0, flags & WS_RAW ?
	    WS_READ_HIGH : 0);
	bufferevent_setwatermark(bev, EV_WRITE, ws->low, 0);
	if (flags & WS_RAW)
		bufferevent_disable(bev, EV_WRITE);
	bevio_flush(bev, flags & WS_RAW);
	bufferevent_enable(bev, EV_READ);
	ws_wake(ws);
	return ws;
}

static void
ws_end(struct ws *ws)
{
	const struct ws_ops *ops = ws->ops;

	ws_rx_free(ws);
	bufferevent_setcb(ws->bev, NULL, NULL, NULL, NULL);
	bufferevent_free(ws->bev);
	event_free(ws->ev);
	if (ws->release != NULL)
		ws->release(ws->release_arg);
	if (!ws->silent && ops->on_close != NULL) {
		ws->bev = NULL;
		ws->ev = NULL;
		ws->running = 1;
		ops->on_close(ws, ws->arg, ws->code);
	}
	free(ws);
}

void
ws_free(struct ws *ws)
{
	if (ws == NULL || ws->bev == NULL)
		return;
	ws->silent = 1;
	ws->state = WSS_DEAD;
	if (!ws->running)
		ws_end(ws);
}

void
ws_abort(struct ws *ws)
{
	if (ws->state == WSS_DEAD)
		return;
	ws->state = WSS_DEAD;
	ws->code = WS_ABNORMAL;
	ws_wake(ws);
}

/* --- settings --- */

void
ws_set_arg(struct ws *ws, void *arg)
{
	ws->arg = arg;
}

void
ws_set_ops(struct ws *ws, const struct ws_ops *ops)
{
	ws->ops = ops;
}

void
ws_set_serial(struct ws *ws, uint64_t serial)
{
	ws->serial = serial;
}

uint64_t
ws_serial(const struct ws *ws)
{
	return ws->serial;
}

void
ws_set_release(struct ws *ws, void (*fn)(void *), void *arg)
{
	ws->release = fn;
	ws->release_arg = arg;
}

void
ws_set_limits(struct ws *ws, uint64_t max_frame, uint64_t max_message)
{
	ws->max_frame = max_frame == 0 ? UINT64_MAX : max_frame;
	ws->max_msg = max_message == 0 ? UINT64_MAX : max_message;
}

void
ws_set_marks(struct ws *ws, size_t high, size_t low)
{
	ws->high = high;
	ws->low = low;
	bufferevent_setwatermark(ws->bev, EV_WRITE, low, 0);
}

void
ws_set_stall(struct ws *ws, unsigned int ms)
{
	ws->stall_ms = ms;
}

void
ws_set_keepalive(struct ws *ws, unsigned int ping_ms, unsigned int dead_ms)
{
	uint64_t now = bevio_now();

	ws->ping_ms = ping_ms;
	ws->dead_ms = dead_ms;
	ws->ping_at = now + ping_ms;
	if (ping_ms > 0)
		ws_arm(ws, ws->ping_at);
	if (dead_ms > 0)
		ws_arm(ws, now + dead_ms);
}

size_t
ws_pending(const struct ws *ws)
{
	return ws->bev == NULL ? 0 : bevio_pending(ws->bev);
}

uint64_t
ws_quiet_ms(const struct ws *ws)
{
	return bevio_now() - ws->last_rx;
}

int
ws_closing(const struct ws *ws)
{
	return ws->state != WSS_OPEN;
}

void
ws_pause(struct ws *ws)
{
	ws->paused = 1;
}

void
ws_resume(struct ws *ws)
{
	if (!ws->paused)
		return;
	ws->paused = 0;
	ws->last_rx = bevio_now();
	ws_wake(ws);
}

/* --- the loop --- */

void
ws_wake(struct ws *ws)
{
	if (!ws->running && ws->ev != NULL)
		event_active(ws->ev, EV_TIMEOUT, 0);
}

/* At the latest at this time on_timer() looks around. */
void
ws_arm(struct ws *ws, uint64_t at)
{
	uint64_t now = bevio_now(), ms = at > now ? at - now : 0;
	struct timeval tv;

	if (at >= ws->timer_at || ws->ev == NULL)
		return;
	ws->timer_at = at;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	event_add(ws->ev, &tv);
}

/* Are both ends awake?  A paused peer is not asked for a sign of life. */
static void
timer_alive(struct ws *ws, uint64_t now)
{
	uint64_t from = ws->paused ? now : ws->last_rx;

	if (ws->dead_ms > 0) {
		if (now - from >= ws->dead_ms) {
			log_info("ws %llu: silent for too long",
			    (unsigned long long)ws->serial);
			ws->state = WSS_DEAD;
			return;
		}
		ws_arm(ws, from + ws->dead_ms);
	}
	if (ws->ping_ms > 0) {
		if (now >= ws->ping_at) {
			ws->ping_at = now + ws->ping_ms;
			ws_ping(ws, NULL, 0);
		}
		ws_arm(ws, ws->ping_at);
	}
}

static void
timer_stall(struct ws *ws, uint64_t now)
{
	uint64_t taken;

	if (now - ws->stall_at >= ws->stall_ms) {
		taken = ws->tx - bevio_untaken(ws->bev);
		if (taken - ws->stall_mark < WS_STALL_BYTES) {
			log_info("ws %llu: does not read",
			    (unsigned long long)ws->serial);
			ws->code = WS_ABNORMAL;
			ws->state = WSS_DEAD;
			return;
		}
		ws->stall_at = now;
		ws->stall_mark = taken;
	}
	ws_arm(ws, ws->stall_at + ws->stall_ms);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ws *ws = arg;
	uint64_t at, now = bevio_now();

	at = ws->timer_at;
	ws->timer_at = UINT64_MAX;
	if (now + 4 < at) {		/* only ws_wake(); a coarse clock */
		if (at != UINT64_MAX)
			ws_arm(ws, at);
		ws_run(ws);
		return;
	}
	if (ws->state == WSS_CLOSING || ws->state == WSS_LINGER) {
		if (now >= ws->close_at)
			ws->state = WSS_DEAD;
		ws_arm(ws, ws->close_at);
	} else if (ws->state == WSS_OPEN)
		timer_alive(ws, now);
	if (bevio_pending(ws->bev) > 0 && ws->state != WSS_DEAD)
		timer_stall(ws, now);
	ws_run(ws);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct ws *ws = arg;

	ws->last_rx = bevio_now();
	ws_run(ws);
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct ws *ws = arg;

	bevio_drained(bev, ws->flags & WS_RAW);
	ws_run(ws);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct ws *ws = arg;

	if (what & BEV_EVENT_ERROR)
		ws->state = WSS_DEAD;
	else if (what & BEV_EVENT_EOF)
		ws->eof = 1;
	ws_run(ws);
}

static void
ws_run(struct ws *ws)
{
	if (ws->running)
		return;
	ws->running = 1;
	while (ws->state != WSS_DEAD && ws_step(ws))
		;
	ws->running = 0;
	if (ws->state == WSS_DEAD)
		ws_end(ws);
	else
		bevio_read_ahead(ws->bev, WS_READ_HIGH);
}

/* Both have said what they had to say; what comes is dropped. */
static int
step_linger(struct ws *ws)
{
	struct evbuffer *in = bufferevent_get_input(ws->bev);

	evbuffer_drain(in, evbuffer_get_length(in));
	if (ws->eof)
		ws->state = WSS_DEAD;
	else if (!ws->shut && bevio_pending(ws->bev) == 0) {
		bevio_bye(ws->bev);
		/* Servers close first, clients wait for that. */
		if (ws->peer_closed && !(ws->flags & WS_CLIENT)) {
			ws->state = WSS_DEAD;
			return 0;
		}
		shutdown(bufferevent_getfd(ws->bev), SHUT_WR);
		ws->shut = 1;
	}
	return 0;
}

/* Whether anything happened. */
static int
ws_step(struct ws *ws)
{
	struct evbuffer *in = bufferevent_get_input(ws->bev);
	int did;

	if (ws->state == WSS_LINGER)
		return step_linger(ws);
	if (ws->high_hit && ws->state == WSS_OPEN &&
	    bevio_pending(ws->bev) <= ws->low) {
		ws->high_hit = 0;
		ws_pong_late(ws);
		if (ws->ops->on_writable != NULL)
			ws->ops->on_writable(ws, ws->arg);
		return 1;
	}
	if (!ws->paused || ws->state == WSS_CLOSING) {
		if ((did = ws_receive(ws)) != 0)
			return did > 0;
		if (ws->eof)
			ws->state = WSS_DEAD;
	} else if (ws->eof && evbuffer_get_length(in) == 0)
		ws->state = WSS_DEAD;
	return 0;
}
