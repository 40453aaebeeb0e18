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
 * A growable byte queue: bytes are added at the end and drained from the
 * front.  Runs in: every process and the executor; no libc beyond malloc.
 */

#ifndef PROTO_BUF_H
#define PROTO_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t	*mem;		/* owned */
	size_t	 off;		/* first byte not yet drained */
	size_t	 len;		/* bytes from off on */
	size_t	 cap;
	bool	 secret;	/* what leaves it is wiped, until it is empty */
};

/* All-zero is a valid empty buf. */
void	 buf_clear(struct buf *);
/* Room for n bytes behind the content; NULL and errno when out of memory. */
void	*buf_reserve(struct buf *, size_t);
/* -1 and errno when out of memory; nothing was added then. */
int	 buf_add(struct buf *, const void *, size_t);
void	 buf_drain(struct buf *, size_t);

static inline uint8_t *
buf_data(const struct buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->off;
}

#endif
