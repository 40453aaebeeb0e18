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
 * HTTP proxies: what the environment says, and CONNECT.  Runs in: xbot-runner.
 * Trusts: the user's environment.  The proxy is hostile: a bounded answer.
 */

#ifndef RUNNER_PROXY_H
#define RUNNER_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "runner/url.h"

struct bufferevent;
struct event_base;
struct proxy_call;

struct proxy {
	bool		 used;		/* false: connect directly */
	char		 host[256];	/* without brackets */
	uint16_t	 port;
	char		*auth;		/* of Proxy-Authorization, or NULL */
};

/*
 * HTTP_PROXY for ws://, HTTPS_PROXY for wss://, in either case of letters, but
 * for what NO_PROXY names and for this machine itself.  false and *why (a
 * literal): the variable is no http:// proxy.
 */
bool	 proxy_find(struct proxy *, const struct url *, const char **why);
void	 proxy_clear(struct proxy *);

/* bev: connected to the server, or NULL and why for the log, escaped. */
typedef void	(*proxy_cb)(void *, struct bufferevent *bev, const char *why);

/*
 * Asks for the url's server over bev, which is connecting to the proxy.  Takes
 * bev.  cb comes once, from the loop; the call is gone then.  NULL: no memory.
 */
struct proxy_call	*proxy_connect(struct event_base *,
			    struct bufferevent *bev, const struct proxy *,
			    const struct url *, unsigned int timeout_ms,
			    proxy_cb, void *);
void			 proxy_cancel(struct proxy_call *);

#endif
