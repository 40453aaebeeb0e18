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
 * Bytes to valid UTF-8: what is not UTF-8 becomes U+FFFD, one for each
 * maximal part as the Unicode standard recommends.  Runs in: front, control,
 * remote, runner.
 */

#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

/* A stream's state between two pieces: a character cut in two. */
struct utf8_stream {
	uint8_t	 part[4];
	uint8_t	 n;
};

/*
 * Appends src, repaired, to dst; last ends the stream.  At most 3 bytes for
 * each of src and those kept.  -1 and errno when out of memory.
 */
int	 utf8_replace(struct utf8_stream *, struct buf *dst, const void *src,
	    size_t n, bool last);

/*
 * Length of the valid character at p; 0 when it is invalid, with *bad the
 * number of bytes to replace by one U+FFFD; -1 when it is cut off after n.
 */
int	 utf8_char(const uint8_t *p, size_t n, size_t *bad);

#endif
