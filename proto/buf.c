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

#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"

/* An emptied buffer above this is given back: idle edges cost nothing. */
#define BUF_KEEP	(64 * 1024)

static void
wipe(const struct buf *b, size_t from, size_t n)
{
	if (b->secret && n > 0)
		explicit_bzero(b->mem + from, n);
}

void
buf_clear(struct buf *b)
{
	wipe(b, 0, b->cap);
	free(b->mem);
	memset(b, 0, sizeof(*b));
}

void *
buf_reserve(struct buf *b, size_t n)
{
	size_t	 cap;
	uint8_t	*mem;

	if (n <= b->cap - b->off - b->len)
		return b->mem == NULL ? NULL : b->mem + b->off + b->len;
	if (b->off != 0) {
		memmove(b->mem, b->mem + b->off, b->len);
		wipe(b, b->len, b->off);
		b->off = 0;
		if (n <= b->cap - b->len)
			return b->mem + b->len;
	}
	cap = b->cap < 4096 ? 4096 : b->cap;
	while (cap - b->len < n)
		cap *= 2;
	if (b->secret) {
		if ((mem = malloc(cap)) == NULL)
			return NULL;
		if (b->len > 0)
			memcpy(mem, b->mem, b->len);
		wipe(b, 0, b->cap);
		free(b->mem);
	} else if ((mem = realloc(b->mem, cap)) == NULL)
		return NULL;
	b->mem = mem;
	b->cap = cap;
	return b->mem + b->len;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	void *dst;

	if (n == 0)
		return 0;
	if ((dst = buf_reserve(b, n)) == NULL)
		return -1;
	memcpy(dst, p, n);
	b->len += n;
	return 0;
}

void
buf_drain(struct buf *b, size_t n)
{
	wipe(b, b->off, n < b->len ? n : b->len);
	if (n < b->len) {
		b->off += n;
		b->len -= n;
		return;
	}
	b->off = b->len = 0;
	b->secret = false;
	if (b->cap > BUF_KEEP)
		buf_clear(b);
}
