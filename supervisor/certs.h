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
 * Certificates and keys of TLS listeners: read here, passed to front, kept
 * for a front that is restarted.  Runs in: supervisor.  Looks at no byte of
 * them (no OpenSSL here): whether a key fits is front's to say.
 */

#ifndef SUPERVISOR_CERTS_H
#define SUPERVISOR_CERTS_H

#include <stdbool.h>
#include <stddef.h>

struct chan;
struct conf;

/*
 * Reads what the configuration names.  false and a text (also logged): a file
 * is missing, no regular file, too large, or a key that everybody can read.
 * Nothing is changed before certs_commit().
 */
bool	 certs_load(const struct conf *, char *, size_t);
void	 certs_commit(void);
void	 certs_discard(void);
/* Before a conf_commit, which makes them count. */
void	 certs_send(struct chan *);

#endif
