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
 * Base64, written out: OpenSSL's EVP decoder takes what we must refuse.
 * Runs in: front, control, remote, runner.  Input is hostile.
 */

#include "base/base64.h"

#define SKIP	64
#define PAD	65

static size_t	 group_encode(char *, const uint8_t *, size_t);

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t
group_encode(char *dst, const uint8_t *p, size_t n)
{
	uint32_t v;

	v = (uint32_t)p[0] << 16;
	v |= n > 1 ? (uint32_t)p[1] << 8 : 0;
	v |= n > 2 ? (uint32_t)p[2] : 0;
	dst[0] = alphabet[v >> 18];
	dst[1] = alphabet[v >> 12 & 63];
	dst[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
	dst[3] = n > 2 ? alphabet[v & 63] : '=';
	return 4;
}

size_t
base64_encode(char *dst, const void *src, size_t n)
{
	const uint8_t	*p = src;
	size_t		 len = 0;

	for (; n >= 3; p += 3, n -= 3)
		len += group_encode(dst + len, p, 3);
	if (n > 0)
		len += group_encode(dst + len, p, n);
	return len;
}

size_t
base64_enc_add(struct base64_enc *e, char *dst, const void *src, size_t n)
{
	const uint8_t	*p = src;
	size_t		 len = 0;

	while (e->n > 0 && n > 0) {
		e->carry[e->n++] = *p++;
		n--;
		if (e->n == 3) {
			len = group_encode(dst, e->carry, 3);
			e->n = 0;
		}
	}
	for (; n >= 3; p += 3, n -= 3)
		len += group_encode(dst + len, p, 3);
	for (; n > 0; n--)
		e->carry[e->n++] = *p++;
	return len;
}

size_t
base64_enc_end(struct base64_enc *e, char *dst)
{
	size_t n = e->n;

	e->n = 0;
	return n == 0 ? 0 : group_encode(dst, e->carry, n);
}

/* Value of a character plus one: what is not named is 0, so bad. */
#define V(c, v)	[c] = (v) + 1
static const uint8_t values[256] = {
	V('A', 0), V('B', 1), V('C', 2), V('D', 3), V('E', 4),
	V('F', 5), V('G', 6), V('H', 7), V('I', 8), V('J', 9),
	V('K', 10), V('L', 11), V('M', 12), V('N', 13), V('O', 14),
	V('P', 15), V('Q', 16), V('R', 17), V('S', 18), V('T', 19),
	V('U', 20), V('V', 21), V('W', 22), V('X', 23), V('Y', 24),
	V('Z', 25), V('a', 26), V('b', 27), V('c', 28), V('d', 29),
	V('e', 30), V('f', 31), V('g', 32), V('h', 33), V('i', 34),
	V('j', 35), V('k', 36), V('l', 37), V('m', 38), V('n', 39),
	V('o', 40), V('p', 41), V('q', 42), V('r', 43), V('s', 44),
	V('t', 45), V('u', 46), V('v', 47), V('w', 48), V('x', 49),
	V('y', 50), V('z', 51), V('0', 52), V('1', 53), V('2', 54),
	V('3', 55), V('4', 56), V('5', 57), V('6', 58), V('7', 59),
	V('8', 60), V('9', 61),
	V('+', 62), V('/', 63), V('=', PAD), V('\r', SKIP), V('\n', SKIP)
};
#undef V

ssize_t
base64_dec_add(struct base64_dec *d, void *dst, const char *src, size_t n)
{
	uint8_t	*out = dst;
	uint8_t	 v;
	size_t	 i;

	for (i = 0; i < n; i++) {
		if ((v = values[(unsigned char)src[i]]) == 0)
			return -1;
		if (--v == SKIP)
			continue;
		if (d->done || (v == PAD && d->n < 2) ||
		    (v != PAD && d->pad > 0))
			return -1;
		if (v == PAD) {
			d->pad++;
			v = 0;
		}
		d->bits = d->bits << 6 | v;
		if (++d->n < 4)
			continue;
		/* Bits that the padding cuts off are zero. */
		if (d->pad > 0 && (d->bits & (d->pad == 1 ? 0xffu : 0xffffu)))
			return -1;
		*out++ = (uint8_t)(d->bits >> 16);
		if (d->pad < 2)
			*out++ = (uint8_t)(d->bits >> 8);
		if (d->pad < 1)
			*out++ = (uint8_t)d->bits;
		d->done = d->pad > 0;
		d->n = 0;
		d->bits = 0;
	}
	return out - (uint8_t *)dst;
}

bool
base64_dec_end(const struct base64_dec *d)
{
	return d->n == 0;
}

ssize_t
base64_decode(void *dst, const char *src, size_t n)
{
	struct base64_dec	 d = { 0 };
	ssize_t			 len;

	len = base64_dec_add(&d, dst, src, n);
	return len == -1 || !base64_dec_end(&d) ? -1 : len;
}
