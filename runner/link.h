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
 * The connection to the server, again and again.  Runs in: xbot-runner.
 * Input is hostile.  Owns: the socket, the message being assembled.
 */

#ifndef RUNNER_LINK_H
#define RUNNER_LINK_H

#include <stdbool.h>

#include "runner/proxy.h"
#include "runner/register.h"
#include "runner/url.h"

struct event_base;
struct tls_client;

struct link_conf {
	const struct url	*url;
	struct registration	 reg;
	bool			 once;
	struct tls_client	*tls;	/* NULL: the url is ws:// */
	struct proxy		 proxy;	/* between us and the server */
};

/*
 * Lends conf for life.  done comes from the loop after link_stop(), or, with
 * once, when the first connection has ended: good says it was registered and
 * closed in order.
 */
void	 link_start(struct event_base *, const struct link_conf *,
	    void (*done)(bool good));
/* Close with 1000 and come to an end. */
void	 link_stop(void);

#endif
