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
 * The error object and when to come again.  Runs in: front, control.
 */

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "supervisor/front/error.h"

static size_t	error_char(char *, const unsigned char **);

/* Seconds: a quota frees up with the user's next finished command, a worker
 * is restarted after 1 s at first. */
static const struct {
	enum xerr	code;
	int		seconds;
} retry_after[] = {
	{ XERR_EBUSY,		1 },
	{ XERR_EOFFLINE,	2 },
};

int
error_retry_after(enum xerr code)
{
	size_t i;

	for (i = 0; i < sizeof(retry_after) / sizeof(retry_after[0]); i++)
		if (retry_after[i].code == code)
			return retry_after[i].seconds;
	return 0;
}

/* One character of JSON text into dst (at least 7 bytes); returns its size. */
static size_t
error_char(char *dst, const unsigned char **p)
{
	const unsigned char *c = *p;
	size_t bad = 1;
	int n = utf8_char(c, strnlen((const char *)c, 4), &bad);

	*p += n > 0 ? (size_t)n : n == 0 ? bad : 1;
	if (n <= 0)
		return (size_t)snprintf(dst, 7, "\\ufffd");
	if (n == 1 && (*c < 0x20 || *c == 0x7f))
		return (size_t)snprintf(dst, 7, "\\u%04x", *c);
	if (n == 1 && (*c == '"' || *c == '\\')) {
		dst[0] = '\\';
		dst[1] = (char)*c;
		return 2;
	}
	memcpy(dst, c, (size_t)n);
	return (size_t)n;
}

size_t
error_body(char *dst, size_t size, enum xerr code, const char *msg)
{
	static const char tail[] = "\"}}";
	const unsigned char *p = (const unsigned char *)msg;
	char one[8];
	size_t n, w;
	int len;

	len = snprintf(dst, size, "{\"error\":{\"code\":\"%s\",\"message\":\"",
	    xerr_name(code));
	if (len < 0 || (size_t)len + sizeof(tail) > size)
		return 0;
	n = (size_t)len;
	while (*p != '\0') {
		w = error_char(one, &p);
		if (w > size - n - sizeof(tail))
			break;
		memcpy(dst + n, one, w);
		n += w;
	}
	memcpy(dst + n, tail, sizeof(tail));
	return n + sizeof(tail) - 1;
}
