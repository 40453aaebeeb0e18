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
 * Session tickets and the rehearsal.  Runs in: front.  Only tls.c includes it.
 * Ticket keys are made here, live in memory, are used for some hours and
 * accepted for some more: a stolen one opens no older and no newer session.
 */

#ifndef FRONT_TLS_TICKET_H
#define FRONT_TLS_TICKET_H

#include <openssl/ssl.h>

#include <stdbool.h>

bool	 tls_ticket_init(void);
bool	 tls_ticket_attach(SSL_CTX *);
/* One handshake with ourselves, with a certificate of the moment. */
bool	 tls_rehearse(void);

#endif
