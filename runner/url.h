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
 * The server's address.  Runs in: xbot-runner.  Trusts: the user who typed it.
 */

#ifndef RUNNER_URL_H
#define RUNNER_URL_H

#include <stdbool.h>
#include <stdint.h>

struct url {
	bool	  tls;
	char	  host[256];	/* without brackets */
	char	  authority[272];	/* for the Host header */
	uint16_t  port;
	char	 *target;	/* path and query, percent-encoded; owned */
};

/* false and *why (a literal) when it is no ws:// or wss:// address. */
bool	 url_parse(struct url *, const char *text, const char **why);
void	 url_clear(struct url *);
/* Last segment of the path, decoded, without the query; the caller frees it.
 * NULL when there is none, or it has a NUL byte. */
char	*url_user(const struct url *);

#endif
