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
 * TLS of front's listeners: certificates, SNI, tickets, the handshake.
 * Runs in: front.  Peers are hostile; the pairs are the parent's.
 * Owns: private keys, ticket keys.  The only file here that knows OpenSSL's
 * TLS; http*.c gets a bufferevent from it.
 */

#ifndef FRONT_TLS_H
#define FRONT_TLS_H

#include <stdbool.h>

struct bufferevent;
struct event_base;
struct chan;
struct msg;
struct tls_listener;

/* Once, before the privileges: OpenSSL reads files and fills caches lazily. */
bool	 tls_warm_up(void);

/* A tls_pair of the next configuration. */
void	 tls_on_pair(struct chan *, const struct msg *);
/*
 * What came since the last commit counts from now on.  A listener one of whose
 * pairs is faulty keeps what it had; without that it serves nobody.  The log
 * says so.  Connections stay as they are.
 */
void	 tls_commit(void);

/* The one of that name, made when it is new; lives for ever.  NULL: memory. */
struct tls_listener	*tls_listener(const char *name);
/* http_server_ops.on_tls: takes fd unless it returns NULL. */
struct bufferevent	*tls_accept(void *listener, struct event_base *,
			    int fd);
/* http_server_ops.tls_why: a literal for the log. */
const char		*tls_why(struct bufferevent *);

#endif
