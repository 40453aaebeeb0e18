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
 * Bytes of a stranger into the real WebSocket layer: a socketpair and the
 * real event loop.  The first byte chooses side, limits, how the bytes are
 * cut and what the owner does; after each run nothing may be left.
 */

#include <sys/socket.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/ws.h"
#include "base/ws_client.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct event_base	*base;
static struct ws		*cur;
static unsigned int		 closed, how;
static int			 open_msg;
static size_t			 msg_len;

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
on_data(struct ws *ws, void *arg, enum ws_opcode op, int first, int fin,
    const void *data, size_t len)
{
	must(ws == cur && closed == 0 && first == !open_msg);
	must(op == WS_TEXT || op == WS_BINARY);
	must(!ws_closing(ws) && (len > 0 || fin));
	open_msg = !fin;
	msg_len = first ? len : msg_len + len;
	must(msg_len <= 10000);
	ws_send(ws, op, fin, data, len);
	if (how & 1)
		ws_pause(ws);
	if (how & 2 && fin)
		ws_close(ws, WS_NORMAL, NULL);
	if (how & 4 && msg_len > 200) {
		ws_free(ws);
		cur = NULL;
	}
}

static void
on_pong(struct ws *ws, void *arg, const void *data, size_t len)
{
	must(len <= 125);
}

static void
on_close(struct ws *ws, void *arg, int code)
{
	must(ws == cur);
	must(code >= 1000 && code < 5000);
	closed++;
	cur = NULL;
}

static const struct ws_ops ops = { on_data, NULL, on_pong, on_close };

static void
wsc_open(void *arg, struct ws *ws, const char *proto)
{
	cur = ws;
}

static void
wsc_failed(void *arg, int status, const char *why)
{
	closed++;
}

static const struct wsc_ops wscops = { wsc_open, wsc_failed, NULL };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t cuts[] = { 1, 5, 200, 100000 };
	static const struct wsc_conf conf = { .host = "h", .path = "/",
	    .subprotocols = "a" };
	static char sink[65536];
	struct bufferevent *bev;
	struct wsc *wsc = NULL;
	size_t cut, n, turns = 0;
	ssize_t w;
	int sv[2];

	if (base == NULL) {
		signal(SIGPIPE, SIG_IGN);
		log_init("ws_fuzz", LOG_LEVEL_ERROR);
		base = event_base_new();
	}
	if (len < 2 || len > 30000)
		return 0;
	how = data[0];
	cut = cuts[how >> 3 & 3];
	data++;
	len--;
	closed = 0;
	open_msg = 0;
	cur = NULL;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	bev = bufferevent_socket_new(base, sv[0], BEV_OPT_CLOSE_ON_FREE);
	if ((how & 0xe0) == 0xe0)
		wsc = wsc_start(base, bev, 0, &conf, &wscops, &ops, NULL);
	else {
		cur = ws_new(base, bev, (how & 0x20 ? WS_RAW : 0) |
		    (how & 0x40 ? WS_UTF8 : 0) | (how & 0x80 ? WS_CLIENT : 0),
		    &ops, NULL);
		ws_set_limits(cur, 5000, 10000);
	}
	while (len > 0 && turns++ < 60000) {
		n = len < cut ? len : cut;
		w = send(sv[1], data, n, MSG_NOSIGNAL);
		if (w == -1 && errno != EAGAIN)
			break;
		if (w > 0) {
			data += w;
			len -= (size_t)w;
		}
		event_base_loop(base, EVLOOP_NONBLOCK);
		while (recv(sv[1], sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		if (cur != NULL)
			ws_resume(cur);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	how &= ~1u;
	if (cur != NULL)
		ws_resume(cur);
	close(sv[1]);
	for (n = 0; n < 10; n++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	must(cur == NULL && (closed == 1 || how & 4));
	(void)wsc;
	return 0;
}
