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
 * base/base64: RFC 4648's vectors, what is refused, pieces of every size.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "tests/unit/check.h"

static void	 vectors(void);
static void	 refuses(void);
static void	 pieces(void);

static const struct { const char *plain, *text; } good[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "+/+/" }
};

static const char *const bad[] = {
	"Z", "Zg", "Zg=", "Zg===", "Zm8", "Zm9v=", "=", "====", "Z===",
	"Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v-", "_m9v", "Zm9v\t",
	"Zg=x", "Zg=\n", "Zm9vYg==x", "\xc3\xa9=="
};

static void
vectors(void)
{
	char	 dst[64];
	size_t	 i, n;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		n = base64_encode(dst, good[i].plain, strlen(good[i].plain));
		CHECK(n == strlen(good[i].text) &&
		    n == BASE64_LEN(strlen(good[i].plain)) &&
		    memcmp(dst, good[i].text, n) == 0);
		CHECK(base64_decode(dst, good[i].text, n) ==
		    (ssize_t)strlen(good[i].plain));
		CHECK(memcmp(dst, good[i].plain, strlen(good[i].plain)) == 0);
	}
	CHECK(base64_decode(dst, "Zm\r\n9v\nYg\n=\r=\n", 14) == 4);
}

static void
refuses(void)
{
	char	 dst[64];
	size_t	 i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(base64_decode(dst, bad[i], strlen(bad[i])) == -1))
			printf("accepted %s\n", bad[i]);
	CHECK(base64_decode(dst, "Zm9\0", 4) == -1);
}

static void
pieces(void)
{
	struct base64_enc	 e = { { 0 }, 0 };
	struct base64_dec	 d = { 0 };
	uint8_t			 src[1000], back[1024];
	char			 text[2048], whole[2048];
	size_t			 off, n, len, step, wn;
	ssize_t			 got, total;

	srandom(1);
	for (off = 0; off < sizeof(src); off++)
		src[off] = (uint8_t)random();
	wn = base64_encode(whole, src, sizeof(src));
	for (step = 1; step < 20; step++) {
		len = 0;
		for (off = 0; off < sizeof(src); off += n) {
			n = sizeof(src) - off < step ? sizeof(src) - off : step;
			len += base64_enc_add(&e, text + len, src + off, n);
		}
		len += base64_enc_end(&e, text + len);
		CHECK(len == wn && memcmp(text, whole, wn) == 0);
		memset(&d, 0, sizeof(d));
		total = 0;
		for (off = 0; off < len; off += n) {
			n = len - off < step ? len - off : step;
			got = base64_dec_add(&d, back + total, text + off, n);
			CHECK(got >= 0);
			total += got;
		}
		CHECK(base64_dec_end(&d) && total == sizeof(src) &&
		    memcmp(back, src, sizeof(src)) == 0);
	}
	/* in place */
	CHECK(base64_decode(whole, whole, wn) == sizeof(src) &&
	    memcmp(whole, src, sizeof(src)) == 0);
}

int
main(void)
{
	vectors();
	refuses();
	pieces();
	return checks_end();
}
