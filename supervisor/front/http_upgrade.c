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
 * From HTTP to WebSocket: the server's side of RFC 6455's handshake.
 * Runs in: front, control.  Input is hostile.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "supervisor/front/http_int.h"

/* What an upgraded connection still holds of the server. */
struct handed {
	struct http_server	*srv;
	struct http_peer	*peer;
};

static int	upgrade_refused(struct http_req *, const char *);
static int	key_ok(const char *);
static void	upgraded_gone(void *);

static int
key_ok(const char *key)
{
	static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";

	/* 16 bytes: 22 digits, the last with four bits of nothing. */
	return key != NULL && strspn(key, b64) == 22 &&
	    strcmp(key + 22, "==") == 0;
}

static int
upgrade_refused(struct http_req *c, const char *proto)
{
	const char *version = http_req_header(c, "Sec-WebSocket-Version");

	if (c->head.verb != HV_GET)
		http_reply_405(c, HV_GET);
	else if (!http_req_header_has(c, "Upgrade", "websocket") ||
	    !http_req_header_has(c, "Connection", "upgrade")) {
		http_reply_header(c, "Upgrade", "websocket");
		http_reply_header(c, "Connection", "upgrade");
		http_reply_error_status(c, 426, XERR_EINVAL,
		    "this is a WebSocket");
	} else if (version == NULL || strcmp(version, "13") != 0) {
		http_reply_header(c, "Sec-WebSocket-Version", "13");
		http_reply_error_status(c, 426, XERR_EINVAL,
		    "WebSocket version 13 is needed");
	} else if (c->head.minor == 0 || c->head.length != 0)
		http_reply_error(c, XERR_EINVAL, "not a WebSocket handshake");
	else if (!key_ok(http_req_header(c, "Sec-WebSocket-Key")))
		http_reply_error(c, XERR_EINVAL, "bad Sec-WebSocket-Key");
	else if (proto != NULL && !http_req_header_has(c,
	    "Sec-WebSocket-Protocol", proto))
		http_reply_error(c, XERR_EINVAL, "subprotocol not offered");
	else
		return 0;
	return 1;
}

int
http_upgrade_wanted(struct http_req *c, const char *proto)
{
	return c->reply == HR_NONE && !c->doomed && !c->upgraded &&
	    !upgrade_refused(c, proto);
}

static void
upgraded_gone(void *arg)
{
	struct handed *h = arg;

	http_peer_drop(h->srv, h->peer);
	h->srv->stats.upgraded--;
	http_server_unref(h->srv);
	free(h);
}

struct ws *
http_upgrade_ws(struct http_req *c, const char *proto, int flags,
    const struct ws_ops *ops, void *arg)
{
	struct http_server *s = c->srv;
	struct bufferevent *bev = c->bev;
	struct handed *h;
	struct ws *ws;
	char key[WS_ACCEPT_LEN], msg[512 + HTTP_EXTRA_MAX];
	int n;

	if (!http_upgrade_wanted(c, proto))
		return NULL;
	if ((h = malloc(sizeof(*h))) == NULL) {
		http_reply_error(c, XERR_EOFFLINE, "out of memory");
		return NULL;
	}
	ws_accept(http_req_header(c, "Sec-WebSocket-Key"), key);
	n = snprintf(msg, sizeof(msg), "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\nX-Request-Id: %s\r\n"
	    "%s%.128s%s%.*s\r\n", key, c->id,
	    proto != NULL ? "Sec-WebSocket-Protocol: " : "",
	    proto != NULL ? proto : "", proto != NULL ? "\r\n" : "",
	    (int)c->extra_len, c->extra != NULL ? c->extra : "");
	if (n < 0 || (size_t)n >= sizeof(msg) ||
	    http_out_write(c, msg, (size_t)n) == -1) {
		free(h);
		http_reply_abort(c);
		return NULL;
	}
	h->srv = s;
	h->peer = c->peer;
	c->bev = NULL;
	c->peer = NULL;
	c->upgraded = 1;
	s->stats.conns--;
	s->stats.upgraded++;
	http_schedule(c);
	bufferevent_setwatermark(bev, EV_READ, 0, 0);
	if ((ws = ws_new(s->base, bev, flags | (c->raw ? WS_RAW : 0), ops,
	    arg)) == NULL) {
		upgraded_gone(h);
		return NULL;
	}
	ws_set_serial(ws, c->serial);
	ws_set_release(ws, upgraded_gone, h);
	return ws;
}
