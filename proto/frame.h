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
 * Frames: a 4-byte big-endian length, then one msgpack array
 * [type, serial, fields...].  Architecture section 3.
 */

#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "proto/buf.h"

#define FRAME_CHUNK	(256 * 1024)	/* bulk data in one message, at most */
#define FRAME_MAX	(FRAME_CHUNK + 8192)	/* a frame without its length */

/* The length that precedes a frame, of the 4 bytes at p: what it says. */
static inline size_t
frame_length(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

/*
 * The next whole frame in buf: 1 and a view that is valid until the buf
 * changes; drain 4 + *len behind it.  0: incomplete.  -1: over FRAME_MAX or
 * empty, the stream is lost.
 */
int	frame_next(const struct buf *, const uint8_t **, size_t *len);
/* Bytes until that frame is whole; 0 when it is, or when nothing says so. */
size_t	frame_missing(const struct buf *);

/*
 * Walk one msgpack value: 0 when it is an array that fills the bytes exactly,
 * whose counts are possible and whose nesting is at most GUARD_DEPTH; else -1 and *why
 * (a literal).  msgpack-c trusts array counts, so this comes first.
 */
#define GUARD_DEPTH	4
int	guard_check(const uint8_t *, size_t, const char **why);

/*
 * Where the content of a frame's last field begins, when that is a bin of
 * FRAME_BULK bytes or more which reaches to the frame's end; and in *field,
 * where the field itself does.  The frame has len bytes, of which the first
 * `have` are there.  0: it is no such frame, or what is there does not say.
 */
#define FRAME_BULK	(16 * 1024)	/* as MSG_BULK */
size_t	guard_bulk(const uint8_t *, size_t have, size_t len, size_t *field);

#endif
