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
 * Is it UTF-8?  A file of its own: who reads JSON and no message need not
 * link msgpack for it.  Runs in: every process, the executor.
 */

#include "proto/msg.h"

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool
utf8_valid(const void *bytes, size_t len)
{
	const uint8_t	*p = bytes, *end = p + len;
	uint8_t		 c, lo, hi;
	int		 more;

	while (p < end) {
		if ((c = *p++) < 0x80)
			continue;
		if (c < 0xc2 || c > 0xf4)
			return false;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		if (more > end - p || *p < lo || *p > hi)
			return false;
		for (p++, more--; more > 0; more--, p++)
			if (*p < 0x80 || *p > 0xbf)
				return false;
	}
	return true;
}
