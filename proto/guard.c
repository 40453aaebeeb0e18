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
 * The walk before msgpack-c.  Input is hostile.  Types that our schemas never
 * use (map, ext, float, nil) are refused here, so the decoder need not know
 * them.
 */

#include "proto/frame.h"

/* Types whose size follows from the first byte. */
struct shape {
	uint8_t	 first, last;	/* range of the first byte */
	uint8_t	 sizelen;	/* bytes of the length that follows */
	uint8_t	 fixed;		/* payload bytes when sizelen is 0 */
	char	 kind;		/* s scalar, b bytes, a array */
};

static const struct shape shapes[] = {
	{ 0x00, 0x7f, 0, 0, 's' },	/* positive fixint */
	{ 0x90, 0x9f, 0, 0, 'a' },	/* fixarray */
	{ 0xa0, 0xbf, 0, 0, 'b' },	/* fixstr */
	{ 0xc2, 0xc3, 0, 0, 's' },	/* bool */
	{ 0xc4, 0xc4, 1, 0, 'b' },	/* bin 8 */
	{ 0xc5, 0xc5, 2, 0, 'b' },	/* bin 16 */
	{ 0xc6, 0xc6, 4, 0, 'b' },	/* bin 32 */
	{ 0xcc, 0xcc, 0, 1, 's' },	/* uint 8 */
	{ 0xcd, 0xcd, 0, 2, 's' },	/* uint 16 */
	{ 0xce, 0xce, 0, 4, 's' },	/* uint 32 */
	{ 0xcf, 0xcf, 0, 8, 's' },	/* uint 64 */
	{ 0xd0, 0xd0, 0, 1, 's' },	/* int 8 */
	{ 0xd1, 0xd1, 0, 2, 's' },	/* int 16 */
	{ 0xd2, 0xd2, 0, 4, 's' },	/* int 32 */
	{ 0xd3, 0xd3, 0, 8, 's' },	/* int 64 */
	{ 0xd9, 0xd9, 1, 0, 'b' },	/* str 8 */
	{ 0xda, 0xda, 2, 0, 'b' },	/* str 16 */
	{ 0xdb, 0xdb, 4, 0, 'b' },	/* str 32 */
	{ 0xdc, 0xdc, 2, 0, 'a' },	/* array 16 */
	{ 0xdd, 0xdd, 4, 0, 'a' },	/* array 32 */
	{ 0xe0, 0xff, 0, 0, 's' },	/* negative fixint */
};

static const struct shape *
shape_find(uint8_t first)
{
	size_t i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (first >= shapes[i].first && first <= shapes[i].last)
			return &shapes[i];
	return NULL;
}

/*
 * Step over the head at *p: its shape, and in *n the payload bytes (scalar,
 * bytes) or the elements (array).  NULL: truncated or not ours.
 */
static const struct shape *
head_read(const uint8_t **p, const uint8_t *end, size_t *n)
{
	const struct shape	*s;
	uint8_t			 first, i;

	if (*p == end || (s = shape_find(first = *(*p)++)) == NULL)
		return NULL;
	*n = s->fixed;
	if (first >= 0x90 && first <= 0x9f)
		*n = first & 0x0f;
	else if (first >= 0xa0 && first <= 0xbf)
		*n = first & 0x1f;
	else if (s->sizelen > 0) {
		if (s->sizelen > end - *p)
			return NULL;
		for (i = 0; i < s->sizelen; i++)
			*n = *n << 8 | *(*p)++;
	}
	return s;
}

int
guard_check(const uint8_t *p, size_t len, const char **why)
{
	const uint8_t		*end = p + len;
	size_t			 left[GUARD_DEPTH], n;
	unsigned int		 depth = 0;
	const struct shape	*s;

	do {
		if ((s = head_read(&p, end, &n)) == NULL) {
			*why = "truncated, or a type that is not used";
			return -1;
		}
		if (depth == 0 && s->kind != 'a') {
			*why = "not an array";
			return -1;
		}
		if (n > (size_t)(end - p)) {
			*why = "a count larger than the bytes left";
			return -1;
		}
		if (depth > 0)
			left[depth - 1]--;
		if (s->kind != 'a')
			p += n;
		else if (depth == GUARD_DEPTH) {
			*why = "nested too deep";
			return -1;
		} else
			left[depth++] = n;
		while (depth > 0 && left[depth - 1] == 0)
			depth--;
	} while (depth > 0);
	if (p != end) {
		*why = "trailing bytes";
		return -1;
	}
	return 0;
}

size_t
guard_bulk(const uint8_t *p, size_t have, size_t len, size_t *field)
{
	const uint8_t		*begin = p, *end = p + have;
	size_t			 left, n = 0;
	const struct shape	*s = head_read(&p, end, &left);

	if (s == NULL || s->kind != 'a')
		return 0;
	for (; left > 0; left--) {
		if (n > (size_t)(end - p))
			return 0;
		p += n;
		*field = (size_t)(p - begin);
		if ((s = head_read(&p, end, &n)) == NULL || s->kind == 'a')
			return 0;
	}
	if (s->first < 0xc4 || s->first > 0xc6 || n < FRAME_BULK ||
	    n != len - (size_t)(p - begin))
		return 0;
	return (size_t)(p - begin);
}
