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
 * The client's side of a WebSocket handshake.  Runs in: xbot-runner, tests.
 * Input is hostile.  Owns: the bufferevent until the handshake is over.
 */

#ifndef BASE_WS_CLIENT_H
#define BASE_WS_CLIENT_H

#include "base/ws.h"

struct wsc;

struct wsc_conf {
	const char	*host;		/* Host header, with :port if need be */
	const char	*path;		/* request target, percent-encoded */
	const char	*subprotocols;	/* "a, b" or NULL */
	const char	*headers;	/* more lines, each with CRLF, or NULL */
	unsigned int	 timeout_ms;	/* 0: 45000, connecting included */
	int		 ws_flags;	/* WS_UTF8, WS_RAW; WS_CLIENT is added */
	/* bev is TLS: why it failed (see tls_client.h), NULL for no word. */
	const char	*(*tls_why)(struct bufferevent *);
};

struct wsc_ops {
	/*
	 * The connection is open: ws already has ws_ops and ws_arg.
	 * subprotocol is what the server selected, or NULL.
	 */
	void	(*on_open)(void *arg, struct ws *, const char *subprotocol);
	/*
	 * It failed.  status is the server's HTTP status, 0 when there is
	 * none, -1 when TLS failed (another address would not help).  why is for a log line, already escaped.
	 */
	void	(*on_fail)(void *arg, int status, const char *why);
	/*
	 * May be NULL.  In place of on_fail when the server answered with
	 * another status than 101: takes bev, which stands behind the head
	 * of the answer, without callbacks and not enabled for reading.
	 */
	void	(*on_refused)(void *arg, int status, struct bufferevent *bev);
};

/*
 * Starts a handshake over bev, whose socket is connected or connecting
 * (BEV_EVENT_CONNECTED is awaited when connecting is set), plain or TLS.
 * Takes bev.  Exactly one of wsc_ops is called, from the loop; the
 * wsc is gone afterwards.  NULL: no memory or a bad conf, and bev is freed.
 */
struct wsc	*wsc_start(struct event_base *, struct bufferevent *bev,
		    int connecting, const struct wsc_conf *,
		    const struct wsc_ops *, const struct ws_ops *, void *arg);
/*
 * The same from an address: host is a numeric address or a name, which is
 * resolved here and blocks (the runner has nothing else to do meanwhile).
 * tls must be NULL for now.
 */
struct wsc	*wsc_connect(struct event_base *, const char *host,
		    unsigned short port, const struct wsc_conf *, void *tls,
		    const struct wsc_ops *, const struct ws_ops *, void *arg);
/* Give up; no callback comes any more. */
void	 wsc_cancel(struct wsc *);

#endif
