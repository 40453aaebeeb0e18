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
 * UTF-8 repair.  Runs in: front, control, remote, runner, admin.
 */

#include <string.h>

#include "base/utf8.h"

int
utf8_char(const uint8_t *p, size_t n, size_t *bad)
{
	uint8_t	lo, hi;
	size_t	len, i;

	*bad = 1;
	if (n == 0)
		return -1;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	for (i = 1; i < len; i++) {
		if (i == n)
			return -1;
		if (p[i] < lo || p[i] > hi) {
			*bad = i;
			return 0;
		}
		lo = 0x80;
		hi = 0xbf;
	}
	return (int)len;
}

int
utf8_replace(struct utf8_stream *u, struct buf *dst, const void *src,
    size_t n, bool last)
{
	const uint8_t	*p = src, *run;
	size_t		 bad;
	int		 len;

	/* First finish the character that the piece before began. */
	while (u->n > 0 && n > 0) {
		u->part[u->n++] = *p++;
		n--;
		if ((len = utf8_char(u->part, u->n, &bad)) == -1)
			continue;
		if (len > 0) {
			if (buf_add(dst, u->part, u->n) == -1)
				return -1;
		} else {
			/* The byte just taken is the one that broke it. */
			if (buf_add(dst, "\xef\xbf\xbd", 3) == -1)
				return -1;
			p--;
			n++;
		}
		u->n = 0;
	}
	for (run = p; n > 0; ) {
		if (*p < 0x80) {
			p++, n--;
			continue;
		}
		if ((len = utf8_char(p, n, &bad)) > 0) {
			p += len, n -= (size_t)len;
			continue;
		}
		if (buf_add(dst, run, (size_t)(p - run)) == -1)
			return -1;
		run = p;
		if (len == -1) {
			memcpy(u->part, p, n);
			u->n = (uint8_t)n;
			p += n, n = 0;
			run = p;
			break;
		}
		if (buf_add(dst, "\xef\xbf\xbd", 3) == -1)
			return -1;
		p += bad, n -= bad;
		run = p;
	}
	if (buf_add(dst, run, (size_t)(p - run)) == -1)
		return -1;
	if (last && u->n > 0) {
		u->n = 0;
		return buf_add(dst, "\xef\xbf\xbd", 3);
	}
	return 0;
}
