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
 * The client's side of TLS: always verified, TLS 1.2 or 1.3.
 * Runs in: xbot-runner.  The peer is hostile until its certificate was right.
 * Owns: the store of authorities.  One handshake at a time.
 */

#ifndef BASE_TLS_CLIENT_H
#define BASE_TLS_CLIENT_H

#include <stddef.h>

struct bufferevent;
struct event_base;
struct tls_client;

/*
 * ca_file: PEM, trusted instead of the system's bundle; NULL or "": the
 * system's.  NULL: why holds the reason.
 */
struct tls_client	*tls_client_new(const char *ca_file, char *why,
			    size_t);
void			 tls_client_free(struct tls_client *);
/*
 * A bufferevent that will shake hands with host (a name, or a numeric address
 * without brackets) on fd, or on the socket it is told to connect when fd is
 * -1.  BEV_EVENT_CONNECTED comes when host was verified.  Takes fd unless it
 * returns NULL (no memory).
 */
struct bufferevent	*tls_client_bev(struct tls_client *,
			    struct event_base *, int fd, const char *host);
/*
 * After BEV_EVENT_ERROR: why the handshake failed, for the log and the user,
 * escaped; lent until the next handshake.  NULL: it is no matter of TLS.
 */
const char		*tls_client_why(struct bufferevent *);

#endif
