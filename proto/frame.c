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

#include "proto/frame.h"

size_t
frame_missing(const struct buf *b)
{
	size_t n;

	if (b->len < 4 || (n = frame_length(buf_data(b))) > FRAME_MAX ||
	    n <= b->len - 4)
		return 0;
	return n - (b->len - 4);
}

int
frame_next(const struct buf *b, const uint8_t **frame, size_t *len)
{
	size_t n;

	if (b->len < 4)
		return 0;
	n = frame_length(buf_data(b));
	if (n == 0 || n > FRAME_MAX)
		return -1;
	if (b->len - 4 < n)
		return 0;
	*frame = buf_data(b) + 4;
	*len = n;
	return 1;
}
