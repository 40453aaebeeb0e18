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
 * JSON writer: members straight into a buf.  Runs in: front, control,
 * remote, runner, admin.
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/utf8.h"

#define DEPTH_MAX	32		/* bits of used and array */

static void	 put(struct jsonw *, const void *, size_t);
static void	 quote(struct jsonw *, const void *, size_t);
static void	 escape(struct jsonw *, uint8_t);
static void	 begin(struct jsonw *, const char *);
static void	 open_level(struct jsonw *, const char *, bool);

void
jsonw_init(struct jsonw *w, struct buf *b)
{
	memset(w, 0, sizeof(*w));
	w->b = b;
}

bool
jsonw_ok(const struct jsonw *w)
{
	return !w->bad && w->depth == 0;
}

static void
put(struct jsonw *w, const void *p, size_t n)
{
	if (!w->bad && buf_add(w->b, p, n) == -1)
		w->bad = true;
}

/* c is below 0x80. */
static void
escape(struct jsonw *w, uint8_t c)
{
	static const char	 letter[0x80] = {
		['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
		['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
	};
	const char		 pair[2] = { '\\', letter[c] };
	char			 s[8];

	if (pair[1] != '\0') {
		put(w, pair, 2);
		return;
	}
	(void)snprintf(s, sizeof(s), "\\u%04x", c);
	put(w, s, 6);
}

static void
quote(struct jsonw *w, const void *src, size_t n)
{
	const uint8_t	*p = src, *run = src;
	size_t		 bad;
	int		 len = 0;

	put(w, "\"", 1);
	while (n > 0) {
		if (*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\') {
			p++, n--;
			continue;
		}
		if (*p >= 0x80 && (len = utf8_char(p, n, &bad)) > 0) {
			p += len, n -= (size_t)len;
			continue;
		}
		put(w, run, (size_t)(p - run));
		if (*p < 0x80) {
			escape(w, *p);
			bad = 1;
		} else {
			if (len < 0)		/* cut off by the end */
				bad = n;
			put(w, "\xef\xbf\xbd", 3);
		}
		p += bad, n -= bad;
		run = p;
	}
	put(w, run, (size_t)(p - run));
	put(w, "\"", 1);
}

/* Comma and key before a value. */
static void
begin(struct jsonw *w, const char *key)
{
	uint32_t bit;

	if (w->depth > 0) {
		bit = 1u << (w->depth - 1);
		if (w->used & bit)
			put(w, ",", 1);
		w->used |= bit;
	}
	if (key != NULL) {
		quote(w, key, strlen(key));
		put(w, ":", 1);
	}
}

static void
open_level(struct jsonw *w, const char *key, bool array)
{
	uint32_t bit;

	begin(w, key);
	if (w->depth == DEPTH_MAX) {
		w->bad = true;
		return;
	}
	bit = 1u << w->depth++;
	w->used &= ~bit;
	w->array = array ? w->array | bit : w->array & ~bit;
	put(w, array ? "[" : "{", 1);
}

void
jsonw_object(struct jsonw *w, const char *key)
{
	open_level(w, key, false);
}

void
jsonw_array(struct jsonw *w, const char *key)
{
	open_level(w, key, true);
}

void
jsonw_end(struct jsonw *w)
{
	if (w->depth == 0) {
		w->bad = true;
		return;
	}
	w->depth--;
	put(w, w->array & (1u << w->depth) ? "]" : "}", 1);
}

void
jsonw_str(struct jsonw *w, const char *key, struct slice s)
{
	begin(w, key);
	quote(w, s.p, s.len);
}

void
jsonw_text(struct jsonw *w, const char *key, const char *s)
{
	jsonw_str(w, key, slice_str(s));
}

void
jsonw_int(struct jsonw *w, const char *key, int64_t i)
{
	char s[24];

	begin(w, key);
	put(w, s, (size_t)snprintf(s, sizeof(s), "%lld", (long long)i));
}

void
jsonw_uint(struct jsonw *w, const char *key, uint64_t u)
{
	char s[24];

	begin(w, key);
	put(w, s, (size_t)snprintf(s, sizeof(s), "%llu",
	    (unsigned long long)u));
}

/* JSON has no infinity and no NaN. */
void
jsonw_double(struct jsonw *w, const char *key, double d)
{
	char s[40];

	if (!isfinite(d)) {
		jsonw_null(w, key);
		return;
	}
	begin(w, key);
	put(w, s, (size_t)snprintf(s, sizeof(s), "%.17g", d));
}

void
jsonw_bool(struct jsonw *w, const char *key, bool b)
{
	begin(w, key);
	put(w, b ? "true" : "false", b ? 4 : 5);
}

void
jsonw_null(struct jsonw *w, const char *key)
{
	begin(w, key);
	put(w, "null", 4);
}

void
jsonw_base64(struct jsonw *w, const char *key, const void *p, size_t n)
{
	char *dst;

	begin(w, key);
	put(w, "\"", 1);
	if (!w->bad && n > 0) {
		if ((dst = buf_reserve(w->b, BASE64_LEN(n))) == NULL)
			w->bad = true;
		else
			w->b->len += base64_encode(dst, p, n);
	}
	put(w, "\"", 1);
}

void
jsonw_raw(struct jsonw *w, const char *key, const void *p, size_t n)
{
	begin(w, key);
	put(w, p, n);
}
