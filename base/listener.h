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
 * What a listening socket serves: the flags of ctl.def's listener.
 * /healthz is served by each of them but that of skills.
 */

#ifndef BASE_LISTENER_H
#define BASE_LISTENER_H

enum listener_flags {
	LISTENER_API = 1,	/* /v1/, /readyz; /metrics with a token */
	LISTENER_WS = 2,	/* /ws/ for runners */
	LISTENER_METRICS = 4,	/* /metrics without a token */
	LISTENER_UNIX = 8,	/* the control socket: administrators */
	LISTENER_TLS = 16,	/* its tls_pairs come besides */
	LISTENER_SKILL = 32	/* the skill runner's routes, no others */
};

#endif
