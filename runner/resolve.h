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
 * Names to addresses without blocking the loop.  Runs in: xbot-runner.
 * Owns: a child while a name is looked up.
 */

#ifndef RUNNER_RESOLVE_H
#define RUNNER_RESOLVE_H

#include <sys/socket.h>

#include <stddef.h>
#include <stdint.h>

#define RESOLVE_MAX	16	/* addresses that are tried */

struct event_base;
struct resolve;

struct resolve_addr {
	struct sockaddr_storage	 ss;
	socklen_t		 len;
};

/* n is 0 and why is text for the log when there is none.  Both are lent. */
typedef void	(*resolve_cb)(void *, const struct resolve_addr *, size_t n,
		    const char *why);

/*
 * cb comes once, from the loop; the resolve is gone then.  NULL and errno: no
 * process or memory, and no callback.
 */
struct resolve	*resolve_start(struct event_base *, const char *host,
		    uint16_t port, resolve_cb, void *);
/* No callback comes any more.  NULL is fine. */
void		 resolve_cancel(struct resolve *);
/* SIGCHLD came. */
void		 resolve_reap(void);

#endif
